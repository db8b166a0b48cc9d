/* outer_plan.c: how backward weights are cut into tasks. */
#include "outer_plan.h"

enum {
    /* Channels of a group below which kernel rows are taken whole, and elements of a kernel row below which
     * chains are too few, unless all rows are taken at once. */
    FEW_CHANNELS = 16,
    SHORT_ROW = 6,

    /* Channels of a task, and outputs: at most, and at least where dw of it would else not stay in L2, which
     * takes so many elements. */
    DEPTH = 128,
    WIDTH = 512,
    WIDTH_MIN = 32,
    DW_IN_L2 = 98304,

    /* Bytes of x and dy that stay in L2; where they are more, each block has the next one fetched. */
    INPUTS_IN_L2 = 1 << 20,

    /* Bytes of dw from which on few rows of it are written at a time, along which the CPU fetches: down its
     * columns it waits for memory. The first is of one block, which is all that is written. */
    LARGE_DW_ONCE = 4 << 20,
    LARGE_DW = 32 << 20,
    SLICE_ROWS = 24,

    /* Pixels whole pages apart lie in so few sets of the caches that a copy pays, of x for so many outputs
     * and of dy for so many rows of dw. With the vectors of avx2, whose smaller tiles read it more often,
     * quarters of pages do: 1.15 to 1.4 times as fast. Panels of copies have a few pixels more than they
     * need, lest all begin in the same set of L1. */
    PAGE = 4096,
    AVX2_VECTOR = 32, /* bytes */
    X_COPY_OUTPUTS = 128,
    DY_COPY_ROWS = 128,
    SKEW_PIXELS = 2,

    /* Channels of all groups from which on groups of whole vectors are taken side by side; of a set of
     * these, where all threads have as many; and lanes of a set of groups that share vectors, whose blocks
     * stay in L2. */
    WIDE_PIXEL = 256,
    SET_CHANNELS = 64,
    SET_LANES = 256,

    /* What the last columns cost at least where they are turned, in multiply-adds of a vector: so few are
     * chains that wait for their sums. */
    TURNED_LEAST = 8,

    /* Elements of the partial sums of their blocks. */
    PARTIAL_SUMS = 1 << 18,

    LANES = 16 /* of the widest vector */
};

static tables carve_tables(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    t.piece = cvl_carve(&s, (size_t)p->block_pieces * sizeof *t.piece);
    t.run = cvl_carve(&s, (size_t)p->block_pieces * sizeof *t.run);
    t.source = cvl_carve(
        &s, p->stacked ? (size_t)(p->block_pieces * p->shape->d.KH) * sizeof *t.source : 0);
    t.packed = cvl_carve(&s, p->packed ? (size_t)(CVL_ORDER_PIXELS * p->x_step) * sizeof(T) : 0);
    t.copy = cvl_carve(&s, (size_t)(p->x_copies * p->x_copy_size) * sizeof(T));
    t.dy = cvl_carve(&s, (size_t)(p->dy_copies * p->dy_copy_size) * sizeof(T));
    t.aside = cvl_carve(&s, p->aside ? (size_t)(p->set_groups * aside_size(p)) * sizeof(T) : 0);
    t.ahead = cvl_carve(&s, (p->fetches_ahead ? OUTER_AHEAD + 1 : 1) * sizeof *t.ahead);
    *bytes = s.used;
    return t;
}

tables NAME(outer_tables)(const plan *p, char *base)
{
    size_t bytes;
    return carve_tables(p, base, &bytes);
}

static ptrdiff_t vector_length(const plan *p) { return p->kernels->vector / (ptrdiff_t)sizeof(T); }

/* How many groups a vector holds, or 0 where these are not several. Of 5 to 7 inputs the kernel computes rows
 * in two parts: with several taps it is 1.4 times as fast to take kernel rows whole. */
