/* outer.h: backward weights: dw as a sum of outer products of input and output gradients. */
#ifndef CVL_OUTER_H
#define CVL_OUTER_H

#include "op.h"
#include "shapes.h"

/* Bytes of workspace; 0 when the kernels cannot be had. */
size_t NAME(outer_workspace)(const cvl_conv2d_shape *shape, int threads);

/* dw (KH,KW,C/G,OC) of the convolution `shape`, of at least one image, in a
 * workspace of that size. */
void NAME(outer_run)(const cvl_conv2d_shape *shape, T *dw, const T *dy, const T *x, void *workspace,
                     int threads);

#endif
