# The activations other than ReLU as Python functions.

ctypedef cvl_status (*unary_parameter_function)(
    char, double, Py_ssize_t, void *, const void *, const cvl_exec *) noexcept nogil
ctypedef cvl_status (*binary_parameter_function)(
    char, double, Py_ssize_t, void *, const void *, const void *,
    const cvl_exec *) noexcept nogil


cdef int unary_parameter_map(
        unary_parameter_function function, double parameter, y, x, int threads) except -1:
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef void *y_memory = gate.admit_like(y, "y", x_view, WRITE).buf
    gate.prepare(&run, threads)
    cdef char code = code_of(x_view)
    cdef Py_ssize_t n = count_of(x_view)
    with nogil:
        status = function(code, parameter, n, y_memory, x_view.buf, &run)
    return check(status)


cdef int binary_parameter_map(
        binary_parameter_function function, double parameter, dx, dy, y, int threads) except -1:
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *y_view = gate.admit(y, "y", FLOAT, ANY_RANK, READ)
    cdef void *dy_memory = gate.admit_like(dy, "dy", y_view, READ).buf
    cdef void *dx_memory = gate.admit_like(dx, "dx", y_view, WRITE).buf
    gate.prepare(&run, threads)
    cdef char code = code_of(y_view)
    cdef Py_ssize_t n = count_of(y_view)
    with nogil:
        status = function(code, parameter, n, dx_memory, dy_memory, y_view.buf, &run)
    return check(status)


def leaky_relu_forward(y, x, double slope, int threads):
    """y = x where x > 0, else slope x."""
    unary_parameter_map(cvl_leaky_relu_forward, slope, y, x, threads)


def leaky_relu_backward(dx, dy, y, double slope, int threads):
    """dx from dy and y."""
    binary_parameter_map(cvl_leaky_relu_backward, slope, dx, dy, y, threads)


def relu6_forward(y, x, int threads):
    """y = min(max(x, 0), 6)."""
    unary_map(cvl_relu6_forward, y, x, threads)


def relu6_backward(dx, dy, y, int threads):
    """dx from dy and y."""
    binary_map(cvl_relu6_backward, dx, "dx", dy, "dy", y, "y", threads)


def sigmoid_forward(y, x, int threads):
    """y = 1 / (1 + exp(-x))."""
    unary_map(cvl_sigmoid_forward, y, x, threads)


def sigmoid_backward(dx, dy, y, int threads):
    """dx from dy and y."""
    binary_map(cvl_sigmoid_backward, dx, "dx", dy, "dy", y, "y", threads)


def tanh_forward(y, x, int threads):
    """y = tanh(x)."""
    unary_map(cvl_tanh_forward, y, x, threads)


def tanh_backward(dx, dy, y, int threads):
    """dx from dy and y."""
    binary_map(cvl_tanh_backward, dx, "dx", dy, "dy", y, "y", threads)


def elu_forward(y, x, double alpha, int threads):
    """y = x where x > 0, else alpha (exp(x) - 1)."""
    unary_parameter_map(cvl_elu_forward, alpha, y, x, threads)


def elu_backward(dx, dy, y, double alpha, int threads):
    """dx from dy and y."""
    binary_parameter_map(cvl_elu_backward, alpha, dx, dy, y, threads)


def gelu_forward(y, x, int threads):
    """y = x Φ(x)."""
    unary_map(cvl_gelu_forward, y, x, threads)


def gelu_backward(dx, dy, x, int threads):
    """dx from dy and x."""
    binary_map(cvl_gelu_backward, dx, "dx", dy, "dy", x, "x", threads)


def gelu_tanh_forward(y, x, int threads):
    """y = x (1 + tanh(v)) / 2, close to gelu."""
    unary_map(cvl_gelu_tanh_forward, y, x, threads)


def gelu_tanh_backward(dx, dy, x, int threads):
    """dx from dy and x."""
    binary_map(cvl_gelu_tanh_backward, dx, "dx", dy, "dy", x, "x", threads)


def silu_forward(y, x, int threads):
    """y = x sigmoid(x)."""
    unary_map(cvl_silu_forward, y, x, threads)


def silu_backward(dx, dy, x, int threads):
    """dx from dy and x."""
    binary_map(cvl_silu_backward, dx, "dx", dy, "dy", x, "x", threads)


def hard_swish_forward(y, x, int threads):
    """y = x relu6(x + 3) / 6."""
    unary_map(cvl_hard_swish_forward, y, x, threads)


def hard_swish_backward(dx, dy, x, int threads):
    """dx from dy and x."""
    binary_map(cvl_hard_swish_backward, dx, "dx", dy, "dy", x, "x", threads)


def softplus_forward(y, x, int threads):
    """y = log(1 + exp(x))."""
    unary_map(cvl_softplus_forward, y, x, threads)


def softplus_backward(dx, dy, x, int threads):
    """dx from dy and x."""
    binary_map(cvl_softplus_backward, dx, "dx", dy, "dy", x, "x", threads)
