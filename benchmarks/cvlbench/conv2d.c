/* conv2d.c: convolution by each of its algorithms, with packed weights, and by the textbook: the
 * columns of the whole batch, written out, and a matrix product. */
#include "bench.h"
#include "threads.h"

enum {
    FORWARD = CVL_CONV2D_FORWARD,
    BACKWARD_DATA = CVL_CONV2D_BACKWARD_DATA,
    BACKWARD_WEIGHTS = CVL_CONV2D_BACKWARD_WEIGHTS
};
static const char *const pass_names[] = {"forward", "backward_data", "backward_weights"};
#define PASSES COUNT(pass_names)

/* The values of cvl_conv2d_algorithm, and two more. */
enum { PACKED = CVL_CONV2D_WINOGRAD2 + 1, IM2COL_GEMM };
static const char *const algorithm_names[] = {"auto",      "im2col", "winograd",
                                              "winograd2", "packed", "im2col+gemm"};
#define ALGORITHMS COUNT(algorithm_names)

typedef struct conv {
    cvl_conv2d d[ALGORITHMS]; /* they differ in the algorithm */
    cvl_linear l;             /* of the textbook's product */
    ptrdiff_t OH, OW;
    T *x, *w, *dy;     /* inputs */
    T *output[PASSES]; /* y, dx, dw */
    T *columns;        /* NULL with groups */
    void *packed;      /* NULL where packing saves nothing */
    int is_packed;
    const loop_set *loops;
} conv;

static cvl_status library_call(const problem *p, int which)
{
    const conv *s = p->state;
    int pass = which / ALGORITHMS;
    const cvl_conv2d *d = &s->d[which % ALGORITHMS];
    T *out = s->output[pass];
    if (pass == FORWARD)
        return NAME(conv2d_forward)(d, out, s->x, s->w, NULL, &p->run);
    if (pass == BACKWARD_DATA)
        return NAME(conv2d_backward_data)(d, out, s->dy, s->w, &p->run);
    return NAME(conv2d_backward_weights)(d, out, NULL, s->dy, s->x, &p->run);
}

/* The first call of a problem packs. */
static cvl_status packed_call(const problem *p, int which)
{
    conv *s = p->state;
    const cvl_conv2d *d = &s->d[PACKED];
    if (!s->is_packed) {
        cvl_status status = NAME(conv2d_pack)(d, s->packed, s->w, &p->run);
        if (status != CVL_OK)
            return status;
        s->is_packed = 1;
    }
    return NAME(conv2d_forward_packed)(d, s->output[FORWARD], s->x, s->packed, NULL, &p->run);
}

#define COLUMN_ROWS 64 /* of a task */

static void make_columns(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const conv *s = context;
    begin *= COLUMN_ROWS;
    end = end * COLUMN_ROWS < s->l.M ? end * COLUMN_ROWS : s->l.M;
    s->loops->im2col(s->d, s->OH, s->OW, begin, end, s->columns, s->x);
}

static void add_columns(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const conv *s = context;
    s->loops->col2im(s->d, s->OH, s->OW, begin, end, s->output[BACKWARD_DATA], s->columns);
}

static void in_parallel(const problem *p, ptrdiff_t tasks, cvl_task *task)
{
    const conv *s = p->state;
    double moved = (double)s->l.M * (double)s->l.IN * sizeof(T);
    cvl_parallel_for(p->run.threads, tasks, moved, CVL_FLUSH, task, p->state);
}

static cvl_status textbook_call(const problem *p, int which)
{
    const conv *s = p->state;
    int pass = which / ALGORITHMS;
    T *out = s->output[pass];
    if (pass == BACKWARD_DATA) {
        cvl_status status = NAME(linear_backward_data)(&s->l, s->columns, s->dy, s->w, &p->run);
        in_parallel(p, s->d->N, add_columns);
        return status;
    }
    in_parallel(p, (s->l.M + COLUMN_ROWS - 1) / COLUMN_ROWS, make_columns);
    if (pass == FORWARD)
        return NAME(linear_forward)(&s->l, out, s->columns, s->w, NULL, &p->run);
    return NAME(linear_backward_weights)(&s->l, out, NULL, s->dy, s->columns, &p->run);
}

