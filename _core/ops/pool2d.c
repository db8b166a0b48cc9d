/* pool2d.c: max and average pooling, forward and backward.
 *
 * A row of outputs is cut into runs whose windows have the same columns inside the input: a few
 * single ones at the borders, one long run between them; a kernel call does a run. Forward, a task
 * is a row of outputs. Backward, it is what the windows of one row of outputs can reach, where no
 * other row's windows reach there too, and else a whole image. Where that makes few tasks, they are
 * cut by channels. */
#include "pool2d.h"

enum { FEW_TASKS = 16, CHANNELS = 64, MAX_WINNERS = 255 };

typedef NAME(pool2d) pool;

/* ------------------------------------------------------------------------------ windows */

/* One axis of a window: `count` positions inside the input, from `first` on, and how many inside
 * the padded input. */
typedef struct span {
    ptrdiff_t first, count, padded;
} span;

static span window_span(ptrdiff_t begin, ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t dilation,
                        ptrdiff_t after)
{
    const ptrdiff_t last = begin + (kernel - 1) * dilation;
    if (begin >= 0 && last < size)
        return (span){begin, kernel, kernel};
    const ptrdiff_t from = begin < 0 ? cvl_ceil_div(-begin, dilation) : 0;
    const ptrdiff_t to = last < size ? kernel : cvl_ceil_div(size - begin, dilation);
    /* Only averages have a use for it, and they have no dilation. */
    const ptrdiff_t padded = cvl_min(begin + kernel, size + after) - begin;
    if (to <= from) /* a dilated window can straddle the input */
        return (span){cvl_max(begin, 0), 0, padded};
    return (span){begin + from * dilation, to - from, padded};
}

void NAME(pool2d_row)(const pool *p, ptrdiff_t n, ptrdiff_t oh, ptrdiff_t c, ptrdiff_t channels)
{
    const cvl_pool2d *d = &p->d;
    const span rows = window_span(oh * d->SH - d->PT, d->H, d->KH, d->DH, d->PB);
    const ptrdiff_t step[4] = {d->SW * d->C, d->DH * d->W * d->C, d->DW * d->C, d->C};
    const ptrdiff_t x_row = (n * d->H + rows.first - p->origin) * d->W;
    const ptrdiff_t y_row = (n * p->OH + oh) * p->OW;
    for (ptrdiff_t ow = 0, end; ow < p->OW; ow = end) {
        const span columns = window_span(ow * d->SW - d->PL, d->W, d->KW, d->DW, d->PR);
        end = columns.count == d->KW ? p->inside_end : ow + 1;
        const ptrdiff_t extent[4] = {end - ow, rows.count, columns.count, channels};
        const ptrdiff_t divisor =
            d->count_include_pad ? rows.padded * columns.padded : rows.count * columns.count;
        p->run(p, extent, step, (x_row + columns.first) * d->C + c, (y_row + ow) * d->C + c,
               divisor);
    }
}

/* -------------------------------------------------------------------------------- tasks */

/* What a task does: a band of image n, from channel c on. */
typedef struct place {
    ptrdiff_t n, band, c;
} place;

static place place_of(const pool *p, ptrdiff_t task)
{
    const ptrdiff_t band = task / p->blocks;
    return (place){band / p->bands, band % p->bands, task % p->blocks * p->channels};
}

/* Of the next task: a few divisions take longer than a short row. */
static void move_on(const pool *p, place *at)
{
    at->c += p->channels;
    if (at->c < p->d.C)
        return;
    at->c = 0;
    if (++at->band == p->bands) {
        at->band = 0;
        at->n++;
    }
}

static void forward_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const pool *p = context;
    place at = place_of(p, begin);
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++, move_on(p, &at))
        NAME(pool2d_row)(p, at.n, at.band, at.c, cvl_min(p->channels, p->d.C - at.c));
}

static void clear(const pool *p, ptrdiff_t n, ptrdiff_t h0, ptrdiff_t h1, ptrdiff_t c,
                  ptrdiff_t channels)
{
    const cvl_pool2d *d = &p->d;
    T *pixel = p->dx + (n * d->H + h0) * d->W * d->C + c;
    const ptrdiff_t pixels = (h1 - h0) * d->W;
    if (channels == d->C)
        memset(pixel, 0, (size_t)(pixels * channels) * sizeof(T));
    else
        for (ptrdiff_t i = 0; i < pixels; i++, pixel += d->C)
            memset(pixel, 0, (size_t)channels * sizeof(T));
}

