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
    const exact m = expm1_exact(vmax(vset1(EXPM1_LOWEST), vmin(vzero(), x)));
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

/* exp(-z) 2^RAISE, and 2^-RAISE / (1 + exp(-z)). */
typedef struct logistic {
    V power, inverse;
} logistic;

INLINE logistic logistic_of(V z)
{
    const V power = exp_raised(z, vzero()), lower = vset1(LOWER);
    return (logistic){power, vdiv(lower, vfma(power, lower, vset1(1)))};
}

/* max(x, 0) - a exp(-z) / (1 + exp(-z)) */
INLINE V logistic_gate(V x, V a, V z)
{
    const logistic l = logistic_of(z);
    return vfnma(vmul(a, l.power), l.inverse, vmax(vzero(), x));
}

/* The derivative of -a exp(-z) / (1 + exp(-z)) by -a: s (1 - a dz (1 - s)), s = exp(-z) / (1 + exp(-z)), from
 * raised_dz = dz 2^RAISE. */
INLINE V logistic_slope(V a, V z, V raised_dz)
{
    const logistic l = logistic_of(z);
    const V factor = vfnma(vmul(a, raised_dz), l.inverse, vset1(1));
    return vmul(l.power, vmul(l.inverse, factor));
}

INLINE V silu(V x, V unused)
{
    (void)unused;
    const V a = limited(x, SILU_LIMIT);
    return logistic_gate(x, a, a);
}

INLINE V silu_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, SILU_LIMIT);
    return pull_back(dy, x, logistic_slope(a, a, vset1(1 / LOWER)));
}

/* (1 + tanh(v)) / 2 = 1 / (1 + exp(-2v)), and z = 2v = c a + d a^3. */
#define GELU_C 0x1.9884533d43651p+0 /* 2 sqrt(2 / pi) */
#define GELU_D (GELU_C * 0.044715)

INLINE V gelu_tanh(V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_TANH_LIMIT);
    const V z = vmul(a, vfma(vset1((T)GELU_D), vmul(a, a), vset1((T)GELU_C)));
    return logistic_gate(x, a, z);
}

INLINE V gelu_tanh_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_TANH_LIMIT), square = vmul(a, a);
    const V z = vmul(a, vfma(vset1((T)GELU_D), square, vset1((T)GELU_C)));
    const V dz = vfma(vset1((T)(3 * GELU_D) / LOWER), square, vset1((T)GELU_C / LOWER));
    return pull_back(dy, x, logistic_slope(a, z, dz));
}

/* exp(a^2/2) Phi(-a) is nearly top / (a (s top + rest) + 2 top(0)), 0 <= a <= GELU_LIMIT: within 2^-27 (f64:
 * 2^-55). All terms have one sign, and where a is large, and so are their errors, `top` is on both sides. */
#ifdef CVL_F32
#define RATIO_SCALE 0x1.40d856p+1f
static const float ratio_top[] = {0x1.f2943ap-8f, 0x1.32f946p-4f, 0x1.5974c0p-2f, 0x1.9c8322p-1f,
                                  0x1.d58b1ap-1f};
static const float ratio_rest[] = {0x1.b42552p-17f, 0x1.344b12p-6f, 0x1.8814d2p-3f, 0x1.8d5966p-1f};
#else
#define RATIO_SCALE 0x1.40d931ff621fap+1
static const double ratio_top[] = {
    0x1.e16a9127e6d89p-23, 0x1.d42340513ce63p-18, 0x1.befd23dc80620p-14, 0x1.108cd6de93d31p-10,
    0x1.d2cc0970de78ap-8,  0x1.242fa2f1a7484p-5,  0x1.0e6d392309c24p-3,  0x1.6deaa06fa6861p-2,
    0x1.5bf4d505adc3ep-1,  0x1.a7e51da08753bp-1,  0x1.0000000000000p-1};
static const double ratio_rest[] = {
    0x1.388aeee6c8686p-55, 0x1.2daed34a4a712p-21, 0x1.255c9f1425f00p-16, 0x1.16ee24e74b929p-12,
    0x1.5101d93b5718fp-9,  0x1.1bdc3636f5cefp-6,  0x1.59917c3c5cb31p-4,  0x1.310e10787bb0ap-2,
    0x1.7bc0e206cf16dp-1,  0x1.334e153fc6e6ap+0};
#endif
#define NORMAL_DENSITY 0x1.9884533d43651p-2 /* 1 / sqrt(2 pi) */

/* exp(-a^2/2) 2^RAISE, and exp(a^2/2) Phi(-a) 2^-RAISE. */
typedef struct normal {
    V power, ratio;
} normal;

INLINE normal normal_of(V a)
{
    enum { TERMS = sizeof ratio_top / sizeof *ratio_top };
    /* What rounding a^2/2 adds, which would be many ulps of an exponential. */
    const V half = vmul(vset1((T)0.5), a), square = vmul(half, a);
#ifdef CVL_FUSED
    const V excess = vfnma(half, a, square);
#else
    /* a^2 = part^2 + (a + part) (a - part), where part has half as many digits, so that part^2 is exact. */
    const V round = vset1(ROUND_TO_HALF), part = vsub(vadd(a, round), round);
    const V other = vmul(vadd(a, part), vsub(a, part)), minus_half = vset1((T)-0.5);
    const V excess = vfma(minus_half, other, vfma(minus_half, vmul(part, part), square));
#endif
    const T raised = 1 / LOWER;
    const V top = polynomial(TERMS, ratio_top, a, 1);
    const V rest = polynomial(TERMS - 1, ratio_rest, a, raised);
    const V sum = vfma(vset1(RATIO_SCALE * raised), top, rest);
    const V bottom = vfma(a, sum, vset1(2 * ratio_top[TERMS - 1] * raised));
    return (normal){exp_raised(square, excess), vdiv(top, bottom)};
}

INLINE V gelu(V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_LIMIT);
    const normal p = normal_of(a);
    return vfnma(vmul(a, p.power), p.ratio, vmax(vzero(), x));
}

INLINE V gelu_backward(V dy, V x, V unused)
{
    (void)unused;
    const V a = limited(x, GELU_LIMIT);
    const normal p = normal_of(a);
    return pull_back(dy, x, vmul(p.power, vfnma(vset1((T)NORMAL_DENSITY * LOWER), a, p.ratio)));
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
