/* thin.c: rows of few elements times a matrix of as few rows, in L1: a tile of four rows, whose one loop
 * has neither pieces nor fetches, for it ends before they pay (gemm.c). */
#include "simd.h"

#ifdef CVL_MANY_REGISTERS
enum { MOST = 4 };
#else
enum { MOST = 2 };
#endif

/* NV vectors of columns; the last rows may overlap those before them. */
INLINE void thin_panel(ptrdiff_t rows, ptrdiff_t K, T *c, ptrdiff_t c_step, const T *a, const T *b,
                       ptrdiff_t b_step, const int NV)
{
    enum { R = CVL_THIN_ROWS };
#pragma GCC unroll 1
    for (ptrdiff_t i = 0; i < rows; i += R) {
        const ptrdiff_t row = i < rows - R ? i : rows - R;
        const T *at = a + row * K, *b_k = b;
        V acc[R][MOST];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                acc[r][j] = vzero();
#pragma GCC unroll 1
        for (ptrdiff_t k = 0; k < K; k++, b_k += b_step) {
            V bv[MOST];
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                bv[j] = vload(b_k + j * VL);
#pragma GCC unroll 4
            for (int r = 0; r < R; r++) {
                const V av = vset1(at[r * K + k]);
#pragma GCC unroll 4
                for (int j = 0; j < NV; j++)
                    acc[r][j] = vfma(av, bv[j], acc[r][j]);
            }
        }
        T *to = c + row * c_step;
#pragma GCC unroll 4
        for (int r = 0; r < R; r++, to += c_step)
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                vstore(to + j * VL, acc[r][j]);
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
