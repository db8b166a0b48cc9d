/* test_arrange.c: operators that only move values, against loops over the outputs. */
#include "check.h"

#include <string.h>

enum { MOST_PARTS = 5 };

static void test_concat(ptrdiff_t M, ptrdiff_t parts, const ptrdiff_t *C)
{
    check_case("concat M%td parts %td C%td", M, parts, C[0]);
    cvl_concat d = {sizeof d, M, parts, C};
    const T *x[MOST_PARTS];
    const double *wide[MOST_PARTS];
    ptrdiff_t OC = 0;
    for (ptrdiff_t i = 0; i < parts; OC += C[i++]) {
        x[i] = input_random(M * C[i]);
        wide[i] = widened(x[i], M * C[i]);
    }
    double *want = doubles(M * OC), *want_dx[MOST_PARTS];
    const T *dy = input_random(M * OC);
    for (ptrdiff_t i = 0; i < parts; i++)
        want_dx[i] = doubles(M * C[i]);
    cvl_reference_concat_forward(&d, want, wide);
    cvl_reference_concat_backward(&d, want_dx, widened(dy, M * OC));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(M * OC);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(concat_forward)(&d, y, x, &run) == CVL_OK);
        check_exact("y", M * OC, y, want);
        T *dx[MOST_PARTS];
        for (ptrdiff_t i = 0; i < parts; i++)
            dx[i] = i == 1 ? NULL : output(M * C[i]);
        CHECK(NAME(concat_backward)(&d, dx, dy, &run) == CVL_OK);
        for (ptrdiff_t i = 0; i < parts; i++)
            if (dx[i])
                check_exact("dx", M * C[i], dx[i], want_dx[i]);
    }
    check_memory();
}

static void test_pad_shortcut(cvl_pad_shortcut d)
{
    const ptrdiff_t OH = (d.H + d.SH - 1) / d.SH, OW = (d.W + d.SW - 1) / d.SW;
    const ptrdiff_t x_size = d.N * d.H * d.W * d.C, y_size = d.N * OH * OW * d.OC;
    check_case("pad shortcut N%td H%td W%td C%td OC%td S%td,%td", d.N, d.H, d.W, d.C, d.OC, d.SH,
               d.SW);
    T *x = input_random(x_size), *dy = input_random(y_size);
    double *want = doubles(y_size), *want_dx = doubles(x_size);
    cvl_reference_pad_shortcut_forward(&d, want, widened(x, x_size));
    cvl_reference_pad_shortcut_backward(&d, want_dx, widened(dy, y_size));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(y_size), *dx = output(x_size);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(pad_shortcut_forward)(&d, y, x, &run) == CVL_OK);
        check_exact("y", y_size, y, want);
        CHECK(NAME(pad_shortcut_backward)(&d, dx, dy, &run) == CVL_OK);
        check_exact("dx", x_size, dx, want_dx);
    }
    check_memory();
}

