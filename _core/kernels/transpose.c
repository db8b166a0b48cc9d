/* transpose.c: a transposing copy, by blocks that keep both sides in L1 and strips of them that are
 * turned in registers. */
#include "simd.h"

enum { BLOCK = 16 };

/* Turns rows [begin, end) of a vector of columns, by strips, of which the last of all rows may overlap the
 * one before it. */
static __attribute__((noinline)) void transpose_whole(ptrdiff_t rows, ptrdiff_t begin,
                                                      ptrdiff_t end, T *out, ptrdiff_t ld,
                                                      const T *in, ptrdiff_t in_step)
{
    /* Rows of the next block, of this copy or of the one after it, are lines that no prefetcher expects, save
     * where rows are so short that they lie in one stream. */
    for (int j = 0; j < VL && in_step > BLOCK; j++)
        __builtin_prefetch(in + j * in_step + begin + BLOCK, 0, 2);
#pragma GCC unroll 1
    for (ptrdiff_t i = begin; i < end; i += LANE) {
        const ptrdiff_t row = i < rows - LANE ? i : rows - LANE;
        V r[LANE];
        vload_turned(r, in + row, in_step, VL);
#pragma GCC unroll 4
        for (int k = 0; k < LANE; k++)
            vstore(out + (row + k) * ld, r[k]);
    }
}

/* Columns that do not fill a vector: it holds rows instead, which are written a lane at a time. The last
 * lane may overlap the one before it. */
static __attribute__((noinline)) void transpose_edge(ptrdiff_t rows, ptrdiff_t columns, T *out,
                                                     ptrdiff_t ld, const T *in, ptrdiff_t in_step)
{
    if (rows < LANE || columns < LANE) {
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < columns; j++)
                out[i * ld + j] = in[j * in_step + i];
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i += VL, in += VL, out += VL * ld)
        for (ptrdiff_t next = 0; next < columns; next += LANE) {
            const ptrdiff_t j = next < columns - LANE ? next : columns - LANE;
            const ptrdiff_t count = rows - i < VL ? rows - i : VL;
            T turned[LANE * VL], *to = out + j;
            V r[LANE];
#pragma GCC unroll 4
            for (int k = 0; k < LANE; k++)
                r[k] = vload_part(in + (j + k) * in_step, count);
            turn_lanes(r);
#pragma GCC unroll 4
            for (int k = 0; k < LANE; k++)
                vstore(turned + k * VL, r[k]);
            for (ptrdiff_t k = 0; k < count; k++, to += ld)
                memcpy(to, turned + k % LANE * VL + k / LANE * LANE, LANE * sizeof(T));
        }
}

void KERNEL(transpose)(ptrdiff_t rows, ptrdiff_t columns, T *out, ptrdiff_t ld, const T *in,
                       ptrdiff_t in_step)
{
    if (rows < LANE || columns < VL) {
        transpose_edge(rows, columns, out, ld, in, in_step);
        return;
    }
    for (ptrdiff_t j0 = 0; j0 < columns; j0 += BLOCK)
        for (ptrdiff_t i = 0; i < rows; i += BLOCK)
            for (ptrdiff_t j = j0; j < j0 + BLOCK && j < columns; j += VL) {
                const ptrdiff_t column = j < columns - VL ? j : columns - VL;
                transpose_whole(rows, i, i + BLOCK < rows ? i + BLOCK : rows, out + column, ld,
                                in + column * in_step, in_step);
            }
}
