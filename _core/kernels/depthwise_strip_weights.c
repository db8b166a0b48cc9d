/* depthwise_strip_weights.c: weight gradients of filters of 3x3 taps, one per channel, at stride 1
 * and 2.
 *
 * A walk goes along a strip of two rows of output gradients with nine sums in registers, a vector of
 * channels at a time; with 32 registers the columns of inputs that neighbouring outputs share stay
 * there too. */
#include "order.h"
#include "simd.h"

enum { INPUTS = 2 * (CVL_ORDER_STRIP - 1) + 3 };

/* Kernel columns [first, last) of the input rows [top, bottom), of the output whose inputs begin
 * at `at`. */
INLINE void load_columns(const TYPE(depthwise_strip_sums) *s, ptrdiff_t at, const int first,
                         const int last, const int top, const int bottom, const T *const *x,
                         V in[INPUTS][3])
{
#pragma GCC unroll 5
    for (int i = top; i < bottom; i++)
#pragma GCC unroll 3
        for (int kw = first; kw < last; kw++)
            in[i][kw] = vload(x[i] + at + kw * s->step);
}

/* A column of outputs, without the taps of kernel columns outside [first, last). */
INLINE void add_column(const TYPE(depthwise_strip_sums) *s, ptrdiff_t at, const T *dy,
                       const int stride, const int first, const int last, const int top,
                       const int bottom, const T *const *x, V in[INPUTS][3], V acc[9])
{
#ifdef CVL_MANY_REGISTERS
    load_columns(s, at, first > 0 ? first : 3 - stride, last, top, bottom, x, in);
#endif
#pragma GCC unroll 2
    for (int r = 0; r < CVL_ORDER_STRIP; r++) {
        const V v = vload(dy + r * s->dy_row);
#ifndef CVL_MANY_REGISTERS
        load_columns(s, at, first, last, top, bottom, x, in);
#endif
#pragma GCC unroll 3
        for (int kh = 0; kh < 3; kh++)
#pragma GCC unroll 3
            for (int kw = first; kw < last; kw++)
                if (r * stride + kh >= top && r * stride + kh < bottom)
                    acc[3 * kh + kw] = vfma(in[r * stride + kh][kw], v, acc[3 * kh + kw]);
    }
    /* The next column begins `stride` further. */
#pragma GCC unroll 5
    for (int i = top; i < bottom; i++)
#pragma GCC unroll 2
        for (int kw = 0; kw + stride < 3; kw++)
            in[i][kw] = in[i][kw + stride];
}

/* The chains of a vector of channels, over the columns [g, end) of a strip of which the input rows
 * [top, bottom) lie inside. */
INLINE void walk(const TYPE(depthwise_strip_sums) *s, ptrdiff_t c, ptrdiff_t g, ptrdiff_t end,
                 const int stride, const int top, const int bottom, V acc[9])
{
    const T *x[INPUTS], *dy = s->dy + g * s->step + c;
    ptrdiff_t at = (g * stride - s->left) * s->step;
    V in[INPUTS][3];
#pragma GCC unroll 5
    for (int i = top; i < bottom; i++)
        x[i] = s->x[i] + c;
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++)
        acc[k] = vload(s->sum + k * s->sum_step + c);
    if (at < 0) {
        add_column(s, at, dy, stride, 1, 3, top, bottom, x, in, acc);
        g++;
        at += stride * s->step;
        dy += s->step;
    } else {
        load_columns(s, at, 0, 3 - stride, top, bottom, x, in);
    }
    for (; g < end && g * stride - s->left + 2 < s->W; g++) {
        add_column(s, at, dy, stride, 0, 3, top, bottom, x, in, acc);
        at += stride * s->step;
        dy += s->step;
    }
    if (g < end)
        add_column(s, at, dy, stride, 0, 2, top, bottom, x, in, acc);
}

