/* winograd_forward.c: minimal filtering forward and for backward data:
 *   U = G w G^T (positions, C, OC)   V = B^T x B (positions, tiles, C)   y = A^T (V U) A
 *
 * Two schedules, the same arithmetic. With few weights, or many tiles, U is made once and kept, and
 * a task takes a panel of a block of tiles through all three steps in scratch of about the size of
 * L2. Else U would cost more than it saves, from memory again for each block: so V of many tiles is
 * made first, and a task takes one panel of output channels, whose U it makes chunk by chunk in
 * scratch and throws away. For few tiles that is a quarter of the time, more than U made before the
 * call takes to come from memory, each plane while the one before it is multiplied. What all tasks
 * read, each worker makes for itself where it is small: lines that another core has made or read come
 * at ten times the price of making them, where cores do not share an L3 at a hundred times. So where
 * panels are few for the workers, or V is large, each takes some tiles of all panels, and makes U too.
 *
 * Groups take the first schedule, all groups of a block in turn: one group after the other would
 * touch every page as often as there are groups, and is up to 1.13 times as slow; but 1.3 to 2.1 times as
 * fast on two threads where U is more than images and a worker then reads what it has made. Groups that do
 * not fill their vectors, or fill only one, go through it several side by side, whose transforms are
 * those of one image.
 *
 * Order of sums: V U is one FMA chain per CVL_ORDER_WINOGRAD_C channels, chains added in order. */
#include "winograd_forward_plan.h"

size_t NAME(winograd_forward_workspace)(const NAME(winograd) *f, int threads)
{
    plan p;
    const size_t packed = NAME(winograd_forward_plan)(&p, f, 1, NULL, threads);
    const size_t other = NAME(winograd_forward_plan)(&p, f, 0, NULL, threads);
    return packed > other ? packed : other;
}

static scratch scratch_of(const plan *p, int worker)
{
    size_t bytes;
    return NAME(winograd_forward_scratch)(p, p->worker_scratch + (size_t)worker * p->worker_bytes,
                                          &bytes);
}

/* ------------------------------------------------------------------------------------ steps */

/* U of `rows` channels from c0 on of a panel of a group, at u. */
static void make_u(const plan *p, const scratch *own, T *u, ptrdiff_t group, ptrdiff_t c0,
                   ptrdiff_t rows, cvl_panel_place place)
{
    const NAME(winograd) *f = p->f;
    const ptrdiff_t x_pixel = NAME(winograd_x_pixel)(f), y_pixel = NAME(winograd_y_pixel)(f);
    const ptrdiff_t taps = p->sizes.r * p->sizes.r;
    cvl_winograd_filters filters = {
        .form = f->form,
        .columns = cvl_min(place.NR, f->OC - place.column),
        .u_plane = u_plane(p, place.NR),
        .u_row = place.NR,
    };
    if (f->u || !f->transposed) {
        const T *w = f->u ? f->u + (place.column * f->C + c0 * place.NR) * taps
                          : f->w + c0 * y_pixel + group * f->OC + place.column;
        filters.rows = rows;
        filters.w_tap = f->u ? place.NR : f->C * y_pixel;
        filters.w_row = f->u ? taps * place.NR : y_pixel;
        p->kernels->winograd_filter(&filters, u, w);
        return;
    }
    for (ptrdiff_t done = 0; done < rows; done += filters.rows) {
        const T *w = f->w + place.column * x_pixel + group * f->C + c0 + done;
        filters.rows = cvl_min(turned(p), rows - done);
        filters.w_tap = filters.rows * place.NR;
        filters.w_row = place.NR;
        for (ptrdiff_t tap = 0; tap < taps; tap++)
            p->kernels->transpose(filters.rows, filters.columns,
                                  own->taps + (taps - 1 - tap) * filters.w_tap, place.NR,
                                  w + tap * f->OC * x_pixel, x_pixel);
        p->kernels->winograd_filter(&filters, u + done * place.NR, own->taps);
    }
}

