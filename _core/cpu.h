/* cpu.h: which kernels this CPU runs, and its floating-point state. */
#ifndef CVL_CPU_H
#define CVL_CPU_H

#include "kernels/kernels.h"

/* One ISA level: its name and its kernels. */
typedef struct cvl_level {
    const char *name;
    const cvl_kernels_f32 *f32;
    const cvl_kernels_f64 *f64;
} cvl_level;

/* The level in use, or NULL if CONVLET_ISA names one that is unknown or that this CPU lacks. */
const cvl_level *cvl_active_level(void);

/* Whether operations on 512 bits are two on halves, so that half a vector takes half the time. */
int cvl_has_half_units(void);

/* The control word of the calling thread (MXCSR, FPCR). */
typedef unsigned long long cvl_fp_state;

/* Flushes subnormal inputs and results to 0 from here on; returns what to restore. */
cvl_fp_state cvl_fp_flush_subnormals(void);
void cvl_fp_restore(cvl_fp_state saved);

#endif
