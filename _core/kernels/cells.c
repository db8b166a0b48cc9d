/* cells.c: backward data of 3x3 taps at stride 2, a cell of 2x2 inputs at a time.
 *
 * The outputs (0,0), (0,1), (1,0) and (1,1) beside a cell meet its inputs by 9 taps: by 4, 2, 2 and 1 of
 * them. Taken from the last output to the first, those of an input come in the order of k. So an element
 * of dy is broadcast once for all inputs of a cell, and ROWS x 4 chains are at work. */
#include "simd.h"

#ifdef CVL_MANY_REGISTERS
enum { ROWS = 6 };
#else
enum { ROWS = 3 };
#endif

/* Adds the taps of the output `from` to the inputs of ROWS cells; w has those of one k after those of
 * another. */
INLINE const T *add_output(TYPE(cells) *t, ptrdiff_t first, V acc[4][ROWS], const T *w,
                           const int from)
{
    static const int tos[4][4] = {{0, 1, 2, 3}, {1, 3}, {2, 3}, {3}};
    const int taps = from == 0 ? 4 : from == 3 ? 1 : 2;
    const T *const *cell = t->a + from * t->step + first, *a[ROWS], *ahead = t->ahead;
    const ptrdiff_t K = t->K, far = t->far;
    if (!(t->outputs >> from & 1))
        return w + taps * K * VL;
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
        a[i] = cell[i];
    ptrdiff_t k = t->a0;
#pragma GCC unroll 1
    for (const ptrdiff_t end = k + K; k != end; k++, w += taps * VL) {
        V av[ROWS];
        __asm__("" : "+r"(k));
        __builtin_prefetch(ahead, 0, 2);
        ahead += far;
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++)
            av[i] = vset1(a[i][k]);
#pragma GCC unroll 4
        for (int tap = 0; tap < taps; tap++) {
            const V wv = vload(w + tap * VL);
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++)
                acc[tos[from][tap]][i] = vfma(av[i], wv, acc[tos[from][tap]][i]);
        }
    }
    t->ahead = ahead;
    return w;
}

void KERNEL(cells)(TYPE(cells) *t)
{
    for (ptrdiff_t first = 0; first < t->cells; first += ROWS) {
        V acc[4][ROWS];
#pragma GCC unroll 4
        for (int to = 0; to < 4; to++)
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++)
                acc[to][i] = vzero();
        const T *w = t->w;
        w = add_output(t, first, acc, w, 3);
        w = add_output(t, first, acc, w, 2);
        w = add_output(t, first, acc, w, 1);
        add_output(t, first, acc, w, 0);
        if (t->bias) {
            const V bias = vload(t->bias);
#pragma GCC unroll 4
            for (int to = 0; to < 4; to++)
#pragma GCC unroll 6
                for (int i = 0; i < ROWS; i++)
                    acc[to][i] = vadd(acc[to][i], bias);
        }
        T *const *cell = t->c + first;
        const ptrdiff_t c0 = t->c0, step = t->step;
#pragma GCC unroll 4
        for (int to = 0; to < 4; to++, cell += step) {
            T *c[ROWS]; /* read before the first store, which might change them */
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++)
                c[i] = cell[i] + c0;
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++)
                vstore(c[i], acc[to][i]);
        }
    }
}
