/* test_softmax.c: softmax, log-softmax and cross-entropy against long double.
 *
 * The bounds below are built from these parts, in units of u, the roundoff of T:
 *   e_c = exp(z_c - m)   2 + D_c relative, D_c = m - z_c: one ulp of exp, and the difference's
 *                        rounding, which exp makes relative; and one SMALLEST, where subnormal
 *   a sum of C terms     C/64 + 8: 64 lanes, then a tree of six levels
 * and doubled, for the second order. */
#include "check.h"

#include <math.h>
#include <string.h>

typedef struct shape {
    ptrdiff_t N, C;
} shape;

static const shape cases[] = {
    {0, 5},  {1, 1},   {3, 2},    {5, 10},  {4, 7},     {2, 63},    {2, 64},
    {2, 65}, {3, 130}, {1, 1000}, {37, 17}, {110, 100}, {1100, 10}, /* work for three threads */
};

/* Logits of a beginning, of a trained and of a confident network, the last with terms down to the
 * subnormal numbers. */
static const double spreads[] = {1, 20, sizeof(T) == sizeof(float) ? 50 : 370};

static T *logits(ptrdiff_t n, double spread)
{
    T *z = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        z[i] = (T)(spread * (double)random_unit());
    return input_bytes(z, (size_t)n * sizeof(T));
}

static double sum_error(ptrdiff_t C) { return (double)C / 64 + 8; }

/* The parts of the bounds of one row, for a sum that leaves out class `t`. */
typedef struct row_errors {
    double largest, all, rest;    /* m, the sum of all e, of all but e_t */
    double all_error, rest_error; /* relative, in u; rest_error absolute: it may be 0 */
} row_errors;

static row_errors errors_of(ptrdiff_t C, const double *z_n, ptrdiff_t t)
{
    row_errors r = {z_n[0], 0, 0, 0, 0};
    for (ptrdiff_t c = 1; c < C; c++)
        r.largest = fmax(r.largest, z_n[c]);
    for (ptrdiff_t c = 0; c < C; c++) {
        double D = r.largest - z_n[c], e = exp(-D);
        r.all += e;
        r.all_error += e * (2 + D);
        if (c != t) {
            r.rest += e;
            r.rest_error += e * (2 + D);
        }
    }
    r.all_error = r.all_error / r.all + sum_error(C);
    r.rest_error = r.rest_error + r.rest * sum_error(C) + (double)C * SMALLEST / UNIT;
    return r;
}

static ptrdiff_t largest(ptrdiff_t C, const double *z_n)
{
    ptrdiff_t at = 0;
    for (ptrdiff_t c = 1; c < C; c++)
        if (z_n[c] > z_n[at])
            at = c;
    return at;
}

/* ---------------------------------------------------------------- softmax and log-softmax */

/* y = e_c / sum: both errors, a reciprocal and a product. log: D rounded once, the logarithm
 * with the error of its argument and three roundings, the result rounded once. */
static void forward_bounds(shape s, const double *z, const double *y, const double *log_y,
                           double *bound, double *log_bound)
{
    for (ptrdiff_t row = 0; row < s.N; row++) {
        const double *z_n = z + row * s.C;
        row_errors r = errors_of(s.C, z_n, largest(s.C, z_n));
        double log_sum = log1p(r.rest);
        for (ptrdiff_t i = row * s.C; i < (row + 1) * s.C; i++) {
            double D = r.largest - z[i];
            bound[i] = 2 * UNIT * (4 + D + r.all_error) * y[i] + 4 * SMALLEST;
            log_bound[i] = 2 * UNIT * (D + r.rest_error / r.all + 3 * log_sum + fabs(log_y[i]));
        }
    }
}

