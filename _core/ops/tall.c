/* tall.c: 1x1 convolutions of many positions to a few channels.
 *
 * Rows and columns are dense, so that the kernel finds them by itself, and w is small, so that every
 * worker packs it for itself. A last panel of a few columns has positions in the lanes instead.
 *
 * Order of sums: that of the direct engine (indirect.c), one FMA chain over each CVL_ORDER_K. */
#include "conv2d.h"

/* Positions of a task; bytes of those that pass under all panels together; positions below which
 * product.c is as fast, and where all columns are few; channels below which the direct engine wastes
 * less; and bytes of w at most. */
enum {
    POSITIONS = 96,
    NEAR = 16 << 10,
    LEAST = 512,
    LEAST_FEW = CVL_TALL_ROWS,
    FEW = 16,
    LARGE = 64 << 10
};

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    int transposed;          /* w is (columns, K) */
    ptrdiff_t M, K, columns; /* positions, and channels of what is read and written */
    ptrdiff_t VL, turned;    /* turned: columns of the last panel if it is, else 0 */
    ptrdiff_t wide;          /* columns, with empty ones */
    ptrdiff_t tasks, block;  /* block: positions that pass under all panels together */
    size_t worker_bytes;     /* w, by panels (K, columns) */
} plan;

/* Columns that are left to a panel whose rows lie in the lanes. */
static ptrdiff_t turned_columns(ptrdiff_t columns, ptrdiff_t VL)
{
    const ptrdiff_t left = columns % VL;
    return left <= CVL_TALL_FEW && 2 * left <= VL ? left : 0;
}

/* Cuts the problem and returns the bytes of workspace. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const cvl_conv2d *d = &shape->d;
    const int transposed = pass == CVL_CONV2D_BACKWARD_DATA;
    *p = (plan){.kernels = kernels(), .transposed = transposed, .M = d->N * d->H * d->W};
    if (!p->kernels)
        return 0;
    p->K = transposed ? d->OC : d->C;
    p->columns = transposed ? d->C : d->OC;
    p->VL = p->kernels->vector / (ptrdiff_t)sizeof(T);
    p->turned = turned_columns(p->columns, p->VL);
    p->wide = cvl_ceil_div(p->columns - p->turned, p->VL) * p->VL + p->turned;
    p->tasks = cvl_max(1, p->M / POSITIONS);
    p->block = cvl_max(1, NEAR / (p->K * (ptrdiff_t)sizeof(T) * POSITIONS)) * POSITIONS;
    p->worker_bytes = (size_t)(cvl_ceil_div(p->K * p->wide, 64) * 64) * sizeof(T);
    return p->worker_bytes * (size_t)threads;
}

/* The columns of a panel from `column` on, with empty ones. */
static ptrdiff_t panel_width(const plan *p, ptrdiff_t column)
{
    const ptrdiff_t left = p->wide - column;
    return left == p->turned ? left : cvl_min(left - p->turned, 2 * p->VL);
}

static void pack(const plan *p, T *b)
{
    const T *w = p->call->w;
    if (p->wide > p->columns)
        memset(b, 0, p->worker_bytes);
    for (ptrdiff_t j = 0, width; j < p->columns; j += width) {
        width = panel_width(p, j);
        const ptrdiff_t columns = cvl_min(width, p->columns - j);
        if (p->transposed)
            p->kernels->transpose(p->K, columns, b + j * p->K, width, w + j * p->K, p->K);
        else
            for (ptrdiff_t k = 0; k < p->K; k++)
                memcpy(b + j * p->K + k * width, w + k * p->columns + j,
                       (size_t)columns * sizeof(T));
    }
}

/* Task: POSITIONS neighbouring positions, the last of which has what is left. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(conv2d_call) *call = p->call;
    T *b = (T *)(void *)(call->workspace + (size_t)worker * p->worker_bytes);
    pack(p, b);
    const ptrdiff_t last = end == p->tasks ? p->M : end * POSITIONS;
    for (ptrdiff_t first = begin * POSITIONS, rows; first < last; first += rows) {
        rows = last - first < p->block + POSITIONS ? last - first : p->block;
        NAME(tall) t = {.rows = rows, .K = p->K, .c_step = p->columns, .end = call->end};
        t.a = (p->transposed ? call->dy : call->x) + first * p->K;
        for (ptrdiff_t j = 0, width; j < p->columns; j += width) {
            width = panel_width(p, j);
            t.columns = cvl_min(width, p->columns - j);
            t.turned = width == p->turned;
            t.b = b + j * p->K;
            t.c = call->out + first * p->columns + j;
            if (call->end.bias)
                t.end.bias = call->end.bias + j;
            p->kernels->tall(&t);
        }
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    const char *reason = cvl_conv2d_refuses_product(shape, pass);
    return reason || d->N * d->H * d->W >= CVL_TALL_ROWS ? reason : "too few rows";
}

/* Several panels pay where the last is turned: of the others the direct engine has wider ones, and of half
 * a vector, for CPUs that gain by it. */
static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    plan p;
    make_plan(&p, shape, pass, 1);
    if (!p.kernels || p.K < FEW || p.K * p.wide * (ptrdiff_t)sizeof(T) > LARGE)
        return 0;
    const ptrdiff_t empty = p.wide - p.columns;
    if (p.turned == 0 && (p.columns > 2 * p.VL || (cvl_has_half_units() && 2 * empty >= p.VL)))
        return 0;
    return p.M >= (p.turned == p.columns ? LEAST_FEW : LEAST);
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    return make_plan(&p, shape, pass, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->pass, call->threads);
    p.call = call;
    cvl_parallel_for(call->threads, p.tasks, call->shape->flops, CVL_FLUSH, compute, &p);
}

const NAME(conv2d_engine) NAME(tall_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "a matrix product of few columns",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
