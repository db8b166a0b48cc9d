/* norm_pool.c: see norm_pool.h. Rows, of x and of y, are those of all images in a line. */
#include "norm_pool.h"

/* A strip holds about so many elements, and one window at least. Where windows overlap it holds some
 * more: the rows that the next one reads too are then moved less often. */
enum { STRIP = 4096, MORE_WINDOWS = 3 };

void NAME(norm_pool_carve)(NAME(norm_pool) *p, int threads, cvl_scratch *scratch)
{
    const cvl_pool2d *d = &p->pool.d;
    const ptrdiff_t row = d->W * d->C, all = d->N * d->H;
    ptrdiff_t rows = cvl_min(d->H, d->DH * (d->KH - 1) + 1);
    if (d->SH < rows)
        rows += MORE_WINDOWS * d->SH;
    p->rows = cvl_min(all, cvl_max(rows, STRIP / row));
    p->strips = cvl_carve(scratch, (size_t)threads * (size_t)(p->rows * row) * sizeof(T));
}

/* A row of outputs of image n. */
typedef struct row {
    ptrdiff_t n, oh;
} row;

/* The next one; a division for each would take some CPUs longer than a short row. */
static row next_row(const NAME(pool2d) *p, row r)
{
    return r.oh + 1 < p->OH ? (row){r.n, r.oh + 1} : (row){r.n + 1, 0};
}

/* The rows of x that a row of y is taken from: neither end lies before that of an earlier one. */
static ptrdiff_t first_row(const NAME(pool2d) *p, row r)
{
    return r.n * p->d.H + cvl_max(0, r.oh * p->d.SH - p->d.PT);
}

static ptrdiff_t end_row(const NAME(pool2d) *p, row r)
{
    const ptrdiff_t end = r.oh * p->d.SH - p->d.PT + p->d.DH * (p->d.KH - 1) + 1;
    return r.n * p->d.H + cvl_min(p->d.H, end);
}

static void normalise(const NAME(norm_pool) *p, T *y, const T *x, ptrdiff_t elements)
{
    const ptrdiff_t rest = elements % p->L, lines = elements / p->L, done = elements - rest;
    if (lines > 0)
        p->pool.k->batch_norm_apply(y, (const ptrdiff_t[]){lines, p->L, p->L}, x, NULL, p->planes,
                                    p->relu);
    if (rest > 0)
        p->pool.k->batch_norm_apply(y + done, (const ptrdiff_t[]){1, rest, p->L}, x + done, NULL,
                                    p->planes, p->relu);
}

/* As many rows of y at once as the strip has room for. */
static void pool_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const NAME(norm_pool) *p = context;
    const ptrdiff_t width = p->pool.d.W * p->pool.d.C;
    T *strip = p->strips + worker * p->rows * width;
    NAME(pool2d) pool = p->pool;
    row at = {begin / pool.OH, begin % pool.OH};
    ptrdiff_t made = 0; /* rows before it are in the strip, from `origin` on */
    pool.x = strip;
    for (ptrdiff_t left = end - begin, count; left > 0; left -= count) {
        const ptrdiff_t first = first_row(&pool, at);
        ptrdiff_t last = end_row(&pool, at);
        row next = next_row(&pool, at);
        for (count = 1; count < left && end_row(&pool, next) - first <= p->rows; count++) {
            last = end_row(&pool, next);
            next = next_row(&pool, next);
        }
        if (first < made)
            memmove(strip, strip + (first - pool.origin) * width,
                    (size_t)((made - first) * width) * sizeof(T));
        pool.origin = first;
        const ptrdiff_t from = cvl_max(first, made);
        made = last;
        normalise(p, strip + (from - first) * width, p->x + from * width, (made - from) * width);
        for (ptrdiff_t i = 0; i < count; i++, at = next_row(&pool, at))
            NAME(pool2d_row)(&pool, at.n, at.oh, 0, pool.d.C);
    }
}

void NAME(norm_pool_run)(const NAME(norm_pool) *p, int threads)
{
    cvl_parallel_for(threads, p->pool.d.N * p->pool.OH, 2.0 * (double)p->pool.x_size * sizeof(T),
                     CVL_FLUSH, pool_rows, (void *)p);
}
