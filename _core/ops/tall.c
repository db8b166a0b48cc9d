/* tall.c: 1x1 convolutions of many positions.
 *
 * Rows and columns are dense, so that the kernel finds them by itself. w is packed by panels: a small one
 * by every worker for itself. A last panel of a few columns has positions in the lanes instead, and so have
 * CVL_TALL_CLASSES columns, of which w is a panel as it lies.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

enum {
    /* Positions of a task; and where CVL_TALL_CLASSES columns are turned, which vectors of LANES and more
     * do. */
    POSITIONS = 48,
    POSITIONS_TURNED = 16,
    LANES = 8,

    /* Bytes of the positions that pass under all panels together, and of how many positions they are. */
    NEAR_BYTES = 16 << 10,
    GRANULE = 96,

    /* Positions below which product.c is as fast: in general, where columns fill at most two vectors and
     * work is too little to be shared out, and where the last panel is all. */
    LEAST_POSITIONS = 512,
    LEAST_SERIAL = 64,
    LEAST_TURNED = CVL_TALL_ROWS,

    /* Channels below which the direct engine wastes less; of whole vectors of QUAD, which no level reads
     * piece by piece, LEAST_K_COLUMN are enough for one column. */
    LEAST_K = 16,
    LEAST_K_COLUMN = 8,
    QUAD = 4,

    /* Bytes of w that every worker packs for itself. */
    OWN_BYTES = 64 << 10,

    /* Bytes that a worker writes beyond which a store finds no line of c at hand: fetched before, 1.05 to
     * 1.1 times as fast, of fewer 0.95. */
    FAR_BYTES = 4 << 20
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    int transposed;          /* w is (columns, K) */
    ptrdiff_t M, K, columns; /* positions, and channels of what is read and written */
    ptrdiff_t VL, turned;    /* turned: columns of the last panel if it is, else 0 */
    ptrdiff_t wide, panels;  /* wide: columns, with empty ones */
    ptrdiff_t positions;     /* of a task */
    ptrdiff_t tasks, block;  /* block: positions that pass under all panels together */
    size_t bytes;            /* w, by panels (K, columns) */
    T *packed;               /* w where it is packed before all else, or NULL */
} plan;

/* Columns that are left to a panel whose rows lie in the lanes. */
static ptrdiff_t turned_columns(ptrdiff_t columns, ptrdiff_t VL)
{
    if (columns == CVL_TALL_CLASSES && sizeof(T) == sizeof(float) && VL >= LANES)
        return columns;
    const ptrdiff_t left = columns % VL;
    return left <= CVL_TALL_FEW && 2 * left <= VL ? left : 0;
}

/* The columns of a panel from `column` on, with empty ones: about as many as of those that follow. */
static ptrdiff_t panel_width(const plan *p, ptrdiff_t column)
{
    const ptrdiff_t left = p->wide - p->turned - column;
    if (left == 0)
        return p->turned;
    const ptrdiff_t panels = cvl_ceil_div(left, p->kernels->gemm[0].NR);
    return cvl_ceil_div(left / p->VL, panels) * p->VL;
}

/* Whether w is a turned panel as it lies. */
static int in_place(const plan *p) { return p->turned == p->columns && !p->transposed; }

static plan make_plan(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    const int transposed = pass == CVL_CONV2D_BACKWARD_DATA;
    plan p = {.kernels = kernels(), .transposed = transposed, .M = d->N * d->H * d->W};
    if (!p.kernels)
        return p;
    p.K = transposed ? d->OC : d->C;
    p.columns = transposed ? d->C : d->OC;
    p.VL = p.kernels->vector / (ptrdiff_t)sizeof(T);
    p.turned = turned_columns(p.columns, p.VL);
    p.wide = cvl_ceil_div(p.columns - p.turned, p.VL) * p.VL + p.turned;
    for (ptrdiff_t j = 0; j < p.wide; j += panel_width(&p, j))
        p.panels++;
    p.positions = p.turned == CVL_TALL_CLASSES ? POSITIONS_TURNED : POSITIONS;
    p.tasks = cvl_max(1, p.M / p.positions);
    p.block = cvl_max(1, NEAR_BYTES / (p.K * (ptrdiff_t)sizeof(T) * GRANULE)) * GRANULE;
    p.bytes = in_place(&p) ? 0 : (size_t)(cvl_ceil_div(p.K * p.wide, 64) * 64) * sizeof(T);
    return p;
}

/* Packs the panels [begin, end). */
static void pack_panels(const plan *p, T *packed, ptrdiff_t begin, ptrdiff_t end)
{
    const T *w = p->call->w;
    for (ptrdiff_t j = 0, panel = 0, width; panel < end; j += width, panel++) {
        width = panel_width(p, j);
        const ptrdiff_t columns = cvl_min(width, p->columns - j);
        T *b = packed + j * p->K;
        if (panel < begin)
            continue;
        if (columns < width)
            memset(b, 0, (size_t)(p->K * width) * sizeof(T));
        if (p->transposed)
            p->kernels->transpose(p->K, columns, b, width, w + j * p->K, p->K);
        else
            p->kernels->copy_pixels(p->K, columns, b, width, w + j, p->columns);
    }
}

