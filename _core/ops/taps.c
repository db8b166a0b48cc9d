/* taps.c: see taps.h. */
#include "taps.h"

/* Output o reads, with tap k, the input o*S + k*D - P. */
static cvl_phase forward_phase(const cvl_conv2d_shape *s, int axis)
{
    const cvl_conv2d *d = &s->d;
    return (cvl_phase){
        .grid = axis ? s->OW : s->OH,
        .step = 1,
        .size = axis ? d->W : d->H,
        .in_step = axis ? d->SW : d->SH,
        .d0 = axis ? -d->PL : -d->PT,
        .d_step = axis ? d->DW : d->DH,
        .taps = axis ? d->KW : d->KH,
        .k_step = 1,
    };
}

static ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) { return b == 0 ? a : gcd(b, a % b); }

/* Input i receives, by tap k, from the output (i + P - k*D)/S where S divides it. The inputs
 * i = phase, phase + S, ... have the same taps, which lie S/gcd(S, D) apart. */
static cvl_phase backward_phase(const cvl_conv2d_shape *s, int axis, ptrdiff_t phase)
{
    const cvl_conv2d *d = &s->d;
    const ptrdiff_t K = axis ? d->KW : d->KH, S = axis ? d->SW : d->SH;
    const ptrdiff_t D = axis ? d->DW : d->DH, P = axis ? d->PL : d->PT;
    const ptrdiff_t k_step = S / gcd(S, D);
    ptrdiff_t k0 = 0;
    while (k0 < K && (phase + P - k0 * D) % S != 0)
        k0++;
    return (cvl_phase){
        .grid = cvl_ceil_div((axis ? d->W : d->H) - phase, S),
        .first = phase,
        .step = S,
        .size = axis ? s->OW : s->OH,
        .in_step = 1,
        .d0 = (phase + P - k0 * D) / S,
        .d_step = -(k_step * D / S),
        .taps = k0 < K ? (K - 1 - k0) / k_step + 1 : 0,
        .k0 = k0,
        .k_step = k_step,
    };
}

/* The first output whose tap t reads the input `at`, or one beyond it. */
static ptrdiff_t reaches(const cvl_phase *p, ptrdiff_t t, ptrdiff_t at)
{
    const ptrdiff_t distance = at - p->d0 - t * p->d_step;
    /* Divisions take longer than all else here. */
    return p->in_step == 1 ? distance : cvl_ceil_div(distance, p->in_step);
}

/* As an output moves on, the first and the last tap inside move one way only. From one such move to
 * the next is a span: that takes no time for each output. */
static void list_spans(cvl_phase *p)
{
    ptrdiff_t low = p->d_step > 0 ? p->taps : 0, high = low;
    cvl_span last = {0, 0, 0, 0};
    p->spans = p->inside = p->apart = 0;
    for (ptrdiff_t g = 0, next; g < p->grid; g = next) {
        next = p->grid;
        if (p->d_step > 0) {
            while (low > 0 && reaches(p, low - 1, 0) <= g)
                low--;
            while (high > 0 && reaches(p, high - 1, p->size) <= g)
                high--;
            if (low > 0)
                next = cvl_min(next, reaches(p, low - 1, 0));
            if (high > 0)
                next = cvl_min(next, reaches(p, high - 1, p->size));
        } else {
            while (low < p->taps && reaches(p, low, p->size) <= g)
                low++;
            while (high < p->taps && reaches(p, high, 0) <= g)
                high++;
            if (low < p->taps)
                next = cvl_min(next, reaches(p, low, p->size));
            if (high < p->taps)
                next = cvl_min(next, reaches(p, high, 0));
        }
        const int any = low < high;
        const ptrdiff_t first_tap = any ? low : 0, end_tap = any ? high : 0;
        if (p->spans > 0 && last.low == first_tap && last.high == end_tap) {
            last.count += next - g;
        } else {
            last = (cvl_span){g, next - g, first_tap, end_tap};
            p->spans++;
            p->apart += end_tap - first_tap;
        }
        if (p->span)
            p->span[p->spans - 1] = last;
        p->inside += (next - g) * (end_tap - first_tap);
    }
}

static ptrdiff_t phases_of(const cvl_conv2d *d, int axis)
{
    return axis ? cvl_min(d->SW, d->W) : cvl_min(d->SH, d->H);
}

static cvl_phase make_phase(const cvl_conv2d_shape *shape, int backward_data, int axis, ptrdiff_t i)
{
    return backward_data ? backward_phase(shape, axis, i) : forward_phase(shape, axis);
}

/* What a tile that is partly empty costs beyond its positions, in positions: 1 to 4.7 measured, and where the
 * weights of a panel come from far. Of FULL for each class that there may be, hardly one is. */
enum { EMPTY = 2, EMPTY_FAR = 5, FULL = 6 };

/* Taps of an axis: of all outputs, inside the input and in all; of one output of each span, and of one of
 * each phase. */
typedef struct tap_sums {
    ptrdiff_t inside, all, apart, together;
} tap_sums;

