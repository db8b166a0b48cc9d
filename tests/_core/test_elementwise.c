/* test_elementwise.c: ReLU, its gradient and addition, which are exact. */
#include <math.h>
#include <string.h>

#include "check.h"

/* Around every vector length, and enough for three threads. */
static const ptrdiff_t sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 1000, 300007};

/* Random values with a special one in every fifth place. */
static T *input_with_specials(ptrdiff_t n)
{
    static const double specials[] = {0.0,      -0.0,      SMALLEST,     -SMALLEST,
                                      INFINITY, -INFINITY, SMALLEST * 5, -SMALLEST * 7};
    T *values = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        values[i] = i % 5 == 3 ? (T)specials[i / 5 % 8] : random_unit();
    return input_bytes(values, (size_t)n * sizeof(T));
}

static void test_relu(ptrdiff_t n)
{
    check_case("relu n %td", n);
    T *x = input_with_specials(n), *dy = input_with_specials(n);
    double *want = doubles(n), *want_dx = doubles(n), *wide_x = widened(x, n);
    cvl_reference_relu_forward(n, want, wide_x);
    cvl_reference_relu_backward(n, want_dx, widened(dy, n), want);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(n), *dx = output(n);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(relu_forward)(n, y, x, &run) == CVL_OK);
        check_exact("y", n, y, want); /* -0 and subnormals included */
        CHECK(NAME(relu_backward)(n, dx, dy, y, &run) == CVL_OK);
        check_exact("dx", n, dx, want_dx);
        memcpy(dx, dy, (size_t)n * sizeof(T));
        CHECK(NAME(relu_backward)(n, dx, dx, y, &run) == CVL_OK);
        check_exact("dx over dy", n, dx, want_dx);
    }
    check_memory();
}

static void test_relu_nan(void)
{
    enum { COUNT = 37 };
    check_case("relu of NaN");
    T values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = i % 3 ? (T)NAN : (T)-1;
    T *x = input_bytes(values, sizeof values), *dy = input_random(COUNT);
    T *y = output(COUNT), *dx = output(COUNT);
    cvl_exec run = run_with(1, 0);
    int kept = 1, blocked = 1;
    CHECK(NAME(relu_forward)(COUNT, y, x, &run) == CVL_OK);
    CHECK(NAME(relu_backward)(COUNT, dx, dy, y, &run) == CVL_OK);
    for (int i = 0; i < COUNT; i++) {
        kept = kept && (i % 3 ? isnan(y[i]) : y[i] == 0);
        blocked = blocked && dx[i] == 0; /* y > 0 does not hold for NaN */
    }
    CHECK(kept);
    CHECK(blocked);
    check_memory();
}

/* The bits of a sum, then ReLU. */
static void test_add_relu(ptrdiff_t n, const T *a, const T *b, const T *sum, const cvl_exec *run)
{
    T *want = output(n), *y = output(n), *over_a = output(n), *over_b = output(n);
    CHECK(NAME(relu_forward)(n, want, sum, run) == CVL_OK);
    CHECK(NAME(add_relu)(n, y, a, b, run) == CVL_OK);
    memcpy(over_a, a, (size_t)n * sizeof(T));
    memcpy(over_b, b, (size_t)n * sizeof(T));
    CHECK(NAME(add_relu)(n, over_a, over_a, b, run) == CVL_OK);
    CHECK(NAME(add_relu)(n, over_b, a, over_b, run) == CVL_OK);
    check_same("max(a + b, 0)", n, y, want);
    check_same("over a", n, over_a, want);
    check_same("over b", n, over_b, want);
}

static void test_add(ptrdiff_t n)
{
    check_case("add n %td", n);
    T *a = input_random(n), *b = input_random(n);
    double *want = doubles(n);
    cvl_reference_add(n, want, widened(a, n), widened(b, n)); /* rounded once: see check_exact */
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(n), *over_a = output(n), *over_b = output(n);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(add)(n, y, a, b, &run) == CVL_OK);
        check_exact("a + b", n, y, want);
        memcpy(over_a, a, (size_t)n * sizeof(T));
        memcpy(over_b, b, (size_t)n * sizeof(T));
        CHECK(NAME(add)(n, over_a, over_a, b, &run) == CVL_OK);
        CHECK(NAME(add)(n, over_b, a, over_b, &run) == CVL_OK);
        check_same("a += b", n, over_a, y);
        check_same("b += a", n, over_b, y);
        test_add_relu(n, a, b, y, &run);
    }
    check_memory();
}

static void test_add_subnormals(void)
{
    enum { COUNT = 19 };
    check_case("add of subnormals");
    T a_values[COUNT], b_values[COUNT];
    double want[COUNT];
    for (int i = 0; i < COUNT; i++) {
        a_values[i] = (T)(SMALLEST * i);
        b_values[i] = (T)(SMALLEST_NORMAL - SMALLEST * 30);
        want[i] = (double)(T)(SMALLEST_NORMAL - SMALLEST * (30 - i));
    }
    T *a = input_bytes(a_values, sizeof a_values), *b = input_bytes(b_values, sizeof b_values);
    T *y = output(COUNT);
    cvl_exec run = run_with(1, 0);
    CHECK(NAME(add)(COUNT, y, a, b, &run) == CVL_OK);
    check_exact("y", COUNT, y, want);
    check_memory();
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        test_relu(sizes[i]);
        test_add(sizes[i]);
    }
    test_relu_nan();
    test_add_subnormals();
}

int main(void) { return check_main(test_all); }
