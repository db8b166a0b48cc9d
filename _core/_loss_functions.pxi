# The functions of convlet_losses.h, and behind each pair of types the function that _core.pxd
# offers; of those whose name a type has, it ends in _labels.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_softmax_cross_entropy_f32(
        const cvl_softmax_cross_entropy *d, double *loss, float *dz, const float *z,
        const int64_t *labels, const float *class_weight, const float *sample_weight,
        const cvl_exec *run)
    cvl_status cvl_softmax_cross_entropy_soft_f32(
        const cvl_softmax_cross_entropy *d, double *loss, float *dz, const float *z, const float *q,
        const float *class_weight, const float *sample_weight, const cvl_exec *run)
    size_t cvl_softmax_cross_entropy_workspace_size_f32(
        const cvl_softmax_cross_entropy *d, int threads)
    cvl_status cvl_nll_f32(
        const cvl_nll *d, double *loss, float *dx, const float *x, const int64_t *labels,
        const float *class_weight, const float *sample_weight, const cvl_exec *run)
    size_t cvl_nll_workspace_size_f32(const cvl_nll *d, int threads)
    size_t cvl_loss_workspace_size_f32(const cvl_loss *d, int threads)
    cvl_status cvl_binary_cross_entropy_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const float *positive_weight, const float *weight, const cvl_exec *run)
    cvl_status cvl_mse_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const cvl_exec *run)
    cvl_status cvl_l1_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const cvl_exec *run)
    cvl_status cvl_huber_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const cvl_exec *run)
    cvl_status cvl_smooth_l1_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const cvl_exec *run)
    cvl_status cvl_focal_f32(
        const cvl_loss *d, double *loss, float *dx, const float *x, const float *y,
        const cvl_exec *run)
    cvl_status cvl_softmax_cross_entropy_f64(
        const cvl_softmax_cross_entropy *d, double *loss, double *dz, const double *z,
        const int64_t *labels, const double *class_weight, const double *sample_weight,
        const cvl_exec *run)
    cvl_status cvl_softmax_cross_entropy_soft_f64(
        const cvl_softmax_cross_entropy *d, double *loss, double *dz, const double *z,
        const double *q, const double *class_weight, const double *sample_weight,
        const cvl_exec *run)
    size_t cvl_softmax_cross_entropy_workspace_size_f64(
        const cvl_softmax_cross_entropy *d, int threads)
    cvl_status cvl_nll_f64(
        const cvl_nll *d, double *loss, double *dx, const double *x, const int64_t *labels,
        const double *class_weight, const double *sample_weight, const cvl_exec *run)
    size_t cvl_nll_workspace_size_f64(const cvl_nll *d, int threads)
    size_t cvl_loss_workspace_size_f64(const cvl_loss *d, int threads)
    cvl_status cvl_binary_cross_entropy_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const double *positive_weight, const double *weight, const cvl_exec *run)
    cvl_status cvl_mse_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const cvl_exec *run)
    cvl_status cvl_l1_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const cvl_exec *run)
    cvl_status cvl_huber_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const cvl_exec *run)
    cvl_status cvl_smooth_l1_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const cvl_exec *run)
    cvl_status cvl_focal_f64(
        const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
        const cvl_exec *run)


cdef cvl_status cvl_softmax_cross_entropy_labels(
        char dtype, const cvl_softmax_cross_entropy *d, double *loss, void *dz, const void *z,
        const int64_t *labels, const void *class_weight, const void *sample_weight,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softmax_cross_entropy_f32(
            d, loss, <float *>dz, <const float *>z, labels, <const float *>class_weight,
            <const float *>sample_weight, run)
    return cvl_softmax_cross_entropy_f64(
        d, loss, <double *>dz, <const double *>z, labels, <const double *>class_weight,
        <const double *>sample_weight, run)


cdef cvl_status cvl_softmax_cross_entropy_soft(
        char dtype, const cvl_softmax_cross_entropy *d, double *loss, void *dz, const void *z,
        const void *q, const void *class_weight, const void *sample_weight,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_softmax_cross_entropy_soft_f32(
            d, loss, <float *>dz, <const float *>z, <const float *>q, <const float *>class_weight,
            <const float *>sample_weight, run)
    return cvl_softmax_cross_entropy_soft_f64(
        d, loss, <double *>dz, <const double *>z, <const double *>q, <const double *>class_weight,
        <const double *>sample_weight, run)


cdef size_t cvl_softmax_cross_entropy_workspace_size(
        char dtype, const cvl_softmax_cross_entropy *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_softmax_cross_entropy_workspace_size_f32(d, threads)
    return cvl_softmax_cross_entropy_workspace_size_f64(d, threads)


cdef cvl_status cvl_nll_labels(
        char dtype, const cvl_nll *d, double *loss, void *dx, const void *x, const int64_t *labels,
        const void *class_weight, const void *sample_weight, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_nll_f32(
            d, loss, <float *>dx, <const float *>x, labels, <const float *>class_weight,
            <const float *>sample_weight, run)
    return cvl_nll_f64(
        d, loss, <double *>dx, <const double *>x, labels, <const double *>class_weight,
        <const double *>sample_weight, run)


cdef size_t cvl_nll_workspace_size(char dtype, const cvl_nll *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_nll_workspace_size_f32(d, threads)
    return cvl_nll_workspace_size_f64(d, threads)


cdef cvl_status cvl_mse(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_mse_f32(d, loss, <float *>dx, <const float *>x, <const float *>y, run)
    return cvl_mse_f64(d, loss, <double *>dx, <const double *>x, <const double *>y, run)


cdef cvl_status cvl_l1(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_l1_f32(d, loss, <float *>dx, <const float *>x, <const float *>y, run)
    return cvl_l1_f64(d, loss, <double *>dx, <const double *>x, <const double *>y, run)


cdef cvl_status cvl_huber(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_huber_f32(d, loss, <float *>dx, <const float *>x, <const float *>y, run)
    return cvl_huber_f64(d, loss, <double *>dx, <const double *>x, <const double *>y, run)


cdef cvl_status cvl_smooth_l1(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_smooth_l1_f32(d, loss, <float *>dx, <const float *>x, <const float *>y, run)
    return cvl_smooth_l1_f64(d, loss, <double *>dx, <const double *>x, <const double *>y, run)


cdef cvl_status cvl_focal(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_focal_f32(d, loss, <float *>dx, <const float *>x, <const float *>y, run)
    return cvl_focal_f64(d, loss, <double *>dx, <const double *>x, <const double *>y, run)


cdef cvl_status cvl_binary_cross_entropy(
        char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
        const void *positive_weight, const void *weight, const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_binary_cross_entropy_f32(
            d, loss, <float *>dx, <const float *>x, <const float *>y,
            <const float *>positive_weight, <const float *>weight, run)
    return cvl_binary_cross_entropy_f64(
        d, loss, <double *>dx, <const double *>x, <const double *>y,
        <const double *>positive_weight, <const double *>weight, run)


cdef size_t cvl_loss_workspace_size(char dtype, const cvl_loss *d, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_loss_workspace_size_f32(d, threads)
    return cvl_loss_workspace_size_f64(d, threads)
