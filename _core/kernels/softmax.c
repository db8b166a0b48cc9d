/* softmax.c: softmax, log-softmax and cross-entropy over rows of C classes.
 *
 * Three sweeps per row, all in cache: the largest; e = exp(z - largest), stored and added up; the
 * result from e. Storing e beats computing it twice by a quarter. Sums run in CVL_ORDER_LANES
 * lanes, element c in lane c mod 64, folded by a binary tree: the same bits for every VL.
 *
 * A NaN or +inf in a row, or nothing but -inf, makes its sum NaN, since inf - inf is NaN; that sum
 * then makes the whole row NaN. */
#include "cross_entropy.h"
#include "order.h"

enum { LANES = CVL_ORDER_LANES, VECTORS = LANES / VL };

static const T lane_numbers[LANES] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

/* ------------------------------------------------------------------------- sums over a row */

/* The terms c, c + 1, ... of a sum, of which n exist; the others may be anything. */
typedef V term(const row *r, ptrdiff_t c, ptrdiff_t n);

INLINE V element(const row *r, ptrdiff_t c, ptrdiff_t n) { return vload_part(r->a + c, n); }

INLINE V product(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    return vmul(vload_part(r->a + c, n), vload_part(r->b + c, n));
}

INLINE V exponential(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    const V e = vexp(vsub(vload_part(r->a + c, n), vset1(r->largest)));
    vstore_part(r->e + c, e, n);
    return e;
}

/* u = w (keep b + share), where b and w may be NULL for 0 and 1. */
INLINE V coefficient(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    V u = vset1(r->share);
    if (r->b)
        u = vfma(vload_part(r->b + c, n), vset1(r->keep), u);
    return r->w ? vmul(u, vload_part(r->w + c, n)) : u;
}

/* u (largest - a), and 0 where u is 0 even if a is -inf. */
INLINE V weighted_distance(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    const V u = coefficient(r, c, n);
    const V distance = vsub(vset1(r->largest), vload_part(r->a + c, n));
    return vselect(veq(u, vzero()), vzero(), vmul(u, distance));
}

/* Adds the terms from c to `end` to the lanes, as many as come in whole groups of lanes. */
INLINE void add_groups(V lanes[VECTORS], const row *r, term *of, ptrdiff_t c, ptrdiff_t end)
{
    V sums[VECTORS]; /* in registers */
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++)
        sums[j] = lanes[j];
    for (; c < end; c += LANES)
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++)
            sums[j] = vadd(sums[j], of(r, c + j * VL, VL));
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++)
        lanes[j] = sums[j];
}

/* The same of one group, of which n terms exist, all but the one numbered `skip`. */
INLINE void add_part(V lanes[VECTORS], const row *r, term *of, ptrdiff_t c, ptrdiff_t n,
                     ptrdiff_t skip)
{
    const V end = vset1((T)n), skipped = vset1((T)skip);
#pragma GCC unroll 1
    for (ptrdiff_t j = 0; j * VL < n; j++) {
        const V number = vload(lane_numbers + j * VL);
        V v = vselect(vgt(end, number), of(r, c + j * VL, n - j * VL), vzero());
        v = vselect(veq(number, skipped), vzero(), v);
        lanes[j] = vadd(lanes[j], v);
    }
}

