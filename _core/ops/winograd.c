/* winograd.c: the engines by minimal filtering: which shapes they take and where they pay. */
#include "winograd.h"

/* It must promise this part of the direct engine's cost, and have a few tiles to share U. At stride 2 forward
 * and backward data gain a tenth at most, and where less is promised lose up to a third on wide vectors. */
#define MARGIN 0.85
#define MARGIN_STRIDED 0.82
enum {
    MIN_TILES = 4,

    /* Multiply-adds that a row of a product costs besides, of groups side by side. */
    ROW_COST = 2,

    /* Weights of one group of several, at most: their transforms are all kept. */
    GROUP_WEIGHTS = 1 << 17,

    /* Channels of groups, at most, that share a vector in the direct engine. */
    SHARED_CHANNELS = 4,

    /* Channels from which on groups that leave lanes empty pay at stride 2, and weight gradients of groups
     * at all. */
    STRIDED_CHANNELS = 48,
    OUTER_CHANNELS = 12,

    /* Times as many inputs as outputs, of which transforms at stride 2 cost more than they say. */
    LOPSIDED = 4,

    /* Channels of a picture, and outputs that planes.c takes; channels and columns from which on stem.c
     * takes as few. */
    PICTURE_CHANNELS = 3,
    FEW_OUTPUTS = 4,
    STEM_CHANNELS = 96,
    STEM_COLUMNS = 28
};

static cvl_winograd form_of(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                            cvl_conv2d_algorithm algorithm)
{
    if (shape->d.SH == 2)
        return pass == CVL_CONV2D_BACKWARD_DATA ? CVL_WINOGRAD_FRACTIONAL : CVL_WINOGRAD_STRIDED;
    if (algorithm == CVL_CONV2D_WINOGRAD2)
        return CVL_WINOGRAD_2X3;
    return shape->d.KH == 5 ? CVL_WINOGRAD_2X5 : CVL_WINOGRAD_4X3;
}

/* A pass as a forward pass: backward data is one over dy with w transposed and its taps the other
 * way round; of stride 2, one to a tile of dx from where the first windows begin. Windows at the far
 * edge, beyond OH or OW, read zeros there and so do not count. */
static NAME(winograd) filter_of(const cvl_conv2d_shape *s, cvl_conv2d_pass pass,
                                cvl_conv2d_algorithm algorithm)
{
    const cvl_conv2d *d = &s->d;
    NAME(winograd) f = {
        .form = form_of(s, pass, algorithm),
        .N = d->N,
        .H = d->H,
        .W = d->W,
        .C = d->C / d->groups,
        .OH = s->OH,
        .OW = s->OW,
        .OC = d->OC / d->groups,
        .groups = d->groups,
        .top = d->PT,
        .left = d->PL,
        .flops = s->flops,
    };
    if (pass == CVL_CONV2D_BACKWARD_DATA) {
        f.H = s->OH;
        f.W = s->OW;
        f.C = d->OC / d->groups;
        f.OH = d->H;
        f.OW = d->W;
        f.OC = d->C / d->groups;
        f.top = d->SH == 2 ? 0 : d->KH - 1 - d->PT;
        f.left = d->SW == 2 ? 0 : d->KW - 1 - d->PL;
        f.transposed = 1;
    }
    return f;
}

cvl_winograd_tiles NAME(winograd_tiles_of_y)(const NAME(winograd) *f)
{
    const ptrdiff_t m = cvl_winograd_sizes_of(f->form).m;
    return (cvl_winograd_tiles){
        .form = f->form,
        .H = f->OH,
        .W = f->OW,
        .C = NAME(winograd_y_pixel)(f),
        .rows = cvl_ceil_div(f->OH, m),
        .columns = cvl_ceil_div(f->OW, m),
        .channels = f->OC,
    };
}

cvl_winograd_tiles NAME(winograd_tiles_of_x)(const NAME(winograd) *f)
{
    cvl_winograd_tiles tiles = NAME(winograd_tiles_of_y)(f);
    tiles.H = f->H;
    tiles.W = f->W;
    tiles.C = NAME(winograd_x_pixel)(f);
    tiles.channels = f->C;
    tiles.top = f->top;
    tiles.left = f->left;
    return tiles;
}

static const char *refuses_any(const cvl_conv2d_shape *shape)
{
    const cvl_conv2d *d = &shape->d;
    if (d->DH != 1 || d->DW != 1)
        return "minimal filtering needs dilation 1";
    return NULL;
}

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    (void)pass;
    if (d->KH != d->KW || (d->KH != 3 && d->KH != 5))
        return "minimal filtering needs a 3x3 or 5x5 kernel";
    if (d->SH != 1 || d->SW != 1)
        return "F(4x4,3x3) and F(2x2,5x5) need stride 1";
    return refuses_any(shape);
}

