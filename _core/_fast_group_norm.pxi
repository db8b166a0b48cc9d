# The fast paths of convlet.ops.layer_norm over the last axis, of group and instance norm, and of
# their gradients, as _fast_batch_norm.pxi has it.

cdef bint describe_plain_layer_norm(cvl_group_norm *d, const Py_buffer *x, eps) noexcept:
    """Read the sizes of x (..., C), not empty, and eps; return whether they are valid."""
    d[0] = CVL_GROUP_NORM_INIT
    if count_of(x) < 1 or type(eps) is not float:
        return False
    d.C = x.shape[x.ndim - 1]
    d.N = count_of(x) // d.C
    d.M = d.groups = 1
    d.eps = eps
    return 0 <= d.eps <= DBL_MAX


cdef bint describe_plain_group_norm(
        cvl_group_norm *d, const Py_buffer *x, groups, eps) noexcept:
    """As above, of x (N, ..., C) and its groups."""
    if x.ndim < 2 or type(groups) is not int or not describe_plain_layer_norm(d, x, eps):
        return False
    if not 1 <= groups <= d.C or d.C % groups != 0:
        return False
    d.M = d.N // x.shape[0]
    d.N = x.shape[0]
    d.groups = groups
    return True


cdef bint take_parameter(
        Gate gate, void **memory, array, char code, Py_ssize_t C) noexcept:
    """Take `array`, which may be None; return whether it is plain and (C,)."""
    memory[0] = NULL
    if array is not None:
        memory[0] = take_channels(gate, array, code, C)
    return array is None or memory[0] != NULL


cdef object normalised(
        Gate gate, const Py_buffer *x, const cvl_group_norm *d, gamma, beta, tuple shape,
        tuple statistics, get_threads):
    """(y, mean, var) of these shapes, or None."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *gamma_memory
    cdef void *beta_memory
    cdef char code = code_of(x)
    cdef Py_ssize_t count = d.N * d.groups
    if not (take_parameter(gate, &gamma_memory, gamma, code, d.C)
            and take_parameter(gate, &beta_memory, beta, code, d.C)):
        return None
    cdef int threads = get_threads()
    cdef double *exact = prepare_statistics(
        gate, &run, threads, cvl_group_norm_forward_workspace_size(code, d, threads), count)
    cdef Block y = new_block(count_of(x), code)
    cdef Block mean = new_block(count, code)
    cdef Block var = new_block(count, code)
    cdef void *y_memory = y.chunk.memory
    with nogil:
        status = cvl_group_norm_forward(
            code, d, y_memory, exact, exact + count, x.buf, gamma_memory, beta_memory, &run)
    check(status)
    write_statistic(mean, code, exact, count)
    write_statistic(var, code, exact + count, count)
    return (
        array_over(y, shape, code),
        array_over(mean, statistics, code),
        array_over(var, statistics, code),
    )


cdef object normalised_gradients(
        Gate gate, const Py_buffer *x, const cvl_group_norm *d, dy, gamma, mean, var, int rank,
        const Py_ssize_t *statistics, tuple shape, get_threads):
    """(dx, dgamma, dbeta) from mean and var of `rank` axes, or None."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *gamma_memory
    cdef char code = code_of(x)
    cdef Py_ssize_t count = d.N * d.groups
    cdef void *dy_memory = take_like(gate, dy, x)
    if not dy_memory or not take_parameter(gate, &gamma_memory, gamma, code, d.C):
        return None
    cdef int threads = get_threads()
    cdef double *exact = prepare_statistics(
        gate, &run, threads, cvl_group_norm_backward_workspace_size(code, d, threads), count)
    if not (take_statistic(gate, exact, mean, rank, statistics)
            and take_statistic(gate, exact + count, var, rank, statistics)):
        return None
    cdef Block dx = new_block(count_of(x), code)
    cdef Block dgamma = new_block(d.C, code)
    cdef Block dbeta = new_block(d.C, code)
    cdef void *dx_memory = dx.chunk.memory
    cdef void *dgamma_memory = dgamma.chunk.memory
    cdef void *dbeta_memory = dbeta.chunk.memory
    with nogil:
        status = cvl_group_norm_backward(
            code, d, dx_memory, dgamma_memory, dbeta_memory, dy_memory, x.buf, gamma_memory, exact,
            exact + count, &run)
    check(status)
    channels = (d.C,)
    return (
        array_over(dx, shape, code),
        array_over(dgamma, channels, code),
        array_over(dbeta, channels, code),
    )


def layer_norm(x, gamma, beta, eps, get_threads):
    """(y, mean, var) of the last axis, of the type of x. None as in `batch_norm`."""
    cdef cvl_group_norm d
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_layer_norm(&d, x_view, eps):
        return None
    return normalised(gate, x_view, &d, gamma, beta, x.shape, x.shape[:-1], get_threads)


def layer_norm_gradients(dy, x, gamma, mean, var, eps, get_threads):
    """(dx, dgamma, dbeta) of the last axis of two or more. None as in `batch_norm`."""
    cdef cvl_group_norm d
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or x_view.ndim < 2 or not describe_plain_layer_norm(&d, x_view, eps):
        return None
    return normalised_gradients(
        gate, x_view, &d, dy, gamma, mean, var, x_view.ndim - 1, x_view.shape, x.shape, get_threads)


def group_norm(x, gamma, beta, groups, eps, get_threads):
    """(y, mean, var), of the type of x. None as in `batch_norm`."""
    cdef cvl_group_norm d
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_group_norm(&d, x_view, groups, eps):
        return None
    return normalised(
        gate, x_view, &d, gamma, beta, x.shape, (d.N, d.groups), get_threads)


def group_norm_gradients(dy, x, gamma, mean, var, groups, eps, get_threads):
    """(dx, dgamma, dbeta). None as in `batch_norm`."""
    cdef cvl_group_norm d
    cdef Py_ssize_t[2] statistics
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_group_norm(&d, x_view, groups, eps):
        return None
    statistics = [d.N, d.groups]
    return normalised_gradients(
        gate, x_view, &d, dy, gamma, mean, var, 2, statistics, x.shape, get_threads)
