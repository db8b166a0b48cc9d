/* test_api.c: what holds for every function: versions of descriptors, floating-point state,
 * subnormal numbers, fork. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* fork and alarm beside -std=c11 */
#endif
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static void test_names(void)
{
    check_case("names");
    CHECK(cvl_abi_version() == CVL_ABI_VERSION);
    const char *wanted = getenv("CONVLET_ISA"), *backend = cvl_thread_backend();
    int count = 0, listed = 0;
    while (cvl_isa_available(count))
        listed += strcmp(cvl_isa_available(count++), cvl_isa()) == 0;
    CHECK(listed == 1);
    CHECK(strcmp(cvl_isa_available(0), "baseline") == 0);
    CHECK(strcmp(cvl_isa(), wanted && *wanted ? wanted : cvl_isa_available(count - 1)) == 0);
    CHECK(strcmp(backend, "openmp") == 0 || strcmp(backend, "native") == 0 ||
          strcmp(backend, "none") == 0);
    CHECK((cvl_openmp_cpus() > 0) == (strcmp(backend, "openmp") == 0));
    for (int a = CVL_OK; a <= CVL_ERR_FINITE; a++)
        for (int b = CVL_OK; b < a; b++)
            CHECK(strcmp(cvl_status_string((cvl_status)a), cvl_status_string((cvl_status)b)) != 0);
    CHECK(cvl_status_string((cvl_status)99) != NULL);
}

/* ---------------------------------------------------------------- descriptors of other versions */

/* A 2x2 convolution of 3x3 pixels, always the same numbers. */
static void run_conv2d(T *y, const cvl_conv2d *d, cvl_status expected)
{
    T x[18], w[16];
    for (int i = 0; i < 18; i++)
        x[i] = random_integer(4);
    for (int i = 0; i < 16; i++)
        w[i] = random_integer(4);
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(d, 1));
    CHECK(NAME(conv2d_forward)(d, y, x, w, NULL, &run) == expected);
}

static cvl_conv2d small_conv2d(void)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    d.N = 1;
    d.H = d.W = 3;
    d.C = d.OC = d.KH = d.KW = 2;
    return d;
}

static void test_descriptor_versions(void)
{
    enum { COUNT = 8 };
    T y[COUNT], y_old[COUNT];
    cvl_conv2d d = small_conv2d();
    check_case("a current descriptor");
    run_conv2d(y, &d, CVL_OK);

    check_case("an older descriptor, which ends before groups");
    d.size = offsetof(cvl_conv2d, groups);
    d.groups = 77;
    d.activation = CVL_ACTIVATION_RELU;
    run_conv2d(y_old, &d, CVL_OK);
    check_same("y", COUNT, y_old, y);

    check_case("an older descriptor, which ends before activation");
    d = small_conv2d();
    d.size = offsetof(cvl_conv2d, activation);
    d.activation = (cvl_activation)77;
    run_conv2d(y_old, &d, CVL_OK);
    check_same("y", COUNT, y_old, y);

    check_case("a newer, larger descriptor");
    struct {
        cvl_conv2d d;
        ptrdiff_t unknown[4];
    } newer = {small_conv2d(), {1, 2, 3, 4}};
    newer.d.size = sizeof newer;
    run_conv2d(y_old, &newer.d, CVL_OK);
    check_same("y", COUNT, y_old, y);

    check_case("an older exec, which ends before the workspace");
    T *untouched_y = output(COUNT), *x = input_random(18), *w = input_random(16);
    d = small_conv2d();
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(&d, 1));
    run.size = offsetof(cvl_exec, workspace);
    if (run.workspace_bytes > 0)
        CHECK(NAME(conv2d_forward)(&d, untouched_y, x, w, NULL, &run) == CVL_ERR_WORKSPACE);
    CHECK(run.workspace_bytes == 0 || untouched(untouched_y, COUNT * sizeof(T)));
    check_memory();
}

