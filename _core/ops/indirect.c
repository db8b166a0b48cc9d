/* indirect.c: implicit im2col.
 *
 * The micro-kernel reads its rows of A straight from the input: a pointer per output position, and
 * a list of runs, each a stretch of k that lies without gaps in memory. All positions of a tile are
 * of one class (taps.h), so that they share the list and no padding is ever read. B is packed by
 * panels of NR output channels.
 *
 * Order of sums: runs are cut at every CVL_ORDER_K values of k, and each such segment is one FMA
 * chain, added to the output in order. Which positions share a tile does not enter any sum. */
#include "indirect_plan.h"

/* ------------------------------------------------------------------------------ packing B */

/* Columns of a panel of a group or set: the last set may have fewer groups. */
static ptrdiff_t columns_of(const plan *p, ptrdiff_t group, cvl_panel_place place)
{
    const ptrdiff_t OC = cvl_min(p->OC, p->y_pixel - group * p->OC);
    return cvl_min(place.NR, OC - place.column);
}

/* Packs one tap of a panel of a group. */
static void pack_tap(const plan *p, T *out, ptrdiff_t group, cvl_panel_place place, ptrdiff_t tap)
{
    const ptrdiff_t NR = place.NR, columns = columns_of(p, group, place);
    const ptrdiff_t ld = p->transposed ? p->x_pixel : p->y_pixel;
    const T *w = p->call->w;
    if (columns < NR)
        memset(out, 0, (size_t)(p->C * NR) * sizeof(T));
    if (p->transposed) {
        const ptrdiff_t OC = p->OC / p->merged;
        const T *in = w + (tap * OC + place.column) * ld + group * p->merged * p->C;
        for (ptrdiff_t g = 0; g * OC < columns; g++)
            p->kernels->transpose(p->C, cvl_min(columns, OC), out + g * OC, NR, in + g * p->C, ld);
    } else {
        const T *in = w + tap * p->C * ld + group * p->OC + place.column;
        for (ptrdiff_t c = 0; c < p->C; c++)
            memcpy(out + c * NR, in + c * ld, (size_t)columns * sizeof(T));
    }
}

/* Where a panel of a group lies among all of them. */
static ptrdiff_t packed_at(const plan *p, ptrdiff_t group, cvl_panel_place place)
{
    return (group * p->bands.columns + place.column) * p->K;
}

/* Task: one tap of one panel of one group. */
static void pack(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    (void)number;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t tap = task % p->taps, panel = task / p->taps % p->bands.panels;
        const ptrdiff_t group = task / p->taps / p->bands.panels;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel);
        T *out = p->packed + packed_at(p, group, place);
        pack_tap(p, out + tap * p->C * place.NR, group, place, tap);
    }
}

/* The first panel of a part, and where a panel lies among those of its part. */
static ptrdiff_t first_panel(const plan *p, ptrdiff_t part) { return part * p->panels / p->parts; }
static ptrdiff_t own_at(const plan *p, ptrdiff_t group, cvl_panel_place place)
{
    return p->parts > 1 ? 0 : packed_at(p, group, place);
}

/* Packs the panels of a part. */
static void pack_part(const plan *p, T *packed, ptrdiff_t part)
{
    for (ptrdiff_t panel = first_panel(p, part); panel < first_panel(p, part + 1); panel++) {
        const ptrdiff_t group = panel / p->bands.panels;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel % p->bands.panels);
        T *out = packed + own_at(p, group, place);
        for (ptrdiff_t tap = 0; tap < p->taps; tap++)
            pack_tap(p, out + tap * p->C * place.NR, group, place, tap);
    }
}

static void pack_all(plan *p)
{
    cvl_parallel_for(p->call->threads, p->panels * p->taps, (double)packed_size(p) * sizeof(T),
                     CVL_FLUSH, pack, p);
}

size_t NAME(gather_packed_size)(const cvl_conv2d_shape *shape)
{
    plan p;
    NAME(indirect_plan)(&p, shape, CVL_CONV2D_FORWARD, NULL, 0, NULL, 1);
    return p.packing == PACK_NONE ? 0 : (size_t)packed_size(&p) * sizeof(T);
}

void NAME(gather_pack)(const NAME(conv2d_call) *call, T *packed)
{
    plan p;
    NAME(indirect_plan)(&p, call->shape, CVL_CONV2D_FORWARD, NULL, 0, NULL, 1);
    p.call = call;
    p.packed = packed;
    pack_all(&p);
}

