/* direct.c: the engine for every shape, implicit im2col: indirect.c for forward and backward data,
 * outer.c for backward weights.
 *
 * Where positions are so few for their classes (taps.h) that most tiles would be of one or two, what is read
 * is copied with its padding written out, and all positions are of one class. That changes no sum where
 * weights are finite; others make NaN of a zero, and then all is done again without. */
#include "indirect.h"
#include "outer.h"
#include "taps.h"

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)shape;
    (void)pass;
    return NULL;
}

static int pays_to_pad(const cvl_conv2d_shape *shape, int backward_data)
{
    const cvl_conv2d *d = &shape->d;
    const ptrdiff_t K = d->KH * d->KW * (backward_data ? d->OC : d->C) / d->groups;
    return kernels() &&
           cvl_pays_to_pad(shape, backward_data, NAME(panel_is_far)(K, kernels()->gemm[0].NR));
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const int backward_data = pass == CVL_CONV2D_BACKWARD_DATA;
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return NAME(outer_workspace)(shape, threads);
    const size_t bytes = NAME(gather_workspace)(shape, pass, NULL, threads);
    if (!pays_to_pad(shape, backward_data))
        return bytes;
    const cvl_padding padding = cvl_make_padding(shape, backward_data);
    const size_t padded = NAME(gather_workspace)(shape, pass, &padding, threads);
    return padded > bytes ? padded : bytes;
}

static void run(const NAME(conv2d_call) *call)
{
    const int backward_data = call->pass == CVL_CONV2D_BACKWARD_DATA;
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS) {
        NAME(outer_run)(call->shape, call->out, call->dy, call->x, call->workspace, call->threads);
        return;
    }
    if (pays_to_pad(call->shape, backward_data)) {
        const cvl_padding padding = cvl_make_padding(call->shape, backward_data);
        if (NAME(gather_run)(call, &padding))
            return;
    }
    NAME(gather_run)(call, NULL);
}

const NAME(conv2d_engine) NAME(direct_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "the direct engine serves every shape",
    .refuses = refuses,
    .workspace = workspace,
    .run = run,
    .packed_size = NAME(gather_packed_size),
    .pack = NAME(gather_pack),
};
