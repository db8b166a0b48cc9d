/* program.c: programs, lists of operators. All of them are checked before the first one runs. */
#include "arrange.h"
#include "conv2d.h"

/* An operator, and what is known of it before it runs. */
typedef struct step {
    cvl_op op;
    ptrdiff_t elements;         /* of y */
    NAME(conv2d_ready) product; /* of a convolution or a linear layer */
} step;

/* What a step reads and writes. */
typedef struct arrays {
    T *y;
    const T *x, *z;
    const T **parts; /* of a concatenation */
} arrays;

typedef struct plan {
    int threads, team; /* of a call, and how many of them it takes */
    step steps[];
} plan;

/* Operators are as large as the caller's header made them. */
static int read_op(cvl_op *op, const cvl_program *p, ptrdiff_t i)
{
    *op = (cvl_op)CVL_OP_INIT;
    return cvl_read(op, (const char *)p->op + (size_t)i * p->op->size);
}

/* ------------------------------------------------------------------------------- checks */

static int is_sum(const cvl_op *op)
{
    return op->kind == CVL_OP_ADD || op->kind == CVL_OP_ADD_RELU;
}

static int is_elementwise(const cvl_op *op)
{
    return op->kind >= CVL_OP_ADD && op->kind <= CVL_OP_SOFTPLUS;
}

/* Elements of x and y that a descriptor speaks of; those of y where the kind has none. */
static cvl_status sizes_of(const cvl_op *op, ptrdiff_t *x, ptrdiff_t *y)
{
    ptrdiff_t OH = 0, OW = 0;
    cvl_status status = CVL_OK;
    int fits = 1;
    if (op->kind == CVL_OP_CONV2D) {
        cvl_conv2d d = CVL_CONV2D_INIT;
        status = cvl_conv2d_output_shape(op->descriptor, &OH, &OW);
        if (status == CVL_OK && cvl_read(&d, op->descriptor))
            fits = CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.OC);
        if (op->z >= 0 && d.activation > CVL_ACTIVATION_RELU)
            status = CVL_ERR_ARGUMENT;
    } else if (op->kind == CVL_OP_MAX_POOL2D || op->kind == CVL_OP_AVG_POOL2D) {
        cvl_pool2d d = CVL_POOL2D_INIT;
        status = cvl_pool2d_output_shape(op->descriptor, &OH, &OW);
        if (status == CVL_OK && cvl_read(&d, op->descriptor))
            fits = CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.C);
    } else if (op->kind == CVL_OP_LINEAR) {
        cvl_linear d = CVL_LINEAR_INIT;
        status = cvl_read(&d, op->descriptor) ? CVL_OK : CVL_ERR_ARGUMENT;
        fits = CVL_PRODUCT(x, d.M, d.IN) && CVL_PRODUCT(y, d.M, d.OUT);
    } else if (op->kind == CVL_OP_BATCH_NORM) {
        cvl_batch_norm d = CVL_BATCH_NORM_INIT;
        status = cvl_read(&d, op->descriptor) ? CVL_OK : CVL_ERR_ARGUMENT;
        fits = CVL_PRODUCT(y, d.M, d.C);
        *x = *y;
    } else if (op->kind == CVL_OP_SOFTMAX) {
        cvl_softmax d = CVL_SOFTMAX_INIT;
        status = cvl_read(&d, op->descriptor) ? CVL_OK : CVL_ERR_ARGUMENT;
        fits = CVL_PRODUCT(y, d.N, d.C);
        *x = *y;
    } else if (op->kind == CVL_OP_CONV_TRANSPOSE2D) {
        cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
        status = cvl_conv_transpose2d_output_shape(op->descriptor, &OH, &OW);
        if (status == CVL_OK && cvl_read(&d, op->descriptor))
            fits = CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, d.N, OH, OW, d.OC);
    } else if (op->kind == CVL_OP_GROUP_NORM) {
        cvl_group_norm d = CVL_GROUP_NORM_INIT;
        status = cvl_read(&d, op->descriptor) ? CVL_OK : CVL_ERR_ARGUMENT;
        /* Its statistics are part of the workspace. */
        fits = CVL_PRODUCT(y, d.N, d.M, d.C) && d.groups >= 1 && d.groups <= d.C;
        *x = *y;
    } else if (op->kind == CVL_OP_UPSAMPLE2D) {
        cvl_upsample2d d = CVL_UPSAMPLE2D_INIT;
        status = cvl_read(&d, op->descriptor) ? CVL_OK : CVL_ERR_ARGUMENT;
        fits = CVL_PRODUCT(x, d.N, d.H, d.W, d.C) && CVL_PRODUCT(y, *x, d.SH, d.SW);
    } else if (op->kind == CVL_OP_PAD_SHORTCUT) {
        cvl_pad_shortcut d;
        status = NAME(pad_shortcut_sizes)(op->descriptor, &d, x, y);
    } else if (op->kind == CVL_OP_CONCAT) {
        cvl_concat d;
        ptrdiff_t OC;
        status = NAME(concat_sizes)(op->descriptor, &d, &OC);
        if (status == CVL_OK)
            fits = CVL_PRODUCT(x, d.M, d.C[0]) && CVL_PRODUCT(y, d.M, OC);
    } else if (is_elementwise(op)) {
        *x = *y;
    } else {
        status = CVL_ERR_ARGUMENT;
    }
    return status != CVL_OK ? status : fits ? CVL_OK : CVL_ERR_SHAPE;
}