/* -------------------------------------------------------------------------- what a class reads */

/* Lists the runs of the class at a place, in the order of k. */
static void list_runs(const plan *p, worker *w, const cvl_place *at)
{
    const cvl_phase *rows = cvl_phase_at(&p->positions, at, 0);
    const cvl_phase *columns = cvl_phase_at(&p->positions, at, 1);
    const cvl_span *row = cvl_span_at(&p->positions, at, 0);
    const cvl_span *column = cvl_span_at(&p->positions, at, 1);
    const ptrdiff_t x_pixel = p->x_pixel, KW = p->call->shape->d.KW;
    ptrdiff_t count = 0, last = -1;
    w->segments = 0;
    w->slides = p->slides && row->high > row->low && column->high - column->low == KW;
    w->one_tap = (row->high - row->low) * (column->high - column->low) == 1;
    w->in0 = ((rows->d0 + row->low * rows->d_step) * p->W + columns->d0 +
              column->low * columns->d_step) *
             x_pixel;
    for (ptrdiff_t i = row->low; i < row->high; i++)
        for (ptrdiff_t j = column->low; j < column->high; j++) {
            const ptrdiff_t k0 =
                ((rows->k0 + i * rows->k_step) * KW + columns->k0 + j * columns->k_step) * p->C;
            const ptrdiff_t a0 =
                ((i - row->low) * rows->d_step * p->W + (j - column->low) * columns->d_step) *
                x_pixel;
            for (ptrdiff_t c = 0; c < p->C;) {
                const ptrdiff_t segment = (k0 + c) / CVL_ORDER_K;
                const ptrdiff_t stop =
                    p->single ? c + 1 : cvl_min(p->C, (segment + 1) * CVL_ORDER_K - k0);
                cvl_gemm_run *before = w->run + count - 1;
                if (segment != last)
                    w->segments++;
                if (!p->single && segment == last && before->k0 + before->k == k0 + c &&
                    before->a + before->k == a0 + c)
                    before->k += stop - c;
                else
                    w->run[count++] = (cvl_gemm_run){k0 + c, stop - c, a0 + c};
                w->segment_end[w->segments - 1] = count;
                last = segment;
                c = stop;
            }
        }
}

static const T *input(const plan *p) { return p->transposed ? p->call->dy : p->call->x; }

/* Points at what the positions q .. q + count - 1 of the class at a place read and write. What a
 * tile may touch beyond them repeats the last. */
static void point(const plan *p, const worker *w, const cvl_place *at, ptrdiff_t q, ptrdiff_t count)
{
    const cvl_phase *rows = cvl_phase_at(&p->positions, at, 0);
    const cvl_phase *columns = cvl_phase_at(&p->positions, at, 1);
    const cvl_span *row = cvl_span_at(&p->positions, at, 0);
    const cvl_span *column = cvl_span_at(&p->positions, at, 1);
    const ptrdiff_t x_pixel = p->x_pixel, y_pixel = p->y_pixel;
    const ptrdiff_t in_step = columns->in_step * x_pixel, out_step = columns->step * y_pixel;
    ptrdiff_t j = q % column->count, i = q / column->count % row->count;
    ptrdiff_t n = at->image + q / column->count / row->count;
    const T *x = p->padding ? w->padded : input(p);
    T *y = p->call->out, **c = w->c;
    const T **a = w->a;
    const int reads = w->segments > 0;
    for (ptrdiff_t done = 0; done < count;) {
        const ptrdiff_t gh = row->first + i, gw = column->first + j;
        const ptrdiff_t in =
            ((n * p->H + gh * rows->in_step) * p->W + gw * columns->in_step) * x_pixel + w->in0;
        const ptrdiff_t out = ((n * p->OH + rows->first + gh * rows->step) * p->OW +
                               columns->first + gw * columns->step) *
                              y_pixel;
        const ptrdiff_t stop = cvl_min(count, done + column->count - j);
        for (ptrdiff_t m = 0; done < stop; m++, done++) {
            a[done] = reads ? x + in + m * in_step : x;
            c[done] = y + out + m * out_step;
        }
        j = 0;
        i = i + 1 < row->count ? i + 1 : 0;
        n += i == 0;
    }
    for (ptrdiff_t m = 0; m < 2 * CVL_GEMM_MR_MAX; m++)
        a[count + m] = a[count - 1];
    for (ptrdiff_t m = 0; m < CVL_GEMM_MR_MAX; m++)
        c[count + m] = c[count - 1];
}

