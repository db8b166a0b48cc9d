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
#include "batch_norm_job.h"
#include "norm_pool.h"

/* The planes high, scale and shift; the same in every operator, so that a mask recomputed backward
 * is the forward pass's to the bit. */
static void affine(const NAME(batch_norm) *job, ptrdiff_t channel, ptrdiff_t channels)
{
    double *inverse = job->inverse + channel;
    job->kernels->batch_norm_inverse(inverse, channels, job->var + channel, job->eps);
    job->kernels->batch_norm_affine(job->planes + channel, channels, job->plan.L,
                                    job->mean + channel, inverse, job->gamma + channel,
                                    job->beta ? job->beta + channel : NULL);
}

/* ----------------------------------------------------------------- forward and inference */

static void reduce_moments(const NAME(batch_norm) *job, ptrdiff_t task)
{
    for (const NAME(batch_norm) *norm = job; norm; norm = norm->second)
        if (norm->mean_out)
            NAME(moments_reduce)(&norm->moments, task, norm->x);
}

static void finish_moments(const NAME(batch_norm) *job, ptrdiff_t channel, ptrdiff_t channels)
{
    if (job->mean_out)
        NAME(moments_merge)(&job->moments, channel, channels, job->mean_out + channel,
                            job->var_out + channel);
    affine(job, channel, channels);
}

