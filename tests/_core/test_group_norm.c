/* test_group_norm.c: group, instance and layer norm against two-pass moments and the chain rule. */
#include "check.h"

#include <math.h>

typedef struct shape {
    ptrdiff_t N, M, C, groups;
} shape;

static const shape cases[] = {
    {1, 1, 2, 1},     {2, 5, 3, 3},      {3, 7, 6, 2},     {2, 9, 20, 5},
    {37, 1, 65, 1},   {20, 1, 300, 1},   {3, 4, 12, 1}, /* layer norm */
    {600, 1, 5, 1},   {2, 1, 9001, 1},   {2, 40, 256, 32}, {18, 25, 17, 17},
    {3, 49, 130, 10}, /* slabs of channels */
    {2, 3000, 6, 3},  {2, 2100, 24, 24}, {3, 3000, 3, 1},  {1, 1100, 130, 2}, /* several blocks */
};

/* Sums run in chains of at most 64 rows and 32 pieces in T, then in double (order.h); the double
 * reference has chains of all values. */
static double chain(const cvl_group_norm *d)
{
    const ptrdiff_t count = d->M * (d->C / d->groups);
    return (double)(sizeof(T) == sizeof(float) && count > 100 ? 100 : count);
}

/* A problem: x, its affine parameters and gradient, as T and in double. */
typedef struct problem {
    cvl_group_norm d;
    ptrdiff_t n, statistics;
    T *x, *gamma, *beta, *dy;
    double *wide_x, *wide_gamma, *wide_beta, *wide_dy;
} problem;

/* x around `mean`, within 1 of it; without `affine` gamma and beta are NULL. dy has a mean of 1/2,
 * so that its sums do not vanish. */
static problem new_problem(shape s, int affine, double mean)
{
    problem p = {.d = CVL_GROUP_NORM_INIT, .n = s.N * s.M * s.C, .statistics = s.N * s.groups};
    p.d.N = s.N;
    p.d.M = s.M;
    p.d.C = s.C;
    p.d.groups = s.groups;
    T *x = (T *)doubles(p.n), *dy = (T *)doubles(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++) {
        x[i] = (T)(mean + (double)random_unit());
        dy[i] = random_unit() + (T)0.5;
    }
    p.x = input_bytes(x, (size_t)p.n * sizeof(T));
    p.dy = input_bytes(dy, (size_t)p.n * sizeof(T));
    if (affine) {
        p.gamma = input_random(s.C);
        p.beta = input_random(s.C);
        p.wide_gamma = widened(p.gamma, s.C);
        p.wide_beta = widened(p.beta, s.C);
    }
    p.wide_x = widened(p.x, p.n);
    p.wide_dy = widened(p.dy, p.n);
    return p;
}

/* The statistic that the i-th value belongs to. */
static ptrdiff_t statistic(const problem *p, ptrdiff_t i)
{
    const ptrdiff_t K = p->d.C / p->d.groups;
    return i / (p->d.M * p->d.C) * p->d.groups + i % p->d.C / K;
}

/* Forward's bounds. A chain of n terms of at most R = max - min makes a mean off by (n+2) u R and a
 * variance by 3 (n+4) u R^2, and the means of channels are double; y inherits both beside a handful
 * of roundings of every term, with the mean's low part, u|mean|, among them. Twice that, for the
 * second order. */
