/* test_activation.c: the activations but ReLU, forward and backward; ulps.c has their errors over
 * all numbers. */
#include <math.h>
#include <string.h>

#include "check.h"

/* Around every vector length and the group of four, and enough for three threads. */
static const ptrdiff_t sizes[] = {0, 1, 2, 3, 5, 8, 15, 16, 17, 33, 63, 64, 65, 100, 1000, 60007};

enum { SPECIALS = 26 };
static const double specials[SPECIALS] = {
    0.0,
    3.0,
    3 - 4 * UNIT, /* its neighbours */
    3 + 4 * UNIT,
    6.0,
    SMALLEST,
    5 * SMALLEST,
    SMALLEST_NORMAL,
    1e-6,
    INFINITY,
    9.5,
    14,
    17.5,
    UNIT,
    20,
    38,
    88,
    103.5,
    110,
    709,
    745,
    sizeof(T) * 1e6,
    sizeof(T) * 9e3,
    1e30,
    1,
    0.5,
};

/* Random numbers from -limit to limit, and a special one of either sign in every fourth place. */
static T *input_with_specials(ptrdiff_t n, double limit)
{
    T *values = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double sign = i / 4 % 2 ? -1 : 1;
        values[i] =
            (T)(i % 4 == 3 ? sign * specials[i / 8 % SPECIALS] : limit * (double)random_unit());
    }
    return input_bytes(values, (size_t)n * sizeof(T));
}

/* ---------------------------------------------------------------- the functions */

typedef cvl_status unary(ptrdiff_t n, T *y, const T *x, const cvl_exec *run);
typedef cvl_status binary(ptrdiff_t n, T *dx, const T *dy, const T *a, const cvl_exec *run);
typedef void reference_unary(ptrdiff_t n, double *y, const double *x);
typedef void reference_binary(ptrdiff_t n, double *dx, const double *dy, const double *a);

/* The magnitude of f' at a: of its terms, where it is a sum. */
typedef double magnitude_of_slope(double a);

typedef struct function {
    const char *name;
    unary *forward;
    binary *backward;
    reference_unary *want_forward;
    reference_binary *want_backward;
    magnitude_of_slope *slope;
    int of_y;          /* whether the gradient takes y */
    double ulps;       /* error of y */
    double ulps_per_v; /* gelu_tanh: and for each unit of |v| */
} function;

#define SLOPE ((double)(T)0.01)
#define ALPHA ((double)(T)0.7)

static cvl_status leaky_relu(ptrdiff_t n, T *y, const T *x, const cvl_exec *run)
{
    return NAME(leaky_relu_forward)(SLOPE, n, y, x, run);
}
static cvl_status leaky_relu_back(ptrdiff_t n, T *dx, const T *dy, const T *y, const cvl_exec *run)
{
    return NAME(leaky_relu_backward)(SLOPE, n, dx, dy, y, run);
}
static void want_leaky_relu(ptrdiff_t n, double *y, const double *x)
{
    cvl_reference_leaky_relu_forward(SLOPE, n, y, x);
}
static void want_leaky_relu_back(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    cvl_reference_leaky_relu_backward(SLOPE, n, dx, dy, y);
}
static cvl_status elu(ptrdiff_t n, T *y, const T *x, const cvl_exec *run)
{
    return NAME(elu_forward)(ALPHA, n, y, x, run);
}
static cvl_status elu_back(ptrdiff_t n, T *dx, const T *dy, const T *y, const cvl_exec *run)
{
    return NAME(elu_backward)(ALPHA, n, dx, dy, y, run);
}
static void want_elu(ptrdiff_t n, double *y, const double *x)
{
    cvl_reference_elu_forward(ALPHA, n, y, x);
}
static void want_elu_back(ptrdiff_t n, double *dx, const double *dy, const double *y)
{
    cvl_reference_elu_backward(ALPHA, n, dx, dy, y);
}

