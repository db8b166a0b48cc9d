/* stem.c: backward data of convolutions with few input channels, where planes.c does not pay: from many
 * channels, and at strides that leave few taps to an output, as of patches.
 *
 * Channels do not fill the lanes there, but positions do. A row of dy, turned so that positions lie
 * in the lanes, is multiplied with all of w: a plane per tap and channel. Planes are added to the
 * rows of dx they belong to, which are kept by remainders of the column by the stride, so that every
 * addition is one of whole rows; a row of dx is put together when no more can come. (Adding runs of
 * taps to each position in turn instead stalls, each sum being loaded just after it was stored.)
 *
 * Order of sums: per tap one FMA chain over each CVL_ORDER_K output channels, the chains added in
 * order; then the taps, by output row and kw. */
#include "bands.h"
#include "conv2d.h"

typedef struct plan {
    const NAME(conv2d_call) *call;
    const NAME(kernels) *kernels;
    ptrdiff_t M;           /* planes: KH*KW*C */
    ptrdiff_t chunk;       /* positions of a row that are multiplied at a time */
    ptrdiff_t reach;       /* rows of dx, from the first that a row of dy reaches to the last */
    ptrdiff_t ring;        /* rows of dx that are kept: these, or all */
    ptrdiff_t sums, width; /* arrays of a row of dx, and elements of one */
    char *worker_memory;
    size_t worker_bytes;
} plan;

typedef struct worker {
    T *packed; /* (OC, chunk), by panels */
    T *planes; /* (M, chunk) */
    const T **a;
    T **c;   /* (M + MR): rows of w and of planes */
    T *rows; /* (ring, sums, width): sum p*C + c holds the columns p - PL, p - PL + SW, ... */
    T *bias; /* (C, width) */
} worker;

enum {
    /* Positions of a row that are multiplied at a time: fewer of short rows, or where planes would have more
     * elements. */
    CHUNK = 256,
    CHUNK_MIN = 64,
    PLANES = 65536,

    /* Channels of dx at most, of which the direct engine works on 8 in the time of 5 here; channels of dy,
     * taps and columns of dy at least. */
    MOST_CHANNELS = 4,
    LEAST_OUTPUTS = 8,
    LEAST_TAPS = 2,
    LEAST_COLUMNS = 8,

    /* Columns of a kept row, padding and what stride and dilation skip included, for one of dx: the direct
     * engine keeps no rows, which may be far longer than those of dx. */
    MOST_COLUMNS = 4
};

/* Elements of an array of a row of dx. */
static ptrdiff_t width_of(const cvl_conv2d_shape *shape)
{
    const cvl_conv2d *d = &shape->d;
    return cvl_max((d->PL + d->W - 1) / d->SW, shape->OW - 1 + (d->KW - 1) * d->DW / d->SW) + 1;
}

