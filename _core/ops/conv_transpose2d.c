/* conv_transpose2d.c: transposed convolution: the passes of the convolution whose backward pass it
 * is, in other roles. That convolution's x is our y, its y our x. */
#include "conv2d.h"

/* Bytes of workspace of a pass of that convolution. */
static size_t workspace_size(const cvl_conv_transpose2d *d, cvl_conv2d_pass pass, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_conv_transpose2d_read(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, pass, threads)
               : 0;
}

cvl_status NAME(conv_transpose2d_forward)(const cvl_conv_transpose2d *d, T *y, const T *x,
                                          const T *w, const T *b, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run)((NAME(conv2d_call)){.shape = &shape,
                                                .pass = CVL_CONV2D_BACKWARD_DATA,
                                                .out = y,
                                                .w = w,
                                                .dy = x,
                                                .end = {.bias = b}},
                            run);
}

size_t NAME(conv_transpose2d_forward_workspace_size)(const cvl_conv_transpose2d *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_DATA, threads);
}

cvl_status NAME(conv_transpose2d_backward_data)(const cvl_conv_transpose2d *d, T *dx, const T *dy,
                                                const T *w, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_FORWARD, .out = dx, .x = dy, .w = w},
        run);
}

size_t NAME(conv_transpose2d_backward_data_workspace_size)(const cvl_conv_transpose2d *d,
                                                           int threads)
{
    return workspace_size(d, CVL_CONV2D_FORWARD, threads);
}

static ptrdiff_t pixels_of_dy(const cvl_conv2d_shape *shape)
{
    return shape->d.N * shape->d.H * shape->d.W;
}

cvl_status NAME(conv_transpose2d_backward_weights)(const cvl_conv_transpose2d *d, T *dw, T *db,
                                                   const T *dy, const T *x, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_gradients)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .x = dy, .dy = x},
        db, dy, pixels_of_dy(&shape), shape.d.C, run);
}

size_t NAME(conv_transpose2d_backward_weights_workspace_size)(const cvl_conv_transpose2d *d,
                                                              int threads)
{
    cvl_conv2d_shape shape;
    return cvl_conv_transpose2d_read(&shape, d) == CVL_OK
               ? NAME(conv2d_gradients_workspace)(&shape, pixels_of_dy(&shape), shape.d.C, threads)
               : 0;
}
