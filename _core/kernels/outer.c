/* outer.c: sums of outer products, the micro-kernel of weight gradients.
 *
 * Per pixel one broadcast per row and NV loads of B: no row is a chain of dependent loads, and both
 * operands are read forwards. ROWS x 2 vectors reads least per multiply-add of the tiles that fit
 * the registers; of one vector there are ROWS_1, or too few chains would be on the way. */
#include "simd.h"

#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
enum { ROWS = CVL_OUTER_ROWS, ROWS_1 = 16 };
#else
enum { ROWS = 6, ROWS_1 = 8 };
#endif

/* Whether masks serve parts of vectors and whole ones: one for B costs nothing where there are as many
 * loads as multiply-adds, and for C a branch for each row would double the code. */
#ifdef CVL_LEVEL_AVX512
enum { MASKS = 1 };
#else
enum { MASKS = 0 };
#endif

/* Of more rows than ROWS one pixel of A fills a line, whose loads come as close as may be: the line of
 * a few pixels on is fetched. */
enum { NEXT = 4 };

/* `rows` is constant where this is inlined, and so are NV and full, whether it has NV whole vectors to
 * load. Of two the second may overlap the first, and then both hold the same sums. */
INLINE void tile(const TYPE(outer) *o, const T *a, ptrdiff_t a_step, ptrdiff_t i0, ptrdiff_t j0,
                 const int rows, const int NV, const int full, TYPE(stretch) **ahead)
{
    const int fetch = NV == 2; /* one vector waits for its loads as it is */
    const ptrdiff_t b_step = o->b_step, left = o->columns - j0;
    const int part = left < NV * VL ? (int)(left - (NV - 1) * VL) : VL;
    const int overlaps = NV == 2 && !o->b_panel;
    const ptrdiff_t second = overlaps ? part : VL;
    const int n = overlaps ? VL : part;
    const T *const b0 =
        o->b + (o->b_panel ? j0 / CVL_OUTER_COLUMNS * o->b_panel + j0 % CVL_OUTER_COLUMNS : j0);
    V acc[ROWS_1][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = vzero();
    for (ptrdiff_t r = 0; r < o->runs; r++) {
        const T *x = o->packed ? a : o->a + o->run[r].a + i0;
        const T *b = b0 + o->run[r].b;
        ptrdiff_t count = o->run[r].count;
        a += count * a_step;
        do {
            ptrdiff_t stop = count, step = 0;
            const T *at = NULL;
            if (fetch) {
                TYPE(stretch) *const f = *ahead += (*ahead)->left == 0;
                stop = f->left < count ? f->left : count;
                step = f->step;
                at = f->at;
                f->left -= stop;
                f->at += stop * step;
            }
            count -= stop;
#pragma GCC unroll 1
            for (ptrdiff_t k = 0; k < stop; k++, x += a_step, b += b_step) {
                V bv[2];
                if (fetch) {
                    __builtin_prefetch(at, 0, 2);
                    at += step;
                }
                if (rows > ROWS)
                    __builtin_prefetch(x + NEXT * a_step, 0, 3);
                bv[0] = full ? vload(b) : vload_n(b, part);
                if (NV == 2)
                    bv[1] = vload(b + second);
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++) {
                    const V av = vset1(x[i]);
                    acc[i][0] = vfma(av, bv[0], acc[i][0]);
                    if (NV == 2)
                        acc[i][1] = vfma(av, bv[1], acc[i][1]);
                }
            }
        } while (count > 0);
    }
    const ptrdiff_t c_step = o->c_step;
    const int add = o->add;
    T *c = o->c + i0 * c_step + j0;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, c += c_step) {
        T *const last = NV == 2 ? c + second : c;
        if (add) {
            acc[i][NV - 1] = vadd(MASKS ? vload_n(last, n) : vload_part(last, n), acc[i][NV - 1]);
            if (NV == 2)
                acc[i][0] = vadd(vload(c), acc[i][0]);
        }
        if (MASKS)
            vstore_n(last, acc[i][NV - 1], n);
        else
            vstore_part(last, acc[i][NV - 1], n);
        if (NV == 2)
            vstore(c, acc[i][0]);
    }
}

INLINE void panels(const TYPE(outer) *o, const T *a, ptrdiff_t a_step, ptrdiff_t i0,
                   TYPE(stretch) **ahead, const int rows)
{
    ptrdiff_t j = 0;
    for (; rows <= ROWS && j + VL < o->columns; j += 2 * VL)
        tile(o, a, a_step, i0, j, rows, 2, 1, ahead);
    if (j >= o->columns)
        return;
    if (MASKS || j + VL > o->columns)
        tile(o, a, a_step, i0, j, rows, 1, 0, ahead);
    else
        tile(o, a, a_step, i0, j, rows, 1, 1, ahead);
}

