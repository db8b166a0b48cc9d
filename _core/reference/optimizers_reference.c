/* optimizers_reference.c: one step of each optimizer, parameter by parameter. */
#include "reference.h"

#include <math.h>

/* numerator / denominator, and 0 where the denominator is 0. */
static double quotient(double numerator, double denominator)
{
    return denominator == 0 ? 0 : numerator / denominator;
}

static double take(const cvl_segment_f64 *s, ptrdiff_t i, double scale, int clear)
{
    const double g = scale * s->g[i];
    if (clear)
        s->g[i] = 0;
    return g;
}

void cvl_reference_sgd_step(const cvl_sgd *d, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients) + d->l2 * s->w[i];
            if (d->momentum != 0) {
                s->m[i] = d->first ? g : d->momentum * s->m[i] + (1 - d->dampening) * g;
                g = d->nesterov ? g + d->momentum * s->m[i] : s->m[i];
            }
            s->w[i] = (1 - d->lr * d->weight_decay) * s->w[i] - d->lr * g;
        }
}

void cvl_reference_adam_step(const cvl_adam *d, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients) + d->l2 * s->w[i];
            s->m[i] = d->beta1 * s->m[i] + (1 - d->beta1) * g;
            s->v[i] = d->beta2 * s->v[i] + (1 - d->beta2) * g * g;
            double second = s->v[i];
            if (d->amsgrad)
                second = s->extra[i] = fmax(s->extra[i], s->v[i]);
            double denominator = sqrt(second / d->correction2) + d->eps;
            if (d->eps_hat)
                denominator = (sqrt(second) + d->eps) / sqrt(d->correction2);
            s->w[i] = (1 - d->lr * d->weight_decay) * s->w[i] -
                      d->lr * quotient(s->m[i] / d->correction1, denominator);
        }
}

void cvl_reference_adagrad_step(const cvl_adagrad *d, const cvl_segment_f64 *segments,
                                ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients) + d->l2 * s->w[i];
            s->v[i] += g * g;
            s->w[i] -= d->lr * quotient(g, sqrt(s->v[i]) + d->eps);
        }
}

void cvl_reference_nadam_step(const cvl_nadam *d, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients) + d->l2 * s->w[i];
            s->m[i] = d->beta1 * s->m[i] + (1 - d->beta1) * g;
            s->v[i] = d->beta2 * s->v[i] + (1 - d->beta2) * g * g;
            double denominator = sqrt(s->v[i] / d->correction2) + d->eps;
            double direction =
                (1 - d->mu) * g / d->correction1 + d->next_mu * s->m[i] / d->next_correction1;
            s->w[i] -= d->lr * quotient(direction, denominator);
        }
}

/* The centered v is held in E[g^2] - E[g]^2 as it stands, so that it judges the recursion. */
void cvl_reference_rmsprop_step(const cvl_rmsprop *d, const cvl_segment_f64 *segments,
                                ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients) + d->l2 * s->w[i];
            double squares = s->v[i];
            if (d->centered)
                squares += s->extra[i] * s->extra[i];
            s->v[i] = d->alpha * squares + (1 - d->alpha) * g * g;
            if (d->centered) {
                s->extra[i] = d->alpha * s->extra[i] + (1 - d->alpha) * g;
                s->v[i] -= s->extra[i] * s->extra[i];
            }
            double update = quotient(g, sqrt(s->v[i]) + d->eps);
            if (d->momentum != 0)
                update = s->m[i] = d->momentum * s->m[i] + update;
            s->w[i] -= d->lr * update;
        }
}

void cvl_reference_lion_step(const cvl_lion *d, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = take(s, i, d->gradient_scale, d->clear_gradients);
            double direction = d->beta1 * s->m[i] + (1 - d->beta1) * g;
            double sign = (direction > 0) - (direction < 0);
            s->m[i] = d->beta2 * s->m[i] + (1 - d->beta2) * g;
            s->w[i] = (1 - d->lr * d->weight_decay) * s->w[i] - d->lr * sign;
        }
}
