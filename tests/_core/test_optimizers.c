/* test_optimizers.c: one step of each optimizer over several segments, parameter by parameter. */
#include <math.h>
#include <string.h>

#include "check.h"

static const ptrdiff_t lengths[] = {1, 0, 5, 16, 33, 1000, 70001, 2};
enum { SEGMENTS = sizeof lengths / sizeof lengths[0] };

/* The state before a step: one value for all segments, as T and in double. */
typedef struct state {
    T *w[SEGMENTS], *g[SEGMENTS], *m[SEGMENTS], *v[SEGMENTS];
} state;

/* Second moments are at least 1/8, so that a root's relative error is that of its argument. */
static state new_state(void)
{
    state s;
    for (int i = 0; i < SEGMENTS; i++) {
        s.w[i] = input_random(lengths[i]);
        s.g[i] = input_random(lengths[i]);
        s.m[i] = input_random(lengths[i]);
        T *v = (T *)doubles(lengths[i]);
        for (ptrdiff_t k = 0; k < lengths[i]; k++)
            v[k] = (T)(0.125 + (random_unit() + 1) / 2);
        s.v[i] = input_bytes(v, (size_t)lengths[i] * sizeof(T));
    }
    return s;
}

static T *filled(const T *from, ptrdiff_t n)
{
    T *to = output(n);
    memcpy(to, from, (size_t)n * sizeof(T));
    return to;
}

static void library_segments(NAME(segment) *segments, const state *s, int with_m, int with_v)
{
    for (int i = 0; i < SEGMENTS; i++)
        segments[i] = (NAME(segment)){lengths[i],
                                      filled(s->w[i], lengths[i]),
                                      filled(s->g[i], lengths[i]),
                                      with_m ? filled(s->m[i], lengths[i]) : NULL,
                                      with_v ? filled(s->v[i], lengths[i]) : NULL,
                                      NULL};
}

static void reference_segments(cvl_segment_f64 *segments, const state *s)
{
    for (int i = 0; i < SEGMENTS; i++)
        segments[i] = (cvl_segment_f64){lengths[i],
                                        widened(s->w[i], lengths[i]),
                                        widened(s->g[i], lengths[i]),
                                        widened(s->m[i], lengths[i]),
                                        widened(s->v[i], lengths[i]),
                                        NULL};
}

/* One step with every thread count; `step` is a call on `segments`, `bounds` fills the allowed
 * errors of w, m and v from the state before and the reference after. */
typedef cvl_status stepper(const void *d, const NAME(segment) *segments, const cvl_exec *run);
typedef void bounder(const void *d, const state *s, int i, ptrdiff_t k,
                     const cvl_segment_f64 *after, double *w, double *m, double *v);

static void compare(const char *what, ptrdiff_t n, const T *got, const double *want,
                    const double *bound, const T *first)
{
    if (!got)
        return;
    if (first)
        check_same(what, n, got, first);
    else
        check_within(what, n, got, want, 1, bound);
}

static void test_step(const void *d, const state *s, const cvl_segment_f64 *after, stepper *step,
                      bounder *bounds, int with_m, int with_v)
{
    NAME(segment) first[SEGMENTS], segments[SEGMENTS];
    for (int threads = 1; threads <= 3; threads++) {
        cvl_exec run = run_with(threads, 0);
        library_segments(segments, s, with_m, with_v);
        if (threads == 1)
            memcpy(first, segments, sizeof first);
        CHECK(step(d, segments, &run) == CVL_OK);
        int g_as_wanted = 1;
        for (int i = 0; i < SEGMENTS; i++) {
            ptrdiff_t n = lengths[i];
            double *w = doubles(n), *m = doubles(n), *v = doubles(n);
            for (ptrdiff_t k = 0; threads == 1 && k < n; k++)
                bounds(d, s, i, k, &after[i], &w[k], &m[k], &v[k]);
            for (ptrdiff_t k = 0; k < n; k++)
                g_as_wanted &= segments[i].g[k] == (T)after[i].g[k];
            compare("w", n, segments[i].w, after[i].w, w, threads > 1 ? first[i].w : NULL);
            compare("m", n, segments[i].m, after[i].m, m, threads > 1 ? first[i].m : NULL);
            compare("v", n, segments[i].v, after[i].v, v, threads > 1 ? first[i].v : NULL);
        }
        CHECK(g_as_wanted);
    }
    check_memory();
}

