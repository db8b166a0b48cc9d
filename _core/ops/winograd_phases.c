/* winograd_phases.c: minimal filtering of stride 2, 5x5 and 7x7, forward: the first layer of many a
 * network.
 *
 * A cell of 2x2 pixels is seen as one pixel of 4*C channels, and so a filter of stride 2 as one of
 * stride 1 and half as many taps, of which those outside the filter are 0: 7x7 becomes 4x4, for
 * F(3x3,4x4), and 5x5 becomes 3x3, for F(4x4,3x3). Large batches go a few images at a time, as many
 * each time, so that the workspace does not grow with them. */
#include "winograd.h"

/* With fewer channels products are shorter than what comes before and after them; and cells, of which
 * most workers read some that another made, want enough tiles. */
enum { LEAST_C = 3, LEAST_OC = 16, LEAST_TILES = 64 };
enum { CELLS = 4 << 20 }; /* bytes of the cells of several images */

typedef struct plan {
    const NAME(conv2d_call) *call;
    NAME(winograd) f;
    const NAME(kernels) *kernels;
    const T *images; /* of which x is made */
    T *x, *w;        /* of cells */
    char *workspace;
} plan;

/* The taps of a side. Cells begin at even pixels: the first tap is the second of a cell where padding
 * is odd. */
static ptrdiff_t taps_of(const cvl_conv2d *d) { return (d->KH + 1) / 2; }

static NAME(winograd) filter_of(const cvl_conv2d_shape *s)
{
    const cvl_conv2d *d = &s->d;
    return (NAME(winograd)){
        .form = taps_of(d) == 4 ? CVL_WINOGRAD_3X4 : CVL_WINOGRAD_4X3,
        .N = d->N,
        .H = cvl_ceil_div(d->H, 2),
        .W = cvl_ceil_div(d->W, 2),
        .C = 4 * d->C,
        .OH = s->OH,
        .OW = s->OW,
        .OC = d->OC,
        .groups = 1,
        .top = cvl_ceil_div(d->PT, 2),
        .left = cvl_ceil_div(d->PL, 2),
        .flops = s->flops,
    };
}

/* The images that are taken at a time. */
static NAME(winograd) filter_of_images(const cvl_conv2d_shape *s)
{
    NAME(winograd) f = filter_of(s);
    const ptrdiff_t bytes = f.H * f.W * f.C * (ptrdiff_t)sizeof(T);
    while (f.N > 1 && (f.N * bytes > CELLS || s->d.N % f.N))
        f.N--;
    f.flops *= (double)f.N / (double)cvl_max(1, s->d.N);
    return f;
}

/* Lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    *p = (plan){.f = filter_of_images(shape), .kernels = kernels()};
    cvl_scratch s = {base, 0};
    p->x = cvl_carve(&s, (size_t)(p->f.N * p->f.H * p->f.W * p->f.C) * sizeof(T));
    const ptrdiff_t taps = taps_of(&shape->d);
    p->w = cvl_carve(&s, (size_t)(taps * taps * p->f.C * p->f.OC) * sizeof(T));
    p->workspace = cvl_carve(&s, NAME(winograd_forward_workspace)(&p->f, threads));
    return s.used;
}

/* Task: a tap of cells. */
static void weights(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const cvl_conv2d *d = &p->call->shape->d;
    const ptrdiff_t taps = taps_of(d), size = d->C * d->OC;
    (void)worker;
    for (ptrdiff_t tap = begin; tap < end; tap++)
        for (ptrdiff_t phase = 0; phase < 4; phase++) {
            const ptrdiff_t kh = tap / taps * 2 + phase / 2 - d->PT % 2;
            const ptrdiff_t kw = tap % taps * 2 + phase % 2 - d->PL % 2;
            T *out = p->w + (tap * 4 + phase) * size;
            if (kh < 0 || kh >= d->KH || kw < 0 || kw >= d->KW)
                memset(out, 0, (size_t)size * sizeof *out);
            else
                memcpy(out, p->call->w + (kh * d->KW + kw) * size, (size_t)size * sizeof *out);
        }
}

