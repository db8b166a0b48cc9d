/* winograd_product.c: the matrix products of the positions of transforms, one panel of columns.
 *
 * The rows of A lie at a fixed step, so unlike gemm.c it needs no table of pointers, and one call
 * runs through all rows and positions: with 16 channels a micro-tile takes 128 cycles. */
#include "simd.h"

#define PREFETCH(p) __builtin_prefetch((p), 1, 3)
#define HALF CVL_JOIN5(cvl_winograd_product, _, CVL_DTYPE, __, avx2)

/* `ahead` is fetched, ahead_step further at each k, unless it is NULL. */
INLINE void micro_tile(const TYPE(winograd_product) *g, const T *const *a, const T *b, T *c,
                       ptrdiff_t rows, const T *ahead, ptrdiff_t ahead_step, const int MR,
                       const int NV)
{
    const ptrdiff_t a_step = g->a_step, b_step = g->b_step, end = g->K * a_step;
    V acc[8][4];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i][j] = vzero();
        for (int j = 0; j < NV * VL; j += 64 / (int)sizeof(T))
            PREFETCH(c + (i < rows ? i : 0) * g->c_row + j);
    }
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k != end; k += a_step, b += b_step) {
        V bv[4];
        if (ahead) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += ahead_step;
        }
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            bv[j] = vload(b + j * VL);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            V av = vset1(a[i][k]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                acc[i][j] = vfma(av, bv[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        if (i >= rows)
            continue;
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++) {
            T *at = c + i * g->c_row + j * VL;
            vstore(at, g->add ? vadd(vload(at), acc[i][j]) : acc[i][j]);
        }
    }
}

/* Rows from `row` on, MR at most, of a group at position p. Of a B that streams they fetch their share
 * of the next position's. */
INLINE void rows_of(const TYPE(winograd_product) *g, ptrdiff_t p, ptrdiff_t group, ptrdiff_t row,
                    const int MR, const int NV, const int streams)
{
    const ptrdiff_t rows = g->rows - row;
    const T *a[8];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
        a[i] = g->a + p * g->a_plane + group * g->a_group + (row + (i < rows ? i : 0)) * g->a_row;
    const T *b = g->b + p * g->b_plane + group * g->b_group, *ahead = NULL;
    ptrdiff_t step = 0;
    if (streams) {
        ahead = b + g->b_plane + row * g->b_step * g->K / g->rows;
        step = g->rows < MR ? g->b_step : g->b_step * MR / g->rows;
    }
    micro_tile(g, a, b, g->c + p * g->c_plane + group * g->c_group + row * g->c_row, rows, ahead,
               step, MR, NV);
}

/* The last rows are often half a tile at most. */
#define PRODUCT(name, MR, NV, STREAMS)                                                             \
    static __attribute__((noinline)) void name##_half(const TYPE(winograd_product) *g,             \
                                                      ptrdiff_t p, ptrdiff_t group, ptrdiff_t row) \
    {                                                                                              \
        rows_of(g, p, group, row, (MR + 1) / 2, NV, STREAMS);                                      \
    }                                                                                              \
    static void name(const TYPE(winograd_product) *g)                                              \
    {                                                                                              \
        const int half = (g->rows - 1) % MR < (MR + 1) / 2;                                        \
        const ptrdiff_t end = g->rows - (half ? (g->rows - 1) % MR + 1 : 0);                       \
        for (ptrdiff_t p = 0; p < g->positions; p++)                                               \
            for (ptrdiff_t group = 0; group < g->groups; group++) {                                \
                for (ptrdiff_t row = 0; row < end; row += MR)                                      \
                    rows_of(g, p, group, row, MR, NV, STREAMS);                                    \
                if (half)                                                                          \
                    name##_half(g, p, group, end);                                                 \
            }                                                                                      \
    }

/* The tiles of gemm.c: as many accumulators as the registers hold. A B that streams has panels of NS
 * vectors, and tiles of its own: to fetch costs the others up to 5 %. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
PRODUCT(narrow, 8, 1, 0)
PRODUCT(middle, 8, 2, 0)
PRODUCT(wide, 4, 4, 0)
#else
PRODUCT(narrow, 6, 1, 0)
PRODUCT(middle, 6, 2, 0)
PRODUCT(wide, 3, 4, 0)
#endif
#ifdef CVL_LEVEL_AVX512
enum { NS = 2 };
PRODUCT(streamed, 8, 2, 1)
extern void HALF(const TYPE(winograd_product) *g);
#elif defined(CVL_LEVEL_NEON)
enum { NS = 4 };
PRODUCT(streamed, 4, 4, 1)
#else
enum { NS = 2 };
PRODUCT(streamed, 6, 2, 1)
#endif

#if VL >= 8
/* A panel of one vector and so few rows of B that they stay in registers, while the rows of A pass. K is
 * constant where this is inlined. */
INLINE void kept(const TYPE(winograd_product) *g, const int K)
{
    const ptrdiff_t rows = g->rows, a_row = g->a_row, c_row = g->c_row;
    for (ptrdiff_t p = 0; p < g->positions; p++)
        for (ptrdiff_t group = 0; group < g->groups; group++) {
            const T *a = g->a + p * g->a_plane + group * g->a_group;
            const T *b = g->b + p * g->b_plane + group * g->b_group;
            T *c = g->c + p * g->c_plane + group * g->c_group;
            V bv[12];
#pragma GCC unroll 12
            for (int k = 0; k < K; k++)
                bv[k] = vload(b + k * g->b_step);
#pragma GCC unroll 1
            for (ptrdiff_t row = 0; row < rows; row++, a += a_row, c += c_row) {
                V acc = vzero();
#pragma GCC unroll 12
                for (int k = 0; k < K; k++)
                    acc = vfma(vset1(a[k]), bv[k], acc);
                vstore(c, acc);
            }
        }
}

/* Whether there is such a product, which is then done. */
static int keep(const TYPE(winograd_product) *g)
{
    if (g->NR != VL || g->a_step != 1 || g->add)
        return 0;
    switch (g->K) {
#define CASE(K)     \
    case K:         \
        kept(g, K); \
        return 1;
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
#ifdef CVL_MANY_REGISTERS
        CASE(10)
        CASE(12)
#endif
#undef CASE
    }
    return 0;
}
#endif

void KERNEL(winograd_product)(const TYPE(winograd_product) *g)
{
#ifdef CVL_LEVEL_AVX512
    if (g->NR == VL / 2) {
        HALF(g);
        return;
    }
#endif
    assert(g->NR == VL || g->NR == 2 * VL || g->NR == 4 * VL);
#if VL >= 8
    if (keep(g))
        return;
#endif
    if (g->streams && g->NR == NS * VL)
        streamed(g);
    else if (g->NR == VL)
        narrow(g);
    else if (g->NR == 2 * VL)
        middle(g);
    else
        wide(g);
}
