/* dropout.c: dropout of elements, a task being a chunk of them, or of channels, whose scales are
 * drawn first and then applied, a task being a few pixels. */
#include "op.h"

enum { CHUNK = 4096 };

/* Drawing a word takes the time of about this many bytes. */
enum { WORD_WORK = 8 };

typedef struct call {
    cvl_philox from;
    ptrdiff_t elements; /* to draw for */
    uint64_t threshold; /* words below it drop */
    T scale;
    ptrdiff_t M, C, pixels, chunks; /* channels: pixels of a task, tasks of a sample */
    T *y, *scales;
    const T *x;
    const NAME(kernels) *k;
} call;

static void draw(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t i = task * CHUNK, n = cvl_min(CHUNK, s->elements - i);
        T *out = s->scales ? s->scales + i : s->y + i;
        s->k->dropout(n, out, s->scales ? NULL : s->x + i, i, &s->from, s->threshold, s->scale);
    }
}

static void apply(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const call *s = context;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t sample = task / s->chunks, first = task % s->chunks * s->pixels;
        const ptrdiff_t at = (sample * s->M + first) * s->C;
        s->k->dropout_channels(cvl_min(s->pixels, s->M - first), s->C, s->y + at, s->x + at,
                               s->scales + sample * s->C);
    }
}

/* Reads and checks the descriptor; `size` counts elements of x. */
static cvl_status read_dropout(cvl_dropout *d, ptrdiff_t *size, size_t *needed,
                               const cvl_dropout *from)
{
    *d = (cvl_dropout)CVL_DROPOUT_INIT;
    if (!cvl_read(d, from) || !(d->p >= 0 && d->p <= 1))
        return CVL_ERR_ARGUMENT;
    if (d->N < 0 || d->M < 0 || d->C < 0)
        return CVL_ERR_SHAPE;
    ptrdiff_t scales;
    if (!CVL_PRODUCT(size, d->N, d->M, d->C) || !CVL_PRODUCT(&scales, d->N, d->C))
        return CVL_ERR_OVERFLOW;
    cvl_scratch s = {NULL, 0};
    if (d->per_channel)
        cvl_carve(&s, (size_t)scales * sizeof(T));
    *needed = s.used;
    return CVL_OK;
}

cvl_status NAME(dropout)(const cvl_dropout *from, T *y, const T *x, const cvl_exec *run)
{
    cvl_dropout d;
    cvl_exec exec;
    ptrdiff_t size;
    size_t needed;
    cvl_status status = read_dropout(&d, &size, &needed, from);
    if (status != CVL_OK)
        return status;
    if (size > 0 && (!y || !x))
        return CVL_ERR_ARGUMENT;
    status = cvl_read_exec(&exec, run, needed);
    if (status != CVL_OK)
        return status;
    call s = {
        .from = {d.seed, d.counter},
        .elements = d.per_channel ? d.N * d.C : size,
        .threshold = (uint64_t)(d.p * 0x1p32 + 0.5),
        .scale = d.p < 1 ? (T)(1 / (1 - d.p)) : 0,
        .M = d.M,
        .C = d.C,
        .y = y,
        .x = x,
        .scales = d.per_channel ? exec.workspace : NULL,
        .k = kernels(),
    };
    if (!s.k)
        return CVL_ERR_ISA;
    if (size == 0)
        return CVL_OK;
    const double bytes = 2 * sizeof(T) * (double)size, drawing = WORD_WORK * (double)s.elements;
    cvl_parallel_for(exec.threads, cvl_ceil_div(s.elements, CHUNK),
                     drawing + (d.per_channel ? 0 : bytes), CVL_GRADUAL, draw, &s);
    if (d.per_channel) {
        s.pixels = cvl_max(1, CHUNK / d.C);
        s.chunks = cvl_ceil_div(d.M, s.pixels);
        cvl_parallel_for(exec.threads, d.N * s.chunks, bytes, CVL_GRADUAL, apply, &s);
    }
    return CVL_OK;
}

size_t NAME(dropout_workspace_size)(const cvl_dropout *from, int threads)
{
    cvl_dropout d;
    ptrdiff_t size;
    size_t needed;
    (void)threads;
    return read_dropout(&d, &size, &needed, from) == CVL_OK ? needed : 0;
}
