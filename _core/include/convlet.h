/* convlet.h: convolutional networks on the CPU, in C. This header is the manual.
 *
 * 1. What it offers
 *    The operators a convolutional network is trained with, forward and backward, in float32 and
 *    float64, channels last: convolution and its transpose, linear, batch and group norm, softmax
 *    and losses, pooling, activations, addition, padding, upsampling, concatenation, dropout, and the
 *    steps of optimizers; and a program, which runs a list of operators as one call. There is no
 *    automatic differentiation. The library never allocates, prints or aborts.
 *
 * 2. How a call looks
 *        cvl_conv2d d = CVL_CONV2D_INIT;
 *        d.N = 32; d.H = d.W = 28; d.C = 16; d.OC = 32; d.KH = d.KW = 3;
 *        d.PT = d.PB = d.PL = d.PR = 1;
 *        cvl_exec run = CVL_EXEC_INIT;
 *        run.threads = 2;
 *        run.workspace_bytes = cvl_conv2d_forward_workspace_size_f32(&d, run.threads);
 *        run.workspace = aligned_alloc(64, run.workspace_bytes);
 *        cvl_status status = cvl_conv2d_forward_f32(&d, y, x, w, b, &run);
 *    Descriptors come first, then outputs, then inputs, then `run`. Start every descriptor from its
 *    INIT macro: it sets `size`, by which the library knows the fields its caller was compiled with.
 *    Fields that a newer caller has and the library lacks are not seen.
 *
 * 3. What holds for every function
 *    Arrays     dense, row-major, aligned to their element; sizes and strides count elements.
 *               Names: N batch, H W rows and columns, C channels, OC output channels, KH KW kernel,
 *               SH SW stride, DH DW dilation, PT PB PL PR padding (top, bottom, left, right).
 *    Outputs    are overwritten whole, whatever they held, and may not overlap any other argument
 *               unless said; inputs are never written; nothing outside the shapes is read. An array
 *               without elements, as of a batch of 0, may be NULL.
 *    Errors     come back as a status, and then no output has been touched: where nothing else is
 *               said, CVL_ERR_ARGUMENT, _SHAPE, _OVERFLOW, _WORKSPACE or _ISA.
 *    Workspace  `..._workspace_size_...(d, threads)` bytes, 64-byte aligned, content ignored; it
 *               returns 0 for a descriptor that the operator refuses. A NULL or smaller workspace
 *               than needed is CVL_ERR_WORKSPACE. Operators without such a function need none. Sizes
 *               are multiples of 64; for fewer than 1 thread they are those of 1.
 *    Threads    at most run->threads, fewer where the work is small. Every function may be called
 *               from any number of threads at once, on other outputs and another workspace.
 *    Bits       depend on the shapes and values only: the same for any number of threads, and on
 *               the levels avx2, avx512 and neon for finite operands. (`baseline` has no FMA and is
 *               outside this promise; x86 and NEON flush subnormals at slightly different points.)
 *    Subnormals are flushed inside convolution, linear, the norms, pooling and the optimizers, and
 *               kept by all else. The caller's floating-point state is restored.
 *    Every function that ends in _f32 has one for double, in _f64; only the former is described.
 *
 * 4. In a program
 *        cc program.c $(convlet config --cflags --libs)
 *    links the static library, which needs nothing but the C library and its threads. They are made
 *    at the first call that takes several, watch for the next one for 0.1 ms, then sleep, take no
 *    signals, and live as long as the process: a shared library that contains them is not to be
 *    unloaded. Where calls overlap, one has the threads and the others work alone. The child of a
 *    fork works alone.
 *    The Python package holds a copy of the library in its extension, out of sight. A program that
 *    links the static library and imports the package, or loads something that does, has two: each
 *    chooses its level once and has its own threads; neither sees the other's names; their versions
 *    may differ; both may work on the same arrays. Python extensions need no copy of their own:
 *    Cython's `from convlet._core cimport cvl_conv2d_forward` calls the package's.
 */
#ifndef CONVLET_H
#define CONVLET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Precedes every declaration. The library itself is built with hidden visibility: a shared library
 * that contains it does not export it. */
#ifndef CVL_API
#define CVL_API
#endif

/* ---------------------------------------------------------------- version
 *
 * The version of the binary interface, in this header and in the library that was linked. It rises
 * when a program compiled with an older header would no longer be right: when a function is removed,
 * or anything changes its type or meaning. New functions and new fields at the end of a descriptor do
 * not change it. Where cvl_abi_version() != CVL_ABI_VERSION, a program is linked to another interface
 * than it was compiled for. */
