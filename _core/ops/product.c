/* product.c: 1x1 convolutions of few positions, as a linear layer is.
 *
 * Packing the weights would be a tenth of the work at 64 positions, and most of it at few. So the
 * micro-kernel reads w as it lies (forward), or a panel of it that its worker has just turned
 * (backward data); but of a program, which packs once for many calls, panels that are packed. A task is
 * a few rows of a panel; neighbours of one panel are run together, so that a worker reads each piece of
 * its panel once.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "bands.h"
#include "conv2d.h"

/* Rows of a task, and of what passes under all panels together: few where panels are quickly turned, lest
 * threads share rows, since each would fetch the lines beside its own. Rows of w further apart than FAR
 * elements meet in the same sets of a cache, where more than FEW rows would read them again; for more
 * than MOST rows packing is cheap. A panel of at most SMALL elements is turned onto the stack: to borrow a
 * workspace is a good part of so small a product. */
enum { ROWS = 16, BLOCK = 256, BLOCK_SMALL = 64, FAR = 512, FEW = 16, MOST = 512, SMALL = 1024 };

/* C = A B: A (M,K), B (K,columns). */
typedef struct product {
    const NAME(kernels) *kernels;
    ptrdiff_t M, K, columns;
    const T *a, *w; /* w is B or, transposed, its columns one after the other */
    const T *ready; /* B in panels, or NULL */
    T *c;
    NAME(epilogue) end;
    cvl_bands bands;
    int transposed;
    ptrdiff_t tasks; /* of a panel, in a block: blocks are even */
    T *turned;       /* (workers, CVL_ORDER_K, NR), or NULL: panels are SMALL */
} product;

/* ------------------------------------------------------------------------------ the product */

/* Reduction indices [k0, k0 + k) of rows [row, end) of a panel. */
static void run_segment(const product *p, ptrdiff_t k0, ptrdiff_t k, ptrdiff_t row, ptrdiff_t end,
                        cvl_panel_place place, const T *b, ptrdiff_t b_step)
{
    const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
    const cvl_gemm_run run = {.k0 = 0, .k = k, .a = k0};
    const T *a[CVL_GEMM_MR_MAX];
    T *c[CVL_GEMM_MR_MAX];
    NAME(gemm_tile)
    tile = {
        .runs = 1,
        .run = &run,
        .a = a,
        .packed = p->transposed || p->ready,
        .b = b,
        .b_step = b_step,
        .nr = (int)cvl_min(place.NR, p->columns - place.column),
        .c = c,
        .c0 = place.column,
        .add = k0 > 0,
    };
    if (k0 + k == p->K) {
        tile.end = p->end;
        if (p->end.bias)
            tile.end.bias += place.column;
    }
    for (; row < end; row += panel->MR) {
        tile.mr = (int)cvl_min(panel->MR, end - row);
        for (int i = 0; i < panel->MR; i++) {
            const ptrdiff_t at = row + (i < tile.mr ? i : 0);
            a[i] = p->a + at * p->K;
            c[i] = p->c + at * p->columns;
        }
        panel->kernel(&tile);
    }
}

static void run_panel(const product *p, ptrdiff_t row, ptrdiff_t end, cvl_panel_place place,
                      int worker)
{
    _Alignas(64) T small[SMALL];
    T *turned = p->turned ? p->turned + worker * CVL_ORDER_K * p->kernels->gemm[0].NR : small;
    for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
        const ptrdiff_t k = cvl_min(CVL_ORDER_K, p->K - k0);
        if (p->ready) {
            run_segment(p, k0, k, row, end, place, p->ready + place.column * p->K + k0 * place.NR,
                        place.NR);
            continue;
        }
        if (!p->transposed) {
            run_segment(p, k0, k, row, end, place, p->w + k0 * p->columns + place.column,
                        p->columns);
            continue;
        }
        p->kernels->transpose(k, cvl_min(place.NR, p->columns - place.column), turned, place.NR,
                              p->w + place.column * p->K + k0, p->K);
        run_segment(p, k0, k, row, end, place, turned, place.NR);
    }
}

/* Tasks by blocks of rows, panels, rows. */
static void run_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    for (ptrdiff_t task = begin, stop; task < end; task = stop) {
        const ptrdiff_t panel = task / p->tasks, block = panel / p->bands.panels * p->tasks * ROWS;
        stop = cvl_min(end, (panel + 1) * p->tasks);
        const ptrdiff_t first = block + (task - panel * p->tasks) * ROWS;
        const ptrdiff_t last = block + (stop - panel * p->tasks) * ROWS;
        run_panel(p, first, cvl_min(last, p->M), cvl_panel_at(&p->bands, panel % p->bands.panels),
                  worker);
    }
}

/* ------------------------------------------------------------------------------- the engine */

/* A matrix product once it is flattened (shapes.h). */
static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return "weight gradients are sums over positions";
    if (!cvl_conv2d_is_product(shape))
        return "not a matrix product";
    return NULL;
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    const ptrdiff_t M = d->N * d->H * d->W;
    return M <= FEW || (M <= MOST && (pass == CVL_CONV2D_BACKWARD_DATA || d->OC <= FAR));
}

/* Bytes of `turned`. */
static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const NAME(kernels) *k = kernels();
    if (!k || pass != CVL_CONV2D_BACKWARD_DATA || shape->d.OC <= SMALL / k->gemm[0].NR)
        return 0;
    return (size_t)threads * CVL_ORDER_K * (size_t)k->gemm[0].NR * sizeof(T);
}

static void run(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const cvl_conv2d *d = &shape->d;
    const int transposed = call->pass == CVL_CONV2D_BACKWARD_DATA;
    product p = {
        .kernels = kernels(),
        .M = d->N * d->H * d->W,
        .K = transposed ? d->OC : d->C,
        .columns = transposed ? d->C : d->OC,
        .a = transposed ? call->dy : call->x,
        .w = call->w,
        .ready = call->packed,
        .c = call->out,
        .end = call->end,
        .transposed = transposed,
        .turned = workspace(shape, call->pass, call->threads) ? (T *)(void *)call->workspace : NULL,
    };
    p.bands = NAME(make_bands)(p.kernels->gemm, p.columns);
    const ptrdiff_t blocks = cvl_ceil_div(p.M, transposed && !p.turned ? BLOCK_SMALL : BLOCK);
    p.tasks = cvl_ceil_div(p.M, blocks * ROWS);
    cvl_parallel_for(call->threads, blocks * p.bands.panels * p.tasks, shape->flops, CVL_FLUSH,
                     run_tasks, &p);
}

static cvl_bands bands_of(const cvl_conv2d_shape *shape)
{
    return NAME(make_bands)(kernels()->gemm, shape->d.OC);
}

/* A panel as wide as w is w. */
static size_t packed_size(const cvl_conv2d_shape *shape)
{
    const cvl_bands bands = bands_of(shape);
    return bands.panels == 1 && bands.columns == shape->d.OC
               ? 0
               : (size_t)(shape->d.C * bands.columns) * sizeof(T);
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    const cvl_bands bands = bands_of(call->shape);
    const ptrdiff_t K = call->shape->d.C, OC = call->shape->d.OC;
    memset(packed, 0, packed_size(call->shape));
    for (ptrdiff_t panel = 0; panel < bands.panels; panel++) {
        const cvl_panel_place place = cvl_panel_at(&bands, panel);
        kernels()->copy_pixels(K, cvl_min(place.NR, OC - place.column), packed + place.column * K,
                               place.NR, call->w + place.column, OC);
    }
}

const NAME(conv2d_engine) NAME(product_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few rows",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
};
