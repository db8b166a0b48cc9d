/* test_running.c: running statistics moved, against the formula in double. */
#include <math.h>

#include "check.h"

static const ptrdiff_t sizes[] = {0, 1, 3, 16, 37, 512};

/* The formula, its result rounded once: kept = (T)(factor * statistic). */
static void move(double *next, ptrdiff_t C, const T *running, const double *statistic,
                 double factor, double weight)
{
    for (ptrdiff_t c = 0; c < C; c++) {
        const double old = (double)running[c], kept = (double)(T)(statistic[c] * factor);
        next[c] = (double)(T)(old + weight * (kept - old));
    }
}

static void test_move(ptrdiff_t C)
{
    check_case("C %td", C);
    cvl_running d = CVL_RUNNING_INIT;
    d.C = C;
    d.weight = 0.3;
    d.unbias = 17.0 / 16;
    T *running_mean = input_random(C), *running_var = input_random(C);
    double *mean = widened(input_random(C), C), *var = widened(input_random(C), C);
    double *want_mean = doubles(C), *want_var = doubles(C);
    T *next_mean = output(C), *next_var = output(C);
    move(want_mean, C, running_mean, mean, 1, d.weight);
    move(want_var, C, running_var, var, d.unbias, d.weight);
    cvl_exec run = run_with(2, 0);
    CHECK(NAME(running_move)(&d, next_mean, next_var, running_mean, running_var, mean, var, &run) ==
          CVL_OK);
    check_exact("mean", C, next_mean, want_mean);
    check_exact("var", C, next_var, want_var);
    check_memory();
}

static void test_refused(void)
{
    enum { COUNT = 5 };
    static const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e39};
    const size_t bytes = COUNT * sizeof(T);
    check_case("refused");
    cvl_running d = CVL_RUNNING_INIT;
    d.C = COUNT;
    T *running = input_random(COUNT), *next_mean = output(COUNT), *next_var = output(COUNT);
    double *fine = widened(running, COUNT), *other = widened(running, COUNT);
    cvl_exec run = run_with(1, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (i == 3 && sizeof(T) == sizeof(double))
            continue; /* a double holds it */
        other[3] = bad[i];
        CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, other, &run) ==
              CVL_ERR_FINITE);
        CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, other, fine, &run) ==
              CVL_ERR_FINITE);
    }
    other[3] = sizeof(T) == sizeof(float) ? 3e38 : 1.5e308; /* in its type, but not times unbias */
    d.unbias = 1.5;
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, other, &run) ==
          CVL_ERR_FINITE);
    d.C = PTRDIFF_MAX / 4;
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, fine, &run) ==
          CVL_ERR_OVERFLOW);
    d.C = COUNT;
    CHECK(NAME(running_move)(NULL, next_mean, next_var, running, running, fine, fine, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(running_move)(&d, NULL, next_var, running, running, fine, fine, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, NULL, fine, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, fine, NULL) ==
          CVL_ERR_ARGUMENT);
    d.weight = (double)NAN;
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, fine, &run) ==
          CVL_ERR_ARGUMENT);
    d.weight = 0.1;
    d.C = -1;
    CHECK(NAME(running_move)(&d, next_mean, next_var, running, running, fine, fine, &run) ==
          CVL_ERR_SHAPE);
    CHECK(untouched(next_mean, bytes) && untouched(next_var, bytes));
    check_memory();
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        test_move(sizes[i]);
    test_refused();
}

int main(void) { return check_main(test_all); }
