/* ulps.c: the errors of sqrt, exp, log1p and the activations, in units in the last place of the
 * result.
 *
 * One program per type and level. It takes every number from a list of hard ones and a sample of the
 * rest, spread over all exponents and again over those near 1, and prints the worst error of each function and where it is. In
 * float32 `--all` takes every number there is, 2^32 of them, which lasts a quarter of an hour; with
 * `--all PART`, 0 to 15, it takes a sixteenth of them. */
#include "vmath.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { BLOCK = 1 << 14, SKIPPED = 77 };

/* What results are judged by: float32 by double, float64 by long double, whose functions are to be
 * better than those of double: they are in glibc, but not in musl for aarch64, where they call those. */
#ifdef CVL_F32
typedef double wide;
#define WIDE(name) name
#define DIGITS FLT_MANT_DIG
#define LEAST FLT_MIN_EXP
#define MOST FLT_MAX_EXP
#define SIGMOID_BOUND 1
#define TANH_BOUND 1
#else
typedef long double wide;
#define WIDE(name) name##l
#define DIGITS DBL_MANT_DIG
#define LEAST DBL_MIN_EXP
#define MOST DBL_MAX_EXP
#define SIGMOID_BOUND 1.1
#define TANH_BOUND 1.2
#endif

/* ---------------------------------------------------------------- functions */

typedef struct function {
    const char *name;
    void (*compute)(ptrdiff_t n, T *y, const T *x);
    wide (*expected)(wide x);
    double bound;           /* ulps; one more on baseline, which has no FMA */
    double lowest, highest; /* of x */
} function;

static void compute_exp(ptrdiff_t n, T *y, const T *x)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        vstore_part(y + i, vexp(vload_part(x + i, n - i)), n - i);
}

static void compute_root(ptrdiff_t n, T *y, const T *x)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        vstore_part(y + i, vsqrt_beside(vload_part(x + i, n - i)), n - i);
}

static void compute_log1p(ptrdiff_t n, T *y, const T *x)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        vstore_part(y + i, vlog1p_unit(vload_part(x + i, n - i)), n - i);
}

static void compute_log1p_positive(ptrdiff_t n, T *y, const T *x)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = (T)log1p_positive((double)x[i]);
}