/* ---------------------------------------------------------------- sgd */

static cvl_status step_sgd(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(sgd_step)(d, segments, SEGMENTS, run);
}

/* With G = |g| + l2|w|, g' is off by 2uG (one rounding of l2, one or two of the expression). The
 * buffer has two more terms with a rounded constant, product and sum each: 6u of the sum of their
 * magnitudes. w likewise, and the double reference as much again: 24u and 12u hold all. */
static void bound_sgd(const void *descriptor, const state *s, int i, ptrdiff_t k,
                      const cvl_segment_f64 *after, double *w, double *m, double *v)
{
    const cvl_sgd *d = descriptor;
    double old_w = fabs(s->w[i][k]), G = fabs(s->g[i][k]) + d->l2 * old_w, buffer = G;
    (void)after;
    if (!d->first)
        buffer = d->momentum * fabs(s->m[i][k]) + fabs(1 - d->dampening) * G;
    if (d->momentum != 0)
        G = d->nesterov ? G + d->momentum * buffer : buffer;
    *m = 12 * UNIT * buffer;
    *v = 0;
    *w = 24 * UNIT * (fabs(1 - d->lr * d->weight_decay) * old_w + d->lr * G);
}

static void test_sgd(void)
{
    /* clang-format off */
    static const cvl_sgd cases[] = {
        /*               lr   momentum dampening l2 decay nesterov first scale clear */
        {sizeof(cvl_sgd), 0.1, 0,   0,   0,    0,    0, 0, 1, 0},
        {sizeof(cvl_sgd), 0.3, 0,   0,   0.01, 0.02, 0, 0, 1, 0},
        {sizeof(cvl_sgd), 0.1, 0.9, 0.1, 0.01, 0,    0, 1, 1, 0},
        {sizeof(cvl_sgd), 0.1, 0.9, 0.1, 0.01, 0.03, 0, 0, 1, 0},
        {sizeof(cvl_sgd), 0.1, 0.9, 0,   0.01, 0,    1, 1, 1, 0},
        {sizeof(cvl_sgd), 0.7, 0.8, 0,   0,    0.1,  1, 0, 1, 1},
    };
    /* clang-format on */
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        check_case("sgd %zu", c);
        state s = new_state();
        cvl_segment_f64 after[SEGMENTS];
        reference_segments(after, &s);
        cvl_reference_sgd_step(&cases[c], after, SEGMENTS);
        test_step(&cases[c], &s, after, step_sgd, bound_sgd, cases[c].momentum != 0, 0);
    }
}

/* ---------------------------------------------------------------- adam */

static cvl_status step_adam(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(adam_step)(d, segments, SEGMENTS, run);
}

/* m as sgd's buffer: 6u of its terms. v: the square doubles the error of g', 2uG, and four
 * roundings follow: 8u of the terms with G for g'. The update lr (m/c1) / (sqrt(v/c2) + eps) takes
 * both relative errors, the root half of v's, and six roundings of its own. Twice all of it, for
 * the double reference and the second order. */
static void bound_adam(const void *descriptor, const state *s, int i, ptrdiff_t k,
                       const cvl_segment_f64 *after, double *w, double *m, double *v)
{
    const cvl_adam *d = descriptor;
    double old_w = fabs(s->w[i][k]), G = fabs(s->g[i][k]) + d->l2 * old_w;
    double m_error = 6 * UNIT * (d->beta1 * fabs(s->m[i][k]) + (1 - d->beta1) * G);
    double v_error = 8 * UNIT * (d->beta2 * s->v[i][k] + (1 - d->beta2) * G * G);
    double root = sqrt(after->v[k] / d->correction2), denominator = root + d->eps;
    double update = d->lr * fabs(after->m[k] / d->correction1) / denominator;
    double update_error = d->lr * m_error / d->correction1 / denominator +
                          update * root / denominator * v_error / (2 * after->v[k]) +
                          update * 6 * UNIT;
    *m = 2 * m_error;
    *v = 2 * v_error;
    *w = 2 * (update_error + 3 * UNIT * (fabs(1 - d->lr * d->weight_decay) * old_w + update));
}

