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
 * at ten times the price of making them, where cores do not share an L3 at a hundred times.
 *
 * Groups take the first schedule, all groups of a block in turn: one group after the other would
 * touch every page as often as there are groups, and is up to 1.13 times as slow; but 1.3 to 2.1 times as
 * fast on two threads where U is more than images and a worker then reads what it has made. Groups that do
 * not fill their vectors, or fill only one, go through it several side by side, whose transforms are
 * those of one image.
 *
 * Order of sums: V U is one FMA chain per CVL_ORDER_WINOGRAD_C channels, chains added in order. */
#include "winograd.h"

#include "bands.h"

enum {
    /* U of so many weights, C*OC, is kept where so many tiles share it, since one worker writes what others
     * read; U of more, in L3, where more do, unless a block is of the fewest tiles. U made ready is worth
     * its size in memory up to READY_TILES. */
    FEW_WEIGHTS = 128 * 128,
    ENOUGH_TILES = 64,
    MORE_WEIGHTS = 1 << 17,
    MORE_TILES = 256,
    READY_TILES = 64,

    /* Channels of a task that makes U. */
    U_ROWS = 16,

    /* The first schedule: tiles of a block, whole micro-tiles, and bytes of V and products at most. Where
     * 16 registers make micro-tiles of 6 rows, none is left over of SMALL_BLOCK, and the L2 of such CPUs is
     * 512 KB, or less. At least MIN_BLOCK tiles, and so few if there would be fewer than MIN_BLOCKS blocks,
     * or U leaves no room in an L2 of 1 MB or more. */
    BLOCK = 32,
    BLOCK_BYTES = 768 * 1024,
    SMALL_BLOCK = 48,
    SMALL_BYTES = 448 * 1024,
    MIN_BLOCK = 8,
    MIN_BLOCKS = 16,
    ROOM_BYTES = 768 * 1024, /* of U */

    /* Lines of groups side by side, where tiles are enough; tasks, below which panels are narrower; outputs
     * of a panel whose U, or V, comes from L3. */
    SET_LINES = 4,
    MIN_TASKS = 2,
    FAR_COLUMNS = 32,

    /* The second schedule: tiles of a task, and of one that makes V; bytes of V at a time. */
    SPAN_BLOCK = 128,
    DATA_BLOCK = 8,
    DATA_BYTES = 32 << 20,

    /* Bytes of U or V, up to which each worker makes it for itself, in its L2. */
    PRIVATE_BYTES = 1 << 20
};

typedef struct plan {
    const NAME(winograd) *f;
    const NAME(kernels) *kernels;
    cvl_winograd_sizes sizes;
    cvl_bands bands;
    cvl_winograd_tiles x_tiles, y_tiles; /* with plane and ld of V and of the products */
    ptrdiff_t tiles, block;              /* of a task */
    ptrdiff_t side;                      /* groups side by side, the last perhaps fewer */
    int keeps_u, shares_u, shares_v;
    int has_u;        /* f->u is U */
    int u_streams;    /* from L3 or memory */
    int by_set;       /* a worker takes all blocks of some groups: it has made most of their U */
    ptrdiff_t u_rows; /* channels of U in one piece */
    ptrdiff_t span, span0; /* tiles of V at a time; the first of them */
    ptrdiff_t NR;          /* of the widest panel */
    T *u, *v, *zeros;      /* shared; v and u NULL where they are private */
    char *worker_scratch;
    size_t worker_bytes;
} plan;

/* What one worker writes. */
typedef struct scratch {
    T *v, *u, *products;
    T *taps; /* (taps, turned, NR): weights turned */
} scratch;

/* Shared V is cut into the channels of a chain, so that a panel reads it from end to end; and so is U
 * that is read once. */
static ptrdiff_t chunks(const plan *p)
{
    return p->keeps_u ? 1 : cvl_ceil_div(p->f->C, CVL_ORDER_WINOGRAD_C);
}

/* Panels of all groups, one group after the other. */
static ptrdiff_t all_panels(const plan *p) { return p->f->groups * p->bands.panels; }

