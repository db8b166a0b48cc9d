/* gemm.c: the matrix-product micro-kernel, and the table of one level and type.
 *
 * MR x NV accumulators stay in registers; per k one broadcast per row and NV loads of B. Output
 * channels lie in the lanes, so each output is one FMA chain whatever the vector length. MR <= 8:
 * more rows meet in the same L1 sets when a row's stride is a power of two. */
#include "epilogue.h"
#include "simd.h"

#define PREFETCH(p, write) __builtin_prefetch((p), (write), 3)

/* How many k before its use B is fetched, where it is far. */
enum { FAR = 8 };

/* Writes sums (mr, NV*VL) to c, with whatever the tile asks for on the way. */
static __attribute__((noinline)) void finish_any(const TYPE(gemm_tile) *t, const V *sums, int NV)
{
    const TYPE(epilogue) end = t->end;
    const int add = t->add, mr = t->mr;
    if (!end.bias && end.activation == CVL_ACTIVATION_NONE && t->nr == NV * VL) {
        /* As all parts of a sum but the first are, and few rows. */
        for (int i = 0; i < mr; i++) {
            T *c = t->c[i] + t->c0;
            for (int j = 0; j < NV; j++, c += VL, sums++)
                vstore(c, add ? vadd(vload(c), *sums) : *sums);
        }
        return;
    }
    const int bounded = is_bounded(&end);
    const V low = low_of(&end), high = high_of(&end);
    for (int j = 0; j * VL < t->nr; j++) {
        const int columns = t->nr - j * VL;
        const V bias = end.bias ? vload_part(end.bias + j * VL, columns) : vzero();
        for (int i = 0; i < mr; i++) {
            T *c = t->c[i] + t->c0 + j * VL;
            V v = sums[i * NV + j];
            if (add)
                v = vadd(vload_part(c, columns), v);
            if (end.bias)
                v = vadd(v, bias);
            vstore_part(c, bounded ? bound(v, low, high) : activate(v, &end), columns);
        }
    }
}

/* What most tiles need: no more than to be stored. */
INLINE int is_plain(const TYPE(gemm_tile) *t)
{
    return !t->add && !t->end.bias && t->end.activation == CVL_ACTIVATION_NONE;
}

INLINE void finish(const TYPE(gemm_tile) *t, V acc[8][4], const int MR, const int NV,
                   const int ends)
{
    const int plain = is_plain(t);
    if (t->mr == MR && (plain || (ends && !t->add && t->end.bias && is_bounded(&t->end)))) {
        const int nr = t->nr;
        if (ends && !plain) {
            const V low = low_of(&t->end), high = high_of(&t->end);
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++) {
                const V bias = vload_part(t->end.bias + j * VL, nr - j * VL);
#pragma GCC unroll 8
                for (int i = 0; i < MR; i++)
                    acc[i][j] = bound(vadd(acc[i][j], bias), low, high);
            }
        }
        /* Read before the first store, which might change them for all the compiler knows; but not
         * kept since begin(), for there are not registers for them. */
        __asm__("" : "+r"(t));
        T *c[8];
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++)
            c[i] = t->c[i] + t->c0;
        const int last = nr - (NV - 1) * VL;
        if (last == VL) {
#pragma GCC unroll 8
            for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
                for (int j = 0; j < NV; j++)
                    vstore(c[i] + j * VL, acc[i][j]);
            return;
        }
        if (last > 0) {
#pragma GCC unroll 8
            for (int i = 0; i < MR; i++) {
#pragma GCC unroll 4
                for (int j = 0; j < NV - 1; j++)
                    vstore(c[i] + j * VL, acc[i][j]);
                vstore_n(c[i] + (NV - 1) * VL, acc[i][NV - 1], last);
            }
            return;
        }
    }
    V sums[8 * 4];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            sums[i * NV + j] = acc[i][j];
    finish_any(t, sums, NV);
}

/* Zeroes the accumulators. The output lines are on their way before the first is stored: 3 to 12 %
 * here. */
INLINE void begin(const TYPE(gemm_tile) *t, V acc[8][4], const int MR, const int NV)
{
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i][j] = vzero();
        for (int j = 0; j < NV * VL; j += LINE)
            PREFETCH(t->c[i] + t->c0 + (j < t->nr ? j : 0), 1);
    }
}

