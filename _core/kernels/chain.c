/* chain.c: a tile of sums that stay in memory goes on by a few k at a time, so that a matrix is read whole
 * rows at a time, however many columns it has. */
#include "simd.h"

/* Rows and vectors of what registers hold of a tile. */
#ifdef CVL_MANY_REGISTERS
enum { ROWS = 8, VECTORS = 3 };
#else
enum { ROWS = 4, VECTORS = 3 };
#endif
enum { TILE_ROWS = CVL_CHAIN_ROWS, COLUMNS = CVL_CHAIN_COLUMNS };
_Static_assert(TILE_ROWS % ROWS == 0 && COLUMNS % (VECTORS * VL) == 0, "whole parts of a tile");

static __attribute__((noinline)) void part(ptrdiff_t K, T *c, const T *a, const T *b,
                                           ptrdiff_t b_step, int begins, int fetches)
{
    V acc[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            acc[i][v] = begins ? vzero() : vload(c + i * COLUMNS + v * VL);
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k < K; k++, a += TILE_ROWS, b += b_step) {
        V bv[VECTORS];
        if (fetches)
#pragma GCC unroll 3
            for (int j = 0; j < VECTORS * VL; j += LINE)
                __builtin_prefetch(b + COLUMNS + j, 0, 3);
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            bv[v] = vload(b + v * VL);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            const V av = vset1(a[i]);
#pragma GCC unroll 3
            for (int v = 0; v < VECTORS; v++)
                acc[i][v] = vfma(av, bv[v], acc[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            vstore(c + i * COLUMNS + v * VL, acc[i][v]);
}

void KERNEL(chain)(ptrdiff_t K, T *c, const T *a, const T *b, ptrdiff_t b_step, int begins,
                   int fetches)
{
#pragma GCC unroll 1
    for (int i = 0; i < TILE_ROWS; i += ROWS)
#pragma GCC unroll 1
        for (int j = 0; j < COLUMNS; j += VECTORS * VL)
            part(K, c + i * COLUMNS + j, a + i, b + j, b_step, begins, fetches && i == 0);
}