/* ---------------------------------------------------------------------------------- computing */

/* Whether `count` positions of a row of the class are. */
static int slides_along(const worker *w, ptrdiff_t count)
{
    return w->slides && count >= CVL_SLIDE_ROWS;
}

/* Runs `count` positions, which w->a and w->c point at, on a panel whose B is at `b`. All tiles take a
 * segment of B, which stays in L1 or L2, before the next; of one tap each takes all of them, or the inputs,
 * which then are more, would come from L2 as often. */
static void run_panel(const plan *p, worker *w, ptrdiff_t count, ptrdiff_t group,
                      cvl_panel_place place, const T *b)
{
    const NAME(gemm_panel) *panel = &p->kernels->gemm[place.width];
    const ptrdiff_t column = group * p->OC + place.column;
    const int fresh = place.column == 0 || p->parts > 1; /* inputs, to this worker */
    const ptrdiff_t a0 = group * p->merged * p->C;
    NAME(epilogue) end = p->call->end;
    if (end.bias)
        end.bias += column;
    NAME(gemm_tile)
    job = {
        .a0 = a0,
        .lead = p->merged > 1
                    ? cvl_max(0, a0 + p->kernels->gemm[CVL_GEMM_WHOLE - 1].NR - p->x_pixel)
                    : 0,
        .ahead = p->ahead && ((w->one_tap && fresh) || p->gaps),
        .single = p->single,
        .packed = 1,
        .b = b,
        .b_step = p->vectors                ? p->OC / p->merged
                  : p->packing == PACK_NONE ? p->y_pixel
                                            : place.NR,
        .nr = (int)columns_of(p, group, place),
        .c0 = column,
    };
    const int slides = slides_along(w, count);
    const ptrdiff_t rows = p->vectors || slides ? count : panel->MR;
    const ptrdiff_t together = p->taps > 1 ? count : rows;
    for (ptrdiff_t from = 0; from < count; from += together) {
        const ptrdiff_t to = cvl_min(count, from + together);
        ptrdiff_t done = 0;
        for (ptrdiff_t s = 0; s == 0 || s < w->segments; s++) {
            const ptrdiff_t stop = w->segments ? w->segment_end[s] : 0;
            job.run = w->run + done;
            job.runs = stop - done;
            job.add = s > 0;
            job.end = s + 1 >= w->segments ? end : (NAME(epilogue)){0};
            for (ptrdiff_t first = from; first < to; first += rows) {
                job.a = w->a + first;
                job.c = w->c + first;
                job.mr = (int)cvl_min(rows, count - first);
                job.far = p->far && first == from;
                if (slides)
                    panel->slide(&job);
                else if (p->vectors)
                    p->kernels->gemm_groups(&job);
                else
                    panel->kernel(&job);
            }
            done = stop;
        }
    }
    if (p->padding)
        w->not_finite |= !p->kernels->finite(count, job.nr, (const T *const *)w->c, column);
}

/* Backward data of a 1x1 convolution: of a cell of SH x SW inputs only the first is read. Whether the
 * cells are cleared on the way, by whole rows of them, and not as phases without taps, that is pixel
 * by pixel. */
static int clears_cells(const plan *p)
{
    const cvl_conv2d *d = &p->call->shape->d;
    return p->transposed && p->taps == 1 && d->SH * d->SW > 1 && d->PT == 0 && d->PL == 0 &&
           p->parts == 1 && !p->call->end.bias;
}

/* Clears the cells of the positions q .. q + count - 1 of the class at a place. */
static void clear_cells(const plan *p, const cvl_place *at, ptrdiff_t q, ptrdiff_t count)
{
    const cvl_conv2d *d = &p->call->shape->d;
    const cvl_span *row = cvl_span_at(&p->positions, at, 0);
    const cvl_span *column = cvl_span_at(&p->positions, at, 1);
    for (ptrdiff_t end = q + count, next; q < end; q = next) {
        const ptrdiff_t j = q % column->count, i = q / column->count % row->count;
        const ptrdiff_t n = at->image + q / column->count / row->count;
        next = cvl_min(end, q + column->count - j);
        const ptrdiff_t h0 = (row->first + i) * d->SH, h1 = cvl_min(d->H, h0 + d->SH);
        const ptrdiff_t w0 = (column->first + j) * d->SW;
        const ptrdiff_t w1 = cvl_min(d->W, w0 + (next - q) * d->SW);
        for (ptrdiff_t h = h0; h < h1; h++)
            memset(p->call->out + ((n * d->H + h) * d->W + w0) * d->C, 0,
                   (size_t)((w1 - w0) * d->C) * sizeof(T));
    }
}

