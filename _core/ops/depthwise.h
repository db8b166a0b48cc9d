/* depthwise.h: what the engine for groups of one input channel consists of. */
#ifndef CVL_DEPTHWISE_H
#define CVL_DEPTHWISE_H

#include "conv2d.h"

/* Weight gradients: bytes of workspace, and a run. */
size_t NAME(depthwise_sums_workspace)(const cvl_conv2d_shape *shape, int threads);
void NAME(depthwise_sums_run)(const NAME(conv2d_call) *call);

/* Forward and backward data of stride 1 with finite weights: whether they can go this way; bytes of
 * workspace, and a run. */
int NAME(depthwise_pairs_take)(const cvl_conv2d_shape *shape);
size_t NAME(depthwise_pairs_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                       int threads);
void NAME(depthwise_pairs_run)(const NAME(conv2d_call) *call);

/* Filters of 3x3 taps: whether a pass can go this way; forward and backward data, backward data of
 * stride 2, which needs no workspace, and weight gradients: bytes of workspace, and a run. */
int NAME(depthwise_strips_take)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass);
size_t NAME(depthwise_strips_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                        int threads);
void NAME(depthwise_strips_run)(const NAME(conv2d_call) *call);
void NAME(depthwise_strip_data_run)(const NAME(conv2d_call) *call);
size_t NAME(depthwise_strip_weights_workspace)(const cvl_conv2d_shape *shape, int threads);
void NAME(depthwise_strip_weights_run)(const NAME(conv2d_call) *call);

/* How many of C channels of so many pixels are best copied together before they are read more than once;
 * a divisor of C, or 0 where they are best read as they lie. */
ptrdiff_t NAME(depthwise_copied_channels)(ptrdiff_t C, ptrdiff_t pixels);

#endif
