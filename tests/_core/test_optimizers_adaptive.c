/* test_optimizers_adaptive.c: a hundred steps of the adaptive optimizers, each judged from the state
 * before it. */
#include <math.h>
#include <string.h>

#include "check.h"

enum { STEPS = 100, TEAMS = 3, ARRAYS = 5 };
static const ptrdiff_t lengths[] = {1, 0, 5, 33, 4097, 20011};
enum { SEGMENTS = sizeof lengths / sizeof lengths[0] };

/* Allowed errors of one element. */
typedef struct errors {
    double w, m, v, extra;
} errors;

/* An element before or after a step. */
typedef struct element {
    double w, g, m, v, extra;
} element;

typedef struct method {
    const char *name;
    int with_m, with_v, with_extra;
    cvl_status (*step)(int t, const NAME(segment) *segments, ptrdiff_t count, const cvl_exec *run);
    void (*reference)(int t, const cvl_segment_f64 *segments, ptrdiff_t count);
    errors (*bound)(int t, const element *before, const element *after);
} method;

/* ---------------------------------------------------------------- bounds
 *
 * With G = |g| + l2 |w|, g' is off by 2 UNIT G. A mean has two terms with a rounded constant, a
 * product and a sum: 6 UNIT of their magnitudes; a mean of squares doubles the error of g' and has
 * four roundings: 8 UNIT. All are doubled, for the double reference. */

static double mean_error(double keep, double old, double G)
{
    return 12 * UNIT * (keep * fabs(old) + (1 - keep) * G);
}

static double square_error(double keep, double old, double G)
{
    return 16 * UNIT * (keep * old + (1 - keep) * G * G);
}

/* Of a / (sqrt(b / correction) + eps), where a and b have errors, and five roundings. */
static double quotient_error(double a, double a_error, double b, double b_error, double correction,
                             double eps)
{
    const double least = b > b_error ? b - b_error : 0;
    const double exact = fabs(a) / (sqrt(b / correction) + eps);
    const double most = (fabs(a) + a_error) / (sqrt(least / correction) + eps);
    return most - exact + 10 * UNIT * most;
}

static double weight_error(double decay, double old, double lr, double update, double update_error)
{
    return lr * update_error + 6 * UNIT * (fabs(decay * old) + lr * fabs(update));
}

/* ---------------------------------------------------------------- adam, its other forms */

/* Bounds ask for every element of a step, so the last answer is kept. */
static cvl_adam adam_at(int t)
{
    static cvl_adam d = {sizeof d, 0.01, 0.9, 0.99, 0, 0, 1e-3, 0.1, 0.02, 1, 1, 1, 0};
    static int step;
    if (step == t)
        return d;
    step = t;
    d.correction1 = 1 - pow(d.beta1, t);
    d.correction2 = 1 - pow(d.beta2, t);
    return d;
}

static cvl_status step_adam(int t, const NAME(segment) *segments, ptrdiff_t count,
                            const cvl_exec *run)
{
    const cvl_adam d = adam_at(t);
    return NAME(adam_step)(&d, segments, count, run);
}

static void reference_adam(int t, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    const cvl_adam d = adam_at(t);
    cvl_reference_adam_step(&d, segments, count);
}

static errors bound_adam(int t, const element *before, const element *after)
{
    const cvl_adam d = adam_at(t);
    const double G = fabs(before->g) + d.l2 * fabs(before->w), eps = d.eps / sqrt(d.correction2);
    errors e = {0, mean_error(d.beta1, before->m, G), square_error(d.beta2, before->v, G), 0};
    e.extra = e.v;
    const double update = after->m / d.correction1 / (sqrt(after->extra / d.correction2) + eps);
    e.w = weight_error(1 - d.lr * d.weight_decay, before->w, d.lr, update,
                       quotient_error(after->m / d.correction1, e.m / d.correction1, after->extra,
                                      e.extra, d.correction2, eps));
    return e;
}