static void forward_bounds(const problem *p, const double *mean, const double *var,
                           double *mean_bound, double *var_bound, double *bound)
{
    double *least = doubles(p->statistics), *most = doubles(p->statistics), n = chain(&p->d);
    for (ptrdiff_t g = 0; g < p->statistics; g++)
        least[g] = most[g] = mean[g];
    for (ptrdiff_t i = 0; i < p->n; i++) {
        ptrdiff_t g = statistic(p, i);
        least[g] = fmin(least[g], p->wide_x[i]);
        most[g] = fmax(most[g], p->wide_x[i]);
    }
    for (ptrdiff_t g = 0; g < p->statistics; g++) {
        double R = most[g] - least[g];
        mean_bound[g] = 2 * (n + 2) * UNIT * R + 4 * 0x1p-53 * fabs(mean[g]);
        var_bound[g] =
            6 * (n + 4) * UNIT * R * R + 8 * 0x1p-53 * R * R + 4 * 0x1p-53 * R * fabs(mean[g]);
    }
    for (ptrdiff_t i = 0; i < p->n; i++) {
        ptrdiff_t g = statistic(p, i), c = i % p->d.C;
        double deviation = fabs(p->wide_x[i] - mean[g]) + UNIT * fabs(mean[g]);
        double a = (p->gamma ? fabs(p->wide_gamma[c]) : 1) / sqrt(var[g] + p->d.eps);
        double a_error = var_bound[g] / (2 * (var[g] + p->d.eps));
        double terms = a * deviation + (p->beta ? fabs(p->wide_beta[c]) : 0);
        bound[i] = 2 * a * (mean_bound[g] + deviation * a_error) + 2 * 5 * UNIT * terms;
    }
}

static void check_doubles(const char *what, ptrdiff_t n, const double *got, const double *want,
                          const double *bound)
{
    int ok = 1;
    for (ptrdiff_t i = 0; i < n; i++)
        ok = ok && fabs(got[i] - want[i]) <= (bound ? bound[i] : 0);
    check(ok, what, __FILE__, __LINE__);
}

static void test_forward(shape s, int affine, double x_mean)
{
    check_case("forward N%td M%td C%td groups %td affine %d mean %g", s.N, s.M, s.C, s.groups,
               affine, x_mean);
    problem p = new_problem(s, affine, x_mean);
    const ptrdiff_t G = p.statistics;
    double *mean = doubles(G), *var = doubles(G), *want = doubles(p.n), *bound = doubles(p.n);
    double *mean_bound = doubles(G), *var_bound = doubles(G);
    T *first = NULL;
    double *first_mean = NULL, *first_var = NULL;
    cvl_reference_group_norm_forward(&p.d, want, mean, var, p.wide_x, p.wide_gamma, p.wide_beta);
    forward_bounds(&p, mean, var, mean_bound, var_bound, bound);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(p.n);
        double *got_mean = output_bytes((size_t)G * sizeof(double));
        double *got_var = output_bytes((size_t)G * sizeof(double));
        cvl_exec run = run_with(threads, NAME(group_norm_forward_workspace_size)(&p.d, threads));
        CHECK(NAME(group_norm_forward)(&p.d, y, got_mean, got_var, p.x, p.gamma, p.beta, &run) ==
              CVL_OK);
        if (first) {
            check_same("y", p.n, y, first);
            check_doubles("mean of other threads", G, got_mean, first_mean, NULL);
            check_doubles("var of other threads", G, got_var, first_var, NULL);
            continue;
        }
        check_doubles("mean", G, got_mean, mean, mean_bound);
        check_doubles("var", G, got_var, var, var_bound);
        check_within("y", p.n, y, want, 1, bound);
        first = y;
        first_mean = got_mean;
        first_var = got_var;
    }
    check_memory();
}

typedef struct gradients {
    T *dx, *dgamma, *dbeta;
} gradients;

/* u (n+8) of the sum of magnitudes for every sum, with the low part of the mean in every deviation;
 * dx inherits those of a and b and rounds every term a few times. Twice, for the second order and
 * the reference, which does not take the mean of x - mean for 0. */
