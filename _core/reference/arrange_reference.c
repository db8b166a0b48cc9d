/* arrange_reference.c: concatenation and the shortcut without parameters as loops over outputs. */
#include "reference.h"

void cvl_reference_concat_forward(const cvl_concat *d, double *y, const double *const *x)
{
    for (ptrdiff_t m = 0; m < d->M; m++)
        for (ptrdiff_t part = 0; part < d->parts; part++)
            for (ptrdiff_t c = 0; c < d->C[part]; c++)
                *y++ = x[part][m * d->C[part] + c];
}

void cvl_reference_concat_backward(const cvl_concat *d, double *const *dx, const double *dy)
{
    for (ptrdiff_t m = 0; m < d->M; m++)
        for (ptrdiff_t part = 0; part < d->parts; part++)
            for (ptrdiff_t c = 0; c < d->C[part]; c++)
                dx[part][m * d->C[part] + c] = *dy++;
}

/* Where element c of pixel (h,w) of y comes from in x, or -1. */
static ptrdiff_t source(const cvl_pad_shortcut *d, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w,
                        ptrdiff_t c)
{
    return c < d->C ? ((n * d->H + h * d->SH) * d->W + w * d->SW) * d->C + c : -1;
}

void cvl_reference_pad_shortcut_forward(const cvl_pad_shortcut *d, double *y, const double *x)
{
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t h = 0; h * d->SH < d->H; h++)
            for (ptrdiff_t w = 0; w * d->SW < d->W; w++)
                for (ptrdiff_t c = 0; c < d->OC; c++) {
                    const ptrdiff_t from = source(d, n, h, w, c);
                    *y++ = from < 0 ? 0 : x[from];
                }
}

void cvl_reference_pad_shortcut_backward(const cvl_pad_shortcut *d, double *dx, const double *dy)
{
    for (ptrdiff_t i = 0; i < d->N * d->H * d->W * d->C; i++)
        dx[i] = 0;
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t h = 0; h * d->SH < d->H; h++)
            for (ptrdiff_t w = 0; w * d->SW < d->W; w++)
                for (ptrdiff_t c = 0; c < d->OC; c++, dy++) {
                    const ptrdiff_t from = source(d, n, h, w, c);
                    if (from >= 0)
                        dx[from] = *dy;
                }
}