static void test_adam(void)
{
    /* clang-format off */
    static const cvl_adam cases[] = {
        /*                 lr    beta1 beta2  correction1, 2  eps   l2    decay hat amsgrad scale clear */
        {sizeof(cvl_adam), 1e-3, 0.9,  0.999, 0.1,   0.001,   1e-8, 0,    0,   0, 0, 1, 0},
        {sizeof(cvl_adam), 0.1,  0.9,  0.999, 0.271, 0.00299, 1e-8, 0.1,  0,   0, 0, 1, 0},
        {sizeof(cvl_adam), 0.01, 0.8,  0.99,  1,     1,       1e-3, 0,    0.3, 0, 0, 1, 1},
        {sizeof(cvl_adam), 0.1,  0,    0.5,   1,     1,       0,    0.01, 0,   0, 0, 1, 0}, /* as AdaGrad */
    };
    /* clang-format on */
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        check_case("adam %zu", c);
        state s = new_state();
        cvl_segment_f64 after[SEGMENTS];
        reference_segments(after, &s);
        cvl_reference_adam_step(&cases[c], after, SEGMENTS);
        test_step(&cases[c], &s, after, step_adam, bound_adam, 1, 1);
    }
}

/* ---------------------------------------------------------------- adagrad */

static cvl_status step_adagrad(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(adagrad_step)(d, segments, SEGMENTS, run);
}

/* As Adam's v and update, with g' in the place of m. */
static void bound_adagrad(const void *descriptor, const state *s, int i, ptrdiff_t k,
                          const cvl_segment_f64 *after, double *w, double *m, double *v)
{
    const cvl_adagrad *d = descriptor;
    double old_w = fabs(s->w[i][k]), G = fabs(s->g[i][k]) + d->l2 * old_w;
    double v_error = 8 * UNIT * (s->v[i][k] + G * G);
    double denominator = sqrt(after->v[k]) + d->eps, update = d->lr * G / denominator;
    *m = 0;
    *v = 2 * v_error;
    *w = 2 * (update * (2 * UNIT + v_error / (2 * after->v[k]) + 6 * UNIT) + UNIT * old_w);
}

static void test_adagrad(void)
{
    /* clang-format off */
    static const cvl_adagrad cases[] = {
        /*                    lr    eps    l2   scale clear */
        {sizeof(cvl_adagrad), 0.01, 1e-10, 0, 1, 0},
        {sizeof(cvl_adagrad), 0.3,  1e-2,  0.2, 1, 1},
        {sizeof(cvl_adagrad), 0.1,  0,     0, 1, 0},
    };
    /* clang-format on */
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        check_case("adagrad %zu", c);
        state s = new_state();
        cvl_segment_f64 after[SEGMENTS];
        reference_segments(after, &s);
        cvl_reference_adagrad_step(&cases[c], after, SEGMENTS);
        test_step(&cases[c], &s, after, step_adagrad, bound_adagrad, 0, 1);
    }
}

/* ---------------------------------------------------------------- what becomes of gradients */

static cvl_status step_nadam(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(nadam_step)(d, segments, SEGMENTS, run);
}

static cvl_status step_rmsprop(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(rmsprop_step)(d, segments, SEGMENTS, run);
}

static cvl_status step_lion(const void *d, const NAME(segment) *segments, const cvl_exec *run)
{
    return NAME(lion_step)(d, segments, SEGMENTS, run);
}

/* A step that scales and clears gives the bits of scaling, a step, and zeros. */
static void test_fused(const char *name, stepper *step, const void *plain, const void *fused)
{
    NAME(segment) scaled[SEGMENTS], gradients[SEGMENTS], segments[SEGMENTS];
    check_case("%s, gradients scaled and cleared", name);
    state s = new_state();
    cvl_exec run = run_with(2, 0);
    library_segments(scaled, &s, 1, 1);
    library_segments(segments, &s, 1, 1);
    for (int i = 0; i < SEGMENTS; i++)
        gradients[i] = (NAME(segment)){lengths[i], scaled[i].g, NULL, NULL, NULL, NULL};
    CHECK(NAME(scale)(0.3, gradients, SEGMENTS, &run) == CVL_OK);
    CHECK(step(plain, scaled, &run) == CVL_OK);
    CHECK(step(fused, segments, &run) == CVL_OK);
    for (int i = 0; i < SEGMENTS; i++) {
        int clear = 1;
        check_same("w", lengths[i], segments[i].w, scaled[i].w);
        check_same("m", lengths[i], segments[i].m, scaled[i].m);
        check_same("v", lengths[i], segments[i].v, scaled[i].v);
        for (ptrdiff_t k = 0; k < lengths[i]; k++)
            clear &= segments[i].g[k] == 0;
        CHECK(clear);
    }
    check_memory();
}

