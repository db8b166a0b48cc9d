/* depthwise.c: convolution of each channel with its own filter, channels in the lanes.
 *
 * WIDE outputs of a line are computed at once: one vector of weights serves all of them, and their
 * chains hide each other's latency. Where three taps of a kernel row move by one or two pixels, as
 * in nearly all networks, so does one vector of inputs: it is loaded once per kernel row. */
#include "epilogue.h"
#include "simd.h"

#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
enum { WIDE = 8 };
#else
enum { WIDE = 4 };
#endif
enum { TAPS = 9, HALF_PAGE = 2048 };

/* How the three taps of every kernel row move from output to output: input i + t, i - t, 2*i + t. */
typedef enum motion { ANY, FORWARDS, BACKWARDS, DOUBLE } motion;

/* One vector of channels, `n` of them, of a line. */
typedef struct lane {
    const TYPE(depthwise) *d;
    ptrdiff_t x, y,
        c; /* of channel c: elements from a row's x and from d->y on; from the weights */
    int n;
} lane;

INLINE V load(const T *p, const lane *l, const int full)
{
    return full ? vload(p) : vload_n(p, l->n);
}

/* Writes the first `count` of `outputs` sums. */
INLINE void finish(const lane *l, ptrdiff_t g, const V *acc, const int outputs, int count,
                   const int full)
{
    const TYPE(depthwise) *d = l->d;
    T *y = d->y + l->y + g * d->y_step;
    const V bias = d->ending.bias ? load(d->ending.bias + l->c, l, full) : vzero();
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++, y += d->y_step) {
        if (i >= count)
            break;
        V v = acc[i];
        if (d->add)
            v = vadd(load(y, l, full), v);
        if (d->ending.bias)
            v = vadd(v, bias);
        v = activate(v, &d->ending);
        if (full)
            vstore(y, v);
        else
            vstore_n(y, v, l->n);
    }
}

