/* test_resample.c: padding, upsampling and adaptive pooling against loops over the outputs. */
#include <math.h>
#include <string.h>

#include "check.h"

/* One of the three operators with its descriptor, seen as any map of images. */
typedef cvl_status pass(const void *d, T *out, const T *in, const cvl_exec *run);
typedef void reference(const void *d, double *out, const double *in);
typedef struct image_op {
    const char *name;
    pass *forward, *backward;
    size_t (*workspace_size)(const void *d, int threads);
    reference *reference_forward, *reference_backward;
} image_op;

#define IMAGE_OP(op)                                                                      \
    static cvl_status op##_forward(const void *d, T *y, const T *x, const cvl_exec *r)    \
    {                                                                                     \
        return NAME(op##_forward)(d, y, x, r);                                            \
    }                                                                                     \
    static cvl_status op##_backward(const void *d, T *dx, const T *dy, const cvl_exec *r) \
    {                                                                                     \
        return NAME(op##_backward)(d, dx, dy, r);                                         \
    }                                                                                     \
    static size_t op##_size(const void *d, int threads)                                   \
    {                                                                                     \
        return NAME(op##_workspace_size)(d, threads);                                     \
    }                                                                                     \
    static void op##_reference_forward(const void *d, double *y, const double *x)         \
    {                                                                                     \
        cvl_reference_##op##_forward(d, y, x);                                            \
    }                                                                                     \
    static void op##_reference_backward(const void *d, double *dx, const double *dy)      \
    {                                                                                     \
        cvl_reference_##op##_backward(d, dx, dy);                                         \
    }                                                                                     \
    static const image_op op = {#op,       op##_forward,           op##_backward,         \
                                op##_size, op##_reference_forward, op##_reference_backward};
IMAGE_OP(pad2d)
IMAGE_OP(upsample2d)
IMAGE_OP(adaptive_avg_pool2d)

/* `taps` bounds the terms of one output of either pass, on one axis. */
static void test_passes(const image_op *op, const void *d, ptrdiff_t x_size, ptrdiff_t y_size,
                        ptrdiff_t taps)
{
    T *x = input_random(x_size), *dy = input_random(y_size), *first = NULL, *first_dx = NULL;
    double *want = doubles(y_size), *scale = doubles(y_size);
    double *want_dx = doubles(x_size), *scale_dx = doubles(x_size);
    double *wide_x = widened(x, x_size), *wide_dy = widened(dy, y_size);
    op->reference_forward(d, want, wide_x);
    op->reference_forward(d, scale, magnitude(wide_x, x_size));
    op->reference_backward(d, want_dx, wide_dy);
    op->reference_backward(d, scale_dx, magnitude(wide_dy, y_size));
    /* Two chains of FMAs, weights rounded once, a division; the double reference as much. */
    const double factor = 2 * (double)(2 * taps + 4) * UNIT;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(y_size), *dx = output(x_size);
        cvl_exec run = run_with(threads, op->workspace_size(d, threads));
        CHECK(op->forward(d, y, x, &run) == CVL_OK);
        check_within("y", y_size, y, want, factor, scale);
        CHECK(op->backward(d, dx, dy, &run) == CVL_OK);
        check_within("dx", x_size, dx, want_dx, factor, scale_dx);
        if (first) {
            check_same("y", y_size, y, first);
            check_same("dx", x_size, dx, first_dx);
        }
        first = y;
        first_dx = dx;
    }
    check_memory();
}

/* Copies and their sums of small integers are exact. */
static void test_integers(const image_op *op, const void *d, ptrdiff_t x_size, ptrdiff_t y_size)
{
    T *x = input_integers(x_size, 8), *dy = input_integers(y_size, 8);
    T *y = output(y_size), *dx = output(x_size);
    double *want = doubles(y_size), *want_dx = doubles(x_size);
    op->reference_forward(d, want, widened(x, x_size));
    op->reference_backward(d, want_dx, widened(dy, y_size));
    cvl_exec run = run_with(2, op->workspace_size(d, 2));
    CHECK(op->forward(d, y, x, &run) == CVL_OK);
    CHECK(op->backward(d, dx, dy, &run) == CVL_OK);
    for (ptrdiff_t i = 0; i < y_size; i++)
        want[i] = y[i] == 0 && want[i] == 0 ? (double)y[i] : want[i]; /* a zero of either sign */
    for (ptrdiff_t i = 0; i < x_size; i++)
        want_dx[i] = dx[i] == 0 && want_dx[i] == 0 ? (double)dx[i] : want_dx[i];
    check_exact("y", y_size, y, want);
    check_exact("dx", x_size, dx, want_dx);
    check_memory();
}

/* ---------------------------------------------------------------- the operators */

/* clang-format off */
static const cvl_pad2d pads[] = {
#define CASE(...) {sizeof(cvl_pad2d), __VA_ARGS__}
    /*   N  H  W  C   PT PB PL PR mode, value */
    CASE(1, 1, 1, 1, 0, 0, 0, 0, CVL_PAD_CONSTANT, 0),
    CASE(0, 4, 3, 2, 1, 1, 1, 1, CVL_PAD_REFLECT, 0), /* empty batch */
    CASE(2, 4, 3, 5, 1, 2, 0, 3, CVL_PAD_CONSTANT, -1.5),
    CASE(2, 4, 3, 5, 3, 2, 0, 2, CVL_PAD_REFLECT, 0), /* as much as there is to mirror */
    CASE(1, 1, 5, 3, 0, 0, 4, 4, CVL_PAD_REFLECT, 0),
    CASE(2, 3, 1, 17, 5, 0, 2, 4, CVL_PAD_REPLICATE, 0),
    CASE(2, 4, 3, 5, 4, 2, 3, 3, CVL_PAD_CIRCULAR, 0), /* all of the other side */
    CASE(1, 1, 1, 2, 1, 1, 1, 1, CVL_PAD_CIRCULAR, 0),
    CASE(5, 33, 31, 40, 2, 2, 2, 2, CVL_PAD_REFLECT, 0), /* work for three threads */
#undef CASE
};
/* clang-format on */

static void test_pad(const cvl_pad2d *d)
{
    const ptrdiff_t x = d->N * d->H * d->W * d->C;
    const ptrdiff_t y = d->N * (d->PT + d->H + d->PB) * (d->PL + d->W + d->PR) * d->C;
    check_case("pad N%td H%td W%td C%td P%td,%td,%td,%td mode %d", d->N, d->H, d->W, d->C, d->PT,
               d->PB, d->PL, d->PR, (int)d->mode);
    test_passes(&pad2d, d, x, y, d->PT + d->PB + d->PL + d->PR + 1);
    test_integers(&pad2d, d, x, y);
}

/* clang-format off */
static const cvl_upsample2d upsamplings[] = {
#define CASE(...) {sizeof(cvl_upsample2d), __VA_ARGS__}
    /*   N  H  W  C   SH SW mode, align_corners */
    CASE(1, 1, 1, 1, 1, 1, CVL_UPSAMPLE_NEAREST, 0),
    CASE(0, 4, 3, 2, 2, 2, CVL_UPSAMPLE_BILINEAR, 0), /* empty batch */
    CASE(2, 4, 3, 5, 2, 3, CVL_UPSAMPLE_NEAREST, 0),
    CASE(2, 4, 3, 5, 2, 3, CVL_UPSAMPLE_BILINEAR, 0),
    CASE(2, 4, 3, 5, 2, 3, CVL_UPSAMPLE_BILINEAR, 1),
    CASE(1, 1, 1, 3, 4, 1, CVL_UPSAMPLE_BILINEAR, 0),
    CASE(1, 1, 1, 3, 1, 4, CVL_UPSAMPLE_BILINEAR, 1), /* one output row */
    CASE(1, 5, 2, 17, 1, 7, CVL_UPSAMPLE_BILINEAR, 1),
    CASE(3, 14, 13, 24, 2, 2, CVL_UPSAMPLE_BILINEAR, 0), /* work for three threads */
    CASE(1, 29, 20, 24, 3, 3, CVL_UPSAMPLE_NEAREST, 0),  /* equal rows that two of them share */
#undef CASE
};
/* clang-format on */

static void test_upsample(const cvl_upsample2d *d)
{
    const ptrdiff_t x = d->N * d->H * d->W * d->C, y = x * d->SH * d->SW;
    check_case("upsample N%td H%td W%td C%td S%tdx%td mode %d corners %d", d->N, d->H, d->W, d->C,
               d->SH, d->SW, (int)d->mode, d->align_corners);
    test_passes(&upsample2d, d, x, y, 2 * (d->SH + d->SW) + 2);
    if (d->mode == CVL_UPSAMPLE_NEAREST)
        test_integers(&upsample2d, d, x, y);
}

/* clang-format off */
static const cvl_adaptive_avg_pool2d pools[] = {
#define CASE(...) {sizeof(cvl_adaptive_avg_pool2d), __VA_ARGS__}
    /*   N  H  W  C   OH OW */
    CASE(1, 1, 1, 1, 1, 1),
    CASE(0, 4, 3, 2, 2, 2), /* empty batch */
    CASE(2, 6, 4, 5, 3, 2),
    CASE(2, 7, 5, 17, 3, 2),    /* bins that share pixels */
    CASE(2, 3, 2, 5, 7, 5),     /* more bins than pixels */
    CASE(1, 9, 8, 70, 1, 1),    /* one bin, channels in blocks */
    CASE(3, 23, 19, 33, 6, 19), /* work for three threads */
#undef CASE
};
/* clang-format on */

static void test_pool(const cvl_adaptive_avg_pool2d *d)
{
    check_case("adaptive average N%td H%td W%td C%td to %tdx%td", d->N, d->H, d->W, d->C, d->OH,
               d->OW);
    test_passes(&adaptive_avg_pool2d, d, d->N * d->H * d->W * d->C, d->N * d->OH * d->OW * d->C,
                d->H + d->W + d->OH + d->OW);
}

/* Where bins are as large as each other it is average pooling, to the bit. */
static void test_pool_of_equal_bins(void)
{
    const cvl_adaptive_avg_pool2d d = {sizeof d, 2, 6, 9, 5, 2, 3};
    cvl_pool2d plain = CVL_POOL2D_INIT;
    plain.N = d.N, plain.H = d.H, plain.W = d.W, plain.C = d.C;
    plain.KH = plain.SH = plain.KW = plain.SW = 3;
    check_case("adaptive average of equal bins");
    T *x = input_random(2 * 6 * 9 * 5), *y = output(2 * 2 * 3 * 5), *other = output(2 * 2 * 3 * 5);
    cvl_exec run = run_with(1, NAME(adaptive_avg_pool2d_workspace_size)(&d, 1));
    CHECK(NAME(adaptive_avg_pool2d_forward)(&d, y, x, &run) == CVL_OK);
    CHECK(NAME(avg_pool2d_forward)(&plain, other, x, &run) == CVL_OK);
    check_same("y", 2 * 2 * 3 * 5, y, other);
    check_memory();
}

/* Padding and nearest upsampling copy: the sign of 0, subnormals, NaN and infinities stay. */
static void test_copies(void)
{
    const T values[] = {(T)-0.0, (T)SMALLEST, (T)-INFINITY, (T)NAN, 1, 2};
    const cvl_upsample2d d = {sizeof d, 1, 1, 6, 1, 1, 2, CVL_UPSAMPLE_NEAREST, 0};
    check_case("copies");
    T *x = input_bytes(values, sizeof values), *y = output(12);
    cvl_exec run = run_with(1, NAME(upsample2d_workspace_size)(&d, 1));
    CHECK(NAME(upsample2d_forward)(&d, y, x, &run) == CVL_OK);
    for (int i = 0; i < 12; i++)
        CHECK(i / 2 == 3 ? isnan(y[i]) : memcmp(&y[i], &values[i / 2], sizeof(T)) == 0);
    check_memory();
}

/* ---------------------------------------------------------------- refusals */

static void refuse(const char *why, const image_op *op, const void *d, cvl_status expected)
{
    check_case("%s: %s", op->name, why);
    T *out = output(64), *in = input_random(64);
    cvl_exec run = run_with(2, 1 << 14);
    CHECK(op->forward(d, out, in, &run) == expected);
    CHECK(op->backward(d, out, in, &run) == expected);
    CHECK(op->workspace_size(d, 2) == 0);
    CHECK(untouched(out, 64 * sizeof(T)) && untouched(run.workspace, run.workspace_bytes));
    check_memory();
}

/* Sets each of the sizes from `first` to `last` to a value that is refused. */
static void refuse_sizes(const image_op *op, const void *good, size_t bytes, size_t first,
                         size_t last, ptrdiff_t value, cvl_status expected)
{
    unsigned char d[128];
    for (size_t at = first; at <= last; at += sizeof value) {
        memcpy(d, good, bytes);
        memcpy(d + at, &value, sizeof value);
        refuse(value > 0 ? "a huge size" : "a size out of range", op, d, expected);
    }
}

static void refuse_calls(const image_op *op, const void *good)
{
    check_case("%s: arguments", op->name);
    T *out = output(64), *in = input_random(64);
    cvl_exec run = run_with(1, 1 << 14), none = CVL_EXEC_INIT;
    CHECK(op->forward(good, NULL, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(op->forward(good, out, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(op->forward(good, out, in, NULL) == CVL_ERR_ARGUMENT);
    CHECK(op->forward(good, out, in, &none) == CVL_ERR_WORKSPACE);
    CHECK(op->backward(good, NULL, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(op->backward(good, out, in, &none) == CVL_ERR_WORKSPACE);
    CHECK(op->forward(NULL, out, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(untouched(out, 64 * sizeof(T)));
    check_memory();
}

static void test_refusals(void)
{
    const ptrdiff_t huge = PTRDIFF_MAX / 2;
    cvl_pad2d p = {sizeof p, 1, 2, 2, 3, 0, 0, 0, 0, CVL_PAD_CONSTANT, 0};
    refuse_calls(&pad2d, &p);
    refuse_sizes(&pad2d, &p, sizeof p, offsetof(cvl_pad2d, N), offsetof(cvl_pad2d, PR), -1,
                 CVL_ERR_SHAPE);
    refuse_sizes(&pad2d, &p, sizeof p, offsetof(cvl_pad2d, H), offsetof(cvl_pad2d, C), 0,
                 CVL_ERR_SHAPE);
    refuse_sizes(&pad2d, &p, sizeof p, offsetof(cvl_pad2d, N), offsetof(cvl_pad2d, PR), huge,
                 CVL_ERR_OVERFLOW);
    p.PT = 2, p.mode = CVL_PAD_REFLECT;
    refuse("as many mirrored rows as there are", &pad2d, &p, CVL_ERR_SHAPE);
    p.PT = 0, p.PR = 3, p.mode = CVL_PAD_CIRCULAR;
    refuse("more columns than there are", &pad2d, &p, CVL_ERR_SHAPE);
    p.mode = (cvl_pad_mode)4;
    refuse("an unknown mode", &pad2d, &p, CVL_ERR_ARGUMENT);
    p.size = 0;
    refuse("no INIT", &pad2d, &p, CVL_ERR_ARGUMENT);

    cvl_upsample2d u = {sizeof u, 1, 2, 2, 3, 2, 2, CVL_UPSAMPLE_NEAREST, 0};
    refuse_calls(&upsample2d, &u);
    refuse_sizes(&upsample2d, &u, sizeof u, offsetof(cvl_upsample2d, N),
                 offsetof(cvl_upsample2d, SW), -1, CVL_ERR_SHAPE);
    refuse_sizes(&upsample2d, &u, sizeof u, offsetof(cvl_upsample2d, N),
                 offsetof(cvl_upsample2d, SW), huge, CVL_ERR_OVERFLOW);
    u.mode = (cvl_upsample_mode)2;
    refuse("an unknown mode", &upsample2d, &u, CVL_ERR_ARGUMENT);

    cvl_adaptive_avg_pool2d a = {sizeof a, 1, 2, 2, 3, 1, 1};
    refuse_calls(&adaptive_avg_pool2d, &a);
    refuse_sizes(&adaptive_avg_pool2d, &a, sizeof a, offsetof(cvl_adaptive_avg_pool2d, N),
                 offsetof(cvl_adaptive_avg_pool2d, OW), -1, CVL_ERR_SHAPE);
    refuse_sizes(&adaptive_avg_pool2d, &a, sizeof a, offsetof(cvl_adaptive_avg_pool2d, N),
                 offsetof(cvl_adaptive_avg_pool2d, OW), huge, CVL_ERR_OVERFLOW);
}

static void test_all(void)
{
    for (const cvl_pad2d *d = pads; d < pads + sizeof pads / sizeof pads[0]; d++)
        test_pad(d);
    for (size_t i = 0; i < sizeof upsamplings / sizeof upsamplings[0]; i++)
        test_upsample(&upsamplings[i]);
    for (const cvl_adaptive_avg_pool2d *d = pools; d < pools + sizeof pools / sizeof pools[0]; d++)
        test_pool(d);
    test_pool_of_equal_bins();
    test_copies();
    test_refusals();
}

int main(void) { return check_main(test_all); }
