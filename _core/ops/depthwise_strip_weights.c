/* depthwise_strip_weights.c: weight gradients of depthwise filters of 3x3 taps.
 *
 * Order of sums: the output rows of an image are cut into blocks of about CVL_ORDER_PIXELS outputs,
 * and these into strips of CVL_ORDER_STRIP rows; a block is one FMA chain per tap, strip by strip,
 * column by column, row by row. The blocks of all images are dealt to `splits` sums, which are added
 * in order at the end; their number depends on the shape only. */
#include "depthwise.h"

enum {
    TASKS = 32, /* so many, if blocks and channels leave them, */
    SPAN = 128, /* of at least so many channels: to cut these needs no second sum */
    LINE = 64 / sizeof(T),
    NEAR = 1024, /* bytes between pixels from which on the processor sees no stream in the lines of
                    * neighbours: then what the next strip reads is fetched; */
    FAR = 2048,  /* from so many on spans follow each other less well than splits; and at a
                    * multiple lines wait for each other: then inputs are copied first, */
    COPY = 128,  /* at most so many channels at once */
    COPIES = 24576 /* and bytes */
};

typedef struct sums {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    ptrdiff_t rows, blocks;  /* of a block; of an image */
    ptrdiff_t spans, splits; /* tasks */
    ptrdiff_t span;          /* most channels of a span */
    ptrdiff_t copy, ring;    /* channels copied at once, or 0; rows of inputs that are kept */
    int wide;                /* whether a worker gets splits of a span rather than spans of a split:
                              * then few sums of workers are left to be added */
    int fetch;               /* whether the next strip is */
    ptrdiff_t *added;        /* (spans), splits whose sums are in dw */
    T *dw, *partial;         /* (9, C), (splits - 1, 9, C) */
    char *worker;            /* buffers each */
    size_t worker_bytes;
    const T *dy, *x;
} sums;

typedef struct buffers {
    T *chain, *sum; /* (9, span) */
    T *x;           /* a copy: (ring, W, copy) */
} buffers;

