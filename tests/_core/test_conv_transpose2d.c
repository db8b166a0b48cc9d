/* test_conv_transpose2d.c: the three passes of transposed convolution against spread pixels. */
#include <string.h>

#include "check.h"

/* clang-format off */
static const cvl_conv_transpose2d cases[] = {
#define CASE(...) {sizeof(cvl_conv_transpose2d), __VA_ARGS__, CVL_CONV2D_IM2COL}
    /*   N  H  W   C   OC  KH KW SH SW DH DW PT PB PL PR OPH OPW groups */
    CASE(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1),
    CASE(0, 5, 4, 3, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),    /* empty batch */
    CASE(2, 5, 7, 3, 13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),   /* primes */
    CASE(2, 4, 5, 6, 7, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 1),    /* windows side by side */
    CASE(2, 4, 5, 6, 7, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1),    /* the usual doubling */
    CASE(1, 3, 2, 4, 5, 2, 1, 3, 5, 1, 1, 0, 0, 0, 0, 2, 4, 1),    /* gaps that only b reaches */
    CASE(1, 3, 4, 5, 4, 3, 2, 1, 2, 2, 3, 1, 2, 0, 3, 1, 2, 1),    /* dilation, lopsided cuts */
    CASE(2, 4, 5, 6, 7, 1, 1, 2, 3, 1, 1, 0, 0, 0, 0, 1, 2, 1),    /* one pixel of each cell */
    CASE(1, 4, 3, 3, 2, 1, 2, 1, 1, 3, 2, 0, 0, 0, 0, 2, 1, 1),    /* more pixels than a 1x1 reads */
    CASE(2, 4, 3, 5, 6, 1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 1, 1, 1),
    CASE(2, 4, 3, 5, 6, 1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 1, 0, 1),
    CASE(2, 4, 3, 5, 6, 1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 0, 1, 1),
    CASE(3, 6, 5, 17, 16, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1),  /* a plain matrix product */
    CASE(3, 6, 5, 10, 70, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1),  /* from few channels */
    CASE(1, 4, 4, 40, 400, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1), /* to ten times as many */
    CASE(2, 3, 5, 12, 18, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0, 3),  /* groups */
    CASE(2, 4, 5, 6, 32, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2),   /* of a vector each */
    CASE(1, 3, 4, 6, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 1, 2),
    CASE(1, 5, 4, 23, 23, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 23), /* depthwise */
    CASE(2, 5, 4, 23, 23, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 23), /* and in strips */
    CASE(1, 4, 5, 16, 16, 3, 3, 2, 2, 1, 1, 0, 1, 2, 0, 1, 1, 16), /* the same, lopsided */
    CASE(2, 7, 9, 16, 3, 4, 3, 2, 2, 1, 2, 1, 1, 1, 2, 1, 1, 1),   /* to few channels */
    CASE(1, 4, 9, 11, 1, 3, 5, 3, 1, 2, 1, 0, 2, 3, 0, 2, 0, 1),   /* to one channel */
    CASE(2, 2, 2, 9, 10, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 1),   /* cut down to the input's size */
    CASE(1, 2, 2, 3, 3, 3, 3, 1, 1, 1, 1, 1, 2, 0, 3, 0, 0, 1),    /* one column left */
    /* Long reductions, cut at 384 inside a tap; enough work for three threads. */
    CASE(2, 9, 9, 73, 19, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),
    CASE(5, 9, 7, 33, 40, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 1),
#undef CASE
};
/* clang-format on */

typedef struct sizes {
    ptrdiff_t x, y, w, OH, OW;
} sizes;

static sizes sizes_of(const cvl_conv_transpose2d *d)
{
    sizes s;
    cvl_reference_conv_transpose2d_output_shape(d, &s.OH, &s.OW);
    s.x = d->N * d->H * d->W * d->C;
    s.y = d->N * s.OH * s.OW * d->OC;
    s.w = d->KH * d->KW * (d->OC / d->groups) * d->C;
    return s;
}

static void name_case(const char *what, const cvl_conv_transpose2d *d)
{
    check_case("%s N%td H%td W%td C%td OC%td K%tdx%td S%tdx%td D%tdx%td P%td,%td,%td,%td O%tdx%td "
               "G%td",
               what, d->N, d->H, d->W, d->C, d->OC, d->KH, d->KW, d->SH, d->SW, d->DH, d->DW, d->PT,
               d->PB, d->PL, d->PR, d->OPH, d->OPW, d->groups);
}

