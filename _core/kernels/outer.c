/* outer.c: sums of outer products, the micro-kernel of weight gradients.
 *
 * Per pixel one broadcast per row and NV loads of B: no row is a chain of dependent loads, and both
 * operands are read forwards. Of the tiles that fit the registers ROWS_3 x 3 vectors reads least per
 * multiply-add, then ROWS_2 x 2; of one vector there are ROWS_1, or too few chains would be on the way.
 *
 * What a tile reads lies in L2, and the CPU does not guess pixels that are far apart: the lines that lie
 * PIXELS_AHEAD are fetched. Up to 8 it makes no difference; 12 are too many for L1. Smaller tiles would
 * fetch a line more often than it is worth: without it they are 1.0 to 1.2 times as fast. */
#include "simd.h"

#ifdef CVL_MANY_REGISTERS
enum { VECTORS = 3, ROWS_3 = 8, ROWS_2 = CVL_OUTER_ROWS, ROWS_1 = 16, PIXELS_AHEAD = 4 };
#else
enum { VECTORS = 2, ROWS_3 = 1, ROWS_2 = 6, ROWS_1 = 8, PIXELS_AHEAD = 0 };
#endif

/* Whether masks serve parts of vectors and whole ones: one for B costs nothing where there are as many
 * loads as multiply-adds, and for C a branch for each row would double the code. */
#ifdef CVL_LEVEL_AVX512
enum { MASKS = 1 };
#else
enum { MASKS = 0 };
#endif

/* Whether a tile of one vector has fetched what is to come too, where that comes from far: up to 1.4 times as
 * fast. Where nothing does the question alone costs up to a twentieth. */
enum { ONE_FETCHES = MASKS };

/* Whether both have the same code without masks: the baseline is to be small. */
#ifdef CVL_FUSED
enum { SMALL = 0 };
#else
enum { SMALL = 1 };
#endif

/* The columns of a tile: those of its last vector, and where that begins. Of several it may overlap the one
 * before, and then both hold the same sums. */
typedef struct last_vector {
    int part;
    ptrdiff_t at;
} last_vector;

/* Writes the sums of a tile, or adds them to what there is. */
INLINE void write_sums(const TYPE(outer) *o, T *c, V acc[ROWS_1][VECTORS], last_vector last,
                       const int rows, const int NV)
{
    const ptrdiff_t c_step = o->c_step;
    const int add = o->add;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, c += c_step) {
        V *const sum = acc[i];
        if (add) {
#pragma GCC unroll 3
            for (int v = 0; v < NV - 1; v++)
                sum[v] = vadd(vload(c + v * VL), sum[v]);
            const V old =
                MASKS ? vload_n(c + last.at, last.part) : vload_part(c + last.at, last.part);
            sum[NV - 1] = vadd(old, sum[NV - 1]);
        }
#pragma GCC unroll 3
        for (int v = 0; v < NV - 1; v++)
            vstore(c + v * VL, sum[v]);
        if (MASKS)
            vstore_n(c + last.at, sum[NV - 1], last.part);
        else
            vstore_part(c + last.at, sum[NV - 1], last.part);
    }
}

/* Adds the products of a pixel: rows of x and columns of b, of which `full` says whether they are whole
 * vectors. */
INLINE void add_pixel(V acc[ROWS_1][VECTORS], const T *x, const T *b, last_vector last,
                      const int rows, const int NV, const int full)
{
    V bv[VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < NV - 1; v++)
        bv[v] = vload(b + v * VL);
    bv[NV - 1] = full    ? vload(b + last.at)
                 : SMALL ? vload_part(b, last.part)
                         : vload_n(b, last.part);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        const V av = vset1(x[i]);
#pragma GCC unroll 3
        for (int v = 0; v < NV; v++)
            acc[i][v] = vfma(av, bv[v], acc[i][v]);
    }
}

