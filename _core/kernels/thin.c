/* thin.c: rows of few elements times a matrix of as few rows, in L1: tiles of six rows, and of four at the
 * end, whose one loop has neither pieces nor fetches, for it ends before they pay (gemm.c). */
#include "simd.h"

/* Rows of a tile, and vectors. Where six rows are not worth their code, all tiles have four. */
#if defined(CVL_F32) && (defined(CVL_LEVEL_AVX2) || defined(CVL_LEVEL_AVX512))
enum { ROWS = 6 };
#else
enum { ROWS = CVL_THIN_ROWS };
#endif
#ifdef CVL_MANY_REGISTERS
enum { MOST = 4 };
#else
enum { MOST = 2 };
#endif

/* R rows of NV vectors. */
INLINE void thin_tile(ptrdiff_t K, T *c, ptrdiff_t c_step, const T *a, const T *b, ptrdiff_t b_step,
                      const int R, const int NV)
{
    V acc[ROWS][MOST];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[r][j] = vzero();
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k < K; k++, b += b_step) {
        V bv[MOST];
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            bv[j] = vload(b + j * VL);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            const V av = vset1(a[r * K + k]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                acc[r][j] = vfma(av, bv[j], acc[r][j]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++, c += c_step)
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            vstore(c + j * VL, acc[r][j]);
}

/* NV vectors of columns; the last rows may overlap those before them. */
INLINE void thin_panel(ptrdiff_t rows, ptrdiff_t K, T *c, ptrdiff_t c_step, const T *a, const T *b,
                       ptrdiff_t b_step, const int NV)
{
    enum { FEW = CVL_THIN_ROWS };
    ptrdiff_t i = 0;
    if (NV == MOST && (int)ROWS > (int)FEW)
#pragma GCC unroll 1
        for (; rows - i == ROWS || rows - i > 2 * FEW; i += ROWS)
            thin_tile(K, c + i * c_step, c_step, a + i * K, b, b_step, ROWS, NV);
#pragma GCC unroll 1
    for (; i < rows; i += FEW) {
        const ptrdiff_t row = i < rows - FEW ? i : rows - FEW;
        thin_tile(K, c + row * c_step, c_step, a + row * K, b, b_step, FEW, NV);
    }
}

void KERNEL(thin_product)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t K, T *c, ptrdiff_t c_step,
                          const T *a, const T *b, ptrdiff_t b_step)
{
    enum { WIDTH = MOST * VL, HALF = WIDTH / 2 };
    for (ptrdiff_t j = 0; j < columns; j += WIDTH) {
        const ptrdiff_t left = columns - j, back = left < HALF ? HALF - left : 0;
        const ptrdiff_t whole = left < WIDTH ? columns - WIDTH : j;
        if (left > HALF)
            thin_panel(rows, K, c + whole, c_step, a, b + whole, b_step, MOST);
        else
            thin_panel(rows, K, c + j - back, c_step, a, b + j - back, b_step, MOST / 2);
    }
}
