/* planes.c: convolutions to few channels, forward at stride 1 and backward data: as those of the first
 * layer of a network, or the last of one that makes pictures.
 *
 * Channels do not fill the lanes there, but positions do. What is read is turned to a plane per channel,
 * whose rows have a gap of zeros after them as wide as taps reach beyond an edge. So a tap is a constant
 * distance, for all positions of a plane alike, and rows and images follow each other without an end for
 * the kernel to see. Outputs lie in planes of the same pitch, and are turned back; what falls into the
 * gaps is dropped. At a stride, backward data has a set of outputs for each remainder of row and
 * column, with taps of its own.
 *
 * Order of sums: that of the direct engine (indirect.c) for CVL_ORDER_PLANES channels of what is read,
 * then for the next so many, which are added; but backward data to up to
 * CVL_ORDER_PLANES_FEW channels has a chain for every CVL_ORDER_PLANES_TAPS taps, as taps are separate sums
 * elsewhere too (stem.c). Padding gives zeros, which change nothing where weights are finite; others go by
 * the direct engine. */
#include "conv2d.h"

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    int transposed;                    /* backward data */
    ptrdiff_t in[2], out[2];           /* rows and columns of what is read and written, */
    ptrdiff_t K, outputs;              /* and channels */
    ptrdiff_t planes;                  /* channels that are read at a time */
    ptrdiff_t remainders;              /* of rows and columns by the stride, together */
    ptrdiff_t kernel[2], step[2];      /* taps, and how far apart */
    ptrdiff_t stride[2], pad[2];       /* output i is number (i + pad)/stride of its remainder */
    ptrdiff_t first[2], count[2];      /* numbers of outputs of a remainder, */
    ptrdiff_t low[2], high[2];         /* which read from number + low to number + high */
    ptrdiff_t pitch;                   /* of rows in a plane */
    int sparse;                        /* gaps are a third of the rows, or more */
    ptrdiff_t rows, bands;             /* numbers of rows of a band of an image, */
    ptrdiff_t images;                  /* or so many images of one band */
    ptrdiff_t front, plane, out_plane; /* elements before the first row, and of a plane */
    char *worker_memory;
    size_t worker_bytes;
} plan;

/* A tap of an axis: which outputs have it, and how far from its output it reads, from `low` on. */
typedef struct tap {
    ptrdiff_t remainder, at;
} tap;

typedef struct worker {
    tap *taps[2];
    cvl_planes_run *run;
    T *weights;  /* (KH*KW*K, outputs) */
    T *in, *out; /* (K, plane), (outputs, out_plane) */
} worker;

/* The planes of a band stay in L2, unless they were mostly what the next one reads as well. */
enum {
    PLANES_BYTES = 256 * 1024,
    FEW_OUTPUTS = CVL_ORDER_PLANES_FEW, /* of 8 a vector is full */
    LEAST_TAPS = 4,                     /* for which turning is worth it, */
    STEM_TAPS = 2,                      /* to as few outputs as stem.c takes, */
    LEAST_POSITIONS = 64,               /* for as many outputs */
    FEW_IMAGES = 8,                     /* whose single rows are cut into bands */
    MOST_PLANES = 64,                   /* of outputs */
    STEM_CHANNELS = 4,                  /* that stem.c takes, */
    STEM_NARROW = 8                     /* and the longest rows of which it is slower */
};

/* Planes are an odd number of lines apart, or they would meet in the same sets of L1. */
static ptrdiff_t plane_size(ptrdiff_t elements)
{
    return (cvl_ceil_div(elements, LINE) | 1) * LINE;
}

/* Runs at most: one of each tap, and one more where a chain ends within it. */
static ptrdiff_t most_runs(const plan *p)
{
    const ptrdiff_t taps = p->kernel[0] * p->kernel[1];
    return taps + taps * p->planes / CVL_ORDER_K;
}

static worker carve_worker(const plan *p, char *base, size_t *bytes)
{
    const ptrdiff_t taps = p->kernel[0] * p->kernel[1];
    cvl_scratch s = {base, 0};
    worker w;
    for (int i = 0; i < 2; i++)
        w.taps[i] = cvl_carve(&s, (size_t)p->kernel[i] * sizeof *w.taps[i]);
    w.run = cvl_carve(&s, (size_t)most_runs(p) * sizeof *w.run);
    w.weights = cvl_carve(&s, p->transposed ? (size_t)(taps * p->K * p->outputs) * sizeof(T) : 0);
    w.in = cvl_carve(&s, (size_t)(p->planes * p->plane) * sizeof(T));
    w.out = cvl_carve(&s, (size_t)(p->remainders * p->outputs * p->out_plane) * sizeof(T));
    *bytes = s.used;
    return w;
}

