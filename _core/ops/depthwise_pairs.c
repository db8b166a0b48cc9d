/* depthwise_pairs.c: forward and backward data of depthwise filters of stride 1.
 *
 * Outputs are computed two rows at a time from copies of the rows they read, which lie in L1 with zeros
 * for padding. Channels are cut into chunks of whole vectors; where that leaves many lanes empty,
 * `pixels` neighbours are taken for one pixel of more channels instead.
 *
 * Backward data is forward with rows and columns in the other order.
 *
 * Order of sums: as in indirect.c. */
#include "depthwise.h"

enum {
    ROWS = 2,                /* rows of outputs at once */
    FEW_CHANNELS = 4 * LINE, /* fewer channels may leave too many lanes empty */
    WIDE = 8,                /* outputs of a row at once, about */
    CHAINS = 4,              /* what fewer cost as much as: their sums wait for each other */
    COPY_BYTES = 24576,      /* most bytes of copies, which lie in L1 */
    NARROW = 2,              /* fewest lines of channels; copies may then take more */
    PIECE = 16,              /* fewest columns of outputs, likewise */
    BAND_MIN = 4,            /* fewest rows of outputs of a task */
    TASKS = 16               /* tasks at which rows are cut no further */
};

typedef struct pairs {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    int backward;
    ptrdiff_t H, W, OH, OW, C; /* of what is read and written */
    ptrdiff_t left;            /* columns of padding before those that are read */
    ptrdiff_t pixels;          /* taken for one */
    ptrdiff_t ld, chunks;      /* elements of a copied pixel, and how often that is all channels */
    ptrdiff_t w_step;          /* elements of a copied tap */
    ptrdiff_t ring, row;       /* copied rows that outputs need, and elements of one */
    ptrdiff_t piece, pieces;   /* columns of a task */
    ptrdiff_t band, bands;     /* rows of a task */
    char *worker;
    size_t worker_bytes;
    const NAME(conv2d_call) *call;
    const T *in;
} pairs;

/* Of each worker, weights too: from another core's cache they come at ten times the price. */
typedef struct buffers {
    T *w, *bias;                 /* (chunks, KH, KW, w_step), (chunks, w_step) */
    NAME(depthwise_copied) *tap; /* of two output rows */
    T *copies;                   /* (ring, row) */
} buffers;

/* Two rows of outputs share no inputs of one kernel row, for which copies pay of few channels alone. */
int NAME(depthwise_pairs_take)(const cvl_conv2d_shape *shape)
{
    const cvl_conv2d *d = &shape->d;
    return d->OC == d->C && d->SH == 1 && d->SW == 1 && d->DH == 1 && d->DW == 1 &&
           (d->KH > 1 || (d->KW > 1 && d->C < FEW_CHANNELS)) && d->KH * d->KW <= CVL_ORDER_K;
}

static ptrdiff_t whole_lines(ptrdiff_t elements) { return cvl_ceil_div(elements, LINE) * LINE; }

/* How long a vector of each of `outputs` outputs takes. */
static ptrdiff_t cost(ptrdiff_t outputs)
{
    return cvl_max(outputs, CHAINS * cvl_ceil_div(outputs, WIDE));
}

/* How many pixels are best taken for one. */
static ptrdiff_t best_pixels(ptrdiff_t C, ptrdiff_t OW)
{
    ptrdiff_t best = 1, least = PTRDIFF_MAX;
    for (ptrdiff_t pixels = 1; pixels <= LINE && (pixels == 1 || C < FEW_CHANNELS); pixels++) {
        const ptrdiff_t time = cvl_ceil_div(pixels * C, LINE) * cost(OW / pixels) +
                               cvl_ceil_div(OW % pixels * C, LINE) * cost(1);
        if (time < least) {
            least = time;
            best = pixels;
        }
    }
    return best;
}

static buffers carve_buffers(const pairs *p, char *base, size_t *bytes)
{
    const cvl_conv2d *d = &p->shape->d;
    const size_t tap = (size_t)(p->chunks * p->w_step) * sizeof(T);
    cvl_scratch s = {base, 0};
    buffers b;
    b.w = cvl_carve(&s, (size_t)(d->KH * d->KW) * tap);
    b.bias = cvl_carve(&s, tap);
    b.tap = cvl_carve(&s, (size_t)((d->KH + ROWS - 1) * d->KW) * sizeof *b.tap);
    b.copies = cvl_carve(&s, (size_t)(p->ring * p->row) * sizeof(T));
    *bytes = s.used;
    return b;
}

