/* optimizer.c: one step of an optimizer over n parameters w with gradients g, and what is done to
 * gradients before it. Elements do not see each other, but in a sum of squares. Square root and
 * division are exact: in cache they cost a third of Adam's step, from memory nothing. */
#include "order.h"
#include "simd.h"

/* a / b, and 0 where b is 0. */
INLINE V quotient(V a, V b) { return vselect(veq(b, vzero()), vzero(), vdiv(a, b)); }

/* Gradients i, i + 1, ... of which n exist. */
INLINE V take(const TYPE(gradients) *from, V scale, ptrdiff_t i, ptrdiff_t n)
{
    const V g = vmul(scale, vload_part(from->g + i, n));
    if (from->clear)
        vstore_part(from->g + i, vzero(), n);
    return g;
}

/* k: -lr, momentum, 1 - dampening, l2, 1 - lr weight_decay. m NULL: no momentum. */
void KERNEL(sgd)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, const T *k, int nesterov,
                 int first)
{
    const V minus_lr = vset1(k[0]), momentum = vset1(k[1]), fresh = vset1(k[2]);
    const V l2 = vset1(k[3]), decay = vset1(k[4]);
    const V scale = vset1(g->scale);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        V step = vfma(l2, wi, take(g, scale, i, n - i));
        if (m) {
            const V gradient = step;
            if (!first)
                step = vfma(momentum, vload_part(m + i, n - i), vmul(fresh, gradient));
            vstore_part(m + i, step, n - i);
            if (nesterov)
                step = vfma(momentum, step, gradient);
        }
        vstore_part(w + i, vfma(minus_lr, step, vmul(decay, wi)), n - i);
    }
}

/* What Adam and NAdam share. k: the gain of m, beta1, 1 - beta1, beta2, 1 - beta2, 1 / correction2,
 * eps, l2, 1 - lr weight_decay, the gain of g; both gains carry -lr. v_max NULL: no AMSGrad. Steps the
 * elements from i on, whole vectors only where said, and returns the first that is left.
 *
 * In cache the divider and the multipliers, which also compare and have a part in divisions, are about
 * equally busy. So what is mostly 1 or 0 is left out then: `plain`. The multipliers take every fourth
 * root; of every second they lose. */
INLINE ptrdiff_t step_adam(ptrdiff_t i, ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, T *v,
                           T *v_max, const T *k, const int plain, const int whole,
                           const int looks_ahead)
{
    const V gain = vset1(k[0]), beta1 = vset1(k[1]), fresh1 = vset1(k[2]);
    const V beta2 = vset1(k[3]), fresh2 = vset1(k[4]), unbias2 = vset1(k[5]);
    const V eps = vset1(k[6]), l2 = vset1(k[7]), decay = vset1(k[8]);
    const V scale = vset1(g->scale);
    T *const from = g->g;
    const int clear = g->clear;
    for (; whole ? i + VL <= n : i < n; i += VL) {
        const ptrdiff_t left = whole ? VL : n - i;
        const V wi = vload_part(w + i, left);
        V gradient = vload_part(from + i, left);
        if (clear)
            vstore_part(from + i, vzero(), left);
        if (!plain)
            gradient = vfma(l2, wi, vmul(scale, gradient));
        const V mi = vfma(beta1, vload_part(m + i, left), vmul(fresh1, gradient));
        const V square = vmul(vmul(fresh2, gradient), gradient);
        const V vi = vfma(beta2, vload_part(v + i, left), square);
        V second = vi, direction = vmul(gain, mi);
        if (v_max) {
            second = vmax(vload_part(v_max + i, left), vi);
            vstore_part(v_max + i, second, left);
        }
        if (looks_ahead)
            direction = vfma(vset1(k[9]), gradient, direction);
        const V unbiased = vmul(second, unbias2);
        const V root = i % (4 * VL) == 0 ? vsqrt_beside(unbiased) : vsqrt(unbiased);
        const V denominator = vadd(root, eps);
        const V update = plain ? vdiv(direction, denominator) : quotient(direction, denominator);
        vstore_part(m + i, mi, left);
        vstore_part(v + i, vi, left);
        vstore_part(w + i, vfma(decay, wi, update), left);
    }
    return i;
}

/* One flag: gcc would move a comparison of one constant into the loop. */
static int is_plain(const TYPE(gradients) *g, const T *k)
{
    return (g->scale == 1) & (k[7] == 0) & (k[6] > 0);
}

/* The plain step has a loop of its own, without a branch but one: with those of the other it took
 * twice as long at avx2. */
void KERNEL(adam)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, T *v, T *v_max, const T *k)
{
    const int plain = is_plain(g, k);
    ptrdiff_t i = 0;
    if (plain && !v_max)
        i = step_adam(0, n, w, g, m, v, NULL, k, 1, 1, 0);
    step_adam(i, n, w, g, m, v, v_max, k, plain, 0, 0);
}

