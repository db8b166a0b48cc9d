/* test_errors.c: what a bad call returns, and that it touches nothing. */
#include <math.h>
#include <string.h>

#include "check.h"

/* Every array here has this many elements, more than the good descriptors ask for. Every output of
 * a refused call must be as it was. */
enum { COUNT = 64, BYTES = COUNT * sizeof(T) };

/* What the calls of one test share. */
static T *out[3], *in[4];
static double *out_doubles[2];
static cvl_exec run;

static void new_arrays(void)
{
    for (int i = 0; i < 3; i++)
        out[i] = output(COUNT);
    for (int i = 0; i < 2; i++)
        out_doubles[i] = output_bytes(COUNT * sizeof(double));
    for (int i = 0; i < 4; i++)
        in[i] = input_random(COUNT);
    run = run_with(2, 1 << 17);
}

static void check_untouched(void)
{
    int all = 1;
    for (int i = 0; i < 3; i++)
        all = all && untouched(out[i], BYTES);
    for (int i = 0; i < 2; i++)
        all = all && untouched(out_doubles[i], COUNT * sizeof(double));
    CHECK(all);
    CHECK(untouched(run.workspace, run.workspace_bytes));
    check_memory();
}

/* `call` with what it names, on fresh arrays, returns `expected` and touches nothing. */
#define REFUSED(expected, call)      \
    do {                             \
        check_case("%s", #call);     \
        new_arrays();                \
        CHECK((call) == (expected)); \
        check_untouched();           \
    } while (0)

/* ---------------------------------------------------------------- convolution */

static cvl_conv2d good_conv2d(void)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    d.N = 1;
    d.H = d.KH = d.KW = 2;
    d.W = 3;
    d.C = d.OC = 3;
    return d;
}

static void refuse_conv2d(const char *why, const cvl_conv2d *d, cvl_status expected)
{
    ptrdiff_t OH = -7, OW = -7;
    check_case("conv2d: %s", why);
    new_arrays();
    CHECK(NAME(conv2d_forward)(d, out[0], in[0], in[1], in[2], &run) == expected);
    CHECK(NAME(conv2d_backward_data)(d, out[0], in[0], in[1], &run) == expected);
    CHECK(NAME(conv2d_backward_weights)(d, out[0], out[1], in[0], in[1], &run) == expected);
    CHECK(NAME(conv2d_pack)(d, out[0], in[1], &run) == expected);
    CHECK(NAME(conv2d_forward_packed)(d, out[0], in[0], in[1], in[2], &run) == expected);
    CHECK(NAME(conv2d_packed_size)(d) == 0);
    CHECK(NAME(conv2d_forward_workspace_size)(d, 2) == 0);
    CHECK(NAME(conv2d_backward_data_workspace_size)(d, 2) == 0);
    CHECK(NAME(conv2d_backward_weights_workspace_size)(d, 2) == 0);
    CHECK(cvl_conv2d_output_shape(d, &OH, &OW) == expected);
    CHECK(OH == -7 && OW == -7);
    check_untouched();
}

