/* test_losses.c: the options of cross-entropy, and the other losses, against long double. */
#include "check.h"

#include <math.h>
#include <string.h>

enum { IGNORED = -100 };

/* ---------------------------------------------------------------- losses over classes */

typedef struct shape {
    ptrdiff_t N, C;
} shape;

static const shape shapes[] = {
    {0, 3},  {1, 1},  {5, 2},   {17, 10},  {3, 63},
    {4, 64}, {3, 65}, {2, 200}, {1100, 10}}; /* the last gives work to three threads */

/* Rows in blocks, which two threads share; the reference takes time in C^2. */
static const shape in_blocks = {3, 4200};

/* One problem with every option that `choice` names by its bits. */
typedef struct problem {
    cvl_softmax_cross_entropy d;
    int soft;
    T *z, *q, *class_weight, *sample_weight;
    int64_t *labels;
    double *wide_z, *wide_q, *wide_class, *wide_sample;
} problem;

enum { CLASS_WEIGHT = 1, SAMPLE_WEIGHT = 2, IGNORE = 4, SMOOTH = 8, SOFT = 16, CHOICES = 32 };

static T *weights(ptrdiff_t n)
{
    T *w = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        w[i] = i % 5 == 3 ? 0 : random_unit() + (T)1.25;
    return input_bytes(w, (size_t)n * sizeof(T));
}

/* Ignored rows hold NaN, and so do their weights. */
static problem new_problem(shape s, int choice, cvl_reduction reduction)
{
    const ptrdiff_t n = s.N * s.C;
    problem p = {.d = CVL_SOFTMAX_CROSS_ENTROPY_INIT, .soft = (choice & SOFT) != 0};
    p.d.N = s.N;
    p.d.C = s.C;
    p.d.reduction = reduction;
    p.d.label_smoothing = choice & SMOOTH ? 0.125 : 0;
    p.d.ignore = (choice & IGNORE) != 0;
    p.d.ignore_index = IGNORED;
    T *z = (T *)doubles(n), *q = (T *)doubles(n), *sample = (T *)doubles(s.N);
    int64_t *labels = (int64_t *)doubles(s.N);
    for (ptrdiff_t i = 0; i < n; i++) {
        z[i] = 5 * random_unit();
        q[i] = i % 3 ? (random_unit() + 1) / 2 : 0;
    }
    for (ptrdiff_t i = 0; i < s.N; i++) {
        labels[i] = (int64_t)(random_bits() % (uint64_t)s.C);
        sample[i] = i % 4 == 2 ? 0 : random_unit() + (T)1.25;
        if (p.d.ignore && i % 3 == 1) {
            labels[i] = IGNORED;
            sample[i] = (T)NAN;
            for (ptrdiff_t c = 0; c < s.C; c++)
                z[i * s.C + c] = c % 2 ? (T)NAN : (T)INFINITY;
        }
    }
    p.z = input_bytes(z, (size_t)n * sizeof(T));
    p.q = input_bytes(q, (size_t)n * sizeof(T));
    p.labels = input_bytes(labels, (size_t)s.N * sizeof *labels);
    p.wide_z = widened(p.z, n);
    p.wide_q = widened(p.q, n);
    if (choice & CLASS_WEIGHT) {
        p.class_weight = weights(s.C);
        p.wide_class = widened(p.class_weight, s.C);
    }
    if (choice & SAMPLE_WEIGHT) {
        p.sample_weight = input_bytes(sample, (size_t)s.N * sizeof(T));
        p.wide_sample = widened(p.sample_weight, s.N);
    }
    return p;
}

/* What a row's rounding errors are proportional to: a sum u (m - z + log sum + 1), which its loss
 * is below, with m - z up to 10. Its factor holds the roundings of a sum over C terms, of exp of
 * such a distance, and of u. */
