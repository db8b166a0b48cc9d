/* test_depthwise.c: depthwise filters, against six loops: of 3x3 taps every small image, and the
 * channels that decide how the engine cuts its work; of other sizes fewer. */
#include <math.h>

#include "conv2d_check.h"

static cvl_conv2d problem(ptrdiff_t N, ptrdiff_t H, ptrdiff_t W, ptrdiff_t C, ptrdiff_t stride,
                          const ptrdiff_t padding[4])
{
    return (cvl_conv2d){.size = sizeof(cvl_conv2d),
                        .N = N,
                        .H = H,
                        .W = W,
                        .C = C,
                        .OC = C,
                        .KH = 3,
                        .KW = 3,
                        .SH = stride,
                        .SW = stride,
                        .DH = 1,
                        .DW = 1,
                        .PT = padding[0],
                        .PB = padding[1],
                        .PL = padding[2],
                        .PR = padding[3],
                        .groups = C,
                        .slope = 0.25,
                        .algorithm = CVL_CONV2D_IM2COL};
}

static void name_case(const char *what, const cvl_conv2d *d)
{
    check_case("%s N%td H%td W%td C%td OC%td K%td,%td S%td P%td,%td,%td,%td", what, d->N, d->H,
               d->W, d->C, d->OC, d->KH, d->KW, d->SH, d->PT, d->PB, d->PL, d->PR);
}

/* Small integers, on which every pass is exact. */
enum { LIMIT = 8, SLACK = 64 };

static void test_forward(cvl_conv2d d, int activation)
{
    d.activation = activation;
    name_case("forward", &d);
    const sizes a = sizes_of(&d);
    T *x = input_integers(a.x, LIMIT), *w = input_integers(a.w, LIMIT);
    T *b = input_integers(d.OC, LIMIT);
    const int biased = activation != CVL_ACTIVATION_NONE;
    double *want = doubles(a.y);
    cvl_reference_conv2d_forward(&d, want, widened(x, a.x), widened(w, a.w),
                                 biased ? widened(b, d.OC) : NULL);
    for (int i = 0; i < runs_of(REAL); i++) {
        const int threads = threads_of(i, REAL);
        T *y = output(a.y);
        const size_t more = i * SLACK; /* a workspace may be larger than what is asked for */
        cvl_exec run = run_with(threads, NAME(conv2d_forward_workspace_size)(&d, threads) + more);
        CHECK(NAME(conv2d_forward)(&d, y, x, w, biased ? b : NULL, &run) == CVL_OK);
        check_exact("y", a.y, y, want);
    }
    check_memory();
}

static void test_backward(const cvl_conv2d *d)
{
    name_case("backward", d);
    const sizes a = sizes_of(d);
    T *x = input_integers(a.x, LIMIT), *w = input_integers(a.w, LIMIT);
    T *dy = input_integers(a.y, LIMIT);
    double *want_dx = doubles(a.x), *want_dw = doubles(a.w), *want_db = doubles(d->OC);
    double *wide_dy = widened(dy, a.y);
    cvl_reference_conv2d_backward_data(d, want_dx, wide_dy, widened(w, a.w));
    cvl_reference_conv2d_backward_weights(d, want_dw, want_db, wide_dy, widened(x, a.x));
    for (int i = 0; i < runs_of(REAL); i++) {
        const int threads = threads_of(i, REAL);
        T *dx = output(a.x), *dw = output(a.w), *db = output(d->OC);
        cvl_exec run = run_with(threads, NAME(conv2d_backward_data_workspace_size)(d, threads));
        CHECK(NAME(conv2d_backward_data)(d, dx, dy, w, &run) == CVL_OK);
        check_exact("dx", a.x, dx, want_dx);
        run = run_with(threads, NAME(conv2d_backward_weights_workspace_size)(d, threads));
        CHECK(NAME(conv2d_backward_weights)(d, dw, db, dy, x, &run) == CVL_OK);
        check_exact("dw", a.w, dw, want_dw);
        check_exact("db", d->OC, db, want_db);
    }
    check_memory();
}

/* A tap that lies outside is left out: an infinite weight must not meet a zero of the padding. */
static void test_infinite_weights(const cvl_conv2d *d)
{
    name_case("infinite weights", d);
    const sizes a = sizes_of(d);
    T *x = output(a.x), *w = output(a.w), *y = output(a.y), *dx = output(a.x);
    for (ptrdiff_t i = 0; i < a.x; i++)
        x[i] = 1;
    for (ptrdiff_t tap = 0; tap < d->KH * d->KW; tap++) {
        for (ptrdiff_t i = 0; i < a.w; i++)
            w[i] = i / d->OC == tap ? (T)INFINITY : 1;
        T *dy = output(a.y);
        for (ptrdiff_t i = 0; i < a.y; i++)
            dy[i] = 1;
        double *want = doubles(a.y), *want_dx = doubles(a.x);
        cvl_reference_conv2d_forward(d, want, widened(x, a.x), widened(w, a.w), NULL);
        cvl_exec run = run_with(2, NAME(conv2d_forward_workspace_size)(d, 2));
        CHECK(NAME(conv2d_forward)(d, y, x, w, NULL, &run) == CVL_OK);
        check_exact("y", a.y, y, want);
        cvl_reference_conv2d_backward_data(d, want_dx, widened(dy, a.y), widened(w, a.w));
        run = run_with(2, NAME(conv2d_backward_data_workspace_size)(d, 2));
        CHECK(NAME(conv2d_backward_data)(d, dx, dy, w, &run) == CVL_OK);
        check_exact("dx", a.x, dx, want_dx);
    }
    check_memory();
}

/* Backward data of several outputs of a channel: each 384 products of a sum make a chain. What follows a
 * large one in its chain is lost, and no more. */
