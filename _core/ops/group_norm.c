/* group_norm.c: group norm, and so instance norm (C groups) and layer norm (one group).
 *
 * A sample is a matrix (M,C), whose moments per channel are taken as in batch norm and then merged
 * into groups; with one group it is a matrix of M*C pixels of one channel. A sample goes through
 * prepare, reduce, finish and apply. Small or many samples do so in one task, in scratch of the worker,
 * which finds in its cache what it has read before; large ones, which columns.h cuts into several blocks, in
 * four regions, in scratch of their own, where there are few. Both ways have the same sums.
 * The gradients of gamma and beta are summed over blocks of samples that N alone decides.
 * With one pixel and one group a sample is a row, and one kernel takes it from end to end. */
#include "moments.h"

/* Scratch of one sample. */
typedef struct sample {
    ptrdiff_t n;
    T *planes;          /* (FORWARD_PLANES or BACKWARD_PLANES, L), by column */
    double *inverse;    /* (groups) 1 / sqrt(var + eps) */
    double *mean, *var; /* forward: per channel of what the moments are taken of */
    NAME(moments) moments;
} sample;

typedef struct group_norm_job group_norm_job;
typedef void sample_step(const group_norm_job *job, const sample *s, ptrdiff_t block);
typedef void span_step(const group_norm_job *job, const sample *s, ptrdiff_t task);

struct group_norm_job {
    const NAME(kernels) *kernels;
    cvl_group_norm d;
    cvl_columns plan, reduced; /* of a sample (M,C), and of the matrix that `reduce` sums */
    int backward, cut;         /* cut: samples go through the steps in regions */
    int rows;                  /* samples are rows of one group */
    int short_blocks;          /* rows, backward: whose gradients are folded once */
    ptrdiff_t blocks;          /* of samples */
    sample_step *prepare;      /* or NULL */
    span_step *reduce;
    sample_step *finish;
    span_step *apply; /* or NULL */

    const T *x, *gamma, *beta, *dy;
    const double *mean, *var; /* (N, groups) */
    double *mean_out, *var_out;
    T *y, *dx;

    double *gradients; /* backward: (blocks, 2, C); of rows with a fold per block (2, C) */
    T *chains;         /* rows, backward: (workers, 2, C); with a fold per block (blocks, 2, C) */
    char *samples;     /* as many as are under way at once */
};

/* ---------------------------------------------------------------- checks and workspace */

static size_t carve_sample(const group_norm_job *job, sample *s, void *memory)
{
    cvl_scratch scratch = {memory, 0};
    const size_t planes = job->backward ? BACKWARD_PLANES : FORWARD_PLANES;
    s->moments.kernels = job->kernels;
    s->moments.plan = job->reduced;
    s->planes = cvl_carve(&scratch, planes * (size_t)job->plan.L * sizeof(T));
    s->inverse = cvl_carve(&scratch, (size_t)job->d.groups * sizeof(double));
    if (!job->backward) {
        s->mean = cvl_carve(&scratch, (size_t)job->reduced.C * sizeof(double));
        s->var = cvl_carve(&scratch, (size_t)job->reduced.C * sizeof(double));
    }
    NAME(moments_carve)(&s->moments, &scratch, !job->backward);
    return scratch.used;
}

static size_t carve(group_norm_job *job, int threads, void *workspace)
{
    cvl_scratch scratch = {workspace, 0};
    sample s = {0};
    const ptrdiff_t samples = job->cut ? job->d.N : cvl_min(threads, job->blocks);
    const ptrdiff_t totals = job->short_blocks ? 1 : job->blocks;
    const ptrdiff_t chains = job->short_blocks ? job->blocks : samples;
    if (job->backward)
        job->gradients = cvl_carve(&scratch, (size_t)(totals * 2 * job->d.C) * sizeof(double));
    if (job->backward && job->rows)
        job->chains = cvl_carve(&scratch, (size_t)(chains * 2 * job->d.C) * sizeof(T));
    if (job->rows)
        return scratch.used;
    job->samples = cvl_carve(&scratch, (size_t)samples * carve_sample(job, &s, NULL));
    return scratch.used;
}

/* Sample n, in the scratch of that number. */
static sample open_sample(const group_norm_job *job, ptrdiff_t n, ptrdiff_t number)
{
    sample s = {.n = n};
    carve_sample(job, &s, job->samples + (size_t)number * carve_sample(job, &s, NULL));
    return s;
}

