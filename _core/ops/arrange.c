/* arrange.c: concatenation and the shortcut without parameters: values are moved, none is computed.
 * A task is a few rows, or the pixels of a row of an image. */
#include "arrange.h"

/* A chunk of rows is some pages, so that the copies of a task outlast its beginning. */
enum { CHUNK_BYTES = 16384 };

/* ------------------------------------------------------------------------- concatenation */

typedef struct concat_job {
    cvl_concat d;
    ptrdiff_t OC, chunk; /* channels of y; rows of a task */
    T *y;                /* from x */
    const T *const *x;
    T *const *dx; /* from dy */
    const T *dy;
} concat_job;

cvl_status NAME(concat_sizes)(const cvl_concat *from, cvl_concat *d, ptrdiff_t *OC)
{
    ptrdiff_t elements;
    *d = (cvl_concat)CVL_CONCAT_INIT;
    if (!cvl_read(d, from) || !d->C)
        return CVL_ERR_ARGUMENT;
    if (d->M < 0 || d->parts < 1)
        return CVL_ERR_SHAPE;
    *OC = 0;
    for (ptrdiff_t i = 0; i < d->parts; i++) {
        if (d->C[i] < 1)
            return CVL_ERR_SHAPE;
        if (d->C[i] > PTRDIFF_MAX / 16 - *OC)
            return CVL_ERR_OVERFLOW;
        *OC += d->C[i];
    }
    return CVL_PRODUCT(&elements, d->M, *OC) ? CVL_OK : CVL_ERR_OVERFLOW;
}

/* Between the whole and its parts, whichever way. */
static void move_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const concat_job *j = context;
    (void)worker;
    for (ptrdiff_t chunk = begin; chunk < end; chunk++) {
        const ptrdiff_t first = chunk * j->chunk, last = cvl_min(first + j->chunk, j->d.M);
        for (ptrdiff_t part = 0, at = 0; part < j->d.parts; at += j->d.C[part++]) {
            const ptrdiff_t C = j->d.C[part];
            const size_t bytes = (size_t)C * sizeof(T);
            for (ptrdiff_t m = first; j->x && m < last; m++)
                memcpy(j->y + m * j->OC + at, j->x[part] + m * C, bytes);
            for (ptrdiff_t m = first; j->dx && j->dx[part] && m < last; m++)
                memcpy(j->dx[part] + m * C, j->dy + m * j->OC + at, bytes);
        }
    }
}

static cvl_status run_concat(concat_job *j, const cvl_exec *run)
{
    cvl_exec exec;
    cvl_status status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    j->chunk = cvl_max(1, CHUNK_BYTES / (ptrdiff_t)sizeof(T) / j->OC);
    cvl_parallel_for(exec.threads, cvl_ceil_div(j->d.M, j->chunk),
                     2 * (double)j->d.M * (double)j->OC * sizeof(T), CVL_GRADUAL, move_rows, j);
    return CVL_OK;
}

cvl_status NAME(concat_forward)(const cvl_concat *d, T *y, const T *const *x, const cvl_exec *run)
{
    concat_job j = {.y = y, .x = x};
    cvl_status status = NAME(concat_sizes)(d, &j.d, &j.OC);
    if (status != CVL_OK)
        return status;
    if (!x)
        return CVL_ERR_ARGUMENT;
    for (ptrdiff_t i = 0; i < j.d.parts && j.d.M > 0; i++)
        if (!x[i] || !y)
            return CVL_ERR_ARGUMENT;
    return run_concat(&j, run);
}

cvl_status NAME(concat_backward)(const cvl_concat *d, T *const *dx, const T *dy,
                                 const cvl_exec *run)
{
    concat_job j = {.dx = dx, .dy = dy};
    cvl_status status = NAME(concat_sizes)(d, &j.d, &j.OC);
    if (status != CVL_OK)
        return status;
    if (!dx || (!dy && j.d.M > 0))
        return CVL_ERR_ARGUMENT;
    return run_concat(&j, run);
}