/* The sum of a row's terms but the one numbered `skip` (-1: of all). `of` is inlined. */
INLINE T sum(const row *r, term *of, ptrdiff_t skip)
{
    const ptrdiff_t whole = r->C / LANES * LANES;
    V lanes[VECTORS];
    T lane[VL];
    for (int j = 0; j < VECTORS; j++)
        lanes[j] = vzero();
    for (ptrdiff_t c = 0; c < r->C; c += LANES) {
        const ptrdiff_t end = skip >= c && skip < whole ? skip / LANES * LANES : whole;
        add_groups(lanes, r, of, c, end);
        c = end;
        if (c < r->C)
            add_part(lanes, r, of, c, r->C - c < LANES ? r->C - c : LANES, skip - c);
    }
#pragma GCC unroll 6
    for (int half = VECTORS / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lanes[j] = vadd(lanes[j], lanes[j + half]);
    vstore(lane, lanes[0]);
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* The largest of a row's numbers, -inf if it has none; a maximum has no order to fix. */
static T largest(ptrdiff_t C, const T *z)
{
    const V lowest = vset1(-INFINITY);
    V best[4] = {lowest, lowest, lowest, lowest};
    T lane[VL];
    ptrdiff_t c = 0;
    for (; c + 4 * VL <= C; c += 4 * VL)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            best[j] = vmax(vload(z + c + j * VL), best[j]);
    for (; c < C; c += VL) {
        const V exists = vset1((T)(C - c));
        const V v = vload_part(z + c, C - c);
        best[0] = vmax(vselect(vgt(exists, vload(lane_numbers)), v, lowest), best[0]);
    }
    best[0] = vmax(vmax(best[0], best[1]), vmax(best[2], best[3]));
    vstore(lane, best[0]);
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i + half] > lane[i] ? lane[i + half] : lane[i];
    return lane[0];
}

/* The first place of `value` in a row; 0 where it is not in it, as in a row of NaN. */
INLINE ptrdiff_t place(ptrdiff_t C, const T *z, T value)
{
    ptrdiff_t c = 0;
    while (c + VL < C && !vany(veq(vload(z + c), vset1(value))))
        c += VL;
    for (; c < C; c++)
        if (z[c] == value)
            return c;
    return 0;
}

/* These are not inlined: they are long and have many callers. The first also stores e. */
static __attribute__((noinline)) T sum_exponentials(const row *r, ptrdiff_t skip)
{
    return sum(r, exponential, skip);
}

static __attribute__((noinline)) T sum_coefficients(const row *r, ptrdiff_t skip)
{
    return sum(r, coefficient, skip);
}

static __attribute__((noinline)) T sum_distances(const row *r)
{
    return sum(r, weighted_distance, -1);
}

/* y = x * factor, in place. */
INLINE void scale(ptrdiff_t C, T *y, T factor)
{
    const V f = vset1(factor);
    for (ptrdiff_t c = 0; c < C; c += VL)
        vstore_part(y + c, vmul(vload_part(y + c, C - c), f), C - c);
}

/* ---------------------------------------------------------------- softmax and log-softmax */

void KERNEL(softmax_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z)
{
    for (; rows > 0; rows--, y += C, z += C) {
        const row r = {.C = C, .a = z, .largest = largest(C, z), .e = y};
        scale(C, y, 1 / sum_exponentials(&r, -1));
    }
}

/* log of the sum as log1p of all of it but the largest term, 1: exact in a confident row too. */
void KERNEL(log_softmax_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z)
{
    for (; rows > 0; rows--, y += C, z += C) {
        const T most = largest(C, z);
        const ptrdiff_t first = place(C, z, most);
        const row r = {.C = C, .a = z, .largest = most, .e = y};
        const T rest = sum_exponentials(&r, first);
        /* y[first] is 1, or NaN where the row becomes NaN. */
        const V log_sum = vset1((T)log1p_positive((double)rest + ((double)y[first] - 1)));
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V distance = vsub(vload_part(z + c, C - c), vset1(most));
            vstore_part(y + c, vsub(distance, log_sum), C - c);
        }
    }
}

void KERNEL(softmax_backward)(ptrdiff_t rows, ptrdiff_t C, T *dz, const T *dy, const T *y)
{
    for (; rows > 0; rows--, dz += C, dy += C, y += C) {
        const row r = {.C = C, .a = dy, .b = y};
        const V mean = vset1(sum(&r, product, -1));
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V excess = vsub(vload_part(dy + c, C - c), mean);
            vstore_part(dz + c, vmul(vload_part(y + c, C - c), excess), C - c);
        }
    }
}

void KERNEL(log_softmax_backward)(ptrdiff_t rows, ptrdiff_t C, T *dz, const T *dy, const T *y)
{
    for (; rows > 0; rows--, dz += C, dy += C, y += C) {
        const row r = {.C = C, .a = dy};
        const V minus_sum = vset1(-sum(&r, element, -1));
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V p = vexp(vload_part(y + c, C - c));
            vstore_part(dz + c, vfma(p, minus_sum, vload_part(dy + c, C - c)), C - c);
        }
    }
}

/* --------------------------------------------------------------- blocks of a row of cross-entropy */

INLINE ptrdiff_t classes_of(const TYPE(class_rows) *s, ptrdiff_t c)
{
    return s->C - c < s->block ? s->C - c : s->block;
}

/* The n classes of a row from c on. */
INLINE row block_of(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    row block = *r;
    block.C = n;
    block.a += c;
    block.e += c;
    block.b = r->b ? r->b + c : NULL;
    block.w = r->w ? r->w + c : NULL;
    return block;
}

INLINE void join_largest(line *l, ptrdiff_t c, T of_block)
{
    if (of_block > l->r.largest) {
        l->r.largest = of_block;
        l->leader = c;
    }
}

INLINE void join_sums(cvl_class_sums *all, const cvl_class_sums *of_block)
{
    all->rest += of_block->rest;
    all->coefficients += of_block->coefficients;
    all->distances += of_block->distances;
    if (of_block->skipped >= 0) {
        all->skipped = of_block->skipped;
        all->e = of_block->e;
    }
}

/* Sums of the n classes from c on. They leave out one class of the row: its target or, where targets
 * are soft, the first of its largest. */
