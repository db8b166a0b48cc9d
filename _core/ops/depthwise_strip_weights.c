/* depthwise_strip_weights.c: weight gradients of depthwise filters of 3x3 taps.
 *
 * Order of sums: the output rows of an image are cut into blocks of about CVL_ORDER_PIXELS outputs,
 * and these into strips of CVL_ORDER_STRIP rows; a block is one FMA chain per tap, strip by strip,
 * column by column, row by row. The blocks of all images are dealt to `splits` sums, which are added
 * in order at the end; their number depends on the shape only. */
#include "depthwise.h"

/* All channels of a few columns follow each other, so that memory is read in order, as processors
 * foresee it; but of inputs and gradients that L2 holds, sums are best kept in registers for whole rows. */
enum {
    TASKS = CVL_ORDER_DEPTHWISE_TASKS, /* if blocks and channels leave so many; */
    SPAN = CVL_ORDER_DEPTHWISE_SPAN,   /* to cut channels needs no second sum */
    COLUMNS = 8,                       /* of inputs at once; */
    SMALL_BYTES = 1 << 20              /* bytes up to which it is all */
};

typedef struct sums {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    ptrdiff_t rows, blocks;  /* of a block; of an image */
    ptrdiff_t spans, splits; /* tasks */
    ptrdiff_t copied;        /* channels of a strip that are copied at once, or 0 */
    ptrdiff_t *added;        /* (spans), splits whose sums are in dw */
    T *dw, *partial;         /* (9, C), (splits - 1, 9, C) */
    char *worker;            /* buffers each */
    size_t worker_bytes;
    const T *dy, *x;
} sums;

typedef struct buffers {
    T *chain, *sum; /* (9, C) */
    T *copies;      /* (inputs, W, copied), (CVL_ORDER_STRIP, OW, copied) */
} buffers;

/* What a strip reads: rows of inputs, and all its pixels. */
static ptrdiff_t strip_inputs(const cvl_conv2d *d) { return (CVL_ORDER_STRIP - 1) * d->SH + 3; }

static ptrdiff_t strip_pixels(const cvl_conv2d_shape *shape)
{
    return strip_inputs(&shape->d) * shape->d.W + CVL_ORDER_STRIP * shape->OW;
}

