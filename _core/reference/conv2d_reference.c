/* conv2d_reference.c: convolution as six loops and a bounds test. */
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

/* The indices of a sum over channels: output n,oh,ow,oc sees the C channels from c on through tap
 * kh,kw. */
typedef struct term {
    ptrdiff_t n, oh, ow, oc, kh, kw, c;
    ptrdiff_t OH, OW, C;
} term;

static term first_term(const cvl_conv2d *d)
{
    term t = {.C = d->C / d->groups};
    cvl_reference_conv2d_output_shape(d, &t.OH, &t.OW);
    return t;
}

/* The first channel of the group that oc belongs to. */
static ptrdiff_t first_channel(const cvl_conv2d *d, ptrdiff_t oc)
{
    return oc / (d->OC / d->groups) * (d->C / d->groups);
}

/* The offsets of the factors at the first channel: at the i-th after it, x is i further and w i * OC.
 * 0 where x lies outside its bounds and counts as 0. */
static int locate(const cvl_conv2d *d, term t, ptrdiff_t *y, ptrdiff_t *x, ptrdiff_t *w)
{
    ptrdiff_t ih = t.oh * d->SH - d->PT + t.kh * d->DH;
    ptrdiff_t iw = t.ow * d->SW - d->PL + t.kw * d->DW;
    *y = ((t.n * t.OH + t.oh) * t.OW + t.ow) * d->OC + t.oc;
    *x = ((t.n * d->H + ih) * d->W + iw) * d->C + t.c;
    *w = (t.kh * d->KW + t.kw) * t.C * d->OC + t.oc;
    return ih >= 0 && ih < d->H && iw >= 0 && iw < d->W;
}

void cvl_reference_conv2d_forward(const cvl_conv2d *d, double *y, const double *x, const double *w,
                                  const double *b)
{
    ptrdiff_t at_y, at_x, at_w;
    term t = first_term(d);
    for (t.n = 0; t.n < d->N; t.n++)
        for (t.oh = 0; t.oh < t.OH; t.oh++)
            for (t.ow = 0; t.ow < t.OW; t.ow++)
                for (t.oc = 0; t.oc < d->OC; t.oc++) {
                    double sum = 0;
                    t.c = first_channel(d, t.oc);
                    for (t.kh = 0; t.kh < d->KH; t.kh++)
                        for (t.kw = 0; t.kw < d->KW; t.kw++)
                            if (locate(d, t, &at_y, &at_x, &at_w))
                                for (ptrdiff_t i = 0; i < t.C; i++)
                                    sum += x[at_x + i] * w[at_w + i * d->OC];
                    if (b)
                        sum += b[t.oc];
                    if (d->activation == CVL_ACTIVATION_LEAKY_RELU && 0 > sum)
                        sum *= d->slope;
                    else if (d->activation != CVL_ACTIVATION_NONE && 0 > sum)
                        sum = 0;
                    if (d->activation == CVL_ACTIVATION_RELU6 && sum > 6)
                        sum = 6;
                    y[((t.n * t.OH + t.oh) * t.OW + t.ow) * d->OC + t.oc] = sum;
                }
}

void cvl_reference_conv2d_backward_data(const cvl_conv2d *d, double *dx, const double *dy,
                                        const double *w)
{
    ptrdiff_t at_y, at_x, at_w;
    term t = first_term(d);
    for (ptrdiff_t i = 0; i < d->N * d->H * d->W * d->C; i++)
        dx[i] = 0;
    for (t.n = 0; t.n < d->N; t.n++)
        for (t.oh = 0; t.oh < t.OH; t.oh++)
            for (t.ow = 0; t.ow < t.OW; t.ow++)
                for (t.oc = 0; t.oc < d->OC; t.oc++) {
                    t.c = first_channel(d, t.oc);
                    for (t.kh = 0; t.kh < d->KH; t.kh++)
                        for (t.kw = 0; t.kw < d->KW; t.kw++)
                            if (locate(d, t, &at_y, &at_x, &at_w))
                                for (ptrdiff_t i = 0; i < t.C; i++)
                                    dx[at_x + i] += dy[at_y] * w[at_w + i * d->OC];
                }
}

void cvl_reference_conv2d_backward_weights(const cvl_conv2d *d, double *dw, double *db,
                                           const double *dy, const double *x)
{
    ptrdiff_t at_y, at_x, at_w;
    term t = first_term(d);
    for (ptrdiff_t i = 0; dw && i < d->KH * d->KW * (d->C / d->groups) * d->OC; i++)
        dw[i] = 0;
    for (t.oc = 0; db && t.oc < d->OC; t.oc++)
        db[t.oc] = 0;
    for (t.n = 0; t.n < d->N; t.n++)
        for (t.oh = 0; t.oh < t.OH; t.oh++)
            for (t.ow = 0; t.ow < t.OW; t.ow++)
                for (t.oc = 0; t.oc < d->OC; t.oc++) {
                    t.c = first_channel(d, t.oc);
                    if (db)
                        db[t.oc] += dy[((t.n * t.OH + t.oh) * t.OW + t.ow) * d->OC + t.oc];
                    for (t.kh = 0; dw && t.kh < d->KH; t.kh++)
                        for (t.kw = 0; t.kw < d->KW; t.kw++)
                            if (locate(d, t, &at_y, &at_x, &at_w))
                                for (ptrdiff_t i = 0; i < t.C; i++)
                                    dw[at_w + i * d->OC] += dy[at_y] * x[at_x + i];
                }
}
