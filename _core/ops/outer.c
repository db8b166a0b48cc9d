/* outer.c: backward weights.
 *
 * dw is a sum over output positions of outer products of x and dy: the rows of its tap (kh,kw) are
 * the channels of the input the tap reads. Where these are few, the rows of all taps of a kernel row
 * are taken together: KW*C neighbouring elements of a copy of x with its padding. Elsewhere the
 * positions whose tap lies in the padding are left out, so no zeros are multiplied. Where outputs are
 * few and channels fill more of the vectors, x and dy change roles, and dw is turned at the end.
 * Groups whose channels are a power of 2 read copies of x and dy, of several groups at once: 256 bytes
 * of each pixel come twice as fast as 128. A group, or those that share vectors, has a panel of its own
 * there. Other groups of few channels take their turns at a block, which comes from far only once.
 *
 * Order of sums: output positions are dealt to even blocks of at most CVL_ORDER_PIXELS (whole rows,
 * or pieces of one), one FMA chain each, added to dw in order. Where dw is small the rows are first
 * dealt evenly to `splits` partial sums, added in order at the end; their number depends on the shape
 * only. */
#include "outer.h"
#include "partial_sums.h"

/* The part of dw of a task lies in L2. x and dy of more than FAR bytes do not, and each block has the
 * next one fetched. Beyond CACHED bytes, with APART outputs, the pixels of dy lie on so many pages that
 * a copy of it in panels pays where WORTH rows of dw read it. Such a copy has SKEW rows more than it
 * needs, lest all panels begin in the same set of L1. */
enum {
    FEW = 16,       /* channels below which kernel rows are taken whole */
    DEPTH = 128,    /* channels of a task */
    WIDTH = 512,    /* outputs of a task, at most, */
    WIDTH_MIN = 32, /* and at least, where they would be more than */
    PART = 98304,   /* elements of dw */
    REUSED = 128,   /* outputs from which on a copy of a block of x pays */
    FAR = 1 << 20,  /* bytes */
    CACHED = 4 << 20,
    APART = 256,  /* outputs */
    WORTH = 128,  /* rows of dw */
    SKEW = 2,     /* rows of a panel */
    BESIDE = 64,  /* channels of copies side by side: of strides, where all threads have as many */
    AHEAD = 1280, /* stretches of memory */
    LANES = 16    /* of the widest vector */
};

typedef struct plan {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    int whole;              /* kernel rows are taken whole */
    ptrdiff_t merged;       /* channels of a panel of copies of x and dy, of groups of few; or 0 */
    int shared;             /* several of them to a vector */
    int turned;             /* outputs are the rows and channels the columns, */
    int aside;              /* of what is put in its place at the end */
    ptrdiff_t C, OC;        /* per group */
    ptrdiff_t taps, C_tap;  /* KH*KW and C, or KH and KW*C */
    ptrdiff_t pieces, rows; /* pieces of a row; most of them in a block */
    int far;                /* what comes next is fetched ahead */
    ptrdiff_t all_rows;     /* pieces of all rows of the batch */
    ptrdiff_t groups;       /* of which a task has one: merged, those of a copy; or sets of */
    ptrdiff_t side;         /* groups that take turns at each block */
    ptrdiff_t depth, depths, width, widths, splits;
    ptrdiff_t copy_width;          /* elements of a row of the copy of a block's input */
    ptrdiff_t images, image_rows;  /* of a block; rows of the copy of one image */
    ptrdiff_t copies, copy_size;   /* panels of the copy, or groups of it; elements of one */
    ptrdiff_t b_step;              /* between pixels of dy, where it is or of the copy */
    ptrdiff_t dy_rows, dy_columns; /* of the copy of dy in panels; or 0: read where it is */
    T *dw, *partial;               /* partial (splits - 1, KH, KW, C, groups*OC) */
    const T *dy, *x;
    char *worker;
    size_t worker_bytes;
} plan;

/* A row of a block: output row oh of image n, columns [from, to), of which the first is output number
 * `position` of the block. */
