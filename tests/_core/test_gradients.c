/* test_gradients.c: clipping, scaling, moving averages and sums of squares over several segments. */
#include <math.h>
#include <string.h>

#include "check.h"

static const ptrdiff_t lengths[] = {1, 0, 63, 64, 65, 4095, 4096, 4097, 70001};
enum { SEGMENTS = sizeof lengths / sizeof lengths[0], TEAMS = 3 };

typedef NAME(segment) segments_of[SEGMENTS];

/* Copies of `from` as w, and `g` beside them. */
static void fill_segments(segments_of segments, T *const *from, T *const *g)
{
    for (int i = 0; i < SEGMENTS; i++) {
        T *w = output(lengths[i]);
        memcpy(w, from[i], (size_t)lengths[i] * sizeof(T));
        segments[i] = (NAME(segment)){lengths[i], w, g ? g[i] : NULL, NULL, NULL, NULL};
    }
}

static void new_inputs(T **inputs)
{
    for (int i = 0; i < SEGMENTS; i++)
        inputs[i] = input_random(lengths[i]);
}

static void test_clip(void)
{
    const T limit = (T)0.3;
    check_case("clip");
    for (int threads = 1; threads <= TEAMS; threads++) {
        segments_of segments;
        T *inputs[SEGMENTS];
        new_inputs(inputs);
        fill_segments(segments, inputs, NULL);
        const cvl_exec run = run_with(threads, 0);
        CHECK(NAME(clip)(0.3, segments, SEGMENTS, &run) == CVL_OK);
        for (int i = 0; i < SEGMENTS; i++) {
            double *want = widened(inputs[i], lengths[i]);
            for (ptrdiff_t k = 0; k < lengths[i]; k++)
                want[k] = fmin(fmax(want[k], -(double)limit), (double)limit);
            check_exact("clipped", lengths[i], segments[i].w, want);
        }
        check_memory();
    }
}

/* Infinities are clipped, NaN stays. */
static void test_clip_specials(void)
{
    enum { COUNT = 19 };
    check_case("clip: specials");
    const cvl_exec run = run_with(1, 0);
    T *x = output(COUNT);
    double want[COUNT];
    for (int k = 0; k < COUNT; k++) {
        x[k] = k % 3 == 0 ? (T)NAN : k % 3 == 1 ? (T)INFINITY : (T)-INFINITY;
        want[k] = k % 3 == 0 ? NAN : k % 3 == 1 ? 2 : -2;
    }
    const NAME(segment) s = {COUNT, x, NULL, NULL, NULL, NULL};
    CHECK(NAME(clip)(2, &s, 1, &run) == CVL_OK);
    check_within("clipped", COUNT, x, want, 0, want);
    check_memory();
}

static void test_scale(void)
{
    check_case("scale");
    for (int threads = 1; threads <= TEAMS; threads++) {
        segments_of segments;
        T *inputs[SEGMENTS];
        new_inputs(inputs);
        fill_segments(segments, inputs, NULL);
        const cvl_exec run = run_with(threads, 0);
        CHECK(NAME(scale)(0.7, segments, SEGMENTS, &run) == CVL_OK);
        for (int i = 0; i < SEGMENTS; i++) {
            double *want = widened(inputs[i], lengths[i]);
            for (ptrdiff_t k = 0; k < lengths[i]; k++)
                want[k] *= (double)(T)0.7;
            check_exact("scaled", lengths[i], segments[i].w, want);
        }
        check_memory();
    }
}

/* The difference, its product with a rounded constant and the sum: 4 UNIT of the magnitudes, and as
 * much for the double expectation. */
