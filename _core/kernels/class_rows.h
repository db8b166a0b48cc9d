/* class_rows.h: the rows of a loss over classes: their labels and weights, and those to skip. */
#ifndef CVL_CLASS_ROWS_H
#define CVL_CLASS_ROWS_H

#include "simd.h"

/* A row's label. The caller has checked it; one that changes meanwhile must not lead outside. */
INLINE ptrdiff_t label_of(const TYPE(class_rows) *s, ptrdiff_t n)
{
    const int64_t label = s->labels[n];
    return label >= 0 && label < s->C ? (ptrdiff_t)label : 0;
}

INLINE double class_weight(const TYPE(class_rows) *s, ptrdiff_t c)
{
    return s->class_weight ? (double)s->class_weight[c] : 1;
}

INLINE int ignored(const TYPE(class_rows) *s, ptrdiff_t n)
{
    return s->ignore && s->labels[n] == s->ignore_index;
}

/* What a row's loss and gradient are multiplied with, beside the weights of smoothed or soft
 * targets; 0: the row is skipped. */
INLINE double row_weight(const TYPE(class_rows) *s, ptrdiff_t n)
{
    if (s->divisor == 0 || ignored(s, n))
        return 0;
    const double sample = s->sample_weight ? (double)s->sample_weight[n] : 1;
    return s->labels && s->smoothing == 0 ? sample * class_weight(s, label_of(s, n)) : sample;
}

/* What a row counts for in the mean. */
INLINE double row_count(const TYPE(class_rows) *s, ptrdiff_t n)
{
    if (ignored(s, n))
        return 0;
    const double sample = s->sample_weight ? (double)s->sample_weight[n] : 1;
    return s->labels ? sample * class_weight(s, label_of(s, n)) : sample;
}

INLINE void skip_row(ptrdiff_t C, double *loss, T *gradient)
{
    *loss = 0;
    for (ptrdiff_t c = 0; c < C; c++)
        gradient[c] = 0;
}

#endif
