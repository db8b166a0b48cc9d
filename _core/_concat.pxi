# Concatenation: parts (..., C_i) of a whole (..., ΣC_i), in a tuple; None where not needed.

cdef Block describe_concat(
        cvl_concat *d, list gates, tuple parts, tuple channels, const Py_buffer *whole, int flags):
    """Fill in `d`, and return the memory of its channels, behind that of pointers at the parts.

    `gates` comes to hold the parts.
    """
    cdef Py_ssize_t i, count = len(channels), sum_of_channels = 0
    cdef Block lists = block_of(count * (sizeof(void *) + sizeof(Py_ssize_t)))
    cdef void **memory = <void **>lists.chunk.memory
    cdef Py_ssize_t *C = <Py_ssize_t *>(memory + count)
    cdef Gate gate
    cdef Py_buffer *view
    if len(parts) != count:
        raise ValueError(f"expected {count} parts, got {len(parts)}")
    d[0] = CVL_CONCAT_INIT
    d.M, d.parts, d.C = count_of(whole) // channels_of(whole), count, C
    for i in range(count):
        C[i], memory[i] = channels[i], NULL
        sum_of_channels += C[i]
        if parts[i] is not None:
            gate = new_gate()
            gates.append(gate)
            view = gate.admit(parts[i], "a part", code_of(whole), whole.ndim, flags)
            if channels_of(view) != C[i] or count_of(view) != d.M * C[i]:
                raise ValueError(
                    f"part {i} must have {d.M} rows of {C[i]} channels, got {shape_of(view)}")
            memory[i] = view.buf
    if sum_of_channels != channels_of(whole):
        raise ValueError(f"parts of {channels} channels do not fill {channels_of(whole)}")
    return lists


def concat_forward(y, tuple x, tuple channels, int threads):
    """y from its parts, which have these channels."""
    cdef cvl_concat d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *y_view = gate.admit(y, "y", FLOAT, ANY_RANK, WRITE)
    cdef char code = code_of(y_view)
    cdef list gates = []
    cdef Block lists = describe_concat(&d, gates, x, channels, y_view, READ)
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_concat_forward(
            code, &d, y_view.buf, <const void **>lists.chunk.memory, &run)
    check(status)


def concat_backward(tuple dx, tuple channels, dy, int threads):
    """The parts of dy, which have these channels."""
    cdef cvl_concat d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(dy_view)
    cdef list gates = []
    cdef Block lists = describe_concat(&d, gates, dx, channels, dy_view, WRITE)
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_concat_backward(code, &d, <void **>lists.chunk.memory, dy_view.buf, &run)
    check(status)
