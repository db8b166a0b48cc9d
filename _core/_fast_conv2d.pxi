# The fast path of convlet.ops.conv2d and its gradients, as _fast_linear.pxi has it, for sizes that
# are one number for both axes. As for batch norm, it spares most between large arrays: 15 of 30 us.

cdef Py_ssize_t plain_size(value) noexcept:
    """The value of an int that can be a size, -1 of others."""
    return value if type(value) is int and 0 <= value <= 1 << 30 else -1


cdef bint describe_plain_conv2d(
        cvl_conv2d *d, const Py_buffer *x, const Py_buffer *w, stride, padding, dilation, groups,
        algorithm, Py_ssize_t *OH, Py_ssize_t *OW) except -1:
    """Read the sizes of x and w and the options; return whether they are plain, and match."""
    if type(algorithm) is not str or algorithm != "auto":
        return False
    d[0] = CVL_CONV2D_INIT
    d.N, d.H, d.W, d.C = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    d.KH, d.KW, d.OC = w.shape[0], w.shape[1], w.shape[3]
    d.SH = d.SW = plain_size(stride)
    d.DH = d.DW = plain_size(dilation)
    d.PT = d.PB = d.PL = d.PR = plain_size(padding)
    d.groups = plain_size(groups)
    if d.groups < 1 or w.shape[2] != d.C // d.groups:
        return False
    if not current_options().winograd:
        d.algorithm = CVL_CONV2D_IM2COL
    return cvl_conv2d_output_shape(d, OH, OW) == CVL_OK


def conv2d(x, w, b, stride, padding, dilation, groups, algorithm, get_threads):
    """y = conv(x, w) + b; b may be None. None if arguments are not plain, or do not match."""
    cdef cvl_conv2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef void *b_memory = NULL
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, 4)
    if not x_view:
        return None
    cdef char code = code_of(x_view)
    cdef Py_buffer *w_view = gate.take(w, code, 4)
    if not w_view or not describe_plain_conv2d(
            &d, x_view, w_view, stride, padding, dilation, groups, algorithm, &OH, &OW):
        return None
    if b is not None:
        b_memory = take_channels(gate, b, code, d.OC)
        if not b_memory:
            return None
    cdef int threads = get_threads()
    gate.prepare(&run, threads, cvl_conv2d_forward_workspace_size(code, &d, threads))
    cdef Block y = new_block(d.N * OH * OW * d.OC, code)
    cdef void *y_memory = y.chunk.memory
    with nogil:
        status = cvl_conv2d_forward(code, &d, y_memory, x_view.buf, w_view.buf, b_memory, &run)
    check(status)
    return array_over(y, (d.N, OH, OW, d.OC), code)


def conv2d_gradients(
        dy, x, w, stride, padding, dilation, groups, needs, algorithm, get_threads):
    """(dx, dw, db), None where not needed. None as in `conv2d`."""
    cdef cvl_conv2d d
    cdef cvl_exec run
    cdef cvl_status status = CVL_OK
    cdef Py_ssize_t OH, OW
    cdef size_t scratch = 0
    cdef Block dx = None
    cdef Block dw = None
    cdef Block db = None
    cdef bint needs_dx, needs_dw, needs_db
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, 4)
    if not x_view:
        return None
    cdef char code = code_of(x_view)
    cdef Py_buffer *w_view = gate.take(w, code, 4)
    if not w_view or not describe_plain_conv2d(
            &d, x_view, w_view, stride, padding, dilation, groups, algorithm, &OH, &OW):
        return None
    cdef Py_buffer *dy_view = gate.take(dy, code, 4)
    if (not dy_view or dy_view.shape[0] != d.N or dy_view.shape[1] != OH
            or dy_view.shape[2] != OW or dy_view.shape[3] != d.OC):
        return None
    needs_dx, needs_dw, needs_db = needs
    cdef int threads = get_threads()
    if needs_dx:
        dx = new_block(count_of(x_view), code)
        scratch = cvl_conv2d_backward_data_workspace_size(code, &d, threads)
    if needs_dw:
        dw = new_block(count_of(w_view), code)
    if needs_db:
        db = new_block(d.OC, code)
    if needs_dw or needs_db:
        scratch = max(scratch, cvl_conv2d_backward_weights_workspace_size(code, &d, threads))
    gate.prepare(&run, threads, scratch)
    cdef void *dx_memory = dx.chunk.memory if needs_dx else NULL
    cdef void *dw_memory = dw.chunk.memory if needs_dw else NULL
    cdef void *db_memory = db.chunk.memory if needs_db else NULL
    with nogil:
        if dx_memory:
            status = cvl_conv2d_backward_data(
                code, &d, dx_memory, dy_view.buf, w_view.buf, &run)
        if status == CVL_OK and (dw_memory or db_memory):
            status = cvl_conv2d_backward_weights(
                code, &d, dw_memory, db_memory, dy_view.buf, x_view.buf, &run)
    check(status)
    return (
        array_over(dx, x.shape, code) if needs_dx else None,
        array_over(dw, w.shape, code) if needs_dw else None,
        array_over(db, (d.OC,), code) if needs_db else None,
    )
