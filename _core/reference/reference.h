/* reference.h: the operators in naive C, the oracle of the C tests.
 *
 * A function cvl_reference_<op>_<pass> has the descriptor and the order of arguments of the public one,
 * on double arrays (float32 data is widened first), without threads or workspace. Those that are made of
 * others have none (add_relu, the sum of two norms, a norm before a pooling, winners, packed weights,
 * programs), and those of a line are written out in their tests (running_move, clip, scale, blend,
 * sum_squares). The formulas are those of convlet.h, written as there: loops over indices, bounds tested
 * one by one, sums in double or long double. Nothing is checked: descriptors are ones the operator
 * accepts, and optional arguments may be NULL where convlet.h says so. */
#ifndef CVL_REFERENCE_H
#define CVL_REFERENCE_H

#include "convlet.h"

/* Counts the windows one by one, for descriptors with sane sizes; 0 where not even one fits. */
void cvl_reference_conv2d_output_shape(const cvl_conv2d *d, ptrdiff_t *OH, ptrdiff_t *OW);
void cvl_reference_conv2d_forward(const cvl_conv2d *d, double *y, const double *x, const double *w,
                                  const double *b);
/* Forward in two steps: the sums, without b and the activation, which follow; y may be `sums`. */
void cvl_reference_conv2d_sums(const cvl_conv2d *d, double *sums, const double *x, const double *w);
void cvl_reference_conv2d_activate(const cvl_conv2d *d, double *y, const double *sums,
                                   const double *b);
void cvl_reference_conv2d_backward_data(const cvl_conv2d *d, double *dx, const double *dy,
                                        const double *w);
void cvl_reference_conv2d_backward_weights(const cvl_conv2d *d, double *dw, double *db,
                                           const double *dy, const double *x);

void cvl_reference_linear_forward(const cvl_linear *d, double *y, const double *x, const double *w,
                                  const double *b);
void cvl_reference_linear_backward_data(const cvl_linear *d, double *dx, const double *dy,
                                        const double *w);
void cvl_reference_linear_backward_weights(const cvl_linear *d, double *dw, double *db,
                                           const double *dy, const double *x);

/* Moments in two passes; the gradient by the chain rule step by step, not in its collected form. */
void cvl_reference_batch_norm_forward(const cvl_batch_norm *d, double *y, double *mean, double *var,
                                      const double *x, const double *gamma, const double *beta,
                                      const double *residual);
void cvl_reference_batch_norm_inference(const cvl_batch_norm *d, double *y, const double *x,
                                        const double *gamma, const double *beta, const double *mean,
                                        const double *var, const double *residual);
void cvl_reference_batch_norm_backward(const cvl_batch_norm *d, double *dx, double *dgamma,
                                       double *dbeta, double *dresidual, const double *dy,
                                       const double *x, const double *y, const double *gamma,
                                       const double *beta, const double *mean, const double *var);

void cvl_reference_group_norm_forward(const cvl_group_norm *d, double *y, double *mean, double *var,
                                      const double *x, const double *gamma, const double *beta);
void cvl_reference_group_norm_backward(const cvl_group_norm *d, double *dx, double *dgamma,
                                       double *dbeta, const double *dy, const double *x,
                                       const double *gamma, const double *mean, const double *var);

/* Everything between the arguments and the results in long double. */
void cvl_reference_softmax_forward(const cvl_softmax *d, double *y, const double *z);
void cvl_reference_log_softmax_forward(const cvl_softmax *d, double *y, const double *z);
void cvl_reference_softmax_backward(const cvl_softmax *d, double *dz, const double *dy,
                                    const double *y);
void cvl_reference_log_softmax_backward(const cvl_softmax *d, double *dz, const double *dy,
                                        const double *y);
void cvl_reference_softmax_cross_entropy(const cvl_softmax_cross_entropy *d, double *loss,
                                         double *dz, const double *z, const int64_t *labels,
                                         const double *class_weight, const double *sample_weight);
void cvl_reference_softmax_cross_entropy_soft(const cvl_softmax_cross_entropy *d, double *loss,
                                              double *dz, const double *z, const double *q,
                                              const double *class_weight,
                                              const double *sample_weight);
void cvl_reference_nll(const cvl_nll *d, double *loss, double *dx, const double *x,
                       const int64_t *labels, const double *class_weight,
                       const double *sample_weight);
void cvl_reference_mse(const cvl_loss *d, double *loss, double *dx, const double *x,
                       const double *y);
void cvl_reference_l1(const cvl_loss *d, double *loss, double *dx, const double *x,
                      const double *y);
void cvl_reference_huber(const cvl_loss *d, double *loss, double *dx, const double *x,
                         const double *y);
void cvl_reference_smooth_l1(const cvl_loss *d, double *loss, double *dx, const double *x,
                             const double *y);
void cvl_reference_binary_cross_entropy(const cvl_loss *d, double *loss, double *dx,
                                        const double *x, const double *y,
                                        const double *positive_weight, const double *weight);
void cvl_reference_focal(const cvl_loss *d, double *loss, double *dx, const double *x,
                         const double *y);

