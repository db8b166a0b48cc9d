/* direct.c: the engine for every shape, implicit im2col: a gather (indirect.c) forward and for
 * backward data, outer products (outer.c) for backward weights. */
#include "conv2d.h"
#include "indirect.h"
#include "outer.h"

/* Output o reads, with tap k, the input o*S + k*D - P. */
static void forward_axis(const NAME(gather) *g, int axis, ptrdiff_t phase, cvl_gather_axis *out)
{
    const cvl_conv2d *d = g->d;
    (void)phase;
    out->grid = axis == 0 ? g->OH : g->OW;
    out->first = 0;
    out->step = 1;
    out->in_step = axis == 0 ? d->SH : d->SW;
    out->d0 = axis == 0 ? -d->PT : -d->PL;
    out->d_step = axis == 0 ? d->DH : d->DW;
    out->taps = axis == 0 ? d->KH : d->KW;
    out->k0 = 0;
    out->k_step = 1;
}

/* Input i receives, by tap k, from the output (i + P - k*D)/S where S divides it. The inputs
 * i = phase, phase + S, ... have the same taps, which lie S/gcd(S, D) apart. */
static void backward_axis(const NAME(gather) *g, int axis, ptrdiff_t phase, cvl_gather_axis *out)
{
    const cvl_conv2d *d = g->d;
    const ptrdiff_t size = axis == 0 ? d->H : d->W, K = axis == 0 ? d->KH : d->KW;
    const ptrdiff_t S = axis == 0 ? d->SH : d->SW, D = axis == 0 ? d->DH : d->DW;
    const ptrdiff_t P = axis == 0 ? d->PT : d->PL;
    ptrdiff_t k0 = 0, k_step = 1;
    while (k0 < K && (phase + P - k0 * D) % S != 0)
        k0++;
    while (k_step * D % S != 0)
        k_step++;
    out->grid = cvl_ceil_div(size - phase, S);
    out->first = phase;
    out->step = S;
    out->in_step = 1;
    out->d0 = (phase + P - k0 * D) / S;
    out->d_step = -(k_step * D / S);
    out->taps = k0 < K ? (K - 1 - k0) / k_step + 1 : 0;
    out->k0 = k0;
    out->k_step = k_step;
}

static NAME(gather) forward_gather(const cvl_conv2d_shape *s)
{
    const cvl_conv2d *d = &s->d;
    return (NAME(gather)){
        .N = d->N,
        .H = d->H,
        .W = d->W,
        .C = d->C / d->groups,
        .OH = s->OH,
        .OW = s->OW,
        .OC = d->OC / d->groups,
        .groups = d->groups,
        .KH = d->KH,
        .KW = d->KW,
        .phases_h = 1,
        .phases_w = 1,
        .axis = forward_axis,
        .d = d,
        .flops = s->flops,
    };
}

static NAME(gather) backward_gather(const cvl_conv2d_shape *s)
{
    const cvl_conv2d *d = &s->d;
    return (NAME(gather)){
        .N = d->N,
        .H = s->OH,
        .W = s->OW,
        .C = d->OC / d->groups,
        .OH = d->H,
        .OW = d->W,
        .OC = d->C / d->groups,
        .groups = d->groups,
        .KH = d->KH,
        .KW = d->KW,
        .phases_h = cvl_min(d->SH, d->H),
        .phases_w = cvl_min(d->SW, d->W),
        .axis = backward_axis,
        .d = d,
        .transposed = 1,
        .flops = s->flops,
    };
}

static NAME(gather) gather_of(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    return pass == CVL_CONV2D_FORWARD ? forward_gather(shape) : backward_gather(shape);
}

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)shape;
    (void)pass;
    return NULL;
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)shape;
    (void)pass;
    return 1;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return NAME(outer_workspace)(shape, threads);
    const NAME(gather) g = gather_of(shape, pass);
    return NAME(gather_workspace)(&g, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS) {
        NAME(outer_run)(call->shape, call->out, call->dy, call->x, call->workspace, call->threads);
        return;
    }
    NAME(gather) g = gather_of(call->shape, call->pass);
    g.y = call->out;
    g.x = call->pass == CVL_CONV2D_FORWARD ? call->x : call->dy;
    g.w = call->w;
    g.end = call->end;
    if (g.N > 0)
        NAME(gather_run)(&g, call->workspace, call->threads);
}

const NAME(conv2d_engine) NAME(direct_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "the direct engine serves every shape",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
