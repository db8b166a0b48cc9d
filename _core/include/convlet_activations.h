/* convlet_activations.h: a part of convlet.h, which includes it and says what holds for every
 * function: the activations other than ReLU. */
#ifndef CONVLET_ACTIVATIONS_H
#define CONVLET_ACTIVATIONS_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Functions f of one element, and their gradients: y = f(x), dx = dy f'(x).
 * Shapes   y, x, dx, dy (n), n >= 0; slope and alpha are numbers of at least 0, finite in the type
 * Writes   all of y or dx, which may be one of the inputs
 * Numerics error of y as stated, in units in the last place of y, over all finite x, on every level
 *          with FMA; a gradient is within 4 units of the sum of its terms' magnitudes. Results
 *          below the smallest normal number are not flushed, and may be one more unit off. NaN
 *          stays NaN; an infinite x gives the limit of f and of f', never NaN.
 * Returns  CVL_OK | CVL_ERR_ARGUMENT (a slope or alpha below 0 or not finite) | CVL_ERR_SHAPE
 *
 * The gradients of these take y: */

/* cvl_leaky_relu_forward_f32: y = x where x > 0, else slope x; rounded once. With slope 0, -inf is
 * NaN.
 *   dx = dy where y > 0, else slope dy
 * Source   Maas, Hannun & Ng 2013, ICML Workshop on Deep Learning */
