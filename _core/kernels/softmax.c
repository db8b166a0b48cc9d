/* softmax.c: softmax, log-softmax and cross-entropy over rows of C classes.
 *
 * Three sweeps per row, all in cache: the largest; e = exp(z - largest), stored and added up; the
 * result from e. Storing e beats computing it twice by a quarter. Sums run in CVL_ORDER_LANES
 * lanes, element c in lane c mod 64, folded by a binary tree: the same bits for every VL.
 *
 * A NaN or +inf in a row, or nothing but -inf, makes its sum NaN, since inf - inf is NaN; that sum
 * then makes the whole row NaN. */
#include "class_rows.h"
#include "order.h"
#include "vmath.h"

enum { LANES = CVL_ORDER_LANES, VECTORS = LANES / VL };

static const T lane_numbers[LANES] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

/* What the sums of one row are made of. */
typedef struct row {
    ptrdiff_t C;
    const T *a, *b;
    T largest; /* of a */
    T *e;
    const T *w; /* of u = w (keep b + share), or NULL */
    T keep, share;
} row;

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

/* The sum of a row's terms but the one numbered `skip` (-1: of all). `of` is inlined. */
INLINE T sum(const row *r, term *of, ptrdiff_t skip)
{
    V lanes[VECTORS];
    T lane[VL];
    for (int j = 0; j < VECTORS; j++)
        lanes[j] = vzero();
    for (ptrdiff_t c = 0; c < r->C; c += LANES) {
        const ptrdiff_t n = r->C - c, skipped = skip - c;
        if (n >= LANES && !(skipped >= 0 && skipped < LANES)) {
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++)
                lanes[j] = vadd(lanes[j], of(r, c + j * VL, VL));
            continue;
        }
        const V end = vset1((T)(n < LANES ? n : LANES)), omitted = vset1((T)skipped);
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) {
            if (j * VL >= n)
                break;
            const V number = vload(lane_numbers + j * VL);
            V v = vselect(vgt(end, number), of(r, c + j * VL, n - j * VL), vzero());
            v = vselect(veq(number, omitted), vzero(), v);
            lanes[j] = vadd(lanes[j], v);
        }
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

/* e, and the sum of all but the one numbered `skip`. Not inlined, as it has many callers. */
static T exponentials(ptrdiff_t C, const T *a, T largest, T *e, ptrdiff_t skip)
{
    const row r = {.C = C, .a = a, .largest = largest, .e = e};
    return sum(&r, exponential, skip);
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
        scale(C, y, 1 / exponentials(C, z, largest(C, z), y, -1));
    }
}

