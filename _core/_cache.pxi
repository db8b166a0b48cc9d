# The block cache: memory for everything that leaves the library (_blocks.pxi), and for scratch.
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
    ALL = 0  # the two lists of idle chunks by time of return: of all classes,
    OF_CLASS = 1  # and of the chunk's own
    LISTS = 2


cdef extern from *:
    """
    #include "system.h"
    static sys_lock cvl_cache_lock = SYS_LOCK_INIT;
    #if defined(__linux__)
    #include <sys/mman.h>
    #define cvl_advise_huge_pages(memory, bytes) (void)madvise(memory, bytes, MADV_HUGEPAGE)
    #else
    #define cvl_advise_huge_pages(memory, bytes) ((void)(memory), (void)(bytes))
    #endif
    """
    ctypedef struct sys_lock:
        pass
    sys_lock cvl_cache_lock
    void sys_acquire(sys_lock *lock) noexcept nogil
    void sys_release(sys_lock *lock) noexcept nogil
    # Advice only: where it is not taken, small pages serve.
    void cvl_advise_huge_pages(void *memory, size_t bytes) noexcept nogil


cdef struct Chunk:
    void *allocation  # what malloc returned, or NULL for a part
    char *memory  # its first page boundary, or huge page boundary if it holds one
    size_t bytes
    int size_class
    bint idle
    Chunk *whole  # the chunk that it is a half of, or NULL
    Chunk *halves  # two, while it is cut
    Chunk *newer[LISTS]
    Chunk *older[LISTS]


cdef struct Ends:
    Chunk *newest
    Chunk *oldest


cdef struct Cache:
    Ends all
    Ends of_class[CLASSES]
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


cdef inline void link(Chunk *chunk, Ends *ends, int which) noexcept nogil:
    """Put a chunk at the newest end of a list."""
    chunk.newer[which] = NULL
    chunk.older[which] = ends.newest
    if ends.newest:
        ends.newest.newer[which] = chunk
    else:
        ends.oldest = chunk
    ends.newest = chunk


cdef inline void unlink(Chunk *chunk, Ends *ends, int which) noexcept nogil:
    if chunk.newer[which]:
        chunk.newer[which].older[which] = chunk.older[which]
    else:
        ends.newest = chunk.older[which]
    if chunk.older[which]:
        chunk.older[which].newer[which] = chunk.newer[which]
    else:
        ends.oldest = chunk.newer[which]


cdef void put_idle(Chunk *chunk) noexcept nogil:
    link(chunk, &cache.all, ALL)
    link(chunk, &cache.of_class[chunk.size_class], OF_CLASS)
    cache.idle_bytes += chunk.bytes
    chunk.idle = True


cdef void take_idle(Chunk *chunk) noexcept nogil:
    unlink(chunk, &cache.all, ALL)
    unlink(chunk, &cache.of_class[chunk.size_class], OF_CLASS)
    cache.idle_bytes -= chunk.bytes
    chunk.idle = False


cdef bint is_idle(const Chunk *chunk) noexcept nogil:
    """Whether nothing of a chunk, cut or not, is in use."""
    if chunk.halves:
        return is_idle(&chunk.halves[0]) and is_idle(&chunk.halves[1])
    return chunk.idle


cdef void take_whole(Chunk *chunk) noexcept nogil:
    """Take an idle chunk, joining its halves if it is cut."""
    if chunk.halves:
        take_whole(&chunk.halves[0])
        take_whole(&chunk.halves[1])
        free(chunk.halves)
        chunk.halves = NULL
    else:
        take_idle(chunk)


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
        part = cache.of_class[size_class - cuts * STEPS].newest
        while part:
            chunk = whole_of(part, size_class)
            if chunk.size_class == size_class and is_idle(chunk):
                take_whole(chunk)
                return chunk
            part = part.older[OF_CLASS]
    return NULL


cdef Chunk *cut_to(Chunk *chunk, int size_class) noexcept nogil:
    """Cut a part of this class from a chunk; the rest becomes idle. NULL if there is no memory."""
    cdef Chunk *half
    cdef int i
    while chunk.size_class > size_class:
        chunk.halves = <Chunk *>malloc(2 * sizeof(Chunk))
        if not chunk.halves:
            put_idle(chunk)
            return NULL
        for i in range(2):
            half = &chunk.halves[i]
            half.allocation = half.halves = NULL
            half.bytes = chunk.bytes // 2
            half.memory = chunk.memory + i * half.bytes
            half.size_class = chunk.size_class - STEPS
            half.idle = False
            half.whole = chunk
        put_idle(&chunk.halves[1])
        chunk = &chunk.halves[0]
    return chunk


cdef Chunk *take_kept(int size_class) noexcept nogil:
    """Take a chunk of this class from the idle ones, or return NULL."""
    cdef Chunk *chunk
    cdef bint has_parts = size_of_class(size_class) >= CUT_FROM
    cdef int cuts, larger
    for cuts in range(CUTS + 1 if has_parts else 1):
        larger = size_class + cuts * STEPS
        if larger < CLASSES and cache.of_class[larger].newest:
            chunk = cache.of_class[larger].newest
            take_idle(chunk)
            return cut_to(chunk, size_class)
    return join_parts(size_class) if has_parts else NULL


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
    """Take the blocks idle longest until `limit` holds; returns them as a list by `older[ALL]`."""
    cdef Chunk *evicted = NULL
    cdef Chunk *chunk = cache.all.oldest
    cdef Chunk *whole
    while chunk and cache.idle_bytes > limit:
        whole = whole_of(chunk, CLASSES)
        while chunk and whole_of(chunk, CLASSES) == whole:
            chunk = chunk.newer[ALL]
        if is_idle(whole):
            take_whole(whole)
            whole.older[ALL] = evicted
            evicted = whole
    return evicted


cdef void free_chunks(Chunk *chunk) noexcept nogil:
    cdef Chunk *older
    while chunk:
        older = chunk.older[ALL]
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


cdef Chunk *make_chunk(int made, int size_class) noexcept nogil:
    """A new chunk of one class, cut to another; NULL if there is no memory."""
    cdef Chunk *chunk = new_chunk(made)
    if chunk and made > size_class:
        sys_acquire(&cvl_cache_lock)
        chunk = cut_to(chunk, size_class)
        sys_release(&cvl_cache_lock)
    return chunk


cdef void free_idle() noexcept nogil:
    cdef Chunk *evicted
    sys_acquire(&cvl_cache_lock)
    evicted = evict_above(0)
    sys_release(&cvl_cache_lock)
    free_chunks(evicted)


cdef Chunk *lease(size_t bytes) except NULL:
    """A chunk of at least `bytes` bytes, with arbitrary content."""
    cdef Chunk *chunk = NULL
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
            chunk = make_chunk(made, size_class)
        if not chunk:
            free_idle()
            chunk = new_chunk(size_class)
    if not chunk:
        raise MemoryError(f"cannot allocate {bytes} bytes")
    return chunk


cdef void give_back(Chunk *chunk) noexcept:
    cdef Chunk *evicted
    sys_acquire(&cvl_cache_lock)
    put_idle(chunk)
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


def clear_cache():
    """Free all idle blocks; arrays in use keep theirs."""
    free_idle()


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
