/* depthwise_strip.c: filters of 3x3 taps, one per channel, at stride 1 and 2: forward, and backward
 * data of stride 1, which is the same with the filter turned round.
 *
 * A walk goes along a strip of a few rows with the filter in registers, a vector of channels at a
 * time, and keeps the columns of inputs that neighbouring outputs share there too: 6 loads for the
 * 36 multiply-adds of four outputs at stride 1. With 16 registers there is room for one kernel row:
 * then a block of outputs of a row takes the kernel rows in turn. */
#include "epilogue.h"
#include "simd.h"

/* Ends the outputs of a column, those of `rows` rows, and writes them. */
INLINE void write_column(const TYPE(depthwise_strip) *s, const int rows, ptrdiff_t c, T *y, V *acc)
{
    if (s->ended) {
        const V bias = s->ending.bias ? vload(s->ending.bias + c) : vset1((T)-0.0);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            acc[r] = activate(vadd(acc[r], bias), &s->ending);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        vstore(y + r * s->y_row, acc[r]);
}

#ifdef CVL_MANY_REGISTERS
/* The walk's inputs: three columns of all rows. */
enum { INPUTS = CVL_STRIP_INPUTS };

/* Columns [first, 3) of the inputs, the row of which begin at x; `top` and `bottom` rows are left
 * out. */
INLINE void load_columns(const TYPE(depthwise_strip) *s, const int first, const int last,
                         const int top, const int bottom, const T *const *x, ptrdiff_t at,
                         V in[INPUTS][3])
{
#pragma GCC unroll 6
    for (int i = top; i < bottom; i++)
#pragma GCC unroll 3
        for (int kw = first; kw < last; kw++)
            in[i][kw] = vload(x[i] + at + kw * s->x_step);
}

/* Fetches, for the next strip, what of the inputs of a column neither the column nor the strip
 * before had, and the outputs. */
INLINE void fetch_columns(const TYPE(depthwise_strip) *s, const int stride, const int rows,
                          const int bottom, const T *const *x, ptrdiff_t at, const T *y)
{
#pragma GCC unroll 6
    for (int i = 3 - stride; i < bottom; i++)
#pragma GCC unroll 2
        for (int kw = 3 - stride; kw < 3; kw++)
            __builtin_prefetch(x[i] + at + kw * s->x_step + s->ahead, 0, 2);
    if (s->y_ahead)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(y + r * s->y_row + s->y_ahead, 1, 2);
}

/* An output column without the taps of kernel columns outside [first, last). */
INLINE void column(const TYPE(depthwise_strip) *s, const int stride, const int rows, const int top,
                   const int bottom, const int first, const int last, V in[INPUTS][3], const V w[9],
                   ptrdiff_t c, T *y)
{
    V acc[CVL_STRIP_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        acc[r] = vzero();
#pragma GCC unroll 3
    for (int kh = 0; kh < 3; kh++)
#pragma GCC unroll 3
        for (int kw = first; kw < last; kw++)
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++)
                if (r * stride + kh >= top && r * stride + kh < bottom)
                    acc[r] = vfma(in[r * stride + kh][kw], w[3 * kh + kw], acc[r]);
    write_column(s, rows, c, y, acc);
    /* The next column begins `stride` further. */
#pragma GCC unroll 6
    for (int i = top; i < bottom; i++)
#pragma GCC unroll 2
        for (int kw = 0; kw + stride < 3; kw++)
            in[i][kw] = in[i][kw + stride];
}

/* One vector of channels of a strip, of which the input rows [top, bottom) lie inside. */
INLINE void walk(const TYPE(depthwise_strip) *s, ptrdiff_t c, const int stride, const int rows,
                 const int top, const int bottom)
{
    const int kept = 3 - stride;
    const T *x[INPUTS];
    V in[INPUTS][3], w[9];
#pragma GCC unroll 6
    for (int i = top; i < bottom; i++)
        x[i] = s->x[i] + c;
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++)
        w[k] = vload(s->w + k * s->w_step + c);
    T *y = s->y + s->begin * s->y_step + c;
    ptrdiff_t g = s->begin, at = (g * stride - s->left) * s->x_step;
    if (g * stride < s->left) {
        load_columns(s, 1, 3, top, bottom, x, at, in);
        column(s, stride, rows, top, bottom, 1, 3, in, w, c, y);
        g++;
        at += stride * s->x_step;
        y += s->y_step;
    } else {
        load_columns(s, 0, kept, top, bottom, x, at, in);
    }
    for (; g < s->end && g * stride - s->left + 2 < s->W; g++) {
        load_columns(s, kept, 3, top, bottom, x, at, in);
        if (s->ahead)
            fetch_columns(s, stride, rows, bottom, x, at, y);
        column(s, stride, rows, top, bottom, 0, 3, in, w, c, y);
        at += stride * s->x_step;
        y += s->y_step;
    }
    if (g < s->end) {
        load_columns(s, kept, 2, top, bottom, x, at, in);
        column(s, stride, rows, top, bottom, 0, 2, in, w, c, y);
    }
}

#else

enum { BLOCK = 4 };

