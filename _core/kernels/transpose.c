/* transpose.c: a transposing copy, by blocks that keep both sides in L1 and square pieces of them
 * that are turned in registers. */
#include "simd.h"

enum { BLOCK = 16 };

/* Turns up to VL x VL elements; those of r that do not exist are not stored. */
INLINE void transpose_square(int rows, int columns, T *out, ptrdiff_t ld, const T *in,
                             ptrdiff_t in_step)
{
    V r[VL];
#pragma GCC unroll 16
    for (int j = 0; j < VL; j++)
        r[j] = j < columns ? vload_part(in + j * in_step, rows) : vzero();
    vtranspose(r);
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        if (i < rows)
            vstore_part(out + i * ld, r[i], columns);
}

void KERNEL(transpose)(ptrdiff_t rows, ptrdiff_t columns, T *out, ptrdiff_t ld, const T *in,
                       ptrdiff_t in_step)
{
    for (ptrdiff_t j0 = 0; j0 < columns; j0 += BLOCK)
        for (ptrdiff_t i0 = 0; i0 < rows; i0 += BLOCK)
            for (ptrdiff_t j = j0; j < j0 + BLOCK && j < columns; j += VL)
                for (ptrdiff_t i = i0; i < i0 + BLOCK && i < rows; i += VL) {
                    T *to = out + i * ld + j;
                    const T *from = in + j * in_step + i;
                    const int m = rows - i < VL ? (int)(rows - i) : VL;
                    const int n = columns - j < VL ? (int)(columns - j) : VL;
                    if (m == VL && n == VL)
                        transpose_square(VL, VL, to, ld, from, in_step);
                    else if (4 * m >= VL && 4 * n >= VL)
                        transpose_square(m, n, to, ld, from, in_step);
                    else
                        for (int a = 0; a < m; a++)
                            for (int b = 0; b < n; b++)
                                to[a * ld + b] = from[b * in_step + a];
                }
}
