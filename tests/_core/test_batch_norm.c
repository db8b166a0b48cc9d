/* test_batch_norm.c: batch norm against two-pass moments and the chain rule. */
#include "check.h"

#include <math.h>
#include <string.h>

typedef struct shape {
    ptrdiff_t M, C;
} shape;

static const shape cases[] = {
    {1, 1},     {2, 3},    {7, 5},    {16, 16},  {33, 17},  {49, 130}, /* slabs of channels */
    {600, 7},   {729, 65}, {600, 64}, {5000, 1}, {3000, 3}, {200, 257},
    {1500, 15}, /* rows of 960, of which the chains of 512 wait at once */
};

/* Sums run in chains of at most 64 rows and 32 pieces in T, then in double (order.h); the double
 * reference has chains of M. */
static double chain(ptrdiff_t M)
{
    return (double)(sizeof(T) == sizeof(float) && M > 100 ? 100 : M);
}

/* A problem: x, its affine parameters, residual and gradient, as T and in double. */
typedef struct problem {
    cvl_batch_norm d;
    ptrdiff_t n;
    T *x, *gamma, *beta, *residual, *dy;
    double *wide_x, *wide_gamma, *wide_beta, *wide_residual, *wide_dy;
} problem;

/* x around `mean`, within 1 of it; dy with a mean of 1/2, so that its sums do not vanish. */
static problem new_problem(shape s, int relu, double mean)
{
    problem p = {.d = CVL_BATCH_NORM_INIT, .n = s.M * s.C};
    p.d.M = s.M;
    p.d.C = s.C;
    p.d.activation = relu ? CVL_ACTIVATION_RELU : CVL_ACTIVATION_NONE;
    T *x = (T *)doubles(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        x[i] = (T)(mean + (double)random_unit());
    p.x = input_bytes(x, (size_t)p.n * sizeof(T));
    p.gamma = input_random(s.C);
    p.beta = input_random(s.C);
    p.residual = input_random(p.n);
    T *dy = (T *)doubles(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        dy[i] = random_unit() + (T)0.5;
    p.dy = input_bytes(dy, (size_t)p.n * sizeof(T));
    p.wide_x = widened(p.x, p.n);
    p.wide_gamma = widened(p.gamma, s.C);
    p.wide_beta = widened(p.beta, s.C);
    p.wide_residual = widened(p.residual, p.n);
    p.wide_dy = widened(p.dy, p.n);
    return p;
}

/* What the moments may be off by. A chain of n terms of at most R = max - min, of which u is lost
 * at each addition and in each x - pivot, makes a mean off by (n+2) u R; its square and the mean
 * of squares make a variance off by 3 (n+4) u R^2. Twice that, for the second order; and roundings
 * of the double results. */
static void moment_bounds(const problem *p, const double *mean, double *mean_bound,
                          double *var_bound)
{
    for (ptrdiff_t c = 0; c < p->d.C; c++) {
        double least = p->wide_x[c], most = p->wide_x[c];
        for (ptrdiff_t i = c; i < p->n; i += p->d.C) {
            least = fmin(least, p->wide_x[i]);
            most = fmax(most, p->wide_x[i]);
        }
        double R = most - least, n = chain(p->d.M);
        mean_bound[c] = 2 * (n + 2) * UNIT * R + 4 * 0x1p-53 * fabs(mean[c]);
        var_bound[c] = 6 * (n + 4) * UNIT * R * R + 8 * 0x1p-53 * R * R;
    }
}

/* What y may be off by, given errors of the moments (0 in inference): a = gamma/sqrt(var+eps)
 * inherits half the relative error of var, x - mean that of the mean; the rest is a handful of
 * roundings of every term, with the mean's low part, u|mean|, among them. */
static void output_bounds(const problem *p, const double *mean, const double *var,
                          const double *mean_bound, const double *var_bound, int with_residual,
                          double *bound)
{
    for (ptrdiff_t i = 0; i < p->n; i++) {
        ptrdiff_t c = i % p->d.C;
        double deviation = fabs(p->wide_x[i] - mean[c]) + UNIT * fabs(mean[c]);
        double a = fabs(p->wide_gamma[c]) / sqrt(var[c] + p->d.eps);
        double a_error = var_bound ? var_bound[c] / (2 * (var[c] + p->d.eps)) : 0;
        double terms = a * deviation + fabs(p->wide_beta[c]);
        if (with_residual)
            terms += fabs(p->wide_residual[i]);
        bound[i] = 2 * (a * (mean_bound ? mean_bound[c] : 0) + a * deviation * a_error) +
                   2 * 5 * UNIT * terms;
    }
}

static void check_doubles(const char *what, ptrdiff_t n, const double *got, const double *want,
                          const double *bound)
{
    int ok = 1;
    for (ptrdiff_t i = 0; i < n; i++)
        ok = ok && fabs(got[i] - want[i]) <= bound[i];
    check(ok, what, __FILE__, __LINE__);
}

static void check_same_doubles(const char *what, ptrdiff_t n, const double *got,
                               const double *first)
{
    int ok = 1;
    for (ptrdiff_t i = 0; i < n; i++)
        ok = ok && got[i] == first[i];
    check(ok, what, __FILE__, __LINE__);
}

/* ---------------------------------------------------------------- forward and inference */

static void test_forward(shape s, int relu, int with_residual, double x_mean)
{
    check_case("forward M%td C%td relu %d residual %d mean %g", s.M, s.C, relu, with_residual,
               x_mean);
    problem p = new_problem(s, relu, x_mean);
    const T *residual = with_residual ? p.residual : NULL;
    double *mean = doubles(s.C), *var = doubles(s.C), *want = doubles(p.n), *bound = doubles(p.n);
    double *mean_bound = doubles(s.C), *var_bound = doubles(s.C);
    T *first = NULL;
    double *first_mean = NULL, *first_var = NULL;
    cvl_reference_batch_norm_forward(&p.d, want, mean, var, p.wide_x, p.wide_gamma, p.wide_beta,
                                     with_residual ? p.wide_residual : NULL);
    moment_bounds(&p, mean, mean_bound, var_bound);
    output_bounds(&p, mean, var, mean_bound, var_bound, with_residual, bound);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(p.n);
        double *got_mean = output_bytes((size_t)s.C * sizeof(double));
        double *got_var = output_bytes((size_t)s.C * sizeof(double));
        cvl_exec run = run_with(threads, NAME(batch_norm_forward_workspace_size)(&p.d, threads));
        CHECK(NAME(batch_norm_forward)(&p.d, y, got_mean, got_var, p.x, p.gamma, p.beta, residual,
                                       &run) == CVL_OK);
        if (first) {
            check_same("y", p.n, y, first);
            check_same_doubles("mean of other threads", s.C, got_mean, first_mean);
            check_same_doubles("var of other threads", s.C, got_var, first_var);
            continue;
        }
        check_doubles("mean", s.C, got_mean, mean, mean_bound);
        check_doubles("var", s.C, got_var, var, var_bound);
        check_within("y", p.n, y, want, 1, bound);
        first = y;
        first_mean = got_mean;
        first_var = got_var;
    }
    check_memory();
}

static void test_inference(shape s, int relu, int with_residual)
{
    check_case("inference M%td C%td relu %d residual %d", s.M, s.C, relu, with_residual);
    problem p = new_problem(s, relu, 0.5);
    double mean[512], var[512], *want = doubles(p.n), *bound = doubles(p.n);
    for (ptrdiff_t c = 0; c < s.C; c++) {
        mean[c] = 3 * (double)random_unit();
        var[c] = 1.25 + (double)random_unit();
    }
    double *guarded_mean = input_bytes(mean, (size_t)s.C * sizeof(double));
    double *guarded_var = input_bytes(var, (size_t)s.C * sizeof(double));
    T *first = NULL;
    cvl_reference_batch_norm_inference(&p.d, want, p.wide_x, p.wide_gamma, p.wide_beta, mean, var,
                                       with_residual ? p.wide_residual : NULL);
    output_bounds(&p, mean, var, NULL, NULL, with_residual, bound);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(p.n);
        cvl_exec run = run_with(threads, NAME(batch_norm_inference_workspace_size)(&p.d, threads));
        CHECK(NAME(batch_norm_inference)(&p.d, y, p.x, p.gamma, p.beta, guarded_mean, guarded_var,
                                         with_residual ? p.residual : NULL, &run) == CVL_OK);
        if (first)
            check_same("y", p.n, y, first);
        else
            check_within("y", p.n, first = y, want, 1, bound);
    }
    check_memory();
}