static buffers carve_buffers(const sums *s, char *base, size_t *bytes)
{
    cvl_scratch scratch = {base, 0};
    buffers b;
    b.chain = cvl_carve(&scratch, (size_t)s->shape->w_size * sizeof(T));
    b.sum = cvl_carve(&scratch, (size_t)s->shape->w_size * sizeof(T));
    b.copies = cvl_carve(&scratch, (size_t)(strip_pixels(s->shape) * s->copied) * sizeof(T));
    *bytes = scratch.used;
    return b;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan(sums *s, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *s = (sums){.shape = shape, .kernels = kernels()};
    const ptrdiff_t rows = cvl_max(1, CVL_ORDER_PIXELS / shape->OW / CVL_ORDER_STRIP);
    s->rows = cvl_min(shape->OH, rows * CVL_ORDER_STRIP);
    s->blocks = cvl_ceil_div(shape->OH, s->rows);
    s->spans = cvl_max(1, cvl_min(TASKS, d->C / SPAN));
    s->splits = cvl_max(1, cvl_min(d->N * s->blocks, TASKS / s->spans));
    s->copied = NAME(depthwise_copied_channels)(d->C, strip_pixels(shape));
    cvl_scratch scratch = {base, 0};
    s->added = cvl_carve(&scratch, (size_t)s->spans * sizeof *s->added);
    s->partial = cvl_carve(&scratch, (size_t)((s->splits - 1) * shape->w_size) * sizeof(T));
    carve_buffers(s, NULL, &s->worker_bytes);
    s->worker = cvl_carve(&scratch, s->worker_bytes * (size_t)threads);
    return scratch.used;
}

size_t NAME(depthwise_strip_weights_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    sums s;
    return plan(&s, shape, NULL, threads);
}

/* Where span `i` begins: at whole lines. */
static ptrdiff_t span_begin(const sums *s, ptrdiff_t i)
{
    const ptrdiff_t C = s->shape->d.C;
    return i == s->spans ? C : C / LINE * i / s->spans * LINE;
}

/* Has a strip, of which the input rows [first, last) lie inside, read copies. */
static void copy_strip(const sums *s, T *copies, NAME(depthwise_strip_sums) *job, ptrdiff_t row,
                       ptrdiff_t first, ptrdiff_t last, ptrdiff_t *next)
{
    const ptrdiff_t W = job->W, C = job->step, channels = job->channels;
    const ptrdiff_t inputs = strip_inputs(&s->shape->d);
    for (ptrdiff_t i = first; i < last; i++) {
        T *copy = copies + (row + i) % inputs * W * channels;
        if (row + i >= *next)
            s->kernels->copy_pixels(W, channels, copy, channels, job->x[i], C);
        job->x[i] = copy;
    }
    *next = row + last;
    copies += inputs * W * channels;
    s->kernels->copy_pixels(job->rows * job->OW, channels, copies, channels, job->dy, C);
    job->dy = copies;
    job->dy_row = job->OW * channels;
    job->step = channels;
    job->columns = job->OW;
}

/* One chain per tap of a block, for channels [c, c + channels). */
static void sum_block(const sums *s, T *chain, T *copies, ptrdiff_t block, ptrdiff_t c,
                      ptrdiff_t channels)
{
    const cvl_conv2d *d = &s->shape->d;
    const ptrdiff_t OH = s->shape->OH, OW = s->shape->OW, C = d->C;
    const ptrdiff_t n = block / s->blocks, first = block % s->blocks * s->rows;
    const ptrdiff_t last = cvl_min(OH, first + s->rows);
    const int small = (s->shape->x_size + s->shape->y_size) * (ptrdiff_t)sizeof(T) <= SMALL_BYTES;
    ptrdiff_t next = 0;
    for (ptrdiff_t o = first, rows; o < last; o += rows) {
        rows = cvl_min(last - o, CVL_ORDER_STRIP);
        NAME(depthwise_strip_sums)
        job = {.sum = chain,
               .sum_step = C,
               .stride = d->SH,
               .rows = rows,
               .OW = OW,
               .columns = small ? OW : COLUMNS / d->SH,
               .left = d->PL,
               .W = d->W,
               .dy_row = OW * C,
               .step = C,
               .channels = channels};
        const ptrdiff_t top = o * d->SH - d->PT, begin = cvl_max(0, -top);
        const ptrdiff_t end = cvl_min((rows - 1) * d->SH + 3, d->H - top);
        job.dy = s->dy + (n * OH + o) * OW * C + c;
        for (ptrdiff_t i = begin; i < end; i++)
            job.x[i] = s->x + (n * d->H + top + i) * d->W * C + c;
        if (s->copied)
            copy_strip(s, copies, &job, top, begin, end, &next);
        s->kernels->depthwise_strip_weights(&job);
    }
}

/* Adds sums of `channels` channels. */
static void add_sums(const sums *s, ptrdiff_t channels, T *out, const T *in)
{
    const ptrdiff_t C = s->shape->d.C;
    for (ptrdiff_t k = 0; k < 9; k++)
        s->kernels->add(channels, out + k * C, out + k * C, in + k * C);
}

static void clear_sums(const sums *s, ptrdiff_t channels, T *out)
{
    for (ptrdiff_t k = 0; k < 9; k++)
        memset(out + k * s->shape->d.C, 0, (size_t)channels * sizeof(T));
}

/* The sums of one split over channels [c, c + channels). */
static void sum_split(const sums *s, const buffers *b, ptrdiff_t split, ptrdiff_t c,
                      ptrdiff_t channels, T *sum)
{
    const ptrdiff_t all = s->shape->d.N * s->blocks, last = all * (split + 1) / s->splits;
    const ptrdiff_t step = s->copied ? s->copied : channels;
    clear_sums(s, channels, sum);
    for (ptrdiff_t block = all * split / s->splits; block < last; block++) {
        clear_sums(s, channels, b->chain);
        for (ptrdiff_t i = 0; i < channels; i += step)
            sum_block(s, b->chain + i, b->copies, block, c + i, cvl_min(step, channels - i));
        add_sums(s, channels, sum, b->chain);
    }
}

/* Task: a span of channels of the blocks of one split; a worker's spans of a split are one. The worker
 * that has the first split of a span adds those that follow it there; the sums of the others wait in
 * `partial`. */
static void sum_blocks(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    const sums *s = context;
    const ptrdiff_t first_task = task;
    size_t bytes;
    const buffers b = carve_buffers(s, s->worker + (size_t)worker * s->worker_bytes, &bytes);
    for (ptrdiff_t spans; task < last_task; task += spans) {
        const ptrdiff_t span = task % s->spans, split = task / s->spans;
        const int waits = span < first_task;
        spans = cvl_min(waits ? cvl_min(first_task, s->spans) : s->spans, span + last_task - task) -
                span;
        const ptrdiff_t c = span_begin(s, span), channels = span_begin(s, span + spans) - c;
        if (waits) {
            sum_split(s, &b, split, c, channels, s->partial + (split - 1) * s->shape->w_size + c);
            continue;
        }
        for (ptrdiff_t i = 0; i < spans; i++)
            s->added[span + i] = split + 1;
        sum_split(s, &b, split, c, channels, split ? b.sum : s->dw + c);
        if (split)
            add_sums(s, channels, s->dw + c, b.sum);
    }
}

/* Task: the sums of a span that wait. */
static void add_others(void *context, ptrdiff_t span, ptrdiff_t last, int worker)
{
    const sums *s = context;
    (void)worker;
    for (; span < last; span++) {
        const ptrdiff_t c = span_begin(s, span), channels = span_begin(s, span + 1) - c;
        for (ptrdiff_t split = s->added[span]; split < s->splits; split++)
            add_sums(s, channels, s->dw + c, s->partial + (split - 1) * s->shape->w_size + c);
    }
}

void NAME(depthwise_strip_weights_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    sums s;
    plan(&s, shape, call->workspace, call->threads);
    s.x = call->x;
    s.dy = call->dy;
    s.dw = call->out;
    cvl_parallel_for(call->threads, s.splits * s.spans, shape->flops, CVL_FLUSH, sum_blocks, &s);
    cvl_parallel_for(call->threads, s.spans, (double)(s.splits * shape->w_size) * sizeof(T),
                     CVL_FLUSH, add_others, &s);
}
