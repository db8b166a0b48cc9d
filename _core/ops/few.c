/* few.c: 1x1 convolutions to two to four channels, as the last of a segmentation network is.
 *
 * Few output channels fill no vector, but positions do: the pixels, taken for the columns of a matrix,
 * are turned a panel at a time, and w, its columns one after the other, is the other matrix.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

/* Output channels, at most; positions of a task; positions below which most of a panel is empty, and
 * channels below which the direct engine wastes less; bytes of pixels up to which they come from
 * caches: of more the direct engine fetches the next. */
enum { MOST = 4, POSITIONS = 128, LEAST = 32, FEW = 16, CACHED = 8 << 20 };

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(gemm_panel) *panel;
    const NAME(kernels) *kernels;
    int transposed;          /* w is (outputs, K) */
    ptrdiff_t M, K, outputs; /* positions, and channels of what is read and written */
    char *worker_memory;
    size_t worker_bytes;
} plan;

typedef struct worker {
    T *w;      /* (outputs, K) */
    T *turned; /* (CVL_ORDER_K, NR) */
    T *planes; /* (outputs, NR) */
    T *bias;   /* (NR, outputs) */
} worker;

static worker carve_worker(const plan *p, char *base, size_t *bytes)
{
    const ptrdiff_t NR = p->panel->NR;
    cvl_scratch s = {base, 0};
    worker w;
    w.w = cvl_carve(&s, (size_t)(p->outputs * p->K) * sizeof(T));
    w.turned = cvl_carve(&s, (size_t)(cvl_min(p->K, CVL_ORDER_K) * NR) * sizeof(T));
    w.planes = cvl_carve(&s, (size_t)(p->outputs * NR) * sizeof(T));
    w.bias = cvl_carve(&s, (size_t)(p->outputs * NR) * sizeof(T));
    *bytes = s.used;
    return w;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base,
                        int threads)
{
    const cvl_conv2d *d = &shape->d;
    const int transposed = pass == CVL_CONV2D_BACKWARD_DATA;
    *p = (plan){.kernels = kernels(), .transposed = transposed, .M = d->N * d->H * d->W};
    if (!p->kernels)
        return 0;
    p->panel = p->kernels->gemm;
    p->K = transposed ? d->OC : d->C;
    p->outputs = transposed ? d->C : d->OC;
    carve_worker(p, NULL, &p->worker_bytes);
    cvl_scratch s = {base, 0};
    p->worker_memory = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

/* The planes of `count` positions, whose inputs lie at `in`. */
static void multiply(const plan *p, const worker *w, const T *in, ptrdiff_t count)
{
    const T *a[CVL_GEMM_MR_MAX];
    T *c[CVL_GEMM_MR_MAX];
    for (ptrdiff_t m = 0; m < p->panel->MR; m++) {
        a[m] = w->w + cvl_min(m, p->outputs - 1) * p->K;
        c[m] = w->planes + cvl_min(m, p->outputs - 1) * p->panel->NR;
    }
    for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
        const cvl_gemm_run run = {0, cvl_min(CVL_ORDER_K, p->K - k0), k0};
        p->kernels->transpose(run.k, count, w->turned, p->panel->NR, in + k0, p->K);
        p->panel->kernel(&(NAME(gemm_tile)){
            .runs = 1,
            .run = &run,
            .a = a,
            .packed = 1,
            .b = w->turned,
            .b_step = p->panel->NR,
            .mr = (int)p->outputs,
            .nr = (int)p->panel->NR,
            .c = c,
            .add = k0 > 0,
        });
    }
}

/* Task: POSITIONS neighbouring positions. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    const NAME(conv2d_call) *call = p->call;
    const ptrdiff_t NR = p->panel->NR, outputs = p->outputs;
    size_t bytes;
    const worker w = carve_worker(p, p->worker_memory + (size_t)number * p->worker_bytes, &bytes);
    NAME(epilogue) ending = call->end;
    const int ends = ending.bias || ending.activation != CVL_ACTIVATION_NONE;
    for (ptrdiff_t i = 0; ending.bias && i < NR * outputs; i++)
        w.bias[i] = call->end.bias[i % outputs];
    if (ending.bias)
        ending.bias = w.bias;
    if (p->transposed)
        memcpy(w.w, call->w, (size_t)(outputs * p->K) * sizeof(T));
    else
        p->kernels->transpose(outputs, p->K, w.w, p->K, call->w, outputs);
    /* Columns past the last position are multiplied, and not read. */
    memset(w.turned, 0, (size_t)(cvl_min(p->K, CVL_ORDER_K) * NR) * sizeof(T));

    const T *in = p->transposed ? call->dy : call->x;
    const ptrdiff_t last = cvl_min(end * POSITIONS, p->M);
    for (ptrdiff_t first = begin * POSITIONS; first < last; first += NR) {
        const ptrdiff_t count = cvl_min(NR, last - first);
        T *out = call->out + first * outputs;
        multiply(p, &w, in + first * p->K, count);
        p->kernels->transpose(count, outputs, out, outputs, w.planes, NR);
        if (ends)
            p->kernels->row_end(count * outputs, 1, out, out, &ending);
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return "weight gradients are sums over positions";
    if (!cvl_conv2d_is_product(shape))
        return "not a matrix product";
    return (pass == CVL_CONV2D_FORWARD ? d->OC : d->C) <= MOST ? NULL : "more than a few channels";
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t K = pass == CVL_CONV2D_FORWARD ? shape->d.C : shape->d.OC;
    const ptrdiff_t M = shape->d.N * shape->d.H * shape->d.W;
    return M >= LEAST && K >= FEW && M * K * (ptrdiff_t)sizeof(T) <= CACHED;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    return make_plan(&p, shape, pass, NULL, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->pass, call->workspace, call->threads);
    p.call = call;
    cvl_parallel_for(call->threads, cvl_ceil_div(p.M, POSITIONS), call->shape->flops, CVL_FLUSH,
                     compute, &p);
}

const NAME(conv2d_engine) NAME(few_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few columns",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
