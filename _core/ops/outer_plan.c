/* outer_plan.c: how backward weights are cut into tasks. */
#include "outer_plan.h"

enum {
    /* Channels below which kernel rows are taken whole, and elements of them below which chains are too few,
     * unless all are taken at once. */
    FEW = 16,
    SHORT = 6,

    /* Channels of a task, and outputs at most, and at least where they would be more than a PART: elements
     * of dw that lie in L2. */
    DEPTH = 128,
    WIDTH = 512,
    WIDTH_MIN = 32,
    PART = 98304,

    /* Bytes of x and dy that do not: each block has the next one fetched. */
    FAR = 1 << 20,

    /* Bytes of dw from which on SLICE rows of it are written at a time, along which the CPU fetches: down its
     * columns it waits for memory. */
    LARGE = 32 << 20,
    SLICE = 24,

    /* Pixels whole pages apart lie in so few sets of the caches that a copy pays, of x from REUSED outputs on
     * and of dy where WORTH rows of dw read it; quarters of pages, which is 1.15 to 1.4 times as fast, where
     * tiles are those of HALF vectors, which read it more often. Panels of copies have SKEW rows more than
     * they need, lest all begin in the same set of L1. */
    PAGE = 4096,
    HALF = 32, /* bytes of a vector of avx2 */
    REUSED = 128,
    WORTH = 128,
    SKEW = 2,

    /* Channels of all groups from which on groups of whole vectors are taken side by side, and of copies
     * side by side, where all threads have as many; and lanes of groups that share them, whose blocks stay
     * in L2. */
    WIDE = 256,
    BESIDE = 64,
    TOGETHER = 256,

    /* Elements of the partial sums of their blocks. */
    PARTIAL = 1 << 18,

    LANES = 16 /* of the widest vector */
};

static tables carve_tables(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    t.row = cvl_carve(&s, (size_t)p->rows * sizeof *t.row);
    t.run = cvl_carve(&s, (size_t)p->rows * sizeof *t.run);
    t.source =
        cvl_carve(&s, p->stacked ? (size_t)(p->rows * p->shape->d.KH) * sizeof *t.source : 0);
    t.packed = NULL;
    if (p->packed)
        t.packed = cvl_carve(&s, (size_t)(CVL_ORDER_PIXELS * p->packed) * sizeof(T));
    t.copy = cvl_carve(&s, (size_t)(p->copies * p->copy_size) * sizeof(T));
    t.dy = cvl_carve(&s, (size_t)(p->dy_panels * p->dy_panel) * sizeof(T));
    t.aside = cvl_carve(&s, p->aside ? (size_t)(p->side * aside_size(p)) * sizeof(T) : 0);
    t.ahead = cvl_carve(&s, (p->far ? OUTER_AHEAD + 1 : 1) * sizeof *t.ahead);
    *bytes = s.used;
    return t;
}

tables NAME(outer_tables)(const plan *p, char *base)
{
    size_t bytes;
    return carve_tables(p, base, &bytes);
}

/* Whether pixels so many elements apart meet in few sets of the caches. */
static int meets(const plan *p, ptrdiff_t elements)
{
    const ptrdiff_t apart = p->kernels->vector == HALF ? PAGE / 4 : PAGE;
    return elements % (apart / (ptrdiff_t)sizeof(T)) == 0;
}

/* How many groups a vector holds, or 0 where these are not several. Of 5 to 7 inputs the kernel computes rows
 * in two parts: with several taps it is 1.4 times as fast to take kernel rows whole. */
static ptrdiff_t shared_groups(const plan *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t most = cvl_max(p->C, p->OC), VL = p->kernels->vector / (ptrdiff_t)sizeof(T);
    const int parts = p->C > 4 && p->C < 8;
    const int pays = !parts || d->KH * d->KW == 1;
    return d->groups > 1 && most > 1 && 2 * most <= VL && pays ? VL / most : 0;
}

/* Whether groups are taken side by side for the sake of copies: those that fill vectors, and those that share
 * narrow ones, of which pixels far apart leave few sets of L1. One tap would not pay for these. Nor would wide
 * groups of pixels that lie close: L1 has sets for many of them as they are. */
