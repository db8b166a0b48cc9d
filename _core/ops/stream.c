/* stream.c: 1x1 convolutions of few positions whose weights come from beyond L2, as of a large linear layer.
 *
 * A panel of w is a piece of each of its rows, and where rows are long no prefetcher knows the next. Here a
 * few rows of w are read from end to end, as streams that CPUs follow, under sums that wait in L2.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

enum {
    ROWS = CVL_CHAIN_ROWS,
    COLUMNS = CVL_CHAIN_COLUMNS,

    /* Rows of w that are read at a time: more are more streams than CPUs follow; of fewer the sums move more
     * often, which of more tiles than FEW_TILES takes longer than w. */
    PIECE = 24,
    FEW_TILES = 4,

    /* Bytes of sums that stay in L2 while a segment is added to them. */
    SUMS_IN_L2 = 3 << 18,

    /* Elements of w from which on it comes from far, also where two threads share it, for a tile of rows at
     * least; for fewer. And rows beyond which it is as well to copy panels, whose sums do not move. */
    FAR_W = 31 << 16,
    FAR_W_FEW = 1 << 23,
    MOST_ROWS = 64
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    ptrdiff_t M, K, columns;
    ptrdiff_t tiles, panels, group; /* of rows, of columns, and of those that are summed together */
    T *scratch;
    /* Elements: the rows of a segment, the sums of a group, and all of a worker. */
    ptrdiff_t packed, sums, worker;
} plan;

/* Lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, int threads, char *base)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels(), .M = d->N * d->H * d->W, .K = d->C, .columns = d->OC};
    p->tiles = cvl_ceil_div(p->M, ROWS);
    p->panels = cvl_ceil_div(p->columns, COLUMNS);
    const ptrdiff_t most = SUMS_IN_L2 / (ptrdiff_t)sizeof(T) / (p->tiles * ROWS * COLUMNS);
    p->group = cvl_max(1, cvl_min(most, cvl_ceil_div(p->panels, threads)));
    p->packed = p->tiles * ROWS * cvl_min(p->K, CVL_ORDER_K);
    p->sums = p->group * p->tiles * ROWS * COLUMNS;
    p->worker = p->packed + (p->K > CVL_ORDER_K ? 2 : 1) * p->sums;
    cvl_scratch s = {base, 0};
    p->scratch = cvl_carve(&s, (size_t)(threads * p->worker) * sizeof(T));
    return s.used;
}

/* Where a panel begins: the last ends with w. */
static ptrdiff_t column_of(const plan *p, ptrdiff_t panel)
{
    return cvl_min(panel * COLUMNS, p->columns - COLUMNS);
}

/* Sums the reduction indices [k0, k0 + k) of the panels [first, end). */
static void sum_segment(const plan *p, ptrdiff_t k0, ptrdiff_t k, ptrdiff_t first, ptrdiff_t end,
                        const T *a, T *sums)
{
    const ptrdiff_t piece = p->tiles > FEW_TILES ? 2 * PIECE : PIECE;
    for (ptrdiff_t at = 0; at < k; at += piece)
        for (ptrdiff_t panel = first; panel < end; panel++) {
            const T *b = p->call->w + (k0 + at) * p->columns + column_of(p, panel);
            for (ptrdiff_t tile = 0; tile < p->tiles; tile++)
                p->kernels->chain(cvl_min(piece, k - at),
                                  sums + ((panel - first) * p->tiles + tile) * ROWS * COLUMNS,
                                  a + (tile * k + at) * ROWS, b, p->columns, at == 0, tile == 0);
        }
}

/* Writes the panels [first, end). */
static void write_group(const plan *p, ptrdiff_t first, ptrdiff_t end, const T *sums)
{
    for (ptrdiff_t panel = first; panel < end; panel++, sums += p->tiles * ROWS * COLUMNS) {
        const ptrdiff_t column = panel * COLUMNS, before = column - column_of(p, panel);
        NAME(epilogue) ending = p->call->end;
        if (ending.bias)
            ending.bias += column;
        for (ptrdiff_t row = 0; row < p->M; row++)
            p->kernels->row_end(COLUMNS - before, 1, p->call->out + row * p->columns + column,
                                sums + row * COLUMNS + before, &ending);
    }
}

/* Tasks by panels. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(epilogue) none = {0};
    T *const a = p->scratch + worker * p->worker, *const sums = a + p->packed;
    memset(a, 0, (size_t)p->packed * sizeof(T));
    for (ptrdiff_t first = begin, last; first < end; first = last) {
        last = cvl_min(end, first + p->group);
        const ptrdiff_t size = (last - first) * p->tiles * ROWS * COLUMNS;
        for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
            const ptrdiff_t k = cvl_min(CVL_ORDER_K, p->K - k0);
            for (ptrdiff_t row = 0; row < p->M; row += ROWS)
                p->kernels->transpose(k, cvl_min(ROWS, p->M - row), a + row * k, ROWS,
                                      p->call->x + row * p->K + k0, p->K);
            sum_segment(p, k0, k, first, last, a, k0 > 0 ? sums + size : sums);
            if (k0 > 0)
                p->kernels->row_end(size, 2, sums, sums, &none);
        }
        write_group(p, first, last, sums);
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if (pass != CVL_CONV2D_FORWARD || shape->d.OC < COLUMNS)
        return "not a forward pass to many channels";
    return cvl_conv2d_refuses_product(shape, pass);
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t rows = shape->d.N * shape->d.H * shape->d.W;
    (void)pass;
    return shape->w_size >= (rows < ROWS ? FAR_W_FEW : FAR_W) && rows <= MOST_ROWS;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    (void)pass;
    return make_plan(&p, shape, threads, NULL);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->threads, call->workspace);
    p.call = call;
    cvl_parallel_for(call->threads, p.panels, call->shape->flops, CVL_FLUSH, compute, &p);
}

const NAME(conv2d_engine) NAME(stream_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few rows, and weights from afar",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