static double magnitude_of(const problem *p, ptrdiff_t n)
{
    const ptrdiff_t C = p->d.C;
    const double *z_n = p->wide_z + n * C, s = p->d.label_smoothing;
    double largest = z_n[0], U = 0, sum = 0;
    if (p->d.ignore && p->labels[n] == IGNORED)
        return 0;
    for (ptrdiff_t c = 0; c < C; c++)
        largest = fmax(largest, z_n[c]);
    for (ptrdiff_t c = 0; c < C; c++) {
        double q = p->soft ? p->wide_q[n * C + c] : (double)(c == p->labels[n]);
        double u = (p->wide_class ? p->wide_class[c] : 1) * ((1 - s) * q + s / (double)C);
        U += u;
        sum += u * (largest - z_n[c]);
    }
    return (p->wide_sample ? p->wide_sample[n] : 1) * (sum + U * (log((double)C) + 1));
}

static void reference(const problem *p, double *loss, double *dz)
{
    if (p->soft)
        cvl_reference_softmax_cross_entropy_soft(&p->d, loss, dz, p->wide_z, p->wide_q,
                                                 p->wide_class, p->wide_sample);
    else
        cvl_reference_softmax_cross_entropy(&p->d, loss, dz, p->wide_z, p->labels, p->wide_class,
                                            p->wide_sample);
}

static cvl_status run_problem(const problem *p, double *loss, T *dz, int threads)
{
    cvl_exec run = run_with(threads, NAME(softmax_cross_entropy_workspace_size)(&p->d, threads));
    return p->soft ? NAME(softmax_cross_entropy_soft)(&p->d, loss, dz, p->z, p->q, p->class_weight,
                                                      p->sample_weight, &run)
                   : NAME(softmax_cross_entropy)(&p->d, loss, dz, p->z, p->labels, p->class_weight,
                                                 p->sample_weight, &run);
}

static int all_near(ptrdiff_t n, const double *got, const double *want, const double *bound)
{
    int near = 1;
    for (ptrdiff_t i = 0; i < n; i++)
        near = near && fabs(got[i] - want[i]) <= bound[i];
    return near;
}

static void test_options(shape s, int choice, cvl_reduction reduction)
{
    check_case("cross-entropy N%td C%td options %d reduction %d", s.N, s.C, choice, (int)reduction);
    const problem p = new_problem(s, choice, reduction);
    const ptrdiff_t n = s.N * s.C, losses = reduction == CVL_REDUCTION_NONE ? s.N : 1;
    const double factor = 2 * UNIT * ((double)s.C / 64 + 24);
    double *want = doubles(n), *want_loss = doubles(s.N + 1), *bound = doubles(n), divisor = 1;
    double *loss_bound = doubles(s.N + 1), total = 0;
    reference(&p, want_loss, want);
    if (reduction == CVL_REDUCTION_MEAN && want_loss[0] > 0) {
        problem sum = p;
        double *unused = doubles(n), *sum_loss = doubles(1);
        sum.d.reduction = CVL_REDUCTION_SUM;
        reference(&sum, sum_loss, unused);
        divisor = sum_loss[0] / want_loss[0];
    }
    for (ptrdiff_t row = 0; row < s.N; row++) {
        const double scale = factor * magnitude_of(&p, row) / divisor;
        for (ptrdiff_t c = 0; c < s.C; c++)
            bound[row * s.C + c] = scale;
        loss_bound[row] = scale;
        total += scale;
    }
    if (reduction != CVL_REDUCTION_NONE)
        loss_bound[0] = total;
    T *first = NULL;
    double *first_loss = NULL;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dz = output(n);
        double *loss = output_bytes((size_t)losses * sizeof(double));
        CHECK(run_problem(&p, loss, dz, threads) == CVL_OK);
        if (first) {
            check_same("dz", n, dz, first);
            CHECK(memcmp(loss, first_loss, (size_t)losses * sizeof(double)) == 0);
            continue;
        }
        CHECK(all_near(losses, loss, want_loss, loss_bound));
        check_within("dz", n, dz, want, 1, bound);
        first = dz;
        first_loss = loss;
    }
    check_memory();
}

