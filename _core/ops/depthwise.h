/* depthwise.h: what the engine for groups of one input channel consists of. */
#ifndef CVL_DEPTHWISE_H
#define CVL_DEPTHWISE_H

#include "conv2d.h"

/* Weight gradients: bytes of workspace, and a run. */
size_t NAME(depthwise_sums_workspace)(const cvl_conv2d_shape *shape, int threads);
void NAME(depthwise_sums_run)(const NAME(conv2d_call) *call);

#endif
