/* transpose.c: a transposing copy, by blocks that keep both sides in L1. */
#include "simd.h"

enum { BLOCK = 16 };

void KERNEL(transpose)(ptrdiff_t rows, ptrdiff_t columns, T *out, ptrdiff_t ld, const T *in,
                       ptrdiff_t in_step)
{
    for (ptrdiff_t j0 = 0; j0 < columns; j0 += BLOCK) {
        const ptrdiff_t j1 = j0 + BLOCK < columns ? j0 + BLOCK : columns;
        for (ptrdiff_t i0 = 0; i0 < rows; i0 += BLOCK) {
            const ptrdiff_t i1 = i0 + BLOCK < rows ? i0 + BLOCK : rows;
            for (ptrdiff_t i = i0; i < i1; i++)
                for (ptrdiff_t j = j0; j < j1; j++)
                    out[i * ld + j] = in[j * in_step + i];
        }
    }
}
