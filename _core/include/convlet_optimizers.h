/* convlet_optimizers.h: a part of convlet.h, which includes it and says what holds for every
 * function: the optimizers' steps, gradient clipping and averages of weights. */
#ifndef CONVLET_OPTIMIZERS_H
#define CONVLET_OPTIMIZERS_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- optimizers
 *
 * One call steps every segment: a run of n parameters w with gradients g and the optimizer's
 * moments beside them. w and the moments are read and written in place; g is read, multiplied by
 * `gradient_scale` (a clipped norm's share, else 1) and, with `clear_gradients`, becomes 0.
 * Hyper-parameters are already evaluated at the step t = 1, 2, ... Where a denominator is 0 the
 * update is 0. All arithmetic is in the segment's type; constants are worked out in double and
 * rounded once.
 * Aliasing no array of a segment, or of another, may overlap one that is written
 * Returns  CVL_OK | CVL_ERR_ARGUMENT (also: an array of a segment missing, a constant that is not
 *          finite in the segment's type, a correction2 not above 0) | CVL_ERR_SHAPE (a length or
 *          count below 0) | CVL_ERR_OVERFLOW | CVL_ERR_ISA; nothing is stepped on error */
typedef struct cvl_segment_f32 {
    ptrdiff_t n;
    float *w;
    float *g;
    float *m;     /* adam, nadam, lion: first moment; sgd, rmsprop: buffer; NULL without momentum */
    float *v;     /* adam, nadam: second moment; adagrad: sum of squares; rmsprop: their mean */
    float *extra; /* adam with amsgrad: the largest v; rmsprop, centered: mean of gradients */
} cvl_segment_f32;
typedef struct cvl_segment_f64 {
    ptrdiff_t n;
    double *w;
    double *g;
    double *m, *v, *extra;
} cvl_segment_f64;

/* cvl_sgd_step_f32:
 * g' = g + l2 w;  where there is an m: m = first ? g' : momentum m + (1 - dampening) g',
 * g' = nesterov ? g' + momentum m : m;  w = (1 - lr weight_decay) w - lr g'. */
typedef struct cvl_sgd {
    size_t size;
    double lr, momentum, dampening, l2, weight_decay;
    int nesterov;
    int first; /* nonzero at the first step of these segments */
    double gradient_scale;
    int clear_gradients;
} cvl_sgd;
#define CVL_SGD_INIT {sizeof(cvl_sgd), 0, 0, 0, 0, 0, 0, 0, 1, 0}
CVL_API cvl_status cvl_sgd_step_f32(const cvl_sgd *d, const cvl_segment_f32 *segments,
                                    ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_sgd_step_f64(const cvl_sgd *d, const cvl_segment_f64 *segments,
                                    ptrdiff_t count, const cvl_exec *run);

/* cvl_adam_step_f32:
 * g' = g + l2 w;  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2;
 * w = (1 - lr weight_decay) w - lr (m / correction1) / (sqrt(v / correction2) + eps);
 * correction_i = 1 - prod_{s<=t} beta_i(s). With amsgrad, extra = max(extra, v) stands for v in w.
 * Source   Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101;
 *          Reddi, Kale & Kumar 2018 (AMSGrad) */
typedef struct cvl_adam {
    size_t size;
    double lr, beta1, beta2, correction1, correction2, eps, l2, weight_decay;
    int eps_hat; /* nonzero: the denominator is (sqrt(v) + eps) / sqrt(correction2) */
    int amsgrad;
    double gradient_scale;
    int clear_gradients;
} cvl_adam;
#define CVL_ADAM_INIT {sizeof(cvl_adam), 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0}
CVL_API cvl_status cvl_adam_step_f32(const cvl_adam *d, const cvl_segment_f32 *segments,
                                     ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_adam_step_f64(const cvl_adam *d, const cvl_segment_f64 *segments,
                                     ptrdiff_t count, const cvl_exec *run);

/* cvl_adagrad_step_f32:
 * g' = g + l2 w;  v = v + g'^2;  w = w - lr g' / (sqrt(v) + eps).
 * Source   Duchi, Hazan & Singer 2011 */
typedef struct cvl_adagrad {
    size_t size;
    double lr, eps, l2;
    double gradient_scale;
    int clear_gradients;
} cvl_adagrad;
#define CVL_ADAGRAD_INIT {sizeof(cvl_adagrad), 0, 0, 0, 1, 0}
CVL_API cvl_status cvl_adagrad_step_f32(const cvl_adagrad *d, const cvl_segment_f32 *segments,
                                        ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_adagrad_step_f64(const cvl_adagrad *d, const cvl_segment_f64 *segments,
                                        ptrdiff_t count, const cvl_exec *run);

/* cvl_nadam_step_f32:
 * g' = g + l2 w;  m and v as adam;  w = w - lr ((1 - mu) g' / correction1 +
 * next_mu m / next_correction1) / (sqrt(v / correction2) + eps);  mu is the momentum of this step,
 * next_mu that of the next; correction1 = 1 - prod_{s<=t} mu(s), next_correction1 with next_mu too.
 * Source   Dozat 2016 (NAdam) */
typedef struct cvl_nadam {
    size_t size;
    double lr, beta1, beta2, mu, next_mu, correction1, next_correction1, correction2, eps, l2;
    double gradient_scale;
    int clear_gradients;
} cvl_nadam;
#define CVL_NADAM_INIT {sizeof(cvl_nadam), 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0}
CVL_API cvl_status cvl_nadam_step_f32(const cvl_nadam *d, const cvl_segment_f32 *segments,
                                      ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_nadam_step_f64(const cvl_nadam *d, const cvl_segment_f64 *segments,
                                      ptrdiff_t count, const cvl_exec *run);

/* cvl_rmsprop_step_f32:
 * g' = g + l2 w;  v = alpha v + (1 - alpha) g'^2;  u = g' / (sqrt(v) + eps);
 * where there is an m: m = momentum m + u, u = m;  w = w - lr u.
 * centered: v is E[g'^2] - E[g']^2, kept as v = alpha v + alpha (1 - alpha) (g' - extra)^2 with
 * extra = extra + (1 - alpha) (g' - extra): never negative, and free of cancellation.
 * Source   Hinton 2012, lecture 6e; Graves 2013, arXiv:1308.0850 (centered) */
typedef struct cvl_rmsprop {
    size_t size;
    double lr, alpha, eps, momentum, l2;
    int centered;
    double gradient_scale;
    int clear_gradients;
} cvl_rmsprop;
#define CVL_RMSPROP_INIT {sizeof(cvl_rmsprop), 0, 0, 0, 0, 0, 0, 1, 0}
CVL_API cvl_status cvl_rmsprop_step_f32(const cvl_rmsprop *d, const cvl_segment_f32 *segments,
                                        ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_rmsprop_step_f64(const cvl_rmsprop *d, const cvl_segment_f64 *segments,
                                        ptrdiff_t count, const cvl_exec *run);

/* cvl_lion_step_f32:
 * w = (1 - lr weight_decay) w - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g.
 * The sign of 0 is 0, that of NaN is NaN.
 * Source   Chen et al. 2023, arXiv:2302.06675 */
typedef struct cvl_lion {
    size_t size;
    double lr, beta1, beta2, weight_decay;
    double gradient_scale;
    int clear_gradients;
} cvl_lion;
#define CVL_LION_INIT {sizeof(cvl_lion), 0, 0, 0, 0, 1, 0}
CVL_API cvl_status cvl_lion_step_f32(const cvl_lion *d, const cvl_segment_f32 *segments,
                                     ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_lion_step_f64(const cvl_lion *d, const cvl_segment_f64 *segments,
                                     ptrdiff_t count, const cvl_exec *run);

/* What is done to gradients before a step, and to averages after one. Of the segments, these read
 * and write w alone (a gradient, an average), and cvl_blend reads g.
 *
 * cvl_clip_f32: w = min(max(w, -limit), limit), limit >= 0 and finite; NaN stays.
 * cvl_scale_f32: w = factor w.
 * cvl_blend_f32: w = w + rate (g - w): a moving average of g with decay 1 - rate. */
CVL_API cvl_status cvl_clip_f32(double limit, const cvl_segment_f32 *segments, ptrdiff_t count,
                                const cvl_exec *run);
CVL_API cvl_status cvl_clip_f64(double limit, const cvl_segment_f64 *segments, ptrdiff_t count,
                                const cvl_exec *run);
CVL_API cvl_status cvl_scale_f32(double factor, const cvl_segment_f32 *segments, ptrdiff_t count,
                                 const cvl_exec *run);
CVL_API cvl_status cvl_scale_f64(double factor, const cvl_segment_f64 *segments, ptrdiff_t count,
                                 const cvl_exec *run);
CVL_API cvl_status cvl_blend_f32(double rate, const cvl_segment_f32 *segments, ptrdiff_t count,
                                 const cvl_exec *run);
CVL_API cvl_status cvl_blend_f64(double rate, const cvl_segment_f64 *segments, ptrdiff_t count,
                                 const cvl_exec *run);

/* cvl_sum_squares_f32: sums[i] = sum of w^2 over segment i, in double.
 * Numerics 64 lanes folded by a tree for each 4096 elements of a segment, these added in order */
CVL_API cvl_status cvl_sum_squares_f32(double *sums, const cvl_segment_f32 *segments,
                                       ptrdiff_t count, const cvl_exec *run);
CVL_API cvl_status cvl_sum_squares_f64(double *sums, const cvl_segment_f64 *segments,
                                       ptrdiff_t count, const cvl_exec *run);
CVL_API size_t cvl_sum_squares_workspace_size_f32(const cvl_segment_f32 *segments, ptrdiff_t count,
                                                  int threads);
CVL_API size_t cvl_sum_squares_workspace_size_f64(const cvl_segment_f64 *segments, ptrdiff_t count,
                                                  int threads);

#ifdef __cplusplus
}
#endif
#endif