static void test_blend(void)
{
    const double rate = 0.1;
    check_case("blend");
    for (int threads = 1; threads <= TEAMS; threads++) {
        segments_of segments;
        T *inputs[SEGMENTS], *towards[SEGMENTS];
        new_inputs(inputs);
        new_inputs(towards);
        fill_segments(segments, inputs, towards);
        const cvl_exec run = run_with(threads, 0);
        CHECK(NAME(blend)(rate, segments, SEGMENTS, &run) == CVL_OK);
        for (int i = 0; i < SEGMENTS; i++) {
            double *want = widened(inputs[i], lengths[i]), *bound = doubles(lengths[i]);
            for (ptrdiff_t k = 0; k < lengths[i]; k++) {
                const double x = want[k], y = (double)towards[i][k];
                want[k] = x + rate * (y - x);
                bound[k] = 8 * UNIT * (fabs(x) + fabs(y));
            }
            check_within("average", lengths[i], segments[i].w, want, 1, bound);
        }
        check_memory();
    }
}

/* Squares of integers add up exactly; of other numbers, 64 + 6 + 18 additions in double and the
 * rounding of a square bound the relative error of a sum of positive terms. */
static void test_sum_squares(void)
{
    for (int integers = 0; integers < 2; integers++) {
        double first[SEGMENTS];
        for (int threads = 1; threads <= TEAMS; threads++) {
            check_case("sum of squares, integers %d", integers);
            segments_of segments;
            double want[SEGMENTS], sums[SEGMENTS];
            for (int i = 0; i < SEGMENTS; i++) {
                T *x = integers ? input_integers(lengths[i], 9) : input_random(lengths[i]);
                segments[i] = (NAME(segment)){lengths[i], x, NULL, NULL, NULL, NULL};
                long double sum = 0;
                for (ptrdiff_t k = 0; k < lengths[i]; k++)
                    sum += (long double)x[k] * (long double)x[k];
                want[i] = (double)sum;
            }
            const cvl_exec run =
                run_with(threads, NAME(sum_squares_workspace_size)(segments, SEGMENTS, threads));
            CHECK(NAME(sum_squares)(sums, segments, SEGMENTS, &run) == CVL_OK);
            for (int i = 0; i < SEGMENTS; i++)
                CHECK(fabs(sums[i] - want[i]) <= (integers ? 0 : 90 * 0x1p-53 * want[i]));
            if (threads == 1)
                memcpy(first, sums, sizeof first);
            CHECK(memcmp(first, sums, sizeof first) == 0);
            check_memory();
        }
    }
}

static void test_refusals(void)
{
    T w = 1;
    double sum = 7;
    const cvl_exec run = CVL_EXEC_INIT, none = {0, 1, NULL, 0, 0};
    const NAME(segment) s = {1, &w, NULL, NULL, NULL, NULL};
    const NAME(segment) no_w = {1, NULL, &w, NULL, NULL, NULL};
    const NAME(segment) negative = {-1, &w, &w, NULL, NULL, NULL};
    check_case("refusals");
    CHECK(NAME(clip)(-1, &s, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(clip)(NAN, &s, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(clip)(1, &no_w, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(clip)(1, NULL, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(scale)(INFINITY, &s, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(scale)(1, &negative, 1, &run) == CVL_ERR_SHAPE);
    CHECK(NAME(scale)(1, &s, -1, &run) == CVL_ERR_SHAPE);
    CHECK(NAME(scale)(1, &s, 1, &none) == CVL_ERR_ARGUMENT);
    CHECK(NAME(blend)(0.5, &s, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(sum_squares)(&sum, &s, 1, &run) == CVL_ERR_WORKSPACE);
    CHECK(NAME(sum_squares)(&sum, &negative, 1, &run) == CVL_ERR_SHAPE);
    CHECK(NAME(sum_squares_workspace_size)(&negative, 1, 1) == 0);
    const cvl_exec enough = run_with(1, NAME(sum_squares_workspace_size)(&s, 1, 1));
    CHECK(NAME(sum_squares)(NULL, &s, 1, &enough) == CVL_ERR_ARGUMENT);
    CHECK(NAME(sum_squares)(NULL, NULL, 0, &run) == CVL_OK);
    CHECK(w == 1 && sum == 7);
    check_memory();
}

static void test_all(void)
{
    test_clip();
    test_clip_specials();
    test_scale();
    test_blend();
    test_sum_squares();
    test_refusals();
}

int main(void) { return check_main(test_all); }
