# The norms of convlet.h, one with max pooling among them, and behind each pair of types the
# function that _core.pxd offers.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_batch_norm_forward_f32(
        const cvl_batch_norm *d, float *y, double *mean, double *var, const float *x,
        const float *gamma, const float *beta, const float *residual, const cvl_exec *run)
    cvl_status cvl_batch_norm_forward_f64(
        const cvl_batch_norm *d, double *y, double *mean, double *var, const double *x,
        const double *gamma, const double *beta, const double *residual, const cvl_exec *run)
    size_t cvl_batch_norm_forward_workspace_size_f32(const cvl_batch_norm *d, int threads)
    size_t cvl_batch_norm_forward_workspace_size_f64(const cvl_batch_norm *d, int threads)
    cvl_status cvl_running_move_f32(
        const cvl_running *d, float *next_mean, float *next_var, const float *running_mean,
        const float *running_var, const double *mean, const double *var, const cvl_exec *run)
    cvl_status cvl_running_move_f64(
        const cvl_running *d, double *next_mean, double *next_var, const double *running_mean,
        const double *running_var, const double *mean, const double *var, const cvl_exec *run)
    cvl_status cvl_batch_norm_inference_f32(
        const cvl_batch_norm *d, float *y, const float *x, const float *gamma, const float *beta,
        const double *mean, const double *var, const float *residual, const cvl_exec *run)
    cvl_status cvl_batch_norm_inference_f64(
        const cvl_batch_norm *d, double *y, const double *x, const double *gamma,
        const double *beta, const double *mean, const double *var, const double *residual,
        const cvl_exec *run)
    size_t cvl_batch_norm_inference_workspace_size_f32(const cvl_batch_norm *d, int threads)
    size_t cvl_batch_norm_inference_workspace_size_f64(const cvl_batch_norm *d, int threads)
    cvl_status cvl_batch_norm_backward_f32(
        const cvl_batch_norm *d, float *dx, float *dgamma, float *dbeta, float *dresidual,
        const float *dy, const float *x, const float *y, const float *gamma, const float *beta,
        const double *mean, const double *var, const cvl_exec *run)
    cvl_status cvl_batch_norm_backward_f64(
        const cvl_batch_norm *d, double *dx, double *dgamma, double *dbeta, double *dresidual,
        const double *dy, const double *x, const double *y, const double *gamma, const double *beta,
        const double *mean, const double *var, const cvl_exec *run)
    size_t cvl_batch_norm_backward_workspace_size_f32(const cvl_batch_norm *d, int threads)
    size_t cvl_batch_norm_backward_workspace_size_f64(const cvl_batch_norm *d, int threads)
    cvl_status cvl_batch_norm_sum_forward_f32(
        const cvl_batch_norm *d, float *y, const cvl_batch_norm_term *a,
        const cvl_batch_norm_term *b, const cvl_exec *run)
    cvl_status cvl_batch_norm_sum_forward_f64(
        const cvl_batch_norm *d, double *y, const cvl_batch_norm_term *a,
        const cvl_batch_norm_term *b, const cvl_exec *run)
    size_t cvl_batch_norm_sum_forward_workspace_size_f32(const cvl_batch_norm *d, int threads)
    size_t cvl_batch_norm_sum_forward_workspace_size_f64(const cvl_batch_norm *d, int threads)
    cvl_status cvl_batch_norm_sum_backward_f32(
        const cvl_batch_norm *d, const cvl_batch_norm_term *a, const cvl_batch_norm_term *b,
        const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_batch_norm_sum_backward_f64(
        const cvl_batch_norm *d, const cvl_batch_norm_term *a, const cvl_batch_norm_term *b,
        const double *dy, const double *y, const cvl_exec *run)
    size_t cvl_batch_norm_sum_backward_workspace_size_f32(const cvl_batch_norm *d, int threads)
    size_t cvl_batch_norm_sum_backward_workspace_size_f64(const cvl_batch_norm *d, int threads)
    cvl_status cvl_batch_norm_max_pool2d_forward_f32(
        const cvl_batch_norm *d, const cvl_pool2d *window, float *y, uint8_t *winners,
        double *mean, double *var, const float *x, const float *gamma, const float *beta,
        const cvl_exec *run)
    cvl_status cvl_batch_norm_max_pool2d_forward_f64(
        const cvl_batch_norm *d, const cvl_pool2d *window, double *y, uint8_t *winners,
        double *mean, double *var, const double *x, const double *gamma, const double *beta,
        const cvl_exec *run)
    size_t cvl_batch_norm_max_pool2d_forward_workspace_size_f32(
        const cvl_batch_norm *d, const cvl_pool2d *window, int threads)
    size_t cvl_batch_norm_max_pool2d_forward_workspace_size_f64(
        const cvl_batch_norm *d, const cvl_pool2d *window, int threads)
    cvl_status cvl_group_norm_forward_f32(
        const cvl_group_norm *d, float *y, double *mean, double *var, const float *x,
        const float *gamma, const float *beta, const cvl_exec *run)
    cvl_status cvl_group_norm_forward_f64(
        const cvl_group_norm *d, double *y, double *mean, double *var, const double *x,
        const double *gamma, const double *beta, const cvl_exec *run)
    size_t cvl_group_norm_forward_workspace_size_f32(const cvl_group_norm *d, int threads)
    size_t cvl_group_norm_forward_workspace_size_f64(const cvl_group_norm *d, int threads)
    cvl_status cvl_group_norm_backward_f32(
        const cvl_group_norm *d, float *dx, float *dgamma, float *dbeta, const float *dy,
        const float *x, const float *gamma, const double *mean, const double *var,
        const cvl_exec *run)
    cvl_status cvl_group_norm_backward_f64(
        const cvl_group_norm *d, double *dx, double *dgamma, double *dbeta, const double *dy,
        const double *x, const double *gamma, const double *mean, const double *var,
        const cvl_exec *run)
    size_t cvl_group_norm_backward_workspace_size_f32(const cvl_group_norm *d, int threads)
    size_t cvl_group_norm_backward_workspace_size_f64(const cvl_group_norm *d, int threads)


cdef cvl_status cvl_batch_norm_forward(
        char dtype, const cvl_batch_norm *d, void *y, double *mean, double *var, const void *x,
        const void *gamma, const void *beta, const void *residual,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_forward_f32(
            d, <float *>y, mean, var, <const float *>x, <const float *>gamma, <const float *>beta,
            <const float *>residual, run)
    return cvl_batch_norm_forward_f64(
        d, <double *>y, mean, var, <const double *>x, <const double *>gamma, <const double *>beta,
        <const double *>residual, run)


cdef size_t cvl_batch_norm_forward_workspace_size(
        char dtype, const cvl_batch_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_forward_workspace_size_f32(d, threads)
    return cvl_batch_norm_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_batch_norm_inference(
        char dtype, const cvl_batch_norm *d, void *y, const void *x, const void *gamma,
        const void *beta, const double *mean, const double *var, const void *residual,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_inference_f32(
            d, <float *>y, <const float *>x, <const float *>gamma, <const float *>beta, mean, var,
            <const float *>residual, run)
    return cvl_batch_norm_inference_f64(
        d, <double *>y, <const double *>x, <const double *>gamma, <const double *>beta, mean, var,
        <const double *>residual, run)


cdef size_t cvl_batch_norm_inference_workspace_size(
        char dtype, const cvl_batch_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_inference_workspace_size_f32(d, threads)
    return cvl_batch_norm_inference_workspace_size_f64(d, threads)


cdef cvl_status cvl_running_move(
        char dtype, const cvl_running *d, void *next_mean, void *next_var,
        const void *running_mean, const void *running_var, const double *mean, const double *var,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_running_move_f32(
            d, <float *>next_mean, <float *>next_var, <const float *>running_mean,
            <const float *>running_var, mean, var, run)
    return cvl_running_move_f64(
        d, <double *>next_mean, <double *>next_var, <const double *>running_mean,
        <const double *>running_var, mean, var, run)


cdef cvl_status cvl_batch_norm_backward(
        char dtype, const cvl_batch_norm *d, void *dx, void *dgamma, void *dbeta, void *dresidual,
        const void *dy, const void *x, const void *y, const void *gamma, const void *beta,
        const double *mean, const double *var, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_backward_f32(
            d, <float *>dx, <float *>dgamma, <float *>dbeta, <float *>dresidual, <const float *>dy,
            <const float *>x, <const float *>y, <const float *>gamma, <const float *>beta, mean,
            var, run)
    return cvl_batch_norm_backward_f64(
        d, <double *>dx, <double *>dgamma, <double *>dbeta, <double *>dresidual, <const double *>dy,
        <const double *>x, <const double *>y, <const double *>gamma, <const double *>beta, mean,
        var, run)


cdef size_t cvl_batch_norm_backward_workspace_size(
        char dtype, const cvl_batch_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_backward_workspace_size_f32(d, threads)
    return cvl_batch_norm_backward_workspace_size_f64(d, threads)


cdef cvl_status cvl_batch_norm_sum_forward(
        char dtype, const cvl_batch_norm *d, void *y, const cvl_batch_norm_term *a,
        const cvl_batch_norm_term *b, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_sum_forward_f32(d, <float *>y, a, b, run)
    return cvl_batch_norm_sum_forward_f64(d, <double *>y, a, b, run)


cdef size_t cvl_batch_norm_sum_forward_workspace_size(
        char dtype, const cvl_batch_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_sum_forward_workspace_size_f32(d, threads)
    return cvl_batch_norm_sum_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_batch_norm_sum_backward(
        char dtype, const cvl_batch_norm *d, const cvl_batch_norm_term *a,
        const cvl_batch_norm_term *b, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_sum_backward_f32(d, a, b, <const float *>dy, <const float *>y, run)
    return cvl_batch_norm_sum_backward_f64(d, a, b, <const double *>dy, <const double *>y, run)


cdef size_t cvl_batch_norm_sum_backward_workspace_size(
        char dtype, const cvl_batch_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_sum_backward_workspace_size_f32(d, threads)
    return cvl_batch_norm_sum_backward_workspace_size_f64(d, threads)


cdef cvl_status cvl_batch_norm_max_pool2d_forward(
        char dtype, const cvl_batch_norm *d, const cvl_pool2d *window, void *y, uint8_t *winners,
        double *mean, double *var, const void *x, const void *gamma, const void *beta,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_max_pool2d_forward_f32(
            d, window, <float *>y, winners, mean, var, <const float *>x, <const float *>gamma,
            <const float *>beta, run)
    return cvl_batch_norm_max_pool2d_forward_f64(
        d, window, <double *>y, winners, mean, var, <const double *>x, <const double *>gamma,
        <const double *>beta, run)


cdef size_t cvl_batch_norm_max_pool2d_forward_workspace_size(
        char dtype, const cvl_batch_norm *d, const cvl_pool2d *window,
        int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_batch_norm_max_pool2d_forward_workspace_size_f32(d, window, threads)
    return cvl_batch_norm_max_pool2d_forward_workspace_size_f64(d, window, threads)


cdef cvl_status cvl_group_norm_forward(
        char dtype, const cvl_group_norm *d, void *y, double *mean, double *var, const void *x,
        const void *gamma, const void *beta, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_group_norm_forward_f32(
            d, <float *>y, mean, var, <const float *>x, <const float *>gamma, <const float *>beta,
            run)
    return cvl_group_norm_forward_f64(
        d, <double *>y, mean, var, <const double *>x, <const double *>gamma, <const double *>beta,
        run)


cdef size_t cvl_group_norm_forward_workspace_size(
        char dtype, const cvl_group_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_group_norm_forward_workspace_size_f32(d, threads)
    return cvl_group_norm_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_group_norm_backward(
        char dtype, const cvl_group_norm *d, void *dx, void *dgamma, void *dbeta, const void *dy,
        const void *x, const void *gamma, const double *mean, const double *var,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_group_norm_backward_f32(
            d, <float *>dx, <float *>dgamma, <float *>dbeta, <const float *>dy, <const float *>x,
            <const float *>gamma, mean, var, run)
    return cvl_group_norm_backward_f64(
        d, <double *>dx, <double *>dgamma, <double *>dbeta, <const double *>dy, <const double *>x,
        <const double *>gamma, mean, var, run)


cdef size_t cvl_group_norm_backward_workspace_size(
        char dtype, const cvl_group_norm *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_group_norm_backward_workspace_size_f32(d, threads)
    return cvl_group_norm_backward_workspace_size_f64(d, threads)
