/* pool2d_reference.c: pooling with every position of every window tested against the bounds. */
#include "reference.h"

#include <math.h>

static ptrdiff_t count_windows(ptrdiff_t size, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t K,
                               ptrdiff_t S, ptrdiff_t D, int ceil_mode)
{
    ptrdiff_t padded = size + begin + end, span = D * (K - 1) + 1, count = 0;
    if (span > padded)
        return 0;
    while (count * S + span <= padded)
        count++;
    /* ceil: one more window where positions are left over, unless it would begin in the padding
     * after the input. */
    if (ceil_mode && (count - 1) * S + span < padded && count * S < size + begin)
        count++;
    return count;
}

void cvl_reference_pool2d_output_shape(const cvl_pool2d *d, ptrdiff_t *OH, ptrdiff_t *OW)
{
    *OH = count_windows(d->H, d->PT, d->PB, d->KH, d->SH, d->DH, d->ceil_mode);
    *OW = count_windows(d->W, d->PL, d->PR, d->KW, d->SW, d->DW, d->ceil_mode);
}

/* One window of one channel: its output, and the walk over its positions. */
typedef struct window {
    ptrdiff_t n, oh, ow, c;
    ptrdiff_t OH, OW;
} window;

static ptrdiff_t output(const cvl_pool2d *d, window at)
{
    return ((at.n * at.OH + at.oh) * at.OW + at.ow) * d->C + at.c;
}

/* The offset of position kh,kw of the window in x, or -1 outside. */
static ptrdiff_t input(const cvl_pool2d *d, window at, ptrdiff_t kh, ptrdiff_t kw)
{
    ptrdiff_t ih = at.oh * d->SH - d->PT + kh * d->DH;
    ptrdiff_t iw = at.ow * d->SW - d->PL + kw * d->DW;
    if (ih < 0 || ih >= d->H || iw < 0 || iw >= d->W)
        return -1;
    return ((at.n * d->H + ih) * d->W + iw) * d->C + at.c;
}

/* Where the window's maximum is: the first NaN, else the first largest; -1 where dilation leaves no
 * position inside. */
static ptrdiff_t winner(const cvl_pool2d *d, window at, const double *x)
{
    ptrdiff_t best = -1;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++)
        for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
            ptrdiff_t i = input(d, at, kh, kw);
            if (i < 0 || (best >= 0 && isnan(x[best])))
                continue;
            if (best < 0 || isnan(x[i]) || x[i] > x[best])
                best = i;
        }
    return best;
}

static double divisor(const cvl_pool2d *d, window at)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++)
        for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
            ptrdiff_t ih = at.oh * d->SH - d->PT + kh, iw = at.ow * d->SW - d->PL + kw;
            int padded = ih < d->H + d->PB && iw < d->W + d->PR;
            count += d->count_include_pad ? padded : input(d, at, kh, kw) >= 0;
        }
    return (double)count;
}

/* Calls `visit` for every window, in output order. */
typedef void visitor(const cvl_pool2d *d, window at, double *out, const double *in,
                     const double *x);

static void for_each_window(const cvl_pool2d *d, visitor *visit, double *out, const double *in,
                            const double *x)
{
    window at;
    cvl_reference_pool2d_output_shape(d, &at.OH, &at.OW);
    for (at.n = 0; at.n < d->N; at.n++)
        for (at.oh = 0; at.oh < at.OH; at.oh++)
            for (at.ow = 0; at.ow < at.OW; at.ow++)
                for (at.c = 0; at.c < d->C; at.c++)
                    visit(d, at, out, in, x);
}

static void clear(const cvl_pool2d *d, double *dx)
{
    for (ptrdiff_t i = 0; i < d->N * d->H * d->W * d->C; i++)
        dx[i] = 0;
}

static void max_forward(const cvl_pool2d *d, window at, double *y, const double *in,
                        const double *x)
{
    ptrdiff_t best = winner(d, at, x);
    (void)in;
    y[output(d, at)] = best < 0 ? -INFINITY : x[best];
}

static void max_backward(const cvl_pool2d *d, window at, double *dx, const double *dy,
                         const double *x)
{
    ptrdiff_t best = winner(d, at, x);
    if (best >= 0)
        dx[best] += dy[output(d, at)];
}

static void avg_forward(const cvl_pool2d *d, window at, double *y, const double *in,
                        const double *x)
{
    double sum = 0, count = divisor(d, at);
    (void)in;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++)
        for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
            ptrdiff_t i = input(d, at, kh, kw);
            sum += i < 0 ? 0 : x[i];
        }
    y[output(d, at)] = count > 0 ? sum / count : 0;
}

static void avg_backward(const cvl_pool2d *d, window at, double *dx, const double *dy,
                         const double *x)
{
    double count = divisor(d, at);
    (void)x;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++)
        for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
            ptrdiff_t i = input(d, at, kh, kw);
            if (i >= 0)
                dx[i] += dy[output(d, at)] / count;
        }
}

void cvl_reference_max_pool2d_forward(const cvl_pool2d *d, double *y, const double *x)
{
    for_each_window(d, max_forward, y, NULL, x);
}

void cvl_reference_max_pool2d_backward(const cvl_pool2d *d, double *dx, const double *dy,
                                       const double *x)
{
    clear(d, dx);
    for_each_window(d, max_backward, dx, dy, x);
}

void cvl_reference_avg_pool2d_forward(const cvl_pool2d *d, double *y, const double *x)
{
    for_each_window(d, avg_forward, y, NULL, x);
}

void cvl_reference_avg_pool2d_backward(const cvl_pool2d *d, double *dx, const double *dy)
{
    clear(d, dx);
    for_each_window(d, avg_backward, dx, dy, NULL);
}
