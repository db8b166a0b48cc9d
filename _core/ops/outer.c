/* outer.c: backward weights.
 *
 * dw is a sum over output positions of outer products of x and dy: the rows of its tap (kh,kw) are
 * the channels of the input the tap reads. Where these are few, the rows of all taps of a kernel row
 * are taken together: KW*C neighbouring elements of a copy of x with its padding; or, of very few, those
 * of all taps, of a copy with the kernel rows of an output row beside each other. Elsewhere the
 * positions whose tap lies in the padding are left out, so no zeros are multiplied. Where outputs are
 * few and channels fill more of the vectors, x and dy change roles, and dw is turned at the end: for all
 * outputs, or for the last of them, which fill little of a vector.
 * Groups of which a vector holds several lie side by side in it. Those that fill vectors, and are a power of 2,
 * read copies of x and dy, of several groups at once: 256 bytes of each pixel come twice as fast as 128. Other
 * groups of few channels take their turns at a block, which comes from far only once.
 *
 * Order of sums: output positions are dealt to even blocks of at most CVL_ORDER_PIXELS (whole rows,
 * or pieces of one), one FMA chain each, added to dw in order. Where dw is small the rows are first
 * dealt evenly to `splits` partial sums, added in order at the end; their number depends on the shape
 * only. */
#include "outer_plan.h"
#include "partial_sums.h"

size_t NAME(outer_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    plan p;
    return NAME(outer_plan)(&p, shape, NULL, threads);
}

/* What a worker is at: the part of dw of a task. */
typedef struct part {
    const plan *p;
    const tables *t;
    T *dw, *aside;
    ptrdiff_t tap0, tap1;
    ptrdiff_t tap_row;           /* the first of its rows of a tap, */
    ptrdiff_t x_at, dy_at;       /* where what it reads lies in a pixel of x and of dy, */
    ptrdiff_t channels, outputs; /* and how much that is, of all groups of the set */
    ptrdiff_t turned;            /* outputs, the last ones, that are rows */
    ptrdiff_t first, pieces,
        blocks;                 /* what it sums over, and how many even blocks that is cut into */
    ptrdiff_t listed, from, to; /* of the block at hand: its pieces, and its outputs in the batch */
    NAME(outer) job;            /* but for its runs and where its sums go */
} part;

/* ------------------------------------------------------------------- the pieces of a block */

/* The number of the first output of a piece in the batch. */
static ptrdiff_t position_of(const plan *p, ptrdiff_t number)
{
    return number / p->row_pieces * p->shape->OW + number % p->row_pieces * CVL_ORDER_PIXELS;
}

/* A piece, as the first of a block. */
static piece piece_of(const plan *p, ptrdiff_t number)
{
    const ptrdiff_t from = number % p->row_pieces * CVL_ORDER_PIXELS, row = number / p->row_pieces;
    return (piece){row / p->shape->OH, row % p->shape->OH, from,
                   cvl_min(p->shape->OW, from + CVL_ORDER_PIXELS), 0};
}

/* The number of the first piece of a block. */
static ptrdiff_t first_piece(const part *w, ptrdiff_t block)
{
    return w->first + w->pieces * block / w->blocks;
}

static void list_pieces(part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    const ptrdiff_t first = first_piece(w, block), last = first_piece(w, block + 1);
    w->listed = last - first;
    w->from = position_of(p, first);
    w->to = position_of(p, last);
    piece r = piece_of(p, first);
    for (ptrdiff_t i = 0; i < w->listed; i++) {
        w->t->piece[i] = r;
        r.position += r.to - r.from;
        r.from = r.to == p->shape->OW ? 0 : r.to;
        r.to = cvl_min(p->shape->OW, r.from + CVL_ORDER_PIXELS);
        r.oh += r.from == 0;
        if (r.oh == p->shape->OH) {
            r.oh = 0;
            r.n++;
        }
    }
}

