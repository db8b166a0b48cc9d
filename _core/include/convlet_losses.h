/* convlet_losses.h: a part of convlet.h, which includes it and says what holds for every function:
 * cross-entropy and the other losses, each with its gradient. */
#ifndef CONVLET_LOSSES_H
#define CONVLET_LOSSES_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- cross-entropy */

typedef enum cvl_reduction {
    CVL_REDUCTION_NONE = 0,
    CVL_REDUCTION_SUM = 1,
    CVL_REDUCTION_MEAN = 2
} cvl_reduction;

/* What a mean is whose divisor is 0, as where every row is ignored; its gradient is 0. */
typedef enum cvl_empty {
    CVL_EMPTY_ZERO = 0,
    CVL_EMPTY_NAN = 1,
    CVL_EMPTY_ERROR = 2 /* CVL_ERR_EMPTY */
} cvl_empty;

/* Cross-entropy from logits, value and gradient together. With lse_n = log sum_c exp z[n,c], p the
 * softmax, s the label smoothing, q[n,c] = [c = t_n] for labels, w class and a sample weights:
 *   u[n,c] = w[c] ((1-s) q[n,c] + s/C)
 *   l_n = a_n sum_c u[n,c] (lse_n - z[n,c]),    dz[n,c] = a_n (p[n,c] sum_k u[n,k] - u[n,c])
 * A class with u = 0 adds nothing to l, even if its logit is -inf. mean divides both by the sum of
 * a_n w[t_n] over the rows not ignored; with soft targets, by the sum of a_n.
 * A row is skipped when its label is to be ignored, its a_n is 0, or s and w[t_n] are: its l_n and
 * dz are 0, whatever its logits; of an ignored row not even a_n is read. */
typedef struct cvl_softmax_cross_entropy {
    size_t size;
    ptrdiff_t N;             /* rows, >= 0 */
    ptrdiff_t C;             /* classes, >= 1 */
    cvl_reduction reduction; /* none: l_n; sum; mean */
    int64_t ignore_index;    /* any number, also one outside [0, C) */
    double label_smoothing;  /* s, 0 to 1 */
    int ignore;              /* nonzero: rows labelled ignore_index are ignored; labels only */
    cvl_empty empty;         /* of the mean */
} cvl_softmax_cross_entropy;
#define CVL_SOFTMAX_CROSS_ENTROPY_INIT \
    {sizeof(cvl_softmax_cross_entropy), 0, 0, CVL_REDUCTION_MEAN, 0, 0, 0, CVL_EMPTY_ZERO}

/* cvl_softmax_cross_entropy_f32: integer targets; weights that are NULL count as 1.
 * Shapes   loss: 1 double (sum, mean) or N (none); dz, z (N,C); labels, sample_weight (N);
 *          class_weight (C)
 * Numerics row losses in double; without smoothing, confident rows by log1p so that they keep their
 *          relative accuracy, and dz of the target as minus the sum of the others, never p - 1;
 *          rows summed in 8 chains, folded by a tree
 * Returns  also CVL_ERR_LABEL when a label is neither in [0, C) nor ignored; CVL_ERR_WEIGHT;
 *          CVL_ERR_EMPTY */
CVL_API cvl_status cvl_softmax_cross_entropy_f32(const cvl_softmax_cross_entropy *d, double *loss,
                                                 float *dz, const float *z, const int64_t *labels,
                                                 const float *class_weight,
                                                 const float *sample_weight, const cvl_exec *run);
CVL_API cvl_status cvl_softmax_cross_entropy_f64(const cvl_softmax_cross_entropy *d, double *loss,
                                                 double *dz, const double *z, const int64_t *labels,
                                                 const double *class_weight,
                                                 const double *sample_weight, const cvl_exec *run);
CVL_API size_t cvl_softmax_cross_entropy_workspace_size_f32(const cvl_softmax_cross_entropy *d,
                                                            int threads);
CVL_API size_t cvl_softmax_cross_entropy_workspace_size_f64(const cvl_softmax_cross_entropy *d,
                                                            int threads);

/* cvl_softmax_cross_entropy_soft_f32: soft targets q (N,C), finite, any sum; the same workspace.
 * Returns  also CVL_ERR_ARGUMENT where rows are to be ignored, CVL_ERR_WEIGHT, CVL_ERR_EMPTY */
CVL_API cvl_status cvl_softmax_cross_entropy_soft_f32(const cvl_softmax_cross_entropy *d,
                                                      double *loss, float *dz, const float *z,
                                                      const float *q, const float *class_weight,
                                                      const float *sample_weight,
                                                      const cvl_exec *run);
CVL_API cvl_status cvl_softmax_cross_entropy_soft_f64(const cvl_softmax_cross_entropy *d,
                                                      double *loss, double *dz, const double *z,
                                                      const double *q, const double *class_weight,
                                                      const double *sample_weight,
                                                      const cvl_exec *run);

/* ---------------------------------------------------------------- log-probabilities */

/* cvl_nll_f32: negative log-likelihood from log-probabilities x, whatever they sum to:
 *   l_n = -a_n w[t_n] x[n,t_n],    dx[n,c] = -a_n w[t_n] [c = t_n]
 * Everything else as in cvl_softmax_cross_entropy_f32. */
