/* transpose.c: a transposing copy, by blocks that keep both sides in L1 and square pieces of them
 * that are turned in registers. */
#include "simd.h"

enum { BLOCK = 16 };

INLINE void transpose_square(T *out, ptrdiff_t ld, const T *in, ptrdiff_t in_step)
{
    V r[VL];
#pragma GCC unroll 16
    for (int j = 0; j < VL; j++)
        r[j] = vload(in + j * in_step);
    vtranspose(r);
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        vstore(out + i * ld, r[i]);
}

void KERNEL(transpose)(ptrdiff_t rows, ptrdiff_t columns, T *out, ptrdiff_t ld, const T *in,
                       ptrdiff_t in_step)
{
    for (ptrdiff_t j0 = 0; j0 < columns; j0 += BLOCK) {
        const ptrdiff_t j1 = j0 + BLOCK < columns ? j0 + BLOCK : columns;
        for (ptrdiff_t i0 = 0; i0 < rows; i0 += BLOCK) {
            const ptrdiff_t i1 = i0 + BLOCK < rows ? i0 + BLOCK : rows;
            const ptrdiff_t squares = j1 - j0 < BLOCK ? 0 : (i1 - i0) / VL * VL;
            for (ptrdiff_t i = i0; i < i0 + squares; i += VL)
                for (ptrdiff_t j = j0; j < j1; j += VL)
                    transpose_square(out + i * ld + j, ld, in + j * in_step + i, in_step);
            for (ptrdiff_t i = i0 + squares; i < i1; i++)
                for (ptrdiff_t j = j0; j < j1; j++)
                    out[i * ld + j] = in[j * in_step + i];
        }
    }
}