/* The input row after the last that a piece reads. */
static ptrdiff_t end_row(const plan *p, const piece *r)
{
    const cvl_conv2d *d = &p->shape->d;
    return cvl_min(d->H, r->oh * d->SH - d->PT + (d->KH - 1) * d->DH + 1);
}

/* ---------------------------------------------------------------------- copies of the input */

/* The first input row that the copy holds of the image of a listed piece. */
static ptrdiff_t first_copied(const plan *p, const piece *first, const piece *r)
{
    const cvl_conv2d *d = &p->shape->d;
    return cvl_max(0, (r->n == first->n ? first->oh : 0) * d->SH - d->PT);
}

/* Where the copy holds row ih of the image of a listed piece. */
static ptrdiff_t copied_row(const plan *p, const tables *t, const piece *r, ptrdiff_t ih)
{
    const ptrdiff_t row = ih - first_copied(p, t->piece, r);
    return ((r->n - t->piece->n) * p->image_rows + row) * p->x_copy_width;
}

/* Whether a listed piece is the last of its image: of each image one stretch of rows is copied. */
static int ends_image(const part *w, const piece *r)
{
    return r + 1 == w->t->piece + w->listed || r[1].n != r->n;
}

/* Columns of the input that a piece reads: [left, right), of which [begin, end) are inside. */
typedef struct window {
    ptrdiff_t left, begin, end, right;
} window;

static window window_of(const plan *p, const piece *r)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t left = r->from * d->SW - d->PL;
    const ptrdiff_t right = left + (r->to - r->from - 1) * d->SW + d->KW;
    const ptrdiff_t begin = cvl_min(right, cvl_max(left, 0));
    return (window){left, begin, cvl_max(begin, cvl_min(right, d->W)), right};
}

/* Copies what the block reads of the groups of the set, padding included. */
static void copy_rows(const part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const piece *first = w->t->piece;
    const window at = window_of(p, first);
    const ptrdiff_t before = (at.begin - at.left) * p->C, inside = (at.end - at.begin) * p->C;
    const ptrdiff_t after = (at.right - at.end) * p->C;
    for (const piece *r = first; r < first + w->listed; r++) {
        if (!ends_image(w, r))
            continue;
        const ptrdiff_t end = end_row(p, r);
        T *to = w->t->copy + (r->n - first->n) * p->image_rows * p->x_copy_width;
        for (ptrdiff_t ih = first_copied(p, first, r); ih < end; ih++, to += p->x_copy_width) {
            const T *from = p->x + ((r->n * d->H + ih) * d->W + at.begin) * d->C + w->x_at;
            for (ptrdiff_t g = 0; g < p->set_groups; g++) {
                T *copy = to + g * p->x_copy_size;
                memset(copy, 0, (size_t)before * sizeof(T));
                memset(copy + before + inside, 0, (size_t)after * sizeof(T));
            }
            if (d->groups == 1)
                memcpy(to + before, from, (size_t)inside * sizeof(T));
            else
                p->kernels->outer_panels(at.end - at.begin, p->set_groups * p->C, p->C, to + before,
                                         p->x_copy_size, from, d->C);
        }
    }
}

/* Copies what each piece of the block reads, padding included: by column and channel, the elements of all
 * kernel rows. */
static void copy_stacked(const part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const tables *t = w->t;
    const window at = window_of(p, t->piece);
    const ptrdiff_t elements = d->C * d->KH, before = (at.begin - at.left) * elements;
    const ptrdiff_t after = (at.right - at.end) * elements;
    for (ptrdiff_t i = 0; i < w->listed; i++) {
        const piece *r = t->piece + i;
        for (ptrdiff_t kh = 0; kh < d->KH; kh++) {
            const ptrdiff_t ih = r->oh * d->SH - d->PT + kh * d->DH;
            t->source[i * d->KH + kh] =
                ih >= 0 && ih < d->H ? p->x + ((r->n * d->H + ih) * d->W + at.begin) * d->C : NULL;
        }
        T *to = t->copy + i * p->x_copy_width;
        memset(to, 0, (size_t)before * sizeof(T));
        memset(to + (at.end - at.left) * elements, 0, (size_t)after * sizeof(T));
    }
    p->kernels->interleave(w->listed, (at.end - at.begin) * d->C, t->copy + before, p->x_copy_width,
                           t->source, d->KH);
}