#define CVL_ABI_VERSION 1
CVL_API int cvl_abi_version(void);

/* ---------------------------------------------------------------- status, level, execution */

typedef enum cvl_status {
    CVL_OK = 0,
    CVL_ERR_ARGUMENT,  /* NULL, no INIT, an unknown enumerator, no threads, a number out of range */
    CVL_ERR_SHAPE,     /* a size, stride, padding or group count the operator cannot have */
    CVL_ERR_OVERFLOW,  /* over PTRDIFF_MAX bytes; a size of images, kernels or layers over 2^30 */
    CVL_ERR_WORKSPACE, /* run->workspace is NULL, misaligned or too small */
    CVL_ERR_LABEL,     /* a class label outside [0, C), or a target outside [0, 1] */
    CVL_ERR_ISA,       /* CONVLET_ISA names a level unknown or lacking on this CPU */
    CVL_ERR_WEIGHT,    /* a weight below 0 or not finite, or weights whose sum is not finite */
    CVL_ERR_EMPTY,     /* a mean over nothing, of a caller who asked for this error */
    CVL_ERR_ALGORITHM, /* the algorithm asked for has no path for this shape */
    CVL_ERR_FINITE     /* statistics that are not finite, or not in their type */
} cvl_status;

/* One English sentence for a status; never NULL. */
CVL_API const char *cvl_status_string(cvl_status status);

/* The level in use: "baseline", "avx2", "avx512" or "neon"; NULL when CONVLET_ISA asks for one
 * this CPU lacks. Chosen once: the best this CPU has, or what CONVLET_ISA names. */
CVL_API const char *cvl_isa(void);

/* The i-th level that this build has and this CPU can run, worst first; NULL past the last. */
CVL_API const char *cvl_isa_available(int i);

/* The thread backend: "openmp", "native" (the library's own threads, as in the installed static
 * library) or "none". */
CVL_API const char *cvl_thread_backend(void);

/* The CPUs that an OpenMP backend may use, as it counted them when it was loaded: with OMP_PROC_BIND the
 * calling thread may since be bound to one of them. 0 with other backends, which bind nothing. */
CVL_API int cvl_openmp_cpus(void);

/* How a call runs. */
typedef struct cvl_exec {
    size_t size;
    int threads;            /* at least 1 */
    void *workspace;        /* 64-byte aligned, or NULL where none is needed */
    size_t workspace_bytes; /* what `workspace` holds */
    int adaptive;           /* nonzero: work serially for a while (20 to 300 ms, and the calling
                             * thread only) after other processes kept a thread so long from its
                             * share that one alone would have been faster; bits stay the same */
} cvl_exec;
#define CVL_EXEC_INIT {sizeof(cvl_exec), 1, NULL, 0, 0}

/* The function applied to a value v before it is written. */
typedef enum cvl_activation {
    CVL_ACTIVATION_NONE = 0,
    CVL_ACTIVATION_RELU = 1,       /* max(v, 0) */
    CVL_ACTIVATION_LEAKY_RELU = 2, /* v where v > 0, else slope * v; convolution only */
    CVL_ACTIVATION_RELU6 = 3       /* min(max(v, 0), 6); convolution only */
} cvl_activation;

/* ---------------------------------------------------------------- convolution
 *
 *   y[n,oh,ow,oc] = act(b[oc] + sum_{kh,kw,c} x[n, oh*SH-PT+kh*DH, ow*SW-PL+kw*DW, c] * w[kh,kw,c,oc])
 * cross-correlation, as every network library means it; x outside its bounds counts as 0. With
 * groups G, output channel oc sees the C/G input channels of group oc / (OC/G).
 * Shapes   x (N,H,W,C)  w (KH,KW,C/G,OC)  b (OC)  y (N,OH,OW,OC)
 *          OH = floor((H+PT+PB-DH*(KH-1)-1)/SH) + 1, OW alike
 * Source   implicit im2col through row pointers: Dukhan 2019, arXiv:1907.02129; minimal filtering:
 *          Lavin & Gray 2016, arXiv:1509.09308 */
typedef enum cvl_conv2d_pass {
    CVL_CONV2D_FORWARD = 0,
    CVL_CONV2D_BACKWARD_DATA = 1,
    CVL_CONV2D_BACKWARD_WEIGHTS = 2
} cvl_conv2d_pass;