/* ---------------------------------------------------------------- nadam */

static cvl_nadam nadam_at(int t)
{
    static cvl_nadam d = {sizeof d, 0.01, 0.9, 0.99, 0, 0, 0, 0, 0, 1e-3, 0.1, 1, 0};
    static int step;
    if (step == t)
        return d;
    step = t;
    double product = 1;
    for (int i = 1; i <= t; i++) {
        d.mu = d.beta1 * (1 - 0.5 * pow(0.96, i * 0.004));
        product *= d.mu;
    }
    d.next_mu = d.beta1 * (1 - 0.5 * pow(0.96, (t + 1) * 0.004));
    d.correction1 = 1 - product;
    d.next_correction1 = 1 - product * d.next_mu;
    d.correction2 = 1 - pow(d.beta2, t);
    return d;
}

static cvl_status step_nadam(int t, const NAME(segment) *segments, ptrdiff_t count,
                             const cvl_exec *run)
{
    const cvl_nadam d = nadam_at(t);
    return NAME(nadam_step)(&d, segments, count, run);
}

static void reference_nadam(int t, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    const cvl_nadam d = nadam_at(t);
    cvl_reference_nadam_step(&d, segments, count);
}

static errors bound_nadam(int t, const element *before, const element *after)
{
    const cvl_nadam d = nadam_at(t);
    const double G = fabs(before->g) + d.l2 * fabs(before->w);
    const double gain_m = d.next_mu / d.next_correction1, gain_g = (1 - d.mu) / d.correction1;
    errors e = {0, mean_error(d.beta1, before->m, G), square_error(d.beta2, before->v, G), 0};
    const double gradient = before->g + d.l2 * before->w;
    const double direction = gain_m * after->m + gain_g * gradient;
    const double direction_error =
        gain_m * e.m + gain_g * 4 * UNIT * G + 8 * UNIT * (gain_m * fabs(after->m) + gain_g * G);
    e.w = weight_error(
        1, before->w, d.lr, direction / (sqrt(after->v / d.correction2) + d.eps),
        quotient_error(direction, direction_error, after->v, e.v, d.correction2, d.eps));
    return e;
}

/* ---------------------------------------------------------------- rmsprop */

static const cvl_rmsprop rmsprop_plain = {sizeof(cvl_rmsprop), 0.01, 0.9, 1e-3, 0, 0.1, 0, 1, 0};
static const cvl_rmsprop rmsprop_full = {sizeof(cvl_rmsprop), 0.01, 0.9, 1e-3, 0.8, 0.1, 1, 1, 0};

static cvl_status step_rmsprop_plain(int t, const NAME(segment) *segments, ptrdiff_t count,
                                     const cvl_exec *run)
{
    (void)t;
    return NAME(rmsprop_step)(&rmsprop_plain, segments, count, run);
}

static cvl_status step_rmsprop_full(int t, const NAME(segment) *segments, ptrdiff_t count,
                                    const cvl_exec *run)
{
    (void)t;
    return NAME(rmsprop_step)(&rmsprop_full, segments, count, run);
}

static void reference_rmsprop_plain(int t, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    (void)t;
    cvl_reference_rmsprop_step(&rmsprop_plain, segments, count);
}

static void reference_rmsprop_full(int t, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    (void)t;
    cvl_reference_rmsprop_step(&rmsprop_full, segments, count);
}

/* Centered: the deviation g' - mean is off by 3 UNIT D, D = G + |mean|. The reference subtracts
 * squares, at the cost of 8 roundings in double of these. */
