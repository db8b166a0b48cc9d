/* kernels.h: the table of kernels, one per level and type. ops/ calls arithmetic only through it.
 *
 * kernels.inc lists the kernels once; here it becomes the table's type, in gemm.c its contents. */
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

/* What a slide takes: see gemm_panel. */
enum { CVL_SLIDE_CHANNELS = 3, CVL_SLIDE_TAPS = 3, CVL_SLIDE_ROWS = 16 };

/* A stretch of pixels of a sum of outer products: where its elements begin. */
typedef struct cvl_outer_run {
    ptrdiff_t a, b, count;
} cvl_outer_run;
enum { CVL_OUTER_ROWS = 12, CVL_OUTER_COLUMNS = 32 };

/* Cells that cells.c takes besides those it is told of. */
enum { CVL_CELLS_MORE = 5 };

/* Consecutive reduction indices k of one tap, from k0 on, where that of k0 lies in B, and whether a chain
 * ends with them. */
typedef struct cvl_planes_run {
    ptrdiff_t k0, k, b;
    int last;
} cvl_planes_run;

/* What planes.c takes: channels at most; and positions besides those it is told of. */
enum { CVL_PLANES_CHANNELS = 8, CVL_PLANES_POSITIONS = 128 };

/* Rows that interleave.c takes at most. */
enum { CVL_INTERLEAVE_MOST = 5 };

/* What thin.c takes at least. */
enum { CVL_THIN_ROWS = 4, CVL_THIN_COLUMNS = 64 };

/* A tile of chain.c. */
enum { CVL_CHAIN_ROWS = 8, CVL_CHAIN_COLUMNS = 48 };

/* Rows of a tile of `few`, at most; or 2 or 4 less. */
enum { CVL_FEW_ROWS = 12 };

/* Panels of packed weights that row_packed takes at once. */
enum { CVL_ROW_PANELS = 8 };

/* What tall.c takes: rows at least, and columns at most where rows lie in the lanes. */
enum { CVL_TALL_ROWS = 32, CVL_TALL_FEW = 4, CVL_TALL_CLASSES = 10 };

/* A tap of a kernel row: where its input and weight lie beside the row's, and its input column. */
typedef struct cvl_depthwise_tap {
    ptrdiff_t x, w, column;
} cvl_depthwise_tap;

/* Most rows of a strip of depthwise outputs, at stride 1 and 2, and of inputs that it reads. */
enum { CVL_STRIP_ROWS = 4, CVL_STRIP_ROWS_2 = 2, CVL_STRIP_INPUTS = 6 };
enum { CVL_LINE = 64 }; /* bytes of a cache line */

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

/* Minimal filtering: an m x m tile of outputs of an r x r filter, of a tile of inputs, by products
 * in n x n positions. At stride 2 the even taps of 3 meet the even inputs alone, and the odd tap
 * the odd ones: positions are those of F(2,2) and of two plain products. */
typedef enum cvl_winograd {
    CVL_WINOGRAD_4X3,       /* m = 4, r = 3, n = 6: points 0, +-3/4, +-3/2, infinity */
    CVL_WINOGRAD_2X5,       /* m = 2, r = 5, n = 6: the same points */
    CVL_WINOGRAD_3X4,       /* m = 3, r = 4, n = 6: the same points; forward only */
    CVL_WINOGRAD_2X3,       /* m = 2, r = 3, n = 4: points 0, +-1, infinity */
    CVL_WINOGRAD_STRIDED,   /* m = 2, r = 3, n = 5, of stride 2: points 0, 1, infinity */
    CVL_WINOGRAD_FRACTIONAL /* its backward data: m = 4 of 3 x 3 inputs, the same points */
} cvl_winograd;

/* Some tiles of some images on one side, their transforms on the other. Tiles are numbered image by
 * image, row by row; what of a tile lies outside its image counts as 0 and is not written. */
typedef struct cvl_winograd_tiles {
    cvl_winograd form;
    ptrdiff_t H, W, C;                /* images: rows, columns, elements of a pixel */
    ptrdiff_t rows, columns;          /* tiles of an image */
    ptrdiff_t top, left;              /* tile (i,j) begins at pixel (i*step - top, j*step - left) */
    ptrdiff_t first, count, channels; /* the tiles and channels meant */
    ptrdiff_t plane, ld; /* position p of tile first+t, channel c is at p*plane + t*ld + c */
    int far;             /* the transforms lie beyond L2 */
} cvl_winograd_tiles;

/* Filters w[tap*w_tap + i*w_row + j] of `taps` taps on one side, their transforms at
 * u[p*u_plane + i*u_row + j] on the other; j < columns, u_row at least these in whole vectors. */
typedef struct cvl_winograd_filters {
    cvl_winograd form;
    ptrdiff_t rows, columns;
    ptrdiff_t w_tap, w_row, u_plane, u_row;
} cvl_winograd_filters;

/* Functions of one element; convlet_activations.h has the formulas. */
typedef enum cvl_function {
    CVL_LEAKY_RELU, /* parameter: slope */
    CVL_RELU6,
    CVL_SIGMOID,
    CVL_TANH,
    CVL_ELU, /* parameter: alpha */
    CVL_GELU,
    CVL_GELU_TANH,
    CVL_SILU,
    CVL_HARD_SWISH,
    CVL_SOFTPLUS
} cvl_function;

/* What a block of the classes of a row comes to: its largest, its sums, its gradient. */
typedef enum cvl_class_stage {
    CVL_CLASS_LARGEST,
    CVL_CLASS_SUMS,
    CVL_CLASS_GRADIENT
} cvl_class_stage;
typedef struct cvl_class_sums {
    double rest, coefficients, distances, e; /* e: of the class that they leave out, ... */
    ptrdiff_t skipped;                       /* ... if it is in this block, else -1 */
} cvl_class_sums;

/* The first CVL_GEMM_WHOLE panels of a level are whole vectors wide. Two more are not in order:
 * CVL_GEMM_THREE is three vectors wide on levels whose first is four, CVL_GEMM_HALVES one and a half
 * where the last is half of one; on others they repeat the last. */
enum {
    CVL_GEMM_PANELS = 4,
    CVL_GEMM_WHOLE = 3,
    CVL_GEMM_THREE = 4,
    CVL_GEMM_HALVES = 5,
    CVL_GEMM_MR_MAX = 8
};

#define CVL_JOIN3_(a, b, c) a##b##c
#define CVL_JOIN3(a, b, c) CVL_JOIN3_(a, b, c)
#define CVL_DTYPE_NAME(name) CVL_JOIN3(name, _, CVL_DTYPE)

#define T float
#define CVL_DTYPE f32
#define CVL_SINGLE 1
#include "kernels_dtype.h"
#undef CVL_SINGLE
#undef T
#undef CVL_DTYPE

#define T double
#define CVL_DTYPE f64
#define CVL_SINGLE 0
#include "kernels_dtype.h"
#undef CVL_SINGLE
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
