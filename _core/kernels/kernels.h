/* kernels.h: the table of kernels, one per level and type. ops/ calls arithmetic only through it.
 *
 * kernels.inc lists the kernels once; here it becomes the table's type, in table.c its contents. */
#ifndef CVL_KERNELS_H
#define CVL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "convlet.h"

/* A stretch of the reduction index of a matrix product: rows [k0, k0 + k) of B, and the elements of
 * A from offset `a` of every row. */
typedef struct cvl_gemm_run {
    ptrdiff_t k0, k, a;
} cvl_gemm_run;

/* The taps of the outputs of one axis: output i is the sum of weight * input `from` over
 * tap[first[i]] to tap[first[i + 1] - 1]. */
typedef struct cvl_axis_tap {
    ptrdiff_t from;
    double weight;
} cvl_axis_tap;
typedef struct cvl_axis_map {
    const ptrdiff_t *first;
    const cvl_axis_tap *tap;
} cvl_axis_map;

/* A linear map of images, channel by channel; weights are rounded to T once. */
typedef struct cvl_resample {
    cvl_axis_map rows, columns;
    ptrdiff_t W, OW, C; /* pixels of a row of inputs and of outputs; elements of a pixel */
    double empty;       /* an output without taps */
    int mean;           /* divide by the number of taps */
} cvl_resample;

/* Where random words come from: the key and the upper half of the counters of Philox4x32-10. */
typedef struct cvl_philox {
    uint64_t seed, counter;
} cvl_philox;

enum { CVL_GEMM_PANELS = 4, CVL_GEMM_MR_MAX = 8 };

#define CVL_JOIN3_(a, b, c) a##b##c
#define CVL_JOIN3(a, b, c) CVL_JOIN3_(a, b, c)
#define CVL_DTYPE_NAME(name) CVL_JOIN3(name, _, CVL_DTYPE)

#define T float
#define CVL_DTYPE f32
#include "kernels_dtype.h"
#undef T
#undef CVL_DTYPE

#define T double
#define CVL_DTYPE f64
#include "kernels_dtype.h"
#undef T
#undef CVL_DTYPE

#define CVL_DECLARE_TABLES(isa)                          \
    extern const cvl_kernels_f32 cvl_kernels_f32__##isa; \
    extern const cvl_kernels_f64 cvl_kernels_f64__##isa;
CVL_DECLARE_TABLES(baseline)
CVL_DECLARE_TABLES(avx2)
CVL_DECLARE_TABLES(avx512)
CVL_DECLARE_TABLES(neon)

#endif
