/* outer.c: backward weights.
 *
 * dw[kh,kw,c,:] is a sum over output positions of x * dy rows: the micro-kernel with A = x^T, its
 * rows being channels and its reduction running along a row of output positions. Positions whose
 * tap lies in the padding are cut off the row, so no zeros are multiplied.
 *
 * Order of sums: output positions are dealt to blocks of CVL_ORDER_PIXELS (whole rows, or pieces of
 * one), one FMA chain each, added to dw in order. Where dw is small the blocks are further dealt to
 * `splits` partial sums, added in order at the end; their number depends on the shape only. */
#include "outer.h"

#include "bands.h"

enum { CHUNK = 64 }; /* channels and outputs of a task */

typedef struct plan {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    ptrdiff_t C, OC;                /* per group */
    ptrdiff_t rows, pieces, blocks; /* rows of a block, pieces of a row */
    ptrdiff_t splits, c_chunks, oc_chunks;
    T *dw, *partial; /* partial (splits - 1, KH, KW, C, groups*OC) */
    const T *dy, *x;
    char *worker_tables;
    size_t worker_bytes;
} plan;

typedef struct tables {
    cvl_gemm_run *runs; /* (rows) */
} tables;

static tables carve_tables(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    t.runs = cvl_carve(&s, (size_t)p->rows * sizeof *t.runs);
    *bytes = s.used;
    return t;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.shape = shape, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->C = d->C / d->groups;
    p->OC = d->OC / d->groups;
    p->rows = cvl_max(1, CVL_ORDER_PIXELS / shape->OW);
    p->pieces = cvl_ceil_div(shape->OW, CVL_ORDER_PIXELS);
    p->blocks = cvl_ceil_div(d->N * shape->OH * p->pieces, p->rows);
    p->c_chunks = cvl_ceil_div(p->C, CHUNK);
    p->oc_chunks = cvl_ceil_div(p->OC, CHUNK);
    const ptrdiff_t units = d->groups * d->KH * d->KW * p->c_chunks * p->oc_chunks;
    p->splits = cvl_max(1, cvl_min(p->blocks, cvl_ceil_div(CVL_ORDER_UNITS, units)));

    cvl_scratch s = {base, 0};
    p->partial = cvl_carve(&s, (size_t)((p->splits - 1) * shape->w_size) * sizeof(T));
    carve_tables(p, NULL, &p->worker_bytes);
    p->worker_tables = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(outer_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    plan p;
    return make_plan(&p, shape, NULL, threads);
}

/* Lists the runs of a block for the tap (kh, kw): the stretches of its rows inside the input. */
static ptrdiff_t list_rows(const plan *p, ptrdiff_t block, ptrdiff_t kh, ptrdiff_t kw,
                           const tables *t)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t OH = p->shape->OH, OW = p->shape->OW;
    /* ow is inside when 0 <= ow*SW + left < W. */
    const ptrdiff_t left = kw * d->DW - d->PL, top = kh * d->DH - d->PT;
    const ptrdiff_t low = cvl_max(0, cvl_ceil_div(-left, d->SW));
    const ptrdiff_t high = cvl_min(OW, cvl_floor_div(d->W - 1 - left, d->SW) + 1);
    const ptrdiff_t last = cvl_min((block + 1) * p->rows, d->N * OH * p->pieces);
    ptrdiff_t runs = 0;
    for (ptrdiff_t row = block * p->rows; row < last; row++) {
        const ptrdiff_t piece = row % p->pieces, oh = row / p->pieces % OH;
        const ptrdiff_t n = row / p->pieces / OH, ih = oh * d->SH + top;
        const ptrdiff_t begin = cvl_max(low, piece * CVL_ORDER_PIXELS);
        const ptrdiff_t end = cvl_min(high, (piece + 1) * CVL_ORDER_PIXELS);
        if (ih < 0 || ih >= d->H || begin >= end)
            continue;
        t->runs[runs++] = (cvl_gemm_run){(n * OH + oh) * OW + begin, end - begin,
                                         ((n * d->H + ih) * d->W + begin * d->SW + left) * d->C};
    }
    return runs;
}