/* `outputs` outputs from g on, of which every tap lies inside. */
INLINE void inner(const lane *l, ptrdiff_t g, const int outputs, const int full)
{
    const TYPE(depthwise) *d = l->d;
    const ptrdiff_t x_step = d->x_step;
    V acc[WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
        acc[i] = vzero();
    for (ptrdiff_t r = 0; r < d->rows; r++) {
        const TYPE(depthwise_row) row = d->row[r];
        for (ptrdiff_t t = row.first; t < row.last; t++) {
            const V w = load(row.w + d->tap[t].w + l->c, l, full);
            const T *x = row.x + l->x + g * x_step + d->tap[t].x;
#pragma GCC unroll 8
            for (int i = 0; i < outputs; i++)
                acc[i] = vfma(load(x + i * x_step, l, full), w, acc[i]);
        }
    }
    finish(l, g, acc, outputs, outputs, full);
}

/* `outputs` outputs from g on, of which `count` are wanted, of rows of three taps that move. With
 * `clipped` a column may lie outside: there it is zeros. */
INLINE void moving(const lane *l, ptrdiff_t g, const int outputs, int count, const motion move,
                   const int clipped, ptrdiff_t ahead, const int near)
{
    const TYPE(depthwise) *d = l->d;
    const cvl_depthwise_tap *tap = d->tap + d->row[0].first;
    const ptrdiff_t x_step = move == DOUBLE ? d->x_step / 2 : d->x_step;
    const ptrdiff_t in_step = move == DOUBLE ? d->in_step / 2 : d->in_step;
    const int inputs = (move == DOUBLE ? 2 * outputs - 1 : outputs) + 2;
    const int lowest = move == BACKWARDS ? 2 : 0;
    const ptrdiff_t column = tap[lowest].column + g * d->in_step;
    V acc[WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
        acc[i] = vzero();
    for (ptrdiff_t r = 0; r < d->rows; r++) {
        const T *x = d->row[r].x + l->x + g * d->x_step + tap[lowest].x, *w = d->row[r].w + l->c;
        const V w0 = vload(w + tap[0].w), w1 = vload(w + tap[1].w), w2 = vload(w + tap[2].w);
        V in[2 * WIDE + 1];
#pragma GCC unroll 17
        for (int i = 0; i < inputs; i++)
            in[i] = !clipped || (size_t)(column + i * in_step) < (size_t)d->W
                        ? vload(x + i * x_step)
                        : vzero();
#pragma GCC unroll 8
        for (int i = 0; i < outputs; i++) {
            const int at = move == DOUBLE ? 2 * i : i;
            acc[i] = vfma(in[at + lowest], w0, acc[i]);
            acc[i] = vfma(in[at + 1], w1, acc[i]);
            acc[i] = vfma(in[at + 2 - lowest], w2, acc[i]);
        }
    }
    const T *next = d->row[0].x + ahead + l->x + g * d->x_step + tap[1].x;
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
        if (near)
            __builtin_prefetch(next + i * d->x_step, 0, 3);
        else
            __builtin_prefetch(next + i * d->x_step, 0, 2);
    finish(l, g, acc, outputs, clipped ? count : outputs, 1);
}

/* One output, without the taps that lie outside. */
INLINE void edge(const lane *l, ptrdiff_t g, const int full)
{
    const TYPE(depthwise) *d = l->d;
    V acc = vzero();
    for (ptrdiff_t r = 0; r < d->rows; r++) {
        const TYPE(depthwise_row) row = d->row[r];
        for (ptrdiff_t t = row.first; t < row.last; t++)
            if ((size_t)(d->tap[t].column + g * d->in_step) < (size_t)d->W)
                acc = vfma(load(row.x + l->x + d->tap[t].x + g * d->x_step, l, full),
                           load(row.w + d->tap[t].w + l->c, l, full), acc);
    }
    finish(l, g, &acc, 1, 1, full);
}

/* Lines: neighbouring vectors of channels follow each other: with pixels of a
 * page or half of one, as 512 channels make them, neighbouring outputs would wait for stores to
 * addresses that look like those they read. */
INLINE void block(const TYPE(depthwise) *d, ptrdiff_t line, ptrdiff_t g, const int outputs,
                  ptrdiff_t c0, ptrdiff_t c1)
{
    lane l = {d, line * d->x_line + c0, line * d->y_line + c0, c0, VL};
    for (; l.c + VL <= c1; l.c += VL, l.x += VL, l.y += VL)
        inner(&l, g, outputs, 1);
    l.n = (int)(c1 - l.c);
    if (l.n > 0)
        inner(&l, g, outputs, 0);
}

static void edges(const TYPE(depthwise) *d, ptrdiff_t line, ptrdiff_t begin, ptrdiff_t end,
                  ptrdiff_t c0, ptrdiff_t c1)
{
    for (ptrdiff_t g = begin; g < end; g++) {
        lane l = {d, line * d->x_line + c0, line * d->y_line + c0, c0, VL};
        for (; l.c + VL <= c1; l.c += VL, l.x += VL, l.y += VL)
            edge(&l, g, 1);
        l.n = (int)(c1 - l.c);
        if (l.n > 0)
            edge(&l, g, 0);
    }
}

static void any_line(const TYPE(depthwise) *d, ptrdiff_t line, ptrdiff_t c0, ptrdiff_t c1)
{
    const ptrdiff_t begin = d->begin > d->inner_begin ? d->begin : d->inner_begin;
    const ptrdiff_t inside = d->end < d->inner_end ? d->end : d->inner_end;
    const ptrdiff_t first = begin < d->end ? begin : d->end, last = inside > first ? inside : first;
    edges(d, line, d->begin, first, c0, c1);
    ptrdiff_t g = first;
    for (; g + WIDE <= last; g += WIDE)
        block(d, line, g, WIDE, c0, c1);
    if (WIDE > 4 && g + 4 <= last) {
        block(d, line, g, 4, c0, c1);
        g += 4;
    }
    if (g + 2 <= last) {
        block(d, line, g, 2, c0, c1);
        g += 2;
    }
    if (g < last)
        block(d, line, g, 1, c0, c1);
    edges(d, line, last, d->end, c0, c1);
}

/* A line in blocks of `outputs`, the last of them with what is left. */
INLINE void moving_line(const TYPE(depthwise) *d, ptrdiff_t line, const int outputs,
                        const motion move, ptrdiff_t channels, ptrdiff_t ahead)
{
    const int near = d->x_step * (ptrdiff_t)sizeof(T) < HALF_PAGE;
    for (ptrdiff_t g = d->begin; g < d->end; g += outputs) {
        const int count = d->end - g < outputs ? (int)(d->end - g) : outputs;
        const int clipped = g < d->inner_begin || g + outputs > d->inner_end || count < outputs;
        lane l = {d, line * d->x_line, line * d->y_line, 0, VL};
        for (; l.c < channels; l.c += VL, l.x += VL, l.y += VL)
            if (clipped)
                moving(&l, g, outputs, count, move, 1, ahead, near);
            else
                moving(&l, g, outputs, count, move, 0, ahead, near);
    }
}

/* How many of up to WIDE outputs make least work of a line: each block loads some columns more. */
static int block_of(ptrdiff_t outputs)
{
    int best = WIDE;
    ptrdiff_t least = -1;
    for (int size = WIDE; size > WIDE - 2; size--) {
        const ptrdiff_t cost = (outputs + size - 1) / size * (size + 1);
        if (least < 0 || cost < least) {
            least = cost;
            best = size;
        }
    }
    return best;
}

INLINE void moving_lines(const TYPE(depthwise) *d, const motion move)
{
    const ptrdiff_t whole = d->channels / VL * VL;
    const int size = block_of(d->end - d->begin);
    /* The row that the next line is the first to read is on its way before: half as fast again on
     * large images. Pixels of half a page or more share few sets of L1: their way ends in L2. */
    const ptrdiff_t ahead =
        d->x_line + (move == BACKWARDS ? 0 : d->row[d->rows - 1].x - d->row[0].x);
    for (ptrdiff_t i = 0; i < d->lines; i++)
        if (size == WIDE)
            moving_line(d, i, WIDE, move, whole, ahead);
        else
            moving_line(d, i, WIDE - 1, move, whole, ahead);
    for (ptrdiff_t i = 0; i < d->lines && whole < d->channels; i++)
        any_line(d, i, whole, d->channels);
}

static motion motion_of(const TYPE(depthwise) *d)
{
    if (d->rows == 0 || d->row[0].last - d->row[0].first != 3)
        return ANY;
    for (ptrdiff_t r = 1; r < d->rows; r++)
        if (d->row[r].first != d->row[0].first || d->row[r].last != d->row[0].last)
            return ANY;
    const cvl_depthwise_tap *tap = d->tap + d->row[0].first;
    const ptrdiff_t step = tap[1].x - tap[0].x;
    const ptrdiff_t column = tap[1].column - tap[0].column;
    if (tap[2].x - tap[1].x != step || tap[2].column - tap[1].column != column ||
        d->in_step * step != d->x_step * column)
        return ANY;
    return d->x_step == step       ? FORWARDS
           : d->x_step == -step    ? BACKWARDS
           : d->x_step == 2 * step ? DOUBLE
                                   : ANY;
}

void KERNEL(depthwise)(const TYPE(depthwise) *d)
{
    switch (motion_of(d)) {
    case FORWARDS:
        moving_lines(d, FORWARDS);
        break;
    case BACKWARDS:
        moving_lines(d, BACKWARDS);
        break;
    case DOUBLE:
        moving_lines(d, DOUBLE);
        break;
    default:
        for (ptrdiff_t i = 0; i < d->lines; i++)
            any_line(d, i, 0, d->channels);
    }
}

void KERNEL(copy_pixels)(ptrdiff_t pixels, ptrdiff_t channels, T *out, ptrdiff_t ld, const T *in,
                         ptrdiff_t in_step)
{
    for (ptrdiff_t p = 0; p < pixels; p++, out += ld, in += in_step)
        for (ptrdiff_t c = 0; c < channels; c += VL) {
            __builtin_prefetch(in + pixels * in_step + c, 0, 2);
            vstore_part(out + c, vload_part(in + c, channels - c), channels - c);
        }
}

/* ------------------------------------------------------------------------- weight gradients */

/* `n` channels from c on of `taps` taps, which is constant where this is inlined. */
INLINE void sums(const TYPE(depthwise_sums) *s, ptrdiff_t first, const int taps, ptrdiff_t c, int n,
                 const int full)
{
    const TYPE(depthwise_sum) *tap = s->tap + first;
    V acc[TAPS];
    const T *x[TAPS];
    ptrdiff_t begin = tap[0].begin, end = tap[0].end, inner_begin = begin, inner_end = end;
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++) {
        acc[t] = vload_part(tap[t].sum + c, n);
        x[t] = tap[t].x + c;
        begin = tap[t].begin < begin ? tap[t].begin : begin;
        end = tap[t].end > end ? tap[t].end : end;
        inner_begin = tap[t].begin > inner_begin ? tap[t].begin : inner_begin;
        inner_end = tap[t].end < inner_end ? tap[t].end : inner_end;
    }
    const T *dy = s->dy + c;
    for (ptrdiff_t line = 0; line < s->lines; line++, dy += s->dy_line) {
        const ptrdiff_t x_line = line * s->x_line;
        for (ptrdiff_t g = begin; g < end;) {
            for (; g >= inner_begin && g < inner_end; g++) {
                const ptrdiff_t at = x_line + g * s->x_step;
                const T *p = dy + g * s->dy_step;
                const V v = full ? vload(p) : vload_n(p, n);
#pragma GCC unroll 9
                for (int t = 0; t < taps; t++)
                    acc[t] = vfma(full ? vload(x[t] + at) : vload_n(x[t] + at, n), v, acc[t]);
            }
            if (g == end)
                break;
            const V v = vload_part(dy + g * s->dy_step, n);
#pragma GCC unroll 9
            for (int t = 0; t < taps; t++)
                if (g >= tap[t].begin && g < tap[t].end)
                    acc[t] = vfma(vload_part(x[t] + x_line + g * s->x_step, n), v, acc[t]);
            g++;
        }
    }
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++)
        vstore_part(tap[t].sum + c, acc[t], n);
}