/* log of the sum as log1p of all of it but the largest term, 1: exact in a confident row too. */
void KERNEL(log_softmax_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z)
{
    for (; rows > 0; rows--, y += C, z += C) {
        const T most = largest(C, z);
        const ptrdiff_t first = place(C, z, most);
        const T rest = exponentials(C, z, most, y, first);
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

/* --------------------------------------------------------------- a row of cross-entropy */

/* A row, and what its loss is made with. Rows of many classes are cut into blocks. */
typedef struct line {
    row r;
    int soft;
    ptrdiff_t target, leader; /* 0 with soft targets; where the block with r.largest begins */
    double own, peak;
} line;

INLINE line line_of(const TYPE(class_rows) *s, const int soft, ptrdiff_t n, T *dz, const T *z)
{
    const ptrdiff_t C = s->C;
    line l = {.r = {.C = C, .a = z + n * C, .largest = -INFINITY, .e = dz + n * C},
              .soft = soft,
              .target = s->labels ? label_of(s, n) : 0,
              .own = row_weight(s, n)};
    if (l.soft) {
        l.r.b = s->q ? s->q + n * C : NULL;
        l.r.w = s->class_weight;
        l.r.keep = (T)(1 - s->smoothing);
        l.r.share = (T)(s->smoothing / (double)C);
        l.peak = s->labels ? (double)l.r.keep * class_weight(s, l.target) : 0;
    }
    return l;
}

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
    sums.rest = exponentials(n, r.a, r.largest, r.e, skip);
    if (l->soft) {
        sums.coefficients = sum(&r, coefficient, skip);
        sums.distances = sum(&r, weighted_distance, -1);
    }
    if (skip >= 0 && skip < n) {
        sums.skipped = c + skip;
        sums.e = r.e[skip];
    }
    return sums;
}

/* A row's gradient: e times `factor`; where targets are soft, less the coefficients and, at the
 * target, `peak`; and `skipped` at the class that the sums left out. */
typedef struct gradient {
    T factor, minus_weight;
    double peak, skipped;
} gradient;

/* Sums of u: without the class that the sums left out, and with it. */
typedef struct totals {
    double others, all;
} totals;

INLINE totals totals_of(const line *l, const cvl_class_sums *s)
{
    const row *r = &l->r;
    const ptrdiff_t first = s->skipped;
    const T u = sfma(r->b ? r->b[first] : 0, r->keep, r->share) * (r->w ? r->w[first] : 1);
    const double others = s->coefficients + (l->target == first ? 0 : l->peak);
    return (totals){others, others + u + (l->target == first ? l->peak : 0)};
}

/* With e_t the target's term and `rest` the sum of the others, p_t - 1 = -rest / (rest + e_t) and,
 * where the target is the largest, the loss is log1p(rest): a confident row keeps its digits.
 *
 * Where targets are soft, the same with the largest in the target's place: the loss is
 * sum u (largest - z) + log1p(rest) sum u, and p sum u - u there is (sum of the other u) -
 * rest / all * sum u. What a label adds to its own u under smoothing is kept apart, as `peak`. */
/* Not inlined, as it is long and has many callers; calls in a row overlap all the same. */
static __attribute__((noinline)) double loss_of(const line *l, const cvl_class_sums *s)
{
    const row *r = &l->r;
    const double all = s->rest + s->e, distance = (double)r->largest - (double)r->a[l->target];
    if (!(all < INFINITY))
        return all;
    if (!l->soft)
        return l->own * (distance == 0 ? log1p_positive(s->rest)
                                       : distance + log1p_positive((s->rest - 1) + s->e));
    double loss = s->distances + totals_of(l, s).all * log1p_positive(s->rest);
    if (l->peak > 0)
        loss += l->peak * distance;
    return loss * l->own;
}

INLINE gradient gradient_of(const line *l, const cvl_class_sums *s, double divisor)
{
    const double weight = l->own / divisor, all = s->rest + s->e;
    if (!l->soft)
        return (gradient){.factor = (T)(weight / all), .skipped = 0 - s->rest * (weight / all)};
    const totals u = totals_of(l, s);
    return (gradient){(T)(weight * u.all / all), (T)-weight, weight * l->peak,
                      weight * (u.others - s->rest / all * u.all)};
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

/* --------------------------------------------------------------- cross-entropy of few classes */

/* Rows of few classes lie across the vectors: lane i is row `first` + i, vector c is class c. Sums over
 * classes are those of sum(), to the bit. */
enum { FEW_CLASSES = LANES };
typedef V few[FEW_CLASSES];

/* Of rows that are there; the others are 0. */
static void turn_in(few to, int rows, ptrdiff_t C, const T *from)
{
    for (ptrdiff_t c = 0; c < C; c += VL) {
        V turned[VL];
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            turned[i] = i < rows ? vload_part(from + i * C + c, C - c) : vzero();
        vtranspose(turned);
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            to[c + i] = turned[i];
    }
}

static void turn_out(T *to, int rows, ptrdiff_t C, few from)
{
    for (ptrdiff_t c = 0; c < C; c += VL) {
        V turned[VL];
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            turned[i] = c + i < C ? from[c + i] : vzero();
        vtranspose(turned);
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            if (i < rows)
                vstore_part(to + i * C + c, turned[i], C - c);
    }
}

static V fold_few(ptrdiff_t C, few terms)
{
    for (ptrdiff_t half = FEW_CLASSES / 2; half > 0; half /= 2)
        for (ptrdiff_t c = 0; c < half && c + half < C; c++)
            terms[c] = vadd(terms[c], terms[c + half]);
    return terms[0];
}

static void few_labels(const TYPE(class_rows) *s, ptrdiff_t first, int rows, double *loss, T *dz,
                       const T *z)
{
    const ptrdiff_t C = s->C;
    T target[VL] = {0}, factor[VL], peak[VL], largest_of[VL], z_t[VL], e_t[VL], rest[VL];
    double own[VL] = {0}, row_loss[VL];
    few in, e, others;
    for (int i = 0; i < rows; i++) {
        own[i] = row_weight(s, first + i);
        target[i] = (T)label_of(s, first + i);
    }
    turn_in(in, rows, C, z + first * C);

    V largest = vset1(-INFINITY), z_target = vzero(), e_target = vzero();
    const V t = vload(target);
    for (ptrdiff_t c = 0; c < C; c++)
        largest = vmax(in[c], largest);
    for (ptrdiff_t c = 0; c < C; c++) {
        const M here = veq(t, vset1((T)c));
        e[c] = vexp(vsub(in[c], largest));
        others[c] = vselect(here, vzero(), e[c]);
        e_target = vselect(here, e[c], e_target);
        z_target = vselect(here, in[c], z_target);
    }
    vstore(largest_of, largest);
    vstore(z_t, z_target);
    vstore(e_t, e_target);
    vstore(rest, fold_few(C, others));

    for (int i = 0; i < VL; i++) {
        const double all_others = rest[i], mine = e_t[i], all = all_others + mine;
        const int leads = z_t[i] == largest_of[i];
        const double distance = leads ? 0 : (double)largest_of[i] - (double)z_t[i];
        const double value =
            distance + log1p_positive(leads ? all_others : (all_others - 1) + mine);
        row_loss[i] = all < INFINITY ? own[i] * value : all;
        factor[i] = (T)(own[i] / s->divisor / all);
        peak[i] = (T)(0 - all_others * (own[i] / s->divisor / all));
    }
    for (ptrdiff_t c = 0; c < C; c++)
        e[c] = vselect(veq(t, vset1((T)c)), vload(peak), vmul(e[c], vload(factor)));
    turn_out(dz + first * C, rows, C, e);
    for (int i = 0; i < rows; i++) {
        loss[first + i] = row_loss[i];
        if (own[i] == 0)
            skip_row(C, loss + first + i, dz + (first + i) * C);
    }
}

static void few_soft(const TYPE(class_rows) *s, ptrdiff_t first, int rows, double *loss, T *dz,
                     const T *z)
{
    const ptrdiff_t C = s->C;
    const line any = line_of(s, 1, first, dz, z);
    T largest_of[VL], place_of[VL], e_of[VL], rest[VL], sum_u[VL], sum_distance[VL];
    T factor[VL] = {0}, minus_weight[VL] = {0}, skipped[VL] = {0};
    few in, e, u, others, distances;
    turn_in(in, rows, C, z + first * C);
    if (s->q)
        turn_in(u, rows, C, s->q + first * C);

    V largest = vset1(-INFINITY), first_largest = vzero(), e_largest = vzero();
    for (ptrdiff_t c = 0; c < C; c++)
        largest = vmax(in[c], largest);
    for (ptrdiff_t c = C - 1; c >= 0; c--)
        first_largest = vselect(veq(in[c], largest), vset1((T)c), first_largest);
    for (ptrdiff_t c = 0; c < C; c++) {
        const M here = veq(first_largest, vset1((T)c));
        const V share = vset1(any.r.share);
        u[c] = s->q ? vfma(u[c], vset1(any.r.keep), share) : share;
        if (s->class_weight)
            u[c] = vmul(u[c], vset1(s->class_weight[c]));
        e[c] = vexp(vsub(in[c], largest));
        e_largest = vselect(here, e[c], e_largest);
        distances[c] = vmul(u[c], vsub(largest, in[c]));
        distances[c] = vselect(veq(u[c], vzero()), vzero(), distances[c]);
        in[c] = vselect(here, vzero(), e[c]);
        others[c] = vselect(here, vzero(), u[c]);
    }
    vstore(largest_of, largest);
    vstore(place_of, first_largest);
    vstore(e_of, e_largest);
    vstore(rest, fold_few(C, in));
    vstore(sum_u, fold_few(C, others));
    vstore(sum_distance, fold_few(C, distances));

    double peak[VL] = {0};
    for (int i = 0; i < rows; i++) {
        line l = line_of(s, 1, first + i, dz, z);
        l.r.largest = largest_of[i];
        const cvl_class_sums sums = {rest[i], sum_u[i], sum_distance[i], e_of[i],
                                     (ptrdiff_t)place_of[i]};
        const gradient g = gradient_of(&l, &sums, s->divisor);
        loss[first + i] = loss_of(&l, &sums);
        factor[i] = g.factor;
        minus_weight[i] = g.minus_weight;
        skipped[i] = (T)g.skipped;
        peak[i] = s->labels && sums.skipped != l.target ? g.peak : 0;
    }
    for (ptrdiff_t c = 0; c < C; c++) {
        const V v = vfma(e[c], vload(factor), vmul(u[c], vload(minus_weight)));
        e[c] = vselect(veq(first_largest, vset1((T)c)), vload(skipped), v);
    }
    turn_out(dz + first * C, rows, C, e);
    for (int i = 0; i < rows; i++) {
        const line l = line_of(s, 1, first + i, dz, z);
        if (l.own == 0)
            skip_row(C, loss + first + i, l.r.e);
        else
            l.r.e[l.target] = (T)((double)l.r.e[l.target] - peak[i]);
    }
}

/* ------------------------------------------------------------------------- cross-entropy */

/* Rows whose logarithms are taken together, of rows so long: none then waits for another. */
enum { TOGETHER = 8 };

INLINE void whole_rows(const TYPE(class_rows) *s, const int soft, ptrdiff_t begin, ptrdiff_t end,
                       double *loss, T *dz, const T *z)
{
    const ptrdiff_t C = s->C, block = s->block;
    line lines[TOGETHER];
    cvl_class_sums sums[TOGETHER];
    for (ptrdiff_t n = begin, rows; n < end; n += rows) {
        rows = end - n < TOGETHER ? end - n : TOGETHER;
        for (ptrdiff_t i = 0; i < rows; i++) {
            line l = line_of(s, soft, n + i, dz, z);
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

INLINE int is_soft(const TYPE(class_rows) *s) { return s->q || s->smoothing > 0; }

void KERNEL(cross_entropy)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss,
                           T *dz, const T *z)
{
    const int soft = is_soft(s);
    if (s->C > FEW_CLASSES && soft) {
        whole_rows(s, 1, begin, end, loss, dz, z);
    } else if (s->C > FEW_CLASSES) {
        whole_rows(s, 0, begin, end, loss, dz, z);
    } else {
        for (ptrdiff_t n = begin; n < end; n += VL) {
            const int rows = end - n < VL ? (int)(end - n) : VL;
            if (soft)
                few_soft(s, n, rows, loss, dz, z);
            else
                few_labels(s, n, rows, loss, dz, z);
        }
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
