/* planes.c: convolutions to few channels. Positions lie in the lanes, NV vectors of them at a time, and
 * of each channel a weight is broadcast, so that the order of sums is the same for every vector length.
 *
 * Most loads lie across two lines, which takes as long as two: so they are as few for a multiply-add as
 * registers allow. */
#include "epilogue.h"

enum { MOST = 8 };

/* Positions q .. q + NV*VL. Constants where this is inlined: C, NV. */
INLINE void block(const TYPE(planes) *t, ptrdiff_t q, const int C, const int NV)
{
    const ptrdiff_t b_step = t->b_step;
    int add = t->add;
    ptrdiff_t r = 0;
    do {
        V acc[CVL_PLANES_CHANNELS][MOST];
#pragma GCC unroll 8
        for (int i = 0; i < C; i++)
#pragma GCC unroll 8
            for (int j = 0; j < NV; j++)
                acc[i][j] = vzero();
        for (int last = 0; r < t->runs && !last; r++) {
            const T *a = t->a + t->run[r].k0 * C, *b = t->b + t->run[r].b + q;
#pragma GCC unroll 1
            for (ptrdiff_t k = t->run[r].k; k > 0; k--, a += C, b += b_step) {
                V bv[MOST];
#pragma GCC unroll 8
                for (int j = 0; j < NV; j++)
                    bv[j] = vload(b + j * VL);
#pragma GCC unroll 8
                for (int i = 0; i < C; i++) {
                    const V av = vset1(a[i]);
#pragma GCC unroll 8
                    for (int j = 0; j < NV; j++)
                        acc[i][j] = vfma(av, bv[j], acc[i][j]);
                }
            }
            last = t->run[r].last;
        }
        T *c = t->c + q;
#pragma GCC unroll 8
        for (int i = 0; i < C; i++, c += t->c_step)
#pragma GCC unroll 8
            for (int j = 0; j < NV; j++)
                vstore(c + j * VL, add ? vadd(vload(c + j * VL), acc[i][j]) : acc[i][j]);
        add = 1;
    } while (r < t->runs);
}

#define BLOCKS(C, NV)                                           \
    case C:                                                     \
        for (ptrdiff_t q = 0; q < t->positions; q += (NV) * VL) \
            block(t, q, C, NV);                                 \
        break;

void KERNEL(planes)(const TYPE(planes) *t)
{
    switch (t->channels) {
#ifdef CVL_MANY_REGISTERS
        BLOCKS(1, MOST)
        BLOCKS(2, 6)
        BLOCKS(3, 6)
        BLOCKS(4, 4)
        BLOCKS(5, 4)
        BLOCKS(6, 4)
#if VL == 16 /* others have vectors of outputs for so many */
        BLOCKS(7, 3)
        BLOCKS(8, 3)
#endif
#else
        BLOCKS(1, MOST)
        BLOCKS(2, 4)
        BLOCKS(3, 3)
        BLOCKS(4, 2)
        BLOCKS(5, 2)
        BLOCKS(6, 2)
#endif
    }
    if (!t->end.bias && t->end.activation == CVL_ACTIVATION_NONE)
        return;
    for (int i = 0; i < t->channels; i++) {
        const V bias = t->end.bias ? vset1(t->end.bias[i]) : vzero();
        T *c = t->c + i * t->c_step;
        for (ptrdiff_t q = 0; q < t->positions; q += VL)
            vstore(c + q, activate(t->end.bias ? vadd(vload(c + q), bias) : vload(c + q), &t->end));
    }
}
