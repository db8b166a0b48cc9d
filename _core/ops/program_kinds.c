/* program_kinds.c: see program_kinds.h. An operator's functions, then the next one's; the table at the
 * end. */
#include "program_kinds.h"

#include "arrange.h"

typedef NAME(program_step) step;
typedef NAME(program_arrays) arrays;

static cvl_status shape_if(int fits) { return fits ? CVL_OK : CVL_ERR_SHAPE; }

/* -------------------------------------------------- convolutions and linear layers */

/* Each element of y is a sum of so many terms, each of them with weights to so many channels. */
static double work_of_sums(double elements, double terms, ptrdiff_t channels)
{
    return terms * (2 * elements + sizeof(T) * (double)channels);
}

static cvl_status conv2d_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    ptrdiff_t OH, OW;
    const cvl_status status = cvl_conv2d_output_shape(op->descriptor, &OH, &OW);
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    if (op->z >= 0 && d.activation > CVL_ACTIVATION_RELU)
        return CVL_ERR_ARGUMENT;
    return shape_if(CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.OC));
}

static double conv2d_work(const cvl_op *op, double elements)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    cvl_read(&d, op->descriptor);
    return work_of_sums(elements, (double)(d.KH * d.KW) * (double)(d.C / d.groups), d.OC);
}

static size_t conv2d_scratch(const cvl_op *op, int threads)
{
    NAME(conv2d_ready) f;
    const size_t own = NAME(conv2d_forward_workspace_size)(op->descriptor, threads);
    const int sum =
        op->z >= 0 && NAME(conv2d_make_ready)(&f, op->descriptor, op->packed != NULL) == CVL_OK;
    return own + (sum ? NAME(conv2d_sum_workspace)(&f, threads) : 0);
}

static cvl_status conv2d_ready(step *s)
{
    return NAME(conv2d_make_ready)(&s->product, s->op.descriptor, s->op.packed != NULL);
}

static cvl_status linear_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_linear d = CVL_LINEAR_INIT;
    if (!cvl_read(&d, op->descriptor))
        return CVL_ERR_ARGUMENT;
    return shape_if(CVL_PRODUCT(x, d.M, d.IN) && CVL_PRODUCT(y, d.M, d.OUT));
}

static double linear_work(const cvl_op *op, double elements)
{
    cvl_linear d = CVL_LINEAR_INIT;
    cvl_read(&d, op->descriptor);
    return work_of_sums(elements, (double)d.IN, d.OUT);
}

static size_t linear_scratch(const cvl_op *op, int threads)
{
    return NAME(linear_forward_workspace_size)(op->descriptor, threads);
}

static cvl_status linear_ready(step *s)
{
    s->op.packed = NULL; /* of a convolution only */
    return NAME(linear_make_ready)(&s->product, s->op.descriptor);
}

static cvl_status run_product(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(conv2d_run_ready)(
        &s->product, a->y, &(NAME(conv2d_operands)){a->x, s->op.w, s->op.packed, s->op.b, a->z},
        run);
}

static cvl_status transposed_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
    ptrdiff_t OH, OW;
    const cvl_status status = cvl_conv_transpose2d_output_shape(op->descriptor, &OH, &OW);
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    return shape_if(CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.OC));
}

static double transposed_work(const cvl_op *op, double elements)
{
    cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
    cvl_read(&d, op->descriptor);
    return work_of_sums(elements / (double)(d.SH * d.SW),
                        (double)(d.KH * d.KW) * (double)(d.C / d.groups), d.OC);
}

static size_t transposed_scratch(const cvl_op *op, int threads)
{
    return NAME(conv_transpose2d_forward_workspace_size)(op->descriptor, threads);
}

static cvl_status run_transposed(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(conv_transpose2d_forward)(s->op.descriptor, a->y, a->x, s->op.w, s->op.b, run);
}

/* ------------------------------------------------------------------ norms and softmax */

static cvl_status batch_norm_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_batch_norm d = CVL_BATCH_NORM_INIT;
    if (!cvl_read(&d, op->descriptor))
        return CVL_ERR_ARGUMENT;
    return shape_if(CVL_PRODUCT(x, d.M, d.C) && CVL_PRODUCT(y, d.M, d.C));
}

static size_t batch_norm_scratch(const cvl_op *op, int threads)
{
    return NAME(batch_norm_inference_workspace_size)(op->descriptor, threads);
}

static cvl_status run_batch_norm(const step *s, const arrays *a, const cvl_exec *run)
{
    const cvl_op *op = &s->op;
    return NAME(batch_norm_inference)(op->descriptor, a->y, a->x, op->w, op->b, op->mean, op->var,
                                      a->z, run);
}

