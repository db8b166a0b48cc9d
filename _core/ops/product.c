/* product.c: 1x1 convolutions of few positions, as a linear layer is.
 *
 * Packing the weights would be a tenth of the work at 64 positions, and most of it at few. So the
 * micro-kernel reads w as it lies (forward), or a panel of it that its worker has just turned
 * (backward data); but of a program, which packs once for many calls, panels that are packed. A task is
 * a few rows of a vector of columns; neighbours of one panel are run together, so that a worker reads
 * each piece of its panel once.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "bands.h"
#include "conv2d.h"

enum {
    /* Rows of a task, and those that pass under all panels together: few where panels are quickly turned,
     * lest threads share rows, since each would fetch the lines beside its own. */
    ROWS = 16,
    BLOCK_ROWS = 256,
    BLOCK_ROWS_SMALL = 64,

    /* Rows of w further apart than FAR_ELEMENTS meet in the same sets of a cache, where more than FEW_ROWS of
     * A would read them again: they are copied. So are rows APART that share a page with few others, past
     * whose end no CPU fetches ahead, where there are APART_W weights and APART_ROWS rows of A: 1.1 to 1.3
     * times as fast, of fewer down to 0.75. */
    FAR_ELEMENTS = 512,
    FEW_ROWS = 16,
    APART = 256,
    APART_W = 1 << 17,
    APART_ROWS = 64,

    /* Rows beyond which packing is cheap. */
    MOST_ROWS = 512,

    /* Elements of a panel that is turned onto the stack: to borrow a workspace is a good part of so small a
     * product. */
    STACK_ELEMENTS = 1024,

    /* Of more than FETCHED elements that are packed, or FETCHED_W that are not, in LONG columns, a panel is
     * fetched during the one before it, for it comes from beyond L2: worth 3 % at 196 rows, 12 % at 49. Of w
     * read in place so is what the next part of the sum reads, if APART_ROWS or more read it. */
    FETCHED = 1 << 16,
    FETCHED_W = 1 << 18,
    LONG = 64,

    /* Rows of up to FEW_ELEMENTS are taken by THIN columns, with HALF vectors however many they are: 1.2 to
     * 2.5 times as fast as by the direct engine. Workers have at least BESIDE of a row's elements each, or
     * they share out the rows, where more can: else each would fetch lines that another writes, and be up to
     * 3 times as slow. */
    FEW_ELEMENTS = 32,
    THIN = CVL_THIN_COLUMNS,
    HALF = 32, /* bytes of a vector of avx2 */
    BESIDE = 256,

    /* Columns that take each part of the sum together where panels are read from w: rows of A then stay in
     * L2. */
    TOGETHER = 512,

    /* Columns at which a turned product is cut, whole tiles, and how many give even shares. More than
     * FLIPPED_ROWS gain nothing by it, and dy turned stays in L2, of so many bytes, and fewer where CPUs have
     * no more than AVX2. */
    FLIPPED = 48,
    FLIPPED_LEAST = 384,
    FLIPPED_ROWS = 64,
    FLIPPED_MOST = 1 << 20,
    FLIPPED_MOST_AVX2 = 1 << 18,
    PAGE = 4096
};

/* How the micro-kernel comes by B. */
typedef enum source {
    READY,  /* packed before the call */
    PLACE,  /* from w, as it lies */
    COPIED, /* from w, a segment at a time */
    TURNED  /* likewise, and the columns of B are rows of w */
} source;

/* C = A B: A (M,K), B (K,columns). */
typedef struct product {
    const NAME(kernels) *kernels;
    ptrdiff_t M, K, columns;
    const T *a, *b; /* B as its source has it */
    T *c;
    NAME(epilogue) end;
    cvl_bands bands;
    source source;
    ptrdiff_t VL, vectors;    /* of the columns, empty ones too */
    ptrdiff_t blocks, pieces; /* of the rows, and of a block; a task is a piece of a vector */
    T *segments; /* (workers, CVL_ORDER_K, NR), or NULL: panels are on the stack; or turned */
} product;

/* Reduction indices [k0, k0 + k) of a panel. */
typedef struct segment {
    cvl_panel_place place;
    ptrdiff_t k0, k, columns; /* columns that exist */
} segment;

/* What the tiles of a segment fetch of the next one: a row of A fetches a row of this, as long. */
typedef struct fetch {
    ptrdiff_t rows, step;
    const T *row;
} fetch;

