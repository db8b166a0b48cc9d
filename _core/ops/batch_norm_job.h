/* batch_norm_job.h: what the operators of batch_norm.c are made of: up to four steps over channels and
 * pixels, and their scratch. */
#ifndef CVL_BATCH_NORM_JOB_H
#define CVL_BATCH_NORM_JOB_H

#include "moments.h"

typedef struct NAME(batch_norm) NAME(batch_norm);
/* What a step does to the span of a task, or to some channels. */
typedef void span_step(const NAME(batch_norm) *job, ptrdiff_t task);
typedef void channel_step(const NAME(batch_norm) *job, ptrdiff_t channel, ptrdiff_t channels);

struct NAME(batch_norm) {
    const NAME(batch_norm) *second; /* the batch norm that is the other summand, or NULL */
    const NAME(kernels) *kernels;
    cvl_columns plan;
    double eps;
    int relu, frozen;
    channel_step *prepare; /* or NULL, as the next two */
    span_step *reduce;
    channel_step *finish;
    span_step *apply; /* or NULL */
    double passes;    /* over arrays of x's size; reduce and apply count for half of them each */

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

/* The kinds of scratch an operator uses. */
typedef enum scratch_kind { INFERENCE, FORWARD, BACKWARD } scratch_kind;

/* Reads and checks the descriptor and plans the passes. */
cvl_status NAME(batch_norm_open)(NAME(batch_norm) *job, const cvl_batch_norm *from,
                                 scratch_kind kind, ptrdiff_t M_min);

/* Takes the scratch of a job, which is open. */
void NAME(batch_norm_carve)(NAME(batch_norm) *job, scratch_kind kind, cvl_scratch *scratch);

/* Bytes of workspace of so many norms side by side. */
size_t NAME(batch_norm_workspace)(const cvl_batch_norm *d, scratch_kind kind, int norms);

/* Checks the run and carves its workspace, for jobs that lie side by side. */
cvl_status NAME(batch_norm_open_run)(NAME(batch_norm) *jobs, int norms, cvl_exec *exec,
                                     scratch_kind kind, const cvl_exec *run);

/* Runs the steps of a job, and of the job that is its second summand. */
void NAME(batch_norm_run)(NAME(batch_norm) *job, int threads);

#endif
