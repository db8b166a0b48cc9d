# Batch norm: x is (..., C); mean and var are float64.

cdef int describe_batch_norm(
        cvl_batch_norm *d, const Py_buffer *x, double eps, int activation) except -1:
    d[0] = CVL_BATCH_NORM_INIT
    d.C = channels_of(x)
    d.M = count_of(x) // d.C
    d.eps = eps
    d.activation = <cvl_activation>activation
    return 0


def batch_norm_forward(
        y, mean, var, x, gamma, beta, residual, double eps, int activation, int threads):
    """y, mean and var from x; residual may be None."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    describe_batch_norm(&d, x_view, eps, activation)
    cdef void *y_memory = gate.admit_like(y, "y", x_view, WRITE).buf
    cdef void *mean_memory = gate.admit_shape(mean, "mean", FLOAT64, WRITE, 1, d.C).buf
    cdef void *var_memory = gate.admit_shape(var, "var", FLOAT64, WRITE, 1, d.C).buf
    cdef void *gamma_memory = gate.admit_shape(gamma, "gamma", code, READ, 1, d.C).buf
    cdef void *beta_memory = gate.admit_shape(beta, "beta", code, READ, 1, d.C).buf
    cdef void *residual_memory = gate.optional_like(residual, "residual", x_view, READ)
    gate.prepare(&run, threads, cvl_batch_norm_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_batch_norm_forward(
            code, &d, y_memory, <double *>mean_memory, <double *>var_memory, x_view.buf,
            gamma_memory, beta_memory, residual_memory, &run)
    check(status)


def batch_norm_inference(
        y, x, gamma, beta, mean, var, residual, double eps, int activation, int threads):
    """y with given mean and var; residual may be None."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    describe_batch_norm(&d, x_view, eps, activation)
    cdef void *y_memory = gate.admit_like(y, "y", x_view, WRITE).buf
    cdef void *gamma_memory = gate.admit_shape(gamma, "gamma", code, READ, 1, d.C).buf
    cdef void *beta_memory = gate.admit_shape(beta, "beta", code, READ, 1, d.C).buf
    cdef void *mean_memory = gate.admit_shape(mean, "mean", FLOAT64, READ, 1, d.C).buf
    cdef void *var_memory = gate.admit_shape(var, "var", FLOAT64, READ, 1, d.C).buf
    cdef void *residual_memory = gate.optional_like(residual, "residual", x_view, READ)
    gate.prepare(&run, threads, cvl_batch_norm_inference_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_batch_norm_inference(
            code, &d, y_memory, x_view.buf, gamma_memory, beta_memory,
            <const double *>mean_memory, <const double *>var_memory, residual_memory, &run)
    check(status)


def batch_norm_max_pool2d_forward(
        y, winners, statistics, x, gamma, beta, double eps, int activation, bint frozen,
        tuple geometry, int threads):
    """y by batch norm and max pooling; winners may be None.

    Unless frozen, sets `statistics` (2, C), mean and variance.
    """
    cdef cvl_batch_norm d
    cdef cvl_pool2d window
    cdef cvl_exec run
    cdef cvl_status status
    cdef Py_ssize_t OH, OW
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 4, READ)
    cdef char code = code_of(x_view)
    describe_batch_norm(&d, x_view, eps, activation)
    d.frozen = frozen
    describe_pool2d(&window, geometry, x_view.shape, &OH, &OW)
    cdef void *y_memory = gate.admit_shape(y, "y", code, WRITE, 4, window.N, OH, OW, d.C).buf
    cdef void *winners_memory = NULL
    if winners is not None:
        winners_memory = gate.admit_shape(
            winners, "winners", UINT8, WRITE, 4, window.N, OH, OW, d.C).buf
    cdef double *mean = <double *>gate.admit_shape(
        statistics, "statistics", FLOAT64, READ if frozen else WRITE, 2, 2, d.C).buf
    cdef void *gamma_memory = gate.admit_shape(gamma, "gamma", code, READ, 1, d.C).buf
    cdef void *beta_memory = gate.admit_shape(beta, "beta", code, READ, 1, d.C).buf
    gate.prepare(&run, threads, cvl_batch_norm_max_pool2d_forward_workspace_size(
        code, &d, &window, threads))
    with nogil:
        status = cvl_batch_norm_max_pool2d_forward(
            code, &d, &window, y_memory, <uint8_t *>winners_memory, mean, mean + d.C, x_view.buf,
            gamma_memory, beta_memory, &run)
    check(status)


def running_move(
        next_mean, next_var, running_mean, running_var, statistics, double weight, double unbias):
    """Running statistics moved towards `statistics` (2, C), mean and variance.

    Returns whether these are finite; nothing is written where they are not.
    """
    cdef cvl_running d = CVL_RUNNING_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *statistics_view = gate.admit(statistics, "statistics", FLOAT64, 2, READ)
    if statistics_view.shape[0] != 2:
        raise ValueError(f"statistics must be (2, C), got {shape_of(statistics_view)}")
    d.C, d.weight, d.unbias = statistics_view.shape[1], weight, unbias
    cdef Py_buffer *mean_view = gate.admit(next_mean, "next_mean", FLOAT, 1, WRITE)
    cdef char code = code_of(mean_view)
    if mean_view.shape[0] != d.C:
        raise ValueError(f"next_mean must have {d.C} elements, got {mean_view.shape[0]}")
    cdef void *var_memory = gate.admit_shape(next_var, "next_var", code, WRITE, 1, d.C).buf
    cdef void *running_mean_memory = gate.admit_shape(
        running_mean, "running_mean", code, READ, 1, d.C).buf
    cdef void *running_var_memory = gate.admit_shape(
        running_var, "running_var", code, READ, 1, d.C).buf
    cdef const double *memory = <const double *>statistics_view.buf
    gate.prepare(&run, 1)
    with nogil:
        status = cvl_running_move(
            code, &d, mean_view.buf, var_memory, running_mean_memory, running_var_memory, memory,
            memory + d.C, &run)
    if status == CVL_ERR_FINITE:
        return False
    check(status)
    return True