/* ------------------------------------------------------------------------------ the product */

static segment segment_at(const product *p, ptrdiff_t panel, ptrdiff_t k0)
{
    const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
    return (segment){place, k0, cvl_min(CVL_ORDER_K, p->K - k0),
                     cvl_min(place.NR, p->columns - place.column)};
}

static fetch fetch_of(const product *p, const segment *s, const segment *next)
{
    const T *panel = p->b + next->place.column * p->K;
    const ptrdiff_t elements = p->K * p->columns;
    if (p->source == READY && p->K >= LONG && elements > FETCHED)
        return (fetch){next->k * next->place.NR / s->k, s->k, panel + next->k0 * next->place.NR};
    if (p->source == PLACE && p->M >= APART_ROWS && next->k0 > 0 && elements > FETCHED_W)
        return (fetch){next->k * next->columns / s->k, s->k,
                       p->b + next->k0 * p->columns + next->place.column * next->k};
    if (p->source == TURNED && p->K >= LONG && elements > FETCHED_W)
        return (fetch){next->columns, p->K, panel + next->k0};
    return (fetch){0};
}

/* Points a tile at B, of which a copy may be made at `copy`. */
static void find_b(const product *p, const segment *s, NAME(gemm_tile) *tile, T *copy)
{
    const T *panel = p->b + s->place.column * p->K;
    const T *w = p->b + s->k0 * p->columns + s->place.column;
    tile->b = copy;
    tile->b_step = s->place.NR;
    tile->packed = p->source != PLACE;
    if (p->source == READY) {
        tile->b = panel + s->k0 * s->place.NR;
    } else if (p->source == TURNED) {
        p->kernels->transpose(s->k, s->columns, copy, s->place.NR, panel + s->k0, p->K);
    } else if (p->source == COPIED) {
        for (ptrdiff_t k = 0; k < s->k; k++)
            memcpy(copy + k * s->place.NR, w + k * p->columns, (size_t)s->columns * sizeof(T));
    } else {
        tile->b = w;
        tile->b_step = p->columns;
    }
}

/* Rows [row, end) of a segment. */
static void run_segment(const product *p, const segment *s, fetch f, ptrdiff_t row, ptrdiff_t end,
                        T *copy)
{
    const NAME(gemm_panel) *panel = &p->kernels->gemm[s->place.width];
    const cvl_gemm_run run = {.k0 = 0, .k = s->k, .a = 0};
    const T *a[2 * CVL_GEMM_MR_MAX];
    T *c[CVL_GEMM_MR_MAX];
    NAME(gemm_tile)
    tile = {
        .runs = 1,
        .run = &run,
        .a = a,
        .nr = (int)s->columns,
        .c = c,
        .c0 = s->place.column,
        .add = s->k0 > 0,
    };
    find_b(p, s, &tile, copy);
    if (s->k0 + s->k == p->K) {
        tile.end = p->end;
        if (p->end.bias)
            tile.end.bias += s->place.column;
    }
    const ptrdiff_t MR = panel->MR, K = p->K, columns = p->columns;
    const T *in = p->a + row * K + s->k0;
    T *out = p->c + row * columns;
    for (ptrdiff_t done = 0, left; (left = end - row - done) > 0; done += MR) {
        tile.mr = (int)cvl_min(MR, left);
        for (ptrdiff_t i = 0; i < MR; i++) {
            const ptrdiff_t m = done + (i < tile.mr ? i : 0);
            a[i] = in + m * K;
            c[i] = out + m * columns;
        }
        tile.ahead = done < f.rows;
        for (ptrdiff_t i = 0; tile.ahead && i < MR; i++)
            a[MR + i] = f.row + cvl_min(done + i, f.rows - 1) * f.step;
        panel->kernel(&tile);
    }
}

/* The panel that a column belongs to. */
static ptrdiff_t panel_of(const cvl_bands *bands, ptrdiff_t column)
{
    const cvl_band *band = bands->band;
    while (column >= band->column + band->panels * band->NR)
        band++;
    return band->first + (column - band->column) / band->NR;
}

/* Where part i of so many begins: at an even row, since tiles of an odd number of rows waste one. */
static ptrdiff_t part_of(ptrdiff_t rows, ptrdiff_t i, ptrdiff_t parts)
{
    return i == parts ? rows : rows * i / parts / 2 * 2;
}