/* Band `b` of several is output row b; its inputs end where those of the next one begin. */
static void backward_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const pool *p = context;
    const cvl_pool2d *d = &p->d;
    place at = place_of(p, begin);
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++, move_on(p, &at)) {
        const ptrdiff_t n = at.n, band = at.band, c = at.c;
        const ptrdiff_t channels = cvl_min(p->channels, d->C - c);
        const int whole = p->bands == 1;
        const ptrdiff_t h0 = band == 0 ? 0 : band * d->SH - d->PT;
        const ptrdiff_t h1 = band == p->bands - 1 ? d->H : (band + 1) * d->SH - d->PT;
        if (!p->tiled)
            clear(p, n, h0, h1, c, channels);
        for (ptrdiff_t oh = whole ? 0 : band; oh < (whole ? p->OH : band + 1); oh++)
            NAME(pool2d_row)(p, n, oh, c, channels);
    }
}

/* Whether the windows of one axis lie side by side, as one alone does, and reach the input's end. */
static int tiles(ptrdiff_t windows, ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t stride,
                 ptrdiff_t dilation, ptrdiff_t before)
{
    return (stride == kernel || windows == 1) && dilation == 1 && windows * kernel - before >= size;
}

cvl_status NAME(pool2d_read)(pool *p, const cvl_pool2d *from)
{
    p->d = (cvl_pool2d)CVL_POOL2D_INIT;
    if (!cvl_read(&p->d, from) || (p->d.N > 0 && !p->complete))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_pool2d_output_shape(&p->d, &p->OH, &p->OW);
    if (status != CVL_OK)
        return status;
    if (p->average && (p->d.DH != 1 || p->d.DW != 1))
        return CVL_ERR_SHAPE;
    if ((p->winners || p->winners_out) &&
        (p->d.KH > MAX_WINNERS || p->d.KH * p->d.KW > MAX_WINNERS))
        return CVL_ERR_SHAPE;
    const ptrdiff_t extent = (p->d.KW - 1) * p->d.DW + 1;
    p->inside_end = cvl_min(p->OW, cvl_floor_div(p->d.W + p->d.PL - extent, p->d.SW) + 1);
    if (!CVL_PRODUCT(&p->x_size, p->d.N, p->d.H, p->d.W, p->d.C) ||
        !CVL_PRODUCT(&p->y_size, p->d.N, p->OH, p->OW, p->d.C))
        return CVL_ERR_OVERFLOW;
    return p->k ? CVL_OK : CVL_ERR_ISA;
}

static cvl_status run_pool(pool p, const cvl_pool2d *from, const cvl_exec *run)
{
    cvl_exec exec;
    cvl_status status = NAME(pool2d_read)(&p, from);
    if (status == CVL_OK)
        status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    const int overlap = p.OH > 1 && p.d.SH < p.d.DH * (p.d.KH - 1) + 1;
    p.bands = p.task == backward_tasks && overlap ? 1 : p.OH;
    p.tiled = tiles(p.OH, p.d.H, p.d.KH, p.d.SH, p.d.DH, p.d.PT) &&
              tiles(p.OW, p.d.W, p.d.KW, p.d.SW, p.d.DW, p.d.PL);
    p.channels = p.d.N * p.bands < FEW_TASKS ? CHANNELS : p.d.C;
    p.blocks = cvl_ceil_div(p.d.C, p.channels);
    const double reads = (double)p.y_size * (double)p.d.KH * (double)p.d.KW;
    const double bytes = ((double)p.x_size + (double)p.y_size) * sizeof(T);
    cvl_parallel_for(exec.threads, p.d.N * p.bands * p.blocks, reads > bytes ? reads : bytes,
                     CVL_FLUSH, p.task, &p);
    return CVL_OK;
}

/* ------------------------------------------------------------------------ the operators */

static void run_max(const pool *p, const ptrdiff_t extent[4], const ptrdiff_t step[4], ptrdiff_t x,
                    ptrdiff_t y, ptrdiff_t divisor)
{
    (void)divisor;
    p->k->max_pool(extent, step, p->y + y, p->x + x);
}

