# Functions whose result has the type and shape of their arrays: those of elements, and softmax.
# Checks, output and work are one call, for arrays that the core takes as they are: a thousand
# elements take no longer than the Python it would otherwise need.
#
# No error is raised for an array that must be converted or is refused: the result is None, and the
# caller, which has the messages, converts it and calls again.

# Fewer bytes of an array the core runs on one thread, whatever the function, so that the number of
# threads need not be looked up. They take a few microseconds, and the call keeps the GIL: to
# release it and take it again costs up to 0.2 us.
cdef enum:
    FEW = 16384

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState *) noexcept

ctypedef cvl_status (*unary_function)(
    char, Py_ssize_t, void *, const void *, const cvl_exec *) noexcept nogil
ctypedef cvl_status (*unary_parameter_function)(
    char, double, Py_ssize_t, void *, const void *, const cvl_exec *) noexcept nogil
ctypedef cvl_status (*binary_function)(
    char, Py_ssize_t, void *, const void *, const void *, const cvl_exec *) noexcept nogil
ctypedef cvl_status (*binary_parameter_function)(
    char, double, Py_ssize_t, void *, const void *, const void *,
    const cvl_exec *) noexcept nogil
ctypedef cvl_status (*softmax_function)(
    char, const cvl_softmax *, void *, const void *, const cvl_exec *) noexcept nogil
ctypedef cvl_status (*softmax_pullback_function)(
    char, const cvl_softmax *, void *, const void *, const void *,
    const cvl_exec *) noexcept nogil

cdef enum Form:
    UNARY
    UNARY_PARAMETER
    SOFTMAX
    BINARY
    BINARY_PARAMETER
    SOFTMAX_PULLBACK


cdef cvl_status call_map(
        Form form, void *function, double parameter, char code, Py_ssize_t n,
        const cvl_softmax *d, void *out, const void *a, const void *b,
        const cvl_exec *run) noexcept nogil:
    if form == UNARY:
        return (<unary_function>function)(code, n, out, a, run)
    if form == UNARY_PARAMETER:
        return (<unary_parameter_function>function)(code, parameter, n, out, a, run)
    if form == SOFTMAX:
        return (<softmax_function>function)(code, d, out, a, run)
    if form == BINARY:
        return (<binary_function>function)(code, n, out, a, b, run)
    if form == BINARY_PARAMETER:
        return (<binary_parameter_function>function)(code, parameter, n, out, a, b, run)
    return (<softmax_pullback_function>function)(code, d, out, a, b, run)


cdef object map_like(Form form, void *function, double parameter, a, b, get_threads):
    """A new array from `a`, and from `b` where the form takes two. None if they are not plain."""
    cdef cvl_softmax d = CVL_SOFTMAX_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *b_memory = NULL
    cdef Gate gate = new_gate()
    cdef Py_buffer *a_view = gate.take(a, FLOAT, ANY_RANK)
    if not a_view:
        return None
    if form >= BINARY:
        b_memory = take_like(gate, b, a_view)
        if not b_memory:
            return None
    cdef char code = code_of(a_view)
    cdef Py_ssize_t n = count_of(a_view)
    if form == SOFTMAX or form == SOFTMAX_PULLBACK:
        d.C = a_view.shape[a_view.ndim - 1]
        if d.C < 1:
            return None
        d.N = n // d.C
    cdef bint few = a_view.len < FEW
    gate.prepare(&run, 1 if few else get_threads())
    cdef Block out = new_block(n, code)
    cdef void *out_memory = out.chunk.memory
    cdef PyThreadState *let_go = NULL if few else PyEval_SaveThread()
    status = call_map(
        form, function, parameter, code, n, &d, out_memory, a_view.buf, b_memory, &run)
    if let_go:
        PyEval_RestoreThread(let_go)
    check(status)
    return array_over(out, a.shape, code)


cdef object unary_map(unary_function function, x, get_threads):
    return map_like(UNARY, <void *>function, 0, x, None, get_threads)


cdef object unary_parameter_map(
        unary_parameter_function function, double parameter, x, get_threads):
    return map_like(UNARY_PARAMETER, <void *>function, parameter, x, None, get_threads)


cdef object binary_map(binary_function function, a, b, get_threads):
    return map_like(BINARY, <void *>function, 0, a, b, get_threads)


cdef object binary_parameter_map(
        binary_parameter_function function, double parameter, a, b, get_threads):
    return map_like(BINARY_PARAMETER, <void *>function, parameter, a, b, get_threads)


cdef object softmax_map(softmax_function function, z, get_threads):
    return map_like(SOFTMAX, <void *>function, 0, z, None, get_threads)


cdef object softmax_pullback(softmax_pullback_function function, dy, y, get_threads):
    return map_like(SOFTMAX_PULLBACK, <void *>function, 0, dy, y, get_threads)


def add(a, b, get_threads):
    """y = a + b."""
    return binary_map(cvl_add, a, b, get_threads)


def softmax_forward(z, get_threads):
    """y = softmax(z) over the last axis."""
    return softmax_map(cvl_softmax_forward, z, get_threads)


def log_softmax_forward(z, get_threads):
    """y = log softmax(z) over the last axis."""
    return softmax_map(cvl_log_softmax_forward, z, get_threads)


def softmax_backward(dy, y, get_threads):
    """dz from dy and y = softmax(z)."""
    return softmax_pullback(cvl_softmax_backward, dy, y, get_threads)


def log_softmax_backward(dy, y, get_threads):
    """dz from dy and y = log softmax(z)."""
    return softmax_pullback(cvl_log_softmax_backward, dy, y, get_threads)