static void gradient_bounds(const problem *p, const double *mean, const double *var,
                            double *bounds[3])
{
    const double n = chain(&p->d) + 8, values = (double)(p->d.M * (p->d.C / p->d.groups));
    double *a = doubles(p->statistics), *b = doubles(p->statistics);
    for (ptrdiff_t c = 0; c < p->d.C; c++)
        bounds[1][c] = bounds[2][c] = 0;
    for (ptrdiff_t g = 0; g < p->statistics; g++)
        a[g] = b[g] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (ptrdiff_t i = 0; i < p->n; i++) {
            ptrdiff_t g = statistic(p, i), c = i % p->d.C;
            double inverse = 1 / sqrt(var[g] + p->d.eps);
            double xhat = (fabs(p->wide_x[i] - mean[g]) + UNIT * fabs(mean[g])) * inverse;
            double factor = p->gamma ? fabs(p->wide_gamma[c]) : 1, dy = fabs(p->wide_dy[i]);
            if (pass == 0) {
                bounds[1][c] += 2 * n * UNIT * dy * xhat;
                bounds[2][c] += 2 * n * UNIT * dy;
                a[g] += factor * dy;
                b[g] += factor * dy * xhat;
            } else {
                double inherited = 2 * n * UNIT * (a[g] + xhat * b[g]) / values;
                bounds[0][i] = inverse * (inherited + 16 * UNIT * (factor * dy + inherited));
            }
        }
}

static gradients run_backward(const problem *p, int with_dx, const double *mean, const double *var,
                              int threads)
{
    gradients got = {with_dx ? output(p->n) : NULL, output(p->d.C), output(p->d.C)};
    cvl_exec run = run_with(threads, NAME(group_norm_backward_workspace_size)(&p->d, threads));
    CHECK(NAME(group_norm_backward)(&p->d, got.dx, got.dgamma, got.dbeta, p->dy, p->x, p->gamma,
                                    mean, var, &run) == CVL_OK);
    return got;
}

static void test_backward(shape s, int affine, double x_mean)
{
    check_case("backward N%td M%td C%td groups %td affine %d mean %g", s.N, s.M, s.C, s.groups,
               affine, x_mean);
    problem p = new_problem(s, affine, x_mean);
    T *y = output(p.n);
    double *mean = doubles(p.statistics), *var = doubles(p.statistics);
    cvl_exec run = run_with(1, NAME(group_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, p.x, p.gamma, p.beta, &run) == CVL_OK);
    double *dx = doubles(p.n), *dgamma = doubles(s.C), *dbeta = doubles(s.C);
    double *bounds[3] = {doubles(p.n), doubles(s.C), doubles(s.C)};
    cvl_reference_group_norm_backward(&p.d, dx, dgamma, dbeta, p.wide_dy, p.wide_x, p.wide_gamma,
                                      mean, var);
    gradients first = run_backward(&p, 1, mean, var, 1);
    gradient_bounds(&p, mean, var, bounds);
    check_within("dx", p.n, first.dx, dx, 1, bounds[0]);
    check_within("dgamma", s.C, first.dgamma, dgamma, 1, bounds[1]);
    check_within("dbeta", s.C, first.dbeta, dbeta, 1, bounds[2]);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        gradients got = run_backward(&p, threads > 1, mean, var, threads);
        if (got.dx)
            check_same("dx", p.n, got.dx, first.dx);
        check_same("dgamma", s.C, got.dgamma, first.dgamma);
        check_same("dbeta", s.C, got.dbeta, first.dbeta);
    }
    check_memory();
}

/* ---------------------------------------------------------------- promises of the header */

static void test_constant_group(shape s)
{
    check_case("constant groups N%td M%td C%td groups %td", s.N, s.M, s.C, s.groups);
    problem p = new_problem(s, 1, 0);
    T *x = (T *)doubles(p.n), *values = (T *)doubles(p.statistics);
    double *want = doubles(p.n), *mean = doubles(p.statistics), *var = doubles(p.statistics);
    for (ptrdiff_t g = 0; g < p.statistics; g++)
        values[g] = (T)1000 * random_unit();
    for (ptrdiff_t i = 0; i < p.n; i++) {
        x[i] = values[statistic(&p, i)];
        want[i] = p.wide_beta[i % s.C];
    }
    T *constant = input_bytes(x, (size_t)p.n * sizeof(T)), *y = output(p.n);
    cvl_exec run = run_with(2, NAME(group_norm_forward_workspace_size)(&p.d, 2));
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, constant, p.gamma, p.beta, &run) == CVL_OK);
    check_exact("y", p.n, y, want);
    for (ptrdiff_t g = 0; g < p.statistics; g++)
        CHECK(mean[g] == (double)values[g] && var[g] == 0);
    check_memory();
}