static errors bound_rmsprop(const cvl_rmsprop *d, const element *before, const element *after)
{
    const double gradient = before->g + d->l2 * before->w;
    const double G = fabs(before->g) + d->l2 * fabs(before->w), keep = d->alpha;
    errors e = {0, 0, square_error(keep, before->v, G), 0};
    if (d->centered) {
        const double D = G + fabs(before->extra);
        e.extra = 16 * UNIT * (fabs(before->extra) + (1 - keep) * D);
        e.v = 24 * UNIT * (keep * before->v + keep * (1 - keep) * D * D) +
              16 * 0x1p-53 * (keep * before->v + D * D);
    }
    const double error = quotient_error(gradient, 4 * UNIT * G, after->v, e.v, 1, d->eps);
    double update = gradient / (sqrt(after->v) + d->eps);
    e.w = error;
    if (d->momentum != 0) {
        e.w = e.m = error + 8 * UNIT * (fabs(d->momentum * before->m) + fabs(update));
        update = after->m;
    }
    e.w = weight_error(1, before->w, d->lr, update, e.w);
    return e;
}

static errors bound_rmsprop_plain(int t, const element *before, const element *after)
{
    (void)t;
    return bound_rmsprop(&rmsprop_plain, before, after);
}

static errors bound_rmsprop_full(int t, const element *before, const element *after)
{
    (void)t;
    return bound_rmsprop(&rmsprop_full, before, after);
}

/* ---------------------------------------------------------------- lion */

static const cvl_lion lion = {sizeof(cvl_lion), 0.01, 0.9, 0.99, 0.1, 1, 0};

static cvl_status step_lion(int t, const NAME(segment) *segments, ptrdiff_t count,
                            const cvl_exec *run)
{
    (void)t;
    return NAME(lion_step)(&lion, segments, count, run);
}

static void reference_lion(int t, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    (void)t;
    cvl_reference_lion_step(&lion, segments, count);
}

/* A direction within its error of 0 may have either sign. */
static errors bound_lion(int t, const element *before, const element *after)
{
    const double direction = lion.beta1 * before->m + (1 - lion.beta1) * before->g;
    const int unsure = fabs(direction) <= mean_error(lion.beta1, before->m, fabs(before->g));
    errors e = {0, mean_error(lion.beta2, before->m, fabs(before->g)), 0, 0};
    (void)t, (void)after;
    e.w = weight_error(1 - lion.lr * lion.weight_decay, before->w, lion.lr, 1, unsure ? 2 : 0);
    return e;
}

/* ---------------------------------------------------------------- a hundred steps */

static const method methods[] = {
    {"adam with amsgrad and eps hat", 1, 1, 1, step_adam, reference_adam, bound_adam},
    {"nadam", 1, 1, 0, step_nadam, reference_nadam, bound_nadam},
    {"rmsprop", 0, 1, 0, step_rmsprop_plain, reference_rmsprop_plain, bound_rmsprop_plain},
    {"rmsprop centered with momentum", 1, 1, 1, step_rmsprop_full, reference_rmsprop_full,
     bound_rmsprop_full},
    {"lion", 1, 0, 0, step_lion, reference_lion, bound_lion},
};

/* A copy of the parameters for each number of threads. */
static void new_segments(NAME(segment) segments[TEAMS][SEGMENTS], T *gradients[SEGMENTS],
                         const method *how)
{
    for (int i = 0; i < SEGMENTS; i++) {
        const ptrdiff_t n = lengths[i];
        const size_t bytes = (size_t)n * sizeof(T);
        const T *w = input_random(n);
        gradients[i] = output(n);
        for (int team = 0; team < TEAMS; team++) {
            T *moments[] = {how->with_m ? output(n) : NULL, how->with_v ? output(n) : NULL,
                            how->with_extra ? output(n) : NULL};
            for (int k = 0; k < 3; k++)
                if (moments[k])
                    memset(moments[k], 0, bytes);
            segments[team][i] =
                (NAME(segment)){n, output(n), gradients[i], moments[0], moments[1], moments[2]};
            memcpy(segments[team][i].w, w, bytes);
        }
    }
}

static void widen(double *to, const T *from, ptrdiff_t n)
{
    for (ptrdiff_t k = 0; from && k < n; k++)
        to[k] = (double)from[k];
}

