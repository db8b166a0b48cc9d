/* indirect_plan.c: how convolution forward and backward data are cut into tasks. */
#include "indirect_plan.h"

enum {
    /* Positions that pass under all panels together, and of one tap or a far panel: what they read stays in
     * L2. */
    BLOCK = 96,
    BLOCK_1X1 = 240,

    /* Pieces of the positions, of so many at least, and how many at most. */
    PIECE = CVL_GEMM_MR_MAX,
    PIECES = 240,

    /* Outputs of the forward pass, for each of which a weight is read, up to which workers rather share out w
     * than pack all of it each: 1.0 to 2.2 times as fast with panels of one width, and where one has more to do
     * than the other, or they are of a vector, only for few; of more, narrow panels lose up to 0.7. */
    SHARED_W = 256,
    SHARED_W_UNEVEN = 36,
    SHARED_W_VECTORS = 16,

    /* LARGE_W weights leave L2: these, or more than what is read, but not if TINY, are worth a pass per panel
     * over FEW_POSITIONS, of the whole batch: 5 to 26 % at 512 channels, 7x7. */
    LARGE_W = 256 * 1024,
    FEW_POSITIONS = 4096,
    TINY = 4096,

    /* Weights that each worker packs for itself: from another core's cache they come at ten times the price,
     * up to half the time of a small image. */
    OWN_W = 128 * 1024,

    /* Positions up to which packing costs more than it saves, where rows of w are NARROW at most. */
    NARROW_POSITIONS = 256,
    NARROW = 512,

    /* Packed weights that come from beyond L2 are fetched by the first tile of the positions, if these are few:
     * 1.08 times as fast from L3, 1.2 to 1.3 from memory. */
    FAR_W = 128 * 1024,
    FAR_POSITIONS = 256,

    /* Elements of a run up to which it is cut into single ones. */
    SHORT = 12,

    /* A 1x1 convolution of stride 1 reads on where the last tile ended: pixels of up to NEAR bytes, CACHED in
     * all, reach the tiles in time by themselves, and fetching them costs up to 10 %; of more it gains up to
     * 20 %. The panels that follow the first find in L2 what that has read: to fetch it again costs 3 to
     * 7 %. */
    NEAR = 160,
    CACHED = 8 << 20,

    /* A group of up to GAPS bytes of a pixel reads a line or two of each, too far apart for the CPU to see
     * the next coming: fetched, 1.1 to 1.6 times as fast; of more 0.98. */
    GAPS = 128
};

/* Elements of the panels of a part, at most. */
static ptrdiff_t part_size(const plan *p)
{
    return p->parts > 1 ? p->K * p->kernels->gemm[0].NR : packed_size(p);
}

worker NAME(indirect_worker)(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    worker w = {0};
    w.run = cvl_carve(&s, (size_t)p->runs_most * sizeof *w.run);
    w.segment_end = cvl_carve(&s, (size_t)p->segments_most * sizeof *w.segment_end);
    w.a = cvl_carve(&s, (size_t)(p->block + 2 * CVL_GEMM_MR_MAX) * sizeof *w.a);
    w.c = cvl_carve(&s, (size_t)(p->block + CVL_GEMM_MR_MAX) * sizeof *w.c);
    if (p->packing == PACK_OWN)
        w.packed = cvl_carve(&s, (size_t)part_size(p) * sizeof(T));
    if (p->padding)
        w.padded = cvl_carve(&s, (size_t)(p->positions.N * p->H * p->W * p->x_pixel) * sizeof(T));
    *bytes = s.used;
    return w;
}

/* How many groups share a vector of lanes: as many as it holds whole, with what they read and with what
 * they write. They read a vector of a pixel, and runs of theirs are whole taps. */
static ptrdiff_t merged_groups(const plan *p)
{
    const ptrdiff_t VL = p->kernels->gemm[CVL_GEMM_WHOLE - 1].NR, most = cvl_max(p->C, p->OC);
    const int whole = p->K <= CVL_ORDER_K || CVL_ORDER_K % p->C == 0;
    return whole && most > 1 && p->x_pixel >= VL ? cvl_max(1, VL / most) : 1;
}

/* What is read and written, by groups or sets of them. */
static void read_shape(plan *p, const cvl_conv2d_shape *shape)
{
    const cvl_conv2d *d = &shape->d;
    const int transposed = p->transposed;
    p->H = transposed ? shape->OH : d->H;
    p->W = transposed ? shape->OW : d->W;
    p->C = (transposed ? d->OC : d->C) / d->groups;
    p->OH = transposed ? d->H : shape->OH;
    p->OW = transposed ? d->W : shape->OW;
    p->OC = (transposed ? d->C : d->OC) / d->groups;
    p->taps = d->KH * d->KW;
    p->K = p->taps * p->C;
    p->x_pixel = p->groups * p->C;
    p->y_pixel = p->groups * p->OC;
    p->merged = merged_groups(p);
    p->groups = cvl_ceil_div(p->groups, p->merged);
    p->OC *= p->merged;
}

/* How the inputs of an output are listed, and what is fetched. */
static void choose_runs(plan *p, const cvl_conv2d *d)
{
    const int rows = !p->transposed && d->groups == 1 && d->DW == 1; /* of taps are runs */
    const ptrdiff_t pixel = p->x_pixel * (ptrdiff_t)sizeof(T);
    p->single = p->merged == 1 && (rows ? d->KW * p->C : p->C) <= SHORT;
    p->ahead = p->taps > 1 || d->SH > 1 || d->SW > 1 || pixel > NEAR ||
               d->N * p->H * p->W * pixel > CACHED;
    p->gaps = p->groups > 1 && p->C * (ptrdiff_t)sizeof(T) <= GAPS;
    p->segments_most = cvl_ceil_div(p->K, CVL_ORDER_K);
    p->runs_most = (p->single ? p->K : p->taps) + p->segments_most;
}

