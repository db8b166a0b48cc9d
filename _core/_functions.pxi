# The functions of convlet.h, and behind each pair of types the function that _core.pxd offers.

cdef extern from "convlet.h" nogil:
    const char *c_isa_available "cvl_isa_available"(int i)
    const char *c_thread_backend "cvl_thread_backend"()
    const char *c_isa "cvl_isa"()
    int c_abi_version "cvl_abi_version"()
    const char *c_status_string "cvl_status_string"(cvl_status status)
    cvl_status c_conv2d_output_shape "cvl_conv2d_output_shape"(
        const cvl_conv2d *d, Py_ssize_t *OH, Py_ssize_t *OW)
    cvl_status cvl_conv2d_choose_f32(
        const cvl_conv2d *d, cvl_conv2d_pass which, cvl_conv2d_algorithm *chosen,
        const char **reason)
    cvl_status cvl_conv2d_choose_f64(
        const cvl_conv2d *d, cvl_conv2d_pass which, cvl_conv2d_algorithm *chosen,
        const char **reason)
    cvl_status cvl_conv2d_forward_f32(
        const cvl_conv2d *d, float *y, const float *x, const float *w, const float *b,
        const cvl_exec *run)
    cvl_status cvl_conv2d_forward_f64(
        const cvl_conv2d *d, double *y, const double *x, const double *w, const double *b,
        const cvl_exec *run)
    size_t cvl_conv2d_forward_workspace_size_f32(const cvl_conv2d *d, int threads)
    size_t cvl_conv2d_forward_workspace_size_f64(const cvl_conv2d *d, int threads)
    cvl_status cvl_conv2d_backward_data_f32(
        const cvl_conv2d *d, float *dx, const float *dy, const float *w, const cvl_exec *run)
    cvl_status cvl_conv2d_backward_data_f64(
        const cvl_conv2d *d, double *dx, const double *dy, const double *w, const cvl_exec *run)
    size_t cvl_conv2d_backward_data_workspace_size_f32(const cvl_conv2d *d, int threads)
    size_t cvl_conv2d_backward_data_workspace_size_f64(const cvl_conv2d *d, int threads)
    cvl_status cvl_conv2d_backward_weights_f32(
        const cvl_conv2d *d, float *dw, float *db, const float *dy, const float *x,
        const cvl_exec *run)
    cvl_status cvl_conv2d_backward_weights_f64(
        const cvl_conv2d *d, double *dw, double *db, const double *dy, const double *x,
        const cvl_exec *run)
    size_t cvl_conv2d_backward_weights_workspace_size_f32(const cvl_conv2d *d, int threads)
    size_t cvl_conv2d_backward_weights_workspace_size_f64(const cvl_conv2d *d, int threads)
    cvl_status cvl_linear_forward_f32(
        const cvl_linear *d, float *y, const float *x, const float *w, const float *b,
        const cvl_exec *run)
    cvl_status cvl_linear_forward_f64(
        const cvl_linear *d, double *y, const double *x, const double *w, const double *b,
        const cvl_exec *run)
    size_t cvl_linear_forward_workspace_size_f32(const cvl_linear *d, int threads)
    size_t cvl_linear_forward_workspace_size_f64(const cvl_linear *d, int threads)
    cvl_status cvl_linear_backward_data_f32(
        const cvl_linear *d, float *dx, const float *dy, const float *w, const cvl_exec *run)
    cvl_status cvl_linear_backward_data_f64(
        const cvl_linear *d, double *dx, const double *dy, const double *w, const cvl_exec *run)
    size_t cvl_linear_backward_data_workspace_size_f32(const cvl_linear *d, int threads)
    size_t cvl_linear_backward_data_workspace_size_f64(const cvl_linear *d, int threads)
    cvl_status cvl_linear_backward_weights_f32(
        const cvl_linear *d, float *dw, float *db, const float *dy, const float *x,
        const cvl_exec *run)
    cvl_status cvl_linear_backward_weights_f64(
        const cvl_linear *d, double *dw, double *db, const double *dy, const double *x,
        const cvl_exec *run)
    size_t cvl_linear_backward_weights_workspace_size_f32(const cvl_linear *d, int threads)
    size_t cvl_linear_backward_weights_workspace_size_f64(const cvl_linear *d, int threads)
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
    cvl_status cvl_softmax_forward_f32(
        const cvl_softmax *d, float *y, const float *z, const cvl_exec *run)
    cvl_status cvl_softmax_forward_f64(
        const cvl_softmax *d, double *y, const double *z, const cvl_exec *run)
    cvl_status cvl_softmax_backward_f32(
        const cvl_softmax *d, float *dz, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_softmax_backward_f64(
        const cvl_softmax *d, double *dz, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_log_softmax_forward_f32(
        const cvl_softmax *d, float *y, const float *z, const cvl_exec *run)
    cvl_status cvl_log_softmax_forward_f64(
        const cvl_softmax *d, double *y, const double *z, const cvl_exec *run)
    cvl_status cvl_log_softmax_backward_f32(
        const cvl_softmax *d, float *dz, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_log_softmax_backward_f64(
        const cvl_softmax *d, double *dz, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_relu_forward_f32(Py_ssize_t n, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_relu_forward_f64(Py_ssize_t n, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_relu_backward_f32(
        Py_ssize_t n, float *dx, const float *dy, const float *y, const cvl_exec *run)
    cvl_status cvl_relu_backward_f64(
        Py_ssize_t n, double *dx, const double *dy, const double *y, const cvl_exec *run)
    cvl_status cvl_add_f32(
        Py_ssize_t n, float *y, const float *a, const float *b, const cvl_exec *run)
    cvl_status cvl_add_f64(
        Py_ssize_t n, double *y, const double *a, const double *b, const cvl_exec *run)
    cvl_status cvl_add_relu_f32(
        Py_ssize_t n, float *y, const float *a, const float *b, const cvl_exec *run)
    cvl_status cvl_add_relu_f64(
        Py_ssize_t n, double *y, const double *a, const double *b, const cvl_exec *run)
    cvl_status c_pool2d_output_shape "cvl_pool2d_output_shape"(
        const cvl_pool2d *d, Py_ssize_t *OH, Py_ssize_t *OW)
    cvl_status cvl_max_pool2d_forward_f32(
        const cvl_pool2d *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_forward_f64(
        const cvl_pool2d *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_backward_f32(
        const cvl_pool2d *d, float *dx, const float *dy, const float *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_backward_f64(
        const cvl_pool2d *d, double *dx, const double *dy, const double *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_forward_winners_f32(
        const cvl_pool2d *d, float *y, uint8_t *winners, const float *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_forward_winners_f64(
        const cvl_pool2d *d, double *y, uint8_t *winners, const double *x, const cvl_exec *run)
    cvl_status cvl_max_pool2d_backward_winners_f32(
        const cvl_pool2d *d, float *dx, const float *dy, const uint8_t *winners,
        const cvl_exec *run)
    cvl_status cvl_max_pool2d_backward_winners_f64(
        const cvl_pool2d *d, double *dx, const double *dy, const uint8_t *winners,
        const cvl_exec *run)
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
    cvl_status cvl_avg_pool2d_forward_f32(
        const cvl_pool2d *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_avg_pool2d_forward_f64(
        const cvl_pool2d *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_avg_pool2d_backward_f32(
        const cvl_pool2d *d, float *dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_avg_pool2d_backward_f64(
        const cvl_pool2d *d, double *dx, const double *dy, const cvl_exec *run)


cdef int cvl_abi_version() noexcept nogil:
    return c_abi_version()


cdef const char *cvl_isa() noexcept nogil:
    return c_isa()


cdef const char *cvl_status_string(cvl_status status) noexcept nogil:
    return c_status_string(status)


cdef cvl_status cvl_conv2d_output_shape(
        const cvl_conv2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil:
    return c_conv2d_output_shape(d, OH, OW)


cdef cvl_status cvl_conv2d_choose(
        char dtype, const cvl_conv2d *d, cvl_conv2d_pass which, cvl_conv2d_algorithm *chosen,
        const char **reason) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_choose_f32(d, which, chosen, reason)
    return cvl_conv2d_choose_f64(d, which, chosen, reason)


cdef cvl_status cvl_conv2d_forward(
        char dtype, const cvl_conv2d *d, void *y, const void *x, const void *w, const void *b,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_forward_f32(
            d, <float *>y, <const float *>x, <const float *>w, <const float *>b, run)
    return cvl_conv2d_forward_f64(
        d, <double *>y, <const double *>x, <const double *>w, <const double *>b, run)


cdef size_t cvl_conv2d_forward_workspace_size(
        char dtype, const cvl_conv2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_forward_workspace_size_f32(d, threads)
    return cvl_conv2d_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_conv2d_backward_data(
        char dtype, const cvl_conv2d *d, void *dx, const void *dy, const void *w,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_backward_data_f32(
            d, <float *>dx, <const float *>dy, <const float *>w, run)
    return cvl_conv2d_backward_data_f64(d, <double *>dx, <const double *>dy, <const double *>w, run)


cdef size_t cvl_conv2d_backward_data_workspace_size(
        char dtype, const cvl_conv2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_backward_data_workspace_size_f32(d, threads)
    return cvl_conv2d_backward_data_workspace_size_f64(d, threads)


cdef cvl_status cvl_conv2d_backward_weights(
        char dtype, const cvl_conv2d *d, void *dw, void *db, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_backward_weights_f32(
            d, <float *>dw, <float *>db, <const float *>dy, <const float *>x, run)
    return cvl_conv2d_backward_weights_f64(
        d, <double *>dw, <double *>db, <const double *>dy, <const double *>x, run)


cdef size_t cvl_conv2d_backward_weights_workspace_size(
        char dtype, const cvl_conv2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_backward_weights_workspace_size_f32(d, threads)
    return cvl_conv2d_backward_weights_workspace_size_f64(d, threads)


cdef cvl_status cvl_linear_forward(
        char dtype, const cvl_linear *d, void *y, const void *x, const void *w, const void *b,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_forward_f32(
            d, <float *>y, <const float *>x, <const float *>w, <const float *>b, run)
    return cvl_linear_forward_f64(
        d, <double *>y, <const double *>x, <const double *>w, <const double *>b, run)


cdef size_t cvl_linear_forward_workspace_size(
        char dtype, const cvl_linear *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_forward_workspace_size_f32(d, threads)
    return cvl_linear_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_linear_backward_data(
        char dtype, const cvl_linear *d, void *dx, const void *dy, const void *w,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_backward_data_f32(
            d, <float *>dx, <const float *>dy, <const float *>w, run)
    return cvl_linear_backward_data_f64(d, <double *>dx, <const double *>dy, <const double *>w, run)


cdef size_t cvl_linear_backward_data_workspace_size(
        char dtype, const cvl_linear *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_backward_data_workspace_size_f32(d, threads)
    return cvl_linear_backward_data_workspace_size_f64(d, threads)


cdef cvl_status cvl_linear_backward_weights(
        char dtype, const cvl_linear *d, void *dw, void *db, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_backward_weights_f32(
            d, <float *>dw, <float *>db, <const float *>dy, <const float *>x, run)
    return cvl_linear_backward_weights_f64(
        d, <double *>dw, <double *>db, <const double *>dy, <const double *>x, run)


cdef size_t cvl_linear_backward_weights_workspace_size(
        char dtype, const cvl_linear *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_linear_backward_weights_workspace_size_f32(d, threads)
    return cvl_linear_backward_weights_workspace_size_f64(d, threads)


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


cdef cvl_status cvl_softmax_forward(
        char dtype, const cvl_softmax *d, void *y, const void *z,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softmax_forward_f32(d, <float *>y, <const float *>z, run)
    return cvl_softmax_forward_f64(d, <double *>y, <const double *>z, run)


cdef cvl_status cvl_softmax_backward(
        char dtype, const cvl_softmax *d, void *dz, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softmax_backward_f32(d, <float *>dz, <const float *>dy, <const float *>y, run)
    return cvl_softmax_backward_f64(d, <double *>dz, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_log_softmax_forward(
        char dtype, const cvl_softmax *d, void *y, const void *z,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_log_softmax_forward_f32(d, <float *>y, <const float *>z, run)
    return cvl_log_softmax_forward_f64(d, <double *>y, <const double *>z, run)


cdef cvl_status cvl_log_softmax_backward(
        char dtype, const cvl_softmax *d, void *dz, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_log_softmax_backward_f32(
            d, <float *>dz, <const float *>dy, <const float *>y, run)
    return cvl_log_softmax_backward_f64(d, <double *>dz, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_relu_forward(
        char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_relu_forward_f32(n, <float *>y, <const float *>x, run)
    return cvl_relu_forward_f64(n, <double *>y, <const double *>x, run)


cdef cvl_status cvl_relu_backward(
        char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_relu_backward_f32(n, <float *>dx, <const float *>dy, <const float *>y, run)
    return cvl_relu_backward_f64(n, <double *>dx, <const double *>dy, <const double *>y, run)


cdef cvl_status cvl_add(
        char dtype, Py_ssize_t n, void *y, const void *a, const void *b,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_add_f32(n, <float *>y, <const float *>a, <const float *>b, run)
    return cvl_add_f64(n, <double *>y, <const double *>a, <const double *>b, run)


cdef cvl_status cvl_add_relu(
        char dtype, Py_ssize_t n, void *y, const void *a, const void *b,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_add_relu_f32(n, <float *>y, <const float *>a, <const float *>b, run)
    return cvl_add_relu_f64(n, <double *>y, <const double *>a, <const double *>b, run)


cdef cvl_status cvl_pool2d_output_shape(
        const cvl_pool2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil:
    return c_pool2d_output_shape(d, OH, OW)


cdef cvl_status cvl_max_pool2d_forward(
        char dtype, const cvl_pool2d *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_max_pool2d_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_max_pool2d_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_max_pool2d_backward(
        char dtype, const cvl_pool2d *d, void *dx, const void *dy, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_max_pool2d_backward_f32(d, <float *>dx, <const float *>dy, <const float *>x, run)
    return cvl_max_pool2d_backward_f64(d, <double *>dx, <const double *>dy, <const double *>x, run)


cdef cvl_status cvl_max_pool2d_forward_winners(
        char dtype, const cvl_pool2d *d, void *y, uint8_t *winners, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_max_pool2d_forward_winners_f32(d, <float *>y, winners, <const float *>x, run)
    return cvl_max_pool2d_forward_winners_f64(d, <double *>y, winners, <const double *>x, run)


cdef cvl_status cvl_max_pool2d_backward_winners(
        char dtype, const cvl_pool2d *d, void *dx, const void *dy, const uint8_t *winners,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_max_pool2d_backward_winners_f32(d, <float *>dx, <const float *>dy, winners, run)
    return cvl_max_pool2d_backward_winners_f64(d, <double *>dx, <const double *>dy, winners, run)


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


cdef cvl_status cvl_avg_pool2d_forward(
        char dtype, const cvl_pool2d *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_avg_pool2d_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_avg_pool2d_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_avg_pool2d_backward(
        char dtype, const cvl_pool2d *d, void *dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_avg_pool2d_backward_f32(d, <float *>dx, <const float *>dy, run)
    return cvl_avg_pool2d_backward_f64(d, <double *>dx, <const double *>dy, run)
