/* batch_norm.c: batch norm in three passes over memory forward and five backward.
 *
 * Every pass is cut as columns.h says, so that a worker meets in the second pass what it left in
 * its cache in the first. An operator is up to four steps: prepare what the reduction needs per
 * channel, reduce over pixels, finish the channels, apply to pixels. With slabs, one task takes
 * its channels through all of them, or all but the last.
 *
 * Of the sum of two batch norms each step does both, piece by piece where it is over pixels: what
 * lies between the two is then written and read in L1 alone.
 *
 * The moments are not taken in the tasks of the convolution before it, while y is in cache. Their pass is
 * 1.4 to 2.3 % of a training step on one thread (ResNet-20, MobileNet, digits), and between 0.25 and 0.6
 * of that is arithmetic, which would stay: less than 1.5 % to gain. */
#include "moments.h"
#include "norm_pool.h"

#include <float.h>

/* The statistics of so few pixels are most of the work, and made in slabs by many threads. */
enum { FORWARD_PLANES = 3, BACKWARD_PLANES = 5, FEW_PIXELS = 100 };

typedef struct batch_norm_job batch_norm_job;
typedef void span_step(const batch_norm_job *job, ptrdiff_t task);
typedef void channel_step(const batch_norm_job *job, ptrdiff_t channel, ptrdiff_t channels);

struct batch_norm_job {
    const batch_norm_job *second; /* the batch norm that is the other summand, or NULL */
    const NAME(kernels) *kernels;
    cvl_columns plan;
    double eps;
    int relu, frozen;
    channel_step *prepare; /* or NULL, as the next two */
    span_step *reduce;
    channel_step *finish;
    span_step *apply; /* or NULL */
    double passes;    /* over an array of x's size, reduce and apply together */

    const T *x, *gamma, *beta;
    const double *mean, *var;
    const T *residual;                  /* forward */
    T *y;                               /* forward */
    double *mean_out, *var_out;         /* forward: mean and var again; NULL where they are given */
    const T *dy, *mask;                 /* backward; mask: y, or NULL */
    int recompute;                      /* backward: the mask is had from x */
    int late;                           /* backward: dresidual is written as dx is, not before */
    T *dx, *dgamma, *dbeta, *dresidual; /* backward */

    T *planes;       /* (FORWARD_PLANES or BACKWARD_PLANES, L), by column */
    double *inverse; /* (C) 1 / sqrt(var + eps) */
    NAME(moments) moments;
};

/* ---------------------------------------------------------------- checks and workspace */

/* The kinds of scratch an operator uses. */
typedef enum scratch_kind { INFERENCE, FORWARD, BACKWARD } scratch_kind;

static void carve(batch_norm_job *job, scratch_kind kind, cvl_scratch *scratch)
{
    const size_t L = (size_t)job->plan.L;
    const size_t planes = kind == BACKWARD ? BACKWARD_PLANES : FORWARD_PLANES;
    job->planes = cvl_carve(scratch, planes * L * sizeof(T));
    job->inverse = cvl_carve(scratch, (size_t)job->plan.C * sizeof(double));
    job->moments.plan = job->plan;
    if (kind != INFERENCE)
        NAME(moments_carve)(&job->moments, scratch, kind == FORWARD);
}

static int is_eps(double eps) { return eps >= 0 && eps <= DBL_MAX; }

