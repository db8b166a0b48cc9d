/* activation.c: the activations other than ReLU. */
#include <math.h>

#include "elementwise.h"

/* Bytes that could be touched in the time of an exponential. */
enum { PLAIN_WORK = 8 * sizeof(T) };

typedef struct call {
    cvl_function function;
    ptrdiff_t n;
    T *out;
    const T *a, *b; /* x; or dy, and y or x */
    T parameter;
    const NAME(kernels) *k;
} call;

static void forward_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CVL_CHUNK, n = cvl_min(end * CVL_CHUNK, s->n) - i;
    (void)worker;
    s->k->activation_forward(s->function, n, s->out + i, s->a + i, s->parameter);
}

static void backward_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CVL_CHUNK, n = cvl_min(end * CVL_CHUNK, s->n) - i;
    (void)worker;
    s->k->activation_backward(s->function, n, s->out + i, s->a + i, s->b + i, s->parameter);
}

static cvl_status run_chunks(cvl_function function, double parameter, ptrdiff_t n, T *out,
                             const T *a, const T *b, cvl_task *task, const cvl_exec *run)
{
    call s = {function, n, out, a, b, (T)parameter, kernels()};
    cvl_exec exec;
    if (!(parameter >= 0 && (T)parameter < INFINITY))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = NAME(read_elements)(n, out, a, b, run, &exec);
    if (status != CVL_OK)
        return status;
    const double work = ((a == b ? 2 : 3) * sizeof(T) + PLAIN_WORK) * (double)n;
    cvl_parallel_for(exec.threads, cvl_ceil_div(n, CVL_CHUNK), work, CVL_GRADUAL, task, &s);
    return CVL_OK;
}

static cvl_status forward(cvl_function function, double parameter, ptrdiff_t n, T *y, const T *x,
                          const cvl_exec *run)
{
    return run_chunks(function, parameter, n, y, x, x, forward_chunks, run);
}

static cvl_status backward(cvl_function function, double parameter, ptrdiff_t n, T *dx, const T *dy,
                           const T *a, const cvl_exec *run)
{
    return run_chunks(function, parameter, n, dx, dy, a, backward_chunks, run);
}

/* The two functions of an activation without a parameter. */
#define ACTIVATION(op, function)                                                      \
    cvl_status NAME(op##_forward)(ptrdiff_t n, T *y, const T *x, const cvl_exec *run) \
    {                                                                                 \
        return forward(function, 0, n, y, x, run);                                    \
    }                                                                                 \
    cvl_status NAME(op##_backward)(ptrdiff_t n, T *dx, const T *dy, const T *a,       \
                                   const cvl_exec *run)                               \
    {                                                                                 \
        return backward(function, 0, n, dx, dy, a, run);                              \
    }

ACTIVATION(relu6, CVL_RELU6)
ACTIVATION(sigmoid, CVL_SIGMOID)
ACTIVATION(tanh, CVL_TANH)
ACTIVATION(gelu, CVL_GELU)
ACTIVATION(gelu_tanh, CVL_GELU_TANH)
ACTIVATION(silu, CVL_SILU)
ACTIVATION(hard_swish, CVL_HARD_SWISH)
ACTIVATION(softplus, CVL_SOFTPLUS)

cvl_status NAME(leaky_relu_forward)(double slope, ptrdiff_t n, T *y, const T *x,
                                    const cvl_exec *run)
{
    return forward(CVL_LEAKY_RELU, slope, n, y, x, run);
}

cvl_status NAME(leaky_relu_backward)(double slope, ptrdiff_t n, T *dx, const T *dy, const T *y,
                                     const cvl_exec *run)
{
    return backward(CVL_LEAKY_RELU, slope, n, dx, dy, y, run);
}

cvl_status NAME(elu_forward)(double alpha, ptrdiff_t n, T *y, const T *x, const cvl_exec *run)
{
    return forward(CVL_ELU, alpha, n, y, x, run);
}

cvl_status NAME(elu_backward)(double alpha, ptrdiff_t n, T *dx, const T *dy, const T *y,
                              const cvl_exec *run)
{
    return backward(CVL_ELU, alpha, n, dx, dy, y, run);
}