/* ---------------------------------------------------------------- floating-point state */

/* The control word of this thread, without the flags that operations raise. */
static unsigned long long control_word(void)
{
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3fu;
#elif defined(__aarch64__)
    unsigned long long word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
#else
    return 0;
#endif
}

static void set_flush(int on)
{
#if defined(__x86_64__)
    _mm_setcsr(on ? _mm_getcsr() | 0x8040u : _mm_getcsr() & ~0x8040u);
#elif defined(__aarch64__)
    unsigned long long word = control_word();
    word = on ? word | 1ull << 24 : word & ~(1ull << 24);
    __asm__ volatile("msr fpcr, %0" : : "r"(word));
#else
    (void)on;
#endif
}

/* Enough work for several threads, in an operator that flushes. */
static cvl_conv2d large_conv2d(void)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    d.N = 6;
    d.H = d.W = 20;
    d.C = 9;
    d.OC = 12;
    d.KH = d.KW = 3;
    return d;
}
enum { LARGE_X = 6 * 20 * 20 * 9, LARGE_W = 9 * 9 * 12, LARGE_Y = 6 * 18 * 18 * 12 };

static T *run_large(const cvl_conv2d *d, const T *x, const T *w, int threads)
{
    T *y = output(LARGE_Y);
    cvl_exec run = run_with(threads, NAME(conv2d_forward_workspace_size)(d, threads));
    CHECK(NAME(conv2d_forward)(d, y, x, w, NULL, &run) == CVL_OK);
    return y;
}

static void test_state(void)
{
    for (int flush = 0; flush <= 1; flush++) {
        check_case("floating-point state, flush %d", flush);
        cvl_conv2d d = large_conv2d(), bad = large_conv2d();
        bad.SH = 0;
        T *x = input_random(LARGE_X), *w = input_random(LARGE_W), *y = output(LARGE_Y);
        cvl_exec run = run_with(3, 0);
        set_flush(flush);
        unsigned long long before = control_word();
        run_large(&d, x, w, 1);
        CHECK(control_word() == before);
        run_large(&d, x, w, 3);
        CHECK(control_word() == before);
        CHECK(NAME(relu_forward)(LARGE_X, y, x, &run) == CVL_OK);
        CHECK(control_word() == before);
        CHECK(NAME(conv2d_forward)(&bad, y, x, w, NULL, &run) == CVL_ERR_SHAPE);
        CHECK(control_word() == before);
        set_flush(0);
        check_memory();
    }
}

#ifdef _OPENMP
/* The library's workers are also the caller's: their state, too, is as it was. */
static void test_worker_state(void)
{
    check_case("floating-point state of the workers");
    cvl_conv2d d = large_conv2d();
    T *x = input_random(LARGE_X), *w = input_random(LARGE_W);
    unsigned long long expected = control_word();
    int changed = 0;
    run_large(&d, x, w, 3);
#pragma omp parallel num_threads(3) reduction(+ : changed)
    changed += control_word() != expected;
    CHECK(changed == 0);
    check_memory();
}
#endif