/* Copies the channels of the set of whole rows that the block reads, to panels. */
static void copy_panels(const part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const tables *t = w->t;
    for (const piece *r = t->piece; r < t->piece + w->listed; r++) {
        const ptrdiff_t ih = first_copied(p, t->piece, r), end = end_row(p, r);
        if (ends_image(w, r) && ih < end)
            p->kernels->outer_panels((end - ih) * d->W, p->width, p->panel,
                                     t->copy + copied_row(p, t, r, ih), p->x_copy_size,
                                     p->x + (r->n * d->H + ih) * d->W * d->C + w->x_at, d->C);
    }
}

/* ------------------------------------------------------------------- what is fetched ahead */

/* What is no stretch to fetch, and never ends. */
static NAME(stretch) nothing(const plan *p) { return (NAME(stretch)){p->x, PTRDIFF_MAX, 0}; }

enum { SMALL_TILE = 4 }; /* rows or columns */

/* Lists `count` pixels, `step` apart, of `width` elements each. They are fetched in the order of
 * memory, so that the CPU finds out and fetches some itself, and at a rate that goes with the
 * multiply-adds of a tile: half a vector for each k is too slow, a whole one no faster, but where tiles
 * are small: then fetches are a line apart. */
static NAME(stretch) *list_pixels(const part *w, NAME(stretch) *next, const T *at, ptrdiff_t count,
                                  ptrdiff_t step, ptrdiff_t width)
{
    if (step == width) {
        width *= count;
        count = count > 0;
    }
    const int small = cvl_min(w->job.rows, w->job.columns) <= SMALL_TILE;
    const ptrdiff_t bytes = small ? CVL_LINE : w->p->kernels->vector * 3 / 4;
    const ptrdiff_t apart = bytes / (ptrdiff_t)sizeof(T);
    const ptrdiff_t fetches = cvl_ceil_div(width, apart);
    for (; count > 0 && next < w->t->ahead + OUTER_AHEAD; count--, at += step)
        *next++ = (NAME(stretch)){at, fetches, apart};
    return next;
}

/* Lists what a block of a part will be the first to read, in the order of memory. */
static void look_ahead(const part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t first = first_piece(w, block), last = first_piece(w, block + 1);
    const ptrdiff_t from = position_of(p, first), to = position_of(p, last);
    const ptrdiff_t step = d->KW == 1 ? d->SW : 1;
    NAME(stretch) *next =
        list_pixels(w, w->t->ahead, p->dy + from * d->OC + w->dy_at, to - from, d->OC, w->outputs);
    for (ptrdiff_t i = first; i < last; i++) {
        const piece r = piece_of(p, i);
        const ptrdiff_t end = end_row(p, &r);
        const ptrdiff_t begin = cvl_max(0, r.oh > 0 ? end - cvl_min(d->SH, d->KH) : 0);
        const ptrdiff_t left = cvl_max(0, r.from * d->SW - d->PL);
        const ptrdiff_t right = cvl_min(d->W, (r.to - 1) * d->SW - d->PL + (d->KW - 1) * d->DW + 1);
        for (ptrdiff_t ih = begin; ih < end; ih++)
            next = list_pixels(w, next, p->x + ((r.n * d->H + ih) * d->W + left) * d->C + w->x_at,
                               cvl_ceil_div(right - left, step), step * d->C, w->channels);
    }
    *next = nothing(p);
}

/* ------------------------------------------------------------------------- a tap of a block */

