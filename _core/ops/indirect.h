/* indirect.h: implicit im2col: the one driver behind convolution forward and backward data. */
#ifndef CVL_INDIRECT_H
#define CVL_INDIRECT_H

#include "conv2d.h"
#include "taps.h"

/* Bytes of workspace of a pass, forward or backward data, with `padding` written out unless that is NULL:
 * by each worker for itself, or it would come from the cache of another. 0 when the kernels cannot be had. */
size_t NAME(gather_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                              const cvl_padding *padding, int threads);

/* Runs the pass. N > 0. With padding it returns whether all that was written is finite. */
int NAME(gather_run)(const NAME(conv2d_call) *call, const cvl_padding *padding);

/* B of a forward pass in panels, for call->packed: its bytes, and its making. */
size_t NAME(gather_packed_size)(const cvl_conv2d_shape *shape);
void NAME(gather_pack)(const NAME(conv2d_call) *call, T *packed);

/* Whether a panel of so long sums leaves an L2 of 2 MB for good, so that each tile reads it from beyond. */
static inline int NAME(panel_is_far)(ptrdiff_t K, ptrdiff_t NR)
{
    return K * NR * (ptrdiff_t)sizeof(T) > 3 << 20;
}

#endif
