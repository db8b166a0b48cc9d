/* cross_entropy_few.c: cross-entropy of few classes.
 *
 * Rows lie across the vectors: lane i is row `first` + i, vector c is class c. With no more classes
 * than the lanes of a sum, each lane holds one: sums are those of softmax.c, to the bit. */
#include "cross_entropy.h"
#include "order.h"

enum { FEW_CLASSES = CVL_ORDER_LANES };
typedef V few[FEW_CLASSES];

/* Of rows that are there; the others are 0. */
static void turn_in(few to, int rows, ptrdiff_t C, const T *from)
{
    for (ptrdiff_t c = 0; c < C; c += VL) {
        V turned[VL];
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            turned[i] = i < rows ? vload_part(from + i * C + c, C - c) : vzero();
        vtranspose(turned);
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            to[c + i] = turned[i];
    }
}

static void turn_out(T *to, int rows, ptrdiff_t C, few from)
{
    for (ptrdiff_t c = 0; c < C; c += VL) {
        V turned[VL];
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            turned[i] = c + i < C ? from[c + i] : vzero();
        vtranspose(turned);
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            if (i < rows)
                vstore_part(to + i * C + c, turned[i], C - c);
    }
}

static V fold_few(ptrdiff_t C, few terms)
{
    for (ptrdiff_t half = FEW_CLASSES / 2; half > 0; half /= 2)
        for (ptrdiff_t c = 0; c < half && c + half < C; c++)
            terms[c] = vadd(terms[c], terms[c + half]);
    return terms[0];
}

static void few_labels(const TYPE(class_rows) *s, ptrdiff_t first, int rows, double *loss, T *dz,
                       const T *z)
{
    const ptrdiff_t C = s->C;
    T target[VL] = {0}, factor[VL], peak[VL], largest_of[VL], z_t[VL], e_t[VL], rest[VL];
    double own[VL] = {0}, row_loss[VL];
    few in, e, others;
    for (int i = 0; i < rows; i++) {
        own[i] = row_weight(s, first + i);
        target[i] = (T)label_of(s, first + i);
    }
    turn_in(in, rows, C, z + first * C);

    V largest = vset1(-INFINITY), z_target = vzero(), e_target = vzero();
    const V t = vload(target);
    for (ptrdiff_t c = 0; c < C; c++)
        largest = vmax(in[c], largest);
    for (ptrdiff_t c = 0; c < C; c++) {
        const M here = veq(t, vset1((T)c));
        e[c] = vexp(vsub(in[c], largest));
        others[c] = vselect(here, vzero(), e[c]);
        e_target = vselect(here, e[c], e_target);
        z_target = vselect(here, in[c], z_target);
    }
    vstore(largest_of, largest);
    vstore(z_t, z_target);
    vstore(e_t, e_target);
    vstore(rest, fold_few(C, others));

    for (int i = 0; i < VL; i++) {
        const double all_others = rest[i], mine = e_t[i], all = all_others + mine;
        const int leads = z_t[i] == largest_of[i];
        const double distance = leads ? 0 : (double)largest_of[i] - (double)z_t[i];
        const double value =
            distance + log1p_positive(leads ? all_others : (all_others - 1) + mine);
        row_loss[i] = all < INFINITY ? own[i] * value : all;
        factor[i] = (T)(own[i] / s->divisor / all);
        peak[i] = (T)(0 - all_others * (own[i] / s->divisor / all));
    }
    for (ptrdiff_t c = 0; c < C; c++)
        e[c] = vselect(veq(t, vset1((T)c)), vload(peak), vmul(e[c], vload(factor)));
    turn_out(dz + first * C, rows, C, e);
    for (int i = 0; i < rows; i++) {
        loss[first + i] = row_loss[i];
        if (own[i] == 0)
            skip_row(C, loss + first + i, dz + (first + i) * C);
    }
}

/* Rows of soft targets: e and u of each class, and by row what cvl_class_sums names, taken without the
 * first class of the largest. */
typedef struct soft_rows {
    few e, u;
    V leader;
    T largest[VL], skipped[VL], e_skipped[VL], rest[VL], coefficients[VL], distances[VL];
} soft_rows;

