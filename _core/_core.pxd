# The core for other Cython code: `from convlet._core cimport ...`, to be called without the GIL.
# Types are those of convlet.h, which is also the manual and is installed in convlet/include. Each
# function stands for the pair of that name in the header, `..._f32` and `..._f64`: `dtype` is b'f'
# or b'd' and says what the array pointers point at.

from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "convlet.h" nogil:
    enum:
        CVL_ABI_VERSION
    ctypedef enum cvl_status:
        CVL_OK
        CVL_ERR_ARGUMENT
        CVL_ERR_SHAPE
        CVL_ERR_OVERFLOW
        CVL_ERR_WORKSPACE
        CVL_ERR_LABEL
        CVL_ERR_ISA
        CVL_ERR_WEIGHT
        CVL_ERR_EMPTY
        CVL_ERR_ALGORITHM
        CVL_ERR_FINITE
    ctypedef enum cvl_activation:
        CVL_ACTIVATION_NONE
        CVL_ACTIVATION_RELU
        CVL_ACTIVATION_LEAKY_RELU
        CVL_ACTIVATION_RELU6
    ctypedef enum cvl_conv2d_pass:
        CVL_CONV2D_FORWARD
        CVL_CONV2D_BACKWARD_DATA
        CVL_CONV2D_BACKWARD_WEIGHTS
    ctypedef enum cvl_conv2d_algorithm:
        CVL_CONV2D_AUTO
        CVL_CONV2D_IM2COL
        CVL_CONV2D_WINOGRAD
        CVL_CONV2D_WINOGRAD2
    ctypedef enum cvl_reduction:
        CVL_REDUCTION_NONE
        CVL_REDUCTION_SUM
        CVL_REDUCTION_MEAN
    ctypedef enum cvl_empty:
        CVL_EMPTY_ZERO
        CVL_EMPTY_NAN
        CVL_EMPTY_ERROR
    ctypedef struct cvl_exec:
        size_t size
        int threads
        void *workspace
        size_t workspace_bytes
        int adaptive
    ctypedef struct cvl_conv2d:
        size_t size
        Py_ssize_t N, H, W, C, OC, KH, KW, SH, SW, DH, DW, PT, PB, PL, PR, groups
        cvl_activation activation
        double slope
        cvl_conv2d_algorithm algorithm
    ctypedef struct cvl_linear:
        size_t size
        Py_ssize_t M, IN, OUT
    ctypedef struct cvl_batch_norm:
        size_t size
        Py_ssize_t M, C
        double eps
        cvl_activation activation
        int frozen
    ctypedef struct cvl_batch_norm_term:
        size_t size
        double eps
        int frozen
        const void *x
        const void *gamma
        const void *beta
        double *mean
        double *var
        void *dx
        void *dgamma
        void *dbeta
    ctypedef struct cvl_running:
        size_t size
        Py_ssize_t C
        double weight, unbias
    ctypedef struct cvl_group_norm:
        size_t size
        Py_ssize_t N, M, C, groups
        double eps
    ctypedef struct cvl_softmax:
        size_t size
        Py_ssize_t N, C
    ctypedef struct cvl_softmax_cross_entropy:
        size_t size
        Py_ssize_t N, C
        cvl_reduction reduction
        int64_t ignore_index
        double label_smoothing
        int ignore
        cvl_empty empty
    ctypedef struct cvl_nll:
        size_t size
        Py_ssize_t N, C
        cvl_reduction reduction
        int ignore
        int64_t ignore_index
        cvl_empty empty
    ctypedef struct cvl_loss:
        size_t size
        Py_ssize_t n
        double delta, gamma, positive, negative
        cvl_reduction reduction
    ctypedef struct cvl_pool2d:
        size_t size
        Py_ssize_t N, H, W, C, KH, KW, SH, SW, DH, DW, PT, PB, PL, PR
        int ceil_mode, count_include_pad
    ctypedef enum cvl_pad_mode:
        CVL_PAD_CONSTANT
        CVL_PAD_REFLECT
        CVL_PAD_REPLICATE
        CVL_PAD_CIRCULAR
    ctypedef enum cvl_upsample_mode:
        CVL_UPSAMPLE_NEAREST
        CVL_UPSAMPLE_BILINEAR
    ctypedef struct cvl_conv_transpose2d:
        size_t size
        Py_ssize_t N, H, W, C, OC, KH, KW, SH, SW, DH, DW, PT, PB, PL, PR, OPH, OPW, groups
        cvl_conv2d_algorithm algorithm
    ctypedef struct cvl_concat:
        size_t size
        Py_ssize_t M, parts
        const Py_ssize_t *C
    ctypedef struct cvl_pad_shortcut:
        size_t size
        Py_ssize_t N, H, W, C, OC, SH, SW
    ctypedef struct cvl_pad2d:
        size_t size
        Py_ssize_t N, H, W, C, PT, PB, PL, PR
        cvl_pad_mode mode
        double value
    ctypedef struct cvl_upsample2d:
        size_t size
        Py_ssize_t N, H, W, C, SH, SW
        cvl_upsample_mode mode
        int align_corners
    ctypedef struct cvl_adaptive_avg_pool2d:
        size_t size
        Py_ssize_t N, H, W, C, OH, OW
    ctypedef struct cvl_dropout:
        size_t size
        Py_ssize_t N, M, C
        double p
        uint64_t seed, counter
        int per_channel
    ctypedef struct cvl_segment_f32:
        Py_ssize_t n
        float *w
        float *g
        float *m
        float *v
        float *extra
    ctypedef struct cvl_segment_f64:
        Py_ssize_t n
        double *w
        double *g
        double *m
        double *v
        double *extra
    ctypedef struct cvl_sgd:
        size_t size
        double lr, momentum, dampening, l2, weight_decay
        int nesterov, first
        double gradient_scale
        int clear_gradients
    ctypedef struct cvl_adam:
        size_t size
        double lr, beta1, beta2, correction1, correction2, eps, l2, weight_decay
        int eps_hat, amsgrad
        double gradient_scale
        int clear_gradients
    ctypedef struct cvl_adagrad:
        size_t size
        double lr, eps, l2
        double gradient_scale
        int clear_gradients
    ctypedef struct cvl_nadam:
        size_t size
        double lr, beta1, beta2, mu, next_mu, correction1, next_correction1, correction2, eps, l2
        double gradient_scale
        int clear_gradients
    ctypedef struct cvl_rmsprop:
        size_t size
        double lr, alpha, eps, momentum, l2
        int centered
        double gradient_scale
        int clear_gradients
    ctypedef struct cvl_lion:
        size_t size
        double lr, beta1, beta2, weight_decay
        double gradient_scale
        int clear_gradients
    ctypedef enum cvl_op_kind:
        CVL_OP_CONV2D
        CVL_OP_LINEAR
        CVL_OP_BATCH_NORM
        CVL_OP_MAX_POOL2D
        CVL_OP_AVG_POOL2D
        CVL_OP_SOFTMAX
        CVL_OP_ADD
        CVL_OP_RELU
        CVL_OP_ADD_RELU
        CVL_OP_LEAKY_RELU
        CVL_OP_RELU6
        CVL_OP_SIGMOID
        CVL_OP_TANH
        CVL_OP_ELU
        CVL_OP_GELU
        CVL_OP_GELU_TANH
        CVL_OP_SILU
        CVL_OP_HARD_SWISH
        CVL_OP_SOFTPLUS
        CVL_OP_CONCAT
        CVL_OP_PAD_SHORTCUT
        CVL_OP_CONV_TRANSPOSE2D
        CVL_OP_GROUP_NORM
        CVL_OP_UPSAMPLE2D
    ctypedef struct cvl_op:
        size_t size
        cvl_op_kind kind
        Py_ssize_t y, x, z
        const void *descriptor
        const void *w
        const void *b
        const double *mean
        const double *var
        const void *packed
        double parameter
        const Py_ssize_t *parts
    ctypedef struct cvl_value:
        Py_ssize_t elements, place
    ctypedef struct cvl_program:
        size_t size
        Py_ssize_t values, ops, arena
        const cvl_value *value
        const cvl_op *op
        const void *plan

    # The INIT macros as values that can be assigned.
    cvl_exec CVL_EXEC_INIT "((cvl_exec)CVL_EXEC_INIT)"
    cvl_conv2d CVL_CONV2D_INIT "((cvl_conv2d)CVL_CONV2D_INIT)"
    cvl_linear CVL_LINEAR_INIT "((cvl_linear)CVL_LINEAR_INIT)"
    cvl_batch_norm CVL_BATCH_NORM_INIT "((cvl_batch_norm)CVL_BATCH_NORM_INIT)"
    cvl_batch_norm_term CVL_BATCH_NORM_TERM_INIT "((cvl_batch_norm_term)CVL_BATCH_NORM_TERM_INIT)"
    cvl_running CVL_RUNNING_INIT "((cvl_running)CVL_RUNNING_INIT)"
    cvl_group_norm CVL_GROUP_NORM_INIT "((cvl_group_norm)CVL_GROUP_NORM_INIT)"
    cvl_softmax CVL_SOFTMAX_INIT "((cvl_softmax)CVL_SOFTMAX_INIT)"
    cvl_softmax_cross_entropy CVL_SOFTMAX_CROSS_ENTROPY_INIT \
        "((cvl_softmax_cross_entropy)CVL_SOFTMAX_CROSS_ENTROPY_INIT)"
    cvl_nll CVL_NLL_INIT "((cvl_nll)CVL_NLL_INIT)"
    cvl_loss CVL_LOSS_INIT "((cvl_loss)CVL_LOSS_INIT)"
    cvl_pool2d CVL_POOL2D_INIT "((cvl_pool2d)CVL_POOL2D_INIT)"
    cvl_conv_transpose2d CVL_CONV_TRANSPOSE2D_INIT \
        "((cvl_conv_transpose2d)CVL_CONV_TRANSPOSE2D_INIT)"
    cvl_concat CVL_CONCAT_INIT "((cvl_concat)CVL_CONCAT_INIT)"
    cvl_pad_shortcut CVL_PAD_SHORTCUT_INIT "((cvl_pad_shortcut)CVL_PAD_SHORTCUT_INIT)"
    cvl_pad2d CVL_PAD2D_INIT "((cvl_pad2d)CVL_PAD2D_INIT)"
    cvl_upsample2d CVL_UPSAMPLE2D_INIT "((cvl_upsample2d)CVL_UPSAMPLE2D_INIT)"
    cvl_adaptive_avg_pool2d CVL_ADAPTIVE_AVG_POOL2D_INIT \
        "((cvl_adaptive_avg_pool2d)CVL_ADAPTIVE_AVG_POOL2D_INIT)"
    cvl_dropout CVL_DROPOUT_INIT "((cvl_dropout)CVL_DROPOUT_INIT)"
    cvl_op CVL_OP_INIT "((cvl_op)CVL_OP_INIT)"
    cvl_program CVL_PROGRAM_INIT "((cvl_program)CVL_PROGRAM_INIT)"
    cvl_sgd CVL_SGD_INIT "((cvl_sgd)CVL_SGD_INIT)"
    cvl_adam CVL_ADAM_INIT "((cvl_adam)CVL_ADAM_INIT)"
    cvl_adagrad CVL_ADAGRAD_INIT "((cvl_adagrad)CVL_ADAGRAD_INIT)"
    cvl_nadam CVL_NADAM_INIT "((cvl_nadam)CVL_NADAM_INIT)"
    cvl_rmsprop CVL_RMSPROP_INIT "((cvl_rmsprop)CVL_RMSPROP_INIT)"
    cvl_lion CVL_LION_INIT "((cvl_lion)CVL_LION_INIT)"


