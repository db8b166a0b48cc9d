/* test_pool2d.c: max and average pooling against loops that test every bound. */
#include "check.h"

#include <math.h>
#include <string.h>

/* clang-format off */
static const cvl_pool2d cases[] = {
#define CASE(...) {sizeof(cvl_pool2d), __VA_ARGS__}
    /*   N  H   W   C   KH KW SH SW DH DW PT PB PL PR ceil count_pad */
    CASE(1, 1,  1,  1,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1),
    CASE(0, 4,  4,  3,  2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),  /* empty batch */
    CASE(2, 8,  8,  16, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),  /* the common one */
    CASE(2, 7,  5,  3,  2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),  /* last row and column never read */
    CASE(2, 7,  5,  3,  2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 1),  /* ceil: short last windows */
    CASE(1, 9,  8,  17, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 1),  /* overlapping, padded */
    CASE(1, 9,  8,  17, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0),  /* padding not counted */
    CASE(2, 6,  7,  5,  3, 2, 1, 3, 1, 1, 1, 0, 1, 1, 1, 1),  /* lopsided, ceil */
    CASE(2, 6,  7,  5,  3, 2, 1, 3, 1, 1, 1, 0, 1, 1, 1, 0),
    CASE(1, 5,  5,  2,  2, 3, 4, 5, 1, 1, 0, 0, 0, 0, 1, 1),  /* stride larger than the window */
    CASE(1, 6,  6,  2,  3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),  /* ceil drops a window in padding */
    CASE(3, 6,  5,  33, 6, 5, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1),  /* global */
    CASE(1, 1,  30, 7,  1, 4, 1, 2, 1, 1, 0, 0, 2, 1, 0, 0),  /* one row */
    CASE(1, 11, 12, 4,  3, 2, 2, 1, 2, 3, 1, 1, 1, 0, 0, 1),  /* dilation: max only */
    CASE(1, 11, 12, 4,  3, 2, 2, 3, 2, 3, 1, 1, 1, 0, 1, 1),
    CASE(2, 13, 12, 5,  3, 2, 4, 3, 2, 3, 1, 1, 1, 0, 0, 1),  /* rows shared by wide windows */
    CASE(1, 4,  4,  3,  2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1),  /* strides as windows, and gaps */
    CASE(2, 2,  2,  5,  4, 4, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1),  /* every window holds the image */
    CASE(2, 2,  2,  5,  4, 4, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0),
    CASE(2, 1,  5,  3,  2, 2, 1, 1, 2, 1, 1, 1, 0, 0, 0, 1),  /* all around the only row */
    CASE(1, 2,  9,  5,  2, 2, 1, 1, 3, 2, 1, 1, 0, 0, 0, 1),
    CASE(2, 9,  11, 19, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1),  /* many positions: one of them is given to */
    CASE(1, 14, 15, 5,  6, 5, 2, 3, 1, 1, 3, 2, 2, 1, 1, 1),
    CASE(1, 15, 17, 35, 5, 7, 2, 1, 2, 1, 2, 2, 1, 3, 0, 1),
    CASE(5, 23, 19, 13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1),  /* work for three threads */
    CASE(3, 28, 28, 40, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),
    CASE(2, 7,  40, 1,  2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),  /* few channels */
    CASE(2, 6,  37, 3,  2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 1),
    CASE(1, 7,  35, 2,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0),
    CASE(2, 9,  45, 3,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 1),
    CASE(1, 8,  50, 1,  3, 3, 3, 3, 1, 1, 1, 0, 1, 0, 1, 1),
    CASE(1, 9,  50, 1,  2, 2, 1, 3, 2, 3, 0, 0, 0, 0, 0, 1),
    CASE(1, 5,  6,  70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1),  /* channels in blocks */
    CASE(1, 13, 40, 17, 2, 2, 1, 1, 9, 3, 0, 0, 0, 0, 0, 1),  /* high windows of wide rows */
    CASE(1, 19, 20, 3, 17, 16, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1), /* more positions than winners can tell */
    CASE(2, 9,  11, 3,  9, 11, 9, 11, 1, 1, 0, 0, 0, 0, 0, 1), /* global, of few channels */
    CASE(2, 7,  5,  150, 7, 5, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1), /* and many */
    CASE(2, 5,  5,  3,  3, 3, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1),  /* two windows that overlap and reach the end */
#undef CASE
};
/* clang-format on */