/* Lists the runs of a tap of the kernel: the stretches of pieces inside the input, or its copy. */
static void list_runs(part *w, ptrdiff_t kh, ptrdiff_t kw)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const tables *t = w->t;
    /* ow is inside when 0 <= ow*SW + left < W. */
    const ptrdiff_t left = kw * d->DW - d->PL, top = kh * d->DH - d->PT;
    const ptrdiff_t low = cvl_max(0, cvl_ceil_div(-left, d->SW));
    const ptrdiff_t high = cvl_floor_div(d->W - 1 - left, d->SW) + 1;
    cvl_outer_run *run = t->run;
    for (const piece *r = t->piece; r < t->piece + w->listed; r++) {
        const ptrdiff_t ih = r->oh * d->SH + top;
        const ptrdiff_t begin = cvl_max(low, r->from), end = cvl_min(high, r->to);
        if (ih < 0 || ih >= d->H || begin >= end)
            continue;
        const ptrdiff_t column = begin * d->SW + left;
        *run++ = (cvl_outer_run){
            p->panel ? copied_row(p, t, r, ih) + column * p->panel
                     : ((r->n * d->H + ih) * d->W + column) * d->C,
            (r->position + begin - r->from) * p->dy_step,
            end - begin,
        };
    }
    w->job.runs = run - t->run;
}

/* Lists the runs of the kernel row kh, or of all of them, in the copy. */
static void list_whole_runs(part *w, ptrdiff_t kh)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const tables *t = w->t;
    cvl_outer_run *run = t->run;
    for (const piece *r = t->piece; r < t->piece + w->listed; r++) {
        const ptrdiff_t ih = r->oh * d->SH + kh * d->DH - d->PT;
        if (!p->stacked && (ih < 0 || ih >= d->H))
            continue;
        *run++ = (cvl_outer_run){
            p->stacked ? (r - t->piece) * p->x_copy_width : copied_row(p, t, r, ih),
            r->position * p->dy_step,
            r->to - r->from,
        };
    }
    w->job.runs = run - t->run;
}

/* Copies what the runs of a tap read of x, one after the other. */
static void pack_runs(part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    ptrdiff_t to = 0;
    for (cvl_outer_run *run = w->t->run; run < w->t->run + w->job.runs; run++) {
        p->kernels->outer_panels(run->count, w->job.rows, p->x_step, w->t->packed + to, 0,
                                 p->x + w->x_at + run->a, d->SW * d->C);
        run->a = to;
        to += run->count * p->x_step;
    }
}

/* The panels of copies one by one. */
static void run_panels(part *w)
{
    const plan *p = w->p;
    NAME(outer) job = w->job;
    job.columns = p->panel;
    for (ptrdiff_t i = 0; i < p->x_copies; i++) {
        if (p->vector_groups)
            p->kernels->outer_groups(&job);
        else
            p->kernels->outer(&job);
        job.a += p->x_copy_size;
        job.b += p->dy_copy_size;
        job.c += p->panel;
    }
}

/* Of the runs of a tap. */
static void exchange_roles(const part *w)
{
    for (cvl_outer_run *run = w->t->run; run < w->t->run + w->job.runs; run++)
        *run = (cvl_outer_run){run->b, run->a, run->count};
}

/* The last columns, with the roles of x and dy exchanged. */
static void run_turned(part *w, ptrdiff_t tap)
{
    const plan *p = w->p;
    NAME(outer) job = w->job;
    job.rows = w->turned;
    job.columns = w->job.rows;
    job.a = w->job.b + w->job.columns - w->turned;
    job.a_step = w->job.b_step;
    job.b = w->job.a;
    job.b_step = w->job.a_step;
    if (p->aside) {
        job.c = w->aside + tap * p->turned * p->depth;
        job.c_step = p->depth;
    }
    exchange_roles(w);
    p->kernels->outer(&job);
    exchange_roles(w);
    w->job.ahead = job.ahead;
}

