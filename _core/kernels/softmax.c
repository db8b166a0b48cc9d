/* softmax.c: softmax, log-softmax and cross-entropy over rows of C classes.
 *
 * Three sweeps per row, all in cache: the largest; e = exp(z - largest), stored and added up; the
 * result from e. Storing e beats computing it twice by a quarter. Sums run in CVL_ORDER_LANES
 * lanes, element c in lane c mod 64, folded by a binary tree: the same bits for every VL.
 *
 * A NaN or +inf in a row, or nothing but -inf, makes its sum NaN, since inf - inf is NaN; that sum
 * then makes the whole row NaN. */
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

/* b (largest - a), and 0 where b is 0 even if a is -inf. */
INLINE V weighted_distance(const row *r, ptrdiff_t c, ptrdiff_t n)
{
    const V b = vload_part(r->b + c, n);
    const V distance = vsub(vset1(r->largest), vload_part(r->a + c, n));
    return vselect(veq(b, vzero()), vzero(), vmul(b, distance));
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
        const row r = {C, z, NULL, largest(C, z), y};
        scale(C, y, 1 / sum(&r, exponential, -1));
    }
}

/* log of the sum as log1p of all of it but the largest term, 1: exact in a confident row too. */
void KERNEL(log_softmax_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, const T *z)
{
    for (; rows > 0; rows--, y += C, z += C) {
        const row r = {C, z, NULL, largest(C, z), y};
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
        const row r = {C, dy, y, 0, NULL};
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
        const row r = {C, dy, NULL, 0, NULL};
        const V minus_sum = vset1(-sum(&r, element, -1));
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V p = vexp(vload_part(y + c, C - c));
            vstore_part(dz + c, vfma(p, minus_sum, vload_part(dy + c, C - c)), C - c);
        }
    }
}

/* ------------------------------------------------------------------------- cross-entropy */

/* With e_t the target's term and `rest` the sum of the others, p_t - 1 = -rest / (rest + e_t) and,
 * where the target is the largest, the loss is log1p(rest): a confident row keeps its digits. */
void KERNEL(cross_entropy)(ptrdiff_t rows, ptrdiff_t C, double *loss, T *dz, const T *z,
                           const int64_t *labels, double weight)
{
    for (; rows > 0; rows--, loss++, dz += C, z += C, labels++) {
        /* The caller has checked the labels; one that changes meanwhile must not lead outside. */
        const int64_t label = *labels;
        const ptrdiff_t t = label >= 0 && label < C ? (ptrdiff_t)label : 0;
        const row r = {C, z, NULL, largest(C, z), dz};
        const double rest = sum(&r, exponential, t), e_t = dz[t], all = rest + e_t;
        if (!(all < INFINITY))
            *loss = all;
        else if (z[t] == r.largest)
            *loss = log1p_positive(rest);
        else
            *loss = ((double)r.largest - (double)z[t]) + log1p_positive((rest - 1) + e_t);
        scale(C, dz, (T)(weight / all));
        dz[t] = (T)(0 - rest * (weight / all));
    }
}

/* The same with the largest in the target's place: the loss is sum q (largest - z) + log1p(rest)
 * sum q, and p - q there is (sum of the other q) - rest / all * sum q. */
void KERNEL(cross_entropy_soft)(ptrdiff_t rows, ptrdiff_t C, double *loss, T *dz, const T *z,
                                const T *q, double weight)
{
    for (; rows > 0; rows--, loss++, dz += C, z += C, q += C) {
        const row r = {C, z, q, largest(C, z), dz}, targets = {C, q, NULL, 0, NULL};
        const ptrdiff_t first = place(C, z, r.largest);
        const double rest = sum(&r, exponential, first), all = rest + dz[first];
        const double others = sum(&targets, element, first), total = others + q[first];
        *loss = all;
        if (all < INFINITY)
            *loss = sum(&r, weighted_distance, -1) + total * log1p_positive(rest);
        const V factor = vset1((T)(weight * total / all)), minus_weight = vset1((T)-weight);
        for (ptrdiff_t c = 0; c < C; c += VL) {
            const V minus_q = vmul(vload_part(q + c, C - c), minus_weight);
            vstore_part(dz + c, vfma(vload_part(dz + c, C - c), factor, minus_q), C - c);
        }
        dz[first] = (T)(weight * (others - rest / all * total));
    }
}

/* Eight chains in row order, folded by a tree. */
double KERNEL(sum_losses)(ptrdiff_t n, const double *loss)
{
    double chain[8] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        chain[i % 8] += loss[i];
    for (int half = 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            chain[i] += chain[i + half];
    return chain[0];
}
