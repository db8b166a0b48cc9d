/* softmax.c: softmax, its logarithm, cross-entropy and the negative log-likelihood. */
#include "bench.h"

/* A row is taken to stay in the nearest cache: it is read once. */
typedef struct rows {
    cvl_softmax d;
    cvl_softmax_cross_entropy cross;
    cvl_nll nll;
    T *z, *q, *y, *dy, *dz;
    int64_t *labels;
    double *loss;
} rows;

static cvl_status softmax_forward(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(softmax_forward)(&s->d, s->y, s->z, &p->run);
}

static cvl_status softmax_backward(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(softmax_backward)(&s->d, s->dz, s->dy, s->q, &p->run);
}

static cvl_status log_softmax_forward(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(log_softmax_forward)(&s->d, s->y, s->z, &p->run);
}

static cvl_status log_softmax_backward(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(log_softmax_backward)(&s->d, s->dz, s->dy, s->z, &p->run);
}

static cvl_status cross_entropy(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(softmax_cross_entropy)(&s->cross, s->loss, s->dz, s->z, s->labels, NULL, NULL,
                                       &p->run);
}

static cvl_status cross_entropy_soft(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(softmax_cross_entropy_soft)(&s->cross, s->loss, s->dz, s->z, s->q, NULL, NULL,
                                            &p->run);
}

static cvl_status nll(const problem *p, int which)
{
    const rows *s = p->state;
    return NAME(nll)(&s->nll, s->loss, s->dz, s->z, s->labels, NULL, NULL, &p->run);
}

static rows *make_rows(problem *p)
{
    rows *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], C = p->n[1];
    s->d = (cvl_softmax)CVL_SOFTMAX_INIT;
    s->cross = (cvl_softmax_cross_entropy)CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    s->nll = (cvl_nll)CVL_NLL_INIT;
    s->d.N = s->cross.N = s->nll.N = N;
    s->d.C = s->cross.C = s->nll.C = C;
    s->z = problem_range(p, N * C, -4, 0);
    s->q = problem_range(p, N * C, 0, 2 / (double)C); /* probabilities, nearly */
    s->y = problem_array(p, N * C);
    s->dy = problem_array(p, N * C);
    s->dz = problem_array(p, N * C);
    s->loss = problem_memory(p, sizeof *s->loss);
    s->labels = problem_memory(p, sizeof *s->labels * (size_t)N);
    for (ptrdiff_t n = 0; n < N; n++)
        s->labels[n] = n * 7 % C;
    return s;
}

static void make_softmax(problem *p)
{
    make_rows(p);
    double z = (double)(p->n[0] * p->n[1]);
    problem_time(p, (contender){.pass = "forward",
                                .call = softmax_forward,
                                .cost = {(ELEMENTARY + 4) * z, z, z, 2 * z, 0}});
    problem_time(p, (contender){.pass = "backward",
                                .call = softmax_backward,
                                .cost = {4 * z, 2 * z, z, 3 * z, 0}});
}

static void make_log_softmax(problem *p)
{
    make_rows(p);
    double z = (double)(p->n[0] * p->n[1]);
    problem_time(p, (contender){.pass = "forward",
                                .call = log_softmax_forward,
                                .cost = {(ELEMENTARY + 5) * z, z, z, 2 * z, 0}});
    problem_time(p, (contender){.pass = "backward",
                                .call = log_softmax_backward,
                                .cost = {(ELEMENTARY + 3) * z, 2 * z, z, 3 * z, 0}});
}

static void make_cross_entropy(problem *p)
{
    rows *s = make_rows(p);
    problem_workspace(p, NAME(softmax_cross_entropy_workspace_size)(&s->cross, p->run.threads));
    double z = (double)(p->n[0] * p->n[1]), labels = BYTES(sizeof *s->labels) * (double)p->n[0];
    problem_time(p, (contender){.pass = "labels",
                                .call = cross_entropy,
                                .cost = {(ELEMENTARY + 5) * z, z + labels, z, 2 * z + labels, 0}});
    problem_time(p, (contender){.pass = "soft",
                                .call = cross_entropy_soft,
                                .cost = {(ELEMENTARY + 8) * z, 2 * z, z, 3 * z, 0}});
}

static void make_nll(problem *p)
{
    rows *s = make_rows(p);
    problem_workspace(p, NAME(nll_workspace_size)(&s->nll, p->run.threads));
    double N = (double)p->n[0], z = N * (double)p->n[1];
    double read = N + BYTES(sizeof *s->labels) * N;
    problem_time(p,
                 (contender){.pass = "labels", .call = nll, .cost = {2 * N, read, z, read + z, 0}});
}

const operation OPERATORS(softmax)[] = {{"softmax", "N C", make_softmax, 0},
                                        {"log_softmax", "N C", make_log_softmax, 0},
                                        {"softmax_cross_entropy", "N C", make_cross_entropy, 0},
                                        {"nll", "N C", make_nll, 0},
                                        {NULL, NULL, NULL, 0}};
