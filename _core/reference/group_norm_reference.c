/* group_norm_reference.c: moments in two passes, the gradient step by step along the chain rule. */
#include "reference.h"

#include <math.h>

/* Where the i-th value of a sample's group lies, and its channel. */
typedef struct place {
    ptrdiff_t at, c;
} place;

static place value(const cvl_group_norm *d, ptrdiff_t n, ptrdiff_t g, ptrdiff_t i)
{
    const ptrdiff_t K = d->C / d->groups, c = g * K + i % K;
    return (place){(n * d->M + i / K) * d->C + c, c};
}

void cvl_reference_group_norm_forward(const cvl_group_norm *d, double *y, double *mean, double *var,
                                      const double *x, const double *gamma, const double *beta)
{
    const ptrdiff_t count = d->M * (d->C / d->groups);
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t g = 0; g < d->groups; g++) {
            /* Long double, so that float64 kernels are measured against something finer. */
            long double sum = 0, squares = 0;
            for (ptrdiff_t i = 0; i < count; i++)
                sum += x[value(d, n, g, i).at];
            for (ptrdiff_t i = 0; i < count; i++) {
                long double deviation = x[value(d, n, g, i).at] - sum / count;
                squares += deviation * deviation;
            }
            double m = (double)(sum / count), v = (double)(squares / count);
            mean[n * d->groups + g] = m;
            var[n * d->groups + g] = v;
            for (ptrdiff_t i = 0; i < count; i++) {
                place p = value(d, n, g, i);
                y[p.at] = (x[p.at] - m) / sqrt(v + d->eps) * (gamma ? gamma[p.c] : 1) +
                          (beta ? beta[p.c] : 0);
            }
        }
}

void cvl_reference_group_norm_backward(const cvl_group_norm *d, double *dx, double *dgamma,
                                       double *dbeta, const double *dy, const double *x,
                                       const double *gamma, const double *mean, const double *var)
{
    const ptrdiff_t count = d->M * (d->C / d->groups);
    for (ptrdiff_t c = 0; c < d->C; c++)
        dgamma[c] = dbeta[c] = 0;
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t g = 0; g < d->groups; g++) {
            double m = mean[n * d->groups + g];
            double scale = 1 / sqrt(var[n * d->groups + g] + d->eps);
            double dvar = 0, dmean = 0, deviations = 0;
            for (ptrdiff_t i = 0; i < count; i++) {
                place p = value(d, n, g, i);
                double dxhat = dy[p.at] * (gamma ? gamma[p.c] : 1), deviation = x[p.at] - m;
                dbeta[p.c] += dy[p.at];
                dgamma[p.c] += dy[p.at] * deviation * scale;
                dvar += dxhat * deviation * -0.5 * scale * scale * scale;
                dmean -= dxhat * scale;
                deviations += deviation;
            }
            dmean += dvar * -2 / (double)count * deviations;
            for (ptrdiff_t i = 0; dx && i < count; i++) {
                place p = value(d, n, g, i);
                dx[p.at] = dy[p.at] * (gamma ? gamma[p.c] : 1) * scale +
                           dvar * 2 * (x[p.at] - m) / (double)count + dmean / (double)count;
            }
        }
}