static double of_line(double y) { return y > 0 ? 1 : SLOPE; }
static double of_relu6(double y) { return y > 0 && y < 6; }
static double of_sigmoid(double y) { return y * (1 - y); }
static double of_tanh(double y) { return (1 - y) * (1 + y); }
static double of_elu(double y) { return y > 0 ? 1 : fabs(y) + ALPHA; }
static double of_hard_swish(double x) { return x >= 3 ? 1 : -3 >= x ? 0 : fabs(2 * x + 3) / 6; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* f + |x| f', 0 times infinity counting as 0. */
static double of_gate(double x, double f, double df) { return df == 0 ? f : f + fabs(x) * df; }
static double of_gelu(double x)
{
    return of_gate(x, erfc(-x / sqrt(2)) / 2, exp(-x * x / 2) / sqrt(2 * 3.14159265358979));
}
static double of_silu(double x) { return of_gate(x, sigmoid(x), sigmoid(x) * sigmoid(-x)); }

static double argument(double x) { return sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x); }
static double of_gelu_tanh(double x)
{
    const double z = 2 * argument(x), df = sigmoid(z) * sigmoid(-z);
    return of_gate(x, sigmoid(z), df == 0 ? 0 : df * 1.6 * (1 + 0.134145 * x * x));
}

#define FUNCTION(op, ...)           \
    {#op,                           \
     NAME(op##_forward),            \
     NAME(op##_backward),           \
     cvl_reference_##op##_forward,  \
     cvl_reference_##op##_backward, \
     __VA_ARGS__}
static const function functions[] = {
    {"leaky_relu", leaky_relu, leaky_relu_back, want_leaky_relu, want_leaky_relu_back, of_line, 1,
     0.5, 0},
    FUNCTION(relu6, of_relu6, 1, 0, 0),
    FUNCTION(sigmoid, of_sigmoid, 1, 1, 0),
    FUNCTION(tanh, of_tanh, 1, 1, 0),
    {"elu", elu, elu_back, want_elu, want_elu_back, of_elu, 1, 1.5, 0},
    FUNCTION(gelu, of_gelu, 0, 5, 0),
    FUNCTION(gelu_tanh, of_gelu_tanh, 0, 5, 6),
    FUNCTION(silu, of_silu, 0, 4, 0),
    FUNCTION(hard_swish, of_hard_swish, 0, 3, 0),
    FUNCTION(softplus, sigmoid, 0, 2, 0),
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* One more on baseline, which has no FMA; and the reference in double is right to as much where
 * float64 has an exponent of hundreds. */
static double slack(double x)
{
    return (strcmp(cvl_isa(), "baseline") == 0) + (fabs(x) < 50 ? x * x / 500 : 0);
}

/* ---------------------------------------------------------------- values and gradients */

static void test_function(const function *f, ptrdiff_t n)
{
    check_case("%s n %td", f->name, n);
    T *x = input_with_specials(n, 12), *dy = input_random(n), *first_y = NULL, *first_dx = NULL;
    double *wide_x = widened(x, n), *want = doubles(n), *want_dx = doubles(n);
    double *bound = doubles(n), *bound_dx = doubles(n);
    f->want_forward(n, want, wide_x);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double v = fabs(wide_x[i]) < 30 ? fabs(argument(wide_x[i])) : 0;
        const double ulps = f->ulps + f->ulps_per_v * v + slack(wide_x[i]);
        bound[i] = f->ulps == 0 || isinf(want[i]) ? 0 : 2 * UNIT * ulps * fabs(want[i]) + SMALLEST;
    }
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(n), *dx = output(n);
        cvl_exec run = run_with(threads, 0);
        CHECK(f->forward(n, y, x, &run) == CVL_OK);
        CHECK(f->backward(n, dx, dy, f->of_y ? y : x, &run) == CVL_OK);
        if (first_y) {
            check_same("y", n, y, first_y);
            check_same("dx", n, dx, first_dx);
            continue;
        }
        first_y = y;
        first_dx = dx;
        check_within("y", n, y, want, 1, bound);
        const double *a = f->of_y ? widened(y, n) : wide_x;
        f->want_backward(n, want_dx, widened(dy, n), a);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double v = fabs(wide_x[i]) < 30 ? fabs(argument(wide_x[i])) : 0;
            const double ulps = 4 + f->ulps_per_v * v + slack(wide_x[i]);
            bound_dx[i] = 2 * UNIT * ulps * fabs((double)dy[i]) * f->slope(a[i]) + 2 * SMALLEST;
        }
        check_within("dx", n, dx, want_dx, 1, bound_dx);
    }
    check_memory();
}

