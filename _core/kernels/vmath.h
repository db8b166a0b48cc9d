/* vmath.h: exp, sigmoid, tanh, expm1 and log1p by vectors, log1p for one number; the same bits on
 * every level with FMA. */
#ifndef CVL_VMATH_H
#define CVL_VMATH_H

#include "simd.h"

#ifdef CVL_F32
#define EXP_LOWEST (-104.0f)  /* exp rounds to 0 from here down, ... */
#define EXP_HIGHEST 89.0f     /* ... and to infinity from here up */
#define TANH_HIGHEST 10.0f    /* tanh rounds to 1 from here up, */
#define SIGMOID_HIGHEST 18.0f /* and the sigmoid from here up */
#define EXPM1_LOWEST (-18.0f) /* exp(x) - 1 rounds to -1 from here down */
#define LN2_HIGH 0x1.62e400p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define RAISE 64 /* see exp_raised */
/* The best q for 1 + r + r^2 q(r) = exp(r), |r| <= ln2/2: within 2^-34, rounded to float. */
static const float exp_coefficients[] = {0x1.9f085ap-13f, 0x1.6d8d52p-10f, 0x1.111272p-7f,
                                         0x1.55548ep-5f,  0x1.555554p-3f,  0.5f};
/* Of one term less: within 2^-28. */
static const float exp_few_coefficients[] = {0x1.6a4f8cp-10f, 0x1.123988p-7f, 0x1.5558aep-5f,
                                             0x1.555492p-3f, 0x1.fffffcp-2f};
/* 2 atanh(s) = 2 s + s z p(z), z = s^2 < 0.04: the series, p within 2^-22. */
static const float log_coefficients[] = {0x1.745d17p-3f, 0x1.c71c72p-3f, 0x1.24924ap-2f,
                                         0x1.99999ap-2f, 0x1.555556p-1f};
#else
#define EXP_LOWEST (-746.0)
#define EXP_HIGHEST 710.0
#define TANH_HIGHEST 20.0
#define SIGMOID_HIGHEST 38.0
#define EXPM1_LOWEST (-40.0)
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define RAISE 512
#define exp_few_coefficients exp_coefficients
/* As above: within 2^-64, rounded to double. */
static const double exp_coefficients[] = {0x1.1e3d16ca1490fp-29,
                                          0x1.af6c1da16340cp-26,
                                          0x1.27e5b488964a3p-22,
                                          0x1.71ddf0028f783p-19,
                                          0x1.a01a0136534b3p-16,
                                          0x1.a01a01b38a11bp-13,
                                          0x1.6c16c16c305cbp-10,
                                          0x1.111111110ec3fp-7,
                                          0x1.5555555555503p-5,
                                          0x1.555555555555bp-3,
                                          0.5};
/* As above, through the Chebyshev points: p within 2^-55. */
static const double log_coefficients[] = {
    0x1.169c3f871dcbbp-3, 0x1.0e8c54d4618dbp-3, 0x1.3b29d050874f1p-3, 0x1.745cac43836bap-3,
    0x1.c71c72df58fbfp-3, 0x1.24924923de6e1p-2, 0x1.9999999999f17p-2, 0x1.5555555555555p-1};
#endif

#define LOWER ((T)(CVL_SINGLE ? 0x1p-64 : 0x1p-512)) /* 2^-RAISE */

/* By Horner's rule, the coefficient of the highest power first, and all of them times a power of two. */
INLINE V polynomial(size_t terms, const T *coefficient, V x, T unit)
{
    V sum = vset1(coefficient[0] * unit);
#pragma GCC unroll 16
    for (size_t i = 1; i < terms; i++)
        sum = vfma(sum, x, vset1(coefficient[i] * unit));
    return sum;
}
#define POLYNOMIAL(coefficients, x) \
    polynomial(sizeof(coefficients) / sizeof *(coefficients), coefficients, x, 1)

/* The r of x = n ln2 + r, |r| <= ln2/2, for whole n, and what vpow2 makes 2^n of. */
INLINE V exp_reduced(V x, V *n, V *shifted)
{
    const V shift = vset1((T)(1.5 * (double)(1ull << CVL_MANTISSA) + CVL_EXPONENT_BIAS));
    *shifted = vfma(x, vset1((T)0x1.71547652b82fep0), shift);
    *n = vsub(*shifted, shift);
    const V r = vfma(*n, vset1(-LN2_HIGH), x);
    return vfma(*n, vset1(-LN2_LOW), r);
}

/* The q of exp(r) = 1 + r + r^2 q. */
INLINE V exp_series(V r) { return POLYNOMIAL(exp_coefficients, r); }

/* exp(r); the addition is the only rounding that matters near 1. */
INLINE V exp_of_reduced(V r) { return vadd(vset1(1), vfma(vmul(r, r), exp_series(r), r)); }

/* exp(x) within 1 ulp for every x, infinite and NaN included; a subnormal result is rounded once
 * more. */
