/* pooling.c: largest values and averages of windows, and of whole images. */
#include "bench.h"

typedef struct pool {
    cvl_pool2d d;
    cvl_batch_norm norm; /* before it */
    T *x, *dy, *y, *dx, *gamma, *beta;
    double *mean, *var;
    uint8_t *winners;
} pool;

enum { MAX = 1, GLOBAL = 2 }; /* bits of the kinds */

static cvl_status max_forward(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(max_pool2d_forward)(&s->d, s->y, s->x, &p->run);
}

static cvl_status max_backward(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(max_pool2d_backward)(&s->d, s->dx, s->dy, s->x, &p->run);
}

static cvl_status forward_winners(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(max_pool2d_forward_winners)(&s->d, s->y, s->winners, s->x, &p->run);
}

static cvl_status backward_winners(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(max_pool2d_backward_winners)(&s->d, s->dx, s->dy, s->winners, &p->run);
}

static cvl_status avg_forward(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(avg_pool2d_forward)(&s->d, s->y, s->x, &p->run);
}

static cvl_status avg_backward(const problem *p, int which)
{
    const pool *s = p->state;
    return NAME(avg_pool2d_backward)(&s->d, s->dx, s->dy, &p->run);
}

static cvl_status after_norm(const problem *p, int frozen)
{
    const pool *s = p->state;
    cvl_batch_norm norm = s->norm;
    norm.frozen = frozen;
    return NAME(batch_norm_max_pool2d_forward)(&norm, &s->d, s->y, frozen ? NULL : s->winners,
                                               s->mean, s->var, s->x, s->gamma, s->beta, &p->run);
}

static cvl_pool2d descriptor(const problem *p)
{
    cvl_pool2d d = CVL_POOL2D_INIT;
    d.N = p->n[0];
    d.H = d.KH = p->n[1];
    d.W = d.KW = p->n[2];
    d.C = p->n[3];
    if (p->kind & GLOBAL)
        return d;
    d.KH = d.KW = p->n[4];
    d.SH = d.SW = p->n[5];
    d.PT = d.PB = d.PL = d.PR = p->n[6];
    return d;
}

static void make(problem *p)
{
    pool *s = p->state = problem_memory(p, sizeof *s);
    s->d = descriptor(p);
    ptrdiff_t OH = 0, OW = 0;
    problem_check(cvl_pool2d_output_shape(&s->d, &OH, &OW));
    ptrdiff_t inputs = s->d.N * s->d.H * s->d.W * s->d.C, outputs = s->d.N * OH * OW * s->d.C;
    s->x = problem_array(p, inputs);
    s->dx = problem_array(p, inputs);
    s->dy = problem_array(p, outputs);
    s->y = problem_array(p, outputs);

    /* One operation for each position of a window; backward by the winners, one for each output. */
    double x = (double)inputs, y = (double)outputs, flop = y * (double)(s->d.KH * s->d.KW);
    int max = p->kind & MAX;
    problem_time(p, (contender){.pass = "forward",
                                .call = max ? max_forward : avg_forward,
                                .cost = {flop, x, y, x + y, 0}});
    problem_time(p, (contender){.pass = "backward",
                                .call = max ? max_backward : avg_backward,
                                .cost = {flop, y + max * x, x, y + (1 + max) * x, 0}});
    if (!max || s->d.KH * s->d.KW > UINT8_MAX)
        return;
    s->winners = problem_memory(p, (size_t)outputs);
    double winners = BYTES(outputs);
    problem_time(p, (contender){.pass = "forward_winners",
                                .call = forward_winners,
                                .cost = {flop, x, y + winners, x + y + winners, 0}});
    problem_time(p, (contender){.pass = "backward_winners",
                                .call = backward_winners,
                                .cost = {y, y + winners, x, x + y + winners, 0}});
}

/* As in training, with the statistics of x and the winners, and in inference. */
static void make_after_norm(problem *p)
{
    pool *s = p->state = problem_memory(p, sizeof *s);
    s->d = descriptor(p);
    ptrdiff_t OH = 0, OW = 0, C = s->d.C, M = s->d.N * s->d.H * s->d.W;
    problem_check(cvl_pool2d_output_shape(&s->d, &OH, &OW));
    ptrdiff_t outputs = s->d.N * OH * OW * C;
    s->norm = (cvl_batch_norm)CVL_BATCH_NORM_INIT;
    s->norm.M = M;
    s->norm.C = C;
    s->norm.activation = CVL_ACTIVATION_RELU;
    s->x = problem_array(p, M * C);
    s->y = problem_array(p, outputs);
    s->winners = problem_memory(p, (size_t)outputs);
    s->gamma = problem_range(p, C, 0.5, 1.5);
    s->beta = problem_array(p, C);
    s->mean = problem_memory(p, sizeof(double) * (size_t)C);
    s->var = problem_memory(p, sizeof(double) * (size_t)C);
    for (ptrdiff_t c = 0; c < C; c++)
        s->var[c] = 1.0 / 3; /* that of x */
    problem_workspace(
        p, NAME(batch_norm_max_pool2d_forward_workspace_size)(&s->norm, &s->d, p->run.threads));
    double x = (double)(M * C), y = (double)outputs, winners = BYTES(outputs);
    double flop = 4 * x + y * (double)(s->d.KH * s->d.KW);
    problem_time(p, (contender){.pass = "forward",
                                .call = after_norm,
                                .which = 0,
                                .cost = {flop + 4 * x, 2 * x, y + winners, x + y + winners, 0}});
    problem_time(p, (contender){.pass = "inference",
                                .call = after_norm,
                                .which = 1,
                                .cost = {flop, x, y, x + y, 0}});
}

const operation OPERATORS(pooling)[] = {
    {"max_pool2d", "N H W C K S P", make, MAX},
    {"batch_norm_max_pool2d", "N H W C K S P", make_after_norm, MAX},
    {"avg_pool2d", "N H W C K S P", make, 0},
    {"global_max_pool2d", "N H W C", make, MAX | GLOBAL},
    {"global_avg_pool2d", "N H W C", make, GLOBAL},
    {NULL, NULL, NULL, 0}};
