/* conv2d.c: convolution, forward and backward, through the direct engine (indirect.c, outer.c). */
#include "conv2d.h"

#include "columns.h"
#include "outer.h"

/* ------------------------------------------------------------------ forward, backward data */

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

NAME(gather) NAME(conv2d_forward_gather)(const cvl_conv2d_shape *s)
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
        .relu = d->activation == CVL_ACTIVATION_RELU,
        .flops = s->flops,
    };
}

NAME(gather) NAME(conv2d_backward_gather)(const cvl_conv2d_shape *s)
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

cvl_status NAME(conv2d_run_gather)(NAME(gather) g, T *y, const T *x, const T *w, const T *b,
                                   const cvl_exec *run)
{
    cvl_exec exec;
    if (!run || run->threads < 1 || !w || (g.N > 0 && (!x || !y)))
        return CVL_ERR_ARGUMENT;
    cvl_status status = cvl_read_exec(&exec, run, NAME(gather_workspace)(&g, run->threads));
    if (status != CVL_OK)
        return status;
    if (!kernels())
        return CVL_ERR_ISA;
    g.y = y;
    g.x = x;
    g.w = w;
    g.b = b;
    if (g.N > 0)
        NAME(gather_run)(&g, exec.workspace, exec.threads);
    return CVL_OK;
}

cvl_status NAME(conv2d_forward)(const cvl_conv2d *d, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    cvl_status status = cvl_conv2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    cvl_conv2d_flatten(&shape);
    return NAME(conv2d_run_gather)(NAME(conv2d_forward_gather)(&shape), y, x, w, b, run);
}

size_t NAME(conv2d_forward_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    if (cvl_conv2d_read(&shape, d) != CVL_OK)
        return 0;
    cvl_conv2d_flatten(&shape);
    const NAME(gather) g = NAME(conv2d_forward_gather)(&shape);
    return NAME(gather_workspace)(&g, threads);
}

cvl_status NAME(conv2d_backward_data)(const cvl_conv2d *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    cvl_status status = cvl_conv2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    cvl_conv2d_flatten(&shape);
    return NAME(conv2d_run_gather)(NAME(conv2d_backward_gather)(&shape), dx, dy, w, NULL, run);
}

size_t NAME(conv2d_backward_data_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    if (cvl_conv2d_read(&shape, d) != CVL_OK)
        return 0;
    cvl_conv2d_flatten(&shape);
    const NAME(gather) g = NAME(conv2d_backward_gather)(&shape);
    return NAME(gather_workspace)(&g, threads);
}

/* ------------------------------------------------------------------------ backward weights */

static size_t weights_workspace(const cvl_conv2d_shape *shape, int threads)
{
    const size_t dw = NAME(outer_workspace)(shape, threads);
    const size_t db = NAME(column_sums_workspace)(shape->d.N * shape->OH * shape->OW, shape->d.OC);
    return dw > db ? dw : db;
}

cvl_status NAME(conv2d_backward_weights)(const cvl_conv2d *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    cvl_exec exec;
    cvl_status status = cvl_conv2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    if (!run || run->threads < 1 || (shape.d.N > 0 && (!dy || (dw && !x))))
        return CVL_ERR_ARGUMENT;
    cvl_conv2d_flatten(&shape);
    status = cvl_read_exec(&exec, run, weights_workspace(&shape, run->threads));
    if (status != CVL_OK)
        return status;
    if (!kernels())
        return CVL_ERR_ISA;
    if (dw)
        NAME(outer_run)(&shape, dw, dy, x, exec.workspace, exec.threads);
    if (db)
        NAME(column_sums)(db, dy, shape.d.N * shape.OH * shape.OW, shape.d.OC, exec.workspace,
                          exec.threads);
    return CVL_OK;
}

size_t NAME(conv2d_backward_weights_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    if (cvl_conv2d_read(&shape, d) != CVL_OK)
        return 0;
    cvl_conv2d_flatten(&shape);
    return weights_workspace(&shape, threads);
}