static int merges(const plan *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const int few_sets = d->C >= WIDE && p->kernels->vector <= HALF;
    return d->KH * d->KW > 1 && d->groups > 1 && p->C > 1 && p->C == p->OC && BESIDE % p->C == 0 &&
           d->C % CVL_OUTER_COLUMNS == 0 && (2 * p->C <= CVL_OUTER_COLUMNS || d->C >= WIDE) &&
           (!p->shared || few_sets);
}

/* Whether columns of channels cost less by an eighth than columns of outputs: in vectors, of which the
 * last may hold little. */
static int turns(const plan *p)
{
    const ptrdiff_t outputs = p->C_tap * cvl_ceil_div(p->OC, LANES);
    const ptrdiff_t channels = p->OC * cvl_ceil_div(p->C_tap, LANES);
    return !p->shared && !merges(p) && 8 * channels < 7 * outputs;
}

/* How many groups take turns at a block: all, but for as many tasks as keep the threads busy. */
static ptrdiff_t groups_of_task(const plan *p, int threads)
{
    const ptrdiff_t groups = p->shape->d.groups, tasks = threads > 1 ? 2 * threads : 1;
    ptrdiff_t side = p->whole ? groups : 1;
    while (side > 1 && (groups % side != 0 || groups / side * p->splits < tasks))
        side--;
    return side;
}

/* Even widths; and where there are fewer tasks than threads, halves of them, then fewer taps of each.
 * Sums do not depend on either. */
static void share_out(plan *p, int threads)
{
    p->width = cvl_ceil_div(cvl_ceil_div(p->OC, p->widths), WIDTH_MIN) * WIDTH_MIN;
    p->width = cvl_min(p->OC, p->width);
    p->widths = cvl_ceil_div(p->OC, p->width);
    while (all_tasks(p) < threads &&
           (p->width % (2 * WIDTH_MIN) == 0 || (p->taps == 1 && p->width > WIDTH_MIN))) {
        p->width = cvl_ceil_div(p->width / 2, WIDTH_MIN) * WIDTH_MIN;
        p->widths = cvl_ceil_div(p->OC, p->width);
    }
    while (all_tasks(p) < 2 * threads && all_tasks(p) % threads != 0 && p->cuts < p->taps)
        p->cuts++;
}

/* What is summed for each weight: taps, or kernel rows taken whole, over blocks of rows. */
static void measure(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    p->C = d->C / d->groups;
    p->OC = d->OC / d->groups;
    p->shared = shared_groups(p);
    p->whole = p->C < FEW && d->KW > 1 && d->DW == 1 && !p->shared && !merges(p);
    p->stacked = p->whole && d->groups == 1 && d->KH > 1 && d->KH <= CVL_INTERLEAVE_MOST &&
                 d->KW * p->C < SHORT;
    p->taps = p->stacked ? 1 : p->whole ? d->KH : d->KH * d->KW;
    p->C_tap = p->whole ? d->KH * d->KW * p->C / p->taps : p->C;
    p->rows = cvl_max(1, CVL_ORDER_PIXELS / shape->OW);
    p->pieces = cvl_ceil_div(shape->OW, CVL_ORDER_PIXELS);
    p->all_rows = d->N * shape->OH * p->pieces;
}

/* Cuts groups that share vectors into tasks: what is read of a pixel lies together, and blocks are tasks, whose
 * partial sums are added as they themselves would be. Where these would be many, so that the batch would cost
 * memory, a task has all blocks, and no more groups than leave every thread one. */
static void share(plan *p, int threads)
{
    const ptrdiff_t groups = p->shape->d.groups, VL = p->kernels->vector / (ptrdiff_t)sizeof(T);
    const ptrdiff_t blocks = cvl_ceil_div(p->all_rows, p->rows), pair = 2 * p->shared;
    p->side = cvl_min(groups, TOGETHER / VL * p->shared);
    if (p->splits == 1 && blocks <= PARTIAL / p->shape->w_size)
        p->splits = cvl_max(1, blocks);
    while (p->side > pair && cvl_ceil_div(groups, p->side) * p->splits < threads)
        p->side = cvl_ceil_div(p->side / 2, pair) * pair;
    p->groups = cvl_ceil_div(groups, p->side);
    p->cuts = 1;
}

