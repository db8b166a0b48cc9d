/* group_norm.c: group norm; layer norm is the rows with M = 1 and G = 1. */
#include "bench.h"

typedef struct norm {
    cvl_group_norm d;
    T *x, *dy, *gamma, *beta, *y, *dx, *dgamma, *dbeta;
    double *mean, *var;
} norm;

static cvl_status forward(const problem *p, int which)
{
    const norm *s = p->state;
    return NAME(group_norm_forward)(&s->d, s->y, s->mean, s->var, s->x, s->gamma, s->beta, &p->run);
}

static cvl_status backward(const problem *p, int which)
{
    const norm *s = p->state;
    return NAME(group_norm_backward)(&s->d, s->dx, s->dgamma, s->dbeta, s->dy, s->x, s->gamma,
                                     s->mean, s->var, &p->run);
}

static void make(problem *p)
{
    norm *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], M = p->n[1], C = p->n[2], G = p->n[3], n = N * M * C;
    s->d = (cvl_group_norm)CVL_GROUP_NORM_INIT;
    s->d.N = N;
    s->d.M = M;
    s->d.C = C;
    s->d.groups = G;
    s->x = problem_array(p, n);
    s->dy = problem_array(p, n);
    s->y = problem_array(p, n);
    s->dx = problem_array(p, n);
    s->gamma = problem_range(p, C, 0.5, 1.5);
    s->beta = problem_array(p, C);
    s->dgamma = problem_array(p, C);
    s->dbeta = problem_array(p, C);
    s->mean = problem_memory(p, sizeof(double) * (size_t)(N * G));
    s->var = problem_memory(p, sizeof(double) * (size_t)(N * G));
    for (ptrdiff_t i = 0; i < N * G; i++)
        s->var[i] = 1.0 / 3; /* that of x */
    int threads = p->run.threads;
    problem_workspace(p, NAME(group_norm_forward_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(group_norm_backward_workspace_size)(&s->d, threads));

    /* As batch norm; a sample is read twice, and its product with gamma is one more. */
    double x = (double)n;
    problem_time(
        p, (contender){.pass = "forward", .call = forward, .cost = {7 * x, 2 * x, x, 2 * x, x}});
    problem_time(p, (contender){.pass = "backward",
                                .call = backward,
                                .cost = {12 * x, 4 * x, x, 3 * x, 2 * x}});
}

const operation OPERATORS(group_norm)[] = {{"group_norm", "N M C G", make, 0},
                                           {NULL, NULL, NULL, 0}};
