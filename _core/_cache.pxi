# The block cache: memory for everything that leaves the library, and for scratch.
#
# Fresh pages cost several times more than filling kept ones, so blocks that were given back are
# kept, sorted by size class: whole pages, with steps of 1/8 between powers of two. A block comes
# from its class, newest first (it is the warmest), or from malloc. Above the limit the blocks idle
# longest are freed. From 2 MiB on, blocks lie on huge pages where the system has them: batch norm
# of 26 MB takes 0.7 times as long.
#
# Networks halve their images and double their channels, so large blocks come in sizes that are
# powers of two apart. Such blocks are made of each other: before memory is allocated, a block is
# cut from a larger idle one, or joined from idle parts; and what is allocated is a block of the
# largest of these sizes so far. Otherwise a backward pass, which ends with the largest blocks,
# could not reuse the small ones from its beginning. A block that was cut is freed when all its
# parts are idle.
#
# One lock guards everything; no Python object is touched under it. It is the system's own: that of
# the limited API reads the clock each time, and a call takes and gives back two blocks.

cdef enum:
    PAGE = 4096
    STEPS = 8  # size classes for each doubling
    CLASSES = 50 * STEPS
    HUGE_PAGE = 1 << 21
    CUT_FROM = 1 << 18  # the smallest blocks that are parts of others
    CUTS = 3  # doublings between a part and the whole
    WHOLES = 64  # blocks of the largest size to cut that must fit the limit


