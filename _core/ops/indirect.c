/* indirect.c: implicit im2col.
 *
 * The micro-kernel reads its rows of A straight from the input through pointers: MR of them per
 * tile of output positions and per run, a run being a stretch of channels of one tap. Taps that lie
 * in the padding for every position of a tile are left out; where only some do, those point at
 * zeros. B is packed by panels of NR output channels.
 *
 * Order of sums: runs are cut at every CVL_ORDER_K values of k, and each such segment is one FMA
 * chain, added to the output in order. Which positions share a tile does not enter any sum. */
#include "indirect.h"

#include "bands.h"

/* Channels [c0, c0 + length) of the tap at input offset (dh, dw); rows k0.. of B. */
typedef struct tap_run {
    ptrdiff_t dh, dw, c0, k0, length;
} tap_run;

/* What one worker writes while it prepares tiles. */
typedef struct tables {
    tap_run *taps;          /* (runs) of the phase */
    ptrdiff_t *segment_end; /* (segments): first tap run past each segment */
    cvl_gemm_run *runs;     /* (TILES, runs): those of a tile with a position inside the input */
    ptrdiff_t *live_end;    /* (TILES, segments): first live run past each segment */
    const T **a;            /* (TILES, runs, MR) */
    T **c;                  /* (TILES, MR) */
} tables;

/* A call in progress: the problem, and how it is cut. */
typedef struct plan {
    const NAME(gather) *g;
    const NAME(kernels) *kernels;
    ptrdiff_t K, runs, segments; /* of all taps; a phase has at most these */
    cvl_bands bands;
    ptrdiff_t tiles;         /* prepared at a time */
    ptrdiff_t block, blocks; /* output positions of a task; tasks of a phase */
    ptrdiff_t panel_tasks;   /* 1, or one task per panel where positions are few */
    T *packed, *zeros;
    char *worker_tables;
    size_t worker_bytes;
} plan;

enum { TILES = 16, BLOCK = 64, FEW_BLOCKS = 16 };

static tables carve_tables(const plan *p, char *base, size_t *bytes)
{
    cvl_scratch s = {base, 0};
    tables t;
    const size_t runs = (size_t)p->runs, segments = (size_t)p->segments, tiles = (size_t)p->tiles;
    t.taps = cvl_carve(&s, runs * sizeof *t.taps);
    t.segment_end = cvl_carve(&s, segments * sizeof *t.segment_end);
    t.runs = cvl_carve(&s, tiles * runs * sizeof *t.runs);
    t.live_end = cvl_carve(&s, tiles * segments * sizeof *t.live_end);
    t.a = cvl_carve(&s, tiles * runs * CVL_GEMM_MR_MAX * sizeof *t.a);
    t.c = cvl_carve(&s, tiles * CVL_GEMM_MR_MAX * sizeof *t.c);
    *bytes = s.used;
    return t;
}

/* Cuts the problem and lays out the workspace; with base NULL it only counts. */
static size_t make_plan(plan *p, const NAME(gather) *g, char *base, int threads)
{
    *p = (plan){.g = g, .kernels = kernels()};
    if (!p->kernels)
        return 0;
    p->K = g->KH * g->KW * g->C;
    p->segments = cvl_ceil_div(p->K, CVL_ORDER_K);
    p->runs = g->KH * g->KW + p->segments;
    p->bands = NAME(make_bands)(p->kernels->gemm, g->OC);
    p->tiles = cvl_max(1, cvl_min(TILES, 1024 / p->runs));

    const ptrdiff_t grid = cvl_ceil_div(g->OH, g->phases_h) * cvl_ceil_div(g->OW, g->phases_w);
    const ptrdiff_t pieces = g->groups * g->phases_h * g->phases_w;
    p->block = BLOCK;
    while (p->block > CVL_GEMM_MR_MAX && pieces * cvl_ceil_div(g->N * grid, p->block) < FEW_BLOCKS)
        p->block /= 2;
    p->blocks = cvl_ceil_div(g->N * grid, p->block);
    p->panel_tasks = pieces * p->blocks < FEW_BLOCKS ? p->bands.panels : 1;

    cvl_scratch s = {base, 0};
    p->packed = cvl_carve(&s, (size_t)(g->groups * p->K * p->bands.columns) * sizeof(T));
    p->zeros = cvl_carve(&s, (size_t)cvl_min(g->C, CVL_ORDER_K) * sizeof(T));
    carve_tables(p, NULL, &p->worker_bytes);
    p->worker_tables = cvl_carve(&s, p->worker_bytes * (size_t)threads);
    return s.used;
}

size_t NAME(gather_workspace)(const NAME(gather) *g, int threads)
{
    plan p;
    return make_plan(&p, g, NULL, threads);
}

/* ------------------------------------------------------------------------------ packing B */