/* Task: a panel. */
static void pack_shared(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    (void)worker;
    pack_panels(p, p->packed, begin, end);
}

/* Bytes of the outputs of a block, which wait there for what is added to them. */
static size_t block_bytes(const plan *p)
{
    const ptrdiff_t bytes = (p->block + GRANULE) * p->columns * (ptrdiff_t)sizeof(T);
    return (size_t)(cvl_ceil_div(bytes, CVL_LINE) * CVL_LINE);
}

/* Task: POSITIONS neighbouring positions, the last of which has what is left. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(conv2d_call) *call = p->call;
    const T *b = call->packed ? call->packed : in_place(p) ? call->w : p->packed;
    void (*add)(ptrdiff_t n, T *y, const T *a, const T *b) =
        call->end.activation == CVL_ACTIVATION_RELU ? p->kernels->add_relu : p->kernels->add;
    if (!b) {
        T *own = (T *)(void *)(call->workspace + (size_t)worker * p->bytes);
        pack_panels(p, own, 0, p->panels);
        b = own;
    }
    const ptrdiff_t last = end == p->tasks ? p->M : end * p->positions;
    T *sums = call->z ? (T *)(void *)(call->sum_workspace + (size_t)worker * block_bytes(p)) : NULL;
    for (ptrdiff_t first = begin * p->positions, rows; first < last; first += rows) {
        rows = last - first < p->block + GRANULE ? last - first : p->block;
        T *out = call->out + first * p->columns;
        NAME(tall) t = {.rows = rows, .K = p->K, .c_step = p->columns, .end = call->end};
        t.c_far = !sums &&
                  p->M * p->columns * (ptrdiff_t)sizeof(T) > (ptrdiff_t)FAR_BYTES * call->threads;
        if (sums)
            t.end.activation = CVL_ACTIVATION_NONE;
        t.a = (p->transposed ? call->dy : call->x) + first * p->K;
        for (ptrdiff_t j = 0, width; j < p->columns; j += width) {
            width = panel_width(p, j);
            t.columns = cvl_min(width, p->columns - j);
            t.a_far = j == 0; /* the others find in L2 what it has read */
            t.turned = j == p->wide - p->turned;
            t.b = b + j * p->K;
            t.c = (sums ? sums : out) + j;
            if (call->end.bias)
                t.end.bias = call->end.bias + j;
            p->kernels->tall(&t);
        }
        if (sums)
            add(rows * p->columns, out, sums, call->z + first * p->columns);
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    const char *reason = cvl_conv2d_refuses_product(shape, pass);
    return reason || d->N * d->H * d->W >= CVL_TALL_ROWS ? reason : "too few rows";
}

/* The direct engine has panels of half a vector, for CPUs that gain by it. */
static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const ptrdiff_t K = pass == CVL_CONV2D_BACKWARD_DATA ? shape->d.OC : shape->d.C;
    const ptrdiff_t columns = pass == CVL_CONV2D_BACKWARD_DATA ? shape->d.C : shape->d.OC;
    if (K < LEAST_K && !(columns == 1 && K >= LEAST_K_COLUMN && K % QUAD == 0))
        return 0;
    const plan p = make_plan(shape, pass);
    if (!p.kernels)
        return 0;
    if (p.turned == 0 && cvl_has_half_units() && 2 * (p.wide - p.columns) >= p.VL)
        return 0;
    if (p.turned == p.columns)
        return p.M >= LEAST_TURNED;
    const int serial = p.wide <= 2 * p.VL && cvl_team_size(2, 2, shape->flops) == 1;
    return p.M >= (serial ? LEAST_SERIAL : LEAST_POSITIONS);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const plan p = make_plan(shape, pass);
    return p.bytes > OWN_BYTES ? p.bytes : p.bytes * (size_t)threads;
}

static size_t sum_workspace(const cvl_conv2d_shape *shape, int threads)
{
    const plan p = make_plan(shape, CVL_CONV2D_FORWARD);
    return block_bytes(&p) * (size_t)threads;
}

static void pack_all(plan *p, T *packed)
{
    p->packed = packed;
    cvl_parallel_for(p->call->threads, p->panels, (double)p->bytes, CVL_FLUSH, pack_shared, p);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p = make_plan(call->shape, call->pass);
    p.call = call;
    if (!call->packed && p.bytes > OWN_BYTES)
        pack_all(&p, (T *)(void *)call->workspace);
    cvl_parallel_for(call->threads, p.tasks, call->shape->flops, CVL_FLUSH, compute, &p);
}

static size_t packed_size(const cvl_conv2d_shape *shape)
{
    return make_plan(shape, CVL_CONV2D_FORWARD).bytes;
}

static void pack(const NAME(conv2d_call) *call, T *packed)
{
    plan p = make_plan(call->shape, CVL_CONV2D_FORWARD);
    p.call = call;
    pack_all(&p, packed);
}

const NAME(conv2d_engine) NAME(tall_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of many rows",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
    .packed_size = packed_size,
    .pack = pack,
    .sum_workspace = sum_workspace,
};
