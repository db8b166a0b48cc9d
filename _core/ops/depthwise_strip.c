/* depthwise_strip.c: forward and backward data of depthwise filters of 3x3 taps, but for backward
 * data of stride 2.
 *
 * Outputs are computed in strips of a few rows. Backward data of stride 1 is forward with the
 * filter turned round.
 *
 * A load waits for the stores before it whose addresses have the same last 12 bits, and x and y
 * mostly begin at pages. So where pixels some columns apart are alike in these, outputs wait until
 * the walk has come to other channels, or a strip is cut into short pieces that take all channels in
 * turn; and where all are, what it reads is copied first, since its lines also share a set of L1.
 *
 * Order of sums: the taps of an output in the order of the inputs they read. */
#include "depthwise.h"

enum {
    TASKS = 32, /* bands are no higher than makes so many, if that leaves a strip */
    SPAN = 64,  /* else these are cut into so many channels */
    PAGE = 4096,
    FAR = 8,           /* pixels alike; above which the outputs of a row follow each other, or, */
    FAR_CACHED = 4,    /* at stride 1 and from a cache, above so many: */
    CACHED = 8 << 20,  /* up to so many bytes of inputs */
    PIECE = 4,         /* columns of inputs of a short piece, but for the filter's; twice if */
                       /* vectors are half a line; */
    LATE = 2,          /* pixels alike over stride; of so many or twice, outputs wait, */
    LATE_COLUMNS = 28, /* so many columns at once, */
    NARROW = 8,        /* but those of so many in all only up to */
    NEAR = 2,          /* pixels alike; up to which the inputs are copied else, */
    COPY = 64,         /* so many channels */
    COPY_COLUMNS = 14  /* and columns of outputs at once: they stay in L1 */
};