/* Other CPUs have no such mode. */
#if defined(__x86_64__) || defined(_M_X64) || defined(__aarch64__)
static void test_flushed(void)
{
    check_case("subnormals are flushed");
    T tiny = (T)SMALLEST_NORMAL / 2, one = 1, half = (T)0.5, y = 1;
    T four[4] = {tiny, tiny, tiny, tiny};
    T smallest_normal = (T)SMALLEST_NORMAL;
    cvl_linear linear = CVL_LINEAR_INIT;
    linear.M = linear.IN = linear.OUT = 1;
    cvl_exec run = run_with(1, NAME(linear_forward_workspace_size)(&linear, 1));
    CHECK(NAME(linear_forward)(&linear, &y, &tiny, &one, NULL, &run) == CVL_OK);
    CHECK(y == 0); /* an input */
    y = 1;
    CHECK(NAME(linear_forward)(&linear, &y, &smallest_normal, &half, NULL, &run) == CVL_OK);
    CHECK(y == 0); /* a result */
    cvl_pool2d pool = CVL_POOL2D_INIT;
    pool.N = pool.C = 1;
    pool.H = pool.W = pool.KH = pool.KW = 2;
    y = 1;
    CHECK(NAME(avg_pool2d_forward)(&pool, &y, four, &run) == CVL_OK);
    CHECK(y == 0);
    cvl_sgd sgd = CVL_SGD_INIT;
    sgd.lr = 0.5;
    T parameter = (T)SMALLEST_NORMAL + tiny, gradient = (T)SMALLEST_NORMAL * 2;
    NAME(segment) segment = {1, &parameter, &gradient, NULL, NULL, NULL};
    CHECK(NAME(sgd_step)(&sgd, &segment, 1, &run) == CVL_OK);
    CHECK(parameter == 0); /* normal - normal = tiny */
    check_memory();
}

/* Of a deviation of 1 and the smallest normal gamma, eps leaves less than that. */
static void test_flushed_norms(void)
{
    check_case("subnormals are flushed by norms");
    const T x[2] = {-1, 1}, gamma = (T)SMALLEST_NORMAL, zero = 0;
    T y[2] = {1, 1};
    double mean = 0, var = 1;
    cvl_batch_norm batch = CVL_BATCH_NORM_INIT;
    batch.M = 2;
    batch.C = 1;
    cvl_exec run = run_with(1, NAME(batch_norm_inference_workspace_size)(&batch, 1));
    CHECK(NAME(batch_norm_inference)(&batch, y, x, &gamma, &zero, &mean, &var, NULL, &run) ==
          CVL_OK);
    CHECK(y[0] == 0 && y[1] == 0);
    y[0] = y[1] = 1;
    run = run_with(1, NAME(batch_norm_forward_workspace_size)(&batch, 1));
    CHECK(NAME(batch_norm_forward)(&batch, y, &mean, &var, x, &gamma, &zero, NULL, &run) == CVL_OK);
    CHECK(y[0] == 0 && y[1] == 0);
    y[0] = y[1] = 1;
    cvl_group_norm group = CVL_GROUP_NORM_INIT;
    group.N = group.C = 1;
    group.M = 2;
    run = run_with(1, NAME(group_norm_forward_workspace_size)(&group, 1));
    CHECK(NAME(group_norm_forward)(&group, y, &mean, &var, x, &gamma, &zero, &run) == CVL_OK);
    CHECK(y[0] == 0 && y[1] == 0);
    check_memory();
}
#else
static void test_flushed(void) {}
static void test_flushed_norms(void) {}
#endif

static void test_gradual(void)
{
    check_case("subnormals are kept");
    /* exp(z[1]) is about SMALLEST_NORMAL / 50. */
    T z[2] = {0, sizeof(T) == sizeof(float) ? (T)-91 : (T)-712}, y[2] = {0, 0}, loss_gradient[2];
    T tiny = (T)SMALLEST, sum = 0;
    double loss = 0;
    int64_t label = 0;
    cvl_exec run = run_with(1, 0);
    CHECK(NAME(relu_forward)(1, &sum, &tiny, &run) == CVL_OK);
    CHECK(sum == tiny && sum > 0);
    CHECK(NAME(add)(1, &sum, &tiny, &tiny, &run) == CVL_OK);
    CHECK(sum > tiny);
    cvl_softmax softmax = CVL_SOFTMAX_INIT;
    softmax.N = 1;
    softmax.C = 2;
    CHECK(NAME(softmax_forward)(&softmax, y, z, &run) == CVL_OK);
    CHECK(y[1] > 0 && y[1] < (T)SMALLEST_NORMAL);
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    entropy.N = 1;
    entropy.C = 2;
    run = run_with(1, NAME(softmax_cross_entropy_workspace_size)(&entropy, 1));
    CHECK(NAME(softmax_cross_entropy)(&entropy, &loss, loss_gradient, z, &label, NULL, NULL,
                                      &run) == CVL_OK);
    CHECK(loss > 0 && loss_gradient[0] < 0 && loss_gradient[1] > 0);
    cvl_loss mse = CVL_LOSS_INIT;
    const T zero = 0;
    mse.n = 1;
    mse.reduction = CVL_REDUCTION_NONE;
    CHECK(NAME(mse)(&mse, &loss, &sum, &tiny, &zero, &run) == CVL_OK);
    CHECK(sum > tiny);
    check_memory();
}

