/* running.c: running statistics of batch norms, on one thread, for they are few. */
#include <math.h>

#include "op.h"

typedef struct call {
    const cvl_running *d;
    T *next_mean, *next_var;
    const T *running_mean, *running_var;
    const double *mean, *var;
    const NAME(kernels) *k;
    int finite;
} call;

static void move(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    call *s = context;
    const ptrdiff_t C = s->d->C;
    const double unbias = s->d->unbias, weight = s->d->weight;
    (void)begin;
    (void)end;
    (void)worker;
    s->finite = s->k->running_finite(C, s->mean, 1) && s->k->running_finite(C, s->var, unbias);
    if (!s->finite)
        return;
    s->k->running_move(s->next_mean, C, s->running_mean, s->mean, 1, weight);
    s->k->running_move(s->next_var, C, s->running_var, s->var, unbias, weight);
}

cvl_status NAME(running_move)(const cvl_running *from, T *next_mean, T *next_var,
                              const T *running_mean, const T *running_var, const double *mean,
                              const double *var, const cvl_exec *run)
{
    cvl_running d = CVL_RUNNING_INIT;
    cvl_exec exec;
    ptrdiff_t elements;
    if (!cvl_read(&d, from) || !isfinite(d.weight) || !isfinite(d.unbias))
        return CVL_ERR_ARGUMENT;
    if (d.C < 0)
        return CVL_ERR_SHAPE;
    if (!CVL_PRODUCT(&elements, d.C))
        return CVL_ERR_OVERFLOW;
    if (d.C > 0 && (!next_mean || !next_var || !running_mean || !running_var || !mean || !var))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    call s = {&d, next_mean, next_var, running_mean, running_var, mean, var, kernels(), 1};
    if (!s.k)
        return CVL_ERR_ISA;
    cvl_parallel_for(1, 1, 0, CVL_GRADUAL, move, &s);
    return s.finite ? CVL_OK : CVL_ERR_FINITE;
}