static void test_gradients(void)
{
    cvl_sgd sgd = {sizeof sgd, 0.1, 0.9, 0.1, 0.01, 0.02, 1, 0, 0.3, 1}, plain_sgd = sgd;
    cvl_adam adam = {sizeof adam, 0.01, 0.9, 0.99, 0.5, 0.5, 1e-8, 0.01, 0.02, 0, 0, 0.3, 1};
    cvl_adagrad adagrad = {sizeof adagrad, 0.1, 1e-8, 0.01, 0.3, 1}, plain_adagrad = adagrad;
    cvl_nadam nadam = {sizeof nadam, 0.01, 0.9, 0.99, 0.4, 0.5, 0.6, 0.7, 1, 1e-8, 0.01, 0.3, 1};
    cvl_rmsprop rmsprop = {sizeof rmsprop, 0.01, 0.9, 1e-8, 0.8, 0.01, 0, 0.3, 1};
    cvl_lion lion = {sizeof lion, 0.01, 0.9, 0.99, 0.1, 0.3, 1}, plain_lion = lion;
    cvl_adam plain_adam = adam;
    cvl_nadam plain_nadam = nadam;
    cvl_rmsprop plain_rmsprop = rmsprop;
    plain_sgd.gradient_scale = plain_adam.gradient_scale = plain_adagrad.gradient_scale = 1;
    plain_nadam.gradient_scale = plain_rmsprop.gradient_scale = plain_lion.gradient_scale = 1;
    plain_sgd.clear_gradients = plain_adam.clear_gradients = plain_adagrad.clear_gradients = 0;
    plain_nadam.clear_gradients = plain_rmsprop.clear_gradients = plain_lion.clear_gradients = 0;
    test_fused("sgd", step_sgd, &plain_sgd, &sgd);
    test_fused("adam", step_adam, &plain_adam, &adam);
    plain_adam.l2 = adam.l2 = 0;
    test_fused("adam without l2", step_adam, &plain_adam, &adam);
    test_fused("adagrad", step_adagrad, &plain_adagrad, &adagrad);
    test_fused("nadam", step_nadam, &plain_nadam, &nadam);
    plain_nadam.l2 = nadam.l2 = 0;
    test_fused("nadam without l2", step_nadam, &plain_nadam, &nadam);
    test_fused("rmsprop", step_rmsprop, &plain_rmsprop, &rmsprop);
    test_fused("lion", step_lion, &plain_lion, &lion);
}

/* ---------------------------------------------------------------- denominators of 0 */

/* A coordinate that has never had a gradient, with eps = 0: it stays where it is. */
static void test_zero_denominator(void)
{
    enum { COUNT = 21 };
    check_case("a denominator of 0");
    T zeros[COUNT] = {0};
    T *w = input_random(COUNT), *g = input_bytes(zeros, sizeof zeros), *m = input_random(COUNT);
    cvl_exec run = run_with(1, 0);
    cvl_adam adam = CVL_ADAM_INIT;
    adam.lr = 0.1;
    adam.beta1 = adam.beta2 = 0.5;
    NAME(segment) adam_segment = {
        COUNT, filled(w, COUNT), g, filled(m, COUNT), filled(zeros, COUNT), NULL};
    CHECK(NAME(adam_step)(&adam, &adam_segment, 1, &run) == CVL_OK);
    check_same("w of adam", COUNT, adam_segment.w, w);
    check_same("v of adam", COUNT, adam_segment.v, zeros);
    cvl_adagrad adagrad = CVL_ADAGRAD_INIT;
    adagrad.lr = 0.1;
    NAME(segment) adagrad_segment = {COUNT, filled(w, COUNT), g, NULL, filled(zeros, COUNT), NULL};
    CHECK(NAME(adagrad_step)(&adagrad, &adagrad_segment, 1, &run) == CVL_OK);
    check_same("w of adagrad", COUNT, adagrad_segment.w, w);
    check_memory();
}

static void test_all(void)
{
    test_sgd();
    test_adam();
    test_adagrad();
    test_gradients();
    test_zero_denominator();
}

int main(void) { return check_main(test_all); }
