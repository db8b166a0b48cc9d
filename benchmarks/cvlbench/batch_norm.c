/* batch_norm.c: batch norm, alone, with ReLU, and with a sum and ReLU; two of them added, with ReLU;
 * the running statistics. */
#include "bench.h"

enum { PLAIN, RELU, ADD_RELU }; /* kinds */

typedef struct norm {
    cvl_batch_norm d;
    T *x, *dy, *residual, *gamma, *beta, *y, *dx, *dgamma, *dbeta, *dresidual;
    double *mean, *var;
} norm;

static cvl_status forward(const problem *p, int which)
{
    const norm *s = p->state;
    return NAME(batch_norm_forward)(&s->d, s->y, s->mean, s->var, s->x, s->gamma, s->beta,
                                    s->residual, &p->run);
}

static cvl_status inference(const problem *p, int which)
{
    const norm *s = p->state;
    return NAME(batch_norm_inference)(&s->d, s->y, s->x, s->gamma, s->beta, s->mean, s->var,
                                      s->residual, &p->run);
}

/* The mask is recomputed from x, or read off y with a residual, as in training. */
static cvl_status backward(const problem *p, int which)
{
    const norm *s = p->state;
    return NAME(batch_norm_backward)(&s->d, s->dx, s->dgamma, s->dbeta, s->dresidual, s->dy, s->x,
                                     s->residual ? s->y : NULL, s->gamma, s->beta, s->mean, s->var,
                                     &p->run);
}