typedef struct strips {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    ptrdiff_t H, W, OH, OW, C; /* of what is read and written */
    ptrdiff_t stride, top, left;
    ptrdiff_t strips, band, bands; /* of an image; strips of a task */
    ptrdiff_t piece, pieces;       /* columns at once */
    ptrdiff_t span, spans;         /* channels of a task; the last has what is left besides */
    ptrdiff_t ahead, y_ahead;      /* elements from a strip to the next, or 0 */
    ptrdiff_t copy_row;            /* elements of a copied row; 0 without a copy */
    int late;                      /* whether outputs wait */
    char *worker;
    size_t worker_bytes;
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

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan(strips *s, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base,
                   int threads)
{
    const cvl_conv2d *d = &shape->d;
    *s = (strips){.shape = shape, .kernels = kernels(), .C = d->C, .stride = d->SH};
    s->H = d->H;
    s->W = d->W;
    s->OH = shape->OH;
    s->OW = shape->OW;
    s->top = d->PT;
    s->left = d->PL;
    if (pass == CVL_CONV2D_BACKWARD_DATA) {
        s->H = shape->OH;
        s->W = shape->OW;
        s->OH = d->H;
        s->OW = d->W;
        s->top = 2 - d->PT;
        s->left = 2 - d->PL;
    }
    const ptrdiff_t rows = s->stride == 1 ? CVL_STRIP_ROWS : CVL_STRIP_ROWS_2;
    s->strips = cvl_max(cvl_ceil_div(s->OH, rows), cvl_min(s->OH, 2));
    const ptrdiff_t bytes = d->C * (ptrdiff_t)sizeof(T);
    const ptrdiff_t alike = PAGE / cvl_min(PAGE, bytes & -bytes);
    const int cached = d->N * s->H * s->W * bytes <= CACHED;
    const int halves = 2 * s->kernels->vector == CVL_LINE;
    const ptrdiff_t late = LATE * s->stride;
    s->late = s->kernels->vector == CVL_LINE && (alike == late || alike == 2 * late) &&
              (alike <= NEAR || s->OW > NARROW) && (cached || s->OW <= LATE_COLUMNS);
    const int copied = alike <= NEAR && !s->late;
    s->span = copied || d->N * s->strips < TASKS ? cvl_min(d->C, copied ? COPY : SPAN) : d->C;
    s->spans = d->C / s->span;
    s->band = cvl_max(1, cvl_min(s->strips, d->N * s->spans * s->strips / TASKS));
    s->bands = cvl_ceil_div(s->strips, s->band);
    ptrdiff_t columns = (halves ? 2 : 1) * PIECE / s->stride;
    if (s->late)
        columns = LATE_COLUMNS;
    else if (copied)
        columns = COPY_COLUMNS;
    else if (alike > (cached && s->stride == 1 ? FAR_CACHED : FAR))
        columns = s->OW;
    s->pieces = cvl_ceil_div(s->OW, columns);
    s->piece = cvl_ceil_div(s->OW, s->pieces);

    /* At stride 2, short pieces have enough lines on the way, but for vectors of half a line; these
     * gain by it only where inputs are not cached. */
    const int fetches = halves ? !cached : s->stride == 1 || s->pieces == 1;
    if (!copied && fetches && !(s->late && cached))
        s->ahead = rows * s->stride * s->W * d->C;
    if (s->ahead && (halves || depthwise_is_large(shape)))
        s->y_ahead = rows * s->OW * d->C;

    cvl_scratch scratch = {base, 0};
    if (copied) {
        s->copy_row = ((s->piece - 1) * s->stride + 3) * 2 * COPY;
        s->worker_bytes = (size_t)(CVL_STRIP_INPUTS * s->copy_row) * sizeof(T);
    } else if (s->late) {
        s->worker_bytes = (size_t)(CVL_STRIP_LATE * s->piece);
    }
    s->worker = cvl_carve(&scratch, s->worker_bytes * (size_t)threads);
    return scratch.used;
}

size_t NAME(depthwise_strips_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                        int threads)
{
    strips s;
    return plan(&s, shape, pass, NULL, threads);
}

static ptrdiff_t strip_begin(const strips *s, ptrdiff_t strip) { return s->OH * strip / s->strips; }

/* A piece of columns and the channels [c, c + channels) of the strips [first, last) of image n, with
 * the inputs copied to `copy`, or outputs that wait in `late`, unless these are NULL. */
static void compute_piece(const strips *s, ptrdiff_t n, ptrdiff_t first, ptrdiff_t last,
                          ptrdiff_t piece, ptrdiff_t c, ptrdiff_t channels, T *copy, T *late)
{
    const T *x = s->in + n * s->H * s->W * s->C + c;
    const ptrdiff_t begin = piece * s->piece, end = cvl_min(s->OW, begin + s->piece);
    const ptrdiff_t from = cvl_max(0, begin * s->stride - s->left);
    const ptrdiff_t to = cvl_min(s->W, (end - 1) * s->stride - s->left + 3);
    NAME(depthwise_strip)
    job = {.w = s->w + c,
           .late = late,
           .stride = s->stride,
           .begin = begin,
           .end = end,
           .left = s->left,
           .W = s->W,
           .x_step = copy ? channels : s->C,
           .y_step = s->C,
           .y_row = s->OW * s->C,
           .w_step = s->w_step,
           .channels = channels,
           .ahead = s->ahead,
           .y_ahead = s->y_ahead,
           .ended = s->end.bias || s->end.activation != CVL_ACTIVATION_NONE,
           .ending = s->end};
    if (job.ending.bias)
        job.ending.bias += c;
    ptrdiff_t next = 0; /* row to be copied */
    for (ptrdiff_t strip = first; strip < last; strip++) {
        const ptrdiff_t o = strip_begin(s, strip), h = o * s->stride - s->top;
        job.rows = strip_begin(s, strip + 1) - o;
        job.y = s->out + (n * s->OH + o) * s->OW * s->C + c;
        next = cvl_max(next, h);
        for (ptrdiff_t i = 0; i < (job.rows - 1) * s->stride + 3; i++) {
            job.x[i] = h + i >= 0 && h + i < s->H ? x + (h + i) * s->W * s->C : NULL;
            if (!copy || !job.x[i])
                continue;
            T *copied = copy + (h + i) % CVL_STRIP_INPUTS * s->copy_row;
            if (h + i == next) {
                s->kernels->copy_pixels(to - from, channels, copied, channels,
                                        job.x[i] + from * s->C, s->C);
                next++;
            }
            job.x[i] = copied - from * channels;
        }
        s->kernels->depthwise_strip(&job);
    }
}

/* Task: a band of strips of an image and a span of channels. */
static void compute(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    const strips *s = context;
    T *own = s->worker_bytes ? (T *)(s->worker + (size_t)worker * s->worker_bytes) : NULL;
    T *copy = s->copy_row ? own : NULL, *late = s->late ? own : NULL;
    for (; task < last_task; task++) {
        const ptrdiff_t span = task % s->spans, c = span * s->span;
        const ptrdiff_t first = task / s->spans % s->bands * s->band;
        const ptrdiff_t n = task / s->spans / s->bands;
        const ptrdiff_t channels = span + 1 < s->spans ? s->span : s->C - c;
        const ptrdiff_t last = cvl_min(s->strips, first + s->band);
        const ptrdiff_t at_once = copy ? last - first : 1;
        for (ptrdiff_t strip = first; strip < last; strip += at_once)
            for (ptrdiff_t piece = 0; piece < s->pieces; piece++)
                compute_piece(s, n, strip, strip + at_once, piece, c, channels, copy, late);
    }
}

void NAME(depthwise_strips_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const int backward = call->pass == CVL_CONV2D_BACKWARD_DATA;
    strips s;
    plan(&s, shape, call->pass, call->workspace, call->threads);
    s.in = backward ? call->dy : call->x;
    s.out = call->out;
    s.end = call->end;
    s.w = backward ? call->w + 8 * s.C : call->w;
    s.w_step = backward ? -s.C : s.C;
    cvl_parallel_for(call->threads, shape->d.N * s.bands * s.spans, shape->flops, CVL_FLUSH,
                     compute, &s);
}