static ptrdiff_t groups_of_vector(const plan *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t most = cvl_max(p->C, p->OC);
    const int in_parts = p->C > 4 && p->C < 8;
    const int pays = !in_parts || d->KH * d->KW == 1;
    return d->groups > 1 && most > 1 && 2 * most <= vector_length(p) && pays
               ? vector_length(p) / most
               : 0;
}

/* Whether groups are taken side by side for the sake of copies: those that fill vectors, and those that share
 * narrow ones, of which pixels far apart leave few sets of L1. One tap would not pay for these. Nor would wide
 * groups of pixels that lie close: L1 has sets for many of them as they are. */
static int pays_in_panels(const plan *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const int wide = d->C >= WIDE_PIXEL, few_sets = wide && p->kernels->vector <= AVX2_VECTOR;
    return d->KH * d->KW > 1 && d->groups > 1 && p->C > 1 && p->C == p->OC &&
           SET_CHANNELS % p->C == 0 && d->C % CVL_OUTER_COLUMNS == 0 &&
           (2 * p->C <= CVL_OUTER_COLUMNS || wide) && (!p->vector_groups || few_sets);
}

/* How groups are taken, and what is summed for each weight: taps, or kernel rows taken whole, over blocks of
 * pieces. */
static void measure(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    p->C = d->C / d->groups;
    p->OC = d->OC / d->groups;
    p->vector_groups = groups_of_vector(p);
    if (pays_in_panels(p))
        p->panel = p->vector_groups ? CVL_OUTER_COLUMNS : p->C;
    p->whole_rows =
        p->C < FEW_CHANNELS && d->KW > 1 && d->DW == 1 && !p->vector_groups && !p->panel;
    p->stacked = p->whole_rows && d->groups == 1 && d->KH > 1 && d->KH <= CVL_INTERLEAVE_MOST &&
                 d->KW * p->C < SHORT_ROW;
    p->taps = p->stacked ? 1 : p->whole_rows ? d->KH : d->KH * d->KW;
    p->tap_rows = p->whole_rows ? d->KH * d->KW * p->C / p->taps : p->C;
    p->block_pieces = cvl_max(1, CVL_ORDER_PIXELS / shape->OW);
    p->row_pieces = cvl_ceil_div(shape->OW, CVL_ORDER_PIXELS);
    p->all_pieces = d->N * shape->OH * p->row_pieces;
}

/* Half of it, a multiple of `step`. */
static ptrdiff_t half(ptrdiff_t size, ptrdiff_t step)
{
    return cvl_ceil_div(size / 2, step) * step;
}

/* Cuts channels and outputs so that dw of a task stays in L2, and deals the pieces to sums: by the shape
 * alone. */
static void cut_sums(plan *p)
{
    const ptrdiff_t groups = p->shape->d.groups;
    p->depths = p->whole_rows ? 1 : cvl_ceil_div(p->C, DEPTH);
    p->depth = cvl_ceil_div(p->tap_rows, p->depths);
    p->width = cvl_min(p->OC, WIDTH);
    while (p->width > WIDTH_MIN && p->taps * p->depth * p->width > DW_IN_L2)
        p->width = half(p->width, WIDTH_MIN);
    p->widths = cvl_ceil_div(p->OC, p->width);
    p->splits = 1;
    while (p->splits * groups * p->depths * p->widths < CVL_ORDER_UNITS &&
           4 * p->splits <= cvl_ceil_div(p->all_pieces, p->block_pieces))
        p->splits *= 2;
}

/* Sets of groups side by side in panels. */
static void set_panels(plan *p, int threads)
{
    const cvl_conv2d *d = &p->shape->d;
    const int enough = d->C % (SET_CHANNELS * threads) == 0;
    p->width = cvl_max(p->panel, enough ? SET_CHANNELS : CVL_OUTER_COLUMNS);
    p->widths = 1;
    p->set_groups = p->width / p->C;
    p->sets = d->groups / p->set_groups;
}

/* Sets of groups that share vectors: what is read of a pixel lies together, and blocks are tasks, whose
 * partial sums are added as they themselves would be. Where these would be many, so that the batch would cost
 * memory, a task has all blocks, and no more groups than leave every thread one. */
