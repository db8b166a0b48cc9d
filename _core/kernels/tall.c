/* tall.c: many rows times a few columns, row after row of dense memory: no tile needs pointers, and
 * none a call through one.
 *
 * Columns lie in the lanes of a few vectors; but where they leave most of a vector empty, rows do: LANE of
 * their elements at a time are turned on their way to the multiply-adds. Either way an output is one FMA
 * chain over each CVL_ORDER_K, and these are added in order. */
#include "epilogue.h"
#include "order.h"
#include "simd.h"

/* Rows of a tile of so many vectors: as many as registers hold. One vector of them is more chains than two
 * units have latency for; 8, which are no more, take 1.1 times as long. STEPS of k are counted at once: with
 * 16 registers, which hold no pointers for several, it is as well to count each. */
#ifdef CVL_MANY_REGISTERS
enum { ROWS_1 = 12, ROWS_2 = 12, ROWS_3 = 8, ROWS_4 = 6, STEPS = 4 };
#else
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 8, ROWS_4 = 6, STEPS = 1 };
#endif
enum { SUMS = 24 }; /* vectors of a tile, at most */

/* Rows that share a pointer, from which they are found by their stride: registers do not hold one each. */
enum { GROUP = 4 };

/* But up to so many rows have one each, and one index for all, which is moved two k at a time: adding to
 * pointers takes turns with the multiply-adds. 1.0 to 1.09 times as fast from 32 k on, 0.95 to 0.99 of 16
 * to 24; in the baseline 0.89. */
#ifdef CVL_LEVEL_AVX2
enum { INDEXED = ROWS_2 };
#else
enum { INDEXED = 0 };
#endif

/* Vectors of a tile whose rows lie in the lanes: one alone waits for its sums. */
enum { TURNED = 2 };

/* Vectors that a weight is loaded for at once: as many as registers hold what is turned of. */
#ifdef CVL_LEVEL_AVX512
enum { BESIDE = TURNED };
#else
enum { BESIDE = 1 };
#endif

/* CVL_TALL_CLASSES columns leave so much of these vectors empty that rows are turned for them too, whose
 * sums are enough in one vector. */
#if defined(CVL_F32) && (defined(CVL_LEVEL_AVX2) || defined(CVL_LEVEL_AVX512))
#define CLASSES
#endif
enum { MOST = CVL_TALL_CLASSES };
#define GROUPS(N) ((N) > CVL_TALL_FEW ? 1 : TURNED)
_Static_assert((int)ROWS_1 <= (int)CVL_TALL_ROWS && TURNED * VL <= CVL_TALL_ROWS, "rows of a tile");

/* Fetches the elements [at, at + count) past the tile, which the next one begins with. */
INLINE void fetch(const T *at, const int count)
{
#pragma GCC unroll 8
    for (int i = 0; i < count; i += LINE)
        __builtin_prefetch(at + i, 0, 3);
}

/* ------------------------------------------------------------------------- columns in the lanes */

/* Writes sums (R, NV) with whatever is asked for on the way. */
static __attribute__((noinline)) void finish_any(const TYPE(tall) *t, T *c, const V *sums,
                                                 ptrdiff_t k0, int R, int NV)
{
    const int last = t->K - k0 <= CVL_ORDER_K;
    for (int j = 0; j < NV; j++) {
        const ptrdiff_t columns = t->columns - j * VL;
        const V bias = last && t->end.bias ? vload_part(t->end.bias + j * VL, columns) : vzero();
        T *at = c + j * VL;
        for (int i = 0; i < R; i++, at += t->c_step) {
            V v = sums[i * NV + j];
            if (k0 > 0)
                v = vadd(vload_part(at, columns), v);
            if (last && t->end.bias)
                v = vadd(v, bias);
            vstore_part(at, last ? activate(v, &t->end) : v, columns);
        }
    }
}