static void test_forward(shape s, double spread)
{
    check_case("forward N%td C%td spread %g", s.N, s.C, spread);
    ptrdiff_t n = s.N * s.C;
    cvl_softmax d = CVL_SOFTMAX_INIT;
    d.N = s.N;
    d.C = s.C;
    T *z = logits(n, spread), *first = NULL, *first_log = NULL;
    double *wide_z = widened(z, n), *want = doubles(n), *want_log = doubles(n);
    double *bound = doubles(n), *log_bound = doubles(n);
    cvl_reference_softmax_forward(&d, want, wide_z);
    cvl_reference_log_softmax_forward(&d, want_log, wide_z);
    forward_bounds(s, wide_z, want, want_log, bound, log_bound);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(n), *log_y = output(n);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(softmax_forward)(&d, y, z, &run) == CVL_OK);
        CHECK(NAME(log_softmax_forward)(&d, log_y, z, &run) == CVL_OK);
        if (first) {
            check_same("y", n, y, first);
            check_same("log y", n, log_y, first_log);
        } else {
            check_within("y", n, y, want, 1, bound);
            check_within("log y", n, log_y, want_log, 1, log_bound);
        }
        first = y;
        first_log = log_y;
    }
    check_memory();
}

/* dz = y (dy - sum dy y): the sum's error, a difference and a product. */
static void test_backward(shape s)
{
    check_case("backward N%td C%td", s.N, s.C);
    ptrdiff_t n = s.N * s.C;
    cvl_softmax d = CVL_SOFTMAX_INIT;
    d.N = s.N;
    d.C = s.C;
    T *z = logits(n, 4), *dy = input_random(n), *y = output(n), *log_y = output(n);
    cvl_exec one = run_with(1, 0);
    CHECK(NAME(softmax_forward)(&d, y, z, &one) == CVL_OK);
    CHECK(NAME(log_softmax_forward)(&d, log_y, z, &one) == CVL_OK);
    double *wide_y = widened(y, n), *wide_log = widened(log_y, n), *wide_dy = widened(dy, n);
    double *want = doubles(n), *want_log = doubles(n), *bound = doubles(n), *log_bound = doubles(n);
    cvl_reference_softmax_backward(&d, want, wide_dy, wide_y);
    cvl_reference_log_softmax_backward(&d, want_log, wide_dy, wide_log);
    for (ptrdiff_t row = 0; row < s.N; row++) {
        double sum = 0, products = 0;
        for (ptrdiff_t i = row * s.C; i < (row + 1) * s.C; i++) {
            sum += fabs(wide_dy[i]);
            products += fabs(wide_dy[i] * wide_y[i]);
        }
        for (ptrdiff_t i = row * s.C; i < (row + 1) * s.C; i++) {
            double p = exp(wide_log[i]);
            bound[i] =
                2 * UNIT * wide_y[i] * ((sum_error(s.C) + 3) * products + 2 * fabs(wide_dy[i])) +
                SMALLEST;
            /* dz = dy - exp(y) sum dy: an ulp of exp, the sum's error, one rounding. */
            log_bound[i] = 2 * UNIT * (p * (sum_error(s.C) + 4) * sum + fabs(wide_dy[i]));
        }
    }
    T *first = NULL, *first_log = NULL;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dz = output(n), *dz_log = output(n);
        cvl_exec run = run_with(threads, 0);
        CHECK(NAME(softmax_backward)(&d, dz, dy, y, &run) == CVL_OK);
        CHECK(NAME(log_softmax_backward)(&d, dz_log, dy, log_y, &run) == CVL_OK);
        if (first) {
            check_same("dz", n, dz, first);
            check_same("dz of log", n, dz_log, first_log);
        } else {
            check_within("dz", n, dz, want, 1, bound);
            check_within("dz of log", n, dz_log, want_log, 1, log_bound);
        }
        first = dz;
        first_log = dz_log;
    }
    check_memory();
}

/* ---------------------------------------------------------------- cross-entropy */

/* A row's bounds with a label: dz_c as y_c; dz_t = -rest / all; the loss log1p(rest) where the
 * target is the largest, else log(all) with the error of `all`, and the exact distance. */