#if defined(CVL_LEVEL_AVX512) || defined(CVL_LEVEL_NEON)
/* Output g of `rows` kernel rows of three taps, with columns first, middle and last of `in`. The
 * last is new, and with `two` the middle one; where they lie outside they are zeros. */
INLINE void slide(const TYPE(depthwise_sums) *s, const int rows, const int two, const int first,
                  const int middle, const int last, ptrdiff_t g, const T *dy, const T *const x[3],
                  V in[3][3], V acc[3][3])
{
    const TYPE(depthwise_sum) *tap = s->tap;
    const ptrdiff_t column = two ? s->x_step / 2 : s->x_step;
    const int middle_inside = g >= tap[1].begin && g < tap[1].end;
    const int last_inside = g >= tap[2].begin && g < tap[2].end;
    const V v = vload(dy + g * s->dy_step);
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++) {
        const T *p = x[r] + g * s->x_step;
        if (two)
            in[r][middle] = middle_inside ? vload(p + column) : vzero();
        in[r][last] = last_inside ? vload(p + 2 * column) : vzero();
        acc[r][0] = vfma(in[r][first], v, acc[r][0]);
        acc[r][1] = vfma(in[r][middle], v, acc[r][1]);
        acc[r][2] = vfma(in[r][last], v, acc[r][2]);
    }
}

