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

/* The rows of x that row `o` of y is taken from: neither end lies before that of an earlier one. */
static ptrdiff_t first_row(const NAME(pool2d) *p, ptrdiff_t o)
{
    return o / p->OH * p->d.H + cvl_max(0, o % p->OH * p->d.SH - p->d.PT);
}

static ptrdiff_t end_row(const NAME(pool2d) *p, ptrdiff_t o)
{
    const ptrdiff_t end = o % p->OH * p->d.SH - p->d.PT + p->d.DH * (p->d.KH - 1) + 1;
    return o / p->OH * p->d.H + cvl_min(p->d.H, end);
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
    const ptrdiff_t row = p->pool.d.W * p->pool.d.C;
    T *strip = p->strips + worker * p->rows * row;
    NAME(pool2d) pool = p->pool;
    ptrdiff_t made = 0; /* rows before it are in the strip, from `origin` on */
    pool.x = strip;
    for (ptrdiff_t o = begin, last; o < end;) {
        const ptrdiff_t first = first_row(&pool, o);
        for (last = o; last + 1 < end && end_row(&pool, last + 1) - first <= p->rows;)
            last++;
        if (first < made)
            memmove(strip, strip + (first - pool.origin) * row,
                    (size_t)((made - first) * row) * sizeof(T));
        pool.origin = first;
        const ptrdiff_t from = cvl_max(first, made);
        made = end_row(&pool, last);
        normalise(p, strip + (from - first) * row, p->x + from * row, (made - from) * row);
        for (; o <= last; o++)
            NAME(pool2d_row)(&pool, o / pool.OH, o % pool.OH, 0, pool.d.C);
    }
}

void NAME(norm_pool_run)(const NAME(norm_pool) *p, int threads)
{
    cvl_parallel_for(threads, p->pool.d.N * p->pool.OH, 2.0 * (double)p->pool.x_size * sizeof(T),
                     CVL_FLUSH, pool_rows, (void *)p);
}
