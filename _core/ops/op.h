/* op.h: an operator's source is compiled once per type, with CVL_F32 or CVL_F64 defined.
 *
 * It names the element type T, its public functions NAME(conv2d_forward), and reaches arithmetic
 * through `kernels()` only. */
#ifndef CVL_OP_H
#define CVL_OP_H

#include "common.h"

#if defined(CVL_F32)
#define T float
#define CVL_DTYPE f32
#elif defined(CVL_F64)
#define T double
#define CVL_DTYPE f64
#else
#error "define CVL_F32 or CVL_F64"
#endif

/* cvl_<name>_<dtype>, for functions and types alike. */
#define NAME(name) CVL_DTYPE_NAME(cvl_##name)

/* Elements of a cache line. */
enum { LINE = CVL_LINE / (int)sizeof(T) };

/* The kernels of the level in use, or NULL if CONVLET_ISA names one that is unknown or that this CPU
 * lacks. */
static inline const NAME(kernels) *kernels(void)
{
    const cvl_level *level = cvl_active_level();
    return level ? level->CVL_DTYPE : NULL;
}

#endif
