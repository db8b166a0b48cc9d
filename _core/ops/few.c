/* few.c: 1x1 convolutions of a few positions whose weights were packed, and come from beyond L2: those of a
 * program. All others of these shapes are left to product.c.
 *
 * A worker reads its panels of w once, under tiles of rows that share them evenly; of x it has a copy whose
 * rows lie side by side, as whole pages apart they would meet in the same sets of a cache.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

enum {
    /* Positions between which it is faster than product.c: of fewer w is all that counts, of more the tiles
     * of that have the better shape; and elements of w that come from beyond L2. */
    LEAST = 7,
    MOST = 50,
    FAR_W = 1 << 17
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    ptrdiff_t M, K, columns;
    ptrdiff_t rows, width; /* of a tile, and columns of a panel */
    ptrdiff_t copied;      /* elements of x, of which each worker has a copy */
    T *copies;
} plan;

/* Lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, int threads, char *base)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels(), .M = d->N * d->H * d->W, .K = d->C, .columns = d->OC};
    const ptrdiff_t tiles = cvl_ceil_div(p->M, CVL_FEW_ROWS);
    p->rows = cvl_max(CVL_FEW_ROWS - 4, cvl_ceil_div(cvl_ceil_div(p->M, tiles), 2) * 2);
    p->width = 2 * p->kernels->vector / (ptrdiff_t)sizeof(T);
    p->copied = cvl_ceil_div(tiles * p->rows * p->K, LINE) * LINE;
    cvl_scratch s = {base, 0};
    p->copies = cvl_carve(&s, (size_t)(threads * p->copied) * sizeof(T));
    return s.used;
}

/* Copies x: by segments, tiles, k, rows of a tile. */
static void copy_rows(const plan *p, T *a)
{
    memset(a, 0, (size_t)p->copied * sizeof(T));
    for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
        const ptrdiff_t k = cvl_min(CVL_ORDER_K, p->K - k0);
        for (ptrdiff_t row = 0; row < p->M; row += p->rows, a += k * p->rows)
            p->kernels->transpose(k, cvl_min(p->rows, p->M - row), a, p->rows,
                                  p->call->x + row * p->K + k0, p->K);
    }
}

/* Task: a panel. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    T *const copy = p->copies + worker * p->copied;
    copy_rows(p, copy);
    for (ptrdiff_t panel = begin; panel < end; panel++) {
        const ptrdiff_t column = panel * p->width;
        const T *a = copy, *b = p->call->packed + column * p->K;
        for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
            const cvl_gemm_run run = {.k = cvl_min(CVL_ORDER_K, p->K - k0)};
            T *c[CVL_FEW_ROWS];
            NAME(gemm_tile)
            tile = {
                .run = &run,
                .a = &a,
                .b = b,
                .nr = (int)cvl_min(p->width, p->columns - column),
                .c = c,
                .c0 = column,
                .add = k0 > 0,
            };
            if (k0 + run.k == p->K) {
                tile.end = p->call->end;
                if (tile.end.bias)
                    tile.end.bias += column;
            }
            for (ptrdiff_t row = 0; row < p->M; row += p->rows, a += run.k * p->rows) {
                tile.mr = (int)cvl_min(p->rows, p->M - row);
                for (int i = 0; i < tile.mr; i++)
                    c[i] = p->call->out + (row + i) * p->columns;
                p->kernels->few(&tile, p->rows, row == 0);
            }
            b += run.k * p->width;
        }
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    return pass == CVL_CONV2D_FORWARD ? cvl_conv2d_refuses_product(shape, pass)
                                      : "not a forward pass";
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t rows = shape->d.N * shape->d.H * shape->d.W;
    (void)pass;
    return rows >= LEAST && rows <= MOST && shape->w_size >= FAR_W && kernels() && kernels()->few;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    const size_t bytes = make_plan(&p, shape, threads, NULL);
    const size_t others = NAME(product_engine).workspace(shape, pass, threads);
    return bytes > others ? bytes : others;
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    if (!call->packed) {
        NAME(product_engine).run(call);
        return;
    }
    make_plan(&p, call->shape, call->threads, call->workspace);
    p.call = call;
    cvl_parallel_for(call->threads, cvl_ceil_div(p.columns, p.width), call->shape->flops, CVL_FLUSH,
                     compute, &p);
}

static size_t packed_size(const cvl_conv2d_shape *shape)
{
    plan p;
    make_plan(&p, shape, 1, NULL);
    return (size_t)(cvl_ceil_div(p.columns, p.width) * p.width * p.K) * sizeof(T);
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    plan p;
    make_plan(&p, call->shape, 1, NULL);
    memset(packed, 0, packed_size(call->shape));
    for (ptrdiff_t column = 0; column < p.columns; column += p.width)
        p.kernels->copy_pixels(p.K, cvl_min(p.width, p.columns - column), packed + column * p.K,
                               p.width, call->w + column, p.columns);
}

const NAME(conv2d_engine) NAME(few_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few rows",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
};