/* One k: acc[i] += a[i][k] * B[k], of which b is the row. */
INLINE void step(const TYPE(gemm_tile) *t, V acc[8][4], const T *const a[8], ptrdiff_t k,
                 const T *b, const int MR, const int NV, const int whole)
{
    V bv[4];
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++)
        bv[j] = whole     ? vload(b + j * VL)
                : NV == 1 ? vload_n(b, t->nr)
                          : vload_part(b + j * VL, j * VL < t->nr ? t->nr - j * VL : 0);
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        V av = vset1(a[i][k]);
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i][j] = vfma(av, bv[j], acc[i][j]);
    }
}

/* What a kind of tile knows beforehand. PLAIN: where rows past MR of a are those of the next tile, they
 * are fetched; of 1x1 convolutions no other prefetcher knows where they lie, which is worth 13 %. DISTANT:
 * as PLAIN, and B is fetched too. SINGLE: runs are one element long, so no inner loop ends where nobody
 * expects it. RAGGED: B is to be read no further than column nr. FEW: nothing. */
typedef enum tile_kind { PLAIN, DISTANT, FEW, SINGLE, RAGGED } tile_kind;

/* MR, NV and kind are constants where this is inlined, so the loops over them vanish. */
INLINE void gemm_tile(const TYPE(gemm_tile) *t, const int MR, const int NV, const tile_kind kind)
{
    const ptrdiff_t b_step = t->b_step;
    const int plain = kind == PLAIN || kind == DISTANT;
    const T *a[8];
    V acc[8][4];
    begin(t, acc, MR, NV);
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
        a[i] = t->a[i];
    for (const cvl_gemm_run *run = t->run; run != t->run + t->runs; run++) {
        const T *b = t->b + run->k0 * b_step;
        ptrdiff_t k = t->a0 + run->a;
        if (kind == SINGLE) {
            step(t, acc, a, k, b, MR, NV, 1);
            continue;
        }
        const ptrdiff_t end = k + run->k;
        while (k != end) {
            ptrdiff_t stop = end;
            if (plain && t->ahead) {
                stop = end - k < LINE ? end : k + LINE;
#pragma GCC unroll 8
                for (int i = 0; i < MR; i++)
                    PREFETCH(t->a[MR + i] + k, 0);
            }
            /* One index for all rows, which the compiler would turn into a pointer each; and two k at
             * a time, or counting them takes turns with the products. */
            if (kind != RAGGED) {
#pragma GCC unroll 1
                for (; stop - k >= 2; k += 2, b += 2 * b_step) {
                    __asm__("" : "+r"(k));
                    if (kind == DISTANT)
#pragma GCC unroll 8
                        for (int j = 0; j < 2 * NV * VL; j += LINE)
                            PREFETCH(b + (FAR + j / (NV * VL)) * b_step + j % (NV * VL), 0);
                    step(t, acc, a, k, b, MR, NV, 1);
                    step(t, acc, a, k + 1, b + b_step, MR, NV, 1);
                }
            }
#pragma GCC unroll 1
            for (; k != stop; k++, b += b_step) {
                __asm__("" : "+r"(k));
                step(t, acc, a, k, b, MR, NV, kind != RAGGED);
            }
        }
    }
    finish(t, acc, MR, NV, ENDS && (plain || kind == SINGLE));
}

/* Every tile is a function of its own, or the compiler runs out of registers for the rows. */
#define TILE(name, call) \
    static __attribute__((noinline)) void name(const TYPE(gemm_tile) *t) { call; }

/* A panel; tiles of fewer rows take the smallest of MR, R2, R1 that holds them. Where B is far nearly all
 * panels are the wide ones, of 6 rows. */
