# The fast path of convlet.ops.linear and its gradients: checks, outputs and work in one call, for
# arrays that the core takes as they are. A small layer takes no longer than the Python it would
# otherwise need.
#
# No error is raised here: if an array must be converted or is refused, the result is None, and the
# caller takes the slow path, which has the messages.

# Multiply-adds that are few: see FEW.
cdef enum:
    SHORT = 100000


cdef bint describe_plain_linear(
        cvl_linear *d, const Py_buffer *x, const Py_buffer *w) noexcept:
    """Read the sizes of x (..., IN) and w (IN, OUT); return whether they match."""
    d[0] = CVL_LINEAR_INIT
    d.IN, d.OUT = w.shape[0], w.shape[1]
    if d.IN < 1 or d.OUT < 1 or x.shape[x.ndim - 1] != d.IN:
        return False
    d.M = count_of(x) // d.IN
    return True


cdef bint is_short(const cvl_linear *d) noexcept:
    return <double>d.M * <double>d.IN * <double>d.OUT < SHORT


def linear(x, w, b, get_threads):
    """y = x w + b; b may be None. None if the arrays are not plain, or do not match."""
    cdef cvl_linear d
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *b_memory = NULL
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view:
        return None
    cdef char code = code_of(x_view)
    cdef Py_buffer *w_view = gate.take(w, code, 2)
    if not w_view or not describe_plain_linear(&d, x_view, w_view):
        return None
    if b is not None:
        b_memory = take_channels(gate, b, code, d.OUT)
        if not b_memory:
            return None
    cdef bint short = is_short(&d)
    cdef int threads = 1 if short else get_threads()
    gate.prepare(&run, threads, cvl_linear_forward_workspace_size(code, &d, threads))
    cdef Block y = new_block(d.M * d.OUT, code)
    cdef void *y_memory = y.chunk.memory
    cdef PyThreadState *let_go = NULL if short else PyEval_SaveThread()
    status = cvl_linear_forward(code, &d, y_memory, x_view.buf, w_view.buf, b_memory, &run)
    if let_go:
        PyEval_RestoreThread(let_go)
    check(status)
    return array_over(y, (d.M, d.OUT) if x_view.ndim == 2 else (*x.shape[:-1], d.OUT), code)


def linear_gradients(dy, x, w, bint needs_dx, bint needs_dw, bint needs_db, get_threads):
    """(dx, dw, db), None where not needed. None if the arrays are not plain, or do not match."""
    cdef cvl_linear d
    cdef cvl_exec run
    cdef cvl_status status = CVL_OK
    cdef size_t scratch = 0
    cdef Block dx = None
    cdef Block dw = None
    cdef Block db = None
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view:
        return None
    cdef char code = code_of(x_view)
    cdef Py_buffer *w_view = gate.take(w, code, 2)
    if not w_view or not describe_plain_linear(&d, x_view, w_view):
        return None
    cdef Py_buffer *dy_view = gate.take(dy, code, x_view.ndim)
    if not dy_view or not has_rows(dy_view, x_view, d.OUT):
        return None
    cdef bint short = is_short(&d)
    cdef int threads = 1 if short else get_threads()
    if needs_dx:
        dx = new_block(d.M * d.IN, code)
        scratch = cvl_linear_backward_data_workspace_size(code, &d, threads)
    if needs_dw:
        dw = new_block(d.IN * d.OUT, code)
    if needs_db:
        db = new_block(d.OUT, code)
    if needs_dw or needs_db:
        scratch = max(scratch, cvl_linear_backward_weights_workspace_size(code, &d, threads))
    gate.prepare(&run, threads, scratch)
    cdef void *dx_memory = dx.chunk.memory if needs_dx else NULL
    cdef void *dw_memory = dw.chunk.memory if needs_dw else NULL
    cdef void *db_memory = db.chunk.memory if needs_db else NULL
    cdef PyThreadState *let_go = NULL if short else PyEval_SaveThread()
    if dx_memory:
        status = cvl_linear_backward_data(code, &d, dx_memory, dy_view.buf, w_view.buf, &run)
    if status == CVL_OK and (dw_memory or db_memory):
        status = cvl_linear_backward_weights(
            code, &d, dw_memory, db_memory, dy_view.buf, x_view.buf, &run)
    if let_go:
        PyEval_RestoreThread(let_go)
    check(status)
    return (
        array_over(dx, (d.M, d.IN) if x_view.ndim == 2 else x.shape, code) if needs_dx else None,
        array_over(dw, (d.IN, d.OUT), code) if needs_dw else None,
        array_over(db, (d.OUT,), code) if needs_db else None,
    )