static void test_conv2d_descriptors(void)
{
    static const size_t sizes[] = {
        offsetof(cvl_conv2d, H),  offsetof(cvl_conv2d, W),     offsetof(cvl_conv2d, C),
        offsetof(cvl_conv2d, OC), offsetof(cvl_conv2d, KH),    offsetof(cvl_conv2d, KW),
        offsetof(cvl_conv2d, SH), offsetof(cvl_conv2d, SW),    offsetof(cvl_conv2d, DH),
        offsetof(cvl_conv2d, DW), offsetof(cvl_conv2d, groups)};
    static const size_t paddings[] = {offsetof(cvl_conv2d, N), offsetof(cvl_conv2d, PT),
                                      offsetof(cvl_conv2d, PB), offsetof(cvl_conv2d, PL),
                                      offsetof(cvl_conv2d, PR)};
    const ptrdiff_t zero = 0, negative = -1;
    cvl_conv2d d;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        d = good_conv2d();
        memcpy((char *)&d + sizes[i], &zero, sizeof zero);
        refuse_conv2d("a size of 0", &d, CVL_ERR_SHAPE);
        memcpy((char *)&d + sizes[i], &negative, sizeof negative);
        refuse_conv2d("a size of -1", &d, CVL_ERR_SHAPE);
    }
    for (size_t i = 0; i < sizeof paddings / sizeof paddings[0]; i++) {
        d = good_conv2d();
        memcpy((char *)&d + paddings[i], &negative, sizeof negative);
        refuse_conv2d("a batch or padding of -1", &d, CVL_ERR_SHAPE);
    }
    d = good_conv2d(), d.groups = 2, d.OC = 4;
    refuse_conv2d("groups that do not divide C", &d, CVL_ERR_SHAPE);
    d = good_conv2d(), d.groups = 2, d.C = 4;
    refuse_conv2d("groups that do not divide OC", &d, CVL_ERR_SHAPE);
    d = good_conv2d(), d.KW = 4;
    refuse_conv2d("a kernel wider than the input", &d, CVL_ERR_SHAPE);
    d = good_conv2d(), d.DH = 2;
    refuse_conv2d("a dilated kernel higher than the input", &d, CVL_ERR_SHAPE);
    d = good_conv2d(), d.N = PTRDIFF_MAX / 16;
    refuse_conv2d("more images than memory", &d, CVL_ERR_OVERFLOW);
    d = good_conv2d(), d.H = d.W = d.C = (ptrdiff_t)1 << (sizeof(ptrdiff_t) * 8 / 3);
    refuse_conv2d("an image larger than memory", &d, CVL_ERR_OVERFLOW);
    d = good_conv2d(), d.C = d.OC = (ptrdiff_t)1 << (sizeof(ptrdiff_t) * 4 - 2);
    refuse_conv2d("more weights than memory", &d, CVL_ERR_OVERFLOW);
    d = good_conv2d(), d.PT = PTRDIFF_MAX;
    refuse_conv2d("a sum that overflows", &d, CVL_ERR_OVERFLOW);
    d = good_conv2d(), d.activation = (cvl_activation)9;
    refuse_conv2d("an unknown activation", &d, CVL_ERR_ARGUMENT);
    d = good_conv2d(), d.slope = NAN;
    refuse_conv2d("a slope of NaN", &d, CVL_ERR_ARGUMENT);
    d = good_conv2d(), d.algorithm = (cvl_conv2d_algorithm)4;
    refuse_conv2d("an unknown algorithm", &d, CVL_ERR_ARGUMENT);
    d = good_conv2d(), d.size = 0;
    refuse_conv2d("no INIT", &d, CVL_ERR_ARGUMENT);
    refuse_conv2d("no descriptor", NULL, CVL_ERR_ARGUMENT);
}

