/* test_program_sum.c: convolutions of a program that add a value, which their output may replace. */
#include <string.h>

#include "check.h"

enum { X, Y, Z, SUM, VALUES };

/* K x K of padding `pad` on both sides. */
typedef struct sum_case {
    const char *what;
    ptrdiff_t N, H, W, C, OC, K, stride, pad, groups;
    cvl_conv2d_algorithm algorithm;
} sum_case;

static const sum_case cases[] = {
    {"many rows", 2, 21, 25, 32, 64, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"many rows, of which tiles overlap", 1, 23, 37, 48, 40, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"many rows, long sums", 1, 24, 24, 400, 33, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"many rows to few columns", 3, 16, 17, 24, 3, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"few rows", 1, 5, 5, 64, 48, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"one row", 1, 1, 1, 300, 70, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"one column", 5, 1, 1, 64, 1, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"few channels", 2, 9, 9, 3, 4, 1, 1, 0, 1, CVL_CONV2D_AUTO},
    {"taps", 2, 7, 6, 12, 20, 3, 1, 1, 1, CVL_CONV2D_IM2COL},
    {"taps, long sums", 2, 5, 6, 64, 24, 3, 1, 1, 1, CVL_CONV2D_IM2COL},
    {"padding written out", 1, 7, 7, 32, 32, 7, 1, 3, 1, CVL_CONV2D_IM2COL},
    {"groups", 2, 6, 6, 32, 32, 3, 1, 1, 4, CVL_CONV2D_IM2COL},
    {"depthwise", 2, 9, 8, 40, 40, 3, 1, 1, 40, CVL_CONV2D_AUTO},
#ifdef CVL_F32 /* float64 goes by no other algorithm */
    {"Winograd", 2, 9, 13, 20, 33, 3, 1, 1, 1, CVL_CONV2D_WINOGRAD},
    {"Winograd of groups", 2, 8, 8, 32, 32, 3, 1, 1, 2, CVL_CONV2D_WINOGRAD},
    {"Winograd of 5x5", 2, 9, 8, 16, 24, 5, 1, 2, 1, CVL_CONV2D_WINOGRAD},
    {"Winograd of cells", 2, 13, 12, 16, 24, 5, 2, 2, 1, CVL_CONV2D_WINOGRAD},
    {"the smaller Winograd", 2, 9, 7, 20, 24, 3, 1, 1, 1, CVL_CONV2D_WINOGRAD2},
#endif
};

static cvl_conv2d describe(const sum_case *c, cvl_activation activation)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    d.N = c->N;
    d.H = c->H;
    d.W = c->W;
    d.C = c->C;
    d.OC = c->OC;
    d.KH = d.KW = c->K;
    d.SH = d.SW = c->stride;
    d.PT = d.PB = d.PL = d.PR = c->pad;
    d.groups = c->groups;
    d.algorithm = c->algorithm;
    d.activation = activation;
    return d;
}

/* act(conv(x, w) + b + z), of which `z` lies where the sum does or apart from it, against a convolution, an
 * addition and the activation. */
static void test_sum(const sum_case *c, cvl_activation activation)
{
    const cvl_conv2d d = describe(c, activation), plain = describe(c, CVL_ACTIVATION_NONE);
    ptrdiff_t OH, OW;
    CHECK(!cvl_conv2d_output_shape(&d, &OH, &OW));
    const ptrdiff_t x_size = c->N * c->H * c->W * c->C, y_size = c->N * OH * OW * c->OC;
    const T *x = input_random(x_size), *z = input_random(y_size), *b = input_random(c->OC);
    const T *w = input_random(c->K * c->K * (c->C / c->groups) * c->OC);
    T *want = output(y_size);
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(&plain, 1));
    CHECK(!NAME(conv2d_forward)(&plain, want, x, w, b, &run));
    CHECK(!(activation == CVL_ACTIVATION_RELU ? NAME(add_relu) : NAME(add))(y_size, want, want, z,
                                                                            &run));

    const ptrdiff_t apart = (y_size + 63) / 64 * 64;
    for (int in_place = 0; in_place < 2; in_place++)
        for (int threads = team_after(0); threads; threads = team_after(threads)) {
            check_case("%s, activation %d, in place %d, %d threads", c->what, (int)activation,
                       in_place, threads);
            const cvl_value values[VALUES] = {
                [X] = {x_size, 0},
                [Y] = {y_size, 0},
                [Z] = {y_size, 0},
                [SUM] = {y_size, in_place ? 0 : apart},
            };
            cvl_op ops[2] = {CVL_OP_INIT, CVL_OP_INIT};
            ops[0].kind = CVL_OP_CONV2D;
            ops[0].y = SUM;
            ops[0].x = X;
            ops[0].z = Z;
            ops[0].descriptor = &d;
            ops[0].w = w;
            ops[0].b = b;
            ops[1].kind = CVL_OP_LEAKY_RELU;
            ops[1].x = SUM;
            ops[1].y = Y;
            ops[1].parameter = 1; /* nothing but a copy */
            cvl_program program = CVL_PROGRAM_INIT;
            program.values = VALUES;
            program.ops = 2;
            program.arena = 2 * apart;
            program.value = values;
            program.op = ops;
            T *y = output(y_size);
            run = run_with(threads, NAME(program_workspace_size)(&program, threads));
            memcpy(run.workspace, z, (size_t)y_size * sizeof(T));
            CHECK(NAME(program_run)(&program, y, x, &run) == CVL_OK);
            check_same("y", y_size, y, want);
        }
    check_memory();
}

static void all(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_sum(&cases[i], CVL_ACTIVATION_NONE);
        test_sum(&cases[i], CVL_ACTIVATION_RELU);
    }
}

int main(void) { return check_main(all); }