/* --------------------------------------------------------- the shortcut without parameters */

typedef struct shortcut_job {
    cvl_pad_shortcut d;
    ptrdiff_t OH, OW;
    T *out; /* y, or dx */
    const T *in;
} shortcut_job;

cvl_status NAME(pad_shortcut_sizes)(const cvl_pad_shortcut *from, cvl_pad_shortcut *d, ptrdiff_t *x,
                                    ptrdiff_t *y)
{
    *d = (cvl_pad_shortcut)CVL_PAD_SHORTCUT_INIT;
    if (!cvl_read(d, from))
        return CVL_ERR_ARGUMENT;
    if (d->N < 0 || d->H < 1 || d->W < 1 || d->C < 1 || d->OC < d->C || d->SH < 1 || d->SW < 1)
        return CVL_ERR_SHAPE;
    return CVL_PRODUCT(x, d->N, d->H, d->W, d->C) &&
                   CVL_PRODUCT(y, d->N, cvl_ceil_div(d->H, d->SH), cvl_ceil_div(d->W, d->SW), d->OC)
               ? CVL_OK
               : CVL_ERR_OVERFLOW;
}

static void shortcut_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const shortcut_job *j = context;
    const cvl_pad_shortcut *d = &j->d;
    const size_t kept = (size_t)d->C * sizeof(T), new = (size_t)(d->OC - d->C) * sizeof(T);
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t n = row / j->OH, h = row % j->OH * d->SH;
        const T *x = j->in + (n * d->H + h) * d->W * d->C;
        T *y = j->out + row * j->OW * d->OC;
        for (ptrdiff_t w = 0; w < d->W; w += d->SW, y += d->OC) {
            memcpy(y, x + w * d->C, kept);
            memset(y + d->C, 0, new);
        }
    }
}

static void shortcut_gradient_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const shortcut_job *j = context;
    const cvl_pad_shortcut *d = &j->d;
    (void)worker;
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t n = row / d->H, h = row % d->H;
        T *dx = j->out + row * d->W * d->C;
        const T *dy = j->in + (n * j->OH + h / d->SH) * j->OW * d->OC;
        if (h % d->SH > 0 || d->SW > 1)
            memset(dx, 0, (size_t)(d->W * d->C) * sizeof(T));
        for (ptrdiff_t w = 0; w < d->W && h % d->SH == 0; w += d->SW, dy += d->OC)
            memcpy(dx + w * d->C, dy, (size_t)d->C * sizeof(T));
    }
}

static cvl_status run_shortcut(const cvl_pad_shortcut *from, T *out, const T *in, int backward,
                               const cvl_exec *run)
{
    shortcut_job j = {.out = out, .in = in};
    cvl_exec exec;
    ptrdiff_t x, y;
    cvl_status status = NAME(pad_shortcut_sizes)(from, &j.d, &x, &y);
    if (status == CVL_OK && j.d.N > 0 && (!out || !in))
        status = CVL_ERR_ARGUMENT;
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    j.OH = cvl_ceil_div(j.d.H, j.d.SH);
    j.OW = cvl_ceil_div(j.d.W, j.d.SW);
    cvl_parallel_for(exec.threads, j.d.N * (backward ? j.d.H : j.OH),
                     ((double)x + (double)y) * sizeof(T), CVL_GRADUAL,
                     backward ? shortcut_gradient_rows : shortcut_rows, &j);
    return CVL_OK;
}

cvl_status NAME(pad_shortcut_forward)(const cvl_pad_shortcut *d, T *y, const T *x,
                                      const cvl_exec *run)
{
    return run_shortcut(d, y, x, 0, run);
}

cvl_status NAME(pad_shortcut_backward)(const cvl_pad_shortcut *d, T *dx, const T *dy,
                                       const cvl_exec *run)
{
    return run_shortcut(d, dx, dy, 1, run);
}