/* ---------------------------------------------------------------- backward */

/* Where the mask of ReLU comes from, and whether there is a residual. */
typedef enum mode { NO_MASK, NO_MASK_RESIDUAL, MASK_FROM_Y, MASK_RECOMPUTED, RESIDUAL } mode;

static int has_mask(mode how) { return how >= MASK_FROM_Y; }
static int has_residual(mode how) { return how == RESIDUAL || how == NO_MASK_RESIDUAL; }

typedef struct gradients {
    T *dx, *dgamma, *dbeta, *dresidual;
} gradients;

/* u (n+8) of the sum of magnitudes for dbeta and dgamma, with the low part of the mean in every
 * deviation; dx = a (g - dbeta/M - xhat dgamma/M) inherits both and rounds every term a few times.
 * Twice, for the second order and the reference. The collected form takes the mean of x - mean for
 * 0, which the reference does not: it differs by as much of dgamma/M as the rounded mean is off. */
static void gradient_bounds(const problem *p, const double *mean, const double *var,
                            const double *g, const double *dgamma, const double *dbeta,
                            double *dx_bound, double *dgamma_bound, double *dbeta_bound)
{
    double M = (double)p->d.M, n = chain(p->d.M) + 8;
    for (ptrdiff_t c = 0; c < p->d.C; c++) {
        double inverse = 1 / sqrt(var[c] + p->d.eps), a = fabs(p->wide_gamma[c]) * inverse;
        double sum = 0, products = 0, offset = 0;
        for (ptrdiff_t i = c; i < p->n; i += p->d.C) {
            offset += (p->wide_x[i] - mean[c]) / M;
            double deviation = fabs(p->wide_x[i] - mean[c]) + UNIT * fabs(mean[c]);
            sum += fabs(g[i]);
            products += fabs(g[i]) * deviation * inverse;
        }
        dbeta_bound[c] = 2 * n * UNIT * sum;
        dgamma_bound[c] = 2 * n * UNIT * products;
        for (ptrdiff_t i = c; i < p->n; i += p->d.C) {
            double xhat = (fabs(p->wide_x[i] - mean[c]) + UNIT * fabs(mean[c])) * inverse;
            double terms = fabs(g[i]), inherited = 0;
            if (!p->d.frozen) {
                terms += (fabs(dbeta[c]) + xhat * fabs(dgamma[c])) / M;
                inherited = (dbeta_bound[c] + xhat * dgamma_bound[c]) / M +
                            2 * fabs(offset) * inverse * fabs(dgamma[c]) / M;
            }
            dx_bound[i] = a * (inherited + 2 * 8 * UNIT * terms);
        }
    }
}

