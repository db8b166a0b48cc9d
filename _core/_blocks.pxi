# Blocks of the cache (_cache.pxi), and the arrays over them.


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