/* Reads and checks the descriptor and plans the passes. */
static cvl_status open_job(group_norm_job *job, const cvl_group_norm *from, int threads)
{
    /* Scratch takes below 1 KiB per channel and sample under way. */
    const ptrdiff_t scratch_per_channel = 128;
    cvl_group_norm *d = &job->d;
    ptrdiff_t elements;
    *d = (cvl_group_norm)CVL_GROUP_NORM_INIT;
    if (!cvl_read(d, from) || !cvl_is_eps(d->eps))
        return CVL_ERR_ARGUMENT;
    if (d->N < 0 || d->M < 1 || d->C < 1 || d->groups < 1 || d->C % d->groups != 0)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, cvl_max(d->N, cvl_max(threads, CVL_ORDER_BLOCKS)),
                     cvl_max(d->M, scratch_per_channel), d->C))
        return CVL_ERR_OVERFLOW;
    job->plan = job->reduced = NAME(columns_plan)(d->M, d->C);
    if (d->groups == 1 && !job->backward)
        job->reduced = NAME(columns_plan)(d->M * d->C, 1);
    job->rows = d->M == 1 && d->groups == 1 && job->plan.blocks == 1;
    job->blocks = job->backward ? cvl_min(d->N, CVL_ORDER_BLOCKS) : d->N;
    job->cut = job->plan.blocks > 1 && job->blocks < 4 * (ptrdiff_t)threads;
    job->short_blocks =
        job->backward && job->rows && d->N <= CVL_ORDER_BLOCKS * (ptrdiff_t)CVL_ORDER_FOLD;
    return CVL_OK;
}

static size_t workspace_size(const cvl_group_norm *d, int threads, int backward)
{
    group_norm_job job = {.backward = backward};
    threads = threads > 1 ? threads : 1;
    return open_job(&job, d, threads) == CVL_OK ? carve(&job, threads, NULL) : 0;
}

/* ------------------------------------------------------------------------------- steps */

static ptrdiff_t first_sample(const group_norm_job *job, ptrdiff_t block)
{
    const ptrdiff_t each = job->d.N / job->blocks, more = job->d.N % job->blocks;
    return each * block + cvl_min(block, more);
}

static void whole_blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const group_norm_job *job = context;
    for (ptrdiff_t block = begin; block < end; block++)
        for (ptrdiff_t n = first_sample(job, block); n < first_sample(job, block + 1); n++) {
            const sample s = open_sample(job, n, worker);
            if (job->prepare)
                job->prepare(job, &s, block);
            for (ptrdiff_t task = 0; task < job->reduced.tasks; task++)
                job->reduce(job, &s, task);
            job->finish(job, &s, block);
            for (ptrdiff_t task = 0; job->apply && task < job->plan.tasks; task++)
                job->apply(job, &s, task);
        }
}

/* A step over the samples of blocks. */
typedef struct block_job {
    const group_norm_job *job;
    sample_step *step;
} block_job;

static void block_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const block_job *b = context;
    (void)worker;
    for (ptrdiff_t block = begin; block < end; block++)
        for (ptrdiff_t n = first_sample(b->job, block); n < first_sample(b->job, block + 1); n++) {
            const sample s = open_sample(b->job, n, n);
            b->step(b->job, &s, block);
        }
}

static void block_pass(const group_norm_job *job, sample_step *step, int threads)
{
    const double work = (double)job->d.N * (double)job->d.C * 8 * sizeof(double);
    block_job b = {job, step};
    if (step)
        cvl_parallel_for(threads, job->blocks, work, CVL_FLUSH, block_tasks, &b);
}

/* A step over the spans of all samples. */
typedef struct span_job {
    const group_norm_job *job;
    span_step *step;
    ptrdiff_t spans; /* of a sample */
} span_job;

static void span_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const span_job *b = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const sample s = open_sample(b->job, task / b->spans, task / b->spans);
        b->step(b->job, &s, task % b->spans);
    }
}

static void span_pass(const group_norm_job *job, span_step *step, ptrdiff_t spans, double work,
                      int threads)
{
    span_job b = {job, step, spans};
    if (step)
        cvl_parallel_for(threads, job->d.N * spans, work, CVL_FLUSH, span_tasks, &b);
}

/* ------------------------------------------------------------------------- rows of one group */

static void forward_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const group_norm_job *job = context;
    const ptrdiff_t C = job->d.C;
    (void)worker;
    job->kernels->layer_norm_forward(end - begin, C, job->y + begin * C, job->mean_out + begin,
                                     job->var_out + begin, job->x + begin * C, job->gamma,
                                     job->beta, job->d.eps);
}

/* A block's gradients: chains of a few rows, folded into double. A block of one chain leaves it as it
 * is: half as many bytes for another core to fetch. */
