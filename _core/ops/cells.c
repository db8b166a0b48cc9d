/* cells.c: backward data of 3x3 convolutions at stride 2 whose channels, or those of a group, fill one
 * vector.
 *
 * Inputs are taken by cells of 2x2: cell (i,j) begins with the input that output (i,j) has its middle tap
 * on, and meets the outputs (i..i+1, j..j+1) alone. The phases of indirect.c read an output 9 times, and
 * write pixels here and there; cells read it 4 times, and write all pixels of two rows. There is less to
 * be had from wider groups, whose outputs serve more than one vector as it is.
 *
 * Order of sums: that of indirect.c, where it is one chain. */
#include "conv2d.h"

/* Cells of a block are whole rows of them, BLOCK of them or a few more: their inputs and those of the next
 * block, which is fetched meanwhile, lie in L2. */
enum { BLOCK = 56, SETS = 16, TAPS = 9 };

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    ptrdiff_t C, OC;         /* of a group */
    ptrdiff_t top, left;     /* the first cell is that of output (top, left) */
    ptrdiff_t rows, columns; /* of cells of an image */
    ptrdiff_t block_rows;
    ptrdiff_t step; /* cells of a block, and what follows those of a set */
    T *packed;      /* (groups, TAPS, OC, C) */
    char *worker_memory;
    size_t worker_bytes;
} plan;

/* Listed cells beside which the same outputs exist. */
typedef struct set {
    ptrdiff_t first, count;
    unsigned outputs;
} set;

typedef struct worker {
    const T **a; /* (4, step): outputs beside a cell */
    T **c;       /* (4, step): its inputs */
    T *outside;  /* a pixel that is nowhere in dx */
    int sets;
    set set[SETS];
} worker;

