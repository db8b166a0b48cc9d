/* depthwise_strip.c: filters of 3x3 taps, one per channel, at stride 1 and 2: forward, and backward
 * data of stride 1, which is the same with the filter turned round.
 *
 * A tile of outputs, a vector of channels of each, is in registers, and so is the filter: the inputs
 * go by one after the other, each loaded once for all outputs that it belongs to, 36 loads for the
 * 144 multiply-adds of 4x4 outputs at stride 1. With 16 registers there is room for one kernel row:
 * then a tile is eight outputs of a row, with 10 loads of inputs and 3 of the kernel for each 24
 * multiply-adds. Each size of a tile is code: in the baseline, and with 32 registers in float64, where it
 * is as fast, a tile is half as large.
 *
 * The channels of a tile follow each other, and then the tiles of a row: so inputs and outputs are
 * gone through in order, a few rows of each at a time, as processors foresee it; and no load comes
 * soon after a store to an address with the same last 12 bits, for which it would wait (x and y mostly
 * begin at pages). */
#include "epilogue.h"
#include "simd.h"

#if defined(CVL_MANY_REGISTERS) && defined(CVL_F32)
enum { ROWS = CVL_STRIP_ROWS, COLUMNS = 4 };
#elif defined(CVL_MANY_REGISTERS)
enum { ROWS = CVL_STRIP_ROWS / 2, COLUMNS = 4 };
#elif defined(CVL_LEVEL_AVX2)
enum { ROWS = 1, COLUMNS = 8 };
#else
enum { ROWS = 1, COLUMNS = 4 };
#endif

/* `rows` rows and `columns` columns of outputs, the first at y, from the input rows x, some of which
 * may be NULL; their columns begin at `at`, the first of which lies outside with `clip_left`, and the
 * last with `clip_right`. */
INLINE void tile(const TYPE(depthwise_strip) *s, ptrdiff_t c, const int stride, const int rows,
                 const int columns, const int clip_left, const int clip_right, const T *const *x,
                 ptrdiff_t at, T *y)
{
    const int last = (columns - 1) * stride + 2;
    V acc[ROWS][COLUMNS], w[9];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int g = 0; g < columns; g++)
            acc[r][g] = vzero();
    if (ROWS > 1)
#pragma GCC unroll 9
        for (int k = 0; k < 9; k++)
            w[k] = vload(s->w + k * s->w_step + c);
#pragma GCC unroll 6
    for (int i = 0; i < (rows - 1) * stride + 3; i++) {
        if (!x[i])
            continue;
        if (ROWS == 1)
#pragma GCC unroll 3
            for (int kw = 0; kw < 3; kw++)
                w[3 * i + kw] = vload(s->w + (3 * i + kw) * s->w_step + c);
        const T *in = x[i] + at + c;
#pragma GCC unroll 17
        for (int j = 0; j <= last; j++) {
            if (j > 0 && j % 4 == 0)
                in += 4 * s->step;
            if ((j == 0 && clip_left) || (j == last && clip_right))
                continue;
            const V v = vload(in + j % 4 * s->step);
#pragma GCC unroll 3
            for (int kh = 0; kh < 3; kh++)
#pragma GCC unroll 3
                for (int kw = 0; kw < 3; kw++) {
                    const int r = (i - kh) / stride, g = (j - kw) / stride;
                    if (i - kh == r * stride && j - kw == g * stride && i >= kh && j >= kw &&
                        r < rows && g < columns)
                        acc[r][g] = vfma(v, w[3 * kh + kw], acc[r][g]);
                }
        }
    }
    if (s->ended) {
        const V bias = s->ending.bias ? vload(s->ending.bias + c) : vset1((T)-0.0);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int g = 0; g < columns; g++)
                acc[r][g] = activate(vadd(acc[r][g], bias), &s->ending);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int g = 0; g < columns; g++)
            vstore(y + r * s->y_row + g * s->y_step + c, acc[r][g]);
}

