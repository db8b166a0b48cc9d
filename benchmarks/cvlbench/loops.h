/* loops.h: the loops of cvlbench that measure the machine, and those of its im2col yardstick.
 *
 * loops.c is compiled once per ISA level and type, with the flags of the library's own kernels, so
 * that a level of the library is held against what the machine can do at that level. */
#ifndef CVLBENCH_LOOPS_H
#define CVLBENCH_LOOPS_H

#include "convlet.h"

typedef struct loop_set {
    ptrdiff_t operations; /* floating-point ones, of one repetition of the next */
    void (*multiply_add)(ptrdiff_t repetitions); /* in registers */
    /* n elements, of four times a multiple of 64 bytes, aligned to 64. */
    double (*read)(ptrdiff_t n, const void *a); /* the sum, so that it is computed */
    void (*fill)(ptrdiff_t n, void *a);
    /* Rows [begin, end) of the columns (N*OH*OW, KH*KW*C) of x; groups do not occur. */
    void (*im2col)(const cvl_conv2d *d, ptrdiff_t OH, ptrdiff_t OW, ptrdiff_t begin, ptrdiff_t end,
                   void *columns, const void *x);
    /* Its transpose for images [begin, end): dx = the sum of the columns at each position. */
    void (*col2im)(const cvl_conv2d *d, ptrdiff_t OH, ptrdiff_t OW, ptrdiff_t begin, ptrdiff_t end,
                   void *dx, const void *columns);
} loop_set;

/* loops_<dtype>__<isa> */
extern const loop_set loops_f32__baseline, loops_f64__baseline;
extern const loop_set loops_f32__avx2, loops_f64__avx2;
extern const loop_set loops_f32__avx512, loops_f64__avx512;
extern const loop_set loops_f32__neon, loops_f64__neon;

#endif