static buffers carve_buffers(const sums *s, char *base, size_t *bytes)
{
    cvl_scratch scratch = {base, 0};
    buffers b;
    b.chain = cvl_carve(&scratch, (size_t)(9 * s->span) * sizeof(T));
    b.sum = cvl_carve(&scratch, (size_t)(9 * s->span) * sizeof(T));
    b.x = cvl_carve(&scratch, (size_t)(s->ring * s->shape->d.W * s->copy) * sizeof(T));
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
    s->ring = (CVL_ORDER_STRIP - 1) * d->SH + 3;
    const ptrdiff_t pixels = s->ring * d->W;
    if (d->C * sizeof(T) % FAR == 0)
        for (s->copy = COPY; s->copy * pixels * (ptrdiff_t)sizeof(T) > COPIES;)
            s->copy = s->copy > LINE ? s->copy / 2 : 0;
    s->span = cvl_ceil_div(d->C, s->spans) + LINE;
    s->wide = d->C * sizeof(T) >= FAR;
    s->fetch = d->C * sizeof(T) >= NEAR || depthwise_is_large(shape);
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

/* One chain per tap of a block, for channels [c, c + channels). */
static void sum_block(const sums *s, const buffers *b, T *chain, ptrdiff_t block, ptrdiff_t c,
                      ptrdiff_t channels)
{
    const cvl_conv2d *d = &s->shape->d;
    const ptrdiff_t OH = s->shape->OH, OW = s->shape->OW, C = d->C;
    const ptrdiff_t n = block / s->blocks, first = block % s->blocks * s->rows;
    const ptrdiff_t last = cvl_min(OH, first + s->rows), x_step = s->copy ? s->copy : C;
    NAME(depthwise_strip_sums)
    job = {.sum = chain,
           .sum_step = s->span,
           .stride = d->SH,
           .OW = OW,
           .left = d->PL,
           .W = d->W,
           .x_step = x_step,
           .x_row = d->W * C,
           .dy_row = OW * C,
           .step = C,
           .channels = channels};
    ptrdiff_t next = 0; /* row to be copied */
    for (ptrdiff_t o = first; o < last; o += job.rows) {
        const ptrdiff_t top = o * d->SH - d->PT;
        job.rows = cvl_min(last - o, CVL_ORDER_STRIP);
        job.dy = s->dy + (n * OH + o) * OW * C + c;
        if (s->fetch) {
            job.x_next = s->x + (n * d->H + top + s->ring) * d->W * C + c;
            job.dy_next = job.dy + CVL_ORDER_STRIP * OW * C;
        }
        for (ptrdiff_t i = 0; i < (job.rows - 1) * d->SH + 3; i++) {
            const ptrdiff_t h = top + i;
            job.x[i] = h >= 0 && h < d->H ? s->x + (n * d->H + h) * d->W * C + c : NULL;
            if (!s->copy || !job.x[i])
                continue;
            T *copied = b->x + h % s->ring * d->W * x_step;
            if (h >= next) {
                s->kernels->copy_pixels(d->W, channels, copied, x_step, job.x[i], C);
                next = h + 1;
            }
            job.x[i] = copied;
        }
        s->kernels->depthwise_strip_weights(&job);
    }
}

/* Adds sums of `channels` channels, of which those of the taps lie the steps apart. */
static void add_sums(const sums *s, ptrdiff_t channels, T *out, ptrdiff_t out_step, const T *in,
                     ptrdiff_t in_step)
{
    for (ptrdiff_t k = 0; k < 9; k++)
        s->kernels->add(channels, out + k * out_step, out + k * out_step, in + k * in_step);
}

/* The sums of one split over channels [c, c + channels). */
static void sum_split(const sums *s, const buffers *b, ptrdiff_t split, ptrdiff_t c,
                      ptrdiff_t channels, T *sum, ptrdiff_t step)
{
    const ptrdiff_t all = s->shape->d.N * s->blocks, last = all * (split + 1) / s->splits;
    const ptrdiff_t most = s->copy ? s->copy : channels;
    for (ptrdiff_t k = 0; k < 9; k++)
        memset(sum + k * step, 0, (size_t)channels * sizeof(T));
    for (ptrdiff_t block = all * split / s->splits; block < last; block++) {
        memset(b->chain, 0, (size_t)(9 * s->span) * sizeof(T));
        for (ptrdiff_t i = 0; i < channels; i += most)
            sum_block(s, b, b->chain + i, block, c + i, cvl_min(most, channels - i));
        add_sums(s, channels, sum, step, b->chain, s->span);
    }
}

/* Task: a span of channels of the blocks of one split. The worker that has the first split of a span
 * adds those that follow it there; the sums of the others wait in `partial`. */
static void sum_blocks(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    const sums *s = context;
    const ptrdiff_t C = s->shape->d.C, first_task = task;
    size_t bytes;
    const buffers b = carve_buffers(s, s->worker + (size_t)worker * s->worker_bytes, &bytes);
    for (; task < last_task; task++) {
        const ptrdiff_t span = s->wide ? task / s->splits : task % s->spans;
        const ptrdiff_t split = s->wide ? task % s->splits : task / s->spans;
        const ptrdiff_t c = span_begin(s, span), channels = span_begin(s, span + 1) - c;
        T *dw = s->dw + c;
        if ((s->wide ? span * s->splits : span) < first_task) {
            T *partial = s->partial + (split - 1) * s->shape->w_size + c;
            sum_split(s, &b, split, c, channels, partial, C);
            continue;
        }
        s->added[span] = split + 1;
        sum_split(s, &b, split, c, channels, split ? b.sum : dw, split ? s->span : C);
        if (split)
            add_sums(s, channels, dw, C, b.sum, s->span);
    }
}

/* Task: the sums of a span that wait. */
static void add_others(void *context, ptrdiff_t span, ptrdiff_t last, int worker)
{
    const sums *s = context;
    const ptrdiff_t C = s->shape->d.C;
    (void)worker;
    for (; span < last; span++) {
        const ptrdiff_t c = span_begin(s, span), channels = span_begin(s, span + 1) - c;
        for (ptrdiff_t split = s->added[span]; split < s->splits; split++)
            add_sums(s, channels, s->dw + c, C, s->partial + (split - 1) * s->shape->w_size + c, C);
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