static void call_backward(const problem *p, mode how, const gradients *got, const T *dy, const T *y,
                          const double *mean, const double *var, int threads)
{
    cvl_exec run = run_with(threads, NAME(batch_norm_backward_workspace_size)(&p->d, threads));
    CHECK(NAME(batch_norm_backward)(&p->d, got->dx, got->dgamma, got->dbeta, got->dresidual, dy,
                                    p->x, how == MASK_FROM_Y || how == RESIDUAL ? y : NULL,
                                    p->gamma, how == MASK_RECOMPUTED ? p->beta : NULL, mean, var,
                                    &run) == CVL_OK);
}

static gradients run_backward(const problem *p, mode how, int with_dx, const T *y,
                              const double *mean, const double *var, int threads)
{
    gradients got = {with_dx ? output(p->n) : NULL, output(p->d.C), output(p->d.C),
                     has_residual(how) ? output(p->n) : NULL};
    call_backward(p, how, &got, p->dy, y, mean, var, threads);
    return got;
}

/* The same, into dy: dresidual where there is one, else dx. */
static gradients run_backward_in_place(const problem *p, mode how, const T *y, const double *mean,
                                       const double *var, int threads)
{
    T *dy = output(p->n);
    gradients got = {has_residual(how) ? output(p->n) : dy, output(p->d.C), output(p->d.C),
                     has_residual(how) ? dy : NULL};
    memcpy(dy, p->dy, (size_t)p->n * sizeof(T));
    call_backward(p, how, &got, dy, y, mean, var, threads);
    return got;
}