/* `outputs` outputs from g on of a row that reads the rows x, some of which may be NULL. The first
 * lacks its first tap of a kernel row with `clip_left`, the last its last with `clip_right`. */
INLINE void row_block(const TYPE(depthwise_strip) *s, ptrdiff_t c, const int stride,
                      const int outputs, const int clip_left, const int clip_right,
                      const T *const *x, ptrdiff_t g, T *y)
{
    const ptrdiff_t at = (g * stride - s->left) * s->x_step + c;
    const int columns = (outputs - 1) * stride + 3;
    V acc[BLOCK];
#pragma GCC unroll 4
    for (int i = 0; i < outputs; i++)
        acc[i] = vzero();
    for (int kh = 0; kh < 3; kh++) {
        if (!x[kh])
            continue;
        V in[2 * BLOCK + 1];
#pragma GCC unroll 9
        for (int i = clip_left; i < columns - clip_right; i++)
            in[i] = vload(x[kh] + at + i * s->x_step);
#pragma GCC unroll 3
        for (int kw = 0; kw < 3; kw++) {
            const V w = vload(s->w + (3 * kh + kw) * s->w_step + c);
#pragma GCC unroll 4
            for (int i = 0; i < outputs; i++)
                if (i * stride + kw >= clip_left && i * stride + kw < columns - clip_right)
                    acc[i] = vfma(in[i * stride + kw], w, acc[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < outputs; i++)
        write_column(s, 1, c, y + (g + i) * s->y_step + c, acc + i);
}

#endif

/* All channels: the last vector begins where the channels end with it, and so repeats some. */
#define CHANNELS(function, ...)                     \
    for (ptrdiff_t c = 0; c < s->channels; c += VL) \
        function(s, c + VL <= s->channels ? c : s->channels - VL, __VA_ARGS__);

#ifdef CVL_MANY_REGISTERS
#define STRIP(stride, rows)                                             \
    static void strip_##stride##_##rows(const TYPE(depthwise_strip) *s) \
    {                                                                   \
        enum { LAST = (rows - 1) * stride + 2 };                        \
        if (!s->x[0]) {                                                 \
            CHANNELS(walk, stride, rows, 1, LAST + 1)                   \
        } else if (!s->x[LAST]) {                                       \
            CHANNELS(walk, stride, rows, 0, LAST)                       \
        } else {                                                        \
            CHANNELS(walk, stride, rows, 0, LAST + 1)                   \
        }                                                               \
    }
STRIP(1, 1)
STRIP(1, 2)
STRIP(1, 3)
STRIP(1, 4)
STRIP(2, 1)
STRIP(2, 2)

void KERNEL(depthwise_strip)(const TYPE(depthwise_strip) *s)
{
    static void (*const strips[2][CVL_STRIP_ROWS])(const TYPE(depthwise_strip) *s) = {
        {strip_1_1, strip_1_2, strip_1_3, strip_1_4}, {strip_2_1, strip_2_2}};
    assert(s->channels >= VL && s->rows <= (s->stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2));
    strips[s->stride - 1][s->rows - 1](s);
}
#else
#define BLOCK_CASE(stride, outputs, clip_left, clip_right)                   \
    case 4 * outputs + 2 * clip_left + clip_right:                           \
        CHANNELS(row_block, stride, outputs, clip_left, clip_right, x, g, y) \
        break;
#define BLOCK_CASES(stride, outputs)  \
    BLOCK_CASE(stride, outputs, 0, 0) \
    BLOCK_CASE(stride, outputs, 0, 1) \
    BLOCK_CASE(stride, outputs, 1, 0) \
    BLOCK_CASE(stride, outputs, 1, 1)

/* Rows are cut into blocks of nearly the same size. All channels of a block follow each other: the
 * next row would wait for stores to addresses that look like those it reads. */
#define STRIP(stride)                                                                   \
    static void strip_##stride(const TYPE(depthwise_strip) *s)                          \
    {                                                                                   \
        for (ptrdiff_t r = 0; r < s->rows; r++) {                                       \
            const T *const *x = s->x + r * stride;                                      \
            T *y = s->y + r * s->y_row;                                                 \
            for (ptrdiff_t g = s->begin, count; g < s->end; g += count) {               \
                const ptrdiff_t left = s->end - g, blocks = (left + BLOCK - 1) / BLOCK; \
                count = (left + blocks - 1) / blocks;                                   \
                const int clip_left = g * stride < s->left;                             \
                const int clip_right = (g + count - 1) * stride - s->left + 2 >= s->W;  \
                switch (4 * count + 2 * clip_left + clip_right) {                       \
                    BLOCK_CASES(stride, 1)                                              \
                    BLOCK_CASES(stride, 2)                                              \
                    BLOCK_CASES(stride, 3)                                              \
                    BLOCK_CASES(stride, 4)                                              \
                }                                                                       \
            }                                                                           \
        }                                                                               \
    }
STRIP(1)
STRIP(2)

void KERNEL(depthwise_strip)(const TYPE(depthwise_strip) *s)
{
    assert(s->channels >= VL && s->rows <= (s->stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2));
    if (s->stride == 1)
        strip_1(s);
    else
        strip_2(s);
}
#endif