typedef struct row {
    ptrdiff_t n, oh, from, to, position;
} row;

typedef struct tables {
    row *row;             /* (rows) */
    cvl_outer_run *run;   /* (rows) */
    T *packed;            /* (CVL_ORDER_PIXELS, depth), by tiles */
    T *copy;              /* (copies, images, image_rows, copy_width) */
    T *dy;                /* (dy_rows, dy_columns), by panels */
    T *turned;            /* (side, taps, width, depth): dw of a task */
    NAME(stretch) *ahead; /* (AHEAD + 1) */
} tables;

/* Elements of dw of one group, turned. */
static ptrdiff_t turned_size(const plan *p) { return p->taps * p->width * p->depth; }

static tables carve_tables(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    t.row = cvl_carve(&s, (size_t)p->rows * sizeof *t.row);
    t.run = cvl_carve(&s, (size_t)p->rows * sizeof *t.run);
    t.packed = NULL;
    if (!p->whole && !p->turned && p->width >= REUSED)
        t.packed = cvl_carve(&s, (size_t)(CVL_ORDER_PIXELS * p->depth) * sizeof(T));
    t.copy = cvl_carve(&s, (size_t)(p->copies * p->copy_size) * sizeof(T));
    t.dy = cvl_carve(&s, (size_t)(p->dy_rows * p->dy_columns) * sizeof(T));
    t.turned = cvl_carve(&s, p->aside ? (size_t)(p->side * turned_size(p)) * sizeof(T) : 0);
    t.ahead = cvl_carve(&s, (p->far ? AHEAD + 1 : 1) * sizeof *t.ahead);
    *bytes = s.used;
    return t;
}

/* Whether groups are taken side by side: those of which a vector holds several, whose lanes they share,
 * and those that fill one, or a line, for the sake of the copies alone. One tap would not pay for these. */
static int merges(const plan *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t lanes = CVL_LINE / (ptrdiff_t)sizeof(T);
    return d->KH * d->KW > 1 && d->groups > 1 && p->C > 1 && p->C == p->OC && lanes % p->C == 0 &&
           2 * p->C <= CVL_OUTER_COLUMNS && d->C % CVL_OUTER_COLUMNS == 0;
}

/* Whether columns of channels cost less by a fifth than columns of outputs: in vectors, of which the
 * last may hold little. */
