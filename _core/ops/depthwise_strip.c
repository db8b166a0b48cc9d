/* depthwise_strip.c: forward and backward data of depthwise filters of 3x3 taps, but for backward
 * data of stride 2.
 *
 * Outputs are computed in strips of a few rows. Backward data of stride 1 is forward with the
 * filter turned round.
 *
 * Order of sums: the taps of an output in the order of the inputs they read. */
#include "depthwise.h"

enum {
    PAGE = 4096,
    CACHES = 6 << 20, /* bytes of x and y: beyond them fetching pays */
    TASKS = 32,       /* bands are no higher than makes so many, if that leaves a strip */
    SPAN = 64         /* else these are cut into so many channels */
};

typedef struct strips {
    const NAME(kernels) *kernels;
    ptrdiff_t H, W, OH, OW, C; /* of what is read and written */
    ptrdiff_t stride, top, left;
    ptrdiff_t strips, band, bands; /* of an image; strips of a task */
    ptrdiff_t span, spans;         /* channels of a task; the last has what is left besides */
    int fetch;
    const T *in, *w;
    ptrdiff_t w_step;
    T *out;
    NAME(epilogue) end;
} strips;

/* Whether of the taps of every output of an axis at most one lies before the inputs, or one after. */
static int fits(ptrdiff_t in, ptrdiff_t out, ptrdiff_t stride, ptrdiff_t before)
{
    return in >= 2 && before >= 0 && before <= 1 && (out - 1) * stride - before + 2 <= in;
}

int NAME(depthwise_strips_take)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (d->KH != 3 || d->KW != 3 || d->DH != 1 || d->DW != 1 || d->SH != d->SW || d->OC != d->C ||
        d->C * sizeof(T) < 64)
        return 0;
    if (pass != CVL_CONV2D_BACKWARD_DATA)
        return d->SH <= 2 && fits(d->H, shape->OH, d->SH, d->PT) &&
               fits(d->W, shape->OW, d->SH, d->PL);
    /* Where all pixels are alike, the outputs of stride 2 had better follow each other. */
    if (d->SH == 2)
        return d->C * sizeof(T) % PAGE != 0;
    return d->SH == 1 && fits(shape->OH, d->H, 1, 2 - d->PT) && fits(shape->OW, d->W, 1, 2 - d->PL);
}

static ptrdiff_t strip_begin(const strips *s, ptrdiff_t strip) { return s->OH * strip / s->strips; }

/* The channels [c, c + channels) of a strip of image n. */
static void compute_strip(const strips *s, ptrdiff_t n, ptrdiff_t strip, ptrdiff_t c,
                          ptrdiff_t channels)
{
    const ptrdiff_t o = strip_begin(s, strip), h = o * s->stride - s->top;
    NAME(depthwise_strip)
    job = {.w = s->w + c,
           .y = s->out + (n * s->OH + o) * s->OW * s->C + c,
           .stride = s->stride,
           .rows = strip_begin(s, strip + 1) - o,
           .OW = s->OW,
           .left = s->left,
           .W = s->W,
           .step = s->C,
           .y_step = s->C,
           .fetch = s->fetch,
           .y_row = s->OW * s->C,
           .w_step = s->w_step,
           .channels = channels,
           .ended = s->end.bias || s->end.activation != CVL_ACTIVATION_NONE,
           .ending = s->end};
    if (job.ending.bias)
        job.ending.bias += c;
    for (ptrdiff_t i = 0; i < (job.rows - 1) * s->stride + 3; i++)
        if (h + i >= 0 && h + i < s->H)
            job.x[i] = s->in + (n * s->H + h + i) * s->W * s->C + c;
    s->kernels->depthwise_strip(&job);
}

/* Task: a band of strips of an image and a span of channels. */
static void compute(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    const strips *s = context;
    (void)worker;
    for (; task < last_task; task++) {
        const ptrdiff_t span = task % s->spans, c = span * s->span;
        const ptrdiff_t first = task / s->spans % s->bands * s->band;
        const ptrdiff_t n = task / s->spans / s->bands;
        const ptrdiff_t channels = span + 1 < s->spans ? s->span : s->C - c;
        const ptrdiff_t last = cvl_min(s->strips, first + s->band);
        for (ptrdiff_t strip = first; strip < last; strip++)
            compute_strip(s, n, strip, c, channels);
    }
}

void NAME(depthwise_strips_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const cvl_conv2d *d = &shape->d;
    strips s = {.kernels = kernels(),
                .H = d->H,
                .W = d->W,
                .OH = shape->OH,
                .OW = shape->OW,
                .C = d->C,
                .stride = d->SH,
                .top = d->PT,
                .left = d->PL,
                .in = call->x,
                .out = call->out,
                .end = call->end,
                .w = call->w,
                .w_step = d->C};
    if (call->pass == CVL_CONV2D_BACKWARD_DATA) {
        s.H = shape->OH;
        s.W = shape->OW;
        s.OH = d->H;
        s.OW = d->W;
        s.top = 2 - d->PT;
        s.left = 2 - d->PL;
        s.in = call->dy;
        s.w = call->w + 8 * d->C;
        s.w_step = -d->C;
    }
    s.strips = cvl_ceil_div(s.OH, s.stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2);
    s.strips = cvl_max(s.strips, cvl_min(s.OH, 2));
    s.span = d->N * s.strips < TASKS ? cvl_min(d->C, SPAN) : d->C;
    s.spans = d->C / s.span;
    s.band = cvl_max(1, cvl_min(s.strips, d->N * s.spans * s.strips / TASKS));
    s.bands = cvl_ceil_div(s.strips, s.band);
    s.fetch = s.spans == 1 && (shape->x_size + shape->y_size) * (ptrdiff_t)sizeof(T) > CACHES;
    cvl_parallel_for(call->threads, d->N * s.bands * s.spans, shape->flops, CVL_FLUSH, compute, &s);
}
