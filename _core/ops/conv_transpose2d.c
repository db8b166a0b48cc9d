/* conv_transpose2d.c: transposed convolution: the passes of the convolution whose backward pass it
 * is, in other roles. That convolution's x is our y, its y our x. */
#include "conv2d.h"

static cvl_status run_pass(const cvl_conv_transpose2d *d, NAME(conv2d_call) call,
                           const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    call.shape = &shape;
    return status == CVL_OK ? NAME(conv2d_run)(&call, run) : status;
}

cvl_status NAME(conv_transpose2d_forward)(const cvl_conv_transpose2d *d, T *y, const T *x,
                                          const T *w, const T *b, const cvl_exec *run)
{
    return run_pass(
        d,
        (NAME(conv2d_call)){
            .pass = CVL_CONV2D_BACKWARD_DATA, .out = y, .w = w, .dy = x, .end = {.bias = b}},
        run);
}

cvl_status NAME(conv_transpose2d_backward_data)(const cvl_conv_transpose2d *d, T *dx, const T *dy,
                                                const T *w, const cvl_exec *run)
{
    return run_pass(d, (NAME(conv2d_call)){.pass = CVL_CONV2D_FORWARD, .out = dx, .x = dy, .w = w},
                    run);
}

cvl_status NAME(conv_transpose2d_backward_weights)(const cvl_conv_transpose2d *d, T *dw, T *db,
                                                   const T *dy, const T *x, const cvl_exec *run)
{
    return run_pass(d,
                    (NAME(conv2d_call)){
                        .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .db = db, .x = dy, .dy = x},
                    run);
}

static size_t workspace_size(const cvl_conv_transpose2d *d, cvl_conv2d_pass pass, int threads)
{
    cvl_conv2d_shape shape;
    return cvl_conv_transpose2d_read(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, pass, threads)
               : 0;
}

size_t NAME(conv_transpose2d_forward_workspace_size)(const cvl_conv_transpose2d *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_DATA, threads);
}

size_t NAME(conv_transpose2d_backward_data_workspace_size)(const cvl_conv_transpose2d *d,
                                                           int threads)
{
    return workspace_size(d, CVL_CONV2D_FORWARD, threads);
}

size_t NAME(conv_transpose2d_backward_weights_workspace_size)(const cvl_conv_transpose2d *d,
                                                              int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_WEIGHTS, threads);
}