/* Adds the outer products of `runs` rows to the rows of dw from channel c on (`mr` of them). */
static void run_tile(const plan *p, ptrdiff_t runs, const tables *t, T *dw, ptrdiff_t group,
                     ptrdiff_t c, ptrdiff_t c_end, cvl_panel_place place, ptrdiff_t oc_end, int add)
{
    const cvl_conv2d *d = &p->shape->d;
    const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
    const int mr = (int)cvl_min(panel->MR, c_end - c);
    const T *a[CVL_GEMM_MR_MAX];
    T *rows[CVL_GEMM_MR_MAX];
    for (int i = 0; i < panel->MR; i++)
        a[i] = p->x + group * p->C + c + (i < mr ? i : 0);
    for (int i = 0; i < mr; i++)
        rows[i] = dw + (c + i) * d->OC + group * p->OC + place.column;
    panel->kernel(&(NAME(gemm_tile)){
        .runs = runs,
        .run = t->runs,
        .a = a,
        .a_step = d->SW * d->C,
        .b = p->dy + group * p->OC + place.column,
        .b_step = d->OC,
        .mr = mr,
        .nr = (int)cvl_min(place.NR, oc_end - place.column),
        .c = rows,
        .add = add,
    });
}

/* Task: CHUNK channels x CHUNK outputs of one tap and group, over the blocks of one split. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const cvl_conv2d *d = &p->shape->d;
    size_t bytes;
    const tables t = carve_tables(p, p->worker_tables + (size_t)worker * p->worker_bytes, &bytes);
    for (ptrdiff_t task = begin; task < end; task++) {
        ptrdiff_t rest = task;
        const ptrdiff_t oc0 = rest % p->oc_chunks * CHUNK,
                        c0 = rest / p->oc_chunks % p->c_chunks * CHUNK;
        rest /= p->oc_chunks * p->c_chunks;
        const ptrdiff_t tap = rest % (d->KH * d->KW), group = rest / (d->KH * d->KW) % d->groups;
        const ptrdiff_t split = rest / (d->KH * d->KW) / d->groups;
        const ptrdiff_t c1 = cvl_min(c0 + CHUNK, p->C), oc1 = cvl_min(oc0 + CHUNK, p->OC);
        const cvl_bands bands = NAME(make_bands)(p->kernels->gemm, oc1 - oc0);
        T *dw = (split ? p->partial + (split - 1) * p->shape->w_size : p->dw) + tap * p->C * d->OC;

        const ptrdiff_t first = p->blocks * split / p->splits;
        const ptrdiff_t last = p->blocks * (split + 1) / p->splits;
        for (ptrdiff_t block = first; block < last; block++) {
            const ptrdiff_t runs = list_rows(p, block, tap / d->KW, tap % d->KW, &t);
            for (ptrdiff_t panel = 0; panel < bands.panels; panel++) {
                cvl_panel_place place = cvl_panel_at(&bands, panel);
                place.column += oc0;
                for (ptrdiff_t c = c0; c < c1; c += p->kernels->gemm[place.width].MR)
                    run_tile(p, runs, &t, dw, group, c, c1, place, oc1, block > first);
            }
        }
    }
}

enum { MERGE = 4096 }; /* elements of a merge task */

static void merge(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const ptrdiff_t size = p->shape->w_size;
    const ptrdiff_t first = begin * MERGE, n = cvl_min(end * MERGE, size) - first;
    (void)worker;
    for (ptrdiff_t split = 1; split < p->splits; split++)
        p->kernels->add(n, p->dw + first, p->dw + first, p->partial + (split - 1) * size + first);
}

void NAME(outer_run)(const cvl_conv2d_shape *shape, T *dw, const T *dy, const T *x, void *workspace,
                     int threads)
{
    const cvl_conv2d *d = &shape->d;
    plan p;
    make_plan(&p, shape, workspace, threads);
    p.dw = dw;
    p.dy = dy;
    p.x = x;
    const ptrdiff_t units = d->groups * d->KH * d->KW * p.c_chunks * p.oc_chunks;
    cvl_parallel_for(threads, units * p.splits, shape->flops, CVL_FLUSH, compute, &p);
    if (p.splits > 1)
        cvl_parallel_for(threads, cvl_ceil_div(shape->w_size, MERGE),
                         (double)(p.splits * shape->w_size) * sizeof(T), CVL_FLUSH, merge, &p);
}