/* Rows [row, end) of a panel: the tasks up to `stop`. */
typedef struct strip {
    ptrdiff_t panel, row, end, stop;
} strip;

/* From `task` on, up to `end` at most. */
static strip strip_at(const product *p, ptrdiff_t task, ptrdiff_t end)
{
    const ptrdiff_t block = task / p->pieces / p->vectors;
    const ptrdiff_t vector = task / p->pieces % p->vectors;
    const ptrdiff_t panel = panel_of(&p->bands, vector * p->VL);
    const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
    const ptrdiff_t first = (block * p->vectors + place.column / p->VL) * p->pieces;
    const ptrdiff_t tasks = place.NR / p->VL * p->pieces;
    const ptrdiff_t top = part_of(p->M, block, p->blocks);
    const ptrdiff_t rows = part_of(p->M, block + 1, p->blocks) - top;
    const ptrdiff_t stop = cvl_min(end, first + tasks);
    return (strip){panel, top + part_of(rows, task - first, tasks),
                   top + part_of(rows, stop - first, tasks), stop};
}

/* The end of the tasks from `task` on, up to `end` at most, that take each part of the sum together. */
static ptrdiff_t end_together(const product *p, ptrdiff_t task, ptrdiff_t end)
{
    if (p->source != PLACE && p->source != COPIED)
        return strip_at(p, task, end).stop;
    const ptrdiff_t of_block = p->vectors * p->pieces, together = TOGETHER / p->VL * p->pieces;
    const ptrdiff_t first = task / of_block * of_block;
    return cvl_min(end, first + cvl_min(of_block, ((task - first) / together + 1) * together));
}

/* Tasks by blocks of rows, vectors, pieces. */
static void run_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    _Alignas(64) T small[STACK_ELEMENTS];
    T *copy = p->segments ? p->segments + worker * CVL_ORDER_K * p->kernels->gemm[0].NR : small;
    for (ptrdiff_t task = begin, stop; task < end; task = stop) {
        stop = end_together(p, task, end);
        for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K)
            for (strip at = {.stop = task}; at.stop < stop;) {
                at = strip_at(p, at.stop, stop);
                const segment s = segment_at(p, at.panel, k0);
                const int last = k0 + s.k == p->K;
                const segment next = last ? segment_at(p, (at.panel + 1) % p->bands.panels, 0)
                                          : segment_at(p, at.panel, k0 + s.k);
                const fetch f = last && at.stop == end ? (fetch){0} : fetch_of(p, &s, &next);
                run_segment(p, &s, f, at.row, at.end, copy);
            }
    }
}

/* --------------------------------------------------------------------------- rows of few elements */

static int fits_thin(ptrdiff_t K, ptrdiff_t columns)
{
    return K <= FEW_ELEMENTS && columns >= THIN;
}

static int is_thin(const product *p)
{
    return p->source == TURNED && p->M >= CVL_THIN_ROWS && fits_thin(p->K, p->columns);
}

/* Rows [row, last) of the THIN columns of a panel, the last of which has what is left. BLOCK_ROWS rows pass
 * under all vectors together. */
static void run_thin_panel(const product *p, ptrdiff_t panel, ptrdiff_t row, ptrdiff_t last)
{
    const ptrdiff_t column = panel * THIN;
    const ptrdiff_t columns = p->columns - column < 2 * THIN ? p->columns - column : THIN;
    _Alignas(64) T b[FEW_ELEMENTS * 2 * THIN];
    p->kernels->transpose(p->K, columns, b, 2 * THIN, p->b + column * p->K, p->K);
    NAME(epilogue) finish = p->end; /* a transposed convolution may have a bias */
    if (finish.bias)
        finish.bias += column;
    for (ptrdiff_t from = row, rows; from < last; from += rows) {
        rows = last - from <= 2 * BLOCK_ROWS ? last - from : BLOCK_ROWS;
        T *c = p->c + from * p->columns + column;
        p->kernels->thin_product(rows, columns, p->K, c, p->columns, p->a + from * p->K, b,
                                 2 * THIN);
        for (ptrdiff_t i = 0; finish.bias && i < rows; i++, c += p->columns)
            p->kernels->row_end(columns, 1, c, c, &finish);
    }
}