/* Of a block: groups side by side are one task, with all their panels. */
static ptrdiff_t sets(const plan *p) { return cvl_ceil_div(p->f->groups, p->side); }
static ptrdiff_t tasks_of_block(const plan *p) { return p->side > 1 ? sets(p) : all_panels(p); }

/* U of a panel: what lies between its planes, a chunk of it, and all panels of it. */
static ptrdiff_t u_plane(const plan *p, ptrdiff_t NR)
{
    return NAME(winograd_plane)(p->u_rows * NR);
}
static ptrdiff_t panel_size(const plan *p) { return p->sizes.positions * u_plane(p, p->NR); }
static ptrdiff_t u_size(const plan *p) { return all_panels(p) * chunks(p) * panel_size(p); }

/* Where U of a panel begins, from channel c on. */
static ptrdiff_t u_place(const plan *p, ptrdiff_t panel, ptrdiff_t c, ptrdiff_t NR)
{
    return (panel * chunks(p) + c / p->u_rows) * panel_size(p) + c % p->u_rows * NR;
}
static ptrdiff_t chunk_size(const plan *p) { return p->sizes.positions * p->x_tiles.plane; }

/* Channels of which weights are turned at a time, lines that are neighbours: one of 64 bytes, which is a
 * vector, or the two that a CPU of narrower ones fetches together. */
static ptrdiff_t turned(const plan *p) { return p->kernels->vector < 64 ? 2 * U_ROWS : U_ROWS; }

static scratch carve_scratch(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    scratch w = {NULL, NULL, NULL, NULL};
    const ptrdiff_t positions = p->sizes.positions;
    if (!p->shares_u && !p->has_u)
        w.u = cvl_carve(&s, (size_t)(p->keeps_u ? u_size(p) : panel_size(p)) * sizeof(T));
    if (p->keeps_u || !p->shares_v)
        w.v = cvl_carve(&s, (size_t)(chunks(p) * chunk_size(p)) * sizeof(T));
    w.products = cvl_carve(&s, (size_t)(positions * p->y_tiles.plane) * sizeof(T));
    if (p->f->transposed)
        w.taps = cvl_carve(&s, (size_t)(p->sizes.r * p->sizes.r * turned(p) * p->NR) * sizeof(T));
    *bytes = s.used;
    return w;
}

/* A row of a tile that lies outside. */
static ptrdiff_t zeros_size(const plan *p) { return p->sizes.n * NAME(winograd_x_pixel)(p->f); }

/* Outputs of a panel at most where U, or V, comes from L3: less of many tiles' V does where panels are
 * wider, if L2 holds U of these; CPUs of half units have had 1 MB. */
static ptrdiff_t far_columns(const plan *p)
{
    const int wide = !p->keeps_u && p->tiles > READY_TILES && p->f->OC % (4 * FAR_COLUMNS) == 0;
    return wide && !cvl_has_half_units() ? 2 * FAR_COLUMNS : FAR_COLUMNS;
}

/* Bytes of U of all groups, without the room between its planes. */
static ptrdiff_t u_bytes(const plan *p)
{
    return p->sizes.positions * p->f->C * p->f->OC * p->f->groups * (ptrdiff_t)sizeof(T);
}

/* Bytes of x and y. */
static ptrdiff_t io_bytes(const plan *p)
{
    const NAME(winograd) *f = p->f;
    return f->N *
           (f->H * f->W * NAME(winograd_x_pixel)(f) + f->OH * f->OW * NAME(winograd_y_pixel)(f)) *
           (ptrdiff_t)sizeof(T);
}

/* Whether U that is `ready` is read but once. U of few tiles is more than V, and comes from L3 where a
 * network has more weights than L2. */
static int reads_once(const plan *p, int ready)
{
    return ready && p->f->groups == 1 && p->tiles <= cvl_min(BLOCK, p->f->OC);
}