/* What a changed descriptor returns; nothing is written. */
static void test_errors(void)
{
    const ptrdiff_t C[] = {2, 3}, none[] = {2, 0}, huge[] = {2, PTRDIFF_MAX - 1},
                    most[] = {PTRDIFF_MAX / 16, 1};
    const cvl_concat concats[] = {
        {0, 4, 2, C},
        {sizeof *concats, 4, 2, NULL},
        {sizeof *concats, -1, 2, C},
        {sizeof *concats, 4, 0, C},
        {sizeof *concats, 4, 2, none},
        {sizeof *concats, PTRDIFF_MAX / 8, 2, C},
        {sizeof *concats, 4, 2, huge},
        {sizeof *concats, 0, 2, most},
    };
    const cvl_status concat_errors[] = {CVL_ERR_ARGUMENT, CVL_ERR_ARGUMENT, CVL_ERR_SHAPE,
                                        CVL_ERR_SHAPE,    CVL_ERR_SHAPE,    CVL_ERR_OVERFLOW,
                                        CVL_ERR_OVERFLOW, CVL_ERR_OVERFLOW};
    const cvl_pad_shortcut shortcuts[] = {
        {0, 1, 2, 2, 2, 3, 1, 1},
        {sizeof *shortcuts, -1, 2, 2, 2, 3, 1, 1},
        {sizeof *shortcuts, 1, 0, 2, 2, 3, 1, 1},
        {sizeof *shortcuts, 1, 2, 0, 2, 3, 1, 1},
        {sizeof *shortcuts, 1, 2, 2, 0, 3, 1, 1},
        {sizeof *shortcuts, 1, 2, 2, 4, 3, 1, 1},
        {sizeof *shortcuts, 1, 2, 2, 2, 3, 0, 1},
        {sizeof *shortcuts, 1, 2, 2, 2, 3, 1, 0},
        {sizeof *shortcuts, PTRDIFF_MAX / 8, 2, 2, 2, 3, 1, 1},
    };
    const cvl_status shortcut_errors[] = {CVL_ERR_ARGUMENT, CVL_ERR_SHAPE, CVL_ERR_SHAPE,
                                          CVL_ERR_SHAPE,    CVL_ERR_SHAPE, CVL_ERR_SHAPE,
                                          CVL_ERR_SHAPE,    CVL_ERR_SHAPE, CVL_ERR_OVERFLOW};
    T *x = input_random(20), *y = output(20);
    const T *parts[] = {x, x}, *missing[] = {x, NULL};
    T *gradients[] = {y, y};
    cvl_exec run = run_with(1, 0);
    check_case("errors");
    for (size_t i = 0; i < sizeof concats / sizeof *concats; i++) {
        CHECK(NAME(concat_forward)(&concats[i], y, parts, &run) == concat_errors[i]);
        CHECK(NAME(concat_backward)(&concats[i], gradients, x, &run) == concat_errors[i]);
    }
    for (size_t i = 0; i < sizeof shortcuts / sizeof *shortcuts; i++) {
        CHECK(NAME(pad_shortcut_forward)(&shortcuts[i], y, x, &run) == shortcut_errors[i]);
        CHECK(NAME(pad_shortcut_backward)(&shortcuts[i], y, x, &run) == shortcut_errors[i]);
    }
    const cvl_concat concat = {sizeof concat, 1, 2, C}, empty = {sizeof empty, 0, 2, C};
    const cvl_pad_shortcut shortcut = {sizeof shortcut, 1, 2, 2, 2, 3, 1, 1};
    CHECK(NAME(concat_forward)(NULL, y, parts, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_forward)(&concat, NULL, parts, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_forward)(&concat, y, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_forward)(&concat, y, missing, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_forward)(&concat, y, parts, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_backward)(NULL, gradients, x, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_backward)(&concat, NULL, x, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_backward)(&concat, gradients, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(concat_backward)(&concat, gradients, x, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(pad_shortcut_forward)(&shortcut, NULL, x, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(pad_shortcut_backward)(&shortcut, y, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(pad_shortcut_forward)(&shortcut, y, x, NULL) == CVL_ERR_ARGUMENT);
    missing[0] = NULL;
    CHECK(NAME(concat_forward)(&empty, NULL, missing, &run) == CVL_OK);
    CHECK(NAME(concat_backward)(&empty, (T *[]){NULL, NULL}, NULL, &run) == CVL_OK);
    CHECK(untouched(y, 20 * sizeof(T)));
    check_memory();
}

static void test_all(void)
{
    const ptrdiff_t sizes[] = {3, 1, 64, 17, 5000};
    for (ptrdiff_t parts = 1; parts <= MOST_PARTS; parts++) {
        test_concat(0, parts, sizes);
        test_concat(1, parts, sizes);
        test_concat(37, parts, sizes);
    }
    test_concat(3000, 4, sizes);
    const ptrdiff_t shapes[][7] = {
        {0, 2, 2, 3, 3, 1, 1},   {1, 1, 1, 1, 1, 1, 1}, {2, 5, 4, 3, 7, 2, 2},
        {1, 6, 7, 16, 32, 2, 2}, {3, 3, 2, 1, 9, 1, 1}, {2, 4, 9, 2, 2, 3, 1},
        {1, 5, 5, 4, 6, 1, 4},   {1, 3, 3, 2, 5, 7, 7}, {8, 32, 32, 16, 32, 2, 2},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const ptrdiff_t *s = shapes[i];
        test_pad_shortcut(
            (cvl_pad_shortcut){sizeof(cvl_pad_shortcut), s[0], s[1], s[2], s[3], s[4], s[5], s[6]});
    }
    test_errors();
}

int main(void) { return check_main(test_all); }