def batch_norm_backward(
        dx, dgamma, dbeta, dresidual, dy, x, y, gamma, beta, mean, var, double eps,
        int activation, bint frozen, int threads):
    """The gradients from dy; dx, dresidual, y and beta may be None."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    describe_batch_norm(&d, x_view, eps, activation)
    d.frozen = frozen
    cdef void *dx_memory = gate.optional_like(dx, "dx", x_view, WRITE)
    cdef void *dgamma_memory = gate.admit_shape(dgamma, "dgamma", code, WRITE, 1, d.C).buf
    cdef void *dbeta_memory = gate.admit_shape(dbeta, "dbeta", code, WRITE, 1, d.C).buf
    cdef void *dresidual_memory = gate.optional_like(dresidual, "dresidual", x_view, WRITE)
    cdef void *dy_memory = gate.admit_like(dy, "dy", x_view, READ).buf
    cdef void *y_memory = gate.optional_like(y, "y", x_view, READ)
    cdef void *gamma_memory = gate.admit_shape(gamma, "gamma", code, READ, 1, d.C).buf
    cdef void *beta_memory = gate.optional_vector(beta, "beta", code, READ, d.C)
    cdef void *mean_memory = gate.admit_shape(mean, "mean", FLOAT64, READ, 1, d.C).buf
    cdef void *var_memory = gate.admit_shape(var, "var", FLOAT64, READ, 1, d.C).buf
    gate.prepare(&run, threads, cvl_batch_norm_backward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_batch_norm_backward(
            code, &d, dx_memory, dgamma_memory, dbeta_memory, dresidual_memory, dy_memory,
            x_view.buf, y_memory, gamma_memory, beta_memory, <const double *>mean_memory,
            <const double *>var_memory, &run)
    check(status)


# A term of the sum of two batch norms is a tuple (x, gamma, beta, statistics, eps, frozen), with
# statistics (2, C) the mean and variance, and beta None for backward; its gradients are a tuple
# (dx, gradients), with dx an array or None, and gradients (2, C) those of gamma and beta.

cdef int admit_term(
        Gate gate, cvl_batch_norm_term *term, str name, tuple arrays, const Py_buffer *y,
        int statistics_flags) except -1:
    cdef Py_ssize_t C = channels_of(y)
    cdef char code = code_of(y)
    x, gamma, beta, statistics, eps, frozen = arrays
    term[0] = CVL_BATCH_NORM_TERM_INIT
    term.eps, term.frozen = eps, frozen
    term.x = gate.admit_like(x, f"x of {name}", y, READ).buf
    term.gamma = gate.admit_shape(gamma, f"gamma of {name}", code, READ, 1, C).buf
    term.beta = gate.optional_vector(beta, f"beta of {name}", code, READ, C)
    if frozen:
        statistics_flags = READ
    term.mean = <double *>gate.admit_shape(
        statistics, f"statistics of {name}", FLOAT64, statistics_flags, 2, 2, C).buf
    term.var = term.mean + C
    return 0


cdef int admit_gradients(
        Gate gate, cvl_batch_norm_term *term, str name, tuple arrays,
        const Py_buffer *dy) except -1:
    cdef Py_ssize_t C = channels_of(dy)
    cdef char code = code_of(dy)
    dx, gradients = arrays
    term.dx = gate.optional_like(dx, f"dx of {name}", dy, WRITE)
    term.dgamma = gate.admit_shape(gradients, f"gradients of {name}", code, WRITE, 2, 2, C).buf
    term.dbeta = <char *>term.dgamma + C * dy.itemsize
    return 0


def batch_norm_sum_forward(y, tuple a, tuple b, int activation, int threads):
    """y = act(norm(a) + norm(b)); sets the statistics of a term that is not frozen."""
    cdef cvl_batch_norm d
    cdef cvl_batch_norm_term first, second
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *y_view = gate.admit(y, "y", FLOAT, ANY_RANK, WRITE)
    cdef char code = code_of(y_view)
    describe_batch_norm(&d, y_view, 0, activation)
    admit_term(gate, &first, "a", a, y_view, WRITE)
    admit_term(gate, &second, "b", b, y_view, WRITE)
    gate.prepare(&run, threads, cvl_batch_norm_sum_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_batch_norm_sum_forward(code, &d, y_view.buf, &first, &second, &run)
    check(status)


def batch_norm_sum_backward(
        tuple a_gradients, tuple b_gradients, dy, y, tuple a, tuple b, int activation,
        int threads):
    """The gradients of both terms from dy; y may be None without activation."""
    cdef cvl_batch_norm d
    cdef cvl_batch_norm_term first, second
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *dy_view = gate.admit(dy, "dy", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(dy_view)
    describe_batch_norm(&d, dy_view, 0, activation)
    admit_term(gate, &first, "a", a, dy_view, READ)
    admit_term(gate, &second, "b", b, dy_view, READ)
    admit_gradients(gate, &first, "a", a_gradients, dy_view)
    admit_gradients(gate, &second, "b", b_gradients, dy_view)
    cdef void *y_memory = gate.optional_like(y, "y", dy_view, READ)
    gate.prepare(&run, threads, cvl_batch_norm_sum_backward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_batch_norm_sum_backward(
            code, &d, &first, &second, dy_view.buf, y_memory, &run)
    check(status)