/* Cuts channels, outputs and rows into tasks. */
static void cut(plan *p, int threads)
{
    const ptrdiff_t groups = p->shape->d.groups;
    p->depths = p->whole ? 1 : cvl_ceil_div(p->C, DEPTH);
    p->depth = cvl_ceil_div(p->C_tap, p->depths);
    p->width = cvl_min(p->OC, WIDTH);
    while (p->width > WIDTH_MIN && p->taps * p->depth * p->width > PART)
        p->width = cvl_ceil_div(p->width / 2, WIDTH_MIN) * WIDTH_MIN;
    p->widths = cvl_ceil_div(p->OC, p->width);
    p->splits = 1;
    while (p->splits * groups * p->depths * p->widths < CVL_ORDER_UNITS &&
           4 * p->splits <= cvl_ceil_div(p->all_rows, p->rows))
        p->splits *= 2;
    p->turned = turns(p);
    /* Channels that are columns stay together, where dw stays in L2 and tasks are enough. */
    if (p->turned && p->taps * p->C_tap * p->width <= PART &&
        p->splits * groups * p->widths >= threads) {
        p->depths = 1;
        p->depth = p->C_tap;
    }
    p->side = groups_of_task(p, threads);
    p->groups = groups / p->side;
    p->cuts = 1;
    share_out(p, threads);
    if (merges(p)) {
        const int beside = p->shape->d.C % (BESIDE * threads) == 0;
        p->merged = p->shared ? CVL_OUTER_COLUMNS : p->C;
        p->width = cvl_max(p->merged, beside ? BESIDE : CVL_OUTER_COLUMNS);
        p->widths = 1;
        p->side = p->width / p->C;
        p->groups = groups / p->side;
        p->cuts = 1;
    } else if (p->shared) {
        share(p, threads);
    }
}

/* The copy of the input of a block: of kernel rows that are taken whole, or of groups side by side. */
static void size_copy(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    if (p->whole || p->merged) {
        p->images = (p->rows - 1) / shape->OH + 2;
        p->image_rows = (cvl_min(p->rows, shape->OH) - 1) * d->SH + (d->KH - 1) * d->DH + 1;
    }
    if (p->whole) {
        const ptrdiff_t columns = cvl_min(shape->OW, CVL_ORDER_PIXELS);
        p->copies = p->side;
        p->copy_width = ((columns - 1) * d->SW + d->KW) * p->C;
    }
    if (p->stacked) {
        p->copy_width *= d->KH;
        p->images = 1;
        p->image_rows = p->rows;
    }
    if (p->merged) {
        p->copies = p->width / p->merged;
        p->copy_width = d->W * p->merged;
        p->image_rows = cvl_min(d->H, p->image_rows);
    }
    p->copy_size = p->images * p->image_rows * p->copy_width;
}

/* Whether x and dy are copied for each tap or block, and fetched ahead. */
static void choose_sources(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    const ptrdiff_t x_bytes = shape->x_size * (ptrdiff_t)sizeof(T);
    const ptrdiff_t y_bytes = shape->y_size * (ptrdiff_t)sizeof(T);
    p->far = !p->shared && !p->merged && x_bytes > FAR - y_bytes;
    p->slice = shape->w_size * (ptrdiff_t)sizeof(T) > LARGE ? SLICE : p->depth;
    p->b_step = d->OC;
    const int apart = !p->shared && !p->turned && meets(p, d->OC);
    if (p->merged || (apart && p->taps * p->depth >= WORTH)) {
        p->b_step = p->merged ? p->merged : p->width + LINE;
        p->dy_panel = (cvl_min(p->rows * shape->OW, CVL_ORDER_PIXELS) + SKEW) * p->b_step;
        p->dy_panels = p->merged ? p->copies : 1;
    }
    if (!p->whole && !p->shared && !p->merged && !p->turned && meets(p, d->SW * d->C) &&
        p->width >= REUSED)
        p->packed = p->depth + LINE;
    p->aside = p->stacked || (p->turned && d->OC > 1);
}

size_t NAME(outer_plan)(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    *p = (plan){.shape = shape, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    measure(p);
    cut(p, threads);
    size_copy(p);
    choose_sources(p);

    cvl_scratch s = {base, 0};
    p->partial = cvl_carve(&s, (size_t)((p->splits - 1) * shape->w_size) * sizeof(T));
    carve_tables(p, NULL, &p->worker_bytes);
    p->worker = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}