/* A column of a row that is alone. */
INLINE void add_row_column(const TYPE(depthwise_strip_sums) *s, ptrdiff_t at, const T *dy,
                           const int first, const int last, V acc[9])
{
    const V v = vload(dy);
#pragma GCC unroll 3
    for (int kh = 0; kh < 3; kh++) {
        if (!s->x[kh])
            continue;
#pragma GCC unroll 3
        for (int kw = first; kw < last; kw++)
            acc[3 * kh + kw] = vfma(vload(s->x[kh] + at + kw * s->step), v, acc[3 * kh + kw]);
    }
}

/* The same over one row: nothing is kept, so that one walk does for all that may lie outside. */
INLINE void walk_row(const TYPE(depthwise_strip_sums) *s, ptrdiff_t c, ptrdiff_t g, ptrdiff_t end,
                     V acc[9])
{
    const T *dy = s->dy + c;
    const ptrdiff_t at = c - s->left * s->step;
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++)
        acc[k] = vload(s->sum + k * s->sum_step + c);
    if (g * s->stride < s->left) {
        add_row_column(s, at, dy, 1, 3, acc);
        g++;
    }
    for (; g < end && g * s->stride - s->left + 2 < s->W; g++)
        add_row_column(s, at + g * s->stride * s->step, dy + g * s->step, 0, 3, acc);
    if (g < end)
        add_row_column(s, at + g * s->stride * s->step, dy + g * s->step, 0, 2, acc);
}

/* All channels of the columns [g, end): the last vector begins where the channels end with it, and what
 * it has of channels that are done is dropped. Without a stride it is a row that is alone. */
INLINE void channels(const TYPE(depthwise_strip_sums) *s, ptrdiff_t g, ptrdiff_t end,
                     const int stride, const int top, const int bottom)
{
    V acc[9];
    for (ptrdiff_t c = 0; c < s->channels; c += VL) {
        const ptrdiff_t begin = c + VL <= s->channels ? c : s->channels - VL;
        if (stride)
            walk(s, begin, g, end, stride, top, bottom, acc);
        else
            walk_row(s, begin, g, end, acc);
        if (begin == c) {
#pragma GCC unroll 9
            for (int k = 0; k < 9; k++)
                vstore(s->sum + k * s->sum_step + c, acc[k]);
            continue;
        }
#pragma GCC unroll 9
        for (int k = 0; k < 9; k++) {
            T sums[VL];
            vstore(sums, acc[k]);
            memcpy(s->sum + k * s->sum_step + c, sums + (c - begin),
                   (size_t)(s->channels - c) * sizeof(T));
        }
    }
}

/* By which of the first and the last input row lie outside. */
#define STRIP(stride)                                                                           \
    static void strip_##stride(const TYPE(depthwise_strip_sums) *s, ptrdiff_t g, ptrdiff_t end) \
    {                                                                                           \
        enum { LAST = (CVL_ORDER_STRIP - 1) * stride + 2 };                                     \
        if (s->x[0] && s->x[LAST])                                                              \
            channels(s, g, end, stride, 0, LAST + 1);                                           \
        else if (s->x[LAST])                                                                    \
            channels(s, g, end, stride, 1, LAST + 1);                                           \
        else if (s->x[0])                                                                       \
            channels(s, g, end, stride, 0, LAST);                                               \
        else                                                                                    \
            channels(s, g, end, stride, 1, LAST);                                               \
    }
STRIP(1)
STRIP(2)

void KERNEL(depthwise_strip_weights)(const TYPE(depthwise_strip_sums) *s)
{
    assert(s->channels >= VL);
    for (ptrdiff_t g = 0, end; g < s->OW; g = end) {
        end = s->OW - g > s->columns ? g + s->columns : s->OW;
        if (s->rows == 1)
            channels(s, g, end, 0, 0, 0);
        else if (s->stride == 1)
            strip_1(s, g, end);
        else
            strip_2(s, g, end);
    }
}
