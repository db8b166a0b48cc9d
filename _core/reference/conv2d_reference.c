/* conv2d_reference.c: convolution as loops over outputs, taps and channels, and a bounds test. */
#include "reference.h"

static ptrdiff_t count_windows(ptrdiff_t padded, ptrdiff_t K, ptrdiff_t S, ptrdiff_t D)
{
    ptrdiff_t count = 0;
    while (count * S + D * (K - 1) < padded)
        count++;
    return count;
}

void cvl_reference_conv2d_output_shape(const cvl_conv2d *d, ptrdiff_t *OH, ptrdiff_t *OW)
{
    *OH = count_windows(d->H + d->PT + d->PB, d->KH, d->SH, d->DH);
    *OW = count_windows(d->W + d->PL + d->PR, d->KW, d->SW, d->DW);
}

/* The offsets of x and, at the first of its group's OC output channels, of y and w. */
typedef struct term {
    ptrdiff_t y, x, w;
    ptrdiff_t OC;
} term;

typedef void visitor(term at, double *restrict out, const double *a, const double *b);

/* Calls `visit` for every x inside its bounds, by each output pixel, tap and input channel; outside
 * x counts as 0. */
static void for_each_term(const cvl_conv2d *d, visitor *visit, double *out, const double *a,
                          const double *b)
{
    const ptrdiff_t C = d->C / d->groups, OC = d->OC / d->groups;
    ptrdiff_t OH, OW;
    cvl_reference_conv2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t oh = 0; oh < OH; oh++)
            for (ptrdiff_t ow = 0; ow < OW; ow++)
                for (ptrdiff_t kh = 0; kh < d->KH; kh++)
                    for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
                        ptrdiff_t ih = oh * d->SH - d->PT + kh * d->DH;
                        ptrdiff_t iw = ow * d->SW - d->PL + kw * d->DW;
                        if (ih < 0 || ih >= d->H || iw < 0 || iw >= d->W)
                            continue;
                        term at = {.y = ((n * OH + oh) * OW + ow) * d->OC,
                                   .x = ((n * d->H + ih) * d->W + iw) * d->C,
                                   .OC = OC};
                        for (ptrdiff_t g = 0; g < d->groups; g++, at.y += OC)
                            for (ptrdiff_t c = 0; c < C; c++, at.x++) {
                                at.w = ((kh * d->KW + kw) * C + c) * d->OC + g * OC;
                                visit(at, out, a, b);
                            }
                    }
}

static void add_to_y(term at, double *restrict y, const double *x, const double *w)
{
    for (ptrdiff_t oc = 0; oc < at.OC; oc++)
        y[at.y + oc] += x[at.x] * w[at.w + oc];
}

static void add_to_dx(term at, double *restrict dx, const double *dy, const double *w)
{
    for (ptrdiff_t oc = 0; oc < at.OC; oc++)
        dx[at.x] += dy[at.y + oc] * w[at.w + oc];
}

static void add_to_dw(term at, double *restrict dw, const double *dy, const double *x)
{
    for (ptrdiff_t oc = 0; oc < at.OC; oc++)
        dw[at.w + oc] += dy[at.y + oc] * x[at.x];
}

static double activated(const cvl_conv2d *d, double sum)
{
    if (d->activation == CVL_ACTIVATION_LEAKY_RELU && 0 > sum)
        sum *= d->slope;
    else if (d->activation != CVL_ACTIVATION_NONE && 0 > sum)
        sum = 0;
    if (d->activation == CVL_ACTIVATION_RELU6 && sum > 6)
        sum = 6;
    return sum;
}

void cvl_reference_conv2d_sums(const cvl_conv2d *d, double *sums, const double *x, const double *w)
{
    ptrdiff_t OH, OW;
    cvl_reference_conv2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t i = 0; i < d->N * OH * OW * d->OC; i++)
        sums[i] = 0;
    for_each_term(d, add_to_y, sums, x, w);
}

void cvl_reference_conv2d_activate(const cvl_conv2d *d, double *y, const double *sums,
                                   const double *b)
{
    ptrdiff_t OH, OW;
    cvl_reference_conv2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t pixel = 0; pixel < d->N * OH * OW; pixel++)
        for (ptrdiff_t oc = 0; oc < d->OC; oc++) {
            const double sum = sums[pixel * d->OC + oc];
            y[pixel * d->OC + oc] = activated(d, b ? sum + b[oc] : sum);
        }
}

void cvl_reference_conv2d_forward(const cvl_conv2d *d, double *y, const double *x, const double *w,
                                  const double *b)
{
    cvl_reference_conv2d_sums(d, y, x, w);
    cvl_reference_conv2d_activate(d, y, y, b);
}

void cvl_reference_conv2d_backward_data(const cvl_conv2d *d, double *dx, const double *dy,
                                        const double *w)
{
    for (ptrdiff_t i = 0; i < d->N * d->H * d->W * d->C; i++)
        dx[i] = 0;
    for_each_term(d, add_to_dx, dx, dy, w);
}

void cvl_reference_conv2d_backward_weights(const cvl_conv2d *d, double *dw, double *db,
                                           const double *dy, const double *x)
{
    ptrdiff_t OH, OW;
    cvl_reference_conv2d_output_shape(d, &OH, &OW);
    for (ptrdiff_t i = 0; dw && i < d->KH * d->KW * (d->C / d->groups) * d->OC; i++)
        dw[i] = 0;
    if (dw)
        for_each_term(d, add_to_dw, dw, dy, x);
    for (ptrdiff_t oc = 0; db && oc < d->OC; oc++)
        db[oc] = 0;
    for (ptrdiff_t pixel = 0; db && pixel < d->N * OH * OW; pixel++)
        for (ptrdiff_t oc = 0; oc < d->OC; oc++)
            db[oc] += dy[pixel * d->OC + oc];
}