static void test_chains(ptrdiff_t C)
{
    enum { K = 15, M = 4, PIXELS = K * K, TERMS = PIXELS * M, CHAIN = 384 };
    static const ptrdiff_t half[] = {K / 2, K / 2, K / 2, K / 2};
    cvl_conv2d d = problem(1, K, K, C, 1, half);
    d.KH = d.KW = K;
    d.OC = C * M;
    name_case("chains", &d);
    T *w = output(TERMS * C), *dy = output(TERMS * C), *dx = output(PIXELS * C);
    for (ptrdiff_t i = 0; i < TERMS * C; i++)
        w[i] = dy[i] = 1;
    for (ptrdiff_t c = 0; c < C; c++)
        dy[(PIXELS - 1) * C * M + c * M] = (T)(1 / UNIT); /* the first of the middle pixel's */
    cvl_exec run = run_with(1, NAME(conv2d_backward_data_workspace_size)(&d, 1));
    CHECK(NAME(conv2d_backward_data)(&d, dx, dy, w, &run) == CVL_OK);
    for (ptrdiff_t c = 0; c < C; c++)
        CHECK(dx[PIXELS / 2 * C + c] == (T)(1 / UNIT) + (TERMS - CHAIN));
    check_memory();
}

static void test_problem(const cvl_conv2d *d)
{
    test_forward(*d, CVL_ACTIVATION_NONE);
    test_backward(d);
}

/* Vectors that span pixels, chunks of channels, pieces of columns, rows and columns of padding alone. */
static void test_kernels(ptrdiff_t stride)
{
    static const ptrdiff_t kernels[][2] = {{2, 3}, {3, 3}, {5, 5}, {7, 7}, {1, 7}, {5, 1}};
    static const ptrdiff_t channels[] = {3, 8, 10, 12, 40, 520};
    static const ptrdiff_t images[][3] = {{1, 7, 5}, {2, 5, 13}, {1, 4, 37}, {1, 3, 131}};
    for (size_t k = 0; k < sizeof kernels / sizeof kernels[0]; k++)
        for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++)
            for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
                const ptrdiff_t KH = kernels[k][0], KW = kernels[k][1];
                const ptrdiff_t even[] = {KH / 2, KH / 2, KW / 2, KW / 2};
                const ptrdiff_t uneven[] = {KH + 1, KH - 1, 0, KW};
                cvl_conv2d d = problem(images[i][0], images[i][1], images[i][2], channels[c],
                                       stride, (c + i) % 2 ? uneven : even);
                d.KH = KH;
                d.KW = KW;
                test_problem(&d);
                if (i > 0)
                    continue;
                for (int activation = 1; activation <= CVL_ACTIVATION_RELU6; activation++)
                    test_forward(d, activation);
                if (channels[c] < 100)
                    test_infinite_weights(&d);
            }
}

/* Several outputs of a channel: planes of channels, and what is left to the direct engine. */
static void test_multipliers(void)
{
    static const ptrdiff_t channels[] = {3, 8, 21}, sides[] = {1, 3};
    for (ptrdiff_t stride = 1; stride <= 2; stride++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 2; k++)
                for (ptrdiff_t outputs = 2; outputs <= 5; outputs += 3) {
                    const ptrdiff_t half = sides[k] / 2, padding[] = {half, half, half, half};
                    cvl_conv2d d = problem(2, 6, 13, channels[c], stride, padding);
                    d.KH = d.KW = sides[k];
                    d.OC = outputs * d.C;
                    test_problem(&d);
                    test_forward(d, CVL_ACTIVATION_LEAKY_RELU);
                    test_infinite_weights(&d);
                }
}

static void test_all(void)
{
    static const ptrdiff_t paddings[][4] = {
        {1, 1, 1, 1}, {0, 0, 0, 0}, {1, 0, 0, 1}, {0, 2, 1, 2}, {2, 1, 1, 2}};
    enum { PADDINGS = sizeof paddings / sizeof paddings[0] };
    for (ptrdiff_t stride = 1; stride <= 2; stride++)
        for (int p = 0; p < PADDINGS; p++)
            for (ptrdiff_t size = 0; size < 56; size++) {
                const cvl_conv2d d =
                    problem(1, size / 7 + 1, size % 7 + 1, 17, stride, paddings[p]);
                if (d.H + d.PT + d.PB >= 3 && d.W + d.PL + d.PR >= 3)
                    test_problem(&d);
            }
    /* Channels: less than a vector, a remainder, pixels of which some or all look alike in the last
     * bits of their addresses. Images: of several bands, wider than what is copied at once. */
    static const ptrdiff_t channels[] = {3, 16, 31, 40, 128, 256, 520, 512, 1024, 1088};
    static const ptrdiff_t images[][3] = {{1, 7, 6}, {3, 13, 31}, {9, 14, 15}};
    for (ptrdiff_t stride = 1; stride <= 2; stride++)
        for (size_t i = 0; i < sizeof images / sizeof images[0]; i++)
            for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
                const cvl_conv2d d = problem(images[i][0], images[i][1], images[i][2], channels[c],
                                             stride, paddings[c % 2 * 2]);
                /* Once, nine images of few channels alone. */
                if (check_once() && d.N * d.C > 9 * 512)
                    continue;
                test_problem(&d);
                if (i > 0)
                    continue;
                for (int activation = 1; activation <= CVL_ACTIVATION_RELU6; activation++)
                    test_forward(d, activation);
                test_infinite_weights(&d);
            }
    test_chains(2);
    test_chains(8);
    test_multipliers();
    test_kernels(1);
    test_kernels(2);
}

int main(void) { return check_main(test_all); }