static void check_same_gradients(const problem *p, const gradients *got, const gradients *first)
{
    if (got->dx && first->dx)
        check_same("dx", p->n, got->dx, first->dx);
    if (got->dresidual && first->dresidual)
        check_same("dresidual", p->n, got->dresidual, first->dresidual);
    check_same("dgamma", p->d.C, got->dgamma, first->dgamma);
    check_same("dbeta", p->d.C, got->dbeta, first->dbeta);
}

static void test_backward(shape s, mode how, int frozen)
{
    check_case("backward M%td C%td mode %d frozen %d", s.M, s.C, how, frozen);
    /* At a mean of thousands of deviations, what is left out of its low part shows. */
    problem p = new_problem(s, has_mask(how), frozen ? 2 : 3000);
    p.d.frozen = frozen;
    T *y = output(p.n);
    double *mean = doubles(s.C), *var = doubles(s.C);
    cvl_exec run = run_with(1, NAME(batch_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(batch_norm_forward)(&p.d, y, mean, var, p.x, p.gamma, p.beta,
                                   has_residual(how) ? p.residual : NULL, &run) == CVL_OK);
    double *dx = doubles(p.n), *dgamma = doubles(s.C), *dbeta = doubles(s.C), *g = doubles(p.n);
    double *dx_bound = doubles(p.n), *dgamma_bound = doubles(s.C), *dbeta_bound = doubles(s.C);
    cvl_reference_batch_norm_backward(&p.d, dx, dgamma, dbeta, g, p.wide_dy, p.wide_x,
                                      widened(y, p.n), p.wide_gamma, p.wide_beta, mean, var);
    gradient_bounds(&p, mean, var, g, dgamma, dbeta, dx_bound, dgamma_bound, dbeta_bound);
    gradients first = run_backward(&p, how, 1, y, mean, var, 1);
    check_within("dgamma", s.C, first.dgamma, dgamma, 1, dgamma_bound);
    check_within("dbeta", s.C, first.dbeta, dbeta, 1, dbeta_bound);
    check_within("dx", p.n, first.dx, dx, 1, dx_bound);
    if (first.dresidual)
        check_exact("dresidual", p.n, first.dresidual, g);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        gradients got = run_backward(&p, how, threads > 1, y, mean, var, threads);
        check_same_gradients(&p, &got, &first);
        got = run_backward_in_place(&p, how, y, mean, var, threads);
        check_same_gradients(&p, &got, &first);
    }
    if (how == MASK_RECOMPUTED) {
        gradients from_y = run_backward(&p, MASK_FROM_Y, 1, y, mean, var, 1);
        check_same_gradients(&p, &from_y, &first);
    }
    check_memory();
}

/* ---------------------------------------------------------------- the sum of two norms */