/* Task: one tap of one panel of one group. */
static void pack(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(gather) *g = p->g;
    const ptrdiff_t taps = g->KH * g->KW, w_columns = g->groups * (g->transposed ? g->C : g->OC);
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t tap = task % taps, panel = task / taps % p->bands.panels;
        const ptrdiff_t group = task / taps / p->bands.panels;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
        const ptrdiff_t NR = place.NR, columns = cvl_min(NR, g->OC - place.column);
        T *out = p->packed + (group * p->bands.columns + place.column) * p->K + tap * g->C * NR;
        if (columns < NR)
            memset(out, 0, (size_t)(g->C * NR) * sizeof(T));
        if (g->transposed) {
            const T *in = g->w + (tap * g->OC + place.column) * w_columns + group * g->C;
            p->kernels->transpose(g->C, columns, out, NR, in, w_columns);
        } else {
            const T *in = g->w + tap * g->C * w_columns + group * g->OC + place.column;
            for (ptrdiff_t c = 0; c < g->C; c++)
                memcpy(out + c * NR, in + c * w_columns, (size_t)columns * sizeof(T));
        }
    }
}

/* ------------------------------------------------------------------- the tiles of a phase */

/* Lists the runs of a phase in the order of k; returns how many segments they fall into. */
static ptrdiff_t list_taps(const plan *p, const cvl_gather_axis axes[2], const tables *t)
{
    const NAME(gather) *g = p->g;
    ptrdiff_t count = 0, segments = 0, last = -1;
    for (ptrdiff_t i = 0; i < axes[0].taps; i++)
        for (ptrdiff_t j = 0; j < axes[1].taps; j++) {
            const ptrdiff_t kh = axes[0].k0 + i * axes[0].k_step;
            const ptrdiff_t kw = axes[1].k0 + j * axes[1].k_step;
            const ptrdiff_t k0 = (kh * g->KW + kw) * g->C;
            for (ptrdiff_t c = 0; c < g->C;) {
                const ptrdiff_t segment = (k0 + c) / CVL_ORDER_K;
                const ptrdiff_t stop = cvl_min(g->C, (segment + 1) * CVL_ORDER_K - k0);
                if (segment != last)
                    segments++;
                last = segment;
                t->taps[count++] = (tap_run){axes[0].d0 + i * axes[0].d_step,
                                             axes[1].d0 + j * axes[1].d_step, c, k0 + c, stop - c};
                t->segment_end[segments - 1] = count;
                c = stop;
            }
        }
    return segments;
}

/* One output position: where it is written, and the input position of offset (0, 0). */
typedef struct position {
    ptrdiff_t n, h, w;
} position;

static inline int inside(ptrdiff_t i, ptrdiff_t size) { return (size_t)i < (size_t)size; }

/* Fills tile `tile` of the tables with the MR positions from `first` (the last one repeated past
 * `mr`) of group `group`. */
static void prepare_tile(const plan *p, const cvl_gather_axis axes[2], ptrdiff_t segments,
                         const tables *t, ptrdiff_t tile, ptrdiff_t first, int mr, int MR,
                         ptrdiff_t group)
{
    const NAME(gather) *g = p->g;
    const ptrdiff_t x_pixel = g->groups * g->C, y_pixel = g->groups * g->OC;
    position at[CVL_GEMM_MR_MAX];
    const T *origin[CVL_GEMM_MR_MAX];
    for (int i = 0; i < MR; i++) {
        const ptrdiff_t q = first + (i < mr ? i : mr - 1);
        const ptrdiff_t gw = q % axes[1].grid, gh = q / axes[1].grid % axes[0].grid;
        at[i] =
            (position){q / axes[1].grid / axes[0].grid, gh * axes[0].in_step, gw * axes[1].in_step};
        origin[i] = g->x + ((at[i].n * g->H + at[i].h) * g->W + at[i].w) * x_pixel + group * g->C;
        const ptrdiff_t oh = axes[0].first + gh * axes[0].step;
        const ptrdiff_t ow = axes[1].first + gw * axes[1].step;
        t->c[tile * MR + i] =
            g->y + ((at[i].n * g->OH + oh) * g->OW + ow) * y_pixel + group * g->OC;
    }

    const T **a = t->a + tile * p->runs * MR;
    cvl_gemm_run *runs = t->runs + tile * p->runs;
    ptrdiff_t live = 0, r = 0;
    for (ptrdiff_t s = 0; s < segments; s++) {
        for (; r < t->segment_end[s]; r++) {
            const tap_run *tap = &t->taps[r];
            const ptrdiff_t offset = (tap->dh * g->W + tap->dw) * x_pixel + tap->c0;
            int any = 0;
            for (int i = 0; i < MR; i++) {
                const int in = inside(at[i].h + tap->dh, g->H) && inside(at[i].w + tap->dw, g->W);
                a[live * MR + i] = in ? origin[i] + offset : p->zeros;
                any |= in;
            }
            if (any)
                runs[live++] = (cvl_gemm_run){tap->k0, tap->length};
        }
        t->live_end[tile * p->segments + s] = live;
    }
}