static worker carve_worker(const plan *p, const cvl_conv2d *d, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    worker w;
    w.packed = cvl_carve(&s, (size_t)(d->OC * p->chunk) * sizeof(T));
    w.planes = cvl_carve(&s, (size_t)(p->M * p->chunk) * sizeof(T));
    w.a = cvl_carve(&s, (size_t)(p->M + CVL_GEMM_MR_MAX) * sizeof *w.a);
    w.c = cvl_carve(&s, (size_t)(p->M + CVL_GEMM_MR_MAX) * sizeof *w.c);
    w.rows = cvl_carve(&s, (size_t)(p->ring * p->sums * p->width) * sizeof(T));
    w.bias = cvl_carve(&s, (size_t)(d->C * p->width) * sizeof(T));
    *bytes = s.used;
    return w;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const cvl_conv2d_shape *shape, char *base, int threads)
{
    const cvl_conv2d *d = &shape->d;
    *p = (plan){.kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->M = d->KH * d->KW * d->C;
    p->chunk = CHUNK;
    while (p->chunk > CHUNK_MIN && (p->chunk / 2 >= shape->OW || p->M * p->chunk > PLANES))
        p->chunk /= 2;
    p->reach = (d->KH - 1) * d->DH + 1;
    p->ring = cvl_min(p->reach, d->H);
    p->sums = d->SW * d->C;
    p->width = width_of(shape);
    carve_worker(p, d, NULL, &p->worker_bytes);
    cvl_scratch s = {base, 0};
    p->worker_memory = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

/* Multiplies `count` positions, which lie at dy, with w. */
static void multiply(const plan *p, const worker *w, const T *dy, ptrdiff_t count)
{
    const ptrdiff_t OC = p->call->shape->d.OC;
    const cvl_bands bands = NAME(make_bands_of)(p->kernels->gemm, CVL_GEMM_PANELS, count);
    for (ptrdiff_t i = 0; i < bands.panels; i++) {
        const cvl_panel_place place = cvl_panel_at(&bands, i);
        const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
        T *b = w->packed + place.column * OC;
        p->kernels->transpose(OC, cvl_min(place.NR, count - place.column), b, place.NR,
                              dy + place.column * OC, OC);
        /* Columns past `count` hold what an earlier row left there, and are not read. */
        for (ptrdiff_t m = 0; m < p->M; m += panel->MR)
            for (ptrdiff_t k = 0; k < OC; k += CVL_ORDER_K) {
                const cvl_gemm_run run = {k, cvl_min(CVL_ORDER_K, OC - k), k};
                panel->kernel(&(NAME(gemm_tile)){
                    .runs = 1,
                    .run = &run,
                    .a = w->a + m,
                    .packed = 1,
                    .b = b,
                    .b_step = place.NR,
                    .mr = (int)cvl_min(panel->MR, p->M - m),
                    .nr = (int)place.NR,
                    .c = w->c + m,
                    .c0 = place.column,
                    .add = k > 0,
                });
            }
    }
}

static T *row_of(const plan *p, const worker *w, ptrdiff_t ih, ptrdiff_t sum)
{
    return w->rows + (ih % p->ring * p->sums + sum) * p->width;
}

/* Adds what the row oh of image n gives to the rows i0 .. i1 - 1 of dx. */
static void add_row(const plan *p, const worker *w, ptrdiff_t n, ptrdiff_t oh, ptrdiff_t i0,
                    ptrdiff_t i1)
{
    const cvl_conv2d_shape *s = p->call->shape;
    const cvl_conv2d *d = &s->d;
    for (ptrdiff_t q = 0; q < s->OW; q += p->chunk) {
        const ptrdiff_t count = cvl_min(p->chunk, s->OW - q);
        multiply(p, w, p->call->dy + ((n * s->OH + oh) * s->OW + q) * d->OC, count);
        for (ptrdiff_t kh = 0; kh < d->KH; kh++) {
            const ptrdiff_t ih = oh * d->SH - d->PT + kh * d->DH;
            if (ih < i0 || ih >= i1)
                continue;
            for (ptrdiff_t kw = 0; kw < d->KW; kw++)
                for (ptrdiff_t c = 0; c < d->C; c++) {
                    T *to =
                        row_of(p, w, ih, kw * d->DW % d->SW * d->C + c) + q + kw * d->DW / d->SW;
                    p->kernels->add(count, to, to, w->c[(kh * d->KW + kw) * d->C + c]);
                }
        }
    }
}

/* Writes row ih of image n of dx and clears it for the next in the ring. */
static void finish_row(const plan *p, const worker *w, ptrdiff_t n, ptrdiff_t ih)
{
    const cvl_conv2d *d = &p->call->shape->d;
    T *dx_h = p->call->out + (n * d->H + ih) * d->W * d->C;
    for (ptrdiff_t column = 0; column < d->SW; column++) {
        const ptrdiff_t first = cvl_max(0, cvl_ceil_div(d->PL - column, d->SW));
        const ptrdiff_t count = cvl_ceil_div(d->PL + d->W - column, d->SW) - first;
        for (ptrdiff_t c = 0; c < d->C; c++) {
            T *row = row_of(p, w, ih, column * d->C + c);
            if (p->call->end.bias)
                p->kernels->add(p->width, row, row, w->bias + c * p->width);
            if (count > 0)
                p->kernels->transpose(count, 1, dx_h + (first * d->SW + column - d->PL) * d->C + c,
                                      p->sums, row + first, 0);
        }
    }
    memset(row_of(p, w, ih, 0), 0, (size_t)(p->sums * p->width) * sizeof(T));
}

/* Task: a row of dx. Those of one range that lie in one image share the rows of dy. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    const cvl_conv2d_shape *s = p->call->shape;
    const cvl_conv2d *d = &s->d;
    size_t bytes;
    const worker w =
        carve_worker(p, d, p->worker_memory + (size_t)number * p->worker_bytes, &bytes);
    memset(w.packed, 0, (size_t)(d->OC * p->chunk) * sizeof(T));
    memset(w.rows, 0, (size_t)(p->ring * p->sums * p->width) * sizeof(T));
    for (ptrdiff_t m = 0; m < p->M + CVL_GEMM_MR_MAX; m++) {
        w.a[m] = p->call->w + cvl_min(m, p->M - 1) * d->OC;
        w.c[m] = w.planes + cvl_min(m, p->M - 1) * p->chunk;
    }
    for (ptrdiff_t i = 0; p->call->end.bias && i < d->C * p->width; i++)
        w.bias[i] = p->call->end.bias[i / p->width];

    for (ptrdiff_t first = begin, next; first < end; first = next) {
        const ptrdiff_t n = first / d->H, i0 = first % d->H;
        next = cvl_min(end, (n + 1) * d->H);
        const ptrdiff_t i1 = i0 + next - first;
        const ptrdiff_t oh0 = cvl_max(0, cvl_ceil_div(i0 + d->PT - p->reach + 1, d->SH));
        const ptrdiff_t oh1 = cvl_min(s->OH, cvl_floor_div(i1 - 1 + d->PT, d->SH) + 1);
        ptrdiff_t ih = i0;
        for (ptrdiff_t oh = oh0; oh < oh1; oh++) {
            for (; ih < cvl_min(i1, oh * d->SH - d->PT); ih++)
                finish_row(p, &w, n, ih);
            add_row(p, &w, n, oh, i0, i1);
        }
        for (; ih < i1; ih++)
            finish_row(p, &w, n, ih);
    }
}

/* ------------------------------------------------------------------------------- the engine */

static const char *refuses(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    if (pass != CVL_CONV2D_BACKWARD_DATA)
        return "few input channels matter to backward data only";
    return shape->d.groups == 1 ? NULL : "groups";
}

static int pays(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass)
{
    const cvl_conv2d *d = &shape->d;
    (void)pass;
    return d->C <= MOST_CHANNELS && d->OC >= LEAST_OUTPUTS && d->KH * d->KW >= LEAST_TAPS &&
           shape->OW >= LEAST_COLUMNS && d->SW * width_of(shape) <= MOST_COLUMNS * d->W + CHUNK;
}

static size_t workspace(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    plan p;
    (void)pass;
    return make_plan(&p, shape, NULL, threads);
}

static void run(const NAME(conv2d_call) *call)
{
    plan p;
    make_plan(&p, call->shape, call->workspace, call->threads);
    p.call = call;
    cvl_parallel_for(call->threads, call->shape->d.N * call->shape->d.H, call->shape->flops,
                     CVL_FLUSH, compute, &p);
}

const NAME(conv2d_engine) NAME(stem_engine) = {
    .algorithm = CVL_CONV2D_IM2COL,
    .reason = "few input channels",
    .refuses = refuses,
    .pays = pays,
    .workspace = workspace,
    .run = run,
};