void cvl_reference_relu_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_relu_backward(ptrdiff_t n, double *dx, const double *dy, const double *y);
void cvl_reference_add(ptrdiff_t n, double *y, const double *a, const double *b);

/* Between the arguments and the results in long double. */
void cvl_reference_leaky_relu_forward(double slope, ptrdiff_t n, double *y, const double *x);
void cvl_reference_leaky_relu_backward(double slope, ptrdiff_t n, double *dx, const double *dy,
                                       const double *y);
void cvl_reference_relu6_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_relu6_backward(ptrdiff_t n, double *dx, const double *dy, const double *y);
void cvl_reference_sigmoid_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_sigmoid_backward(ptrdiff_t n, double *dx, const double *dy, const double *y);
void cvl_reference_tanh_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_tanh_backward(ptrdiff_t n, double *dx, const double *dy, const double *y);
void cvl_reference_elu_forward(double alpha, ptrdiff_t n, double *y, const double *x);
void cvl_reference_elu_backward(double alpha, ptrdiff_t n, double *dx, const double *dy,
                                const double *y);
void cvl_reference_gelu_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_gelu_backward(ptrdiff_t n, double *dx, const double *dy, const double *x);
void cvl_reference_gelu_tanh_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_gelu_tanh_backward(ptrdiff_t n, double *dx, const double *dy, const double *x);
void cvl_reference_silu_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_silu_backward(ptrdiff_t n, double *dx, const double *dy, const double *x);
void cvl_reference_hard_swish_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_hard_swish_backward(ptrdiff_t n, double *dx, const double *dy, const double *x);
void cvl_reference_softplus_forward(ptrdiff_t n, double *y, const double *x);
void cvl_reference_softplus_backward(ptrdiff_t n, double *dx, const double *dy, const double *x);

void cvl_reference_pool2d_output_shape(const cvl_pool2d *d, ptrdiff_t *OH, ptrdiff_t *OW);
void cvl_reference_max_pool2d_forward(const cvl_pool2d *d, double *y, const double *x);
void cvl_reference_max_pool2d_backward(const cvl_pool2d *d, double *dx, const double *dy,
                                       const double *x);
void cvl_reference_avg_pool2d_forward(const cvl_pool2d *d, double *y, const double *x);
void cvl_reference_avg_pool2d_backward(const cvl_pool2d *d, double *dx, const double *dy);

void cvl_reference_conv_transpose2d_output_shape(const cvl_conv_transpose2d *d, ptrdiff_t *OH,
                                                 ptrdiff_t *OW);
void cvl_reference_conv_transpose2d_forward(const cvl_conv_transpose2d *d, double *y,
                                            const double *x, const double *w, const double *b);
void cvl_reference_conv_transpose2d_backward_data(const cvl_conv_transpose2d *d, double *dx,
                                                  const double *dy, const double *w);
void cvl_reference_conv_transpose2d_backward_weights(const cvl_conv_transpose2d *d, double *dw,
                                                     double *db, const double *dy, const double *x);

void cvl_reference_concat_forward(const cvl_concat *d, double *y, const double *const *x);
void cvl_reference_concat_backward(const cvl_concat *d, double *const *dx, const double *dy);
void cvl_reference_pad_shortcut_forward(const cvl_pad_shortcut *d, double *y, const double *x);
void cvl_reference_pad_shortcut_backward(const cvl_pad_shortcut *d, double *dx, const double *dy);

void cvl_reference_pad2d_forward(const cvl_pad2d *d, double *y, const double *x);
void cvl_reference_pad2d_backward(const cvl_pad2d *d, double *dx, const double *dy);
void cvl_reference_upsample2d_forward(const cvl_upsample2d *d, double *y, const double *x);
void cvl_reference_upsample2d_backward(const cvl_upsample2d *d, double *dx, const double *dy);
void cvl_reference_adaptive_avg_pool2d_forward(const cvl_adaptive_avg_pool2d *d, double *y,
                                               const double *x);
void cvl_reference_adaptive_avg_pool2d_backward(const cvl_adaptive_avg_pool2d *d, double *dx,
                                                const double *dy);

/* Words of Philox4x32-10. */
void cvl_reference_philox(uint32_t word[4], const uint32_t counter[4], const uint32_t key[2]);
void cvl_reference_dropout(const cvl_dropout *d, double *y, const double *x);

void cvl_reference_sgd_step(const cvl_sgd *d, const cvl_segment_f64 *segments, ptrdiff_t count);
void cvl_reference_adam_step(const cvl_adam *d, const cvl_segment_f64 *segments, ptrdiff_t count);
void cvl_reference_adagrad_step(const cvl_adagrad *d, const cvl_segment_f64 *segments,
                                ptrdiff_t count);
void cvl_reference_nadam_step(const cvl_nadam *d, const cvl_segment_f64 *segments, ptrdiff_t count);
void cvl_reference_rmsprop_step(const cvl_rmsprop *d, const cvl_segment_f64 *segments,
                                ptrdiff_t count);
void cvl_reference_lion_step(const cvl_lion *d, const cvl_segment_f64 *segments, ptrdiff_t count);

#endif