static void compare(const char *what, ptrdiff_t n, const T *got, const double *want,
                    const double *bound)
{
    if (got)
        check_within(what, n, got, want, 1, bound);
}

static void check_segment(const method *how, int t, const cvl_segment_f64 *before,
                          const cvl_segment_f64 *after, const cvl_segment_f64 *bounds,
                          const NAME(segment) *got)
{
    const ptrdiff_t n = got->n;
    for (ptrdiff_t k = 0; k < n; k++) {
        const element old = {before->w[k], before->g[k], before->m[k], before->v[k],
                             before->extra[k]};
        const element new = {after->w[k], after->g[k], after->m[k], after->v[k], after->extra[k]};
        const errors e = how->bound(t, &old, &new);
        bounds->w[k] = e.w;
        bounds->m[k] = e.m;
        bounds->v[k] = e.v;
        bounds->extra[k] = e.extra;
    }
    compare("w", n, got->w, after->w, bounds->w);
    compare("m", n, got->m, after->m, bounds->m);
    compare("v", n, got->v, after->v, bounds->v);
    compare("extra", n, got->extra, after->extra, bounds->extra);
}

static cvl_segment_f64 new_wide(ptrdiff_t n)
{
    return (cvl_segment_f64){n, doubles(n), doubles(n), doubles(n), doubles(n), doubles(n)};
}

static void load_wide(cvl_segment_f64 *to, const NAME(segment) *from)
{
    widen(to->w, from->w, from->n);
    widen((double *)to->g, from->g, from->n);
    widen(to->m, from->m, from->n);
    widen(to->v, from->v, from->n);
    widen(to->extra, from->extra, from->n);
}

static void same(const char *what, ptrdiff_t n, const T *got, const T *first)
{
    if (got)
        check_same(what, n, got, first);
}

static void test_method(const method *how)
{
    NAME(segment) segments[TEAMS][SEGMENTS];
    cvl_segment_f64 before[SEGMENTS], after[SEGMENTS], bounds[SEGMENTS];
    T *gradients[SEGMENTS];
    check_case("%s", how->name);
    new_segments(segments, gradients, how);
    for (int i = 0; i < SEGMENTS; i++) {
        before[i] = new_wide(lengths[i]);
        after[i] = new_wide(lengths[i]);
        bounds[i] = new_wide(lengths[i]);
    }
    for (int t = 1; t <= STEPS; t++) {
        for (int i = 0; i < SEGMENTS; i++) {
            for (ptrdiff_t k = 0; k < lengths[i]; k++)
                gradients[i][k] = random_unit();
            load_wide(&before[i], &segments[0][i]);
            load_wide(&after[i], &segments[0][i]);
        }
        how->reference(t, after, SEGMENTS);
        for (int team = 0; team < TEAMS; team++) {
            const cvl_exec run = {sizeof run, team + 1, NULL, 0, 0};
            CHECK(how->step(t, segments[team], SEGMENTS, &run) == CVL_OK);
        }
        for (int i = 0; i < SEGMENTS; i++) {
            check_segment(how, t, &before[i], &after[i], &bounds[i], &segments[0][i]);
            for (int team = 1; team < TEAMS; team++) {
                same("w", lengths[i], segments[team][i].w, segments[0][i].w);
                same("m", lengths[i], segments[team][i].m, segments[0][i].m);
                same("v", lengths[i], segments[team][i].v, segments[0][i].v);
                same("extra", lengths[i], segments[team][i].extra, segments[0][i].extra);
            }
        }
    }
    check_memory();
}

/* ---------------------------------------------------------------- denominators of 0, refusals */