static void choose_schedule(plan *p, int ready)
{
    const NAME(winograd) *f = p->f;
    const ptrdiff_t weights = f->C * f->OC;
    const ptrdiff_t least_bytes =
        MIN_BLOCK * p->sizes.positions * (f->C + FAR_COLUMNS) * (ptrdiff_t)sizeof(T);
    const int deep = f->OC > FAR_COLUMNS && 2 * least_bytes > BLOCK_BYTES;
    /* Of few tiles only what stays in L2: the second schedule reads U once, not for each block. */
    p->keeps_u = f->groups > 1 || (ready && u_bytes(p) <= PRIVATE_BYTES) ||
                 (weights <= FEW_WEIGHTS && p->tiles >= ENOUGH_TILES) ||
                 (weights <= MORE_WEIGHTS && p->tiles >= MORE_TILES && !deep);
    p->has_u = ready && (p->keeps_u || p->tiles <= READY_TILES);
    p->u_streams = p->keeps_u ? reads_once(p, ready) || u_bytes(p) > PRIVATE_BYTES : p->has_u;
}

/* Puts groups side by side, and cuts the outputs of each into panels. */
static void cut_outputs(plan *p)
{
    const NAME(winograd) *f = p->f;
    const ptrdiff_t VL = p->kernels->vector / (ptrdiff_t)sizeof(T);
    /* Of four vectors on every level: a line of each row of w would take four times as long to come. */
    const NAME(gemm_panel) wide[CVL_GEMM_PANELS] = {{.NR = 4 * VL}, {.NR = 2 * VL}, {.NR = VL}};
    const NAME(gemm_panel) *widths = p->keeps_u || p->has_u ? p->kernels->gemm : wide;
    const NAME(gemm_panel) *widest = widths;
    const ptrdiff_t blocks = cvl_ceil_div(p->tiles, MIN_BLOCK);
    const ptrdiff_t pieces = p->keeps_u ? f->groups * blocks : 1;
    /* To go through an image for a line of each pixel costs more than for SET_LINES, however large. */
    const int lines = f->groups > 1 && cvl_max(f->C, f->OC) <= 16 && p->tiles >= ENOUGH_TILES;
    p->side = NAME(winograd_side)(f, lines ? SET_LINES : 1, cvl_ceil_div(MIN_BLOCKS, blocks));
    while (((!p->keeps_u || p->u_streams) && widest->NR > far_columns(p)) ||
           (widest < widths + CVL_GEMM_WHOLE - 1 &&
            pieces * cvl_ceil_div(f->OC, widest->NR) < MIN_TASKS))
        widest++;
    const int width = (int)(widest - widths);
    p->bands = f->groups > 1 ? NAME(make_group_bands)(widths, width, f->OC)
                             : NAME(make_bands_of)(widest, CVL_GEMM_WHOLE - width, f->OC);
    p->NR = p->bands.band[0].NR;
    p->y_tiles.ld = p->NR;
    if (p->side > 1)
        p->y_tiles.ld = cvl_winograd_pad((p->side - 1) * f->OC + p->bands.columns);
}

/* Cuts the tiles where U is kept. */
static void cut_blocks(plan *p, int ready, int threads)
{
    const ptrdiff_t C = cvl_winograd_pad(p->side * p->f->C);
    const ptrdiff_t tile_bytes = p->sizes.positions * (C + p->y_tiles.ld) * (ptrdiff_t)sizeof(T);
    const int small = p->kernels->gemm->NR * (ptrdiff_t)sizeof(T) < 4 * p->kernels->vector;
    const ptrdiff_t most = small ? SMALL_BYTES : BLOCK_BYTES;
    p->block = (small ? SMALL_BLOCK : BLOCK) / (p->side > 1 ? 2 : 1);
    /* U that leaves no room in L2 comes from L3 for every block: one worker takes fewer of them. Where
     * it is read once, and in several panels, these are the tasks. */
    const int whole = reads_once(p, ready) && (threads == 1 || p->bands.panels > 1);
    const int fewer = threads == 1 && u_bytes(p) > ROOM_BYTES;
    const ptrdiff_t least = whole || fewer ? 1 : MIN_BLOCKS;
    if (whole)
        p->block = cvl_min(p->block, cvl_max(MIN_BLOCK, p->tiles));
    while (p->block > MIN_BLOCK &&
           (p->block * tile_bytes > most || sets(p) * cvl_ceil_div(p->tiles, p->block) < least))
        p->block /= 2;
    p->u_rows = p->f->C;
    p->x_tiles.ld = C;
    p->x_tiles.plane = NAME(winograd_plane)(p->block * C);
    p->span = p->tiles;
    p->shares_u = !ready && u_size(p) * (ptrdiff_t)sizeof(T) > PRIVATE_BYTES;
    p->by_set = p->f->groups > 1 && u_bytes(p) > PRIVATE_BYTES && io_bytes(p) < u_bytes(p);
}

