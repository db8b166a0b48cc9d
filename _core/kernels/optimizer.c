/* optimizer.c: one step of an optimizer over n parameters w with gradients g. Elements do not see
 * each other. Square root and division are exact: in cache they cost a quarter of Adam's step,
 * from memory nothing. */
#include "simd.h"

/* a / b, and 0 where b is 0. */
INLINE V quotient(V a, V b) { return vselect(veq(b, vzero()), vzero(), vdiv(a, b)); }

/* k: -lr, momentum, 1 - dampening, l2, 1 - lr weight_decay. m NULL: no momentum. */
void KERNEL(sgd)(ptrdiff_t n, T *w, const T *g, T *m, const T *k, int nesterov, int first)
{
    const V minus_lr = vset1(k[0]), momentum = vset1(k[1]), fresh = vset1(k[2]);
    const V l2 = vset1(k[3]), decay = vset1(k[4]);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        V step = vfma(l2, wi, vload_part(g + i, n - i));
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

/* k: -lr / correction1, beta1, 1 - beta1, beta2, 1 - beta2, 1 / correction2, eps, l2,
 * 1 - lr weight_decay. */
void KERNEL(adam)(ptrdiff_t n, T *w, const T *g, T *m, T *v, const T *k)
{
    const V minus_lr = vset1(k[0]), beta1 = vset1(k[1]), fresh1 = vset1(k[2]);
    const V beta2 = vset1(k[3]), fresh2 = vset1(k[4]), unbias2 = vset1(k[5]);
    const V eps = vset1(k[6]), l2 = vset1(k[7]), decay = vset1(k[8]);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        const V gradient = vfma(l2, wi, vload_part(g + i, n - i));
        const V mi = vfma(beta1, vload_part(m + i, n - i), vmul(fresh1, gradient));
        const V square = vmul(vmul(fresh2, gradient), gradient);
        const V vi = vfma(beta2, vload_part(v + i, n - i), square);
        const V denominator = vadd(vsqrt(vmul(vi, unbias2)), eps);
        const V update = quotient(vmul(minus_lr, mi), denominator);
        vstore_part(m + i, mi, n - i);
        vstore_part(v + i, vi, n - i);
        vstore_part(w + i, vfma(decay, wi, update), n - i);
    }
}

/* k: -lr, eps, l2. */
void KERNEL(adagrad)(ptrdiff_t n, T *w, const T *g, T *v, const T *k)
{
    const V minus_lr = vset1(k[0]), eps = vset1(k[1]), l2 = vset1(k[2]);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V wi = vload_part(w + i, n - i);
        const V gradient = vfma(l2, wi, vload_part(g + i, n - i));
        const V vi = vfma(gradient, gradient, vload_part(v + i, n - i));
        const V update = quotient(vmul(minus_lr, gradient), vadd(vsqrt(vi), eps));
        vstore_part(v + i, vi, n - i);
        vstore_part(w + i, vadd(wi, update), n - i);
    }
}