/* A single term -a w x: exact but for the products. */
static void test_nll(shape s, int choice, cvl_reduction reduction)
{
    check_case("nll N%td C%td options %d reduction %d", s.N, s.C, choice, (int)reduction);
    const problem p = new_problem(s, choice, reduction);
    const ptrdiff_t n = s.N * s.C, losses = reduction == CVL_REDUCTION_NONE ? s.N : 1;
    cvl_nll d = CVL_NLL_INIT;
    d.N = s.N;
    d.C = s.C;
    d.reduction = reduction;
    d.ignore = p.d.ignore;
    d.ignore_index = IGNORED;
    double *want = doubles(n), *want_loss = doubles(s.N + 1), *loss_bound = doubles(s.N + 1);
    cvl_reference_nll(&d, want_loss, want, p.wide_z, p.labels, p.wide_class, p.wide_sample);
    for (ptrdiff_t i = 0; i < losses; i++) /* terms of both signs, of up to 5 * 2.25^2 each */
        loss_bound[i] = 0x1p-53 * 64 * (reduction == CVL_REDUCTION_SUM ? (double)s.N : 4);
    T *first = NULL;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dx = output(n);
        double *loss = output_bytes((size_t)losses * sizeof(double));
        cvl_exec run = run_with(threads, NAME(nll_workspace_size)(&d, threads));
        CHECK(NAME(nll)(&d, loss, dx, p.z, p.labels, p.class_weight, p.sample_weight, &run) ==
              CVL_OK);
        CHECK(all_near(losses, loss, want_loss, loss_bound));
        /* The divisor adds up N weights in eight chains. */
        check_within("dx", n, dx, want, 2 * UNIT + 0x1p-53 * ((double)s.N / 8 + 4),
                     magnitude(want, n));
        if (first)
            check_same("dx", n, dx, first);
        first = dx;
    }
    check_memory();
}

/* Weights scale a confident row and cost it no digits. */
static void test_confident(void)
{
    check_case("a confident row with weights");
    T z[3] = {23, 0, 1}, class_weight[3] = {2, 1, 1}, sample_weight[1] = {3}, dz[3];
    const int64_t label = 0;
    cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    d.N = 1;
    d.C = 3;
    d.reduction = CVL_REDUCTION_NONE;
    cvl_exec run = run_with(1, 0);
    double loss = 0, rest = exp(-23) + exp(-22), want = 6 * log1p(rest);
    CHECK(NAME(softmax_cross_entropy)(&d, &loss, dz, z, &label, class_weight, sample_weight,
                                      &run) == CVL_OK);
    CHECK(fabs(loss - want) <= 64 * UNIT * want);
    CHECK(fabs(dz[0] + 6 * rest / (1 + rest)) <= 64 * UNIT * want);
    check_memory();
}

/* A row finite at two classes only, the label `at` and, lower by `below`, `other`; or a NaN there. */
static void test_two_classes(ptrdiff_t C, ptrdiff_t at, ptrdiff_t other, double below, int way)
{
    const int soft = way % 2, threads = 1 + way / 2;
    check_case("C%td label %td other %td below %g soft %d threads %d", C, at, other, below, soft,
               threads);
    T *z = (T *)doubles(C), *q = (T *)doubles(C), *dz = output(C);
    for (ptrdiff_t c = 0; c < C; c++) {
        z[c] = (T)-INFINITY;
        q[c] = 0;
    }
    z[at] = 40;
    z[other] = (T)(40 - below);
    q[at] = 1;
    const int64_t label = at;
    cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    d.N = 1;
    d.C = C;
    cvl_exec run = run_with(threads, NAME(softmax_cross_entropy_workspace_size)(&d, threads));
    double loss = 0, want = log1p(exp(-below)), p = exp(-below) / (1 + exp(-below));
    CHECK((soft ? NAME(softmax_cross_entropy_soft)(&d, &loss, dz, z, q, NULL, NULL, &run)
                : NAME(softmax_cross_entropy)(&d, &loss, dz, z, &label, NULL, NULL, &run)) ==
          CVL_OK);
    CHECK(isnan(below) ? isnan(loss) : fabs(loss - want) <= 16 * UNIT * want);
    ptrdiff_t wrong = 0;
    for (ptrdiff_t c = 0; c < C; c++) {
        const double want_c = c == at ? -p : c == other ? p : 0;
        wrong += isnan(below) ? !isnan(dz[c]) : !(fabs((double)dz[c] - want_c) <= 16 * UNIT * p);
    }
    CHECK(wrong == 0);
    check_memory();
}

