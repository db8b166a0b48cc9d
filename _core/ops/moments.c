/* moments.c: see moments.h. */
#include "moments.h"

void NAME(moments_carve)(NAME(moments) *m, cvl_scratch *scratch, int with_pivots)
{
    const size_t L = (size_t)m->plan.L, blocks = (size_t)m->plan.blocks;
    m->sums = cvl_carve(scratch, blocks * 2 * L * sizeof(T));
    m->totals = cvl_carve(scratch, blocks * 2 * L * sizeof(double));
    m->pivots = with_pivots ? cvl_carve(scratch, blocks * L * sizeof(T)) : NULL;
}

void NAME(moments_repeat)(T *plane, const cvl_columns *plan)
{
    for (ptrdiff_t have = plan->C; have < plan->L; have *= 2)
        memcpy(plane + have, plane, (size_t)cvl_min(have, plan->L - have) * sizeof *plane);
}

void NAME(moments_clear)(const NAME(moments) *m, const cvl_columns_span *span)
{
    T *sums = NAME(moments_sums)(m, span);
    double *totals = m->totals + (sums - m->sums);
    for (int i = 0; i < 2; i++) {
        memset(sums + i * m->plan.L, 0, (size_t)span->width * sizeof *sums);
        memset(totals + i * m->plan.L, 0, (size_t)span->channels * sizeof *totals);
    }
}

void NAME(moments_fold)(const NAME(moments) *m, const cvl_columns_span *span)
{
    T *sums = NAME(moments_sums)(m, span);
    double *totals = m->totals + (sums - m->sums);
    for (int i = 0; i < 2; i++)
        m->kernels->fold_columns(totals + i * m->plan.L, sums + i * m->plan.L, span->channels,
                                 span->width);
}

void NAME(moments_sum)(const NAME(moments) *m, ptrdiff_t task, NAME(moments_add) *add,
                       const void *context)
{
    cvl_columns_span span = NAME(columns_span)(&m->plan, task);
    NAME(moments_clear)(m, &span);
    for (cvl_piece piece; NAME(next_piece)(&piece, &span, &m->plan);) {
        add(context, NAME(moments_sums)(m, &span), &span, &piece);
        if (piece.fold)
            NAME(moments_fold)(m, &span);
    }
}

/* What the sums of moments are taken of. */
typedef struct shifted {
    const NAME(moments) *moments;
    const T *x;
} shifted;

static void add_moments(const void *context, T *sums, const cvl_columns_span *span,
                        const cvl_piece *piece)
{
    const shifted *s = context;
    const NAME(moments) *m = s->moments;
    m->kernels->batch_norm_moments(sums, piece->shape, s->x + piece->offset,
                                   m->pivots + span->block * m->plan.L + span->column);
}

/* The pivots are the means of the first few pixels. Where those say little of the rest, the block,
 * which lies in cache now, is passed over once more, with the means just found. */
void NAME(moments_reduce)(const NAME(moments) *m, ptrdiff_t task, const T *x)
{
    const cvl_columns *plan = &m->plan;
    const cvl_columns_span span = NAME(columns_span)(plan, task);
    const shifted s = {m, x};
    double *totals = m->totals + 2 * span.block * plan->L + span.column;
    T *pivot = m->pivots + span.block * plan->L + span.column;
    m->kernels->batch_norm_pivot(pivot, cvl_min(span.pixels, CVL_ORDER_PIVOT), span.channels,
                                 plan->C, x + span.row * plan->L + span.column);
    for (int pass = 0; pass < 2; pass++) {
        NAME(moments_repeat)(pivot, plan);
        NAME(moments_sum)(m, task, add_moments, &s);
        if (!m->kernels->batch_norm_close(totals, span.channels, plan->L, pivot,
                                          (double)span.pixels))
            break;
    }
}

void NAME(moments_merge)(const NAME(moments) *m, ptrdiff_t channel, ptrdiff_t channels,
                         double *mean, double *var)
{
    double counts[CVL_ORDER_BLOCKS];
    for (ptrdiff_t block = 0; block < m->plan.blocks; block++)
        counts[block] = (double)NAME(columns_span)(&m->plan, block).pixels;
    m->kernels->batch_norm_merge(mean, var, channels, m->plan.blocks, m->totals + channel,
                                 m->plan.L, counts);
}

void NAME(moments_total)(const NAME(moments) *m, T *first, ptrdiff_t channel, ptrdiff_t channels)
{
    double *u = m->totals + channel, *v = u + m->plan.L;
    m->kernels->merge_columns(first, u, m->plan.blocks, channels, 2 * m->plan.L);
    m->kernels->merge_columns(NULL, v, m->plan.blocks, channels, 2 * m->plan.L);
}