/* A row whose first value, its pivot, lies far from the others: squares about that would leave few
 * digits of the variance. Chains of 8 squares, and a handful of roundings. */
static void test_far_pivot(void)
{
    const shape s = {3, 1, 500, 1};
    check_case("a first value far from the others");
    problem p = new_problem(s, 0, 0);
    for (ptrdiff_t n = 0; n < s.N; n++)
        p.wide_x[n * s.C] = 1e4;
    T *x = (T *)doubles(p.n), *y = output(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        x[i] = (T)p.wide_x[i];
    T *far = input_bytes(x, (size_t)p.n * sizeof(T));
    double mean[3], var[3], want_mean[3], want_var[3], *want = doubles(p.n);
    cvl_reference_group_norm_forward(&p.d, want, want_mean, want_var, p.wide_x, NULL, NULL);
    cvl_exec run = run_with(1, NAME(group_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, far, NULL, NULL, &run) == CVL_OK);
    for (ptrdiff_t n = 0; n < s.N; n++)
        CHECK(fabs(var[n] - want_var[n]) <= 16 * UNIT * want_var[n]);
    check_memory();
}

/* Values that are not finite stay in their group. */
static void test_not_finite(void)
{
    const shape s = {2, 10, 6, 3};
    check_case("values that are not finite");
    problem p = new_problem(s, 1, 0);
    T *x = (T *)doubles(p.n);
    for (ptrdiff_t i = 0; i < p.n; i++)
        x[i] = p.x[i];
    x[3 * s.C + 1] = (T)NAN;
    x[(s.M + 2) * s.C + 4] = (T)INFINITY;
    T *bad = input_bytes(x, (size_t)p.n * sizeof(T)), *y = output(p.n);
    double mean[6], var[6];
    cvl_exec run = run_with(1, NAME(group_norm_forward_workspace_size)(&p.d, 1));
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, bad, p.gamma, p.beta, &run) == CVL_OK);
    for (ptrdiff_t i = 0; i < p.n; i++) {
        const ptrdiff_t g = statistic(&p, i);
        CHECK((isfinite(y[i]) != 0) == (g != 0 && g != 5));
    }
    CHECK(isnan(mean[0]) && isnan(var[0]) && !isfinite(mean[5]) && isnan(var[5]));
    check_memory();
}

static void test_empty_batch(void)
{
    const shape s = {0, 4, 6, 2};
    const double zeros[6] = {0};
    check_case("no samples");
    problem p = new_problem(s, 1, 0);
    double mean[1], var[1];
    T *y = output(0);
    cvl_exec run = run_with(1, 0);
    CHECK(NAME(group_norm_forward_workspace_size)(&p.d, 1) == 0);
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, p.x, p.gamma, p.beta, &run) == CVL_OK);
    gradients got = run_backward(&p, 1, mean, var, 1);
    check_exact("dgamma", s.C, got.dgamma, zeros);
    check_exact("dbeta", s.C, got.dbeta, zeros);
    check_memory();
}