/* Reads and checks the descriptor and plans the passes. */
static cvl_status open_job(batch_norm_job *job, const cvl_batch_norm *from, scratch_kind kind,
                           ptrdiff_t M_min)
{
    /* Scratch takes below 1 KiB per channel where L = C, and is small elsewhere. */
    const ptrdiff_t scratch_per_channel = 128;
    cvl_batch_norm d = CVL_BATCH_NORM_INIT;
    ptrdiff_t elements;
    if (!cvl_read(&d, from) || !is_eps(d.eps) ||
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

static size_t workspace_size(const cvl_batch_norm *d, scratch_kind kind, int norms)
{
    batch_norm_job job = {0};
    cvl_scratch scratch = {NULL, 0};
    if (open_job(&job, d, kind, kind == FORWARD && norms == 1) == CVL_OK)
        for (int i = 0; i < norms; i++)
            carve(&job, kind, &scratch);
    return scratch.used;
}

/* Checks the run and carves its workspace, for jobs that lie side by side. */
static cvl_status open_run(batch_norm_job *jobs, int norms, cvl_exec *exec, scratch_kind kind,
                           const cvl_exec *run)
{
    cvl_scratch scratch = {NULL, 0};
    for (int i = 0; i < norms; i++)
        carve(&jobs[i], kind, &scratch);
    cvl_status status = cvl_read_exec(exec, run, scratch.used);
    if (status != CVL_OK)
        return status;
    scratch = (cvl_scratch){exec->workspace, 0};
    for (int i = 0; i < norms; i++) {
        jobs[i].kernels = jobs[i].moments.kernels = kernels();
        if (!jobs[i].kernels)
            return CVL_ERR_ISA;
        carve(&jobs[i], kind, &scratch);
    }
    return CVL_OK;
}

/* ------------------------------------------------------------------------------- steps */

static void reduce_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const batch_norm_job *job = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++)
        job->reduce(job, task);
}

static void apply_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const batch_norm_job *job = context;
    (void)worker;
    /* Backwards: what was reduced last is still in cache, and what is written last is what the next
     * operator reads first. */
    for (ptrdiff_t task = end; task-- > begin;)
        job->apply(job, task);
}

/* Takes some channels of all norms through a step. */
static void run_channels(const batch_norm_job *job, channel_step *step, ptrdiff_t channel,
                         ptrdiff_t channels)
{
    for (const batch_norm_job *norm = job; step && norm; norm = norm->second)
        step(norm, channel, channels);
}

/* A channel step over ranges of channels. */
typedef struct channel_job {
    const batch_norm_job *job;
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
static void channel_pass(const batch_norm_job *job, channel_step *step, int begin, int end,
                         int threads)
{
    /* Some 8 numbers per channel, and two of each block. */
    const double work = (double)job->plan.C * (double)(8 + 2 * job->plan.blocks) * sizeof(double);
    channel_job c = {job, step};
    if (!step)
        return;
    cvl_parallel_for(threads, cvl_columns_ranges(&job->plan), work, CVL_FLUSH, channel_tasks, &c);
    for (const batch_norm_job *norm = job; norm; norm = norm->second)
        for (int plane = begin; plane < end; plane++)
            NAME(moments_repeat)(norm->planes + plane * job->plan.L, &job->plan);
}

static void slab_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const batch_norm_job *job = context;
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
static int applies_rows(const batch_norm_job *job, int threads, double bytes)
{
    const size_t aliasing = 2048;
    if (!job->plan.slabs || !job->apply || job->plan.M <= FEW_PIXELS)
        return 0;
    return (size_t)job->plan.C * sizeof(T) % aliasing == 0 ||
           cvl_team_size(threads, 2, bytes / 3) > 1;
}

static void run_job(batch_norm_job *job, int threads)
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
        if (job->reduce)
            cvl_parallel_for(threads, job->plan.tasks, bytes / 2, CVL_FLUSH, reduce_tasks, job);
        if (job->prepare)
            channel_pass(job, job->finish, FORWARD_PLANES, BACKWARD_PLANES, threads);
        else
            channel_pass(job, job->finish, 0, FORWARD_PLANES, threads);
    }
    if (job->apply)
        cvl_parallel_for(threads, job->plan.tasks, bytes / 2, CVL_FLUSH, apply_tasks, job);
}

/* The planes high, scale and shift; the same in every operator, so that a mask recomputed backward
 * is the forward pass's to the bit. */