/* A mean over nothing, by rows ignored, weighed 0, or not there. */
static void test_empty(void)
{
    const T z[4] = {1, 2, (T)NAN, 3}, zeros[2] = {0, 0};
    const int64_t ignored[2] = {IGNORED, IGNORED}, labels[2] = {0, 1};
    for (int empty = CVL_EMPTY_ZERO; empty <= CVL_EMPTY_ERROR; empty++)
        for (int why = 0; why < 3; why++)
            for (int smooth = 0; smooth < 2; smooth++) {
                check_case("a mean over nothing: empty %d why %d smooth %d", empty, why, smooth);
                cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
                d.N = why == 2 ? 0 : 2;
                d.C = 2;
                d.empty = (cvl_empty)empty;
                d.ignore = 1;
                d.ignore_index = IGNORED;
                d.label_smoothing = smooth ? 0.5 : 0;
                cvl_exec run = run_with(1, NAME(softmax_cross_entropy_workspace_size)(&d, 1));
                T *dz = output(4);
                double *loss = output_bytes(sizeof *loss);
                cvl_status status = NAME(softmax_cross_entropy)(
                    &d, loss, dz, z, why ? labels : ignored, why ? zeros : NULL, NULL, &run);
                CHECK(status == (empty == CVL_EMPTY_ERROR ? CVL_ERR_EMPTY : CVL_OK));
                if (status == CVL_OK) {
                    CHECK(empty == CVL_EMPTY_NAN ? isnan(*loss) : *loss == 0);
                    for (int i = 0; i < 2 * d.N; i++)
                        CHECK(dz[i] == 0);
                } else {
                    CHECK(untouched(dz, 4 * sizeof(T)) && untouched(loss, sizeof *loss));
                }
                check_memory();
            }
}

/* ---------------------------------------------------------------- losses over elements */

enum { MSE, L1, HUBER, SMOOTH_L1, BINARY, WEIGHTED_BINARY, FOCAL, FOCAL_SOFT, KINDS };

typedef struct elements {
    cvl_loss d;
    int kind;
    const T *x, *y, *positive, *weight;
    const double *wide_x, *wide_y, *wide_positive, *wide_weight;
} elements;

static cvl_status run_elements(const elements *e, double *loss, T *dx, const cvl_exec *run)
{
    switch (e->kind) {
    case MSE:
        return NAME(mse)(&e->d, loss, dx, e->x, e->y, run);
    case L1:
        return NAME(l1)(&e->d, loss, dx, e->x, e->y, run);
    case HUBER:
        return NAME(huber)(&e->d, loss, dx, e->x, e->y, run);
    case SMOOTH_L1:
        return NAME(smooth_l1)(&e->d, loss, dx, e->x, e->y, run);
    case FOCAL:
    case FOCAL_SOFT:
        return NAME(focal)(&e->d, loss, dx, e->x, e->y, run);
    default:
        return NAME(binary_cross_entropy)(&e->d, loss, dx, e->x, e->y, e->positive, e->weight, run);
    }
}

static void elements_reference(const elements *e, double *loss, double *dx)
{
    switch (e->kind) {
    case MSE:
        cvl_reference_mse(&e->d, loss, dx, e->wide_x, e->wide_y);
        break;
    case L1:
        cvl_reference_l1(&e->d, loss, dx, e->wide_x, e->wide_y);
        break;
    case HUBER:
        cvl_reference_huber(&e->d, loss, dx, e->wide_x, e->wide_y);
        break;
    case SMOOTH_L1:
        cvl_reference_smooth_l1(&e->d, loss, dx, e->wide_x, e->wide_y);
        break;
    case FOCAL:
    case FOCAL_SOFT:
        cvl_reference_focal(&e->d, loss, dx, e->wide_x, e->wide_y);
        break;
    default:
        cvl_reference_binary_cross_entropy(&e->d, loss, dx, e->wide_x, e->wide_y, e->wide_positive,
                                           e->wide_weight);
    }
}

/* Errors in units of u, relative to the value: a difference that is rounded counts once for every
 * power of it; softplus and sigmoid come from exp (1 ulp), log1p (1 ulp) and a few operations. The
 * power of the focal loss multiplies the error of its logarithm, up to gamma * 30 here. Targets
 * between 0 and 1 let the gradient's terms cancel: then the error is relative to the terms, which
 * are below 1 + gamma times the loss, and weights up to 2.25^2. */
