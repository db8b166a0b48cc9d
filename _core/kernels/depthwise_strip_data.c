/* depthwise_strip_data.c: backward data of filters of 3x3 taps, one per channel, at stride 2.
 *
 * An output takes one, two or four taps, by the evenness of its row and column; and all of a block
 * of 2x2 outputs read the same 2x2 inputs. So a walk along two rows of outputs, with the filter in
 * registers and a vector of channels at a time, loads two inputs for nine multiply-adds.
 *
 * A walk is short, and the channels of its blocks follow each other: so memory is gone through in
 * order, two rows of outputs at a time, as processors foresee it. */
#include "simd.h"

/* Which of two neighbours there are. */
enum { FIRST = 1, SECOND = 2, BOTH = 3 };

enum { PIECE = 2 }; /* blocks of a walk */

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

/* What the next piece writes is asked for: processors foresee it less than what is read. */
INLINE void fetch_block(const TYPE(depthwise_strip_data) *s, ptrdiff_t at)
{
    at += 2 * PIECE * s->step;
    for (int i = 0; i < 2; i++) {
        __builtin_prefetch(s->y[i] + at, 1, 3);
        __builtin_prefetch(s->y[i] + at + s->step, 1, 3);
    }
}

/* A vector of channels of the blocks from g on, with the rows `rows` of inputs: of a piece `inside`,
 * or of one that may lack rows and columns. */
INLINE void walk(const TYPE(depthwise_strip_data) *s, ptrdiff_t c, ptrdiff_t g, const int rows,
                 const int inside)
{
    const V bias = s->bias ? vload(s->bias + c) : vset1((T)-0.0); /* which changes nothing */
    V in[2][2], w[9];
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++)
        w[k] = vload(s->w + k * s->step + c);
    ptrdiff_t x = g * s->step + c, at = (2 * g - s->left) * s->step + c;
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        in[i][1] = (rows >> i & 1) && (inside || g > 0) ? vload(s->x[i] + x - s->step) : vzero();
    for (int b = 0; b < (inside ? PIECE : 1); b++, x += s->step, at += 2 * s->step) {
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            in[i][0] = in[i][1];
            if ((rows >> i & 1) && (inside || g < s->OW))
                in[i][1] = vload(s->x[i] + x);
        }
        const ptrdiff_t column = 2 * g - s->left;
        if (inside)
            block(s, bias, BOTH, BOTH, BOTH, in, w, at);
        else
            block(s, bias, rows, (g > 0) + 2 * (g < s->OW), (column >= 0) + 2 * (column + 1 < s->W),
                  in, w, at);
        if (inside && s->fetch)
            fetch_block(s, at);
    }
}

/* All channels: the last vector begins where the channels end with it, and so repeats some. */
#define WALK(name, rows, inside)                                                    \
    static void name(const TYPE(depthwise_strip_data) *s, ptrdiff_t g)              \
    {                                                                               \
        for (ptrdiff_t c = 0; c < s->channels; c += VL)                             \
            walk(s, c + VL <= s->channels ? c : s->channels - VL, g, rows, inside); \
    }
WALK(upper, FIRST, 0)
WALK(lower, SECOND, 0)
WALK(edge, BOTH, 0)
WALK(inner, BOTH, 1)

void KERNEL(depthwise_strip_data)(const TYPE(depthwise_strip_data) *s)
{
    const int whole = s->x[0] && s->x[1] && s->y[0] && s->y[1];
    assert(s->channels >= VL && (s->x[0] || s->x[1]));
    for (ptrdiff_t g = s->begin, end; g < s->end; g = end) {
        end = g + PIECE;
        if (whole && g > 0 && end <= s->OW && 2 * g >= s->left && 2 * end - s->left <= s->W) {
            inner(s, g);
        } else {
            end = g + 1;
            (s->x[0] && s->x[1] ? edge : s->x[0] ? upper : lower)(s, g);
        }
    }
}
