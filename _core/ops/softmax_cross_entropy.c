/* softmax_cross_entropy.c: losses over classes, from logits or from log-probabilities, and their
 * gradients together: a task is a row. */
#include <math.h>

#include "op.h"

/* An exponential takes the time of about this many bytes. */
enum { EXPONENTIAL = 12 };

typedef void row_kernel(const NAME(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss,
                        T *dz, const T *z);

typedef struct call {
    cvl_softmax_cross_entropy d;
    NAME(class_rows) rows;
    ptrdiff_t elements;
    row_kernel *kernel;
    double *row_loss, element_work;
    T *dz;
    const T *z;
    const NAME(kernels) *k;
} call;

static void run_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    (void)worker;
    s->kernel(&s->rows, begin, end, s->row_loss, s->dz, s->z);
}

/* Checks the descriptor; `needed` is the workspace: row losses that are to be summed. */
static cvl_status check_descriptor(call *s, size_t *needed)
{
    const cvl_softmax_cross_entropy *d = &s->d;
    if (d->reduction < CVL_REDUCTION_NONE || d->reduction > CVL_REDUCTION_MEAN ||
        d->empty < CVL_EMPTY_ZERO || d->empty > CVL_EMPTY_ERROR ||
        !(d->label_smoothing >= 0 && d->label_smoothing <= 1))
        return CVL_ERR_ARGUMENT;
    if (d->N < 0 || d->C < 1)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&s->elements, d->N, d->C))
        return CVL_ERR_OVERFLOW;
    /* Carved like every workspace: whole cache lines, since aligned_alloc takes no other size. */
    cvl_scratch scratch = {NULL, 0};
    if (d->reduction != CVL_REDUCTION_NONE)
        cvl_carve(&scratch, (size_t)d->N * sizeof(double));
    *needed = scratch.used;
    return CVL_OK;
}

static cvl_status read_call(call *s, size_t *needed, const cvl_softmax_cross_entropy *d)
{
    s->d = (cvl_softmax_cross_entropy)CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    return cvl_read(&s->d, d) ? check_descriptor(s, needed) : CVL_ERR_ARGUMENT;
}

static cvl_status read_nll(call *s, size_t *needed, const cvl_nll *d)
{
    cvl_nll own = CVL_NLL_INIT;
    if (!cvl_read(&own, d))
        return CVL_ERR_ARGUMENT;
    s->d = (cvl_softmax_cross_entropy){sizeof s->d,      own.N, own.C,      own.reduction,
                                       own.ignore_index, 0,     own.ignore, own.empty};
    return check_descriptor(s, needed);
}

static int ignored(const NAME(class_rows) *rows, ptrdiff_t n)
{
    return rows->ignore && rows->labels[n] == rows->ignore_index;
}

static int labels_fit(const NAME(class_rows) *rows, ptrdiff_t N)
{
    for (ptrdiff_t n = 0; rows->labels && n < N; n++)
        if ((rows->labels[n] < 0 || rows->labels[n] >= rows->C) && !ignored(rows, n))
            return 0;
    return 1;
}

static int weights_fit(const NAME(class_rows) *rows, ptrdiff_t N)
{
    for (ptrdiff_t c = 0; rows->class_weight && c < rows->C; c++)
        if (!(rows->class_weight[c] >= 0 && rows->class_weight[c] < (T)INFINITY))
            return 0;
    for (ptrdiff_t n = 0; rows->sample_weight && n < N; n++)
        if (!(rows->sample_weight[n] >= 0 && rows->sample_weight[n] < (T)INFINITY) &&
            !ignored(rows, n))
            return 0;
    return 1;
}