static cvl_status group_norm_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_group_norm d = CVL_GROUP_NORM_INIT;
    if (!cvl_read(&d, op->descriptor))
        return CVL_ERR_ARGUMENT;
    /* The groups' statistics are part of the workspace. */
    return shape_if(d.groups >= 1 && d.groups <= d.C && CVL_PRODUCT(x, d.N, d.M, d.C) &&
                    CVL_PRODUCT(y, d.N, d.M, d.C));
}

/* Statistics of a group norm, which a program computes and forgets; never NULL, even of no samples. */
static double *carve_statistics(cvl_scratch *scratch, const cvl_group_norm *d)
{
    return cvl_carve(scratch, (size_t)(2 * cvl_max(1, d->N) * d->groups) * sizeof(double));
}

static size_t group_norm_scratch(const cvl_op *op, int threads)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_group_norm d = CVL_GROUP_NORM_INIT;
    cvl_read(&d, op->descriptor);
    carve_statistics(&scratch, &d);
    return scratch.used + NAME(group_norm_forward_workspace_size)(&d, threads);
}

static cvl_status run_group_norm(const step *s, const arrays *a, const cvl_exec *run)
{
    const cvl_op *op = &s->op;
    cvl_group_norm d = CVL_GROUP_NORM_INIT;
    cvl_exec own;
    const cvl_status status = cvl_read_exec(&own, run, group_norm_scratch(op, run->threads));
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    cvl_scratch scratch = {own.workspace, 0};
    double *mean = carve_statistics(&scratch, &d);
    own.workspace = (char *)own.workspace + scratch.used;
    own.workspace_bytes -= scratch.used;
    return NAME(group_norm_forward)(&d, a->y, mean, mean + d.N * d.groups, a->x, op->w, op->b,
                                    &own);
}

static cvl_status softmax_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_softmax d = CVL_SOFTMAX_INIT;
    if (!cvl_read(&d, op->descriptor))
        return CVL_ERR_ARGUMENT;
    return shape_if(CVL_PRODUCT(x, d.N, d.C) && CVL_PRODUCT(y, d.N, d.C));
}

static cvl_status run_softmax(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(softmax_forward)(s->op.descriptor, a->y, a->x, run);
}

/* ------------------------------------------------------------- images: pools and moves */

static cvl_status pool2d_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_pool2d d = CVL_POOL2D_INIT;
    ptrdiff_t OH, OW;
    const cvl_status status = cvl_pool2d_output_shape(op->descriptor, &OH, &OW);
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    return shape_if(CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.C));
}

static cvl_status run_max_pool2d(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(max_pool2d_forward)(s->op.descriptor, a->y, a->x, run);
}

static cvl_status run_avg_pool2d(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(avg_pool2d_forward)(s->op.descriptor, a->y, a->x, run);
}

static cvl_status upsample2d_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_upsample2d d = CVL_UPSAMPLE2D_INIT;
    if (!cvl_read(&d, op->descriptor))
        return CVL_ERR_ARGUMENT;
    return shape_if(CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, *x, d.SH, d.SW));
}

static size_t upsample2d_scratch(const cvl_op *op, int threads)
{
    return NAME(upsample2d_workspace_size)(op->descriptor, threads);
}

static cvl_status run_upsample2d(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(upsample2d_forward)(s->op.descriptor, a->y, a->x, run);
}

static cvl_status pad_shortcut_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_pad_shortcut d;
    return NAME(pad_shortcut_sizes)(op->descriptor, &d, x, y);
}

static cvl_status run_pad_shortcut(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(pad_shortcut_forward)(s->op.descriptor, a->y, a->x, run);
}

static cvl_status concat_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    cvl_concat d;
    ptrdiff_t OC;
    const cvl_status status = NAME(concat_sizes)(op->descriptor, &d, &OC);
    if (status != CVL_OK)
        return status;
    return shape_if(CVL_PRODUCT(x, d.M, d.C[0]) && CVL_PRODUCT(y, d.M, OC));
}

/* Where its parts are. */
static size_t concat_scratch(const cvl_op *op, int threads)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_concat d = CVL_CONCAT_INIT;
    (void)threads;
    cvl_read(&d, op->descriptor);
    cvl_carve(&scratch, (size_t)d.parts * sizeof(T *));
    return scratch.used;
}

static cvl_status run_concat(const step *s, const arrays *a, const cvl_exec *run)
{
    const cvl_op *op = &s->op;
    cvl_concat d = CVL_CONCAT_INIT;
    cvl_exec own;
    const cvl_status status = cvl_read_exec(&own, run, concat_scratch(op, run->threads));
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    const T **parts = own.workspace;
    for (ptrdiff_t i = 0; i < d.parts; i++)
        parts[i] = NAME(program_array)(a->all, op->parts[i]);
    return NAME(concat_forward)(&d, a->y, parts, run);
}

