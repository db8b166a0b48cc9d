/* batch_norm_job.c: see batch_norm_job.h. */
#include "batch_norm_job.h"

/* The statistics of so few pixels are most of the work, and made in slabs by many threads. */
enum { FEW_PIXELS = 100 };

/* ---------------------------------------------------------------- checks and workspace */

void NAME(batch_norm_carve)(NAME(batch_norm) *job, scratch_kind kind, cvl_scratch *scratch)
{
    const size_t L = (size_t)job->plan.L;
    const size_t planes = kind == BACKWARD ? BACKWARD_PLANES : FORWARD_PLANES;
    job->planes = cvl_carve(scratch, planes * L * sizeof(T));
    job->inverse = cvl_carve(scratch, (size_t)job->plan.C * sizeof(double));
    job->moments.plan = job->plan;
    if (kind != INFERENCE)
        NAME(moments_carve)(&job->moments, scratch, kind == FORWARD);
}

cvl_status NAME(batch_norm_open)(NAME(batch_norm) *job, const cvl_batch_norm *from,
                                 scratch_kind kind, ptrdiff_t M_min)
{
    /* Scratch takes below 1 KiB per channel where L = C, and is small elsewhere. */
    const ptrdiff_t scratch_per_channel = 128;
    cvl_batch_norm d = CVL_BATCH_NORM_INIT;
    ptrdiff_t elements;
    if (!cvl_read(&d, from) || !cvl_is_eps(d.eps) ||
        (d.activation != CVL_ACTIVATION_NONE && d.activation != CVL_ACTIVATION_RELU))
        return CVL_ERR_ARGUMENT;
    if (d.M < M_min || d.C < 1)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, cvl_max(d.M, scratch_per_channel), d.C))
        return CVL_ERR_OVERFLOW;
    job->plan = kind == INFERENCE && d.M > FEW_PIXELS ? NAME(columns_blocks)(d.M, d.C)
                                                      : NAME(columns_plan)(d.M, d.C);
    job->eps = d.eps;
    job->relu = d.activation == CVL_ACTIVATION_RELU;
    job->frozen = d.frozen != 0;
    return CVL_OK;
}

size_t NAME(batch_norm_workspace)(const cvl_batch_norm *d, scratch_kind kind, int norms)
{
    NAME(batch_norm) job = {0};
    cvl_scratch scratch = {NULL, 0};
    if (NAME(batch_norm_open)(&job, d, kind, kind == FORWARD && norms == 1) == CVL_OK)
        for (int i = 0; i < norms; i++)
            NAME(batch_norm_carve)(&job, kind, &scratch);
    return scratch.used;
}

cvl_status NAME(batch_norm_open_run)(NAME(batch_norm) *jobs, int norms, cvl_exec *exec,
                                     scratch_kind kind, const cvl_exec *run)
{
    cvl_scratch scratch = {NULL, 0};
    for (int i = 0; i < norms; i++)
        NAME(batch_norm_carve)(&jobs[i], kind, &scratch);
    cvl_status status = cvl_read_exec(exec, run, scratch.used);
    if (status != CVL_OK)
        return status;
    scratch = (cvl_scratch){exec->workspace, 0};
    for (int i = 0; i < norms; i++) {
        jobs[i].kernels = jobs[i].moments.kernels = kernels();
        if (!jobs[i].kernels)
            return CVL_ERR_ISA;
        NAME(batch_norm_carve)(&jobs[i], kind, &scratch);
    }
    return CVL_OK;
}

/* ------------------------------------------------------------------------------- steps */

/* A step over spans. */
typedef struct span_job {
    const NAME(batch_norm) *job;
    span_step *step;
} span_job;

static void span_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const span_job *s = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++)
        s->step(s->job, task);
}

/* Takes some channels of all norms through a step. */
static void run_channels(const NAME(batch_norm) *job, channel_step *step, ptrdiff_t channel,
                         ptrdiff_t channels)
{
    for (const NAME(batch_norm) *norm = job; step && norm; norm = norm->second)
        step(norm, channel, channels);
}

/* A channel step over ranges of channels. */
typedef struct channel_job {
    const NAME(batch_norm) *job;
    channel_step *step;
} channel_job;

static void channel_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const channel_job *c = context;
    const ptrdiff_t channel = begin * CVL_COLUMNS_RANGE;
    (void)worker;
    run_channels(c->job, c->step, channel,
                 cvl_min(end * CVL_COLUMNS_RANGE, c->job->plan.C) - channel);
}

/* Runs a step that computes planes [begin, end). */
static void channel_pass(const NAME(batch_norm) *job, channel_step *step, int begin, int end,
                         int threads)
{
    /* Some 8 numbers per channel, and two of each block. */
    const double work = (double)job->plan.C * (double)(8 + 2 * job->plan.blocks) * sizeof(double);
    channel_job c = {job, step};
    if (!step)
        return;
    cvl_parallel_for(threads, cvl_columns_ranges(&job->plan), work, CVL_FLUSH, channel_tasks, &c);
    for (const NAME(batch_norm) *norm = job; norm; norm = norm->second)
        for (int plane = begin; plane < end; plane++)
            NAME(moments_repeat)(norm->planes + plane * job->plan.L, &job->plan);
}

static void slab_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const NAME(batch_norm) *job = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const cvl_columns_span span = NAME(columns_span)(&job->plan, task);
        run_channels(job, job->prepare, span.column, span.channels);
        if (job->reduce)
            job->reduce(job, task);
        run_channels(job, job->finish, span.column, span.channels);
        if (job->apply)
            job->apply(job, task);
    }
}

/* Whether slabs are summed alone, and the elements then taken row by row: where threads share them and it
 * is work enough for two regions, since cores that write parts of the same rows fetch those of each other;
 * and where rows lie so that a slab's fall into few sets of L1, and are not there the second time. */
static int applies_rows(const NAME(batch_norm) *job, int threads, double bytes)
{
    const size_t aliasing = 2048;
    if (!job->plan.slabs || !job->apply || job->plan.M <= FEW_PIXELS)
        return 0;
    return (size_t)job->plan.C * sizeof(T) % aliasing == 0 ||
           cvl_team_size(threads, 2, bytes / 3) > 1;
}

void NAME(batch_norm_run)(NAME(batch_norm) *job, int threads)
{
    const double bytes = (double)job->plan.M * (double)job->plan.C * sizeof(T) * job->passes;
    if (applies_rows(job, threads, bytes)) {
        span_step *apply = job->apply;
        job->apply = NULL;
        job->late = job->dresidual != NULL;
        cvl_parallel_for(threads, job->plan.tasks, bytes / 2, CVL_FLUSH, slab_tasks, job);
        job->apply = apply;
        job->plan = NAME(columns_rows)(&job->plan);
    } else if (job->plan.slabs) {
        cvl_parallel_for(threads, job->plan.tasks, bytes, CVL_FLUSH, slab_tasks, job);
        return;
    } else {
        channel_pass(job, job->prepare, 0, FORWARD_PLANES, threads);
        span_job reduce = {job, job->reduce};
        if (job->reduce)
            cvl_parallel_for(threads, job->plan.tasks, bytes / 2, CVL_FLUSH, span_tasks, &reduce);
        if (job->prepare)
            channel_pass(job, job->finish, FORWARD_PLANES, BACKWARD_PLANES, threads);
        else
            channel_pass(job, job->finish, 0, FORWARD_PLANES, threads);
    }
    span_job apply = {job, job->apply};
    if (job->apply)
        cvl_parallel_sweep(threads, job->plan.tasks, bytes / 2, CVL_FLUSH, span_tasks, &apply);
}
