/* depthwise_strip.c: forward and backward data of depthwise filters of 3x3 taps, but for backward
 * data of stride 2.
 *
 * Outputs are computed in strips of a few rows. Backward data of stride 1 is forward with the
 * filter turned round.
 *
 * Order of sums: the taps of an output in the order of the inputs they read. */
#include "depthwise.h"

/* Bytes of x and y beyond which a tile fetches the next one, where CPUs do not foresee it: on those of AMD
 * with units of 256 bits up to 1.9 times as fast, on Intel's down to 0.67. */
enum { PAGE = 4096, CACHES = 6 << 20 };

/* Pixels whole multiples of FAR_BYTES apart lie in few sets of L1, and drive each other out before vectors
 * shorter than a line have read all of it: up to three times as long, where rows are not copied, of
 * COPIED_CHANNELS at a time or what COPY_BYTES leave of them. */
enum { FAR_BYTES = 2048, COPIED_CHANNELS = 128, COPY_BYTES = 24576 };

typedef struct strips {
    const NAME(kernels) *kernels;
    ptrdiff_t H, W, OH, OW, C; /* of what is read and written */
    ptrdiff_t stride, top, left;
    cvl_strip_cut cut;
    int fetch;
    const T *in, *w;
    ptrdiff_t w_step;
    T *out;
    T *worker; /* copies of CVL_STRIP_INPUTS rows and of the weights, of a span; or NULL */
    ptrdiff_t worker_size;
    NAME(epilogue) end;
} strips;

ptrdiff_t NAME(depthwise_copied_channels)(ptrdiff_t C, ptrdiff_t pixels)
{
    ptrdiff_t channels = COPIED_CHANNELS;
    if (C * (ptrdiff_t)sizeof(T) % FAR_BYTES != 0 || kernels()->vector >= CVL_LINE)
        return 0;
    while (channels * pixels * (ptrdiff_t)sizeof(T) > COPY_BYTES)
        channels /= 2;
    return channels < LINE ? 0 : channels;
}

/* Whether of the taps of every output of an axis at most one lies before the inputs, or one after. */
static int fits(ptrdiff_t in, ptrdiff_t out, ptrdiff_t stride, ptrdiff_t before)
{
    return in >= 2 && before >= 0 && before <= 1 && (out - 1) * stride - before + 2 <= in;
}

int NAME(depthwise_strips_take)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (d->KH != 3 || d->KW != 3 || d->DH != 1 || d->DW != 1 || d->SH != d->SW || d->OC != d->C ||
        d->C < LINE)
        return 0;
    if (pass != CVL_CONV2D_BACKWARD_DATA)
        return d->SH <= 2 && fits(d->H, shape->OH, d->SH, d->PT) &&
               fits(d->W, shape->OW, d->SH, d->PL);
    /* Where all pixels are alike, the outputs of stride 2 had better follow each other. */
    if (d->SH == 2)
        return d->C * sizeof(T) % PAGE != 0;
    return d->SH == 1 && fits(shape->OH, d->H, 1, 2 - d->PT) && fits(shape->OW, d->W, 1, 2 - d->PL);
}

static ptrdiff_t strip_begin(const strips *s, ptrdiff_t strip)
{
    return s->OH * strip / s->cut.strips;
}

/* The channels [c, c + channels) of a strip of image n. With copies, of rows from *next on there are
 * none yet. */