static void test_conv2d_arguments(void)
{
    const cvl_conv2d good = good_conv2d(), *d = &good;
    const cvl_conv2d_pass no_pass = (cvl_conv2d_pass)(CVL_CONV2D_BACKWARD_WEIGHTS + 1);
    cvl_conv2d_algorithm chosen;
    ptrdiff_t OH;
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_choose)(d, no_pass, &chosen, NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_forward)(d, NULL, in[0], in[1], in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_forward)(d, out[0], NULL, in[1], in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_forward)(d, out[0], in[0], NULL, in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_forward)(d, out[0], in[0], in[1], in[2], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_data)(d, NULL, in[0], in[1], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_data)(d, out[0], NULL, in[1], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_data)(d, out[0], in[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_data)(d, out[0], in[0], in[1], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_weights)(d, out[0], out[1], NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_weights)(d, out[0], out[1], in[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_weights)(d, out[0], out[1], in[0], in[1], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_backward_weights)(d, NULL, out[1], NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_pack)(d, NULL, in[1], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_pack)(d, out[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_pack)(d, out[0], in[1], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(conv2d_forward_packed)(d, out[0], in[0], NULL, in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, cvl_conv2d_output_shape(d, &OH, NULL));
    REFUSED(CVL_ERR_ARGUMENT, cvl_conv2d_output_shape(d, NULL, &OH));
}

/* ---------------------------------------------------------------- run */

static void refuse_run(const char *why, const cvl_conv2d *d, const cvl_exec *bad,
                       cvl_status expected)
{
    check_case("run: %s", why);
    CHECK(NAME(conv2d_forward)(d, out[0], in[0], in[1], in[2], bad) == expected);
    CHECK(NAME(conv2d_backward_data)(d, out[0], in[0], in[1], bad) == expected);
    CHECK(NAME(conv2d_backward_weights)(d, out[0], out[1], in[0], in[1], bad) == expected);
}

static void test_runs(void)
{
    const cvl_conv2d d = good_conv2d();
    cvl_exec bad;
    new_arrays();
    bad = run, bad.threads = 0;
    refuse_run("no thread", &d, &bad, CVL_ERR_ARGUMENT);
    bad = run, bad.size = 0;
    refuse_run("no INIT", &d, &bad, CVL_ERR_ARGUMENT);
    bad = run, bad.workspace = NULL;
    refuse_run("no workspace", &d, &bad, CVL_ERR_WORKSPACE);
    bad = run, bad.workspace = (char *)run.workspace + 32, bad.workspace_bytes -= 32;
    refuse_run("a misaligned workspace", &d, &bad, CVL_ERR_WORKSPACE);
    bad = run, bad.workspace_bytes = 0;
    refuse_run("an empty workspace", &d, &bad, CVL_ERR_WORKSPACE);
    bad = run, bad.workspace_bytes = NAME(conv2d_forward_workspace_size)(&d, 2) - 1;
    check_case("run: a workspace short by a byte");
    CHECK(NAME(conv2d_forward)(&d, out[0], in[0], in[1], in[2], &bad) == CVL_ERR_WORKSPACE);
    CHECK(NAME(conv2d_pack)(&d, out[0], in[1], &bad) == CVL_ERR_WORKSPACE);
    bad.workspace_bytes = NAME(conv2d_backward_weights_workspace_size)(&d, 2) - 1;
    CHECK(NAME(conv2d_backward_weights)(&d, out[0], out[1], in[0], in[1], &bad) ==
          CVL_ERR_WORKSPACE);
    check_untouched();
}

/* ---------------------------------------------------------------- linear */

static void refuse_linear(const char *why, cvl_linear d, cvl_status expected)
{
    check_case("linear: %s", why);
    new_arrays();
    CHECK(NAME(linear_forward)(&d, out[0], in[0], in[1], in[2], &run) == expected);
    CHECK(NAME(linear_backward_data)(&d, out[0], in[0], in[1], &run) == expected);
    CHECK(NAME(linear_backward_weights)(&d, out[0], out[1], in[0], in[1], &run) == expected);
    CHECK(NAME(linear_forward_workspace_size)(&d, 2) == 0);
    CHECK(NAME(linear_backward_data_workspace_size)(&d, 2) == 0);
    CHECK(NAME(linear_backward_weights_workspace_size)(&d, 2) == 0);
    check_untouched();
}

static void test_linear(void)
{
    const size_t size = sizeof(cvl_linear);
    cvl_linear good = {sizeof good, 2, 3, 4};
    refuse_linear("M of -1", (cvl_linear){size, -1, 3, 4}, CVL_ERR_SHAPE);
    refuse_linear("IN of 0", (cvl_linear){size, 2, 0, 4}, CVL_ERR_SHAPE);
    refuse_linear("OUT of 0", (cvl_linear){size, 2, 3, 0}, CVL_ERR_SHAPE);
    refuse_linear("OUT of -1", (cvl_linear){size, 2, 3, -1}, CVL_ERR_SHAPE);
    refuse_linear("too many rows", (cvl_linear){size, PTRDIFF_MAX / 8, 3, 4}, CVL_ERR_OVERFLOW);
    const ptrdiff_t large = (ptrdiff_t)1 << (sizeof(ptrdiff_t) * 4 - 2);
    refuse_linear("more weights than memory", (cvl_linear){size, 1, large, large},
                  CVL_ERR_OVERFLOW);
    refuse_linear("no INIT", (cvl_linear){0, 2, 3, 4}, CVL_ERR_ARGUMENT);
    REFUSED(CVL_ERR_ARGUMENT, NAME(linear_forward)(NULL, out[0], in[0], in[1], in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(linear_forward)(&good, NULL, in[0], in[1], in[2], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(linear_forward)(&good, out[0], in[0], NULL, in[2], &run));
}

/* ---------------------------------------------------------------- batch norm */

static void refuse_batch_norm(const char *why, const cvl_batch_norm *d, cvl_status expected)
{
    const double ones[3] = {1, 1, 1}, *mean = ones, *var = ones;
    check_case("batch norm: %s", why);
    new_arrays();
    CHECK(NAME(batch_norm_forward)(d, out[0], out_doubles[0], out_doubles[1], in[0], in[1], in[2],
                                   NULL, &run) == expected);
    CHECK(NAME(batch_norm_inference)(d, out[0], in[0], in[1], in[2], mean, var, NULL, &run) ==
          expected);
    CHECK(NAME(batch_norm_backward)(d, out[0], out[1], out[2], NULL, in[0], in[1], in[3], in[2],
                                    in[2], mean, var, &run) == expected);
    CHECK(NAME(batch_norm_forward_workspace_size)(d, 2) == 0);
    CHECK(NAME(batch_norm_inference_workspace_size)(d, 2) == 0);
    CHECK(NAME(batch_norm_backward_workspace_size)(d, 2) == 0);
    check_untouched();
}

static void test_batch_norm(void)
{
    const cvl_batch_norm good = {sizeof good, 4, 3, 1e-5, CVL_ACTIVATION_RELU, 0};
    cvl_batch_norm d;
    const double mean[3] = {0}, var[3] = {0};
    d = good, d.M = -1;
    refuse_batch_norm("M of -1", &d, CVL_ERR_SHAPE);
    d = good, d.C = 0;
    refuse_batch_norm("C of 0", &d, CVL_ERR_SHAPE);
    d = good, d.M = PTRDIFF_MAX / 8;
    refuse_batch_norm("too many pixels", &d, CVL_ERR_OVERFLOW);
    d = good, d.eps = -1e-9;
    refuse_batch_norm("a negative eps", &d, CVL_ERR_ARGUMENT);
    d = good, d.eps = NAN;
    refuse_batch_norm("eps of NaN", &d, CVL_ERR_ARGUMENT);
    d = good, d.eps = INFINITY;
    refuse_batch_norm("an infinite eps", &d, CVL_ERR_ARGUMENT);
    d = good, d.activation = (cvl_activation)-1;
    refuse_batch_norm("an unknown activation", &d, CVL_ERR_ARGUMENT);
    d = good, d.size = 0;
    refuse_batch_norm("no INIT", &d, CVL_ERR_ARGUMENT);
    d = good, d.M = 0;
    REFUSED(CVL_ERR_SHAPE, NAME(batch_norm_forward)(&d, out[0], out_doubles[0], out_doubles[1],
                                                    in[0], in[1], in[2], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, /* a mask from neither y nor beta */
            NAME(batch_norm_backward)(&good, out[0], out[1], out[2], NULL, in[0], in[1], NULL,
                                      in[2], NULL, mean, var, &run));
    REFUSED(CVL_ERR_ARGUMENT, /* one from beta, and a residual */
            NAME(batch_norm_backward)(&good, NULL, out[0], out[1], out[2], in[0], in[1], NULL,
                                      in[2], in[2], mean, var, &run));
}

/* A term of a sum: its input is in[i], and only an array that is an output is written to. */
static cvl_batch_norm_term good_term(int i)
{
    cvl_batch_norm_term term = CVL_BATCH_NORM_TERM_INIT;
    term.x = in[i];
    term.gamma = term.beta = in[2];
    term.mean = out_doubles[0];
    term.var = out_doubles[1];
    term.dx = out[i];
    term.dgamma = term.dbeta = out[2];
    return term;
}

static void test_batch_norm_sum(void)
{
    enum { NEGATIVE_EPS, NO_INIT, NO_X, NO_MEAN, NO_BETA, NO_DGAMMA, NO_TERM, MODES };
    cvl_batch_norm d = {sizeof d, 4, 3, 1e-5, CVL_ACTIVATION_RELU, 0};
    for (int mode = NEGATIVE_EPS; mode < MODES; mode++) {
        check_case("batch norm sum: mode %d", mode);
        new_arrays();
        cvl_batch_norm_term a = good_term(0), b = good_term(1);
        b.eps = mode == NEGATIVE_EPS ? -1e-9 : b.eps;
        b.size = mode == NO_INIT ? 0 : b.size;
        b.x = mode == NO_X ? NULL : b.x;
        b.mean = mode == NO_MEAN ? NULL : b.mean;
        b.beta = mode == NO_BETA ? NULL : b.beta;
        b.dgamma = mode == NO_DGAMMA ? NULL : b.dgamma;
        const cvl_batch_norm_term *second = mode == NO_TERM ? NULL : &b;
        if (mode != NO_DGAMMA)
            CHECK(NAME(batch_norm_sum_forward)(&d, out[0], &a, second, &run) == CVL_ERR_ARGUMENT);
        if (mode != NO_BETA)
            CHECK(NAME(batch_norm_sum_backward)(&d, &a, second, in[0], in[3], &run) ==
                  CVL_ERR_ARGUMENT);
        check_untouched();
    }
    check_case("batch norm sum: no mask, no y, no values");
    new_arrays();
    const cvl_batch_norm_term a = good_term(0), b = good_term(1);
    CHECK(NAME(batch_norm_sum_backward)(&d, &a, &b, in[0], NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(batch_norm_sum_forward)(&d, NULL, &a, &b, &run) == CVL_ERR_ARGUMENT);
    d.M = 0;
    CHECK(NAME(batch_norm_sum_forward)(&d, out[0], &a, &b, &run) == CVL_ERR_SHAPE);
    check_untouched();
}

/* ---------------------------------------------------------------- softmax, cross-entropy */

static void refuse_softmax(const char *why, cvl_softmax d, cvl_status expected)
{
    check_case("softmax: %s", why);
    new_arrays();
    CHECK(NAME(softmax_forward)(&d, out[0], in[0], &run) == expected);
    CHECK(NAME(log_softmax_forward)(&d, out[0], in[0], &run) == expected);
    CHECK(NAME(softmax_backward)(&d, out[0], in[0], in[1], &run) == expected);
    CHECK(NAME(log_softmax_backward)(&d, out[0], in[0], in[1], &run) == expected);
    check_untouched();
}

static cvl_softmax_cross_entropy entropy_of(ptrdiff_t N, ptrdiff_t C, cvl_reduction reduction)
{
    cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    d.N = N;
    d.C = C;
    d.reduction = reduction;
    return d;
}

static void refuse_entropy(const char *why, cvl_softmax_cross_entropy d, const int64_t *labels,
                           cvl_status expected)
{
    check_case("cross-entropy: %s", why);
    new_arrays();
    CHECK(NAME(softmax_cross_entropy)(&d, out_doubles[0], out[0], in[0], labels, NULL, NULL,
                                      &run) == expected);
    if (expected != CVL_ERR_LABEL && labels) {
        CHECK(NAME(softmax_cross_entropy_soft)(&d, out_doubles[0], out[0], in[0], in[1], NULL, NULL,
                                               &run) == expected);
        CHECK(NAME(softmax_cross_entropy_workspace_size)(&d, 2) == 0);
    }
    check_untouched();
}

static void test_softmax(void)
{
    const size_t size = sizeof(cvl_softmax);
    const cvl_softmax good = {size, 2, 3};
    const cvl_softmax_cross_entropy good_entropy = entropy_of(2, 3, CVL_REDUCTION_MEAN);
    const cvl_reduction sum = CVL_REDUCTION_SUM;
    const int64_t labels[] = {0, 2}, negative[] = {1, -1}, large[] = {3, 0};
    refuse_softmax("N of -1", (cvl_softmax){size, -1, 3}, CVL_ERR_SHAPE);
    refuse_softmax("C of 0", (cvl_softmax){size, 2, 0}, CVL_ERR_SHAPE);
    refuse_softmax("overflow", (cvl_softmax){size, PTRDIFF_MAX / 8, 3}, CVL_ERR_OVERFLOW);
    refuse_softmax("no INIT", (cvl_softmax){0, 2, 3}, CVL_ERR_ARGUMENT);
    REFUSED(CVL_ERR_ARGUMENT, NAME(softmax_forward)(&good, NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(softmax_forward)(&good, out[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(softmax_forward)(&good, out[0], in[0], NULL));
    refuse_entropy("N of -1", entropy_of(-1, 3, sum), labels, CVL_ERR_SHAPE);
    refuse_entropy("C of 0", entropy_of(2, 0, sum), labels, CVL_ERR_SHAPE);
    refuse_entropy("overflow", entropy_of(PTRDIFF_MAX / 8, 3, sum), labels, CVL_ERR_OVERFLOW);
    refuse_entropy("an unknown reduction", entropy_of(2, 3, (cvl_reduction)7), labels,
                   CVL_ERR_ARGUMENT);
    cvl_softmax_cross_entropy smooth = good_entropy;
    smooth.label_smoothing = 1.5;
    refuse_entropy("a smoothing above 1", smooth, labels, CVL_ERR_ARGUMENT);
    refuse_entropy("a label of -1", good_entropy, negative, CVL_ERR_LABEL);
    refuse_entropy("a label of C", good_entropy, large, CVL_ERR_LABEL);
    refuse_entropy("no labels", good_entropy, NULL, CVL_ERR_ARGUMENT);
    check_case("cross-entropy: an empty workspace");
    new_arrays();
    cvl_exec bad = run;
    bad.workspace_bytes = 0;
    CHECK(NAME(softmax_cross_entropy)(&good_entropy, out_doubles[0], out[0], in[0], labels, NULL,
                                      NULL, &bad) == CVL_ERR_WORKSPACE);
    check_untouched();
}

/* ---------------------------------------------------------------- elementwise */

static void test_elementwise(void)
{
    const ptrdiff_t huge = PTRDIFF_MAX / (ptrdiff_t)sizeof(T) + 1;
    REFUSED(CVL_ERR_SHAPE, NAME(relu_forward)(-1, out[0], in[0], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(relu_backward)(-1, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(add)(-1, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(add_relu)(-1, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_OVERFLOW, NAME(add)(huge, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(relu_forward)(4, NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(relu_forward)(4, out[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(relu_backward)(4, out[0], in[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(add)(4, out[0], in[0], in[1], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(add_relu)(4, out[0], in[0], in[1], NULL));
}

/* ---------------------------------------------------------------- activations */

static void test_activation(void)
{
    const ptrdiff_t huge = PTRDIFF_MAX / (ptrdiff_t)sizeof(T) + 1;
    REFUSED(CVL_ERR_SHAPE, NAME(sigmoid_forward)(-1, out[0], in[0], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(gelu_backward)(-1, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_OVERFLOW, NAME(silu_forward)(huge, out[0], in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(tanh_forward)(4, NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(relu6_forward)(4, out[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(softplus_backward)(4, out[0], NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(gelu_tanh_backward)(4, out[0], in[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(hard_swish_forward)(4, out[0], in[0], NULL));
    REFUSED(CVL_ERR_ARGUMENT, NAME(leaky_relu_forward)(-0.1, 4, out[0], in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(leaky_relu_backward)(NAN, 4, out[0], in[0], in[1], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(elu_forward)(INFINITY, 4, out[0], in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(elu_backward)(-1, 4, out[0], in[0], in[1], &run));
    const double beyond = sizeof(T) == sizeof(float) ? 1e300 : INFINITY; /* infinite as a T */
    REFUSED(CVL_ERR_ARGUMENT, NAME(leaky_relu_forward)(beyond, 4, out[0], in[0], &run));
}

/* ---------------------------------------------------------------- pooling */

static cvl_pool2d good_pool2d(void)
{
    cvl_pool2d d = CVL_POOL2D_INIT;
    d.N = 1;
    d.H = d.W = 4;
    d.C = 2;
    d.KH = d.KW = d.SH = d.SW = 2;
    return d;
}

static void refuse_pool2d(const char *why, const cvl_pool2d *d, cvl_status expected)
{
    check_case("pool2d: %s", why);
    new_arrays();
    CHECK(NAME(max_pool2d_forward)(d, out[0], in[0], &run) == expected);
    CHECK(NAME(max_pool2d_backward)(d, out[0], in[0], in[1], &run) == expected);
    CHECK(NAME(avg_pool2d_forward)(d, out[0], in[0], &run) == expected);
    CHECK(NAME(avg_pool2d_backward)(d, out[0], in[0], &run) == expected);
    check_untouched();
}

static void refuse_pooled(const char *why, const cvl_batch_norm *d, const cvl_pool2d *window, T *y,
                          cvl_status expected)
{
    check_case("batch norm and max pooling: %s", why);
    new_arrays();
    CHECK(NAME(batch_norm_max_pool2d_forward)(d, window, y ? out[0] : NULL, NULL, out_doubles[0],
                                              out_doubles[1], in[0], in[1], in[2],
                                              &run) == expected);
    CHECK(NAME(batch_norm_max_pool2d_forward_workspace_size)(d, window, 1) == 0 || !y);
    check_untouched();
}

static void test_pooled(void)
{
    const cvl_batch_norm good = {sizeof good, 16, 2, 1e-5, CVL_ACTIVATION_RELU, 0};
    cvl_batch_norm d = good;
    cvl_pool2d window = good_pool2d();
    refuse_pooled("no y", &d, &window, NULL, CVL_ERR_ARGUMENT);
    refuse_pooled("no window", &d, NULL, out[0], CVL_ERR_ARGUMENT);
    d = good, d.size = 0;
    refuse_pooled("no INIT", &d, &window, out[0], CVL_ERR_ARGUMENT);
    d = good, d.M = 8;
    refuse_pooled("other pixels", &d, &window, out[0], CVL_ERR_SHAPE);
    d = good, d.M = 32, d.C = 1;
    refuse_pooled("other channels", &d, &window, out[0], CVL_ERR_SHAPE);
    d = good, window.KH = 5;
    refuse_pooled("a window higher than the input", &d, &window, out[0], CVL_ERR_SHAPE);
    window = good_pool2d(), window.N = PTRDIFF_MAX / 16;
    refuse_pooled("more images than memory", &d, &window, out[0], CVL_ERR_OVERFLOW);
    window = good_pool2d(), window.N = 0, d.M = 0;
    refuse_pooled("statistics of nothing", &d, &window, out[0], CVL_ERR_SHAPE);
}

static void test_pool2d(void)
{
    static const size_t sizes[] = {
        offsetof(cvl_pool2d, H),  offsetof(cvl_pool2d, W),  offsetof(cvl_pool2d, C),
        offsetof(cvl_pool2d, KH), offsetof(cvl_pool2d, KW), offsetof(cvl_pool2d, SH),
        offsetof(cvl_pool2d, SW), offsetof(cvl_pool2d, DH), offsetof(cvl_pool2d, DW)};
    const ptrdiff_t zero = 0;
    cvl_pool2d d;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        d = good_pool2d();
        memcpy((char *)&d + sizes[i], &zero, sizeof zero);
        refuse_pool2d("a size of 0", &d, CVL_ERR_SHAPE);
    }
    d = good_pool2d(), d.N = -1;
    refuse_pool2d("a batch of -1", &d, CVL_ERR_SHAPE);
    d = good_pool2d(), d.PB = 2;
    refuse_pool2d("padding of more than half a window", &d, CVL_ERR_SHAPE);
    d = good_pool2d(), d.PL = -1;
    refuse_pool2d("negative padding", &d, CVL_ERR_SHAPE);
    d = good_pool2d(), d.KH = 5;
    refuse_pool2d("a window higher than the input", &d, CVL_ERR_SHAPE);
    d = good_pool2d(), d.N = PTRDIFF_MAX / 16;
    refuse_pool2d("more images than memory", &d, CVL_ERR_OVERFLOW);
    d = good_pool2d(), d.size = 0;
    refuse_pool2d("no INIT", &d, CVL_ERR_ARGUMENT);
    d = good_pool2d(), d.DW = 2;
    REFUSED(CVL_ERR_SHAPE, NAME(avg_pool2d_forward)(&d, out[0], in[0], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(avg_pool2d_backward)(&d, out[0], in[0], &run));
    d = good_pool2d(), d.DH = 2;
    REFUSED(CVL_ERR_SHAPE, NAME(avg_pool2d_forward)(&d, out[0], in[0], &run));
    d = good_pool2d();
    uint8_t winners[4] = {0};
    REFUSED(CVL_ERR_ARGUMENT, NAME(max_pool2d_forward)(&d, NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(max_pool2d_forward_winners)(&d, out[0], NULL, in[0], &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(max_pool2d_backward_winners)(&d, out[0], in[0], NULL, &run));
    d = good_pool2d(), d.H = d.W = d.KH = d.KW = 16;
    REFUSED(CVL_ERR_SHAPE, NAME(max_pool2d_forward_winners)(&d, out[0], winners, in[0], &run));
    REFUSED(CVL_ERR_SHAPE, NAME(max_pool2d_backward_winners)(&d, out[0], in[0], winners, &run));
    d = good_pool2d();
    REFUSED(CVL_ERR_ARGUMENT, NAME(max_pool2d_backward)(&d, out[0], in[0], NULL, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(avg_pool2d_forward)(&d, out[0], NULL, &run));
}

/* ---------------------------------------------------------------- optimizers */

/* The second of two segments is bad: the first must not have been stepped. */
static void refuse_segments(const char *why, NAME(segment) bad, cvl_status expected)
{
    const cvl_sgd sgd = {sizeof sgd, 0.1, 0.9, 0, 0, 0, 0, 0, 1, 0};
    const cvl_adam adam = {sizeof adam, 0.1, 0.9, 0.9, 0.1, 0.1, 1e-8, 0, 0, 0, 0, 1, 0};
    const cvl_adagrad adagrad = {sizeof adagrad, 0.1, 1e-8, 0, 1, 0};
    check_case("optimizers: %s", why);
    new_arrays();
    NAME(segment) segments[2] = {{COUNT, out[0], in[0], out[1], out[2], NULL}, bad};
    CHECK(NAME(sgd_step)(&sgd, segments, 2, &run) == expected);
    CHECK(NAME(adam_step)(&adam, segments, 2, &run) == expected);
    segments[1].m = segments[1].v; /* AdaGrad has one moment, v */
    CHECK(NAME(adagrad_step)(&adagrad, segments, 2, &run) == expected);
    check_untouched();
}

static void test_optimizers(void)
{
    T w[2] = {1, 2}, g[2] = {3, 4}, m[2] = {0, 0};
    const cvl_sgd no_init = {0, 0.1, 0, 0, 0, 0, 0, 0, 1, 0},
                  good = {sizeof good, 0.1, 0, 0, 0, 0, 0, 0, 1, 0};
    const cvl_adam adam = {sizeof adam, 0.1, 0.9, 0.9, 0.1, 0.1, 1e-8, 0, 0, 0, 0, 1, 0};
    NAME(segment) segment = {2, w, g, NULL, m, NULL};
    refuse_segments("a length of -1", (NAME(segment)){-1, w, g, m, m, NULL}, CVL_ERR_SHAPE);
    refuse_segments("no w", (NAME(segment)){2, NULL, g, m, m, NULL}, CVL_ERR_ARGUMENT);
    refuse_segments("no g", (NAME(segment)){2, w, NULL, m, m, NULL}, CVL_ERR_ARGUMENT);
    refuse_segments("no moments", (NAME(segment)){2, w, g, NULL, NULL, NULL}, CVL_ERR_ARGUMENT);
    REFUSED(CVL_ERR_ARGUMENT, NAME(adam_step)(&adam, &segment, 1, &run)); /* no first moment */
    REFUSED(CVL_ERR_ARGUMENT, NAME(sgd_step)(&no_init, &segment, 1, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(sgd_step)(NULL, &segment, 1, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(sgd_step)(&good, NULL, 1, &run));
    REFUSED(CVL_ERR_ARGUMENT, NAME(sgd_step)(&good, &segment, 1, NULL));
    REFUSED(CVL_ERR_SHAPE, NAME(sgd_step)(&good, &segment, -1, &run));
    check_case("optimizers: the parameters of refused calls");
    CHECK(w[0] == 1 && w[1] == 2 && m[0] == 0 && m[1] == 0);
}

static void test_all(void)
{
    test_conv2d_descriptors();
    test_conv2d_arguments();
    test_runs();
    test_linear();
    test_batch_norm();
    test_batch_norm_sum();
    test_pooled();
    test_softmax();
    test_elementwise();
    test_activation();
    test_pool2d();
    test_optimizers();
}

int main(void) { return check_main(test_all); }