#define ACTIVATION(name)                                      \
    static void compute_##name(ptrdiff_t n, T *y, const T *x) \
    {                                                         \
        const cvl_exec run = run_with(1, 0);                  \
        CHECK(NAME(name##_forward)(n, y, x, &run) == CVL_OK); \
    }
ACTIVATION(sigmoid)
ACTIVATION(tanh)
ACTIVATION(gelu)
ACTIVATION(silu)
ACTIVATION(hard_swish)
ACTIVATION(softplus)

static void compute_elu(ptrdiff_t n, T *y, const T *x)
{
    const cvl_exec run = run_with(1, 0);
    CHECK(NAME(elu_forward)(1, n, y, x, &run) == CVL_OK);
}

static wide expected_root(wide x) { return WIDE(sqrt)(x); }
static wide expected_exp(wide x) { return WIDE(exp)(x); }
static wide expected_log1p(wide x) { return WIDE(log1p)(x); }
static wide expected_tanh(wide x) { return WIDE(tanh)(x); }
static wide expected_elu(wide x) { return x > 0 ? x : WIDE(expm1)(x); }
static wide expected_sigmoid(wide x) { return 1 / (1 + WIDE(exp)(-x)); }
static wide expected_silu(wide x) { return x == -INFINITY ? 0 : x / (1 + WIDE(exp)(-x)); }
static wide expected_softplus(wide x)
{
    return WIDE(fmax)(x, 0) + WIDE(log1p)(WIDE(exp)(-WIDE(fabs)(x)));
}
static wide expected_hard_swish(wide x) { return x > 3 ? x : x < -3 ? 0 : x * (x + 3) / 6; }
static wide expected_gelu(wide x)
{
    /* t is x / sqrt 2 rounded, and erfc(t (1 + d)) is nearly erfc(t) exp(-2 d t^2). */
    const wide root = WIDE(sqrt)((wide)0.5), t = -x * root;
    const wide d = (x * x / 2 - t * t) - WIDE(fma)(t, t, -t * t) + WIDE(fma)(x, x, -x * x) / 2;
    if (x < -1000)
        return 0;
    return x * (t > 0 ? WIDE(erfc)(t) * WIDE(exp)(-d) : WIDE(erfc)(t)) / 2;
}

static const function functions[] = {
    {"sqrt", compute_root, expected_root, 0.501, 0, INFINITY}, /* the nearest number */
    {"exp", compute_exp, expected_exp, 1, -INFINITY, INFINITY},
    {"log1p", compute_log1p, expected_log1p, 1, 0, 1},
    {"log1p_positive", compute_log1p_positive, expected_log1p, 1, 0, INFINITY},
    {"sigmoid", compute_sigmoid, expected_sigmoid, SIGMOID_BOUND, -INFINITY, INFINITY},
    {"tanh", compute_tanh, expected_tanh, TANH_BOUND, -INFINITY, INFINITY},
    {"elu", compute_elu, expected_elu, 1.5, -INFINITY, INFINITY},
    {"gelu", compute_gelu, expected_gelu, 5, -INFINITY, INFINITY},
    {"silu", compute_silu, expected_silu, 4, -INFINITY, INFINITY},
    {"hard_swish", compute_hard_swish, expected_hard_swish, 3, -INFINITY, INFINITY},
    {"softplus", compute_softplus, expected_softplus, 2, -INFINITY, INFINITY},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* ---------------------------------------------------------------- errors */

static double worst[FUNCTIONS];
static T worst_at[FUNCTIONS];

/* The error of y in ulps of the wanted. Infinity counts as the power of two that it rounds from. */
static double error_of(T y, wide want)
{
    const wide top = WIDE(ldexp)(1, MOST);
    int exponent;
    if (isnan(y) || isnan(want))
        return isnan(y) && isnan(want) ? 0 : INFINITY;
    const wide got = WIDE(fmax)(-top, WIDE(fmin)(top, (wide)y));
    want = WIDE(fmax)(-top, WIDE(fmin)(top, want));
    WIDE(frexp)(want, &exponent);
    return (double)WIDE(ldexp)(WIDE(fabs)(got - want),
                               DIGITS - (exponent > LEAST ? exponent : LEAST));
}

static void judge(ptrdiff_t n, const T *x)
{
    static T taken[BLOCK], y[BLOCK];
    for (int f = 0; f < FUNCTIONS; f++) {
        const function *s = &functions[f];
        ptrdiff_t count = 0;
        for (ptrdiff_t i = 0; i < n; i++)
            if (!((double)x[i] < s->lowest || (double)x[i] > s->highest))
                taken[count++] = x[i];
        s->compute(count, y, taken);
        for (ptrdiff_t i = 0; i < count; i++) {
            const double error = error_of(y[i], s->expected((wide)taken[i]));
            if (!(error <= worst[f])) {
                worst[f] = error;
                worst_at[f] = taken[i];
            }
        }
    }
}

/* ---------------------------------------------------------------- numbers */

static T from_bits(CVL_BITS bits)
{
    T x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static CVL_BITS to_bits(T x)
{
    CVL_BITS bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static T pending[BLOCK];
static ptrdiff_t pending_count;

static void flush(void)
{
    judge(pending_count, pending);
    pending_count = 0;
}

static void take(T x)
{
    pending[pending_count++] = x;
    if (pending_count == BLOCK)
        flush();
}

/* x and the numbers around it, of both signs. */
static void take_around(double x)
{
    for (int i = -3; i <= 3; i++) {
        const T near = from_bits(to_bits((T)x) + (CVL_BITS)i);
        take(near);
        take(-near);
    }
}

/* Where a function changes its branch, its exponent or its sign, or stops to be a normal number. */
static void take_hard(void)
{
    static const double edges[] = {3,   6,    9.01, 10,  11,   14.4, 15,   17,   19.06, 20,
                                   22,  36.7, 38.5, 39,  87.3, 88.7, 89,   104,  108.7, 112,
                                   708, 710,  745,  746, 752,  760,  0.35, 0.41, 1e30};
    for (int k = 1; k < 2300; k++)
        take_around(k * 0.34657359027997264); /* ln 2 / 2: where exp rounds to another n */
    for (int e = LEAST - DIGITS; e < MOST; e++)
        take_around(ldexp(1, e));
    for (int k = 1; k < 1000; k++)
        take_around(k / 64.0);
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        take_around(edges[i]);
    take(0);
    take((T)-0.0);
    take(INFINITY);
    take(-INFINITY);
    take(NAN);
}

/* Where activations bend, which is where a sample of all exponents has few numbers. */
static void take_near_one(CVL_BITS count)
{
    const CVL_BITS first = to_bits((T)0x1p-6), last = to_bits((T)0x1p10);
    for (CVL_BITS bits = first; bits < last; bits += (last - first) / count) {
        take(from_bits(bits));
        take(-from_bits(bits));
    }
}

int main(int argc, char **argv)
{
    const int all = argc > 1 && strcmp(argv[1], "--all") == 0, part = argc > 2 ? atoi(argv[2]) : -1;
    /* Of the sample a fifth where an emulator takes its time. */
    const int fewer = getenv("CONVLET_TEST_ONCE") ? 5 : 1;
    const CVL_BITS end = (CVL_BITS)-1, piece = end / 16 + 1;
    const CVL_BITS step = all ? 1 : end / (CVL_BITS)(300007 / fewer);
    const CVL_BITS start = part < 0 ? 0 : (CVL_BITS)part * piece;
    const CVL_BITS last = part < 0 ? end : start + (piece - 1);
    if (!cvl_isa())
        return SKIPPED;
    check_case("errors");
    take_hard();
    take_near_one((CVL_BITS)(300007 / fewer));
    for (CVL_BITS bits = start;; bits += step) {
        take(from_bits(bits));
        if (last - bits < step)
            break;
    }
    if (!all)
        for (int i = 0; i < 100000 / fewer; i++) /* where they are neither 0 nor a line */
            take(12 * random_unit());
    flush();
    for (int f = 0; f < FUNCTIONS; f++) {
        printf("%-16s%8.4f ulp at %a\n", functions[f].name, worst[f], (double)worst_at[f]);
        check_case("%s at %a", functions[f].name, (double)worst_at[f]);
        CHECK(worst[f] <= functions[f].bound + (strcmp(cvl_isa(), "baseline") == 0));
    }
    return check_report();
}