static void compute_strip(const strips *s, ptrdiff_t n, ptrdiff_t strip, ptrdiff_t c,
                          ptrdiff_t channels, T *copies, ptrdiff_t *next)
{
    const ptrdiff_t o = strip_begin(s, strip), h = o * s->stride - s->top;
    const ptrdiff_t row = s->W * channels;
    NAME(depthwise_strip)
    job = {.w = copies ? copies + CVL_STRIP_INPUTS * row : s->w + c,
           .y = s->out + (n * s->OH + o) * s->OW * s->C + c,
           .stride = s->stride,
           .rows = strip_begin(s, strip + 1) - o,
           .OW = s->OW,
           .left = s->left,
           .W = s->W,
           .step = copies ? channels : s->C,
           .y_step = s->C,
           .fetch = s->fetch,
           .y_row = s->OW * s->C,
           .w_step = copies ? channels : s->w_step,
           .channels = channels,
           .ended = s->end.bias || s->end.activation != CVL_ACTIVATION_NONE,
           .ending = s->end};
    if (job.ending.bias)
        job.ending.bias += c;
    const ptrdiff_t end = cvl_min(h + (job.rows - 1) * s->stride + 3, s->H);
    for (ptrdiff_t i = cvl_max(h, 0); i < end; i++) {
        job.x[i - h] = s->in + (n * s->H + i) * s->W * s->C + c;
        if (!copies)
            continue;
        T *copy = copies + i % CVL_STRIP_INPUTS * row;
        if (i >= *next)
            s->kernels->copy_pixels(s->W, channels, copy, channels, job.x[i - h], s->C);
        job.x[i - h] = copy;
    }
    *next = end;
    s->kernels->depthwise_strip(&job);
}

/* Task: a band of strips of an image and a span of channels. */
static void compute(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    const strips *s = context;
    T *copies = s->worker ? s->worker + worker * s->worker_size : NULL;
    for (; task < last_task; task++) {
        const cvl_strip_task at = cvl_strip_task_of(&s->cut, s->C, task);
        ptrdiff_t next = 0;
        if (copies)
            s->kernels->copy_pixels(9, at.channels, copies + CVL_STRIP_INPUTS * s->W * at.channels,
                                    at.channels, s->w + at.c, s->w_step);
        for (ptrdiff_t strip = at.first; strip < at.last; strip++)
            compute_strip(s, at.n, strip, at.c, at.channels, copies, &next);
    }
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan(strips *s, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base,
                   int threads)
{
    const cvl_conv2d *d = &shape->d;
    *s = (strips){.kernels = kernels(),
                  .H = d->H,
                  .W = d->W,
                  .OH = shape->OH,
                  .OW = shape->OW,
                  .C = d->C,
                  .stride = d->SH,
                  .top = d->PT,
                  .left = d->PL};
    if (pass == CVL_CONV2D_BACKWARD_DATA) {
        s->H = shape->OH;
        s->W = shape->OW;
        s->OH = d->H;
        s->OW = d->W;
        s->top = 2 - d->PT;
        s->left = 2 - d->PL;
    }
    const ptrdiff_t rows = s->stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2;
    const ptrdiff_t count = cvl_max(cvl_ceil_div(s->OH, rows), cvl_min(s->OH, 2));
    const ptrdiff_t copied = NAME(depthwise_copied_channels)(d->C, CVL_STRIP_INPUTS * s->W);
    s->cut = cvl_cut_strips(d->N, count, d->C, copied);
    s->fetch = cvl_has_half_units() && s->cut.spans == 1 &&
               (shape->x_size + shape->y_size) * (ptrdiff_t)sizeof(T) > CACHES;

    cvl_scratch scratch = {base, 0};
    s->worker_size = (CVL_STRIP_INPUTS * s->W + 9) * copied;
    s->worker = cvl_carve(&scratch, (size_t)(s->worker_size * threads) * sizeof(T));
    if (!copied)
        s->worker = NULL;
    return scratch.used;
}

size_t NAME(depthwise_strips_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                        int threads)
{
    strips s;
    return plan(&s, shape, pass, NULL, threads);
}

void NAME(depthwise_strips_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const cvl_conv2d *d = &shape->d;
    strips s;
    plan(&s, shape, call->pass, call->workspace, call->threads);
    s.in = call->pass == CVL_CONV2D_BACKWARD_DATA ? call->dy : call->x;
    s.out = call->out;
    s.end = call->end;
    s.w = call->w;
    s.w_step = d->C;
    if (call->pass == CVL_CONV2D_BACKWARD_DATA) {
        s.w = call->w + 8 * d->C;
        s.w_step = -d->C;
    }
    cvl_parallel_sweep(call->threads, s.cut.tasks, shape->flops, CVL_FLUSH, compute, &s);
}
