/* convlet_images.h: a part of convlet.h, which includes it and says what holds for every function:
 * transposed convolution, padding, upsampling, adaptive pooling, concatenation and dropout. */
#ifndef CONVLET_IMAGES_H
#define CONVLET_IMAGES_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- transposed convolution
 *
 *   y[n,oh,ow,oc] = b[oc] + sum over (kh,kw,c), and (ih,iw) with ih*SH-PT+kh*DH = oh, iw alike, of
 *                   x[n,ih,iw,c] * w[kh,kw,oc,c]
 * the gradient, with respect to its input, of the convolution with weights w. With groups G, output
 * channel oc of group g = oc / (OC/G) sees the C/G input channels of that group.
 * Shapes   x (N,H,W,C)  w (KH,KW,OC/G,C)  b (OC)  y (N,OH,OW,OC)
 *          OH = (H-1)*SH - PT - PB + DH*(KH-1) + 1 + OPH, OW alike */
typedef struct cvl_conv_transpose2d {
    size_t size;
    ptrdiff_t N, H, W, C;     /* N >= 0, the others >= 1 */
    ptrdiff_t OC, KH, KW;     /* >= 1 */
    ptrdiff_t SH, SW;         /* stride, >= 1 */
    ptrdiff_t DH, DW;         /* dilation, >= 1 */
    ptrdiff_t PT, PB, PL, PR; /* cropped from the output, >= 0 */
    ptrdiff_t OPH, OPW;       /* added at its end: 0 <= OPH < max(SH, DH), OPW alike */
    ptrdiff_t groups;         /* divides C and OC */
    cvl_conv2d_algorithm algorithm;
} cvl_conv_transpose2d;
#define CVL_CONV_TRANSPOSE2D_INIT  \
    {sizeof(cvl_conv_transpose2d), \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     1,                            \
     1,                            \
     1,                            \
     1,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     0,                            \
     1,                            \
     CVL_CONV2D_AUTO}

/* cvl_conv_transpose2d_output_shape: OH and OW of the formula above.
 * Returns  CVL_OK | CVL_ERR_SHAPE (a field out of range, or an output without pixels) |
 *          CVL_ERR_OVERFLOW */
CVL_API cvl_status cvl_conv_transpose2d_output_shape(const cvl_conv_transpose2d *d, ptrdiff_t *OH,
                                                     ptrdiff_t *OW);

/* cvl_conv_transpose2d_forward_f32: y as above; b may be NULL.
 * Numerics as cvl_conv2d_backward_data_f32, with k = (kh*KW+kw)*C/G+c, then b */
CVL_API cvl_status cvl_conv_transpose2d_forward_f32(const cvl_conv_transpose2d *d, float *y,
                                                    const float *x, const float *w, const float *b,
                                                    const cvl_exec *run);
CVL_API cvl_status cvl_conv_transpose2d_forward_f64(const cvl_conv_transpose2d *d, double *y,
                                                    const double *x, const double *w,
                                                    const double *b, const cvl_exec *run);
CVL_API size_t cvl_conv_transpose2d_forward_workspace_size_f32(const cvl_conv_transpose2d *d,
                                                               int threads);
CVL_API size_t cvl_conv_transpose2d_forward_workspace_size_f64(const cvl_conv_transpose2d *d,
                                                               int threads);

/* cvl_conv_transpose2d_backward_data_f32: gradient with respect to x: the convolution of dy with w.
 * Shapes   dx as x, dy as y
 * Numerics as cvl_conv2d_forward_f32, with k = (kh*KW+kw)*OC/G+oc */
CVL_API cvl_status cvl_conv_transpose2d_backward_data_f32(const cvl_conv_transpose2d *d, float *dx,
                                                          const float *dy, const float *w,
                                                          const cvl_exec *run);
CVL_API cvl_status cvl_conv_transpose2d_backward_data_f64(const cvl_conv_transpose2d *d, double *dx,
                                                          const double *dy, const double *w,
                                                          const cvl_exec *run);
CVL_API size_t cvl_conv_transpose2d_backward_data_workspace_size_f32(const cvl_conv_transpose2d *d,
                                                                     int threads);
CVL_API size_t cvl_conv_transpose2d_backward_data_workspace_size_f64(const cvl_conv_transpose2d *d,
                                                                     int threads);