/* Tasks by panels of THIN columns and blocks of rows. */
static void run_thin(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    (void)worker;
    for (ptrdiff_t task = begin, stop; task < end; task = stop) {
        const ptrdiff_t panel = task / p->blocks, first = panel * p->blocks;
        stop = cvl_min(end, first + p->blocks);
        run_thin_panel(p, panel, (task - first) * BLOCK_ROWS_SMALL,
                       stop - first == p->blocks ? p->M : (stop - first) * BLOCK_ROWS_SMALL);
    }
}

/* Tasks by ROWS, under all panels; the last has what is left. */
static void run_thin_rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    (void)worker;
    const ptrdiff_t last = end == p->M / ROWS ? p->M : end * ROWS;
    for (ptrdiff_t panel = 0; panel < p->columns / THIN; panel++)
        run_thin_panel(p, panel, begin * ROWS, last);
}

/* ------------------------------------------------------------------------------- turned products */

/* Elements of dy turned, and of a piece of dx turned, in whole lines. */
static ptrdiff_t flipped_size(ptrdiff_t M, ptrdiff_t K)
{
    return cvl_ceil_div(M * (K + 2 * FLIPPED), LINE) * LINE;
}

/* Whether dx is computed turned, piece by piece, as rows of w as they lie times dy turned: what is turned
 * back has half the elements of w at most, which would be turned otherwise. Rows of dx fill the lanes; or
 * they are so few that those of w do, unless whole pages apart they meet in the same sets of L1, of which
 * long vectors need many. */
static int is_flipped(const NAME(kernels) *k, ptrdiff_t M, ptrdiff_t K, ptrdiff_t columns)
{
    const ptrdiff_t most = k->vector > HALF ? FLIPPED_MOST : FLIPPED_MOST_AVX2;
    const ptrdiff_t row = K * (ptrdiff_t)sizeof(T);
    if (columns < FLIPPED_LEAST)
        return 0;
    if (M <= CVL_TALL_FEW)
        return M > 1 && 2 * M <= K && (k->vector <= HALF || row % PAGE != 0);
    return M % (k->vector / (ptrdiff_t)sizeof(T)) == 0 && M >= ROWS && M <= FLIPPED_ROWS &&
           2 * M <= K && M * row <= most;
}

/* Tasks by FLIPPED columns, of which the last has what is left. */
static void run_flipped(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    const ptrdiff_t M = p->M, K = p->K, NR = p->kernels->gemm[0].NR;
    T *const b = p->segments + worker * flipped_size(M, K), *const turned = b + M * K;
    for (ptrdiff_t i = 0; i < M; i += NR) {
        const ptrdiff_t width = cvl_min(NR, M - i);
        p->kernels->transpose(K, width, b + i * K, width, p->a + i * K, K);
    }
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t column = task * FLIPPED, left = p->columns - column;
        NAME(tall)
        t = {.rows = left < 2 * FLIPPED ? left : FLIPPED, .K = K, .c_step = M, .a_far = 1};
        t.turned = M <= CVL_TALL_FEW;
        t.a = p->b + column * K;
        for (ptrdiff_t i = 0; i < M; i += NR) {
            t.columns = cvl_min(NR, M - i);
            t.b = b + i * K;
            t.c = turned + i;
            p->kernels->tall(&t);
        }
        p->kernels->transpose(M, t.rows, p->c + column, p->columns, turned, M);
    }
}

/* ------------------------------------------------------------------------------- the engine */

/* Positions, which are the rows. */
static ptrdiff_t rows_of(const cvl_conv2d_shape *shape)
{
    return shape->d.N * shape->d.H * shape->d.W;
}

static source source_of(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if (pass == CVL_CONV2D_BACKWARD_DATA)
        return TURNED;
    const ptrdiff_t OC = shape->d.OC, rows = rows_of(shape);
    const int apart = OC >= APART && shape->w_size >= APART_W && rows >= APART_ROWS;
    return apart || (OC > FAR_ELEMENTS && rows > FEW_ROWS) ? COPIED : PLACE;
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const int wide = shape->d.OC > FAR_ELEMENTS && source_of(shape, pass) == COPIED;
    if (rows_of(shape) <= (wide ? BLOCK_ROWS : MOST_ROWS))
        return 1;
    return pass == CVL_CONV2D_BACKWARD_DATA && fits_thin(shape->d.OC, shape->d.C) && kernels() &&
           kernels()->vector == HALF;
}