static void affine(const batch_norm_job *job, ptrdiff_t channel, ptrdiff_t channels)
{
    double *inverse = job->inverse + channel;
    job->kernels->batch_norm_inverse(inverse, channels, job->var + channel, job->eps);
    job->kernels->batch_norm_affine(job->planes + channel, channels, job->plan.L,
                                    job->mean + channel, inverse, job->gamma + channel,
                                    job->beta ? job->beta + channel : NULL);
}

/* ----------------------------------------------------------------- forward and inference */

static void reduce_moments(const batch_norm_job *job, ptrdiff_t task)
{
    for (const batch_norm_job *norm = job; norm; norm = norm->second)
        if (norm->mean_out)
            NAME(moments_reduce)(&norm->moments, task, norm->x);
}

static void finish_moments(const batch_norm_job *job, ptrdiff_t channel, ptrdiff_t channels)
{
    if (job->mean_out)
        NAME(moments_merge)(&job->moments, channel, channels, job->mean_out + channel,
                            job->var_out + channel);
    affine(job, channel, channels);
}

/* The second norm's share of a piece of y lies there until the first one's is added. */
static void apply_affine(const batch_norm_job *job, ptrdiff_t task)
{
    const NAME(kernels) *k = job->kernels;
    const batch_norm_job *second = job->second;
    cvl_columns_span span = NAME(columns_span)(&job->plan, task);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);) {
        T *y = job->y + piece.offset;
        if (second)
            k->batch_norm_apply(y, piece.shape, second->x + piece.offset, NULL,
                                second->planes + span.column, 0);
        k->batch_norm_apply(y, piece.shape, job->x + piece.offset,
                            job->residual ? job->residual + piece.offset : NULL,
                            job->planes + span.column, job->relu);
    }
}

cvl_status NAME(batch_norm_forward)(const cvl_batch_norm *d, T *y, double *mean, double *var,
                                    const T *x, const T *gamma, const T *beta, const T *residual,
                                    const cvl_exec *run)
{
    batch_norm_job job = {.y = y,
                          .mean = mean,
                          .mean_out = mean,
                          .var = var,
                          .var_out = var,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .residual = residual,
                          .reduce = reduce_moments,
                          .finish = finish_moments,
                          .apply = apply_affine,
                          .passes = residual ? 4 : 3};
    cvl_exec exec;
    if (!y || !mean || !var || !x || !gamma || !beta)
        return CVL_ERR_ARGUMENT;
    cvl_status status = open_job(&job, d, FORWARD, 1);
    if (status == CVL_OK)
        status = open_run(&job, 1, &exec, FORWARD, run);
    if (status == CVL_OK)
        run_job(&job, exec.threads);
    return status;
}

size_t NAME(batch_norm_forward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return workspace_size(d, FORWARD, 1);
}

cvl_status NAME(batch_norm_inference)(const cvl_batch_norm *d, T *y, const T *x, const T *gamma,
                                      const T *beta, const double *mean, const double *var,
                                      const T *residual, const cvl_exec *run)
{
    batch_norm_job job = {.y = y,
                          .mean = mean,
                          .var = var,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .residual = residual,
                          .finish = affine,
                          .apply = apply_affine,
                          .passes = residual ? 6 : 4};
    cvl_exec exec;
    if (!y || !mean || !var || !x || !gamma || !beta)
        return CVL_ERR_ARGUMENT;
    cvl_status status = open_job(&job, d, INFERENCE, 0);
    if (status == CVL_OK)
        status = open_run(&job, 1, &exec, INFERENCE, run);
    if (status == CVL_OK)
        run_job(&job, exec.threads);
    return status;
}

size_t NAME(batch_norm_inference_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return workspace_size(d, INFERENCE, 1);
}

/* -------------------------------------------------------------- forward, then max pooling */

static cvl_status open_pooled(batch_norm_job *job, NAME(norm_pool) *pooled, const cvl_batch_norm *d,
                              const cvl_pool2d *window)
{
    cvl_status status = open_job(job, d, FORWARD, 0);
    if (status == CVL_OK)
        status = NAME(pool2d_read)(&pooled->pool, window);
    if (status != CVL_OK)
        return status;
    const ptrdiff_t M = pooled->pool.d.N * pooled->pool.d.H * pooled->pool.d.W;
    if (job->plan.C != pooled->pool.d.C || job->plan.M != M || (M == 0 && !job->frozen))
        return CVL_ERR_SHAPE;
    return CVL_OK;
}

