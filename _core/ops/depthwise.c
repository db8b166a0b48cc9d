/* depthwise.c: the engine for groups of one input channel, with kernels over channels.
 *
 * Forward and backward data compute the outputs of a band of rows for a span of channels. Where a
 * group has several outputs, M of them, the channels of the output side are taken apart into M
 * planes of C channels, and the planes worked on one by one.
 *
 * Order of sums: as in indirect.c. */
#include "depthwise.h"

enum {
    SPAN = 1024,        /* most channels of a task */
    PIECE = 512,        /* most columns of outputs of a task */
    BAND = 16,          /* most rows of outputs of a task */
    BAND_MIN = 4,       /* fewest rows, where bands are halved for more tasks */
    TASKS = 16,         /* tasks at which they are halved no further */
    LANES = 16,         /* lanes of the widest vector */
    PLANE_CHANNELS = 8, /* fewest channels of a plane */
    SHARED = 4,         /* outputs of a channel, half a vector of avx2 */
    DIRECT_OUTPUTS = 16 /* outputs of a channel that fill the vectors of the direct engine */
};

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    (void)pass;
    return shape->d.groups == shape->d.C ? NULL : "a group has more than one input channel";
}

/* Several outputs of each channel are planes of channels: of fewer than PLANE_CHANNELS the vectors are mostly
 * empty, 1.4 to 8 times as slow as the direct engine, and to take apart each pixel of a single tap costs
 * more than its sums, 8 times as much at two outputs; forward, where the direct engine has a vector to read,
 * up to 2.8 times; and for weight gradients, of as many as share vectors on every level, 1.4 to 3 times. */
static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (d->OC == d->C)
        return 1;
    const ptrdiff_t least = pass == CVL_CONV2D_BACKWARD_DATA ? 0 : LANES;
    const ptrdiff_t most = pass == CVL_CONV2D_BACKWARD_WEIGHTS ? SHARED : DIRECT_OUTPUTS;
    const int shared = d->KH * d->KW == 1 && d->C >= least && d->OC / d->C <= most;
    return d->C >= PLANE_CHANNELS && d->OC / d->C < DIRECT_OUTPUTS && !shared;
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

/* ---------------------------------------------------------------------------------- the engine */

/* Ways of filters of 3x3 taps, of stride 1, and of all others. */
typedef enum way { STRIPS, STRIP_DATA, STRIP_WEIGHTS, PAIRS, GATHER, SUMS } way;

static way way_of(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const int weights = pass == CVL_CONV2D_BACKWARD_WEIGHTS;
    if (!NAME(depthwise_strips_take)(shape, pass))
        return weights ? SUMS : NAME(depthwise_pairs_take)(shape) ? PAIRS : GATHER;
    if (weights)
        return STRIP_WEIGHTS;
    return pass == CVL_CONV2D_BACKWARD_DATA && shape->d.SH == 2 ? STRIP_DATA : STRIPS;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    gather g;
    size_t pairs, least;
    switch (way_of(shape, pass)) {
    case STRIPS:
        return NAME(depthwise_strips_workspace)(shape, pass, threads);
    case STRIP_DATA:
        return 0;
    case STRIP_WEIGHTS:
        return NAME(depthwise_strip_weights_workspace)(shape, threads);
    case SUMS:
        return NAME(depthwise_sums_workspace)(shape, threads);
    case PAIRS:
        pairs = NAME(depthwise_pairs_workspace)(shape, pass, threads);
        least = plan_gather(&g, shape, pass, NULL, threads);
        return pairs > least ? pairs : least;
    default:
        return plan_gather(&g, shape, pass, NULL, threads);
    }
}

static void run_pairs(const NAME(conv2d_call) *call)
{
    if (NAME(all_finite)(call->w, call->shape->w_size))
        NAME(depthwise_pairs_run)(call);
    else
        run_gather(call);
}

static void run(const NAME(conv2d_call) *call)
{
    static void (*const runs[])(const NAME(conv2d_call) *) = {
        [STRIPS] = NAME(depthwise_strips_run),
        [STRIP_DATA] = NAME(depthwise_strip_data_run),
        [STRIP_WEIGHTS] = NAME(depthwise_strip_weights_run),
        [PAIRS] = run_pairs,
        [GATHER] = run_gather,
        [SUMS] = NAME(depthwise_sums_run),
    };
    runs[way_of(call->shape, call->pass)](call);
}

const NAME(conv2d_engine) NAME(depthwise_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "each group has one input channel",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