static const char *refuses2(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    (void)pass;
    if (d->KH != 3 || d->KW != 3)
        return "F(2x2,3x3) needs a 3x3 kernel";
    if (d->SH != d->SW || d->SH > 2)
        return "F(2x2,3x3) needs stride 1 or 2";
    if (d->SH == 2 && (d->PT != 1 || d->PL != 1))
        return "F(2x2,3x3) of stride 2 needs padding 1 above and on the left";
    return refuses_any(shape);
}

/* ------------------------------------------------------------------------- where it pays */

/* Positions (output, tap) of an axis whose input lies inside. */
static double taps_inside(ptrdiff_t size, ptrdiff_t outputs, ptrdiff_t taps, ptrdiff_t padding,
                          ptrdiff_t stride)
{
    double inside = 0;
    for (ptrdiff_t tap = 0; tap < taps; tap++) {
        const ptrdiff_t first = cvl_ceil_div(cvl_max(0, padding - tap), stride);
        const ptrdiff_t end =
            cvl_min(outputs, cvl_ceil_div(cvl_max(0, size + padding - tap), stride));
        inside += (double)cvl_max(0, end - first);
    }
    return inside;
}

/* Costs are in multiply-adds of a vector of 16: those of the products, and those that the
 * transforms of filters, data and outputs are worth. */
static double cost_of(const NAME(winograd) *f)
{
    static const struct {
        double filter, data, output;
    } transforms[] = {
        [CVL_WINOGRAD_4X3] = {176, 200, 180},  [CVL_WINOGRAD_2X5] = {240, 200, 110},
        [CVL_WINOGRAD_3X4] = {208, 200, 145},  [CVL_WINOGRAD_2X3] = {60, 70, 60},
        [CVL_WINOGRAD_STRIDED] = {60, 80, 80}, [CVL_WINOGRAD_FRACTIONAL] = {60, 60, 110},
    };
    const double tiles = (double)NAME(winograd_tiles)(f);
    const double rounded = (double)(cvl_ceil_div((ptrdiff_t)tiles, 4) * 4);
    const int merges = NAME(winograd_merges)(f);
    const double C = (double)(merges ? f->C : cvl_winograd_pad(f->C)) / 16;
    const double OC = (double)(merges ? f->OC : cvl_winograd_pad(f->OC)) / 16;
    const double filters = (double)f->C * (merges ? (double)cvl_ceil_div(f->OC, 8) / 2 : OC);
    return (double)cvl_winograd_sizes_of(f->form).positions * rounded *
               (filters + (merges ? ROW_COST : 0)) +
           transforms[f->form].filter * filters +
           tiles * (transforms[f->form].data * C + transforms[f->form].output * OC);
}

/* The direct engine has panels of half a vector too; outputs of backward data are channels. Groups that
 * fill no more leave it empty, or share a vector, with a permutation to each multiply-add. */
static double direct_cost(const cvl_conv2d_shape *s, const NAME(winograd) *f)
{
    const cvl_conv2d *d = &s->d;
    const double alone = f->groups == 1 ? 0.5 : 2. / 3;
    const ptrdiff_t most = cvl_max(f->C, f->OC);
    const double half = f->groups > 1 && most <= SHARED_CHANNELS ? (double)most / 12 : alone;
    const double outputs = f->OC > 8 ? (double)cvl_winograd_pad(f->OC) / 16 : half;
    const double taps = taps_inside(d->H, s->OH, d->KH, d->PT, d->SH) *
                        taps_inside(d->W, s->OW, d->KW, d->PL, d->SW);
    return ((double)d->N * taps + 30) * (double)f->C * outputs;
}

/* Both costs are of a group. At stride 2 the transforms of few channels cost more than they say: there
 * the direct engine is 1.1 to 1.6 times as fast. */
int NAME(winograd_beats_direct)(const cvl_conv2d_shape *shape, const NAME(winograd) *f,
                                cvl_conv2d_pass pass)
{
    if (f->groups > 1 && f->C * f->OC > GROUP_WEIGHTS)
        return 0;
    const int strided = f->form == CVL_WINOGRAD_STRIDED || f->form == CVL_WINOGRAD_FRACTIONAL;
    if (strided && NAME(winograd_merges)(f) && cvl_min(f->C, f->OC) < STRIDED_CHANNELS)
        return 0;
    const int gains_little = strided && f->groups == 1 && pass != CVL_CONV2D_BACKWARD_WEIGHTS;
    if (gains_little && f->form == CVL_WINOGRAD_STRIDED && f->C > LOPSIDED * f->OC)
        return 0;
    const double margin = gains_little ? MARGIN_STRIDED : MARGIN;
    return NAME(winograd_tiles)(f) >= MIN_TILES && cost_of(f) < margin * direct_cost(shape, f);
}

/* Of groups of few channels the direct engine takes all taps of a kernel row at once, 1.2 to 3 times as
 * fast. Those that share vectors would gain 1.2 times on one thread and lose as much on two. */
static int outer_wins(const NAME(winograd) *f, cvl_conv2d_pass pass)
{
    return pass == CVL_CONV2D_BACKWARD_WEIGHTS && f->groups > 1 && f->C < OUTER_CHANNELS &&
           f->OC <= 2 * f->C;
}