static void test_forward(const cvl_conv_transpose2d *d, int limit, int with_bias)
{
    name_case(limit ? "forward, integers" : "forward", d);
    sizes s = sizes_of(d);
    T *x = input_operand(s.x, limit), *w = input_operand(s.w, limit);
    T *b = input_operand(d->OC, limit), *first = NULL;
    double *wide_x = widened(x, s.x), *wide_w = widened(w, s.w), *wide_b = widened(b, d->OC);
    double *want = doubles(s.y), *scale = doubles(s.y);
    ptrdiff_t OH, OW;
    CHECK(cvl_conv_transpose2d_output_shape(d, &OH, &OW) == CVL_OK);
    CHECK(OH == s.OH && OW == s.OW);
    cvl_reference_conv_transpose2d_forward(d, want, wide_x, wide_w, with_bias ? wide_b : NULL);
    if (!limit)
        cvl_reference_conv_transpose2d_forward(d, scale, magnitude(wide_x, s.x),
                                               magnitude(wide_w, s.w),
                                               with_bias ? magnitude(wide_b, d->OC) : NULL);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(s.y);
        cvl_exec run = run_with(threads, NAME(conv_transpose2d_forward_workspace_size)(d, threads));
        CHECK(NAME(conv_transpose2d_forward)(d, y, x, w, with_bias ? b : NULL, &run) == CVL_OK);
        if (first)
            check_same("y", s.y, y, first);
        else
            check_sums("y", s.y, first = y, want, d->KH * d->KW * d->C / d->groups, scale, limit);
    }
    check_memory();
}

static void test_backward_data(const cvl_conv_transpose2d *d, int limit)
{
    name_case(limit ? "backward data, integers" : "backward data", d);
    sizes s = sizes_of(d);
    T *dy = input_operand(s.y, limit), *w = input_operand(s.w, limit), *first = NULL;
    double *wide_dy = widened(dy, s.y), *wide_w = widened(w, s.w);
    double *want = doubles(s.x), *scale = doubles(s.x);
    cvl_reference_conv_transpose2d_backward_data(d, want, wide_dy, wide_w);
    if (!limit)
        cvl_reference_conv_transpose2d_backward_data(d, scale, magnitude(wide_dy, s.y),
                                                     magnitude(wide_w, s.w));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dx = output(s.x);
        cvl_exec run =
            run_with(threads, NAME(conv_transpose2d_backward_data_workspace_size)(d, threads));
        CHECK(NAME(conv_transpose2d_backward_data)(d, dx, dy, w, &run) == CVL_OK);
        if (first)
            check_same("dx", s.x, dx, first);
        else
            check_sums("dx", s.x, first = dx, want, d->KH * d->KW * d->OC / d->groups, scale,
                       limit);
    }
    check_memory();
}

static void test_backward_weights(const cvl_conv_transpose2d *d, int limit)
{
    name_case(limit ? "backward weights, integers" : "backward weights", d);
    sizes s = sizes_of(d);
    T *dy = input_operand(s.y, limit), *x = input_operand(s.x, limit);
    T *first = NULL, *first_db = NULL;
    double *wide_dy = widened(dy, s.y), *wide_x = widened(x, s.x);
    double *want = doubles(s.w), *scale = doubles(s.w);
    double *want_db = doubles(d->OC), *scale_db = doubles(d->OC);
    cvl_reference_conv_transpose2d_backward_weights(d, want, want_db, wide_dy, wide_x);
    if (!limit)
        cvl_reference_conv_transpose2d_backward_weights(d, scale, scale_db, magnitude(wide_dy, s.y),
                                                        magnitude(wide_x, s.x));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dw = output(s.w), *db = output(d->OC), *dw_alone = output(s.w),
          *db_alone = output(d->OC);
        cvl_exec run =
            run_with(threads, NAME(conv_transpose2d_backward_weights_workspace_size)(d, threads));
        CHECK(NAME(conv_transpose2d_backward_weights)(d, dw, db, dy, x, &run) == CVL_OK);
        CHECK(NAME(conv_transpose2d_backward_weights)(d, dw_alone, NULL, dy, x, &run) == CVL_OK);
        CHECK(NAME(conv_transpose2d_backward_weights)(d, NULL, db_alone, dy, NULL, &run) == CVL_OK);
        check_same("dw without db", s.w, dw_alone, dw);
        check_same("db without dw", d->OC, db_alone, db);
        if (first) {
            check_same("dw", s.w, dw, first);
            check_same("db", d->OC, db, first_db);
        } else {
            check_sums("dw", s.w, first = dw, want, d->N * d->H * d->W, scale, limit);
            check_sums("db", d->OC, first_db = db, want_db, d->N * s.OH * s.OW, scale_db, limit);
        }
    }
    check_memory();
}