/* cvl_conv_transpose2d_backward_weights_f32: gradients with respect to w and b:
 *   dw[kh,kw,oc,c] = sum_{n,ih,iw} dy[n, ih*SH-PT+kh*DH, iw*SW-PL+kw*DW, oc] * x[n,ih,iw,c]
 *   db[oc]         = sum_{n,oh,ow} dy[n,oh,ow,oc]
 * Shapes   dw as w, db as b; either may be NULL and is then not computed; without dw, x may be NULL
 * Numerics as cvl_conv2d_backward_weights_f32, over the positions of x for dw, of dy for db */
CVL_API cvl_status cvl_conv_transpose2d_backward_weights_f32(const cvl_conv_transpose2d *d,
                                                             float *dw, float *db, const float *dy,
                                                             const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_conv_transpose2d_backward_weights_f64(const cvl_conv_transpose2d *d,
                                                             double *dw, double *db,
                                                             const double *dy, const double *x,
                                                             const cvl_exec *run);
CVL_API size_t cvl_conv_transpose2d_backward_weights_workspace_size_f32(
    const cvl_conv_transpose2d *d, int threads);
CVL_API size_t cvl_conv_transpose2d_backward_weights_workspace_size_f64(
    const cvl_conv_transpose2d *d, int threads);

/* ---------------------------------------------------------------- resampling
 *
 * Linear maps of images, the same for each channel and apart for rows and columns:
 *   y[n,oh,ow,c] = sum over taps i of row oh and j of column ow of r[i] * s[j] * x[n,h[i],w[j],c]
 * one chain of FMAs along each row, then one over the rows. The backward pass is the transposed
 * map: dx sums, for each input position, over the outputs that saw it, in their order. Both passes
 * of an operator take the same workspace. Padding and upsampling keep subnormal numbers. */

typedef enum cvl_pad_mode {
    CVL_PAD_CONSTANT = 0,  /* value 0 0 [0 1 2 3] 0 0 */
    CVL_PAD_REFLECT = 1,   /* mirrored about the edge pixel: 2 1 [0 1 2 3] 2 1; fewer than H rows */
    CVL_PAD_REPLICATE = 2, /* the edge pixel: 0 0 [0 1 2 3] 3 3 */
    CVL_PAD_CIRCULAR = 3   /* the other side: 2 3 [0 1 2 3] 0 1; at most H rows */
} cvl_pad_mode;

/* Shapes   x (N,H,W,C)  y (N,PT+H+PB,PL+W+PR,C) */
typedef struct cvl_pad2d {
    size_t size;
    ptrdiff_t N, H, W, C;     /* N >= 0, the others >= 1 */
    ptrdiff_t PT, PB, PL, PR; /* >= 0 */
    cvl_pad_mode mode;
    double value; /* of the pixels around, with CVL_PAD_CONSTANT */
} cvl_pad2d;
#define CVL_PAD2D_INIT {sizeof(cvl_pad2d), 0, 0, 0, 0, 0, 0, 0, 0, CVL_PAD_CONSTANT, 0}

/* cvl_pad2d_forward_f32: y = x inside the padding that `mode` makes of it.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT | CVL_ERR_SHAPE | CVL_ERR_OVERFLOW | CVL_ERR_WORKSPACE |
 *          CVL_ERR_ISA, as do all functions of this section */
CVL_API cvl_status cvl_pad2d_forward_f32(const cvl_pad2d *d, float *y, const float *x,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_pad2d_forward_f64(const cvl_pad2d *d, double *y, const double *x,
                                         const cvl_exec *run);
/* cvl_pad2d_backward_f32: dx[p] = sum of dy over the pixels that are copies of x[p]. */
CVL_API cvl_status cvl_pad2d_backward_f32(const cvl_pad2d *d, float *dx, const float *dy,
                                          const cvl_exec *run);
CVL_API cvl_status cvl_pad2d_backward_f64(const cvl_pad2d *d, double *dx, const double *dy,
                                          const cvl_exec *run);
CVL_API size_t cvl_pad2d_workspace_size_f32(const cvl_pad2d *d, int threads);
CVL_API size_t cvl_pad2d_workspace_size_f64(const cvl_pad2d *d, int threads);

typedef enum cvl_upsample_mode {
    CVL_UPSAMPLE_NEAREST = 0, /* h = floor(oh / SH) */
    CVL_UPSAMPLE_BILINEAR = 1 /* between the two rows around h = max((oh + 1/2)/SH - 1/2, 0); with
                                 align_corners, h = oh * (H-1)/(OH-1), 0 where OH is 1 */
} cvl_upsample_mode;

/* Shapes   x (N,H,W,C)  y (N,H*SH,W*SW,C) */
typedef struct cvl_upsample2d {
    size_t size;
    ptrdiff_t N, H, W, C; /* N >= 0, the others >= 1 */
    ptrdiff_t SH, SW;     /* >= 1 */
    cvl_upsample_mode mode;
    int align_corners; /* with CVL_UPSAMPLE_BILINEAR only */
} cvl_upsample2d;
#define CVL_UPSAMPLE2D_INIT {sizeof(cvl_upsample2d), 0, 0, 0, 0, 1, 1, CVL_UPSAMPLE_NEAREST, 0}

/* cvl_upsample2d_forward_f32: y as above; weights are exact fractions, rounded once. */
CVL_API cvl_status cvl_upsample2d_forward_f32(const cvl_upsample2d *d, float *y, const float *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_upsample2d_forward_f64(const cvl_upsample2d *d, double *y, const double *x,
                                              const cvl_exec *run);
/* cvl_upsample2d_backward_f32: dx from dy, by the transposed map. */
CVL_API cvl_status cvl_upsample2d_backward_f32(const cvl_upsample2d *d, float *dx, const float *dy,
                                               const cvl_exec *run);
CVL_API cvl_status cvl_upsample2d_backward_f64(const cvl_upsample2d *d, double *dx,
                                               const double *dy, const cvl_exec *run);
CVL_API size_t cvl_upsample2d_workspace_size_f32(const cvl_upsample2d *d, int threads);
CVL_API size_t cvl_upsample2d_workspace_size_f64(const cvl_upsample2d *d, int threads);

/* Shapes   x (N,H,W,C)  y (N,OH,OW,C) */
typedef struct cvl_adaptive_avg_pool2d {
    size_t size;
    ptrdiff_t N, H, W, C; /* N >= 0, the others >= 1 */
    ptrdiff_t OH, OW;     /* >= 1 */
} cvl_adaptive_avg_pool2d;
#define CVL_ADAPTIVE_AVG_POOL2D_INIT {sizeof(cvl_adaptive_avg_pool2d), 0, 0, 0, 0, 0, 0}

/* cvl_adaptive_avg_pool2d_forward_f32: the mean over rows floor(oh*H/OH) to ceil((oh+1)*H/OH) - 1
 * and such columns: rows are summed first, then added in order, then divided by the count. */
CVL_API cvl_status cvl_adaptive_avg_pool2d_forward_f32(const cvl_adaptive_avg_pool2d *d, float *y,
                                                       const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_adaptive_avg_pool2d_forward_f64(const cvl_adaptive_avg_pool2d *d, double *y,
                                                       const double *x, const cvl_exec *run);
/* cvl_adaptive_avg_pool2d_backward_f32: dx from dy, by the transposed map. */
CVL_API cvl_status cvl_adaptive_avg_pool2d_backward_f32(const cvl_adaptive_avg_pool2d *d, float *dx,
                                                        const float *dy, const cvl_exec *run);
CVL_API cvl_status cvl_adaptive_avg_pool2d_backward_f64(const cvl_adaptive_avg_pool2d *d,
                                                        double *dx, const double *dy,
                                                        const cvl_exec *run);
CVL_API size_t cvl_adaptive_avg_pool2d_workspace_size_f32(const cvl_adaptive_avg_pool2d *d,
                                                          int threads);
CVL_API size_t cvl_adaptive_avg_pool2d_workspace_size_f64(const cvl_adaptive_avg_pool2d *d,
                                                          int threads);

/* ---------------------------------------------------------------- arrangement
 *
 * Values are moved, none is computed. These functions take no workspace.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT | CVL_ERR_SHAPE | CVL_ERR_OVERFLOW */

/* cvl_concat_forward_f32: parts side by side: y[m,o_i + c] = x_i[m,c], o_i = sum over k < i of C_k.
 * cvl_concat_backward_f32: dx_i[m,c] = dy[m,o_i + c]; dx_i may be NULL where it is not needed.
 * Shapes   x_i, dx_i (M,C_i), i < parts  y, dy (M,sum of C_i) */
typedef struct cvl_concat {
    size_t size;
    ptrdiff_t M, parts; /* M >= 0, parts >= 1 */
    const ptrdiff_t *C; /* (parts), each >= 1 */
} cvl_concat;
#define CVL_CONCAT_INIT {sizeof(cvl_concat), 0, 0, NULL}
CVL_API cvl_status cvl_concat_forward_f32(const cvl_concat *d, float *y, const float *const *x,
                                          const cvl_exec *run);
CVL_API cvl_status cvl_concat_forward_f64(const cvl_concat *d, double *y, const double *const *x,
                                          const cvl_exec *run);
CVL_API cvl_status cvl_concat_backward_f32(const cvl_concat *d, float *const *dx, const float *dy,
                                           const cvl_exec *run);
CVL_API cvl_status cvl_concat_backward_f64(const cvl_concat *d, double *const *dx, const double *dy,
                                           const cvl_exec *run);

/* cvl_pad_shortcut_forward_f32: the shortcut without parameters: y[n,h,w,c] = x[n,h*SH,w*SW,c] where
 * c < C, else 0.
 * Shapes   x, dx (N,H,W,C)  y, dy (N,ceil(H/SH),ceil(W/SW),OC)
 * Source   He, Zhang, Ren & Sun 2015, arXiv:1512.03385, shortcut A of section 4.1 */
typedef struct cvl_pad_shortcut {
    size_t size;
    ptrdiff_t N, H, W, C; /* N >= 0, the others >= 1 */
    ptrdiff_t OC, SH, SW; /* OC >= C; SH, SW >= 1 */
} cvl_pad_shortcut;
#define CVL_PAD_SHORTCUT_INIT {sizeof(cvl_pad_shortcut), 0, 0, 0, 0, 0, 1, 1}
CVL_API cvl_status cvl_pad_shortcut_forward_f32(const cvl_pad_shortcut *d, float *y, const float *x,
                                                const cvl_exec *run);
CVL_API cvl_status cvl_pad_shortcut_forward_f64(const cvl_pad_shortcut *d, double *y,
                                                const double *x, const cvl_exec *run);
/* cvl_pad_shortcut_backward_f32: dx from dy: 0 where nothing was taken. */
CVL_API cvl_status cvl_pad_shortcut_backward_f32(const cvl_pad_shortcut *d, float *dx,
                                                 const float *dy, const cvl_exec *run);
CVL_API cvl_status cvl_pad_shortcut_backward_f64(const cvl_pad_shortcut *d, double *dx,
                                                 const double *dy, const cvl_exec *run);

/* ---------------------------------------------------------------- dropout
 *
 *   y[i] = x[i] / (1 - p) where r(i) >= 2^32 p (rounded to an integer), else 0
 * r(i) is word i mod 4 of Philox4x32-10 with the counter (i / 4, counter) and the key seed, 64 bits
 * each, low words first: a function of seed, counter and i alone. With per_channel, i counts
 * samples and channels, n*C + c, and whole channels of a sample go; else it counts elements.
 * Shapes   x, y (N,M,C): M positions of each of N samples
 * Source   Salmon, Moraes, Dror & Shaw 2011, doi:10.1145/2063384.2063405 */
typedef struct cvl_dropout {
    size_t size;
    ptrdiff_t N, M, C; /* >= 0 */
    double p;          /* 0 <= p <= 1 */
    uint64_t seed, counter;
    int per_channel;
} cvl_dropout;
#define CVL_DROPOUT_INIT {sizeof(cvl_dropout), 0, 0, 0, 0, 0, 0, 0}

/* cvl_dropout_f32: y as above, and as well dx from dy; y may be x. A dropped NaN is 0. Subnormals
 * are kept.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT (also: p outside [0, 1] or NaN) | CVL_ERR_SHAPE |
 *          CVL_ERR_OVERFLOW | CVL_ERR_WORKSPACE | CVL_ERR_ISA */
CVL_API cvl_status cvl_dropout_f32(const cvl_dropout *d, float *y, const float *x,
                                   const cvl_exec *run);
CVL_API cvl_status cvl_dropout_f64(const cvl_dropout *d, double *y, const double *x,
                                   const cvl_exec *run);
CVL_API size_t cvl_dropout_workspace_size_f32(const cvl_dropout *d, int threads);
CVL_API size_t cvl_dropout_workspace_size_f64(const cvl_dropout *d, int threads);

#ifdef __cplusplus
}
#endif
#endif