/* Whether y may be where an operand lies, or must not touch it. */
static int may_meet(const cvl_program *p, const cvl_op *op, ptrdiff_t operand)
{
    const cvl_value *y = p->value + op->y, *a = p->value + operand;
    if (operand < 2 || op->y < 2)
        return operand != op->y;
    if (is_elementwise(op) && y->place == a->place)
        return 1;
    return y->place + y->elements <= a->place || a->place + a->elements <= y->place;
}

static int in_range(const cvl_program *p, ptrdiff_t value)
{
    return value >= 0 && value < p->values && value != 1;
}

/* The values that a concatenation joins, of which sizes are known to fit. */
static cvl_status check_parts(const cvl_program *p, const cvl_op *op)
{
    cvl_concat d = CVL_CONCAT_INIT;
    if (!op->parts || !cvl_read(&d, op->descriptor) || op->parts[0] != op->x)
        return CVL_ERR_ARGUMENT;
    for (ptrdiff_t i = 0; i < d.parts; i++) {
        if (!in_range(p, op->parts[i]))
            return CVL_ERR_ARGUMENT;
        if (p->value[op->parts[i]].elements != d.M * d.C[i])
            return CVL_ERR_SHAPE;
        if (!may_meet(p, op, op->parts[i]))
            return CVL_ERR_ARGUMENT;
    }
    return CVL_OK;
}

static cvl_status check_op(const cvl_program *p, const cvl_op *op, int last)
{
    ptrdiff_t x = 0, y = 0;
    const int takes_z = op->kind == CVL_OP_CONV2D || op->kind == CVL_OP_BATCH_NORM;
    if (!in_range(p, op->x) || op->y < 1 || op->y >= p->values || (op->y == 1) != last)
        return CVL_ERR_ARGUMENT;
    if (is_sum(op) ? !in_range(p, op->z) : op->z != -1 && !(takes_z && in_range(p, op->z)))
        return CVL_ERR_ARGUMENT;
    y = p->value[op->y].elements;
    const cvl_status status = sizes_of(op, &x, &y);
    if (status != CVL_OK)
        return status;
    if (x != p->value[op->x].elements || y != p->value[op->y].elements ||
        (op->z >= 0 && y != p->value[op->z].elements))
        return CVL_ERR_SHAPE;
    if (!may_meet(p, op, op->x) || (op->z >= 0 && !may_meet(p, op, op->z)))
        return CVL_ERR_ARGUMENT;
    return op->kind == CVL_OP_CONCAT ? check_parts(p, op) : CVL_OK;
}

/* Reads the descriptor and checks all of the program. */
static cvl_status open_program(cvl_program *p, const cvl_program *from)
{
    cvl_op op;
    *p = (cvl_program)CVL_PROGRAM_INIT;
    if (!cvl_read(p, from) || p->values < 2 || p->ops < 1 || !p->value || !p->op)
        return CVL_ERR_ARGUMENT;
    if (p->arena < 0 || p->arena > PTRDIFF_MAX / 16)
        return CVL_ERR_SHAPE;
    for (ptrdiff_t i = 0; i < p->values; i++) {
        const cvl_value *v = p->value + i;
        if (v->elements < 0)
            return CVL_ERR_SHAPE;
        if (i > 1 && (v->place < 0 || v->elements > p->arena - v->place))
            return CVL_ERR_SHAPE;
    }
    for (ptrdiff_t i = 0; i < p->ops; i++) {
        if (!read_op(&op, p, i))
            return CVL_ERR_ARGUMENT;
        const cvl_status status = check_op(p, &op, i == p->ops - 1);
        if (status != CVL_OK)
            return status;
    }
    return CVL_OK;
}

