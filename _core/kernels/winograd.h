/* winograd.h: minimal filtering in one dimension: Toom-Cook over the points 0, +-P (and +-Q) and
 * infinity, Lavin & Gray 2016, arXiv:1509.09308.
 *
 * A filter and a tile of outputs are polynomials; G and A evaluate them at the points, B^T is the
 * transposed interpolation. G also takes the factor 1/f_i, f_i = prod over j != i of (p_i - p_j),
 * that interpolation owes, so that B^T and A keep short coefficients, exact in binary32. Points in
 * pairs share the even and the odd half. With P = 3/4 and Q = 3/2 the rounding error of F(4x4,3x3)
 * is about half of that with the usual 1 and 2.
 *
 * At stride 2 the even taps of three meet the inputs of one parity alone, the odd tap those of the
 * other: the positions are the three of F(2,2) at the points 0, 1 and infinity, and two plain
 * products.
 *
 * Everything is inlined with constant form and sizes, so the loops and tables vanish, and every
 * level performs the same operations on each element. */
#ifndef CVL_WINOGRAD_H
#define CVL_WINOGRAD_H

#include "simd.h"

enum { SIDE = 6 }; /* the most positions of one dimension */

INLINE int strided(cvl_winograd form)
{
    return form == CVL_WINOGRAD_STRIDED || form == CVL_WINOGRAD_FRACTIONAL;
}
INLINE int side(cvl_winograd form) { return strided(form) ? 5 : form == CVL_WINOGRAD_2X3 ? 4 : 6; }
INLINE int filter_size(cvl_winograd form)
{
    return form == CVL_WINOGRAD_2X5 ? 5 : form == CVL_WINOGRAD_3X4 ? 4 : 3;
}
INLINE int tile_size(cvl_winograd form)
{
    if (form == CVL_WINOGRAD_3X4)
        return 3;
    return form == CVL_WINOGRAD_4X3 || form == CVL_WINOGRAD_FRACTIONAL ? 4 : 2;
}
/* Inputs of a tile, and from a tile to the next. */
INLINE int input_size(cvl_winograd form)
{
    return form == CVL_WINOGRAD_FRACTIONAL ? 3 : side(form);
}
INLINE int input_step(cvl_winograd form)
{
    return form == CVL_WINOGRAD_STRIDED ? 4 : form == CVL_WINOGRAD_FRACTIONAL ? 2 : tile_size(form);
}
INLINE int pairs(cvl_winograd form) { return form == CVL_WINOGRAD_2X3 ? 1 : 2; }

#define P (0.75)
#define Q (1.5)

/* Powers of the points: rows are +-1, or +-P and +-Q. */
#define UNIT_POWERS {1, 1, 1, 1, 1}
#define POWERS(p, scale)                                                     \
    {(scale), (p) * (scale), (p) * (p) * (scale), (p) * (p) * (p) * (scale), \
     (p) * (p) * (p) * (p) * (scale)}

/* What evaluates a polynomial: at 0 by `zero`, at +-p by powers, at infinity by 1. */
typedef struct evaluation {
    double zero, power[2][5];
} evaluation;

/* A: outputs. G: filters, with the factors 1/f. */
static const evaluation outputs_4 = {1, {UNIT_POWERS}};
static const evaluation outputs_6 = {1, {POWERS(P, 1), POWERS(Q, 1)}};
static const evaluation filters_4 = {1, {{0.5, 0.5, 0.5, 0.5, 0.5}}};
static const evaluation filters_6 = {
    1 / (P * P * Q * Q),
    {POWERS(P, 1 / (2 * P * P * (P * P - Q * Q))), POWERS(Q, 1 / (2 * Q * Q * (Q * Q - P * P)))}};

/* a * x and a * x + y, where a factor of 1 costs nothing. */
INLINE V times(double a, V x) { return a == 1 ? x : vmul(vset1((T)a), x); }
INLINE V times_add(double a, V x, V y) { return a == 1 ? vadd(x, y) : vfma(vset1((T)a), x, y); }

/* v[point] from the `count` coefficients d. */
INLINE void evaluate(cvl_winograd form, const evaluation *e, int count, V *v, const V *d)
{
    v[0] = times(e->zero, d[0]);
#pragma GCC unroll 2
    for (int pair = 0; pair < pairs(form); pair++) {
        V even = times(e->power[pair][0], d[0]), odd = times(e->power[pair][1], d[1]);
#pragma GCC unroll 3
        for (int k = 2; k < count; k += 2)
            even = times_add(e->power[pair][k], d[k], even);
#pragma GCC unroll 3
        for (int k = 3; k < count; k += 2)
            odd = times_add(e->power[pair][k], d[k], odd);
        v[1 + 2 * pair] = vadd(even, odd);
        v[2 + 2 * pair] = vsub(even, odd);
    }
    v[side(form) - 1] = d[count - 1];
}

