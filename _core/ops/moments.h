/* moments.h: two sums per channel over the pixels of a matrix, cut by columns.h: for the moments of a
 * norm, or for its gradients. */
#ifndef CVL_MOMENTS_H
#define CVL_MOMENTS_H

#include <float.h>

#include "columns.h"

/* Planes that a norm has of its channels: high, scale and shift; backward two slopes besides. */
enum { FORWARD_PLANES = 3, BACKWARD_PLANES = 5 };

static inline int cvl_is_eps(double eps) { return eps >= 0 && eps <= DBL_MAX; }

/* Where the sums are. Every task has its part. */
typedef struct NAME(moments) {
    const NAME(kernels) *kernels;
    cvl_columns plan;
    T *pivots;      /* (blocks, L), by column; NULL where there are no moments to take */
    T *sums;        /* (blocks, 2, L), by column */
    double *totals; /* (blocks, 2, L), by channel in the first C */
} NAME(moments);

/* Carves sums and totals, and pivots on request, from `scratch`. */
void NAME(moments_carve)(NAME(moments) *m, cvl_scratch *scratch, int with_pivots);

/* Means and squared deviations of the span of a task into totals. */
void NAME(moments_reduce)(const NAME(moments) *m, ptrdiff_t task, const T *x);

/* Merges those of all blocks, for channels [channel, channel + channels). mean and var are those of
 * `channel` on. */
void NAME(moments_merge)(const NAME(moments) *m, ptrdiff_t channel, ptrdiff_t channels,
                         double *mean, double *var);

/* The sums of a task's span. */
static inline T *NAME(moments_sums)(const NAME(moments) *m, const cvl_columns_span *span)
{
    return m->sums + 2 * span->block * m->plan.L + span->column;
}

/* Clears the sums and totals of a span; folds its sums into its totals, after a piece with `fold`. */
void NAME(moments_clear)(const NAME(moments) *m, const cvl_columns_span *span);
void NAME(moments_fold)(const NAME(moments) *m, const cvl_columns_span *span);

/* Does both, and calls `add` with the sums of a task's span for every piece in between. */
typedef void NAME(moments_add)(const void *context, T *sums, const cvl_columns_span *span,
                               const cvl_piece *piece);
void NAME(moments_sum)(const NAME(moments) *m, ptrdiff_t task, NAME(moments_add) *add,
                       const void *context);

/* Adds up the totals of all blocks into the first's; the first sums go to `first` unless NULL. */
void NAME(moments_total)(const NAME(moments) *m, T *first, ptrdiff_t channel, ptrdiff_t channels);

/* Copies a plane's first C elements to its other pixels. */
void NAME(moments_repeat)(T *plane, const cvl_columns *plan);

#endif