/* Cuts the tiles where U is not kept: into blocks of much the same size, each of which makes U anew. */
static void cut_spans(plan *p)
{
    const ptrdiff_t C = cvl_winograd_pad(p->f->C);
    p->block = cvl_ceil_div(p->tiles, cvl_ceil_div(p->tiles, SPAN_BLOCK));
    p->block = cvl_min(p->tiles, cvl_ceil_div(p->block, DATA_BLOCK) * DATA_BLOCK);
    p->u_rows = cvl_min(p->f->C, CVL_ORDER_WINOGRAD_C);
    p->x_tiles.ld = cvl_winograd_pad(p->u_rows);
    p->span = DATA_BYTES / (p->sizes.positions * C * (ptrdiff_t)sizeof(T));
    p->span = cvl_min(p->tiles, cvl_max(1, p->span / p->block) * p->block);
    p->x_tiles.plane = NAME(winograd_plane)(p->span * p->x_tiles.ld);
    p->shares_v = chunks(p) * chunk_size(p) * (ptrdiff_t)sizeof(T) > PRIVATE_BYTES;
    p->x_tiles.far = p->shares_v;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const NAME(winograd) *f, int ready, char *base, int threads)
{
    *p = (plan){.f = f, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->sizes = cvl_winograd_sizes_of(f->form);
    p->tiles = cvl_max(1, NAME(winograd_tiles)(f)); /* an empty batch is cut, if never run */
    p->x_tiles = NAME(winograd_tiles_of_x)(f);
    p->y_tiles = NAME(winograd_tiles_of_y)(f);
    choose_schedule(p, ready);
    cut_outputs(p);
    if (p->keeps_u)
        cut_blocks(p, ready, threads);
    else
        cut_spans(p);
    p->y_tiles.plane = NAME(winograd_plane)(p->block * p->y_tiles.ld);

    cvl_scratch s = {base, 0};
    p->zeros = cvl_carve(&s, (size_t)zeros_size(p) * sizeof(T));
    if (p->shares_u)
        p->u = cvl_carve(&s, (size_t)u_size(p) * sizeof(T));
    if (p->shares_v)
        p->v = cvl_carve(&s, (size_t)(chunks(p) * chunk_size(p)) * sizeof(T));
    carve_scratch(p, NULL, &p->worker_bytes);
    p->worker_scratch = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(winograd_forward_workspace)(const NAME(winograd) *f, int threads)
{
    plan p;
    const size_t packed = make_plan(&p, f, 1, NULL, threads);
    const size_t other = make_plan(&p, f, 0, NULL, threads);
    return packed > other ? packed : other;
}

static scratch scratch_of(const plan *p, int worker)
{
    size_t bytes;
    return carve_scratch(p, p->worker_scratch + (size_t)worker * p->worker_bytes, &bytes);
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
    make_plan(&p, f, 1, NULL, 1);
    return (size_t)(p.has_u ? u_size(&p) : gathered_size(&p)) * sizeof(T);
}

void NAME(winograd_pack)(const NAME(winograd) *f, T *u, char *workspace, int threads)
{
    plan p;
    make_plan(&p, f, 1, workspace, threads);
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
    make_plan(&p, f, f->u != NULL, workspace, threads);
    memset(p.zeros, 0, (size_t)zeros_size(&p) * sizeof(T));
    if (p.keeps_u) {
        if (p.shares_u)
            make_all_u(&p, threads);
        cvl_parallel_for(threads, tasks_of_block(&p) * cvl_ceil_div(p.tiles, p.block), f->flops,
                         CVL_FLUSH, blocks, &p);
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
