# The functions of convlet_images.h, and behind each pair of types the function that _core.pxd
# offers; that of cvl_dropout is cvl_dropout_apply, since a type has its name.

cdef extern from "convlet.h" nogil:
    cvl_status c_conv_transpose2d_output_shape "cvl_conv_transpose2d_output_shape"(
        const cvl_conv_transpose2d *d, Py_ssize_t *OH, Py_ssize_t *OW)
    cvl_status cvl_conv_transpose2d_forward_f32(
        const cvl_conv_transpose2d *d, float *y, const float *x, const float *w, const float *b,
        const cvl_exec *run)
    cvl_status cvl_conv_transpose2d_forward_f64(
        const cvl_conv_transpose2d *d, double *y, const double *x, const double *w, const double *b,
        const cvl_exec *run)
    size_t cvl_conv_transpose2d_forward_workspace_size_f32(
        const cvl_conv_transpose2d *d, int threads)
    size_t cvl_conv_transpose2d_forward_workspace_size_f64(
        const cvl_conv_transpose2d *d, int threads)
    cvl_status cvl_conv_transpose2d_backward_data_f32(
        const cvl_conv_transpose2d *d, float *dx, const float *dy, const float *w,
        const cvl_exec *run)
    cvl_status cvl_conv_transpose2d_backward_data_f64(
        const cvl_conv_transpose2d *d, double *dx, const double *dy, const double *w,
        const cvl_exec *run)
    size_t cvl_conv_transpose2d_backward_data_workspace_size_f32(
        const cvl_conv_transpose2d *d, int threads)
    size_t cvl_conv_transpose2d_backward_data_workspace_size_f64(
        const cvl_conv_transpose2d *d, int threads)
    cvl_status cvl_conv_transpose2d_backward_weights_f32(
        const cvl_conv_transpose2d *d, float *dw, float *db, const float *dy, const float *x,
        const cvl_exec *run)
    cvl_status cvl_conv_transpose2d_backward_weights_f64(
        const cvl_conv_transpose2d *d, double *dw, double *db, const double *dy, const double *x,
        const cvl_exec *run)
    size_t cvl_conv_transpose2d_backward_weights_workspace_size_f32(
        const cvl_conv_transpose2d *d, int threads)
    size_t cvl_conv_transpose2d_backward_weights_workspace_size_f64(
        const cvl_conv_transpose2d *d, int threads)
    cvl_status cvl_concat_forward_f32(
        const cvl_concat *d, float *y, const float **x, const cvl_exec *run)
    cvl_status cvl_concat_forward_f64(
        const cvl_concat *d, double *y, const double **x, const cvl_exec *run)
    cvl_status cvl_concat_backward_f32(
        const cvl_concat *d, float **dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_concat_backward_f64(
        const cvl_concat *d, double **dx, const double *dy, const cvl_exec *run)
    cvl_status cvl_pad_shortcut_forward_f32(
        const cvl_pad_shortcut *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_pad_shortcut_forward_f64(
        const cvl_pad_shortcut *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_pad_shortcut_backward_f32(
        const cvl_pad_shortcut *d, float *dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_pad_shortcut_backward_f64(
        const cvl_pad_shortcut *d, double *dx, const double *dy, const cvl_exec *run)
    cvl_status cvl_pad2d_forward_f32(
        const cvl_pad2d *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_pad2d_forward_f64(
        const cvl_pad2d *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_pad2d_backward_f32(
        const cvl_pad2d *d, float *dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_pad2d_backward_f64(
        const cvl_pad2d *d, double *dx, const double *dy, const cvl_exec *run)
    size_t cvl_pad2d_workspace_size_f32(const cvl_pad2d *d, int threads)
    size_t cvl_pad2d_workspace_size_f64(const cvl_pad2d *d, int threads)
    cvl_status cvl_upsample2d_forward_f32(
        const cvl_upsample2d *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_upsample2d_forward_f64(
        const cvl_upsample2d *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_upsample2d_backward_f32(
        const cvl_upsample2d *d, float *dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_upsample2d_backward_f64(
        const cvl_upsample2d *d, double *dx, const double *dy, const cvl_exec *run)
    size_t cvl_upsample2d_workspace_size_f32(const cvl_upsample2d *d, int threads)
    size_t cvl_upsample2d_workspace_size_f64(const cvl_upsample2d *d, int threads)
    cvl_status cvl_adaptive_avg_pool2d_forward_f32(
        const cvl_adaptive_avg_pool2d *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_adaptive_avg_pool2d_forward_f64(
        const cvl_adaptive_avg_pool2d *d, double *y, const double *x, const cvl_exec *run)
    cvl_status cvl_adaptive_avg_pool2d_backward_f32(
        const cvl_adaptive_avg_pool2d *d, float *dx, const float *dy, const cvl_exec *run)
    cvl_status cvl_adaptive_avg_pool2d_backward_f64(
        const cvl_adaptive_avg_pool2d *d, double *dx, const double *dy, const cvl_exec *run)
    size_t cvl_adaptive_avg_pool2d_workspace_size_f32(const cvl_adaptive_avg_pool2d *d, int threads)
    size_t cvl_adaptive_avg_pool2d_workspace_size_f64(const cvl_adaptive_avg_pool2d *d, int threads)
    cvl_status cvl_dropout_f32(const cvl_dropout *d, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_dropout_f64(
        const cvl_dropout *d, double *y, const double *x, const cvl_exec *run)
    size_t cvl_dropout_workspace_size_f32(const cvl_dropout *d, int threads)
    size_t cvl_dropout_workspace_size_f64(const cvl_dropout *d, int threads)


cdef cvl_status cvl_conv_transpose2d_output_shape(
        const cvl_conv_transpose2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil:
    return c_conv_transpose2d_output_shape(d, OH, OW)


cdef cvl_status cvl_conv_transpose2d_forward(
        char dtype, const cvl_conv_transpose2d *d, void *y, const void *x, const void *w,
        const void *b, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_forward_f32(
            d, <float *>y, <const float *>x, <const float *>w, <const float *>b, run)
    return cvl_conv_transpose2d_forward_f64(
        d, <double *>y, <const double *>x, <const double *>w, <const double *>b, run)


cdef size_t cvl_conv_transpose2d_forward_workspace_size(
        char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_forward_workspace_size_f32(d, threads)
    return cvl_conv_transpose2d_forward_workspace_size_f64(d, threads)


cdef cvl_status cvl_conv_transpose2d_backward_data(
        char dtype, const cvl_conv_transpose2d *d, void *dx, const void *dy, const void *w,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_backward_data_f32(
            d, <float *>dx, <const float *>dy, <const float *>w, run)
    return cvl_conv_transpose2d_backward_data_f64(
        d, <double *>dx, <const double *>dy, <const double *>w, run)


cdef size_t cvl_conv_transpose2d_backward_data_workspace_size(
        char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_backward_data_workspace_size_f32(d, threads)
    return cvl_conv_transpose2d_backward_data_workspace_size_f64(d, threads)


cdef cvl_status cvl_conv_transpose2d_backward_weights(
        char dtype, const cvl_conv_transpose2d *d, void *dw, void *db, const void *dy,
        const void *x, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_backward_weights_f32(
            d, <float *>dw, <float *>db, <const float *>dy, <const float *>x, run)
    return cvl_conv_transpose2d_backward_weights_f64(
        d, <double *>dw, <double *>db, <const double *>dy, <const double *>x, run)


cdef size_t cvl_conv_transpose2d_backward_weights_workspace_size(
        char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_conv_transpose2d_backward_weights_workspace_size_f32(d, threads)
    return cvl_conv_transpose2d_backward_weights_workspace_size_f64(d, threads)


cdef cvl_status cvl_concat_forward(
        char dtype, const cvl_concat *d, void *y, const void **x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_concat_forward_f32(d, <float *>y, <const float **>x, run)
    return cvl_concat_forward_f64(d, <double *>y, <const double **>x, run)


cdef cvl_status cvl_concat_backward(
        char dtype, const cvl_concat *d, void **dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_concat_backward_f32(d, <float **>dx, <const float *>dy, run)
    return cvl_concat_backward_f64(d, <double **>dx, <const double *>dy, run)


cdef cvl_status cvl_pad_shortcut_forward(
        char dtype, const cvl_pad_shortcut *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_pad_shortcut_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_pad_shortcut_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_pad_shortcut_backward(
        char dtype, const cvl_pad_shortcut *d, void *dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_pad_shortcut_backward_f32(d, <float *>dx, <const float *>dy, run)
    return cvl_pad_shortcut_backward_f64(d, <double *>dx, <const double *>dy, run)


cdef cvl_status cvl_pad2d_forward(
        char dtype, const cvl_pad2d *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_pad2d_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_pad2d_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_pad2d_backward(
        char dtype, const cvl_pad2d *d, void *dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_pad2d_backward_f32(d, <float *>dx, <const float *>dy, run)
    return cvl_pad2d_backward_f64(d, <double *>dx, <const double *>dy, run)


cdef size_t cvl_pad2d_workspace_size(char dtype, const cvl_pad2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_pad2d_workspace_size_f32(d, threads)
    return cvl_pad2d_workspace_size_f64(d, threads)


cdef cvl_status cvl_upsample2d_forward(
        char dtype, const cvl_upsample2d *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_upsample2d_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_upsample2d_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_upsample2d_backward(
        char dtype, const cvl_upsample2d *d, void *dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_upsample2d_backward_f32(d, <float *>dx, <const float *>dy, run)
    return cvl_upsample2d_backward_f64(d, <double *>dx, <const double *>dy, run)


cdef size_t cvl_upsample2d_workspace_size(
        char dtype, const cvl_upsample2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_upsample2d_workspace_size_f32(d, threads)
    return cvl_upsample2d_workspace_size_f64(d, threads)


cdef cvl_status cvl_adaptive_avg_pool2d_forward(
        char dtype, const cvl_adaptive_avg_pool2d *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_adaptive_avg_pool2d_forward_f32(d, <float *>y, <const float *>x, run)
    return cvl_adaptive_avg_pool2d_forward_f64(d, <double *>y, <const double *>x, run)


cdef cvl_status cvl_adaptive_avg_pool2d_backward(
        char dtype, const cvl_adaptive_avg_pool2d *d, void *dx, const void *dy,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_adaptive_avg_pool2d_backward_f32(d, <float *>dx, <const float *>dy, run)
    return cvl_adaptive_avg_pool2d_backward_f64(d, <double *>dx, <const double *>dy, run)


cdef size_t cvl_adaptive_avg_pool2d_workspace_size(
        char dtype, const cvl_adaptive_avg_pool2d *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_adaptive_avg_pool2d_workspace_size_f32(d, threads)
    return cvl_adaptive_avg_pool2d_workspace_size_f64(d, threads)


cdef cvl_status cvl_dropout_apply(
        char dtype, const cvl_dropout *d, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_dropout_f32(d, <float *>y, <const float *>x, run)
    return cvl_dropout_f64(d, <double *>y, <const double *>x, run)


cdef size_t cvl_dropout_workspace_size(
        char dtype, const cvl_dropout *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_dropout_workspace_size_f32(d, threads)
    return cvl_dropout_workspace_size_f64(d, threads)
