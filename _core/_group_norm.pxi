# Group norm, and with it instance and layer norm: x is (N, M, C), mean and var (N, groups).

cdef cvl_group_norm describe_group_norm(
        const Py_buffer *x, const Py_buffer *mean, double eps) noexcept:
    cdef cvl_group_norm d = CVL_GROUP_NORM_INIT
    d.N = x.shape[0]
    d.M = x.shape[1]
    d.C = x.shape[2]
    d.groups = mean.shape[1]
    d.eps = eps
    return d


def group_norm_forward(y, mean, var, x, gamma, beta, double eps, int threads):
    """y, mean and var from x; gamma and beta may be None."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 3, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *mean_view = gate.admit(mean, "mean", FLOAT64, 2, WRITE)
    cdef cvl_group_norm d = describe_group_norm(x_view, mean_view, eps)
    gate.admit_shape(mean, "mean", FLOAT64, WRITE, 2, d.N, d.groups)
    cdef void *var_memory = gate.admit_like(var, "var", mean_view, WRITE).buf
    cdef void *y_memory = gate.admit_like(y, "y", x_view, WRITE).buf
    cdef void *gamma_memory = gate.optional_vector(gamma, "gamma", code, READ, d.C)
    cdef void *beta_memory = gate.optional_vector(beta, "beta", code, READ, d.C)
    gate.prepare(&run, threads, cvl_group_norm_forward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_group_norm_forward(
            code, &d, y_memory, <double *>mean_view.buf, <double *>var_memory, x_view.buf,
            gamma_memory, beta_memory, &run)
    check(status)


def group_norm_backward(dx, dgamma, dbeta, dy, x, gamma, mean, var, double eps, int threads):
    """The gradients from dy; dx and gamma may be None."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, 3, READ)
    cdef char code = code_of(x_view)
    cdef Py_buffer *mean_view = gate.admit(mean, "mean", FLOAT64, 2, READ)
    cdef cvl_group_norm d = describe_group_norm(x_view, mean_view, eps)
    gate.admit_shape(mean, "mean", FLOAT64, READ, 2, d.N, d.groups)
    cdef void *var_memory = gate.admit_like(var, "var", mean_view, READ).buf
    cdef void *dx_memory = gate.optional_like(dx, "dx", x_view, WRITE)
    cdef void *dgamma_memory = gate.admit_shape(dgamma, "dgamma", code, WRITE, 1, d.C).buf
    cdef void *dbeta_memory = gate.admit_shape(dbeta, "dbeta", code, WRITE, 1, d.C).buf
    cdef void *dy_memory = gate.admit_like(dy, "dy", x_view, READ).buf
    cdef void *gamma_memory = gate.optional_vector(gamma, "gamma", code, READ, d.C)
    gate.prepare(&run, threads, cvl_group_norm_backward_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_group_norm_backward(
            code, &d, dx_memory, dgamma_memory, dbeta_memory, dy_memory, x_view.buf, gamma_memory,
            <const double *>mean_view.buf, <const double *>var_memory, &run)
    check(status)
