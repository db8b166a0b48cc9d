/* elementwise_reference.c: ReLU, its gradient and addition. */
#include "reference.h"

void cvl_reference_relu_forward(ptrdiff_t n, double *y, const double *x)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = 0 > x[i] ? 0 : x[i];
}

void cvl_reference_relu_backward(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    for (ptrdiff_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

void cvl_reference_add(ptrdiff_t n, double *y, const double *a, const double *b)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}
