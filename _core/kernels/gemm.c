/* gemm.c: the matrix-product micro-kernel, and the table of one level and type.
 *
 * MR x NV accumulators stay in registers; per k one broadcast per row and NV loads of B. Output
 * channels lie in the lanes, so each output is one FMA chain whatever the vector length. MR <= 8:
 * more rows meet in the same L1 sets when a row's stride is a power of two. */
#include "epilogue.h"
#include "simd.h"

#define PREFETCH(p, write) __builtin_prefetch((p), (write), 3)
enum { LINE = 64 / (int)sizeof(T) };

INLINE V load_columns(const T *p, int columns)
{
    if (columns >= VL)
        return vload(p);
    return columns > 0 ? vload_n(p, columns) : vzero();
}

INLINE void store_columns(T *p, V v, int columns)
{
    if (columns >= VL)
        vstore(p, v);
    else if (columns > 0)
        vstore_n(p, v, columns);
}

/* The sums, to c: what has no part in most tiles is kept out of their way. */
INLINE void finish(const TYPE(gemm_tile) *t, V acc[8][4], const int MR, const int NV)
{
    const int plain = !t->add && !t->end.bias && t->end.activation == CVL_ACTIVATION_NONE;
    if (plain && t->nr == NV * VL && t->mr == MR) {
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                vstore(t->c[i] + t->c0 + j * VL, acc[i][j]);
        return;
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        if (i >= t->mr)
            continue;
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++) {
            const int columns = t->nr - j * VL;
            T *c = t->c[i] + t->c0 + j * VL;
            V v = acc[i][j];
            if (t->add && columns > 0)
                v = vadd(load_columns(c, columns), v);
            if (t->end.bias && columns > 0)
                v = vadd(v, load_columns(t->end.bias + j * VL, columns));
            store_columns(c, activate(v, &t->end), columns);
        }
    }
}

/* MR, NV and full are constants where this is inlined, so the loops over them vanish. */
INLINE void gemm_tile(const TYPE(gemm_tile) *t, const int MR, const int NV, const int full)
{
    const ptrdiff_t a_step = t->a_step, b_step = t->b_step;
    const T *a[8];
    V acc[8][4];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        a[i] = t->a[i] + t->a0;
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i][j] = vzero();
        /* The output lines are on their way before the first is stored: 3 to 12 % here. */
        if (i < t->mr)
            for (int j = 0; j < NV * VL; j += LINE)
                PREFETCH(t->c[i] + t->c0 + (j < t->nr ? j : 0), 1);
    }

    for (ptrdiff_t r = 0; r < t->runs; r++) {
        const T *b = t->b + t->run[r].k0 * b_step;
        ptrdiff_t k = t->run[r].a;
        const ptrdiff_t end = k + t->run[r].k * a_step;
        const ptrdiff_t chunk = t->ahead ? LINE * a_step : end - k;
        while (k != end) {
            const ptrdiff_t stop = end - k < chunk ? end : k + chunk;
            if (t->ahead)
#pragma GCC unroll 8
                for (int i = 0; i < MR; i++)
                    PREFETCH(t->a[MR + i] + t->a0 + k, 0);
#pragma GCC unroll 1
            for (; k != stop; k += a_step, b += b_step) {
                V bv[4];
#pragma GCC unroll 4
                for (int j = 0; j < NV; j++)
                    bv[j] = full ? vload(b + j * VL) : load_columns(b + j * VL, t->nr - j * VL);
#pragma GCC unroll 8
                for (int i = 0; i < MR; i++) {
                    V av = vset1(a[i][k]);
#pragma GCC unroll 4
                    for (int j = 0; j < NV; j++)
                        acc[i][j] = vfma(av, bv[j], acc[i][j]);
                }
            }
        }
    }
    finish(t, acc, MR, NV);
}

/* Tiles of fewer rows take the smallest of MR, R2, R1 that holds them. */
#define PANEL(name, MR, NV, R2, R1)            \
    static void name(const TYPE(gemm_tile) *t) \
    {                                          \
        if (!t->packed && t->nr != NV * VL)    \
            gemm_tile(t, MR, NV, 0);           \
        else if (t->mr <= R1)                  \
            gemm_tile(t, R1, NV, 1);           \
        else if (t->mr <= R2)                  \
            gemm_tile(t, R2, NV, 1);           \
        else                                   \
            gemm_tile(t, MR, NV, 1);           \
    }

/* 32 vector registers hold 16 accumulators, 4 of B and the broadcast; 16 hold 12, 2 and 1. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
PANEL(wide, 4, 4, 2, 1)
PANEL(middle, 8, 2, 4, 2)
PANEL(narrow, 8, 1, 4, 2)
#define PANELS                                                                     \
    {                                                                              \
        {4, 4 * VL, wide}, {8, 2 * VL, middle}, {8, VL, narrow}, { 8, VL, narrow } \
    }
#else
PANEL(wide, 6, 2, 4, 2)
PANEL(narrow, 8, 1, 4, 2)
#define PANELS             \
    {                      \
        {6, 2 * VL, wide}, \
        {8, VL, narrow},   \
        {8, VL, narrow},   \
        {8, VL, narrow},   \
    }
#endif

#define CVL_KERNEL(result, name, arguments) extern result KERNEL(name) arguments;
#include "kernels.inc"
#undef CVL_KERNEL

const TYPE(kernels) KERNEL(kernels) = {
    .gemm = PANELS,
#define CVL_KERNEL(result, name, arguments) .name = KERNEL(name),
#include "kernels.inc"
#undef CVL_KERNEL
};