/* Copies `tiles` times `rows` elements to places `apart`. */
INLINE const T *deal(T *to, ptrdiff_t apart, const T *from, ptrdiff_t tiles, ptrdiff_t rows)
{
    const ptrdiff_t whole = rows / VL * VL;
    for (; tiles > 0; tiles--, to += apart, from += rows) {
        for (ptrdiff_t i = 0; i < whole; i += VL)
            vstore(to + i, vload(from + i));
        vstore_n(to + whole, vload_n(from + whole, (int)(rows - whole)), (int)(rows - whole));
    }
    return from;
}

/* Copies A, pixel by pixel, to where tiles find their rows one after the other: the first `more` of
 * them have one more than `rows`. Returns the number of pixels. */
static ptrdiff_t pack(const TYPE(outer) *o, ptrdiff_t tiles, ptrdiff_t rows, ptrdiff_t more)
{
    ptrdiff_t depth = 0, k = 0;
    for (ptrdiff_t r = 0; r < o->runs; r++)
        depth += o->run[r].count;
    T *const rest = o->packed + more * depth * (rows + 1);
    for (ptrdiff_t r = 0; r < o->runs; r++) {
        const T *from = o->a + o->run[r].a;
        for (const ptrdiff_t end = k + o->run[r].count; k < end; k++, from += o->a_step) {
            const T *x = deal(o->packed + k * (rows + 1), depth * (rows + 1), from, more, rows + 1);
            deal(rest + k * rows, depth * rows, x, tiles - more, rows);
        }
    }
    return depth;
}

void KERNEL(outer)(TYPE(outer) *o)
{
    /* Even tiles: 64 rows are four of 11 and two of 10, since a short tile waits for loads. */
    const ptrdiff_t most = o->columns > VL ? ROWS : ROWS_1;
    const ptrdiff_t tiles = (o->rows + most - 1) / most;
    const ptrdiff_t least = o->rows / tiles, more = o->rows % tiles;
    const ptrdiff_t depth = o->packed ? pack(o, tiles, least, more) : 0;
    for (ptrdiff_t i = 0, t = 0; t < tiles; t++) {
        const ptrdiff_t rows = least + (t < more);
        const ptrdiff_t a_step = o->packed ? rows : o->a_step;
        const T *const a = o->packed + i * depth;
        switch (rows) {
#define TILE(count)                                \
    case count:                                    \
        panels(o, a, a_step, i, &o->ahead, count); \
        break;
            TILE(1)
            TILE(2)
            TILE(3)
            TILE(4)
            TILE(5)
            TILE(6)
            TILE(7)
            TILE(8)
#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
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

/* Columns j .. j + 2 VL of groups of S, which is constant where this is inlined. */
INLINE void group_columns(const TYPE(outer) *o, ptrdiff_t j, const int S)
{
    U pick[8];
    V acc[8][2];
    pick[0] = upick(S, S);
#pragma GCC unroll 8
    for (int i = 0; i < S; i++) {
        acc[i][0] = acc[i][1] = vzero();
        if (i > 0)
            pick[i] = unext(pick[i - 1]);
    }
    for (ptrdiff_t r = 0; r < o->runs; r++) {
        const T *x = o->a + o->run[r].a + j, *b = o->b + o->run[r].b + j;
#pragma GCC unroll 1
        for (ptrdiff_t k = 0; k < o->run[r].count; k++, x += o->a_step, b += o->b_step)
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                const V xv = vload(x + v * VL), bv = vload(b + v * VL);
#pragma GCC unroll 8
                for (int i = 0; i < S; i++)
                    acc[i][v] = vfma(vpick(xv, pick[i]), bv, acc[i][v]);
            }
    }
#pragma GCC unroll 8
    for (int i = 0; i < S; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            T *c = o->c + i * o->c_step + j + v * VL;
            vstore(c, o->add ? vadd(vload(c), acc[i][v]) : acc[i][v]);
        }
}

void KERNEL(outer_groups)(const TYPE(outer) *o)
{
    for (ptrdiff_t j = 0; j < o->columns; j += 2 * VL) {
        if (VL >= 4 && o->rows == 2)
            group_columns(o, j, 2);
        if (VL >= 8 && o->rows == 4)
            group_columns(o, j, 4);
        if (VL >= 16 && o->rows == 8)
            group_columns(o, j, 8);
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
        for (ptrdiff_t j = 0; j < columns; j += CVL_LINE / (ptrdiff_t)sizeof(T))
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