static void set_vectors(plan *p, int threads)
{
    const ptrdiff_t groups = p->shape->d.groups, pair = 2 * p->vector_groups;
    const ptrdiff_t blocks = cvl_ceil_div(p->all_pieces, p->block_pieces);
    p->set_groups = cvl_min(groups, SET_LANES / vector_length(p) * p->vector_groups);
    if (p->splits == 1 && blocks <= PARTIAL_SUMS / p->shape->w_size)
        p->splits = cvl_max(1, blocks);
    while (p->set_groups > pair && cvl_ceil_div(groups, p->set_groups) * p->splits < threads)
        p->set_groups = half(p->set_groups, pair);
    p->sets = cvl_ceil_div(groups, p->set_groups);
}

/* How many columns the last of several vectors holds, where it costs less to turn them: their channels fill
 * fewer vectors than there are channels. Of avx2 two or more come before it: one has nothing fetched. */
static ptrdiff_t last_columns(const plan *p, ptrdiff_t lanes)
{
    const ptrdiff_t last = p->OC % lanes, vectors = last * cvl_ceil_div(p->depth, lanes);
    const int enough = p->OC > (p->kernels->vector > AVX2_VECTOR ? lanes : 2 * lanes);
    return !p->stacked && enough && cvl_max(TURNED_LEAST, vectors) < p->depth ? last : 0;
}

/* Whether columns of channels cost less by an eighth than columns of outputs: in vectors, of which the
 * last may hold little. */
static int turns(const plan *p)
{
    const ptrdiff_t last = last_columns(p, LANES), vectors = cvl_ceil_div(p->tap_rows, LANES);
    const ptrdiff_t outputs = p->tap_rows * cvl_ceil_div(p->OC, LANES);
    const ptrdiff_t channels = p->OC * vectors;
    const ptrdiff_t both =
        last > 0 ? (p->OC - last) / LANES * p->tap_rows + last * vectors : outputs;
    return 8 * channels < 7 * outputs && channels <= both;
}

/* Sets of groups that take turns at a block: all, but for as many tasks as keep the threads busy. */
static void set_turns(plan *p, int threads)
{
    const ptrdiff_t groups = p->shape->d.groups, tasks = threads > 1 ? 2 * threads : 1;
    p->set_groups = p->whole_rows ? groups : 1;
    while (p->set_groups > 1 &&
           (groups % p->set_groups != 0 || groups / p->set_groups * p->splits < tasks))
        p->set_groups--;
    p->sets = groups / p->set_groups;
}

/* Even widths; and where there are fewer tasks than threads, halves of them, then fewer taps of each. */
static void share_out(plan *p, int threads)
{
    p->width = cvl_ceil_div(cvl_ceil_div(p->OC, p->widths), WIDTH_MIN) * WIDTH_MIN;
    p->width = cvl_min(p->OC, p->width);
    p->widths = cvl_ceil_div(p->OC, p->width);
    while (all_tasks(p) < threads &&
           (p->width % (2 * WIDTH_MIN) == 0 || (p->taps == 1 && p->width > WIDTH_MIN))) {
        p->width = half(p->width, WIDTH_MIN);
        p->widths = cvl_ceil_div(p->OC, p->width);
    }
    while (all_tasks(p) < 2 * threads && all_tasks(p) % threads != 0 && p->tap_parts < p->taps)
        p->tap_parts++;
}

/* Cuts the work into tasks. Sums do not depend on the threads. */
static void cut(plan *p, int threads)
{
    cut_sums(p);
    p->tap_parts = 1;
    if (p->panel) {
        set_panels(p, threads);
    } else if (p->vector_groups) {
        set_vectors(p, threads);
    } else {
        const int all = turns(p);
        /* Channels that are columns stay together, where dw stays in L2 and tasks are enough. */
        if (all && p->taps * p->tap_rows * p->width <= DW_IN_L2 &&
            p->splits * p->shape->d.groups * p->widths >= threads) {
            p->depths = 1;
            p->depth = p->tap_rows;
        }
        set_turns(p, threads);
        share_out(p, threads);
        p->turned = all ? p->width : last_columns(p, vector_length(p));
    }
}

