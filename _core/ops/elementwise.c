/* elementwise.c: ReLU and addition: a task is a chunk of elements. */
#include "op.h"

/* A chunk is short enough to share evenly, long enough not to be noticed. */
enum { CHUNK = 4096 };

typedef struct call {
    ptrdiff_t n;
    T *out;
    const T *a, *b;
    const NAME(kernels) *k;
} call;

static void relu_forward_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CHUNK, n = cvl_min(end * CHUNK, s->n) - i;
    (void)worker;
    s->k->relu_forward(n, s->out + i, s->a + i);
}

static void relu_backward_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CHUNK, n = cvl_min(end * CHUNK, s->n) - i;
    (void)worker;
    s->k->relu_backward(n, s->out + i, s->a + i, s->b + i);
}

static void add_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CHUNK, n = cvl_min(end * CHUNK, s->n) - i;
    (void)worker;
    s->k->add(n, s->out + i, s->a + i, s->b + i);
}

static void add_relu_chunks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t i = begin * CHUNK, n = cvl_min(end * CHUNK, s->n) - i;
    (void)worker;
    s->k->add_relu(n, s->out + i, s->a + i, s->b + i);
}

static cvl_status run_chunks(ptrdiff_t n, T *out, const T *a, const T *b, cvl_task *task,
                             const cvl_exec *run)
{
    call s = {n, out, a, b, kernels()};
    cvl_exec exec;
    ptrdiff_t elements;
    if (n > 0 && (!out || !a || !b))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    if (n < 0)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, n))
        return CVL_ERR_OVERFLOW;
    if (!s.k)
        return CVL_ERR_ISA;
    const double bytes = (a == b ? 2 : 3) * sizeof(T) * (double)n;
    cvl_parallel_for(exec.threads, cvl_ceil_div(n, CHUNK), bytes, CVL_GRADUAL, task, &s);
    return CVL_OK;
}

cvl_status NAME(relu_forward)(ptrdiff_t n, T *y, const T *x, const cvl_exec *run)
{
    return run_chunks(n, y, x, x, relu_forward_chunks, run);
}

cvl_status NAME(relu_backward)(ptrdiff_t n, T *dx, const T *dy, const T *y, const cvl_exec *run)
{
    return run_chunks(n, dx, dy, y, relu_backward_chunks, run);
}

cvl_status NAME(add)(ptrdiff_t n, T *y, const T *a, const T *b, const cvl_exec *run)
{
    return run_chunks(n, y, a, b, add_chunks, run);
}

cvl_status NAME(add_relu)(ptrdiff_t n, T *y, const T *a, const T *b, const cvl_exec *run)
{
    return run_chunks(n, y, a, b, add_relu_chunks, run);
}