INLINE void finish(const TYPE(tall) *t, T *c, V *acc, ptrdiff_t k0, const int R, const int NV)
{
    const ptrdiff_t step = t->c_step;
    const int left = (int)(t->columns - (NV - 1) * VL);
    const int ends = t->end.bias || t->end.activation != CVL_ACTIVATION_NONE;
    if (t->K > CVL_ORDER_K || (ends && !(ENDS && t->end.bias && is_bounded(&t->end)))) {
        V sums[SUMS];
#pragma GCC unroll 24
        for (int i = 0; i < R * NV; i++)
            sums[i] = acc[i];
        finish_any(t, c, sums, k0, R, NV);
        return;
    }
    if (ends) {
        const V low = low_of(&t->end), high = high_of(&t->end);
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++) {
            const V bias =
                j < NV - 1 ? vload(t->end.bias + j * VL) : vload_part(t->end.bias + j * VL, left);
#pragma GCC unroll 12
            for (int i = 0; i < R; i++)
                acc[i * NV + j] = bound(vadd(acc[i * NV + j], bias), low, high);
        }
    }
    if (left == VL) {
#pragma GCC unroll 12
        for (int i = 0; i < R; i++, c += step)
#pragma GCC unroll 4
            for (int j = 0; j < NV; j++)
                vstore(c + j * VL, acc[i * NV + j]);
    } else {
#pragma GCC unroll 12
        for (int i = 0; i < R; i++, c += step) {
#pragma GCC unroll 3
            for (int j = 0; j < NV - 1; j++)
                vstore(c + j * VL, acc[i * NV + j]);
            vstore_n(c + (NV - 1) * VL, acc[i * NV + NV - 1], left);
        }
    }
}

/* One k: row i, of those from the pointers on, has its element at [k]. */
INLINE void step(V *acc, const T *const *group, ptrdiff_t row, ptrdiff_t k, const T *b, const int R,
                 const int NV)
{
    const int of_group = R <= INDEXED ? 1 : GROUP;
    V bv[4];
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++)
        bv[j] = vload(b + j * VL);
#pragma GCC unroll 12
    for (int i = 0; i < R; i++) {
        const V av = vset1((group[i / of_group] + i % of_group * row)[k]);
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++)
            acc[i * NV + j] = vfma(av, bv[j], acc[i * NV + j]);
    }
}

/* Tiles of R rows; the last overlaps the one before it. */
INLINE void tiles(const TYPE(tall) *t, const int R, const int NV)
{
    const ptrdiff_t row = t->K;
    const int far = NV < 4 || t->a_far, steps = R <= INDEXED ? 2 : STEPS;
    const int of_group = R <= INDEXED ? 1 : GROUP, moved = R <= INDEXED ? 0 : R;
    const T *a = t->a;
    T *c = t->c;
#pragma GCC unroll 1
    for (ptrdiff_t rows = t->rows; rows > 0; rows -= R) {
        if (rows < R) {
            a -= (R - rows) * row;
            c -= (R - rows) * t->c_step;
        }
        const T *b = t->b, *group[ROWS_2], *next = a + R * row;
#pragma GCC unroll 6
        for (int i = 0; i * of_group < R; i++)
            group[i] = a + i * of_group * row;
        if (t->c_far)
#pragma GCC unroll 12
            for (int i = 0; i < R; i++)
#pragma GCC unroll 4
                for (int j = 0; j < NV; j++)
                    __builtin_prefetch(c + i * t->c_step + j * VL, 1, 3);
#pragma GCC unroll 1
        for (ptrdiff_t k0 = 0; k0 < row; k0 += CVL_ORDER_K) {
            V acc[SUMS];
#pragma GCC unroll 24
            for (int i = 0; i < R * NV; i++)
                acc[i] = vzero();
            ptrdiff_t left = row - k0 < CVL_ORDER_K ? row - k0 : CVL_ORDER_K;
            ptrdiff_t at = R <= INDEXED ? k0 : 0;
#pragma GCC unroll 1
            for (; left >= steps; left -= steps, b += steps * NV * VL, next += steps * R) {
                if (far)
                    fetch(next, steps * R);
#pragma GCC unroll 4
                for (int k = 0; k < steps; k++)
                    step(acc, group, row, at + k, b + k * NV * VL, R, NV);
                /* The compiler would turn pointers into an index, and the index into pointers. */
#pragma GCC unroll 3
                for (int i = 0; i * GROUP < moved; i++) {
                    group[i] += steps;
                    __asm__("" : "+r"(group[i]));
                }
                if (R <= INDEXED) {
                    at += steps;
                    __asm__("" : "+r"(at));
                }
            }
#pragma GCC unroll 1
            for (; left > 0; left--, b += NV * VL) {
                step(acc, group, row, at, b, R, NV);
#pragma GCC unroll 3
                for (int i = 0; i * GROUP < moved; i++)
                    group[i]++;
                at += R <= INDEXED;
            }
            finish(t, c, acc, k0, R, NV);
        }
        a += R * row;
        c += R * t->c_step;
    }
}