/* VL channels of one line of `rows` kernel rows of three taps that move by one or, with `two`, two
 * pixels from output to output: the columns that outputs share stay in registers. Columns outside
 * are zeros. */
INLINE void sliding_sums(const TYPE(depthwise_sums) *s, const int rows, const int two, ptrdiff_t c,
                         ptrdiff_t line)
{
    const TYPE(depthwise_sum) *tap = s->tap;
    const ptrdiff_t x_step = s->x_step, column = two ? x_step / 2 : x_step;
    const ptrdiff_t begin = tap[2].begin < tap[1].begin ? tap[2].begin : tap[1].begin;
    const ptrdiff_t end = tap[0].end > tap[1].end ? tap[0].end : tap[1].end;
    V acc[3][3];
#pragma GCC unroll 9
    for (int t = 0; t < 3 * rows; t++)
        acc[t / 3][t % 3] = vload(tap[t].sum + c);
    const T *dy = s->dy + line * s->dy_line + c, *x[3];
    V in[3][3];
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++) {
        x[r] = tap[3 * r].x + line * s->x_line + c;
        in[r][1] = in[r][2] = vzero();
        in[r][0] = tap[0].begin > begin ? vzero() : vload(x[r] + begin * x_step);
        if (!two)
            in[r][1] = tap[1].begin > begin ? vzero() : vload(x[r] + begin * x_step + column);
    }
    ptrdiff_t g = begin;
    if (two) {
        for (; g + 2 <= end; g += 2) {
            slide(s, rows, two, 0, 1, 2, g, dy, x, in, acc);
            slide(s, rows, two, 2, 1, 0, g + 1, dy, x, in, acc);
        }
        if (g < end)
            slide(s, rows, two, 0, 1, 2, g, dy, x, in, acc);
    } else {
        for (; g + 3 <= end; g += 3) {
            slide(s, rows, two, 0, 1, 2, g, dy, x, in, acc);
            slide(s, rows, two, 1, 2, 0, g + 1, dy, x, in, acc);
            slide(s, rows, two, 2, 0, 1, g + 2, dy, x, in, acc);
        }
        if (g < end)
            slide(s, rows, two, 0, 1, 2, g, dy, x, in, acc);
        if (g + 1 < end)
            slide(s, rows, two, 1, 2, 0, g + 1, dy, x, in, acc);
    }
