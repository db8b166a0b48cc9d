/* winograd_product.c: the matrix products of the positions of transforms, one panel of columns.
 *
 * The rows of A lie at a fixed step, so unlike gemm.c it needs no table of pointers, and one call
 * runs through all rows and positions: with 16 channels a micro-tile takes 128 cycles. */
#include "simd.h"

#define PREFETCH(p) __builtin_prefetch((p), 1, 3)
#define HALF CVL_JOIN5(cvl_winograd_product, _, CVL_DTYPE, __, avx2)

/* Where b alone comes from far: how many chains ahead it is fetched, and how near. With vectors of 64 bytes
 * a chain is too short for all of the next one to come, and L1 has not the buffers to wait for more. What
 * the next tile reads of a is fetched there too, from L2; narrower vectors have no load to spare for it. */
#ifdef CVL_LEVEL_AVX512
enum { CHAINS_B = 2, LEVEL_B = 2, FETCHES_A = 1 };
#else
enum { CHAINS_B = 1, LEVEL_B = 3, FETCHES_A = 0 };
#endif

/* A chain of FMAs of a group at a position, and where the next one begins. */
typedef struct part {
    const T *a, *b, *next_a, *next_b, *far_b;
    T *c;
    ptrdiff_t K;
    int add;
} part;

INLINE part part_of(const TYPE(winograd_product) *g, ptrdiff_t p, ptrdiff_t group, ptrdiff_t k)
{
    const T *a = g->a + p * g->a_plane + group * g->a_group;
    const T *b = g->b + p * g->b_plane + group * g->b_group;
    const ptrdiff_t next = k + g->chain;
    const int last = next >= g->K;
    return (part){
        .a = a + k * g->a_step,
        .b = b + k * g->b_step,
        .next_a = a + (last ? g->a_plane : next * g->a_step),
        .next_b = b + (last ? g->b_plane : next * g->b_step),
        .far_b =
            b + k * g->b_step + CHAINS_B * (g->K > g->chain ? g->chain * g->b_step : g->b_plane),
        .c = g->c + p * g->c_plane + group * g->c_group,
        .K = last ? g->K - k : g->chain,
        .add = g->add || k > 0,
    };
}

/* What comes from far: nothing; a and b, which are fetched into L2; or b alone. */
enum { NEAR, FAR, FAR_B };

/* What a micro-tile fetches while it multiplies: `step` further at each k. */
typedef struct stream {
    const T *at;
    ptrdiff_t step;
} stream;

/* The share of `rows` rows from `row` on of what lies at next, `width` elements for each k; or, where
 * that does not come from far, nothing but `here`. */
INLINE stream share_of(const TYPE(winograd_product) *g, int streams, const T *next, const T *here,
                       ptrdiff_t width, ptrdiff_t K, ptrdiff_t row, ptrdiff_t rows)
{
    if (!streams)
        return (stream){here, 0};
    return (stream){next + row * width * K / g->rows,
                    rows < g->rows ? width * rows / g->rows : width};
}

/* Fetches what a stream is at, into L2 alone (2) or L1 too (3), and goes on. To clang that must be a literal. */
INLINE void fetch(stream *ahead, const int level)
{
    if (level == 2)
        __builtin_prefetch(ahead->at, 0, 2);
    else
        __builtin_prefetch(ahead->at, 0, 3);
    ahead->at += ahead->step;
}

/* Rows from `row` on, MR at most. Where a or b come from far they fetch their share of the next ones. */
INLINE void micro_tile(const TYPE(winograd_product) *g, const part *at, ptrdiff_t row, const int MR,
                       const int NV, const int streams)
{
    const ptrdiff_t rows = g->rows - row, K = at->K;
    const ptrdiff_t a_step = g->a_step, b_step = g->b_step, end = K * a_step;
    const T *a[8], *b = at->b;
    T *c = at->c + row * g->c_row;
    stream ahead_a = {NULL, 0}, ahead_b = {NULL, 0};
    if (streams == FAR) {
        const ptrdiff_t a_width = a_step == 1 ? g->rows * g->a_row / K : a_step;
        ahead_a = share_of(g, g->a_streams, at->next_a, at->a, a_width, K, row, MR);
        ahead_b = share_of(g, g->b_streams, at->next_b, at->b, b_step, K, row, MR);
    } else if (streams) {
        ahead_b = share_of(g, 1, at->far_b, at->b, b_step, K, row, MR);
        ahead_a =
            (stream){rows > MR ? at->a + (row + MR) * g->a_row : at->next_a, MR * g->a_row / K};
    }
    V acc[8][4];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        a[i] = at->a + (row + (i < rows ? i : 0)) * g->a_row;
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i][j] = vzero();
        for (int j = 0; j < NV * VL; j += LINE)
            PREFETCH(c + (i < rows ? i : 0) * g->c_row + j);
    }
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k != end; k += a_step, b += b_step) {
        V bv[4];
        if (streams == FAR || (streams && FETCHES_A))
            fetch(&ahead_a, streams == FAR ? 2 : 3);
        if (streams)
            fetch(&ahead_b, streams == FAR ? 2 : LEVEL_B);
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
            T *to = c + i * g->c_row + j * VL;
            vstore(to, at->add ? vadd(vload(to), acc[i][j]) : acc[i][j]);
        }
    }
}

