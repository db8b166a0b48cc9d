/* linear.c: a linear layer is a 1x1 convolution over M pixels. */
#include "op.h"

/* Sizes out of range are refused by the convolution this becomes. */
static int as_convolution(cvl_conv2d *d, const cvl_linear *from)
{
    cvl_linear linear = CVL_LINEAR_INIT;
    if (!cvl_read(&linear, from))
        return 0;
    *d = (cvl_conv2d)CVL_CONV2D_INIT;
    d->N = linear.M;
    d->H = d->W = d->KH = d->KW = 1;
    d->C = linear.IN;
    d->OC = linear.OUT;
    return 1;
}

cvl_status NAME(linear_forward)(const cvl_linear *d, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_forward)(&c, y, x, w, b, run) : CVL_ERR_ARGUMENT;
}

size_t NAME(linear_forward_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_forward_workspace_size)(&c, threads) : 0;
}

cvl_status NAME(linear_backward_data)(const cvl_linear *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_backward_data)(&c, dx, dy, w, run)
                                 : CVL_ERR_ARGUMENT;
}

size_t NAME(linear_backward_data_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_backward_data_workspace_size)(&c, threads) : 0;
}

cvl_status NAME(linear_backward_weights)(const cvl_linear *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_backward_weights)(&c, dw, db, dy, x, run)
                                 : CVL_ERR_ARGUMENT;
}

size_t NAME(linear_backward_weights_workspace_size)(const cvl_linear *d, int threads)
{
    cvl_conv2d c;
    return as_convolution(&c, d) ? NAME(conv2d_backward_weights_workspace_size)(&c, threads) : 0;
}
