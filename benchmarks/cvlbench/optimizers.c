/* optimizers.c: a step of each optimizer, on one segment; clipping, scaling and averages. */
#include "bench.h"

#if defined(CVL_F32)
typedef cvl_segment_f32 segment;
#else
typedef cvl_segment_f64 segment;
#endif

typedef struct step {
    segment s;
    double sum;
} step;

/* A function that makes the step `call` with a descriptor of type `type`, after `settings` to it. */
#define STEP(name, type, INIT, call, settings)          \
    static cvl_status name(const problem *p, int which) \
    {                                                   \
        const step *state = p->state;                   \
        type d = INIT;                                  \
        settings;                                       \
        return NAME(call)(&d, &state->s, 1, &p->run);   \
    }
#define BETAS d.lr = 1e-3, d.beta1 = 0.9, d.beta2 = 0.999, d.eps = 1e-8
STEP(sgd, cvl_sgd, CVL_SGD_INIT, sgd_step, d.lr = 1e-6)
STEP(sgd_momentum, cvl_sgd, CVL_SGD_INIT, sgd_step, (d.lr = 1e-6, d.momentum = 0.9))
STEP(adam, cvl_adam, CVL_ADAM_INIT, adam_step, (BETAS))
STEP(adam_amsgrad, cvl_adam, CVL_ADAM_INIT, adam_step, (BETAS, d.amsgrad = 1))
STEP(adamw, cvl_adam, CVL_ADAM_INIT, adam_step, (BETAS, d.weight_decay = 1e-2))
STEP(adagrad, cvl_adagrad, CVL_ADAGRAD_INIT, adagrad_step, (d.lr = 1e-3, d.eps = 1e-8))
STEP(nadam, cvl_nadam, CVL_NADAM_INIT, nadam_step, (BETAS, d.mu = 0.9, d.next_mu = 0.9))
STEP(rmsprop, cvl_rmsprop, CVL_RMSPROP_INIT, rmsprop_step,
     (d.lr = 1e-3, d.alpha = 0.99, d.eps = 1e-8))
STEP(lion, cvl_lion, CVL_LION_INIT, lion_step, (d.lr = 1e-6, d.beta1 = 0.9, d.beta2 = 0.99))
#undef BETAS
#undef STEP

static cvl_status clip(const problem *p, int which)
{
    const step *state = p->state;
    return NAME(clip)(0.5, &state->s, 1, &p->run);
}

static cvl_status scale(const problem *p, int which)
{
    const step *state = p->state;
    return NAME(scale)(-1, &state->s, 1, &p->run); /* never fades */
}

static cvl_status blend(const problem *p, int which)
{
    const step *state = p->state;
    return NAME(blend)(1e-3, &state->s, 1, &p->run);
}

static cvl_status sum_squares(const problem *p, int which)
{
    step *state = p->state;
    return NAME(sum_squares)(&state->sum, &state->s, 1, &p->run);
}

/* The operators: operations of an element, arrays read, arrays written, whether m is one of them. */
#define STEPS                        \
    ENTRY(sgd, 2, 2, 1, 0)           \
    ENTRY(sgd_momentum, 4, 3, 2, 1)  \
    ENTRY(adam, 12, 4, 3, 1)         \
    ENTRY(adam_amsgrad, 13, 5, 4, 1) \
    ENTRY(adamw, 13, 4, 3, 1)        \
    ENTRY(adagrad, 6, 3, 2, 0)       \
    ENTRY(nadam, 16, 4, 3, 1)        \
    ENTRY(rmsprop, 8, 3, 2, 0)       \
    ENTRY(lion, 8, 3, 2, 1)          \
    ENTRY(clip, 2, 1, 1, 0)          \
    ENTRY(scale, 1, 1, 1, 0)         \
    ENTRY(blend, 3, 2, 1, 0)         \
    ENTRY(sum_squares, 2, 1, 0, 0)

#define ENTRY(name, ...) KIND_##name,
enum { STEPS };
#undef ENTRY

#define ENTRY(name, ...) {name, __VA_ARGS__},
static const struct {
    cvl_status (*call)(const problem *p, int which);
    double operations, read, written;
    int moment;
} steps[] = {STEPS};
#undef ENTRY

static void make(problem *p)
{
    step *state = p->state = problem_memory(p, sizeof *state);
    ptrdiff_t n = p->n[0];
    state->s.n = n;
    state->s.w = problem_array(p, n);
    state->s.g = problem_array(p, n);
    state->s.m = steps[p->kind].moment ? problem_array(p, n) : NULL;
    state->s.v = problem_range(p, n, 0, 1);
    state->s.extra = problem_range(p, n, 0, 1);
    problem_workspace(p, NAME(sum_squares_workspace_size)(&state->s, 1, p->run.threads));
    double x = (double)n, read = steps[p->kind].read * x, written = steps[p->kind].written * x;
    problem_time(p, (contender){.pass = "step",
                                .call = steps[p->kind].call,
                                .cost = {steps[p->kind].operations * x, read, written, read, 0}});
}

#define ENTRY(name, ...) {#name, "n", make, KIND_##name},
const operation OPERATORS(optimizers)[] = {STEPS{NULL, NULL, NULL, 0}};
