/* activation_reference.c: the activations but ReLU, in long double, term by term. */
#include <math.h>

#include "reference.h"

#define EACH(i) for (ptrdiff_t i = 0; i < n; i++)

void cvl_reference_leaky_relu_forward(double slope, ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

void cvl_reference_leaky_relu_backward(double slope, ptrdiff_t n, double *dx, const double *dy,
                                       const double *y)
{
    EACH (i)
        dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

void cvl_reference_relu6_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = x[i] > 6 ? 6 : 0 > x[i] ? 0 : x[i];
}

void cvl_reference_relu6_backward(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    EACH (i)
        dx[i] = y[i] > 0 && y[i] < 6 ? dy[i] : 0;
}

static long double sigmoid(long double x) { return 1 / (1 + expl(-x)); }

void cvl_reference_sigmoid_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = (double)sigmoid(x[i]);
}

void cvl_reference_sigmoid_backward(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    EACH (i)
        dx[i] = (double)((long double)dy[i] * y[i] * (1 - (long double)y[i]));
}

void cvl_reference_tanh_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = (double)tanhl(x[i]);
}

void cvl_reference_tanh_backward(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    EACH (i)
        dx[i] = (double)(dy[i] * (1 - (long double)y[i]) * (1 + (long double)y[i]));
}

void cvl_reference_elu_forward(double alpha, ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = x[i] > 0 ? x[i] : (double)(alpha * expm1l(x[i]));
}

void cvl_reference_elu_backward(double alpha, ptrdiff_t n, double *dx, const double *dy,
                                const double *y)
{
    EACH (i)
        dx[i] = y[i] > 0 ? dy[i] : (double)(dy[i] * ((long double)y[i] + alpha));
}

/* x f(x) and the derivative f(x) + x f'(x), with their limits at infinity. */
static double gated(double x, long double f) { return f == 0 ? 0 : (double)(x * f); }

static double gate_slope(double dy, double x, long double f, long double df)
{
    return (double)(dy * (df == 0 ? f : f + x * df));
}

#define PI 3.141592653589793238462643383279502884L

static long double normal(long double x) { return erfcl(-x / sqrtl(2)) / 2; }
static long double normal_density(long double x) { return expl(-x * x / 2) / sqrtl(2 * PI); }

void cvl_reference_gelu_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = gated(x[i], normal(x[i]));
}

void cvl_reference_gelu_backward(ptrdiff_t n, double *dx, const double *dy, const double *x)
{
    EACH (i)
        dx[i] = gate_slope(dy[i], x[i], normal(x[i]), normal_density(x[i]));
}

/* (1 + tanh v) / 2 = sigmoid(2 v) */
static long double doubled(long double x)
{
    return 2 * sqrtl(2 / PI) * (x + 0.044715L * x * x * x);
}

void cvl_reference_gelu_tanh_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = gated(x[i], sigmoid(doubled(x[i])));
}

void cvl_reference_gelu_tanh_backward(ptrdiff_t n, double *dx, const double *dy, const double *x)
{
    EACH (i) {
        const long double z = doubled(x[i]), f = sigmoid(z), rest = sigmoid(-z);
        const long double dz = 2 * sqrtl(2 / PI) * (1 + 3 * 0.044715L * x[i] * x[i]);
        dx[i] = gate_slope(dy[i], x[i], f, f * rest == 0 ? 0 : f * rest * dz);
    }
}

void cvl_reference_silu_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = gated(x[i], sigmoid(x[i]));
}

void cvl_reference_silu_backward(ptrdiff_t n, double *dx, const double *dy, const double *x)
{
    EACH (i)
        dx[i] = gate_slope(dy[i], x[i], sigmoid(x[i]), sigmoid(x[i]) * sigmoid(-x[i]));
}

void cvl_reference_hard_swish_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = x[i] > 3 ? x[i] : -3 > x[i] ? 0 : (double)(x[i] * ((long double)x[i] + 3) / 6);
}

void cvl_reference_hard_swish_backward(ptrdiff_t n, double *dx, const double *dy, const double *x)
{
    EACH (i) {
        const double inside = (double)(dy[i] * (2 * (long double)x[i] + 3) / 6);
        dx[i] = x[i] >= 3 ? dy[i] : -3 >= x[i] ? 0 : inside;
    }
}

void cvl_reference_softplus_forward(ptrdiff_t n, double *y, const double *x)
{
    EACH (i)
        y[i] = (double)(fmaxl(x[i], 0) + log1pl(expl(-fabsl(x[i]))));
}

void cvl_reference_softplus_backward(ptrdiff_t n, double *dx, const double *dy, const double *x)
{
    EACH (i)
        dx[i] = (double)(dy[i] * sigmoid(x[i]));
}
