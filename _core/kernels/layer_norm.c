/* layer_norm.c: group norm of rows that are one group of one pixel each.
 *
 * A row lies in L1 while it is gone through twice. With the mean as high + low parts,
 *     xhat = (x - high) * inverse - low * inverse,  y = xhat * gamma + beta,
 *     dx = xhat * slope + (gamma dy * inverse + offset),
 *     slope = -inverse sum(gamma dy xhat) / C,  offset = -inverse sum(gamma dy) / C
 * Element i of a row is summed in lane i mod CVL_ORDER_LANES; the chains of a piece of
 * CVL_ORDER_PIECE elements are folded by a tree, in double. */
#include "order.h"
#include "sweep.h"

enum { LANES = CVL_ORDER_LANES };

/* Two sums over a row. */
typedef struct sums {
    double first, second;
} sums;

/* The lanes' sum by a tree, in double. Loops of constant length and arrays of their own let compilers
 * keep all but the lanes in registers. */
INLINE double fold(const T *lanes)
{
    static_assert(LANES == 64, "eight lanes are left for the last line");
    double a[LANES / 2], b[LANES / 4], c[LANES / 8];
    for (int i = 0; i < LANES / 2; i++)
        a[i] = (double)lanes[i] + (double)lanes[i + LANES / 2];
    for (int i = 0; i < LANES / 4; i++)
        b[i] = a[i] + a[i + LANES / 4];
    for (int i = 0; i < LANES / 8; i++)
        c[i] = b[i] + b[i + LANES / 8];
    return ((c[0] + c[4]) + (c[2] + c[6])) + ((c[1] + c[5]) + (c[3] + c[7]));
}

static __attribute__((noinline)) void fold_into(sums *total, const T *first, const T *second)
{
    total->first += fold(first);
    total->second += fold(second);
}

/* A parameter per column, or one for all, VL times: `mask` is 0. One loop serves both. */
typedef struct parameter {
    const T *at;
    ptrdiff_t mask;
} parameter;

/* A row's arrays, and those of one element per column; NULL where a pass has none. */
typedef struct row {
    ptrdiff_t C;
    T *out;
    const T *x, *dy;
    parameter gamma, beta;
    T *dbeta, *dgamma;
    T centre[VL]; /* what x meets: the pivot, or the mean's high part */
    T inverse, shift;
    T slope, offset; /* backward */
} row;

/* Where lanes are few, the others are 0. */
INLINE V centred(const row *r, ptrdiff_t i, const int lanes)
{
    return vsub(load_lanes(r->x + i, lanes), load_lanes(r->centre, lanes));
}

INLINE V normalised(const row *r, ptrdiff_t i, const int lanes)
{
    return vfma(centred(r, i, lanes), vset1(r->inverse), vset1(r->shift));
}

/* p, or what is in `same`. */
INLINE parameter parameter_of(const T *p, const T *same)
{
    return p ? (parameter){p, -1} : (parameter){same, 0};
}

INLINE V load_parameter(parameter p, ptrdiff_t i, const int lanes)
{
    return load_lanes(p.at + (i & p.mask), lanes);
}

/* Adds elements i, i + 1, ... to their lanes. */
typedef void term(const row *r, ptrdiff_t i, V *first, V *second, const int lanes);

INLINE void moments_term(const row *r, ptrdiff_t i, V *first, V *second, const int lanes)
{
    const V d = centred(r, i, lanes);
    *first = vadd(*first, d);
    *second = vfma(d, d, *second);
}

INLINE void gradients_term(const row *r, ptrdiff_t i, V *first, V *second, const int lanes)
{
    const V dy = load_lanes(r->dy + i, lanes), xhat = normalised(r, i, lanes);
    const V g = vmul(dy, load_parameter(r->gamma, i, lanes));
    *first = vadd(*first, g);
    *second = vfma(g, xhat, *second);
    add_lanes(r->dbeta + i, dy, lanes);
    store_lanes(r->dgamma + i, vfma(dy, xhat, load_lanes(r->dgamma + i, lanes)), lanes);
}

/* `of` is inlined. */
INLINE sums sum_row(const row *r, term *of)
{
    enum { STEP = SWEEP_VECTORS * VL };
    sums total = {0, 0};
    T first[LANES], second[LANES];
    for (ptrdiff_t begin = 0; begin < r->C; begin += CVL_ORDER_PIECE) {
        const ptrdiff_t end = r->C - begin < CVL_ORDER_PIECE ? r->C : begin + CVL_ORDER_PIECE;
        for (int lane = 0; lane < LANES; lane += STEP) {
            V a[SWEEP_VECTORS], b[SWEEP_VECTORS];
            ptrdiff_t i = begin + lane;
#pragma GCC unroll 4
            for (int j = 0; j < SWEEP_VECTORS; j++)
                a[j] = b[j] = vzero();
            for (; i + STEP <= end; i += LANES)
#pragma GCC unroll 4
                for (int j = 0; j < SWEEP_VECTORS; j++)
                    of(r, i + j * VL, &a[j], &b[j], VL);
#pragma GCC unroll 4
            for (int j = 0; j < SWEEP_VECTORS; j++) {
                vstore(first + lane + j * VL, a[j]);
                vstore(second + lane + j * VL, b[j]);
            }
            T *rest_first = first + lane, *rest_second = second + lane;
            for (; i < end && rest_first < first + lane + STEP; i += VL) {
                V u = vload(rest_first), v = vload(rest_second);
                of(r, i, &u, &v, end - i < VL ? (int)(end - i) : VL);
                vstore(rest_first, u);
                vstore(rest_second, v);
                rest_first += VL;
                rest_second += VL;
            }
        }
        fold_into(&total, first, second);
    }
    return total;
}

