/* elementwise.c: ReLU and addition. */
#include "elementwise.h"

typedef void unary_kernel(ptrdiff_t n, T *y, const T *x);
typedef void binary_kernel(ptrdiff_t n, T *out, const T *a, const T *b);

typedef struct call {
    ptrdiff_t n;
    T *out;
    const T *a, *b; /* the same with a kernel of one */
    unary_kernel *unary;
    binary_kernel *binary;
} call;

static void unary_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CVL_CHUNK, n = cvl_min(end * CVL_CHUNK, s->n) - i;
    (void)worker;
    s->unary(n, s->out + i, s->a + i);
}

static void binary_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CVL_CHUNK, n = cvl_min(end * CVL_CHUNK, s->n) - i;
    (void)worker;
    s->binary(n, s->out + i, s->a + i, s->b + i);
}

cvl_status NAME(read_elements)(ptrdiff_t n, const T *out, const T *a, const T *b,
                               const cvl_exec *run, cvl_exec *exec)
{
    ptrdiff_t elements;
    if (n > 0 && (!out || !a || !b))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_read_exec(exec, run, 0);
    if (status != CVL_OK)
        return status;
    if (n < 0)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, n))
        return CVL_ERR_OVERFLOW;
    return kernels() ? CVL_OK : CVL_ERR_ISA;
}

/* Runs the kernel that `s` has. */
static cvl_status run_chunks(call s, const cvl_exec *run)
{
    cvl_exec exec;
    const cvl_status status = NAME(read_elements)(s.n, s.out, s.a, s.b, run, &exec);
    if (status != CVL_OK)
        return status;
    const double bytes = (s.a == s.b ? 2 : 3) * sizeof(T) * (double)s.n;
    cvl_parallel_for(exec.threads, cvl_ceil_div(s.n, CVL_CHUNK), bytes, CVL_GRADUAL,
                     s.unary ? unary_chunks : binary_chunks, &s);
    return CVL_OK;
}

cvl_status NAME(relu_forward)(ptrdiff_t n, T *y, const T *x, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_chunks((call){n, y, x, x, k ? k->relu_forward : NULL, NULL}, run);
}

cvl_status NAME(relu_backward)(ptrdiff_t n, T *dx, const T *dy, const T *y, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_chunks((call){n, dx, dy, y, NULL, k ? k->relu_backward : NULL}, run);
}

cvl_status NAME(add)(ptrdiff_t n, T *y, const T *a, const T *b, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_chunks((call){n, y, a, b, NULL, k ? k->add : NULL}, run);
}

cvl_status NAME(add_relu)(ptrdiff_t n, T *y, const T *a, const T *b, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_chunks((call){n, y, a, b, NULL, k ? k->add_relu : NULL}, run);
}