/* The products of `tiles` tiles of V with K channels of a panel of `groups` groups, or what these add to
 * them. */
static void multiply(const plan *p, T *products, const T *v, ptrdiff_t tiles, const T *u,
                     ptrdiff_t groups, ptrdiff_t K, ptrdiff_t NR, int add)
{
    p->kernels->winograd_product(&(NAME(winograd_product)){
        .positions = p->sizes.positions,
        .groups = groups,
        .rows = tiles,
        .K = K,
        .chain = CVL_ORDER_WINOGRAD_C,
        .NR = NR,
        .a = v,
        .a_plane = p->x_tiles.plane,
        .a_group = p->f->C,
        .a_row = p->x_tiles.ld,
        .a_step = 1,
        .b = u,
        .b_plane = u_plane(p, NR),
        .b_group = p->bands.panels * panel_size(p),
        .b_step = NR,
        .c = products,
        .c_plane = p->y_tiles.plane,
        .c_group = p->f->OC,
        .c_row = p->y_tiles.ld,
        .add = add,
        .a_streams = p->shares_v && !p->u_streams, /* fetching both costs more than it saves */
        .b_streams = p->u_streams,
    });
}

/* y of `count` tiles, of so many outputs from `column` on, from their products. */
static void finish(const plan *p, const T *products, ptrdiff_t first, ptrdiff_t count,
                   ptrdiff_t column, ptrdiff_t outputs)
{
    NAME(epilogue) end = p->f->end;
    cvl_winograd_tiles tiles = p->y_tiles;
    tiles.first = first;
    tiles.count = count;
    tiles.channels = outputs;
    if (end.bias)
        end.bias += column;
    p->kernels->winograd_output(&tiles, p->f->y + column, products,
                                p->f->z ? p->f->z + column : NULL, &end);
}

/* Task: U_ROWS channels of U of a panel. */
static void filters(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const ptrdiff_t pieces = cvl_ceil_div(f->C, U_ROWS), panels = p->bands.panels;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t panel = task / pieces, c0 = task % pieces * U_ROWS;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel % panels);
        T *u = (p->u ? p->u : own.u) + u_place(p, panel, c0, place.NR);
        make_u(p, &own, u, panel / panels, c0, cvl_min(U_ROWS, f->C - c0), place);
    }
}

static ptrdiff_t filter_tasks(const plan *p)
{
    return all_panels(p) * cvl_ceil_div(p->f->C, U_ROWS);
}

static void make_all_u(plan *p, int threads)
{
    cvl_parallel_for(threads, filter_tasks(p),
                     (double)(p->sizes.positions * p->f->C * p->f->groups * p->bands.columns) *
                         sizeof(T),
                     CVL_FLUSH, filters, p);
}

/* ----------------------------------------------------------------------------- U is kept */

/* Task: a panel of a block of tiles, from x to y, or groups side by side with all their panels. The
 * worker of several panels of a group keeps V. */
static void blocks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const ptrdiff_t panels = p->bands.panels, parts = p->side > 1 ? 1 : panels;
    const ptrdiff_t blocks = cvl_ceil_div(p->tiles, p->block);
    const T *ready = f->u ? f->u : p->shares_u ? p->u : own.u;
    if (!p->has_u && !p->shares_u)
        filters(context, 0, filter_tasks(p), worker);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t part = task % parts, turn = task / parts;
        const ptrdiff_t block = p->by_set ? turn % blocks : turn / sets(p);
        const ptrdiff_t group = (p->by_set ? turn / blocks : turn % sets(p)) * p->side;
        const ptrdiff_t groups = cvl_min(p->side, f->groups - group);
        const ptrdiff_t first = parts > 1 ? part : 0, last = parts > 1 ? part : panels - 1;
        const ptrdiff_t origin = cvl_panel_at(&p->bands, first).column;
        const ptrdiff_t outputs =
            parts > 1 ? cvl_min(cvl_panel_at(&p->bands, first).NR, f->OC - origin) : groups * f->OC;
        /* A panel may reach beyond its group, as long as the next group has not been there. */
        const ptrdiff_t together = panels == 1 ? groups : 1;
        cvl_winograd_tiles tiles = p->x_tiles;
        tiles.first = block * p->block;
        tiles.count = cvl_min(p->block, p->tiles - tiles.first);
        tiles.channels = groups * f->C;
        if (task == begin || part == 0)
            p->kernels->winograd_data(&tiles, own.v, f->x + group * f->C, p->zeros);
        for (ptrdiff_t g = 0; g < groups; g += together)
            for (ptrdiff_t panel = first; panel <= last; panel++) {
                const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
                const T *u = ready + ((group + g) * panels + panel) * panel_size(p);
                multiply(p, own.products + g * f->OC + place.column - origin, own.v + g * f->C,
                         tiles.count, u, together, f->C, place.NR, 0);
            }
        finish(p, own.products, tiles.first, tiles.count, group * f->OC + origin, outputs);
    }
}