/* Coordinates without any gradient, with eps = 0, stay where they are. */
static void test_zero_denominator(void)
{
    enum { COUNT = 21 };
    check_case("a denominator of 0");
    const T zeros[COUNT] = {0};
    T *g = input_bytes(zeros, sizeof zeros);
    const T *w = input_random(COUNT);
    const cvl_exec run = CVL_EXEC_INIT;
    cvl_adam adam = adam_at(1);
    cvl_nadam nadam = nadam_at(1);
    cvl_rmsprop rmsprop = rmsprop_full;
    adam.eps = nadam.eps = rmsprop.eps = 0;
    adam.l2 = nadam.l2 = rmsprop.l2 = adam.weight_decay = 0;
    for (int k = 0; k < 3; k++) {
        T *moments[4];
        for (int j = 0; j < 4; j++)
            memset(moments[j] = output(COUNT), 0, sizeof zeros);
        memcpy(moments[0], w, sizeof zeros);
        const NAME(segment) s = {COUNT, moments[0], g, moments[1], moments[2], moments[3]};
        CHECK((k == 0   ? NAME(adam_step)(&adam, &s, 1, &run)
               : k == 1 ? NAME(nadam_step)(&nadam, &s, 1, &run)
                        : NAME(rmsprop_step)(&rmsprop, &s, 1, &run)) == CVL_OK);
        check_same("w", COUNT, s.w, w);
        check_same("m", COUNT, s.m, zeros);
        check_same("v", COUNT, s.v, zeros);
    }
    check_memory();
}

/* A step that lacks an array or has a constant that is not finite writes nothing. */
static void test_refusals(void)
{
    T w = 1, g = 2, m = 3, v = 4, extra = 5;
    const cvl_exec run = CVL_EXEC_INIT;
    const NAME(segment) all = {1, &w, &g, &m, &v, &extra};
    for (int missing = 0; missing < ARRAYS; missing++) {
        NAME(segment) s = all;
        T **arrays[] = {&s.w, (T **)&s.g, &s.m, &s.v, &s.extra};
        *arrays[missing] = NULL;
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
            const method *how = &methods[i];
            const int with[] = {1, 1, how->with_m, how->with_v, how->with_extra};
            check_case("%s without array %d", how->name, missing);
            if (with[missing])
                CHECK(how->step(1, &s, 1, &run) == CVL_ERR_ARGUMENT);
        }
    }
    check_case("constants that are not finite");
    cvl_nadam nadam = nadam_at(1);
    cvl_rmsprop rmsprop = rmsprop_full;
    cvl_lion other = lion;
    cvl_adam adam = adam_at(1);
    adam.correction2 = -1;
    for (adam.eps_hat = 0; adam.eps_hat <= 1; adam.eps_hat++)
        CHECK(NAME(adam_step)(&adam, &all, 1, &run) == CVL_ERR_ARGUMENT);
    adam = adam_at(1);
    adam.correction1 = INFINITY;
    CHECK(NAME(adam_step)(&adam, &all, 1, &run) == CVL_ERR_ARGUMENT);
    nadam.next_correction1 = INFINITY;
    CHECK(NAME(nadam_step)(&nadam, &all, 1, &run) == CVL_ERR_ARGUMENT);
    nadam = nadam_at(1);
    nadam.correction2 = 0;
    CHECK(NAME(nadam_step)(&nadam, &all, 1, &run) == CVL_ERR_ARGUMENT);
    rmsprop.alpha = NAN;
    CHECK(NAME(rmsprop_step)(&rmsprop, &all, 1, &run) == CVL_ERR_ARGUMENT);
    other.lr = INFINITY;
    CHECK(NAME(lion_step)(&other, &all, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(lion_step)(NULL, &all, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(rmsprop_step)(NULL, &all, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(nadam_step)(NULL, &all, 1, &run) == CVL_ERR_ARGUMENT);
    CHECK(w == 1 && g == 2 && m == 3 && v == 4 && extra == 5);
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        test_method(&methods[i]);
    test_zero_denominator();
    test_refusals();
}

int main(void) { return check_main(test_all); }