/* ---------------------------------------------------------------- fork */

#if defined(__unix__) || defined(__APPLE__)
/* After a parallel region in the parent, its child computes the same bits, and does not hang. */
static void test_fork(void)
{
    check_case("fork");
    cvl_conv2d d = large_conv2d();
    T *x = input_random(LARGE_X), *w = input_random(LARGE_W), *y = run_large(&d, x, w, 3);
    T *y_child = output(LARGE_Y);
    cvl_exec run = run_with(3, NAME(conv2d_forward_workspace_size)(&d, 3));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        cvl_status status = NAME(conv2d_forward)(&d, y_child, x, w, NULL, &run);
        _exit(status != CVL_OK || memcmp(y_child, y, LARGE_Y * sizeof(T)) != 0);
    }
    int result = -1;
    CHECK(child > 0 && waitpid(child, &result, 0) == child);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    check_same("the parent's next y", LARGE_Y, run_large(&d, x, w, 3), y);
    check_memory();
}
#endif

/* The sizes of workspaces for fewer than one thread are those for one. */
static void test_sizes_of_no_threads(void)
{
    cvl_conv2d conv = CVL_CONV2D_INIT;
    cvl_conv_transpose2d transpose = CVL_CONV_TRANSPOSE2D_INIT;
    cvl_linear linear = CVL_LINEAR_INIT;
    cvl_group_norm group = CVL_GROUP_NORM_INIT;
    cvl_batch_norm batch = CVL_BATCH_NORM_INIT;
    cvl_pool2d window = CVL_POOL2D_INIT;
    conv.N = transpose.N = window.N = 2;
    conv.H = conv.W = transpose.H = transpose.W = window.H = window.W = 8;
    conv.C = 3, conv.OC = 8, transpose.C = 8, transpose.OC = 3;
    conv.KH = conv.KW = transpose.KH = transpose.KW = 3;
    linear.M = 2, linear.IN = 256, linear.OUT = 10;
    group.N = 3, group.M = 20, group.C = 8, group.groups = 2;
    window.C = batch.C = 5, batch.M = window.N * window.H * window.W;
    window.KH = window.KW = window.SH = window.SW = 2;
    size_t of_one[10] = {0};
    check_case("workspaces for fewer than one thread");
    for (int threads = 1; threads >= -1; threads--) {
        const size_t sizes[] = {
            NAME(conv2d_forward_workspace_size)(&conv, threads),
            NAME(conv2d_backward_data_workspace_size)(&conv, threads),
            NAME(conv2d_backward_weights_workspace_size)(&conv, threads),
            NAME(conv_transpose2d_forward_workspace_size)(&transpose, threads),
            NAME(conv_transpose2d_backward_data_workspace_size)(&transpose, threads),
            NAME(conv_transpose2d_backward_weights_workspace_size)(&transpose, threads),
            NAME(linear_backward_weights_workspace_size)(&linear, threads),
            NAME(group_norm_forward_workspace_size)(&group, threads),
            NAME(group_norm_backward_workspace_size)(&group, threads),
            NAME(batch_norm_max_pool2d_forward_workspace_size)(&batch, &window, threads),
        };
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            of_one[i] = threads == 1 ? sizes[i] : of_one[i];
            CHECK(sizes[i] == of_one[i] && sizes[i] > 0);
        }
    }
    check_memory();
}

