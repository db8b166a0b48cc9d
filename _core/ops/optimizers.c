/* optimizers.c: one step of all segments, and what is done to gradients before it: a task is a chunk
 * of a segment. */
#include <math.h>

#include "op.h"

/* A chunk is short enough to share evenly, long enough not to be noticed. */
enum { CHUNK = 4096, MAX_CONSTANTS = 10 };

typedef NAME(segment) segment;
typedef struct steps steps;

/* Steps n elements of a segment from its element i on. */
typedef void stepper(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n);

struct steps {
    const segment *segments;
    ptrdiff_t count;
    stepper *step;
    int needs;           /* of a segment, besides w */
    int arrays;          /* that the step reads or writes */
    double scale;        /* of gradients, */
    int clear;           /* which become 0 */
    int nesterov, first; /* sgd */
    int with_extra;      /* adam: amsgrad; rmsprop: centered */
    T constants[MAX_CONSTANTS];
    const NAME(kernels) *k;
};

/* Chunks are numbered through the segments; neighbours in one segment are stepped together. */
static void step_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const steps *s = context;
    ptrdiff_t chunk = 0; /* the segment's first */
    (void)worker;
    for (ptrdiff_t i = 0; i < s->count && chunk < end; i++) {
        const segment *part = &s->segments[i];
        const ptrdiff_t chunks = cvl_ceil_div(part->n, CHUNK);
        const ptrdiff_t from = cvl_max(begin - chunk, 0) * CHUNK;
        const ptrdiff_t to = cvl_min(cvl_min(end - chunk, chunks) * CHUNK, part->n);
        if (from < to)
            s->step(s, part, from, to - from);
        chunk += chunks;
    }
}

/* What a segment must have besides w. */
enum { NEEDS_G = 1, NEEDS_M = 2, NEEDS_V = 4, NEEDS_EXTRA = 8 };

static int has_all(const segment *part, int needs)
{
    return part->w && (part->g || !(needs & NEEDS_G)) && (part->m || !(needs & NEEDS_M)) &&
           (part->v || !(needs & NEEDS_V)) && (part->extra || !(needs & NEEDS_EXTRA));
}

static cvl_status check_segments(const steps *s, ptrdiff_t *chunks, ptrdiff_t *elements)
{
    *chunks = *elements = 0;
    if (s->count > 0 && !s->segments)
        return CVL_ERR_ARGUMENT;
    for (ptrdiff_t i = 0; i < s->count; i++) {
        const segment *part = &s->segments[i];
        if (part->n > 0 && !has_all(part, s->needs))
            return CVL_ERR_ARGUMENT;
    }
    if (s->count < 0)
        return CVL_ERR_SHAPE;
    for (ptrdiff_t i = 0; i < s->count; i++) {
        const ptrdiff_t n = s->segments[i].n;
        if (n < 0)
            return CVL_ERR_SHAPE;
        if (n > PTRDIFF_MAX / (ptrdiff_t)sizeof(T) - *elements)
            return CVL_ERR_OVERFLOW;
        *elements += n;
        *chunks += cvl_ceil_div(n, CHUNK);
    }
    return CVL_OK;
}

static NAME(gradients) gradients_of(const steps *s, const segment *part, ptrdiff_t i)
{
    return (NAME(gradients)){part->g + i, (T)s->scale, s->clear};
}

/* Constants are computed in double and rounded once; one that is then not finite is refused. */
static cvl_status run_steps(steps *s, const double *constants, int count, const cvl_exec *run)
{
    cvl_exec exec;
    ptrdiff_t chunks, elements;
    int finite = isfinite((T)s->scale);
    for (int i = 0; i < count; i++) {
        s->constants[i] = (T)constants[i];
        finite = finite && isfinite(s->constants[i]);
    }
    cvl_status status = finite ? cvl_read_exec(&exec, run, 0) : CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = check_segments(s, &chunks, &elements);
    if (status != CVL_OK)
        return status;
    s->k = kernels();
    if (!s->k)
        return CVL_ERR_ISA;
    cvl_parallel_for(exec.threads, chunks, (double)s->arrays * sizeof(T) * (double)elements,
                     CVL_FLUSH, step_chunks, s);
    return CVL_OK;
}

static void step_sgd(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    T *m = part->m ? part->m + i : NULL;
    s->k->sgd(n, part->w + i, &g, m, s->constants, s->nesterov, s->first);
}

cvl_status NAME(sgd_step)(const cvl_sgd *from, const segment *segments, ptrdiff_t count,
                          const cvl_exec *run)
{
    cvl_sgd d = CVL_SGD_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_sgd,
               .needs = NEEDS_G | (d.momentum != 0 ? NEEDS_M : 0),
               .arrays = 5,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients,
               .nesterov = d.nesterov,
               .first = d.first};
    const double k[] = {-d.lr, d.momentum, 1 - d.dampening, d.l2, 1 - d.lr * d.weight_decay};
    return run_steps(&s, k, CVL_COUNT(k), run);
}