typedef struct sizes {
    ptrdiff_t x, y;
} sizes;

static sizes sizes_of(const cvl_pool2d *d)
{
    ptrdiff_t OH, OW;
    cvl_reference_pool2d_output_shape(d, &OH, &OW);
    return (sizes){d->N * d->H * d->W * d->C, d->N * OH * OW * d->C};
}

static void name_case(const char *what, const cvl_pool2d *d)
{
    check_case("%s N%td H%td W%td C%td K%tdx%td S%tdx%td D%tdx%td P%td,%td,%td,%td ceil %d pad %d",
               what, d->N, d->H, d->W, d->C, d->KH, d->KW, d->SH, d->SW, d->DH, d->DW, d->PT, d->PB,
               d->PL, d->PR, d->ceil_mode, d->count_include_pad);
}

static void test_output_shape(const cvl_pool2d *d)
{
    ptrdiff_t OH = -1, OW = -1, want_OH, want_OW;
    name_case("output shape", d);
    cvl_reference_pool2d_output_shape(d, &want_OH, &want_OW);
    CHECK(cvl_pool2d_output_shape(d, &OH, &OW) == CVL_OK);
    CHECK(OH == want_OH && OW == want_OW);
}

static int has_winners(const cvl_pool2d *d) { return d->KH * d->KW <= 255; }

/* Values with ties (small integers), or with a NaN and infinities here and there. They rise where no
 * byte holds a winner: the last position wins. */
static T *max_input(const cvl_pool2d *d, ptrdiff_t n, int specials)
{
    T *values = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        values[i] = has_winners(d) ? random_integer(3) : (T)i;
        if (specials && i % 11 == 4)
            values[i] = (T)NAN;
        if (specials && i % 7 == 2)
            values[i] = (T)(i % 2 ? INFINITY : -INFINITY);
    }
    return input_bytes(values, (size_t)n * sizeof(T));
}

/* Positions of a window of one axis that lie inside the input. */
static ptrdiff_t inside(ptrdiff_t begin, ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t dilation)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t k = 0; k < kernel; k++)
        count += begin + k * dilation >= 0 && begin + k * dilation < size;
    return count;
}

/* Whether the winner of an output is one of the positions of its window, or 255 where it has none. */
static int may_win(const cvl_pool2d *d, ptrdiff_t output_index, uint8_t winner)
{
    ptrdiff_t OH, OW;
    cvl_reference_pool2d_output_shape(d, &OH, &OW);
    const ptrdiff_t ow = output_index / d->C % OW, oh = output_index / d->C / OW % OH;
    const ptrdiff_t positions = inside(oh * d->SH - d->PT, d->H, d->KH, d->DH) *
                                inside(ow * d->SW - d->PL, d->W, d->KW, d->DW);
    return positions == 0 ? winner == 255 : winner < positions;
}