cdef int cvl_abi_version() noexcept nogil
cdef const char *cvl_isa() noexcept nogil
cdef const char *cvl_status_string(cvl_status status) noexcept nogil

cdef cvl_status cvl_conv2d_output_shape(
    const cvl_conv2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil
cdef cvl_status cvl_conv2d_choose(
    char dtype, const cvl_conv2d *d, cvl_conv2d_pass which, cvl_conv2d_algorithm *chosen,
    const char **reason) noexcept nogil
cdef cvl_status cvl_conv2d_forward(
    char dtype, const cvl_conv2d *d, void *y, const void *x, const void *w, const void *b,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv2d_forward_workspace_size(
    char dtype, const cvl_conv2d *d, int threads) noexcept nogil
cdef size_t cvl_conv2d_packed_size(char dtype, const cvl_conv2d *d) noexcept nogil
cdef cvl_status cvl_conv2d_pack(
    char dtype, const cvl_conv2d *d, void *packed, const void *w,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_conv2d_forward_packed(
    char dtype, const cvl_conv2d *d, void *y, const void *x, const void *packed, const void *b,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_conv2d_backward_data(
    char dtype, const cvl_conv2d *d, void *dx, const void *dy, const void *w,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv2d_backward_data_workspace_size(
    char dtype, const cvl_conv2d *d, int threads) noexcept nogil
cdef cvl_status cvl_conv2d_backward_weights(
    char dtype, const cvl_conv2d *d, void *dw, void *db, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv2d_backward_weights_workspace_size(
    char dtype, const cvl_conv2d *d, int threads) noexcept nogil

cdef cvl_status cvl_linear_forward(
    char dtype, const cvl_linear *d, void *y, const void *x, const void *w, const void *b,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_linear_forward_workspace_size(
    char dtype, const cvl_linear *d, int threads) noexcept nogil
cdef cvl_status cvl_linear_backward_data(
    char dtype, const cvl_linear *d, void *dx, const void *dy, const void *w,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_linear_backward_data_workspace_size(
    char dtype, const cvl_linear *d, int threads) noexcept nogil
cdef cvl_status cvl_linear_backward_weights(
    char dtype, const cvl_linear *d, void *dw, void *db, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_linear_backward_weights_workspace_size(
    char dtype, const cvl_linear *d, int threads) noexcept nogil

cdef cvl_status cvl_batch_norm_forward(
    char dtype, const cvl_batch_norm *d, void *y, double *mean, double *var, const void *x,
    const void *gamma, const void *beta, const void *residual, const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_forward_workspace_size(
    char dtype, const cvl_batch_norm *d, int threads) noexcept nogil
cdef cvl_status cvl_batch_norm_inference(
    char dtype, const cvl_batch_norm *d, void *y, const void *x, const void *gamma,
    const void *beta, const double *mean, const double *var, const void *residual,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_inference_workspace_size(
    char dtype, const cvl_batch_norm *d, int threads) noexcept nogil
cdef cvl_status cvl_running_move(
    char dtype, const cvl_running *d, void *next_mean, void *next_var, const void *running_mean,
    const void *running_var, const double *mean, const double *var,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_batch_norm_backward(
    char dtype, const cvl_batch_norm *d, void *dx, void *dgamma, void *dbeta, void *dresidual,
    const void *dy, const void *x, const void *y, const void *gamma, const void *beta,
    const double *mean, const double *var, const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_backward_workspace_size(
    char dtype, const cvl_batch_norm *d, int threads) noexcept nogil
cdef cvl_status cvl_batch_norm_sum_forward(
    char dtype, const cvl_batch_norm *d, void *y, const cvl_batch_norm_term *a,
    const cvl_batch_norm_term *b, const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_sum_forward_workspace_size(
    char dtype, const cvl_batch_norm *d, int threads) noexcept nogil
cdef cvl_status cvl_batch_norm_sum_backward(
    char dtype, const cvl_batch_norm *d, const cvl_batch_norm_term *a, const cvl_batch_norm_term *b,
    const void *dy, const void *y, const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_sum_backward_workspace_size(
    char dtype, const cvl_batch_norm *d, int threads) noexcept nogil

cdef cvl_status cvl_group_norm_forward(
    char dtype, const cvl_group_norm *d, void *y, double *mean, double *var, const void *x,
    const void *gamma, const void *beta, const cvl_exec *run) noexcept nogil
cdef size_t cvl_group_norm_forward_workspace_size(
    char dtype, const cvl_group_norm *d, int threads) noexcept nogil
cdef cvl_status cvl_group_norm_backward(
    char dtype, const cvl_group_norm *d, void *dx, void *dgamma, void *dbeta, const void *dy,
    const void *x, const void *gamma, const double *mean, const double *var,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_group_norm_backward_workspace_size(
    char dtype, const cvl_group_norm *d, int threads) noexcept nogil

cdef cvl_status cvl_softmax_forward(
    char dtype, const cvl_softmax *d, void *y, const void *z, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_softmax_backward(
    char dtype, const cvl_softmax *d, void *dz, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_log_softmax_forward(
    char dtype, const cvl_softmax *d, void *y, const void *z, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_log_softmax_backward(
    char dtype, const cvl_softmax *d, void *dz, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_softmax_cross_entropy_labels(
    char dtype, const cvl_softmax_cross_entropy *d, double *loss, void *dz, const void *z,
    const int64_t *labels, const void *class_weight, const void *sample_weight,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_softmax_cross_entropy_soft(
    char dtype, const cvl_softmax_cross_entropy *d, double *loss, void *dz, const void *z,
    const void *q, const void *class_weight, const void *sample_weight,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_softmax_cross_entropy_workspace_size(
    char dtype, const cvl_softmax_cross_entropy *d, int threads) noexcept nogil
cdef cvl_status cvl_nll_labels(
    char dtype, const cvl_nll *d, double *loss, void *dx, const void *x, const int64_t *labels,
    const void *class_weight, const void *sample_weight, const cvl_exec *run) noexcept nogil
cdef size_t cvl_nll_workspace_size(char dtype, const cvl_nll *d, int threads) noexcept nogil
cdef cvl_status cvl_mse(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_l1(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_huber(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_smooth_l1(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_focal(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_binary_cross_entropy(
    char dtype, const cvl_loss *d, double *loss, void *dx, const void *x, const void *y,
    const void *positive_weight, const void *weight, const cvl_exec *run) noexcept nogil
cdef size_t cvl_loss_workspace_size(char dtype, const cvl_loss *d, int threads) noexcept nogil

cdef cvl_status cvl_relu_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_relu_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_leaky_relu_forward(
    char dtype, double slope, Py_ssize_t n, void *y, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_leaky_relu_backward(
    char dtype, double slope, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_relu6_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_relu6_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_sigmoid_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_sigmoid_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_tanh_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_tanh_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_elu_forward(
    char dtype, double alpha, Py_ssize_t n, void *y, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_elu_backward(
    char dtype, double alpha, Py_ssize_t n, void *dx, const void *dy, const void *y,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_gelu_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_gelu_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_gelu_tanh_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_gelu_tanh_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_silu_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_silu_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_hard_swish_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_hard_swish_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_softplus_forward(
    char dtype, Py_ssize_t n, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_softplus_backward(
    char dtype, Py_ssize_t n, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_add(
    char dtype, Py_ssize_t n, void *y, const void *a, const void *b,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_add_relu(
    char dtype, Py_ssize_t n, void *y, const void *a, const void *b,
    const cvl_exec *run) noexcept nogil

cdef cvl_status cvl_pool2d_output_shape(
    const cvl_pool2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil
cdef cvl_status cvl_max_pool2d_forward(
    char dtype, const cvl_pool2d *d, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_max_pool2d_backward(
    char dtype, const cvl_pool2d *d, void *dx, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_max_pool2d_forward_winners(
    char dtype, const cvl_pool2d *d, void *y, uint8_t *winners, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_max_pool2d_backward_winners(
    char dtype, const cvl_pool2d *d, void *dx, const void *dy, const uint8_t *winners,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_batch_norm_max_pool2d_forward(
    char dtype, const cvl_batch_norm *d, const cvl_pool2d *window, void *y, uint8_t *winners,
    double *mean, double *var, const void *x, const void *gamma, const void *beta,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_batch_norm_max_pool2d_forward_workspace_size(
    char dtype, const cvl_batch_norm *d, const cvl_pool2d *window, int threads) noexcept nogil
cdef cvl_status cvl_avg_pool2d_forward(
    char dtype, const cvl_pool2d *d, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_avg_pool2d_backward(
    char dtype, const cvl_pool2d *d, void *dx, const void *dy, const cvl_exec *run) noexcept nogil

cdef cvl_status cvl_conv_transpose2d_output_shape(
    const cvl_conv_transpose2d *d, Py_ssize_t *OH, Py_ssize_t *OW) noexcept nogil
cdef cvl_status cvl_conv_transpose2d_forward(
    char dtype, const cvl_conv_transpose2d *d, void *y, const void *x, const void *w, const void *b,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv_transpose2d_forward_workspace_size(
    char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil
cdef cvl_status cvl_conv_transpose2d_backward_data(
    char dtype, const cvl_conv_transpose2d *d, void *dx, const void *dy, const void *w,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv_transpose2d_backward_data_workspace_size(
    char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil
cdef cvl_status cvl_conv_transpose2d_backward_weights(
    char dtype, const cvl_conv_transpose2d *d, void *dw, void *db, const void *dy, const void *x,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_conv_transpose2d_backward_weights_workspace_size(
    char dtype, const cvl_conv_transpose2d *d, int threads) noexcept nogil

cdef cvl_status cvl_concat_forward(
    char dtype, const cvl_concat *d, void *y, const void **x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_concat_backward(
    char dtype, const cvl_concat *d, void **dx, const void *dy, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_pad_shortcut_forward(
    char dtype, const cvl_pad_shortcut *d, void *y, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_pad_shortcut_backward(
    char dtype, const cvl_pad_shortcut *d, void *dx, const void *dy,
    const cvl_exec *run) noexcept nogil

cdef cvl_status cvl_pad2d_forward(
    char dtype, const cvl_pad2d *d, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_pad2d_backward(
    char dtype, const cvl_pad2d *d, void *dx, const void *dy, const cvl_exec *run) noexcept nogil
cdef size_t cvl_pad2d_workspace_size(char dtype, const cvl_pad2d *d, int threads) noexcept nogil
cdef cvl_status cvl_upsample2d_forward(
    char dtype, const cvl_upsample2d *d, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_upsample2d_backward(
    char dtype, const cvl_upsample2d *d, void *dx, const void *dy,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_upsample2d_workspace_size(
    char dtype, const cvl_upsample2d *d, int threads) noexcept nogil
cdef cvl_status cvl_adaptive_avg_pool2d_forward(
    char dtype, const cvl_adaptive_avg_pool2d *d, void *y, const void *x,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_adaptive_avg_pool2d_backward(
    char dtype, const cvl_adaptive_avg_pool2d *d, void *dx, const void *dy,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_adaptive_avg_pool2d_workspace_size(
    char dtype, const cvl_adaptive_avg_pool2d *d, int threads) noexcept nogil
cdef cvl_status cvl_dropout_apply(
    char dtype, const cvl_dropout *d, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef size_t cvl_dropout_workspace_size(char dtype, const cvl_dropout *d, int threads) noexcept nogil

# `segments` is an array of cvl_segment_f32 or cvl_segment_f64, as dtype says.
cdef cvl_status cvl_sgd_step(
    char dtype, const cvl_sgd *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_adam_step(
    char dtype, const cvl_adam *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_adagrad_step(
    char dtype, const cvl_adagrad *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_nadam_step(
    char dtype, const cvl_nadam *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_rmsprop_step(
    char dtype, const cvl_rmsprop *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_lion_step(
    char dtype, const cvl_lion *d, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_clip(
    char dtype, double limit, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_scale(
    char dtype, double factor, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_blend(
    char dtype, double rate, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef cvl_status cvl_sum_squares(
    char dtype, double *sums, const void *segments, Py_ssize_t count,
    const cvl_exec *run) noexcept nogil
cdef size_t cvl_sum_squares_workspace_size(
    char dtype, const void *segments, Py_ssize_t count, int threads) noexcept nogil

cdef cvl_status cvl_program_run(
    char dtype, const cvl_program *p, void *y, const void *x, const cvl_exec *run) noexcept nogil
cdef size_t cvl_program_workspace_size(char dtype, const cvl_program *p, int threads) noexcept nogil
cdef cvl_status cvl_program_plan(
    char dtype, const cvl_program *p, int threads, void *plan) noexcept nogil
cdef size_t cvl_program_plan_size(char dtype, const cvl_program *p) noexcept nogil
cdef cvl_status cvl_program_check(char dtype, const cvl_program *p) noexcept nogil
