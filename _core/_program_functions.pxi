# The pairs of `_f32` and `_f64` functions on programs, and on packed weights, that _core.pxd
# declares as one.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_program_run_f32(
        const cvl_program *p, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_program_run_f64(
        const cvl_program *p, double *y, const double *x, const cvl_exec *run)
    size_t cvl_program_workspace_size_f32(const cvl_program *p, int threads)
    size_t cvl_program_workspace_size_f64(const cvl_program *p, int threads)
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
    cvl_status cvl_program_check_f32(const cvl_program *p)
    cvl_status cvl_program_check_f64(const cvl_program *p)
    cvl_status cvl_program_plan_f32(const cvl_program *p, int threads, void *plan)
    cvl_status cvl_program_plan_f64(const cvl_program *p, int threads, void *plan)
    size_t cvl_program_plan_size_f32(const cvl_program *p)
    size_t cvl_program_plan_size_f64(const cvl_program *p)


cdef cvl_status cvl_program_run(
        char dtype, const cvl_program *p, void *y, const void *x,
        const cvl_exec *run) noexcept nogil:
    if dtype == b'f':
        return cvl_program_run_f32(p, <float *>y, <const float *>x, run)
    return cvl_program_run_f64(p, <double *>y, <const double *>x, run)


cdef size_t cvl_program_workspace_size(
        char dtype, const cvl_program *p, int threads) noexcept nogil:
    if dtype == b'f':
        return cvl_program_workspace_size_f32(p, threads)
    return cvl_program_workspace_size_f64(p, threads)


cdef cvl_status cvl_program_check(char dtype, const cvl_program *p) noexcept nogil:
    if dtype == b'f':
        return cvl_program_check_f32(p)
    return cvl_program_check_f64(p)


cdef cvl_status cvl_program_plan(
        char dtype, const cvl_program *p, int threads, void *plan) noexcept nogil:
    if dtype == b'f':
        return cvl_program_plan_f32(p, threads, plan)
    return cvl_program_plan_f64(p, threads, plan)


cdef size_t cvl_program_plan_size(char dtype, const cvl_program *p) noexcept nogil:
    if dtype == b'f':
        return cvl_program_plan_size_f32(p)
    return cvl_program_plan_size_f64(p)


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