static void sum_soft(soft_rows *r, const TYPE(class_rows) *s, ptrdiff_t first, int rows,
                     const line *any, const T *z)
{
    const ptrdiff_t C = s->C;
    const V keep = vset1(any->r.keep), share = vset1(any->r.share);
    few in, coefficients, distances;
    turn_in(in, rows, C, z + first * C);
    if (s->q)
        turn_in(r->u, rows, C, s->q + first * C);

    V largest = vset1(-INFINITY), leader = vzero(), e_leader = vzero();
    for (ptrdiff_t c = 0; c < C; c++)
        largest = vmax(in[c], largest);
    for (ptrdiff_t c = C - 1; c >= 0; c--)
        leader = vselect(veq(in[c], largest), vset1((T)c), leader);
    for (ptrdiff_t c = 0; c < C; c++) {
        const M leads = veq(leader, vset1((T)c));
        V u = s->q ? vfma(r->u[c], keep, share) : share;
        if (s->class_weight)
            u = vmul(u, vset1(s->class_weight[c]));
        const V distance = vmul(u, vsub(largest, in[c]));
        distances[c] = vselect(veq(u, vzero()), vzero(), distance);
        coefficients[c] = vselect(leads, vzero(), u);
        r->u[c] = u;
        r->e[c] = vexp(vsub(in[c], largest));
        e_leader = vselect(leads, r->e[c], e_leader);
        in[c] = vselect(leads, vzero(), r->e[c]);
    }
    r->leader = leader;
    vstore(r->largest, largest);
    vstore(r->skipped, leader);
    vstore(r->e_skipped, e_leader);
    vstore(r->rest, fold_few(C, in));
    vstore(r->coefficients, fold_few(C, coefficients));
    vstore(r->distances, fold_few(C, distances));
}

static void few_soft(const TYPE(class_rows) *s, ptrdiff_t first, int rows, double *loss, T *dz,
                     const T *z)
{
    const ptrdiff_t C = s->C;
    const line any = line_of(s, 1, first, dz, z);
    T factor[VL] = {0}, minus_weight[VL] = {0}, skipped[VL] = {0};
    double peak[VL] = {0};
    soft_rows r;
    sum_soft(&r, s, first, rows, &any, z);
    for (int i = 0; i < rows; i++) {
        line l = line_of(s, 1, first + i, dz, z);
        l.r.largest = r.largest[i];
        const cvl_class_sums sums = {r.rest[i], r.coefficients[i], r.distances[i], r.e_skipped[i],
                                     (ptrdiff_t)r.skipped[i]};
        const gradient g = gradient_of(&l, &sums, s->divisor);
        loss[first + i] = loss_of(&l, &sums);
        factor[i] = g.factor;
        minus_weight[i] = g.minus_weight;
        skipped[i] = (T)g.skipped;
        peak[i] = s->labels && sums.skipped != l.target ? g.peak : 0;
    }
    for (ptrdiff_t c = 0; c < C; c++) {
        const V v = vfma(r.e[c], vload(factor), vmul(r.u[c], vload(minus_weight)));
        r.e[c] = vselect(veq(r.leader, vset1((T)c)), vload(skipped), v);
    }
    turn_out(dz + first * C, rows, C, r.e);
    for (int i = 0; i < rows; i++) {
        const line l = line_of(s, 1, first + i, dz, z);
        if (l.own == 0)
            skip_row(C, loss + first + i, l.r.e);
        else
            l.r.e[l.target] = (T)((double)l.r.e[l.target] - peak[i]);
    }
}

void KERNEL(cross_entropy_few)(const TYPE(class_rows) *s, ptrdiff_t begin, ptrdiff_t end,
                               double *loss, T *dz, const T *z)
{
    for (ptrdiff_t n = begin; n < end; n += VL) {
        const int rows = end - n < VL ? (int)(end - n) : VL;
        if (s->q || s->smoothing > 0)
            few_soft(s, n, rows, loss, dz, z);
        else
            few_labels(s, n, rows, loss, dz, z);
    }
}
