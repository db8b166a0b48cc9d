# The block cache: memory for everything that leaves the library, and for scratch.
#
# Fresh pages cost several times more than filling kept ones, so blocks that were given back are
# kept, sorted by size class: whole pages, with steps of 1/8 between powers of two. A block comes
# from its class, newest first (it is the warmest), or from malloc. Above the limit the blocks idle
# longest are freed. From 2 MiB on, blocks lie on huge pages where the system has them: batch norm
# of 26 MB takes 0.7 times as long.
#
# One lock guards it all; nothing under it touches a Python object.

cdef enum:
    PAGE = 4096
    STEPS = 8  # size classes for each doubling
    CLASSES = 50 * STEPS
    HUGE_PAGE = 1 << 21


cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/mman.h>
    /* Advice only: where it is not taken, small pages serve. */
    static void cvl_advise_huge_pages(void *memory, size_t bytes)
    {
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    }
    #else
    static void cvl_advise_huge_pages(void *memory, size_t bytes)
    {
        (void)memory;
        (void)bytes;
    }
    #endif
    """
    void cvl_advise_huge_pages(void *memory, size_t bytes) noexcept nogil


cdef struct Chunk:
    void *allocation  # what malloc returned
    char *memory  # the first page boundary in it, or huge page boundary where it holds one
    size_t bytes
    int size_class
    Chunk *newer  # by time of return, over all classes
    Chunk *older
    Chunk *next_newer  # likewise within the class
    Chunk *next_older


cdef struct Cache:
    Chunk *newest
    Chunk *oldest
    Chunk *newest_of[CLASSES]
    size_t limit
    size_t idle_bytes
    size_t hits
    size_t misses


cdef Cache cache
cdef cython.pymutex cache_lock


cdef int size_class_of(size_t bytes) noexcept nogil:
    """The class whose blocks hold `bytes`, or -1 where no address space could."""
    cdef size_t steps
    cdef int doublings = 0
    if bytes > <size_t>PY_SSIZE_T_MAX // 2:
        return -1
    steps = max(<size_t>1, (bytes + PAGE - 1) // PAGE)
    while steps >= 2 * STEPS:
        steps = (steps + 1) // 2
        doublings += 1
    return doublings * STEPS + <int>steps


cdef size_t size_of_class(int size_class) noexcept nogil:
    cdef int doublings = max(0, size_class // STEPS - 1)
    return <size_t>(size_class - doublings * STEPS) * PAGE << doublings


cdef void unlink_chunk(Chunk *chunk) noexcept nogil:
    """Take an idle chunk out of its class and out of the order of return."""
    if chunk.newer:
        chunk.newer.older = chunk.older
    else:
        cache.newest = chunk.older
    if chunk.older:
        chunk.older.newer = chunk.newer
    else:
        cache.oldest = chunk.newer
    if chunk.next_newer:
        chunk.next_newer.next_older = chunk.next_older
    else:
        cache.newest_of[chunk.size_class] = chunk.next_older
    if chunk.next_older:
        chunk.next_older.next_newer = chunk.next_newer
    cache.idle_bytes -= chunk.bytes


cdef void link_chunk(Chunk *chunk) noexcept nogil:
    """Put an idle chunk at the newest end of both orders."""
    chunk.newer = chunk.next_newer = NULL
    chunk.older = cache.newest
    chunk.next_older = cache.newest_of[chunk.size_class]
    if chunk.older:
        chunk.older.newer = chunk
    else:
        cache.oldest = chunk
    if chunk.next_older:
        chunk.next_older.next_newer = chunk
    cache.newest = cache.newest_of[chunk.size_class] = chunk
    cache.idle_bytes += chunk.bytes


cdef Chunk *evict_above(size_t limit) noexcept nogil:
    """Unlink the blocks idle longest until `limit` holds; returns them as a list by `older`."""
    cdef Chunk *evicted = NULL
    cdef Chunk *chunk
    while cache.idle_bytes > limit:
        chunk = cache.oldest
        unlink_chunk(chunk)
        chunk.older = evicted
        evicted = chunk
    return evicted


cdef void free_chunks(Chunk *chunk) noexcept nogil:
    cdef Chunk *older
    while chunk:
        older = chunk.older
        free(chunk.allocation)
        free(chunk)
        chunk = older


cdef Chunk *new_chunk(int size_class) noexcept nogil:
    cdef Chunk *chunk = <Chunk *>malloc(sizeof(Chunk))
    if not chunk:
        return NULL
    chunk.size_class = size_class
    chunk.bytes = size_of_class(size_class)
    cdef size_t page = HUGE_PAGE if chunk.bytes >= HUGE_PAGE else PAGE
    chunk.allocation = malloc(chunk.bytes + page)
    if not chunk.allocation:
        free(chunk)
        return NULL
    chunk.memory = <char *>chunk.allocation + (page - <size_t>chunk.allocation % page)
    if page == HUGE_PAGE:
        cvl_advise_huge_pages(chunk.memory, chunk.bytes // HUGE_PAGE * HUGE_PAGE)
    return chunk


cdef Chunk *lease(size_t bytes) except NULL:
    """A block of at least `bytes` bytes, its content whatever it was."""
    cdef Chunk *chunk = NULL
    cdef Chunk *evicted = NULL
    cdef int size_class = size_class_of(bytes)
    if size_class >= 0:
        with cache_lock:
            chunk = cache.newest_of[size_class]
            if chunk:
                unlink_chunk(chunk)
                cache.hits += 1
            else:
                cache.misses += 1
        if not chunk:
            chunk = new_chunk(size_class)
        if not chunk:
            with cache_lock:
                evicted = evict_above(0)
            free_chunks(evicted)
            chunk = new_chunk(size_class)
    if not chunk:
        raise MemoryError(f"cannot allocate {bytes} bytes")
    return chunk


cdef void give_back(Chunk *chunk) noexcept:
    cdef Chunk *evicted = NULL
    with cache_lock:
        link_chunk(chunk)
        evicted = evict_above(cache.limit)
    free_chunks(evicted)


cdef size_t limit_from_environment() except? 0:
    """CONVLET_CACHE_LIMIT in bytes, or 1 GiB."""
    text = os.environ.get("CONVLET_CACHE_LIMIT", "")
    if not text:
        return 1 << 30
    if not text.isdecimal() or int(text) > PY_SSIZE_T_MAX:
        raise ImportError(f"CONVLET_CACHE_LIMIT must be a number of bytes, got {text!r}")
    return int(text)


cache.limit = limit_from_environment()


@cython.final
@cython.no_gc
cdef class Block:
    """Page-aligned, writable memory from the cache, offered through the buffer protocol.

    Whoever holds the block, or an array over it, holds the memory; it goes back when all are gone.
    """

    cdef Chunk *chunk

    def __cinit__(self, size_t bytes):
        self.chunk = lease(bytes)

    def __dealloc__(self):
        if self.chunk:
            give_back(self.chunk)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.chunk.memory, <Py_ssize_t>self.chunk.bytes, 0, flags)


def empty(tuple shape, str code):
    """Return a new array over a block of the cache, its content arbitrary."""
    cdef Py_ssize_t total, size
    entry = DTYPES.get(code)
    if entry is None:
        raise ValueError(f"expected a type code of {list(DTYPES)}, got {code!r}")
    total = entry[1]
    for size in shape:
        if size < 0:
            raise ValueError(f"sizes cannot be negative, got {shape}")
        if size and total > PY_SSIZE_T_MAX // size:
            raise MemoryError(f"an array of shape {shape} is larger than the address space")
        total *= size
    return ndarray(shape, entry[0], Block(total))


def clear_cache():
    """Free all idle blocks; arrays in use keep theirs."""
    cdef Chunk *evicted = NULL
    with cache_lock:
        evicted = evict_above(0)
    free_chunks(evicted)


def cache_info():
    """Return what the cache has done and holds: hits, misses, idle_bytes, limit."""
    cdef Cache now
    with cache_lock:
        now = cache
    return {
        "hits": now.hits,
        "misses": now.misses,
        "idle_bytes": now.idle_bytes,
        "limit": now.limit,
    }
