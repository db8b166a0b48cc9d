/* depthwise_strip.c: filters of 3x3 taps, one per channel, at stride 1 and 2: forward, and backward
 * data of stride 1, which is the same with the filter turned round.
 *
 * A walk goes along a strip of a few rows with the filter in registers, a vector of channels at a
 * time, and keeps the columns of inputs that neighbouring outputs share there too: 6 loads for the
 * 36 multiply-adds of four outputs at stride 1. With 16 registers there is room for one kernel row:
 * then a block of outputs of a row takes the kernel rows in turn, with 10 loads of inputs and 3 of
 * the kernel for each 24 multiply-adds of eight outputs. */
#include "epilogue.h"
#include "simd.h"

/* Ends the outputs of a column, those of `rows` rows. */
INLINE void end_column(const TYPE(depthwise_strip) *s, const int rows, ptrdiff_t c, V *acc)
{
    if (!s->ended)
        return;
    const V bias = s->ending.bias ? vload(s->ending.bias + c) : vset1((T)-0.0);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        acc[r] = activate(vadd(acc[r], bias), &s->ending);
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

/* Whether outputs may wait: whole lines do, of more rows than one. */
#define WAITS(rows) (sizeof(V) == CVL_LINE && (rows) > 1)

/* Outputs that wait to be written, those of a pair of vectors of channels: while a vector of the next
 * pair is walked, half of the rows are written, two lines of a pixel at a time. (One at a time keeps
 * the stores of few sets of L1 waiting for each other.) A pair takes the room that the one before it
 * leaves, so what in one lies by vectors and halves lies by halves and vectors in the next. */
typedef struct late {
    T *column;       /* of the walk's vector, the first half */
    ptrdiff_t other; /* elements to the last half, and to the other vector of the pair before */
    ptrdiff_t place; /* elements from the column's own place to that of what leaves, */
    int half;        /* a half of the pair before; -1: there is none */
} late;

INLINE late wait_from(const TYPE(depthwise_strip) *s, const int rows, ptrdiff_t c)
{
    const ptrdiff_t first_rows = (rows + 1) / 2, size = (s->end - s->begin) * first_rows * VL;
    const ptrdiff_t vector = c / VL % 2, swapped = c / VL / 2 % 2;
    return (late){s->late + vector * size * (1 + swapped), size * (2 - swapped),
                  vector * (first_rows * s->y_row - VL) - 2 * VL, c < 2 * VL ? -1 : (int)vector};
}

/* Writes the outputs of a column or, where they wait, those that did at their place. */
INLINE void write_column(const TYPE(depthwise_strip) *s, const int rows, late *l, T *y,
                         const V *acc)
{
    const int first_rows = (rows + 1) / 2;
    if (__builtin_expect(!WAITS(rows) || !s->late, 1)) { /* as most do */
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            vstore(y + r * s->y_row, acc[r]);
        return;
    }
    if (l->half >= 0)
#pragma GCC unroll 2
        for (int r = 0; r < first_rows; r++)
            if (r + first_rows < rows || r < rows - l->half * first_rows) {
                T *out = y + l->place + r * s->y_row;
                vstore(out, vload(l->column + r * VL));
                vstore(out + VL, vload(l->column + l->other + r * VL));
            }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        vstore(l->column + r / first_rows * l->other + r % first_rows * VL, acc[r]);
    l->column += first_rows * VL;
}

/* Writes the outputs of the last pair. */
static void write_last(const TYPE(depthwise_strip) *s)
{
    const ptrdiff_t first_rows = (s->rows + 1) / 2, c = s->channels - 2 * VL;
    for (ptrdiff_t r = 0; r < s->rows; r++)
        for (ptrdiff_t vector = 0; vector < 2; vector++) {
            late l = wait_from(s, (int)s->rows, c + vector * VL);
            const T *p = l.column + r / first_rows * l.other + r % first_rows * VL;
            T *y = s->y + r * s->y_row + c + vector * VL;
            for (ptrdiff_t g = s->begin; g < s->end; g++, p += first_rows * VL)
                vstore(y + g * s->y_step, vload(p));
        }
}

/* An output column without the taps of kernel columns outside [first, last). */
INLINE void column(const TYPE(depthwise_strip) *s, const int stride, const int rows, const int top,
                   const int bottom, const int first, const int last, V in[INPUTS][3], const V w[9],
                   ptrdiff_t c, late *l, T *y)
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
    end_column(s, rows, c, acc);
    write_column(s, rows, l, y, acc);
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
    late l = {0};
    if (WAITS(rows) && s->late)
        l = wait_from(s, rows, c);
    T *y = s->y + s->begin * s->y_step + c;
    ptrdiff_t g = s->begin, at = (g * stride - s->left) * s->x_step;
    if (g * stride < s->left) {
        load_columns(s, 1, 3, top, bottom, x, at, in);
        column(s, stride, rows, top, bottom, 1, 3, in, w, c, &l, y);
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
        column(s, stride, rows, top, bottom, 0, 3, in, w, c, &l, y);
        at += stride * s->x_step;
        y += s->y_step;
    }
    if (g < s->end) {
        load_columns(s, kept, 2, top, bottom, x, at, in);
        column(s, stride, rows, top, bottom, 0, 2, in, w, c, &l, y);
    }
}

