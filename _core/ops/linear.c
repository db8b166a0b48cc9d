/* linear.c: a linear layer is a 1x1 convolution over M pixels. */
#include "conv2d.h"

/* The convolution that a descriptor stands for. */
static cvl_status read_linear(cvl_conv2d *c, const cvl_linear *from)
{
    cvl_linear d = CVL_LINEAR_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    *c = (cvl_conv2d)CVL_CONV2D_INIT;
    c->N = d.M;
    c->H = c->W = c->KH = c->KW = 1;
    c->C = d.IN;
    c->OC = d.OUT;
    return CVL_OK;
}

cvl_status NAME(linear_forward)(const cvl_linear *from, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    cvl_conv2d c;
    const cvl_status status = read_linear(&c, from);
    return status == CVL_OK ? NAME(conv2d_forward)(&c, y, x, w, b, run) : status;
}

size_t NAME(linear_forward_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_conv2d c;
    return read_linear(&c, from) == CVL_OK ? NAME(conv2d_forward_workspace_size)(&c, threads) : 0;
}

cvl_status NAME(linear_backward_data)(const cvl_linear *from, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_conv2d c;
    const cvl_status status = read_linear(&c, from);
    return status == CVL_OK ? NAME(conv2d_backward_data)(&c, dx, dy, w, run) : status;
}

size_t NAME(linear_backward_data_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_conv2d c;
    return read_linear(&c, from) == CVL_OK ? NAME(conv2d_backward_data_workspace_size)(&c, threads)
                                           : 0;
}

cvl_status NAME(linear_backward_weights)(const cvl_linear *from, T *dw, T *db, const T *dy,
                                         const T *x, const cvl_exec *run)
{
    cvl_conv2d c;
    const cvl_status status = read_linear(&c, from);
    return status == CVL_OK ? NAME(conv2d_backward_weights)(&c, dw, db, dy, x, run) : status;
}

size_t NAME(linear_backward_weights_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_conv2d c;
    return read_linear(&c, from) == CVL_OK
               ? NAME(conv2d_backward_weights_workspace_size)(&c, threads)
               : 0;
}
