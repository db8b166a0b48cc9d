/* conv2d.h: the passes of a convolution and the engines that compute them.
 *
 * An engine serves some shapes, with one algorithm. conv2d.c lists the engines, fastest first; a
 * pass goes to the first that takes it, by the shape alone. */
#ifndef CVL_CONV2D_H
#define CVL_CONV2D_H

#include "op.h"
#include "shapes.h"

/* A pass of a convolution: forward writes out = y from x and w, backward data out = dx from dy and
 * w, backward weights out = dw from x and dy. The shape is that of the convolution in every pass.
 * A shape may have fewer outputs than windows fit (with the output padding of a transposed one). */
typedef struct NAME(conv2d_call) {
    const struct NAME(conv2d_engine) *engine; /* or NULL: to be found */
    const cvl_conv2d_shape *shape;
    cvl_conv2d_pass pass;
    T *out; /* backward weights: or NULL */
    const T *x, *w, *dy;
    T *db;               /* backward weights: or NULL */
    const T *packed;     /* forward: w as packed by the engine's `pack`, or NULL */
    const T *z;          /* forward, if the engine adds: joins y before its activation; or NULL */
    NAME(epilogue) end;  /* of y and dx */
    char *sum_workspace; /* with z */
    char *workspace;
    size_t bytes; /* that the engine needs of it, where known, else 0 */
    int threads;
} NAME(conv2d_call);

typedef struct NAME(conv2d_engine) {
    cvl_conv2d_algorithm algorithm; /* what callers know it as */
    const char *reason;             /* why "auto" takes it where it does */
    /* NULL where the engine has a path for the pass, else why not. */
    const char *(*refuses)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass);
    /* Whether it is expected to beat the engines listed after it; NULL: always. */
    int (*pays)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass);
    /* Bytes of workspace. */
    size_t (*workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads);
    void (*run)(const NAME(conv2d_call) *call);
    /* Bytes of the packed weights of a forward pass, 0 where packing saves nothing; and packing, in
     * the workspace of the pass. Either both or neither. */
    size_t (*packed_size)(const cvl_conv2d_shape *shape);
    void (*pack)(const NAME(conv2d_call) *call, T *packed);
    /* Bytes of workspace besides where it adds z, which the output may be; NULL: it does not add. */
    size_t (*sum_workspace)(const cvl_conv2d_shape *shape, int threads);
} NAME(conv2d_engine);

/* Whether weights may meet a padding of zeros: it must leave no trace, and with an infinite one it would
 * be NaN. */
static inline int NAME(all_finite)(const T *w, ptrdiff_t size)
{
    return kernels()->finite(1, size, &w, 0);
}

/* The sum_workspace of an engine that needs none. */
size_t NAME(conv2d_no_workspace)(const cvl_conv2d_shape *shape, int threads);

/* 1x1 convolutions from few channels to few: pixels.c. */
extern const NAME(conv2d_engine) NAME(pixels_engine);

/* One channel per group: depthwise.c. */
extern const NAME(conv2d_engine) NAME(depthwise_engine);

/* Forward and backward data to few channels: planes.c. */
extern const NAME(conv2d_engine) NAME(planes_engine);

/* Backward data to few channels, from many or at a large stride: stem.c. */
extern const NAME(conv2d_engine) NAME(stem_engine);

/* Backward data of 3x3 taps at stride 2 to a vector of channels: cells.c. */
extern const NAME(conv2d_engine) NAME(cells_engine);

/* 1x1 convolutions of one position: row.c. */
extern const NAME(conv2d_engine) NAME(row_engine);

/* 1x1 convolutions to one channel: dot.c. */
extern const NAME(conv2d_engine) NAME(dot_engine);

/* 1x1 convolutions of few positions, whose weights come from memory: stream.c. */
extern const NAME(conv2d_engine) NAME(stream_engine);

/* 1x1 convolutions of many positions: tall.c. */
extern const NAME(conv2d_engine) NAME(tall_engine);

/* 1x1 convolutions of a few positions, whose packed weights come from afar: few.c. */
extern const NAME(conv2d_engine) NAME(few_engine);

/* 1x1 convolutions of few positions, as a linear layer is: product.c. */
extern const NAME(conv2d_engine) NAME(product_engine);

/* Implicit im2col, for every shape and pass: direct.c. */
extern const NAME(conv2d_engine) NAME(direct_engine);

/* Minimal filtering, of float32 only: winograd.c; and of larger filters at stride 2:
 * winograd_phases.c. */
extern const NAME(conv2d_engine) NAME(winograd_engine), NAME(winograd2_engine);
extern const NAME(conv2d_engine) NAME(winograd_phases_engine);

/* The engine of a pass, by d.algorithm; NULL and a reason where that has no path. */
const NAME(conv2d_engine) *NAME(conv2d_engine_of)(const cvl_conv2d_shape *shape,
                                                  cvl_conv2d_pass pass, const char **reason);

/* Bytes of workspace of a pass; its engine's are 0 where it has none or there are no kernels. */
size_t NAME(conv2d_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads);

/* A forward pass but for its arrays and how it runs. */
typedef struct NAME(conv2d_ready) {
    cvl_conv2d_shape shape;
    const NAME(conv2d_engine) *engine;
    size_t bytes; /* of workspace for the threads of the call, where known, else 0 */
} NAME(conv2d_ready);

/* What it reads; either of w and packed may be NULL, and so may z. */
typedef struct NAME(conv2d_operands) {
    const T *x, *w, *packed, *b, *z;
} NAME(conv2d_operands);

/* Reads a descriptor, and finds the engine for w or for packed weights. */
cvl_status NAME(conv2d_make_ready)(NAME(conv2d_ready) *f, const cvl_conv2d *d, int packed);
cvl_status NAME(linear_make_ready)(NAME(conv2d_ready) *f, const cvl_linear *d);

/* y = act(conv(x, w) + b + z); with z, which y may be, act is none or ReLU, the bits are those of a
 * convolution and an addition, and the workspace is larger by the bytes that the first function says. */
size_t NAME(conv2d_sum_workspace)(const NAME(conv2d_ready) *f, int threads);
cvl_status NAME(conv2d_run_ready)(const NAME(conv2d_ready) *f, T *y,
                                  const NAME(conv2d_operands) *from, const cvl_exec *run);

/* Checks the remaining arguments of a pass, completes the call and runs its engine. */
cvl_status NAME(conv2d_run)(NAME(conv2d_call) *call, const cvl_exec *run);

#endif