/* ------------------------------------------------------------------------- elementwise */

static cvl_status same_sizes(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    (void)op;
    *x = *y;
    return CVL_OK;
}

static cvl_status run_add(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(add)(s->elements, a->y, a->x, a->z, run);
}

static cvl_status run_add_relu(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(add_relu)(s->elements, a->y, a->x, a->z, run);
}

static cvl_status run_map(const step *s, const arrays *a, const cvl_exec *run)
{
    return s->kind->map(s->elements, a->y, a->x, run);
}

static cvl_status run_leaky_relu(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(leaky_relu_forward)(s->op.parameter, s->elements, a->y, a->x, run);
}

static cvl_status run_elu(const step *s, const arrays *a, const cvl_exec *run)
{
    return NAME(elu_forward)(s->op.parameter, s->elements, a->y, a->x, run);
}

/* --------------------------------------------------------------------------- the table */

#define MAP(function)             \
    {.in_place = IN_PLACE_OF_ANY, \
     .sizes = same_sizes,         \
     .run = run_map,              \
     .map = NAME(function##_forward)}

static const NAME(op_kind) table[] = {
    [CVL_OP_CONV2D] = {.z = Z_OR_NOT,
                       .in_place = IN_PLACE_OF_Z,
                       .sizes = conv2d_sizes,
                       .work = conv2d_work,
                       .scratch = conv2d_scratch,
                       .ready = conv2d_ready,
                       .run = run_product},
    [CVL_OP_LINEAR] = {.sizes = linear_sizes,
                       .work = linear_work,
                       .scratch = linear_scratch,
                       .ready = linear_ready,
                       .run = run_product},
    [CVL_OP_CONV_TRANSPOSE2D] = {.sizes = transposed_sizes,
                                 .work = transposed_work,
                                 .scratch = transposed_scratch,
                                 .run = run_transposed},
    [CVL_OP_BATCH_NORM] = {.z = Z_OR_NOT,
                           .sizes = batch_norm_sizes,
                           .scratch = batch_norm_scratch,
                           .run = run_batch_norm},
    [CVL_OP_GROUP_NORM] = {.sizes = group_norm_sizes,
                           .scratch = group_norm_scratch,
                           .run = run_group_norm},
    [CVL_OP_SOFTMAX] = {.sizes = softmax_sizes, .run = run_softmax},
    [CVL_OP_MAX_POOL2D] = {.sizes = pool2d_sizes, .run = run_max_pool2d},
    [CVL_OP_AVG_POOL2D] = {.sizes = pool2d_sizes, .run = run_avg_pool2d},
    [CVL_OP_UPSAMPLE2D] = {.sizes = upsample2d_sizes,
                           .scratch = upsample2d_scratch,
                           .run = run_upsample2d},
    [CVL_OP_PAD_SHORTCUT] = {.sizes = pad_shortcut_sizes, .run = run_pad_shortcut},
    [CVL_OP_CONCAT] = {.joins = 1,
                       .sizes = concat_sizes,
                       .scratch = concat_scratch,
                       .run = run_concat},
    [CVL_OP_ADD] = {.z = Z_ALWAYS,
                    .in_place = IN_PLACE_OF_ANY,
                    .sizes = same_sizes,
                    .run = run_add},
    [CVL_OP_ADD_RELU] = {.z = Z_ALWAYS,
                         .in_place = IN_PLACE_OF_ANY,
                         .sizes = same_sizes,
                         .run = run_add_relu},
    [CVL_OP_LEAKY_RELU] = {.in_place = IN_PLACE_OF_ANY, .sizes = same_sizes, .run = run_leaky_relu},
    [CVL_OP_ELU] = {.in_place = IN_PLACE_OF_ANY, .sizes = same_sizes, .run = run_elu},
    [CVL_OP_RELU] = MAP(relu),
    [CVL_OP_RELU6] = MAP(relu6),
    [CVL_OP_SIGMOID] = MAP(sigmoid),
    [CVL_OP_TANH] = MAP(tanh),
    [CVL_OP_GELU] = MAP(gelu),
    [CVL_OP_GELU_TANH] = MAP(gelu_tanh),
    [CVL_OP_SILU] = MAP(silu),
    [CVL_OP_HARD_SWISH] = MAP(hard_swish),
    [CVL_OP_SOFTPLUS] = MAP(softplus),
};

const NAME(op_kind) *NAME(op_kind_of)(const cvl_op *op)
{
    return (size_t)op->kind < sizeof table / sizeof *table ? table + op->kind : NULL;
}