/* Adds an algorithm to what is timed of a pass, unless it has no path for this problem. */
static void add_algorithm(problem *p, int pass, int algorithm, const cost *price)
{
    conv *s = p->state;
    contender c = {.pass = pass_names[pass],
                   .algorithm = algorithm_names[algorithm],
                   .chosen = algorithm_names[algorithm],
                   .which = pass * ALGORITHMS + algorithm,
                   .call = library_call,
                   .cost = *price,
                   .result = s->output[pass],
                   .results = (ptrdiff_t)price->written};
    if (algorithm == IM2COL_GEMM) {
        c.call = textbook_call;
        if (!s->columns)
            return;
    } else {
        const cvl_conv2d *d = &s->d[algorithm];
        cvl_conv2d_algorithm chosen;
        if (NAME(conv2d_choose)(d, (cvl_conv2d_pass)pass, &chosen, NULL) != CVL_OK)
            return;
        c.chosen = algorithm_names[chosen];
    }
    if (algorithm == PACKED) {
        c.call = packed_call;
        if (pass != FORWARD || !s->packed)
            return;
    }
    problem_time(p, c);
}

static void make_workspace(problem *p)
{
    const conv *s = p->state;
    int threads = p->run.threads;
    for (int algorithm = 0; algorithm < IM2COL_GEMM; algorithm++) {
        const cvl_conv2d *d = &s->d[algorithm];
        problem_workspace(p, NAME(conv2d_forward_workspace_size)(d, threads));
        problem_workspace(p, NAME(conv2d_backward_data_workspace_size)(d, threads));
        problem_workspace(p, NAME(conv2d_backward_weights_workspace_size)(d, threads));
    }
    if (!s->columns)
        return;
    problem_workspace(p, NAME(linear_forward_workspace_size)(&s->l, threads));
    problem_workspace(p, NAME(linear_backward_data_workspace_size)(&s->l, threads));
    problem_workspace(p, NAME(linear_backward_weights_workspace_size)(&s->l, threads));
}

static cvl_conv2d descriptor(const ptrdiff_t *n, int algorithm)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    d.N = n[0];
    d.H = n[1];
    d.W = n[2];
    d.C = n[3];
    d.OC = n[4];
    d.KH = d.KW = n[5];
    d.SH = d.SW = n[6];
    d.PT = d.PB = d.PL = d.PR = n[7];
    d.groups = n[8];
    d.algorithm = algorithm < PACKED ? (cvl_conv2d_algorithm)algorithm : CVL_CONV2D_AUTO;
    return d;
}

static void make(problem *p)
{
    conv *s = p->state = problem_memory(p, sizeof *s);
    s->loops = p->loops;
    for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
        s->d[algorithm] = descriptor(p->n, algorithm);
    const cvl_conv2d *d = s->d;
    problem_check(cvl_conv2d_output_shape(d, &s->OH, &s->OW));
    ptrdiff_t inputs = d->N * d->H * d->W * d->C, pixels = d->N * s->OH * s->OW;
    ptrdiff_t taps = d->KH * d->KW * (d->C / d->groups), weights = taps * d->OC;
    s->l = (cvl_linear)CVL_LINEAR_INIT;
    s->l.M = pixels;
    s->l.IN = taps;
    s->l.OUT = d->OC;
    s->x = problem_array(p, inputs);
    s->w = problem_array(p, weights);
    s->dy = problem_array(p, pixels * d->OC);
    s->output[FORWARD] = problem_array(p, pixels * d->OC);
    s->output[BACKWARD_DATA] = problem_array(p, inputs);
    s->output[BACKWARD_WEIGHTS] = problem_array(p, weights);
    if (d->groups == 1 && wants(p->options, "im2col+gemm"))
        s->columns = problem_array(p, pixels * taps);
    size_t packed = wants(p->options, "packed") ? NAME(conv2d_packed_size)(d) : 0;
    if (packed)
        s->packed = problem_memory(p, packed);
    make_workspace(p);

    double x = (double)inputs, w = (double)weights, y = (double)(pixels * d->OC), all = x + w + y;
    double flop = 2 * y * (double)taps;
    const cost costs[PASSES] = {
        {flop, x + w, y, all, 0}, {flop, y + w, x, all, 0}, {flop, x + y, w, all, 0}};
    for (int pass = 0; pass < PASSES; pass++)
        for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
            if (wants(p->options, algorithm_names[algorithm]))
                add_algorithm(p, pass, algorithm, &costs[pass]);
}

const operation OPERATORS(conv2d)[] = {{"conv2d", "N H W C OC K S P G", make, 0},
                                       {NULL, NULL, NULL, 0}};