static void backward_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const group_norm_job *job = context;
    const ptrdiff_t C = job->d.C;
    for (ptrdiff_t block = begin; block < end; block++) {
        const ptrdiff_t last = first_sample(job, block + 1);
        T *chains = job->chains + (job->short_blocks ? block : worker) * 2 * C;
        double *gradients = job->gradients + block * 2 * C;
        memset(chains, 0, (size_t)(2 * C) * sizeof *chains);
        if (!job->short_blocks)
            memset(gradients, 0, (size_t)(2 * C) * sizeof *gradients);
        for (ptrdiff_t n = first_sample(job, block); n < last; n += CVL_ORDER_FOLD) {
            job->kernels->layer_norm_backward(cvl_min(CVL_ORDER_FOLD, last - n), C,
                                              job->dx ? job->dx + n * C : NULL, chains,
                                              job->dy + n * C, job->x + n * C, job->gamma,
                                              job->mean + n, job->var + n, job->d.eps);
            if (!job->short_blocks)
                job->kernels->fold_columns(gradients, chains, 2 * C, 2 * C);
        }
    }
}

static void run_job(group_norm_job *job, int threads)
{
    const double bytes = (double)job->d.N * (double)job->d.M * (double)job->d.C * sizeof(T);
    if (job->rows) {
        cvl_parallel_for(threads, job->blocks, (job->backward ? 8 : 4) * bytes, CVL_FLUSH,
                         job->backward ? backward_rows : forward_rows, job);
        return;
    }
    if (!job->cut) {
        cvl_parallel_for(threads, job->blocks, 4 * bytes, CVL_FLUSH, whole_blocks, job);
        return;
    }
    block_pass(job, job->prepare, threads);
    span_pass(job, job->reduce, job->reduced.tasks, 2 * bytes, threads);
    block_pass(job, job->finish, threads);
    span_pass(job, job->apply, job->plan.tasks, 2 * bytes, threads);
}

/* Opens a job and takes its workspace; `complete` where it has every array with N in its shape. */
static cvl_status open_run(group_norm_job *job, cvl_exec *exec, const cvl_group_norm *d,
                           int complete, const cvl_exec *run)
{
    cvl_status status = open_job(job, d, run ? run->threads : 1);
    if (status != CVL_OK)
        return status;
    if ((job->d.N > 0 && !complete) || !run || run->threads < 1)
        return CVL_ERR_ARGUMENT;
    status = cvl_read_exec(exec, run, carve(job, run->threads, NULL));
    if (status != CVL_OK)
        return status;
    job->kernels = kernels();
    if (!job->kernels)
        return CVL_ERR_ISA;
    carve(job, exec->threads, exec->workspace);
    return CVL_OK;
}

/* The planes high, scale and shift, from the statistics of the sample's groups. */
static void affine(const group_norm_job *job, const sample *s)
{
    const ptrdiff_t groups = job->d.groups, K = job->d.C / groups;
    job->kernels->batch_norm_inverse(s->inverse, groups, job->var + s->n * groups, job->d.eps);
    job->kernels->group_norm_affine(s->planes, groups, K, job->plan.L, job->mean + s->n * groups,
                                    s->inverse, job->gamma, job->beta);
    for (int plane = 0; plane < FORWARD_PLANES; plane++)
        NAME(moments_repeat)(s->planes + plane * job->plan.L, &job->plan);
}

/* Where a sample begins in x and the arrays like it. */
static ptrdiff_t offset(const group_norm_job *job, const sample *s)
{
    return s->n * job->d.M * job->d.C;
}

/* ----------------------------------------------------------------------------- forward */

static void reduce_moments(const group_norm_job *job, const sample *s, ptrdiff_t task)
{
    NAME(moments_reduce)(&s->moments, task, job->x + offset(job, s));
}

static void finish_moments(const group_norm_job *job, const sample *s, ptrdiff_t block)
{
    const ptrdiff_t groups = job->d.groups, channels = job->reduced.C;
    (void)block;
    NAME(moments_merge)(&s->moments, 0, channels, s->mean, s->var);
    job->kernels->group_norm_merge(job->mean_out + s->n * groups, job->var_out + s->n * groups,
                                   groups, channels / groups, s->mean, s->var);
    affine(job, s);
}

static void apply_affine(const group_norm_job *job, const sample *s, ptrdiff_t task)
{
    const T *x = job->x + offset(job, s);
    T *y = job->y + offset(job, s);
    cvl_columns_span span = NAME(columns_span)(&job->plan, task);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);)
        job->kernels->batch_norm_apply(y + piece.offset, piece.shape, x + piece.offset, NULL,
                                       s->planes + span.column, 0);
}