/* The same bits by way of the winners. */
static void test_winners(const cvl_pool2d *d, sizes s, const T *x, const T *dy, const T *y,
                         const T *dx, int threads)
{
    T *own_y = output(s.y), *own_dx = output(s.x);
    uint8_t *winners = output_bytes((size_t)s.y);
    cvl_exec run = run_with(threads, 0);
    CHECK(NAME(max_pool2d_forward_winners)(d, own_y, winners, x, &run) == CVL_OK);
    check_same("y with winners", s.y, own_y, y);
    CHECK(NAME(max_pool2d_backward_winners)(d, own_dx, dy, winners, &run) == CVL_OK);
    check_same("dx from winners", s.x, own_dx, dx);
    int in_window = 1;
    for (ptrdiff_t i = 0; i < s.y; i++)
        in_window &= may_win(d, i, winners[i]);
    CHECK(in_window);

    /* A byte beyond the window names no position. */
    memset(winners, (int)(d->KH * d->KW), (size_t)s.y);
    own_dx = output(s.x);
    CHECK(NAME(max_pool2d_backward_winners)(d, own_dx, dy, winners, &run) == CVL_OK);
    int untaken = 1;
    for (ptrdiff_t i = 0; i < s.x; i++)
        untaken &= own_dx[i] == 0;
    CHECK(untaken);
}

static void test_max(const cvl_pool2d *d, int specials)
{
    name_case(specials ? "max with NaN" : "max", d);
    sizes s = sizes_of(d);
    T *x = max_input(d, s.x, specials), *dy = input_random(s.y), *first = NULL;
    double *wide_x = widened(x, s.x), *wide_dy = widened(dy, s.y);
    double *want = doubles(s.y), *want_dx = doubles(s.x), *scale = doubles(s.x),
           *none = doubles(s.y);
    for (ptrdiff_t i = 0; i < s.y; i++)
        none[i] = 0;
    cvl_reference_max_pool2d_forward(d, want, wide_x);
    cvl_reference_max_pool2d_backward(d, want_dx, wide_dy, wide_x);
    cvl_reference_max_pool2d_backward(d, scale, magnitude(wide_dy, s.y), wide_x);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(s.y), *dx = output(s.x);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(max_pool2d_forward)(d, y, x, &run) == CVL_OK);
        check_within("y", s.y, y, want, 0, none);
        CHECK(NAME(max_pool2d_backward)(d, dx, dy, x, &run) == CVL_OK);
        /* A position is in at most KH*KW windows: so many additions, the first of them to 0. */
        check_within("dx", s.x, dx, want_dx, (double)(d->KH * d->KW - 1) * 2 * UNIT, scale);
        if (first)
            check_same("dx", s.x, dx, first);
        first = dx;
        if (has_winners(d))
            test_winners(d, s, x, dy, y, dx, threads);
    }
    check_memory();
}

/* ---------------------------------------------------------------- after a batch norm */

/* What a batch norm and the pooling of its output give, apart. */
static void norm_then_pool(const cvl_batch_norm *norm, const cvl_pool2d *d, T *y, uint8_t *winners,
                           double *mean, double *var, const T *x, const T *gamma, const T *beta)
{
    T *between = output(sizes_of(d).x);
    cvl_exec run = run_with(1, norm->frozen ? NAME(batch_norm_inference_workspace_size)(norm, 1)
                                            : NAME(batch_norm_forward_workspace_size)(norm, 1));
    CHECK((norm->frozen
               ? NAME(batch_norm_inference)(norm, between, x, gamma, beta, mean, var, NULL, &run)
               : NAME(batch_norm_forward)(norm, between, mean, var, x, gamma, beta, NULL, &run)) ==
          CVL_OK);
    CHECK(NAME(max_pool2d_forward_winners)(d, y, winners, between, &run) == CVL_OK);
}

static double *statistics(ptrdiff_t C, int given)
{
    double *values = output_bytes((size_t)C * sizeof(double));
    for (ptrdiff_t c = 0; given && c < C; c++)
        values[c] = 1.25 + (double)random_unit();
    return values;
}

