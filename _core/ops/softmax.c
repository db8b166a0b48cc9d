/* softmax.c: softmax and log-softmax, forward and backward: a task is a row. */
#include "op.h"

/* An exponential takes the time of about this many bytes. */
enum { ELEMENT_WORK = 12 * sizeof(T) };

typedef void forward_kernel(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z);
typedef void backward_kernel(ptrdiff_t rows, ptrdiff_t C, T *dz, const T *dy, const T *y);

typedef struct call {
    cvl_softmax d;
    T *out;
    const T *a, *b; /* z; or dy and y */
    forward_kernel *forward;
    backward_kernel *backward;
} call;

static void forward_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t C = s->d.C;
    (void)worker;
    s->forward(end - begin, C, s->out + begin * C, s->a + begin * C);
}

static void backward_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t C = s->d.C;
    (void)worker;
    s->backward(end - begin, C, s->out + begin * C, s->a + begin * C, s->b + begin * C);
}

/* Runs the kernel that `s` has. */
static cvl_status run_rows(call s, const cvl_softmax *d, const cvl_exec *run)
{
    cvl_exec exec;
    ptrdiff_t elements;
    if (!cvl_read(&s.d, d) || (s.d.N > 0 && (!s.out || !s.a || !s.b)))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    if (s.d.N < 0 || s.d.C < 1)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, s.d.N, s.d.C))
        return CVL_ERR_OVERFLOW;
    if (!s.forward && !s.backward)
        return CVL_ERR_ISA;
    cvl_parallel_for(exec.threads, s.d.N, ELEMENT_WORK * (double)elements, CVL_GRADUAL,
                     s.forward ? forward_rows : backward_rows, &s);
    return CVL_OK;
}

cvl_status NAME(softmax_forward)(const cvl_softmax *d, T *y, const T *z, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_rows((call){CVL_SOFTMAX_INIT, y, z, z, k ? k->softmax_forward : NULL, NULL}, d, run);
}

cvl_status NAME(log_softmax_forward)(const cvl_softmax *d, T *y, const T *z, const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_rows((call){CVL_SOFTMAX_INIT, y, z, z, k ? k->log_softmax_forward : NULL, NULL}, d,
                    run);
}

cvl_status NAME(softmax_backward)(const cvl_softmax *d, T *dz, const T *dy, const T *y,
                                  const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_rows((call){CVL_SOFTMAX_INIT, dz, dy, y, NULL, k ? k->softmax_backward : NULL}, d,
                    run);
}

cvl_status NAME(log_softmax_backward)(const cvl_softmax *d, T *dz, const T *dy, const T *y,
                                      const cvl_exec *run)
{
    const NAME(kernels) *k = kernels();
    return run_rows((call){CVL_SOFTMAX_INIT, dz, dy, y, NULL, k ? k->log_softmax_backward : NULL},
                    d, run);
}
