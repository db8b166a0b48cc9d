# The functions of convlet.h but for its norms, and those of convlet_pooling.h, and behind each
# pair of types the function that _core.pxd offers.

cdef extern from "convlet.h" nogil:
    const char *c_isa_available "cvl_isa_available"(int i)
    const char *c_thread_backend "cvl_thread_backend"()
    int c_openmp_cpus "cvl_openmp_cpus"()
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
    size_t cvl_conv2d_packed_size_f32(const cvl_conv2d *d)
    size_t cvl_conv2d_packed_size_f64(const cvl_conv2d *d)
    cvl_status cvl_conv2d_pack_f32(
        const cvl_conv2d *d, void *packed, const float *w, const cvl_exec *run)
    cvl_status cvl_conv2d_pack_f64(
        const cvl_conv2d *d, void *packed, const double *w, const cvl_exec *run)
    cvl_status cvl_conv2d_forward_packed_f32(
        const cvl_conv2d *d, float *y, const float *x, const void *packed, const float *b,
        const cvl_exec *run)
    cvl_status cvl_conv2d_forward_packed_f64(
        const cvl_conv2d *d, double *y, const double *x, const void *packed, const double *b,
        const cvl_exec *run)
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


cdef size_t cvl_conv2d_packed_size(char dtype, const cvl_conv2d *d) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_packed_size_f32(d)
    return cvl_conv2d_packed_size_f64(d)


cdef cvl_status cvl_conv2d_pack(
        char dtype, const cvl_conv2d *d, void *packed, const void *w,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_pack_f32(d, packed, <const float *>w, run)
    return cvl_conv2d_pack_f64(d, packed, <const double *>w, run)


cdef cvl_status cvl_conv2d_forward_packed(
        char dtype, const cvl_conv2d *d, void *y, const void *x, const void *packed, const void *b,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv2d_forward_packed_f32(
            d, <float *>y, <const float *>x, packed, <const float *>b, run)
    return cvl_conv2d_forward_packed_f64(
        d, <double *>y, <const double *>x, packed, <const double *>b, run)


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