static double relative_error(int kind) { return kind >= FOCAL ? 300 : 16; }

static int cancels(int kind) { return kind == WEIGHTED_BINARY || kind == FOCAL_SOFT; }

static void test_elements(int kind, ptrdiff_t n, cvl_reduction reduction)
{
    check_case("loss %d n%td reduction %d", kind, n, (int)reduction);
    elements e = {.d = CVL_LOSS_INIT, .kind = kind};
    T *x = (T *)doubles(n), *y = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] = random_unit() * (kind >= BINARY ? 30 : 2);
        y[i] = random_unit();
        if (kind >= BINARY)
            y[i] = cancels(kind) ? (y[i] + 1) / 2 : y[i] > 0;
    }
    if (n > 3 && kind < BINARY)
        y[3] = x[3];
    e.d.n = n;
    e.d.reduction = reduction;
    e.d.delta = 0.75;
    e.d.gamma = 1.5;
    e.d.positive = 0.25;
    e.d.negative = 0.75;
    e.x = input_bytes(x, (size_t)n * sizeof(T));
    e.y = input_bytes(y, (size_t)n * sizeof(T));
    e.wide_x = widened(e.x, n);
    e.wide_y = widened(e.y, n);
    if (kind == WEIGHTED_BINARY) {
        e.positive = weights(n);
        e.weight = weights(n);
        e.wide_positive = widened(e.positive, n);
        e.wide_weight = widened(e.weight, n);
    }
    const ptrdiff_t losses = reduction == CVL_REDUCTION_NONE ? n : 1;
    const double share = reduction == CVL_REDUCTION_MEAN && n ? 1 / (double)n : 1;
    double *want = doubles(n), *want_loss = doubles(n + 1), *bound = doubles(n);
    double *loss_bound = doubles(n + 1);
    elements_reference(&e, want_loss, want);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double scale = fabs(want[i]) + (cancels(kind) ? 80 * share : 0);
        bound[i] = relative_error(kind) * UNIT * scale + 4 * SMALLEST;
    }
    for (ptrdiff_t i = 0; i < losses; i++)
        loss_bound[i] = relative_error(kind) * UNIT * fabs(want_loss[i]) + 4 * SMALLEST;
    T *first = NULL;
    double *first_loss = NULL;
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *dx = output(n);
        double *loss = output_bytes((size_t)losses * sizeof(double));
        cvl_exec run = run_with(threads, NAME(loss_workspace_size)(&e.d, threads));
        CHECK(run_elements(&e, loss, dx, &run) == CVL_OK);
        if (first) {
            check_same("dx", n, dx, first);
            CHECK(memcmp(loss, first_loss, (size_t)losses * sizeof(double)) == 0);
            continue;
        }
        CHECK(all_near(losses, loss, want_loss, loss_bound));
        check_within("dx", n, dx, want, 1, bound);
        first = dx;
        first_loss = loss;
    }
    check_memory();
}

/* Infinite logits have the limit of the loss, NaN stays NaN. */
static void test_limits(void)
{
    check_case("infinite logits");
    const T x[6] = {(T)INFINITY, (T)INFINITY, (T)-INFINITY, (T)-INFINITY, (T)NAN, (T)NAN};
    const T y[6] = {1, 0, 0, 1, 0, 1};
    for (int kind = BINARY; kind <= FOCAL_SOFT; kind++)
        for (double gamma = 0; gamma < 3; gamma += 2) {
            elements e = {.d = CVL_LOSS_INIT, .kind = kind, .x = x, .y = y};
            double loss[6];
            T dx[6];
            cvl_exec run = run_with(1, 0);
            e.d.n = 6;
            e.d.gamma = gamma;
            e.d.reduction = CVL_REDUCTION_NONE;
            CHECK(run_elements(&e, loss, dx, &run) == CVL_OK);
            for (int i = 0; i < 4; i++)
                CHECK(i % 2 ? isinf(loss[i]) : loss[i] == 0 && dx[i] == 0);
            CHECK(isnan(loss[4]) && isnan(loss[5]) && isnan(dx[4]) && isnan(dx[5]));
        }
    check_memory();
}

