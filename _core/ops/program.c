/* program.c: programs, lists of operators. All of them are checked before the first one runs. */
#include "program_kinds.h"

typedef struct plan {
    int threads, team; /* of a call, and how many of them it takes */
    NAME(program_step) steps[];
} plan;

/* Operators are as large as the caller's header made them. */
static int read_op(cvl_op *op, const cvl_program *p, ptrdiff_t i)
{
    *op = (cvl_op)CVL_OP_INIT;
    return cvl_read(op, (const char *)p->op + (size_t)i * p->op->size);
}

/* ------------------------------------------------------------------------------- checks */

/* Whether y may be where an operand lies, or must not touch it. */
static int may_meet(const cvl_program *p, const cvl_op *op, ptrdiff_t operand)
{
    const op_in_place in_place = NAME(op_kind_of)(op)->in_place;
    const cvl_value *y = p->value + op->y, *a = p->value + operand;
    if (operand < 2 || op->y < 2)
        return operand != op->y;
    if (y->place == a->place &&
        (in_place == IN_PLACE_OF_ANY || (in_place == IN_PLACE_OF_Z && operand != op->x)))
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
    const NAME(op_kind) *kind = NAME(op_kind_of)(op);
    if (!kind || !in_range(p, op->x) || op->y < 1 || op->y >= p->values || (op->y == 1) != last)
        return CVL_ERR_ARGUMENT;
    if (op->z == -1 ? kind->z == Z_ALWAYS : kind->z == Z_NEVER || !in_range(p, op->z))
        return CVL_ERR_ARGUMENT;
    ptrdiff_t x = 0, y = p->value[op->y].elements;
    const cvl_status status = kind->sizes(op, &x, &y);
    if (status != CVL_OK)
        return status;
    if (x != p->value[op->x].elements || y != p->value[op->y].elements ||
        (op->z >= 0 && y != p->value[op->z].elements))
        return CVL_ERR_SHAPE;
    if (!may_meet(p, op, op->x) || (op->z >= 0 && !may_meet(p, op, op->z)))
        return CVL_ERR_ARGUMENT;
    return kind->joins ? check_parts(p, op) : CVL_OK;
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
enum { SERIAL_WORK = 2000000 };

/* The threads of an opened program. */
static int team_of(const cvl_program *p, int threads)
{
    cvl_op op;
    double work = 0;
    for (ptrdiff_t i = 0; threads > 1 && i < p->ops; i++) {
        read_op(&op, p, i);
        const NAME(op_kind) *kind = NAME(op_kind_of)(&op);
        const double elements = (double)p->value[op.y].elements;
        work += kind->work ? kind->work(&op, elements) : 2 * sizeof(T) * elements;
        if (work >= SERIAL_WORK)
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

/* Step i of a program, but for the workspace. */
static cvl_status make_step(NAME(program_step) *s, const cvl_program *p, ptrdiff_t i)
{
    read_op(&s->op, p, i);
    s->kind = NAME(op_kind_of)(&s->op);
    s->elements = p->value[s->op.y].elements;
    return s->kind->ready ? s->kind->ready(s) : CVL_OK;
}

/* A program that runs. */
typedef struct running {
    cvl_program p;
    NAME(program_memory) memory;
    cvl_exec exec;
    cvl_status status;
} running;

static void run_steps(void *context)
{
    running *r = context;
    const NAME(program_memory) *m = &r->memory;
    const plan *known = r->p.plan;
    NAME(program_step) own;
    for (ptrdiff_t i = 0; i < r->p.ops && r->status == CVL_OK; i++) {
        const NAME(program_step) *s = known ? known->steps + i : &own;
        if (!known)
            r->status = make_step(&own, &r->p, i);
        const cvl_op *op = &s->op;
        const NAME(program_arrays) a = {
            .y = op->y == 1 ? m->y : m->arena + m->value[op->y].place,
            .x = NAME(program_array)(m, op->x),
            .z = NAME(program_array)(m, op->z),
            .all = m,
        };
        if (r->status == CVL_OK)
            r->status = s->kind->run(s, &a, &r->exec);
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
    running r = {.memory = {.y = y, .x = x}, .exec = CVL_EXEC_INIT};
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
    r.memory.value = r.p.value;
    r.memory.arena = r.exec.workspace;
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
    return open_program(&p, from) == CVL_OK
               ? sizeof(plan) + (size_t)p.ops * sizeof(NAME(program_step))
               : 0;
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
        NAME(program_step) *s = made->steps + i;
        status = make_step(s, &p, i);
        if (status == CVL_OK && s->kind->ready)
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
        const NAME(op_kind) *kind = NAME(op_kind_of)(&op);
        const size_t own = kind->scratch ? kind->scratch(&op, team) : 0;
        most = own > most ? own : most;
    }
    return arena_bytes(&p) + most;
}
