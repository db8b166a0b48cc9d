/* losses.c: losses over elements, and what the losses over classes share.
 *
 * A formula gives a vector's values and their derivatives; the driver around it stores the latter,
 * weighted, and adds up the former in double: element i in lane i mod CVL_ORDER_LANES, the lanes
 * folded by a binary tree, so that the sum is the same for every VL. */
#include "class_rows.h"
#include "order.h"
#include "vmath.h"

enum { LANES = CVL_ORDER_LANES };

/* ------------------------------------------------------------------------- losses over classes */

/* The sum of a power of 2 of chains, folded by a binary tree. */
INLINE double fold(double *chain, const int count)
{
    for (int half = count / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            chain[i] += chain[i + half];
    return chain[0];
}

enum { CHAINS = CVL_ORDER_CHAINS };

double KERNEL(sum_losses)(ptrdiff_t n, const double *loss)
{
    double chain[CHAINS] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        chain[i % CHAINS] += loss[i];
    return fold(chain, CHAINS);
}

double KERNEL(class_rows_divisor)(const TYPE(class_rows) *s, ptrdiff_t N)
{
    double chain[CHAINS] = {0};
    for (ptrdiff_t n = 0; n < N; n++)
        chain[n % CHAINS] += row_count(s, n);
    return fold(chain, CHAINS);
}

void KERNEL(nll)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end, double *loss, T *dx,
                 const T *x)
{
    for (ptrdiff_t n = begin; n < end; n++) {
        T *dx_n = dx + n * s->C;
        const double own = row_weight(s, n);
        skip_row(s->C, loss + n, dx_n);
        if (own == 0)
            continue;
        const ptrdiff_t t = label_of(s, n);
        loss[n] = own * (0 - (double)x[n * s->C + t]);
        dx_n[t] = (T)(-own / s->divisor);
    }
}

/* ------------------------------------------------------------------------- losses over elements */

typedef struct elements {
    const TYPE(element_loss) *s;
    const T *x, *y;
    const T *positive_weight, *weight; /* or NULL */
} elements;

/* The values of elements i, i + 1, ... of which `n` exist, and their derivatives by x. */
typedef V formula(const elements *e, ptrdiff_t i, ptrdiff_t n, V *derivative);

/* `of` is inlined. Elements that do not exist are computed from zeros and left out. */
INLINE double sweep(const elements *e, ptrdiff_t n, double *each, T *dx, formula *of)
{
    const V weight = vset1(e->s->weight);
    double lane[LANES] = {0};
    T value[LANES];
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const int count = n - i < LANES ? (int)(n - i) : LANES;
        if (count < LANES)
            memset(value, 0, sizeof value);
        for (int j = 0; j < count; j += VL) {
            V derivative;
            vstore_part(value + j, of(e, i + j, count - j, &derivative), count - j);
            vstore_part(dx + i + j, vmul(derivative, weight), count - j);
        }
        if (each)
            for (int j = 0; j < count; j++)
                each[i + j] = (double)value[j];
        else
            for (int j = 0; j < LANES; j++)
                lane[j] += (double)value[j];
    }
    return fold(lane, LANES);
}

INLINE V difference(const elements *e, ptrdiff_t i, ptrdiff_t n)
{
    return vsub(vload_part(e->x + i, n), vload_part(e->y + i, n));
}

INLINE V squared(const elements *e, ptrdiff_t i, ptrdiff_t n, V *derivative)
{
    const V r = difference(e, i, n);
    *derivative = vadd(r, r);
    return vmul(r, r);
}

INLINE V huber(const elements *e, ptrdiff_t i, ptrdiff_t n, V *derivative)
{
    const TYPE(element_loss) *s = e->s;
    const V r = difference(e, i, n), size = vmax(r, vsub(vzero(), r)), slope = vset1(s->slope);
    const M inside = vgt(vset1(s->delta), size);
    /* r itself where it is 0 or NaN */
    const V sign = vselect(vgt(r, vzero()), vset1(1), vselect(vgt(vzero(), r), vset1(-1), r));
    *derivative = vselect(inside, vmul(r, vset1(s->factor)), vmul(sign, slope));
    const V beyond = vsub(size, vset1((T)0.5 * s->delta));
    return vselect(inside, vmul(vmul(r, r), vset1(s->half)), vmul(beyond, slope));
}

/* What both losses of logits are made of; minus_... belong to -x. */
typedef struct logistic {
    V plus, minus;        /* log(1 + exp x), log(1 + exp -x) */
    V sigma, minus_sigma; /* their derivatives */
    V positive, negative; /* y, 1 - y */
} logistic;

