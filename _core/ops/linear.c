/* linear.c: a linear layer is a 1x1 convolution over M pixels, to the bit, and has the same sums.
 *
 * Where that pays it is a matrix product here, in which the micro-kernel reads w as it lies (forward)
 * or a panel of it that its worker has just turned (backward data), and not a packed copy: at 64
 * rows, packing is a tenth of the work. A task is a few rows of a panel; neighbours of one panel are
 * run together, so that a worker reads each piece of its panel once. */
#include "bands.h"
#include "conv2d.h"

/* Rows of a task, and of what passes under all panels together. Rows of w further apart than FAR
 * elements meet in the same sets of a cache, where more than FEW rows would read them again. */
enum { ROWS = 16, BLOCK = 256, FAR = 512, FEW = 16 };

/* C = A B: A (M,K), B (K,columns). */
typedef struct product {
    const NAME(kernels) *kernels;
    ptrdiff_t M, K, columns;
    const T *a, *w; /* w is B or, transposed, its columns one after the other */
    T *c;
    NAME(epilogue) end;
    cvl_bands bands;
    int transposed;
    ptrdiff_t tasks; /* of a panel, in a block */
    T *turned;       /* (workers, CVL_ORDER_K, NR) */
} product;

/* ------------------------------------------------------------------------------ the product */

/* Reduction indices [k0, k0 + k) of rows [row, end) of a panel. */
static void run_segment(const product *p, ptrdiff_t k0, ptrdiff_t k, ptrdiff_t row, ptrdiff_t end,
                        cvl_panel_place place, const T *b, ptrdiff_t b_step)
{
    const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
    const cvl_gemm_run run = {.k0 = 0, .k = k, .a = k0};
    const T *a[CVL_GEMM_MR_MAX];
    T *c[CVL_GEMM_MR_MAX];
    NAME(gemm_tile)
    tile = {
        .runs = 1,
        .run = &run,
        .a = a,
        .packed = p->transposed,
        .b = b,
        .b_step = b_step,
        .nr = (int)cvl_min(place.NR, p->columns - place.column),
        .c = c,
        .c0 = place.column,
        .add = k0 > 0,
    };
    if (k0 + k == p->K) {
        tile.end = p->end;
        if (p->end.bias)
            tile.end.bias += place.column;
    }
    for (; row < end; row += panel->MR) {
        tile.mr = (int)cvl_min(panel->MR, end - row);
        for (int i = 0; i < panel->MR; i++) {
            const ptrdiff_t at = row + (i < tile.mr ? i : 0);
            a[i] = p->a + at * p->K;
            c[i] = p->c + at * p->columns;
        }
        panel->kernel(&tile);
    }
}

static void run_panel(const product *p, ptrdiff_t row, ptrdiff_t end, cvl_panel_place place,
                      int worker)
{
    for (ptrdiff_t k0 = 0; k0 < p->K; k0 += CVL_ORDER_K) {
        const ptrdiff_t k = cvl_min(CVL_ORDER_K, p->K - k0);
        if (!p->transposed) {
            run_segment(p, k0, k, row, end, place, p->w + k0 * p->columns + place.column,
                        p->columns);
            continue;
        }
        T *turned = p->turned + worker * CVL_ORDER_K * p->kernels->gemm[0].NR;
        p->kernels->transpose(k, cvl_min(place.NR, p->columns - place.column), turned, place.NR,
                              p->w + place.column * p->K + k0, p->K);
        run_segment(p, k0, k, row, end, place, turned, place.NR);
    }
}

/* Tasks by blocks of rows, panels, rows. */
static void run_tasks(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const product *p = context;
    for (ptrdiff_t task = begin, stop; task < end; task = stop) {
        const ptrdiff_t panel = task / p->tasks, block = panel / p->bands.panels * BLOCK;
        stop = cvl_min(end, (panel + 1) * p->tasks);
        const ptrdiff_t first = block + (task - panel * p->tasks) * ROWS;
        const ptrdiff_t last = block + (stop - panel * p->tasks) * ROWS;
        run_panel(p, first, cvl_min(last, cvl_min(block + BLOCK, p->M)),
                  cvl_panel_at(&p->bands, panel % p->bands.panels), worker);
    }
}

static size_t turned_bytes(const NAME(kernels) *k, int threads)
{
    return (size_t)threads * CVL_ORDER_K * (size_t)k->gemm[0].NR * sizeof(T);
}

