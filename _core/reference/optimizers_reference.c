/* optimizers_reference.c: one step of each optimizer, parameter by parameter. */
#include "reference.h"

#include <math.h>

/* numerator / denominator, and 0 where the denominator is 0. */
static double quotient(double numerator, double denominator)
{
    return denominator == 0 ? 0 : numerator / denominator;
}

void cvl_reference_sgd_step(const cvl_sgd *d, const cvl_segment_f64 *segments, ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = s->g[i] + d->l2 * s->w[i];
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
            double g = s->g[i] + d->l2 * s->w[i];
            s->m[i] = d->beta1 * s->m[i] + (1 - d->beta1) * g;
            s->v[i] = d->beta2 * s->v[i] + (1 - d->beta2) * g * g;
            double denominator = sqrt(s->v[i] / d->correction2) + d->eps;
            s->w[i] = (1 - d->lr * d->weight_decay) * s->w[i] -
                      d->lr * quotient(s->m[i] / d->correction1, denominator);
        }
}

void cvl_reference_adagrad_step(const cvl_adagrad *d, const cvl_segment_f64 *segments,
                                ptrdiff_t count)
{
    for (const cvl_segment_f64 *s = segments; s < segments + count; s++)
        for (ptrdiff_t i = 0; i < s->n; i++) {
            double g = s->g[i] + d->l2 * s->w[i];
            s->v[i] += g * g;
            s->w[i] -= d->lr * quotient(g, sqrt(s->v[i]) + d->eps);
        }
}