static double label_bounds(ptrdiff_t C, const double *z_n, ptrdiff_t t, const double *dz_n,
                           double *bound_n)
{
    row_errors r = errors_of(C, z_n, t);
    for (ptrdiff_t c = 0; c < C; c++)
        bound_n[c] =
            2 * UNIT * (5 + r.largest - z_n[c] + r.all_error) * fabs(dz_n[c]) + 4 * SMALLEST;
    bound_n[t] =
        2 * UNIT * (r.rest_error / r.all + (r.all_error + 4) * r.rest / r.all) + 4 * SMALLEST;
    double distance = r.largest - z_n[t];
    if (distance > 0)
        return 2 * UNIT * (r.all_error + 1) + 8 * 0x1p-53 * (distance + log(r.all));
    return 2 * UNIT * r.rest_error / r.all + 8 * 0x1p-53 * log1p(r.rest);
}

/* A row's bounds with targets q, Q their sum and |q| that of their magnitudes: dz_c = p_c Q - q_c
 * has the errors of p and Q and a rounding of each term; at the largest, where it is
 * (Q - q) - (rest / all) Q, alike. */
static double soft_bounds(ptrdiff_t C, const double *z_n, const double *q_n, double *bound_n)
{
    ptrdiff_t first = largest(C, z_n);
    row_errors r = errors_of(C, z_n, first);
    double sum = 0, weighted = 0, log_sum = log1p(r.rest);
    for (ptrdiff_t c = 0; c < C; c++) {
        sum += fabs(q_n[c]);
        weighted += fabs(q_n[c]) * (r.largest - z_n[c]);
    }
    for (ptrdiff_t c = 0; c < C; c++) {
        double D = r.largest - z_n[c], p = exp(-D) / r.all;
        bound_n[c] =
            2 * UNIT * (p * (6 + D + r.all_error + sum_error(C)) * sum + 3 * fabs(q_n[c])) +
            4 * SMALLEST * (1 + sum); /* Q multiplies what e_c lost */
    }
    bound_n[first] = 2 * UNIT *
                     ((sum_error(C) + 2) * 2 * sum +
                      (r.rest_error / r.all + r.all_error * r.rest / r.all) * sum);
    return 2 * UNIT *
           ((sum_error(C) + 2) * (weighted + sum * log_sum) +
            sum * (r.rest_error / r.all + 3 * log_sum));
}

typedef struct entropy_problem {
    cvl_softmax_cross_entropy d;
    T *z, *q;
    int64_t *labels;
    double *loss, *dz, *loss_bound, *dz_bound; /* what the reference says */
} entropy_problem;

static ptrdiff_t loss_count(const cvl_softmax_cross_entropy *d)
{
    return d->reduction == CVL_REDUCTION_NONE ? d->N : 1;
}