static void make(problem *p)
{
    norm *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t M = p->n[0], C = p->n[1], n = M * C;
    s->d = (cvl_batch_norm)CVL_BATCH_NORM_INIT;
    s->d.M = M;
    s->d.C = C;
    s->d.activation = p->kind == PLAIN ? CVL_ACTIVATION_NONE : CVL_ACTIVATION_RELU;
    s->x = problem_array(p, n);
    s->dy = problem_array(p, n);
    s->y = problem_array(p, n);
    s->dx = problem_array(p, n);
    if (p->kind == ADD_RELU) {
        s->residual = problem_array(p, n);
        s->dresidual = problem_array(p, n);
    }
    s->gamma = problem_range(p, C, 0.5, 1.5);
    s->beta = problem_array(p, C);
    s->dgamma = problem_array(p, C);
    s->dbeta = problem_array(p, C);
    s->mean = problem_memory(p, sizeof(double) * (size_t)C);
    s->var = problem_memory(p, sizeof(double) * (size_t)C);
    for (ptrdiff_t c = 0; c < C; c++)
        s->var[c] = 1.0 / 3; /* that of x */
    int threads = p->run.threads;
    problem_workspace(p, NAME(batch_norm_forward_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(batch_norm_inference_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(batch_norm_backward_workspace_size)(&s->d, threads));

    /* Moments: the difference from a pivot, its sum and its square's; y: a difference and a
     * multiply-add. Backward: xhat, the two sums, and dx by two multiply-adds and a product. */
    double x = (double)n, add = p->kind == ADD_RELU, relu = p->kind != PLAIN;
    problem_time(p,
                 (contender){.pass = "forward",
                             .call = forward,
                             .cost = {(7 + add + relu) * x, (2 + add) * x, x, (2 + add) * x, x}});
    problem_time(p,
                 (contender){.pass = "inference",
                             .call = inference,
                             .cost = {(3 + add + relu) * x, (1 + add) * x, x, (2 + add) * x, 0}});
    /* With a residual, the masked dy is written for it and read from there the second time. */
    problem_time(p, (contender){.pass = "backward",
                                .call = backward,
                                .cost = {(10 + relu) * x, (4 + add) * x, (1 + add) * x,
                                         (3 + 2 * add) * x, 2 * x}});
}

typedef struct norm_sum {
    cvl_batch_norm d;
    cvl_batch_norm_term a, b;
    T *y, *dy;
} norm_sum;

static cvl_status sum_forward(const problem *p, int which)
{
    const norm_sum *s = p->state;
    return NAME(batch_norm_sum_forward)(&s->d, s->y, &s->a, &s->b, &p->run);
}

static cvl_status sum_backward(const problem *p, int which)
{
    const norm_sum *s = p->state;
    return NAME(batch_norm_sum_backward)(&s->d, &s->a, &s->b, s->dy, s->y, &p->run);
}

static void make_term(problem *p, cvl_batch_norm_term *term, ptrdiff_t n, ptrdiff_t C)
{
    *term = (cvl_batch_norm_term)CVL_BATCH_NORM_TERM_INIT;
    term->x = problem_array(p, n);
    term->dx = problem_array(p, n);
    term->gamma = problem_range(p, C, 0.5, 1.5);
    term->beta = problem_array(p, C);
    term->dgamma = problem_array(p, C);
    term->dbeta = problem_array(p, C);
    term->mean = problem_memory(p, sizeof(double) * (size_t)C);
    term->var = problem_memory(p, sizeof(double) * (size_t)C);
    for (ptrdiff_t c = 0; c < C; c++)
        term->var[c] = 1.0 / 3; /* that of x */
}

static void make_sum(problem *p)
{
    norm_sum *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t M = p->n[0], C = p->n[1], n = M * C;
    s->d = (cvl_batch_norm)CVL_BATCH_NORM_INIT;
    s->d.M = M;
    s->d.C = C;
    s->d.activation = CVL_ACTIVATION_RELU;
    s->y = problem_array(p, n);
    s->dy = problem_array(p, n);
    make_term(p, &s->a, n, C);
    make_term(p, &s->b, n, C);
    int threads = p->run.threads;
    problem_workspace(p, NAME(batch_norm_sum_forward_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(batch_norm_sum_backward_workspace_size)(&s->d, threads));

    /* Each term as above. Backward, the masked dy is written once, and both read it from there. */
    double x = (double)n;
    problem_time(p, (contender){.pass = "forward",
                                .call = sum_forward,
                                .cost = {15 * x, 4 * x, x, 3 * x, 2 * x}});
    problem_time(p, (contender){.pass = "backward",
                                .call = sum_backward,
                                .cost = {21 * x, 7 * x, 3 * x, 6 * x, 3 * x}});
}

typedef struct running {
    cvl_running d;
    T *next_mean, *next_var, *mean, *var;
    double *batch_mean, *batch_var;
} running;

static cvl_status move(const problem *p, int which)
{
    const running *s = p->state;
    return NAME(running_move)(&s->d, s->next_mean, s->next_var, s->mean, s->var, s->batch_mean,
                              s->batch_var, &p->run);
}

static void make_running(problem *p)
{
    running *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t C = p->n[0];
    s->d = (cvl_running)CVL_RUNNING_INIT;
    s->d.C = C;
    T **arrays[] = {&s->next_mean, &s->next_var, &s->mean, &s->var};
    for (int i = 0; i < COUNT(arrays); i++)
        *arrays[i] = problem_array(p, C);
    s->batch_mean = problem_memory(p, sizeof(double) * (size_t)C);
    s->batch_var = problem_memory(p, sizeof(double) * (size_t)C);
    double c = (double)C, read = 2 * c + BYTES(2 * sizeof(double)) * c;
    problem_time(
        p,
        (contender){.pass = "move", .call = move, .cost = {7 * c, read, 2 * c, read + 2 * c, 0}});
}

const operation OPERATORS(batch_norm)[] = {{"batch_norm", "M C", make, PLAIN},
                                           {"batch_norm_relu", "M C", make, RELU},
                                           {"batch_norm_add_relu", "M C", make, ADD_RELU},
                                           {"batch_norm_sum", "M C", make_sum, 0},
                                           {"running", "C", make_running, 0},
                                           {NULL, NULL, NULL, 0}};
