/* test_winograd.c: minimal filtering, all three passes, against six loops; float64 has none.
 *
 * The data are N(0,1)-like. Errors are relative to the standard deviation of the double result, and
 * bounded by what the algorithms are known for: the points of F(2x2,3x3) cost next to nothing, those
 * of the 6x6 transforms about two bits. On multiples of 4, F(2x2,3x3) is exact, of either stride. */
#include <math.h>

#include "conv2d_check.h"

#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, CVL_ACTIVATION_NONE, 0.25, CVL_CONV2D_AUTO}

/* clang-format off */
static const cvl_conv2d cases[] = {
    /*   N  H   W   C   OC  KH KW SH SW DH DW PT PB PL PR groups */
    CASE(0, 7,  5,  5,  7,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* empty batches */
    CASE(0, 7,  6,  5,  7,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(0, 7,  6,  131, 130, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(1, 1,  1,  1,  1,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* one pixel */
    CASE(2, 3,  3,  5,  7,  3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1),  /* one output */
    CASE(1, 7,  5,  1,  1,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(2, 13, 11, 3,  17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* primes */
    CASE(1, 9,  14, 16, 1,  3, 3, 1, 1, 1, 1, 0, 1, 2, 0, 1),  /* lopsided padding */
    CASE(1, 2,  3,  19, 33, 3, 3, 1, 1, 1, 1, 5, 4, 7, 6, 1),  /* windows wholly in the padding */
    CASE(3, 8,  8,  31, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 1,  29, 20, 65, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* one row */
    CASE(1, 23, 1,  37, 5,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* one column */
    CASE(2, 6,  7,  131, 80, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1), /* chains of channels end inside */
    CASE(3, 9,  9,  129, 128, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1), /* many weights and 75 tiles */
    CASE(2, 10, 6,  257, 161, 3, 3, 1, 1, 1, 1, 2, 1, 0, 1, 1),
    CASE(6, 31, 30, 17, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),  /* many tiles */
    CASE(1, 1,  1,  1,  1,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(2, 3,  4,  5,  7,  3, 3, 2, 2, 1, 1, 1, 0, 1, 1, 1),
    CASE(2, 13, 10, 3,  17, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0, 1),
    CASE(1, 7,  30, 16, 1,  3, 3, 2, 2, 1, 1, 1, 3, 1, 6, 1),  /* windows wholly in the padding */
    CASE(3, 16, 16, 31, 48, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 1,  29, 20, 65, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 23, 1,  37, 5,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(3, 9,  12, 131, 145, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(6, 41, 43, 17, 18, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1),
    CASE(1, 1,  1,  1,  1,  5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(2, 5,  5,  3,  2,  5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1),
    CASE(1, 7,  11, 17, 13, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(1, 3,  4,  6,  19, 5, 5, 1, 1, 1, 1, 7, 5, 6, 9, 1),
    CASE(2, 9,  6,  130, 129, 5, 5, 1, 1, 1, 1, 2, 1, 3, 2, 1),
    CASE(2, 23, 25, 18, 33, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1),
    CASE(0, 7,  5,  6,  9,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),  /* groups */
    CASE(2, 9,  11, 6,  9,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),
    CASE(3, 14, 13, 64, 96, 3, 3, 1, 1, 1, 1, 1, 0, 1, 2, 4),
    CASE(1, 7,  7,  270, 35, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5),
    CASE(2, 6,  7,  262, 300, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2), /* of many weights */
    CASE(7, 31, 30, 34, 36, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2),  /* of many tiles */
    CASE(6, 41, 43, 51, 54, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 3),
    CASE(1, 15, 17, 38, 40, 3, 3, 2, 2, 1, 1, 1, 0, 1, 1, 2),
    CASE(2, 9,  10, 60, 75, 5, 5, 1, 1, 1, 1, 2, 1, 3, 2, 3),
    CASE(2, 21, 14, 136, 136, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 17), /* several side by side */
    CASE(2, 13, 22, 102, 34, 3, 3, 1, 1, 1, 1, 1, 0, 1, 2, 17),
    CASE(4, 15, 13, 80, 80, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5),    /* of a vector each */
    CASE(3, 11, 11, 80, 80, 5, 5, 1, 1, 1, 1, 1, 2, 2, 0, 5),
    CASE(3, 9,  10, 180, 360, 5, 5, 1, 1, 1, 1, 2, 1, 3, 2, 18), /* of two panels, or one of two vectors */
    CASE(0, 7,  6,  5,  7,  7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1),  /* by cells of 2x2 */
    CASE(1, 1,  1,  1,  1,  7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1),
    CASE(2, 7,  8,  3,  5,  7, 7, 2, 2, 1, 1, 0, 0, 0, 0, 1),
    CASE(2, 13, 11, 3,  17, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1),
    CASE(1, 14, 9,  3,  64, 7, 7, 2, 2, 1, 1, 2, 3, 2, 3, 1),
    CASE(2, 23, 30, 2,  33, 7, 7, 2, 2, 1, 1, 5, 0, 0, 6, 1),
    CASE(1, 3,  2,  5,  19, 7, 7, 2, 2, 1, 1, 9, 8, 10, 7, 1), /* windows wholly in the padding */
    CASE(2, 37, 70, 4,  18, 7, 7, 2, 2, 1, 1, 3, 2, 3, 2, 1),  /* many tiles */
    CASE(2, 730, 731, 1, 1, 7, 7, 2, 2, 1, 1, 3, 3, 2, 3, 1),  /* one image at a time */
    CASE(1, 12, 17, 35, 20, 5, 5, 2, 2, 1, 1, 2, 2, 2, 2, 1),
    CASE(2, 9,  8,  33, 130, 5, 5, 2, 2, 1, 1, 1, 2, 0, 3, 1), /* many weights */
    CASE(1, 1,  29, 3,  65, 5, 5, 2, 2, 1, 1, 2, 2, 1, 1, 1),
};
/* clang-format on */

static const char *name_of(const cvl_conv2d *d)
{
    if (d->algorithm == CVL_CONV2D_WINOGRAD2)
        return "F(2x2,3x3)";
    if (d->SH == 2)
        return "cells";
    return d->KH == 5 ? "F(2x2,5x5)" : "F(4x4,3x3)";
}

static void name_case(const char *what, const cvl_conv2d *d)
{
    check_case("%s %s N%td H%td W%td C%td OC%td G%td S%td P%td,%td,%td,%td", name_of(d), what, d->N,
               d->H, d->W, d->C, d->OC, d->groups, d->SH, d->PT, d->PB, d->PL, d->PR);
}

/* Sums of three of variance 1/3; or integer multiples of 4. */
static T *operand(ptrdiff_t n, int integers)
{
    T *values = output(n);
    for (ptrdiff_t i = 0; i < n; i++)
        values[i] =
            integers ? 4 * random_integer(4) : random_unit() + random_unit() + random_unit();
    return input_bytes(values, (size_t)n * sizeof(T));
}

/* The bounds hold for the standard deviation of the results before their activation, or that of
 * `terms` products where there are too few to estimate it. */
static void compare(const cvl_conv2d *d, ptrdiff_t n, const T *got, const double *want,
                    const double *linear, ptrdiff_t terms)
{
    const int near = d->algorithm == CVL_CONV2D_WINOGRAD2;
    const double largest = near ? 2e-5 : 5e-5, rms = near ? 7e-7 : 2.5e-6;
    double sum = 0, squares = 0, worst = 0, errors = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        sum += linear[i];
        squares += linear[i] * linear[i];
        const double error = fabs((double)got[i] - want[i]);
        errors += error * error;
        worst = error <= worst ? worst : error;
    }
    const double of = n > 0 ? (double)n : 1, mean = sum / of;
    const double deviation = n < 100 ? sqrt((double)terms) : sqrt(squares / of - mean * mean);
    CHECK(worst <= largest * deviation);
    CHECK(sqrt(errors / of) <= rms * deviation);
}

/* The algorithms that take a shape: they meet the same operands and results. */
typedef struct algorithms {
    int count;
    cvl_conv2d_algorithm of[2];
} algorithms;

static void test_forward(cvl_conv2d d, const algorithms *a, int integers, cvl_activation activation)
{
    name_case("forward", &d);
    const sizes s = sizes_of(&d);
    const int with_bias = activation != CVL_ACTIVATION_NONE;
    d.activation = activation;
    T *x = operand(s.x, integers), *w = operand(s.w, integers), *b = operand(d.OC, integers);
    double *want = doubles(s.y), *linear = doubles(s.y);
    cvl_reference_conv2d_sums(&d, linear, widened(x, s.x), widened(w, s.w));
    cvl_reference_conv2d_activate(&d, want, linear, with_bias ? widened(b, d.OC) : NULL);
    for (int i = 0; i < a->count; i++) {
        T *first = NULL;
        d.algorithm = a->of[i];
        name_case("forward", &d);
        for (int r = 0; r < runs_of(integers); r++) {
            const int threads = threads_of(r, integers);
            T *y = output(s.y);
            cvl_exec run = run_with(threads, NAME(conv2d_forward_workspace_size)(&d, threads));
            CHECK(NAME(conv2d_forward)(&d, y, x, w, with_bias ? b : NULL, &run) == CVL_OK);
            if (first)
                check_same("y", s.y, y, first);
            else if (integers)
                check_exact("y", s.y, first = y, want);
            else
                compare(&d, s.y, first = y, want, linear, d.KH * d.KW * d.C / d.groups);
        }
        check_packed(&d, s.y, first, x, w, with_bias ? b : NULL);
    }
    check_memory();
}

/* A program's convolution with a sum has the bits of both in turn, on two threads as on one:
 * y = relu(conv(x) + b + conv(x)). */
static void test_sum(cvl_conv2d d)
{
    name_case("and a sum", &d);
    const sizes s = sizes_of(&d);
    T *x = operand(s.x, 0), *w = operand(s.w, 0), *b = operand(d.OC, 0);
    T *want = output(s.y), *z = output(s.y), *y = output(s.y);
    cvl_conv2d plain = d;
    plain.activation = CVL_ACTIVATION_NONE;
    d.activation = CVL_ACTIVATION_RELU;
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(&d, 1));
    CHECK(NAME(conv2d_forward)(&plain, z, x, w, NULL, &run) == CVL_OK);
    CHECK(NAME(conv2d_forward)(&plain, want, x, w, b, &run) == CVL_OK);
    CHECK(NAME(add_relu)(s.y, want, want, z, &run) == CVL_OK);
    const cvl_value values[] = {{s.x, 0}, {s.y, 0}, {s.y, 0}};
    cvl_op ops[] = {CVL_OP_INIT, CVL_OP_INIT};
    for (int i = 0; i < 2; i++) {
        ops[i].kind = CVL_OP_CONV2D;
        ops[i].w = w;
    }
    ops[0].descriptor = &plain;
    ops[0].y = ops[1].z = 2;
    ops[1].descriptor = &d;
    ops[1].y = 1;
    ops[1].b = b;
    cvl_program program = CVL_PROGRAM_INIT;
    program.values = 3;
    program.ops = 2;
    program.arena = s.y;
    program.value = values;
    program.op = ops;
    run = run_with(2, NAME(program_workspace_size)(&program, 2));
    CHECK(NAME(program_run)(&program, y, x, &run) == CVL_OK);
    check_same("y", s.y, y, want);
    check_memory();
}

/* The transposed convolution of `d` runs backward data's engine, on what is `dy` there, with a bias. */
static void test_transposed(const cvl_conv2d *d, const T *dy, const T *w, const double *dx,
                            int integers)
{
    cvl_conv_transpose2d t = CVL_CONV_TRANSPOSE2D_INIT;
    const sizes s = sizes_of(d);
    t.N = d->N;
    t.H = s.OH;
    t.W = s.OW;
    t.C = d->OC;
    t.OC = d->C;
    t.KH = d->KH;
    t.KW = d->KW;
    t.SH = d->SH;
    t.SW = d->SW;
    t.PT = d->PT;
    t.PB = d->PB;
    t.PL = d->PL;
    t.PR = d->PR;
    t.OPH = (d->H + d->PT + d->PB - d->KH) % d->SH;
    t.OPW = (d->W + d->PL + d->PR - d->KW) % d->SW;
    t.groups = d->groups;
    t.algorithm = d->algorithm;
    name_case("transposed", d);
    T *b = operand(d->C, integers), *y = output(s.x);
    double *want = doubles(s.x);
    for (ptrdiff_t i = 0; i < s.x; i++)
        want[i] = dx[i] + (double)b[i % d->C];
    cvl_exec run = run_with(2, NAME(conv_transpose2d_forward_workspace_size)(&t, 2));
    CHECK(NAME(conv_transpose2d_forward)(&t, y, dy, w, b, &run) == CVL_OK);
    if (integers)
        check_exact("y", s.x, y, want);
    else
        compare(d, s.x, y, want, want, d->KH * d->KW * d->OC / d->groups);
}

static void test_backward_data(cvl_conv2d d, const algorithms *a, int integers)
{
    name_case("backward data", &d);
    const sizes s = sizes_of(&d);
    T *dy = operand(s.y, integers), *w = operand(s.w, integers);
    double *want = doubles(s.x);
    cvl_reference_conv2d_backward_data(&d, want, widened(dy, s.y), widened(w, s.w));
    for (int i = 0; i < a->count; i++) {
        T *first = NULL;
        d.algorithm = a->of[i];
        name_case("backward data", &d);
        for (int r = 0; r < runs_of(integers); r++) {
            const int threads = threads_of(r, integers);
            T *dx = output(s.x);
            cvl_exec run =
                run_with(threads, NAME(conv2d_backward_data_workspace_size)(&d, threads));
            CHECK(NAME(conv2d_backward_data)(&d, dx, dy, w, &run) == CVL_OK);
            if (first)
                check_same("dx", s.x, dx, first);
            else if (integers)
                check_exact("dx", s.x, first = dx, want);
            else
                compare(&d, s.x, first = dx, want, want, d.KH * d.KW * d.OC / d.groups);
        }
        test_transposed(&d, dy, w, want, integers);
    }
    check_memory();
}

static void test_backward_weights(cvl_conv2d d, const algorithms *a, int integers)
{
    name_case("backward weights", &d);
    const sizes s = sizes_of(&d);
    T *dy = operand(s.y, integers), *x = operand(s.x, integers);
    double *want = doubles(s.w);
    cvl_reference_conv2d_backward_weights(&d, want, NULL, widened(dy, s.y), widened(x, s.x));
    for (int i = 0; i < a->count; i++) {
        T *first = NULL;
        d.algorithm = a->of[i];
        name_case("backward weights", &d);
        for (int r = 0; r < runs_of(integers); r++) {
            const int threads = threads_of(r, integers);
            T *dw = output(s.w);
            cvl_exec run =
                run_with(threads, NAME(conv2d_backward_weights_workspace_size)(&d, threads));
            CHECK(NAME(conv2d_backward_weights)(&d, dw, NULL, dy, x, &run) == CVL_OK);
            if (first)
                check_same("dw", s.w, dw, first);
            else if (integers)
                check_exact("dw", s.w, first = dw, want);
            else
                compare(&d, s.w, first = dw, want, want, d.N * s.OH * s.OW);
        }
    }
    check_memory();
}

/* The cases take turns in their activation. */
static cvl_activation turn_of(const cvl_conv2d *d)
{
    return (cvl_activation)((d - cases) % (CVL_ACTIVATION_RELU6 + 1));
}

static void test_passes(const cvl_conv2d *d, const algorithms *a, int integers)
{
    test_forward(*d, a, integers, turn_of(d));
    test_backward_data(*d, a, integers);
    test_backward_weights(*d, a, integers);
}

/* A shape without a path is refused, with a reason, and float64 refuses the last one too. */
static void test_refusals(void)
{
    const cvl_conv2d good = CASE(1, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    cvl_conv2d bad[] = {good, good, good, good, good, good, good, good};
    bad[0].SH = 2;
    bad[1].DW = 2;
    bad[2].KW = 5;
    bad[3].KH = bad[3].KW = 4;
    bad[4].SH = bad[4].SW = 3;
    bad[5].SH = bad[5].SW = 2;
    bad[5].PT = 0;
    bad[6].SH = bad[6].SW = 2;
    bad[6].PL = 2;
    const size_t count = sizeof bad / sizeof bad[0] - (sizeof(T) == sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (int algorithm = CVL_CONV2D_WINOGRAD; algorithm <= CVL_CONV2D_WINOGRAD2; algorithm++) {
            check_case("refusal %zu of %d", i, algorithm);
            bad[i].algorithm = (cvl_conv2d_algorithm)algorithm;
            cvl_conv2d_algorithm chosen;
            const char *reason = NULL;
            CHECK(NAME(conv2d_choose)(&bad[i], CVL_CONV2D_FORWARD, &chosen, &reason) ==
                  CVL_ERR_ALGORITHM);
            CHECK(reason && reason[0]);
            CHECK(NAME(conv2d_forward_workspace_size)(&bad[i], 1) == 0);
        }
}

/* Of two algorithms, one has stride 2. */
static void test_stride(void)
{
    cvl_conv2d d = CASE(1, 8, 8, 16, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1);
    cvl_conv2d_algorithm chosen;
    check_case("stride 2");
    for (int pass = CVL_CONV2D_FORWARD; pass <= CVL_CONV2D_BACKWARD_WEIGHTS; pass++) {
        d.algorithm = CVL_CONV2D_WINOGRAD;
        CHECK(NAME(conv2d_choose)(&d, (cvl_conv2d_pass)pass, &chosen, NULL) == CVL_ERR_ALGORITHM);
        d.algorithm = CVL_CONV2D_WINOGRAD2;
        CHECK(NAME(conv2d_choose)(&d, (cvl_conv2d_pass)pass, &chosen, NULL) == CVL_OK);
        CHECK(chosen == CVL_CONV2D_WINOGRAD2);
    }
}

/* By cells there is a forward pass alone. */
static void test_cells(const cvl_conv2d *of)
{
    const algorithms cells = {1, {CVL_CONV2D_WINOGRAD}};
    cvl_conv2d d = *of;
    cvl_conv2d_algorithm chosen;
    d.algorithm = CVL_CONV2D_WINOGRAD;
    test_forward(d, &cells, 0, turn_of(of));
    if (!check_once() || d.N * d.H * d.W < 10000)
        test_sum(d);
    for (int pass = CVL_CONV2D_BACKWARD_DATA; pass <= CVL_CONV2D_BACKWARD_WEIGHTS; pass++)
        CHECK(NAME(conv2d_choose)(&d, (cvl_conv2d_pass)pass, &chosen, NULL) == CVL_ERR_ALGORITHM);
}

/* Backward weights of many weights and more than CVL_ORDER_WINOGRAD_SPAN tiles, 17 x 17 of them; and
 * forward from so many channels that 10 x 13 tiles are more than are transformed at a time. */
static void test_spans(const algorithms *near)
{
    const cvl_conv2d d = CASE(1, 33, 34, 127, 130, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    const cvl_conv2d deep = CASE(1, 20, 25, 4100, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    test_backward_weights(d, near, 0);
    test_forward(deep, near, 0, CVL_ACTIVATION_NONE);
}

static void test_all(void)
{
    const algorithms near = {1, {CVL_CONV2D_WINOGRAD2}}, far = {1, {CVL_CONV2D_WINOGRAD}};
    const algorithms both = {2, {CVL_CONV2D_WINOGRAD, CVL_CONV2D_WINOGRAD2}};
    test_refusals();
    if (sizeof(T) != sizeof(float))
        return;
    test_stride();
    test_spans(&near);
    const int once = check_once();
    for (const cvl_conv2d *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++) {
        if (d->SH == 2 && d->KH > 3) {
            test_cells(d);
            continue;
        }
        /* Once, real numbers and integers take turns where both are judged, and F(2x2,3x3) is where it
         * is exact alone; checksums.c has its last bits. */
        const algorithms *a = d->SH == 2 ? &near : d->KH > 3 || once ? &far : &both;
        const int turn = (d - cases) % 2;
        if (!once || d->KH > 3 || (d->SH == 1 && turn == 0))
            test_passes(d, a, 0);
        cvl_conv2d one = *d; /* the algorithms in turn */
        one.algorithm = a->of[(d - cases) % a->count];
        if (!once || (d - cases) / 2 % 2 == 0)
            test_sum(one);
        if (d->KH == 3 && (!once || d->SH == 2 || turn == 1))
            test_passes(d, &near, 1);
    }
}

int main(void) { return check_main(test_all); }