INLINE cvl_class_sums sum_block(const line *l, ptrdiff_t c, ptrdiff_t n)
{
    const row r = block_of(&l->r, c, n);
    cvl_class_sums sums = {.skipped = -1};
    ptrdiff_t skip = l->target - c;
    if (l->soft)
        skip = c == l->leader ? place(n, r.a, r.largest) : -1;
    sums.rest = sum_exponentials(&r, skip);
    if (l->soft) {
        sums.coefficients = sum_coefficients(&r, skip);
        sums.distances = sum_distances(&r);
    }
    if (skip >= 0 && skip < n) {
        sums.skipped = c + skip;
        sums.e = r.e[skip];
    }
    return sums;
}

INLINE void write_block(const line *l, ptrdiff_t skipped, gradient g, ptrdiff_t c, ptrdiff_t n)
{
    const row r = block_of(&l->r, c, n);
    const ptrdiff_t target = l->target - c;
    if (!l->soft) {
        scale(n, r.e, g.factor);
    } else {
        const V factor = vset1(g.factor), minus_weight = vset1(g.minus_weight);
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const V minus_u = vmul(coefficient(&r, i, n - i), minus_weight);
            vstore_part(r.e + i, vfma(vload_part(r.e + i, n - i), factor, minus_u), n - i);
        }
        if (target >= 0 && target < n)
            r.e[target] = (T)((double)r.e[target] - g.peak);
    }
    if (skipped >= c && skipped < c + n)
        l->r.e[skipped] = (T)g.skipped;
}

/* ------------------------------------------------------------------------- cross-entropy */

/* Rows whose logarithms are taken together, of rows so long: none then waits for another. */
enum { TOGETHER = 8 };

INLINE int is_soft(const TYPE(class_rows) *s) { return s->q || s->smoothing > 0; }

void KERNEL(cross_entropy)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss,
                           T *dz, const T *z)
{
    const ptrdiff_t C = s->C, block = s->block;
    line lines[TOGETHER];
    cvl_class_sums sums[TOGETHER];
    for (ptrdiff_t n = begin, rows; n < end; n += rows) {
        rows = end - n < TOGETHER ? end - n : TOGETHER;
        for (ptrdiff_t i = 0; i < rows; i++) {
            line l = line_of(s, is_soft(s), n + i, dz, z);
            cvl_class_sums all = {.skipped = -1};
            lines[i] = l;
            if (l.own == 0) {
                skip_row(C, loss + n + i, l.r.e);
                continue;
            }
            for (ptrdiff_t c = 0; c < C; c += block)
                join_largest(&l, c, largest(classes_of(s, c), l.r.a + c));
            for (ptrdiff_t c = 0; c < C; c += block) {
                const cvl_class_sums of_block = sum_block(&l, c, classes_of(s, c));
                join_sums(&all, &of_block);
            }
            const gradient g = gradient_of(&l, &all, s->divisor);
            for (ptrdiff_t c = 0; c < C; c += block)
                write_block(&l, all.skipped, g, c, classes_of(s, c));
            lines[i] = l;
            sums[i] = all;
        }
        for (ptrdiff_t i = 0; i < rows; i++)
            if (lines[i].own != 0)
                loss[n + i] = loss_of(&lines[i], &sums[i]);
    }
}

/* The same, shared out: each caller joins for itself what the blocks of its rows have come to. */
void KERNEL(cross_entropy_blocks)(const TYPE(class_rows) *s, cvl_class_stage stage, ptrdiff_t begin,
                                  ptrdiff_t end, T *most, cvl_class_sums *sums, double *loss, T *dz,
                                  const T *z)
{
    const ptrdiff_t block = s->block, blocks = (s->C + block - 1) / block;
    for (ptrdiff_t i = begin, stop; i < end; i = stop) {
        const ptrdiff_t n = i / blocks, first = n * blocks;
        line l = line_of(s, is_soft(s), n, dz, z);
        cvl_class_sums all = {.skipped = -1};
        gradient g = {0};
        double row_loss = 0;
        stop = end < first + blocks ? end : first + blocks;
        for (ptrdiff_t b = 0; stage > CVL_CLASS_LARGEST && b < blocks; b++)
            join_largest(&l, b * block, most[first + b]);
        for (ptrdiff_t b = 0; stage > CVL_CLASS_SUMS && b < blocks; b++)
            join_sums(&all, &sums[first + b]);
        if (stage > CVL_CLASS_SUMS && l.own != 0)
            g = gradient_of(&l, &all, s->divisor);
        for (; i < stop; i++) {
            const ptrdiff_t c = (i - first) * block, count = classes_of(s, c);
            if (stage == CVL_CLASS_LARGEST)
                most[i] = l.own == 0 ? 0 : largest(count, l.r.a + c);
            else if (stage == CVL_CLASS_SUMS)
                sums[i] = l.own == 0 ? all : sum_block(&l, c, count);
            else if (l.own == 0)
                skip_row(count, &row_loss, l.r.e + c);
            else
                write_block(&l, all.skipped, g, c, count);
            if (i == first && stage == CVL_CLASS_GRADIENT)
                loss[n] = l.own == 0 ? row_loss : loss_of(&l, &all);
        }
    }
}
