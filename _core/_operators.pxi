# The operators as Python functions: outputs first, then inputs, as in convlet.h.

# ---------------------------------------------------------------- convolution
# geometry is (KH, KW, SH, SW, DH, DW, PT, PB, PL, PR, groups, algorithm, activation, slope).

cdef int read_shape(Py_ssize_t *shape, tuple x_shape) except -1:
    shape[0], shape[1], shape[2], shape[3] = x_shape
    return 0


cdef int describe_conv2d(
        cvl_conv2d *d, tuple geometry, const Py_ssize_t *x_shape, Py_ssize_t OC,
        Py_ssize_t *OH, Py_ssize_t *OW) except -1:
    cdef int algorithm, activation
    d[0] = CVL_CONV2D_INIT
    d.N, d.H, d.W, d.C, d.OC = x_shape[0], x_shape[1], x_shape[2], x_shape[3], OC
    (d.KH, d.KW, d.SH, d.SW, d.DH, d.DW, d.PT, d.PB, d.PL, d.PR, d.groups, algorithm, activation,
     d.slope) = geometry
    d.algorithm = <cvl_conv2d_algorithm>algorithm
    d.activation = <cvl_activation>activation
    return check(cvl_conv2d_output_shape(d, OH, OW))


def conv2d_forward(y, x, w, b, tuple geometry, int threads):
    """y = act(conv(x, w) + b); b may be None."""
    cdef cvl_conv2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *w_view = gate.admit(w, "w", code, 4, READ)
    describe_conv2d(&d, geometry, x_view.shape, w_view.shape[3], &OH, &OW)
    check_filters(w_view, &d)
    cdef Py_buffer *y_view = gate.admit_shape(y, "y", code, WRITE, 4, d.N, OH, OW, d.OC)
    cdef void *b_memory = gate.optional_vector(b, "b", code, READ, d.OC)
    gate.prepare(&run, threads, cvl_conv2d_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv2d_forward(code, &d, y_view.buf, x_view.buf, w_view.buf, b_memory, &run)
    check(status)


cdef int check_filters(const Py_buffer *w, const cvl_conv2d *d) except -1:
    if (w.shape[0] != d.KH or w.shape[1] != d.KW or w.shape[2] != d.C // d.groups
            or w.shape[3] != d.OC):
        raise ValueError(
            f"w must have the shape {(d.KH, d.KW, d.C // d.groups, d.OC)}, got {shape_of(w)}"
        )
    return 0


def conv2d_backward_data(dx, dy, w, tuple geometry, int threads):
    """dx from dy."""
    cdef cvl_conv2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    cdef Py_buffer *w_view = gate.admit(w, "w", code, 4, READ)
    describe_conv2d(&d, geometry, dx_view.shape, w_view.shape[3], &OH, &OW)
    check_filters(w_view, &d)
    cdef Py_buffer *dy_view = gate.admit_shape(dy, "dy", code, READ, 4, d.N, OH, OW, d.OC)
    gate.prepare(&run, threads, cvl_conv2d_backward_data_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv2d_backward_data(
            code, &d, dx_view.buf, dy_view.buf, w_view.buf, &run)
    check(status)


def conv2d_backward_weights(dw, db, dy, x, tuple geometry, int threads):
    """dw and db from dy; either may be None."""
    cdef cvl_conv2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, 4, READ)
    describe_conv2d(&d, geometry, x_view.shape, dy_view.shape[3], &OH, &OW)
    check_pixels(dy_view, "dy", d.N, OH, OW)
    cdef void *dw_memory = NULL
    if dw is not None:
        dw_memory = gate.admit_shape(
            dw, "dw", code, WRITE, 4, d.KH, d.KW, d.C // d.groups, d.OC).buf
    cdef void *db_memory = gate.optional_vector(db, "db", code, WRITE, d.OC)
    gate.prepare(&run, threads, cvl_conv2d_backward_weights_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_conv2d_backward_weights(
            code, &d, dw_memory, db_memory, dy_view.buf, x_view.buf, &run)
    check(status)


def conv2d_choose(
        str direction, str code, tuple x_shape, Py_ssize_t OC, tuple geometry):
    """The number of the algorithm that a pass takes, or None where it has no path; and why."""
    cdef cvl_conv2d d
    cdef Py_ssize_t OH, OW
    cdef Py_ssize_t[4] shape
    cdef cvl_conv2d_pass which = CVL_CONV2D_FORWARD
    cdef cvl_conv2d_algorithm chosen
    cdef const char *reason = NULL
    if direction == "backward_data":
        which = CVL_CONV2D_BACKWARD_DATA
    elif direction == "backward_weights":
        which = CVL_CONV2D_BACKWARD_WEIGHTS
    read_shape(shape, x_shape)
    describe_conv2d(&d, geometry, shape, OC, &OH, &OW)
    cdef cvl_status status = cvl_conv2d_choose(
        FLOAT32 if code == "f" else FLOAT64, &d, which, &chosen, &reason)
    if status == CVL_ERR_ALGORITHM:
        return None, (<bytes>reason).decode()
    check(status)
    return <int>chosen, (<bytes>reason).decode()


def conv2d_workspace(
        str direction, str code, tuple x_shape, Py_ssize_t OC, tuple geometry, int threads):
    """Bytes of scratch that forward, backward_data or backward_weights takes."""
    cdef cvl_conv2d d
    cdef Py_ssize_t OH, OW
    cdef Py_ssize_t[4] shape
    cdef char type_code = FLOAT32 if code == "f" else FLOAT64
    read_shape(shape, x_shape)
    describe_conv2d(&d, geometry, shape, OC, &OH, &OW)
    if direction == "forward":
        return cvl_conv2d_forward_workspace_size(type_code, &d, threads)
    if direction == "backward_data":
        return cvl_conv2d_backward_data_workspace_size(type_code, &d, threads)
    return cvl_conv2d_backward_weights_workspace_size(type_code, &d, threads)


# ---------------------------------------------------------------- linear
# x is (..., IN), y is (..., OUT) with as many rows.

cdef int describe_linear(
        cvl_linear *d, const Py_buffer *inputs, const Py_buffer *outputs) except -1:
    d[0] = CVL_LINEAR_INIT
    d.IN, d.OUT = channels_of(inputs), channels_of(outputs)
    d.M = count_of(inputs) // d.IN
    if count_of(outputs) // d.OUT != d.M:
        raise ValueError(
            f"expected as many rows on either side, got {shape_of(inputs)} and {shape_of(outputs)}"
        )
    return 0


def linear_forward(y, x, w, b, int threads):
    """y = x w + b; b may be None."""
    cdef cvl_linear d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *y_view = gate.admit(y, "y", code, ANY_RANK, WRITE)
    describe_linear(&d, x_view, y_view)
    cdef Py_buffer *w_view = gate.admit_shape(w, "w", code, READ, 2, d.IN, d.OUT)
    cdef void *b_memory = gate.optional_vector(b, "b", code, READ, d.OUT)
    gate.prepare(&run, threads, cvl_linear_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_linear_forward(code, &d, y_view.buf, x_view.buf, w_view.buf, b_memory, &run)
    check(status)


def linear_backward_data(dx, dy, w, int threads):
    """dx = dy wᵀ."""
    cdef cvl_linear d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, ANY_RANK, WRITE)
    cdef char code = code_of(dx_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, ANY_RANK, READ)
    describe_linear(&d, dx_view, dy_view)
    cdef Py_buffer *w_view = gate.admit_shape(w, "w", code, READ, 2, d.IN, d.OUT)
    gate.prepare(&run, threads, cvl_linear_backward_data_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_linear_backward_data(code, &d, dx_view.buf, dy_view.buf, w_view.buf, &run)
    check(status)


def linear_backward_weights(dw, db, dy, x, int threads):
    """dw = xᵀ dy and db = the column sums of dy; either may be None."""
    cdef cvl_linear d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", code, ANY_RANK, READ)
    describe_linear(&d, x_view, dy_view)
    cdef void *dw_memory = NULL
    if dw is not None:
        dw_memory = gate.admit_shape(dw, "dw", code, WRITE, 2, d.IN, d.OUT).buf
    cdef void *db_memory = gate.optional_vector(db, "db", code, WRITE, d.OUT)
    gate.prepare(&run, threads, cvl_linear_backward_weights_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_linear_backward_weights(
            code, &d, dw_memory, db_memory, dy_view.buf, x_view.buf, &run)
    check(status)


# ---------------------------------------------------------------- elementwise, into arrays given

cdef int binary_into(
        binary_function function, out, str out_name, a, str a_name, b, str b_name,
        int threads) except -1:
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *a_view = gate.admit(a, a_name, FLOAT, ANY_RANK, READ)
    cdef void *b_memory = gate.admit_like(b, b_name, a_view, READ).buf
    cdef void *out_memory = gate.admit_like(out, out_name, a_view, WRITE).buf
    gate.prepare(&run, threads)
    cdef char code = code_of(a_view)
    cdef Py_ssize_t n = count_of(a_view)
    with nogil:
        status = function(code, n, out_memory, a_view.buf, b_memory, &run)
    return check(status)


def relu_backward_into(dx, dy, y, int threads):
    """dx from dy and y = relu(x)."""
    binary_into(cvl_relu_backward, dx, "dx", dy, "dy", y, "y", threads)


def add_into(y, a, b, int threads):
    """y = a + b; y may be a or b."""
    binary_into(cvl_add, y, "y", a, "a", b, "b", threads)


def add_relu_into(y, a, b, int threads):
    """y = max(a + b, 0); y may be a or b."""
    binary_into(cvl_add_relu, y, "y", a, "a", b, "b", threads)


# ---------------------------------------------------------------- pooling
# geometry is (KH, KW, SH, SW, DH, DW, PT, PB, PL, PR, ceil_mode, count_include_pad).

cdef int describe_pool2d(
        cvl_pool2d *d, tuple geometry, const Py_ssize_t *x_shape, Py_ssize_t *OH,
        Py_ssize_t *OW) except -1:
    d[0] = CVL_POOL2D_INIT
    d.N, d.H, d.W, d.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    (d.KH, d.KW, d.SH, d.SW, d.DH, d.DW, d.PT, d.PB, d.PL, d.PR, d.ceil_mode,
     d.count_include_pad) = geometry
    return check(cvl_pool2d_output_shape(d, OH, OW))


ctypedef cvl_status (*pool2d_map_function)(
    char, const cvl_pool2d *, void *, const void *, const cvl_exec *) noexcept nogil


cdef int pool2d_forward(
        pool2d_map_function function, y, x, tuple geometry, int threads) except -1:
    cdef cvl_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_pool2d(&d, geometry, x_view.shape, &OH, &OW)
    cdef void *y_memory = gate.admit_shape(y, "y", code, WRITE, 4, d.N, OH, OW, d.C).buf
    gate.prepare(&run, threads)
    with nogil:
        status = function(code, &d, y_memory, x_view.buf, &run)
    return check(status)


def max_pool2d_forward(y, x, tuple geometry, int threads):
    """y = the largest value of each window of x."""
    pool2d_forward(cvl_max_pool2d_forward, y, x, geometry, threads)


def avg_pool2d_forward(y, x, tuple geometry, int threads):
    """y = the mean of each window of x."""
    pool2d_forward(cvl_avg_pool2d_forward, y, x, geometry, threads)


def max_pool2d_backward(dx, dy, x, tuple geometry, int threads):
    """dx from dy and x."""
    cdef cvl_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_pool2d(&d, geometry, x_view.shape, &OH, &OW)
    cdef void *dx_memory = gate.admit_like(dx, "dx", x_view, WRITE).buf
    cdef void *dy_memory = gate.admit_shape(dy, "dy", code, READ, 4, d.N, OH, OW, d.C).buf
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_max_pool2d_backward(code, &d, dx_memory, dy_memory, x_view.buf, &run)
    check(status)


def max_pool2d_forward_winners(y, winners, x, tuple geometry, int threads):
    """y = the largest value of each window of x, and its number in the window."""
    cdef cvl_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_pool2d(&d, geometry, x_view.shape, &OH, &OW)
    cdef void *y_memory = gate.admit_shape(y, "y", code, WRITE, 4, d.N, OH, OW, d.C).buf
    cdef void *winners_memory = gate.admit_shape(
        winners, "winners", UINT8, WRITE, 4, d.N, OH, OW, d.C).buf
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_max_pool2d_forward_winners(
            code, &d, y_memory, <uint8_t *>winners_memory, x_view.buf, &run)
    check(status)


def max_pool2d_backward_winners(dx, dy, winners, tuple geometry, int threads):
    """dx from dy and the winners' numbers."""
    cdef cvl_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    describe_pool2d(&d, geometry, dx_view.shape, &OH, &OW)
    cdef void *dy_memory = gate.admit_shape(dy, "dy", code, READ, 4, d.N, OH, OW, d.C).buf
    cdef void *winners_memory = gate.admit_shape(
        winners, "winners", UINT8, READ, 4, d.N, OH, OW, d.C).buf
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_max_pool2d_backward_winners(
            code, &d, dx_view.buf, dy_memory, <uint8_t *>winners_memory, &run)
    check(status)


def avg_pool2d_backward(dx, dy, tuple geometry, int threads):
    """dx from dy."""
    cdef cvl_pool2d d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *dx_view = gate.admit(dx, "dx", FLOAT, 4, WRITE)
    cdef char code = code_of(dx_view)
    describe_pool2d(&d, geometry, dx_view.shape, &OH, &OW)
    cdef void *dy_memory = gate.admit_shape(dy, "dy", code, READ, 4, d.N, OH, OW, d.C).buf
    gate.prepare(&run, threads)
    with nogil:
        status = cvl_avg_pool2d_backward(code, &d, dx_view.buf, dy_memory, &run)
    check(status)