static void test_errors(void)
{
    const shape s = {2, 3, 4, 2};
    check_case("errors");
    problem p = new_problem(s, 1, 0);
    T *y = output(p.n), *dx = output(p.n), *dgamma = output(s.C), *dbeta = output(s.C);
    double mean[4], var[4] = {1, 1, 1, 1};
    const size_t forward = NAME(group_norm_forward_workspace_size)(&p.d, 1);
    const size_t backward = NAME(group_norm_backward_workspace_size)(&p.d, 1);
    cvl_exec run = run_with(1, forward > backward ? forward : backward);
    const struct {
        ptrdiff_t N, M, C, groups;
        double eps;
        cvl_status status;
    } refused[] = {
        {-1, 3, 4, 2, 1e-5, CVL_ERR_SHAPE},
        {2, 0, 4, 2, 1e-5, CVL_ERR_SHAPE},
        {2, 3, 0, 2, 1e-5, CVL_ERR_SHAPE},
        {2, 3, 4, 0, 1e-5, CVL_ERR_SHAPE},
        {2, 3, 4, 3, 1e-5, CVL_ERR_SHAPE},
        {2, 3, 4, 8, 1e-5, CVL_ERR_SHAPE},
        {2, 3, 4, 2, -1e-5, CVL_ERR_ARGUMENT},
        {2, 3, 4, 2, NAN, CVL_ERR_ARGUMENT},
        {2, 3, 4, 2, INFINITY, CVL_ERR_ARGUMENT},
        {PTRDIFF_MAX / 8, 3, 4, 2, 1e-5, CVL_ERR_OVERFLOW},
        {1, 1, PTRDIFF_MAX / 1024 + 1, 2, 1e-5, CVL_ERR_OVERFLOW}, /* of the scratch */
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        cvl_group_norm d = {sizeof d,     refused[i].N,      refused[i].M,
                            refused[i].C, refused[i].groups, refused[i].eps};
        CHECK(NAME(group_norm_forward)(&d, y, mean, var, p.x, p.gamma, p.beta, &run) ==
              refused[i].status);
        CHECK(NAME(group_norm_backward)(&d, dx, dgamma, dbeta, p.dy, p.x, p.gamma, mean, var,
                                        &run) == refused[i].status);
        CHECK(NAME(group_norm_forward_workspace_size)(&d, 1) == 0);
        CHECK(NAME(group_norm_backward_workspace_size)(&d, 1) == 0);
    }
    const cvl_group_norm no_size = {0, 2, 3, 4, 2, 1e-5};
    const cvl_exec no_threads = {sizeof no_threads, 0, run.workspace, run.workspace_bytes, 0};
    const cvl_exec small = {sizeof small, 1, run.workspace, 63, 0};
    CHECK(NAME(group_norm_forward)(&no_size, y, mean, var, p.x, NULL, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(NULL, y, mean, var, p.x, NULL, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, NULL, mean, var, p.x, NULL, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, y, NULL, var, p.x, NULL, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, NULL, NULL, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, p.x, NULL, NULL, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, p.x, NULL, NULL, &no_threads) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_forward)(&p.d, y, mean, var, p.x, NULL, NULL, &small) ==
          CVL_ERR_WORKSPACE);
    CHECK(NAME(group_norm_backward)(&p.d, dx, dgamma, dbeta, p.dy, p.x, NULL, mean, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_backward)(&p.d, dx, dgamma, dbeta, NULL, p.x, NULL, mean, var, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_backward)(&p.d, dx, dgamma, dbeta, p.dy, p.x, NULL, NULL, var, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_backward)(&p.d, dx, dgamma, NULL, p.dy, p.x, NULL, mean, var, &run) ==
          CVL_ERR_ARGUMENT);
    CHECK(NAME(group_norm_backward)(&p.d, dx, dgamma, dbeta, p.dy, p.x, NULL, mean, var, &small) ==
          CVL_ERR_WORKSPACE);
    CHECK(untouched(y, (size_t)p.n * sizeof(T)) && untouched(dx, (size_t)p.n * sizeof(T)) &&
          untouched(dgamma, (size_t)s.C * sizeof(T)) && untouched(dbeta, (size_t)s.C * sizeof(T)));
    check_memory();
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int affine = 0; affine < 2; affine++) {
            test_forward(cases[i], affine, 0.25);
            test_backward(cases[i], affine, 2);
        }
        test_forward(cases[i], 1, -3000);
        if (sizeof(T) == sizeof(float)) /* the reference has no digits beyond double to spare */
            test_backward(cases[i], 1, -3000);
        test_constant_group(cases[i]);
    }
    test_far_pivot();
    test_not_finite();
    test_empty_batch();
    test_errors();
}

int main(void) { return check_main(test_all); }
