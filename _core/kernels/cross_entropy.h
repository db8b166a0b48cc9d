/* cross_entropy.h: a row of cross-entropy: from the sums over its classes, its loss and gradient. */
#ifndef CVL_CROSS_ENTROPY_H
#define CVL_CROSS_ENTROPY_H

#include "class_rows.h"
#include "vmath.h"

/* What the sums of one row are made of. */
typedef struct row {
    ptrdiff_t C;
    const T *a, *b;
    T largest; /* of a */
    T *e;
    const T *w; /* of u = w (keep b + share), or NULL */
    T keep, share;
} row;

/* A row, and what its loss is made with. Rows of many classes are cut into blocks. */
typedef struct line {
    row r;
    int soft;
    ptrdiff_t target, leader; /* 0 with soft targets; where the block with r.largest begins */
    double own, peak;
} line;

INLINE line line_of(const TYPE(class_rows) *s, const int soft, ptrdiff_t n, T *dz, const T *z)
{
    const ptrdiff_t C = s->C;
    line l = {.r = {.C = C, .a = z + n * C, .largest = -INFINITY, .e = dz + n * C},
              .soft = soft,
              .target = s->labels ? label_of(s, n) : 0,
              .own = row_weight(s, n)};
    if (l.soft) {
        l.r.b = s->q ? s->q + n * C : NULL;
        l.r.w = s->class_weight;
        l.r.keep = (T)(1 - s->smoothing);
        l.r.share = (T)(s->smoothing / (double)C);
        l.peak = s->labels ? (double)l.r.keep * class_weight(s, l.target) : 0;
    }
    return l;
}

/* A row's gradient: e times `factor`; where targets are soft, less the coefficients and, at the
 * target, `peak`; and `skipped` at the class that the sums left out. */
typedef struct gradient {
    T factor, minus_weight;
    double peak, skipped;
} gradient;

/* Sums of u: without the class that the sums left out, and with it. */
typedef struct totals {
    double others, all;
} totals;

INLINE totals totals_of(const line *l, const cvl_class_sums *s)
{
    const row *r = &l->r;
    const ptrdiff_t first = s->skipped;
    const T u = sfma(r->b ? r->b[first] : 0, r->keep, r->share) * (r->w ? r->w[first] : 1);
    const double others = s->coefficients + (l->target == first ? 0 : l->peak);
    return (totals){others, others + u + (l->target == first ? l->peak : 0)};
}

/* With e_t the target's term and `rest` the sum of the others, p_t - 1 = -rest / (rest + e_t) and,
 * where the target is the largest, the loss is log1p(rest): a confident row keeps its digits.
 *
 * Where targets are soft, the same with the largest in the target's place: the loss is
 * sum u (largest - z) + log1p(rest) sum u, and p sum u - u there is (sum of the other u) -
 * rest / all * sum u. What a label adds to its own u under smoothing is kept apart, as `peak`.
 *
 * Not inlined, as it is long and has many callers; calls in a row overlap all the same. */
static __attribute__((noinline)) double loss_of(const line *l, const cvl_class_sums *s)
{
    const row *r = &l->r;
    const double all = s->rest + s->e, distance = (double)r->largest - (double)r->a[l->target];
    if (!(all < INFINITY))
        return all;
    const int leads = l->soft || distance == 0;
    const double log = log1p_positive(leads ? s->rest : (s->rest - 1) + s->e);
    if (!l->soft)
        return l->own * (distance + log);
    double loss = s->distances + totals_of(l, s).all * log;
    if (l->peak > 0)
        loss += l->peak * distance;
    return loss * l->own;
}

INLINE gradient gradient_of(const line *l, const cvl_class_sums *s, double divisor)
{
    const double weight = l->own / divisor, all = s->rest + s->e;
    if (!l->soft)
        return (gradient){.factor = (T)(weight / all), .skipped = 0 - s->rest * (weight / all)};
    const totals u = totals_of(l, s);
    return (gradient){(T)(weight * u.all / all), (T)-weight, weight * l->peak,
                      weight * (u.others - s->rest / all * u.all)};
}

#endif
