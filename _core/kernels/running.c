/* running.c: running statistics; see kernels.inc. */
#include <math.h>

#include "simd.h"

int KERNEL(running_finite)(ptrdiff_t C, const double *statistic, double factor)
{
    int finite = 1;
    for (ptrdiff_t c = 0; c < C; c++)
        finite &= fabs((double)(T)(statistic[c] * factor)) < INFINITY;
    return finite;
}

void KERNEL(running_move)(T *restrict next, ptrdiff_t C, const T *restrict running,
                          const double *restrict statistic, double factor, double weight)
{
    for (ptrdiff_t c = 0; c < C; c++) {
        const double old = (double)running[c], kept = (double)(T)(statistic[c] * factor);
        next[c] = (T)(old + weight * (kept - old));
    }
}