/* The others, some rows of dw after the others. */
static void run_slices(part *w)
{
    const ptrdiff_t rows = w->p->slice;
    NAME(outer) job = w->job;
    job.columns -= w->turned;
    for (ptrdiff_t c = 0; c < w->job.rows; c += rows) {
        job.rows = cvl_min(rows, w->job.rows - c);
        w->p->kernels->outer(&job);
        job.a += rows;
        job.c += rows * job.c_step;
    }
    w->job.ahead = job.ahead;
}

static void run_tap(part *w, ptrdiff_t tap)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    if (p->whole_rows)
        list_whole_runs(w, tap);
    else
        list_runs(w, tap / d->KW, tap % d->KW);
    if (p->packed)
        pack_runs(w);
    w->job.c = p->stacked ? w->aside : w->dw + (tap * p->tap_rows + w->tap_row) * d->OC + w->dy_at;
    if (p->panel)
        run_panels(w);
    else if (p->vector_groups)
        p->kernels->outer_groups(&w->job);
    else {
        /* First, since such a tile reads whole rows of x, and fetches them. */
        if (w->turned > 0)
            run_turned(w, tap);
        if (w->turned < w->job.columns)
            run_slices(w);
    }
}

/* ------------------------------------------------------------------- the blocks of a task */

/* Whether the groups of a set are computed at once. */
static int at_once(const plan *p) { return p->vector_groups || p->panel; }

/* A part for a group of its set. */
static part group_of(const part *w, ptrdiff_t number)
{
    const plan *p = w->p;
    part group = *w;
    group.x_at += number * p->C;
    group.dy_at += number * p->OC;
    group.aside += number * aside_size(p);
    group.job.a += number * p->x_copy_size;
    return group;
}

/* A block for a group, or for all of a set that are computed at once. */
static void run_group(part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    w->job.b = p->dy + w->from * d->OC + w->dy_at;
    if (p->dy_copies) {
        p->kernels->outer_panels(w->to - w->from, w->job.columns, p->dy_step, w->t->dy,
                                 p->dy_copy_size, w->job.b, d->OC);
        w->job.b = w->t->dy;
    }
    for (ptrdiff_t tap = w->tap0; tap < w->tap1; tap++)
        run_tap(w, tap);
}

static void run_block(part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    list_pieces(w, block);
    if (p->stacked)
        copy_stacked(w);
    else if (p->whole_rows)
        copy_rows(w);
    else if (p->panel)
        copy_panels(w);
    for (ptrdiff_t g = 0; g < (at_once(p) ? 1 : p->set_groups); g++) {
        part group = group_of(w, g);
        run_group(&group);
        w->job.ahead = group.job.ahead;
    }
    w->job.add = 1;
}

/* Puts columns of dw of a part, which are turned, in their place. */
static void place_turned(const part *w)
{
    const plan *p = w->p;
    const ptrdiff_t OC = p->shape->d.OC, first = w->job.columns - w->turned;
    for (ptrdiff_t g = 0; g < p->set_groups; g++) {
        const part group = group_of(w, g);
        T *dw = w->dw + w->tap_row * OC + group.dy_at + first;
        for (ptrdiff_t tap = w->tap0; tap < w->tap1; tap++)
            p->kernels->transpose(w->job.rows, w->turned, dw + tap * p->tap_rows * OC, OC,
                                  group.aside + tap * p->turned * p->depth, p->depth);
    }
}

/* Puts dw of a part, which may be turned, in its place: its rows are by column, channel, row of the
 * kernel. */
static void place_stacked(const part *w)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t elements = d->KW * d->C, outputs = w->job.columns;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++)
        for (ptrdiff_t i = 0; i < elements; i++) {
            T *to = w->dw + (kh * elements + i) * d->OC + w->dy_at;
            const ptrdiff_t from = i * d->KH + kh;
            if (w->turned == 0)
                memcpy(to, w->aside + from * outputs, (size_t)outputs * sizeof(T));
            for (ptrdiff_t o = 0; o < w->turned; o++)
                to[o] = w->aside[o * p->depth + from];
        }
}