INLINE V vexp(V x)
{
    V n, shifted;
    x = vmin(vset1(EXP_HIGHEST), vmax(vset1(EXP_LOWEST), x)); /* NaN passes both */
    const V r = exp_reduced(x, &n, &shifted);
    return vldexp(exp_of_reduced(r), n);
}

/* The r of z = r - n ln2, |r| <= ln2/2, for whole n, and 2^(n + raise). */
INLINE V exp_reduced_raised(V z, const int raise, V *power)
{
    const V shift = vset1((T)(1.5 * (double)(1ull << CVL_MANTISSA) + CVL_EXPONENT_BIAS + raise));
    const V shifted = vfnma(z, vset1((T)0x1.71547652b82fep0), shift), n = vsub(shifted, shift);
    *power = vpow2(shifted);
    return vfma(n, vset1(LN2_LOW), vfma(n, vset1(LN2_HIGH), z));
}

/* The q of exp(-r) = 1 - r + r^2 q. */
INLINE V exp_few_series(V r)
{
    V q = vset1(exp_few_coefficients[0]);
#pragma GCC unroll 16
    for (size_t i = 1; i < sizeof exp_few_coefficients / sizeof *exp_few_coefficients; i++)
        q = vfnma(q, r, vset1(exp_few_coefficients[i]));
    return q;
}

/* exp(excess - z) 2^RAISE within 2 ulp, for 0 <= z <= -EXP_LOWEST + 8: never subnormal. Where 2^-RAISE comes
 * last, so does the rounding to a subnormal number. */
INLINE V exp_raised(V z, V excess)
{
    V power;
    const V r = vsub(exp_reduced_raised(z, RAISE, &power), excess);
    return vmul(vfnma(vfnma(exp_few_series(r), r, vset1(1)), r, vset1(1)), power);
}

/* A number as a sum whose second part is what rounding cost the first. */
typedef struct exact {
    V high, low;
} exact;

/* a + b + low for |a| >= |b|. */
INLINE exact exact_sum(V a, V b, V low)
{
    const V high = vadd(a, b);
    return (exact){high, vadd(vsub(b, vsub(high, a)), low)};
}

/* 1 / (1 + exp -x) within 1 ulp for every x, in float64 1.1; a subnormal result is rounded once more. With exp(-x) =
 * 2^n (1 - m) the divisor is 1 + 2^n - 2^n m, of which `low` is what rounding costs. All but the result is
 * times 2^-RAISE, lest 2^n be infinite. */
INLINE V vsigmoid(V x)
{
    V power;
    x = vmin(vset1(SIGMOID_HIGHEST), vmax(vset1(EXP_LOWEST), x)); /* NaN passes both */
    const V r = exp_reduced_raised(x, -RAISE, &power), lower = vset1(LOWER);
    const V m = vfnma(vmul(r, r), exp_few_series(r), r);
    const V sum = vfnma(power, m, vadd(power, lower));
    const V low = vfnma(power, m, vadd(vsub(power, sum), lower));
    const V inverse = vdiv(vset1(1), sum);
    const V rest = vfnma(inverse, low, vfnma(inverse, sum, vset1(1)));
    return vmul(vfma(inverse, rest, inverse), lower);
}

/* exp(x) - 1 for EXPM1_LOWEST <= x <= 0: with x = n ln2 + r, (-1 + 2^n) + 2^n (r + r^2 q). */
INLINE exact expm1_exact(V x)
{
    V n, shifted;
    const V r = exp_reduced(x, &n, &shifted), power = vpow2(shifted);
    const exact t = exact_sum(r, vmul(vmul(r, r), exp_series(r)), vzero());
    const exact whole = exact_sum(vset1(-1), power, vmul(power, t.low));
    return exact_sum(whole.high, vmul(power, t.high), whole.low);
}

#ifdef CVL_F32
/* The best p for x + x^3 p(x^2) = tanh(x), |x| < 1: within 2^-27. */
static const float tanh_coefficients[] = {-0x1.77dd4ep-12f, 0x1.2da504p-9f,  -0x1.0460c8p-7f,
                                          0x1.600994p-6f,   -0x1.b96222p-5f, 0x1.110be2p-3f,
                                          -0x1.55553cp-2f};
/* The best p for s p(s) = exp(2s) - 1, |s| <= ln2/4: within 2^-28. */
static const float exp2s_coefficients[] = {0x1.6ae588p-4f, 0x1.126762p-2f, 0x1.555824p-1f,
                                           0x1.55541ap+0f, 0x1.fffffcp+0f, 2.0f};

/* tanh(x) within 1 ulp for every x: below 1 an odd polynomial, from there up 1 - 2 / (exp(2x) + 1), where
 * what is subtracted is below 1/4, and so are its errors. With x = n ln2/2 + s, exp(2x) = 2^n exp(2s). */
