/* linear.c: a linear layer is a 1x1 convolution over M pixels: its passes are those of that one. */
#include "conv2d.h"

static ptrdiff_t rows(const cvl_conv2d_shape *shape) { return shape->d.N * shape->d.W; }

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

size_t NAME(linear_forward_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_linear_read(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, CVL_CONV2D_FORWARD, threads)
               : 0;
}

cvl_status NAME(linear_backward_data)(const cvl_linear *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_linear_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_BACKWARD_DATA, .out = dx, .w = w, .dy = dy},
        run);
}

size_t NAME(linear_backward_data_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_linear_read(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, CVL_CONV2D_BACKWARD_DATA, threads)
               : 0;
}

cvl_status NAME(linear_backward_weights)(const cvl_linear *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_linear_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_gradients)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .x = x, .dy = dy},
        db, dy, rows(&shape), shape.d.OC, run);
}

size_t NAME(linear_backward_weights_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_linear_read(&shape, d) == CVL_OK
               ? NAME(conv2d_gradients_workspace)(&shape, rows(&shape), shape.d.OC, threads)
               : 0;
}
