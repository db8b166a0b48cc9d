/* columns.c: see columns.h. */
#include "columns.h"

static ptrdiff_t row_length(ptrdiff_t C)
{
    for (ptrdiff_t L = C; L <= CVL_ORDER_ROW_MAX; L += C)
        if (L % CVL_ORDER_ROW_WIDE == 0)
            return L;
    for (ptrdiff_t L = C; L <= CVL_ORDER_ROW_MAX; L += C)
        if (L % CVL_ORDER_ROW_NARROW == 0)
            return L;
    return C;
}

cvl_columns NAME(columns_plan)(ptrdiff_t M, ptrdiff_t C)
{
    if (M > CVL_ORDER_SLAB_PIXELS || C < CVL_ORDER_SLAB_CHANNELS)
        return NAME(columns_blocks)(M, C);
    const ptrdiff_t slabs = cvl_ceil_div(C, CVL_COLUMNS_RANGE);
    return (cvl_columns){.M = M,
                         .C = C,
                         .L = C,
                         .rows = M,
                         .chain = CVL_ORDER_CHAIN_MAX,
                         .blocks = 1,
                         .slabs = slabs,
                         .tasks = slabs};
}

cvl_columns NAME(columns_blocks)(ptrdiff_t M, ptrdiff_t C)
{
    cvl_columns plan = {.M = M, .C = C, .L = row_length(C)};
    plan.rows = M * C / plan.L;
    plan.tail = M * C % plan.L;
    plan.chain =
        cvl_max(CVL_ORDER_CHAIN_MIN, cvl_min(CVL_ORDER_CHAIN_MAX, CVL_ORDER_PIECE / plan.L));
    plan.blocks = M * C * (ptrdiff_t)sizeof(T) / CVL_ORDER_BLOCK_BYTES;
    plan.blocks = cvl_min(plan.blocks, cvl_min(plan.rows, CVL_ORDER_BLOCKS));
    plan.blocks = plan.tasks = cvl_max(plan.blocks, 1);
    return plan;
}

cvl_columns NAME(columns_rows)(const cvl_columns *slabs)
{
    cvl_columns plan = *slabs;
    plan.slabs = 0;
    plan.chain = CVL_ORDER_CHAIN_MIN;
    plan.blocks = plan.tasks =
        cvl_min(cvl_ceil_div(plan.rows, CVL_ORDER_CHAIN_MIN), CVL_ORDER_BLOCKS);
    return plan;
}

cvl_columns_span NAME(columns_span)(const cvl_columns *plan, ptrdiff_t task)
{
    if (plan->slabs) {
        const ptrdiff_t column = task * CVL_COLUMNS_RANGE;
        const ptrdiff_t width = cvl_min(CVL_COLUMNS_RANGE, plan->C - column);
        return (cvl_columns_span){.pixels = plan->M,
                                  .column = column,
                                  .width = width,
                                  .channels = width,
                                  .end = plan->rows};
    }
    const ptrdiff_t each = plan->rows / plan->blocks, more = plan->rows % plan->blocks;
    cvl_columns_span span = {.block = task, .width = plan->L, .channels = plan->C};
    span.row = each * task + cvl_min(task, more);
    span.end = span.row + each + (task < more);
    span.tail = task == plan->blocks - 1 ? plan->tail : 0;
    span.pixels = ((span.end - span.row) * plan->L + span.tail) / plan->C;
    return span;
}

int NAME(next_piece)(cvl_piece *piece, cvl_columns_span *span, const cvl_columns *plan)
{
    ptrdiff_t rows = cvl_min(plan->chain, span->end - span->row), width = span->width;
    if (rows == 0) {
        if (span->tail == 0)
            return 0;
        rows = 1;
        width = span->tail;
        span->tail = 0;
    }
    *piece = (cvl_piece){span->row * plan->L + span->column, {rows, width, plan->L}, 0};
    if (span->row < span->end)
        span->row += rows;
    piece->fold = ++span->pieces == CVL_ORDER_FOLD || (span->row == span->end && span->tail == 0);
    if (piece->fold)
        span->pieces = 0;
    return 1;
}

/* ------------------------------------------------------------------------- column sums */

typedef struct sum_job {
    const NAME(kernels) *kernels;
    cvl_columns plan;
    T *out;
    const T *x;
    T *sums;        /* (blocks, L): chains of the pieces */
    double *totals; /* (blocks, L): what was folded, in the first C */
} sum_job;

static size_t carve(sum_job *job, void *workspace)
{
    cvl_scratch scratch = {workspace, 0};
    const size_t elements = (size_t)(job->plan.blocks * job->plan.L);
    job->totals = cvl_carve(&scratch, elements * sizeof(double));
    job->sums = cvl_carve(&scratch, elements * sizeof(T));
    return scratch.used;
}

static void sum_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const sum_job *job = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        cvl_columns_span span = NAME(columns_span)(&job->plan, task);
        T *sums = job->sums + span.block * job->plan.L + span.column;
        double *totals = job->totals + span.block * job->plan.L + span.column;
        memset(sums, 0, (size_t)span.width * sizeof *sums);
        memset(totals, 0, (size_t)span.channels * sizeof *totals);
        for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);) {
            job->kernels->column_sums(sums, piece.shape, job->x + piece.offset);
            if (piece.fold)
                job->kernels->fold_columns(totals, sums, span.channels, span.width);
        }
    }
}

static void merge_ranges(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const sum_job *job = context;
    const ptrdiff_t channel = begin * CVL_COLUMNS_RANGE;
    const ptrdiff_t channels = cvl_min(end * CVL_COLUMNS_RANGE, job->plan.C) - channel;
    (void)worker;
    job->kernels->merge_columns(job->out + channel, job->totals + channel, job->plan.blocks,
                                channels, job->plan.L);
}

size_t NAME(column_sums_workspace)(ptrdiff_t M, ptrdiff_t C)
{
    sum_job job = {.plan = NAME(columns_plan)(M, C)};
    return carve(&job, NULL);
}

void NAME(column_sums)(T *sums, const T *x, ptrdiff_t M, ptrdiff_t C, void *workspace, int threads)
{
    sum_job job = {.kernels = kernels(), .plan = NAME(columns_plan)(M, C), .out = sums, .x = x};
    carve(&job, workspace);
    cvl_parallel_for(threads, job.plan.tasks, (double)M * (double)C * sizeof(T), CVL_FLUSH,
                     sum_tasks, &job);
    cvl_parallel_for(threads, cvl_columns_ranges(&job.plan),
                     (double)(job.plan.blocks * C) * sizeof(double), CVL_FLUSH, merge_ranges, &job);
}
