# The activations as Python functions, by _maps.pxi.

def relu_forward(x, get_threads):
    """y = max(x, 0)."""
    return unary_map(cvl_relu_forward, x, get_threads)


def relu_backward(dy, y, get_threads):
    """dx from dy and y."""
    return binary_map(cvl_relu_backward, dy, y, get_threads)


def leaky_relu_forward(x, double slope, get_threads):
    """y = x where x > 0, else slope x."""
    return unary_parameter_map(cvl_leaky_relu_forward, slope, x, get_threads)


def leaky_relu_backward(dy, y, double slope, get_threads):
    """dx from dy and y."""
    return binary_parameter_map(cvl_leaky_relu_backward, slope, dy, y, get_threads)


def relu6_forward(x, get_threads):
    """y = min(max(x, 0), 6)."""
    return unary_map(cvl_relu6_forward, x, get_threads)


def relu6_backward(dy, y, get_threads):
    """dx from dy and y."""
    return binary_map(cvl_relu6_backward, dy, y, get_threads)


def sigmoid_forward(x, get_threads):
    """y = 1 / (1 + exp(-x))."""
    return unary_map(cvl_sigmoid_forward, x, get_threads)


def sigmoid_backward(dy, y, get_threads):
    """dx from dy and y."""
    return binary_map(cvl_sigmoid_backward, dy, y, get_threads)


def tanh_forward(x, get_threads):
    """y = tanh(x)."""
    return unary_map(cvl_tanh_forward, x, get_threads)


def tanh_backward(dy, y, get_threads):
    """dx from dy and y."""
    return binary_map(cvl_tanh_backward, dy, y, get_threads)


def elu_forward(x, double alpha, get_threads):
    """y = x where x > 0, else alpha (exp(x) - 1)."""
    return unary_parameter_map(cvl_elu_forward, alpha, x, get_threads)


def elu_backward(dy, y, double alpha, get_threads):
    """dx from dy and y."""
    return binary_parameter_map(cvl_elu_backward, alpha, dy, y, get_threads)


def gelu_forward(x, get_threads):
    """y = x Φ(x)."""
    return unary_map(cvl_gelu_forward, x, get_threads)


def gelu_backward(dy, x, get_threads):
    """dx from dy and x."""
    return binary_map(cvl_gelu_backward, dy, x, get_threads)


def gelu_tanh_forward(x, get_threads):
    """y = x (1 + tanh(v)) / 2, close to gelu."""
    return unary_map(cvl_gelu_tanh_forward, x, get_threads)


def gelu_tanh_backward(dy, x, get_threads):
    """dx from dy and x."""
    return binary_map(cvl_gelu_tanh_backward, dy, x, get_threads)


def silu_forward(x, get_threads):
    """y = x sigmoid(x)."""
    return unary_map(cvl_silu_forward, x, get_threads)


def silu_backward(dy, x, get_threads):
    """dx from dy and x."""
    return binary_map(cvl_silu_backward, dy, x, get_threads)


def hard_swish_forward(x, get_threads):
    """y = x relu6(x + 3) / 6."""
    return unary_map(cvl_hard_swish_forward, x, get_threads)


def hard_swish_backward(dy, x, get_threads):
    """dx from dy and x."""
    return binary_map(cvl_hard_swish_backward, dy, x, get_threads)


def softplus_forward(x, get_threads):
    """y = log(1 + exp(x))."""
    return unary_map(cvl_softplus_forward, x, get_threads)


def softplus_backward(dy, x, get_threads):
    """dx from dy and x."""
    return binary_map(cvl_softplus_backward, dy, x, get_threads)
