/* winograd_backward.c: backward weights by minimal filtering:
 *   V = B^T x B (positions, tiles, C)   D = A dy A^T (positions, tiles, OC)
 *   S = V^T D (positions, C, OC), a sum over tiles   dw = G^T S G
 *
 * Two schedules. With few weights a task takes a range of the tiles, block by block in scratch, to
 * a partial dw of its own, and the partial ones are added in order. With many, or few tiles, V and D
 * of a span of tiles are made first, by all workers or where they are small by each, and a task takes
 * a block of weights, whose S it makes in scratch, through to dw, which adds up span by span.
 * Groups take the first schedule: each has ranges of its own, or one of all its tiles. Those of few
 * channels are taken several side by side, whose transforms are those of one image.
 *
 * Order of sums: S is one FMA chain per CVL_ORDER_WINOGRAD_TILES tiles, chains added in order
 * within a span or range; where those end, the shape alone decides. */
#include "partial_sums.h"
#include "winograd.h"

#include "bands.h"

enum {
    ROWS = 32,      /* channels of a block of weights, half of it where there are */
    FEW_BLOCKS = 8, /* fewer than so many blocks */
    DATA_BLOCK = 8, /* tiles of a task that makes V and D */
    MIN_TASKS = 8,  /* fewer groups are side by side where tasks would be fewer */
    CHAIN = CVL_ORDER_WINOGRAD_TILES,
    PRIVATE_BYTES = 2 << 20 /* of V and D, up to which each worker makes what it needs of them */
};

typedef struct plan {
    const NAME(winograd) *f;
    const NAME(kernels) *kernels;
    cvl_winograd_sizes sizes;
    cvl_bands bands;
    cvl_winograd_tiles x_tiles, y_tiles; /* with plane and ld of V and D */
    ptrdiff_t tiles;
    ptrdiff_t ranges;            /* 0: by spans */
    ptrdiff_t side;              /* groups side by side, the last perhaps fewer */
    int shares_data;             /* V and D of a span: by all workers */
    ptrdiff_t span, span0;       /* tiles of V and D at a time; the first of them */
    ptrdiff_t s_rows, s_columns; /* of S in one piece */
    T *v, *d, *zeros;            /* shared; v and d NULL where they are private */
    T *partial;                  /* (ranges - 1, KH, KW, C, groups, OC) */
    T *dw;
    const T *dy;
    char *worker_scratch;
    size_t worker_bytes;
} plan;

/* What one worker writes. */
typedef struct scratch {
    T *v, *d, *s;
} scratch;

/* V and D of a span are cut as the weights are, so that a task reads its parts from end to end. */
static ptrdiff_t blocks_of_c(const plan *p) { return cvl_ceil_div(p->f->C, p->s_rows); }
static ptrdiff_t sets(const plan *p) { return cvl_ceil_div(p->f->groups, p->side); }
static ptrdiff_t v_size(const plan *p) { return p->sizes.positions * p->x_tiles.plane; }
static ptrdiff_t panels_of_d(const plan *p) { return p->ranges ? 1 : p->bands.panels; }
static ptrdiff_t d_size(const plan *p) { return p->sizes.positions * p->y_tiles.plane; }
static ptrdiff_t s_plane(const plan *p) { return NAME(winograd_plane)(p->s_rows * p->s_columns); }
static ptrdiff_t s_size(const plan *p) { return p->sizes.positions * s_plane(p); }

static scratch carve_scratch(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    scratch w = {NULL, NULL, NULL};
    if (!p->shares_data) {
        w.v = cvl_carve(&s, (size_t)(blocks_of_c(p) * v_size(p)) * sizeof(T));
        w.d = cvl_carve(&s, (size_t)(panels_of_d(p) * d_size(p)) * sizeof(T));
    }
    w.s = cvl_carve(&s, (size_t)(p->side * s_size(p)) * sizeof(T));
    *bytes = s.used;
    return w;
}

static ptrdiff_t w_size(const plan *p)
{
    return p->sizes.r * p->sizes.r * p->f->C * NAME(winograd_y_pixel)(p->f);
}

/* A row of a tile that lies outside. */
static ptrdiff_t zeros_size(const plan *p) { return p->sizes.n * NAME(winograd_x_pixel)(p->f); }