static void carve_pooled(batch_norm_job *job, NAME(norm_pool) *pooled, int threads,
                         cvl_scratch *scratch)
{
    carve(job, job->frozen ? INFERENCE : FORWARD, scratch);
    NAME(norm_pool_carve)(pooled, threads, scratch);
}

cvl_status NAME(batch_norm_max_pool2d_forward)(const cvl_batch_norm *d, const cvl_pool2d *window,
                                               T *y, uint8_t *winners, double *mean, double *var,
                                               const T *x, const T *gamma, const T *beta,
                                               const cvl_exec *run)
{
    batch_norm_job job = {.mean = mean,
                          .var = var,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .kernels = kernels(),
                          .finish = finish_moments,
                          .passes = 2};
    NAME(norm_pool) pooled = {.pool = NAME(max_pool2d_of)(y, winners, x), .x = x};
    cvl_scratch scratch = {NULL, 0};
    cvl_exec exec;
    if (!y || !mean || !var || !x || !gamma || !beta)
        return CVL_ERR_ARGUMENT;
    cvl_status status = open_pooled(&job, &pooled, d, window);
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, 0); /* for the threads: there is a strip for each */
    if (status != CVL_OK)
        return status;
    carve_pooled(&job, &pooled, exec.threads, &scratch);
    status = cvl_read_exec(&exec, run, scratch.used);
    if (status != CVL_OK)
        return status;
    scratch = (cvl_scratch){exec.workspace, 0};
    carve_pooled(&job, &pooled, exec.threads, &scratch);
    if (!job.frozen) {
        job.moments.kernels = job.kernels;
        job.reduce = reduce_moments;
        job.mean_out = mean;
        job.var_out = var;
    }
    run_job(&job, exec.threads);
    pooled.planes = job.planes;
    pooled.L = job.plan.L;
    pooled.relu = job.relu;
    NAME(norm_pool_run)(&pooled, exec.threads);
    return CVL_OK;
}

size_t NAME(batch_norm_max_pool2d_forward_workspace_size)(const cvl_batch_norm *d,
                                                          const cvl_pool2d *window, int threads)
{
    batch_norm_job job = {0};
    NAME(norm_pool) pooled = {.pool = {.complete = 1, .k = kernels()}};
    cvl_scratch scratch = {NULL, 0};
    if (open_pooled(&job, &pooled, d, window) == CVL_OK)
        carve_pooled(&job, &pooled, threads, &scratch);
    return scratch.used;
}

/* ---------------------------------------------------------------------------- backward */

/* Where a job has a residual, its gradient is dy after the mask, and read in its place once written. */
static void add_gradients(const batch_norm_job *job, const batch_norm_job *norm,
                          const cvl_columns_span *span, const cvl_piece *piece)
{
    const NAME(kernels) *k = job->kernels;
    T *sums = NAME(moments_sums)(&norm->moments, span);
    T *g = job->dresidual && !job->late ? job->dresidual + piece->offset : NULL;
    const T *dy = job->dy + piece->offset, *x = norm->x + piece->offset;
    const T *mask = job->mask ? job->mask + piece->offset : NULL;
    const T *planes = norm->planes + span->column;
    if (job->recompute)
        k->batch_norm_gradients_recomputed(sums, piece->shape, dy, x, planes);
    else if (norm != job && g)
        k->batch_norm_gradients(sums, NULL, piece->shape, g, x, NULL, planes);
    else
        k->batch_norm_gradients(sums, g, piece->shape, dy, x, mask, planes);
}