/* To the bit what the two give apart, NaN and ties included. */
static void test_after_norm(const cvl_pool2d *d, int relu, int frozen)
{
    const ptrdiff_t M = d->N * d->H * d->W;
    const int possible = M > 0 || frozen;
    const sizes s = sizes_of(d);
    cvl_batch_norm norm = CVL_BATCH_NORM_INIT;
    name_case(frozen ? "after a frozen batch norm" : "after batch norm", d);
    norm.M = M;
    norm.C = d->C;
    norm.activation = relu ? CVL_ACTIVATION_RELU : CVL_ACTIVATION_NONE;
    norm.frozen = frozen;
    const T *x = max_input(d, s.x, frozen);
    const T *gamma = input_random(d->C), *beta = input_random(d->C);
    const size_t C = (size_t)d->C * sizeof(double), bytes = (size_t)s.y;
    double *mean = statistics(d->C, frozen), *var = statistics(d->C, frozen);
    T *want = output(s.y);
    uint8_t *want_winners = output_bytes(bytes);
    if (possible)
        norm_then_pool(&norm, d, want, want_winners, mean, var, x, gamma, beta);
    for (int threads = team_after(0); threads; threads = team_after(threads))
        for (int trained = 0; trained < 2; trained++) {
            T *y = output(s.y);
            uint8_t *winners = trained ? output_bytes(bytes) : NULL;
            double *got_mean = statistics(d->C, 0), *got_var = statistics(d->C, 0);
            if (frozen) {
                memcpy(got_mean, mean, C);
                memcpy(got_var, var, C);
            }
            cvl_exec run = run_with(
                threads, NAME(batch_norm_max_pool2d_forward_workspace_size)(&norm, d, threads));
            const cvl_status status = NAME(batch_norm_max_pool2d_forward)(
                &norm, d, y, winners, got_mean, got_var, x, gamma, beta, &run);
            CHECK(status == (possible ? CVL_OK : CVL_ERR_SHAPE));
            if (status != CVL_OK)
                continue;
            check_same("y", s.y, y, want);
            CHECK(memcmp(got_mean, mean, C) == 0 && memcmp(got_var, var, C) == 0);
            CHECK(!winners || memcmp(winners, want_winners, bytes) == 0);
        }
    check_memory();
}

/* ---------------------------------------------------------------- averages */

static void test_avg(const cvl_pool2d *d)
{
    name_case("avg", d);
    sizes s = sizes_of(d);
    T *x = input_random(s.x), *dy = input_random(s.y), *first = NULL, *first_dx = NULL;
    double *wide_x = widened(x, s.x), *wide_dy = widened(dy, s.y);
    double *want = doubles(s.y), *scale = doubles(s.y);
    double *want_dx = doubles(s.x), *scale_dx = doubles(s.x);
    /* KH*KW additions, and two roundings of the divisor's reciprocal or quotient; the double
     * reference as much. */
    double factor = 2 * (double)(d->KH * d->KW + 2) * UNIT;
    cvl_reference_avg_pool2d_forward(d, want, wide_x);
    cvl_reference_avg_pool2d_forward(d, scale, magnitude(wide_x, s.x));
    cvl_reference_avg_pool2d_backward(d, want_dx, wide_dy);
    cvl_reference_avg_pool2d_backward(d, scale_dx, magnitude(wide_dy, s.y));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(s.y), *dx = output(s.x);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(avg_pool2d_forward)(d, y, x, &run) == CVL_OK);
        check_within("y", s.y, y, want, factor, scale);
        CHECK(NAME(avg_pool2d_backward)(d, dx, dy, &run) == CVL_OK);
        check_within("dx", s.x, dx, want_dx, factor, scale_dx);
        if (first) {
            check_same("y", s.y, y, first);
            check_same("dx", s.x, dx, first_dx);
        }
        first = y;
        first_dx = dx;
    }
    check_memory();
}

static void test_all(void)
{
    for (const cvl_pool2d *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++) {
        test_output_shape(d);
        test_max(d, 0);
        test_max(d, 1);
        for (int variant = 0; has_winners(d) && variant < 4; variant++)
            test_after_norm(d, variant & 1, variant >> 1);
        if (d->DH == 1 && d->DW == 1)
            test_avg(d);
    }
}

int main(void) { return check_main(test_all); }
