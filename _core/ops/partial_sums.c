/* partial_sums.c: see partial_sums.h. */
#include "partial_sums.h"

enum { PIECE = 4096 }; /* elements of a task */

typedef struct merge {
    const NAME(kernels) *kernels;
    T *dw;
    const T *partial;
    ptrdiff_t sums, size;
} merge;

static void add_pieces(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const merge *m = context;
    const ptrdiff_t first = begin * PIECE, n = cvl_min(end * PIECE, m->size) - first;
    (void)worker;
    for (ptrdiff_t sum = 1; sum < m->sums; sum++)
        m->kernels->add(n, m->dw + first, m->dw + first, m->partial + (sum - 1) * m->size + first);
}

void NAME(add_partial_sums)(T *dw, const T *partial, ptrdiff_t sums, ptrdiff_t size, int threads)
{
    merge m = {kernels(), dw, partial, sums, size};
    if (sums > 1)
        cvl_parallel_for(threads, cvl_ceil_div(size, PIECE), (double)(sums * size) * sizeof(T),
                         CVL_FLUSH, add_pieces, &m);
}