INLINE V vtanh(V x)
{
    const V a = vmin(vset1(TANH_HIGHEST), vabs(x)), z = vmul(a, a);
    const V p = POLYNOMIAL(tanh_coefficients, z);
    const V below = vfma(vmul(a, z), p, a);
    const V shift = vset1(0x1.8p23f + CVL_EXPONENT_BIAS);
    const V shifted = vfma(a, vset1(0x1.715476p+1f), shift), n = vsub(shifted, shift);
    const V s = vfma(n, vset1(-0x1.62e430p-2f), a);
    const V q = POLYNOMIAL(exp2s_coefficients, s);
    const V sum = vfma(vfma(s, q, vset1(1)), vpow2(shifted), vset1(1));
    const V above = vfma(vset1(-2), vdiv(vset1(1), sum), vset1(1));
    return vcopysign(vselect(vgt(vset1(1), a), below, above), x);
}
#else
/* a / b, rounded little more than once. */
INLINE V exact_quotient(exact a, exact b)
{
    const V inverse = vdiv(vset1(1), b.high), q = vmul(a.high, inverse);
    const V rest = vadd(vfnma(q, b.high, a.high), vfnma(q, b.low, a.low));
    return vfma(rest, inverse, q);
}

/* tanh(x) within 1.2 ulp for every x: -m / (2 + m), m = exp(-2|x|) - 1, with the sign of x. */
INLINE V vtanh(V x)
{
    const V a = vmin(vset1(TANH_HIGHEST), vabs(x));
    const exact m = expm1_exact(vmul(vset1(-2), a));
    const exact top = {vsub(vzero(), m.high), vsub(vzero(), m.low)};
    return vcopysign(exact_quotient(top, exact_sum(vset1(2), m.high, m.low)), x);
}
#endif

/* log(1 + x) for 0 <= x <= 1, within 1 ulp; NaN stays NaN. As log1p_positive below, with 1 + x halved
 * where x is above 1/2, and so x - 1 is exact. */
INLINE V vlog1p_unit(V x)
{
    const V half = vset1((T)0.5);
    const M above = vgt(x, half);
    const V f = vselect(above, vmul(vsub(x, vset1(1)), half), x);
    const V s = vdiv(f, vadd(vset1(2), f)), z = vmul(s, s);
    const V p = POLYNOMIAL(log_coefficients, z);
    const V half_square = vmul(vmul(half, f), f);
    const V low = vselect(above, vset1(LN2_LOW), vzero());
    const V tail = vfma(s, vfma(p, z, half_square), low);
    const V log = vsub(f, vsub(half_square, tail));
    return vadd(vselect(above, vset1(LN2_HIGH), vzero()), log);
}

/* a where the mask is -1, b where it is 0: bits, not a branch, which would keep a loop scalar. */
INLINE double pick(int64_t mask, double a, double b)
{
    int64_t bits, other;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&other, &b, sizeof other);
    bits = (bits & mask) | (other & ~mask);
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* log(1 + x) for x >= 0, within 1 ulp; NaN and infinity return themselves. It is written out, with
 * neither libm nor FMA, because its bits reach every loss: 1 + x = 2^k (1 + f) with 1 + f within
 * sqrt(2) of 1, log(1 + f) = 2 atanh(s), s = f / (2 + f). No branches: loops of it become vectors. */
INLINE double log1p_positive(double x)
{
    const double u = 1 + x;
    uint64_t bits; /* unsigned, as those of a NaN wrap round */
    int64_t x_bits;
    memcpy(&bits, &u, sizeof bits);
    memcpy(&x_bits, &x, sizeof x_bits);
    /* Adding 1 - sqrt(1/2) to the significand makes it carry at sqrt(2). */
    const uint64_t shifted = bits + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    const int64_t exponent = (int64_t)(shifted >> 52), above = -(exponent > 1023);
    const int64_t biased = exponent | 0x4330000000000000; /* 2^52 + exponent */
    double k, scaled;
    memcpy(&k, &biased, sizeof k);
    k -= 0x1p52 + 1023;
    bits = (shifted & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd;
    memcpy(&scaled, &bits, sizeof scaled);
    /* What rounding 1 + x left out. */
    const double left = pick(-(u > 2), 1 - (u - x), x - (u - 1)) / u;
    const double f = pick(above, scaled - 1, x), lost = pick(above, left, 0);
    const double s = f / (2 + f), z = s * s;
    const double p =
        z * (0x1.5555555555593p-1 +
             z * (0x1.999999997fb31p-2 +
                  z * (0x1.2492494217a01p-2 +
                       z * (0x1.c71c51e7fa044p-3 +
                            z * (0x1.7466462bcaff5p-3 +
                                 z * (0x1.39a0f519d0a5ep-3 + z * 0x1.2f0d8d8eb2e94p-3))))));
    /* 2 atanh(s) = 2s + s p = f - (f^2/2 - s (f^2/2 + p)): f enters exactly. */
    const double half_square = 0.5 * f * f;
    const double tail = s * (half_square + p) + (k * 0x1.a39ef35793c76p-33 + lost);
    const double log = k * 0x1.62e42feep-1 + (f - (half_square - tail));
    return pick(-(x_bits < 0x7ff0000000000000), log, x);
}

#endif
