/* softmax_cross_entropy.c: losses over classes, from logits or from log-probabilities, and their
 * gradients together: a task is a row or, where rows are few and long, a block of one. */
#include <math.h>

#include "op.h"

/* An exponential takes the time of about this many bytes. Sharing rows of blocks takes three regions
 * instead of one: it is for rows that would leave the team idle for more than a part in IDLE. */
enum { EXPONENTIAL = 12, REGIONS = 3, IDLE = 8, LANES = CVL_ORDER_LANES };

typedef void row_kernel(const NAME(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss,
                        T *dz, const T *z);

typedef struct call {
    cvl_softmax_cross_entropy d;
    NAME(class_rows) rows;
    ptrdiff_t elements;
    row_kernel *kernel;
    double *row_loss, element_work;
    ptrdiff_t blocks; /* that rows are shared by; 0: they are not */
    cvl_class_stage stage;
    T *most;              /* (N,blocks) */
    cvl_class_sums *sums; /* (N,blocks) */
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

static void run_blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    (void)worker;
    s->k->cross_entropy_blocks(&s->rows, s->stage, begin, end, s->most, s->sums, s->row_loss, s->dz,
                               s->z);
}

/* Classes of a block: by shape alone, as they fix the order of sums. */
static ptrdiff_t block_of(ptrdiff_t C)
{
    if (C <= CVL_ORDER_CLASSES)
        return C;
    const ptrdiff_t teams = cvl_ceil_div(C, (ptrdiff_t)CVL_ORDER_CLASSES * CVL_ORDER_CLASS_TEAM);
    return cvl_ceil_div(cvl_ceil_div(C, teams * CVL_ORDER_CLASS_TEAM), LANES) * LANES;
}

/* Its scratch, for this many threads: row losses to be summed, and the results of blocks. */
static size_t carve(call *s, int threads, char *workspace)
{
    cvl_scratch scratch = {workspace, 0};
    const ptrdiff_t N = s->d.N, blocks = cvl_ceil_div(s->d.C, s->rows.block);
    const double work = s->element_work * (double)s->elements / REGIONS;
    const ptrdiff_t team = cvl_team_size(threads, N * blocks, work);
    const ptrdiff_t idle = cvl_ceil_div(N, team) * team - N;
    s->blocks = blocks > 1 && idle * IDLE > N ? blocks : 0;
    if (s->d.reduction != CVL_REDUCTION_NONE)
        s->row_loss = cvl_carve(&scratch, (size_t)N * sizeof(double));
    s->most = cvl_carve(&scratch, (size_t)(N * s->blocks) * sizeof *s->most);
    s->sums = cvl_carve(&scratch, (size_t)(N * s->blocks) * sizeof *s->sums);
    return scratch.used;
}

static cvl_status check_descriptor(call *s)
{
    const cvl_softmax_cross_entropy *d = &s->d;
    if (d->reduction < CVL_REDUCTION_NONE || d->reduction > CVL_REDUCTION_MEAN ||
        d->empty < CVL_EMPTY_ZERO || d->empty > CVL_EMPTY_ERROR ||
        !(d->label_smoothing >= 0 && d->label_smoothing <= 1))
        return CVL_ERR_ARGUMENT;
    if (d->N < 0 || d->C < 1)
        return CVL_ERR_SHAPE;
    ptrdiff_t weights;
    return CVL_PRODUCT(&s->elements, d->N, d->C) && CVL_PRODUCT(&weights, d->C) ? CVL_OK
                                                                                : CVL_ERR_OVERFLOW;
}

static cvl_status read_call(call *s, const cvl_softmax_cross_entropy *d)
{
    s->d = (cvl_softmax_cross_entropy)CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    if (!cvl_read(&s->d, d))
        return CVL_ERR_ARGUMENT;
    s->element_work = EXPONENTIAL * sizeof(T);
    s->rows.block = block_of(s->d.C);
    return check_descriptor(s);
}

static cvl_status read_nll(call *s, const cvl_nll *d)
{
    cvl_nll own = CVL_NLL_INIT;
    if (!cvl_read(&own, d))
        return CVL_ERR_ARGUMENT;
    s->d = (cvl_softmax_cross_entropy){sizeof s->d,      own.N, own.C,      own.reduction,
                                       own.ignore_index, 0,     own.ignore, own.empty};
    s->element_work = sizeof(T);
    s->rows.block = s->d.C;
    return check_descriptor(s);
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

static void run_tasks(call *s, int threads)
{
    const double work = s->element_work * (double)s->elements;
    if (s->blocks == 0) {
        cvl_parallel_for(threads, s->d.N, work, CVL_GRADUAL, run_rows, s);
        return;
    }
    /* One team for all stages, so that each worker finds its blocks in its cache. */
    for (int stage = CVL_CLASS_LARGEST; stage <= CVL_CLASS_GRADIENT; stage++) {
        s->stage = (cvl_class_stage)stage;
        cvl_parallel_for(threads, s->d.N * s->blocks, work / REGIONS, CVL_GRADUAL, run_blocks, s);
    }
}

/* Finds what losses are divided by: 1, or what a mean counts. */
static cvl_status find_divisor(call *s)
{
    NAME(class_rows) *rows = &s->rows;
    const int mean = s->d.reduction == CVL_REDUCTION_MEAN;
    const int all_count = !rows->ignore && !rows->sample_weight && (rows->q || !rows->class_weight);
    rows->divisor = 1;
    if (mean)
        rows->divisor = all_count ? (double)s->d.N : s->k->class_rows_divisor(rows, s->d.N);
    if (!(rows->divisor < INFINITY))
        return CVL_ERR_WEIGHT;
    return rows->divisor == 0 && s->d.empty == CVL_EMPTY_ERROR ? CVL_ERR_EMPTY : CVL_OK;
}

/* Runs a call whose descriptor is checked; `status` says with what result. */
static cvl_status run_call(call *s, cvl_status status, double *loss, const cvl_exec *run)
{
    cvl_exec exec;
    NAME(class_rows) *rows = &s->rows;
    if (status == CVL_ERR_ARGUMENT || !run || (rows->q && s->d.ignore) ||
        (!loss && s->d.reduction != CVL_REDUCTION_NONE) ||
        (s->d.N > 0 && (!loss || !s->dz || !s->z || (!rows->labels && !rows->q))))
        return CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, carve(s, run->threads, NULL));
    if (status != CVL_OK)
        return status;
    carve(s, exec.threads, exec.workspace);
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
    status = find_divisor(s);
    if (status != CVL_OK)
        return status;

    const int reduced = s->d.reduction != CVL_REDUCTION_NONE;
    if (!reduced)
        s->row_loss = loss;
    run_tasks(s, exec.threads);
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
    call s = {.rows = rows, .dz = dz, .z = z, .k = kernels()};
    const cvl_status status = read_call(&s, d);
    if (s.k)
        s.kernel = s.d.C <= LANES ? s.k->cross_entropy_few : s.k->cross_entropy;
    return run_call(&s, status, loss, run);
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
    call s = {.k = NULL};
    return read_call(&s, d) == CVL_OK ? carve(&s, threads, NULL) : 0;
}

cvl_status NAME(nll)(const cvl_nll *d, double *loss, T *dx, const T *x, const int64_t *labels,
                     const T *class_weight, const T *sample_weight, const cvl_exec *run)
{
    call s = {
        .rows = {.labels = labels, .class_weight = class_weight, .sample_weight = sample_weight},
        .dz = dx,
        .z = x,
        .k = kernels()};
    if (s.k)
        s.kernel = s.k->nll;
    return run_call(&s, read_nll(&s, d), loss, run);
}

size_t NAME(nll_workspace_size)(const cvl_nll *d, int threads)
{
    call s = {.k = NULL};
    return read_nll(&s, d) == CVL_OK ? carve(&s, threads, NULL) : 0;
}