INLINE void set_centre(row *r, T centre) { vstore(r->centre, vset1(centre)); }

/* The pivot is the first element, so that a constant row is met exactly. Where it lies far from the
 * mean, as batch_norm_close has it, the row is summed once more about that. */
INLINE void row_moments(row *r, double *mean, double *var)
{
    const double count = (double)r->C;
    T pivot = r->x[0];
    for (int pass = 0; pass < 2; pass++) {
        set_centre(r, pivot);
        const sums s = sum_row(r, moments_term);
        const double shift = s.first / count, m2 = s.second - s.first * shift;
        *mean = (double)pivot + shift;
        *var = (0 > m2 ? 0 : m2) / count; /* NaN stays */
        if (!(shift * shift * count > 4 * m2))
            break;
        pivot = (T)*mean;
    }
}

/* Readies a row for normalised(). */
INLINE double set_moments(row *r, double mean, double var, double eps)
{
    const double inverse = 1 / sqrt(var + eps), low = mean - (double)(T)mean;
    set_centre(r, (T)mean);
    r->inverse = (T)inverse;
    r->shift = (T)(-low * inverse);
    return inverse;
}

/* Finishes elements i, i + 1, ... */
typedef void finish(const row *r, ptrdiff_t i, const int lanes);

/* `of` is inlined. */
INLINE void finish_row(const row *r, finish *of)
{
    ptrdiff_t i = 0;
    for (; i + VL <= r->C; i += VL)
        of(r, i, VL);
    if (i < r->C)
        of(r, i, (int)(r->C - i));
}

INLINE void forward_group(const row *r, ptrdiff_t i, const int lanes)
{
    const V gamma = load_parameter(r->gamma, i, lanes), beta = load_parameter(r->beta, i, lanes);
    store_lanes(r->out + i, vfma(normalised(r, i, lanes), gamma, beta), lanes);
}

INLINE void backward_group(const row *r, ptrdiff_t i, const int lanes)
{
    const V g = vmul(load_lanes(r->dy + i, lanes), load_parameter(r->gamma, i, lanes));
    const V rest = vfma(g, vset1(r->inverse), vset1(r->offset));
    store_lanes(r->out + i, vfma(normalised(r, i, lanes), vset1(r->slope), rest), lanes);
}

void KERNEL(layer_norm_forward)(ptrdiff_t rows, ptrdiff_t C, T *y, double *mean, double *var,
                                const T *x, const T *gamma, const T *beta, double eps)
{
    T one[VL], zero[VL];
    vstore(one, vset1(1));
    vstore(zero, vzero());
    row r = {.C = C, .gamma = parameter_of(gamma, one), .beta = parameter_of(beta, zero)};
    /* As many rows as lie in L1 are summed before they are finished, so that a row does not wait for
     * its own sums. */
    const ptrdiff_t each = C < CVL_ORDER_PIECE ? CVL_ORDER_PIECE / C : 1;
    for (ptrdiff_t begin = 0; begin < rows; begin += each) {
        const ptrdiff_t end = rows - begin < each ? rows : begin + each;
        for (ptrdiff_t n = begin; n < end; n++) {
            r.x = x + n * C;
            row_moments(&r, mean + n, var + n);
        }
        for (ptrdiff_t n = begin; n < end; n++) {
            r.out = y + n * C;
            r.x = x + n * C;
            set_moments(&r, mean[n], var[n], eps);
            finish_row(&r, forward_group);
        }
    }
}

void KERNEL(layer_norm_backward)(ptrdiff_t rows, ptrdiff_t C, T *dx, T *gradients, const T *dy,
                                 const T *x, const T *gamma, const double *mean, const double *var,
                                 double eps)
{
    T one[VL];
    vstore(one, vset1(1));
    row r = {
        .C = C, .gamma = parameter_of(gamma, one), .dbeta = gradients, .dgamma = gradients + C};
    for (ptrdiff_t n = 0; n < rows; n++) {
        r.out = dx ? dx + n * C : NULL;
        r.x = x + n * C;
        r.dy = dy + n * C;
        const double scale = set_moments(&r, mean[n], var[n], eps) / (double)C;
        const sums s = sum_row(&r, gradients_term);
        r.slope = (T)(-scale * s.second);
        r.offset = (T)(-scale * s.first);
        if (dx)
            finish_row(&r, backward_group);
    }
}