/* Whether there are tiles enough for several sums of the same weights. */
static int has_splits(const plan *p)
{
    const ptrdiff_t C = p->f->C, OC = p->f->OC;
    const ptrdiff_t enough =
        C <= CVL_ORDER_WINOGRAD_CHANNELS ? CVL_ORDER_WINOGRAD_FEW : CVL_ORDER_WINOGRAD_TILES;
    return p->tiles >= enough && C + OC >= cvl_ceil_div(C * OC, p->tiles);
}

/* Cuts the tiles into ranges. */
static void cut_ranges(plan *p)
{
    const NAME(winograd) *f = p->f;
    p->ranges = has_splits(p) && f->groups < CVL_ORDER_WINOGRAD_RANGES ? 2 : 1;
    while (f->groups * p->ranges < CVL_ORDER_WINOGRAD_RANGES &&
           p->tiles > 2 * CVL_ORDER_WINOGRAD_RANGE * p->ranges)
        p->ranges *= 2;
    p->side = NAME(winograd_side)(f, 1, MIN_TASKS);
    p->span = CHAIN;
    p->s_rows = f->C;
    p->s_columns = p->bands.columns;
    p->x_tiles.ld = cvl_winograd_pad(p->side * f->C);
    p->y_tiles.ld = cvl_winograd_pad(p->side > 1 ? (p->side - 1) * f->OC + p->bands.columns
                                                 : p->bands.band[0].NR);
}

