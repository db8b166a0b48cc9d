/* winograd_forward_plan.c: how minimal filtering forward and for backward data is cut into tasks. */
#include "winograd_forward_plan.h"

enum {
    /* U of so many weights, C*OC, is kept where so many tiles share it, since one worker writes what others
     * read; U of more, in L3, where more do, unless a block is of the fewest tiles. U that several workers
     * would make together is not kept up to COMMON_TILES, 1.1 to 1.9 times as fast; but where it costs much beside
     * the products, only of so many times as many outputs. U made ready is worth its size in memory up to
     * READY_TILES. */
    FEW_WEIGHTS = 128 * 128,
    ENOUGH_TILES = 64,
    MORE_WEIGHTS = 1 << 17,
    MORE_TILES = 256,
    COMMON_TILES = 200,
    COMMON_OUTPUTS = 3,
    READY_TILES = 64,

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

    /* The second schedule: tiles of a task; bytes of V at a time. */
    SPAN_BLOCK = 128,
    DATA_BYTES = 32 << 20,

    /* Bytes of U or V, up to which each worker makes it for itself, in its L2. */
    PRIVATE_BYTES = 1 << 20,

    /* What a column of U costs, in products of a tile, for each 5 taps, twice as much of FAR_W weights; and V of a
     * tile, in products of a column: made by each worker, or by another, from whose cache it comes. */
    U_COST = 4,
    FAR_W = 1 << 17,
    V_COST = 19,
    V_COST_SHARED = 41
};

scratch NAME(winograd_forward_scratch)(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    scratch w = {NULL, NULL, NULL, NULL};
    const ptrdiff_t positions = p->sizes.positions;
    if (!p->shares_u && !p->has_u)
        w.u = cvl_carve(&s, (size_t)(p->keeps_u ? u_size(p) : panel_size(p)) * sizeof(T));
    if (p->keeps_u || !p->shares_v)
        w.v = cvl_carve(&s, (size_t)((p->by_tiles ? 1 : chunks(p)) * chunk_size(p)) * sizeof(T));
    w.products = cvl_carve(&s, (size_t)(positions * p->y_tiles.plane) * sizeof(T));
    if (p->f->transposed)
        w.taps = cvl_carve(&s, (size_t)(p->sizes.r * p->sizes.r * turned(p) * p->NR) * sizeof(T));
    *bytes = s.used;
    return w;
}

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

static void choose_schedule(plan *p, int ready, int workers)
{
    const NAME(winograd) *f = p->f;
    const ptrdiff_t weights = f->C * f->OC;
    const ptrdiff_t least_bytes =
        MIN_BLOCK * p->sizes.positions * (f->C + FAR_COLUMNS) * (ptrdiff_t)sizeof(T);
    const int dear = p->kernels->vector < 64 || f->form == CVL_WINOGRAD_2X5;
    const int common = workers > 1 && !ready && u_bytes(p) > PRIVATE_BYTES &&
                       (!dear || f->OC >= COMMON_OUTPUTS * f->C);
    const int deep = f->OC > FAR_COLUMNS && 2 * least_bytes > BLOCK_BYTES;
    /* Of few tiles only what stays in L2: the second schedule reads U once, not for each block. */
    p->keeps_u = f->groups > 1 || (ready && u_bytes(p) <= PRIVATE_BYTES) ||
                 (weights <= FEW_WEIGHTS && p->tiles >= (common ? COMMON_TILES : ENOUGH_TILES)) ||
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

/* Tiles of a block where workers share out the tiles: V of a chain, and products of all panels, stay in L2. */
static ptrdiff_t share_block(const plan *p)
{
    const ptrdiff_t tile = p->sizes.positions * (p->x_tiles.ld + p->bands.columns);
    const ptrdiff_t most = cvl_min(PRIVATE_BYTES / (tile * (ptrdiff_t)sizeof(T)), p->tiles);
    return cvl_max(DATA_BLOCK, most / DATA_BLOCK * DATA_BLOCK);
}

/* Whether workers rather share out the tiles, and make U of all panels each, than the panels, of which one may
 * have more than another, and all need V. */
static int pays_by_tiles(const plan *p, ptrdiff_t workers)
{
    const ptrdiff_t taps = p->sizes.r * p->sizes.r, columns = p->bands.columns;
    const ptrdiff_t u = U_COST * taps / 5 * (p->f->C * p->f->OC * taps > FAR_W ? 2 : 1);
    const ptrdiff_t v = p->shares_v ? V_COST_SHARED : V_COST;
    const ptrdiff_t panels = cvl_min(columns, cvl_ceil_div(p->bands.panels, workers) * p->NR);
    const ptrdiff_t most = cvl_ceil_div(cvl_ceil_div(p->tiles, DATA_BLOCK), workers) * DATA_BLOCK;
    const ptrdiff_t by_tiles =
        columns * (cvl_ceil_div(most, share_block(p)) * u + most) + V_COST * most;
    return workers > 1 && !p->has_u &&
           20 * (panels * (u + p->tiles) + v * p->tiles) > 21 * by_tiles;
}

size_t NAME(winograd_forward_plan)(plan *p, const NAME(winograd) *f, int ready, char *base,
                                   int threads)
{
    *p = (plan){.f = f, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->sizes = cvl_winograd_sizes_of(f->form);
    p->tiles = cvl_max(1, NAME(winograd_tiles)(f)); /* an empty batch is cut, if never run */
    p->x_tiles = NAME(winograd_tiles_of_x)(f);
    p->y_tiles = NAME(winograd_tiles_of_y)(f);
    const int workers = cvl_team_size(threads, threads, f->flops);
    choose_schedule(p, ready, workers);
    cut_outputs(p);
    if (p->keeps_u)
        cut_blocks(p, ready, threads);
    else
        cut_spans(p);
    p->by_tiles = !p->keeps_u && pays_by_tiles(p, workers);
    if (p->by_tiles) {
        p->block = share_block(p);
        p->y_tiles.ld = p->bands.columns;
        p->x_tiles.plane = NAME(winograd_plane)(p->block * p->x_tiles.ld);
        p->x_tiles.far = p->shares_v = 0;
    }
    p->y_tiles.plane = NAME(winograd_plane)(p->block * p->y_tiles.ld);

    cvl_scratch s = {base, 0};
    p->zeros = cvl_carve(&s, (size_t)zeros_size(p) * sizeof(T));
    if (p->shares_u)
        p->u = cvl_carve(&s, (size_t)u_size(p) * sizeof(T));
    if (p->shares_v)
        p->v = cvl_carve(&s, (size_t)(chunks(p) * chunk_size(p)) * sizeof(T));
    NAME(winograd_forward_scratch)(p, NULL, &p->worker_bytes);
    p->worker_scratch = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}