/* Cuts what is read into copies. */
static void plan_copies(pairs *p)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t beyond = d->KW - 1; /* columns that outputs read more than they are */
    p->left = p->backward ? beyond - d->PL : d->PL;
    p->ring = d->KH + ROWS - 1;

    const ptrdiff_t column = p->ring * (ptrdiff_t)sizeof(T); /* bytes of a channel */
    p->pixels = best_pixels(p->C, p->OW);
    p->chunks = 1;
    p->ld = p->C;
    if (p->pixels == 1) {
        const ptrdiff_t lines = cvl_ceil_div(p->C, LINE);
        const ptrdiff_t most = cvl_max(NARROW, COPY_BYTES / column / (p->OW + beyond) / LINE);
        p->chunks = cvl_ceil_div(lines, most);
        p->ld = cvl_ceil_div(lines, p->chunks) * LINE;
    }
    p->w_step = whole_lines(p->pixels * p->ld);
    p->pieces = cvl_ceil_div(p->OW, cvl_max(PIECE, COPY_BYTES / column / p->ld - beyond));
    p->piece = cvl_ceil_div(cvl_ceil_div(p->OW, p->pieces), p->pixels) * p->pixels;
    p->pieces = cvl_ceil_div(p->OW, p->piece);
    p->row = whole_lines((p->piece + beyond) * p->ld) + LINE; /* vectors may go beyond */
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t plan(pairs *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base,
                   int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (pairs){.shape = shape,
                 .kernels = kernels(),
                 .H = d->H,
                 .W = d->W,
                 .OH = shape->OH,
                 .OW = shape->OW,
                 .C = d->C};
    if (pass == CVL_CONV2D_BACKWARD_DATA) {
        p->backward = 1;
        p->H = shape->OH;
        p->W = shape->OW;
        p->OH = d->H;
        p->OW = d->W;
    }
    plan_copies(p);
    const ptrdiff_t tasks = cvl_max(1, d->N * p->pieces * p->chunks);
    p->bands = cvl_min(cvl_ceil_div(TASKS, tasks), cvl_ceil_div(p->OH, BAND_MIN));
    p->band = cvl_ceil_div(cvl_ceil_div(p->OH, p->bands), ROWS) * ROWS;
    p->bands = cvl_ceil_div(p->OH, p->band);

    cvl_scratch s = {base, 0};
    carve_buffers(p, NULL, &p->worker_bytes);
    p->worker = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(depthwise_pairs_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                       int threads)
{
    pairs p;
    return plan(&p, shape, pass, NULL, threads);
}

/* Copies `taps` rows of C elements, by chunks, with zeros in the lanes that are left. */
static void pack(const pairs *p, ptrdiff_t taps, T *out, const T *in)
{
    for (ptrdiff_t c = 0; c < p->C; c += p->ld) {
        const ptrdiff_t channels = cvl_min(p->ld, p->C - c), used = p->pixels * channels;
        for (ptrdiff_t k = 0; k < taps; k++, out += p->w_step) {
            for (ptrdiff_t i = 0; i < p->pixels; i++)
                memcpy(out + i * channels, in + k * p->C + c, (size_t)channels * sizeof(T));
            memset(out + used, 0, (size_t)(p->w_step - used) * sizeof(T));
        }
    }
}

/* Copies row `row` of all rows that are read, channels [c, c + channels) for the outputs of a piece
 * that begins at column `first`. */
static void copy_row(const pairs *p, T *copy, ptrdiff_t row, ptrdiff_t first, ptrdiff_t c,
                     ptrdiff_t channels)
{
    const ptrdiff_t ahead = ROWS * p->W * p->C; /* what the next outputs read */
    const ptrdiff_t left = first - p->left, begin = cvl_max(0, left);
    const ptrdiff_t end = cvl_min(left + p->piece + p->shape->d.KW - 1, p->W);
    const T *in = p->in + (row * p->W + begin) * p->C + c;
    T *out = copy + (begin - left) * p->ld;
    if (p->ld == p->C)
        p->kernels->depthwise_copy(1, (end - begin) * p->C, out, 0, in, 0, ahead);
    else
        p->kernels->depthwise_copy(end - begin, channels, out, p->ld, in, p->C, ahead);
}

/* Lists the taps of `rows` output rows of which the first reads from row `from` on. */
static void list_taps(const pairs *p, const buffers *b, ptrdiff_t from, const T *w,
                      NAME(depthwise_pair) *job)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t hop = p->backward ? -1 : 1;
    ptrdiff_t row = from, at = from % p->ring;
    NAME(depthwise_copied) *tap = b->tap;
    job->first = job->both = job->second = 0;
    for (ptrdiff_t i = 0; i < d->KH + job->rows - 1;
         i++, row += hop, at += hop, w += d->KW * p->w_step) {
        at += at < 0 ? p->ring : at >= p->ring ? -p->ring : 0;
        if (row < 0 || row >= p->H)
            continue;
        const T *copy = b->copies + at * p->row;
        for (ptrdiff_t kw = 0; kw < d->KW; kw++) {
            const ptrdiff_t column = p->backward ? d->KW - 1 - kw : kw;
            *tap++ = (NAME(depthwise_copied)){copy + column * p->ld, w + kw * p->w_step};
        }
        if (i >= d->KH)
            job->second += d->KW;
        else if (i > 0 && job->rows == ROWS)
            job->both += d->KW;
        else
            job->first += d->KW;
    }
}