/* A delta that has no reciprocal counts as 0: smooth L1 is L1 then. */
static void test_tiny_delta(void)
{
    check_case("a delta too small to divide by");
    const T x[3] = {1, -2, 0}, y[3] = {0, 0, 0};
    T dx[3], dx_of_l1[3];
    double loss = 0, loss_of_l1 = 0;
    cvl_loss d = CVL_LOSS_INIT;
    d.n = 3;
    d.delta = SMALLEST;
    cvl_exec run = run_with(1, NAME(loss_workspace_size)(&d, 1));
    CHECK(NAME(smooth_l1)(&d, &loss, dx, x, y, &run) == CVL_OK);
    CHECK(NAME(l1)(&d, &loss_of_l1, dx_of_l1, x, y, &run) == CVL_OK);
    check_same("dx", 3, dx, dx_of_l1);
    CHECK(loss == loss_of_l1);
    check_memory();
}

/* ---------------------------------------------------------------- what is refused */

static void test_refused(void)
{
    check_case("what losses refuse");
    const T good[4] = {0, 1, 1, 0}, negative[4] = {0, 1, -1, 0}, two[4] = {2, 0, 0, 0};
    const T nan[4] = {0, (T)NAN, 0, 0}, infinite[4] = {0, (T)INFINITY, 0, 0};
    const T *bad[] = {negative, nan, infinite};
    const int64_t labels[2] = {1, IGNORED}, fit[2] = {1, 0};
    T *dx = output(4);
    double *loss = output_bytes(4 * sizeof(double));
    cvl_exec run = run_with(1, 64);
    cvl_loss d = CVL_LOSS_INIT;
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    cvl_nll nll = CVL_NLL_INIT;
    d.n = 4;
    entropy.N = entropy.C = nll.N = nll.C = 2;
    for (int i = 0; i < 3; i++) {
        CHECK(NAME(binary_cross_entropy)(&d, loss, dx, good, bad[i], NULL, NULL, &run) ==
              CVL_ERR_LABEL);
        CHECK(NAME(focal)(&d, loss, dx, good, bad[i], &run) == CVL_ERR_LABEL);
        CHECK(NAME(binary_cross_entropy)(&d, loss, dx, good, good, bad[i], NULL, &run) ==
              CVL_ERR_WEIGHT);
        CHECK(NAME(binary_cross_entropy)(&d, loss, dx, good, good, NULL, bad[i], &run) ==
              CVL_ERR_WEIGHT);
    }
    CHECK(NAME(focal)(&d, loss, dx, good, two, &run) == CVL_ERR_LABEL);
    entropy.reduction = CVL_REDUCTION_SUM; /* of which no divisor tells */
    for (int i = 0; i < 3; i++) {
        CHECK(NAME(softmax_cross_entropy)(&entropy, loss, dx, good, fit, bad[i] + 1, NULL, &run) ==
              CVL_ERR_WEIGHT);
        CHECK(NAME(softmax_cross_entropy_soft)(&entropy, loss, dx, good, good, NULL, bad[i] + 1,
                                               &run) == CVL_ERR_WEIGHT);
        CHECK(NAME(nll)(&nll, loss, dx, good, fit, bad[i] + 1, NULL, &run) == CVL_ERR_WEIGHT);
    }
    entropy.reduction = CVL_REDUCTION_MEAN;
    if (sizeof(T) == sizeof(double)) { /* floats add up to less in double */
        const T large[2] = {(T)1.7e308, (T)1.7e308};
        CHECK(NAME(softmax_cross_entropy)(&entropy, loss, dx, good, fit, NULL, large, &run) ==
              CVL_ERR_WEIGHT);
    }
    CHECK(NAME(softmax_cross_entropy)(&entropy, loss, dx, good, labels, NULL, NULL, &run) ==
          CVL_ERR_LABEL);
    CHECK(NAME(nll)(&nll, loss, dx, good, labels, NULL, NULL, &run) == CVL_ERR_LABEL);
    entropy.ignore = 1;
    CHECK(NAME(softmax_cross_entropy_soft)(&entropy, loss, dx, good, good, NULL, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    entropy.label_smoothing = NAN;
    CHECK(NAME(softmax_cross_entropy)(&entropy, loss, dx, good, fit, NULL, NULL, &run) ==
          CVL_ERR_ARGUMENT);
    nll.empty = (cvl_empty)3;
    CHECK(NAME(nll)(&nll, loss, dx, good, fit, NULL, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(nll_workspace_size)(&nll, 1) == 0);
    CHECK(NAME(mse)(&d, loss, dx, good, NULL, &run) == CVL_ERR_ARGUMENT);
    run.workspace_bytes = 0;
    CHECK(NAME(mse)(&d, loss, dx, good, good, &run) == CVL_ERR_WORKSPACE);
    d.gamma = INFINITY;
    CHECK(NAME(focal)(&d, loss, dx, good, good, &run) == CVL_ERR_ARGUMENT);
    d.gamma = 0;
    d.negative = INFINITY;
    CHECK(NAME(focal)(&d, loss, dx, good, good, &run) == CVL_ERR_WEIGHT);
    d.negative = 1;
    d.delta = 0;
    CHECK(NAME(huber)(&d, loss, dx, good, good, &run) == CVL_ERR_ARGUMENT);
    d.n = -1;
    CHECK(NAME(l1)(&d, loss, dx, good, good, &run) == CVL_ERR_SHAPE);
    CHECK(NAME(loss_workspace_size)(&d, 1) == 0);
    CHECK(untouched(dx, 4 * sizeof(T)) && untouched(loss, 4 * sizeof(double)));
    check_memory();
}

static void test_all(void)
{
    static const ptrdiff_t counts[] = {0, 1, 63, 64, 65, 4096, 4097, 13000};
    const double subnormal = sizeof(T) == sizeof(float) ? 88 : 709; /* exp(-it) is */
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int choice = 0; choice < CHOICES; choice++) {
            const cvl_reduction reduction = (cvl_reduction)((int)(i + (size_t)choice) % 3);
            if ((choice & SOFT) && (choice & IGNORE))
                continue;
            test_options(shapes[i], choice, reduction);
            if (!(choice & (SOFT | SMOOTH)))
                test_nll(shapes[i], choice, reduction);
        }
    test_options(in_blocks, 0, CVL_REDUCTION_SUM);
    test_options(in_blocks, CLASS_WEIGHT | SAMPLE_WEIGHT | IGNORE, CVL_REDUCTION_NONE);
    test_options(in_blocks, SMOOTH | CLASS_WEIGHT | IGNORE, CVL_REDUCTION_SUM);
    test_options(in_blocks, SOFT, CVL_REDUCTION_NONE);
    test_options(in_blocks, SOFT | SMOOTH | CLASS_WEIGHT | SAMPLE_WEIGHT, CVL_REDUCTION_MEAN);
    for (int reduction = CVL_REDUCTION_NONE; reduction <= CVL_REDUCTION_MEAN; reduction++)
        for (int choice = 0; choice < CHOICES; choice++)
            if (!((choice & SOFT) && (choice & IGNORE)))
                test_options((shape){17, 10}, choice, (cvl_reduction)reduction);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int reduction = CVL_REDUCTION_NONE; reduction <= CVL_REDUCTION_MEAN; reduction++)
                test_elements(kind, counts[i], (cvl_reduction)reduction);
    test_confident();
    for (int way = 0; way < 6; way++) { /* with or without soft targets, by 1 to 3 threads */
        test_two_classes(13000, 5, 12999, 0, way); /* in blocks */
        test_two_classes(13000, 12990, 3, 0, way);
        test_two_classes(13000, 12990, 3, 23, way);
        test_two_classes(13000, 7000, 7001, 1, way);
        test_two_classes(13000, 3, 12000, -2, way);
        test_two_classes(13000, 6000, 9000, (double)NAN, way);
        test_two_classes(13000, 6000, 9000, subnormal, way);
    }
    for (int way = 0; way < 2; way++) {
        test_two_classes(20, 5, 17, 23, way);
        test_two_classes(20, 17, 0, -2, way);
        test_two_classes(20, 0, 19, (double)NAN, way);
        test_two_classes(20, 18, 3, subnormal, way);
    }
    test_empty();
    test_limits();
    test_tiny_delta();
    test_refused();
}

int main(void) { return check_main(test_all); }
