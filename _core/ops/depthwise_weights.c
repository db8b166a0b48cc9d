/* depthwise_weights.c: weight gradients of depthwise convolution.
 *
 * Order of sums: output positions are dealt to blocks as in outer.c, one FMA chain each; the blocks
 * are further dealt to `splits` partial sums, added in order at the end; their number depends on
 * the shape only. */
#include "depthwise.h"
#include "partial_sums.h"

enum {
    CHAIN = CVL_ORDER_DEPTHWISE_CHAIN,
    CHANNELS = CVL_ORDER_DEPTHWISE_CHANNELS,
    TASKS = CVL_ORDER_DEPTHWISE_TASKS
};

typedef struct sums {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    ptrdiff_t C, M, K;
    ptrdiff_t rows, pieces, blocks; /* rows of a block, pieces of a row */
    ptrdiff_t chunk;                /* channels worked on at once */
    ptrdiff_t span, spans, splits;  /* channels of a task; tasks */
    T *dw;                          /* (KH, KW, M, C) */
    T *partial;                     /* (splits - 1, KH, KW, M, C) */
    char *worker;
    size_t worker_bytes;
    const T *dy, *x;
} sums;

typedef struct buffers {
    NAME(depthwise_sum) *tap;
    ptrdiff_t *begin, *end; /* (KW) */
    T *chain;               /* (K, M, chunk) */
    T *planes;              /* (M, columns of a piece, chunk) */
} buffers;

static buffers carve_buffers(const sums *s, char *base, size_t *bytes)
{
    cvl_scratch scratch = {base, 0};
    buffers b;
    const ptrdiff_t columns = cvl_min(s->shape->OW, CVL_ORDER_PIXELS);
    b.tap = cvl_carve(&scratch, (size_t)s->K * sizeof *b.tap);
    b.begin = cvl_carve(&scratch, (size_t)s->shape->d.KW * sizeof *b.begin);
    b.end = cvl_carve(&scratch, (size_t)s->shape->d.KW * sizeof *b.end);
    b.chain = cvl_carve(&scratch, (size_t)(s->K * s->M * s->chunk) * sizeof(T));
    b.planes = cvl_carve(&scratch, s->M > 1 ? (size_t)(s->M * columns * s->chunk) * sizeof(T) : 0);
    *bytes = scratch.used;
    return b;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan_sums(sums *s, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *s = (sums){.shape = shape, .kernels = kernels(), .C = d->C, .M = d->OC / d->C};
    s->K = d->KH * d->KW;
    s->rows = cvl_max(1, CVL_ORDER_PIXELS / shape->OW);
    s->pieces = cvl_ceil_div(shape->OW, CVL_ORDER_PIXELS);
    s->blocks = cvl_max(1, cvl_ceil_div(d->N * shape->OH * s->pieces, s->rows));
    s->chunk = cvl_min(d->C, cvl_max(CHANNELS, CHAIN / (s->K * s->M)));
    const ptrdiff_t chunks = cvl_ceil_div(d->C, s->chunk);
    s->span = s->chunk * cvl_ceil_div(chunks, cvl_min(chunks, cvl_ceil_div(TASKS, s->blocks)));
    s->spans = cvl_ceil_div(d->C, s->span);
    s->splits = cvl_min(s->blocks, cvl_ceil_div(TASKS, s->spans));

    cvl_scratch scratch = {base, 0};
    const ptrdiff_t partials = s->M > 1 ? s->splits : s->splits - 1;
    s->partial = cvl_carve(&scratch, (size_t)(partials * shape->w_size) * sizeof(T));
    carve_buffers(s, NULL, &s->worker_bytes);
    s->worker = cvl_carve(&scratch, s->worker_bytes * (size_t)threads);
    return scratch.used;
}

size_t NAME(depthwise_sums_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    sums s;
    return plan_sums(&s, shape, NULL, threads);
}

/* Where on piece `piece` of a line the taps of a kernel row begin and end, relative to it. */
static void list_columns(const sums *s, const buffers *b, ptrdiff_t piece)
{
    const cvl_conv2d *d = &s->shape->d;
    const ptrdiff_t from = piece * CVL_ORDER_PIXELS;
    const ptrdiff_t to = cvl_min(s->shape->OW, from + CVL_ORDER_PIXELS);
    for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
        const ptrdiff_t left = kw * d->DW - d->PL;
        b->begin[kw] = cvl_max(from, cvl_ceil_div(-left, d->SW)) - from;
        b->end[kw] = cvl_min(to, cvl_floor_div(d->W - 1 - left, d->SW) + 1) - from;
    }
}

/* Whether output row oh reads an input row with kernel row kh, and which. */
static int reads_row(const cvl_conv2d *d, ptrdiff_t oh, ptrdiff_t kh, ptrdiff_t *ih)
{
    *ih = oh * d->SH + kh * d->DH - d->PT;
    return *ih >= 0 && *ih < d->H;
}

