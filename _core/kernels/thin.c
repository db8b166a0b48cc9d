/* thin.c: rows of few elements times a matrix of as few rows, which stays in registers while they pass:
 * a tile (gemm.c) would spend half its time on beginning and end. */
#include "simd.h"

/* Vectors of columns at once: with them, as many rows of b as may be, and the row of sums. */
#ifdef CVL_MANY_REGISTERS
enum { NV = 2 };
#else
enum { NV = 1 };
#endif

/* K is constant where this is inlined. */
INLINE void thin_panel(ptrdiff_t rows, const int K, T *c, ptrdiff_t c_step, const T *a, const T *b,
                       ptrdiff_t b_step)
{
    V bv[CVL_THIN][NV];
#pragma GCC unroll 16
    for (int k = 0; k < K; k++)
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++)
            bv[k][j] = vload(b + k * b_step + j * VL);
#pragma GCC unroll 1
    for (; rows > 0; rows--, a += K, c += c_step) {
        V acc[NV];
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++)
            acc[j] = vzero();
#pragma GCC unroll 16
        for (int k = 0; k < K; k++) {
            const V av = vset1(a[k]);
#pragma GCC unroll 2
            for (int j = 0; j < NV; j++)
                acc[j] = vfma(av, bv[k][j], acc[j]);
        }
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++)
            vstore(c + j * VL, acc[j]);
    }
}

void KERNEL(thin_product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t K, T *c, ptrdiff_t c_step,
                          const T *a, const T *b, ptrdiff_t b_step)
{
    enum { WIDTH = NV * VL };
    for (ptrdiff_t j = 0; j < columns; j += WIDTH) {
        const ptrdiff_t at = j < columns - WIDTH ? j : columns - WIDTH;
        switch (K) {
#define CASE(k)                                                 \
    case k:                                                     \
        thin_panel(rows, k, c + at, c_step, a, b + at, b_step); \
        break;
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
#undef CASE
        }
    }
}
