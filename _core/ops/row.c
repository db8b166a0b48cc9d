/* row.c: 1x1 convolutions of one position, as a linear layer of one image is.
 *
 * All it takes is to read w once, so no piece of it is copied, and a worker's pieces lie beside each
 * other. Packed beforehand it is panels of a vector, several of which pass from end to end beside each
 * other: what a CPU fetches ahead of one stream, or of short pieces of rows, is less than memory and L3
 * can give, 1.1 to 2.4 times. Each segment of the order of sums, that of the direct engine (indirect.c),
 * is a row of partial sums; these are added up at the end. Backward data is w, many rows of it, times one
 * column, for which tall.c reads a few elements of a row at a time: where a segment is all of it, or rows
 * would meet in the same sets of a cache. */
#include "conv2d.h"

enum {
    /* Columns of a task of a matrix that caches hold; and of one of LARGE_W elements or more, long pieces of
     * its rows: twice as many where MANY_SEGMENTS make tasks enough. */
    COLUMNS = 128,
    LONG_COLUMNS = 512,
    LARGE_W = 1 << 19,
    MANY_SEGMENTS = 8,

    QUAD = 4 /* most elements of a lane */
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    int transposed; /* the columns of the matrix are rows of w */
    ptrdiff_t VL, K, columns, segments;
    ptrdiff_t wide; /* columns of a task */
    T *sums;        /* (segments, columns) */
} plan;

/* Lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels(), .transposed = pass == CVL_CONV2D_BACKWARD_DATA};
    p->VL = p->kernels->vector / (ptrdiff_t)sizeof(T);
    p->K = p->transposed ? d->OC : d->C;
    p->columns = p->transposed ? d->C : d->OC;
    p->segments = cvl_ceil_div(p->K, CVL_ORDER_K);
    p->wide = p->transposed || p->K * p->columns < LARGE_W ? COLUMNS
              : p->segments < MANY_SEGMENTS                ? LONG_COLUMNS
                                                           : 2 * LONG_COLUMNS;
    cvl_scratch s = {base, 0};
    p->sums = cvl_carve(&s, (size_t)(p->segments * p->columns) * sizeof(T));
    return s.used;
}

/* Tasks by columns, segments. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const T *a = p->transposed ? p->call->dy : p->call->x, *w = p->call->w;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t segment = task % p->segments, column = task / p->segments * p->wide;
        const ptrdiff_t k0 = segment * CVL_ORDER_K, k = cvl_min(CVL_ORDER_K, p->K - k0);
        const ptrdiff_t columns = cvl_min(p->wide, p->columns - column);
        T *sums = p->sums + segment * p->columns + column;
        if (p->transposed && p->segments == 1 && k >= QUAD && columns >= CVL_TALL_ROWS)
            p->kernels->tall(&(NAME(tall)){
                .rows = columns,
                .columns = 1,
                .K = k,
                .turned = 1,
                .a = w + column * k,
                .b = a,
                .c = sums,
                .c_step = 1,
            });
        else if (p->transposed)
            p->kernels->row_product_turned(k, columns, sums, a + k0, w + column * p->K + k0, p->K);
        else
            p->kernels->row_product(k, columns, sums, a + k0, w + k0 * p->columns + column,
                                    p->columns);
    }
}

/* Tasks by columns, segments, of panels. */
static void compute_packed(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t segment = task % p->segments, column = task / p->segments * p->wide;
        const ptrdiff_t k0 = segment * CVL_ORDER_K, k = cvl_min(CVL_ORDER_K, p->K - k0);
        p->kernels->row_packed(k, cvl_min(p->wide, p->columns - column),
                               p->sums + segment * p->columns + column, p->call->x + k0,
                               p->call->packed + column * p->K + k0 * p->VL, p->K * p->VL);
    }
}

static void finish(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    (void)begin, (void)end, (void)worker;
    p->kernels->row_end(p->columns, p->segments, p->call->out, p->sums, &p->call->end);
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return "weight gradients are sums over positions";
    /* Product by product: all of them at once might overflow. */
    if (d->N * d->H * d->W != 1 || shape->OH * shape->OW != 1 || d->KH * d->KW != 1 ||
        d->groups != 1 || d->PT + d->PL != 0)
        return "not a matrix product of one row";
    return NULL;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    (void)threads;
    return make_plan(&p, shape, pass, NULL);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->pass, call->workspace);
    p.call = call;
    if (call->packed)
        p.wide = CVL_ROW_PANELS * p.VL;
    cvl_parallel_for(call->threads, cvl_ceil_div(p.columns, p.wide) * p.segments,
                     call->shape->flops, CVL_FLUSH, call->packed ? compute_packed : compute, &p);
    cvl_parallel_for(1, 1, 0, CVL_FLUSH, finish, &p);
}

static size_t packed_size(const cvl_conv2d_shape *shape)
{
    plan p;
    make_plan(&p, shape, CVL_CONV2D_FORWARD, NULL);
    const ptrdiff_t panels = cvl_ceil_div(p.columns, p.VL);
    return panels > 1 ? (size_t)(panels * p.VL * p.K) * sizeof(T) : 0;
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    plan p;
    make_plan(&p, call->shape, call->pass, NULL);
    memset(packed, 0, packed_size(call->shape));
    for (ptrdiff_t column = 0; column < p.columns; column += p.VL)
        p.kernels->copy_pixels(p.K, cvl_min(p.VL, p.columns - column), packed + column * p.K, p.VL,
                               call->w + column, p.columns);
}

const NAME(conv2d_engine) NAME(row_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of one row",
    .refuses = refuses,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
};
