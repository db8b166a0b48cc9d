/* conv_transpose2d.c: transposed convolution. */
#include "bench.h"

typedef struct conv {
    cvl_conv_transpose2d d;
    T *x, *w, *dy, *y, *dx, *dw;
} conv;

static cvl_status forward(const problem *p, int which)
{
    const conv *s = p->state;
    return NAME(conv_transpose2d_forward)(&s->d, s->y, s->x, s->w, NULL, &p->run);
}

static cvl_status backward_data(const problem *p, int which)
{
    const conv *s = p->state;
    return NAME(conv_transpose2d_backward_data)(&s->d, s->dx, s->dy, s->w, &p->run);
}

static cvl_status backward_weights(const problem *p, int which)
{
    const conv *s = p->state;
    return NAME(conv_transpose2d_backward_weights)(&s->d, s->dw, NULL, s->dy, s->x, &p->run);
}

static void make(problem *p)
{
    conv *s = p->state = problem_memory(p, sizeof *s);
    const ptrdiff_t *n = p->n;
    s->d = (cvl_conv_transpose2d)CVL_CONV_TRANSPOSE2D_INIT;
    s->d.N = n[0];
    s->d.H = n[1];
    s->d.W = n[2];
    s->d.C = n[3];
    s->d.OC = n[4];
    s->d.KH = s->d.KW = n[5];
    s->d.SH = s->d.SW = n[6];
    s->d.PT = s->d.PB = s->d.PL = s->d.PR = n[7];
    s->d.groups = n[8];
    ptrdiff_t OH = 0, OW = 0;
    problem_check(cvl_conv_transpose2d_output_shape(&s->d, &OH, &OW));
    ptrdiff_t inputs = n[0] * n[1] * n[2] * n[3], outputs = n[0] * OH * OW * n[4];
    ptrdiff_t weights = n[5] * n[5] * (n[4] / n[8]) * n[3];
    s->x = problem_array(p, inputs);
    s->dx = problem_array(p, inputs);
    s->w = problem_array(p, weights);
    s->dw = problem_array(p, weights);
    s->dy = problem_array(p, outputs);
    s->y = problem_array(p, outputs);
    int threads = p->run.threads;
    problem_workspace(p, NAME(conv_transpose2d_forward_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(conv_transpose2d_backward_data_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(conv_transpose2d_backward_weights_workspace_size)(&s->d, threads));

    double x = (double)inputs, w = (double)weights, y = (double)outputs, all = x + w + y;
    double flop = 2 * x * w / (double)n[3];
    problem_time(p,
                 (contender){.pass = "forward", .call = forward, .cost = {flop, x + w, y, all, 0}});
    problem_time(p, (contender){.pass = "backward_data",
                                .call = backward_data,
                                .cost = {flop, y + w, x, all, 0}});
    problem_time(p, (contender){.pass = "backward_weights",
                                .call = backward_weights,
                                .cost = {flop, x + y, w, all, 0}});
}

const operation OPERATORS(conv_transpose2d)[] = {
    {"conv_transpose2d", "N H W C OC K S P G", make, 0}, {NULL, NULL, NULL, 0}};