/* ---------------------------------------------------------------------------- execution */

/* Work below which one thread takes all of a program: of some ten microseconds a second one saves
 * little, and where the cores share no cache it costs as much again. */
enum { ALONE = 2000000 };

/* Operations of an operator with so many elements of y, and bytes of its weights; or bytes. */
static double work_of(const cvl_op *op, double elements)
{
    cvl_conv2d conv = CVL_CONV2D_INIT;
    cvl_conv_transpose2d spread = CVL_CONV_TRANSPOSE2D_INIT;
    cvl_linear linear = CVL_LINEAR_INIT;
    double terms = 1, filters = 0;
    if (op->kind == CVL_OP_CONV2D && cvl_read(&conv, op->descriptor)) {
        terms = (double)(conv.KH * conv.KW) * (double)(conv.C / conv.groups);
        filters = (double)conv.OC;
    } else if (op->kind == CVL_OP_CONV_TRANSPOSE2D && cvl_read(&spread, op->descriptor)) {
        terms = (double)(spread.KH * spread.KW) * (double)(spread.C / spread.groups);
        filters = (double)spread.OC;
        elements /= (double)(spread.SH * spread.SW);
    } else if (op->kind == CVL_OP_LINEAR && cvl_read(&linear, op->descriptor)) {
        terms = (double)linear.IN;
        filters = (double)linear.OUT;
    } else {
        return 2 * sizeof(T) * elements;
    }
    return terms * (2 * elements + sizeof(T) * filters);
}

/* The threads of an opened program. */
static int team_of(const cvl_program *p, int threads)
{
    cvl_op op;
    double work = 0;
    for (ptrdiff_t i = 0; threads > 1 && i < p->ops; i++) {
        read_op(&op, p, i);
        work += work_of(&op, (double)p->value[op.y].elements);
        if (work >= ALONE)
            return threads;
    }
    return 1;
}

static size_t arena_bytes(const cvl_program *p)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_carve(&scratch, (size_t)p->arena * sizeof(T));
    return scratch.used;
}

/* Statistics of a group norm, which a program computes and forgets. */
static double *carve_statistics(cvl_scratch *scratch, const cvl_group_norm *d)
{
    return cvl_carve(scratch, (size_t)(2 * d->N * d->groups) * sizeof(double));
}

static size_t scratch_of_group_norm(const cvl_op *op, int threads)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_group_norm d = CVL_GROUP_NORM_INIT;
    cvl_read(&d, op->descriptor);
    carve_statistics(&scratch, &d);
    return scratch.used + NAME(group_norm_forward_workspace_size)(&d, threads);
}

/* Scratch of a concatenation: where its parts are. */
static size_t bytes_of_parts(const cvl_op *op)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_concat d = CVL_CONCAT_INIT;
    cvl_read(&d, op->descriptor);
    cvl_carve(&scratch, (size_t)d.parts * sizeof(T *));
    return scratch.used;
}

static size_t scratch_of(const cvl_op *op, int threads)
{
    if (op->kind == CVL_OP_CONV2D)
        return NAME(conv2d_forward_workspace_size)(op->descriptor, threads);
    if (op->kind == CVL_OP_LINEAR)
        return NAME(linear_forward_workspace_size)(op->descriptor, threads);
    if (op->kind == CVL_OP_BATCH_NORM)
        return NAME(batch_norm_inference_workspace_size)(op->descriptor, threads);
    if (op->kind == CVL_OP_CONCAT)
        return bytes_of_parts(op);
    if (op->kind == CVL_OP_CONV_TRANSPOSE2D)
        return NAME(conv_transpose2d_forward_workspace_size)(op->descriptor, threads);
    if (op->kind == CVL_OP_GROUP_NORM)
        return scratch_of_group_norm(op, threads);
    if (op->kind == CVL_OP_UPSAMPLE2D)
        return NAME(upsample2d_workspace_size)(op->descriptor, threads);
    return 0;
}

static cvl_status run_group_norm(const cvl_op *op, const arrays *s, const cvl_exec *run)
{
    cvl_group_norm d = CVL_GROUP_NORM_INIT;
    cvl_exec own;
    const cvl_status status = cvl_read_exec(&own, run, scratch_of_group_norm(op, run->threads));
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    cvl_scratch scratch = {own.workspace, 0};
    double *mean = carve_statistics(&scratch, &d);
    own.workspace = (char *)own.workspace + scratch.used;
    own.workspace_bytes -= scratch.used;
    return NAME(group_norm_forward)(&d, s->y, mean, mean + d.N * d.groups, s->x, op->w, op->b,
                                    &own);
}