#define PANEL(linkage, name, MR, NV, R2, R1)                \
    TILE(name##_single, gemm_tile(t, MR, NV, SINGLE))       \
    TILE(name##_most, gemm_tile(t, MR, NV, PLAIN))          \
    TILE(name##_distant, gemm_tile(t, MR, NV, DISTANT))     \
    TILE(name##_some, gemm_tile(t, R2, NV, FEW))            \
    TILE(name##_few, gemm_tile(t, R1, NV, FEW))             \
    TILE(name##_ragged, gemm_tile(t, MR, NV, RAGGED))       \
    linkage void PANEL_NAME(name)(const TYPE(gemm_tile) *t) \
    {                                                       \
        if (!t->packed && t->nr != NV * VL)                 \
            name##_ragged(t);                               \
        else if (t->mr <= R1)                               \
            name##_few(t);                                  \
        else if (t->mr <= R2)                               \
            name##_some(t);                                 \
        else if (t->single)                                 \
            name##_single(t);                               \
        else if (CVL_SINGLE && MR == 6 && t->far)           \
            name##_distant(t);                              \
        else                                                \
            name##_most(t);                                 \
    }
#define PANEL_NAME(name) KERNEL(gemm_##name)

/* 32 vector registers hold 24 accumulators, 3 or 4 of B and the broadcast; 16 hold 12, 2 and 1. Fewer
 * accumulators would do for the latency of their sums, but read B more often: 4 rows of 4 vectors take
 * all that L2 gives where a CPU has two units of 512 bits. The last panel of avx512 is the last of
 * avx2: half a vector takes half the time where a CPU has two units of 256 bits that make one of 512. */
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
PANEL(static, wide, 6, 4, 4, 2)
PANEL(static, three, 8, 3, 4, 2)
PANEL(static, middle, 8, 2, 4, 2)
PANEL(static, narrow, 8, 1, 4, 2)
#ifdef CVL_LEVEL_AVX512
#define HALF CVL_JOIN5(cvl_gemm_narrow, _, CVL_DTYPE, __, avx2)
extern void HALF(const TYPE(gemm_tile) *t);
#define LAST {8, VL / 2, HALF, NULL}

enum { HALVES_MR = 8, HALVES_NH = 3 }; /* rows of a tile, half vectors of one */

INLINE void finish_halves(const TYPE(gemm_tile) *t, H acc[HALVES_MR][HALVES_NH])
{
    enum { MR = HALVES_MR, NH = HALVES_NH };
    if (t->mr == MR && is_plain(t)) {
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            T *c = t->c[i] + t->c0;
            hstore(c, acc[i][0]);
            hstore(c + HL, acc[i][1]);
            hstore_n(c + 2 * HL, acc[i][2], t->nr - 2 * HL);
        }
        return;
    }
    V sums[MR][2];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        T *row = (T *)sums[i];
#pragma GCC unroll 3
        for (int j = 0; j < NH; j++)
            hstore(row + j * HL, acc[i][j]);
        hstore(row + NH * HL, hzero());
    }
    finish_any(t, sums[0], 2);
}

/* A panel of three half vectors: 12 cycles for each k of 8 rows, where a whole one and a half take
 * 13.5, since these share the two units of 256 bits badly. It has one function for all tiles: they
 * are mostly whole, and runs of one element go by other panels. */
static void halves(const TYPE(gemm_tile) *t)
{
    enum { MR = HALVES_MR, NH = HALVES_NH };
    const ptrdiff_t b_step = t->b_step;
    const T *a[MR];
    H acc[MR][NH];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
        a[i] = t->a[i];
#pragma GCC unroll 3
        for (int j = 0; j < NH; j++)
            acc[i][j] = hzero();
        PREFETCH(t->c[i] + t->c0 + t->nr - 1, 1);
    }
    for (const cvl_gemm_run *run = t->run; run != t->run + t->runs; run++) {
        const T *b = t->b + run->k0 * b_step;
        ptrdiff_t k = t->a0 + run->a;
        const ptrdiff_t end = k + run->k;
        while (k != end) {
            const ptrdiff_t stop = t->ahead && end - k > LINE ? k + LINE : end;
            for (int i = 0; t->ahead && i < MR; i++)
                PREFETCH(t->a[MR + i] + k, 0);
#pragma GCC unroll 1
            for (; k != stop; k++, b += b_step) {
                const H b0 = hload(b), b1 = hload(b + HL), b2 = hload(b + 2 * HL);
                __asm__("" : "+r"(k));
#pragma GCC unroll 8
                for (int i = 0; i < MR; i++) {
                    const H av = hset1(a[i][k]);
                    acc[i][0] = hfma(av, b0, acc[i][0]);
                    acc[i][1] = hfma(av, b1, acc[i][1]);
                    acc[i][2] = hfma(av, b2, acc[i][2]);
                }
            }
        }
    }
    finish_halves(t, acc);
}
#define HALVES {8, VL + HL, halves, NULL}

#ifdef CVL_F32
/* Neighbouring positions of a row, whose taps overlap: an input is broadcast once for all that read it, and
 * the weights of a row of taps stay in registers. Positions go in two halves in turn, so that enough sums
 * are under way. */
static void slide(const TYPE(gemm_tile) *t)
{
    enum { C = CVL_SLIDE_CHANNELS, KW = CVL_SLIDE_TAPS, R = CVL_SLIDE_ROWS, HALF_R = R / 2 };
    const ptrdiff_t c_step = t->c[1] - t->c[0], b_step = t->b_step;
    const cvl_gemm_run *const end = t->run + t->runs;
    const int plain = is_plain(t);
#pragma GCC unroll 1
    for (int next = 0; next < t->mr; next += R) {
        const int first = next < t->mr - R ? next : t->mr - R;
        const T *a = t->a[0] + first * C;
        T *c = t->c[0] + first * c_step;
        V acc[R];
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            acc[i] = vzero();
            PREFETCH(c + i * c_step, 1);
        }
#pragma GCC unroll 1
        for (const cvl_gemm_run *run = t->run; run != end; run += KW * C) {
            const T *b = t->b + run->k0 * b_step, *x = a + run->a;
            V w[KW * C];
#pragma GCC unroll 9
            for (int k = 0; k < KW * C; k++, b += b_step)
                w[k] = vload(b);
#pragma GCC unroll 10
            for (int p = 0; p < HALF_R + KW - 1; p++)
#pragma GCC unroll 6
                for (int j = 0; j < C * 2; j++) {
                    const int o = j % 2 * HALF_R;
                    const V v = vset1(x[(o + p) * C + j / 2]);
#pragma GCC unroll 3
                    for (int k = 0; k < KW; k++)
                        if (p >= k && p - k < HALF_R)
                            acc[o + p - k] = vfma(v, w[k * C + j / 2], acc[o + p - k]);
                }
        }
        if (plain && t->nr == VL) {
#pragma GCC unroll 16
            for (int i = 0; i < R; i++, c += c_step)
                vstore(c, acc[i]);
            continue;
        }
        V sums[R];
        T *rows[R];
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            sums[i] = acc[i];
            rows[i] = c + i * c_step;
        }
        TYPE(gemm_tile) tile = *t;
        tile.mr = R;
        tile.c = rows;
        finish_any(&tile, sums, 1);
    }
}
#define SLIDE slide
#endif
#else
#define LAST {8, VL, KERNEL(gemm_narrow), NULL}
#define HALVES LAST
#endif
#ifndef SLIDE
#define SLIDE NULL
#endif
#define PANELS                                                                      \
    {{6, 4 * VL, KERNEL(gemm_wide), NULL},  {8, 2 * VL, KERNEL(gemm_middle), NULL}, \
     {8, VL, KERNEL(gemm_narrow), SLIDE},   LAST,                                   \
     {8, 3 * VL, KERNEL(gemm_three), NULL}, HALVES}
#else
PANEL(static, wide, 6, 2, 4, 2)
extern void KERNEL(gemm_narrow)(const TYPE(gemm_tile) *t);
PANEL(, narrow, 8, 1, 4, 2)
#define LAST {8, VL, KERNEL(gemm_narrow), NULL}
#define PANELS {{6, 2 * VL, KERNEL(gemm_wide), NULL}, LAST, LAST, LAST, LAST, LAST}
#endif

/* Every lane takes its a from its own group: the inputs of a tap lie in a vector, of which the lanes
 * pick in turn. Of what the next tile reads, the last tap is mostly all that no other has read. */
static __attribute__((noinline)) void groups_tile(const TYPE(gemm_tile) *t, ptrdiff_t S, U first)
{
    enum { MR = 8 };
    V acc[8][4];
    begin(t, acc, MR, 1);
    const cvl_gemm_run *const end = t->run + t->runs;
    for (const cvl_gemm_run *run = t->run; run != end; run++) {
        const ptrdiff_t at = t->a0 - t->lead + run->a;
        const T *b = t->b + run->k0 * VL;
        const T *const *a = t->a;
        V x[8];
        U pick = first;
        /* Rows stay where they are listed: there are not registers for all of them. */
        __asm__("" : "+r"(a));
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++)
            x[i] = vload(a[i] + at);
        if (run + 1 == end)
#pragma GCC unroll 8
            for (int i = 0; i < MR; i++)
                PREFETCH(a[MR + i] + at, 0);
#pragma GCC unroll 2
        for (ptrdiff_t k = 0; k < S; k++, b += VL) {
            const V bv = vload(b);
#pragma GCC unroll 8
            for (int i = 0; i < MR; i++)
                acc[i][0] = vfma(vpick(x[i], pick), bv, acc[i][0]);
            pick = unext(pick);
        }
    }
    finish(t, acc, MR, 1, ENDS);
}

