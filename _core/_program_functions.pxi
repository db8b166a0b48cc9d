# The functions of convlet_program.h, and behind each pair of types the function that _core.pxd
# offers.

cdef extern from "convlet.h" nogil:
    cvl_status cvl_program_run_f32(
        const cvl_program *p, float *y, const float *x, const cvl_exec *run)
    cvl_status cvl_program_run_f64(
        const cvl_program *p, double *y, const double *x, const cvl_exec *run)
    size_t cvl_program_workspace_size_f32(const cvl_program *p, int threads)
    size_t cvl_program_workspace_size_f64(const cvl_program *p, int threads)
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