static cvl_status run_step(const step *known, const arrays *s, const cvl_exec *run)
{
    const cvl_op *op = &known->op;
    const ptrdiff_t n = known->elements;
    switch (op->kind) {
    case CVL_OP_CONV2D:
    case CVL_OP_LINEAR:
        return NAME(conv2d_run_ready)(
            &known->product, s->y, &(NAME(conv2d_operands)){s->x, op->w, op->packed, op->b, s->z},
            run);
    case CVL_OP_BATCH_NORM:
        return NAME(batch_norm_inference)(op->descriptor, s->y, s->x, op->w, op->b, op->mean,
                                          op->var, s->z, run);
    case CVL_OP_MAX_POOL2D:
        return NAME(max_pool2d_forward)(op->descriptor, s->y, s->x, run);
    case CVL_OP_AVG_POOL2D:
        return NAME(avg_pool2d_forward)(op->descriptor, s->y, s->x, run);
    case CVL_OP_SOFTMAX:
        return NAME(softmax_forward)(op->descriptor, s->y, s->x, run);
    case CVL_OP_ADD:
        return NAME(add)(n, s->y, s->x, s->z, run);
    case CVL_OP_ADD_RELU:
        return NAME(add_relu)(n, s->y, s->x, s->z, run);
    case CVL_OP_RELU:
        return NAME(relu_forward)(n, s->y, s->x, run);
    case CVL_OP_LEAKY_RELU:
        return NAME(leaky_relu_forward)(op->parameter, n, s->y, s->x, run);
    case CVL_OP_RELU6:
        return NAME(relu6_forward)(n, s->y, s->x, run);
    case CVL_OP_SIGMOID:
        return NAME(sigmoid_forward)(n, s->y, s->x, run);
    case CVL_OP_TANH:
        return NAME(tanh_forward)(n, s->y, s->x, run);
    case CVL_OP_ELU:
        return NAME(elu_forward)(op->parameter, n, s->y, s->x, run);
    case CVL_OP_GELU:
        return NAME(gelu_forward)(n, s->y, s->x, run);
    case CVL_OP_GELU_TANH:
        return NAME(gelu_tanh_forward)(n, s->y, s->x, run);
    case CVL_OP_SILU:
        return NAME(silu_forward)(n, s->y, s->x, run);
    case CVL_OP_HARD_SWISH:
        return NAME(hard_swish_forward)(n, s->y, s->x, run);
    case CVL_OP_SOFTPLUS:
        return NAME(softplus_forward)(n, s->y, s->x, run);
    case CVL_OP_CONCAT:
        return NAME(concat_forward)(op->descriptor, s->y, (const T *const *)s->parts, run);
    case CVL_OP_PAD_SHORTCUT:
        return NAME(pad_shortcut_forward)(op->descriptor, s->y, s->x, run);
    case CVL_OP_CONV_TRANSPOSE2D:
        return NAME(conv_transpose2d_forward)(op->descriptor, s->y, s->x, op->w, op->b, run);
    case CVL_OP_GROUP_NORM:
        return run_group_norm(op, s, run);
    case CVL_OP_UPSAMPLE2D:
        return NAME(upsample2d_forward)(op->descriptor, s->y, s->x, run);
    }
    return CVL_ERR_ARGUMENT;
}

/* Step i of a program, but for the workspace. */
static cvl_status make_step(step *s, const cvl_program *p, ptrdiff_t i)
{
    read_op(&s->op, p, i);
    s->elements = p->value[s->op.y].elements;
    if (s->op.kind == CVL_OP_CONV2D)
        return NAME(conv2d_make_ready)(&s->product, s->op.descriptor, s->op.packed != NULL);
    s->op.packed = NULL;
    if (s->op.kind == CVL_OP_LINEAR)
        return NAME(linear_make_ready)(&s->product, s->op.descriptor);
    return CVL_OK;
}

/* A program that runs. */
typedef struct running {
    cvl_program p;
    T *y, *arena;
    const T *x;
    cvl_exec exec;
    cvl_status status;
} running;

static const T *array_of(const running *r, ptrdiff_t value)
{
    return value < 0 ? NULL : value == 0 ? r->x : r->arena + r->p.value[value].place;
}

