/* losses.c: the losses over elements, value and gradient together. */
#include "bench.h"

typedef struct pair {
    cvl_loss d;
    T *x, *y, *dx;
    double *loss;
} pair;

#define LOSS(name)                                                     \
    static cvl_status name(const problem *p, int which)                \
    {                                                                  \
        const pair *s = p->state;                                      \
        return NAME(name)(&s->d, s->loss, s->dx, s->x, s->y, &p->run); \
    }
LOSS(mse)
LOSS(l1)
LOSS(huber)
LOSS(smooth_l1)
LOSS(focal)
#undef LOSS

static cvl_status binary_cross_entropy(const problem *p, int which)
{
    const pair *s = p->state;
    return NAME(binary_cross_entropy)(&s->d, s->loss, s->dx, s->x, s->y, NULL, NULL, &p->run);
}

/* The operators, with the operations of an element, and how many elementary functions come to
 * these. */
#define LOSSES             \
    ENTRY(mse, 4, 0)       \
    ENTRY(l1, 4, 0)        \
    ENTRY(huber, 7, 0)     \
    ENTRY(smooth_l1, 8, 0) \
    ENTRY(focal, 14, 4)    \
    ENTRY(binary_cross_entropy, 9, 2)

#define ENTRY(name, ...) KIND_##name,
enum { LOSSES };
#undef ENTRY

#define ENTRY(name, ...) {name, __VA_ARGS__},
static const struct {
    cvl_status (*call)(const problem *p, int which);
    double operations, elementary;
} losses[] = {LOSSES};
#undef ENTRY

static void make(problem *p)
{
    pair *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t n = p->n[0];
    s->d = (cvl_loss)CVL_LOSS_INIT;
    s->d.n = n;
    s->x = problem_range(p, n, -4, 4);
    s->y = problem_range(p, n, 0, 1);
    s->dx = problem_array(p, n);
    s->loss = problem_memory(p, sizeof *s->loss);
    problem_workspace(p, NAME(loss_workspace_size)(&s->d, p->run.threads));
    double x = (double)n;
    double flop = losses[p->kind].operations + losses[p->kind].elementary * ELEMENTARY;
    problem_time(p, (contender){.pass = "targets",
                                .call = losses[p->kind].call,
                                .cost = {flop * x, 2 * x, x, 3 * x, 0}});
}

#define ENTRY(name, ...) {#name, "n", make, KIND_##name},
const operation OPERATORS(losses)[] = {LOSSES{NULL, NULL, NULL, 0}};
