/* direct.c: the engine for every shape, implicit im2col: indirect.c for forward and backward data,
 * outer.c for backward weights. */
#include "conv2d.h"
#include "indirect.h"
#include "outer.h"

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)shape;
    (void)pass;
    return NULL;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    return pass == CVL_CONV2D_BACKWARD_WEIGHTS ? NAME(outer_workspace)(shape, threads)
                                               : NAME(gather_workspace)(shape, pass, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        NAME(outer_run)(call->shape, call->out, call->dy, call->x, call->workspace, call->threads);
    else
        NAME(gather_run)(call);
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
