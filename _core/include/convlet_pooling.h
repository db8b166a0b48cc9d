/* convlet_pooling.h: a part of convlet.h, which includes it and says what holds for every function:
 * max and average pooling. */
#ifndef CONVLET_POOLING_H
#define CONVLET_POOLING_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- pooling
 *
 * Windows of KH x KW positions, DH and DW apart, at (oh*SH-PT, ow*SW-PL).
 * Shapes   x (N,H,W,C)  y (N,OH,OW,C); OH = floor((H+PT+PB-DH*(KH-1)-1)/SH) + 1, or ceil with
 *          ceil_mode, less one where the last window would begin at or past H+PT; OW alike */
typedef struct cvl_pool2d {
    size_t size;
    ptrdiff_t N, H, W, C;     /* N >= 0, the others >= 1 */
    ptrdiff_t KH, KW, SH, SW; /* >= 1 */
    ptrdiff_t DH, DW;         /* dilation, >= 1; 1 for averages */
    ptrdiff_t PT, PB, PL, PR; /* padding: 0 <= PT, PB <= KH/2 and 0 <= PL, PR <= KW/2 */
    int ceil_mode;
    int count_include_pad; /* averages: whether padding counts in the divisor */
} cvl_pool2d;
#define CVL_POOL2D_INIT {sizeof(cvl_pool2d), 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1}

/* cvl_pool2d_output_shape: OH and OW as above.
 * Returns  CVL_OK | CVL_ERR_SHAPE | CVL_ERR_OVERFLOW */
CVL_API cvl_status cvl_pool2d_output_shape(const cvl_pool2d *d, ptrdiff_t *OH, ptrdiff_t *OW);

/* cvl_max_pool2d_forward_f32: the largest value of each window inside the input; a NaN wins. A
 * dilated window that meets no position of the input is -inf, and has no gradient. */
CVL_API cvl_status cvl_max_pool2d_forward_f32(const cvl_pool2d *d, float *y, const float *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_max_pool2d_forward_f64(const cvl_pool2d *d, double *y, const double *x,
                                              const cvl_exec *run);

/* cvl_max_pool2d_backward_f32: each dy goes to the position that won: the first of equals in row
 * order, or the first NaN. Positions in several windows add up in output order. */
CVL_API cvl_status cvl_max_pool2d_backward_f32(const cvl_pool2d *d, float *dx, const float *dy,
                                               const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_max_pool2d_backward_f64(const cvl_pool2d *d, double *dx, const double *dy,
                                               const double *x, const cvl_exec *run);

/* cvl_max_pool2d_forward_winners_f32, cvl_max_pool2d_backward_winners_f32: the same results, with the
 * winners kept instead of x: for every output, the number of the position that won, counted in row
 * order through the positions of its window inside the input; 255 where there is none. A number that
 * is none of them gets no gradient.
 * Shapes   winners (N,OH,OW,C)
 * Returns  also CVL_ERR_SHAPE where KH * KW > 255 */
CVL_API cvl_status cvl_max_pool2d_forward_winners_f32(const cvl_pool2d *d, float *y,
                                                      uint8_t *winners, const float *x,
                                                      const cvl_exec *run);
CVL_API cvl_status cvl_max_pool2d_forward_winners_f64(const cvl_pool2d *d, double *y,
                                                      uint8_t *winners, const double *x,
                                                      const cvl_exec *run);
CVL_API cvl_status cvl_max_pool2d_backward_winners_f32(const cvl_pool2d *d, float *dx,
                                                       const float *dy, const uint8_t *winners,
                                                       const cvl_exec *run);
CVL_API cvl_status cvl_max_pool2d_backward_winners_f64(const cvl_pool2d *d, double *dx,
                                                       const double *dy, const uint8_t *winners,
                                                       const cvl_exec *run);

/* cvl_batch_norm_max_pool2d_forward_f32: max pooling of a batch norm's output, which is not written;
 * mean and var are those of x, or given where d->frozen.
 * d        M = N*H*W and C are the window's
 * winners  as of cvl_max_pool2d_forward_winners; NULL: not wanted
 * Numerics those of cvl_batch_norm_forward, or _inference, and then of the pooling, to the bit. The
 *          gradient is cvl_max_pool2d_backward_winners', and then cvl_batch_norm_backward's
 * Returns  also CVL_ERR_SHAPE where M is 0 and mean and var are not given */
CVL_API cvl_status cvl_batch_norm_max_pool2d_forward_f32(
    const cvl_batch_norm *d, const cvl_pool2d *window, float *y, uint8_t *winners, double *mean,
    double *var, const float *x, const float *gamma, const float *beta, const cvl_exec *run);
CVL_API cvl_status cvl_batch_norm_max_pool2d_forward_f64(
    const cvl_batch_norm *d, const cvl_pool2d *window, double *y, uint8_t *winners, double *mean,
    double *var, const double *x, const double *gamma, const double *beta, const cvl_exec *run);
CVL_API size_t cvl_batch_norm_max_pool2d_forward_workspace_size_f32(const cvl_batch_norm *d,
                                                                    const cvl_pool2d *window,
                                                                    int threads);
CVL_API size_t cvl_batch_norm_max_pool2d_forward_workspace_size_f64(const cvl_batch_norm *d,
                                                                    const cvl_pool2d *window,
                                                                    int threads);

/* cvl_avg_pool2d_forward_f32: sum of the window inside the input over a divisor: the positions of
 * the window inside the padded input (count_include_pad) or inside the input. A window without any
 * is 0. Rows of a window are summed first, then added in order. Global average: KH = H, KW = W. */
CVL_API cvl_status cvl_avg_pool2d_forward_f32(const cvl_pool2d *d, float *y, const float *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_avg_pool2d_forward_f64(const cvl_pool2d *d, double *y, const double *x,
                                              const cvl_exec *run);

/* cvl_avg_pool2d_backward_f32: dx[p] = sum of dy / divisor over the windows that hold p. */
CVL_API cvl_status cvl_avg_pool2d_backward_f32(const cvl_pool2d *d, float *dx, const float *dy,
                                               const cvl_exec *run);
CVL_API cvl_status cvl_avg_pool2d_backward_f64(const cvl_pool2d *d, double *dx, const double *dy,
                                               const cvl_exec *run);

#ifdef __cplusplus
}
#endif

#endif