static tap_sums sum_taps(const cvl_conv2d_shape *shape, int backward_data, int axis)
{
    const ptrdiff_t phases = backward_data ? phases_of(&shape->d, axis) : 1;
    tap_sums sums = {0, 0, 0, 0};
    for (ptrdiff_t i = 0; i < phases; i++) {
        cvl_phase phase = make_phase(shape, backward_data, axis, i);
        list_spans(&phase);
        sums.inside += phase.inside;
        sums.all += phase.grid * phase.taps;
        sums.apart += phase.apart;
        sums.together += phase.taps;
    }
    return sums;
}

static int is_square(const cvl_conv2d_shape *s)
{
    const cvl_conv2d *d = &s->d;
    return d->H == d->W && s->OH == s->OW && d->KH == d->KW && d->SH == d->SW && d->DH == d->DW &&
           d->PT == d->PL;
}

/* Adds the padding of an axis to the inputs there are, and returns what comes first of it. */
static ptrdiff_t pad_axis(int backward_data, ptrdiff_t *in, ptrdiff_t *out, ptrdiff_t *P,
                          ptrdiff_t K, ptrdiff_t S, ptrdiff_t D)
{
    const ptrdiff_t reach = (K - 1) * D;
    ptrdiff_t before = *P;
    if (backward_data) {
        before = cvl_max(0, cvl_floor_div(reach - *P, S));
        *out = before + cvl_max(*out, (*in - 1 + *P) / S + 1);
        *P += before * S;
    } else {
        *in = cvl_max(*in + *P, (*out - 1) * S + reach + 1);
        *P = 0;
    }
    return before;
}

cvl_padding cvl_make_padding(const cvl_conv2d_shape *shape, int backward_data)
{
    cvl_padding p = {.shape = *shape,
                     .rows = backward_data ? shape->OH : shape->d.H,
                     .columns = backward_data ? shape->OW : shape->d.W};
    cvl_conv2d *d = &p.shape.d;
    p.before[0] = pad_axis(backward_data, &d->H, &p.shape.OH, &d->PT, d->KH, d->SH, d->DH);
    p.before[1] = pad_axis(backward_data, &d->W, &p.shape.OW, &d->PL, d->KW, d->SW, d->DW);
    p.padded_rows = backward_data ? p.shape.OH : d->H;
    p.padded_columns = backward_data ? p.shape.OW : d->W;
    return p;
}

int cvl_pays_to_pad(const cvl_conv2d_shape *shape, int backward_data, int far)
{
    const cvl_conv2d *d = &shape->d;
    const double N = (double)d->N;
    const ptrdiff_t positions = backward_data ? d->H * d->W : shape->OH * shape->OW;
    if (N * (double)positions > FULL * (double)(2 * d->KH - 1) * (double)(2 * d->KW - 1))
        return 0;
    const tap_sums a = sum_taps(shape, backward_data, 0);
    const tap_sums b = is_square(shape) ? a : sum_taps(shape, backward_data, 1);
    const double all = (double)a.all * (double)b.all;
    const double empty = far ? EMPTY_FAR : EMPTY;
    if (N * all + empty * (double)a.together * (double)b.together >=
        N * (double)a.inside * (double)b.inside + empty * (double)a.apart * (double)b.apart)
        return 0;
    /* Strides may skip most of an input, and a gradient may read little of one: neither is copied. */
    const cvl_padding padding = cvl_make_padding(shape, backward_data);
    return (double)padding.padded_rows * (double)padding.padded_columns <= all;
}

void cvl_pad_input(const cvl_padding *p, size_t pixel, char *out, const char *in)
{
    const size_t row = (size_t)p->columns * pixel, padded = (size_t)p->padded_columns * pixel;
    memset(out, 0, (size_t)(p->shape.d.N * p->padded_rows) * padded);
    out += (size_t)p->before[0] * padded + (size_t)p->before[1] * pixel;
    for (ptrdiff_t n = 0; n < p->shape.d.N; n++) {
        for (ptrdiff_t h = 0; h < p->rows; h++, in += row)
            memcpy(out + (size_t)h * padded, in, row);
        out += (size_t)p->padded_rows * padded;
    }
}

/* Images go in sets of about this many positions: enough for the corner of an image to fill tiles,
 * few enough for the edges to be in cache still after the middle. */
enum { SET = 2048 };

cvl_positions cvl_list_positions(cvl_scratch *scratch, const cvl_conv2d_shape *shape,
                                 int backward_data, double per_tap)
{
    const cvl_conv2d *d = &shape->d;
    cvl_positions p = {.N = d->N, .per_tap = per_tap, .phases = {1, 1}};
    if (backward_data) {
        p.phases[0] = phases_of(d, 0);
        p.phases[1] = phases_of(d, 1);
    }
    ptrdiff_t grid = 1; /* of the first phases, which are the largest */
    for (int axis = 0; axis < 2; axis++) {
        p.phase[axis] = cvl_carve(scratch, (size_t)p.phases[axis] * sizeof *p.phase[axis]);
        for (ptrdiff_t i = 0; i < p.phases[axis]; i++) {
            cvl_phase phase = make_phase(shape, backward_data, axis, i);
            const ptrdiff_t most = cvl_min(phase.grid, 2 * phase.taps + 1);
            phase.span = cvl_carve(scratch, (size_t)most * sizeof *phase.span);
            if (i == 0)
                grid *= phase.grid;
            if (scratch->base) {
                list_spans(&phase);
                p.phase[axis][i] = phase;
            }
        }
    }
    p.images = cvl_min(cvl_max(d->N, 1), cvl_ceil_div(SET, grid));
    return p;
}

