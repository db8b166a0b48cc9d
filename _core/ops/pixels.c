/* pixels.c: 1x1 convolutions from few channels to few: pixels side by side share a vector.
 *
 * To the kernel they are groups, which have inputs of their own and weights alike.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain. */
#include "conv2d.h"

enum {
    LEAST_PIXELS = 2,     /* of a vector */
    LEAST_POSITIONS = 64, /* of fewer other engines are as fast */
    DOT_CHANNELS = 8,     /* to a single one, from which on dot.c is faster */
    TASK_VECTORS = 32,
    CALL_VECTORS = 128, /* most of a call of the kernel */
    LANES = 16          /* of the widest vector */
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const T *in;
    ptrdiff_t M, K, outputs; /* positions, and channels of what is read and written */
    ptrdiff_t VL, pixels;    /* elements and pixels of a vector */
    _Alignas(64) T b[LANES / LEAST_PIXELS * LANES];
    T bias[LANES];
} plan;

static ptrdiff_t vector_size(void)
{
    const NAME(kernels) *k = kernels();
    return k ? k->vector / (ptrdiff_t)sizeof(T) : 0;
}

/* Multiplies `count` vectors of so many pixels each. */
static void multiply(const plan *p, const T *in, T *out, ptrdiff_t count, ptrdiff_t pixels)
{
    const T *a[CALL_VECTORS + 2 * CVL_GEMM_MR_MAX];
    T *c[CALL_VECTORS + CVL_GEMM_MR_MAX];
    for (ptrdiff_t i = 0; i < count; i++) {
        a[i] = in + i * pixels * p->K;
        c[i] = out + i * pixels * p->outputs;
    }
    for (ptrdiff_t i = 0; i < 2 * CVL_GEMM_MR_MAX; i++)
        a[count + i] = a[count - 1];
    for (ptrdiff_t i = 0; i < CVL_GEMM_MR_MAX; i++)
        c[count + i] = c[count - 1];
    const cvl_gemm_run run = {0, p->K, 0};
    NAME(epilogue) end = p->call->end;
    if (end.bias)
        end.bias = p->bias;
    kernels()->gemm_groups(&(NAME(gemm_tile)){
        .runs = 1,
        .run = &run,
        .a = a,
        .packed = 1,
        .b = p->b,
        .b_step = p->outputs,
        .mr = (int)count,
        .nr = (int)(pixels * p->outputs),
        .c = c,
        .end = end,
    });
}

/* Task: TASK_VECTORS neighbouring vectors. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const ptrdiff_t last = cvl_min(end * TASK_VECTORS * p->pixels, p->M);
    (void)worker;
    for (ptrdiff_t q = begin * TASK_VECTORS * p->pixels, step; q < last; q += step) {
        const T *in = p->in + q * p->K;
        const ptrdiff_t whole = (last - q) / p->pixels, left = (p->M - q) * p->K - p->VL;
        const ptrdiff_t readable = left < 0 ? 0 : left / (p->pixels * p->K) + 1;
        ptrdiff_t count = cvl_min(CALL_VECTORS, cvl_min(whole, readable));
        T edge[2 * LANES] = {0};
        if (count == 0) { /* less than a vector is left to read, or to write */
            memcpy(edge, in, (size_t)((last - q) * p->K) * sizeof(T));
            in = edge;
            count = whole;
        }
        step = count > 0 ? count * p->pixels : last - q;
        multiply(p, in, p->call->out + q * p->outputs, cvl_max(count, 1), cvl_min(p->pixels, step));
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if (LEAST_PIXELS * cvl_max(shape->d.C, shape->d.OC) > vector_size())
        return "more than a few channels";
    return cvl_conv2d_refuses_product(shape, pass);
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t K = pass == CVL_CONV2D_FORWARD ? shape->d.C : shape->d.OC;
    const int alone = K == shape->d.C * shape->d.OC; /* the other side has one channel */
    return shape->d.N * shape->d.H * shape->d.W >= LEAST_POSITIONS && !(alone && K >= DOT_CHANNELS);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    (void)shape, (void)pass, (void)threads;
    return 0;
}

static void run(const NAME(conv2d_call) *call)
{
    const cvl_conv2d *d = &call->shape->d;
    const int transposed = call->pass == CVL_CONV2D_BACKWARD_DATA;
    plan p = {
        .call = call,
        .in = transposed ? call->dy : call->x,
        .M = d->N * d->H * d->W,
        .K = transposed ? d->OC : d->C,
        .outputs = transposed ? d->C : d->OC,
        .VL = vector_size(),
    };
    p.pixels = p.VL / cvl_max(p.K, p.outputs);
    for (ptrdiff_t j = 0; j < p.pixels * p.outputs; j++) {
        const ptrdiff_t output = j % p.outputs;
        for (ptrdiff_t k = 0; k < p.K; k++)
            p.b[k * p.VL + j] = call->w[transposed ? output * p.K + k : k * p.outputs + output];
        if (call->end.bias)
            p.bias[j] = call->end.bias[output];
    }
    cvl_parallel_for(call->threads, cvl_ceil_div(p.M, TASK_VECTORS * p.pixels), call->shape->flops,
                     CVL_FLUSH, compute, &p);
}

const NAME(conv2d_engine) NAME(pixels_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few channels",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
