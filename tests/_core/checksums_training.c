/* checksums_training.c: softmax, losses and optimizers: see checksums.c. */
#include "checksums.h"

/* ---------------------------------------------------------------- softmax, cross-entropy */

/* Wide enough that some exponentials are subnormal. */
static T *logits(ptrdiff_t n)
{
    const double spread = sizeof(T) == sizeof(float) ? 50 : 370;
    T *z = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        z[i] = (T)(spread * (double)random_unit());
    return input_bytes(z, (size_t)n * sizeof(T));
}

void sum_softmax(void)
{
    begin("softmax");
    for (ptrdiff_t C = 1; C < 300; C = 2 * C + 3) {
        const cvl_softmax d = {sizeof d, 40, C};
        const ptrdiff_t n = d.N * C;
        T *z = logits(n), *dy = input_random(n), *y = output(n), *log_y = output(n);
        T *dz = output(n), *dz_log = output(n);
        cvl_exec run = run_with(THREADS, 0);
        CHECK(NAME(softmax_forward)(&d, y, z, &run) == CVL_OK);
        CHECK(NAME(log_softmax_forward)(&d, log_y, z, &run) == CVL_OK);
        CHECK(NAME(softmax_backward)(&d, dz, dy, y, &run) == CVL_OK);
        CHECK(NAME(log_softmax_backward)(&d, dz_log, dy, log_y, &run) == CVL_OK);
        add_array(y, n);
        add_array(log_y, n);
        add_array(dz, n);
        add_array(dz_log, n);
    }
    end("softmax");
}

