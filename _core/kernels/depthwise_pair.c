/* depthwise_pair.c: filters of one channel each over copies of the input rows, which lie in L1, have
 * zeros where padding is, and begin where vectors do: so all outputs are alike, and a vector may span
 * pixels.
 *
 * A tile is WIDE outputs of two rows: an input serves both, and a vector of weights all outputs of a
 * row. So 10 loads do for 16 multiply-adds, which are chains enough to hide their latency. */
#include "epilogue.h"
#include "simd.h"

#ifdef CVL_MANY_REGISTERS
enum { WIDE = 8 };
#else
enum { WIDE = 4 };
#endif

/* `count` taps of the rows [first, last); x and w are what is added to where they begin. */
INLINE const TYPE(depthwise_copied) *add_taps(const TYPE(depthwise_pair) *d,
                                              const TYPE(depthwise_copied) *tap, ptrdiff_t count,
                                              ptrdiff_t x, ptrdiff_t c, const int first,
                                              const int last, const int outputs, V acc[2][WIDE])
{
    const ptrdiff_t step = d->x_step, w_row = d->w_row;
    for (const TYPE(depthwise_copied) *end = tap + count; tap < end; tap++) {
        const T *in = tap->x + x, *w = tap->w + c;
        V weights[2];
#pragma GCC unroll 2
        for (int r = first; r < last; r++)
            weights[r] = vload(w - r * w_row);
#pragma GCC unroll 8
        for (int g = 0; g < outputs; g++) {
            if (g == 4)
                in += 4 * step;
            const V v = vkeep(vload(in + g % 4 * step));
#pragma GCC unroll 2
            for (int r = first; r < last; r++)
                acc[r][g] = vfma(v, weights[r], acc[r][g]);
        }
    }
    return tap;
}

/* The epilogue of `n` channels, and of the last output `last`, of outputs that are written. */
static __attribute__((noinline)) void end_outputs(const TYPE(depthwise_pair) *d, T *y,
                                                  ptrdiff_t outputs, ptrdiff_t c, ptrdiff_t n,
                                                  ptrdiff_t last)
{
    const V bias = d->ending.bias ? vload(d->ending.bias + c) : vset1((T)-0.0);
#pragma GCC unroll 1
    for (ptrdiff_t g = 0; g < outputs; g++, y += d->y_step) {
        n = g + 1 < outputs ? n : last;
        vstore_part(y, activate(vadd(vload_part(y, n), bias), &d->ending), n);
    }
}

INLINE void finish(const TYPE(depthwise_pair) *d, T *y, ptrdiff_t c, ptrdiff_t g, const int outputs,
                   const V acc[WIDE])
{
    const ptrdiff_t step = d->y_step, n = d->channels - c;
    const ptrdiff_t last = g + outputs == d->outputs ? d->last - c : n;
    T *at = y + g * step + c;
    if (n >= VL && last >= VL) {
#pragma GCC unroll 8
        for (int i = 0; i < outputs; i++, at += step)
            vstore(at, acc[i]);
    } else {
#pragma GCC unroll 8
        for (int i = 0; i < outputs; i++, at += step)
            vstore_part(at, acc[i], i + 1 < outputs ? n : last);
    }
    if (d->ending.bias || d->ending.activation != CVL_ACTIVATION_NONE)
        end_outputs(d, y + g * step + c, outputs, c, n, last);
}

/* `outputs` outputs of each row, from c and output g on. */
INLINE void tile(const TYPE(depthwise_pair) *d, ptrdiff_t c, ptrdiff_t g, const int outputs)
{
    V acc[2][WIDE];
#pragma GCC unroll 2
    for (int r = 0; r < 2; r++)
#pragma GCC unroll 8
        for (int i = 0; i < outputs; i++)
            acc[r][i] = vzero();
    const ptrdiff_t x = g * d->x_step + c;
    const TYPE(depthwise_copied) *tap = d->tap;
    tap = add_taps(d, tap, d->first, x, c, 0, 1, outputs, acc);
    if (d->rows == 2) {
        tap = add_taps(d, tap, d->both, x, c, 0, 2, outputs, acc);
        add_taps(d, tap, d->second, x, c, 1, 2, outputs, acc);
        finish(d, d->y + d->y_row, c, g, outputs, acc[1]);
    }
    finish(d, d->y, c, g, outputs, acc[0]);
}

#define TILE(outputs)                                                                   \
    static void tile_##outputs(const TYPE(depthwise_pair) *d, ptrdiff_t c, ptrdiff_t g) \
    {                                                                                   \
        tile(d, c, g, outputs);                                                         \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
#ifdef CVL_MANY_REGISTERS
TILE(5)
TILE(6)
TILE(7)
TILE(8)
#endif

/* Outputs are cut into tiles of nearly the same size. */
void KERNEL(depthwise_pair)(const TYPE(depthwise_pair) *d)
{
    static void (*const tiles[WIDE])(const TYPE(depthwise_pair) *, ptrdiff_t, ptrdiff_t) = {
        tile_1, tile_2, tile_3, tile_4,
#ifdef CVL_MANY_REGISTERS
        tile_5, tile_6, tile_7, tile_8,
#endif
    };
    for (ptrdiff_t c = 0; c < d->channels; c += VL) {
        const ptrdiff_t all = d->outputs - (c >= d->last);
        for (ptrdiff_t g = 0, outputs; g < all; g += outputs) {
            const ptrdiff_t count = (all - g + WIDE - 1) / WIDE;
            outputs = (all - g + count - 1) / count;
            tiles[outputs - 1](d, c, g);
        }
    }
}

/* A vector of all pixels before the next: the load then has one stride, which processors foresee. What is
 * ahead is fetched into L2, for a core has few places for lines on their way to L1. */
void KERNEL(depthwise_copy)(ptrdiff_t pixels, ptrdiff_t channels, T *out, ptrdiff_t ld, const T *in,
                            ptrdiff_t in_step, ptrdiff_t ahead)
{
    for (ptrdiff_t c = 0; c < channels; c += VL) {
        const T *from = in + c;
        T *to = out + c;
        if (channels - c >= VL)
            for (ptrdiff_t p = 0; p < pixels; p++, from += in_step, to += ld) {
                __builtin_prefetch(from + ahead, 0, 2);
                vstore(to, vload(from));
            }
        else
            for (ptrdiff_t p = 0; p < pixels; p++, from += in_step, to += ld) {
                __builtin_prefetch(from + ahead, 0, 2);
                vstore_n(to, vload_n(from, (int)(channels - c)), (int)(channels - c));
            }
    }
}
