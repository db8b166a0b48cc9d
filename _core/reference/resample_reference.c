/* resample_reference.c: padding, upsampling and adaptive pooling as loops over the outputs. */
#include "reference.h"

#include <math.h>

/* Adds or takes: forward, y[out] += weight * x[in]; backward, dx[in] += weight * dy[out]. */
typedef struct pass {
    double *out;
    const double *in;
    int backward;
} pass;

static void connect(pass p, ptrdiff_t output, ptrdiff_t input, double weight)
{
    if (p.backward)
        p.out[input] += weight * p.in[output];
    else
        p.out[output] += weight * p.in[input];
}

static void fill(double *x, ptrdiff_t n, double value)
{
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = value;
}

/* Where the pixel at `i`, counted from the first of the input, comes from; -1 from nowhere. */
static ptrdiff_t pad_source(cvl_pad_mode mode, ptrdiff_t i, ptrdiff_t n)
{
    while (i < 0 || i >= n)
        switch (mode) {
        case CVL_PAD_CONSTANT:
            return -1;
        case CVL_PAD_REFLECT:
            i = i < 0 ? -i : n - 1 - (i - (n - 1));
            break;
        case CVL_PAD_REPLICATE:
            i += i < 0 ? 1 : -1;
            break;
        case CVL_PAD_CIRCULAR:
            i += i < 0 ? n : -n;
            break;
        }
    return i;
}

static void pad(const cvl_pad2d *d, pass p)
{
    ptrdiff_t OH = d->PT + d->H + d->PB, OW = d->PL + d->W + d->PR, out = 0;
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t oh = 0; oh < OH; oh++)
            for (ptrdiff_t ow = 0; ow < OW; ow++)
                for (ptrdiff_t c = 0; c < d->C; c++, out++) {
                    ptrdiff_t h = pad_source(d->mode, oh - d->PT, d->H);
                    ptrdiff_t w = pad_source(d->mode, ow - d->PL, d->W);
                    if (h >= 0 && w >= 0)
                        connect(p, out, ((n * d->H + h) * d->W + w) * d->C + c, 1);
                    else if (!p.backward)
                        p.out[out] = d->value;
                }
}

void cvl_reference_pad2d_forward(const cvl_pad2d *d, double *y, const double *x)
{
    fill(y, d->N * (d->PT + d->H + d->PB) * (d->PL + d->W + d->PR) * d->C, 0);
    pad(d, (pass){y, x, 0});
}

void cvl_reference_pad2d_backward(const cvl_pad2d *d, double *dx, const double *dy)
{
    fill(dx, d->N * d->H * d->W * d->C, 0);
    pad(d, (pass){dx, dy, 1});
}

/* The weight with which input i enters output o of an axis, as a hat function of its distance from
 * the output's place. */
static double upsample_weight(const cvl_upsample2d *d, ptrdiff_t i, ptrdiff_t o, ptrdiff_t n,
                              ptrdiff_t scale)
{
    long double place;
    if (d->mode == CVL_UPSAMPLE_NEAREST)
        return o / scale == i;
    if (d->align_corners)
        place = n * scale > 1 ? (long double)(o * (n - 1)) / (long double)(n * scale - 1) : 0;
    else
        place = ((long double)o + 0.5L) / (long double)scale - 0.5L;
    place = fminl(fmaxl(place, 0), (long double)(n - 1));
    return (double)fmaxl(0, 1 - fabsl(place - (long double)i));
}

static void upsample(const cvl_upsample2d *d, pass p)
{
    ptrdiff_t OH = d->H * d->SH, OW = d->W * d->SW;
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t oh = 0; oh < OH; oh++)
            for (ptrdiff_t ow = 0; ow < OW; ow++)
                for (ptrdiff_t h = 0; h < d->H; h++) {
                    const double weight_h = upsample_weight(d, h, oh, d->H, d->SH);
                    for (ptrdiff_t w = 0; w < d->W && weight_h > 0; w++) {
                        double weight = weight_h * upsample_weight(d, w, ow, d->W, d->SW);
                        for (ptrdiff_t c = 0; c < d->C && weight > 0; c++)
                            connect(p, ((n * OH + oh) * OW + ow) * d->C + c,
                                    ((n * d->H + h) * d->W + w) * d->C + c, weight);
                    }
                }
}

void cvl_reference_upsample2d_forward(const cvl_upsample2d *d, double *y, const double *x)
{
    fill(y, d->N * d->H * d->SH * d->W * d->SW * d->C, 0);
    upsample(d, (pass){y, x, 0});
}

void cvl_reference_upsample2d_backward(const cvl_upsample2d *d, double *dx, const double *dy)
{
    fill(dx, d->N * d->H * d->W * d->C, 0);
    upsample(d, (pass){dx, dy, 1});
}

/* Whether bin `o` of `outputs` meets pixel i of n: the bin is [o n/outputs, (o+1) n/outputs). */
static int in_bin(ptrdiff_t i, ptrdiff_t o, ptrdiff_t n, ptrdiff_t outputs)
{
    return (i + 1) * outputs > o * n && i * outputs < (o + 1) * n;
}

static ptrdiff_t bin_size(ptrdiff_t o, ptrdiff_t n, ptrdiff_t outputs)
{
    ptrdiff_t size = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        size += in_bin(i, o, n, outputs);
    return size;
}

static void average(const cvl_adaptive_avg_pool2d *d, pass p)
{
    for (ptrdiff_t n = 0; n < d->N; n++)
        for (ptrdiff_t oh = 0; oh < d->OH; oh++)
            for (ptrdiff_t ow = 0; ow < d->OW; ow++) {
                ptrdiff_t count = bin_size(oh, d->H, d->OH) * bin_size(ow, d->W, d->OW);
                for (ptrdiff_t h = 0; h < d->H; h++)
                    for (ptrdiff_t w = 0; w < d->W; w++)
                        for (ptrdiff_t c = 0; c < d->C; c++)
                            if (in_bin(h, oh, d->H, d->OH) && in_bin(w, ow, d->W, d->OW))
                                connect(p, ((n * d->OH + oh) * d->OW + ow) * d->C + c,
                                        ((n * d->H + h) * d->W + w) * d->C + c, 1 / (double)count);
            }
}

void cvl_reference_adaptive_avg_pool2d_forward(const cvl_adaptive_avg_pool2d *d, double *y,
                                               const double *x)
{
    fill(y, d->N * d->OH * d->OW * d->C, 0);
    average(d, (pass){y, x, 0});
}

void cvl_reference_adaptive_avg_pool2d_backward(const cvl_adaptive_avg_pool2d *d, double *dx,
                                                const double *dy)
{
    fill(dx, d->N * d->H * d->W * d->C, 0);
    average(d, (pass){dx, dy, 1});
}