void sum_cross_entropy(void)
{
    begin("softmax_cross_entropy");
    for (int reduction = CVL_REDUCTION_NONE; reduction <= CVL_REDUCTION_MEAN; reduction++) {
        cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
        d.N = 777;
        d.C = 37;
        d.reduction = (cvl_reduction)reduction;
        const ptrdiff_t n = d.N * d.C, losses = reduction == CVL_REDUCTION_NONE ? d.N : 1;
        int64_t labels[777];
        for (ptrdiff_t i = 0; i < d.N; i++)
            labels[i] = (int64_t)(random_bits() % (uint64_t)d.C);
        T *z = input_random(n), *confident = logits(n), *q = input_random(n), *dz = output(n);
        double *loss = doubles(losses);
        cvl_exec run = run_with(THREADS, NAME(softmax_cross_entropy_workspace_size)(&d, THREADS));
        CHECK(NAME(softmax_cross_entropy)(&d, loss, dz, z, labels, NULL, NULL, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dz, n);
        CHECK(NAME(softmax_cross_entropy)(&d, loss, dz, confident, labels, NULL, NULL, &run) ==
              CVL_OK);
        add_doubles(loss, losses);
        add_array(dz, n);
        CHECK(NAME(softmax_cross_entropy_soft)(&d, loss, dz, z, q, NULL, NULL, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dz, n);
    }
    end("softmax_cross_entropy");
}

/* So many classes that a row is cut. */
void sum_many_classes(void)
{
    begin("many_classes");
    cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    d.N = 2;
    d.C = 40009;
    d.reduction = CVL_REDUCTION_MEAN;
    const int64_t labels[] = {7, 40008};
    const ptrdiff_t n = d.N * d.C;
    T *z = input_random(n), *dz = output(n);
    double loss[1];
    cvl_exec run = run_with(THREADS, NAME(softmax_cross_entropy_workspace_size)(&d, THREADS));
    CHECK(NAME(softmax_cross_entropy)(&d, loss, dz, z, labels, NULL, NULL, &run) == CVL_OK);
    add_doubles(loss, 1);
    add_array(dz, n);
    end("many_classes");
}

/* ---------------------------------------------------------------- losses */

static T *positive(ptrdiff_t n)
{
    T *x = (T *)doubles(n);
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = (random_unit() + 1) / 2;
    return input_bytes(x, (size_t)n * sizeof(T));
}

/* Cross-entropy with every option, and the negative log-likelihood. */
void sum_weighted_cross_entropy(void)
{
    begin("weighted_cross_entropy");
    for (int smooth = 0; smooth <= 1; smooth++) {
        cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
        cvl_nll nll = CVL_NLL_INIT;
        d.N = nll.N = 777;
        d.C = nll.C = 37;
        d.label_smoothing = smooth * 0.1;
        nll.ignore = 1;
        const ptrdiff_t n = d.N * d.C;
        int64_t labels[777];
        for (ptrdiff_t i = 0; i < d.N; i++)
            labels[i] = (int64_t)(random_bits() % (uint64_t)d.C);
        T *z = logits(n), *q = positive(n), *w = positive(d.C), *a = positive(d.N), *dz = output(n);
        double loss[1];
        cvl_exec run = run_with(THREADS, NAME(softmax_cross_entropy_workspace_size)(&d, THREADS));
        CHECK(NAME(softmax_cross_entropy_soft)(&d, loss, dz, z, q, w, a, &run) == CVL_OK);
        add_doubles(loss, 1);
        add_array(dz, n);
        d.ignore = 1;
        CHECK(NAME(softmax_cross_entropy)(&d, loss, dz, z, labels, w, a, &run) == CVL_OK);
        add_doubles(loss, 1);
        add_array(dz, n);
        CHECK(NAME(nll)(&nll, loss, dz, z, labels, w, a, &run) == CVL_OK);
        add_doubles(loss, 1);
        add_array(dz, n);
    }
    end("weighted_cross_entropy");
}

void sum_losses(void)
{
    begin("losses");
    for (int reduction = CVL_REDUCTION_NONE; reduction <= CVL_REDUCTION_MEAN; reduction++) {
        cvl_loss d = CVL_LOSS_INIT;
        d.n = 20011;
        d.delta = 0.3;
        d.gamma = 1.5;
        d.positive = 0.25;
        d.reduction = (cvl_reduction)reduction;
        const ptrdiff_t n = d.n, losses = reduction == CVL_REDUCTION_NONE ? n : 1;
        T *x = logits(n), *y = positive(n), *w = positive(n), *a = positive(n), *dx = output(n);
        double *loss = doubles(losses);
        cvl_exec run = run_with(THREADS, NAME(loss_workspace_size)(&d, THREADS));
        CHECK(NAME(mse)(&d, loss, dx, x, y, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dx, n);
        CHECK(NAME(huber)(&d, loss, dx, y, w, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dx, n);
        CHECK(NAME(binary_cross_entropy)(&d, loss, dx, x, y, w, a, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dx, n);
        CHECK(NAME(focal)(&d, loss, dx, x, y, &run) == CVL_OK);
        add_doubles(loss, losses);
        add_array(dx, n);
    }
    end("losses");
}

/* ---------------------------------------------------------------- optimizers */

enum { PARAMETERS = 20011, STEPS = 5 };

static NAME(segment) new_segment(void)
{
    NAME(segment) s = {PARAMETERS,         output(PARAMETERS), input_random(PARAMETERS),
                       output(PARAMETERS), output(PARAMETERS), output(PARAMETERS)};
    for (int i = 0; i < PARAMETERS; i++) {
        s.w[i] = random_unit();
        s.m[i] = s.v[i] = s.extra[i] = 0;
    }
    return s;
}

static void add_segment(const NAME(segment) *s)
{
    add_array(s->w, s->n);
    add_array(s->m, s->n);
    add_array(s->v, s->n);
}

void sum_optimizers(void)
{
    begin("optimizers");
    cvl_exec run = run_with(THREADS, 0);
    NAME(segment) sgd_segment = new_segment(), adam_segment = new_segment();
    NAME(segment) adagrad_segment = new_segment();
    cvl_sgd sgd = {sizeof sgd, 0.1, 0.9, 0.1, 0.01, 0.02, 1, 1, 1, 0};
    cvl_adam adam = {sizeof adam, 0.01, 0.9, 0.999, 1, 1, 1e-8, 0.01, 0.02, 0, 0, 1, 0};
    cvl_adagrad adagrad = {sizeof adagrad, 0.1, 1e-10, 0.01, 1, 0};
    double power1 = 1, power2 = 1;
    for (int step = 0; step < STEPS; step++) {
        power1 *= adam.beta1;
        power2 *= adam.beta2;
        adam.correction1 = 1 - power1;
        adam.correction2 = 1 - power2;
        CHECK(NAME(sgd_step)(&sgd, &sgd_segment, 1, &run) == CVL_OK);
        CHECK(NAME(adam_step)(&adam, &adam_segment, 1, &run) == CVL_OK);
        CHECK(NAME(adagrad_step)(&adagrad, &adagrad_segment, 1, &run) == CVL_OK);
        sgd.first = 0;
    }
    add_segment(&sgd_segment);
    add_segment(&adam_segment);
    add_segment(&adagrad_segment);
    end("optimizers");
}

void sum_adaptive_optimizers(void)
{
    begin("adaptive_optimizers");
    cvl_exec run = run_with(THREADS, 0);
    NAME(segment) segments[] = {new_segment(), new_segment(), new_segment(), new_segment()};
    cvl_adam adam = {sizeof adam, 0.01, 0.9, 0.999, 1, 1, 1e-8, 0.01, 0.02, 1, 1, 1, 0};
    cvl_nadam nadam = {sizeof nadam, 0.01, 0.9, 0.999, 0.4, 0.5, 0.6, 0.7, 1, 1e-8, 0.01, 1, 0};
    const cvl_rmsprop rmsprop = {sizeof rmsprop, 0.01, 0.9, 1e-8, 0.8, 0.01, 1, 1, 0};
    const cvl_lion lion = {sizeof lion, 0.01, 0.9, 0.99, 0.1, 1, 0};
    double power = 1;
    for (int step = 0; step < STEPS; step++) {
        power *= adam.beta2;
        adam.correction2 = nadam.correction2 = 1 - power;
        CHECK(NAME(adam_step)(&adam, &segments[0], 1, &run) == CVL_OK);
        CHECK(NAME(nadam_step)(&nadam, &segments[1], 1, &run) == CVL_OK);
        CHECK(NAME(rmsprop_step)(&rmsprop, &segments[2], 1, &run) == CVL_OK);
        CHECK(NAME(lion_step)(&lion, &segments[3], 1, &run) == CVL_OK);
    }
    for (int i = 0; i < 4; i++) {
        add_segment(&segments[i]);
        add_array(segments[i].extra, PARAMETERS);
    }
    end("adaptive_optimizers");
}

void sum_gradients(void)
{
    begin("gradients");
    NAME(segment) s = new_segment();
    double sum;
    cvl_exec run = run_with(THREADS, NAME(sum_squares_workspace_size)(&s, 1, THREADS));
    CHECK(NAME(sum_squares)(&sum, &s, 1, &run) == CVL_OK);
    CHECK(NAME(scale)(1 / sum, &s, 1, &run) == CVL_OK);
    CHECK(NAME(blend)(0.01, &s, 1, &run) == CVL_OK);
    CHECK(NAME(clip)(0.005, &s, 1, &run) == CVL_OK);
    add_doubles(&sum, 1);
    add_array(s.w, PARAMETERS);
    end("gradients");
}