/* Chunk `chunk` of the columns from `first` on of output rows [o, stop) of image n. */
static void compute_band(const pairs *p, const buffers *b, ptrdiff_t n, ptrdiff_t o, ptrdiff_t stop,
                         ptrdiff_t first, ptrdiff_t chunk)
{
    const cvl_conv2d *d = &p->shape->d;
    const ptrdiff_t c = chunk * p->ld, channels = cvl_min(p->ld, p->C - c);
    const ptrdiff_t columns = cvl_min(p->piece, p->OW - first), hop = p->backward ? -1 : 1;
    const T *w = b->w + chunk * d->KH * d->KW * p->w_step;
    const NAME(epilogue) *end = &p->call->end;
    NAME(depthwise_pair)
    job = {.outputs = cvl_ceil_div(columns, p->pixels),
           .channels = p->pixels > 1 ? p->pixels * p->C : channels,
           .tap = b->tap,
           .w_row = d->KW * p->w_step,
           .x_step = p->pixels * p->ld,
           .y_step = p->pixels * p->C,
           .y_row = hop * p->OW * p->C,
           .ending = {end->bias ? b->bias + chunk * p->w_step : NULL, end->activation, end->slope}};
    job.last = job.channels - (job.outputs * p->pixels - columns) * p->C;
    for (ptrdiff_t next = 0; o < stop; o += job.rows) {
        job.rows = cvl_min(ROWS, stop - o);
        /* Rows go in the order of taps, and the output row is first of which taps come first. */
        const ptrdiff_t reach = d->KH + job.rows - 2;
        const ptrdiff_t from = p->backward ? o + job.rows - 1 + d->PT : o - d->PT;
        const ptrdiff_t low = p->backward ? from - reach : from;
        for (next = cvl_max(next, cvl_max(0, low)); next <= cvl_min(low + reach, p->H - 1); next++)
            copy_row(p, b->copies + next % p->ring * p->row, n * p->H + next, first, c, channels);
        list_taps(p, b, from, w, &job);
        const ptrdiff_t y = p->backward ? o + job.rows - 1 : o;
        job.y = p->call->out + ((n * p->OH + y) * p->OW + first) * p->C + c;
        p->kernels->depthwise_pair(&job);
    }
}

/* Task: a band of rows of an image, a piece of its columns, and a chunk of channels. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const pairs *p = context;
    size_t bytes;
    const buffers b = carve_buffers(p, p->worker + (size_t)worker * p->worker_bytes, &bytes);
    pack(p, p->shape->d.KH * p->shape->d.KW, b.w, p->call->w);
    if (p->call->end.bias)
        pack(p, 1, b.bias, p->call->end.bias);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t chunk = task % p->chunks, piece = task / p->chunks % p->pieces;
        const ptrdiff_t band = task / p->chunks / p->pieces % p->bands;
        const ptrdiff_t n = task / p->chunks / p->pieces / p->bands, o = band * p->band;
        if (task == begin || p->pieces > 1) /* copies leave out what is padding */
            memset(b.copies, 0, (size_t)(p->ring * p->row) * sizeof(T));
        compute_band(p, &b, n, o, cvl_min(o + p->band, p->OH), piece * p->piece, chunk);
    }
}

void NAME(depthwise_pairs_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    pairs p;
    plan(&p, shape, call->pass, call->workspace, call->threads);
    p.call = call;
    p.in = p.backward ? call->dy : call->x;
    cvl_parallel_for(call->threads, shape->d.N * p.bands * p.pieces * p.chunks, shape->flops,
                     CVL_FLUSH, compute, &p);
}
