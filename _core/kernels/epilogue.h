/* epilogue.h: what every kernel that ends a sum does before it writes: bias, then activation. */
#ifndef CVL_EPILOGUE_H
#define CVL_EPILOGUE_H

#include "simd.h"

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