/* Bytes of the segments that are made. */
static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const NAME(kernels) *k = kernels();
    const ptrdiff_t K = pass == CVL_CONV2D_BACKWARD_DATA ? shape->d.OC : shape->d.C;
    if (!k || source_of(shape, pass) == PLACE || K <= STACK_ELEMENTS / k->gemm[0].NR)
        return 0;
    ptrdiff_t size = CVL_ORDER_K * k->gemm[0].NR;
    if (is_flipped(k, rows_of(shape), K, shape->d.C))
        size = cvl_max(size, flipped_size(rows_of(shape), K));
    return (size_t)threads * (size_t)size * sizeof(T);
}

/* Whether workers share the rows, and not the columns: what they read of A and write of C then mostly
 * stays in caches of their own, for which all of them read all of B. */
static int by_rows(const product *p, int threads)
{
    return (p->source == READY || p->source == PLACE) && p->M >= threads * ROWS &&
           p->K * p->columns <= 2 * p->M * (p->K + p->columns);
}

static void run(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const cvl_conv2d *d = &shape->d;
    const int transposed = call->pass == CVL_CONV2D_BACKWARD_DATA, threads = call->threads;
    product p = {
        .kernels = kernels(),
        .M = rows_of(shape),
        .K = transposed ? d->OC : d->C,
        .columns = transposed ? d->C : d->OC,
        .a = transposed ? call->dy : call->x,
        .b = call->packed ? call->packed : call->w,
        .c = call->out,
        .end = call->end,
        .source = call->packed ? READY : source_of(shape, call->pass),
        .segments = workspace(shape, call->pass, threads) ? (T *)(void *)call->workspace : NULL,
    };
    if (is_thin(&p)) {
        const int across = (int)cvl_max(1, cvl_min(threads, p.columns / BESIDE));
        const int down = (int)cvl_min(threads, p.M / (2 * ROWS));
        /* Twice the vector takes half the time. */
        const double work = p.kernels->vector > HALF ? shape->flops / 2 : shape->flops;
        p.blocks = cvl_max(1, p.M / BLOCK_ROWS_SMALL);
        if (down > across)
            cvl_parallel_for(down, p.M / ROWS, work, CVL_FLUSH, run_thin_rows, &p);
        else
            cvl_parallel_for(across, p.columns / THIN * p.blocks, work, CVL_FLUSH, run_thin, &p);
        return;
    }
    if (p.source == TURNED && p.segments && !p.end.bias &&
        is_flipped(p.kernels, p.M, p.K, p.columns)) {
        cvl_parallel_for(threads, p.columns / FLIPPED, shape->flops, CVL_FLUSH, run_flipped, &p);
        return;
    }
    p.bands = NAME(make_bands)(p.kernels->gemm, p.columns);
    p.VL = p.kernels->gemm[CVL_GEMM_WHOLE - 1].NR;
    p.vectors = p.bands.columns / p.VL;
    p.blocks = cvl_ceil_div(p.M, p.source >= COPIED && !p.segments ? BLOCK_ROWS_SMALL : BLOCK_ROWS);
    if (by_rows(&p, threads))
        p.blocks = cvl_ceil_div(p.blocks, threads) * threads;
    p.pieces = cvl_ceil_div(p.M, p.blocks * ROWS);
    cvl_parallel_for(threads, p.blocks * p.vectors * p.pieces, shape->flops, CVL_FLUSH, run_tasks,
                     &p);
}

static cvl_bands bands_of(const cvl_conv2d_shape *shape)
{
    return NAME(make_bands)(kernels()->gemm, shape->d.OC);
}

/* A panel as wide as w is w. */
static size_t packed_size(const cvl_conv2d_shape *shape)
{
    const cvl_bands bands = bands_of(shape);
    return bands.panels == 1 && bands.columns == shape->d.OC
               ? 0
               : (size_t)(shape->d.C * bands.columns) * sizeof(T);
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    const cvl_bands bands = bands_of(call->shape);
    const ptrdiff_t K = call->shape->d.C, OC = call->shape->d.OC;
    memset(packed, 0, packed_size(call->shape));
    for (ptrdiff_t panel = 0; panel < bands.panels; panel++) {
        const cvl_panel_place place = cvl_panel_at(&bands, panel);
        kernels()->copy_pixels(K, cvl_min(place.NR, OC - place.column), packed + place.column * K,
                               place.NR, call->w + place.column, OC);
    }
}

const NAME(conv2d_engine) NAME(product_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few rows",
    .refuses = cvl_conv2d_refuses_product,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
};