#pragma GCC unroll 9
    for (int t = 0; t < 3 * rows; t++)
        vstore(tap[t].sum + c, acc[t / 3][t % 3]);
}

/* How many pixels the taps move from output to output, where sliding_sums can do with them; or 0. */
static int sliding(const TYPE(depthwise_sums) *s)
{
    if (s->taps != 6 && s->taps != 9)
        return 0;
    const ptrdiff_t column = s->tap[1].x - s->tap[0].x;
    for (ptrdiff_t t = 0; t < s->taps; t += 3)
        if (s->tap[t + 1].x - s->tap[t].x != column ||
            s->tap[t + 2].x - s->tap[t + 1].x != column || s->tap[t].begin < s->tap[t + 1].begin ||
            s->tap[t + 1].begin < s->tap[t + 2].begin || s->tap[t + 1].end < s->tap[t + 2].end ||
            s->tap[t].end < s->tap[t + 1].end)
            return 0;
    return s->x_step == column ? 1 : s->x_step == 2 * column ? 2 : 0;
}

static ptrdiff_t whole_channels(const TYPE(depthwise_sums) *s)
{
    const int pixels = sliding(s);
    if (pixels == 0)
        return 0;
    for (ptrdiff_t line = 0; line < s->lines; line++)
        for (ptrdiff_t c = 0; c + VL <= s->channels; c += VL)
            if (s->taps == 9 && pixels == 1)
                sliding_sums(s, 3, 0, c, line);
            else if (s->taps == 9)
                sliding_sums(s, 3, 1, c, line);
            else if (pixels == 1)
                sliding_sums(s, 2, 0, c, line);
            else
                sliding_sums(s, 2, 1, c, line);
    return s->channels / VL * VL;
}
#else
/* Too few registers. */
static ptrdiff_t whole_channels(const TYPE(depthwise_sums) *s)
{
    (void)s;
    return 0;
}
#endif

INLINE void channels_of_sums(const TYPE(depthwise_sums) *s, ptrdiff_t first, const int taps,
                             ptrdiff_t c)
{
    for (; c + VL <= s->channels; c += VL)
        sums(s, first, taps, c, VL, 1);
    if (c < s->channels)
        sums(s, first, taps, c, (int)(s->channels - c), 0);
}

void KERNEL(depthwise_weights)(const TYPE(depthwise_sums) *s)
{
    const ptrdiff_t c = whole_channels(s);
    for (ptrdiff_t first = 0; first < s->taps && c < s->channels;) {
        /* Even shares: 25 taps are 9, 8 and 8, since few chains wait for each other. */
        const ptrdiff_t left = s->taps - first, shares = (left + TAPS - 1) / TAPS;
        const ptrdiff_t share = (left + shares - 1) / shares;
        switch (share) {
#define SHARE(count)                          \
    case count:                               \
        channels_of_sums(s, first, count, c); \
        break;
            SHARE(1)
            SHARE(2)
            SHARE(3)
            SHARE(4)
            SHARE(5)
            SHARE(6)
            SHARE(7)
            SHARE(8)
            SHARE(9)
#undef SHARE
        }
        first += share;
    }
}
