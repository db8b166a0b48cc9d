/* outer.c: backward weights.
 *
 * dw is a sum over output positions of outer products of x and dy: the rows of its tap (kh,kw) are
 * the channels of the input the tap reads. Where these are few, the rows of all taps of a kernel row
 * are taken together: KW*C neighbouring elements of a copy of x with its padding; or, of very few, those
 * of all taps, of a copy with the kernel rows of an output row beside each other. Elsewhere the
 * positions whose tap lies in the padding are left out, so no zeros are multiplied. Where outputs are
 * few and channels fill more of the vectors, x and dy change roles, and dw is turned at the end.
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

/* The number of the first output of a row in the batch. */
static ptrdiff_t position_of(const plan *p, ptrdiff_t index)
{
    return index / p->pieces * p->shape->OW + index % p->pieces * CVL_ORDER_PIXELS;
}

/* The first row of a block. */
static row row_at(const plan *p, ptrdiff_t index)
{
    const ptrdiff_t from = index % p->pieces * CVL_ORDER_PIXELS, image_row = index / p->pieces;
    return (row){image_row / p->shape->OH, image_row % p->shape->OH, from,
                 cvl_min(p->shape->OW, from + CVL_ORDER_PIXELS), 0};
}

/* Lists the rows [first, last). */
static void list_rows(const plan *p, const tables *t, ptrdiff_t first, ptrdiff_t last)
{
    row r = row_at(p, first);
    for (ptrdiff_t i = 0; i < last - first; i++) {
        t->row[i] = r;
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

/* The first input row that the copy holds of the image of row r, of a list that begins with first. */
static ptrdiff_t first_copied(const plan *p, const row *first, const row *r)
{
    const cvl_conv2d *d = &p->shape->d;
    return cvl_max(0, (r->n == first->n ? first->oh : 0) * d->SH - d->PT);
}

/* Where the copy holds row ih of the image of row r. */
static ptrdiff_t copied_row(const plan *p, const tables *t, const row *r, ptrdiff_t ih)
{
    return ((r->n - t->row->n) * p->image_rows + ih - first_copied(p, t->row, r)) * p->copy_width;
}

/* Lists the runs of the first `count` listed rows for the tap (kh, kw): the stretches inside the
 * input, or inside its copy. */
static ptrdiff_t list_runs(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t kh,
                           ptrdiff_t kw)
{
    const cvl_conv2d *d = &p->shape->d;
    /* ow is inside when 0 <= ow*SW + left < W. */
    const ptrdiff_t left = kw * d->DW - d->PL, top = kh * d->DH - d->PT;
    const ptrdiff_t low = cvl_max(0, cvl_ceil_div(-left, d->SW));
    const ptrdiff_t high = cvl_floor_div(d->W - 1 - left, d->SW) + 1;
    ptrdiff_t runs = 0;
    for (const row *r = t->row; r < t->row + count; r++) {
        const ptrdiff_t ih = r->oh * d->SH + top;
        const ptrdiff_t begin = cvl_max(low, r->from), end = cvl_min(high, r->to);
        if (ih < 0 || ih >= d->H || begin >= end)
            continue;
        const ptrdiff_t column = begin * d->SW + left;
        t->run[runs++] = (cvl_outer_run){
            p->merged ? copied_row(p, t, r, ih) + column * p->merged
                      : ((r->n * d->H + ih) * d->W + column) * d->C,
            (r->position + begin - r->from) * p->b_step,
            end - begin,
        };
    }
    return runs;
}

/* Columns of the input that a row reads: [left, right), of which [begin, end) are inside. */
typedef struct window {
    ptrdiff_t left, begin, end, right;
} window;

static window window_of(const plan *p, const row *r)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t left = r->from * d->SW - d->PL;
    const ptrdiff_t right = left + (r->to - r->from - 1) * d->SW + d->KW;
    const ptrdiff_t begin = cvl_min(right, cvl_max(left, 0));
    return (window){left, begin, cvl_max(begin, cvl_min(right, d->W)), right};
}

/* Copies what the first `count` listed rows read of the groups of a task, whose channels begin at c,
 * padding included: of each image one stretch of rows. */
static void copy_input(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t c)
{
    const cvl_conv2d *d = &p->shape->d;
    const row *first = t->row;
    const window at = window_of(p, first);
    for (ptrdiff_t i = 0; i < count; i++) {
        const row *r = first + i;
        if (i + 1 < count && r[1].n == r->n)
            continue;
        const ptrdiff_t ih0 = first_copied(p, first, r);
        const ptrdiff_t ih1 = cvl_min(d->H, r->oh * d->SH - d->PT + (d->KH - 1) * d->DH + 1);
        T *to = t->copy + (r->n - first->n) * p->image_rows * p->copy_width;
        for (ptrdiff_t ih = ih0; ih < ih1; ih++, to += p->copy_width) {
            const T *from = p->x + ((r->n * d->H + ih) * d->W + at.begin) * d->C + c;
            T *inside = to + (at.begin - at.left) * p->C, *outside = to + (at.end - at.left) * p->C;
            for (ptrdiff_t g = 0; g < p->side; g++) {
                memset(to + g * p->copy_size, 0, (size_t)((at.begin - at.left) * p->C) * sizeof(T));
                memset(outside + g * p->copy_size, 0,
                       (size_t)((at.right - at.end) * p->C) * sizeof(T));
            }
            if (d->groups == 1)
                memcpy(inside, from, (size_t)((at.end - at.begin) * p->C) * sizeof(T));
            else
                p->kernels->outer_panels(at.end - at.begin, p->side * p->C, p->C, inside,
                                         p->copy_size, from, d->C);
        }
    }
}

/* Copies what each of the first `count` listed rows reads, padding included: by column and channel, the
 * elements of all kernel rows. */
static void copy_stacked(const plan *p, const tables *t, ptrdiff_t count)
{
    const cvl_conv2d *d = &p->shape->d;
    const row *first = t->row;
    const window at = window_of(p, first);
    const ptrdiff_t elements = d->C * d->KH, before = (at.begin - at.left) * elements;
    const ptrdiff_t after = (at.right - at.end) * elements;
    for (ptrdiff_t i = 0; i < count; i++) {
        const row *r = first + i;
        for (ptrdiff_t kh = 0; kh < d->KH; kh++) {
            const ptrdiff_t ih = r->oh * d->SH - d->PT + kh * d->DH;
            t->source[i * d->KH + kh] =
                ih >= 0 && ih < d->H ? p->x + ((r->n * d->H + ih) * d->W + at.begin) * d->C : NULL;
        }
        T *to = t->copy + i * p->copy_width;
        memset(to, 0, (size_t)before * sizeof(T));
        memset(to + (at.end - at.left) * elements, 0, (size_t)after * sizeof(T));
    }
    p->kernels->interleave(count, (at.end - at.begin) * d->C, t->copy + before, p->copy_width,
                           t->source, d->KH);
}

/* Copies the channels from c on of whole rows that the first `count` listed rows read. */
static void copy_channels(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t c)
{
    const cvl_conv2d *d = &p->shape->d;
    for (const row *r = t->row; r < t->row + count; r++) {
        if (r + 1 < t->row + count && r[1].n == r->n)
            continue;
        const ptrdiff_t ih0 = first_copied(p, t->row, r);
        const ptrdiff_t ih1 = cvl_min(d->H, r->oh * d->SH - d->PT + (d->KH - 1) * d->DH + 1);
        if (ih0 < ih1)
            p->kernels->outer_panels((ih1 - ih0) * d->W, p->width, p->merged,
                                     t->copy + copied_row(p, t, r, ih0), p->copy_size,
                                     p->x + (r->n * d->H + ih0) * d->W * d->C + c, d->C);
    }
}

/* Lists the runs of the first `count` listed rows for the kernel row kh, or all of them, in the copy. */
static ptrdiff_t list_copied(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t kh)
{
    const cvl_conv2d *d = &p->shape->d;
    ptrdiff_t runs = 0;
    for (const row *r = t->row; r < t->row + count; r++) {
        const ptrdiff_t ih = r->oh * d->SH + kh * d->DH - d->PT;
        if (!p->stacked && (ih < 0 || ih >= d->H))
            continue;
        t->run[runs++] = (cvl_outer_run){
            p->stacked ? (r - t->row) * p->copy_width : copied_row(p, t, r, ih),
            r->position * p->b_step,
            r->to - r->from,
        };
    }
    return runs;
}

/* What a worker is at: part of a group, of which `job` knows all but block and tap. */
typedef struct part {
    const plan *p;
    const tables *t;
    ptrdiff_t c, x, y; /* row of a tap of dw; where its channels lie in a pixel of x and of dy */
    ptrdiff_t channels, outputs; /* of x and dy, of all groups of a task */
    ptrdiff_t tap0, tap1;
    T *dw, *aside;
    ptrdiff_t row0, rows, blocks; /* what it sums over, which is cut into even blocks */
    NAME(outer) job;
} part;

/* The first row of a block of it. */
static ptrdiff_t block_row(const part *w, ptrdiff_t block)
{
    return w->row0 + w->rows * block / w->blocks;
}

enum { FEW = 4 };

/* Lists `count` pixels, `step` apart, of `width` elements each. They are fetched in the order of
 * memory, so that the CPU finds out and fetches some itself, and at a rate that goes with the
 * multiply-adds of a tile: half a vector for each k is too slow, a whole one no faster, but where a tile
 * has FEW rows, or would: then they are a line apart. */
static NAME(stretch) *list_pixels(const part *w, NAME(stretch) *next, const T *at, ptrdiff_t count,
                                  ptrdiff_t step, ptrdiff_t width)
{
    if (step == width) {
        width *= count;
        count = count > 0;
    }
    const int few = cvl_min(w->job.rows, w->job.columns) <= FEW;
    const ptrdiff_t bytes = few ? CVL_LINE : w->p->kernels->vector * 3 / 4;
    const ptrdiff_t far = bytes / (ptrdiff_t)sizeof(T);
    const ptrdiff_t fetches = cvl_ceil_div(width, far);
    for (; count > 0 && next < w->t->ahead + OUTER_AHEAD; count--, at += step)
        *next++ = (NAME(stretch)){at, fetches, far};
    return next;
}

/* Lists what a block of a part will be the first to read, in the order of memory. */
static void look_ahead(const part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t first = block_row(w, block), last = block_row(w, block + 1);
    const ptrdiff_t from = position_of(p, first), to = position_of(p, last);
    const ptrdiff_t step = d->KW == 1 ? d->SW : 1;
    NAME(stretch) *next =
        list_pixels(w, w->t->ahead, p->dy + from * d->OC + w->y, to - from, d->OC, w->outputs);
    for (ptrdiff_t i = first; i < last; i++) {
        const row r = row_at(p, i);
        const ptrdiff_t end = cvl_min(d->H, r.oh * d->SH - d->PT + (d->KH - 1) * d->DH + 1);
        const ptrdiff_t begin = cvl_max(0, r.oh > 0 ? end - cvl_min(d->SH, d->KH) : 0);
        const ptrdiff_t left = cvl_max(0, r.from * d->SW - d->PL);
        const ptrdiff_t right = cvl_min(d->W, (r.to - 1) * d->SW - d->PL + (d->KW - 1) * d->DW + 1);
        for (ptrdiff_t ih = begin; ih < end; ih++)
            next = list_pixels(w, next, p->x + ((r.n * d->H + ih) * d->W + left) * d->C + w->x,
                               cvl_ceil_div(right - left, step), step * d->C, w->channels);
    }
    *next = (NAME(stretch)){p->x, PTRDIFF_MAX, 0};
}

/* Copies what the runs of a tap read of x, one after the other. */
static void pack_runs(part *w)
{
    const cvl_conv2d *d = &w->p->shape->d;
    const ptrdiff_t step = w->p->packed;
    ptrdiff_t to = 0;
    for (cvl_outer_run *run = w->t->run; run < w->t->run + w->job.runs; run++) {
        w->p->kernels->outer_panels(run->count, w->job.rows, step, w->t->packed + to, 0,
                                    w->p->x + w->x + run->a, d->SW * d->C);
        run->a = to;
        to += run->count * step;
    }
}

/* The panels of copies one by one. */
static void run_panels(part *w)
{
    const plan *p = w->p;
    NAME(outer) job = w->job;
    job.columns = p->merged;
    for (ptrdiff_t i = 0; i < p->copies; i++) {
        if (p->shared)
            p->kernels->outer_groups(&job);
        else
            p->kernels->outer(&job);
        job.a += p->copy_size;
        job.b += p->dy_panel;
        job.c += p->merged;
    }
}

/* A tap with the roles of x and dy exchanged. */
static void run_turned(part *w, ptrdiff_t tap)
{
    const plan *p = w->p;
    NAME(outer) job = w->job;
    for (ptrdiff_t i = 0; i < job.runs; i++) {
        const cvl_outer_run run = w->t->run[i];
        w->t->run[i] = (cvl_outer_run){run.b, run.a, run.count};
    }
    job.rows = w->job.columns;
    job.columns = w->job.rows;
    job.a = w->job.b;
    job.a_step = w->job.b_step;
    job.b = w->job.a;
    job.b_step = w->job.a_step;
    if (p->aside) {
        job.c = w->aside + tap * p->width * p->depth;
        job.c_step = p->depth;
    }
    p->kernels->outer(&job);
    w->job.ahead = job.ahead;
}

/* A tap, some rows of dw after the others. */
static void run_slices(part *w)
{
    const ptrdiff_t rows = w->p->slice;
    NAME(outer) job = w->job;
    for (ptrdiff_t c = 0; c < w->job.rows; c += rows) {
        job.rows = cvl_min(rows, w->job.rows - c);
        w->p->kernels->outer(&job);
        job.a += rows;
        job.c += rows * job.c_step;
    }
    w->job.ahead = job.ahead;
}

/* `count` listed rows of a block, from output `from` to output `to`: all taps of a group, or of those
 * of a copy. */
static void run_group(part *w, ptrdiff_t count, ptrdiff_t from, ptrdiff_t to)
{
    const plan *p = w->p;
    const cvl_conv2d *d = &p->shape->d;
    const tables *t = w->t;
    if (p->merged)
        copy_channels(p, t, count, w->x);
    w->job.b = p->dy + from * d->OC + w->y;
    if (p->dy_panel) {
        p->kernels->outer_panels(to - from, w->job.columns, p->b_step, t->dy, p->dy_panel, w->job.b,
                                 d->OC);
        w->job.b = t->dy;
    }
    for (ptrdiff_t tap = w->tap0; tap < w->tap1; tap++) {
        w->job.runs = p->whole ? list_copied(p, t, count, tap)
                               : list_runs(p, t, count, tap / d->KW, tap % d->KW);
        if (p->packed)
            pack_runs(w);
        w->job.c = p->stacked ? w->aside : w->dw + (tap * p->C_tap + w->c) * d->OC + w->y;
        if (p->merged)
            run_panels(w);
        else if (p->shared)
            p->kernels->outer_groups(&w->job);
        else if (p->turned)
            run_turned(w, tap);
        else
            run_slices(w);
    }
}

/* A part for its group of that number. */
static part group_of(const part *w, ptrdiff_t number)
{
    const plan *p = w->p;
    part group = *w;
    group.x += number * p->C;
    group.y += number * p->OC;
    group.aside += number * aside_size(p);
    group.job.a += number * p->copy_size;
    return group;
}

/* A block, all taps. */
static void run_block(part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    const ptrdiff_t first = block_row(w, block), last = block_row(w, block + 1);
    list_rows(p, w->t, first, last);
    if (p->stacked)
        copy_stacked(p, w->t, last - first);
    else if (p->whole)
        copy_input(p, w->t, last - first, w->x);
    for (ptrdiff_t g = 0; g < (p->shared || p->merged ? 1 : p->side); g++) {
        part group = group_of(w, g);
        run_group(&group, last - first, position_of(p, first), position_of(p, last));
        w->job.ahead = group.job.ahead;
    }
    w->job.add = 1;
}

/* The channels and outputs of one part of a group, all taps, over the rows of one split. */
static part part_of(const plan *p, const tables *t, ptrdiff_t task)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t oc = task % p->widths * p->width;
    const ptrdiff_t c = task / p->widths % p->depths * p->depth;
    const ptrdiff_t cut = task / p->widths / p->depths % p->cuts;
    const ptrdiff_t group = task / p->widths / p->depths / p->cuts % p->groups;
    const ptrdiff_t split = task / p->widths / p->depths / p->cuts / p->groups;
    const ptrdiff_t row0 = p->all_rows * split / p->splits;
    const ptrdiff_t rows = p->all_rows * (split + 1) / p->splits - row0;
    const ptrdiff_t first = group * p->side, side = cvl_min(p->side, d->groups - first);
    const int beside = p->shared || p->merged;
    const ptrdiff_t channels = cvl_min(p->depth, p->C_tap - c);
    const ptrdiff_t outputs = beside ? side * p->OC : cvl_min(p->width, p->OC - oc);
    return (part){
        .p = p,
        .t = t,
        .c = c,
        .x = first * p->C + c,
        .y = first * p->OC + oc,
        .channels = p->whole ? p->side * p->C : channels,
        .outputs = p->whole ? p->side * p->OC : outputs,
        .tap0 = p->taps * cut / p->cuts,
        .tap1 = p->taps * (cut + 1) / p->cuts,
        .aside = t->aside,
        .dw = split ? p->partial + (split - 1) * p->shape->w_size : p->dw,
        .row0 = row0,
        .rows = rows,
        .blocks = cvl_ceil_div(rows, p->rows),
        .job =
            {
                .run = t->run,
                .rows = channels,
                .columns = outputs,
                .group = p->OC,
                .a = p->packed               ? t->packed
                     : p->whole || p->merged ? t->copy
                                             : p->x + first * p->C + c,
                .a_step = p->packed    ? p->packed
                          : p->merged  ? d->SW * p->merged
                          : p->stacked ? d->SW * d->KH * d->C
                          : p->whole   ? d->SW * p->C
                                       : d->SW * d->C,
                .b_step = p->b_step,
                .c_step = p->stacked ? outputs : d->OC,
            },
    };
}