static worker carve_worker(const plan *p, ptrdiff_t channels, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    worker w;
    w.a = cvl_carve(&s, (size_t)(4 * p->step) * sizeof *w.a);
    w.c = cvl_carve(&s, (size_t)(4 * p->step) * sizeof *w.c);
    w.outside = cvl_carve(&s, (size_t)channels * sizeof(T));
    *bytes = s.used;
    return w;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->C = d->C / d->groups;
    p->OC = d->OC / d->groups;
    /* Cell i begins at input 2*i + 1 - padding; the first and the last have inputs inside. */
    p->top = cvl_floor_div(d->PT - 1, 2);
    p->left = cvl_floor_div(d->PL - 1, 2);
    p->rows = cvl_floor_div(d->H + d->PT - 2, 2) + 1 - p->top;
    p->columns = cvl_floor_div(d->W + d->PL - 2, 2) + 1 - p->left;
    p->block_rows = cvl_ceil_div(BLOCK, p->columns);
    p->step = p->block_rows * p->columns + SETS * CVL_CELLS_MORE;
    cvl_scratch s = {base, 0};
    p->packed = cvl_carve(&s, (size_t)shape->w_size * sizeof(T));
    carve_worker(p, d->C, NULL, &p->worker_bytes);
    p->worker_memory = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

/* Task: a group. Its taps come as the kernel takes them: by the outputs beside a cell, the last first, and
 * for each k of an output those that meet it. */
static void pack(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    static const struct {
        int first, tap, taps; /* what precedes those of the output; which of them; of so many */
    } place[TAPS] = {{0, 0, 1}, {1, 0, 2}, {1, 1, 2}, {3, 0, 2}, {5, 0, 4},
                     {5, 1, 4}, {3, 1, 2}, {5, 2, 4}, {5, 3, 4}};
    const plan *p = context;
    const ptrdiff_t pixel = p->call->shape->d.OC;
    (void)number;
    for (ptrdiff_t group = begin; group < end; group++)
        for (int tap = 0; tap < TAPS; tap++) {
            T *out = p->packed + group * TAPS * p->OC * p->C;
            out += (place[tap].first * p->OC + place[tap].tap) * p->C;
            p->kernels->transpose(p->OC, p->C, out, place[tap].taps * p->C,
                                  p->call->w + tap * p->C * pixel + group * p->OC, pixel);
        }
}

/* Stretches of cells along an axis, of two outputs beside each of which there exist, by bits: */
static const unsigned existing[] = {2, 3, 1, 0};
/* the cell that ends a stretch, where there are `count` outputs. */
static ptrdiff_t end_of(int stretch, ptrdiff_t count)
{
    const ptrdiff_t ends[] = {0, count - 1, count, PTRDIFF_MAX};
    return ends[stretch];
}

/* Lists the cells of the outputs (i, j0 .. j1 - 1) of image n, beside which `outputs` exist. */
static void list_row(const plan *p, const worker *w, ptrdiff_t at, ptrdiff_t n, ptrdiff_t i,
                     ptrdiff_t j0, ptrdiff_t j1, unsigned outputs)
{
    const cvl_conv2d_shape *s = p->call->shape;
    const cvl_conv2d *d = &s->d;
    for (ptrdiff_t number = 0; number < 4; number++, at += p->step) {
        const ptrdiff_t row = number / 2, column = number % 2;
        const ptrdiff_t output = (n * s->OH + i + row) * s->OW + column;
        const ptrdiff_t h = 2 * i + 1 - d->PT + row, input = (n * d->H + h) * d->W;
        const int exists = outputs >> number & 1, inside = h >= 0 && h < d->H;
        for (ptrdiff_t j = j0; j < j1; j++) {
            const ptrdiff_t x = 2 * j + 1 - d->PL + column;
            w->a[at + j - j0] = p->call->dy + (exists ? (output + j) * d->OC : 0);
            w->c[at + j - j0] =
                inside && x >= 0 && x < d->W ? p->call->out + (input + x) * d->C : w->outside;
        }
    }
}

/* Lists the cells of the rows [first, last) of the batch, in sets. Returns the outputs that the kernel
 * will meet, of tiles of cells. */
static ptrdiff_t list_cells(const plan *p, worker *w, ptrdiff_t first, ptrdiff_t last)
{
    const cvl_conv2d_shape *s = p->call->shape;
    ptrdiff_t at = 0, met = 0;
    w->sets = 0;
    for (int number = 0; number < SETS; number++) {
        const int down = number / 4, along = number % 4;
        const unsigned outputs =
            (existing[down] & 1) * existing[along] | (existing[down] >> 1) * existing[along] << 2;
        const ptrdiff_t j0 = along > 0 ? cvl_max(p->left, end_of(along - 1, s->OW)) : p->left;
        const ptrdiff_t j1 = cvl_min(p->left + p->columns, end_of(along, s->OW));
        const ptrdiff_t begin = at;
        for (ptrdiff_t row = first; row < last && j0 < j1; row++) {
            const ptrdiff_t i = p->top + row % p->rows;
            if (i >= end_of(down, s->OH) || (down > 0 && i < end_of(down - 1, s->OH)))
                continue;
            list_row(p, w, at, row / p->rows, i, j0, j1, outputs);
            at += j1 - j0;
        }
        if (at == begin)
            continue;
        w->set[w->sets++] = (set){begin, at - begin, outputs};
        for (int output = 0; output < 4; output++)
            met += (outputs >> output & 1) * cvl_ceil_div(at - begin, CVL_CELLS_MORE + 1);
        for (int more = 0; more < CVL_CELLS_MORE; more++, at++)
            for (ptrdiff_t place = at; place < 4 * p->step; place += p->step) {
                w->a[place] = w->a[place - 1];
                w->c[place] = w->c[place - 1];
            }
    }
    return met;
}

/* The first row of dx, in the batch, of a row of cells. */
static ptrdiff_t row_of(const plan *p, ptrdiff_t row)
{
    const cvl_conv2d *d = &p->call->shape->d;
    const ptrdiff_t h = 2 * (p->top + row % p->rows) + 1 - d->PT;
    return row / p->rows * d->H + cvl_max(h, 0);
}

/* Task: a row of cells. A block has the rows fetched that the next one writes. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    const cvl_conv2d *d = &p->call->shape->d;
    size_t bytes;
    worker w = carve_worker(p, d->C, p->worker_memory + (size_t)number * p->worker_bytes, &bytes);
    for (ptrdiff_t row = begin, next; row < end; row = next) {
        next = cvl_min(end, row + p->block_rows);
        const ptrdiff_t met = list_cells(p, &w, row, next);
        NAME(cells) job = {.step = p->step, .K = p->OC, .ahead = p->call->out};
        if (next < end) {
            const ptrdiff_t line = d->W * d->C, from = row_of(p, next);
            const ptrdiff_t rows = row_of(p, cvl_min(end, next + p->block_rows)) - from;
            job.ahead += from * line;
            job.far = cvl_ceil_div(rows * line, cvl_max(1, met * d->OC));
        }
        for (ptrdiff_t group = 0; group < d->groups; group++) {
            job.a0 = group * p->OC;
            job.c0 = group * p->C;
            job.w = p->packed + group * TAPS * p->OC * p->C;
            job.bias = p->call->end.bias ? p->call->end.bias + job.c0 : NULL;
            for (const set *of = w.set; of < w.set + w.sets; of++) {
                job.cells = of->count;
                job.outputs = of->outputs;
                job.a = w.a + of->first;
                job.c = w.c + of->first;
                p->kernels->cells(&job);
            }
        }
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass != CVL_CONV2D_BACKWARD_DATA || d->KH != 3 || d->KW != 3 || d->SH != 2 || d->SW != 2 ||
        d->DH != 1 || d->DW != 1)
        return "cells are those of backward data of 3x3 taps at stride 2";
    return TAPS * (d->OC / d->groups) <= CVL_ORDER_K ? NULL : "sums are several chains";
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const NAME(kernels) *k = kernels();
    (void)pass;
    return k && shape->d.C / shape->d.groups == k->vector / (ptrdiff_t)sizeof(T);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    (void)pass;
    return make_plan(&p, shape, NULL, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->workspace, call->threads);
    p.call = call;
    cvl_parallel_for(call->threads, call->shape->d.groups, (double)call->shape->w_size * sizeof(T),
                     CVL_FLUSH, pack, &p);
    cvl_parallel_for(call->threads, call->shape->d.N * p.rows, call->shape->flops, CVL_FLUSH,
                     compute, &p);
}

const NAME(conv2d_engine) NAME(cells_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a vector of channels at stride 2",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
