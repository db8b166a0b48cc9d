/* conv_transpose2d_reference.c: every pixel of x spread over its window of y. */
#include "reference.h"

void cvl_reference_conv_transpose2d_output_shape(const cvl_conv_transpose2d *d, ptrdiff_t *OH,
                                                 ptrdiff_t *OW)
{
    *OH = (d->H - 1) * d->SH - d->PT - d->PB + d->DH * (d->KH - 1) + 1 + d->OPH;
    *OW = (d->W - 1) * d->SW - d->PL - d->PR + d->DW * (d->KW - 1) + 1 + d->OPW;
}

/* The offsets of y and, at the first of its group's C input channels, of x and w. */
typedef struct term {
    ptrdiff_t y, x, w;
    ptrdiff_t C;
} term;

typedef void visitor(term at, double *restrict out, const double *a, const double *b);

/* Calls `visit` for every y inside the output that a pixel of x goes to, by each tap and output
 * channel. */
static void for_each_term(const cvl_conv_transpose2d *d, visitor *visit, double *out,
                          const double *a, const double *b)
{
    const ptrdiff_t C = d->C / d->groups, OC = d->OC / d->groups;
    ptrdiff_t OH, OW;
    cvl_reference_conv_transpose2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t ih = 0; ih < d->H; ih++)
            for (ptrdiff_t iw = 0; iw < d->W; iw++)
                for (ptrdiff_t kh = 0; kh < d->KH; kh++)
                    for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
                        ptrdiff_t oh = ih * d->SH - d->PT + kh * d->DH;
                        ptrdiff_t ow = iw * d->SW - d->PL + kw * d->DW;
                        if (oh < 0 || oh >= OH || ow < 0 || ow >= OW)
                            continue;
                        term at = {.y = ((n * OH + oh) * OW + ow) * d->OC,
                                   .x = ((n * d->H + ih) * d->W + iw) * d->C,
                                   .C = C};
                        for (ptrdiff_t g = 0; g < d->groups; g++, at.x += C)
                            for (ptrdiff_t oc = 0; oc < OC; oc++, at.y++) {
                                at.w = ((kh * d->KW + kw) * OC + oc) * d->C + g * C;
                                visit(at, out, a, b);
                            }
                    }
}

static void add_to_y(term at, double *restrict y, const double *x, const double *w)
{
    for (ptrdiff_t c = 0; c < at.C; c++)
        y[at.y] += x[at.x + c] * w[at.w + c];
}

static void add_to_dx(term at, double *restrict dx, const double *dy, const double *w)
{
    for (ptrdiff_t c = 0; c < at.C; c++)
        dx[at.x + c] += dy[at.y] * w[at.w + c];
}

static void add_to_dw(term at, double *restrict dw, const double *dy, const double *x)
{
    for (ptrdiff_t c = 0; c < at.C; c++)
        dw[at.w + c] += dy[at.y] * x[at.x + c];
}

void cvl_reference_conv_transpose2d_forward(const cvl_conv_transpose2d *d, double *y,
                                            const double *x, const double *w, const double *b)
{
    ptrdiff_t OH, OW;
    cvl_reference_conv_transpose2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t i = 0; i < d->N * OH * OW * d->OC; i++)
        y[i] = 0;
    for_each_term(d, add_to_y, y, x, w);
    for (ptrdiff_t i = 0; b && i < d->N * OH * OW * d->OC; i++)
        y[i] += b[i % d->OC];
}

void cvl_reference_conv_transpose2d_backward_data(const cvl_conv_transpose2d *d, double *dx,
                                                  const double *dy, const double *w)
{
    for (ptrdiff_t i = 0; i < d->N * d->H * d->W * d->C; i++)
        dx[i] = 0;
    for_each_term(d, add_to_dx, dx, dy, w);
}

void cvl_reference_conv_transpose2d_backward_weights(const cvl_conv_transpose2d *d, double *dw,
                                                     double *db, const double *dy, const double *x)
{
    ptrdiff_t OH, OW;
    cvl_reference_conv_transpose2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t i = 0; dw && i < d->KH * d->KW * (d->OC / d->groups) * d->C; i++)
        dw[i] = 0;
    if (dw)
        for_each_term(d, add_to_dw, dw, dy, x);
    for (ptrdiff_t oc = 0; db && oc < d->OC; oc++) {
        db[oc] = 0;
        for (ptrdiff_t i = oc; i < d->N * OH * OW * d->OC; i += d->OC)
            db[oc] += dy[i];
    }
}