/* `rows` is constant where this is inlined, and so are NV and full. */
INLINE void tile(TYPE(outer) *o, ptrdiff_t i0, ptrdiff_t j0, const int rows, const int NV,
                 const int full)
{
    const ptrdiff_t a_step = o->a_step, b_step = o->b_step, left = o->columns - j0;
    const int part = left < VL ? (int)left : VL;
    const last_vector last = {part, left < NV * VL ? left - part : (NV - 1) * VL};
    TYPE(stretch) *next = o->ahead, ahead = *next;
    const int many = NV > 1;
    const int fetch = many || (ONE_FETCHES && ahead.step > 0);
    V acc[ROWS_1][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < NV; v++)
            acc[i][v] = vzero();
    for (ptrdiff_t r = 0; r < o->runs; r++) {
        const T *x = o->a + o->run[r].a + i0, *b = o->b + o->run[r].b + j0;
        if (PIXELS_AHEAD > 0 && many && r + 1 < o->runs)
#pragma GCC unroll 1
            for (int k = 0; k < PIXELS_AHEAD; k++)
                __builtin_prefetch(o->a + o->run[r + 1].a + i0 + k * a_step, 0, 3);
#pragma GCC unroll 1
        for (ptrdiff_t k = o->run[r].count; k > 0; k--, x += a_step, b += b_step) {
            if (fetch) {
                __builtin_prefetch(ahead.at, 0, 2);
                ahead.at += ahead.step;
                if (--ahead.left == 0)
                    ahead = *++next;
            }
            if (PIXELS_AHEAD > 0 && many)
#pragma GCC unroll 3
                for (int j = 0; j < NV * VL; j += LINE)
                    __builtin_prefetch(b + PIXELS_AHEAD * b_step + j, 0, 3);
            if (PIXELS_AHEAD > 0 && (many || rows > ROWS_2))
                __builtin_prefetch(x + PIXELS_AHEAD * a_step, 0, 3);
            add_pixel(acc, x, b, last, rows, NV, full);
        }
    }
    *next = ahead;
    o->ahead = next;
    write_sums(o, o->c + i0 * o->c_step + j0, acc, last, rows, NV);
}

/* NV vectors of columns from j on, in even tiles: 64 rows of 2 are four of 11 and two of 10, since a
 * short tile waits for loads. */
INLINE void strip(TYPE(outer) *o, ptrdiff_t j, const int most_rows, const int NV, const int full)
{
    const ptrdiff_t tiles = (o->rows + most_rows - 1) / most_rows;
    const ptrdiff_t least = o->rows / tiles, more = o->rows % tiles;
    for (ptrdiff_t i = 0, t = 0; t < tiles; t++) {
        const ptrdiff_t rows = least + (t < more);
        switch (rows) {
#define TILE(count)                         \
    case count:                             \
        if (count <= most_rows)             \
            tile(o, i, j, count, NV, full); \
        break;
            TILE(1)
            TILE(2)
            TILE(3)
            TILE(4)
            TILE(5)
            TILE(6)
            TILE(7)
            TILE(8)
#ifdef CVL_MANY_REGISTERS
            TILE(9)
            TILE(10)
            TILE(11)
            TILE(12)
            TILE(13)
            TILE(14)
            TILE(15)
            TILE(16)
#endif
#undef TILE
        }
        i += rows;
    }
}

void KERNEL(outer)(TYPE(outer) *o)
{
    /* Of 4 vectors 2 and 2: one alone is slow. And 2 at a time where all rows are then one tile, so that what
     * is loaded of B serves all of them. */
    const int one_tile = o->rows > ROWS_3 && o->rows <= ROWS_2;
    for (ptrdiff_t j = 0, vectors; j < o->columns; j += vectors * VL) {
        const ptrdiff_t left = (o->columns - j + VL - 1) / VL;
        vectors = left == 4 || (one_tile && left > 4) ? 2 : left < VECTORS ? left : VECTORS;
        if (VECTORS == 3 && vectors == 3)
            strip(o, j, ROWS_3, VECTORS, 1);
        else if (vectors == 2)
            strip(o, j, ROWS_2, 2, 1);
        else if (MASKS || SMALL || j + VL > o->columns)
            strip(o, j, ROWS_1, 1, 0);
        else
            strip(o, j, ROWS_1, 1, 1);
    }
}

#if !defined(CVL_LEVEL_AVX512) && !defined(CVL_LEVEL_AVX2)
static __attribute__((noinline)) V load_some(const T *p, int n) { return vload_n(p, n); }
#endif

/* The first n elements. Mostly that is all of them, and masks would take registers. */
INLINE V load_first(const T *p, int n)
{
#if defined(CVL_LEVEL_AVX512)
    return vload_n(p, n);
#elif defined(CVL_LEVEL_AVX2)
    return vload_part(p, n);
#else
    return n < VL ? load_some(p, n) : vload(p);
#endif
}

enum { GROUP_ROWS = 8 }; /* at most: inputs of a group */

/* Two vectors of groups, at x0 and b0 of a pixel, and what they hold of it. */
typedef struct pair {
    ptrdiff_t x0, b0;
    int x_lanes[2], b_lanes[2];
    U pick; /* for the first row */
} pair;

