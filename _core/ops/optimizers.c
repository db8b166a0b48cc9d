/* optimizers.c: one step of all segments: a task is a chunk of a segment. */
#include <math.h>

#include "op.h"

/* A chunk is short enough to share evenly, long enough not to be noticed. */
enum { CHUNK = 4096, MAX_CONSTANTS = 9 };

typedef NAME(segment) segment;
typedef struct steps steps;

/* Steps n elements of a segment from its element i on. */
typedef void stepper(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n);

struct steps {
    const segment *segments;
    ptrdiff_t count;
    T constants[MAX_CONSTANTS];
    int nesterov, first; /* sgd */
    const NAME(kernels) *k;
    stepper *step;
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

/* What a segment must have besides w and g. */
enum { NEEDS_M = 1, NEEDS_V = 2 };

static cvl_status check_segments(const steps *s, int needs, ptrdiff_t *chunks, ptrdiff_t *elements)
{
    *chunks = *elements = 0;
    if (s->count > 0 && !s->segments)
        return CVL_ERR_ARGUMENT;
    for (ptrdiff_t i = 0; i < s->count; i++) {
        const segment *part = &s->segments[i];
        if (part->n > 0 && (!part->w || !part->g || ((needs & NEEDS_M) && !part->m) ||
                            ((needs & NEEDS_V) && !part->v)))
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

/* Constants are worked out in double and rounded once; one that is not finite then is refused. */
static int round_constants(steps *s, const double *constants, int count)
{
    for (int i = 0; i < count; i++) {
        s->constants[i] = (T)constants[i];
        if (!isfinite(s->constants[i]))
            return 0;
    }
    return 1;
}

/* `arrays`: how many arrays the step reads or writes. */
static cvl_status run_steps(steps *s, int needs, int arrays, const cvl_exec *run)
{
    cvl_exec exec;
    ptrdiff_t chunks, elements;
    cvl_status status = cvl_read_exec(&exec, run, 0);
    if (status == CVL_OK)
        status = check_segments(s, needs, &chunks, &elements);
    if (status != CVL_OK)
        return status;
    s->k = kernels();
    if (!s->k)
        return CVL_ERR_ISA;
    cvl_parallel_for(exec.threads, chunks, (double)arrays * sizeof(T) * (double)elements, CVL_FLUSH,
                     step_chunks, s);
    return CVL_OK;
}

static void step_sgd(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    T *m = part->m ? part->m + i : NULL;
    s->k->sgd(n, part->w + i, part->g + i, m, s->constants, s->nesterov, s->first);
}

cvl_status NAME(sgd_step)(const cvl_sgd *from, const segment *segments, ptrdiff_t count,
                          const cvl_exec *run)
{
    cvl_sgd d = CVL_SGD_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {segments, count, {0}, d.nesterov, d.first, NULL, step_sgd};
    const double k[] = {-d.lr, d.momentum, 1 - d.dampening, d.l2, 1 - d.lr * d.weight_decay};
    if (!round_constants(&s, k, sizeof k / sizeof *k))
        return CVL_ERR_ARGUMENT;
    return run_steps(&s, d.momentum != 0 ? NEEDS_M : 0, 5, run);
}

static void step_adam(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    s->k->adam(n, part->w + i, part->g + i, part->m + i, part->v + i, s->constants);
}

cvl_status NAME(adam_step)(const cvl_adam *from, const segment *segments, ptrdiff_t count,
                           const cvl_exec *run)
{
    cvl_adam d = CVL_ADAM_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {segments, count, {0}, 0, 0, NULL, step_adam};
    const double k[] = {-d.lr / d.correction1,
                        d.beta1,
                        1 - d.beta1,
                        d.beta2,
                        1 - d.beta2,
                        1 / d.correction2,
                        d.eps,
                        d.l2,
                        1 - d.lr * d.weight_decay};
    if (!isfinite(d.correction1) || !isfinite(d.correction2) || d.correction2 <= 0 ||
        !round_constants(&s, k, sizeof k / sizeof *k))
        return CVL_ERR_ARGUMENT;
    return run_steps(&s, NEEDS_M | NEEDS_V, 7, run);
}

static void step_adagrad(const steps *s, const segment *part, ptrdiff_t i, ptrdiff_t n)
{
    s->k->adagrad(n, part->w + i, part->g + i, part->v + i, s->constants);
}

cvl_status NAME(adagrad_step)(const cvl_adagrad *from, const segment *segments, ptrdiff_t count,
                              const cvl_exec *run)
{
    cvl_adagrad d = CVL_ADAGRAD_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    steps s = {segments, count, {0}, 0, 0, NULL, step_adagrad};
    const double k[] = {-d.lr, d.eps, d.l2};
    if (!round_constants(&s, k, sizeof k / sizeof *k))
        return CVL_ERR_ARGUMENT;
    return run_steps(&s, NEEDS_V, 5, run);
}