/* The copies of the input of a block: of kernel rows that are taken whole, or of groups side by side. */
static void size_copies(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    if (p->whole_rows || p->panel) {
        p->images = (p->block_pieces - 1) / shape->OH + 2;
        p->image_rows = (cvl_min(p->block_pieces, shape->OH) - 1) * d->SH + (d->KH - 1) * d->DH + 1;
    }
    if (p->whole_rows) {
        const ptrdiff_t columns = cvl_min(shape->OW, CVL_ORDER_PIXELS);
        p->x_copies = p->set_groups;
        p->x_copy_width = ((columns - 1) * d->SW + d->KW) * p->C;
    }
    if (p->stacked) {
        p->x_copy_width *= d->KH;
        p->images = 1;
        p->image_rows = p->block_pieces;
    }
    if (p->panel) {
        p->x_copies = p->width / p->panel;
        p->x_copy_width = d->W * p->panel;
        p->image_rows = cvl_min(d->H, p->image_rows);
    }
    p->x_copy_size = p->images * p->image_rows * p->x_copy_width;
}

/* Whether pixels so many elements apart meet in few sets of the caches. */
static int meets(const plan *p, ptrdiff_t elements)
{
    const ptrdiff_t apart = p->kernels->vector == AVX2_VECTOR ? PAGE / 4 : PAGE;
    return elements % (apart / (ptrdiff_t)sizeof(T)) == 0;
}

/* Where kernels read x and dy, and whether these are fetched ahead. */
static void choose_sources(plan *p)
{
    const cvl_conv2d_shape *shape = p->shape;
    const cvl_conv2d *d = &shape->d;
    const ptrdiff_t x_bytes = shape->x_size * (ptrdiff_t)sizeof(T);
    const ptrdiff_t y_bytes = shape->y_size * (ptrdiff_t)sizeof(T);
    const int direct = !p->vector_groups && !p->panel && p->turned < p->width;
    p->fetches_ahead = !p->vector_groups && !p->panel && x_bytes > INPUTS_IN_L2 - y_bytes;
    const ptrdiff_t large = p->all_pieces <= p->block_pieces ? LARGE_DW_ONCE : LARGE_DW;
    p->slice = shape->w_size * (ptrdiff_t)sizeof(T) > large ? SLICE_ROWS : p->depth;
    p->dy_step = d->OC;
    if (p->panel || (direct && meets(p, d->OC) && p->taps * p->depth >= DY_COPY_ROWS)) {
        p->dy_copies = p->panel ? p->x_copies : 1;
        p->dy_step = p->panel ? p->panel : p->width + LINE;
        p->dy_copy_size =
            (cvl_min(p->block_pieces * shape->OW, CVL_ORDER_PIXELS) + SKEW_PIXELS) * p->dy_step;
    }
    p->packed = direct && !p->whole_rows && meets(p, d->SW * d->C) && p->width >= X_COPY_OUTPUTS;
    p->x_step = p->packed       ? p->depth + LINE
                : p->panel      ? d->SW * p->panel
                : p->stacked    ? d->SW * d->KH * d->C
                : p->whole_rows ? d->SW * p->C
                                : d->SW * d->C;
    p->aside = p->stacked || (p->turned > 0 && d->OC > 1);
}

size_t NAME(outer_plan)(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    *p = (plan){.shape = shape, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    measure(p);
    cut(p, threads);
    size_copies(p);
    choose_sources(p);

    cvl_scratch s = {base, 0};
    p->partial = cvl_carve(&s, (size_t)((p->splits - 1) * shape->w_size) * sizeof(T));
    carve_tables(p, NULL, &p->worker_bytes);
    p->worker = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}