#else

enum { BLOCK = 8, LINE = CVL_LINE / (int)sizeof(T) };

/* Fetches, for the next strip, the inputs that the block was the first to read, and its outputs. */
static __attribute__((noinline)) void fetch_block(const TYPE(depthwise_strip) *s, int stride,
                                                  int outputs, const T *const *x, ptrdiff_t at,
                                                  const T *y)
{
    for (int kh = 3 - stride; kh < 3; kh++)
        for (int i = 3 - stride; x[kh] && i < (outputs - 1) * stride + 3; i++)
            __builtin_prefetch(x[kh] + at + i * s->x_step, 0, 2);
    for (int i = 0; s->y_ahead && i < outputs; i++)
        __builtin_prefetch(y + i * s->y_step + s->y_ahead, 1, 2);
    __asm__ volatile(""); /* or the compiler sees no effect, and leaves out the call */
}

/* `outputs` outputs from g on of a row that reads the rows x, some of which may be NULL. The row of
 * the kernel is in registers, and inputs go by one after the other. The first lies outside with
 * `clip_left`, the last with `clip_right`. */
INLINE void row_block(const TYPE(depthwise_strip) *s, ptrdiff_t c, const int stride,
                      const int outputs, const int clip_left, const int clip_right,
                      const T *const *x, ptrdiff_t g, T *y)
{
    const ptrdiff_t at = (g * stride - s->left) * s->x_step + c;
    const int columns = (outputs - 1) * stride + 3;
    V acc[BLOCK];
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
        acc[i] = vzero();
#pragma GCC unroll 1
    for (int kh = 0; kh < 3; kh++) {
        if (!x[kh])
            continue;
        const T *in = x[kh] + at;
        V w[3];
#pragma GCC unroll 3
        for (int kw = 0; kw < 3; kw++)
            w[kw] = vload(s->w + (3 * kh + kw) * s->w_step + c);
#pragma GCC unroll 17
        for (int i = 0; i < columns; i++) {
            if (i > 0 && i % 4 == 0)
                in += 4 * s->x_step;
            if ((i == 0 && clip_left) || (i == columns - 1 && clip_right))
                continue;
            const V v = vload(in + i % 4 * s->x_step);
#pragma GCC unroll 3
            for (int kw = 0; kw < 3; kw++)
                if (i >= kw && (i - kw) % stride == 0 && (i - kw) / stride < outputs)
                    acc[(i - kw) / stride] = vfma(v, w[kw], acc[(i - kw) / stride]);
        }
    }
    end_column(s, outputs, c, acc);
    y += g * s->y_step + c;
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
        vstore(y + i * s->y_step, acc[i]);
    if (s->ahead && c % LINE == 0)
        fetch_block(s, stride, outputs, x, at + s->ahead, y);
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
    assert(!s->late || s->channels % (2 * VL) == 0);
    strips[s->stride - 1][s->rows - 1](s);
    if (WAITS(s->rows) && s->late)
        write_last(s);
}
#else
#define BLOCK_CASE(stride, outputs)                                          \
    case outputs:                                                            \
        CHANNELS(row_block, stride, outputs, clip_left, clip_right, x, g, y) \
        break;

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
                switch (count) {                                                        \
                    BLOCK_CASE(stride, 1)                                               \
                    BLOCK_CASE(stride, 2)                                               \
                    BLOCK_CASE(stride, 3)                                               \
                    BLOCK_CASE(stride, 4)                                               \
                    BLOCK_CASE(stride, 5)                                               \
                    BLOCK_CASE(stride, 6)                                               \
                    BLOCK_CASE(stride, 7)                                               \
                    BLOCK_CASE(stride, 8)                                               \
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