static entropy_problem new_entropy(shape s, double spread, int soft, cvl_reduction reduction)
{
    ptrdiff_t n = s.N * s.C;
    entropy_problem p = {.d = CVL_SOFTMAX_CROSS_ENTROPY_INIT, .z = logits(n, spread)};
    p.d.N = s.N;
    p.d.C = s.C;
    p.d.reduction = reduction;
    int64_t *labels = (int64_t *)doubles(s.N);
    T *q = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < s.N; i++)
        labels[i] = (int64_t)(random_bits() % (uint64_t)s.C);
    for (ptrdiff_t i = 0; i < n; i++)
        q[i] = i % 3 ? (random_unit() + 1) / 2 : 0;
    p.labels = input_bytes(labels, (size_t)s.N * sizeof *labels);
    p.q = input_bytes(q, (size_t)n * sizeof(T));
    p.loss = doubles(s.N + 1);
    p.loss_bound = doubles(s.N + 1);
    p.dz = doubles(n);
    p.dz_bound = doubles(n);
    double *wide_z = widened(p.z, n), *wide_q = widened(p.q, n), total = 0, magnitudes = 0;
    double weight = reduction == CVL_REDUCTION_MEAN && s.N ? 1 / (double)s.N : 1;
    cvl_softmax_cross_entropy each = p.d;
    each.reduction = CVL_REDUCTION_NONE;
    if (soft)
        cvl_reference_softmax_cross_entropy_soft(&each, p.loss, p.dz, wide_z, wide_q, NULL, NULL);
    else
        cvl_reference_softmax_cross_entropy(&each, p.loss, p.dz, wide_z, labels, NULL, NULL);
    for (ptrdiff_t row = 0; row < s.N; row++) {
        ptrdiff_t at = row * s.C;
        p.loss_bound[row] =
            soft ? soft_bounds(s.C, wide_z + at, wide_q + at, p.dz_bound + at)
                 : label_bounds(s.C, wide_z + at, labels[row], p.dz + at, p.dz_bound + at);
        total += p.loss_bound[row];
        magnitudes += fabs(p.loss[row]);
    }
    for (ptrdiff_t i = 0; i < n; i++) /* weighing rounds once more */
        p.dz_bound[i] = p.dz_bound[i] * weight + 4 * UNIT * weight * fabs(p.dz[i]) + SMALLEST;
    if (soft)
        cvl_reference_softmax_cross_entropy_soft(&p.d, p.loss, p.dz, wide_z, wide_q, NULL, NULL);
    else
        cvl_reference_softmax_cross_entropy(&p.d, p.loss, p.dz, wide_z, labels, NULL, NULL);
    if (reduction != CVL_REDUCTION_NONE)
        p.loss_bound[0] = weight * (total + (double)(s.N + 2) * 0x1p-53 * magnitudes);
    return p;
}

static void test_cross_entropy(shape s, double spread, int soft, cvl_reduction reduction)
{
    check_case("cross-entropy N%td C%td spread %g soft %d reduction %d", s.N, s.C, spread, soft,
               (int)reduction);
    entropy_problem p = new_entropy(s, spread, soft, reduction);
    ptrdiff_t n = s.N * s.C, losses = loss_count(&p.d);
    T *first = NULL;
    double *first_loss = NULL;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dz = output(n);
        double *loss = output_bytes((size_t)losses * sizeof(double));
        cvl_exec run = run_with(threads, NAME(softmax_cross_entropy_workspace_size)(&p.d, threads));
        CHECK((soft ? NAME(softmax_cross_entropy_soft)(&p.d, loss, dz, p.z, p.q, NULL, NULL, &run)
                    : NAME(softmax_cross_entropy)(&p.d, loss, dz, p.z, p.labels, NULL, NULL,
                                                  &run)) == CVL_OK);
        if (first) {
            check_same("dz", n, dz, first);
            CHECK(memcmp(loss, first_loss, (size_t)losses * sizeof(double)) == 0);
            continue;
        }
        int near = 1;
        for (ptrdiff_t i = 0; i < losses; i++)
            near = near && fabs(loss[i] - p.loss[i]) <= p.loss_bound[i];
        CHECK(near);
        check_within("dz", n, dz, p.dz, 1, p.dz_bound);
        first = dz;
        first_loss = loss;
    }
    check_memory();
}

/* ---------------------------------------------------------------- promises of the header */

