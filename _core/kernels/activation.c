/* activation.c: the activations other than ReLU, forward and backward.
 *
 * silu, both forms of gelu and softplus are written f(x) = max(x, 0) + g(|x|), where g is small and
 * keeps its relative accuracy: so f does, for x of either sign. From f(x) - f(-x) = x follows
 * f'(x) = 1 - f'(-x), so that the slope is needed at negative x only. There g and the slope have a
 * factor exp(-z), which is split as (1 + t) 2^n and scaled last, lest a subnormal number be rounded
 * early. A limit on |x| stands where g has become 0: infinity goes through it. */
#include "elementwise.h"
#include "vmath.h"

#ifdef CVL_F32
#define BELOW_3 0x1.7ffffep1f /* the number before 3 */
#define SILU_LIMIT 112
#define GELU_LIMIT 15
#define GELU_TANH_LIMIT 11
#define ROUND_TO_HALF (0x1.8p23f * 0x1p-8f) /* to multiples of 2^-8 */
#else
#define BELOW_3 0x1.7ffffffffffffp1
#define SILU_LIMIT 760
#define GELU_LIMIT 39
#define GELU_TANH_LIMIT 22
#define ROUND_TO_HALF (0x1.8p52 * 0x1p-20)
#endif

/* ------------------------------------------------------------------------- slopes of lines */

INLINE V leaky_relu(V x, V slope) { return vselect(vgt(x, vzero()), x, vmul(slope, x)); }

INLINE V leaky_relu_backward(V dy, V y, V slope)
{
    return vselect(vgt(y, vzero()), dy, vmul(slope, dy));
}

/* NaN passes both, as the second operand. */
INLINE V relu6(V x, V unused)
{
    (void)unused;
    return vmin(vset1(6), vmax(vzero(), x));
}

INLINE V relu6_backward(V dy, V y, V unused)
{
    (void)unused;
    const V below = vselect(vgt(vset1(6), y), dy, vzero());
    return vselect(vgt(y, vzero()), below, vzero());
}

INLINE V hard_swish(V x, V unused)
{
    (void)unused;
    const V above = vmax(vset1(-3), x);
    const V share = vmul(vadd(above, vset1(3)), vset1((T)(1.0 / 6)));
    return vselect(vgt(x, vset1(3)), x, vmul(above, share));
}

INLINE V hard_swish_backward(V dy, V x, V unused)
{
    (void)unused;
    const V slope = vmul(vfma(vset1(2), x, vset1(3)), vset1((T)(1.0 / 6)));
    const V inside = vselect(vgt(vset1(-BELOW_3), x), vzero(), vmul(dy, slope));
    return vselect(vgt(x, vset1(BELOW_3)), dy, inside);
}

/* ------------------------------------------------------------------------- from y */

INLINE V sigmoid(V x, V unused)
{
    (void)unused;
    return vsigmoid(x);
}

INLINE V sigmoid_backward(V dy, V y, V unused)
{
    (void)unused;
    return vmul(dy, vmul(y, vsub(vset1(1), y)));
}

INLINE V hyperbolic_tangent(V x, V unused)
{
    (void)unused;
    return vtanh(x);
}

INLINE V tanh_backward(V dy, V y, V unused)
{
    (void)unused;
    return vmul(dy, vmul(vsub(vset1(1), y), vadd(vset1(1), y)));
}

/* alpha (exp(x) - 1) has the sign of x, which -0 keeps. */
INLINE V elu(V x, V alpha)
{
    const exact m = expm1_exact(vmax(vset1(EXP_LOWEST), vmin(vzero(), x)));
    const V below = vfma(alpha, m.high, vmul(alpha, m.low));
    return vselect(vgt(x, vzero()), x, vcopysign(below, x));
}

INLINE V elu_backward(V dy, V y, V alpha)
{
    return vselect(vgt(y, vzero()), dy, vmul(dy, vadd(y, alpha)));
}

/* ------------------------------------------------------------------------- from x */

INLINE V limited(V x, T limit) { return vmin(vset1(limit), vabs(x)); }

/* dy times the slope at x, from the one at -|x|. */
INLINE V pull_back(V dy, V x, V slope)
{
    return vmul(dy, vselect(vgt(x, vzero()), vsub(vset1(1), slope), slope));
}

/* exp(-z) = power 2^n, and 1 / (1 + exp(-z)). */
typedef struct logistic {
    V power, inverse, n;
} logistic;