static int turns(const plan *p)
{
    const ptrdiff_t outputs = p->C_tap * cvl_ceil_div(p->OC, LANES);
    const ptrdiff_t channels = p->OC * cvl_ceil_div(p->C_tap, LANES);
    return !p->merged && p->dy_rows == 0 && 5 * channels < 4 * outputs;
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

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.shape = shape, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->C = d->C / d->groups;
    p->OC = d->OC / d->groups;
    p->whole = p->C < FEW && d->KW > 1 && d->DW == 1 && !merges(p);
    p->taps = p->whole ? d->KH : d->KH * d->KW;
    p->C_tap = p->whole ? d->KW * p->C : p->C;
    p->rows = cvl_max(1, CVL_ORDER_PIXELS / shape->OW);
    p->pieces = cvl_ceil_div(shape->OW, CVL_ORDER_PIXELS);
    p->all_rows = d->N * shape->OH * p->pieces;
    if (p->whole) {
        const ptrdiff_t columns = cvl_min(shape->OW, CVL_ORDER_PIXELS);
        p->copy_width = ((columns - 1) * d->SW + d->KW) * p->C;
        p->images = (p->rows - 1) / shape->OH + 2;
        p->image_rows = (cvl_min(p->rows, shape->OH) - 1) * d->SH + (d->KH - 1) * d->DH + 1;
    }

    p->depths = p->whole ? 1 : cvl_ceil_div(p->C, DEPTH);
    p->depth = cvl_ceil_div(p->C_tap, p->depths);
    p->width = cvl_min(p->OC, WIDTH);
    while (p->width > WIDTH_MIN && p->taps * p->depth * p->width > PART)
        p->width = cvl_ceil_div(p->width / 2, WIDTH_MIN) * WIDTH_MIN;
    p->widths = cvl_ceil_div(p->OC, p->width);
    p->splits = 1;
    while (p->splits * d->groups * p->depths * p->widths < CVL_ORDER_UNITS &&
           4 * p->splits <= cvl_ceil_div(p->all_rows, p->rows))
        p->splits *= 2;
    p->side = groups_of_task(p, threads);
    p->copies = p->whole ? p->side : 0;
    p->groups = d->groups / p->side;
    if (merges(p)) {
        p->shared = 2 * p->C <= p->kernels->gemm[CVL_GEMM_WHOLE - 1].NR;
        p->merged = p->shared ? CVL_OUTER_COLUMNS : p->C;
        const int beside = d->SH * d->SW > 1 && d->C % (BESIDE * threads) == 0;
        p->width = beside ? BESIDE : CVL_OUTER_COLUMNS;
        p->groups = d->C / p->width;
        p->copies = p->width / p->merged;
        p->copy_width = d->W * p->merged;
        p->images = (p->rows - 1) / shape->OH + 2;
        p->image_rows =
            cvl_min(d->H, (cvl_min(p->rows, shape->OH) - 1) * d->SH + (d->KH - 1) * d->DH + 1);
    }
    p->copy_size = p->images * p->image_rows * p->copy_width;
    const ptrdiff_t x_bytes = shape->x_size * (ptrdiff_t)sizeof(T);
    const ptrdiff_t y_bytes = shape->y_size * (ptrdiff_t)sizeof(T);
    p->far = !p->merged && x_bytes > FAR - y_bytes;
    p->b_step = d->OC;
    if (p->merged || (y_bytes > CACHED && d->OC >= APART && p->taps * p->depth >= WORTH)) {
        p->b_step = p->merged ? p->merged : CVL_OUTER_COLUMNS;
        p->dy_rows = cvl_min(p->rows * shape->OW, CVL_ORDER_PIXELS) + SKEW;
        p->dy_columns = cvl_ceil_div(p->width, CVL_OUTER_COLUMNS) * CVL_OUTER_COLUMNS;
    }
    p->turned = turns(p);
    p->aside = p->turned && d->OC > 1;

    cvl_scratch s = {base, 0};
    p->partial = cvl_carve(&s, (size_t)((p->splits - 1) * shape->w_size) * sizeof(T));
    carve_tables(p, NULL, &p->worker_bytes);
    p->worker = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(outer_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    plan p;
    return make_plan(&p, shape, NULL, threads);
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

/* Copies what the first `count` listed rows read of the groups of a task, whose channels begin at c,
 * padding included: of each image one stretch of rows. */
static void copy_input(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t c)
{
    const cvl_conv2d *d = &p->shape->d;
    const row *first = t->row;
    const ptrdiff_t left = first->from * d->SW - d->PL;
    const ptrdiff_t right = left + (first->to - first->from - 1) * d->SW + d->KW;
    const ptrdiff_t begin = cvl_min(right, cvl_max(left, 0));
    const ptrdiff_t end = cvl_max(begin, cvl_min(right, d->W));
    for (ptrdiff_t i = 0; i < count; i++) {
        const row *r = first + i;
        if (i + 1 < count && r[1].n == r->n)
            continue;
        const ptrdiff_t ih0 = first_copied(p, first, r);
        const ptrdiff_t ih1 = cvl_min(d->H, r->oh * d->SH - d->PT + (d->KH - 1) * d->DH + 1);
        T *to = t->copy + (r->n - first->n) * p->image_rows * p->copy_width;
        for (ptrdiff_t ih = ih0; ih < ih1; ih++, to += p->copy_width) {
            const T *from = p->x + ((r->n * d->H + ih) * d->W + begin) * d->C + c;
            T *inside = to + (begin - left) * p->C, *outside = to + (end - left) * p->C;
            for (ptrdiff_t g = 0; g < p->side; g++) {
                memset(to + g * p->copy_size, 0, (size_t)((begin - left) * p->C) * sizeof(T));
                memset(outside + g * p->copy_size, 0, (size_t)((right - end) * p->C) * sizeof(T));
            }
            if (d->groups == 1)
                memcpy(inside, from, (size_t)((end - begin) * p->C) * sizeof(T));
            else
                p->kernels->outer_panels(end - begin, p->side * p->C, p->C, inside, p->copy_size,
                                         from, d->C);
        }
    }
}

/* Copies `columns` channels of pixels to panels `apart`. */
static void copy_panels(const plan *p, ptrdiff_t pixels, ptrdiff_t columns, T *out, ptrdiff_t apart,
                        const T *in, ptrdiff_t in_step)
{
    const ptrdiff_t width = p->b_step;
    if (columns > width)
        p->kernels->outer_panels(pixels, columns, width, out, apart, in, in_step);
    else
        p->kernels->copy_pixels(pixels, columns, out, width, in, in_step);
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
            copy_panels(p, (ih1 - ih0) * d->W, p->width, t->copy + copied_row(p, t, r, ih0),
                        p->copy_size, p->x + (r->n * d->H + ih0) * d->W * d->C + c, d->C);
    }
}

/* Lists the runs of the first `count` listed rows for the kernel row kh, in the copy. */
static ptrdiff_t list_copied(const plan *p, const tables *t, ptrdiff_t count, ptrdiff_t kh)
{
    const cvl_conv2d *d = &p->shape->d;
    ptrdiff_t runs = 0;
    for (const row *r = t->row; r < t->row + count; r++) {
        const ptrdiff_t ih = r->oh * d->SH + kh * d->DH - d->PT;
        if (ih < 0 || ih >= d->H)
            continue;
        t->run[runs++] =
            (cvl_outer_run){copied_row(p, t, r, ih), r->position * p->b_step, r->to - r->from};
    }
    return runs;
}

/* What a worker is at: part of a group, of which `job` knows all but block and tap. */
typedef struct part {
    const plan *p;
    const tables *t;
    ptrdiff_t c, x, y; /* row of a tap of dw; where its channels lie in a pixel of x and of dy */
    ptrdiff_t channels, outputs; /* of x and dy, of all groups of a task */
    T *dw, *turned;
    ptrdiff_t row0, rows, blocks; /* what it sums over, which is cut into even blocks */
    NAME(outer) job;
} part;

/* The first row of a block of it. */
static ptrdiff_t block_row(const part *w, ptrdiff_t block)
{
    return w->row0 + w->rows * block / w->blocks;
}

/* Lists `count` pixels, `step` apart, of `width` elements each. They are fetched in the order of
 * memory, so that the CPU finds out and fetches some itself, and at a rate that goes with the
 * multiply-adds of a tile: half a vector for each k is too slow, a whole one no faster. */
static NAME(stretch) *list_pixels(const part *w, NAME(stretch) *next, const T *at, ptrdiff_t count,
                                  ptrdiff_t step, ptrdiff_t width)
{
    if (step == width) {
        width *= count;
        count = count > 0;
    }
    const ptrdiff_t far = w->p->kernels->vector * 3 / 4 / (ptrdiff_t)sizeof(T);
    const ptrdiff_t fetches = cvl_ceil_div(width, far);
    for (; count > 0 && next < w->t->ahead + AHEAD; count--, at += step)
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

/* The panels of copies one by one. */
static void run_panels(part *w)
{
    const plan *p = w->p;
    NAME(outer) job = w->job;
    job.columns = p->merged;
    job.b_panel = 0;
    for (ptrdiff_t i = 0; i < p->copies; i++) {
        if (p->shared)
            p->kernels->outer_groups(&job);
        else
            p->kernels->outer(&job);
        job.a += p->copy_size;
        job.b += w->job.b_panel;
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
        job.c = w->turned + tap * p->width * p->depth;
        job.c_step = p->depth;
    }
    p->kernels->outer(&job);
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
    if (p->dy_rows) {
        copy_panels(p, to - from, w->job.columns, t->dy, w->job.b_panel, w->job.b, d->OC);
        w->job.b = t->dy;
    }
    for (ptrdiff_t tap = 0; tap < p->taps; tap++) {
        w->job.runs = p->whole ? list_copied(p, t, count, tap)
                               : list_runs(p, t, count, tap / d->KW, tap % d->KW);
        w->job.c = w->dw + (tap * p->C_tap + w->c) * d->OC + w->y;
        if (p->merged)
            run_panels(w);
        else if (p->turned)
            run_turned(w, tap);
        else
            p->kernels->outer(&w->job);
    }
}

/* A part for its group of that number. */
static part group_of(const part *w, ptrdiff_t number)
{
    const plan *p = w->p;
    part group = *w;
    group.x += number * p->C;
    group.y += number * p->OC;
    group.turned += number * turned_size(p);
    group.job.a += number * p->copy_size;
    return group;
}

/* A block, all taps. */
static void run_block(part *w, ptrdiff_t block)
{
    const plan *p = w->p;
    const ptrdiff_t first = block_row(w, block), last = block_row(w, block + 1);
    list_rows(p, w->t, first, last);
    if (p->whole)
        copy_input(p, w->t, last - first, w->x);
    for (ptrdiff_t g = 0; g < p->side; g++) {
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
    const ptrdiff_t group = task / p->widths / p->depths % p->groups;
    const ptrdiff_t split = task / p->widths / p->depths / p->groups;
    const ptrdiff_t row0 = p->all_rows * split / p->splits;
    const ptrdiff_t rows = p->all_rows * (split + 1) / p->splits - row0;
    const ptrdiff_t channels = cvl_min(p->depth, p->C_tap - c);
    const ptrdiff_t outputs = p->merged ? p->width : cvl_min(p->width, p->OC - oc);
    return (part){
        .p = p,
        .t = t,
        .c = c,
        .x = p->merged ? group * p->width : group * p->side * p->C + c,
        .y = p->merged ? group * p->width : group * p->side * p->OC + oc,
        .channels = p->whole ? p->side * p->C : channels,
        .outputs = p->whole ? p->side * p->OC : outputs,
        .turned = t->turned,
        .dw = split ? p->partial + (split - 1) * p->shape->w_size : p->dw,
        .row0 = row0,
        .rows = rows,
        .blocks = cvl_ceil_div(rows, p->rows),
        .job =
            {
                .run = t->run,
                .rows = channels,
                .columns = outputs,
                .a = p->whole || p->merged ? t->copy : p->x + group * p->C + c,
                .a_step = d->SW * (p->merged  ? p->merged
                                   : p->whole ? p->C
                                              : d->C),
                .b_step = p->b_step,
                .b_panel = p->dy_rows * p->b_step,
                .packed = t->packed,
                .c_step = d->OC,
            },
    };
}

/* Tasks: parts one after the other, each block of which has what comes after it fetched. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const cvl_conv2d *d = &p->shape->d;
    size_t bytes;
    const tables t = carve_tables(p, p->worker + (size_t)worker * p->worker_bytes, &bytes);
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
        for (ptrdiff_t g = 0; p->aside && g < p->side; g++) {
            const part group = group_of(&w, g);
            for (ptrdiff_t tap = 0; tap < p->taps; tap++)
                p->kernels->transpose(w.job.rows, w.job.columns,
                                      w.dw + (tap * p->C_tap + w.c) * d->OC + group.y, d->OC,
                                      group.turned + tap * p->width * p->depth, p->depth);
        }
    }
}

void NAME(outer_run)(const cvl_conv2d_shape *shape, T *dw, const T *dy, const T *x, void *workspace,
                     int threads)
{
    plan p;
    make_plan(&p, shape, workspace, threads);
    p.dw = dw;
    p.dy = dy;
    p.x = x;
    cvl_parallel_for(threads, p.groups * p.depths * p.widths * p.splits, shape->flops, CVL_FLUSH,
                     compute, &p);
    NAME(add_partial_sums)(dw, p.partial, p.splits, shape->w_size, threads);
}
