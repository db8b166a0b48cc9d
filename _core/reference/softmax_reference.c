/* softmax_reference.c: softmax, its logarithm and cross-entropy, in long double. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

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

/* ---------------------------------------------------------------- losses over classes */

typedef struct targets {
    const int64_t *labels;                          /* or NULL: */
    const double *q, *class_weight, *sample_weight; /* weights may be NULL */
} targets;

static double weight_of(const double *weights, ptrdiff_t i) { return weights ? weights[i] : 1; }

/* Whether row n counts at all; a row that does not gets zeros. */
static int counts(const cvl_softmax_cross_entropy *d, const targets *y, ptrdiff_t n)
{
    if (d->ignore && y->labels[n] == d->ignore_index)
        return 0;
    if (weight_of(y->sample_weight, n) == 0)
        return 0;
    return !y->labels || d->label_smoothing > 0 || weight_of(y->class_weight, y->labels[n]) > 0;
}

/* What a mean divides by. */
static long double divisor_of(const cvl_softmax_cross_entropy *d, const targets *y)
{
    long double divisor = 0;
    for (ptrdiff_t n = 0; n < d->N; n++)
        if (counts(d, y, n))
            divisor += (long double)weight_of(y->sample_weight, n) *
                       (y->labels ? weight_of(y->class_weight, y->labels[n]) : 1);
    return divisor;
}

/* u[n,c] of convlet.h. */
static long double coefficient(const cvl_softmax_cross_entropy *d, const targets *y, ptrdiff_t n,
                               ptrdiff_t c)
{
    long double q = y->labels ? c == y->labels[n] : y->q[n * d->C + c];
    return weight_of(y->class_weight, c) *
           ((1 - d->label_smoothing) * q + (long double)d->label_smoothing / d->C);
}

/* The sum of a row's numbers but the one at `left_out`. */
static long double sum_of_others(ptrdiff_t C, const long double *x, ptrdiff_t left_out)
{
    long double sum = 0;
    for (ptrdiff_t c = 0; c < C; c++)
        if (c != left_out)
            sum += x[c];
    return sum;
}

/* One row's loss and gradient, both times `weight`; e and u are scratch. */
static long double row_of(const cvl_softmax_cross_entropy *d, double *dz_n, const double *z_n,
                          const targets *y, ptrdiff_t n, long double *e, long double *u,
                          long double weight, long double divisor)
{
    long double top = z_n[largest(d->C, z_n)], log_all = log_sum(d->C, z_n), row = 0;
    for (ptrdiff_t c = 0; c < d->C; c++) {
        e[c] = expl(z_n[c] - top);
        u[c] = coefficient(d, y, n, c);
        if (u[c] != 0)
            row += weight * u[c] * ((top - z_n[c]) + log_all);
    }
    long double all = sum_of_others(d->C, e, -1);
    for (ptrdiff_t c = 0; c < d->C; c++) {
        /* p sum u - u, with 1 - p as the sum of the others: no cancellation. */
        long double p = e[c] / all, rest = sum_of_others(d->C, e, c) / all;
        long double other_u = sum_of_others(d->C, u, c);
        dz_n[c] = (double)(weight / divisor * (p * other_u - u[c] * rest));
    }
    return row;
}

static void cross_entropy(const cvl_softmax_cross_entropy *d, double *loss, double *dz,
                          const double *z, const targets *y)
{
    long double total = 0, divisor = 1, *e = malloc((size_t)d->C * sizeof *e);
    long double *u = malloc((size_t)d->C * sizeof *u);
    if (!e || !u)
        abort();
    if (d->reduction == CVL_REDUCTION_MEAN)
        divisor = divisor_of(d, y);
    for (ptrdiff_t n = 0; n < d->N; n++) {
        double *dz_n = dz + n * d->C;
        long double row = 0;
        for (ptrdiff_t c = 0; c < d->C; c++)
            dz_n[c] = 0;
        if (divisor != 0 && counts(d, y, n))
            row =
                row_of(d, dz_n, z + n * d->C, y, n, e, u, weight_of(y->sample_weight, n), divisor);
        total += row;
        if (d->reduction == CVL_REDUCTION_NONE)
            loss[n] = (double)row;
    }
    if (d->reduction == CVL_REDUCTION_SUM)
        *loss = (double)total;
    if (d->reduction == CVL_REDUCTION_MEAN)
        *loss = divisor != 0 ? (double)(total / divisor) : d->empty == CVL_EMPTY_NAN ? NAN : 0;
    free(e);
    free(u);
}

void cvl_reference_softmax_cross_entropy(const cvl_softmax_cross_entropy *d, double *loss,
                                         double *dz, const double *z, const int64_t *labels,
                                         const double *class_weight, const double *sample_weight)
{
    targets y = {labels, NULL, class_weight, sample_weight};
    cross_entropy(d, loss, dz, z, &y);
}

void cvl_reference_softmax_cross_entropy_soft(const cvl_softmax_cross_entropy *d, double *loss,
                                              double *dz, const double *z, const double *q,
                                              const double *class_weight,
                                              const double *sample_weight)
{
    targets y = {NULL, q, class_weight, sample_weight};
    cross_entropy(d, loss, dz, z, &y);
}

void cvl_reference_nll(const cvl_nll *d, double *loss, double *dx, const double *x,
                       const int64_t *labels, const double *class_weight,
                       const double *sample_weight)
{
    targets y = {labels, NULL, class_weight, sample_weight};
    cvl_softmax_cross_entropy rows = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    rows.N = d->N;
    rows.C = d->C;
    rows.ignore = d->ignore;
    rows.ignore_index = d->ignore_index;
    long double total = 0, divisor = 1;
    if (d->reduction == CVL_REDUCTION_MEAN)
        divisor = divisor_of(&rows, &y);
    for (ptrdiff_t i = 0; i < d->N * d->C; i++)
        dx[i] = 0;
    for (ptrdiff_t n = 0; n < d->N; n++) {
        long double row = 0;
        if (divisor != 0 && counts(&rows, &y, n)) {
            ptrdiff_t at = n * d->C + (ptrdiff_t)labels[n];
            long double a = weight_of(sample_weight, n) * weight_of(class_weight, labels[n]);
            row = -a * x[at];
            dx[at] = (double)(-a / divisor);
        }
        total += row;
        if (d->reduction == CVL_REDUCTION_NONE)
            loss[n] = (double)row;
    }
    if (d->reduction == CVL_REDUCTION_SUM)
        *loss = (double)total;
    if (d->reduction == CVL_REDUCTION_MEAN)
        *loss = divisor != 0 ? (double)(total / divisor) : d->empty == CVL_EMPTY_NAN ? NAN : 0;
}