/* Of one group the inputs are broadcast. Runs are short: few of their steps ask whether there are more. */
static __attribute__((noinline)) void group_tile(const TYPE(gemm_tile) *t)
{
    enum { MR = 8, STEPS = 4 };
    const T *a[MR];
    V acc[8][4];
    begin(t, acc, MR, 1);
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
        a[i] = t->a[i];
    for (const cvl_gemm_run *run = t->run; run != t->run + t->runs; run++) {
        const T *b = t->b + run->k0 * VL;
        ptrdiff_t k = t->a0 + run->a;
        const ptrdiff_t end = k + run->k;
        if (t->ahead)
#pragma GCC unroll 8
            for (int i = 0; i < MR; i++)
                PREFETCH(t->a[MR + i] + k, 0);
#pragma GCC unroll 1
        for (; end - k >= STEPS; k += STEPS, b += STEPS * VL) {
            __asm__("" : "+r"(k));
#pragma GCC unroll 4
            for (int s = 0; s < STEPS; s++)
                step(t, acc, a, k + s, b + s * VL, MR, 1, 1);
        }
#pragma GCC unroll 1
        for (; k != end; k++, b += VL) {
            __asm__("" : "+r"(k));
            step(t, acc, a, k, b, MR, 1, 1);
        }
    }
    finish(t, acc, MR, 1, ENDS);
}

