/* test_linear.c: the three passes of the linear operator against three loops. */
#include "check.h"

/* clang-format off */
static const cvl_linear cases[] = {
    /*                   M    IN   OUT */
    {sizeof(cvl_linear), 1,   1,   1},
    {sizeof(cvl_linear), 0,   3,   2},
    {sizeof(cvl_linear), 7,   13,  5},
    {sizeof(cvl_linear), 1,   1000, 10},
    {sizeof(cvl_linear), 1,   803, 653}, /* one row: long rows, whole vectors and a ragged one */
    {sizeof(cvl_linear), 1,   37,  801},
    {sizeof(cvl_linear), 2,   1,   301},
    {sizeof(cvl_linear), 6,   16,  16},
    {sizeof(cvl_linear), 33,  769, 31}, /* two cuts of the reduction, work for three threads */
    {sizeof(cvl_linear), 300, 17,  65}, /* two blocks of rows in the backward pass */
    {sizeof(cvl_linear), 40,  70,  16}, /* backward: panels that lie on the stack, just and not quite */
    {sizeof(cvl_linear), 40,  70,  17},
    {sizeof(cvl_linear), 21,  33,  64},
    {sizeof(cvl_linear), 21,  33,  65},
    {sizeof(cvl_linear), 21,  9,   128},
    {sizeof(cvl_linear), 21,  9,   129},
    {sizeof(cvl_linear), 9,   64,  3}, /* backward: rows of few elements */
    {sizeof(cvl_linear), 3,   64,  4},
    {sizeof(cvl_linear), 4,   96,  4},
    {sizeof(cvl_linear), 5,   65,  5},
    {sizeof(cvl_linear), 64,  71,  6},
    {sizeof(cvl_linear), 65,  127, 7},
    {sizeof(cvl_linear), 5,   128, 8},
    {sizeof(cvl_linear), 70,  150, 9},
    {sizeof(cvl_linear), 130, 333, 10},
    {sizeof(cvl_linear), 61,  515, 10}, /* forward: rows in the lanes, two cuts of the reduction */
    {sizeof(cvl_linear), 45,  10,  403}, /* backward data likewise */
    {sizeof(cvl_linear), 200, 97,  11},
    {sizeof(cvl_linear), 33,  130, 12},
    {sizeof(cvl_linear), 2,   501, 40}, /* backward: what is computed turned, of few rows and of many */
    {sizeof(cvl_linear), 4,   431, 403},
    {sizeof(cvl_linear), 16,  384, 401},
    {sizeof(cvl_linear), 32,  431, 65},
    {sizeof(cvl_linear), 48,  400, 97},
    {sizeof(cvl_linear), 64,  385, 128},
    {sizeof(cvl_linear), 24,  385, 161}, /* in pieces that are no whole lines with AVX2 */
    {sizeof(cvl_linear), 17,  70,  515}, /* forward: weights copied by panels */
    {sizeof(cvl_linear), 513, 400, 1},
    {sizeof(cvl_linear), 5,   2,   770},
};

/* Forward, weights of rows half a page apart are copied where there are many of them, and rows. */
static const cvl_linear apart = {sizeof(cvl_linear), 65, 468, 281};

/* Forward, weights that come from far: a last panel of fewer columns, a last piece of fewer rows; and panels
 * of which not all are summed together. */
static const cvl_linear far[] = {
    {sizeof(cvl_linear), 13, 800, 2560},
    {sizeof(cvl_linear), 64, 400, 5100},
};

/* dw of more than 32 MB is written some rows at a time. */
static const cvl_linear large = {sizeof(cvl_linear), 3, 2100, (33 << 20) / 2100 / (int)sizeof(T)};
/* clang-format on */

/* The header promises a 1x1 convolution over M pixels. */
static void test_against_conv2d(const cvl_linear *d, const T *y, const T *x, const T *w, const T *b)
{
    cvl_conv2d conv = CVL_CONV2D_INIT;
    conv.N = conv.H = conv.KH = conv.KW = 1;
    conv.W = d->M;
    conv.C = d->IN;
    conv.OC = d->OUT;
    T *y_conv = output(d->M * d->OUT);
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(&conv, 1));
    CHECK(NAME(conv2d_forward)(&conv, y_conv, x, w, b, &run) == CVL_OK);
    check_same("y of the convolution", d->M * d->OUT, y_conv, y);
}

static void test_forward(const cvl_linear *d, int limit, int with_bias)
{
    check_case("forward M%td IN%td OUT%td limit %d", d->M, d->IN, d->OUT, limit);
    ptrdiff_t size_x = d->M * d->IN, size_y = d->M * d->OUT, size_w = d->IN * d->OUT;
    T *x = input_operand(size_x, limit), *w = input_operand(size_w, limit), *first = NULL;
    T *b = with_bias ? input_operand(d->OUT, limit) : NULL;
    double *wide_x = widened(x, size_x), *wide_w = widened(w, size_w);
    double *wide_b = with_bias ? widened(b, d->OUT) : NULL;
    double *want = doubles(size_y), *scale = doubles(size_y);
    cvl_reference_linear_forward(d, want, wide_x, wide_w, wide_b);
    if (!limit)
        cvl_reference_linear_forward(d, scale, magnitude(wide_x, size_x), magnitude(wide_w, size_w),
                                     with_bias ? magnitude(wide_b, d->OUT) : NULL);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(size_y);
        cvl_exec run = run_with(threads, NAME(linear_forward_workspace_size)(d, threads));
        CHECK(NAME(linear_forward)(d, y, x, w, b, &run) == CVL_OK);
        if (first)
            check_same("y", size_y, y, first);
        else
            check_sums("y", size_y, first = y, want, d->IN, scale, limit);
    }
    if (d->M > 0)
        test_against_conv2d(d, first, x, w, b);
    check_memory();
}

