/* depthwise.c: the engine for groups of one input channel, with kernels over channels.
 *
 * Forward and backward data compute the outputs of a band of rows for a span of channels. Where a
 * group has several outputs, M of them, the channels of the output side are taken apart into M
 * planes of C channels, and the planes worked on one by one.
 *
 * Order of sums: forward and backward data as in indirect.c. Backward weights: output positions are
 * dealt to blocks as in outer.c, one FMA chain each; the blocks are further dealt to `splits`
 * partial sums, added in order at the end; their number depends on the shape only. */
#include "conv2d.h"

enum {
    SPAN = 1024,   /* most channels of a task; fewer where */
    CHAIN = 16384, /* the sums of all taps would be more elements */
    CHANNELS = 64, /* than those of this many channels */
    BAND = 16,     /* most rows of outputs of a task, and fewest where */
    BAND_MIN = 4,  /* there are fewer tasks than */
    TASKS = 16,
    PIECE = 512, /* most columns of outputs of a task */
    FEW = 16     /* outputs of a channel from which on the direct engine fills its vectors */
};

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)pass;
    return shape->d.groups == shape->d.C ? NULL : "a group has more than one input channel";
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)pass;
    return shape->d.OC / shape->d.C < FEW && (shape->d.C > 1 || shape->d.OC == 1);
}

/* ---------------------------------------------------------------- forward and backward data */

/* Outputs o = phase, phase + step, ... of an axis read, with kernel index k, input
 * (o*S + k*D - P) forward and (o + P - k*D)/S, where that is whole, backward. */
typedef struct axis {
    ptrdiff_t in, out, S, D, P;
    int backward;
} axis;

static int reads(const axis *a, ptrdiff_t o, ptrdiff_t k, ptrdiff_t *i)
{
    if (!a->backward) {
        *i = o * a->S + k * a->D - a->P;
        return 1;
    }
    const ptrdiff_t spread = o + a->P - k * a->D;
    *i = cvl_floor_div(spread, a->S);
    return *i * a->S == spread;
}

/* The columns of one phase: their taps and where all of these lie inside. */
typedef struct phase {
    ptrdiff_t first, last, inner_begin, inner_end, columns;
} phase;

typedef struct gather {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    int backward;
    axis rows, columns;
    ptrdiff_t C, M, forward_planes; /* M forward, else 1 */
    ptrdiff_t span, spans, band, bands, piece, pieces, phases, segments;
    phase *phase;
    cvl_depthwise_tap *tap;
    ptrdiff_t *k; /* of a tap in kernel row 0 */
    const T *w;   /* (KH, KW, M, C) */
    T *packed, *bias;
    ptrdiff_t in_rows, worker_planes;
    char *worker;
    size_t worker_bytes;
    T *out;
    const T *in;
    NAME(epilogue) end;
} gather;

typedef struct tables {
    NAME(depthwise_row) *row;
    ptrdiff_t *segment_end;
    T *planes; /* of outputs (M, OW, span) forward, of inputs (M, in_rows, columns, span) backward */
} tables;

