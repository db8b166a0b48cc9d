/* partial_sums.h: adds up the partial sums of weight gradients. */
#ifndef CVL_PARTIAL_SUMS_H
#define CVL_PARTIAL_SUMS_H

#include "op.h"

/* Adds partial (sums - 1, size) to dw (size), which holds the first of the sums, in their order. */
void NAME(add_partial_sums)(T *dw, const T *partial, ptrdiff_t sums, ptrdiff_t size, int threads);

#endif
