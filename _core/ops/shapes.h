/* shapes.h: a convolution's descriptor, read, checked and completed. */
#ifndef CVL_SHAPES_H
#define CVL_SHAPES_H

#include "common.h"

/* A checked convolution. */
typedef struct cvl_conv2d_shape {
    cvl_conv2d d;
    ptrdiff_t OH, OW;
    ptrdiff_t x_size, w_size, y_size; /* elements */
    ptrdiff_t w_before, w_after;      /* weights of taps that were left out */
    double flops;                     /* of one pass: 2 per multiply-add */
    int transposed; /* it is what a transposed convolution is backwards: that one's y is our x */
} cvl_conv2d_shape;

/* Reads and checks `from`. */
cvl_status cvl_conv2d_read(cvl_conv2d_shape *shape, const cvl_conv2d *from);

/* Why a pass is no matrix product with a row for each pixel, or NULL where it is: forward or backward
 * data of one tap, stride 1, no padding and one group. Fields are compared one by one, since products
 * of sizes might overflow. */
static inline const char *cvl_conv2d_refuses_product(const cvl_conv2d_shape *shape,
                                                     cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return "weight gradients are sums over positions";
    if (d->groups == 1 && d->KH == 1 && d->KW == 1 && d->SH == 1 && d->SW == 1 && d->PT == 0 &&
        d->PL == 0 && shape->OH == d->H && shape->OW == d->W)
        return NULL;
    return "not a matrix product";
}

/* Leaves out the outer taps that meet nothing but padding, where the weights of the others follow each
 * other: 3x3 taps of a map of one pixel are one, as are those of a dilation that is wider than the map. */
void cvl_conv2d_trim(cvl_conv2d_shape *shape);

/* Makes a 1x1 convolution with stride 1 and no padding, a matrix product over its pixels, the same
 * convolution of one row of N*H*W pixels; and one whose kernel is as large as the image, a matrix product
 * over images, that of a pixel each. Others are left alone. */
void cvl_conv2d_flatten(cvl_conv2d_shape *shape);

/* Reads and checks a linear layer, as the flattened 1x1 convolution that it is. */
cvl_status cvl_linear_read(cvl_conv2d_shape *shape, const cvl_linear *from);

/* Reads and checks a transposed convolution, as the convolution whose backward pass it is: inputs and
 * outputs change roles. OH and OW are the sizes that the transposed one reads; with output padding,
 * more windows of the convolution may fit, which do not count. */
cvl_status cvl_conv_transpose2d_read(cvl_conv2d_shape *shape, const cvl_conv_transpose2d *from);

#endif
