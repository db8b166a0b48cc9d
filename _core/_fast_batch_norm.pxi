# The fast path of convlet.ops.batch_norm and its gradients, as _fast_linear.pxi has it. Arrays as
# large as the caches push the interpreter out of them: the checks and conversions of the slow path,
# which take 5 us where they are repeated, take 25 to 40 between two such calls.

cdef bint describe_plain_batch_norm(
        cvl_batch_norm *d, const Py_buffer *x, eps, activation) noexcept:
    """Read the sizes of x (..., C) and the options; return whether they are valid."""
    d[0] = CVL_BATCH_NORM_INIT
    if x.ndim < 2 or x.shape[x.ndim - 1] < 1 or type(eps) is not float:
        return False
    d.C = x.shape[x.ndim - 1]
    d.M = count_of(x) // d.C
    d.eps = eps
    if activation is not None:
        if type(activation) is not str or activation != "relu":
            return False
        d.activation = CVL_ACTIVATION_RELU
    return 0 <= d.eps <= DBL_MAX


cdef double *prepare_statistics(
        Gate gate, cvl_exec *run, int threads, size_t scratch, Py_ssize_t count) except NULL:
    """Prepare a run with `scratch` bytes; return room for twice `count` numbers behind them."""
    scratch = (scratch + sizeof(double) - 1) // sizeof(double) * sizeof(double)
    gate.prepare(run, threads, scratch + 2 * count * sizeof(double))
    return <double *>(<char *>run.workspace + scratch)


cdef void write_statistic(Block block, char code, const double *exact, Py_ssize_t count) noexcept:
    """Write `count` numbers into a block of that type."""
    cdef Py_ssize_t i
    for i in range(count):
        if code == FLOAT32:
            (<float *>block.chunk.memory)[i] = <float>exact[i]
        else:
            (<double *>block.chunk.memory)[i] = exact[i]


cdef bint take_statistic(
        Gate gate, double *exact, array, int rank, const Py_ssize_t *shape) noexcept:
    """Read `array`, if it is plain and of that shape; return whether it is."""
    cdef Py_ssize_t i
    cdef Py_buffer *view = gate.take(array, FLOAT, rank)
    if not view:
        return False
    for i in range(rank):
        if view.shape[i] != shape[i]:
            return False
    for i in range(count_of(view)):
        exact[i] = (<float *>view.buf)[i] if view.itemsize == 4 else (<double *>view.buf)[i]
    return True


def batch_norm(x, gamma, beta, residual, eps, activation, get_threads):
    """(y, mean, var), of the type of x. None if the arrays are not plain, or do not match."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *residual_memory = NULL
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_batch_norm(&d, x_view, eps, activation) or d.M < 1:
        return None
    cdef char code = code_of(x_view)
    cdef void *gamma_memory = take_channels(gate, gamma, code, d.C)
    cdef void *beta_memory = take_channels(gate, beta, code, d.C)
    if not gamma_memory or not beta_memory:
        return None
    if residual is not None:
        residual_memory = take_like(gate, residual, x_view)
        if not residual_memory:
            return None
    cdef int threads = get_threads()
    cdef double *exact = prepare_statistics(
        gate, &run, threads, cvl_batch_norm_forward_workspace_size(code, &d, threads), d.C)
    cdef Block y = new_block(count_of(x_view), code)
    cdef Block mean = new_block(d.C, code)
    cdef Block var = new_block(d.C, code)
    cdef void *y_memory = y.chunk.memory
    with nogil:
        status = cvl_batch_norm_forward(
            code, &d, y_memory, exact, exact + d.C, x_view.buf, gamma_memory, beta_memory,
            residual_memory, &run)
    check(status)
    write_statistic(mean, code, exact, d.C)
    write_statistic(var, code, exact + d.C, d.C)
    channels = (d.C,)
    return (
        array_over(y, x.shape, code),
        array_over(mean, channels, code),
        array_over(var, channels, code),
    )


def batch_norm_by_statistics(
        x, gamma, beta, mean, var, residual, eps, activation, get_threads):
    """y by given mean and var. None as in `batch_norm`."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *residual_memory = NULL
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_batch_norm(&d, x_view, eps, activation):
        return None
    cdef char code = code_of(x_view)
    cdef void *gamma_memory = take_channels(gate, gamma, code, d.C)
    cdef void *beta_memory = take_channels(gate, beta, code, d.C)
    if not gamma_memory or not beta_memory:
        return None
    if residual is not None:
        residual_memory = take_like(gate, residual, x_view)
        if not residual_memory:
            return None
    cdef int threads = get_threads()
    cdef double *exact = prepare_statistics(
        gate, &run, threads, cvl_batch_norm_inference_workspace_size(code, &d, threads), d.C)
    if not (take_statistic(gate, exact, mean, 1, &d.C)
            and take_statistic(gate, exact + d.C, var, 1, &d.C)):
        return None
    cdef Block y = new_block(count_of(x_view), code)
    cdef void *y_memory = y.chunk.memory
    with nogil:
        status = cvl_batch_norm_inference(
            code, &d, y_memory, x_view.buf, gamma_memory, beta_memory, exact, exact + d.C,
            residual_memory, &run)
    check(status)
    return array_over(y, x.shape, code)