static void run_max_backward(const pool *p, const ptrdiff_t extent[4], const ptrdiff_t step[4],
                             ptrdiff_t x, ptrdiff_t y, ptrdiff_t divisor)
{
    (void)divisor;
    p->k->max_pool_backward(extent, step, p->dx + x, p->dy + y, p->x + x, p->tiled);
}

static void run_max_winners(const pool *p, const ptrdiff_t extent[4], const ptrdiff_t step[4],
                            ptrdiff_t x, ptrdiff_t y, ptrdiff_t divisor)
{
    (void)divisor;
    p->k->max_pool_winners(extent, step, p->y + y, p->winners_out + y, p->x + x);
}

static void run_max_backward_winners(const pool *p, const ptrdiff_t extent[4],
                                     const ptrdiff_t step[4], ptrdiff_t x, ptrdiff_t y,
                                     ptrdiff_t divisor)
{
    (void)divisor;
    p->k->max_pool_backward_winners(extent, step, p->dx + x, p->dy + y, p->winners + y, p->tiled);
}

static void run_avg(const pool *p, const ptrdiff_t extent[4], const ptrdiff_t step[4], ptrdiff_t x,
                    ptrdiff_t y, ptrdiff_t divisor)
{
    p->k->avg_pool(extent, step, p->y + y, p->x + x, (T)divisor);
}

static void run_avg_backward(const pool *p, const ptrdiff_t extent[4], const ptrdiff_t step[4],
                             ptrdiff_t x, ptrdiff_t y, ptrdiff_t divisor)
{
    p->k->avg_pool_backward(extent, step, p->dx + x, p->dy + y, (T)divisor, p->tiled);
}

pool NAME(max_pool2d_of)(T *y, uint8_t *winners, const T *x)
{
    return (pool){.x = x,
                  .y = y,
                  .winners_out = winners,
                  .k = kernels(),
                  .run = winners ? run_max_winners : run_max,
                  .task = forward_tasks,
                  .complete = x && y};
}

cvl_status NAME(max_pool2d_forward)(const cvl_pool2d *d, T *y, const T *x, const cvl_exec *run)
{
    return run_pool(NAME(max_pool2d_of)(y, NULL, x), d, run);
}

cvl_status NAME(max_pool2d_backward)(const cvl_pool2d *d, T *dx, const T *dy, const T *x,
                                     const cvl_exec *run)
{
    const pool p = {.x = x,
                    .dy = dy,
                    .dx = dx,
                    .k = kernels(),
                    .run = run_max_backward,
                    .task = backward_tasks,
                    .complete = x && dy && dx};
    return run_pool(p, d, run);
}

cvl_status NAME(max_pool2d_forward_winners)(const cvl_pool2d *d, T *y, uint8_t *winners, const T *x,
                                            const cvl_exec *run)
{
    pool p = NAME(max_pool2d_of)(y, winners, x);
    p.complete = p.complete && winners;
    return run_pool(p, d, run);
}

cvl_status NAME(max_pool2d_backward_winners)(const cvl_pool2d *d, T *dx, const T *dy,
                                             const uint8_t *winners, const cvl_exec *run)
{
    const pool p = {.dy = dy,
                    .dx = dx,
                    .winners = winners,
                    .k = kernels(),
                    .run = run_max_backward_winners,
                    .task = backward_tasks,
                    .complete = dy && dx && winners};
    return run_pool(p, d, run);
}

cvl_status NAME(avg_pool2d_forward)(const cvl_pool2d *d, T *y, const T *x, const cvl_exec *run)
{
    const pool p = {.x = x,
                    .y = y,
                    .k = kernels(),
                    .run = run_avg,
                    .task = forward_tasks,
                    .average = 1,
                    .complete = x && y};
    return run_pool(p, d, run);
}

cvl_status NAME(avg_pool2d_backward)(const cvl_pool2d *d, T *dx, const T *dy, const cvl_exec *run)
{
    const pool p = {.dy = dy,
                    .dx = dx,
                    .k = kernels(),
                    .run = run_avg_backward,
                    .task = backward_tasks,
                    .average = 1,
                    .complete = dy && dx};
    return run_pool(p, d, run);
}