/* The array beyond m and v, which a segment may have without need. */
static T *extra_of(const steps *s, const segment *part, ptrdiff_t i)
{
    return s->with_extra ? part->extra + i : NULL;
}

static void step_adam(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    s->k->adam(n, part->w + i, &g, part->m + i, part->v + i, extra_of(s, part, i), s->constants);
}

cvl_status NAME(adam_step)(const cvl_adam *from, const segment *segments, ptrdiff_t count,
                           const cvl_exec *run)
{
    cvl_adam d = CVL_ADAM_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_adam,
               .needs = NEEDS_G | NEEDS_M | NEEDS_V | (d.amsgrad ? NEEDS_EXTRA : 0),
               .arrays = d.amsgrad ? 9 : 7,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients,
               .with_extra = d.amsgrad};
    /* (sqrt(v) + eps) / sqrt(c) = sqrt(v / c) + eps / sqrt(c) */
    const double eps = d.eps_hat ? d.eps / sqrt(d.correction2) : d.eps;
    const double k[] = {-d.lr / d.correction1,
                        d.beta1,
                        1 - d.beta1,
                        d.beta2,
                        1 - d.beta2,
                        1 / d.correction2,
                        eps,
                        d.l2,
                        1 - d.lr * d.weight_decay};
    if (!isfinite(d.correction1) || !isfinite(d.correction2) || d.correction2 <= 0)
        return CVL_ERR_ARGUMENT;
    return run_steps(&s, k, CVL_COUNT(k), run);
}

static void step_nadam(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    s->k->nadam(n, part->w + i, &g, part->m + i, part->v + i, s->constants);
}

cvl_status NAME(nadam_step)(const cvl_nadam *from, const segment *segments, ptrdiff_t count,
                            const cvl_exec *run)
{
    cvl_nadam d = CVL_NADAM_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_nadam,
               .needs = NEEDS_G | NEEDS_M | NEEDS_V,
               .arrays = 7,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients};
    const double gain_m = -d.lr * d.next_mu / d.next_correction1;
    const double gain_g = -d.lr * (1 - d.mu) / d.correction1;
    const double k[] = {gain_m, d.beta1, 1 - d.beta1, d.beta2, 1 - d.beta2, 1 / d.correction2,
                        d.eps,  d.l2,    1,           gain_g};
    if (!isfinite(d.correction1) || !isfinite(d.next_correction1) || !isfinite(d.correction2) ||
        d.correction2 <= 0)
        return CVL_ERR_ARGUMENT;
    return run_steps(&s, k, CVL_COUNT(k), run);
}

static void step_adagrad(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    s->k->adagrad(n, part->w + i, &g, part->v + i, s->constants);
}

cvl_status NAME(adagrad_step)(const cvl_adagrad *from, const segment *segments, ptrdiff_t count,
                              const cvl_exec *run)
{
    cvl_adagrad d = CVL_ADAGRAD_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_adagrad,
               .needs = NEEDS_G | NEEDS_V,
               .arrays = 5,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients};
    const double k[] = {-d.lr, d.eps, d.l2};
    return run_steps(&s, k, CVL_COUNT(k), run);
}

static void step_rmsprop(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    T *m = part->m ? part->m + i : NULL;
    s->k->rmsprop(n, part->w + i, &g, m, part->v + i, extra_of(s, part, i), s->constants);
}

cvl_status NAME(rmsprop_step)(const cvl_rmsprop *from, const segment *segments, ptrdiff_t count,
                              const cvl_exec *run)
{
    cvl_rmsprop d = CVL_RMSPROP_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_rmsprop,
               .needs = NEEDS_G | NEEDS_V | (d.momentum != 0 ? NEEDS_M : 0) |
                        (d.centered ? NEEDS_EXTRA : 0),
               .arrays = 9,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients,
               .with_extra = d.centered};
    const double k[] = {
        -d.lr, d.alpha, 1 - d.alpha, d.eps, d.momentum, d.l2, d.alpha * (1 - d.alpha)};
    return run_steps(&s, k, CVL_COUNT(k), run);
}

static void step_lion(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    const NAME(gradients) g = gradients_of(s, part, i);
    s->k->lion(n, part->w + i, &g, part->m + i, s->constants);
}