/* What does not depend on the number of threads. */
static void read_shape(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    const int transposed = pass == CVL_CONV2D_BACKWARD_DATA;
    /* Single rows may as well be columns, which are cut into bands. */
    const int row = d->H == 1 && shape->OH == 1 && d->KH == 1 && d->SH == 1 && d->PT == 0;
    const int h = row && d->N < FEW_IMAGES, w = !h;
    ptrdiff_t x[2], y[2];
    *p = (plan){
        .kernels = kernels(),
        .transposed = transposed,
        .K = transposed ? d->OC : d->C,
        .outputs = transposed ? d->C : d->OC,
        .remainders = transposed ? d->SH * d->SW : 1,
    };
    x[h] = d->H, x[w] = d->W;
    y[h] = shape->OH, y[w] = shape->OW;
    p->kernel[h] = d->KH, p->kernel[w] = d->KW;
    p->step[h] = d->DH, p->step[w] = d->DW;
    p->stride[h] = d->SH, p->stride[w] = d->SW;
    p->pad[h] = d->PT, p->pad[w] = d->PL;
    p->planes = cvl_min(p->K, CVL_ORDER_PLANES);
    for (int i = 0; i < 2; i++) {
        const ptrdiff_t last = p->kernel[i] - 1;
        p->in[i] = transposed ? y[i] : x[i];
        p->out[i] = transposed ? x[i] : y[i];
        if (transposed) {
            p->first[i] = p->pad[i] / p->stride[i];
            p->count[i] = (p->pad[i] + p->out[i] - 1) / p->stride[i] + 1 - p->first[i];
            p->low[i] = -(last * p->step[i] / p->stride[i]);
        } else {
            p->count[i] = p->out[i];
            p->low[i] = -p->pad[i];
            p->high[i] = last * p->step[i] - p->pad[i];
        }
    }
    ptrdiff_t gap[2];
    for (int i = 0; i < 2; i++) {
        const ptrdiff_t before = -(p->first[i] + p->low[i]);
        const ptrdiff_t after = p->first[i] + p->count[i] + p->high[i] - p->in[i];
        gap[i] = cvl_max(0, cvl_max(before, after));
    }
    p->pitch = cvl_max(p->in[1] + gap[1], p->count[1]);
    p->front = cvl_ceil_div(gap[1], LINE) * LINE;
    p->sparse = 2 * cvl_max(p->in[w] + gap[w], p->count[w]) > 3 * p->count[w];
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, char *base,
                        int threads)
{
    const ptrdiff_t N = shape->d.N;
    read_shape(p, shape, pass);
    if (!p->kernels)
        return 0;
    const ptrdiff_t reach = p->high[0] - p->low[0];
    const ptrdiff_t planes = p->planes + p->remainders * p->outputs;
    const ptrdiff_t positions = PLANES_BYTES / (ptrdiff_t)sizeof(T) / planes;
    const ptrdiff_t rows = cvl_max(cvl_max(1, reach), positions / p->pitch - reach);
    p->bands = cvl_ceil_div(p->count[0], rows);
    while (N * p->bands < 2 * threads && N * p->bands % threads != 0 && p->bands < p->count[0])
        p->bands++;
    p->rows = cvl_ceil_div(p->count[0], p->bands);
    const ptrdiff_t fit = p->bands > 1 ? 1 : (rows + reach) / (p->rows + reach);
    p->images = cvl_max(1, cvl_min(fit, N / (2 * threads)));
    p->out_plane = plane_size(p->images * (p->rows + reach) * p->pitch + CVL_PLANES_POSITIONS);
    p->plane = plane_size(p->front + LINE + p->out_plane + cvl_max(0, p->first[1] + p->high[1]));
    carve_worker(p, NULL, &p->worker_bytes);
    cvl_scratch s = {base, 0};
    p->worker_memory = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

/* Rows of a band, from number `first` of image n on, and elements of a plane before them. */
typedef struct band {
    ptrdiff_t n, images, first, front;
} band;

/* Element of a plane at which row `row` of image i of a band begins. */
static ptrdiff_t row_at(const plan *p, ptrdiff_t i, ptrdiff_t row)
{
    return (i * (p->rows + p->high[0] - p->low[0]) + row) * p->pitch;
}

/* The outputs with these remainders. */
static T *out_planes(const plan *p, const worker *w, const ptrdiff_t remainder[2])
{
    return w->out + (remainder[0] * p->stride[1] + remainder[1]) * p->outputs * p->out_plane;
}

/* Rows that lie next to each other on both sides, where they are of one column without gaps: so many are turned
 * at a time, as if they were one. */
static ptrdiff_t joined(const plan *p, ptrdiff_t rows)
{
    return p->pitch == 1 && p->stride[1] == 1 ? rows : 1;
}

/* Turns channels c0 .. c1 - 1 of what a band reads. Rows that lie outside of whole images are never
 * written, and are 0. */
static void turn_in(const plan *p, const worker *w, const band *b, ptrdiff_t c0, ptrdiff_t c1)
{
    const T *in = p->transposed ? p->call->dy : p->call->x;
    const ptrdiff_t rows = p->rows + p->high[0] - p->low[0], W = p->in[1];
    const ptrdiff_t top = b->first + p->low[0];
    const ptrdiff_t before = cvl_min(rows, cvl_max(0, -top)), most = joined(p, rows);
    const ptrdiff_t end = cvl_max(before, cvl_min(rows, p->in[0] - top));
    for (ptrdiff_t i = 0; i < b->images; i++) {
        T *to = w->in + b->front + row_at(p, i, 0);
        for (ptrdiff_t row = 0, next; row < rows; row = next) {
            const int inside = row >= before && row < end;
            next = cvl_min(row < before ? before : row < end ? end : rows, row + most);
            if (inside)
                p->kernels->transpose(c1 - c0, W * (next - row), to + row * p->pitch, p->plane,
                                      in + ((b->n + i) * p->in[0] + top + row) * W * p->K + c0,
                                      p->K);
            for (ptrdiff_t c = 0; !inside && p->bands > 1 && c < c1 - c0; c++)
                memset(to + row * p->pitch + c * p->plane, 0,
                       (size_t)(W * (next - row)) * sizeof(T));
        }
    }
}

/* Adds what channels c0 .. c1 - 1 of a band give to its outputs with these remainders. */
static void multiply(const plan *p, const worker *w, const band *b, ptrdiff_t c0, ptrdiff_t c1,
                     const ptrdiff_t remainder[2])
{
    NAME(planes)
    job = {
        .run = w->run,
        .a = p->transposed ? w->weights : p->call->w,
        .b = w->in,
        .b_step = p->plane,
        .c = out_planes(p, w, remainder),
        .c_step = p->out_plane,
        .positions = row_at(p, b->images - 1, p->rows),
        .channels = (int)p->outputs,
        .add = c0 > 0,
    };
    const ptrdiff_t chain = p->transposed && p->outputs <= FEW_OUTPUTS
                                ? CVL_ORDER_PLANES_TAPS * (c1 - c0)
                                : CVL_ORDER_K;
    ptrdiff_t end = chain;
    for (ptrdiff_t i = 0; i < p->kernel[0]; i++)
        for (ptrdiff_t j = 0; j < p->kernel[1]; j++) {
            const tap *row = w->taps[0] + i, *column = w->taps[1] + j;
            if (row->remainder != remainder[0] || column->remainder != remainder[1])
                continue;
            const ptrdiff_t number = i * p->kernel[1] + j, k0 = number * (c1 - c0);
            const ptrdiff_t at =
                b->front + p->first[1] + p->low[1] + row->at * p->pitch + column->at;
            for (ptrdiff_t c = c0, stop; c < c1; c = stop) {
                const ptrdiff_t k = k0 + c - c0;
                if (k >= end && job.runs > 0)
                    w->run[job.runs - 1].last = 1;
                end = (k / chain + 1) * chain;
                stop = cvl_min(c1, c + end - k);
                w->run[job.runs++] =
                    (cvl_planes_run){number * p->K + c, stop - c, at + (c - c0) * p->plane, 0};
            }
        }
    if (c1 == p->K)
        job.end = p->call->end;
    p->kernels->planes(&job);
}

/* Turns the outputs of a band with these remainders to where they belong. */
static void turn_out(const plan *p, const worker *w, const band *b, const ptrdiff_t remainder[2])
{
    const ptrdiff_t SW = p->transposed ? p->stride[1] : 1, SH = p->transposed ? p->stride[0] : 1;
    const ptrdiff_t top = p->transposed ? remainder[0] - p->pad[0] : 0;
    const ptrdiff_t left = p->transposed ? remainder[1] - p->pad[1] : 0;
    const T *out = out_planes(p, w, remainder);
    const ptrdiff_t skip = p->first[1] * SW + left < 0;
    const ptrdiff_t column = (p->first[1] + skip) * SW + left;
    const ptrdiff_t count = cvl_ceil_div(p->out[1] - column, SW);
    const ptrdiff_t before = cvl_max(0, cvl_ceil_div(cvl_max(0, -top), SH) - b->first);
    const ptrdiff_t end = cvl_min(p->rows, cvl_ceil_div(p->out[0] - top, SH) - b->first);
    const ptrdiff_t most = joined(p, p->rows);
    for (ptrdiff_t i = 0; i < b->images && count > 0; i++)
        for (ptrdiff_t row = before, next; row < end; row = next) {
            const ptrdiff_t h = (b->first + row) * SH + top;
            next = cvl_min(end, row + most);
            p->kernels->transpose(
                most > 1 ? next - row : count, p->outputs,
                p->call->out + (((b->n + i) * p->out[0] + h) * p->out[1] + column) * p->outputs,
                (most > 1 ? SH : SW) * p->outputs, out + row_at(p, i, row) + skip, p->out_plane);
        }
}

/* The taps of an axis. */
static void list_taps(const plan *p, const worker *w, int axis)
{
    for (ptrdiff_t t = 0; t < p->kernel[axis]; t++) {
        const ptrdiff_t step = t * p->step[axis], stride = p->stride[axis];
        w->taps[axis][t] =
            p->transposed ? (tap){step % stride, -p->low[axis] - step / stride} : (tap){0, step};
    }
}

/* Task: a band. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    const ptrdiff_t taps = p->kernel[0] * p->kernel[1];
    size_t bytes;
    const worker w = carve_worker(p, p->worker_memory + (size_t)number * p->worker_bytes, &bytes);
    list_taps(p, &w, 0);
    list_taps(p, &w, 1);
    memset(w.in, 0, (size_t)(p->planes * p->plane) * sizeof(T));
    for (ptrdiff_t t = 0; p->transposed && t < taps; t++)
        p->kernels->transpose(p->K, p->outputs, w.weights + t * p->K * p->outputs, p->outputs,
                              p->call->w + t * p->K * p->outputs, p->K);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t n = task / p->bands * p->images;
        const ptrdiff_t first = p->first[0] + task % p->bands * p->rows;
        /* What is turned begins on a line, where no gaps have to stay as they are. */
        const ptrdiff_t outside = p->pitch == 1 ? cvl_max(0, -(first + p->low[0])) : 0;
        const band b = {n, cvl_min(p->images, p->call->shape->d.N - n), first,
                        p->front + (LINE - outside % LINE) % LINE};
        for (ptrdiff_t c0 = 0, c1; c0 < p->K; c0 = c1) {
            c1 = cvl_min(p->K, c0 + CVL_ORDER_PLANES);
            turn_in(p, &w, &b, c0, c1);
            for (ptrdiff_t r = 0; r < p->remainders; r++) {
                const ptrdiff_t remainder[2] = {r / p->stride[1], r % p->stride[1]};
                multiply(p, &w, &b, c0, c1, remainder);
                if (c1 == p->K)
                    turn_out(p, &w, &b, remainder);
            }
        }
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    if (pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return "weight gradients are sums over positions";
    if (pass == CVL_CONV2D_FORWARD && (d->SH > 1 || d->SW > 1))
        return "a stride";
    if (d->groups > 1)
        return "groups";
    return (pass == CVL_CONV2D_FORWARD ? d->OC : d->C) <= CVL_PLANES_CHANNELS ? NULL
                                                                              : "many channels";
}

/* A vector of outputs that is nearly full is better than this, and so is anything where gaps are a third
 * of the rows. Between FEW_OUTPUTS and a full vector the choice is the level's, which it may be since up to
 * CVL_ORDER_PLANES channels the order of sums is that of the direct engine. */
static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    plan p;
    read_shape(&p, shape, pass);
    const ptrdiff_t least = p.outputs > STEM_CHANNELS ? LEAST_TAPS : STEM_TAPS;
    if (!p.kernels || p.kernel[0] * p.kernel[1] < least || p.sparse ||
        shape->d.N * p.count[0] * p.count[1] < LEAST_POSITIONS)
        return 0;
    /* stem.c is as fast from many channels on two threads, and faster where outputs have few taps; but of
     * rows of 8 pixels this is 1.0 to 1.6 times as fast. */
    if (p.remainders * p.outputs > MOST_PLANES ||
        (p.transposed && p.outputs <= STEM_CHANNELS && p.K > 2 * CVL_ORDER_PLANES &&
         shape->OW > STEM_NARROW))
        return 0;
    const ptrdiff_t lanes = p.kernels->vector / (ptrdiff_t)sizeof(T);
    return p.outputs <= FEW_OUTPUTS || (p.K <= CVL_ORDER_PLANES && 2 * p.outputs <= lanes);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    const size_t own = make_plan(&p, shape, pass, NULL, threads);
    const size_t direct = NAME(direct_engine).workspace(shape, pass, threads);
    return own > direct ? own : direct;
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    if (!NAME(all_finite)(call->w, call->shape->w_size)) {
        NAME(direct_engine).run(call);
        return;
    }
    make_plan(&p, call->shape, call->pass, call->workspace, call->threads);
    p.call = call;
    cvl_parallel_for(call->threads, cvl_ceil_div(call->shape->d.N, p.images) * p.bands,
                     call->shape->flops, CVL_FLUSH, compute, &p);
}

const NAME(conv2d_engine) NAME(planes_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "few output channels",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