INLINE logistic logistic_of(V z)
{
    V n;
    const V power = exp_of_reduced(exp_reduced(vsub(vzero(), z), &n));
    return (logistic){power, vdiv(vset1(1), vadd(vset1(1), vldexp(power, n))), n};
}

/* a exp(-z) / (1 + exp(-z)) */
INLINE V logistic_gate(V a, V z)
{
    const logistic l = logistic_of(z);
    return vldexp(vmul(vmul(a, l.power), l.inverse), l.n);
}

/* The derivative of -logistic_gate by -a: s (1 - a dz (1 - s)), s = exp(-z) / (1 + exp(-z)). */
INLINE V logistic_slope(V a, V z, V dz)
{
    const logistic l = logistic_of(z);
    const V factor = vfma(vsub(vzero(), vmul(a, dz)), l.inverse, vset1(1));
    return vldexp(vmul(vmul(l.power, l.inverse), factor), l.n);
}

INLINE V silu(V x, V unused)
{
    (void)unused;
    const V a = limited(x, SILU_LIMIT);
    return vsub(vmax(vzero(), x), logistic_gate(a, a));
}

INLINE V silu_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, SILU_LIMIT);
    return pull_back(dy, x, logistic_slope(a, a, vset1(1)));
}

/* (1 + tanh(v)) / 2 = 1 / (1 + exp(-2v)), and z = 2v = c a + d a^3. */
#define GELU_C 0x1.9884533d43651p+0 /* 2 sqrt(2 / pi) */
#define GELU_D (GELU_C * 0.044715)

INLINE V gelu_tanh(V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_TANH_LIMIT);
    const V z = vmul(a, vfma(vset1((T)GELU_D), vmul(a, a), vset1((T)GELU_C)));
    return vsub(vmax(vzero(), x), logistic_gate(a, z));
}

INLINE V gelu_tanh_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_TANH_LIMIT), square = vmul(a, a);
    const V z = vmul(a, vfma(vset1((T)GELU_D), square, vset1((T)GELU_C)));
    const V dz = vfma(vset1((T)(3 * GELU_D)), square, vset1((T)GELU_C));
    return pull_back(dy, x, logistic_slope(a, z, dz));
}

/* exp(a^2/2) Phi(-a) = q G(1 - 8q), q = 1 / (a + 4): the polynomial through G at the Chebyshev points
 * of 0 <= a <= GELU_LIMIT, within 2^-28 (f64: 2^-57). */
#ifdef CVL_F32
static const float normal_coefficients[] = {-0x1.b07cf0p-15f, -0x1.e61df8p-13f, 0x1.66ba3ep-13f,
                                            0x1.af48ccp-10f,  -0x1.c95a10p-9f,  -0x1.ee7c98p-8f,
                                            0x1.eec6cep-5f,   -0x1.7dfedep-3f,  0x1.8c6dbcp-2f,
                                            -0x1.373e3cp-1f,  0x1.82b4bcp-1f};
#else
static const double normal_coefficients[] = {
    -0x1.8f4178ebec560p-31, -0x1.5aa27c5b7d63cp-29, 0x1.07a55f5929c3ap-29,  0x1.510ff60a84cb0p-26,
    0x1.c85321fba99d2p-27,  -0x1.6ed38c82f7cd9p-24, -0x1.4cc8dd42dff5fp-23, 0x1.23d90f695d206p-22,
    0x1.1238a8ad41541p-20,  -0x1.5210d6172ef2fp-21, -0x1.8d4bcda0e042bp-18, 0x1.80c1dea0222a0p-21,
    0x1.26d0a37c22e03p-15,  -0x1.001f43193794ap-19, -0x1.e4a4260ad8c4ep-13, 0x1.17a4aebfc01c7p-13,
    0x1.ab825fc3a459bp-10,  -0x1.c81719d610b82p-9,  -0x1.ee2761048b5e7p-8,  0x1.eec4cc3e4db85p-5,
    -0x1.7dff2bff68368p-3,  0x1.8c6dbf2cfc2afp-2,   -0x1.373e3a893c28ap-1,  0x1.82b4bb8c94dcep-1};
#endif
#define NORMAL_DENSITY 0x1.9884533d43651p-2 /* 1 / sqrt(2 pi) */

/* exp(-a^2/2) = power 2^n, and exp(a^2/2) Phi(-a). */
typedef struct normal {
    V power, ratio, n;
} normal;

