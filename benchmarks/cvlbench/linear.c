/* linear.c: the linear layer. */
#include "bench.h"

typedef struct linear {
    cvl_linear d;
    T *x, *w, *b, *dy, *y, *dx, *dw, *db;
} linear;

static cvl_status forward(const problem *p, int which)
{
    const linear *s = p->state;
    return NAME(linear_forward)(&s->d, s->y, s->x, s->w, s->b, &p->run);
}

static cvl_status backward_data(const problem *p, int which)
{
    const linear *s = p->state;
    return NAME(linear_backward_data)(&s->d, s->dx, s->dy, s->w, &p->run);
}

static cvl_status backward_weights(const problem *p, int which)
{
    const linear *s = p->state;
    return NAME(linear_backward_weights)(&s->d, s->dw, s->db, s->dy, s->x, &p->run);
}

static void make(problem *p)
{
    linear *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t M = p->n[0], IN = p->n[1], OUT = p->n[2];
    s->d = (cvl_linear)CVL_LINEAR_INIT;
    s->d.M = M;
    s->d.IN = IN;
    s->d.OUT = OUT;
    s->x = problem_array(p, M * IN);
    s->w = problem_array(p, IN * OUT);
    s->b = problem_array(p, OUT);
    s->dy = problem_array(p, M * OUT);
    s->y = problem_array(p, M * OUT);
    s->dx = problem_array(p, M * IN);
    s->dw = problem_array(p, IN * OUT);
    s->db = problem_array(p, OUT);
    int threads = p->run.threads;
    problem_workspace(p, NAME(linear_forward_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(linear_backward_data_workspace_size)(&s->d, threads));
    problem_workspace(p, NAME(linear_backward_weights_workspace_size)(&s->d, threads));

    double x = (double)(M * IN), w = (double)(IN * OUT), y = (double)(M * OUT), b = (double)OUT;
    double flop = 2 * x * b, all = x + w + y;
    problem_time(
        p,
        (contender){.pass = "forward", .call = forward, .cost = {flop, x + w + b, y, all + b, 0}});
    problem_time(p, (contender){.pass = "backward_data",
                                .call = backward_data,
                                .cost = {flop, y + w, x, all, 0}});
    problem_time(p, (contender){.pass = "backward_weights",
                                .call = backward_weights,
                                .cost = {flop + y, y + x, w + b, all + b, 0}});
}

const operation OPERATORS(linear)[] = {{"linear", "M IN OUT", make, 0}, {NULL, NULL, NULL, 0}};