/* A problem of few products, of any kind. */
static cvl_conv_transpose2d drawn_problem(void)
{
    enum { PRODUCTS = 100000 };
    static const ptrdiff_t groups[] = {1, 1, 1, 1, 2, 5, 8, 23};
    cvl_conv_transpose2d d = {.size = sizeof d, .algorithm = CVL_CONV2D_IM2COL};
    ptrdiff_t OH, OW;
    double products;
    do {
        d.groups = groups[random_bits() % 8];
        d.N = random_size(1, 60);
        d.H = random_size(1, 12);
        d.W = random_size(1, 20);
        d.C = d.groups * random_size(1, 40);
        d.OC = d.groups * random_size(1, 40);
        d.KH = random_size(1, 5);
        d.KW = random_size(1, 5);
        d.SH = random_size(1, 4);
        d.SW = random_size(1, 4);
        d.DH = random_size(1, 3);
        d.DW = random_size(1, 3);
        d.PT = random_size(0, d.KH * d.DH);
        d.PB = random_size(0, d.KH * d.DH);
        d.PL = random_size(0, d.KW * d.DW);
        d.PR = random_size(0, d.KW * d.DW);
        d.OPH = random_size(0, (d.SH > d.DH ? d.SH : d.DH) - 1);
        d.OPW = random_size(0, (d.SW > d.DW ? d.SW : d.DW) - 1);
        products = (double)(d.N * d.H * d.W * d.C) * (double)(d.KH * d.KW * d.OC / d.groups);
    } while (products > PRODUCTS || cvl_conv_transpose2d_output_shape(&d, &OH, &OW) != CVL_OK);
    return d;
}

/* Shapes that are in no table. */
static void test_drawn(void)
{
    enum { COUNT = 150 };
    cvl_conv_transpose2d problems[COUNT];
    check_case("problems are drawn");
    for (int i = 0; i < COUNT; i++)
        problems[i] = drawn_problem();
    for (int i = 0; i < COUNT; i++) {
        test_forward(problems + i, INTEGER, i % 2);
        test_backward_data(problems + i, INTEGER);
        test_backward_weights(problems + i, INTEGER);
    }
}

/* ---------------------------------------------------------------- refusals */

static cvl_conv_transpose2d good(void)
{
    cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
    d.N = 1;
    d.H = d.W = d.KH = d.KW = 2;
    d.C = d.OC = 3;
    return d;
}

enum { COUNT = 64, BYTES = COUNT * sizeof(T) };

static void refuse(const char *why, const cvl_conv_transpose2d *d, cvl_status expected)
{
    ptrdiff_t OH = -7, OW = -7;
    check_case("refused: %s", why);
    T *out = output(COUNT), *other = output(COUNT), *in = input_random(COUNT);
    cvl_exec run = run_with(2, 1 << 17);
    CHECK(NAME(conv_transpose2d_forward)(d, out, in, in, in, &run) == expected);
    CHECK(NAME(conv_transpose2d_backward_data)(d, out, in, in, &run) == expected);
    CHECK(NAME(conv_transpose2d_backward_weights)(d, out, other, in, in, &run) == expected);
    CHECK(NAME(conv_transpose2d_forward_workspace_size)(d, 2) == 0);
    CHECK(NAME(conv_transpose2d_backward_data_workspace_size)(d, 2) == 0);
    CHECK(NAME(conv_transpose2d_backward_weights_workspace_size)(d, 2) == 0);
    CHECK(cvl_conv_transpose2d_output_shape(d, &OH, &OW) == expected);
    CHECK(OH == -7 && OW == -7);
    CHECK(untouched(out, BYTES) && untouched(other, BYTES));
    CHECK(untouched(run.workspace, run.workspace_bytes));
    check_memory();
}