/* Cuts the tiles into spans, and the weights into blocks. */
static void cut_spans(plan *p)
{
    const NAME(winograd) *f = p->f;
    p->side = 1;
    p->span = CVL_ORDER_WINOGRAD_SPAN;
    while (p->span > CHAIN && p->span * (f->C + f->OC) > CVL_ORDER_WINOGRAD_VALUES)
        p->span -= CHAIN;
    p->span = cvl_min(p->span, p->tiles);
    p->s_rows = ROWS;
    if (cvl_ceil_div(f->C, ROWS) * p->bands.panels < FEW_BLOCKS)
        p->s_rows /= 2;
    p->s_columns = p->bands.band[0].NR;
    p->x_tiles.ld = p->s_rows;
    p->y_tiles.ld = cvl_winograd_pad(p->s_columns);
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const NAME(winograd) *f, char *base, int threads)
{
    *p = (plan){.f = f, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->sizes = cvl_winograd_sizes_of(f->form);
    p->bands = f->groups > 1 ? NAME(make_group_bands)(p->kernels->gemm, 0, f->OC)
                             : NAME(make_bands)(p->kernels->gemm, f->OC);
    p->tiles = NAME(winograd_tiles)(f);
    p->x_tiles = NAME(winograd_tiles_of_x)(f);
    p->y_tiles = NAME(winograd_tiles_of_y)(f);
    if (f->groups > 1 || (has_splits(p) && f->C * f->OC <= CVL_ORDER_WINOGRAD_WEIGHTS))
        cut_ranges(p);
    else
        cut_spans(p);
    p->x_tiles.plane = NAME(winograd_plane)(p->span * p->x_tiles.ld);
    p->y_tiles.plane = NAME(winograd_plane)(p->span * p->y_tiles.ld);

    const ptrdiff_t v_all = blocks_of_c(p) * v_size(p), d_all = panels_of_d(p) * d_size(p);
    p->shares_data = !p->ranges && (v_all + d_all) * (ptrdiff_t)sizeof(T) > PRIVATE_BYTES;
    p->x_tiles.far = p->y_tiles.far = p->shares_data;

    cvl_scratch s = {base, 0};
    p->zeros = cvl_carve(&s, (size_t)zeros_size(p) * sizeof(T));
    if (p->ranges) {
        p->partial = cvl_carve(&s, (size_t)((p->ranges - 1) * w_size(p)) * sizeof(T));
    } else if (p->shares_data) {
        p->v = cvl_carve(&s, (size_t)v_all * sizeof(T));
        p->d = cvl_carve(&s, (size_t)d_all * sizeof(T));
    }
    carve_scratch(p, NULL, &p->worker_bytes);
    p->worker_scratch = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(winograd_backward_workspace)(const NAME(winograd) *f, int threads)
{
    plan p;
    return make_plan(&p, f, NULL, threads);
}

static scratch scratch_of(const plan *p, int worker)
{
    size_t bytes;
    return carve_scratch(p, p->worker_scratch + (size_t)worker * p->worker_bytes, &bytes);
}

/* Of `rows` channels and a panel of NR outputs of each of `groups` groups: S += V^T D over `tiles` tiles,
 * or = with the first. */
static void accumulate(const plan *p, T *s, const T *v, const T *d, ptrdiff_t groups,
                       ptrdiff_t tiles, ptrdiff_t rows, ptrdiff_t NR, int add)
{
    p->kernels->winograd_product(&(NAME(winograd_product)){
        .positions = p->sizes.positions,
        .groups = groups,
        .rows = rows,
        .K = tiles,
        .chain = CHAIN,
        .NR = NR,
        .a = v,
        .a_plane = p->x_tiles.plane,
        .a_group = p->f->C,
        .a_row = 1,
        .a_step = p->x_tiles.ld,
        .b = d,
        .b_plane = p->y_tiles.plane,
        .b_group = p->f->OC,
        .b_step = p->y_tiles.ld,
        .c = s,
        .c_plane = s_plane(p),
        .c_group = s_size(p),
        .c_row = p->s_columns,
        .add = add,
        .a_streams = p->shares_data,
        .b_streams = p->shares_data,
    });
}

/* dw of `rows` channels from c0 and `columns` outputs from oc0 on, from their S. */
static void finish(const plan *p, T *dw, const T *s, ptrdiff_t c0, ptrdiff_t rows, ptrdiff_t oc0,
                   ptrdiff_t columns, int add)
{
    const NAME(winograd) *f = p->f;
    const ptrdiff_t y_pixel = NAME(winograd_y_pixel)(f);
    const cvl_winograd_filters filters = {
        .form = f->form,
        .rows = rows,
        .columns = columns,
        .w_tap = f->C * y_pixel,
        .w_row = y_pixel,
        .u_plane = s_plane(p),
        .u_row = p->s_columns,
    };
    p->kernels->winograd_filter_gradient(&filters, dw + c0 * y_pixel + oc0, s, add);
}

/* ------------------------------------------------------------------- ranges of tiles */

/* Task: a range of tiles of groups side by side, to a dw of its own. D is made a panel at a time, to
 * stay in the caches, but at once where groups are side by side. */
static void ranges(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const int at_once = p->side > 1;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t group = task / p->ranges * p->side, range = task % p->ranges;
        const ptrdiff_t groups = cvl_min(p->side, f->groups - group);
        const ptrdiff_t first = p->tiles * range / p->ranges;
        const ptrdiff_t last = p->tiles * (range + 1) / p->ranges;
        for (ptrdiff_t tile = first; tile < last; tile += CHAIN) {
            cvl_winograd_tiles x_tiles = p->x_tiles, y_tiles = p->y_tiles;
            x_tiles.first = y_tiles.first = tile;
            x_tiles.count = y_tiles.count = cvl_min(CHAIN, last - tile);
            x_tiles.channels = groups * f->C;
            p->kernels->winograd_data(&x_tiles, own.v, f->x + group * f->C, p->zeros);
            for (ptrdiff_t panel = 0; panel < p->bands.panels; panel++) {
                const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
                const ptrdiff_t oc0 = at_once ? 0 : place.column;
                y_tiles.channels =
                    at_once ? groups * f->OC : cvl_min(place.NR, f->OC - place.column);
                if (panel == 0 || !at_once)
                    p->kernels->winograd_gradient(&y_tiles, own.d, p->dy + group * f->OC + oc0);
                accumulate(p, own.s + place.column, own.v, own.d + place.column - oc0, groups,
                           x_tiles.count, f->C, place.NR, tile > first);
            }
        }
        T *dw = range ? p->partial + (range - 1) * w_size(p) : p->dw;
        for (ptrdiff_t g = 0; g < groups; g++)
            finish(p, dw + (group + g) * f->OC, own.s + g * s_size(p), 0, f->C, 0, f->OC, 0);
    }
}

/* -------------------------------------------------------------------- spans of tiles */

static ptrdiff_t span_tiles(const plan *p) { return cvl_min(p->span, p->tiles - p->span0); }

/* V of a block of channels, of the tiles of the span from `first` up to `last`. */
static void make_v(const plan *p, T *v, ptrdiff_t block, ptrdiff_t first, ptrdiff_t last)
{
    const ptrdiff_t c0 = block * p->s_rows;
    cvl_winograd_tiles tiles = p->x_tiles;
    tiles.first = p->span0 + first;
    tiles.count = last - first;
    tiles.channels = cvl_min(p->s_rows, p->f->C - c0);
    p->kernels->winograd_data(&tiles, v + block * v_size(p) + first * tiles.ld, p->f->x + c0,
                              p->zeros);
}

/* D of a panel of outputs likewise. */
static void make_d(const plan *p, T *d, ptrdiff_t panel, ptrdiff_t first, ptrdiff_t last)
{
    const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
    cvl_winograd_tiles tiles = p->y_tiles;
    tiles.first = p->span0 + first;
    tiles.count = last - first;
    tiles.channels = cvl_min(place.NR, p->f->OC - place.column);
    p->kernels->winograd_gradient(&tiles, d + panel * d_size(p) + first * tiles.ld,
                                  p->dy + place.column);
}

/* Task: V and D of DATA_BLOCK tiles. */
static void data(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const ptrdiff_t first = begin * DATA_BLOCK, last = cvl_min(end * DATA_BLOCK, span_tiles(p));
    (void)worker;
    for (ptrdiff_t block = 0; block < blocks_of_c(p); block++)
        make_v(p, p->v, block, first, last);
    for (ptrdiff_t panel = 0; panel < p->bands.panels; panel++)
        make_d(p, p->d, panel, first, last);
}

/* Task: s_rows channels of a panel, over all tiles of the span. */
static void weights(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(winograd) *f = p->f;
    const scratch own = scratch_of(p, worker);
    const T *all_v = p->shares_data ? p->v : own.v, *all_d = p->shares_data ? p->d : own.d;
    const ptrdiff_t count = span_tiles(p), panels = p->bands.panels;
    if (!p->shares_data) {
        for (ptrdiff_t block = begin / panels; block <= (end - 1) / panels; block++)
            make_v(p, own.v, block, 0, count);
        for (ptrdiff_t panel = 0; panel < panels; panel++)
            make_d(p, own.d, panel, 0, count);
    }
    for (ptrdiff_t task = begin; task < end; task++) {
        const cvl_panel_place place = cvl_panel_at(&p->bands, task % panels);
        const ptrdiff_t c0 = task / panels * p->s_rows;
        const ptrdiff_t rows = cvl_min(p->s_rows, f->C - c0);
        const T *v = all_v + task / panels * v_size(p), *d = all_d + task % panels * d_size(p);
        accumulate(p, own.s, v, d, 1, count, rows, place.NR, 0);
        finish(p, p->dw, own.s, c0, rows, place.column, cvl_min(place.NR, f->OC - place.column),
               p->span0 > 0);
    }
}

void NAME(winograd_backward_run)(const NAME(winograd) *f, T *dw, const T *dy, char *workspace,
                                 int threads)
{
    plan p;
    make_plan(&p, f, workspace, threads);
    p.dw = dw;
    p.dy = dy;
    memset(p.zeros, 0, (size_t)zeros_size(&p) * sizeof(T));
    if (p.ranges) {
        cvl_parallel_for(threads, sets(&p) * p.ranges, f->flops, CVL_FLUSH, ranges, &p);
        NAME(add_partial_sums)(dw, p.partial, p.ranges, w_size(&p), threads);
        return;
    }
    for (; p.span0 < p.tiles; p.span0 += p.span) {
        if (p.shares_data)
            cvl_parallel_for(threads, cvl_ceil_div(span_tiles(&p), DATA_BLOCK),
                             (double)(p.sizes.positions * span_tiles(&p) * (f->C + f->OC)) *
                                 sizeof(T),
                             CVL_FLUSH, data, &p);
        cvl_parallel_for(threads, p.bands.panels * cvl_ceil_div(f->C, p.s_rows), f->flops,
                         CVL_FLUSH, weights, &p);
    }
}