/* The last digit of a number of that base, which it loses. */
static ptrdiff_t take_digit(ptrdiff_t *number, ptrdiff_t base)
{
    const ptrdiff_t digit = *number % base;
    *number /= base;
    return digit;
}

static part part_of(const plan *p, const tables *t, ptrdiff_t task)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t oc = take_digit(&task, p->widths) * p->width;
    const ptrdiff_t tap_row = take_digit(&task, p->depths) * p->depth;
    const ptrdiff_t tap_part = take_digit(&task, p->tap_parts);
    const ptrdiff_t group = take_digit(&task, p->sets) * p->set_groups, split = task;
    const ptrdiff_t first = p->all_pieces * split / p->splits;
    const ptrdiff_t pieces = p->all_pieces * (split + 1) / p->splits - first;
    const ptrdiff_t channels = cvl_min(p->depth, p->tap_rows - tap_row);
    const ptrdiff_t outputs = at_once(p) ? cvl_min(p->set_groups, d->groups - group) * p->OC
                                         : cvl_min(p->width, p->OC - oc);
    const ptrdiff_t x_at = group * p->C + tap_row;
    return (part){
        .p = p,
        .t = t,
        .dw = split ? p->partial + (split - 1) * p->shape->w_size : p->dw,
        .aside = t->aside,
        .tap0 = p->taps * tap_part / p->tap_parts,
        .tap1 = p->taps * (tap_part + 1) / p->tap_parts,
        .tap_row = tap_row,
        .x_at = x_at,
        .dy_at = group * p->OC + oc,
        .channels = p->whole_rows ? p->set_groups * p->C : channels,
        .outputs = p->whole_rows ? p->set_groups * p->OC : outputs,
        .turned = p->turned == p->width   ? outputs
                  : oc + outputs == p->OC ? p->turned
                                          : 0,
        .first = first,
        .pieces = pieces,
        .blocks = cvl_ceil_div(pieces, p->block_pieces),
        .job =
            {
                .run = t->run,
                .rows = channels,
                .columns = outputs,
                .group = p->OC,
                .a = p->packed     ? t->packed
                     : p->x_copies ? t->copy
                                   : p->x + x_at,
                .a_step = p->x_step,
                .b_step = p->dy_step,
                .c_step = p->stacked ? outputs : d->OC,
            },
    };
}

/* Tasks: parts one after the other, each block of which has what comes after it fetched. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const tables t = NAME(outer_tables)(p, p->worker + (size_t)worker * p->worker_bytes);
    for (ptrdiff_t task = begin; task < end; task++) {
        part w = part_of(p, &t, task);
        for (ptrdiff_t block = 0; block < w.blocks; block++) {
            const int more = block + 1 < w.blocks;
            w.job.ahead = t.ahead;
            *t.ahead = nothing(p);
            if (p->fetches_ahead && (more || task + 1 < end)) {
                const part next = more ? w : part_of(p, &t, task + 1);
                look_ahead(&next, more ? block + 1 : 0);
            }
            run_block(&w, block);
        }
        if (p->stacked)
            place_stacked(&w);
        else if (p->aside)
            place_turned(&w);
    }
}

void NAME(outer_run)(const cvl_conv2d_shape *shape, T *dw, const T *dy, const T *x, void *workspace,
                     int threads)
{
    plan p;
    NAME(outer_plan)(&p, shape, workspace, threads);
    p.dw = dw;
    p.dy = dy;
    p.x = x;
    cvl_parallel_for(threads, all_tasks(&p), shape->flops, CVL_FLUSH, compute, &p);
    NAME(add_partial_sums)(dw, p.partial, p.splits, shape->w_size, threads);
}
