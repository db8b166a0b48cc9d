/* norm_pool.h: max pooling of the output of a norm, a few rows at a time: they lie in a strip, in
 * cache, and the norm's output is never written as a whole. */
#ifndef CVL_NORM_POOL_H
#define CVL_NORM_POOL_H

#include "pool2d.h"

typedef struct NAME(norm_pool) {
    NAME(pool2d) pool; /* its x is the strip */
    const T *x, *planes;
    ptrdiff_t L; /* elements of a plane, a multiple of C */
    int relu;
    ptrdiff_t rows; /* of a strip */
    T *strips;      /* one per worker */
} NAME(norm_pool);

/* Takes the strips from `scratch`, once `pool` has been read. */
void NAME(norm_pool_carve)(NAME(norm_pool) *p, int threads, cvl_scratch *scratch);

void NAME(norm_pool_run)(const NAME(norm_pool) *p, int threads);

#endif