def batch_norm_gradients(
        dy, x, gamma, mean, var, eps, beta, y, activation, bint residual, bint frozen,
        get_threads):
    """(dx, dgamma, dbeta) and dresidual if there is a residual. None as in `batch_norm`."""
    cdef cvl_batch_norm d
    cdef cvl_exec run
    cdef cvl_status status
    cdef void *y_memory = NULL
    cdef void *beta_memory = NULL
    cdef Block dresidual = None
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.take(x, FLOAT, ANY_RANK)
    if not x_view or not describe_plain_batch_norm(&d, x_view, eps, activation):
        return None
    d.frozen = frozen
    cdef char code = code_of(x_view)
    cdef void *dy_memory = take_like(gate, dy, x_view)
    cdef void *gamma_memory = take_channels(gate, gamma, code, d.C)
    if not dy_memory or not gamma_memory:
        return None
    if beta is not None:
        beta_memory = take_channels(gate, beta, code, d.C)
        if not beta_memory:
            return None
    if y is not None:
        y_memory = take_like(gate, y, x_view)
        if not y_memory:
            return None
    elif activation is not None and (residual or not beta_memory):
        return None
    cdef int threads = get_threads()
    cdef double *exact = prepare_statistics(
        gate, &run, threads, cvl_batch_norm_backward_workspace_size(code, &d, threads), d.C)
    if not (take_statistic(gate, exact, mean, 1, &d.C)
            and take_statistic(gate, exact + d.C, var, 1, &d.C)):
        return None
    cdef Block dx = new_block(count_of(x_view), code)
    cdef Block dgamma = new_block(d.C, code)
    cdef Block dbeta = new_block(d.C, code)
    if residual:
        dresidual = new_block(count_of(x_view), code)
    cdef void *dx_memory = dx.chunk.memory
    cdef void *dgamma_memory = dgamma.chunk.memory
    cdef void *dbeta_memory = dbeta.chunk.memory
    cdef void *dresidual_memory = dresidual.chunk.memory if residual else NULL
    with nogil:
        status = cvl_batch_norm_backward(
            code, &d, dx_memory, dgamma_memory, dbeta_memory, dresidual_memory, dy_memory,
            x_view.buf, y_memory, gamma_memory, beta_memory, exact, exact + d.C, &run)
    check(status)
    shape, channels = x.shape, (d.C,)
    gradients = (
        array_over(dx, shape, code),
        array_over(dgamma, channels, code),
        array_over(dbeta, channels, code),
    )
    return (*gradients, array_over(dresidual, shape, code)) if residual else gradients