/* `rows` rows of them, which is constant where this is inlined, and so is `full`, whether the vectors are. */
INLINE void group_rows(const TYPE(outer) *o, const pair *p, V *sums, const int rows, const int full)
{
    const int x_lanes[2] = {p->x_lanes[0], p->x_lanes[1]};
    const int b_lanes[2] = {p->b_lanes[0], p->b_lanes[1]};
    U pick[GROUP_ROWS];
    V acc[GROUP_ROWS][2];
    pick[0] = p->pick;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        acc[i][0] = acc[i][1] = vzero();
        if (i > 0)
            pick[i] = unext(pick[i - 1]);
    }
    for (ptrdiff_t r = 0; r < o->runs; r++) {
        const T *x = o->a + o->run[r].a + p->x0, *b = o->b + o->run[r].b + p->b0;
#pragma GCC unroll 1
        for (ptrdiff_t k = 0; k < o->run[r].count; k++, x += o->a_step, b += o->b_step)
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                const V xv = full ? vload(x + v * VL) : load_first(x + v * x_lanes[0], x_lanes[v]);
                const V bv = full ? vload(b + v * VL) : load_first(b + v * b_lanes[0], b_lanes[v]);
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++)
                    acc[i][v] = vfma(vpick(xv, pick[i]), bv, acc[i][v]);
            }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        sums[2 * i] = acc[i][0];
        sums[2 * i + 1] = acc[i][1];
    }
}

#define ROWS(count)                                                                         \
    static __attribute__((noinline)) void rows_##count(const TYPE(outer) *o, const pair *p, \
                                                       V *sums)                             \
    {                                                                                       \
        if (!MASKS && VL >= 8 && p->x_lanes[1] == VL && p->b_lanes[1] == VL)                \
            group_rows(o, p, sums, count, 1);                                               \
        else                                                                                \
            group_rows(o, p, sums, count, 0);                                               \
    }
ROWS(1)
ROWS(2)
#if VL >= 8
ROWS(3)
ROWS(4)
#endif
#if VL >= 16
ROWS(8)
#endif
#undef ROWS

/* By their number. */
static void (*const rows_of[])(const TYPE(outer) *o, const pair *p, V *sums) = {
    NULL,   rows_1, rows_2,
#if VL >= 8
    rows_3, rows_4,
#endif
#if VL >= 16
    NULL,   NULL,   NULL,   rows_8,
#endif
};

void KERNEL(outer_groups)(const TYPE(outer) *o)
{
    const ptrdiff_t inputs = o->rows, outputs = o->group;
    const ptrdiff_t per_vector = VL / (inputs > outputs ? inputs : outputs);
    const ptrdiff_t groups = o->columns / outputs;
    const ptrdiff_t first_part = inputs > 4 && inputs < 8 ? inputs / 2 : inputs;
    for (ptrdiff_t i0 = 0, rows = first_part; i0 < inputs; i0 += rows, rows = inputs - i0) {
        pair p = {.pick = upick((int)outputs, (int)inputs, (int)i0)};
#pragma GCC unroll 1
        for (ptrdiff_t g = 0; g < groups; g += 2 * per_vector) {
            V sums[2 * GROUP_ROWS];
            p.x0 = g * inputs;
            p.b0 = g * outputs;
#pragma GCC unroll 1
            for (int v = 0; v < 2; v++) {
                const ptrdiff_t left = groups - g - v * per_vector;
                const ptrdiff_t n = left < per_vector ? left : per_vector;
                p.x_lanes[v] = (int)((n > 0 ? n : 0) * inputs);
                p.b_lanes[v] = (int)((n > 0 ? n : 0) * outputs);
            }
            rows_of[rows](o, &p, sums);
            T *c = o->c + i0 * o->c_step + p.b0;
#pragma GCC unroll 1
            for (ptrdiff_t i = 0; i < 2 * rows; i++) {
                T *at = c + i / 2 * o->c_step + i % 2 * p.b_lanes[0];
                const int n = p.b_lanes[i % 2];
                vstore_n(at, o->add ? vadd(load_first(at, n), sums[i]) : sums[i], n);
            }
        }
    }
}

/* Pixels lie too far apart for the CPU to find out what comes next: 8 of 4 lines cost half as much where
 * they are fetched ahead, 4 or 16 about as little. */
enum { PANELS_AHEAD = 8 };

void KERNEL(outer_panels)(ptrdiff_t count, ptrdiff_t columns, ptrdiff_t width, T *out,
                          ptrdiff_t panel, const T *in, ptrdiff_t in_step)
{
    for (ptrdiff_t k = 0; k < count; k++, in += in_step, out += width) {
        T *to = out;
        for (ptrdiff_t j = 0; j < columns; j += LINE)
            __builtin_prefetch(in + PANELS_AHEAD * in_step + j, 0, 3);
        if (width < VL) {
            for (ptrdiff_t j = 0; j < columns; j += width, to += panel)
                vstore_n(to, vload_n(in + j, (int)width), (int)width);
            continue;
        }
        for (ptrdiff_t j = 0; j < columns; j += width, to += panel) {
            const ptrdiff_t n = columns - j < width ? columns - j : width;
            ptrdiff_t i = 0;
            for (; i + VL <= n; i += VL)
                vstore(to + i, vload(in + j + i));
            if (i < n && i + VL <= width) /* zeros in the lanes that tiles load besides */
                vstore(to + i, vload_part(in + j + i, n - i));
            else if (i < n)
                vstore_part(to + i, vload_part(in + j + i, n - i), n - i);
        }
    }
}
