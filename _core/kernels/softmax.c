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
INLINE T largest(ptrdiff_t C, const T *z)
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
        scale(C, y, 1 / sum(&r, exponential, -1));
    }
}

/* log of the sum as log1p of all of it but the largest term, 1: exact in a confident row too. */
void KERNEL(log_softmax_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z)
{
    for (; rows > 0; rows--, y += C, z += C) {
        const row r = {.C = C, .a = z, .largest = largest(C, z), .e = y};
        const ptrdiff_t first = place(C, z, r.largest);
        const T rest = sum(&r, exponential, first);
        /* y[first] is 1, or NaN where the row becomes NaN. */
        const V log_sum = vset1((T)log1p_positive((double)rest + ((double)y[first] - 1)));
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V distance = vsub(vload_part(z + c, C - c), vset1(r.largest));
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

/* ------------------------------------------------------------------------- cross-entropy */

/* Rows of few classes lie across the vectors: lane i is row `first` + i, vector c is class c. The sum
 * over classes is that of sum(), to the bit. */
enum { FEW_CLASSES = 16 };

INLINE void few_classes(const TYPE(class_rows) *s, ptrdiff_t first, int rows, double *loss, T *dz,
                        const T *z)
{
    const int C = (int)s->C;
    T in[FEW_CLASSES][VL] = {{0}}, target[VL] = {0}, factor[VL], peak[VL];
    T largest_of[VL], z_t[VL], e_t[VL], rest[VL];
    double own[VL] = {0}, row_loss[VL];
    for (int i = 0; i < rows; i++) {
        own[i] = row_weight(s, first + i);
        target[i] = (T)label_of(s, first + i);
    }
    for (int c = 0; c < C; c += VL) {
        V turned[VL];
        for (int i = 0; i < VL; i++)
            turned[i] = i < rows ? vload_part(z + (first + i) * C + c, C - c) : vzero();
        vtranspose(turned);
        for (int j = 0; j < VL; j++)
            vstore(in[c + j], turned[j]);
    }

    V e[FEW_CLASSES], fold[FEW_CLASSES], largest = vset1(-INFINITY);
    V z_target = vzero(), e_target = vzero();
    const V t = vload(target);
    for (int c = 0; c < C; c++)
        largest = vmax(vload(in[c]), largest);
    for (int c = 0; c < C; c++) {
        const M here = veq(t, vset1((T)c));
        const V v = vload(in[c]);
        e[c] = vexp(vsub(v, largest));
        fold[c] = vselect(here, vzero(), e[c]);
        e_target = vselect(here, e[c], e_target);
        z_target = vselect(here, v, z_target);
    }
    for (int half = FEW_CLASSES / 2; half > 0; half /= 2)
        for (int c = 0; c < half && c + half < C; c++)
            fold[c] = vadd(fold[c], fold[c + half]);
    vstore(largest_of, largest);
    vstore(z_t, z_target);
    vstore(e_t, e_target);
    vstore(rest, fold[0]);

    for (int i = 0; i < VL; i++) {
        const double others = rest[i], mine = e_t[i], all = others + mine;
        const int leads = z_t[i] == largest_of[i];
        const double distance = leads ? 0 : (double)largest_of[i] - (double)z_t[i];
        const double value = distance + log1p_positive(leads ? others : (others - 1) + mine);
        row_loss[i] = all < INFINITY ? own[i] * value : all;
        factor[i] = (T)(own[i] / s->divisor / all);
        peak[i] = (T)(0 - others * (own[i] / s->divisor / all));
    }
    for (int c = 0; c < C; c += VL) {
        V turned[VL];
        for (int j = 0; j < VL; j++) {
            const V scaled = c + j < C ? vmul(e[c + j], vload(factor)) : vzero();
            turned[j] = vselect(veq(t, vset1((T)(c + j))), vload(peak), scaled);
        }
        vtranspose(turned);
        for (int i = 0; i < rows; i++)
            vstore_part(dz + (first + i) * C + c, turned[i], C - c);
    }
    for (int i = 0; i < rows; i++) {
        loss[first + i] = row_loss[i];
        if (own[i] == 0)
            skip_row(C, loss + first + i, dz + (first + i) * C);
    }
}

/* With e_t the target's term and `rest` the sum of the others, p_t - 1 = -rest / (rest + e_t) and,
 * where the target is the largest, the loss is log1p(rest): a confident row keeps its digits. */
void KERNEL(cross_entropy)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss,
                           T *dz, const T *z)
{
    const ptrdiff_t C = s->C;
    if (C <= FEW_CLASSES) {
        for (ptrdiff_t n = begin; n < end; n += VL)
            few_classes(s, n, end - n < VL ? (int)(end - n) : VL, loss, dz, z);
        return;
    }
    for (ptrdiff_t n = begin; n < end; n++) {
        T *dz_n = dz + n * C;
        const T *z_n = z + n * C;
        const double own = row_weight(s, n);
        if (own == 0) {
            skip_row(C, loss + n, dz_n);
            continue;
        }
        const ptrdiff_t t = label_of(s, n);
        const double weight = own / s->divisor;
        const row r = {.C = C, .a = z_n, .largest = largest(C, z_n), .e = dz_n};
        const double rest = sum(&r, exponential, t), e_t = dz_n[t], all = rest + e_t;
        if (!(all < INFINITY))
            loss[n] = all;
        else if (z_n[t] == r.largest)
            loss[n] = own * log1p_positive(rest);
        else
            loss[n] =
                own * (((double)r.largest - (double)z_n[t]) + log1p_positive((rest - 1) + e_t));
        scale(C, dz_n, (T)(weight / all));
        dz_n[t] = (T)(0 - rest * (weight / all));
    }
}

/* The same with the largest in the target's place: the loss is sum u (largest - z) + log1p(rest)
 * sum u, and p sum u - u there is (sum of the other u) - rest / all * sum u. What a label adds to
 * its own u under smoothing is kept apart, as `peak`. */
void KERNEL(cross_entropy_soft)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end,
                                double *loss, T *dz, const T *z)
{
    const ptrdiff_t C = s->C;
    const T keep = (T)(1 - s->smoothing), share = (T)(s->smoothing / (double)C);
    for (ptrdiff_t n = begin; n < end; n++) {
        T *dz_n = dz + n * C;
        const T *z_n = z + n * C, *q_n = s->q ? s->q + n * C : NULL;
        const double own = row_weight(s, n);
        if (own == 0) {
            skip_row(C, loss + n, dz_n);
            continue;
        }
        const ptrdiff_t t = s->labels ? label_of(s, n) : 0;
        const double peak = s->labels ? (double)keep * class_weight(s, t) : 0;
        const double weight = own / s->divisor;
        const row r = {C, z_n, q_n, largest(C, z_n), dz_n, s->class_weight, keep, share};
        const ptrdiff_t first = place(C, z_n, r.largest);
        const double rest = sum(&r, exponential, first), all = rest + dz_n[first];
        const T u_first = sfma(q_n ? q_n[first] : 0, keep, share) * (T)class_weight(s, first);
        const double others = sum(&r, coefficient, first) + (t == first ? 0 : peak);
        const double total = others + u_first + (t == first ? peak : 0);
        loss[n] = all;
        if (all < INFINITY) {
            loss[n] = sum(&r, weighted_distance, -1) + total * log1p_positive(rest);
            if (peak > 0)
                loss[n] += peak * ((double)r.largest - (double)z_n[t]);
            loss[n] *= own;
        }
        const V factor = vset1((T)(weight * total / all)), minus_weight = vset1((T)-weight);
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V minus_u = vmul(coefficient(&r, c, C - c), minus_weight);
            vstore_part(dz_n + c, vfma(vload_part(dz_n + c, C - c), factor, minus_u), C - c);
        }
        dz_n[t] = (T)((double)dz_n[t] - weight * peak);
        dz_n[first] = (T)(weight * (others - rest / all * total));
    }
}