void KERNEL(gemm_groups)(const TYPE(gemm_tile) *all)
{
    enum { MR = 8 };
    const int S = all->runs > 0 ? (int)all->run->k : 1, one = all->nr <= all->b_step;
    const U first = one ? uset1(0) : upick((int)all->b_step, S, all->lead);
    TYPE(gemm_tile) t = *all;
    for (int left = all->mr; left > 0; left -= MR, t.a += MR, t.c += MR) {
        t.mr = left < MR ? left : MR;
        if (one)
            group_tile(&t);
        else
            groups_tile(&t, S, first);
    }
}

#if defined(CVL_F32) && defined(CVL_LEVEL_AVX512)
/* A panel of two vectors is half of what a wide tile takes from L2, where it waits for it; and is fetched AHEAD
 * elements before, where it comes from beyond. */
enum { FEW_NV = 2, FEW_AHEAD = 2048 / (int)sizeof(T) };

INLINE void few_tile(const TYPE(gemm_tile) *t, int far, const int R)
{
    const T *a = t->a[0], *b = t->b;
    V acc[CVL_FEW_ROWS * FEW_NV];
#pragma GCC unroll 24
    for (int i = 0; i < R * FEW_NV; i++)
        acc[i] = vzero();
#pragma GCC unroll 1
    for (ptrdiff_t k = t->run->k; k > 0; k--, a += R, b += FEW_NV * VL) {
        if (far)
#pragma GCC unroll 2
            for (int j = 0; j < FEW_NV * VL; j += LINE)
                PREFETCH(b + FEW_AHEAD + j, 0);
        const V b0 = vload(b), b1 = vload(b + VL);
#pragma GCC unroll 12
        for (int i = 0; i < R; i++) {
            const V av = vset1(a[i]);
            acc[i * FEW_NV] = vfma(av, b0, acc[i * FEW_NV]);
            acc[i * FEW_NV + 1] = vfma(av, b1, acc[i * FEW_NV + 1]);
        }
    }
    V sums[CVL_FEW_ROWS * FEW_NV];
#pragma GCC unroll 24
    for (int i = 0; i < R * FEW_NV; i++)
        sums[i] = acc[i];
    finish_any(t, sums, FEW_NV);
}
#define FEW(name, R)                                                              \
    static __attribute__((noinline)) void name(const TYPE(gemm_tile) *t, int far) \
    {                                                                             \
        few_tile(t, far, R);                                                      \
    }
FEW(few_most, CVL_FEW_ROWS)
FEW(few_some, CVL_FEW_ROWS - 2)
FEW(few_least, CVL_FEW_ROWS - 4)

static void few(const TYPE(gemm_tile) *t, ptrdiff_t rows, int far)
{
    if (rows == CVL_FEW_ROWS)
        few_most(t, far);
    else if (rows == CVL_FEW_ROWS - 2)
        few_some(t, far);
    else
        few_least(t, far);
}
#define FEW_TILES few
#else
#define FEW_TILES NULL
#endif

#define CVL_KERNEL(result, name, arguments) extern result KERNEL(name) arguments;
#include "kernels.inc"
#undef CVL_KERNEL

const TYPE(kernels) KERNEL(kernels) = {
    .gemm = PANELS,
    .vector = sizeof(V),
    .few = FEW_TILES,
#define CVL_KERNEL(result, name, arguments) .name = KERNEL(name),
#include "kernels.inc"
#undef CVL_KERNEL
};