/* The transposed map: d[k], k < count, from v[point]. */
INLINE void evaluate_transposed(cvl_winograd form, const evaluation *e, int count, V *d, const V *v)
{
    V sum[2], difference[2];
#pragma GCC unroll 2
    for (int pair = 0; pair < pairs(form); pair++) {
        sum[pair] = vadd(v[1 + 2 * pair], v[2 + 2 * pair]);
        difference[pair] = vsub(v[1 + 2 * pair], v[2 + 2 * pair]);
    }
#pragma GCC unroll 5
    for (int k = 0; k < count; k++) {
        const V *half = k % 2 == 0 ? sum : difference;
        V total;
        if (k == 0)
            total = times_add(e->power[0][0], half[0], times(e->zero, v[0]));
        else if (k == count - 1)
            total = times_add(e->power[0][k], half[0], v[side(form) - 1]);
        else
            total = times(e->power[0][k], half[0]);
        if (pairs(form) == 2)
            total = times_add(e->power[1][k], half[1], total);
        d[k] = total;
    }
}

INLINE const evaluation *outputs(cvl_winograd form)
{
    return form == CVL_WINOGRAD_2X3 ? &outputs_4 : &outputs_6;
}
INLINE const evaluation *filters(cvl_winograd form)
{
    return form == CVL_WINOGRAD_2X3 ? &filters_4 : &filters_6;
}

/* B^T: v from input_size(form) inputs. Row i holds the coefficients of prod over j != i of
 * (x - p_j). */
INLINE void data_transform(cvl_winograd form, V *v, const V *d)
{
    if (form == CVL_WINOGRAD_STRIDED) {
        v[0] = vsub(d[0], d[2]);
        v[1] = d[2];
        v[2] = vsub(d[4], d[2]);
        v[3] = d[1];
        v[4] = d[3];
        return;
    }
    if (form == CVL_WINOGRAD_FRACTIONAL) {
        v[0] = vsub(d[0], d[1]);
        v[1] = v[4] = d[1];
        v[2] = vsub(d[2], d[1]);
        v[3] = d[0];
        return;
    }
    if (form == CVL_WINOGRAD_2X3) {
        v[0] = vsub(d[0], d[2]); /* both this and f_0 = -1 with the other sign */
        v[1] = vadd(d[2], d[1]);
        v[2] = vsub(d[2], d[1]);
        v[3] = vsub(d[3], d[1]);
        return;
    }
    const V product = vset1((T)(P * P * Q * Q)), sum = vset1((T)(-P * P - Q * Q));
    v[0] = vfma(product, d[0], vfma(sum, d[2], d[4]));
    v[5] = vfma(product, d[1], vfma(sum, d[3], d[5]));
    const V p_even = vfma(vset1((T)(-Q * Q)), d[2], d[4]);
    const V p_odd = vfma(vset1((T)(-Q * Q)), d[1], d[3]);
    v[1] = vfma(vset1((T)P), p_odd, p_even);
    v[2] = vfma(vset1((T)-P), p_odd, p_even);
    const V q_even = vfma(vset1((T)(-P * P)), d[2], d[4]);
    const V q_odd = vfma(vset1((T)(-P * P)), d[1], d[3]);
    v[3] = vfma(vset1((T)Q), q_odd, q_even);
    v[4] = vfma(vset1((T)-Q), q_odd, q_even);
}

/* G: v from the taps d of a filter; G^T: gradients of the taps. */
INLINE void filter_transform(cvl_winograd form, V *v, const V *d)
{
    if (strided(form)) {
        v[0] = d[0];
        v[1] = vadd(d[0], d[2]);
        v[2] = d[2];
        v[3] = v[4] = d[1];
    } else {
        evaluate(form, filters(form), filter_size(form), v, d);
    }
}
INLINE void filter_gradient(cvl_winograd form, V *d, const V *v)
{
    if (strided(form)) {
        d[0] = vadd(v[0], v[1]);
        d[1] = vadd(v[3], v[4]);
        d[2] = vadd(v[1], v[2]);
    } else {
        evaluate_transposed(form, filters(form), filter_size(form), d, v);
    }
}

/* A: v from the gradients d of outputs; A^T: outputs. The four of a fractional stride begin with one
 * of the odd tap. */
INLINE void output_gradient(cvl_winograd form, V *v, const V *d)
{
    if (form == CVL_WINOGRAD_STRIDED) {
        v[0] = v[3] = d[0];
        v[1] = vadd(d[0], d[1]);
        v[2] = v[4] = d[1];
    } else {
        evaluate(form, outputs(form), tile_size(form), v, d);
    }
}
INLINE void output_transform(cvl_winograd form, V *d, const V *v)
{
    if (form == CVL_WINOGRAD_STRIDED) {
        d[0] = vadd(vadd(v[0], v[1]), v[3]);
        d[1] = vadd(vadd(v[1], v[2]), v[4]);
    } else if (form == CVL_WINOGRAD_FRACTIONAL) {
        d[0] = v[3];
        d[1] = vadd(v[0], v[1]);
        d[2] = v[4];
        d[3] = vadd(v[1], v[2]);
    } else {
        evaluate_transposed(form, outputs(form), tile_size(form), d, v);
    }
}

#undef P
#undef Q

#endif
