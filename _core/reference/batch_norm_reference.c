/* batch_norm_reference.c: moments in two passes, the gradient step by step along the chain rule. */
#include "reference.h"

#include <math.h>

void cvl_reference_batch_norm_inference(const cvl_batch_norm *d, double *y, const double *x,
                                        const double *gamma, const double *beta, const double *mean,
                                        const double *var, const double *residual)
{
    for (ptrdiff_t m = 0; m < d->M; m++)
        for (ptrdiff_t c = 0; c < d->C; c++) {
            ptrdiff_t i = m * d->C + c;
            double xhat = (x[i] - mean[c]) / sqrt(var[c] + d->eps);
            y[i] = xhat * gamma[c] + beta[c];
            if (residual)
                y[i] += residual[i];
            if (d->activation == CVL_ACTIVATION_RELU && 0 > y[i])
                y[i] = 0;
        }
}

void cvl_reference_batch_norm_forward(const cvl_batch_norm *d, double *y, double *mean, double *var,
                                      const double *x, const double *gamma, const double *beta,
                                      const double *residual)
{
    for (ptrdiff_t c = 0; c < d->C; c++) {
        /* Long double, so that float64 kernels are measured against something finer. */
        long double sum = 0, squares = 0;
        for (ptrdiff_t m = 0; m < d->M; m++)
            sum += x[m * d->C + c];
        for (ptrdiff_t m = 0; m < d->M; m++) {
            long double deviation = x[m * d->C + c] - sum / d->M;
            squares += deviation * deviation;
        }
        mean[c] = (double)(sum / d->M);
        var[c] = (double)(squares / d->M);
    }
    cvl_reference_batch_norm_inference(d, y, x, gamma, beta, mean, var, residual);
}

/* dy where the activation passed it. */
static double passed(const cvl_batch_norm *d, ptrdiff_t i, const double *dy, const double *x,
                     const double *y, const double *gamma, const double *beta, const double *mean,
                     const double *var)
{
    ptrdiff_t c = i % d->C;
    if (d->activation != CVL_ACTIVATION_RELU)
        return dy[i];
    if (y)
        return y[i] > 0 ? dy[i] : 0;
    return (x[i] - mean[c]) / sqrt(var[c] + d->eps) * gamma[c] + beta[c] > 0 ? dy[i] : 0;
}

void cvl_reference_batch_norm_backward(const cvl_batch_norm *d, double *dx, double *dgamma,
                                       double *dbeta, double *dresidual, const double *dy,
                                       const double *x, const double *y, const double *gamma,
                                       const double *beta, const double *mean, const double *var)
{
    double M = (double)d->M;
    for (ptrdiff_t c = 0; c < d->C; c++) {
        double scale = 1 / sqrt(var[c] + d->eps);
        double dvar = 0, dmean = 0, deviations = 0;
        dgamma[c] = 0;
        dbeta[c] = 0;
        for (ptrdiff_t m = 0; m < d->M; m++) {
            ptrdiff_t i = m * d->C + c;
            double g = passed(d, i, dy, x, y, gamma, beta, mean, var);
            dbeta[c] += g;
            dgamma[c] += g * (x[i] - mean[c]) * scale;
            dvar += g * gamma[c] * (x[i] - mean[c]) * -0.5 * scale * scale * scale;
            dmean -= g * gamma[c] * scale;
            deviations += x[i] - mean[c];
        }
        dmean += dvar * -2 / M * deviations;
        for (ptrdiff_t m = 0; m < d->M; m++) {
            ptrdiff_t i = m * d->C + c;
            double g = passed(d, i, dy, x, y, gamma, beta, mean, var);
            if (dresidual)
                dresidual[i] = g;
            if (!dx)
                continue;
            dx[i] = g * gamma[c] * scale;
            if (!d->frozen)
                dx[i] += dvar * 2 * (x[i] - mean[c]) / M + dmean / M;
        }
    }
}