/* The last rows go by one or two tiles of fewer rows where these leave fewer empty. */
#define PRODUCT(name, MR, TAIL, NV, STREAMS)                                           \
    static __attribute__((noinline)) void name##_tail(const TYPE(winograd_product) *g, \
                                                      const part *at, ptrdiff_t row)   \
    {                                                                                  \
        micro_tile(g, at, row, TAIL, NV, STREAMS);                                     \
    }                                                                                  \
    static void name(const TYPE(winograd_product) *g)                                  \
    {                                                                                  \
        const ptrdiff_t last = (g->rows - 1) % MR + 1;                                 \
        const int two = last + MR <= 2 * TAIL && g->rows > MR;                         \
        const ptrdiff_t end = g->rows - (two ? last + MR : last <= TAIL ? last : 0);   \
        for (ptrdiff_t p = 0; p < g->positions; p++)                                   \
            for (ptrdiff_t group = 0; group < g->groups; group++)                      \
                for (ptrdiff_t k = 0; k < g->K; k += g->chain) {                       \
                    const part at = part_of(g, p, group, k);                           \
                    ptrdiff_t row = 0;                                                 \
                    for (; row < end; row += MR)                                       \
                        micro_tile(g, &at, row, MR, NV, STREAMS);                      \
                    for (; row < g->rows; row += TAIL)                                 \
                        name##_tail(g, &at, row);                                      \
                }                                                                      \
    }

/* The tiles of gemm.c: as many accumulators as the registers hold, but for two vectors. What streams has
 * tiles of its own: to fetch costs the others up to 5 %. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
enum { ROWS = 8, TAIL = 4, ROWS_WIDE = 6, TAIL_WIDE = 4 };
#else
enum { ROWS = 6, TAIL = 3, ROWS_WIDE = 3, TAIL_WIDE = 2 };
#endif
PRODUCT(narrow, ROWS, TAIL, 1, NEAR)
PRODUCT(middle, ROWS, TAIL, 2, NEAR)
PRODUCT(middle_far, ROWS, TAIL, 2, FAR)
PRODUCT(middle_far_b, ROWS, TAIL, 2, FAR_B)
PRODUCT(wide, ROWS_WIDE, TAIL_WIDE, 4, NEAR)
PRODUCT(wide_far, ROWS_WIDE, TAIL_WIDE, 4, FAR)
#ifdef CVL_LEVEL_AVX512
extern void HALF(const TYPE(winograd_product) *g);
#endif

#if VL >= 8
/* The products of R rows of A with K rows of B, of which a vector each is in registers. */
INLINE void kept_rows(const V bv[16], const int K, const int R, const T *const a[4], T *c,
                      ptrdiff_t c_row)
{
    V acc[4];
#pragma GCC unroll 4
    for (int i = 0; i < R; i++)
        acc[i] = vzero();
#pragma GCC unroll 16
    for (int k = 0; k < K; k++)
#pragma GCC unroll 4
        for (int i = 0; i < R; i++)
            acc[i] = vfma(vset1(a[i][k]), bv[k], acc[i]);
#pragma GCC unroll 4
    for (int i = 0; i < R; i++)
        vstore(c + i * c_row, acc[i]);
}

/* So few rows of B that a vector of each stays in registers, while the rows of A pass, four at a time:
 * a CPU, of which another thread may have half, does not look far enough ahead to find as many chains
 * in one row after the other. K is constant where this is inlined. */
INLINE void kept(const TYPE(winograd_product) *g, const int K)
{
    const ptrdiff_t rows = g->rows, a_row = g->a_row, c_row = g->c_row;
    for (ptrdiff_t p = 0; p < g->positions; p++)
        for (ptrdiff_t group = 0; group < g->groups; group++)
            for (ptrdiff_t column = 0; column < g->NR; column += VL) {
                const T *a = g->a + p * g->a_plane + group * g->a_group;
                const T *b = g->b + p * g->b_plane + group * g->b_group + column;
                T *c = g->c + p * g->c_plane + group * g->c_group + column;
                V bv[16];
#pragma GCC unroll 16
                for (int k = 0; k < K; k++)
                    bv[k] = vload(b + k * g->b_step);
                const T *at[4] = {a, a + a_row, a + 2 * a_row, a + 3 * a_row};
                ptrdiff_t row = 0;
#pragma GCC unroll 1
                for (; row + 4 <= rows; row += 4, c += 4 * c_row) {
                    kept_rows(bv, K, 4, at, c, c_row);
#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++)
                        at[i] += 4 * a_row;
                }
#pragma GCC unroll 1
                for (; row < rows; row++, at[0] += a_row, c += c_row)
                    kept_rows(bv, K, 1, at, c, c_row);
            }
}

/* Whether there is such a product, which is then done. */
static int keep(const TYPE(winograd_product) *g)
{
    if (g->NR > 2 * VL || g->a_step != 1 || g->add)
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
        CASE(16)
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
    const int far = g->a_streams || g->b_streams;
    if (g->NR == VL)
        narrow(g);
    else if (g->NR == 2 * VL)
        (g->a_streams ? middle_far : far ? middle_far_b : middle)(g);
    else
        (far ? wide_far : wide)(g);
}