static void run_product(product *p, int threads)
{
    p->bands = NAME(make_bands)(p->kernels->gemm, p->columns);
    p->tasks = cvl_ceil_div(cvl_min(BLOCK, p->M), ROWS);
    cvl_parallel_for(threads, cvl_ceil_div(p->M, BLOCK) * p->bands.panels * p->tasks,
                     2 * (double)p->M * (double)p->K * (double)p->columns, CVL_FLUSH, run_tasks, p);
}

/* ------------------------------------------------------------------------------------ doors */

/* Reads a descriptor, and checks it as the convolution that it stands for. */
static cvl_status read_linear(cvl_linear *d, cvl_conv2d *c, const cvl_linear *from)
{
    cvl_conv2d_shape shape;
    *d = (cvl_linear)CVL_LINEAR_INIT;
    if (!cvl_read(d, from))
        return CVL_ERR_ARGUMENT;
    *c = (cvl_conv2d)CVL_CONV2D_INIT;
    c->N = d->M;
    c->H = c->W = c->KH = c->KW = 1;
    c->C = d->IN;
    c->OC = d->OUT;
    return cvl_conv2d_read(&shape, c);
}

static int reads_w_as_it_lies(const cvl_linear *d) { return d->OUT <= FAR || d->M <= FEW; }

cvl_status NAME(linear_forward)(const cvl_linear *from, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    cvl_linear d;
    cvl_conv2d c;
    cvl_exec exec;
    cvl_status status = read_linear(&d, &c, from);
    if (status != CVL_OK)
        return status;
    if (!reads_w_as_it_lies(&d))
        return NAME(conv2d_forward)(&c, y, x, w, b, run);
    if (!w || (d.M > 0 && (!x || !y)))
        return CVL_ERR_ARGUMENT;
    status = cvl_read_exec(&exec, run, 0);
    if (status != CVL_OK)
        return status;
    product p = {.kernels = kernels(),
                 .M = d.M,
                 .K = d.IN,
                 .columns = d.OUT,
                 .a = x,
                 .w = w,
                 .c = y,
                 .end = {.bias = b}};
    if (!p.kernels)
        return CVL_ERR_ISA;
    run_product(&p, exec.threads);
    return CVL_OK;
}

size_t NAME(linear_forward_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_linear d;
    cvl_conv2d c;
    if (read_linear(&d, &c, from) != CVL_OK || reads_w_as_it_lies(&d))
        return 0;
    return NAME(conv2d_forward_workspace_size)(&c, threads);
}

cvl_status NAME(linear_backward_data)(const cvl_linear *from, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_linear d;
    cvl_conv2d c;
    cvl_exec exec;
    cvl_status status = read_linear(&d, &c, from);
    if (status != CVL_OK)
        return status;
    if (!run || run->threads < 1 || !w || (d.M > 0 && (!dy || !dx)))
        return CVL_ERR_ARGUMENT;
    product p = {.kernels = kernels(),
                 .M = d.M,
                 .K = d.OUT,
                 .columns = d.IN,
                 .a = dy,
                 .w = w,
                 .c = dx,
                 .transposed = 1};
    if (!p.kernels)
        return CVL_ERR_ISA;
    status = cvl_read_exec(&exec, run, turned_bytes(p.kernels, run->threads));
    if (status != CVL_OK)
        return status;
    p.turned = exec.workspace;
    run_product(&p, exec.threads);
    return CVL_OK;
}

size_t NAME(linear_backward_data_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_linear d;
    cvl_conv2d c;
    const NAME(kernels) *k = kernels();
    return k && threads > 0 && read_linear(&d, &c, from) == CVL_OK ? turned_bytes(k, threads) : 0;
}

cvl_status NAME(linear_backward_weights)(const cvl_linear *from, T *dw, T *db, const T *dy,
                                         const T *x, const cvl_exec *run)
{
    cvl_linear d;
    cvl_conv2d c;
    const cvl_status status = read_linear(&d, &c, from);
    return status == CVL_OK ? NAME(conv2d_backward_weights)(&c, dw, db, dy, x, run) : status;
}

size_t NAME(linear_backward_weights_workspace_size)(const cvl_linear *from, int threads)
{
    cvl_linear d;
    cvl_conv2d c;
    return read_linear(&d, &c, from) == CVL_OK
               ? NAME(conv2d_backward_weights_workspace_size)(&c, threads)
               : 0;
}