/* One of two norms whose sum is taken: `term` says what the forward pass takes, or writes. */
static cvl_batch_norm_term new_term(const problem *p, int frozen)
{
    cvl_batch_norm_term term = CVL_BATCH_NORM_TERM_INIT;
    term.eps = p->d.eps;
    term.frozen = frozen;
    term.x = p->x;
    term.gamma = p->gamma;
    term.beta = p->beta;
    term.mean = doubles(p->d.C);
    term.var = doubles(p->d.C);
    for (ptrdiff_t c = 0; frozen && c < p->d.C; c++) {
        term.mean[c] = 3 * (double)random_unit();
        term.var[c] = 1.25 + (double)random_unit();
    }
    return term;
}

/* y, mean and var of one norm; of the sum where there is a residual. */
static void one_forward(const problem *p, const cvl_batch_norm_term *term, T *y, const T *residual)
{
    cvl_batch_norm d = p->d;
    if (!residual)
        d.activation = CVL_ACTIVATION_NONE;
    cvl_exec run = run_with(1, term->frozen ? NAME(batch_norm_inference_workspace_size)(&d, 1)
                                            : NAME(batch_norm_forward_workspace_size)(&d, 1));
    CHECK((term->frozen ? NAME(batch_norm_inference)(&d, y, p->x, p->gamma, p->beta, term->mean,
                                                     term->var, residual, &run)
                        : NAME(batch_norm_forward)(&d, y, term->mean, term->var, p->x, p->gamma,
                                                   p->beta, residual, &run)) == CVL_OK);
}

static gradients one_backward(const problem *p, const cvl_batch_norm_term *term, const T *dy,
                              const T *y, int with_residual)
{
    cvl_batch_norm d = p->d;
    gradients got = {output(p->n), output(d.C), output(d.C), with_residual ? output(p->n) : NULL};
    d.frozen = term->frozen;
    if (!y)
        d.activation = CVL_ACTIVATION_NONE;
    cvl_exec run = run_with(1, NAME(batch_norm_backward_workspace_size)(&d, 1));
    CHECK(NAME(batch_norm_backward)(&d, got.dx, got.dgamma, got.dbeta, got.dresidual, dy, p->x, y,
                                    p->gamma, NULL, term->mean, term->var, &run) == CVL_OK);
    return got;
}

static gradients sum_gradients(const problem *p, cvl_batch_norm_term *term, T *dx)
{
    gradients got = {dx, output(p->d.C), output(p->d.C), NULL};
    term->dx = dx;
    term->dgamma = got.dgamma;
    term->dbeta = got.dbeta;
    return got;
}

/* Gradients of both terms; a bit of `wanted` for each dx, 4 for the second one in place of dy. */
static void check_sum_backward(const problem *p, const problem *q, const cvl_batch_norm_term *terms,
                               const T *y, const gradients *first, int wanted, int threads)
{
    cvl_batch_norm_term a = terms[0], b = terms[1];
    T *in_place = output(p->n);
    memcpy(in_place, p->dy, (size_t)p->n * sizeof(T));
    gradients got_a = sum_gradients(p, &a, wanted & 1 ? output(p->n) : NULL);
    gradients got_b = sum_gradients(q, &b,
                                    wanted & 4   ? in_place
                                    : wanted & 2 ? output(p->n)
                                                 : NULL);
    cvl_exec run = run_with(threads, NAME(batch_norm_sum_backward_workspace_size)(&p->d, threads));
    CHECK(NAME(batch_norm_sum_backward)(&p->d, &a, &b, in_place,
                                        p->d.activation == CVL_ACTIVATION_RELU ? y : NULL,
                                        &run) == CVL_OK);
    check_same_gradients(p, &got_a, &first[0]);
    check_same_gradients(q, &got_b, &first[1]);
}