/* ---------------------------------------------------------------------------- rows in the lanes */

/* Sums of VL rows, column by column: bias, then activation. */
static __attribute__((noinline)) void end_columns(const TYPE(tall) *t, V *sum)
{
    for (ptrdiff_t j = 0; j < t->columns; j++) {
        if (t->end.bias)
            sum[j] = vadd(sum[j], vset1(t->end.bias[j]));
        sum[j] = activate(sum[j], &t->end);
    }
}

/* Writes the sums of VL rows and N columns. */
INLINE void put(const TYPE(tall) *t, T *c, const V *sum, const int N)
{
    const ptrdiff_t step = t->c_step;
    V ends[MOST];
#pragma GCC unroll 10
    for (int j = 0; j < N; j++)
        ends[j] = sum[j];
    if (t->end.bias || t->end.activation != CVL_ACTIVATION_NONE)
        end_columns(t, ends);
    if (N == 1 && step == 1) {
        vstore(c, ends[0]);
        return;
    }
#pragma GCC unroll 4
    for (int first = 0; first < N; first += LANE) {
        const int count = N - first < LANE ? N - first : LANE;
        V r[LANE];
        T rows[LANE * VL];
#pragma GCC unroll 4
        for (int j = 0; j < LANE; j++)
            r[j] = ends[first + (j < count ? j : count - 1)];
        turn_lanes(r);
#pragma GCC unroll 4
        for (int j = 0; j < LANE; j++)
            vstore(rows + j * VL, r[j]);
        T *row = c + first;
#pragma GCC unroll 1
        for (int lane = 0; lane < VL; lane += LANE)
#pragma GCC unroll 4
            for (int i = 0; i < LANE; i++, row += step)
                memcpy(row, rows + i * VL + lane, (size_t)count * sizeof(T));
    }
}

/* LANE k from `a` and b on, of which those from `first` on are taken. */
INLINE void turned_step(V acc[TURNED][MOST], const T *a, ptrdiff_t row, const T *b, int first,
                        const int N)
{
    const int G = GROUPS(N);
#pragma GCC unroll 2
    for (int g0 = 0; g0 < G; g0 += BESIDE) {
        const int beside = G < BESIDE ? G : BESIDE;
        V r[BESIDE][LANE];
#pragma GCC unroll 2
        for (int g = 0; g < beside; g++)
            vload_turned(r[g], a + (g0 + g) * VL * row, row, VL);
#pragma GCC unroll 4
        for (int i = 0; i < LANE; i++)
            if (i >= first)
#pragma GCC unroll 10
                for (int j = 0; j < N; j++) {
                    const V bv = vset1(b[i * N + j]);
#pragma GCC unroll 2
                    for (int g = 0; g < beside; g++)
                        acc[g0 + g][j] = vfma(r[g][i], bv, acc[g0 + g][j]);
                }
    }
}