cvl_status NAME(group_norm_forward)(const cvl_group_norm *d, T *y, double *mean, double *var,
                                    const T *x, const T *gamma, const T *beta, const cvl_exec *run)
{
    group_norm_job job = {.y = y,
                          .mean = mean,
                          .mean_out = mean,
                          .var = var,
                          .var_out = var,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .reduce = reduce_moments,
                          .finish = finish_moments,
                          .apply = apply_affine};
    cvl_exec exec;
    const cvl_status status = open_run(&job, &exec, d, y && mean && var && x, run);
    if (status == CVL_OK)
        run_job(&job, exec.threads);
    return status;
}

size_t NAME(group_norm_forward_workspace_size)(const cvl_group_norm *d, int threads)
{
    return workspace_size(d, threads, 0);
}

/* ---------------------------------------------------------------------------- backward */

static void prepare_gradients(const group_norm_job *job, const sample *s, ptrdiff_t block)
{
    (void)block;
    affine(job, s);
}

/* What the sums of gradients are taken of. */
typedef struct sample_of_job {
    const group_norm_job *job;
    const sample *s;
} sample_of_job;

static void add_gradients(const void *context, T *sums, const cvl_columns_span *span,
                          const cvl_piece *piece)
{
    const sample_of_job *of = context;
    const ptrdiff_t at = offset(of->job, of->s) + piece->offset;
    of->job->kernels->batch_norm_gradients(sums, NULL, piece->shape, of->job->dy + at,
                                           of->job->x + at, NULL, of->s->planes + span->column);
}

static void reduce_gradients(const group_norm_job *job, const sample *s, ptrdiff_t task)
{
    const sample_of_job of = {job, s};
    NAME(moments_sum)(&s->moments, task, add_gradients, &of);
}

static void finish_gradients(const group_norm_job *job, const sample *s, ptrdiff_t block)
{
    const ptrdiff_t groups = job->d.groups, C = job->d.C, K = C / groups, L = job->plan.L;
    NAME(moments_total)(&s->moments, NULL, 0, C);
    job->kernels->group_norm_slopes(s->planes, groups, K, L, job->gradients + block * 2 * C,
                                    s->moments.totals, job->mean + s->n * groups, s->inverse,
                                    job->gamma, 1 / ((double)K * (double)job->d.M));
    for (int plane = FORWARD_PLANES; plane < BACKWARD_PLANES; plane++)
        NAME(moments_repeat)(s->planes + plane * L, &job->plan);
}

static void apply_gradients(const group_norm_job *job, const sample *s, ptrdiff_t task)
{
    const ptrdiff_t begin = offset(job, s);
    cvl_columns_span span = NAME(columns_span)(&job->plan, task);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);) {
        const ptrdiff_t at = begin + piece.offset;
        job->kernels->batch_norm_dx(job->dx + at, piece.shape, job->dy + at, job->x + at, NULL,
                                    s->planes + span.column);
    }
}

cvl_status NAME(group_norm_backward)(const cvl_group_norm *d, T *dx, T *dgamma, T *dbeta,
                                     const T *dy, const T *x, const T *gamma, const double *mean,
                                     const double *var, const cvl_exec *run)
{
    group_norm_job job = {.backward = 1,
                          .dx = dx,
                          .dy = dy,
                          .x = x,
                          .gamma = gamma,
                          .mean = mean,
                          .var = var,
                          .prepare = prepare_gradients,
                          .reduce = reduce_gradients,
                          .finish = finish_gradients,
                          .apply = dx ? apply_gradients : NULL};
    cvl_exec exec;
    if (!dgamma || !dbeta)
        return CVL_ERR_ARGUMENT;
    const cvl_status status = open_run(&job, &exec, d, dy && x && mean && var, run);
    if (status != CVL_OK)
        return status;
    const ptrdiff_t C = job.d.C;
    if (job.blocks == 0) {
        memset(dgamma, 0, (size_t)C * sizeof(T));
        memset(dbeta, 0, (size_t)C * sizeof(T));
        return CVL_OK;
    }
    const ptrdiff_t totals = job.short_blocks ? 1 : job.blocks;
    if (!job.rows || job.short_blocks)
        memset(job.gradients, 0, (size_t)(totals * 2 * C) * sizeof(double));
    run_job(&job, exec.threads);
    if (job.short_blocks)
        job.kernels->fold_columns(job.gradients, job.chains, 2 * C, job.blocks * 2 * C);
    job.kernels->merge_columns(dbeta, job.gradients, totals, C, 2 * C);
    job.kernels->merge_columns(dgamma, job.gradients + C, totals, C, 2 * C);
    return CVL_OK;
}

size_t NAME(group_norm_backward_workspace_size)(const cvl_group_norm *d, int threads)
{
    return workspace_size(d, threads, 1);
}
