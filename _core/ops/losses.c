/* losses.c: losses over elements, value and gradient together: a task is a block of elements. */
#include <float.h>
#include <math.h>

#include "op.h"

/* An exponential and its logarithm take the time of about this many bytes. */
enum { ELEMENT_WORK = 24 * sizeof(T), BLOCK = CVL_ORDER_ELEMENTS };

struct call;
typedef double block_kernel(const struct call *s, ptrdiff_t i, ptrdiff_t n, double *each);

typedef struct call {
    cvl_loss d;
    NAME(element_loss) constants;
    block_kernel *kernel;
    double *each, *block_sum; /* one of them; the other is NULL */
    T *dx;
    const T *x, *y, *positive_weight, *weight;
    const NAME(kernels) *k;
} call;

static double mse_block(const call *s, ptrdiff_t i, ptrdiff_t n, double *each)
{
    return s->k->mse(&s->constants, n, each, s->dx + i, s->x + i, s->y + i);
}

static double huber_block(const call *s, ptrdiff_t i, ptrdiff_t n, double *each)
{
    return s->k->huber(&s->constants, n, each, s->dx + i, s->x + i, s->y + i);
}

static double binary_block(const call *s, ptrdiff_t i, ptrdiff_t n, double *each)
{
    return s->k->binary_cross_entropy(&s->constants, n, each, s->dx + i, s->x + i, s->y + i,
                                      s->positive_weight ? s->positive_weight + i : NULL,
                                      s->weight ? s->weight + i : NULL);
}

static double focal_block(const call *s, ptrdiff_t i, ptrdiff_t n, double *each)
{
    return s->k->focal(&s->constants, n, each, s->dx + i, s->x + i, s->y + i);
}

static void run_blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    (void)worker;
    for (ptrdiff_t block = begin; block < end; block++) {
        const ptrdiff_t i = block * BLOCK, n = cvl_min(BLOCK, s->d.n - i);
        const double sum = s->kernel(s, i, n, s->each ? s->each + i : NULL);
        if (s->block_sum)
            s->block_sum[block] = sum;
    }
}

/* Reads and checks the descriptor; `needed` is the workspace, for the sums of blocks. */
static cvl_status read_call(call *s, size_t *needed, const cvl_loss *d)
{
    ptrdiff_t elements;
    s->d = (cvl_loss)CVL_LOSS_INIT;
    if (!cvl_read(&s->d, d) || s->d.reduction < CVL_REDUCTION_NONE ||
        s->d.reduction > CVL_REDUCTION_MEAN)
        return CVL_ERR_ARGUMENT;
    if (!(s->d.delta >= 0 && s->d.delta < INFINITY) || !(s->d.gamma >= 0 && s->d.gamma < INFINITY))
        return CVL_ERR_ARGUMENT;
    if (!(s->d.positive >= 0 && s->d.positive < INFINITY) ||
        !(s->d.negative >= 0 && s->d.negative < INFINITY))
        return CVL_ERR_WEIGHT;
    if (s->d.n < 0)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, s->d.n))
        return CVL_ERR_OVERFLOW;
    cvl_scratch scratch = {NULL, 0};
    if (s->d.reduction != CVL_REDUCTION_NONE)
        cvl_carve(&scratch, (size_t)cvl_ceil_div(s->d.n, BLOCK) * sizeof(double));
    *needed = scratch.used;
    return CVL_OK;
}

