/* depthwise.c: convolution of each channel with its own filter, channels in the lanes.
 *
 * WIDE outputs of a row are computed at once: one vector of weights serves all of them, and their
 * chains hide each other's latency. */
#include "epilogue.h"
#include "simd.h"

enum { WIDE = 8, TAPS = 9 };

/* `n` channels of the outputs g, g + 1, ... below `end`, at most WIDE of them. With `inner` there
 * are WIDE and every tap lies inside; with `full` n is VL. */
INLINE void outputs(const TYPE(depthwise) *d, ptrdiff_t g, ptrdiff_t c, int n, const int inner,
                    const int full)
{
    const ptrdiff_t x_step = d->x_step, y_step = d->y_step, in_step = d->in_step;
    const int count = d->end - g < WIDE ? (int)(d->end - g) : WIDE;
    V acc[WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++)
        acc[i] = vzero();
    for (ptrdiff_t r = 0; r < d->rows; r++) {
        const TYPE(depthwise_row) row = d->row[r];
        for (ptrdiff_t t = row.first; t < row.last; t++) {
            const cvl_depthwise_tap tap = d->tap[t];
            const T *x = row.x + tap.x + g * x_step + c;
            const V w = full ? vload(row.w + tap.w + c) : vload_n(row.w + tap.w + c, n);
            const ptrdiff_t column = tap.column + g * in_step;
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++)
                if (inner || (i < count && (size_t)(column + i * in_step) < (size_t)d->W))
                    acc[i] =
                        vfma(full ? vload(x + i * x_step) : vload_n(x + i * x_step, n), w, acc[i]);
        }
    }
    T *y = d->y + g * y_step + c;
    const V bias = d->ending.bias ? vload_part(d->ending.bias + c, n) : vzero();
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++) {
        if (!inner && i >= count)
            continue;
        V v = acc[i];
        if (d->add)
            v = vadd(full ? vload(y + i * y_step) : vload_n(y + i * y_step, n), v);
        if (d->ending.bias)
            v = vadd(v, bias);
        v = activate(v, &d->ending);
        if (full)
            vstore(y + i * y_step, v);
        else
            vstore_n(y + i * y_step, v, n);
    }
}

INLINE void row_of_outputs(const TYPE(depthwise) *d, ptrdiff_t c, int n, const int full)
{
    for (ptrdiff_t g = d->begin; g < d->end; g += WIDE)
        if (g >= d->inner_begin && g + WIDE <= d->inner_end)
            outputs(d, g, c, n, 1, full);
        else
            outputs(d, g, c, n, 0, full);
}

void KERNEL(depthwise)(const TYPE(depthwise) *d)
{
    ptrdiff_t c = 0;
    for (; c + VL <= d->channels; c += VL)
        row_of_outputs(d, c, VL, 1);
    if (c < d->channels)
        row_of_outputs(d, c, (int)(d->channels - c), 0);
}

/* ------------------------------------------------------------------------- weight gradients */

/* `n` channels of `taps` taps, which is constant where this is inlined. */
INLINE void sums(const int taps, const TYPE(depthwise_sum) *tap, ptrdiff_t x_step, const T *dy,
                 ptrdiff_t dy_step, ptrdiff_t c, int n, const int full)
{
    V acc[TAPS];
    const T *x[TAPS];
    ptrdiff_t begin = tap[0].begin, end = tap[0].end, inner_begin = begin, inner_end = end;
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++) {
        acc[t] = vload_part(tap[t].sum + c, n);
        x[t] = tap[t].x + c;
        begin = tap[t].begin < begin ? tap[t].begin : begin;
        end = tap[t].end > end ? tap[t].end : end;
        inner_begin = tap[t].begin > inner_begin ? tap[t].begin : inner_begin;
        inner_end = tap[t].end < inner_end ? tap[t].end : inner_end;
    }
    dy += c;
    for (ptrdiff_t g = begin; g < end;) {
        for (; g >= inner_begin && g < inner_end; g++) {
            const V v = full ? vload(dy + g * dy_step) : vload_n(dy + g * dy_step, n);
#pragma GCC unroll 9
            for (int t = 0; t < taps; t++)
                acc[t] = vfma(full ? vload(x[t] + g * x_step) : vload_n(x[t] + g * x_step, n), v,
                              acc[t]);
        }
        if (g == end)
            break;
        const V v = vload_part(dy + g * dy_step, n);
#pragma GCC unroll 9
        for (int t = 0; t < taps; t++)
            if (g >= tap[t].begin && g < tap[t].end)
                acc[t] = vfma(vload_part(x[t] + g * x_step, n), v, acc[t]);
        g++;
    }
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++)
        vstore_part(tap[t].sum + c, acc[t], n);
}

INLINE void channels_of_sums(const int taps, const TYPE(depthwise_sum) *tap, ptrdiff_t x_step,
                             const T *dy, ptrdiff_t dy_step, ptrdiff_t channels)
{
    ptrdiff_t c = 0;
    for (; c + VL <= channels; c += VL)
        sums(taps, tap, x_step, dy, dy_step, c, VL, 1);
    if (c < channels)
        sums(taps, tap, x_step, dy, dy_step, c, (int)(channels - c), 0);
}

void KERNEL(depthwise_weights)(ptrdiff_t taps, const TYPE(depthwise_sum) *tap, ptrdiff_t x_step,
                               const T *dy, ptrdiff_t dy_step, ptrdiff_t channels)
{
    while (taps > 0) {
        /* Even shares: 25 taps are 9, 8 and 8, since few chains wait for each other. */
        const ptrdiff_t shares = (taps + TAPS - 1) / TAPS, share = (taps + shares - 1) / shares;
        switch (share) {
#define SHARE(count)                                                 \
    case count:                                                      \
        channels_of_sums(count, tap, x_step, dy, dy_step, channels); \
        break;
            SHARE(1)
            SHARE(2)
            SHARE(3)
            SHARE(4)
            SHARE(5)
            SHARE(6)
            SHARE(7)
            SHARE(8)
            SHARE(9)
#undef SHARE
        }
        tap += share;
        taps -= share;
    }
}