void KERNEL(nadam)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, T *v, const T *k)
{
    step_adam(0, n, w, g, m, v, NULL, k, is_plain(g, k), 0, 1);
}

/* k: -lr, eps, l2. */
void KERNEL(adagrad)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *v, const T *k)
{
    const V minus_lr = vset1(k[0]), eps = vset1(k[1]), l2 = vset1(k[2]);
    const V scale = vset1(g->scale);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        const V gradient = vfma(l2, wi, take(g, scale, i, n - i));
        const V vi = vfma(gradient, gradient, vload_part(v + i, n - i));
        const V update = quotient(vmul(minus_lr, gradient), vadd(vsqrt(vi), eps));
        vstore_part(v + i, vi, n - i);
        vstore_part(w + i, vadd(wi, update), n - i);
    }
}

/* k: -lr, alpha, 1 - alpha, eps, momentum, l2, alpha (1 - alpha). m NULL: no momentum. mean NULL:
 * not centered. The centered v is E[g^2] - E[g]^2 by a recursion that subtracts no squares. */
void KERNEL(rmsprop)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, T *v, T *mean, const T *k)
{
    const V minus_lr = vset1(k[0]), alpha = vset1(k[1]), fresh = vset1(k[2]), eps = vset1(k[3]);
    const V momentum = vset1(k[4]), l2 = vset1(k[5]), fresh_variance = vset1(k[6]);
    const V scale = vset1(g->scale);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        const V gradient = vfma(l2, wi, take(g, scale, i, n - i));
        V square = vmul(vmul(fresh, gradient), gradient);
        if (mean) {
            const V old = vload_part(mean + i, n - i), deviation = vsub(gradient, old);
            vstore_part(mean + i, vfma(fresh, deviation, old), n - i);
            square = vmul(vmul(fresh_variance, deviation), deviation);
        }
        const V vi = vfma(alpha, vload_part(v + i, n - i), square);
        V update = quotient(gradient, vadd(vsqrt(vi), eps));
        if (m) {
            update = vfma(momentum, vload_part(m + i, n - i), update);
            vstore_part(m + i, update, n - i);
        }
        vstore_part(v + i, vi, n - i);
        vstore_part(w + i, vfma(minus_lr, update, wi), n - i);
    }
}

/* k: -lr, beta1, 1 - beta1, beta2, 1 - beta2, 1 - lr weight_decay, lr. The sign of 0 is 0 and that
 * of NaN is NaN. */
void KERNEL(lion)(ptrdiff_t n, T *w, const TYPE(gradients) *g, T *m, const T *k)
{
    const V minus_lr = vset1(k[0]), beta1 = vset1(k[1]), fresh1 = vset1(k[2]);
    const V beta2 = vset1(k[3]), fresh2 = vset1(k[4]), decay = vset1(k[5]), lr = vset1(k[6]);
    const V scale = vset1(g->scale);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i), gradient = take(g, scale, i, n - i);
        const V mi = vload_part(m + i, n - i);
        const V direction = vfma(beta1, mi, vmul(fresh1, gradient));
        const V falling = vselect(vgt(vzero(), direction), lr, direction);
        const V update = vselect(vgt(direction, vzero()), minus_lr, falling);
        vstore_part(m + i, vfma(beta2, mi, vmul(fresh2, gradient)), n - i);
        vstore_part(w + i, vfma(decay, wi, update), n - i);
    }
}

/* NaN stays NaN. */
void KERNEL(clip)(ptrdiff_t n, T *x, T limit)
{
    const V most = vset1(limit), least = vset1(-limit);
    for (ptrdiff_t i = 0; i < n; i += VL)
        vstore_part(x + i, vmin(most, vmax(least, vload_part(x + i, n - i))), n - i);
}

void KERNEL(scale)(ptrdiff_t n, T *x, T factor)
{
    const V k = vset1(factor);
    for (ptrdiff_t i = 0; i < n; i += VL)
        vstore_part(x + i, vmul(k, vload_part(x + i, n - i)), n - i);
}

void KERNEL(blend)(ptrdiff_t n, T *x, const T *y, T rate)
{
    const V k = vset1(rate);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V xi = vload_part(x + i, n - i);
        vstore_part(x + i, vfma(k, vsub(vload_part(y + i, n - i), xi), xi), n - i);
    }
}

/* Lane j sums the squares of elements j, j + lanes, ... in double, where that of a float is exact;
 * a binary tree folds the lanes. */
double KERNEL(sum_squares)(ptrdiff_t n, const T *x)
{
    double sum[CVL_ORDER_LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + CVL_ORDER_LANES <= n; i += CVL_ORDER_LANES)
        for (int j = 0; j < CVL_ORDER_LANES; j++)
            sum[j] += (double)x[i + j] * (double)x[i + j];
    for (int j = 0; i < n; i++, j++)
        sum[j] += (double)x[i] * (double)x[i];
    for (int half = CVL_ORDER_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}