/* ------------------------------------------------------------------------ U is not kept */

/* V of the tiles of the span from `first` up to `end`. */
static void make_v(const plan *p, T *v, ptrdiff_t first, ptrdiff_t end)
{
    cvl_winograd_tiles tiles = p->x_tiles;
    tiles.first = p->span0 + first;
    tiles.count = end - first;
    for (ptrdiff_t chunk = 0; chunk < chunks(p); chunk++) {
        const ptrdiff_t c0 = chunk * CVL_ORDER_WINOGRAD_C;
        tiles.channels = cvl_min(CVL_ORDER_WINOGRAD_C, p->f->C - c0);
        p->kernels->winograd_data(&tiles, v + chunk * chunk_size(p) + first * tiles.ld,
                                  p->f->x + c0, p->zeros);
    }
}

static ptrdiff_t span_tiles(const plan *p) { return cvl_min(p->span, p->tiles - p->span0); }

/* Task: V of DATA_BLOCK tiles. */
static void data(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    (void)worker;
    make_v(p, p->v, begin * DATA_BLOCK, cvl_min(span_tiles(p), end * DATA_BLOCK));
}

/* Task: DATA_BLOCK tiles, all panels of them. Neighbours go in blocks of much the same size, chain by chain. */
static void shares(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const ptrdiff_t blocks = cvl_ceil_div((end - begin) * DATA_BLOCK, p->block);
    for (ptrdiff_t block = 0; block < blocks; block++) {
        cvl_winograd_tiles tiles = p->x_tiles;
        const ptrdiff_t stop = begin + (end - begin) * (block + 1) / blocks;
        tiles.first = (begin + (end - begin) * block / blocks) * DATA_BLOCK;
        tiles.count = cvl_min(p->tiles, stop * DATA_BLOCK) - tiles.first;
        for (ptrdiff_t c0 = 0; c0 < f->C; c0 += CVL_ORDER_WINOGRAD_C) {
            tiles.channels = cvl_min(CVL_ORDER_WINOGRAD_C, f->C - c0);
            p->kernels->winograd_data(&tiles, own.v, f->x + c0, p->zeros);
            for (ptrdiff_t panel = 0; panel < p->bands.panels; panel++) {
                const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
                make_u(p, &own, own.u, 0, c0, tiles.channels, place);
                multiply(p, own.products + place.column, own.v, tiles.count, own.u, 1,
                         tiles.channels, place.NR, c0 > 0);
            }
        }
        finish(p, own.products, tiles.first, tiles.count, 0, f->OC);
    }
}