/* Lists the taps of piece `piece` of output row oh of image n at channel c; returns their number. */
static ptrdiff_t list_sums(const sums *s, const buffers *b, ptrdiff_t n, ptrdiff_t oh,
                           ptrdiff_t piece, ptrdiff_t c)
{
    const cvl_conv2d *d = &s->shape->d;
    ptrdiff_t taps = 0, ih;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++) {
        if (!reads_row(d, oh, kh, &ih))
            continue;
        const ptrdiff_t pixel = (n * d->H + ih) * d->W + piece * CVL_ORDER_PIXELS * d->SW - d->PL;
        for (ptrdiff_t kw = 0; kw < d->KW; kw++)
            if (b->begin[kw] < b->end[kw])
                b->tap[taps++] = (NAME(depthwise_sum)){
                    s->x + (pixel + kw * d->DW) * s->C + c,
                    b->chain + (kh * d->KW + kw) * s->M * s->chunk, b->begin[kw], b->end[kw]};
    }
    return taps;
}

/* How many of the output rows [oh, end) of an image have the same taps. */
static ptrdiff_t lines_of_sums(const sums *s, ptrdiff_t oh, ptrdiff_t end)
{
    const cvl_conv2d *d = &s->shape->d;
    ptrdiff_t lines = 1, ih;
    if (s->M > 1 || s->pieces > 1)
        return 1;
    for (; oh + lines < end; lines++)
        for (ptrdiff_t kh = 0; kh < d->KH; kh++)
            if (reads_row(d, oh, kh, &ih) != reads_row(d, oh + lines, kh, &ih))
                return lines;
    return lines;
}

/* One chain of a block for channels [c, c + channels). */
static void sum_block(const sums *s, const buffers *b, ptrdiff_t block, ptrdiff_t c,
                      ptrdiff_t channels)
{
    const cvl_conv2d *d = &s->shape->d;
    const ptrdiff_t OH = s->shape->OH, OW = s->shape->OW, M = s->M;
    const ptrdiff_t last = cvl_min((block + 1) * s->rows, d->N * OH * s->pieces);
    memset(b->chain, 0, (size_t)(s->K * M * s->chunk) * sizeof(T));
    ptrdiff_t lines;
    for (ptrdiff_t row = block * s->rows; row < last; row += lines) {
        const ptrdiff_t piece = row % s->pieces, oh = row / s->pieces % OH;
        const ptrdiff_t n = row / s->pieces / OH, from = piece * CVL_ORDER_PIXELS;
        const ptrdiff_t columns = cvl_min(OW - from, CVL_ORDER_PIXELS);
        if (row == block * s->rows || s->pieces > 1)
            list_columns(s, b, piece);
        lines = lines_of_sums(s, oh, cvl_min(OH, oh + last - row));
        const T *dy = s->dy + (((n * OH + oh) * OW + from) * s->C + c) * M;
        NAME(depthwise_sums)
        job = {
            .taps = list_sums(s, b, n, oh, piece, c),
            .tap = b->tap,
            .lines = lines,
            .x_line = d->SH * d->W * s->C,
            .dy_line = OW * s->C,
            .x_step = d->SW * s->C,
            .dy_step = M > 1 ? s->chunk : s->C,
            .channels = channels,
            .dy = dy,
        };
        if (M == 1) {
            s->kernels->depthwise_weights(&job);
            continue;
        }
        for (ptrdiff_t w = 0; w < columns; w++)
            s->kernels->transpose(M, channels, b->planes + w * s->chunk, columns * s->chunk,
                                  dy + w * s->C * M, M);
        for (ptrdiff_t m = 0; m < M; m++) {
            job.dy = b->planes + m * columns * s->chunk;
            s->kernels->depthwise_weights(&job);
            for (ptrdiff_t t = 0; t < job.taps; t++)
                b->tap[t].sum += s->chunk;
        }
    }
}

/* Task: a span of channels over the blocks of one split. */
static void sum_blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const sums *s = context;
    size_t bytes;
    const buffers b = carve_buffers(s, s->worker + (size_t)worker * s->worker_bytes, &bytes);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t split = task / s->spans, c0 = task % s->spans * s->span;
        const ptrdiff_t c1 = cvl_min(c0 + s->span, s->C), planes = s->K * s->M;
        T *dw = split ? s->partial + (split - 1) * s->shape->w_size : s->dw;
        for (ptrdiff_t k = 0; k < planes; k++)
            memset(dw + k * s->C + c0, 0, (size_t)(c1 - c0) * sizeof(T));
        const ptrdiff_t last = s->blocks * (split + 1) / s->splits;
        for (ptrdiff_t block = s->blocks * split / s->splits; block < last; block++)
            for (ptrdiff_t c = c0; c < c1; c += s->chunk) {
                const ptrdiff_t channels = cvl_min(s->chunk, c1 - c);
                sum_block(s, &b, block, c, channels);
                for (ptrdiff_t k = 0; k < planes; k++)
                    s->kernels->add(channels, dw + k * s->C + c, dw + k * s->C + c,
                                    b.chain + k * s->chunk);
            }
    }
}

void NAME(depthwise_sums_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    sums s;
    plan_sums(&s, shape, call->workspace, call->threads);
    s.x = call->x;
    s.dy = call->dy;
    s.dw = call->out;
    if (s.M > 1) {
        s.dw = s.partial;
        s.partial += shape->w_size;
    }
    cvl_parallel_for(call->threads, s.splits * s.spans, shape->flops, CVL_FLUSH, sum_blocks, &s);
    NAME(add_partial_sums)(s.dw, s.partial, s.splits, shape->w_size, call->threads);
    for (ptrdiff_t k = 0; s.M > 1 && k < s.K; k++)
        s.kernels->transpose(s.C, s.M, call->out + k * s.M * s.C, s.M, s.dw + k * s.M * s.C, s.C);
}