/* All channels of a tile: the last vector begins where the channels end with it, and so repeats some. */
#define TILE(stride, rows, columns)                                                               \
    static void tile_##stride##_##rows##_##columns(const TYPE(depthwise_strip) *s, int clip_left, \
                                                   int clip_right, const T *const *x,             \
                                                   ptrdiff_t at, T *y)                            \
    {                                                                                             \
        for (ptrdiff_t c = 0; c < s->channels; c += VL)                                           \
            tile(s, c + VL <= s->channels ? c : s->channels - VL, stride, rows, columns,          \
                 clip_left, clip_right, x, at, y);                                                \
    }
#define FOUR(stride, rows) \
    TILE(stride, rows, 1) TILE(stride, rows, 2) TILE(stride, rows, 3) TILE(stride, rows, 4)
#define FOUR_NAMES(stride, rows)                                                        \
    tile_##stride##_##rows##_1, tile_##stride##_##rows##_2, tile_##stride##_##rows##_3, \
        tile_##stride##_##rows##_4
#define EIGHT(stride, rows) \
    FOUR(stride, rows)      \
    TILE(stride, rows, 5) TILE(stride, rows, 6) TILE(stride, rows, 7) TILE(stride, rows, 8)
#define EIGHT_NAMES(stride, rows)                                                     \
    FOUR_NAMES(stride, rows), tile_##stride##_##rows##_5, tile_##stride##_##rows##_6, \
        tile_##stride##_##rows##_7, tile_##stride##_##rows##_8

typedef void tile_function(const TYPE(depthwise_strip) *, int, int, const T *const *, ptrdiff_t,
                           T *);

#ifdef CVL_MANY_REGISTERS
FOUR(1, 1)
FOUR(1, 2)
FOUR(2, 1)
FOUR(2, 2)
#ifdef CVL_F32
FOUR(1, 3)
FOUR(1, 4)
#endif
static tile_function *const tiles[2][ROWS][COLUMNS] = {
    {
        {FOUR_NAMES(1, 1)},
        {FOUR_NAMES(1, 2)},
#ifdef CVL_F32
        {FOUR_NAMES(1, 3)},
        {FOUR_NAMES(1, 4)},
#endif
    },
    {{FOUR_NAMES(2, 1)}, {FOUR_NAMES(2, 2)}},
};
#elif defined(CVL_LEVEL_AVX2)
EIGHT(1, 1)
EIGHT(2, 1)
static tile_function *const tiles[2][ROWS][COLUMNS] = {{{EIGHT_NAMES(1, 1)}},
                                                       {{EIGHT_NAMES(2, 1)}}};
#else
FOUR(1, 1)
FOUR(2, 1)
static tile_function *const tiles[2][ROWS][COLUMNS] = {{{FOUR_NAMES(1, 1)}}, {{FOUR_NAMES(2, 1)}}};
#endif

/* With few rows to a tile, pixels of many channels are too many streams for processors to foresee: so the
 * next tile's last inputs and outputs are asked for in the order they lie in. */
INLINE void fetch_lines(const T *p, ptrdiff_t elements)
{
    for (const T *end = p + elements; p < end; p += LINE)
        __builtin_prefetch(p, 0, 3);
}

/* Rows are cut into tiles of nearly the same size. */
void KERNEL(depthwise_strip)(const TYPE(depthwise_strip) *s)
{
    assert(s->channels >= VL && s->rows <= (s->stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2));
    for (ptrdiff_t r = 0; r < s->rows; r += ROWS) {
        const ptrdiff_t rows = s->rows - r < ROWS ? s->rows - r : ROWS;
        for (ptrdiff_t g = 0, columns; g < s->OW; g += columns) {
            const ptrdiff_t left = s->OW - g, at = g * s->stride - s->left;
            const ptrdiff_t count = (left + COLUMNS - 1) / COLUMNS;
            columns = (left + count - 1) / count;
            const T *const *x = s->x + r * s->stride;
            T *y = s->y + r * s->y_row + g * s->y_step;
            if (ROWS == 1 && s->fetch) {
                if (x[2])
                    fetch_lines(x[2] + (at + (columns - 1) * s->stride + 3) * s->step,
                                columns * s->stride * s->step);
                fetch_lines(y + columns * s->y_step, columns * s->y_step);
            }
            tiles[s->stride - 1][rows - 1][columns - 1](
                s, at < 0, at + (columns - 1) * s->stride + 2 >= s->W, x, at * s->step, y);
        }
    }
}