static tables carve_tables(const gather *g, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    const size_t rows = (size_t)(g->shape->d.KH + g->segments);
    t.row = cvl_carve(&s, rows * sizeof *t.row);
    t.segment_end = cvl_carve(&s, (size_t)g->segments * sizeof *t.segment_end);
    t.planes = cvl_carve(&s, (size_t)g->worker_planes * sizeof(T));
    *bytes = s.used;
    return t;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan_gather(gather *g, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                          char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    const int backward = pass == CVL_CONV2D_BACKWARD_DATA;
    *g = (gather){.shape = shape, .kernels = kernels(), .backward = backward};
    g->rows = (axis){d->H, shape->OH, d->SH, d->DH, d->PT, 0};
    g->columns = (axis){d->W, shape->OW, d->SW, d->DW, d->PL, 0};
    if (backward) {
        g->rows = (axis){shape->OH, d->H, d->SH, d->DH, d->PT, 1};
        g->columns = (axis){shape->OW, d->W, d->SW, d->DW, d->PL, 1};
    }
    g->C = d->C;
    g->M = d->OC / d->C;
    g->forward_planes = backward ? 1 : g->M;
    g->phases = backward ? cvl_min(d->SW, d->W) : 1;
    g->segments = cvl_ceil_div(d->KH * d->KW * (backward ? g->M : 1), CVL_ORDER_K);

    const ptrdiff_t grid = cvl_ceil_div(g->columns.out, g->phases);
    g->piece = cvl_min(grid, PIECE);
    g->pieces = cvl_ceil_div(grid, g->piece);
    g->span = cvl_min(d->C, SPAN);
    g->spans = cvl_ceil_div(d->C, g->span);
    g->band = cvl_min(BAND, g->rows.out);
    while (g->band > BAND_MIN &&
           d->N * cvl_ceil_div(g->rows.out, g->band) * g->pieces * g->spans < TASKS)
        g->band = cvl_ceil_div(g->band, 2);
    g->bands = cvl_ceil_div(g->rows.out, g->band);
    g->in_rows = (g->band + d->DH * (d->KH - 1)) / d->SH + 2;
    if (g->M > 1)
        g->worker_planes = g->M * g->span * g->columns.in * g->in_rows;
    if (g->M > 1 && !backward)
        g->worker_planes = g->M * g->span * shape->OW;

    const size_t taps = (size_t)(d->KW * g->M);
    cvl_scratch s = {base, 0};
    g->phase = cvl_carve(&s, (size_t)g->phases * sizeof *g->phase);
    g->tap = cvl_carve(&s, taps * sizeof *g->tap);
    g->k = cvl_carve(&s, taps * sizeof *g->k);
    if (g->M > 1) {
        g->packed = cvl_carve(&s, (size_t)shape->w_size * sizeof(T));
        g->bias = cvl_carve(&s, (size_t)d->OC * sizeof(T));
    }
    carve_tables(g, NULL, &g->worker_bytes);
    g->worker = cvl_carve(&s, g->worker_bytes * (size_t)threads);
    return s.used;
}

/* Elements between pixels, rows and planes of what is read. */
static void input_steps(const gather *g, ptrdiff_t step[3])
{
    step[0] = g->backward && g->M > 1 ? g->span : g->C;
    step[1] = g->columns.in * step[0];
    step[2] = g->in_rows * step[1];
}

/* Lists the taps of a kernel row, phase by phase, in the order of k. */
static void list_taps(const gather *g)
{
    const axis *a = &g->columns;
    const ptrdiff_t in_step = g->backward ? 1 : a->S, chained = g->backward ? g->M : 1;
    ptrdiff_t step[3], t = 0;
    input_steps(g, step);
    for (ptrdiff_t p = 0; p < g->phases; p++) {
        phase *at = &g->phase[p];
        *at = (phase){t, t, 0, cvl_ceil_div(a->out - p, g->phases), 0};
        at->columns = at->inner_end;
        for (ptrdiff_t kw = 0; kw < g->shape->d.KW; kw++) {
            ptrdiff_t column;
            if (!reads(a, p, kw, &column))
                continue;
            for (ptrdiff_t m = 0; m < chained; m++) {
                g->k[t] = kw * chained + m;
                g->tap[t++] = (cvl_depthwise_tap){column * step[0] + m * step[2],
                                                  (kw * g->M + m) * g->C, column};
            }
            at->inner_begin = cvl_max(at->inner_begin, cvl_ceil_div(-column, in_step));
            at->inner_end = cvl_min(at->inner_end, cvl_floor_div(a->in - 1 - column, in_step) + 1);
        }
        at->last = t;
    }
}

/* Lists the kernel rows that output row o of a phase reads, cut into segments of k; returns how
 * many segments there are. x is input row 0. */
static ptrdiff_t list_rows(const gather *g, const phase *at, const tables *t, ptrdiff_t o,
                           const T *x, ptrdiff_t row_step, const T *w)
{
    const cvl_conv2d *d = &g->shape->d;
    const ptrdiff_t row_k = d->KW * (g->backward ? g->M : 1);
    ptrdiff_t rows = 0, segments = 0, last = -1;
    for (ptrdiff_t kh = 0; kh < d->KH; kh++) {
        ptrdiff_t i;
        if (!reads(&g->rows, o, kh, &i) || i < 0 || i >= g->rows.in)
            continue;
        if (g->segments == 1 && at->first < at->last) {
            t->row[rows++] = (NAME(depthwise_row)){x + i * row_step, w + kh * d->KW * g->M * g->C,
                                                   at->first, at->last};
            t->segment_end[0] = rows;
            segments = 1;
            continue;
        }
        for (ptrdiff_t tap = at->first; tap < at->last;) {
            const ptrdiff_t segment = (kh * row_k + g->k[tap]) / CVL_ORDER_K, first = tap;
            while (tap < at->last && (kh * row_k + g->k[tap]) / CVL_ORDER_K == segment)
                tap++;
            segments += segment != last;
            last = segment;
            t->row[rows++] =
                (NAME(depthwise_row)){x + i * row_step, w + kh * d->KW * g->M * g->C, first, tap};
            t->segment_end[segments - 1] = rows;
        }
    }
    return segments;
}

/* How many of the output rows [o, end) read the same kernel rows, one input row after the other. */
static ptrdiff_t lines_like(const gather *g, ptrdiff_t o, ptrdiff_t end)
{
    const axis *a = &g->rows;
    ptrdiff_t lines = 1, i;
    if (g->forward_planes > 1 || (g->backward && a->S > 1))
        return 1;
    for (; o + lines < end; lines++)
        for (ptrdiff_t kh = 0; kh < g->shape->d.KH; kh++) {
            reads(a, o, kh, &i);
            const int was_inside = (size_t)i < (size_t)a->in;
            reads(a, o + lines, kh, &i);
            if (was_inside != ((size_t)i < (size_t)a->in))
                return lines;
        }
    return lines;
}

/* Channels [c0, c0 + channels) of the columns [begin, end) of `lines` output rows from o on of a
 * phase; x is input row 0 and y output column 0 of the phase, both at channel c0. */
static void compute_lines(const gather *g, ptrdiff_t p, const tables *t, ptrdiff_t o,
                          ptrdiff_t lines, ptrdiff_t begin, ptrdiff_t channels, const T *x,
                          const T *w, T *y, ptrdiff_t y_step, NAME(epilogue) end)
{
    const phase *at = &g->phase[p];
    ptrdiff_t step[3];
    input_steps(g, step);
    const ptrdiff_t in_step = g->backward ? 1 : g->columns.S;
    const ptrdiff_t segments = list_rows(g, at, t, o, x, step[1], w);
    NAME(depthwise)
    job = {
        .tap = g->tap,
        .lines = lines,
        .x_line = step[1] * (g->backward ? 1 : g->rows.S),
        .y_line = g->columns.out * g->C,
        .begin = begin,
        .end = cvl_min(begin + g->piece, at->columns),
        .inner_begin = at->inner_begin,
        .inner_end = at->inner_end,
        .W = g->columns.in,
        .in_step = in_step,
        .x_step = in_step * step[0],
        .y_step = y_step,
        .channels = channels,
        .y = y,
    };
    ptrdiff_t done = 0;
    for (ptrdiff_t s = 0; s == 0 || s < segments; s++) {
        job.row = t->row + done;
        job.rows = segments ? t->segment_end[s] - done : 0;
        job.add = s > 0;
        if (s + 1 >= segments)
            job.ending = end;
        g->kernels->depthwise(&job);
        done += job.rows;
    }
}

/* Takes the input rows from `first` on of image n, channels [c0, c0 + channels), apart into planes. */
static void take_apart(const gather *g, T *planes, ptrdiff_t n, ptrdiff_t first, ptrdiff_t c0,
                       ptrdiff_t channels)
{
    const ptrdiff_t W = g->columns.in;
    const ptrdiff_t rows = cvl_min(g->in_rows, g->rows.in - first);
    for (ptrdiff_t pixel = 0; pixel < rows * W; pixel++)
        g->kernels->transpose(g->M, channels, planes + pixel * g->span, g->in_rows * W * g->span,
                              g->in + (((n * g->rows.in + first) * W + pixel) * g->C + c0) * g->M,
                              g->M);
}

/* Task: a band of rows of an image, a piece of its columns, and a span of channels. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const gather *g = context;
    const cvl_conv2d *d = &g->shape->d;
    const ptrdiff_t M = g->forward_planes, OW = g->columns.out;
    size_t bytes;
    const tables t = carve_tables(g, g->worker + (size_t)worker * g->worker_bytes, &bytes);
    ptrdiff_t step[3];
    input_steps(g, step);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t c0 = task % g->spans * g->span;
        const ptrdiff_t first = task / g->spans % g->pieces * g->piece;
        const ptrdiff_t band = task / g->spans / g->pieces % g->bands * g->band;
        const ptrdiff_t n = task / g->spans / g->pieces / g->bands;
        const ptrdiff_t channels = cvl_min(g->span, g->C - c0);
        const T *x = g->in + n * g->rows.in * step[1] + c0;
        if (g->backward && g->M > 1) {
            const ptrdiff_t lowest = band + d->PT - (d->KH - 1) * d->DH;
            const ptrdiff_t row = cvl_max(0, cvl_min(g->rows.in - 1, cvl_floor_div(lowest, d->SH)));
            take_apart(g, t.planes, n, row, c0, channels);
            x = t.planes - row * step[1];
        }
        const ptrdiff_t stop = cvl_min(band + g->band, g->rows.out);
        ptrdiff_t lines;
        for (ptrdiff_t o = band; o < stop; o += lines) {
            lines = lines_like(g, o, stop);
            T *y = g->out + (n * g->rows.out + o) * OW * g->C * M;
            for (ptrdiff_t p = 0; p < g->phases; p++)
                for (ptrdiff_t m = 0; m < M; m++) {
                    NAME(epilogue) ending = g->end;
                    if (ending.bias)
                        ending.bias += m * g->C + c0;
                    compute_lines(g, p, &t, o, lines, first, channels, x, g->w + m * g->C + c0,
                                  M > 1 ? t.planes + m * OW * g->span : y + p * g->C + c0,
                                  M > 1 ? g->span : g->phases * g->C, ending);
                }
            for (ptrdiff_t w = first; M > 1 && w < cvl_min(first + g->piece, OW); w++)
                g->kernels->transpose(channels, M, y + (w * g->C + c0) * M, M,
                                      t.planes + w * g->span, OW * g->span);
        }
    }
}

static void run_gather(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    gather g;
    plan_gather(&g, shape, call->pass, call->workspace, call->threads);
    g.out = call->out;
    g.in = g.backward ? call->dy : call->x;
    g.end = call->end;
    g.w = call->w;
    if (g.M > 1) {
        for (ptrdiff_t k = 0; k < shape->d.KH * shape->d.KW; k++)
            g.kernels->transpose(g.M, g.C, g.packed + k * g.M * g.C, g.C, call->w + k * g.M * g.C,
                                 g.M);
        g.w = g.packed;
        if (call->end.bias && !g.backward) {
            g.kernels->transpose(g.M, g.C, g.bias, g.C, call->end.bias, g.M);
            g.end.bias = g.bias;
        }
    }
    list_taps(&g);
    cvl_parallel_for(call->threads, shape->d.N * g.bands * g.pieces * g.spans, shape->flops,
                     CVL_FLUSH, compute, &g);
}

/* ------------------------------------------------------------------------- backward weights */

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
    s->blocks = cvl_ceil_div(d->N * shape->OH * s->pieces, s->rows);
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

enum { MERGE = 4096 }; /* elements of a merge task */

static void merge(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const sums *s = context;
    const ptrdiff_t size = s->shape->w_size;
    const ptrdiff_t first = begin * MERGE, n = cvl_min(end * MERGE, size) - first;
    (void)worker;
    for (ptrdiff_t split = 1; split < s->splits; split++)
        s->kernels->add(n, s->dw + first, s->dw + first, s->partial + (split - 1) * size + first);
}

static void run_sums(const NAME(conv2d_call) *call)
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
    if (s.splits > 1)
        cvl_parallel_for(call->threads, cvl_ceil_div(shape->w_size, MERGE),
                         (double)(s.splits * shape->w_size) * sizeof(T), CVL_FLUSH, merge, &s);
    for (ptrdiff_t k = 0; s.M > 1 && k < s.K; k++)
        s.kernels->transpose(s.C, s.M, call->out + k * s.M * s.C, s.M, s.dw + k * s.M * s.C, s.C);
}

/* ---------------------------------------------------------------------------------- the engine */

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    gather g;
    sums s;
    return pass == CVL_CONV2D_BACKWARD_WEIGHTS ? plan_sums(&s, shape, NULL, threads)
                                               : plan_gather(&g, shape, pass, NULL, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        run_sums(call);
    else
        run_gather(call);
}

const NAME(conv2d_engine) NAME(depthwise_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "each group has one input channel",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
