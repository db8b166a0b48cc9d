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

/* Becomes vectors where n is a constant, in little code. */
INLINE void move(T *restrict next, ptrdiff_t n, const T *restrict running,
                 const double *restrict statistic, double factor, double weight)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const double old = (double)running[i], kept = (double)(T)(statistic[i] * factor);
        next[i] = (T)(old + weight * (kept - old));
    }
}

void KERNEL(running_move)(T *restrict next, ptrdiff_t C, const T *restrict running,
                          const double *restrict statistic, double factor, double weight)
{
    enum { STEP = 8 };
    ptrdiff_t c = 0;
    for (; c + STEP <= C; c += STEP)
        move(next + c, STEP, running + c, statistic + c, factor, weight);
    move(next + c, C - c, running + c, statistic + c, factor, weight);
}
