/* softmax_cross_entropy.c: the loss and its gradient by the logits together: a task is a row. */
#include "op.h"

/* An exponential takes the time of about this many bytes. */
enum { ELEMENT_WORK = 12 * sizeof(T) };

typedef struct call {
    cvl_softmax_cross_entropy d;
    ptrdiff_t elements;
    double *row_loss, weight; /* the gradient is that of weight times the sum of row_loss */
    T *dz;
    const T *z, *q;
    const int64_t *labels;
    const NAME(kernels) *k;
} call;

static void label_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t C = s->d.C, first = begin * C;
    (void)worker;
    s->k->cross_entropy(end - begin, C, s->row_loss + begin, s->dz + first, s->z + first,
                        s->labels + begin, s->weight);
}

static void soft_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    const ptrdiff_t C = s->d.C, first = begin * C;
    (void)worker;
    s->k->cross_entropy_soft(end - begin, C, s->row_loss + begin, s->dz + first, s->z + first,
                             s->q + first, s->weight);
}

/* Reads and checks the descriptor; `needed` is the workspace: row losses that are to be summed. */
static cvl_status read_call(call *s, size_t *needed, const cvl_softmax_cross_entropy *d)
{
    s->d = (cvl_softmax_cross_entropy)CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    if (!cvl_read(&s->d, d) ||
        (s->d.reduction != CVL_REDUCTION_NONE && s->d.reduction != CVL_REDUCTION_SUM &&
         s->d.reduction != CVL_REDUCTION_MEAN))
        return CVL_ERR_ARGUMENT;
    if (s->d.N < 0 || s->d.C < 1)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&s->elements, s->d.N, s->d.C))
        return CVL_ERR_OVERFLOW;
    /* Carved like every workspace: whole cache lines, since aligned_alloc takes no other size. */
    cvl_scratch scratch = {NULL, 0};
    if (s->d.reduction != CVL_REDUCTION_NONE)
        cvl_carve(&scratch, (size_t)s->d.N * sizeof(double));
    *needed = scratch.used;
    return CVL_OK;
}

static int labels_fit(const call *s)
{
    for (ptrdiff_t n = 0; n < s->d.N; n++)
        if (s->labels[n] < 0 || s->labels[n] >= s->d.C)
            return 0;
    return 1;
}

/* Targets are `labels`, or `q` where that is NULL. */
static cvl_status run_call(call s, const cvl_softmax_cross_entropy *d, double *loss,
                           const cvl_exec *run)
{
    cvl_exec exec;
    size_t needed;
    cvl_status status = read_call(&s, &needed, d);
    if (status == CVL_ERR_ARGUMENT || !loss || !run ||
        (s.d.N > 0 && (!s.dz || !s.z || (!s.labels && !s.q))))
        return CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, needed);
    if (status != CVL_OK)
        return status;
    if (s.labels && !labels_fit(&s))
        return CVL_ERR_LABEL;
    if (!s.k)
        return CVL_ERR_ISA;

    const int reduced = s.d.reduction != CVL_REDUCTION_NONE;
    s.row_loss = reduced ? exec.workspace : loss;
    s.weight = s.d.reduction == CVL_REDUCTION_MEAN ? 1 / (double)cvl_max(s.d.N, 1) : 1;
    cvl_parallel_for(exec.threads, s.d.N, ELEMENT_WORK * (double)s.elements, CVL_GRADUAL,
                     s.labels ? label_rows : soft_rows, &s);
    if (reduced)
        *loss = s.k->sum_losses(s.d.N, s.row_loss);
    if (s.d.reduction == CVL_REDUCTION_MEAN)
        *loss /= (double)cvl_max(s.d.N, 1);
    return CVL_OK;
}

cvl_status NAME(softmax_cross_entropy)(const cvl_softmax_cross_entropy *d, double *loss, T *dz,
                                       const T *z, const int64_t *labels, const cvl_exec *run)
{
    const call s = {.dz = dz, .z = z, .labels = labels, .k = kernels()};
    return run_call(s, d, loss, run);
}

cvl_status NAME(softmax_cross_entropy_soft)(const cvl_softmax_cross_entropy *d, double *loss, T *dz,
                                            const T *z, const T *q, const cvl_exec *run)
{
    const call s = {.dz = dz, .z = z, .q = q, .k = kernels()};
    return run_call(s, d, loss, run);
}

size_t NAME(softmax_cross_entropy_workspace_size)(const cvl_softmax_cross_entropy *d, int threads)
{
    call s;
    size_t needed;
    (void)threads;
    return read_call(&s, &needed, d) == CVL_OK ? needed : 0;
}
