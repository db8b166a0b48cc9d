# The operators of convlet_images.h as Python functions: outputs first, then inputs.

# ---------------------------------------------------------------- transposed convolution
# geometry is (KH, KW, SH, SW, DH, DW, PT, PB, PL, PR, OPH, OPW, groups, algorithm).

cdef int describe_conv_transpose2d(
        cvl_conv_transpose2d *d, tuple geometry, const Py_ssize_t *x_shape, Py_ssize_t OC,
        Py_ssize_t *OH, Py_ssize_t *OW) except -1:
    cdef int algorithm
    d[0] = CVL_CONV_TRANSPOSE2D_INIT
    d.N, d.H, d.W, d.C, d.OC = x_shape[0], x_shape[1], x_shape[2], x_shape[3], OC
    (d.KH, d.KW, d.SH, d.SW, d.DH, d.DW, d.PT, d.PB, d.PL, d.PR, d.OPH, d.OPW,
     d.groups, algorithm) = geometry
    d.algorithm = <cvl_conv2d_algorithm>algorithm
    return check(cvl_conv_transpose2d_output_shape(d, OH, OW))


def conv_transpose2d_forward(y, x, w, b, tuple geometry, int threads):
    """y = the transposed convolution of x, + b; b may be None."""
    cdef cvl_conv_transpose2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *y_view = gate.admit(y, "y", code, 4, WRITE)
    describe_conv_transpose2d(&d, geometry, x_view.shape, y_view.shape[3], &OH, &OW)
    check_pixels(y_view, "y", d.N, OH, OW)
    cdef void *w_memory = gate.admit_shape(
        w, "w", code, READ, 4, d.KH, d.KW, d.OC // d.groups, d.C).buf
    cdef void *b_memory = gate.optional_vector(b, "b", code, READ, d.OC)
    gate.prepare(&run, threads, cvl_conv_transpose2d_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv_transpose2d_forward(
            code, &d, y_view.buf, x_view.buf, w_memory, b_memory, &run)
    check(status)


def conv_transpose2d_backward_data(dx, dy, w, tuple geometry, int threads):
    """dx from dy."""
    cdef cvl_conv_transpose2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, 4, READ)
    describe_conv_transpose2d(&d, geometry, dx_view.shape, dy_view.shape[3], &OH, &OW)
    check_pixels(dy_view, "dy", d.N, OH, OW)
    cdef void *w_memory = gate.admit_shape(
        w, "w", code, READ, 4, d.KH, d.KW, d.OC // d.groups, d.C).buf
    gate.prepare(
        &run, threads, cvl_conv_transpose2d_backward_data_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv_transpose2d_backward_data(
            code, &d, dx_view.buf, dy_view.buf, w_memory, &run)
    check(status)


def conv_transpose2d_backward_weights(dw, db, dy, x, tuple geometry, int threads):
    """dw and db from dy; either may be None."""
    cdef cvl_conv_transpose2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, 4, READ)
    describe_conv_transpose2d(&d, geometry, x_view.shape, dy_view.shape[3], &OH, &OW)
    check_pixels(dy_view, "dy", d.N, OH, OW)
    cdef void *dw_memory = NULL
    if dw is not None:
        dw_memory = gate.admit_shape(
            dw, "dw", code, WRITE, 4, d.KH, d.KW, d.OC // d.groups, d.C).buf
    cdef void *db_memory = gate.optional_vector(db, "db", code, WRITE, d.OC)
    gate.prepare(
        &run, threads, cvl_conv_transpose2d_backward_weights_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv_transpose2d_backward_weights(
            code, &d, dw_memory, db_memory, dy_view.buf, x_view.buf, &run)
    check(status)


# ---------------------------------------------------------------- resampling

cdef int describe_pad2d(
        cvl_pad2d *d, tuple geometry, double value, const Py_ssize_t *x_shape) except -1:
    """Set `d` from (PT, PB, PL, PR, mode)."""
    cdef int mode
    d[0] = CVL_PAD2D_INIT
    d.N, d.H, d.W, d.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    d.PT, d.PB, d.PL, d.PR, mode = geometry
    d.mode = <cvl_pad_mode>mode
    d.value = value
    return 0


cdef int describe_upsample2d(
        cvl_upsample2d *d, tuple geometry, const Py_ssize_t *x_shape) except -1:
    """Set `d` from (SH, SW, mode, align_corners)."""
    cdef int mode
    d[0] = CVL_UPSAMPLE2D_INIT
    d.N, d.H, d.W, d.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    d.SH, d.SW, mode, d.align_corners = geometry
    d.mode = <cvl_upsample_mode>mode
    return 0


cdef int describe_pad_shortcut(
        cvl_pad_shortcut *d, const Py_ssize_t *x_shape, Py_ssize_t OC, Py_ssize_t stride) except -1:
    d[0] = CVL_PAD_SHORTCUT_INIT
    d.N, d.H, d.W, d.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    d.OC, d.SH, d.SW = OC, stride, stride
    return 0


cdef int describe_adaptive_avg_pool2d(
        cvl_adaptive_avg_pool2d *d, tuple geometry, const Py_ssize_t *x_shape) except -1:
    """Set `d` from (OH, OW)."""
    d[0] = CVL_ADAPTIVE_AVG_POOL2D_INIT
    d.N, d.H, d.W, d.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    d.OH, d.OW = geometry
    return 0


def pad_shortcut_forward(y, x, Py_ssize_t stride, int threads):
    """y = every `stride`-th pixel of x, and zeros as its further channels."""
    cdef cvl_pad_shortcut d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *y_view = gate.admit(y, "y", code, 4, WRITE)
    describe_pad_shortcut(&d, x_view.shape, y_view.shape[3], stride)
    check_pixels(y_view, "y", d.N, pixels_taken(d.H, stride), pixels_taken(d.W, stride))
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_pad_shortcut_forward(code, &d, y_view.buf, x_view.buf, &run)
    check(status)


def pad_shortcut_backward(dx, dy, Py_ssize_t stride, int threads):
    """dx from dy."""
    cdef cvl_pad_shortcut d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, 4, READ)
    describe_pad_shortcut(&d, dx_view.shape, dy_view.shape[3], stride)
    check_pixels(dy_view, "dy", d.N, pixels_taken(d.H, stride), pixels_taken(d.W, stride))
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_pad_shortcut_backward(code, &d, dx_view.buf, dy_view.buf, &run)
    check(status)


cdef Py_ssize_t pixels_taken(Py_ssize_t size, Py_ssize_t stride) except -1:
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    return (size + stride - 1) // stride


def pad2d_forward(y, x, tuple geometry, double value, int threads):
    """y = x, padded."""
    cdef cvl_pad2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_pad2d(&d, geometry, value, x_view.shape)
    cdef void *y_memory = gate.admit_shape(
        y, "y", code, WRITE, 4, d.N, d.PT + d.H + d.PB, d.PL + d.W + d.PR, d.C).buf
    gate.prepare(&run, threads, cvl_pad2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_pad2d_forward(code, &d, y_memory, x_view.buf, &run)
    check(status)


def pad2d_backward(dx, dy, tuple geometry, double value, int threads):
    """dx from dy."""
    cdef cvl_pad2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    describe_pad2d(&d, geometry, value, dx_view.shape)
    cdef void *dy_memory = gate.admit_shape(
        dy, "dy", code, READ, 4, d.N, d.PT + d.H + d.PB, d.PL + d.W + d.PR, d.C).buf
    gate.prepare(&run, threads, cvl_pad2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_pad2d_backward(code, &d, dx_view.buf, dy_memory, &run)
    check(status)


def upsample2d_forward(y, x, tuple geometry, int threads):
    """y = x, upsampled."""
    cdef cvl_upsample2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_upsample2d(&d, geometry, x_view.shape)
    cdef void *y_memory = gate.admit_shape(
        y, "y", code, WRITE, 4, d.N, d.H * d.SH, d.W * d.SW, d.C).buf
    gate.prepare(&run, threads, cvl_upsample2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_upsample2d_forward(code, &d, y_memory, x_view.buf, &run)
    check(status)


def upsample2d_backward(dx, dy, tuple geometry, int threads):
    """dx from dy."""
    cdef cvl_upsample2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    describe_upsample2d(&d, geometry, dx_view.shape)
    cdef void *dy_memory = gate.admit_shape(
        dy, "dy", code, READ, 4, d.N, d.H * d.SH, d.W * d.SW, d.C).buf
    gate.prepare(&run, threads, cvl_upsample2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_upsample2d_backward(code, &d, dx_view.buf, dy_memory, &run)
    check(status)


def adaptive_avg_pool2d_forward(y, x, tuple geometry, int threads):
    """y = the mean of each bin of x."""
    cdef cvl_adaptive_avg_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_adaptive_avg_pool2d(&d, geometry, x_view.shape)
    cdef void *y_memory = gate.admit_shape(
        y, "y", code, WRITE, 4, d.N, d.OH, d.OW, d.C).buf
    gate.prepare(&run, threads, cvl_adaptive_avg_pool2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_adaptive_avg_pool2d_forward(code, &d, y_memory, x_view.buf, &run)
    check(status)


def adaptive_avg_pool2d_backward(dx, dy, tuple geometry, int threads):
    """dx from dy."""
    cdef cvl_adaptive_avg_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    describe_adaptive_avg_pool2d(&d, geometry, dx_view.shape)
    cdef void *dy_memory = gate.admit_shape(
        dy, "dy", code, READ, 4, d.N, d.OH, d.OW, d.C).buf
    gate.prepare(&run, threads, cvl_adaptive_avg_pool2d_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_adaptive_avg_pool2d_backward(code, &d, dx_view.buf, dy_memory, &run)
    check(status)


# ---------------------------------------------------------------- dropout

def dropout(
        y, x, double p, uint64_t seed, uint64_t counter, bint per_channel, int threads):
    """y = x scaled where the mask keeps it, else 0; the same gives dx from dy."""
    cdef cvl_dropout d = CVL_DROPOUT_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    cdef void *y_memory = gate.admit_like(y, "y", x_view, WRITE).buf
    d.N, d.C = x_view.shape[0], x_view.shape[x_view.ndim - 1] if x_view.ndim > 1 else 1
    d.M = count_of(x_view) // max(d.N * d.C, 1)
    d.p, d.seed, d.counter, d.per_channel = p, seed, counter, per_channel
    gate.prepare(&run, threads, cvl_dropout_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_dropout_apply(code, &d, y_memory, x_view.buf, &run)
    check(status)