/* To the bit what the two norms give by themselves. */
static void test_sum(shape s, int relu, int frozen)
{
    check_case("sum M%td C%td relu %d frozen %d", s.M, s.C, relu, frozen);
    problem p = new_problem(s, relu, 0.5), q = new_problem(s, relu, -20);
    q.d.eps = 1e-3;
    const cvl_batch_norm_term terms[] = {new_term(&p, frozen & 1), new_term(&q, frozen >> 1)};
    T *around = output(p.n), *want = output(p.n);
    one_forward(&q, &terms[1], around, NULL);
    one_forward(&p, &terms[0], want, around);
    gradients first[] = {one_backward(&p, &terms[0], p.dy, relu ? want : NULL, relu), {0}};
    first[1] = one_backward(&q, &terms[1], relu ? first[0].dresidual : p.dy, NULL, 0);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(p.n);
        cvl_batch_norm_term got[] = {terms[0], terms[1]};
        for (int i = 0; i < 2; i++)
            if (!got[i].frozen) {
                got[i].mean = output_bytes((size_t)s.C * sizeof(double));
                got[i].var = output_bytes((size_t)s.C * sizeof(double));
            }
        cvl_exec run =
            run_with(threads, NAME(batch_norm_sum_forward_workspace_size)(&p.d, threads));
        CHECK(NAME(batch_norm_sum_forward)(&p.d, y, &got[0], &got[1], &run) == CVL_OK);
        check_same("y", p.n, y, want);
        for (int i = 0; i < 2; i++) {
            check_same_doubles("mean", s.C, got[i].mean, terms[i].mean);
            check_same_doubles("var", s.C, got[i].var, terms[i].var);
        }
        for (int wanted = 0; wanted <= 5; wanted++)
            check_sum_backward(&p, &q, terms, y, first, wanted, threads);
    }
    check_memory();
}

/* ---------------------------------------------------------------- promises of the header */

static void test_constant_channel(void)
{
    enum { M = 777, C = 19 };
    check_case("a constant channel");
    problem p = new_problem((shape){M, C}, 0, 0);
    T values[C], *x = (T *)doubles(M * C);
    double want[C];
    for (int c = 0; c < C; c++) {
        values[c] = (T)1000 * random_unit();
        want[c] = (double)p.beta[c];
    }
    for (int i = 0; i < M * C; i++)
        x[i] = values[i % C];
    T *y = output(M * C), *constant = input_bytes(x, M * C * sizeof(T));
    double mean[C], var[C];
    cvl_exec run = run_with(2, NAME(batch_norm_forward_workspace_size)(&p.d, 2));
    CHECK(NAME(batch_norm_forward)(&p.d, y, mean, var, constant, p.gamma, p.beta, NULL, &run) ==
          CVL_OK);
    for (int m = 0; m < M; m += M - 1)
        check_exact("y", C, y + m * C, want);
    for (int c = 0; c < C; c++)
        CHECK(mean[c] == (double)values[c] && var[c] == 0);
    check_memory();
}

