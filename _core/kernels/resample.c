/* resample.c: a linear map of images, channels in the lanes. An output is a chain of FMAs along each
 * row of its taps, then one over the rows. The chains begin at -0, the only number that leaves what
 * is added to it as it is. */
#include "simd.h"

enum { TOGETHER = 4 };

/* What an output is made of: taps of rows of x, and of pixels of a row. */
typedef struct taps {
    const cvl_axis_tap *row, *column;
    ptrdiff_t rows, columns;
} taps;

/* n channels of a pixel, in at most `vectors`: each is a chain, and one alone would wait for its sums. */
INLINE void chains(const cvl_resample *r, const taps *t, T *y, const T *x, ptrdiff_t n,
                   const int vectors)
{
    const V nothing = vset1((T)-0.0), divisor = vset1((T)(t->rows * t->columns));
    V total[TOGETHER], sum[TOGETHER];
    for (int v = 0; v < vectors; v++)
        total[v] = t->rows * t->columns == 0 ? vset1((T)r->empty) : nothing;
    for (ptrdiff_t i = 0; t->columns > 0 && i < t->rows; i++) {
        const T *x_h = x + t->row[i].from * r->W * r->C;
        const V row_weight = vset1((T)t->row[i].weight);
        for (int v = 0; v < vectors; v++)
            sum[v] = nothing;
        for (ptrdiff_t j = 0; j < t->columns; j++) {
            const T *x_hw = x_h + t->column[j].from * r->C;
            const V weight = vset1((T)t->column[j].weight);
            for (int v = 0; v < vectors; v++)
                sum[v] = vfma(vload_part(x_hw + v * VL, n - v * VL), weight, sum[v]);
        }
        for (int v = 0; v < vectors; v++)
            total[v] = vfma(sum[v], row_weight, total[v]);
    }
    for (int v = 0; v < vectors; v++)
        vstore_part(y + v * VL, r->mean ? vdiv(total[v], divisor) : total[v], n - v * VL);
}

INLINE void any_taps(const cvl_resample *r, const taps *t, T *y, const T *x, ptrdiff_t channels)
{
    ptrdiff_t c = 0;
    for (; c + TOGETHER * VL <= channels; c += TOGETHER * VL)
        chains(r, t, y + c, x + c, TOGETHER * VL, TOGETHER);
    for (; c < channels; c += VL)
        chains(r, t, y + c, x + c, channels - c, 1);
}

/* The same for constants `rows` and `columns` of 1 or 2: nothing is fetched or rounded again for
 * the next channels. */
INLINE void few_taps(const cvl_resample *r, const taps *t, T *y, const T *x, ptrdiff_t channels,
                     const int rows, const int columns)
{
    const V nothing = vset1((T)-0.0), divisor = vset1((T)(rows * columns));
    const T *at[2][2];
    V row_weight[2], column_weight[2];
#pragma GCC unroll 2
    for (int i = 0; i < rows; i++) {
        row_weight[i] = vset1((T)t->row[i].weight);
#pragma GCC unroll 2
        for (int j = 0; j < columns; j++) {
            column_weight[j] = vset1((T)t->column[j].weight);
            at[i][j] = x + (t->row[i].from * r->W + t->column[j].from) * r->C;
        }
    }
    for (ptrdiff_t c = 0; c < channels; c += VL) {
        V total = nothing;
#pragma GCC unroll 2
        for (int i = 0; i < rows; i++) {
            V sum = nothing;
#pragma GCC unroll 2
            for (int j = 0; j < columns; j++)
                sum = vfma(vload_part(at[i][j] + c, channels - c), column_weight[j], sum);
            total = vfma(sum, row_weight[i], total);
        }
        if (r->mean)
            total = vdiv(total, divisor);
        vstore_part(y + c, total, channels - c);
    }
}

void KERNEL(resample)(const cvl_resample *r, ptrdiff_t row, ptrdiff_t channels, T *y, const T *x)
{
    const ptrdiff_t *rows = r->rows.first + row, *columns = r->columns.first;
    taps t = {.row = r->rows.tap + rows[0], .rows = rows[1] - rows[0]};
    for (ptrdiff_t column = 0; column < r->OW; column++, y += r->C) {
        t.column = r->columns.tap + columns[column];
        t.columns = columns[column + 1] - columns[column];
        if (t.rows == 1 && t.columns == 1)
            few_taps(r, &t, y, x, channels, 1, 1);
        else if (t.rows == 1 && t.columns == 2)
            few_taps(r, &t, y, x, channels, 1, 2);
        else if (t.rows == 2 && t.columns == 1)
            few_taps(r, &t, y, x, channels, 2, 1);
        else if (t.rows == 2 && t.columns == 2)
            few_taps(r, &t, y, x, channels, 2, 2);
        else
            any_taps(r, &t, y, x, channels);
    }
}