/* Runs a call whose descriptor is checked; `status` says with what result. */
static cvl_status run_call(call *s, cvl_status status, size_t needed, double *loss,
                           const cvl_exec *run)
{
    cvl_exec exec;
    NAME(class_rows) *rows = &s->rows;
    if (status == CVL_ERR_ARGUMENT || !loss || !run || (rows->q && s->d.ignore) ||
        (s->d.N > 0 && (!s->dz || !s->z || (!rows->labels && !rows->q))))
        return CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, needed);
    if (status != CVL_OK)
        return status;
    rows->C = s->d.C;
    rows->ignore = s->d.ignore;
    rows->ignore_index = s->d.ignore_index;
    rows->smoothing = s->d.label_smoothing;
    if (!labels_fit(rows, s->d.N))
        return CVL_ERR_LABEL;
    if (!weights_fit(rows, s->d.N))
        return CVL_ERR_WEIGHT;
    if (!s->k)
        return CVL_ERR_ISA;

    const int mean = s->d.reduction == CVL_REDUCTION_MEAN;
    const int all_count = !rows->ignore && !rows->sample_weight && (rows->q || !rows->class_weight);
    rows->divisor = 1;
    if (mean)
        rows->divisor = all_count ? (double)s->d.N : s->k->class_rows_divisor(rows, s->d.N);
    if (!(rows->divisor < INFINITY))
        return CVL_ERR_WEIGHT;
    if (rows->divisor == 0 && s->d.empty == CVL_EMPTY_ERROR)
        return CVL_ERR_EMPTY;

    const int reduced = s->d.reduction != CVL_REDUCTION_NONE;
    s->row_loss = reduced ? exec.workspace : loss;
    cvl_parallel_for(exec.threads, s->d.N, s->element_work * (double)s->elements, CVL_GRADUAL,
                     run_rows, s);
    if (!reduced)
        return CVL_OK;
    *loss = s->k->sum_losses(s->d.N, s->row_loss);
    if (rows->divisor == 0)
        *loss = s->d.empty == CVL_EMPTY_NAN ? (double)NAN : 0;
    else
        *loss /= rows->divisor;
    return CVL_OK;
}

/* From logits, with the labels or soft targets that `rows` has. */
static cvl_status run_cross_entropy(NAME(class_rows) rows, const cvl_softmax_cross_entropy *d,
                                    double *loss, T *dz, const T *z, const cvl_exec *run)
{
    call s = {
        .rows = rows, .element_work = EXPONENTIAL * sizeof(T), .dz = dz, .z = z, .k = kernels()};
    size_t needed = 0;
    const cvl_status status = read_call(&s, &needed, d);
    if (s.k)
        s.kernel = rows.q || s.d.label_smoothing > 0 ? s.k->cross_entropy_soft : s.k->cross_entropy;
    return run_call(&s, status, needed, loss, run);
}

cvl_status NAME(softmax_cross_entropy)(const cvl_softmax_cross_entropy *d, double *loss, T *dz,
                                       const T *z, const int64_t *labels, const T *class_weight,
                                       const T *sample_weight, const cvl_exec *run)
{
    const NAME(class_rows) rows = {
        .labels = labels, .class_weight = class_weight, .sample_weight = sample_weight};
    return run_cross_entropy(rows, d, loss, dz, z, run);
}

cvl_status NAME(softmax_cross_entropy_soft)(const cvl_softmax_cross_entropy *d, double *loss, T *dz,
                                            const T *z, const T *q, const T *class_weight,
                                            const T *sample_weight, const cvl_exec *run)
{
    const NAME(class_rows) rows = {
        .q = q, .class_weight = class_weight, .sample_weight = sample_weight};
    return run_cross_entropy(rows, d, loss, dz, z, run);
}

size_t NAME(softmax_cross_entropy_workspace_size)(const cvl_softmax_cross_entropy *d, int threads)
{
    call s;
    size_t needed;
    (void)threads;
    return read_call(&s, &needed, d) == CVL_OK ? needed : 0;
}

cvl_status NAME(nll)(const cvl_nll *d, double *loss, T *dx, const T *x, const int64_t *labels,
                     const T *class_weight, const T *sample_weight, const cvl_exec *run)
{
    call s = {
        .rows = {.labels = labels, .class_weight = class_weight, .sample_weight = sample_weight},
        .element_work = sizeof(T),
        .dz = dx,
        .z = x,
        .k = kernels()};
    size_t needed = 0;
    const cvl_status status = read_nll(&s, &needed, d);
    if (s.k)
        s.kernel = s.k->nll;
    return run_call(&s, status, needed, loss, run);
}

size_t NAME(nll_workspace_size)(const cvl_nll *d, int threads)
{
    call s;
    size_t needed;
    (void)threads;
    return read_nll(&s, &needed, d) == CVL_OK ? needed : 0;
}
