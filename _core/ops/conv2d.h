/* conv2d.h: the two passes of a convolution through the gather engine, for the operators that are
 * convolutions in disguise. */
#ifndef CVL_CONV2D_H
#define CVL_CONV2D_H

#include "indirect.h"
#include "shapes.h"

/* y from x, and x from y (backward data). The result points at `shape`. */
NAME(gather) NAME(conv2d_forward_gather)(const cvl_conv2d_shape *shape);
NAME(gather) NAME(conv2d_backward_gather)(const cvl_conv2d_shape *shape);

/* Checks the arguments and runs `g`; b may be NULL. */
cvl_status NAME(conv2d_run_gather)(NAME(gather) g, T *y, const T *x, const T *w, const T *b,
                                   const cvl_exec *run);

#endif
