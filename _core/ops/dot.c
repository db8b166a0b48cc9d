/* dot.c: 1x1 convolutions to one channel, of few positions or of many channels, of which tall.c would read
 * a few at a time, from rows that meet in the same sets of a cache.
 *
 * One output channel fills no vector, but positions do: the pixels, taken for the columns of a matrix,
 * are turned in registers on their way to the multiply-adds (row.c), and read once.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

/* Positions of a task; of fewer channels the direct engine wastes less. */
enum { POSITIONS = 128, LEAST_CHANNELS = 16 };

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    const T *in;
    ptrdiff_t M, K;
    size_t worker_bytes; /* sums (segments, POSITIONS) */
} plan;

/* Cuts the problem and returns the bytes of workspace. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels(), .M = d->N * d->H * d->W};
    p->K = pass == CVL_CONV2D_FORWARD ? d->C : d->OC;
    p->worker_bytes = (size_t)cvl_ceil_div(p->K, CVL_ORDER_K) * POSITIONS * sizeof(T);
    return p->worker_bytes * (size_t)threads;
}

/* Task: POSITIONS neighbouring positions. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    T *sums = (T *)(void *)(p->call->workspace + (size_t)worker * p->worker_bytes);
    T bias[POSITIONS];
    NAME(epilogue) ending = p->call->end;
    for (ptrdiff_t i = 0; ending.bias && i < POSITIONS; i++)
        bias[i] = *p->call->end.bias;
    if (ending.bias)
        ending.bias = bias;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t first = task * POSITIONS, count = cvl_min(POSITIONS, p->M - first);
        ptrdiff_t segments = 0;
        for (ptrdiff_t k = 0; k < p->K; k += CVL_ORDER_K, segments++)
            p->kernels->row_product_turned(cvl_min(CVL_ORDER_K, p->K - k), count,
                                           sums + segments * count, p->call->w + k,
                                           p->in + first * p->K + k, p->K);
        p->kernels->row_end(count, segments, p->call->out + first, sums, &ending);
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if ((pass == CVL_CONV2D_FORWARD ? shape->d.OC : shape->d.C) != 1)
        return "more than one channel";
    return cvl_conv2d_refuses_product(shape, pass);
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t K = pass == CVL_CONV2D_FORWARD ? shape->d.C : shape->d.OC;
    const ptrdiff_t M = shape->d.N * shape->d.H * shape->d.W;
    return K >= LEAST_CHANNELS && (M < CVL_TALL_ROWS || K > CVL_ORDER_K);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    return make_plan(&p, shape, pass, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->pass, call->threads);
    p.call = call;
    p.in = call->pass == CVL_CONV2D_FORWARD ? call->x : call->dy;
    cvl_parallel_for(call->threads, cvl_ceil_div(p.M, POSITIONS), call->shape->flops, CVL_FLUSH,
                     compute, &p);
}

const NAME(conv2d_engine) NAME(dot_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of one column",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