typedef struct cvl_nll {
    size_t size;
    ptrdiff_t N; /* rows, >= 0 */
    ptrdiff_t C; /* classes, >= 1 */
    cvl_reduction reduction;
    int ignore;
    int64_t ignore_index;
    cvl_empty empty;
} cvl_nll;
#define CVL_NLL_INIT {sizeof(cvl_nll), 0, 0, CVL_REDUCTION_MEAN, 0, 0, CVL_EMPTY_ZERO}
CVL_API cvl_status cvl_nll_f32(const cvl_nll *d, double *loss, float *dx, const float *x,
                               const int64_t *labels, const float *class_weight,
                               const float *sample_weight, const cvl_exec *run);
CVL_API cvl_status cvl_nll_f64(const cvl_nll *d, double *loss, double *dx, const double *x,
                               const int64_t *labels, const double *class_weight,
                               const double *sample_weight, const cvl_exec *run);
CVL_API size_t cvl_nll_workspace_size_f32(const cvl_nll *d, int threads);
CVL_API size_t cvl_nll_workspace_size_f64(const cvl_nll *d, int threads);

/* ---------------------------------------------------------------- losses over elements */

/* Losses of n predictions x with targets y, one by one, value and gradient together; mean divides
 * both by n and is 0 where n is.
 * Shapes   loss: 1 double (sum, mean) or n (none); dx, x, y (n)
 * Numerics each value and gradient in the type of x; values summed in double, in blocks of 4096 and
 *          64 lanes. NaN propagates.
 * Workspace one function for all of them: cvl_loss_workspace_size_f32
 * Returns  also CVL_ERR_WEIGHT when `positive` or `negative` is below 0 or not finite */
typedef struct cvl_loss {
    size_t size;
    ptrdiff_t n;             /* elements, >= 0 */
    double delta;            /* huber: > 0; smooth_l1: >= 0; finite */
    double gamma;            /* focal: >= 0 and finite */
    double positive;         /* focal: the weight of y = 1, >= 0 and finite */
    double negative;         /* focal: the weight of y = 0, likewise */
    cvl_reduction reduction; /* none: the n values; sum; mean */
} cvl_loss;
#define CVL_LOSS_INIT {sizeof(cvl_loss), 0, 1, 2, 1, 1, CVL_REDUCTION_MEAN}
CVL_API size_t cvl_loss_workspace_size_f32(const cvl_loss *d, int threads);
CVL_API size_t cvl_loss_workspace_size_f64(const cvl_loss *d, int threads);

/* cvl_mse_f32: l = (x - y)^2. */
CVL_API cvl_status cvl_mse_f32(const cvl_loss *d, double *loss, float *dx, const float *x,
                               const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_mse_f64(const cvl_loss *d, double *loss, double *dx, const double *x,
                               const double *y, const cvl_exec *run);

/* cvl_l1_f32: l = |x - y|; its gradient at 0 is 0. */
CVL_API cvl_status cvl_l1_f32(const cvl_loss *d, double *loss, float *dx, const float *x,
                              const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_l1_f64(const cvl_loss *d, double *loss, double *dx, const double *x,
                              const double *y, const cvl_exec *run);

/* cvl_huber_f32: with r = x - y,
 *   l = r^2 / 2 where |r| < delta, else delta (|r| - delta/2)
 * Source   Huber 1964, Annals of Mathematical Statistics 35 */
CVL_API cvl_status cvl_huber_f32(const cvl_loss *d, double *loss, float *dx, const float *x,
                                 const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_huber_f64(const cvl_loss *d, double *loss, double *dx, const double *x,
                                 const double *y, const cvl_exec *run);

/* cvl_smooth_l1_f32: the same divided by delta; with delta = 0, l1.
 * Source   Girshick 2015, arXiv:1504.08083 */
CVL_API cvl_status cvl_smooth_l1_f32(const cvl_loss *d, double *loss, float *dx, const float *x,
                                     const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_smooth_l1_f64(const cvl_loss *d, double *loss, double *dx, const double *x,
                                     const double *y, const cvl_exec *run);

/* cvl_binary_cross_entropy_f32: from logits; with b(t) = log(1 + exp t) and sigma its derivative,
 *   l = a (w y b(-x) + (1 - y) b(x)),    dx = a ((1 - y) sigma(x) - w y sigma(-x))
 * for targets y in [0, 1], weights a and positive weights w (n), either NULL for 1. A term whose
 * coefficient is 0 adds nothing to l. Both keep their relative accuracy where y is 0 or 1.
 * Returns  also CVL_ERR_LABEL when a target is outside [0, 1], CVL_ERR_WEIGHT */
CVL_API cvl_status cvl_binary_cross_entropy_f32(const cvl_loss *d, double *loss, float *dx,
                                                const float *x, const float *y,
                                                const float *positive_weight, const float *weight,
                                                const cvl_exec *run);
CVL_API cvl_status cvl_binary_cross_entropy_f64(const cvl_loss *d, double *loss, double *dx,
                                                const double *x, const double *y,
                                                const double *positive_weight, const double *weight,
                                                const cvl_exec *run);

/* cvl_focal_f32: binary cross-entropy from logits with easy examples weighed down. With p the
 * sigmoid of x, and c the cross-entropy above without weights:
 *   l = (positive y + negative (1 - y)) m^gamma c,    m = y (1 - p) + (1 - y) p
 * for targets y in [0, 1].
 * Returns  also CVL_ERR_LABEL when a target is outside [0, 1]
 * Source   Lin et al. 2017, arXiv:1708.02002 */
CVL_API cvl_status cvl_focal_f32(const cvl_loss *d, double *loss, float *dx, const float *x,
                                 const float *y, const cvl_exec *run);
CVL_API cvl_status cvl_focal_f64(const cvl_loss *d, double *loss, double *dx, const double *x,
                                 const double *y, const cvl_exec *run);

#ifdef __cplusplus
}
#endif

#endif