/* The second norm's share of a piece of y lies there until the first one's is added. */
static void apply_affine(const NAME(batch_norm) *job, ptrdiff_t task)
{
    const NAME(kernels) *k = job->kernels;
    const NAME(batch_norm) *second = job->second;
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

/* What a norm reads forward, its moments included. */
static NAME(batch_norm) job_of(const T *x, const T *gamma, const T *beta, const double *mean,
                               const double *var)
{
    return (NAME(batch_norm)){.x = x, .gamma = gamma, .beta = beta, .mean = mean, .var = var};
}

/* Whether an open job has pixels, but not both of the arrays of them that a call needs. */
static int lacks_arrays(const NAME(batch_norm) *job, const void *one, const void *other)
{
    return job->plan.M > 0 && (!one || !other);
}

/* By given moments where there is no mean_out. */
static cvl_status run_forward(NAME(batch_norm) *job, const cvl_batch_norm *d, const cvl_exec *run)
{
    const scratch_kind kind = job->mean_out ? FORWARD : INFERENCE;
    cvl_exec exec;
    if (!job->gamma || !job->beta || !job->mean || !job->var)
        return CVL_ERR_ARGUMENT;
    job->reduce = job->mean_out ? reduce_moments : NULL;
    job->finish = finish_moments;
    job->apply = apply_affine;
    if (job->mean_out)
        job->passes = job->residual ? 4 : 3;
    else
        job->passes = job->residual ? 6 : 4;
    cvl_status status = NAME(batch_norm_open)(job, d, kind, kind == FORWARD);
    if (status == CVL_OK && lacks_arrays(job, job->x, job->y))
        return CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = NAME(batch_norm_open_run)(job, 1, &exec, kind, run);
    if (status == CVL_OK)
        NAME(batch_norm_run)(job, exec.threads);
    return status;
}

cvl_status NAME(batch_norm_forward)(const cvl_batch_norm *d, T *y, double *mean, double *var,
                                    const T *x, const T *gamma, const T *beta, const T *residual,
                                    const cvl_exec *run)
{
    NAME(batch_norm) job = job_of(x, gamma, beta, mean, var);
    job.y = y;
    job.residual = residual;
    job.mean_out = mean;
    job.var_out = var;
    return run_forward(&job, d, run);
}

size_t NAME(batch_norm_forward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return NAME(batch_norm_workspace)(d, FORWARD, 1);
}

cvl_status NAME(batch_norm_inference)(const cvl_batch_norm *d, T *y, const T *x, const T *gamma,
                                      const T *beta, const double *mean, const double *var,
                                      const T *residual, const cvl_exec *run)
{
    NAME(batch_norm) job = job_of(x, gamma, beta, mean, var);
    job.y = y;
    job.residual = residual;
    return run_forward(&job, d, run);
}

size_t NAME(batch_norm_inference_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return NAME(batch_norm_workspace)(d, INFERENCE, 1);
}

/* -------------------------------------------------------------- forward, then max pooling */

static cvl_status open_pooled(NAME(batch_norm) *job, NAME(norm_pool) *pooled,
                              const cvl_batch_norm *d, const cvl_pool2d *window)
{
    cvl_status status = NAME(batch_norm_open)(job, d, FORWARD, 0);
    if (status == CVL_OK)
        status = NAME(pool2d_read)(&pooled->pool, window);
    if (status != CVL_OK)
        return status;
    const ptrdiff_t M = pooled->pool.d.N * pooled->pool.d.H * pooled->pool.d.W;
    if (job->plan.C != pooled->pool.d.C || job->plan.M != M || (M == 0 && !job->frozen))
        return CVL_ERR_SHAPE;
    return CVL_OK;
}

static void carve_pooled(NAME(batch_norm) *job, NAME(norm_pool) *pooled, int threads,
                         cvl_scratch *scratch)
{
    NAME(batch_norm_carve)(job, job->frozen ? INFERENCE : FORWARD, scratch);
    NAME(norm_pool_carve)(pooled, threads, scratch);
}

cvl_status NAME(batch_norm_max_pool2d_forward)(const cvl_batch_norm *d, const cvl_pool2d *window,
                                               T *y, uint8_t *winners, double *mean, double *var,
                                               const T *x, const T *gamma, const T *beta,
                                               const cvl_exec *run)
{
    NAME(batch_norm) job = job_of(x, gamma, beta, mean, var);
    NAME(norm_pool) pooled = {.pool = NAME(max_pool2d_of)(y, winners, x), .x = x};
    cvl_scratch scratch = {NULL, 0};
    cvl_exec exec;
    if (!mean || !var || !gamma || !beta)
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
    job.kernels = job.moments.kernels = kernels();
    job.finish = finish_moments;
    job.passes = 2;
    if (!job.frozen) {
        job.reduce = reduce_moments;
        job.mean_out = mean;
        job.var_out = var;
    }
    NAME(batch_norm_run)(&job, exec.threads);
    pooled.planes = job.planes;
    pooled.L = job.plan.L;
    pooled.relu = job.relu;
    NAME(norm_pool_run)(&pooled, exec.threads);
    return CVL_OK;
}

size_t NAME(batch_norm_max_pool2d_forward_workspace_size)(const cvl_batch_norm *d,
                                                          const cvl_pool2d *window, int threads)
{
    NAME(batch_norm) job = {0};
    NAME(norm_pool) pooled = {.pool = {.complete = 1, .k = kernels()}};
    cvl_scratch scratch = {NULL, 0};
    if (open_pooled(&job, &pooled, d, window) == CVL_OK)
        carve_pooled(&job, &pooled, threads > 1 ? threads : 1, &scratch);
    return scratch.used;
}

/* ---------------------------------------------------------------------------- backward */

/* Where a job has a residual, its gradient is dy after the mask, and read in its place once written. */
static void add_gradients(const NAME(batch_norm) *job, const NAME(batch_norm) *norm,
                          const cvl_columns_span *span, const cvl_piece *piece)
{
    const NAME(kernels) *k = job->kernels;
    T *sums = NAME(moments_sums)(&norm->moments, span);
    T *g = job->dresidual && !job->late ? job->dresidual + piece->offset : NULL;
    const T *dy = job->dy + piece->offset, *x = norm->x + piece->offset;
    const T *mask = job->mask ? job->mask + piece->offset : NULL;
    const T *planes = norm->planes + span->column;
    if (g && g != dy && !mask && norm == job)
        k->copy_pixels(piece->shape[0], piece->shape[1], g, piece->shape[2], dy, piece->shape[2]);
    if (job->recompute)
        k->batch_norm_gradients_recomputed(sums, piece->shape, dy, x, planes);
    else if (g && (norm != job || !mask))
        k->batch_norm_gradients(sums, NULL, piece->shape, g, x, NULL, planes);
    else
        k->batch_norm_gradients(sums, g, piece->shape, dy, x, mask, planes);
}

static void reduce_gradients(const NAME(batch_norm) *job, ptrdiff_t task)
{
    const NAME(batch_norm) *norm;
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

static void finish_gradients(const NAME(batch_norm) *job, ptrdiff_t channel, ptrdiff_t channels)
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

static void apply_gradients(const NAME(batch_norm) *job, ptrdiff_t task)
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
        for (const NAME(batch_norm) *norm = job; norm; norm = norm->second) {
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
    NAME(batch_norm) job = {.dx = dx,
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
    if (!dgamma || !dbeta || !gamma || !mean || !var)
        return CVL_ERR_ARGUMENT;
    cvl_status status = NAME(batch_norm_open)(&job, d, BACKWARD, 0);
    if (status != CVL_OK)
        return status;
    job.mask = job.relu ? y : NULL;
    job.recompute = job.relu && !y && job.plan.M > 0;
    if (lacks_arrays(&job, x, dy) || (job.recompute && (!beta || dresidual)))
        return CVL_ERR_ARGUMENT;
    status = NAME(batch_norm_open_run)(&job, 1, &exec, BACKWARD, run);
    if (status == CVL_OK)
        NAME(batch_norm_run)(&job, exec.threads);
    return status;
}

size_t NAME(batch_norm_backward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return NAME(batch_norm_workspace)(d, BACKWARD, 1);
}

/* ---------------------------------------------------------------- the sum of two norms */

/* Reads a term of the sum into a job that is open but for it; FORWARD, `pixels` y, or BACKWARD, dy. */
static cvl_status read_term(NAME(batch_norm) *job, const cvl_batch_norm_term *from, const T *pixels,
                            scratch_kind kind)
{
    cvl_batch_norm_term term = CVL_BATCH_NORM_TERM_INIT;
    if (!cvl_read(&term, from) || !cvl_is_eps(term.eps))
        return CVL_ERR_ARGUMENT;
    if (lacks_arrays(job, term.x, pixels) || !term.gamma || !term.mean || !term.var)
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
static cvl_status open_sum(NAME(batch_norm) *jobs, const cvl_batch_norm *d,
                           const cvl_batch_norm_term *a, const cvl_batch_norm_term *b,
                           const T *pixels, scratch_kind kind)
{
    cvl_status status = NAME(batch_norm_open)(&jobs[0], d, kind, 0);
    if (status != CVL_OK)
        return status;
    jobs[1] = jobs[0];
    jobs[0].second = &jobs[1];
    status = read_term(&jobs[0], a, pixels, kind);
    return status == CVL_OK ? read_term(&jobs[1], b, pixels, kind) : status;
}

cvl_status NAME(batch_norm_sum_forward)(const cvl_batch_norm *d, T *y, const cvl_batch_norm_term *a,
                                        const cvl_batch_norm_term *b, const cvl_exec *run)
{
    NAME(batch_norm) jobs[2] = {{.y = y, .finish = finish_moments, .apply = apply_affine}};
    cvl_exec exec;
    cvl_status status = open_sum(jobs, d, a, b, y, FORWARD);
    if (status != CVL_OK)
        return status;
    const int measured = !jobs[0].frozen + !jobs[1].frozen;
    if (measured && jobs[0].plan.M < 1)
        return CVL_ERR_SHAPE;
    jobs[0].reduce = measured ? reduce_moments : NULL;
    jobs[0].residual = y;
    jobs[0].passes = measured ? 5 : 6;
    status = NAME(batch_norm_open_run)(jobs, 2, &exec, FORWARD, run);
    if (status == CVL_OK)
        NAME(batch_norm_run)(jobs, exec.threads);
    return status;
}

size_t NAME(batch_norm_sum_forward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return NAME(batch_norm_workspace)(d, FORWARD, 2);
}

cvl_status NAME(batch_norm_sum_backward)(const cvl_batch_norm *d, const cvl_batch_norm_term *a,
                                         const cvl_batch_norm_term *b, const T *dy, const T *y,
                                         const cvl_exec *run)
{
    NAME(batch_norm) jobs[2] = {
        {.prepare = affine, .reduce = reduce_gradients, .finish = finish_gradients, .passes = 10}};
    cvl_exec exec;
    cvl_status status = open_sum(jobs, d, a, b, dy, BACKWARD);
    if (status != CVL_OK)
        return status;
    if (jobs[0].relu && lacks_arrays(jobs, dy, y))
        return CVL_ERR_ARGUMENT;
    jobs[0].dy = dy;
    jobs[0].mask = jobs[0].relu ? y : NULL;
    jobs[0].dresidual = jobs[0].relu ? jobs[1].dx : NULL;
    jobs[0].apply = jobs[0].dx || jobs[1].dx ? apply_gradients : NULL;
    status = NAME(batch_norm_open_run)(jobs, 2, &exec, BACKWARD, run);
    if (status == CVL_OK)
        NAME(batch_norm_run)(jobs, exec.threads);
    return status;
}

size_t NAME(batch_norm_sum_backward_workspace_size)(const cvl_batch_norm *d, int threads)
{
    (void)threads;
    return NAME(batch_norm_workspace)(d, BACKWARD, 2);
}