static void reduce_gradients(const batch_norm_job *job, ptrdiff_t task)
{
    const batch_norm_job *norm;
    cvl_columns_span span = NAME(columns_span)(&job->plan, task);
    for (norm = job; norm; norm = norm->second)
        NAME(moments_clear)(&norm->moments, &span);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);)
        for (norm = job; norm; norm = norm->second) {
            add_gradients(job, norm, &span, &piece);
            if (piece.fold)
                NAME(moments_fold)(&norm->moments, &span);
        }
}

static void finish_gradients(const batch_norm_job *job, ptrdiff_t channel, ptrdiff_t channels)
{
    const NAME(kernels) *k = job->kernels;
    const cvl_columns *plan = &job->plan;
    const double *mean = job->mean + channel, *inverse = job->inverse + channel;
    double *u = job->moments.totals + channel;
    NAME(moments_total)(&job->moments, job->dbeta + channel, channel, channels);
    k->batch_norm_dgamma(job->dgamma + channel, u, channels, plan->L, mean, inverse);
    k->batch_norm_slopes(job->planes + channel, channels, plan->L, u, mean, inverse,
                         job->frozen || plan->M == 0 ? 0 : 1 / (double)plan->M);
}

static void apply_gradients(const batch_norm_job *job, ptrdiff_t task)
{
    const NAME(kernels) *k = job->kernels;
    cvl_columns_span span = NAME(columns_span)(&job->plan, task);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &job->plan);) {
        const T *dy = job->dy + piece.offset, *mask = job->mask ? job->mask + piece.offset : NULL;
        T *dresidual = job->dresidual ? job->dresidual + piece.offset : NULL;
        if (job->late && mask)
            k->relu_backward(piece.shape[0] * piece.shape[2], dresidual, dy, mask);
        else if (job->late)
            memmove(dresidual, dy, (size_t)(piece.shape[0] * piece.shape[2]) * sizeof *dy);
        const T *g = dresidual ? dresidual : dy;
        for (const batch_norm_job *norm = job; norm; norm = norm->second) {
            const T *x = norm->x + piece.offset, *planes = norm->planes + span.column;
            if (norm->dx && job->recompute)
                k->batch_norm_dx_recomputed(norm->dx + piece.offset, piece.shape, g, x, planes);
            else if (norm->dx)
                k->batch_norm_dx(norm->dx + piece.offset, piece.shape, g, x,
                                 dresidual ? NULL : mask, planes);
        }
    }
}

cvl_status NAME(batch_norm_backward)(const cvl_batch_norm *d, T *dx, T *dgamma, T *dbeta,
                                     T *dresidual, const T *dy, const T *x, const T *y,
                                     const T *gamma, const T *beta, const double *mean,
                                     const double *var, const cvl_exec *run)
{
    batch_norm_job job = {.dx = dx,
                          .dgamma = dgamma,
                          .dbeta = dbeta,
                          .dresidual = dresidual,
                          .dy = dy,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .mean = mean,
                          .var = var,
                          .prepare = affine,
                          .reduce = reduce_gradients,
                          .finish = finish_gradients,
                          .apply = dx ? apply_gradients : NULL,
                          .passes = 5 + (y != NULL) + (dresidual != NULL)};
    cvl_exec exec;
    if (!dgamma || !dbeta || !dy || !x || !gamma || !mean || !var)
        return CVL_ERR_ARGUMENT;
    cvl_status status = open_job(&job, d, BACKWARD, 0);
    if (status != CVL_OK)
        return status;
    job.mask = job.relu ? y : NULL;
    job.recompute = job.relu && !y;
    if (job.recompute && (!beta || dresidual))
        return CVL_ERR_ARGUMENT;
    status = open_run(&job, 1, &exec, BACKWARD, run);
    if (status == CVL_OK)
        run_job(&job, exec.threads);
    return status;
}

size_t NAME(batch_norm_backward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return workspace_size(d, BACKWARD, 1);
}

/* ---------------------------------------------------------------- the sum of two norms */