typedef enum cvl_conv2d_algorithm {
    CVL_CONV2D_AUTO = 0,     /* what is expected to be fastest, by the shape alone */
    CVL_CONV2D_IM2COL = 1,   /* the direct engine: any shape, exact on small integers */
    CVL_CONV2D_WINOGRAD = 2, /* F(4x4,3x3); F(2x2,5x5) for 5x5: stride 1, f32; forward also 5x5 and
                                7x7 of stride 2, by F(4x4,3x3) and F(3x3,4x4) of cells of 2x2 pixels */
    CVL_CONV2D_WINOGRAD2 = 3 /* F(2x2,3x3): nearer to the direct engine's rounding; stride 2 too,
                                with padding 1 above and on the left */
} cvl_conv2d_algorithm;

typedef struct cvl_conv2d {
    size_t size;
    ptrdiff_t N, H, W, C;      /* N >= 0, the others >= 1 */
    ptrdiff_t OC, KH, KW;      /* >= 1 */
    ptrdiff_t SH, SW;          /* stride, >= 1 */
    ptrdiff_t DH, DW;          /* dilation, >= 1 */
    ptrdiff_t PT, PB, PL, PR;  /* padding, >= 0 */
    ptrdiff_t groups;          /* divides C and OC */
    cvl_activation activation; /* of the forward pass only */
    double slope;              /* of CVL_ACTIVATION_LEAKY_RELU, finite */
    cvl_conv2d_algorithm algorithm;
} cvl_conv2d;
#define CVL_CONV2D_INIT      \
    {                        \
        sizeof(cvl_conv2d),  \
        0,                   \
        0,                   \
        0,                   \
        0,                   \
        0,                   \
        0,                   \
        0,                   \
        1,                   \
        1,                   \
        1,                   \
        1,                   \
        0,                   \
        0,                   \
        0,                   \
        0,                   \
        1,                   \
        CVL_ACTIVATION_NONE, \
        0.01,                \
        CVL_CONV2D_AUTO}

/* cvl_conv2d_output_shape: OH and OW of the formula above.
 * Returns  CVL_OK | CVL_ERR_SHAPE (a field out of range, or a kernel larger than the padded input)
 *          | CVL_ERR_OVERFLOW */
CVL_API cvl_status cvl_conv2d_output_shape(const cvl_conv2d *d, ptrdiff_t *OH, ptrdiff_t *OW);

/* cvl_conv2d_choose_f32: the algorithm that a pass takes, given d->algorithm. It is never AUTO, and
 * depends neither on the number of threads nor on the level. *reason, unless reason is NULL, is an
 * English phrase: why the algorithm was chosen or, with CVL_ERR_ALGORITHM, why it has no path for
 * this shape.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT | CVL_ERR_SHAPE | CVL_ERR_OVERFLOW | CVL_ERR_ALGORITHM */
CVL_API cvl_status cvl_conv2d_choose_f32(const cvl_conv2d *d, cvl_conv2d_pass pass,
                                         cvl_conv2d_algorithm *chosen, const char **reason);
CVL_API cvl_status cvl_conv2d_choose_f64(const cvl_conv2d *d, cvl_conv2d_pass pass,
                                         cvl_conv2d_algorithm *chosen, const char **reason);

/* cvl_conv2d_forward_f32: y as above; b may be NULL.
 * Numerics f32 accumulation, one FMA chain per output and per 384 consecutive k = (kh*KW+kw)*C/G+c,
 *          the chains added in order, then b, then the activation. To up to 6 channels in one group
 *          k may instead count 16 input channels at all taps before the next 16. Minimal filtering
 *          sums transforms over c, a chain per 128; its error on N(0,1) data, relative to the
 *          standard deviation of y, is at most 5e-5 and 2.5e-6 RMS, with WINOGRAD2 2e-5 and 7e-7,
 *          as with the direct engine. An infinity or NaN in x reaches every output of its tile.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT | CVL_ERR_SHAPE | CVL_ERR_OVERFLOW | CVL_ERR_WORKSPACE |
 *          CVL_ERR_ISA | CVL_ERR_ALGORITHM, as do the two passes below */