INLINE normal normal_of(V a)
{
    V n;
    /* a^2 = top^2 + (a + top) (a - top), where top has half as many digits, so that top^2 is exact:
     * a rounding error in a large exponent would be one of many ulps in the result. */
    const V round = vset1(ROUND_TO_HALF), top = vsub(vadd(a, round), round);
    const V rest = vmul(vadd(a, top), vsub(a, top)), minus_half = vset1((T)-0.5);
    const V r = exp_reduced(vmul(minus_half, vmul(top, top)), &n);
    const V power = exp_of_reduced(vfma(minus_half, rest, r));
    /* q + q_low = 1 / (a + 4) */
    const exact sum = exact_sum(vset1(4), a, vzero());
    const V q = vdiv(vset1(1), sum.high), minus_q = vsub(vzero(), q);
    const V q_low = vmul(q, vfma(minus_q, sum.low, vfma(minus_q, sum.high, vset1(1))));
    const V w = vfma(vset1(-8), q_low, vfma(vset1(-8), q, vset1(1)));
    V g = vset1(normal_coefficients[0]);
#pragma GCC unroll 24
    for (size_t i = 1; i < sizeof normal_coefficients / sizeof *normal_coefficients; i++)
        g = vfma(g, w, vset1(normal_coefficients[i]));
    return (normal){power, vfma(g, q, vmul(g, q_low)), n};
}

INLINE V gelu(V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_LIMIT);
    const normal p = normal_of(a);
    return vsub(vmax(vzero(), x), vldexp(vmul(vmul(a, p.power), p.ratio), p.n));
}

INLINE V gelu_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_LIMIT);
    const normal p = normal_of(a);
    const V factor = vfma(vset1((T)-NORMAL_DENSITY), a, p.ratio);
    return pull_back(dy, x, vldexp(vmul(p.power, factor), p.n));
}

INLINE V softplus(V x, V unused)
{
    (void)unused;
    return vadd(vmax(vzero(), x), vlog1p_unit(vexp(vsub(vzero(), vabs(x)))));
}

INLINE V softplus_backward(V dy, V x, V unused)
{
    (void)unused;
    return vmul(dy, vsigmoid(x));
}

/* ------------------------------------------------------------------------- kernels */

void KERNEL(activation_forward)(cvl_function function, ptrdiff_t n, T *y, const T *x, T parameter)
{
    const V p = vset1(parameter);
    switch (function) {
    case CVL_LEAKY_RELU:
        map_unary(n, y, x, p, leaky_relu);
        break;
    case CVL_RELU6:
        map_unary(n, y, x, p, relu6);
        break;
    case CVL_SIGMOID:
        map_unary_long(n, y, x, p, sigmoid);
        break;
    case CVL_TANH:
        map_unary_long(n, y, x, p, hyperbolic_tangent);
        break;
    case CVL_ELU:
        map_unary_long(n, y, x, p, elu);
        break;
    case CVL_GELU:
        map_unary_long(n, y, x, p, gelu);
        break;
    case CVL_GELU_TANH:
        map_unary_long(n, y, x, p, gelu_tanh);
        break;
    case CVL_SILU:
        map_unary_long(n, y, x, p, silu);
        break;
    case CVL_HARD_SWISH:
        map_unary(n, y, x, p, hard_swish);
        break;
    case CVL_SOFTPLUS:
        map_unary_long(n, y, x, p, softplus);
        break;
    }
}

void KERNEL(activation_backward)(cvl_function function, ptrdiff_t n, T *dx, const T *dy, const T *a,
                                 T parameter)
{
    const V p = vset1(parameter);
    switch (function) {
    case CVL_LEAKY_RELU:
        map_binary(n, dx, dy, a, p, leaky_relu_backward);
        break;
    case CVL_RELU6:
        map_binary(n, dx, dy, a, p, relu6_backward);
        break;
    case CVL_SIGMOID:
        map_binary(n, dx, dy, a, p, sigmoid_backward);
        break;
    case CVL_TANH:
        map_binary(n, dx, dy, a, p, tanh_backward);
        break;
    case CVL_ELU:
        map_binary(n, dx, dy, a, p, elu_backward);
        break;
    case CVL_GELU:
        map_binary_long(n, dx, dy, a, p, gelu_backward);
        break;
    case CVL_GELU_TANH:
        map_binary_long(n, dx, dy, a, p, gelu_tanh_backward);
        break;
    case CVL_SILU:
        map_binary_long(n, dx, dy, a, p, silu_backward);
        break;
    case CVL_HARD_SWISH:
        map_binary(n, dx, dy, a, p, hard_swish_backward);
        break;
    case CVL_SOFTPLUS:
        map_binary_long(n, dx, dy, a, p, softplus_backward);
        break;
    }
}