INLINE logistic logistic_of(const elements *e, ptrdiff_t i, ptrdiff_t n)
{
    const V x = vload_part(e->x + i, n), y = vload_part(e->y + i, n);
    const V minus_x = vsub(vzero(), x), power = vexp(vmin(x, minus_x));
    const V log = vlog1p_unit(power), larger = vdiv(vset1(1), vadd(vset1(1), power));
    const V smaller = vdiv(power, vadd(vset1(1), power));
    const M above = vgt(x, vzero());
    return (logistic){
        vadd(vmax(vzero(), x), log),
        vadd(vmax(vzero(), minus_x), log),
        vselect(above, larger, smaller),
        vselect(above, smaller, larger),
        y,
        vsub(vset1(1), y),
    };
}

/* a * b, and 0 where a is 0 even if b is infinite. */
INLINE V times(V a, V b) { return vselect(veq(a, vzero()), vzero(), vmul(a, b)); }

INLINE V binary(const elements *e, ptrdiff_t i, ptrdiff_t n, V *derivative)
{
    logistic l = logistic_of(e, i, n);
    if (e->positive_weight)
        l.positive = vmul(l.positive, vload_part(e->positive_weight + i, n));
    if (e->weight) {
        const V weight = vload_part(e->weight + i, n);
        l.positive = vmul(l.positive, weight);
        l.negative = vmul(l.negative, weight);
    }
    *derivative = vsub(vmul(l.negative, l.sigma), vmul(l.positive, l.minus_sigma));
    return vadd(times(l.positive, l.minus), times(l.negative, l.plus));
}

/* With c the cross-entropy, t = y p + (1-y) (1-p) and m = 1 - t, both sums of what is positive:
 *   m^gamma = exp(-gamma log(1 + t/m)),  l = alpha m^gamma c,
 *   dl/dx = alpha m^gamma ((1-y) p - y (1-p) + gamma (1 - 2y) p (1-p)/m c) */
INLINE V focal(const elements *e, ptrdiff_t i, ptrdiff_t n, V *derivative)
{
    const TYPE(element_loss) *s = e->s;
    const logistic l = logistic_of(e, i, n);
    const V m = vadd(vmul(l.positive, l.minus_sigma), vmul(l.negative, l.sigma));
    const V t = vadd(vmul(l.positive, l.sigma), vmul(l.negative, l.minus_sigma));
    T minus_log[VL];
    vstore(minus_log, vdiv(t, m));
    for (int j = 0; j < VL; j++)
        minus_log[j] = (T)log1p_positive((double)minus_log[j]);
    /* m = 0 has an infinite logarithm, which gamma = 0 turns to 0 all the same. */
    const V power = vexp(vsub(vzero(), times(vset1(s->gamma), vload(minus_log))));
    const V alpha = vfma(l.positive, vset1(s->positive), vmul(l.negative, vset1(s->negative)));
    const V factor = vmul(alpha, power);
    const V c = vadd(times(l.positive, l.minus), times(l.negative, l.plus));
    const V spread = vmul(l.sigma, l.minus_sigma);
    const V ratio = vselect(veq(m, vzero()), vzero(), vdiv(spread, m));
    const V sloped = vmul(vset1(s->gamma), times(ratio, vmul(vsub(l.negative, l.positive), c)));
    const V plain = vsub(vmul(l.negative, l.sigma), vmul(l.positive, l.minus_sigma));
    *derivative = vmul(factor, vadd(plain, sloped));
    return times(factor, c);
}

int KERNEL(all_within)(ptrdiff_t n, const T *x, T limit)
{
    V wrong = vzero();
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const V v = vload_part(x + i, n - i), within = vmin(vset1(limit), vmax(vzero(), v));
        wrong = vselect(veq(v, within), wrong, vset1(1));
    }
    return !vany(vgt(wrong, vzero()));
}

double KERNEL(mse)(const TYPE(element_loss) *s, ptrdiff_t n, double *each, T *dx, const T *x,
                   const T *y)
{
    return sweep(&(elements){s, x, y, NULL, NULL}, n, each, dx, squared);
}

double KERNEL(huber)(const TYPE(element_loss) *s, ptrdiff_t n, double *each, T *dx, const T *x,
                     const T *y)
{
    return sweep(&(elements){s, x, y, NULL, NULL}, n, each, dx, huber);
}

double KERNEL(binary_cross_entropy)(const TYPE(element_loss) *s, ptrdiff_t n, double *each, T *dx,
                                    const T *x, const T *y, const T *positive_weight,
                                    const T *weight)
{
    return sweep(&(elements){s, x, y, positive_weight, weight}, n, each, dx, binary);
}

double KERNEL(focal)(const TYPE(element_loss) *s, ptrdiff_t n, double *each, T *dx, const T *x,
                     const T *y)
{
    return sweep(&(elements){s, x, y, NULL, NULL}, n, each, dx, focal);
}
