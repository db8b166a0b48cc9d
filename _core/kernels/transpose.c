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

/* Functions of their own: inlined, the compiler makes one of both, with a test per row, and keeps a
 * pointer to each of the rows on the stack. */
static __attribute__((noinline)) void transpose_whole(T *out, ptrdiff_t ld, const T *in,
                                                      ptrdiff_t in_step)
{
    transpose_square(VL, VL, out, ld, in, in_step);
}

static __attribute__((noinline)) void transpose_edge(int rows, int columns, T *out, ptrdiff_t ld,
                                                     const T *in, ptrdiff_t in_step)
{
    if (4 * rows >= VL && 4 * columns >= VL)
        transpose_square(rows, columns, out, ld, in, in_step);
    else
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                out[i * ld + j] = in[j * in_step + i];
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
                        transpose_whole(to, ld, from, in_step);
                    else
                        transpose_edge(m, n, to, ld, from, in_step);
                }
}