INLINE void turned_tile(const TYPE(tall) *t, const T *a, T *c, const int N)
{
    const int G = GROUPS(N), R = G * VL;
    const ptrdiff_t row = t->K;
    const T *next = a + R * row, *b = t->b;
    V sum[TURNED][MOST];
#pragma GCC unroll 2
    for (int g = 0; g < G; g++)
#pragma GCC unroll 10
        for (int j = 0; j < N; j++)
            sum[g][j] = vzero();
#pragma GCC unroll 1
    for (ptrdiff_t k0 = 0; k0 < row; k0 += CVL_ORDER_K) {
        V acc[TURNED][MOST];
        ptrdiff_t left = row - k0 < CVL_ORDER_K ? row - k0 : CVL_ORDER_K;
#pragma GCC unroll 2
        for (int g = 0; g < G; g++)
#pragma GCC unroll 10
            for (int j = 0; j < N; j++)
                acc[g][j] = vzero();
#pragma GCC unroll 1
        for (; left >= LANE; left -= LANE, a += LANE, b += LANE * N, next += LANE * R) {
            fetch(next, LANE * R);
            turned_step(acc, a, row, b, 0, N);
        }
        if (left > 0) { /* they are turned with those before them */
            const ptrdiff_t back = LANE - left;
            turned_step(acc, a - back, row, b - back * N, (int)back, N);
            a += left;
            b += left * N;
        }
#pragma GCC unroll 2
        for (int g = 0; g < G; g++)
#pragma GCC unroll 10
            for (int j = 0; j < N; j++)
                sum[g][j] = k0 == 0 ? acc[g][j] : vadd(sum[g][j], acc[g][j]);
    }
#pragma GCC unroll 2
    for (int g = 0; g < G; g++)
        put(t, c + g * VL * t->c_step, sum[g], N);
}

/* ------------------------------------------------------------------------------------ all rows */

INLINE void turned_tiles(const TYPE(tall) *t, const int N)
{
    const int R = GROUPS(N) * VL;
#pragma GCC unroll 1
    for (ptrdiff_t i = 0; i < t->rows; i += R) {
        const ptrdiff_t row = i < t->rows - R ? i : t->rows - R;
        turned_tile(t, t->a + row * t->K, t->c + row * t->c_step, N);
    }
}

/* Functions of their own, or the compiler runs out of registers. */
#define TILES(name, call) \
    static __attribute__((noinline)) void name(const TYPE(tall) *t) { call; }
TILES(tiles_1, tiles(t, ROWS_1, 1))
TILES(tiles_2, tiles(t, ROWS_2, 2))
#ifdef CVL_MANY_REGISTERS
TILES(tiles_3, tiles(t, ROWS_3, 3))
TILES(tiles_4, tiles(t, ROWS_4, 4))
#endif
TILES(turned_1, turned_tiles(t, 1))
TILES(turned_2, turned_tiles(t, 2))
TILES(turned_3, turned_tiles(t, 3))
TILES(turned_4, turned_tiles(t, 4))
#ifdef CLASSES
TILES(turned_classes, turned_tiles(t, CVL_TALL_CLASSES))
#endif

void KERNEL(tall)(const TYPE(tall) *t)
{
    static void (*const turned[])(const TYPE(tall) *t) = {turned_1, turned_2, turned_3, turned_4};
    static void (*const in_place[])(const TYPE(tall) *t) = {tiles_1, tiles_2,
#ifdef CVL_MANY_REGISTERS
                                                            tiles_3, tiles_4
#endif
    };
    assert(t->K >= LANE);
#ifdef CLASSES
    if (t->turned && t->columns == CVL_TALL_CLASSES) {
        turned_classes(t);
        return;
    }
#endif
    assert(t->rows >= CVL_TALL_ROWS);
    if (t->turned)
        turned[t->columns - 1](t);
    else
        in_place[(t->columns - 1) / VL](t);
}