/* Runs every segment of tile `tile` on the panel at `place`. */
static void run_tile(const plan *p, ptrdiff_t segments, const tables *t, ptrdiff_t tile, int mr,
                     cvl_panel_place place, ptrdiff_t group)
{
    const NAME(gather) *g = p->g;
    const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
    T *c[CVL_GEMM_MR_MAX];
    for (int i = 0; i < mr; i++)
        c[i] = t->c[tile * panel->MR + i] + place.column;
    NAME(gemm_tile)
    job = {
        .a_step = 1,
        .b = p->packed + (group * p->bands.columns + place.column) * p->K,
        .b_step = place.NR,
        .packed = 1,
        .mr = mr,
        .nr = (int)cvl_min(place.NR, g->OC - place.column),
        .c = c,
    };
    ptrdiff_t done = 0;
    for (ptrdiff_t s = 0; s == 0 || s < segments; s++) {
        const ptrdiff_t end = segments ? t->live_end[tile * p->segments + s] : 0;
        job.runs = end - done;
        job.run = t->runs + tile * p->runs + done;
        job.a = t->a + (tile * p->runs + done) * panel->MR;
        job.add = s > 0;
        if (s + 1 >= segments) {
            job.end = g->end;
            if (job.end.bias)
                job.end.bias += group * g->OC + place.column;
        }
        panel->kernel(&job);
        done = end;
    }
}

/* Task: a block of positions of one phase and group, for all panels or for one. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const plan *p = context;
    const NAME(gather) *g = p->g;
    size_t bytes;
    const tables t = carve_tables(p, p->worker_tables + (size_t)worker * p->worker_bytes, &bytes);
    for (ptrdiff_t task = begin; task < end; task++) {
        ptrdiff_t rest = task;
        const ptrdiff_t panel_task = rest % p->panel_tasks;
        rest /= p->panel_tasks;
        const ptrdiff_t block = rest % p->blocks;
        rest /= p->blocks;
        const ptrdiff_t phase_w = rest % g->phases_w, phase_h = rest / g->phases_w % g->phases_h;
        const ptrdiff_t group = rest / g->phases_w / g->phases_h;

        cvl_gather_axis axes[2];
        g->axis(g, 0, phase_h, &axes[0]);
        g->axis(g, 1, phase_w, &axes[1]);
        const ptrdiff_t positions = g->N * axes[0].grid * axes[1].grid;
        const ptrdiff_t stop = cvl_min(positions, (block + 1) * p->block);
        const ptrdiff_t segments = list_taps(p, axes, &t);
        for (int b = 0; b < p->bands.count; b++) {
            const cvl_band band = p->bands.band[b];
            const int MR = p->kernels->gemm[band.width].MR;
            ptrdiff_t panel0 = band.first, panel1 = band.first + band.panels;
            if (p->panel_tasks > 1) {
                panel0 = cvl_max(panel0, panel_task);
                panel1 = cvl_min(panel1, panel_task + 1);
            }
            if (panel0 >= panel1)
                continue;
            for (ptrdiff_t first = block * p->block; first < stop; first += p->tiles * MR) {
                const ptrdiff_t tiles = cvl_min(p->tiles, cvl_ceil_div(stop - first, MR));
                for (ptrdiff_t i = 0; i < tiles; i++)
                    prepare_tile(p, axes, segments, &t, i, first + i * MR,
                                 (int)cvl_min(MR, stop - first - i * MR), MR, group);
                for (ptrdiff_t panel = panel0; panel < panel1; panel++)
                    for (ptrdiff_t i = 0; i < tiles; i++)
                        run_tile(p, segments, &t, i, (int)cvl_min(MR, stop - first - i * MR),
                                 cvl_panel_at(&p->bands, panel), group);
            }
        }
    }
}

void NAME(gather_run)(const NAME(gather) *g, void *workspace, int threads)
{
    plan p;
    make_plan(&p, g, workspace, threads);
    memset(p.zeros, 0, (size_t)cvl_min(g->C, CVL_ORDER_K) * sizeof(T));
    cvl_parallel_for(threads, g->groups * p.bands.panels * g->KH * g->KW,
                     (double)(g->groups * p.K * p.bands.columns) * sizeof(T), CVL_FLUSH, pack, &p);
    cvl_parallel_for(threads, g->groups * g->phases_h * g->phases_w * p.blocks * p.panel_tasks,
                     g->flops, CVL_FLUSH, compute, &p);
}
