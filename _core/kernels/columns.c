/* columns.c: sums down the columns of a matrix; see ops/columns.h for their order. */
#include "sweep.h"

INLINE void sum_group(T *sums, const ptrdiff_t *shape, const T *x, ptrdiff_t column, const int NV,
                      const int lanes)
{
    V sum[SWEEP_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++)
        sum[j] = vzero();
    x += column;
    for (ptrdiff_t row = 0; row < shape[0]; row++, x += shape[2])
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            sum[j] = vadd(sum[j], load_lanes(x + j * VL, lanes));
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++)
        add_lanes(sums + column + j * VL, sum[j], lanes);
}

void KERNEL(column_sums)(T *sums, const ptrdiff_t *shape, const T *x)
{
    SWEEP(shape[1], SWEEP_VECTORS, sum_group, sums, shape, x);
}

void KERNEL(fold_columns)(double *restrict totals, T *restrict sums, ptrdiff_t channels,
                          ptrdiff_t width)
{
    assert(width % channels == 0);
    for (ptrdiff_t first = 0; first < width; first += channels)
        for (ptrdiff_t c = 0; c < channels; c++)
            totals[c] += (double)sums[first + c];
    memset(sums, 0, (size_t)width * sizeof *sums);
}

void KERNEL(merge_columns)(T *restrict sums, double *restrict totals, ptrdiff_t blocks,
                           ptrdiff_t channels, ptrdiff_t step)
{
    for (ptrdiff_t block = 1; block < blocks; block++) {
        const double *restrict more = totals + block * step;
        for (ptrdiff_t c = 0; c < channels; c++)
            totals[c] += more[c];
    }
    if (sums)
        for (ptrdiff_t c = 0; c < channels; c++)
            sums[c] = (T)totals[c];
}