CVL_API cvl_status cvl_leaky_relu_forward_f32(double slope, ptrdiff_t n, float *y, const float *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_leaky_relu_forward_f64(double slope, ptrdiff_t n, double *y, const double *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_leaky_relu_backward_f32(double slope, ptrdiff_t n, float *dx,
                                               const float *dy, const float *y,
                                               const cvl_exec *run);
CVL_API cvl_status cvl_leaky_relu_backward_f64(double slope, ptrdiff_t n, double *dx,
                                               const double *dy, const double *y,
                                               const cvl_exec *run);

/* cvl_relu6_forward_f32: y = min(max(x, 0), 6); exact.
 *   dx = dy where 0 < y < 6, else 0
 * Source   Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10 */
CVL_API cvl_status cvl_relu6_forward_f32(ptrdiff_t n, float *y, const float *x,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_relu6_forward_f64(ptrdiff_t n, double *y, const double *x,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_relu6_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *y,
                                          const cvl_exec *run);
CVL_API cvl_status cvl_relu6_backward_f64(ptrdiff_t n, double *dx, const double *dy,
                                          const double *y, const cvl_exec *run);

/* cvl_sigmoid_forward_f32: y = 1 / (1 + exp(-x)); within 1 ulp, in float64 1.1.
 *   dx = dy y (1 - y) */
CVL_API cvl_status cvl_sigmoid_forward_f32(ptrdiff_t n, float *y, const float *x,
                                           const cvl_exec *run);
CVL_API cvl_status cvl_sigmoid_forward_f64(ptrdiff_t n, double *y, const double *x,
                                           const cvl_exec *run);
CVL_API cvl_status cvl_sigmoid_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *y,
                                            const cvl_exec *run);
CVL_API cvl_status cvl_sigmoid_backward_f64(ptrdiff_t n, double *dx, const double *dy,
                                            const double *y, const cvl_exec *run);

/* cvl_tanh_forward_f32: y = tanh(x); within 1 ulp, in float64 1.2.
 *   dx = dy (1 - y) (1 + y) */
CVL_API cvl_status cvl_tanh_forward_f32(ptrdiff_t n, float *y, const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_tanh_forward_f64(ptrdiff_t n, double *y, const double *x,
                                        const cvl_exec *run);
CVL_API cvl_status cvl_tanh_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *y,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_tanh_backward_f64(ptrdiff_t n, double *dx, const double *dy, const double *y,
                                         const cvl_exec *run);

/* cvl_elu_forward_f32: y = x where x > 0, else alpha (exp(x) - 1); within 1.5 ulp.
 *   dx = dy where y > 0, else dy (y + alpha)
 * Source   Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289 */
CVL_API cvl_status cvl_elu_forward_f32(double alpha, ptrdiff_t n, float *y, const float *x,
                                       const cvl_exec *run);
CVL_API cvl_status cvl_elu_forward_f64(double alpha, ptrdiff_t n, double *y, const double *x,
                                       const cvl_exec *run);
CVL_API cvl_status cvl_elu_backward_f32(double alpha, ptrdiff_t n, float *dx, const float *dy,
                                        const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_elu_backward_f64(double alpha, ptrdiff_t n, double *dx, const double *dy,
                                        const double *y, const cvl_exec *run);

/* The gradients of these take x: */

/* cvl_gelu_forward_f32: y = x Phi(x), Phi the distribution function of the standard normal; within
 * 5 ulp, down to the smallest y.
 *   dx = dy (Phi(x) + x exp(-x^2/2) / sqrt(2 pi))
 * Source   Hendrycks & Gimpel 2016, arXiv:1606.08415 */
CVL_API cvl_status cvl_gelu_forward_f32(ptrdiff_t n, float *y, const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_gelu_forward_f64(ptrdiff_t n, double *y, const double *x,
                                        const cvl_exec *run);
CVL_API cvl_status cvl_gelu_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *x,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_gelu_backward_f64(ptrdiff_t n, double *dx, const double *dy, const double *x,
                                         const cvl_exec *run);

/* cvl_gelu_tanh_forward_f32: their approximation y = x (1 + tanh(v)) / 2, which is x sigma(2v), with
 *   v = sqrt(2/pi) (x + 0.044715 x^3)
 *   dx = dy (sigma(2v) + x sigma(2v) sigma(-2v) 2v'),    v' = sqrt(2/pi) (1 + 3 * 0.044715 x^2)
 * within 5 + 6|v| ulp: v is rounded, and where it is large that is relative to y. */
CVL_API cvl_status cvl_gelu_tanh_forward_f32(ptrdiff_t n, float *y, const float *x,
                                             const cvl_exec *run);
CVL_API cvl_status cvl_gelu_tanh_forward_f64(ptrdiff_t n, double *y, const double *x,
                                             const cvl_exec *run);
CVL_API cvl_status cvl_gelu_tanh_backward_f32(ptrdiff_t n, float *dx, const float *dy,
                                              const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_gelu_tanh_backward_f64(ptrdiff_t n, double *dx, const double *dy,
                                              const double *x, const cvl_exec *run);

/* cvl_silu_forward_f32: y = x sigma(x), sigma the sigmoid; also known as swish; within 4 ulp.
 *   dx = dy sigma(x) (1 + x sigma(-x))
 * Source   Elfwing, Uchibe & Doya 2017, arXiv:1702.03118 */
CVL_API cvl_status cvl_silu_forward_f32(ptrdiff_t n, float *y, const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_silu_forward_f64(ptrdiff_t n, double *y, const double *x,
                                        const cvl_exec *run);
CVL_API cvl_status cvl_silu_backward_f32(ptrdiff_t n, float *dx, const float *dy, const float *x,
                                         const cvl_exec *run);
CVL_API cvl_status cvl_silu_backward_f64(ptrdiff_t n, double *dx, const double *dy, const double *x,
                                         const cvl_exec *run);

/* cvl_hard_swish_forward_f32: y = x min(max(x + 3, 0), 6) / 6; within 3 ulp.
 *   dx = 0 where x <= -3, dy where x >= 3, else dy (2x + 3) / 6
 * Source   Howard et al. 2019, arXiv:1905.02244 */
CVL_API cvl_status cvl_hard_swish_forward_f32(ptrdiff_t n, float *y, const float *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_hard_swish_forward_f64(ptrdiff_t n, double *y, const double *x,
                                              const cvl_exec *run);
CVL_API cvl_status cvl_hard_swish_backward_f32(ptrdiff_t n, float *dx, const float *dy,
                                               const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_hard_swish_backward_f64(ptrdiff_t n, double *dx, const double *dy,
                                               const double *x, const cvl_exec *run);

/* cvl_softplus_forward_f32: y = log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)); within 2 ulp.
 *   dx = dy sigma(x) */
CVL_API cvl_status cvl_softplus_forward_f32(ptrdiff_t n, float *y, const float *x,
                                            const cvl_exec *run);
CVL_API cvl_status cvl_softplus_forward_f64(ptrdiff_t n, double *y, const double *x,
                                            const cvl_exec *run);
CVL_API cvl_status cvl_softplus_backward_f32(ptrdiff_t n, float *dx, const float *dy,
                                             const float *x, const cvl_exec *run);
CVL_API cvl_status cvl_softplus_backward_f64(ptrdiff_t n, double *dx, const double *dy,
                                             const double *x, const cvl_exec *run);

#ifdef __cplusplus
}
#endif

#endif