static void test_not_finite(void)
{
    enum { ROWS = 6, C = 70 };
    check_case("values that are not finite");
    cvl_softmax d = CVL_SOFTMAX_INIT;
    d.N = ROWS;
    d.C = C;
    T *values = (T *)doubles(ROWS * C), *y = output(ROWS * C), *log_y = output(ROWS * C);
    for (int i = 0; i < ROWS * C; i++)
        values[i] = random_unit();
    values[0 * C + 66] = (T)NAN;
    values[1 * C + 5] = (T)INFINITY;
    for (int c = 0; c < C; c++)
        values[2 * C + c] = (T)-INFINITY;
    values[3 * C + 69] = (T)-INFINITY; /* a class that cannot be: probability 0 */
    values[4 * C + 3] = (T)-INFINITY;
    values[4 * C + 4] = (T)NAN;
    T *z = input_bytes(values, ROWS * C * sizeof(T));
    cvl_exec run = run_with(1, 0);
    CHECK(NAME(softmax_forward)(&d, y, z, &run) == CVL_OK);
    CHECK(NAME(log_softmax_forward)(&d, log_y, z, &run) == CVL_OK);
    for (int row = 0; row < ROWS; row++) {
        int all_nan = 1, any_nan = 0, bad = row != 3 && row != 5;
        for (int i = row * C; i < (row + 1) * C; i++) {
            all_nan = all_nan && isnan(y[i]) && isnan(log_y[i]);
            any_nan = any_nan || isnan(y[i]) || isnan(log_y[i]);
        }
        CHECK(bad ? all_nan : !any_nan);
    }
    CHECK(y[3 * C + 69] == 0 && log_y[3 * C + 69] == (T)-INFINITY);
    check_memory();
}

/* A logit of +inf leaves its row no loss, be it the label's or another's. */
static void test_infinite_logit(ptrdiff_t C, ptrdiff_t at)
{
    check_case("an infinite logit C%td at %td", C, at);
    T *z = (T *)doubles(C), *dz = output(C);
    for (ptrdiff_t c = 0; c < C; c++)
        z[c] = c == at ? (T)INFINITY : random_unit();
    const int64_t label = 3;
    cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    d.N = 1;
    d.C = C;
    cvl_exec run = run_with(1, NAME(softmax_cross_entropy_workspace_size)(&d, 1));
    double loss = 0;
    CHECK(NAME(softmax_cross_entropy)(&d, &loss, dz, z, &label, NULL, NULL, &run) == CVL_OK);
    int all_nan = isnan(loss) != 0;
    for (ptrdiff_t c = 0; c < C; c++)
        all_nan = all_nan && isnan(dz[c]);
    CHECK(all_nan);
    check_memory();
}

/* One class: certain, whatever its logit. */
static void test_one_class(void)
{
    check_case("one class");
    T z[3] = {-7, 0, 1000}, y[3], log_y[3], dz[3];
    int64_t labels[3] = {0, 0, 0};
    double loss = -1;
    cvl_softmax d = {sizeof d, 3, 1};
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    entropy.N = 3;
    entropy.C = 1;
    cvl_exec run = run_with(1, NAME(softmax_cross_entropy_workspace_size)(&entropy, 1));
    CHECK(NAME(softmax_forward)(&d, y, z, &run) == CVL_OK);
    CHECK(NAME(log_softmax_forward)(&d, log_y, z, &run) == CVL_OK);
    CHECK(NAME(softmax_cross_entropy)(&entropy, &loss, dz, z, labels, NULL, NULL, &run) == CVL_OK);
    for (int i = 0; i < 3; i++)
        CHECK(y[i] == 1 && log_y[i] == 0 && dz[i] == 0);
    CHECK(loss == 0);
    check_memory();
}

static void test_all(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_backward(cases[i]);
        for (size_t k = 0; k < sizeof spreads / sizeof spreads[0]; k++) {
            test_forward(cases[i], spreads[k]);
            /* Every shape meets every reduction, each with one of the spreads; once, labels or soft
             * targets in turn. */
            for (int soft = 0; soft <= 1; soft++)
                if (!check_once() || soft == (int)(i + k) % 2)
                    test_cross_entropy(cases[i], spreads[k], soft, (cvl_reduction)((i + k) % 3));
        }
    }
    test_not_finite();
    for (ptrdiff_t at = 3; at < 5; at++) {
        test_infinite_logit(20, at);
        test_infinite_logit(70, at);
    }
    test_one_class();
}

int main(void) { return check_main(test_all); }