/* Arrays without elements may be NULL, in every family of functions. */
static void test_no_elements(void)
{
    enum { C = 3 };
    T gamma[C] = {1, 1, 1}, beta[C] = {0}, dgamma[C] = {1, 1, 1}, dbeta[C] = {1, 1, 1};
    double mean[C] = {0}, var[C] = {1, 1, 1};
    cvl_batch_norm batch = CVL_BATCH_NORM_INIT;
    cvl_group_norm group = CVL_GROUP_NORM_INIT;
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    cvl_nll nll = CVL_NLL_INIT;
    cvl_loss loss = CVL_LOSS_INIT;
    batch.C = group.C = entropy.C = nll.C = C;
    batch.frozen = group.M = 1;
    batch.activation = CVL_ACTIVATION_RELU;
    entropy.reduction = nll.reduction = loss.reduction = CVL_REDUCTION_NONE;
    cvl_batch_norm_term term = CVL_BATCH_NORM_TERM_INIT;
    term.frozen = 1, term.gamma = gamma, term.beta = beta, term.mean = mean, term.var = var;
    term.dgamma = dgamma, term.dbeta = dbeta;
    const cvl_exec run = run_with(2, 1 << 16);
    check_case("NULL for arrays without elements");
    CHECK(NAME(batch_norm_inference)(&batch, NULL, NULL, gamma, beta, mean, var, NULL, &run) ==
          CVL_OK);
    CHECK(NAME(batch_norm_backward)(&batch, NULL, dgamma, dbeta, NULL, NULL, NULL, NULL, gamma,
                                    NULL, mean, var, &run) == CVL_OK);
    for (int c = 0; c < C; c++)
        CHECK(dgamma[c] == 0 && dbeta[c] == 0);
    CHECK(NAME(batch_norm_sum_forward)(&batch, NULL, &term, &term, &run) == CVL_OK);
    CHECK(NAME(batch_norm_sum_backward)(&batch, &term, &term, NULL, NULL, &run) == CVL_OK);
    CHECK(NAME(group_norm_forward)(&group, NULL, NULL, NULL, NULL, gamma, beta, &run) == CVL_OK);
    dgamma[C - 1] = dbeta[C - 1] = 1;
    CHECK(NAME(group_norm_backward)(&group, NULL, dgamma, dbeta, NULL, NULL, gamma, NULL, NULL,
                                    &run) == CVL_OK);
    CHECK(dgamma[C - 1] == 0 && dbeta[C - 1] == 0);
    CHECK(NAME(softmax_cross_entropy)(&entropy, NULL, NULL, NULL, NULL, NULL, NULL, &run) ==
          CVL_OK);
    CHECK(NAME(nll)(&nll, NULL, NULL, NULL, NULL, NULL, NULL, &run) == CVL_OK);
    CHECK(NAME(mse)(&loss, NULL, NULL, NULL, NULL, &run) == CVL_OK);

    /* Class weights have elements where nothing else has. */
    entropy.C = nll.C = PTRDIFF_MAX;
    CHECK(NAME(softmax_cross_entropy)(&entropy, NULL, NULL, NULL, NULL, gamma, NULL, &run) ==
          CVL_ERR_OVERFLOW);
    CHECK(NAME(nll)(&nll, NULL, NULL, NULL, NULL, gamma, NULL, &run) == CVL_ERR_OVERFLOW);
    check_memory();
}

static void test_all(void)
{
    test_names();
    test_descriptor_versions();
    test_sizes_of_no_threads();
    test_no_elements();
    test_state();
    test_flushed();
    test_flushed_norms();
    test_gradual();
#ifdef _OPENMP
    test_worker_state();
#endif
#if defined(__unix__) || defined(__APPLE__)
    test_fork();
#endif
}

int main(void) { return check_main(test_all); }