/* Whether a worker takes a panel for all positions, or positions for all panels. */
static int by_panel(const plan *p, const cvl_conv2d_shape *shape)
{
    const ptrdiff_t N = shape->d.N, read = N * p->H * p->W * p->x_pixel;
    const int more = !p->vectors && shape->w_size > cvl_max(read, TINY);
    return N * p->OH * p->OW <= FEW_POSITIONS && (shape->w_size > LARGE_W || more);
}

/* Cuts panels until there are so many, where workers would have no task else, or each would pack all of w for
 * few positions. No sum depends on it. */
static void narrow_panels(plan *p, const cvl_conv2d_shape *shape, ptrdiff_t workers)
{
    const cvl_conv2d *d = &shape->d;
    const NAME(gemm_panel) *gemm = p->kernels->gemm;
    const ptrdiff_t count = d->N * p->OH * p->OW / (p->taps == 1 ? d->SH * d->SW : 1);
    const int packs = p->taps > 1 && (p->transposed || p->bands.columns != p->OC);
    cvl_bands bands = p->bands;
    if (d->groups > 1 || bands.panels >= workers || !by_panel(p, shape))
        return;
    for (int width = 1; width < CVL_GEMM_WHOLE && bands.panels < workers; width++) {
        bands = NAME(make_bands_of)(gemm + width, CVL_GEMM_WHOLE - width, p->OC);
        for (int i = 0; i < bands.count; i++)
            bands.band[i].width += width;
    }
    const ptrdiff_t most = bands.band[0].NR == gemm[CVL_GEMM_WHOLE - 1].NR ? SHARED_W_VECTORS
                           : bands.count > 1                               ? SHARED_W_UNEVEN
                                                                           : SHARED_W;
    if (packs ? d->N * shape->OH * shape->OW <= most : count < workers * 2 * PIECE) {
        p->bands = bands;
        p->narrow = 1;
    }
}

/* The panels of the outputs of a group or set, for so many workers. */
static void choose_panels(plan *p, const cvl_conv2d_shape *shape, ptrdiff_t workers)
{
    const cvl_conv2d *d = &shape->d;
    const NAME(gemm_panel) *gemm = p->kernels->gemm;
    p->bands = p->merged > 1 ? NAME(make_bands)(gemm, p->OC)
                             : NAME(make_even_bands)(gemm, p->OC, !p->single);
    narrow_panels(p, shape, workers);
    p->panels = p->groups * p->bands.panels;
    p->vectors = d->groups > 1 && !p->single && p->bands.panels == 1 &&
                 p->bands.band[0].NR == gemm[CVL_GEMM_WHOLE - 1].NR;
    p->slides = !p->transposed && !p->padding && d->groups == 1 && d->C == CVL_SLIDE_CHANNELS &&
                d->KW == CVL_SLIDE_TAPS && d->DW == 1 && d->SW == 1 && p->K <= CVL_ORDER_K &&
                p->bands.panels == 1 && gemm[p->bands.band[0].width].slide;
    p->quantum = gemm[p->bands.band[0].width].MR;
}

/* Who packs B, and the tasks. Whether it is `ready` changes the former, and nothing else. */
static void choose_packing(plan *p, const cvl_conv2d_shape *shape, int ready)
{
    const ptrdiff_t count = shape->d.N * p->OH * p->OW;
    const int apart = by_panel(p, shape);
    const int pays =
        p->panels > 1 && !p->narrow &&
        (!apart || shape->w_size > LARGE_W || count > NARROW_POSITIONS || p->OC > NARROW);
    p->parts = apart ? p->panels : 1;
    p->packing = apart || packed_size(p) <= OWN_W ? PACK_OWN : PACK_SHARED;
    if (p->bands.columns == p->OC && p->groups == 1 && !p->transposed && !pays)
        p->packing = PACK_NONE;
    if (ready)
        p->packing = PACK_READY;
    p->pieces = cvl_max(1, cvl_min(PIECES, count / PIECE));
    p->far = ready && count <= FAR_POSITIONS && shape->w_size >= FAR_W;
    p->block = p->taps == 1 || NAME(panel_is_far)(p->K, p->bands.band[0].NR) ? BLOCK_1X1 : BLOCK;
}

size_t NAME(indirect_plan)(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                           const cvl_padding *padding, int ready, char *base, int threads)
{
    if (padding)
        shape = &padding->shape;
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.padding = padding,
                .kernels = kernels(),
                .transposed = pass == CVL_CONV2D_BACKWARD_DATA,
                .groups = d->groups};
    if (!p->kernels)
        return 0;
    read_shape(p, shape);
    choose_runs(p, d);
    /* What is packed before a call is so for any number of threads. */
    choose_panels(p, shape, ready ? 1 : cvl_team_size(threads, threads, shape->flops));
    choose_packing(p, shape, ready);

    cvl_scratch s = {base, 0};
    p->positions = cvl_list_positions(&s, shape, p->transposed, (double)p->C / 16);
    if (p->packing == PACK_SHARED)
        p->packed = cvl_carve(&s, (size_t)packed_size(p) * sizeof(T));
    NAME(indirect_worker)(p, NULL, &p->worker_bytes);
    p->worker_memory = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    p->not_finite = cvl_carve(&s, (size_t)threads * sizeof *p->not_finite);
    return s.used;
}