static cvl_status run_call(call s, int logits, const cvl_loss *d, double *loss, const cvl_exec *run)
{
    cvl_exec exec;
    size_t needed;
    cvl_status status = read_call(&s, &needed, d);
    if (status == CVL_ERR_ARGUMENT || !run || (!loss && s.d.reduction != CVL_REDUCTION_NONE) ||
        (s.d.n > 0 && (!loss || !s.dx || !s.x || !s.y)))
        return CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, needed);
    if (status != CVL_OK)
        return status;
    if (!s.k)
        return CVL_ERR_ISA;
    if (logits && !s.k->all_within(s.d.n, s.y, 1))
        return CVL_ERR_LABEL;
    const T greatest = (T)(sizeof(T) == sizeof(float) ? FLT_MAX : DBL_MAX);
    if ((s.positive_weight && !s.k->all_within(s.d.n, s.positive_weight, greatest)) ||
        (s.weight && !s.k->all_within(s.d.n, s.weight, greatest)))
        return CVL_ERR_WEIGHT;

    const ptrdiff_t blocks = cvl_ceil_div(s.d.n, BLOCK);
    const double divisor = s.d.reduction == CVL_REDUCTION_MEAN ? (double)cvl_max(s.d.n, 1) : 1;
    s.constants.weight = (T)(1 / divisor);
    const int reduced = s.d.reduction != CVL_REDUCTION_NONE;
    if (reduced)
        s.block_sum = exec.workspace;
    else
        s.each = loss;
    cvl_parallel_for(exec.threads, blocks, ELEMENT_WORK * (double)s.d.n, CVL_GRADUAL, run_blocks,
                     &s);
    if (reduced)
        *loss = s.k->sum_losses(blocks, s.block_sum) / divisor;
    return CVL_OK;
}

cvl_status NAME(mse)(const cvl_loss *d, double *loss, T *dx, const T *x, const T *y,
                     const cvl_exec *run)
{
    const call s = {.kernel = mse_block, .dx = dx, .x = x, .y = y, .k = kernels()};
    return run_call(s, 0, d, loss, run);
}

cvl_status NAME(l1)(const cvl_loss *d, double *loss, T *dx, const T *x, const T *y,
                    const cvl_exec *run)
{
    call s = {.kernel = huber_block, .dx = dx, .x = x, .y = y, .k = kernels()};
    s.constants.slope = 1;
    return run_call(s, 0, d, loss, run);
}

cvl_status NAME(huber)(const cvl_loss *d, double *loss, T *dx, const T *x, const T *y,
                       const cvl_exec *run)
{
    call s = {.kernel = huber_block, .dx = dx, .x = x, .y = y, .k = kernels()};
    size_t needed;
    const cvl_status status = read_call(&s, &needed, d);
    if (status == CVL_OK && s.d.delta == 0)
        return CVL_ERR_ARGUMENT;
    const T delta = (T)s.d.delta;
    s.constants = (NAME(element_loss)){.delta = delta, .half = (T)0.5, .slope = delta, .factor = 1};
    return run_call(s, 0, d, loss, run);
}

cvl_status NAME(smooth_l1)(const cvl_loss *d, double *loss, T *dx, const T *x, const T *y,
                           const cvl_exec *run)
{
    call s = {.kernel = huber_block, .dx = dx, .x = x, .y = y, .k = kernels()};
    size_t needed;
    const cvl_status status = read_call(&s, &needed, d);
    s.constants.slope = 1;
    /* A delta too small to divide by is 0. */
    if (status == CVL_OK && (T)(1 / s.d.delta) < (T)INFINITY) {
        s.constants.delta = (T)s.d.delta;
        s.constants.half = (T)(0.5 / s.d.delta);
        s.constants.factor = (T)(1 / s.d.delta);
    }
    return run_call(s, 0, d, loss, run);
}

cvl_status NAME(binary_cross_entropy)(const cvl_loss *d, double *loss, T *dx, const T *x,
                                      const T *y, const T *positive_weight, const T *weight,
                                      const cvl_exec *run)
{
    const call s = {.kernel = binary_block,
                    .dx = dx,
                    .x = x,
                    .y = y,
                    .positive_weight = positive_weight,
                    .weight = weight,
                    .k = kernels()};
    return run_call(s, 1, d, loss, run);
}

cvl_status NAME(focal)(const cvl_loss *d, double *loss, T *dx, const T *x, const T *y,
                       const cvl_exec *run)
{
    call s = {.kernel = focal_block, .dx = dx, .x = x, .y = y, .k = kernels()};
    size_t needed;
    if (read_call(&s, &needed, d) == CVL_OK) {
        s.constants.gamma = (T)s.d.gamma;
        s.constants.positive = (T)s.d.positive;
        s.constants.negative = (T)s.d.negative;
    }
    return run_call(s, 1, d, loss, run);
}

size_t NAME(loss_workspace_size)(const cvl_loss *d, int threads)
{
    call s;
    size_t needed;
    (void)threads;
    return read_call(&s, &needed, d) == CVL_OK ? needed : 0;
}