cdef extern from *:
    """
    #include "system.h"
    static sys_lock cvl_cache_lock = SYS_LOCK_INIT;
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
    ctypedef struct sys_lock:
        pass
    sys_lock cvl_cache_lock
    void sys_acquire(sys_lock *lock) noexcept nogil
    void sys_release(sys_lock *lock) noexcept nogil
    void cvl_advise_huge_pages(void *memory, size_t bytes) noexcept nogil


cdef struct Chunk:
    void *allocation  # what malloc returned, or NULL for a part
    char *memory  # its first page boundary, or huge page boundary if it holds one
    size_t bytes
    int size_class
    bint idle
    Chunk *whole  # the chunk that it is a half of, or NULL
    Chunk *halves  # two, while it is cut
    Chunk *newer  # by time of return, over all classes
    Chunk *older
    Chunk *next_newer  # likewise within the class
    Chunk *next_older


cdef struct Cache:
    Chunk *newest
    Chunk *oldest
    Chunk *newest_of[CLASSES]
    int largest_of[STEPS]  # the largest class leased, among those a power of two apart
    size_t limit
    size_t idle_bytes
    size_t hits
    size_t misses


cdef Cache cache


cdef int size_class_of(size_t bytes) noexcept nogil:
    """The class whose blocks hold `bytes`, or -1 if no address space could."""
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
    chunk.idle = False


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
    chunk.idle = True


cdef bint is_idle(const Chunk *chunk) noexcept nogil:
    """Whether nothing of a chunk, cut or not, is in use."""
    if chunk.halves:
        return is_idle(&chunk.halves[0]) and is_idle(&chunk.halves[1])
    return chunk.idle


cdef void take_idle(Chunk *chunk) noexcept nogil:
    """Take an idle chunk out of the lists, joining its halves."""
    if chunk.halves:
        take_idle(&chunk.halves[0])
        take_idle(&chunk.halves[1])
        free(chunk.halves)
        chunk.halves = NULL
    else:
        unlink_chunk(chunk)


cdef Chunk *whole_of(Chunk *chunk, int size_class) noexcept nogil:
    """The chunk of this class that a chunk is a part of, or the largest one that it is."""
    while chunk.whole and chunk.size_class < size_class:
        chunk = chunk.whole
    return chunk


cdef Chunk *join_parts(int size_class) noexcept nogil:
    """Take a chunk of this class whose parts are all idle, the warmest first; or return NULL."""
    cdef Chunk *part
    cdef Chunk *chunk
    cdef int cuts
    for cuts in range(1, CUTS + 1):
        part = cache.newest_of[size_class - cuts * STEPS]
        while part:
            chunk = whole_of(part, size_class)
            if chunk.size_class == size_class and is_idle(chunk):
                take_idle(chunk)
                return chunk
            part = part.next_older
    return NULL


cdef Chunk *cut_to(Chunk *chunk, int size_class) noexcept nogil:
    """Cut a part of this class from a chunk; the rest becomes idle. NULL if there is no memory."""
    cdef Chunk *half
    cdef int i
    while chunk.size_class > size_class:
        chunk.halves = <Chunk *>malloc(2 * sizeof(Chunk))
        if not chunk.halves:
            link_chunk(chunk)
            return NULL
        for i in range(2):
            half = &chunk.halves[i]
            half.allocation = half.halves = NULL
            half.bytes = chunk.bytes // 2
            half.memory = chunk.memory + i * half.bytes
            half.size_class = chunk.size_class - STEPS
            half.idle = False
            half.whole = chunk
        link_chunk(&chunk.halves[1])
        chunk = &chunk.halves[0]
    return chunk


cdef Chunk *take_kept(int size_class) noexcept nogil:
    """Take a chunk of this class from the idle ones, or return NULL."""
    cdef Chunk *chunk = cache.newest_of[size_class]
    cdef int cuts
    if chunk:
        unlink_chunk(chunk)
        return chunk
    if size_of_class(size_class) < CUT_FROM:
        return NULL
    for cuts in range(1, CUTS + 1):
        if not chunk and size_class + cuts * STEPS < CLASSES:
            chunk = cache.newest_of[size_class + cuts * STEPS]
            if chunk:
                unlink_chunk(chunk)
                chunk = cut_to(chunk, size_class)
    if not chunk:
        chunk = join_parts(size_class)
    return chunk


cdef int class_to_make(int size_class) noexcept nogil:
    """The class to allocate where one of `size_class` is needed, which is then cut from it."""
    cdef int *largest = &cache.largest_of[size_class % STEPS]
    cdef int made = size_class
    largest[0] = max(largest[0], size_class)
    if size_of_class(size_class) >= CUT_FROM:
        made = min(largest[0], size_class + CUTS * STEPS)
        while made > size_class and size_of_class(made) > cache.limit // WHOLES:
            made -= STEPS
    return made


cdef Chunk *evict_above(size_t limit) noexcept nogil:
    """Unlink the blocks idle longest until `limit` holds; returns them as a list by `older`."""
    cdef Chunk *evicted = NULL
    cdef Chunk *chunk = cache.oldest
    cdef Chunk *whole
    while chunk and cache.idle_bytes > limit:
        whole = whole_of(chunk, CLASSES)
        while chunk and whole_of(chunk, CLASSES) == whole:
            chunk = chunk.newer
        if is_idle(whole):
            take_idle(whole)
            whole.older = evicted
            evicted = whole
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
    chunk.idle = False
    chunk.whole = chunk.halves = NULL
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
    """A chunk of at least `bytes` bytes, with arbitrary content."""
    cdef Chunk *chunk = NULL
    cdef Chunk *evicted = NULL
    cdef int size_class = size_class_of(bytes)
    cdef int made = size_class
    if size_class >= 0:
        sys_acquire(&cvl_cache_lock)
        chunk = take_kept(size_class)
        if chunk:
            cache.hits += 1
        else:
            cache.misses += 1
            made = class_to_make(size_class)
        sys_release(&cvl_cache_lock)
        if not chunk:
            chunk = new_chunk(made)
        if chunk and made > size_class:
            sys_acquire(&cvl_cache_lock)
            chunk = cut_to(chunk, size_class)
            sys_release(&cvl_cache_lock)
        if not chunk:
            sys_acquire(&cvl_cache_lock)
            evicted = evict_above(0)
            sys_release(&cvl_cache_lock)
            free_chunks(evicted)
            chunk = new_chunk(size_class)
    if not chunk:
        raise MemoryError(f"cannot allocate {bytes} bytes")
    return chunk


cdef void give_back(Chunk *chunk) noexcept:
    cdef Chunk *evicted = NULL
    sys_acquire(&cvl_cache_lock)
    link_chunk(chunk)
    evicted = evict_above(cache.limit)
    sys_release(&cvl_cache_lock)
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

    The block, or an array over it, holds the memory, which goes back when the last of them dies.
    Blocks are made by block_of: a constructor with an argument would take longer than lease().
    """

    cdef Chunk *chunk

    def __dealloc__(self):
        if self.chunk:
            give_back(self.chunk)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if not self.chunk:
            raise BufferError("blocks with memory come from empty()")
        PyBuffer_FillInfo(view, self, self.chunk.memory, <Py_ssize_t>self.chunk.bytes, 0, flags)


cdef Block block_of(size_t bytes):
    cdef Block block = Block.__new__(Block)
    block.chunk = lease(bytes)
    return block


cdef Block new_block(Py_ssize_t count, char code):
    """A block for `count` numbers, of float32 or float64."""
    return block_of(count * (4 if code == FLOAT32 else 8))


cdef object array_over(Block block, tuple shape, char code):
    """A new array over the block, of float32 or float64."""
    return ndarray(shape, SINGLE if code == FLOAT32 else DOUBLE, block)


def empty(tuple shape, str code):
    """Return a new array over a block of the cache, with arbitrary content."""
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
    return ndarray(shape, entry[0], block_of(total))


def clear_cache():
    """Free all idle blocks; arrays in use keep theirs."""
    cdef Chunk *evicted = NULL
    sys_acquire(&cvl_cache_lock)
    evicted = evict_above(0)
    sys_release(&cvl_cache_lock)
    free_chunks(evicted)


def cache_info():
    """Return the counters of the cache, and what it holds: hits, misses, idle_bytes, limit."""
    cdef Cache now
    sys_acquire(&cvl_cache_lock)
    now = cache
    sys_release(&cvl_cache_lock)
    return {
        "hits": now.hits,
        "misses": now.misses,
        "idle_bytes": now.idle_bytes,
        "limit": now.limit,
    }