static ptrdiff_t set_size(const cvl_positions *p, ptrdiff_t image)
{
    return cvl_min(p->images, p->N - image);
}

ptrdiff_t cvl_class_size(const cvl_positions *p, const cvl_place *at)
{
    return set_size(p, at->image) * cvl_span_at(p, at, 0)->count * cvl_span_at(p, at, 1)->count;
}

/* Of `positions` that have `inside` taps together. */
static double cost(const cvl_positions *p, double positions, double inside)
{
    return positions + p->per_tap * inside;
}

static double cost_of_image(const cvl_positions *p, const cvl_phase *rows, const cvl_phase *columns)
{
    return cost(p, (double)rows->grid * (double)columns->grid,
                (double)rows->inside * (double)columns->inside);
}

static double total_cost(const cvl_positions *p)
{
    double total = 0;
    for (ptrdiff_t i = 0; i < p->phases[0]; i++)
        for (ptrdiff_t j = 0; j < p->phases[1]; j++)
            total += cost_of_image(p, &p->phase[0][i], &p->phase[1][j]);
    return total * (double)p->N;
}

/* Of the row span `row` of one image; of one position of its columns `column`. */
static double cost_of_row(const cvl_span *row, const cvl_positions *p, const cvl_phase *columns)
{
    return (double)row->count *
           cost(p, (double)columns->grid, (double)(row->high - row->low) * (double)columns->inside);
}
static double cost_of_position(const cvl_span *row, const cvl_positions *p, const cvl_span *column)
{
    return cost(p, 1, (double)(row->high - row->low) * (double)(column->high - column->low));
}

cvl_place cvl_place_of_share(const cvl_positions *p, double share, ptrdiff_t quantum)
{
    cvl_place at = {{0, 0}, 0, {0, 0}, 0};
    double left = share * total_cost(p), next;
    while (left >= (next = cost_of_image(p, cvl_phase_at(p, &at, 0), cvl_phase_at(p, &at, 1)) *
                           (double)p->N)) {
        const int last = at.phase[1] + 1 == p->phases[1];
        if (last && at.phase[0] + 1 == p->phases[0])
            break;
        at.phase[0] += last;
        at.phase[1] = last ? 0 : at.phase[1] + 1;
        left -= next;
    }
    const cvl_phase *rows = cvl_phase_at(p, &at, 0), *columns = cvl_phase_at(p, &at, 1);
    const double image = cost_of_image(p, rows, columns);
    at.image = cvl_min((ptrdiff_t)(left / image), p->N - 1) / p->images * p->images;
    left -= (double)at.image * image;

    const double images = (double)set_size(p, at.image);
    while (at.span[0] + 1 < rows->spans &&
           left >= (next = images * cost_of_row(cvl_span_at(p, &at, 0), p, columns))) {
        at.span[0]++;
        left -= next;
    }
    const cvl_span *row = cvl_span_at(p, &at, 0);
    while (at.span[1] + 1 < columns->spans &&
           left >= (next = images * (double)row->count * (double)cvl_span_at(p, &at, 1)->count *
                           cost_of_position(row, p, cvl_span_at(p, &at, 1)))) {
        at.span[1]++;
        left -= next;
    }
    const ptrdiff_t size = cvl_class_size(p, &at);
    const double q = left / cost_of_position(row, p, cvl_span_at(p, &at, 1));
    /* Rounding may leave a little of nothing at either end. */
    at.q = share >= 1 ? size : cvl_max(0, cvl_min(size, (ptrdiff_t)q / quantum * quantum));
    return at;
}

int cvl_same_class(const cvl_place *a, const cvl_place *b)
{
    return a->image == b->image && a->phase[0] == b->phase[0] && a->phase[1] == b->phase[1] &&
           a->span[0] == b->span[0] && a->span[1] == b->span[1];
}

void cvl_next_class(const cvl_positions *p, cvl_place *at)
{
    at->q = 0;
    if (++at->span[1] < cvl_phase_at(p, at, 1)->spans)
        return;
    at->span[1] = 0;
    if (++at->span[0] < cvl_phase_at(p, at, 0)->spans)
        return;
    at->span[0] = 0;
    at->image += p->images;
    if (at->image < p->N)
        return;
    at->image = 0;
    if (++at->phase[1] < p->phases[1])
        return;
    at->phase[1] = 0;
    at->phase[0]++;
}