/* Runs the positions q .. q + count - 1 of the class at a place on all panels of a part. */
static void run_block(const plan *p, worker *w, const cvl_place *at, ptrdiff_t q, ptrdiff_t count,
                      ptrdiff_t part)
{
    point(p, w, at, q, slides_along(w, count) ? 2 : count);
    if (p->cells)
        clear_cells(p, at, q, count);
    if (w->segments == 0 && !p->call->end.bias) {
        /* Every activation leaves 0 alone. */
        for (ptrdiff_t i = 0; i < count && part == 0; i++)
            memset(w->c[i], 0, (size_t)p->y_pixel * sizeof(T));
        return;
    }
    const ptrdiff_t end = first_panel(p, part + 1);
    for (ptrdiff_t panel = first_panel(p, part); panel < end; panel++) {
        const ptrdiff_t group = panel / p->bands.panels;
        const cvl_panel_place place = cvl_panel_at(&p->bands, panel % p->bands.panels);
        const T *b = p->packing == PACK_NONE  ? p->call->w + place.column
                     : p->packing == PACK_OWN ? w->packed + own_at(p, group, place)
                                              : p->ready + packed_at(p, group, place);
        run_panel(p, w, count, group, place, b);
    }
}

/* Task: a piece of the positions, for a part of the panels. Neighbouring pieces run as one. */
static void compute(void *context, ptrdiff_t begin, ptrdiff_t end, int number)
{
    const plan *p = context;
    size_t bytes;
    worker w =
        NAME(indirect_worker)(p, p->worker_memory + (size_t)number * p->worker_bytes, &bytes);
    if (p->padding)
        cvl_pad_input(p->padding, (size_t)p->x_pixel * sizeof(T), (char *)w.padded,
                      (const char *)input(p));
    for (ptrdiff_t task = begin, next; task < end; task = next) {
        const ptrdiff_t part = task / p->pieces, piece = task % p->pieces;
        next = cvl_min(end, (part + 1) * p->pieces);
        if (p->packing == PACK_OWN)
            pack_part(p, w.packed, part);
        const double pieces = (double)p->pieces;
        cvl_place at = cvl_place_of_share(&p->positions, (double)piece / pieces, p->quantum);
        const cvl_place last =
            cvl_place_of_share(&p->positions, (double)(piece + next - task) / pieces, p->quantum);
        for (;; cvl_next_class(&p->positions, &at)) {
            const int ends = cvl_same_class(&at, &last);
            const ptrdiff_t stop = ends ? last.q : cvl_class_size(&p->positions, &at);
            if (at.q < stop)
                list_runs(p, &w, &at);
            const ptrdiff_t line = cvl_span_at(&p->positions, &at, 1)->count;
            for (ptrdiff_t q = at.q, count; q < stop; q += count) {
                count = cvl_min(w.slides ? line - q % line : p->block, stop - q);
                run_block(p, &w, &at, q, count, part);
            }
            if (ends)
                break;
        }
    }
    p->not_finite[number] |= w.not_finite;
}

size_t NAME(gather_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                              const cvl_padding *padding, int threads)
{
    plan p;
    return NAME(indirect_plan)(&p, shape, pass, padding, 0, NULL, threads);
}

int NAME(gather_run)(const NAME(conv2d_call) *call, const cvl_padding *padding)
{
    plan p;
    NAME(indirect_plan)(&p, call->shape, call->pass, padding, call->packed != NULL, call->workspace,
                        call->threads);
    p.call = call;
    if (p.packing == PACK_SHARED)
        pack_all(&p);
    p.ready = call->packed ? call->packed : p.packed;
    p.cells = clears_cells(&p);
    if (p.cells)
        p.positions.phases[0] = p.positions.phases[1] = 1;
    memset(p.not_finite, 0, (size_t)call->threads * sizeof *p.not_finite);
    cvl_parallel_for(call->threads, p.parts * p.pieces, call->shape->flops, CVL_FLUSH, compute, &p);
    int finite = 1;
    for (int i = 0; i < call->threads; i++)
        finite &= !p.not_finite[i];
    return finite;
}
