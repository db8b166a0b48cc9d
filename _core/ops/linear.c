/* linear.c: a linear layer is a 1x1 convolution over M pixels: its passes are those of that one. */
#include "conv2d.h"

cvl_status NAME(linear_make_ready)(NAME(conv2d_ready) *f, const cvl_linear *d)
{
    const char *reason;
    f->bytes = 0;
    const cvl_status status = cvl_linear_read(&f->shape, d);
    if (status == CVL_OK)
        f->engine = NAME(conv2d_engine_of)(&f->shape, CVL_CONV2D_FORWARD, &reason);
    return status;
}

cvl_status NAME(linear_forward)(const cvl_linear *d, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    NAME(conv2d_ready) f;
    const cvl_status status = NAME(linear_make_ready)(&f, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_ready)(&f, y, &(NAME(conv2d_operands)){.x = x, .w = w, .b = b}, run);
}

static cvl_status run_pass(const cvl_linear *d, NAME(conv2d_call) call, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_linear_read(&shape, d);
    call.shape = &shape;
    return status == CVL_OK ? NAME(conv2d_run)(&call, run) : status;
}

cvl_status NAME(linear_backward_data)(const cvl_linear *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    return run_pass(
        d, (NAME(conv2d_call)){.pass = CVL_CONV2D_BACKWARD_DATA, .out = dx, .w = w, .dy = dy}, run);
}

cvl_status NAME(linear_backward_weights)(const cvl_linear *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    return run_pass(d,
                    (NAME(conv2d_call)){
                        .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .db = db, .x = x, .dy = dy},
                    run);
}

static size_t workspace_size(const cvl_linear *d, cvl_conv2d_pass pass, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_linear_read(&shape, d) == CVL_OK ? NAME(conv2d_workspace)(&shape, pass, threads) : 0;
}

size_t NAME(linear_forward_workspace_size)(const cvl_linear *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_FORWARD, threads);
}

size_t NAME(linear_backward_data_workspace_size)(const cvl_linear *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_DATA, threads);
}

size_t NAME(linear_backward_weights_workspace_size)(const cvl_linear *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_WEIGHTS, threads);
}
