/* convlet_program.h: a part of convlet.h, which includes it and says what holds for every function:
 * a list of operators, run as one call. */
#ifndef CONVLET_PROGRAM_H
#define CONVLET_PROGRAM_H

#ifndef CONVLET_H
#error "include convlet.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A program computes y from x by a list of operators, as a network does for inference, in one call.
 * Its arrays are called values and have numbers: value 0 is x, value 1 is y, and the others lie in
 * an arena at the beginning of the workspace, where the caller has placed them. Two values may share
 * a place if one is read for the last time before the other is written. A value that no operator
 * writes is a further input, put there before the call; one whose place no other one shares is a
 * further output, found there after it.
 *
 * Each operator is the function of convlet.h of that name, with its descriptor and its bits: */
typedef enum cvl_op_kind {
    CVL_OP_CONV2D = 0,     /* cvl_conv2d_forward; with z: act(conv2d(x, w) + b + z); y may be z */
    CVL_OP_LINEAR = 1,     /* cvl_linear_forward */
    CVL_OP_BATCH_NORM = 2, /* cvl_batch_norm_inference: w gamma, b beta, z residual */
    CVL_OP_MAX_POOL2D = 3, /* cvl_max_pool2d_forward */
    CVL_OP_AVG_POOL2D = 4, /* cvl_avg_pool2d_forward */
    CVL_OP_SOFTMAX = 5,    /* cvl_softmax_forward */
    CVL_OP_ADD = 6,        /* cvl_add of x and z; no descriptor; y may be x or z */
    CVL_OP_RELU = 7,       /* cvl_relu_forward; no descriptor; y may be x */
    CVL_OP_ADD_RELU = 8,   /* cvl_add_relu, like CVL_OP_ADD */
    /* The functions of these names, like CVL_OP_RELU; `parameter` is their slope or alpha. */
    CVL_OP_LEAKY_RELU = 9,
    CVL_OP_RELU6 = 10,
    CVL_OP_SIGMOID = 11,
    CVL_OP_TANH = 12,
    CVL_OP_ELU = 13,
    CVL_OP_GELU = 14,
    CVL_OP_GELU_TANH = 15,
    CVL_OP_SILU = 16,
    CVL_OP_HARD_SWISH = 17,
    CVL_OP_SOFTPLUS = 18,
    CVL_OP_CONCAT = 19,       /* cvl_concat_forward of the values `parts`, the first of them x */
    CVL_OP_PAD_SHORTCUT = 20, /* cvl_pad_shortcut_forward */
    CVL_OP_CONV_TRANSPOSE2D = 21, /* cvl_conv_transpose2d_forward */
    CVL_OP_GROUP_NORM = 22,       /* cvl_group_norm_forward: w and b are gamma and beta, or NULL */
    CVL_OP_UPSAMPLE2D = 23        /* cvl_upsample2d_forward */
} cvl_op_kind;

/* One operator. Activation of a convolution with z: none or ReLU. */
typedef struct cvl_op {
    size_t size;
    cvl_op_kind kind;
    ptrdiff_t y, x, z;        /* numbers of values; z -1 where there is none */
    const void *descriptor;   /* a cvl_conv2d, cvl_linear, ..., as the kind says */
    const void *w, *b;        /* of the program's type; b may be NULL but for batch norm */
    const double *mean, *var; /* batch norm */
    const void *packed;       /* of a convolution: w by cvl_conv2d_pack, and then w may be NULL */
    double parameter;         /* of leaky ReLU and ELU */
    const ptrdiff_t *parts;   /* of a concatenation: numbers of values, as many as it has parts */
} cvl_op;
#define CVL_OP_INIT \
    {sizeof(cvl_op), CVL_OP_ADD, 0, 0, -1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL}

/* How many elements a value has and where in the arena it begins; of values 0 and 1 the place is
 * ignored. Places are best multiples of 64 bytes. */
typedef struct cvl_value {
    ptrdiff_t elements, place;
} cvl_value;

/* Descriptor of the program itself; the arrays it points to are the caller's and are only read. */
typedef struct cvl_program {
    size_t size;
    ptrdiff_t values, ops, arena; /* numbers of values and operators; elements of the arena */
    const cvl_value *value;
    const cvl_op *op; /* in their order; the last one, and no other, has y = 1 */
    const void *plan; /* by cvl_program_plan_f32 of the rest, or NULL */
} cvl_program;
#define CVL_PROGRAM_INIT {sizeof(cvl_program), 2, 0, 0, NULL, NULL, NULL}

/* cvl_program_run_f32: y = the program of x.
 * Workspace cvl_program_workspace_size_f32(p, run->threads): the arena and the scratch of the
 *          operator that takes most
 * Threads  those of each operator; below 2 million operations and bytes of weights in all the
 *          caller's alone
 * Writes   all of y; nothing outside the workspace else
 * Returns  CVL_OK | CVL_ERR_ARGUMENT (a NULL pointer, the number of a value out of range, or an
 *          operator whose y overlaps what it reads, except as said above) | CVL_ERR_SHAPE (a value
 *          does not have the elements that its operator's descriptor says, or does not lie in the
 *          arena) | what the operators return. On error y is untouched; the workspace may not be */
CVL_API cvl_status cvl_program_run_f32(const cvl_program *p, float *y, const float *x,
                                       const cvl_exec *run);
CVL_API cvl_status cvl_program_run_f64(const cvl_program *p, double *y, const double *x,
                                       const cvl_exec *run);
CVL_API size_t cvl_program_workspace_size_f32(const cvl_program *p, int threads);
CVL_API size_t cvl_program_workspace_size_f64(const cvl_program *p, int threads);

/* cvl_program_check_f32: whether the program is one: what cvl_program_run_f32 finds before its first
 * operator runs. What an operator refuses by itself, as a NULL w or an eps below 0, it does not see. */
CVL_API cvl_status cvl_program_check_f32(const cvl_program *p);
CVL_API cvl_status cvl_program_check_f64(const cvl_program *p);

/* cvl_program_plan_f32: plan = what cvl_program_run_f32 finds out before its operators run, of programs
 * that run more than once: its checks, the engines and the workspace of each operator. A run of so many
 * threads takes it, and is faster by up to a seventh where operators are small; any other does without.
 * The program, its operators and descriptors must not change after; what w and b point to may.
 *   plan     cvl_program_plan_size_f32(p) bytes, aligned as malloc's are
 * Returns    what cvl_program_check_f32 and the operators return; CVL_ERR_ARGUMENT (threads below 1) */
CVL_API cvl_status cvl_program_plan_f32(const cvl_program *p, int threads, void *plan);
CVL_API cvl_status cvl_program_plan_f64(const cvl_program *p, int threads, void *plan);
CVL_API size_t cvl_program_plan_size_f32(const cvl_program *p);
CVL_API size_t cvl_program_plan_size_f64(const cvl_program *p);

#ifdef __cplusplus
}
#endif

#endif