static void test_refusals(void)
{
    static const size_t sizes[] = {
        offsetof(cvl_conv_transpose2d, H),     offsetof(cvl_conv_transpose2d, W),
        offsetof(cvl_conv_transpose2d, C),     offsetof(cvl_conv_transpose2d, OC),
        offsetof(cvl_conv_transpose2d, KH),    offsetof(cvl_conv_transpose2d, KW),
        offsetof(cvl_conv_transpose2d, SH),    offsetof(cvl_conv_transpose2d, SW),
        offsetof(cvl_conv_transpose2d, DH),    offsetof(cvl_conv_transpose2d, DW),
        offsetof(cvl_conv_transpose2d, groups)};
    static const size_t others[] = {
        offsetof(cvl_conv_transpose2d, N),   offsetof(cvl_conv_transpose2d, PT),
        offsetof(cvl_conv_transpose2d, PB),  offsetof(cvl_conv_transpose2d, PL),
        offsetof(cvl_conv_transpose2d, PR),  offsetof(cvl_conv_transpose2d, OPH),
        offsetof(cvl_conv_transpose2d, OPW),
    };
    const ptrdiff_t zero = 0, negative = -1;
    cvl_conv_transpose2d d;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        d = good();
        memcpy((char *)&d + sizes[i], &zero, sizeof zero);
        refuse("a size of 0", &d, CVL_ERR_SHAPE);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        d = good();
        memcpy((char *)&d + others[i], &negative, sizeof negative);
        refuse("a batch or padding of -1", &d, CVL_ERR_SHAPE);
    }
    d = good(), d.groups = 2, d.OC *= 2;
    refuse("groups that do not divide C", &d, CVL_ERR_SHAPE);
    d = good(), d.groups = 2, d.C *= 2;
    refuse("groups that do not divide OC", &d, CVL_ERR_SHAPE);
    d = good(), d.OPH = 1;
    refuse("output padding of the stride", &d, CVL_ERR_SHAPE);
    d = good(), d.SW = 2, d.OPW = 2;
    refuse("output padding of the stride", &d, CVL_ERR_SHAPE);
    d = good(), d.PT = 2, d.PB = 1;
    refuse("no rows left", &d, CVL_ERR_SHAPE);
    d = good(), d.H = d.SH = (ptrdiff_t)1 << (sizeof(ptrdiff_t) * 4 - 3);
    refuse("more rows than memory", &d, CVL_ERR_OVERFLOW);
    d = good(), d.N = PTRDIFF_MAX / 16;
    refuse("more images than memory", &d, CVL_ERR_OVERFLOW);
    d = good(), d.C = d.OC = (ptrdiff_t)1 << (sizeof(ptrdiff_t) * 4 - 2);
    refuse("more weights than memory", &d, CVL_ERR_OVERFLOW);
    d = good(), d.PT = PTRDIFF_MAX;
    refuse("a sum that overflows", &d, CVL_ERR_OVERFLOW);
    d = good(), d.KH = PTRDIFF_MAX;
    refuse("a product that overflows", &d, CVL_ERR_OVERFLOW);
    d = good(), d.size = 0;
    refuse("no INIT", &d, CVL_ERR_ARGUMENT);
    refuse("no descriptor", NULL, CVL_ERR_ARGUMENT);
}

static void test_arguments(void)
{
    const cvl_conv_transpose2d d = good();
    check_case("arguments");
    T *out = output(COUNT), *in = input_random(COUNT);
    cvl_exec run = run_with(1, 1 << 17), none = CVL_EXEC_INIT;
    CHECK(NAME(conv_transpose2d_forward)(&d, NULL, in, in, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_forward)(&d, out, NULL, in, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_forward)(&d, out, in, NULL, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_forward)(&d, out, in, in, in, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_forward)(&d, out, in, in, in, &none) == CVL_ERR_WORKSPACE);
    CHECK(NAME(conv_transpose2d_backward_data)(&d, out, NULL, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_backward_data)(&d, out, in, in, &none) == CVL_ERR_WORKSPACE);
    CHECK(NAME(conv_transpose2d_backward_weights)(&d, out, NULL, NULL, in, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_backward_weights)(&d, out, NULL, in, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_backward_weights)(&d, out, NULL, in, in, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(conv_transpose2d_backward_weights)(&d, out, NULL, in, in, &none) ==
          CVL_ERR_WORKSPACE);
    CHECK(cvl_conv_transpose2d_output_shape(&d, NULL, NULL) == CVL_ERR_ARGUMENT);
    CHECK(untouched(out, BYTES));
    check_memory();
}

static void test_all(void)
{
    for (const cvl_conv_transpose2d *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++)
        for (int limit = REAL; limit <= INTEGER; limit += INTEGER) {
            test_forward(d, limit, 0);
            test_forward(d, limit, 1);
            test_backward_data(d, limit);
            test_backward_weights(d, limit);
        }
    test_drawn();
    test_refusals();
    test_arguments();
}

int main(void) { return check_main(test_all); }