/* Where the parts of a concatenation are, in the scratch of its step. */
static cvl_status find_parts(arrays *a, const cvl_op *op, const running *r)
{
    cvl_concat d = CVL_CONCAT_INIT;
    cvl_exec own;
    const cvl_status status = cvl_read_exec(&own, &r->exec, bytes_of_parts(op));
    if (status != CVL_OK)
        return status;
    cvl_read(&d, op->descriptor);
    a->parts = own.workspace;
    for (ptrdiff_t i = 0; i < d.parts; i++)
        a->parts[i] = array_of(r, op->parts[i]);
    return CVL_OK;
}

static void run_steps(void *context)
{
    running *r = context;
    const cvl_program *p = &r->p;
    const plan *known = p->plan;
    step own;
    for (ptrdiff_t i = 0; i < p->ops && r->status == CVL_OK; i++) {
        const step *s = known ? known->steps + i : &own;
        if (!known)
            r->status = make_step(&own, p, i);
        const cvl_op *op = &s->op;
        arrays a = {
            .y = op->y == 1 ? r->y : r->arena + p->value[op->y].place,
            .x = array_of(r, op->x),
            .z = array_of(r, op->z),
        };
        if (r->status == CVL_OK && op->kind == CVL_OP_CONCAT)
            r->status = find_parts(&a, op, r);
        if (r->status == CVL_OK)
            r->status = run_step(s, &a, &r->exec);
    }
}

/* Opens a program for a run, by its plan where that is one for so many threads. */
static cvl_status open_run(running *r, const cvl_program *from, int threads)
{
    r->p = (cvl_program)CVL_PROGRAM_INIT;
    if (!cvl_read(&r->p, from))
        return CVL_ERR_ARGUMENT;
    const plan *known = r->p.plan;
    if (known && known->threads == threads)
        return CVL_OK;
    const cvl_status status = open_program(&r->p, from);
    r->p.plan = NULL;
    return status;
}

cvl_status NAME(program_run)(const cvl_program *from, T *y, const T *x, const cvl_exec *run)
{
    running r = {.y = y, .x = x, .exec = CVL_EXEC_INIT};
    if (!cvl_read(&r.exec, run))
        return CVL_ERR_ARGUMENT;
    cvl_status status = open_run(&r, from, r.exec.threads);
    if (status != CVL_OK)
        return status;
    if ((!x && r.p.value[0].elements > 0) || (!y && r.p.value[1].elements > 0))
        return CVL_ERR_ARGUMENT;
    const size_t arena = arena_bytes(&r.p);
    status = cvl_read_exec(&r.exec, run, arena);
    if (status != CVL_OK)
        return status;
    const plan *known = r.p.plan;
    r.exec.threads = known ? known->team : team_of(&r.p, r.exec.threads);
    r.arena = r.exec.workspace;
    if (arena) {
        r.exec.workspace = (char *)r.exec.workspace + arena;
        r.exec.workspace_bytes -= arena;
    }
    cvl_hold_team(r.exec.threads, run_steps, &r);
    return r.status;
}

size_t NAME(program_plan_size)(const cvl_program *from)
{
    cvl_program p;
    return open_program(&p, from) == CVL_OK ? sizeof(plan) + (size_t)p.ops * sizeof(step) : 0;
}

cvl_status NAME(program_plan)(const cvl_program *from, int threads, void *memory)
{
    cvl_program p;
    plan *made = memory;
    if (threads < 1 || !made)
        return CVL_ERR_ARGUMENT;
    if (!kernels())
        return CVL_ERR_ISA;
    cvl_status status = open_program(&p, from);
    if (status != CVL_OK)
        return status;
    made->threads = threads;
    made->team = team_of(&p, threads);
    for (ptrdiff_t i = 0; i < p.ops && status == CVL_OK; i++) {
        step *s = made->steps + i;
        status = make_step(s, &p, i);
        if (status == CVL_OK && (s->op.kind == CVL_OP_CONV2D || s->op.kind == CVL_OP_LINEAR))
            s->product.bytes =
                s->product.engine->workspace(&s->product.shape, CVL_CONV2D_FORWARD, made->team);
    }
    return status;
}

cvl_status NAME(program_check)(const cvl_program *from)
{
    cvl_program p;
    return open_program(&p, from);
}

size_t NAME(program_workspace_size)(const cvl_program *from, int threads)
{
    cvl_program p;
    cvl_op op;
    size_t most = 0;
    if (open_program(&p, from) != CVL_OK)
        return 0;
    const int team = threads < 1 ? threads : team_of(&p, threads);
    for (ptrdiff_t i = 0; i < p.ops; i++) {
        read_op(&op, &p, i);
        const size_t own = scratch_of(&op, team);
        most = own > most ? own : most;
    }
    return arena_bytes(&p) + most;
}
