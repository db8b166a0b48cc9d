/* linear_reference.c: y = x w + b and its gradients as three loops. */
#include "reference.h"

void cvl_reference_linear_forward(const cvl_linear *d, double *y, const double *x, const double *w,
                                  const double *b)
{
    for (ptrdiff_t m = 0; m < d->M; m++) {
        double *restrict y_m = y + m * d->OUT;
        for (ptrdiff_t o = 0; o < d->OUT; o++)
            y_m[o] = 0;
        for (ptrdiff_t i = 0; i < d->IN; i++)
            for (ptrdiff_t o = 0; o < d->OUT; o++)
                y_m[o] += x[m * d->IN + i] * w[i * d->OUT + o];
        for (ptrdiff_t o = 0; b && o < d->OUT; o++)
            y_m[o] += b[o];
    }
}

void cvl_reference_linear_backward_data(const cvl_linear *d, double *dx, const double *dy,
                                        const double *w)
{
    for (ptrdiff_t m = 0; m < d->M; m++)
        for (ptrdiff_t i = 0; i < d->IN; i++) {
            double sum = 0;
            for (ptrdiff_t o = 0; o < d->OUT; o++)
                sum += dy[m * d->OUT + o] * w[i * d->OUT + o];
            dx[m * d->IN + i] = sum;
        }
}

void cvl_reference_linear_backward_weights(const cvl_linear *d, double *dw, double *db,
                                           const double *dy, const double *x)
{
    for (ptrdiff_t i = 0; dw && i < d->IN; i++) {
        double *restrict dw_i = dw + i * d->OUT;
        for (ptrdiff_t o = 0; o < d->OUT; o++)
            dw_i[o] = 0;
        for (ptrdiff_t m = 0; m < d->M; m++)
            for (ptrdiff_t o = 0; o < d->OUT; o++)
                dw_i[o] += x[m * d->IN + i] * dy[m * d->OUT + o];
    }
    for (ptrdiff_t o = 0; db && o < d->OUT; o++) {
        db[o] = 0;
        for (ptrdiff_t m = 0; m < d->M; m++)
            db[o] += dy[m * d->OUT + o];
    }
}
