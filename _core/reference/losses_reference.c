/* losses_reference.c: losses over elements, in long double. */
#include "reference.h"

#include <math.h>

/* The value of element i and its derivative by x. */
typedef void formula(const cvl_loss *d, long double x, long double y, long double w, long double a,
                     long double *value, long double *derivative);

static void run(const cvl_loss *d, double *loss, double *dx, const double *x, const double *y,
                const double *w, const double *a, formula *of)
{
    long double total = 0, divisor = 1;
    if (d->reduction == CVL_REDUCTION_MEAN && d->n > 0)
        divisor = d->n;
    for (ptrdiff_t i = 0; i < d->n; i++) {
        long double value, derivative;
        of(d, x[i], y[i], w ? w[i] : 1, a ? a[i] : 1, &value, &derivative);
        total += value;
        dx[i] = (double)(derivative / divisor);
        if (d->reduction == CVL_REDUCTION_NONE)
            loss[i] = (double)value;
    }
    if (d->reduction != CVL_REDUCTION_NONE)
        *loss = (double)(total / divisor);
}

static void squared(const cvl_loss *d, long double x, long double y, long double w, long double a,
                    long double *value, long double *derivative)
{
    (void)d, (void)w, (void)a;
    *value = (x - y) * (x - y);
    *derivative = 2 * (x - y);
}

static long double sign(long double r) { return r > 0 ? 1 : r < 0 ? -1 : r; }

static void absolute(const cvl_loss *d, long double x, long double y, long double w, long double a,
                     long double *value, long double *derivative)
{
    (void)d, (void)w, (void)a;
    *value = fabsl(x - y);
    *derivative = sign(x - y);
}

static void huber(const cvl_loss *d, long double x, long double y, long double w, long double a,
                  long double *value, long double *derivative)
{
    (void)w, (void)a;
    long double r = x - y, size = fabsl(r), delta = d->delta;
    *value = size < delta ? r * r / 2 : delta * (size - delta / 2);
    *derivative = size < delta ? r : delta * sign(r);
}

static void smooth(const cvl_loss *d, long double x, long double y, long double w, long double a,
                   long double *value, long double *derivative)
{
    if (d->delta == 0) {
        absolute(d, x, y, w, a, value, derivative);
        return;
    }
    huber(d, x, y, w, a, value, derivative);
    *value /= d->delta;
    *derivative /= d->delta;
}

/* log(1 + exp t) and its derivative, for any t. */
static long double softplus(long double t) { return (t > 0 ? t : 0) + log1pl(expl(-fabsl(t))); }

static long double sigmoid(long double t)
{
    return t > 0 ? 1 / (1 + expl(-t)) : expl(t) / (1 + expl(t));
}

static long double times(long double a, long double b) { return a == 0 ? 0 : a * b; }

static void binary(const cvl_loss *d, long double x, long double y, long double w, long double a,
                   long double *value, long double *derivative)
{
    (void)d;
    *value = times(a * w * y, softplus(-x)) + times(a * (1 - y), softplus(x));
    *derivative = a * ((1 - y) * sigmoid(x) - w * y * sigmoid(-x));
}

static void focal(const cvl_loss *d, long double x, long double y, long double w, long double a,
                  long double *value, long double *derivative)
{
    (void)w, (void)a;
    long double p = sigmoid(x), q = sigmoid(-x), m = y * q + (1 - y) * p;
    long double c = times(y, softplus(-x)) + times(1 - y, softplus(x));
    long double alpha = d->positive * y + d->negative * (1 - y), power = powl(m, d->gamma);
    long double ratio = m > 0 ? p * q / m : 0;
    *value = alpha * power * c;
    *derivative = alpha * power * ((1 - y) * p - y * q + times(d->gamma * ratio * (1 - 2 * y), c));
}

void cvl_reference_mse(const cvl_loss *d, double *loss, double *dx, const double *x,
                       const double *y)
{
    run(d, loss, dx, x, y, NULL, NULL, squared);
}

void cvl_reference_l1(const cvl_loss *d, double *loss, double *dx, const double *x, const double *y)
{
    run(d, loss, dx, x, y, NULL, NULL, absolute);
}

void cvl_reference_huber(const cvl_loss *d, double *loss, double *dx, const double *x,
                         const double *y)
{
    run(d, loss, dx, x, y, NULL, NULL, huber);
}

void cvl_reference_smooth_l1(const cvl_loss *d, double *loss, double *dx, const double *x,
                             const double *y)
{
    run(d, loss, dx, x, y, NULL, NULL, smooth);
}

void cvl_reference_binary_cross_entropy(const cvl_loss *d, double *loss, double *dx,
                                        const double *x, const double *y,
                                        const double *positive_weight, const double *weight)
{
    run(d, loss, dx, x, y, positive_weight, weight, binary);
}

void cvl_reference_focal(const cvl_loss *d, double *loss, double *dx, const double *x,
                         const double *y)
{
    run(d, loss, dx, x, y, NULL, NULL, focal);
}