CVL_API cvl_status cvl_conv2d_forward_f32(const cvl_conv2d *d, float *y, const float *x,
                                          const float *w, const float *b, const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_forward_f64(const cvl_conv2d *d, double *y, const double *x,
                                          const double *w, const double *b, const cvl_exec *run);
CVL_API size_t cvl_conv2d_forward_workspace_size_f32(const cvl_conv2d *d, int threads);
CVL_API size_t cvl_conv2d_forward_workspace_size_f64(const cvl_conv2d *d, int threads);

/* cvl_conv2d_pack_f32: packs weights once for any number of forward passes of one descriptor, which
 * give the bits of cvl_conv2d_forward_f32. Packing takes up to half of the time of a pass over few
 * pixels.
 *   size_t bytes = cvl_conv2d_packed_size_f32(&d);  0 where packing would save nothing
 *   cvl_conv2d_pack_f32(&d, packed, w, &run);
 *   cvl_conv2d_forward_packed_f32(&d, y, x, packed, b, &run);
 * packed   64-byte aligned; valid for this version, this level and this descriptor only
 * Workspace of both: cvl_conv2d_forward_workspace_size_f32(d, run->threads)
 * Returns  of both, also CVL_ERR_ALGORITHM where the size is 0 */
CVL_API size_t cvl_conv2d_packed_size_f32(const cvl_conv2d *d);
CVL_API size_t cvl_conv2d_packed_size_f64(const cvl_conv2d *d);
CVL_API cvl_status cvl_conv2d_pack_f32(const cvl_conv2d *d, void *packed, const float *w,
                                       const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_pack_f64(const cvl_conv2d *d, void *packed, const double *w,
                                       const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_forward_packed_f32(const cvl_conv2d *d, float *y, const float *x,
                                                 const void *packed, const float *b,
                                                 const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_forward_packed_f64(const cvl_conv2d *d, double *y, const double *x,
                                                 const void *packed, const double *b,
                                                 const cvl_exec *run);

/* cvl_conv2d_backward_data_f32: gradient with respect to x of the convolution before its activation:
 *   dx[n,ih,iw,c] = sum over (kh,kw,oc), and (oh,ow) with oh*SH-PT+kh*DH = ih, ow alike, of
 *                   dy[n,oh,ow,oc] * w[kh,kw,c,oc]
 *          Input positions that no window reads get exactly 0.
 * Shapes   dx as x, dy as y
 * Numerics as the forward pass, with k = (kh*KW+kw)*OC/G+oc. To up to 6 input channels in one group
 *          the chains may end sooner: after two taps of 16 output channels, 16 channels coming before
 *          the next; or after every tap, and taps are added by oh, then kw */
CVL_API cvl_status cvl_conv2d_backward_data_f32(const cvl_conv2d *d, float *dx, const float *dy,
                                                const float *w, const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_backward_data_f64(const cvl_conv2d *d, double *dx, const double *dy,
                                                const double *w, const cvl_exec *run);
CVL_API size_t cvl_conv2d_backward_data_workspace_size_f32(const cvl_conv2d *d, int threads);
CVL_API size_t cvl_conv2d_backward_data_workspace_size_f64(const cvl_conv2d *d, int threads);

/* cvl_conv2d_backward_weights_f32: gradients with respect to w and b of the convolution before its
 * activation:
 *   dw[kh,kw,c,oc] = sum_{n,oh,ow} x[n, oh*SH-PT+kh*DH, ow*SW-PL+kw*DW, c] * dy[n,oh,ow,oc]
 *   db[oc]         = sum_{n,oh,ow} dy[n,oh,ow,oc]
 * Shapes   dw as w, db as b; either may be NULL and is then not computed; without dw, x may be NULL
 * Numerics dw: one FMA chain per block of output positions, or of minimal filtering's tiles, fixed
 *          by the shape, blocks added in order; db: likewise, merged in double */
CVL_API cvl_status cvl_conv2d_backward_weights_f32(const cvl_conv2d *d, float *dw, float *db,
                                                   const float *dy, const float *x,
                                                   const cvl_exec *run);
CVL_API cvl_status cvl_conv2d_backward_weights_f64(const cvl_conv2d *d, double *dw, double *db,
                                                   const double *dy, const double *x,
                                                   const cvl_exec *run);
CVL_API size_t cvl_conv2d_backward_weights_workspace_size_f32(const cvl_conv2d *d, int threads);
CVL_API size_t cvl_conv2d_backward_weights_workspace_size_f64(const cvl_conv2d *d, int threads);

/* ---------------------------------------------------------------- linear
 *
 *   y = x w + b
 * Shapes   x (M,IN)  w (IN,OUT)  b (OUT)  y (M,OUT)
 * Numerics as a 1x1 convolution over M pixels */
typedef struct cvl_linear {
    size_t size;
    ptrdiff_t M;       /* rows, >= 0 */
    ptrdiff_t IN, OUT; /* >= 1 */
} cvl_linear;
#define CVL_LINEAR_INIT {sizeof(cvl_linear), 0, 0, 0}

/* cvl_linear_forward_f32: y as above; b may be NULL. */
CVL_API cvl_status cvl_linear_forward_f32(const cvl_linear *d, float *y, const float *x,
                                          const float *w, const float *b, const cvl_exec *run);
CVL_API cvl_status cvl_linear_forward_f64(const cvl_linear *d, double *y, const double *x,
                                          const double *w, const double *b, const cvl_exec *run);
CVL_API size_t cvl_linear_forward_workspace_size_f32(const cvl_linear *d, int threads);
CVL_API size_t cvl_linear_forward_workspace_size_f64(const cvl_linear *d, int threads);

/* cvl_linear_backward_data_f32: dx = dy w^T. */
CVL_API cvl_status cvl_linear_backward_data_f32(const cvl_linear *d, float *dx, const float *dy,
                                                const float *w, const cvl_exec *run);
CVL_API cvl_status cvl_linear_backward_data_f64(const cvl_linear *d, double *dx, const double *dy,
                                                const double *w, const cvl_exec *run);
CVL_API size_t cvl_linear_backward_data_workspace_size_f32(const cvl_linear *d, int threads);
CVL_API size_t cvl_linear_backward_data_workspace_size_f64(const cvl_linear *d, int threads);

/* cvl_linear_backward_weights_f32: dw = x^T dy, db = column sums of dy; either may be NULL, and x where
 * dw is. */
CVL_API cvl_status cvl_linear_backward_weights_f32(const cvl_linear *d, float *dw, float *db,
                                                   const float *dy, const float *x,
                                                   const cvl_exec *run);
CVL_API cvl_status cvl_linear_backward_weights_f64(const cvl_linear *d, double *dw, double *db,
                                                   const double *dy, const double *x,
                                                   const cvl_exec *run);
CVL_API size_t cvl_linear_backward_weights_workspace_size_f32(const cvl_linear *d, int threads);
CVL_API size_t cvl_linear_backward_weights_workspace_size_f64(const cvl_linear *d, int threads);

/* ---------------------------------------------------------------- batch norm
 *
 *   y = act((x - mean) / sqrt(var + eps) * gamma + beta + residual)
 * per channel; mean and var are those of the M values of the channel, var the biased one.
 * Shapes   x, y, residual (M,C): M = N*H*W pixels; gamma, beta (C); mean, var (C), always double
 * Source   Ioffe & Szegedy 2015, arXiv:1502.03167; moments merged as Chan, Golub & LeVeque 1983 */
typedef struct cvl_batch_norm {
    size_t size;
    ptrdiff_t M; /* values per channel, >= 0 (forward: >= 1) */
    ptrdiff_t C; /* channels, >= 1 */
    double eps;  /* >= 0 and finite */
    cvl_activation activation;
    int frozen; /* backward: nonzero when mean and var were constants, as after inference */
} cvl_batch_norm;
#define CVL_BATCH_NORM_INIT {sizeof(cvl_batch_norm), 0, 0, 1e-5, CVL_ACTIVATION_NONE, 0}

/* cvl_batch_norm_forward_f32: y, mean and var from x; residual may be NULL.
 * Numerics one pass over x, shifted by a pivot per block (a second one over blocks whose pivot lies
 *          far from their mean), blocks fixed by the shape and merged in order in double;
 *          y = fma(x - high(mean), a, b'), so a constant channel gives exactly beta and a mean of
 *          1000 deviations costs no digits. Non-finite values propagate. */
CVL_API cvl_status cvl_batch_norm_forward_f32(const cvl_batch_norm *d, float *y, double *mean,
                                              double *var, const float *x, const float *gamma,
                                              const float *beta, const float *residual,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_forward_f64(const cvl_batch_norm *d, double *y, double *mean,
                                              double *var, const double *x, const double *gamma,
                                              const double *beta, const double *residual,
                                              const cvl_exec *run);
CVL_API size_t cvl_batch_norm_forward_workspace_size_f32(const cvl_batch_norm *d, int threads);
CVL_API size_t cvl_batch_norm_forward_workspace_size_f64(const cvl_batch_norm *d, int threads);

/* cvl_batch_norm_inference_f32: y with given mean and var; residual may be NULL. */
CVL_API cvl_status cvl_batch_norm_inference_f32(const cvl_batch_norm *d, float *y, const float *x,
                                                const float *gamma, const float *beta,
                                                const double *mean, const double *var,
                                                const float *residual, const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_inference_f64(const cvl_batch_norm *d, double *y, const double *x,
                                                const double *gamma, const double *beta,
                                                const double *mean, const double *var,
                                                const double *residual, const cvl_exec *run);
CVL_API size_t cvl_batch_norm_inference_workspace_size_f32(const cvl_batch_norm *d, int threads);
CVL_API size_t cvl_batch_norm_inference_workspace_size_f64(const cvl_batch_norm *d, int threads);

/* cvl_running_move_f32: running statistics moved towards those of a batch:
 *   next = running + weight (kept - running), kept = mean and unbias * var rounded to the type
 * Shapes   all (C); mean and var double, as the forward pass gives them
 * Numerics in double, rounded once
 * Returns  also CVL_ERR_FINITE when a kept statistic is not finite */
typedef struct cvl_running {
    size_t size;
    ptrdiff_t C;           /* >= 0 */
    double weight, unbias; /* of the new value; M/(M-1), or 1 */
} cvl_running;
#define CVL_RUNNING_INIT {sizeof(cvl_running), 0, 0.1, 1}
CVL_API cvl_status cvl_running_move_f32(const cvl_running *d, float *next_mean, float *next_var,
                                        const float *running_mean, const float *running_var,
                                        const double *mean, const double *var, const cvl_exec *run);
CVL_API cvl_status cvl_running_move_f64(const cvl_running *d, double *next_mean, double *next_var,
                                        const double *running_mean, const double *running_var,
                                        const double *mean, const double *var, const cvl_exec *run);

/* cvl_batch_norm_backward_f32: with g = dy where act passes it (all of dy without activation):
 *   dbeta = sum g,  dgamma = sum g * xhat,  dresidual = g,
 *   dx = gamma / sqrt(var + eps) * (g - dbeta/M - xhat * dgamma/M)      (frozen: the first term only)
 * dx       NULL: not computed
 * dresidual NULL: not computed
 * Aliasing either dx or dresidual may be dy
 * y, beta  with CVL_ACTIVATION_RELU the mask is y > 0 when y is given, else it is recomputed from
 *          x, beta and the same mean and var as the forward pass (faster; exact to the bit for the
 *          double statistics it returned; not possible with a residual). Both may be NULL without
 *          activation, and beta may be NULL when y is given.
 * Returns  also CVL_ERR_ARGUMENT when neither gives the mask */
CVL_API cvl_status cvl_batch_norm_backward_f32(const cvl_batch_norm *d, float *dx, float *dgamma,
                                               float *dbeta, float *dresidual, const float *dy,
                                               const float *x, const float *y, const float *gamma,
                                               const float *beta, const double *mean,
                                               const double *var, const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_backward_f64(const cvl_batch_norm *d, double *dx, double *dgamma,
                                               double *dbeta, double *dresidual, const double *dy,
                                               const double *x, const double *y,
                                               const double *gamma, const double *beta,
                                               const double *mean, const double *var,
                                               const cvl_exec *run);
CVL_API size_t cvl_batch_norm_backward_workspace_size_f32(const cvl_batch_norm *d, int threads);
CVL_API size_t cvl_batch_norm_backward_workspace_size_f64(const cvl_batch_norm *d, int threads);

/* The sum of two batch norms of one shape, as in a residual block whose shortcut has one too:
 *   y = act(norm_a(a->x) + norm_b(b->x)), norm(x) = (x - mean) / sqrt(var + eps) * gamma + beta
 * The pointers of a term are to elements of the function's type; shapes are those above. Of the
 * cvl_batch_norm, eps and frozen have no effect: each term has its own. */
typedef struct cvl_batch_norm_term {
    size_t size;
    double eps;
    int frozen; /* nonzero when mean and var are constants; else the forward pass writes them */
    const void *x, *gamma, *beta; /* backward takes no beta */
    double *mean, *var;
    void *dx, *dgamma, *dbeta; /* backward only; dx may be NULL */
} cvl_batch_norm_term;
#define CVL_BATCH_NORM_TERM_INIT \
    {sizeof(cvl_batch_norm_term), 1e-5, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/* cvl_batch_norm_sum_forward_f32: y, and mean and var of each term that is not frozen.
 * Numerics the bits of cvl_batch_norm_forward, or _inference, of b, and then of a with that as its
 *          residual; the output of b is never written to memory */
CVL_API cvl_status cvl_batch_norm_sum_forward_f32(const cvl_batch_norm *d, float *y,
                                                  const cvl_batch_norm_term *a,
                                                  const cvl_batch_norm_term *b,
                                                  const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_sum_forward_f64(const cvl_batch_norm *d, double *y,
                                                  const cvl_batch_norm_term *a,
                                                  const cvl_batch_norm_term *b,
                                                  const cvl_exec *run);
CVL_API size_t cvl_batch_norm_sum_forward_workspace_size_f32(const cvl_batch_norm *d, int threads);
CVL_API size_t cvl_batch_norm_sum_forward_workspace_size_f64(const cvl_batch_norm *d, int threads);

/* cvl_batch_norm_sum_backward_f32: dx, dgamma and dbeta of both terms.
 * y        with CVL_ACTIVATION_RELU the mask is y > 0; NULL without
 * Aliasing b->dx may be dy
 * Numerics those of cvl_batch_norm_backward of a with its residual, and then of b, to the bit */
CVL_API cvl_status cvl_batch_norm_sum_backward_f32(const cvl_batch_norm *d,
                                                   const cvl_batch_norm_term *a,
                                                   const cvl_batch_norm_term *b, const float *dy,
                                                   const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_sum_backward_f64(const cvl_batch_norm *d,
                                                   const cvl_batch_norm_term *a,
                                                   const cvl_batch_norm_term *b, const double *dy,
                                                   const double *y, const cvl_exec *run);
CVL_API size_t cvl_batch_norm_sum_backward_workspace_size_f32(const cvl_batch_norm *d, int threads);
CVL_API size_t cvl_batch_norm_sum_backward_workspace_size_f64(const cvl_batch_norm *d, int threads);

/* ---------------------------------------------------------------- group norm
 *
 *   y[n,m,c] = (x[n,m,c] - mean[n,g]) / sqrt(var[n,g] + eps) * gamma[c] + beta[c],  g = c / (C/G)
 * per sample and group of C/G neighbouring channels; mean and var are those of the M*C/G values of
 * the group, var the biased one. Instance norm has G = C. Layer norm over the last D values has
 * N rows, M = 1, C = D, G = 1.
 * Shapes   x, y (N,M,C): M = H*W pixels of a sample; gamma, beta (C); mean, var (N,G), always double
 * Source   Wu & He 2018, arXiv:1803.08494; Ba, Kiros & Hinton 2016, arXiv:1607.06450; Ulyanov,
 *          Vedaldi & Lempitsky 2016, arXiv:1607.08022 */
typedef struct cvl_group_norm {
    size_t size;
    ptrdiff_t N;      /* samples, >= 0 */
    ptrdiff_t M, C;   /* pixels and channels of a sample, >= 1 */
    ptrdiff_t groups; /* G, divides C */
    double eps;       /* >= 0 and finite */
} cvl_group_norm;
#define CVL_GROUP_NORM_INIT {sizeof(cvl_group_norm), 0, 0, 0, 1, 1e-5}

/* cvl_group_norm_forward_f32: y, mean and var from x; gamma NULL counts as 1, beta NULL as 0.
 * Numerics the moments of batch norm per channel of a sample (with one group, of all its values),
 *          merged into groups in double; with M = G = 1 of a row, over 64 fixed lanes; a constant
 *          group gives exactly beta */
CVL_API cvl_status cvl_group_norm_forward_f32(const cvl_group_norm *d, float *y, double *mean,
                                              double *var, const float *x, const float *gamma,
                                              const float *beta, const cvl_exec *run);
CVL_API cvl_status cvl_group_norm_forward_f64(const cvl_group_norm *d, double *y, double *mean,
                                              double *var, const double *x, const double *gamma,
                                              const double *beta, const cvl_exec *run);
CVL_API size_t cvl_group_norm_forward_workspace_size_f32(const cvl_group_norm *d, int threads);
CVL_API size_t cvl_group_norm_forward_workspace_size_f64(const cvl_group_norm *d, int threads);

/* cvl_group_norm_backward_f32: with xhat = (x - mean) / sqrt(var + eps) and, per sample and group,
 * a = sum gamma dy and b = sum gamma dy xhat over its n = M*C/G values:
 *   dbeta = sum_{n,m} dy,  dgamma = sum_{n,m} dy * xhat,
 *   dx = (gamma dy - a/n - xhat b/n) / sqrt(var + eps)
 * dx       NULL: not computed
 * Numerics dgamma and dbeta: in double over at most 16 blocks of samples that N decides, in order;
 *          with M = G = 1 after chains of at most 32 samples */
CVL_API cvl_status cvl_group_norm_backward_f32(const cvl_group_norm *d, float *dx, float *dgamma,
                                               float *dbeta, const float *dy, const float *x,
                                               const float *gamma, const double *mean,
                                               const double *var, const cvl_exec *run);
CVL_API cvl_status cvl_group_norm_backward_f64(const cvl_group_norm *d, double *dx, double *dgamma,
                                               double *dbeta, const double *dy, const double *x,
                                               const double *gamma, const double *mean,
                                               const double *var, const cvl_exec *run);
CVL_API size_t cvl_group_norm_backward_workspace_size_f32(const cvl_group_norm *d, int threads);
CVL_API size_t cvl_group_norm_backward_workspace_size_f64(const cvl_group_norm *d, int threads);

/* ---------------------------------------------------------------- softmax */

/* Rows of logits. */
typedef struct cvl_softmax {
    size_t size;
    ptrdiff_t N; /* rows, >= 0 */
    ptrdiff_t C; /* classes, >= 1 */
} cvl_softmax;
#define CVL_SOFTMAX_INIT {sizeof(cvl_softmax), 0, 0}

/* cvl_softmax_forward_f32: y[n,c] = exp(z[n,c] - m_n) / sum_k exp(z[n,k] - m_n), m_n = max_k z[n,k].
 * Shapes   z, y (N,C)
 * Numerics the sum over 64 fixed lanes; a row with a NaN or +inf, or of -inf alone, is NaN */
CVL_API cvl_status cvl_softmax_forward_f32(const cvl_softmax *d, float *y, const float *z,
                                           const cvl_exec *run);
CVL_API cvl_status cvl_softmax_forward_f64(const cvl_softmax *d, double *y, const double *z,
                                           const cvl_exec *run);

/* cvl_log_softmax_forward_f32: y[n,c] = (z[n,c] - m_n) - log sum_k exp(z[n,k] - m_n). */
CVL_API cvl_status cvl_log_softmax_forward_f32(const cvl_softmax *d, float *y, const float *z,
                                               const cvl_exec *run);
CVL_API cvl_status cvl_log_softmax_forward_f64(const cvl_softmax *d, double *y, const double *z,
                                               const cvl_exec *run);

/* cvl_softmax_backward_f32: dz = y * (dy - sum_k dy[k] y[k]), the Jacobian y_i (delta_ij - y_j)
 * times dy; y is what the forward pass returned. */
CVL_API cvl_status cvl_softmax_backward_f32(const cvl_softmax *d, float *dz, const float *dy,
                                            const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_softmax_backward_f64(const cvl_softmax *d, double *dz, const double *dy,
                                            const double *y, const cvl_exec *run);

/* cvl_log_softmax_backward_f32: dz = dy - exp(y) * sum_k dy[k]; y is what the forward returned. */
CVL_API cvl_status cvl_log_softmax_backward_f32(const cvl_softmax *d, float *dz, const float *dy,
                                                const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_log_softmax_backward_f64(const cvl_softmax *d, double *dz, const double *dy,
                                                const double *y, const cvl_exec *run);

/* ---------------------------------------------------------------- elementwise */

/* cvl_relu_forward_f32: y = x where not (0 > x), else 0; n elements; y may be x. NaN stays NaN, -0 stays
 * -0. */
CVL_API cvl_status cvl_relu_forward_f32(ptrdiff_t n, float *y, const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_relu_forward_f64(ptrdiff_t n, double *y, const double *x,
                                        const cvl_exec *run);

/* cvl_relu_backward_f32: dx = dy where y > 0, else 0; dx may be dy. */
CVL_API cvl_status cvl_relu_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *y,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_relu_backward_f64(ptrdiff_t n, double *dx, const double *dy, const double *y,
                                         const cvl_exec *run);

/* cvl_add_f32: y = a + b; y may be a or b. */
CVL_API cvl_status cvl_add_f32(ptrdiff_t n, float *y, const float *a, const float *b,
                               const cvl_exec *run);
CVL_API cvl_status cvl_add_f64(ptrdiff_t n, double *y, const double *a, const double *b,
                               const cvl_exec *run);

/* cvl_add_relu_f32: y = max(a + b, 0), to the bits of the two in a row; y may be a or b. */
CVL_API cvl_status cvl_add_relu_f32(ptrdiff_t n, float *y, const float *a, const float *b,
                                    const cvl_exec *run);
CVL_API cvl_status cvl_add_relu_f64(ptrdiff_t n, double *y, const double *a, const double *b,
                                    const cvl_exec *run);

#ifdef __cplusplus
}
#endif

#include "convlet_activations.h" /* the activations other than ReLU */
#include "convlet_images.h"      /* transposed convolution, padding, upsampling, dropout */
#include "convlet_losses.h"      /* cross-entropy and the other losses */
#include "convlet_optimizers.h"  /* the optimizers' steps, gradient clipping, averages of weights */
#include "convlet_pooling.h"     /* max and average pooling */
#include "convlet_program.h"     /* a list of operators, run as one call */

#endif
