/* epilogue.h: what every kernel that ends a sum does before it writes: bias, then activation. */
#ifndef CVL_EPILOGUE_H
#define CVL_EPILOGUE_H

#include <math.h>

#include "simd.h"

/* Whether kernels end what they sum in registers; else all sums that something is added to, which are
 * stored first. */
#if defined(CVL_F32) && defined(CVL_FUSED)
enum { ENDS = 1 };
#else
enum { ENDS = 0 };
#endif

/* All activations but one are bounds; NaN stays NaN, and -0 within them -0. */
INLINE int is_bounded(const TYPE(epilogue) *end)
{
    return end->activation != CVL_ACTIVATION_LEAKY_RELU;
}
INLINE V low_of(const TYPE(epilogue) *end)
{
    return vset1(end->activation == CVL_ACTIVATION_NONE ? -(T)INFINITY : 0);
}
INLINE V high_of(const TYPE(epilogue) *end)
{
    return vset1(end->activation == CVL_ACTIVATION_RELU6 ? 6 : (T)INFINITY);
}
INLINE V bound(V v, V low, V high) { return vmin(high, vmax(low, v)); }

/* The activation of a vector; NaN stays NaN, and ReLU of -0 is -0. */
INLINE V activate(V v, const TYPE(epilogue) *end)
{
    switch (end->activation) {
    case CVL_ACTIVATION_RELU:
        return vmax(vzero(), v);
    case CVL_ACTIVATION_LEAKY_RELU:
        return vselect(vgt(v, vzero()), v, vmul(vset1(end->slope), v));
    case CVL_ACTIVATION_RELU6:
        return vmin(vset1(6), vmax(vzero(), v));
    default:
        return v;
    }
}

#endif
