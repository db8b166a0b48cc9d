/* activations.c: the functions of one element, and sums of two arrays. */
#include "bench.h"

typedef struct elements {
    ptrdiff_t n;
    T *x, *other, *y, *dx; /* other: dy, or the second summand */
} elements;

/* A function and its gradient, which takes y where `given` says so, and x where it says that. */
#define FUNCTION(name, given, ...)                                                          \
    static cvl_status name##_forward(const problem *p, int which)                           \
    {                                                                                       \
        const elements *s = p->state;                                                       \
        return NAME(name##_forward)(__VA_ARGS__ s->n, s->y, s->x, &p->run);                 \
    }                                                                                       \
    static cvl_status name##_backward(const problem *p, int which)                          \
    {                                                                                       \
        const elements *s = p->state;                                                       \
        return NAME(name##_backward)(__VA_ARGS__ s->n, s->dx, s->other, s->given, &p->run); \
    }
#define COMMA ,
FUNCTION(relu, y, )
FUNCTION(leaky_relu, y, 0.01 COMMA)
FUNCTION(relu6, y, )
FUNCTION(sigmoid, y, )
FUNCTION(tanh, y, )
FUNCTION(elu, y, 1.0 COMMA)
FUNCTION(gelu, x, )
FUNCTION(gelu_tanh, x, )
FUNCTION(silu, x, )
FUNCTION(hard_swish, x, )
FUNCTION(softplus, x, )
#undef COMMA
#undef FUNCTION

static cvl_status add(const problem *p, int which)
{
    const elements *s = p->state;
    return NAME(add)(s->n, s->y, s->x, s->other, &p->run);
}

static cvl_status add_relu(const problem *p, int which)
{
    const elements *s = p->state;
    return NAME(add_relu)(s->n, s->y, s->x, s->other, &p->run);
}

/* The operators, with the operations of an element, forward and backward, and how many elementary
 * functions come to these. */
#define BOTH(name) name##_forward, name##_backward
#define FUNCTIONS                                   \
    ENTRY(relu, BOTH(relu), 1, 1, 0, 0)             \
    ENTRY(leaky_relu, BOTH(leaky_relu), 2, 2, 0, 0) \
    ENTRY(relu6, BOTH(relu6), 2, 2, 0, 0)           \
    ENTRY(sigmoid, BOTH(sigmoid), 3, 3, 1, 0)       \
    ENTRY(tanh, BOTH(tanh), 4, 3, 1, 0)             \
    ENTRY(elu, BOTH(elu), 3, 3, 1, 0)               \
    ENTRY(gelu, BOTH(gelu), 2, 5, 1, 2)             \
    ENTRY(gelu_tanh, BOTH(gelu_tanh), 8, 14, 1, 1)  \
    ENTRY(silu, BOTH(silu), 3, 6, 1, 1)             \
    ENTRY(hard_swish, BOTH(hard_swish), 4, 4, 0, 0) \
    ENTRY(softplus, BOTH(softplus), 3, 3, 2, 1)     \
    ENTRY(add, add, NULL, 1, 0, 0, 0)               \
    ENTRY(add_relu, add_relu, NULL, 2, 0, 0, 0)

#define ENTRY(name, ...) KIND_##name,
enum { FUNCTIONS };
#undef ENTRY

#define ENTRY(name, ...) {__VA_ARGS__},
static const struct {
    cvl_status (*forward)(const problem *p, int which), (*backward)(const problem *p, int which);
    double operations, backward_operations, elementary, backward_elementary;
} functions[] = {FUNCTIONS};
#undef ENTRY

static void make(problem *p)
{
    elements *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t n = s->n = p->n[0];
    s->x = problem_range(p, n, -4, 4);
    s->other = problem_array(p, n);
    s->y = problem_range(p, n, 0, 1);
    double x = (double)n, inputs = functions[p->kind].backward ? 1 : 2;
    double flop = functions[p->kind].operations + functions[p->kind].elementary * ELEMENTARY;
    problem_time(p, (contender){.pass = "forward",
                                .call = functions[p->kind].forward,
                                .cost = {flop * x, inputs * x, x, (inputs + 1) * x, 0}});
    if (!functions[p->kind].backward)
        return;
    s->dx = problem_array(p, n);
    flop = functions[p->kind].backward_operations +
           functions[p->kind].backward_elementary * ELEMENTARY;
    problem_time(p, (contender){.pass = "backward",
                                .call = functions[p->kind].backward,
                                .cost = {flop * x, 2 * x, x, 3 * x, 0}});
}

#define ENTRY(name, ...) {#name, "n", make, KIND_##name},
const operation OPERATORS(activations)[] = {FUNCTIONS{NULL, NULL, NULL, 0}};