/* Puts dw of a part, which is turned, in its place. */
static void place_turned(const part *w)
{
    const plan *p = w->p;
    const ptrdiff_t OC = p->shape->d.OC;
    for (ptrdiff_t g = 0; g < p->side; g++) {
        const part group = group_of(w, g);
        for (ptrdiff_t tap = w->tap0; tap < w->tap1; tap++)
            p->kernels->transpose(w->job.rows, w->job.columns,
                                  w->dw + (tap * p->C_tap + w->c) * OC + group.y, OC,
                                  group.aside + tap * p->width * p->depth, p->depth);
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
            T *to = w->dw + (kh * elements + i) * d->OC + w->y;
            const ptrdiff_t from = i * d->KH + kh;
            if (!p->turned)
                memcpy(to, w->aside + from * outputs, (size_t)outputs * sizeof(T));
            for (ptrdiff_t o = 0; p->turned && o < outputs; o++)
                to[o] = w->aside[o * p->depth + from];
        }
}

/* Tasks: parts one after the other, each block of which has what comes after it fetched. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const tables t = NAME(outer_tables)(p, p->worker + (size_t)worker * p->worker_bytes);
    for (ptrdiff_t task = begin; task < end; task++) {
        part w = part_of(p, &t, task);
        for (ptrdiff_t block = 0; block < w.blocks; block++) {
            w.job.ahead = t.ahead;
            *t.ahead = (NAME(stretch)){p->x, PTRDIFF_MAX, 0};
            if (p->far && (block + 1 < w.blocks || task + 1 < end)) {
                const int more = block + 1 < w.blocks;
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
