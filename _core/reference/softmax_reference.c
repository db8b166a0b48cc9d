/* softmax_reference.c: softmax, its logarithm and cross-entropy, in long double. */
#include "reference.h"

#include <math.h>

/* The first largest of a row; its term of the sum of exponentials is 1. */
static ptrdiff_t largest(ptrdiff_t C, const double *z_n)
{
    ptrdiff_t at = 0;
    for (ptrdiff_t c = 1; c < C; c++)
        if (z_n[c] > z_n[at])
            at = c;
    return at;
}

/* The sum of exp(z - max) over all classes but `left_out`. */
static long double sum_without(ptrdiff_t C, const double *z_n, ptrdiff_t left_out)
{
    ptrdiff_t at = largest(C, z_n);
    long double sum = 0;
    for (ptrdiff_t c = 0; c < C; c++)
        if (c != left_out)
            sum += expl((long double)z_n[c] - z_n[at]);
    return sum;
}

/* log sum_c exp(z - max), accurate also where it is nearly 0. A NaN at the maximum's own place,
 * from an infinite maximum, is kept. */
static long double log_sum(ptrdiff_t C, const double *z_n)
{
    ptrdiff_t at = largest(C, z_n);
    return log1pl(sum_without(C, z_n, at)) + ((long double)z_n[at] - z_n[at]);
}

void cvl_reference_softmax_forward(const cvl_softmax *d, double *y, const double *z)
{
    for (ptrdiff_t n = 0; n < d->N; n++) {
        const double *z_n = z + n * d->C;
        long double top = z_n[largest(d->C, z_n)], all = sum_without(d->C, z_n, -1);
        for (ptrdiff_t c = 0; c < d->C; c++)
            y[n * d->C + c] = (double)(expl(z_n[c] - top) / all);
    }
}

void cvl_reference_log_softmax_forward(const cvl_softmax *d, double *y, const double *z)
{
    for (ptrdiff_t n = 0; n < d->N; n++) {
        const double *z_n = z + n * d->C;
        long double top = z_n[largest(d->C, z_n)], log_all = log_sum(d->C, z_n);
        for (ptrdiff_t c = 0; c < d->C; c++)
            y[n * d->C + c] = (double)((z_n[c] - top) - log_all);
    }
}

void cvl_reference_softmax_backward(const cvl_softmax *d, double *dz, const double *dy,
                                    const double *y)
{
    for (ptrdiff_t n = 0; n < d->N; n++) {
        long double sum = 0;
        for (ptrdiff_t c = 0; c < d->C; c++)
            sum += (long double)dy[n * d->C + c] * y[n * d->C + c];
        for (ptrdiff_t c = 0; c < d->C; c++)
            dz[n * d->C + c] = (double)(y[n * d->C + c] * (dy[n * d->C + c] - sum));
    }
}

void cvl_reference_log_softmax_backward(const cvl_softmax *d, double *dz, const double *dy,
                                        const double *y)
{
    for (ptrdiff_t n = 0; n < d->N; n++) {
        long double sum = 0;
        for (ptrdiff_t c = 0; c < d->C; c++)
            sum += dy[n * d->C + c];
        for (ptrdiff_t c = 0; c < d->C; c++)
            dz[n * d->C + c] = (double)(dy[n * d->C + c] - expl(y[n * d->C + c]) * sum);
    }
}

/* Adds one row's loss to the result, as the reduction says. */
static void reduce(const cvl_softmax_cross_entropy *d, double *loss, ptrdiff_t n, long double row,
                   long double *total)
{
    *total += row;
    if (d->reduction == CVL_REDUCTION_NONE)
        loss[n] = (double)row;
}

static void finish(const cvl_softmax_cross_entropy *d, double *loss, long double total)
{
    if (d->reduction == CVL_REDUCTION_SUM)
        *loss = (double)total;
    if (d->reduction == CVL_REDUCTION_MEAN)
        *loss = d->N ? (double)(total / d->N) : 0;
}

void cvl_reference_softmax_cross_entropy(const cvl_softmax_cross_entropy *d, double *loss,
                                         double *dz, const double *z, const int64_t *labels)
{
    long double total = 0;
    double divisor = d->reduction == CVL_REDUCTION_MEAN ? (double)d->N : 1;
    for (ptrdiff_t n = 0; n < d->N; n++) {
        const double *z_n = z + n * d->C;
        ptrdiff_t t = (ptrdiff_t)labels[n];
        long double top = z_n[largest(d->C, z_n)], all = sum_without(d->C, z_n, -1);
        reduce(d, loss, n, (top - z_n[t]) + log_sum(d->C, z_n), &total);
        for (ptrdiff_t c = 0; c < d->C; c++)
            dz[n * d->C + c] = (double)(expl(z_n[c] - top) / all / divisor);
        /* p - 1 of the target as minus the sum of the others: no cancellation. */
        dz[n * d->C + t] = (double)(-(sum_without(d->C, z_n, t) / all) / divisor);
    }
    finish(d, loss, total);
}

void cvl_reference_softmax_cross_entropy_soft(const cvl_softmax_cross_entropy *d, double *loss,
                                              double *dz, const double *z, const double *q)
{
    long double total = 0;
    double divisor = d->reduction == CVL_REDUCTION_MEAN ? (double)d->N : 1;
    for (ptrdiff_t n = 0; n < d->N; n++) {
        const double *z_n = z + n * d->C, *q_n = q + n * d->C;
        long double top = z_n[largest(d->C, z_n)], all = sum_without(d->C, z_n, -1);
        long double log_all = log_sum(d->C, z_n), row = 0, sum = 0;
        for (ptrdiff_t c = 0; c < d->C; c++) {
            row += q_n[c] * ((top - z_n[c]) + log_all);
            sum += q_n[c];
        }
        reduce(d, loss, n, row, &total);
        for (ptrdiff_t c = 0; c < d->C; c++)
            dz[n * d->C + c] = (double)((expl(z_n[c] - top) / all * sum - q_n[c]) / divisor);
    }
    finish(d, loss, total);
}