/* Reads a term of the sum into a job that is open but for it; FORWARD or BACKWARD. */
static cvl_status read_term(batch_norm_job *job, const cvl_batch_norm_term *from, scratch_kind kind)
{
    cvl_batch_norm_term term = CVL_BATCH_NORM_TERM_INIT;
    if (!cvl_read(&term, from) || !is_eps(term.eps))
        return CVL_ERR_ARGUMENT;
    if (!term.x || !term.gamma || !term.mean || !term.var)
        return CVL_ERR_ARGUMENT;
    if (kind == BACKWARD ? !term.dgamma || !term.dbeta : !term.beta)
        return CVL_ERR_ARGUMENT;
    job->eps = term.eps;
    job->frozen = term.frozen != 0;
    job->x = term.x;
    job->gamma = term.gamma;
    job->beta = term.beta;
    job->mean = term.mean;
    job->var = term.var;
    job->mean_out = job->frozen ? NULL : term.mean;
    job->var_out = job->frozen ? NULL : term.var;
    job->dx = term.dx;
    job->dgamma = term.dgamma;
    job->dbeta = term.dbeta;
    return CVL_OK;
}

/* Opens two jobs, the first with the second. */
static cvl_status open_sum(batch_norm_job *jobs, const cvl_batch_norm *d,
                           const cvl_batch_norm_term *a, const cvl_batch_norm_term *b,
                           scratch_kind kind)
{
    cvl_status status = open_job(&jobs[0], d, FORWARD, 0);
    if (status != CVL_OK)
        return status;
    jobs[1] = jobs[0];
    jobs[0].second = &jobs[1];
    status = read_term(&jobs[0], a, kind);
    return status == CVL_OK ? read_term(&jobs[1], b, kind) : status;
}

cvl_status NAME(batch_norm_sum_forward)(const cvl_batch_norm *d, T *y, const cvl_batch_norm_term *a,
                                        const cvl_batch_norm_term *b, const cvl_exec *run)
{
    batch_norm_job jobs[2] = {{.y = y, .finish = finish_moments, .apply = apply_affine}};
    cvl_exec exec;
    cvl_status status = y ? open_sum(jobs, d, a, b, FORWARD) : CVL_ERR_ARGUMENT;
    if (status != CVL_OK)
        return status;
    const int measured = !jobs[0].frozen + !jobs[1].frozen;
    if (measured && jobs[0].plan.M < 1)
        return CVL_ERR_SHAPE;
    jobs[0].reduce = measured ? reduce_moments : NULL;
    jobs[0].residual = y;
    jobs[0].passes = measured ? 5 : 6;
    status = open_run(jobs, 2, &exec, FORWARD, run);
    if (status == CVL_OK)
        run_job(jobs, exec.threads);
    return status;
}

size_t NAME(batch_norm_sum_forward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return workspace_size(d, FORWARD, 2);
}

cvl_status NAME(batch_norm_sum_backward)(const cvl_batch_norm *d, const cvl_batch_norm_term *a,
                                         const cvl_batch_norm_term *b, const T *dy, const T *y,
                                         const cvl_exec *run)
{
    batch_norm_job jobs[2] = {
        {.prepare = affine, .reduce = reduce_gradients, .finish = finish_gradients, .passes = 10}};
    cvl_exec exec;
    cvl_status status = dy ? open_sum(jobs, d, a, b, BACKWARD) : CVL_ERR_ARGUMENT;
    if (status != CVL_OK)
        return status;
    if (jobs[0].relu && !y)
        return CVL_ERR_ARGUMENT;
    jobs[0].dy = dy;
    jobs[0].mask = jobs[0].relu ? y : NULL;
    jobs[0].dresidual = jobs[0].relu ? jobs[1].dx : NULL;
    jobs[0].apply = jobs[0].dx || jobs[1].dx ? apply_gradients : NULL;
    status = open_run(jobs, 2, &exec, BACKWARD, run);
    if (status == CVL_OK)
        run_job(jobs, exec.threads);
    return status;
}

size_t NAME(batch_norm_sum_backward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return workspace_size(d, BACKWARD, 2);
}
