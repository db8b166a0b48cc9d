/* interleave.c: rows put beside each other, element by element. */
#include "simd.h"

enum { MOST = CVL_INTERLEAVE_MOST };

/* K is constant where this is inlined. Lane l of vector j of an interleaved stretch is element
 * (j*VL + l)/K of row (j*VL + l)%K. */
INLINE void interleave(ptrdiff_t lists, ptrdiff_t count, T *out, ptrdiff_t out_step,
                       const T *const *in, const int K)
{
#if VL > 1
    U pick[MOST];
    M part[MOST]; /* lanes l of which l%K is the number */
    int lane[VL];
    T rest[VL];
#pragma GCC unroll 1
    for (int j = 0; j < K; j++) {
#pragma GCC unroll 1
        for (int l = 0; l < VL; l++) {
            lane[l] = (j * VL + l) / K;
            rest[l] = (T)(l % K);
        }
        pick[j] = ulanes(lane);
        part[j] = veq(vload(rest), vset1((T)j));
    }
    for (ptrdiff_t n = 0; n < lists; n++, in += K, out += out_step)
        for (ptrdiff_t i = 0; i < count; i += VL) {
            V row[MOST];
#pragma GCC unroll 5
            for (int k = 0; k < K; k++)
                row[k] = in[k] ? vload_part(in[k] + i, count - i) : vzero();
#pragma GCC unroll 5
            for (int j = 0; j < K; j++) {
                const ptrdiff_t left = (count - i) * K - j * VL;
                V v = vpick(row[0], pick[j]);
#pragma GCC unroll 5
                for (int k = 1; k < K; k++)
                    v = vselect(part[(k + (K - 1) * j * VL) % K], vpick(row[k], pick[j]), v);
                if (left > 0)
                    vstore_part(out + i * K + j * VL, v, left);
            }
        }
#else
    for (ptrdiff_t n = 0; n < lists; n++, in += K, out += out_step)
        for (ptrdiff_t i = 0; i < count; i++)
            for (int k = 0; k < K; k++)
                out[i * K + k] = in[k] ? in[k][i] : 0;
#endif
}

void KERNEL(interleave)(ptrdiff_t lists, ptrdiff_t count, T *out, ptrdiff_t out_step,
                        const T *const *in, ptrdiff_t rows)
{
    assert(rows >= 2 && rows <= MOST);
    switch (rows) {
#define ROWS(K)                                         \
    case K:                                             \
        interleave(lists, count, out, out_step, in, K); \
        break;
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
#undef ROWS
    }
}