/* Task: a block of tiles of a panel of outputs. */
static void panels(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const ptrdiff_t count = span_tiles(p);
    const ptrdiff_t pieces = cvl_ceil_div(count, p->block);
    const T *v = p->shares_v ? p->v : own.v;
    if (!p->shares_v)
        make_v(p, own.v, 0, count);
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t panel = task / pieces, first = task % pieces * p->block;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
        const ptrdiff_t tiles = cvl_min(p->block, count - first);
        for (ptrdiff_t chunk = 0; chunk < chunks(p); chunk++) {
            const ptrdiff_t c0 = chunk * CVL_ORDER_WINOGRAD_C;
            const ptrdiff_t K = cvl_min(CVL_ORDER_WINOGRAD_C, f->C - c0);
            const T *u = p->has_u ? f->u + u_place(p, panel, c0, place.NR) : own.u;
            if (!p->has_u)
                make_u(p, &own, own.u, 0, c0, K, place);
            multiply(p, own.products, v + chunk * chunk_size(p) + first * p->x_tiles.ld, tiles, u,
                     1, K, place.NR, chunk > 0);
        }
        finish(p, own.products, p->span0 + first, tiles, place.column,
               cvl_min(place.NR, f->OC - place.column));
    }
}

/* --------------------------------------------------------------------- weights made ready */

/* Task: w of a panel as it is read when U is not kept, (C, taps, NR): from end to end, where 32
 * outputs of each channel and tap are strides that no prefetcher follows. */
static void gather(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const ptrdiff_t taps = p->sizes.r * p->sizes.r;
    (void)worker;
    for (ptrdiff_t panel = begin; panel < end; panel++) {
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
        T *out = p->u + place.column * f->C * taps;
        memset(out, 0, (size_t)(f->C * taps * place.NR) * sizeof *out);
        for (ptrdiff_t tap = 0; tap < taps; tap++)
            p->kernels->copy_pixels(f->C, cvl_min(place.NR, f->OC - place.column),
                                    out + tap * place.NR, taps * place.NR,
                                    f->w + tap * f->C * f->OC + place.column, f->OC);
    }
}

static ptrdiff_t gathered_size(const plan *p)
{
    return p->bands.columns * p->f->C * p->sizes.r * p->sizes.r;
}

size_t NAME(winograd_packed_size)(const NAME(winograd) *f)
{
    plan p;
    NAME(winograd_forward_plan)(&p, f, 1, NULL, 1);
    return (size_t)(p.has_u ? u_size(&p) : gathered_size(&p)) * sizeof(T);
}

void NAME(winograd_pack)(const NAME(winograd) *f, T *u, char *workspace, int threads)
{
    plan p;
    NAME(winograd_forward_plan)(&p, f, 1, workspace, threads);
    p.u = u;
    if (p.has_u)
        make_all_u(&p, threads);
    else
        cvl_parallel_for(threads, p.bands.panels, (double)gathered_size(&p) * sizeof(T), CVL_FLUSH,
                         gather, &p);
}

void NAME(winograd_forward_run)(const NAME(winograd) *f, char *workspace, int threads)
{
    plan p;
    NAME(winograd_forward_plan)(&p, f, f->u != NULL, workspace, threads);
    memset(p.zeros, 0, (size_t)zeros_size(&p) * sizeof(T));
    if (p.keeps_u) {
        if (p.shares_u)
            make_all_u(&p, threads);
        cvl_parallel_for(threads, tasks_of_block(&p) * cvl_ceil_div(p.tiles, p.block), f->flops,
                         CVL_FLUSH, blocks, &p);
        return;
    }
    if (p.by_tiles) {
        cvl_parallel_for(threads, cvl_ceil_div(p.tiles, DATA_BLOCK), f->flops, CVL_FLUSH, shares,
                         &p);
        return;
    }
    for (; p.span0 < p.tiles; p.span0 += p.span) {
        const ptrdiff_t count = span_tiles(&p);
        if (p.shares_v)
            cvl_parallel_for(threads, cvl_ceil_div(count, DATA_BLOCK),
                             (double)(p.sizes.positions * count * f->C) * sizeof(T), CVL_FLUSH,
                             data, &p);
        cvl_parallel_for(threads, p.bands.panels * cvl_ceil_div(count, p.block), f->flops,
                         CVL_FLUSH, panels, &p);
    }
}