static void test_backward_data(const cvl_linear *d, int limit)
{
    check_case("backward data M%td IN%td OUT%td limit %d", d->M, d->IN, d->OUT, limit);
    ptrdiff_t size_x = d->M * d->IN, size_y = d->M * d->OUT, size_w = d->IN * d->OUT;
    T *dy = input_operand(size_y, limit), *w = input_operand(size_w, limit), *first = NULL;
    double *wide_dy = widened(dy, size_y), *wide_w = widened(w, size_w);
    double *want = doubles(size_x), *scale = doubles(size_x);
    cvl_reference_linear_backward_data(d, want, wide_dy, wide_w);
    if (!limit)
        cvl_reference_linear_backward_data(d, scale, magnitude(wide_dy, size_y),
                                           magnitude(wide_w, size_w));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dx = output(size_x);
        cvl_exec run = run_with(threads, NAME(linear_backward_data_workspace_size)(d, threads));
        CHECK(NAME(linear_backward_data)(d, dx, dy, w, &run) == CVL_OK);
        if (first)
            check_same("dx", size_x, dx, first);
        else
            check_sums("dx", size_x, first = dx, want, d->OUT, scale, limit);
    }
    check_memory();
}

static void test_backward_weights(const cvl_linear *d, int limit)
{
    check_case("backward weights M%td IN%td OUT%td limit %d", d->M, d->IN, d->OUT, limit);
    ptrdiff_t size_x = d->M * d->IN, size_y = d->M * d->OUT, size_w = d->IN * d->OUT;
    T *dy = input_operand(size_y, limit), *x = input_operand(size_x, limit);
    T *first = NULL, *first_db = NULL;
    double *wide_dy = widened(dy, size_y), *wide_x = widened(x, size_x);
    double *want = doubles(size_w), *scale = doubles(size_w);
    double *want_db = doubles(d->OUT), *scale_db = doubles(d->OUT);
    cvl_reference_linear_backward_weights(d, want, want_db, wide_dy, wide_x);
    if (!limit)
        cvl_reference_linear_backward_weights(d, scale, scale_db, magnitude(wide_dy, size_y),
                                              magnitude(wide_x, size_x));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dw = output(size_w), *db = output(d->OUT);
        T *dw_alone = output(size_w), *db_alone = output(d->OUT);
        cvl_exec run = run_with(threads, NAME(linear_backward_weights_workspace_size)(d, threads));
        CHECK(NAME(linear_backward_weights)(d, dw, db, dy, x, &run) == CVL_OK);
        CHECK(NAME(linear_backward_weights)(d, dw_alone, NULL, dy, x, &run) == CVL_OK);
        CHECK(NAME(linear_backward_weights)(d, NULL, db_alone, dy, x, &run) == CVL_OK);
        check_same("dw without db", size_w, dw_alone, dw);
        check_same("db without dw", d->OUT, db_alone, db);
        if (first) {
            check_same("dw", size_w, dw, first);
            check_same("db", d->OUT, db, first_db);
        } else {
            check_sums("dw", size_w, first = dw, want, d->M, scale, limit);
            check_sums("db", d->OUT, first_db = db, want_db, d->M, scale_db, limit);
        }
    }
    check_memory();
}

/* A row alone has the bits that it has among others. */
static void test_rows(ptrdiff_t IN, ptrdiff_t OUT)
{
    enum { ROWS = 3 };
    check_case("each of %d rows alone IN%td OUT%td", ROWS, IN, OUT);
    const cvl_linear all = {sizeof all, ROWS, IN, OUT}, one = {sizeof one, 1, IN, OUT};
    T *x = input_random(ROWS * IN), *w = input_random(IN * OUT), *b = input_random(OUT);
    T *dy = input_random(ROWS * OUT), *y = output(ROWS * OUT), *dx = output(ROWS * IN);
    cvl_exec run = run_with(1, NAME(linear_forward_workspace_size)(&all, 1));
    CHECK(NAME(linear_forward)(&all, y, x, w, b, &run) == CVL_OK);
    run = run_with(1, NAME(linear_backward_data_workspace_size)(&all, 1));
    CHECK(NAME(linear_backward_data)(&all, dx, dy, w, &run) == CVL_OK);
    for (ptrdiff_t row = 0; row < ROWS; row++) {
        T *y_row = output(OUT), *dx_row = output(IN);
        run = run_with(2, NAME(linear_forward_workspace_size)(&one, 2));
        CHECK(NAME(linear_forward)(&one, y_row, x + row * IN, w, b, &run) == CVL_OK);
        run = run_with(2, NAME(linear_backward_data_workspace_size)(&one, 2));
        CHECK(NAME(linear_backward_data)(&one, dx_row, dy + row * OUT, w, &run) == CVL_OK);
        check_same("y", OUT, y_row, y + row * OUT);
        check_same("dx", IN, dx_row, dx + row * IN);
    }
    check_memory();
}

static void test_all(void)
{
    test_rows(1, 1);
    test_rows(803, 653);
    test_rows(129, 1153);
    for (const cvl_linear *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++)
        for (int limit = REAL; limit <= INTEGER; limit += INTEGER) {
            test_forward(d, limit, 0);
            test_forward(d, limit, 1);
            test_backward_data(d, limit);
            test_backward_weights(d, limit);
        }
    test_forward(&apart, REAL, 1);
    test_forward(&apart, INTEGER, 1);
    for (int i = 0; i < (int)(sizeof far / sizeof far[0]); i++) {
        test_forward(&far[i], REAL, 1);
        test_forward(&far[i], INTEGER, 0);
    }
    test_backward_weights(&large, INTEGER);
}

int main(void) { return check_main(test_all); }