static void make_weights(plan *p)
{
    const ptrdiff_t taps = taps_of(&p->call->shape->d);
    cvl_parallel_for(p->call->threads, taps * taps,
                     (double)(taps * taps * p->f.C * p->f.OC) * sizeof(T), CVL_GRADUAL, weights, p);
    p->f.w = p->w;
}

/* Task: a row of cells; what of it is outside the image is 0. */
static void cells(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const cvl_conv2d *d = &p->call->shape->d;
    const ptrdiff_t half = 2 * d->C, whole = d->W / 2;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++)
        for (ptrdiff_t phase = 0; phase < 2; phase++) {
            const ptrdiff_t n = row / p->f.H, h = row % p->f.H * 2 + phase;
            const T *in = p->images + (n * d->H + h) * d->W * d->C;
            T *out = p->x + row * p->f.W * p->f.C + phase * half;
            if (h >= d->H) {
                for (ptrdiff_t w = 0; w < p->f.W; w++)
                    memset(out + w * p->f.C, 0, (size_t)half * sizeof *out);
                continue;
            }
            p->kernels->copy_pixels(whole, half, out, p->f.C, in, half);
            if (whole < p->f.W) {
                memcpy(out + whole * p->f.C, in + whole * half, (size_t)d->C * sizeof *out);
                memset(out + whole * p->f.C + d->C, 0, (size_t)d->C * sizeof *out);
            }
        }
}

/* --------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass != CVL_CONV2D_FORWARD)
        return "minimal filtering of 5x5 and 7x7 at stride 2 is forward alone";
    if (d->KH != d->KW || (d->KH != 5 && d->KH != 7) || d->SH != 2 || d->SW != 2)
        return "minimal filtering of cells needs a 5x5 or 7x7 kernel and stride 2";
    if (d->DH != 1 || d->DW != 1 || d->groups != 1)
        return "minimal filtering of cells needs dilation 1 and one group";
    return NULL;
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const NAME(winograd) f = filter_of(shape);
    return shape->d.C >= LEAST_C && shape->d.OC >= LEAST_OC &&
           NAME(winograd_tiles)(&f) >= LEAST_TILES && NAME(winograd_beats_direct)(shape, &f, pass);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    (void)pass;
    return make_plan(&p, shape, NULL, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->workspace, call->threads);
    p.call = call;
    if (!call->packed)
        make_weights(&p);
    p.f.x = p.x;
    p.f.u = call->packed;
    p.f.end = call->end;
    const cvl_conv2d *d = &call->shape->d;
    const ptrdiff_t x_size = d->H * d->W * d->C, y_size = p.f.OH * p.f.OW * p.f.OC;
    for (ptrdiff_t n = 0; n < d->N; n += p.f.N) {
        p.images = call->x + n * x_size;
        cvl_parallel_for(call->threads, p.f.N * p.f.H,
                         (double)(p.f.N * p.f.H * p.f.W * p.f.C) * sizeof(T), CVL_GRADUAL, cells,
                         &p);
        p.f.y = call->out + n * y_size;
        p.f.z = call->z ? call->z + n * y_size : NULL;
        NAME(winograd_forward_run)(&p.f, p.workspace, call->threads);
    }
}

static size_t packed_size(const cvl_conv2d_shape *shape)
{
    const NAME(winograd) f = filter_of_images(shape);
    return NAME(winograd_packed_size)(&f);
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    plan p;
    make_plan(&p, call->shape, call->workspace, call->threads);
    p.call = call;
    make_weights(&p);
    NAME(winograd_pack)(&p.f, packed, p.workspace, call->threads);
}

const NAME(conv2d_engine) NAME(winograd_phases_engine) = {
    .algorithm = CVL_CONV2D_WINOGRAD,
    .reason = "minimal filtering needs fewer multiplications",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
    .sum_workspace = NAME(conv2d_no_workspace),
};
