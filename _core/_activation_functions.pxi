# The functions of convlet_activations.h, and behind each pair of types the function that _core.pxd
# offers.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_leaky_relu_forward_f32(
        double slope, Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_leaky_relu_forward_f64(
        double slope, Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_leaky_relu_backward_f32(
        double slope, Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_leaky_relu_backward_f64(
        double slope, Py_ssize_t n, double *dx, const double *dy, const double *y,
        const cvl_exec *run)
    cvl_status cvl_relu6_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_relu6_forward_f64(Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_relu6_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_relu6_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_sigmoid_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_sigmoid_forward_f64(
        Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_sigmoid_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_sigmoid_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_tanh_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_tanh_forward_f64(Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_tanh_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_tanh_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_elu_forward_f32(
        double alpha, Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_elu_forward_f64(
        double alpha, Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_elu_backward_f32(
        double alpha, Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_elu_backward_f64(
        double alpha, Py_ssize_t n, double *dx, const double *dy, const double *y,
        const cvl_exec *run)
    cvl_status cvl_gelu_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_gelu_forward_f64(Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_gelu_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_gelu_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *x, const cvl_exec *run)
    cvl_status cvl_gelu_tanh_forward_f32(
        Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_gelu_tanh_forward_f64(
        Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_gelu_tanh_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_gelu_tanh_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *x, const cvl_exec *run)
    cvl_status cvl_silu_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_silu_forward_f64(Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_silu_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_silu_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *x, const cvl_exec *run)
    cvl_status cvl_hard_swish_forward_f32(
        Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_hard_swish_forward_f64(
        Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_hard_swish_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_hard_swish_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *x, const cvl_exec *run)
    cvl_status cvl_softplus_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_softplus_forward_f64(
        Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_softplus_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_softplus_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *x, const cvl_exec *run)


cdef cvl_status cvl_leaky_relu_forward(
        char dtype, double slope, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_leaky_relu_forward_f32(slope, n, <float *>y, <const float *>x, run)
    return cvl_leaky_relu_forward_f64(slope, n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_leaky_relu_backward(
        char dtype, double slope, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_leaky_relu_backward_f32(
            slope, n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_leaky_relu_backward_f64(
        slope, n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_relu6_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_relu6_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_relu6_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_relu6_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_relu6_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_relu6_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_sigmoid_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_sigmoid_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_sigmoid_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_sigmoid_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_sigmoid_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_sigmoid_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_tanh_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_tanh_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_tanh_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_tanh_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_tanh_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_tanh_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_elu_forward(
        char dtype, double alpha, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_elu_forward_f32(alpha, n, <float *>y, <const float *>x, run)
    return cvl_elu_forward_f64(alpha, n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_elu_backward(
        char dtype, double alpha, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_elu_backward_f32(
            alpha, n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_elu_backward_f64(
        alpha, n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_gelu_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_gelu_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_gelu_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_gelu_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_gelu_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_gelu_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>x, run)


cdef cvl_status cvl_gelu_tanh_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_gelu_tanh_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_gelu_tanh_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_gelu_tanh_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_gelu_tanh_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_gelu_tanh_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>x, run)


cdef cvl_status cvl_silu_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_silu_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_silu_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_silu_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_silu_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_silu_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>x, run)


cdef cvl_status cvl_hard_swish_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_hard_swish_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_hard_swish_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_hard_swish_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_hard_swish_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_hard_swish_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>x, run)


cdef cvl_status cvl_softplus_forward(
        char dtype, Py_ssize_t n, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softplus_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_softplus_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_softplus_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softplus_backward_f32(
            n, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_softplus_backward_f64(
        n, <double *>dx, <const double *>dy, <const double *>x, run)
