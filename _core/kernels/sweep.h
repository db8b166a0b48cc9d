/* sweep.h: a piece of a matrix, walked by groups of columns.
 *
 * A group keeps its columns' sums or coefficients in registers while it runs down the rows. Every
 * column is thus one chain, whatever the vector length and the width of the group.
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

/* For kernels that add nothing up: where rows are wider than a group, a few rows at a time, which is
 * nearly the order of memory. Calls group(arguments, first row, end, first column, vectors, lanes of
 * each vector). */
#define SWEEP_ROWS(shape, group, ...)                                                         \
    do {                                                                                      \
        const ptrdiff_t all_ = (shape)[0], few_ = (shape)[1] > SWEEP_VECTORS * VL ? 4 : all_; \
        for (ptrdiff_t row_ = 0, end_; row_ < all_; row_ = end_) {                            \
            end_ = row_ + few_ < all_ ? row_ + few_ : all_;                                   \
            SWEEP((shape)[1], SWEEP_VECTORS, group, __VA_ARGS__, row_, end_);                 \
        }                                                                                     \
    } while (0)

/* Elements between a row and the one to ask for while it is at work, some 2 KB on: 0 in slabs, where
 * it costs more than it gains. Processors fetch ahead of loads, but less so where rows of several
 * arrays are walked by groups of columns, and hardly of stores, for which they read a line too:
 * arrays beyond L2 take up to 1.4 times as long without. */
INLINE ptrdiff_t elements_ahead(const ptrdiff_t *shape)
{
    const ptrdiff_t distance = 2048 / (ptrdiff_t)sizeof(T), ld = shape[2];
    return shape[1] < ld ? 0 : (distance + ld - 1) / ld * ld;
}

/* What a fetch is for must be a literal to clang. */
INLINE void prefetch_lines(const T *p, const int write, const int NV)
{
    _Pragma("GCC unroll 4") for (int at = 0; at < NV * VL; at += LINE)
    {
        if (write)
            __builtin_prefetch(p + at, 1, 3);
        else
            __builtin_prefetch(p + at, 0, 3);
    }
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
