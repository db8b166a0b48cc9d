# The functions of convlet_optimizers.h, and behind each pair of types the function that _core.pxd
# offers.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_sgd_step_f32(
        const cvl_sgd *d, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_sgd_step_f64(
        const cvl_sgd *d, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_adam_step_f32(
        const cvl_adam *d, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_adam_step_f64(
        const cvl_adam *d, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_adagrad_step_f32(
        const cvl_adagrad *d, const cvl_segment_f32 *segments, Py_ssize_t count,
        const cvl_exec *run)
    cvl_status cvl_adagrad_step_f64(
        const cvl_adagrad *d, const cvl_segment_f64 *segments, Py_ssize_t count,
        const cvl_exec *run)
    cvl_status cvl_nadam_step_f32(
        const cvl_nadam *d, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_nadam_step_f64(
        const cvl_nadam *d, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_rmsprop_step_f32(
        const cvl_rmsprop *d,
        const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_rmsprop_step_f64(
        const cvl_rmsprop *d,
        const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_lion_step_f32(
        const cvl_lion *d, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_lion_step_f64(
        const cvl_lion *d, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_clip_f32(
        double limit, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_clip_f64(
        double limit, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_scale_f32(
        double factor, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_scale_f64(
        double factor, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_blend_f32(
        double rate, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_blend_f64(
        double rate, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_sum_squares_f32(
        double *sums, const cvl_segment_f32 *segments, Py_ssize_t count, const cvl_exec *run)
    cvl_status cvl_sum_squares_f64(
        double *sums, const cvl_segment_f64 *segments, Py_ssize_t count, const cvl_exec *run)
    size_t cvl_sum_squares_workspace_size_f32(
        const cvl_segment_f32 *segments, Py_ssize_t count, int threads)
    size_t cvl_sum_squares_workspace_size_f64(
        const cvl_segment_f64 *segments, Py_ssize_t count, int threads)


cdef cvl_status cvl_sgd_step(
        char dtype, const cvl_sgd *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_sgd_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_sgd_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_adam_step(
        char dtype, const cvl_adam *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_adam_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_adam_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_adagrad_step(
        char dtype, const cvl_adagrad *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_adagrad_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_adagrad_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_nadam_step(
        char dtype, const cvl_nadam *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_nadam_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_nadam_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_rmsprop_step(
        char dtype, const cvl_rmsprop *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_rmsprop_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_rmsprop_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_lion_step(
        char dtype, const cvl_lion *d, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_lion_step_f32(d, <const cvl_segment_f32 *>segments, count, run)
    return cvl_lion_step_f64(d, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_clip(
        char dtype, double limit, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_clip_f32(limit, <const cvl_segment_f32 *>segments, count, run)
    return cvl_clip_f64(limit, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_scale(
        char dtype, double factor, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_scale_f32(factor, <const cvl_segment_f32 *>segments, count, run)
    return cvl_scale_f64(factor, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_blend(
        char dtype, double rate, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_blend_f32(rate, <const cvl_segment_f32 *>segments, count, run)
    return cvl_blend_f64(rate, <const cvl_segment_f64 *>segments, count, run)


cdef cvl_status cvl_sum_squares(
        char dtype, double *sums, const void *segments, Py_ssize_t count,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_sum_squares_f32(sums, <const cvl_segment_f32 *>segments, count, run)
    return cvl_sum_squares_f64(sums, <const cvl_segment_f64 *>segments, count, run)


cdef size_t cvl_sum_squares_workspace_size(
        char dtype, const void *segments, Py_ssize_t count, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_sum_squares_workspace_size_f32(
            <const cvl_segment_f32 *>segments, count, threads)
    return cvl_sum_squares_workspace_size_f64(<const cvl_segment_f64 *>segments, count, threads)
