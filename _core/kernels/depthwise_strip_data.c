/* depthwise_strip_data.c: backward data of filters of 3x3 taps, one per channel, at stride 2.
 *
 * An output takes one, two or four taps, by the evenness of its row and column; and all of a block
 * of 2x2 outputs read the same 2x2 inputs. So a walk along two rows of outputs, with the filter in
 * registers and a vector of channels at a time, loads two inputs for nine multiply-adds. */
#include "simd.h"

/* Which of two neighbours there are. */
enum { FIRST = 1, SECOND = 2, BOTH = 3 };

/* A block of outputs, the first at `at`, and only the columns `outputs` of it. Of its inputs there
 * are the rows `rows` and the columns `columns`. */
INLINE void block(const TYPE(depthwise_strip_data) *s, const V bias, const int rows,
                  const int columns, const int outputs, V in[2][2], const V w[9], ptrdiff_t at)
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        if (!s->y[i])
            continue;
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            if (!(outputs >> j & 1))
                continue;
            V acc = vzero();
#pragma GCC unroll 2
            for (int kh = i; kh < 3; kh += 2)
#pragma GCC unroll 2
                for (int kw = j; kw < 3; kw += 2)
                    if ((rows >> (kh < 2) & 1) && (columns >> (kw < 2) & 1))
                        acc = vfma(in[kh < 2][kw < 2], w[3 * kh + kw], acc);
            vstore(s->y[i] + at + j * s->step, vadd(acc, bias));
        }
    }
}

/* Fetches what the block below the one at `at` reads and writes. */
INLINE void fetch_block(const TYPE(depthwise_strip_data) *s, ptrdiff_t x, ptrdiff_t at)
{
    const T *below = s->y[1] + at + s->W * s->step;
    __builtin_prefetch(s->x[1] + x + s->OW * s->step, 0, 2);
    for (int i = 0; i < 2; i++, below += s->W * s->step) {
        __builtin_prefetch(below, 1, 2);
        __builtin_prefetch(below + s->step, 1, 2);
    }
}

/* A vector of channels of a strip with the rows `rows` of inputs. */
INLINE void walk(const TYPE(depthwise_strip_data) *s, ptrdiff_t c, const int rows)
{
    const V bias = s->bias ? vload(s->bias + c) : vset1((T)-0.0); /* which changes nothing */
    const int fetch = s->fetch && s->y[1];
    V in[2][2], w[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++)
        w[k] = vload(s->w + k * s->step + c);
    ptrdiff_t x = s->begin * s->step + c, at = (2 * s->begin - s->left) * s->step + c;
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        in[i][1] = (rows >> i & 1) && s->begin > 0 ? vload(s->x[i] + x - s->step) : vzero();
    for (ptrdiff_t g = s->begin; g < s->end; g++, x += s->step, at += 2 * s->step) {
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            in[i][0] = in[i][1];
            if ((rows >> i & 1) && g < s->OW)
                in[i][1] = vload(s->x[i] + x);
        }
        const ptrdiff_t column = 2 * g - s->left;
        if (g > 0 && g < s->OW && column >= 0 && column + 1 < s->W) {
            block(s, bias, rows, BOTH, BOTH, in, w, at);
            if (rows == BOTH && fetch)
                fetch_block(s, x, at);
        } else {
            block(s, bias, rows, (g > 0) + 2 * (g < s->OW), (column >= 0) + 2 * (column + 1 < s->W),
                  in, w, at);
        }
    }
}

/* All channels: the last vector begins where the channels end with it, and so repeats some. */
#define STRIP(name, rows)                                                \
    static void name(const TYPE(depthwise_strip_data) *s)                \
    {                                                                    \
        for (ptrdiff_t c = 0; c < s->channels; c += VL)                  \
            walk(s, c + VL <= s->channels ? c : s->channels - VL, rows); \
    }
STRIP(upper, FIRST)
STRIP(lower, SECOND)
STRIP(inner, BOTH)

void KERNEL(depthwise_strip_data)(const TYPE(depthwise_strip_data) *s)
{
    assert(s->channels >= VL && (s->x[0] || s->x[1]));
    (s->x[0] && s->x[1] ? inner : s->x[0] ? upper : lower)(s);
}
