/* sweep.h: a piece of a matrix, walked by groups of columns.
 *
 * A group keeps its columns' sums or coefficients in registers while it runs down the rows. Every
 * column is thus one chain, whatever the vector length and the width of the group. Where a kernel
 * reads several arrays and rows are wider than a group, it goes row by row instead: strides of
 * more than 1 KB escape the prefetchers, which costs up to twice the time beyond L2.
 *
 * A piece's shape is (rows, width, ld): `width` columns of `rows` rows that lie ld elements apart.
 * Where a kernel has several arrays of one element per column ("planes"), they lie ld apart too. */
#ifndef CVL_SWEEP_H
#define CVL_SWEEP_H

#include "simd.h"

/* Calls group(arguments, first column, vectors, lanes of each vector): NV vectors at a time, then
 * one, then the first lanes of one. The last two arguments are constants where it is inlined,
 * but for the lanes of the last call. */
#define SWEEP(width, NV, group, ...)                        \
    do {                                                    \
        ptrdiff_t p_ = 0;                                   \
        for (; p_ + (NV) * VL <= (width); p_ += (NV) * VL)  \
            group(__VA_ARGS__, p_, NV, VL);                 \
        for (; p_ + VL <= (width); p_ += VL)                \
            group(__VA_ARGS__, p_, 1, VL);                  \
        if (p_ < (width))                                   \
            group(__VA_ARGS__, p_, 1, (int)((width) - p_)); \
    } while (0)

/* Vectors of a group: four chains hide the latency of an addition, and 64 floats are one group at
 * avx512. With 16 registers the widest loops spill a few coefficients; groups of 2 cost as much in
 * rows of 64 floats, and up to 1.6 times where rows are slabs of a wider matrix. */
enum { SWEEP_VECTORS = 4 };

/* Whether to go row by row. */
INLINE int wider_than_group(ptrdiff_t width) { return width > SWEEP_VECTORS * VL; }

/* Processors fetch ahead of loads, but less so of stores, for which they read a line too. So kernels
 * that only write an array ask for its lines this many rows early, about 1 KB: where it comes from
 * memory they take up to 0.75 times as long. Rows beyond a piece may be another worker's. */
INLINE ptrdiff_t rows_ahead(ptrdiff_t ld)
{
    const ptrdiff_t distance = 1024 / (ptrdiff_t)sizeof(T);
    return ld < distance ? distance / ld : 1;
}

INLINE void prefetch_stores(const T *p, const int NV)
{
    for (int j = 0; j < NV; j++)
        if (j * VL * sizeof(T) % 64 == 0)
            __builtin_prefetch(p + j * VL, 1, 3);
}

INLINE V load_lanes(const T *p, const int lanes)
{
    return lanes == VL ? vload(p) : vload_n(p, lanes);
}

INLINE void store_lanes(T *p, V v, const int lanes)
{
    if (lanes == VL)
        vstore(p, v);
    else
        vstore_n(p, v, lanes);
}

/* p[0..lanes) += v */
INLINE void add_lanes(T *p, V v, const int lanes)
{
    store_lanes(p, vadd(load_lanes(p, lanes), v), lanes);
}

#endif