cvl_status NAME(lion_step)(const cvl_lion *from, const segment *segments, ptrdiff_t count,
                           const cvl_exec *run)
{
    cvl_lion d = CVL_LION_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments,
               .count = count,
               .step = step_lion,
               .needs = NEEDS_G | NEEDS_M,
               .arrays = 5,
               .scale = d.gradient_scale,
               .clear = d.clear_gradients};
    const double k[] = {
        -d.lr, d.beta1, 1 - d.beta1, d.beta2, 1 - d.beta2, 1 - d.lr * d.weight_decay, d.lr};
    return run_steps(&s, k, CVL_COUNT(k), run);
}

/* ---------------------------------------------------------------- gradients and averages */

static void step_clip(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    s->k->clip(n, part->w + i, s->constants[0]);
}

cvl_status NAME(clip)(double limit, const segment *segments, ptrdiff_t count, const cvl_exec *run)
{
    if (limit < 0)
        return CVL_ERR_ARGUMENT;
    steps s = {.segments = segments, .count = count, .step = step_clip, .arrays = 2};
    return run_steps(&s, &limit, 1, run);
}

static void step_scale(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    s->k->scale(n, part->w + i, s->constants[0]);
}

cvl_status NAME(scale)(double factor, const segment *segments, ptrdiff_t count, const cvl_exec *run)
{
    steps s = {.segments = segments, .count = count, .step = step_scale, .arrays = 2};
    return run_steps(&s, &factor, 1, run);
}

static void step_blend(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    s->k->blend(n, part->w + i, part->g + i, s->constants[0]);
}

cvl_status NAME(blend)(double rate, const segment *segments, ptrdiff_t count, const cvl_exec *run)
{
    steps s = {
        .segments = segments, .count = count, .step = step_blend, .needs = NEEDS_G, .arrays = 3};
    return run_steps(&s, &rate, 1, run);
}

/* Blocks are numbered through the segments, as chunks are, and each has its own sum. */
typedef struct squares {
    const segment *segments;
    ptrdiff_t count;
    double *partial;
    const NAME(kernels) *k;
} squares;

static void square_blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const squares *s = context;
    ptrdiff_t first = 0; /* block of the segment */
    (void)worker;
    for (ptrdiff_t i = 0; i < s->count && first < end; i++) {
        const segment *part = &s->segments[i];
        const ptrdiff_t blocks = cvl_ceil_div(part->n, CVL_ORDER_SQUARES);
        for (ptrdiff_t b = cvl_max(begin - first, 0); b < cvl_min(end - first, blocks); b++) {
            const ptrdiff_t from = b * CVL_ORDER_SQUARES;
            s->partial[first + b] =
                s->k->sum_squares(cvl_min(part->n - from, CVL_ORDER_SQUARES), part->w + from);
        }
        first += blocks;
    }
}

static cvl_status count_blocks(const segment *segments, ptrdiff_t count, ptrdiff_t *blocks,
                               ptrdiff_t *elements)
{
    const steps s = {.segments = segments, .count = count};
    const cvl_status status = check_segments(&s, blocks, elements);
    *blocks = 0;
    for (ptrdiff_t i = 0; status == CVL_OK && i < count; i++)
        *blocks += cvl_ceil_div(segments[i].n, CVL_ORDER_SQUARES);
    return status;
}

static double *carve_blocks(cvl_scratch *scratch, ptrdiff_t blocks)
{
    return cvl_carve(scratch, (size_t)blocks * sizeof(double));
}

size_t NAME(sum_squares_workspace_size)(const segment *segments, ptrdiff_t count, int threads)
{
    cvl_scratch scratch = {NULL, 0};
    ptrdiff_t blocks, elements;
    (void)threads;
    if (count_blocks(segments, count, &blocks, &elements) == CVL_OK)
        carve_blocks(&scratch, blocks);
    return scratch.used;
}

cvl_status NAME(sum_squares)(double *sums, const segment *segments, ptrdiff_t count,
                             const cvl_exec *run)
{
    cvl_exec exec;
    ptrdiff_t blocks, elements;
    cvl_status status = count_blocks(segments, count, &blocks, &elements);
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, NAME(sum_squares_workspace_size)(segments, count, 1));
    if (status != CVL_OK)
        return status;
    if (count > 0 && !sums)
        return CVL_ERR_ARGUMENT;
    cvl_scratch scratch = {exec.workspace, 0};
    squares s = {segments, count, carve_blocks(&scratch, blocks), kernels()};
    if (!s.k)
        return CVL_ERR_ISA;
    cvl_parallel_for(exec.threads, blocks, (double)sizeof(T) * (double)elements, CVL_FLUSH,
                     square_blocks, &s);
    for (ptrdiff_t i = 0, block = 0; i < count; i++) {
        const ptrdiff_t end = block + cvl_ceil_div(segments[i].n, CVL_ORDER_SQUARES);
        for (sums[i] = 0; block < end; block++)
            sums[i] += s.partial[block];
    }
    return CVL_OK;
}