/* A mean of 1000 deviations: y within 1e-5 of what the same numbers give in double. */
static void test_large_mean(void)
{
    enum { M = 2000, C = 24 };
    check_case("a mean of 1000 deviations");
    problem p = new_problem((shape){M, C}, 0, 577); /* uniform in +-1: a deviation is 0.577 */
    T *y = output(p.n);
    double mean[C], var[C], *want = doubles(p.n), *one = doubles(p.n);
    cvl_exec run = run_with(1, NAME(batch_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(batch_norm_forward)(&p.d, y, mean, var, p.x, p.gamma, p.beta, NULL, &run) == CVL_OK);
    cvl_reference_batch_norm_forward(&p.d, want, mean, var, p.wide_x, p.wide_gamma, p.wide_beta,
                                     NULL);
    for (ptrdiff_t i = 0; i < p.n; i++)
        one[i] = 1;
    check_within("y", p.n, y, want, 1e-5, one);
    check_memory();
}

/* Zeros where the pivots are taken, at the first of every so many pixels, and 1000 deviations after
 * them. */
static void test_far_pivot(shape s, ptrdiff_t period, ptrdiff_t zeros)
{
    check_case("pivots far from the mean, %td of %td", zeros, period);
    problem p = new_problem(s, 0, 577);
    T *x = (T *)doubles(p.n), *y = output(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        x[i] = i / s.C % period < zeros ? 0 : p.x[i];
    T *bordered = input_bytes(x, (size_t)p.n * sizeof(T));
    double *mean = doubles(s.C), *var = doubles(s.C);
    double *want_mean = doubles(s.C), *want_var = doubles(s.C);
    cvl_exec run = run_with(1, NAME(batch_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(batch_norm_forward)(&p.d, y, mean, var, bordered, p.gamma, p.beta, NULL, &run) ==
          CVL_OK);
    cvl_reference_batch_norm_forward(&p.d, doubles(p.n), want_mean, want_var,
                                     widened(bordered, p.n), p.wide_gamma, p.wide_beta, NULL);
    for (ptrdiff_t c = 0; c < s.C; c++)
        CHECK(fabs(var[c] - want_var[c]) <= 16 * UNIT * want_var[c]);
    check_memory();
}

static void test_not_finite(void)
{
    enum { M = 40, C = 5 };
    check_case("values that are not finite");
    problem p = new_problem((shape){M, C}, 0, 0);
    T *x = (T *)doubles(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        x[i] = p.x[i];
    x[7 * C + 1] = (T)NAN;
    x[9 * C + 3] = (T)INFINITY;
    T *bad = input_bytes(x, M * C * sizeof(T)), *y = output(p.n);
    double mean[C], var[C];
    cvl_exec run = run_with(1, NAME(batch_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(batch_norm_forward)(&p.d, y, mean, var, bad, p.gamma, p.beta, NULL, &run) == CVL_OK);
    CHECK(isnan(mean[1]) && isnan(var[1]) && isnan(y[1]));
    CHECK(!isfinite(mean[3]) && isnan(var[3]) && isnan(y[3]));
    CHECK(isfinite(y[0]) && isfinite(y[2]) && isfinite(y[4]));
    check_memory();
}

static void test_empty_batch(void)
{
    enum { C = 6 };
    check_case("no pixels");
    problem p = new_problem((shape){0, C}, 0, 0);
    double mean[C] = {0}, var[C] = {1, 1, 1, 1, 1, 1}, zeros[C] = {0};
    T *y = output(0);
    cvl_exec run = run_with(1, NAME(batch_norm_inference_workspace_size)(&p.d, 1));
    CHECK(NAME(batch_norm_inference)(&p.d, y, p.x, p.gamma, p.beta, mean, var, NULL, &run) ==
          CVL_OK);
    gradients got = run_backward(&p, NO_MASK, 1, y, mean, var, 1);
    check_exact("dgamma", C, got.dgamma, zeros);
    check_exact("dbeta", C, got.dbeta, zeros);
    check_memory();
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int variant = 0; variant < 4; variant++) {
            test_forward(cases[i], variant & 1, variant >> 1, 0.25);
            test_inference(cases[i], variant & 1, variant >> 1);
        }
        for (int how = NO_MASK; how <= RESIDUAL; how++) {
            test_backward(cases[i], (mode)how, 0);
            test_backward(cases[i], (mode)how, 1);
        }
        test_forward(cases[i], 0, 0, -3000);
        for (int variant = 0; variant < 8; variant++)
            test_sum(cases[i], variant & 1, variant >> 1);
    }
    test_sum((shape){0, 6}, 1, 3);
    test_constant_channel();
    test_large_mean();
    test_far_pivot((shape){2000, 24}, 1000, 40);
    if (sizeof(T) == sizeof(float)) /* one chain of the reference is as far off in double */
        test_far_pivot((shape){16000, 1}, 16000, 16);
    test_not_finite();
    test_empty_batch();
}

int main(void) { return check_main(test_all); }