/* Of the few channels of a picture the direct engine takes runs of kernel rows, and gathers what they get
 * back: 1.1 to 2.7 times as fast; on AVX2 weight gradients of 3 channels lose a tenth. */
static int stem_wins(const NAME(winograd) *f, cvl_conv2d_pass pass)
{
    const ptrdiff_t few = pass == CVL_CONV2D_FORWARD ? f->C : cvl_min(f->C, f->OC);
    return f->groups == 1 && few <= PICTURE_CHANNELS;
}

/* To few channels positions fill the lanes: 1.2 to 1.8 times as fast by planes.c, 1.3 to 1.5 from many by
 * stem.c, where AVX2 gains nothing. */
static int planes_win(const NAME(winograd) *f, cvl_conv2d_pass pass)
{
    const int forward = pass == CVL_CONV2D_FORWARD;
    const int many = f->C >= STEM_CHANNELS && f->W >= STEM_COLUMNS;
    return pass != CVL_CONV2D_BACKWARD_WEIGHTS && f->groups == 1 && f->C >= 2 * FEW_OUTPUTS &&
           (forward || f->C <= 2 * CVL_ORDER_PLANES || many) && f->OC <= FEW_OUTPUTS;
}

static int direct_wins(const NAME(winograd) *f, cvl_conv2d_pass pass)
{
    return outer_wins(f, pass) || stem_wins(f, pass) || planes_win(f, pass);
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const NAME(winograd) f = filter_of(shape, pass, CVL_CONV2D_WINOGRAD);
    if (direct_wins(&f, pass) || !NAME(winograd_beats_direct)(shape, &f, pass))
        return 0;
    if (f.form == CVL_WINOGRAD_2X5)
        return 1;
    const NAME(winograd) f2 = filter_of(shape, pass, CVL_CONV2D_WINOGRAD2);
    /* U of few tiles takes longer to come than to multiply, and F(2x2) has less than half of it. */
    const int few = pass != CVL_CONV2D_BACKWARD_WEIGHTS && NAME(winograd_tiles)(&f) <= MIN_TILES;
    return cost_of(&f) * (few ? 1.02 : 1) <= cost_of(&f2);
}

static int pays2(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const NAME(winograd) f = filter_of(shape, pass, CVL_CONV2D_WINOGRAD2);
    return !direct_wins(&f, pass) && NAME(winograd_beats_direct)(shape, &f, pass);
}

/* --------------------------------------------------------------------------- the engines */

static size_t workspace_of(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                           cvl_conv2d_algorithm algorithm, int threads)
{
    const NAME(winograd) f = filter_of(shape, pass, algorithm);
    return pass == CVL_CONV2D_BACKWARD_WEIGHTS ? NAME(winograd_backward_workspace)(&f, threads)
                                               : NAME(winograd_forward_workspace)(&f, threads);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    return workspace_of(shape, pass, CVL_CONV2D_WINOGRAD, threads);
}

static size_t workspace2(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    return workspace_of(shape, pass, CVL_CONV2D_WINOGRAD2, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    NAME(winograd) f = filter_of(call->shape, call->pass, call->engine->algorithm);
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS) {
        f.x = call->x;
        NAME(winograd_backward_run)(&f, call->out, call->dy, call->workspace, call->threads);
        return;
    }
    f.y = call->out;
    f.x = call->pass == CVL_CONV2D_FORWARD ? call->x : call->dy;
    f.w = call->w;
    f.u = call->packed;
    f.z = call->z;
    f.end = call->end;
    NAME(winograd_forward_run)(&f, call->workspace, call->threads);
}

static size_t packed_size(const cvl_conv2d_shape *shape)
{
    const NAME(winograd) f = filter_of(shape, CVL_CONV2D_FORWARD, CVL_CONV2D_WINOGRAD);
    return NAME(winograd_packed_size)(&f);
}

static size_t packed_size2(const cvl_conv2d_shape *shape)
{
    const NAME(winograd) f = filter_of(shape, CVL_CONV2D_FORWARD, CVL_CONV2D_WINOGRAD2);
    return NAME(winograd_packed_size)(&f);
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    NAME(winograd) f = filter_of(call->shape, CVL_CONV2D_FORWARD, call->engine->algorithm);
    f.w = call->w;
    NAME(winograd_pack)(&f, packed, call->workspace, call->threads);
}

const NAME(conv2d_engine) NAME(winograd_engine) = {
    .algorithm = CVL_CONV2D_WINOGRAD,
    .reason = "minimal filtering needs fewer multiplications",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
    .sum_workspace = NAME(conv2d_no_workspace),
};

const NAME(conv2d_engine) NAME(winograd2_engine) = {
    .algorithm = CVL_CONV2D_WINOGRAD2,
    .reason = "minimal filtering needs fewer multiplications",
    .refuses = refuses2,
    .pays = pays2,
    .workspace = workspace2,
    .run = run,
    .packed_size = packed_size2,
    .pack = pack,
    .sum_workspace = NAME(conv2d_no_workspace),
};