static void test_in_place(const function *f)
{
    enum { COUNT = 203 };
    check_case("%s in place", f->name);
    T *x = input_with_specials(COUNT, 8), *dy = input_random(COUNT);
    T *y = output(COUNT), *dx = output(COUNT), *over_x = output(COUNT), *over_dy = output(COUNT);
    cvl_exec run = run_with(1, 0);
    memcpy(over_x, x, COUNT * sizeof(T));
    memcpy(over_dy, dy, COUNT * sizeof(T));
    CHECK(f->forward(COUNT, y, x, &run) == CVL_OK);
    CHECK(f->forward(COUNT, over_x, over_x, &run) == CVL_OK);
    CHECK(f->backward(COUNT, dx, dy, x, &run) == CVL_OK);
    CHECK(f->backward(COUNT, over_dy, over_dy, x, &run) == CVL_OK);
    check_same("y over x", COUNT, over_x, y);
    check_same("dx over dy", COUNT, over_dy, dx);
    check_memory();
}

/* ---------------------------------------------------------------- the edges of the numbers */

/* y and dx of dy = 1 at one x, which is repeated so as to fill vectors. */
static void at(const function *f, double x, double *y, double *dx)
{
    enum { COUNT = 71 };
    T values[COUNT], ones[COUNT];
    for (int i = 0; i < COUNT; i++) {
        values[i] = (T)x;
        ones[i] = 1;
    }
    T *all_x = input_bytes(values, sizeof values), *all_dy = input_bytes(ones, sizeof ones);
    T *all_y = output(COUNT), *all_dx = output(COUNT);
    cvl_exec run = run_with(1, 0);
    CHECK(f->forward(COUNT, all_y, all_x, &run) == CVL_OK);
    CHECK(f->backward(COUNT, all_dx, all_dy, f->of_y ? all_y : all_x, &run) == CVL_OK);
    for (int i = 1; i < COUNT; i++)
        CHECK(memcmp(all_y, all_y + i, sizeof(T)) == 0 &&
              memcmp(all_dx, all_dx + i, sizeof(T)) == 0);
    *y = (double)all_y[0];
    *dx = (double)all_dx[0];
    check_memory();
}

typedef struct limit {
    double y, dx;
} limit;

/* At -inf, inf, and the largest finite numbers of either sign, in this order. */
static const limit limits[FUNCTIONS][2] = {
    {{-INFINITY, SLOPE}, {INFINITY, 1}},
    {{0, 0}, {6, 0}},
    {{0, 0}, {1, 0}},
    {{-1, 0}, {1, 0}},
    {{-ALPHA, 0}, {INFINITY, 1}},
    {{0, 0}, {INFINITY, 1}},
    {{0, 0}, {INFINITY, 1}},
    {{0, 0}, {INFINITY, 1}},
    {{0, 0}, {INFINITY, 1}},
    {{0, 0}, {INFINITY, 1}},
};

static void test_limits(int number)
{
    const function *f = &functions[number];
    const double largest = sizeof(T) == sizeof(float) ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
    double y, dx;
    for (int positive = 0; positive <= 1; positive++) {
        const limit want = limits[number][positive];
        const double sign = positive ? 1 : -1;
        check_case("%s at %cinf", f->name, positive ? '+' : '-');
        at(f, sign * INFINITY, &y, &dx);
        CHECK(y == want.y && dx == want.dx);
        check_case("%s at %clargest", f->name, positive ? '+' : '-');
        at(f, sign * largest, &y, &dx);
        CHECK(dx == want.dx);
        if (isfinite(want.y))
            CHECK(y == want.y);
        else
            CHECK(positive ? y == largest : (T)y == (T)((T)-largest * (T)SLOPE));
    }
    check_case("%s at NaN", f->name);
    at(f, NAN, &y, &dx);
    CHECK(isnan(y));
    CHECK(isnan(dx) || f->slope == of_line || f->slope == of_relu6); /* their masks do not hold */
}

/* f(-0) is -0 where f(0) is 0, and a tiny x > 0 gives f'(0) x, subnormal numbers included. */
static void test_near_zero(const function *f)
{
    double y, dx, zero, slope;
    check_case("%s near 0", f->name);
    at(f, 0.0, &zero, &slope);
    at(f, -0.0, &y, &dx);
    CHECK(y == zero && dx == slope);
    if (zero == 0)
        CHECK(signbit(y) && !signbit(zero));
    if (f->slope == of_line || f->slope == of_relu6 || f->slope == of_elu)
        slope = 1; /* the one to the right */
    for (double x = SMALLEST; x < 2 * SMALLEST_NORMAL && zero == 0; x *= 2) {
        at(f, x, &y, &dx);
        CHECK(fabs(y - slope * x) <= SMALLEST);
    }
}

static void test_all(void)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++)
            test_function(&functions[i], sizes[size]);
        test_in_place(&functions[i]);
        test_limits(i);
        test_near_zero(&functions[i]);
    }
}

int main(void) { return check_main(test_all); }
