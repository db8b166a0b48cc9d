/* depthwise.c: convolution of each channel with its own filter, channels in the lanes; filters of
 * 3x3 taps have depthwise_strip.c.
 *
 * WIDE outputs of a line are computed at once: one vector of weights serves all of them, and their
 * chains hide each other's latency. */
#include "epilogue.h"
#include "simd.h"

#ifdef CVL_MANY_REGISTERS
enum { WIDE = 8 };
#else
enum { WIDE = 4 };
#endif
enum {
    DEEP = 4, /* vectors of channels of an output at once */
    TAPS = 9
};

/* One vector of channels, `n` of them, of a line. */
typedef struct lane {
    const TYPE(depthwise) *d;
    ptrdiff_t x, y, c; /* elements from a row's x, from d->y and from the weights on */
    int n;
} lane;

INLINE void advance(lane *l, ptrdiff_t channels)
{
    l->c += channels;
    l->x += channels;
    l->y += channels;
}

INLINE V load(const T *p, const lane *l, const int full)
{
    return full ? vload(p) : vload_n(p, l->n);
}

INLINE void store(T *p, V v, const lane *l, const int full)
{
    if (full)
        vstore(p, v);
    else
        vstore_n(p, v, l->n);
}

/* The epilogue of `n` channels from c on of `outputs` outputs that are written, the first at y. It is
 * compiled once, not into every kernel. */
static __attribute__((noinline)) void end_outputs(const TYPE(depthwise) *d, T *y, ptrdiff_t outputs,
                                                  ptrdiff_t c, int n)
{
    const V bias = d->ending.bias ? vload_n(d->ending.bias + c, n) : vset1((T)-0.0);
#pragma GCC unroll 1
    for (ptrdiff_t i = 0; i < outputs; i++, y += d->y_step)
        vstore_n(y, activate(vadd(vload_n(y, n), bias), &d->ending), n);
}

INLINE void finish(const lane *l, ptrdiff_t g, const V *acc, const int outputs, const int full)
{
    const TYPE(depthwise) *d = l->d;
    T *y = d->y + l->y + g * d->y_step;
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++, y += d->y_step)
        store(y, d->add ? vadd(load(y, l, full), acc[i]) : acc[i], l, full);
    if (d->ending.bias || d->ending.activation != CVL_ACTIVATION_NONE)
        end_outputs(d, d->y + l->y + g * d->y_step, outputs, l->c, l->n);
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
    finish(l, g, acc, outputs, full);
}

/* Adds a row of inputs, from x on, to WIDE outputs of two lines: with the kernel row at w0 to those of
 * the first, with the one at w1 to those of the second; either may be NULL. From tap to tap inputs
 * move by one output, to the next or, with `back`, the one before: they stay in registers, and a tap
 * loads one of them. */
INLINE void add_row(const lane *l, const T *x, const T *w0, const T *w1,
                    const TYPE(depthwise_row) *row, const int back, V acc[2][WIDE])
{
    const TYPE(depthwise) *d = l->d;
    const ptrdiff_t x_step = d->x_step;
    const T *after = x + WIDE * x_step;
    V in[WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++)
        in[i] = vload(x + i * x_step);
    for (ptrdiff_t t = row->first;;) {
        if (w0) {
            const V w = vload(w0 + d->tap[t].w + l->c);
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++)
                acc[0][i] = vfma(in[i], w, acc[0][i]);
        }
        if (w1) {
            const V w = vload(w1 + d->tap[t].w + l->c);
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++)
                acc[1][i] = vfma(in[i], w, acc[1][i]);
        }
        if (++t == row->last)
            break;
        if (back) {
#pragma GCC unroll 8
            for (int i = WIDE - 1; i > 0; i--)
                in[i] = in[i - 1];
            x -= x_step;
            in[0] = vload(x);
        } else {
#pragma GCC unroll 8
            for (int i = 0; i + 1 < WIDE; i++)
                in[i] = in[i + 1];
            in[WIDE - 1] = vload(after);
            after += x_step;
        }
    }
}

/* WIDE outputs from g on, of which every tap lies inside, where inputs move so. */
INLINE void inner_sliding(const lane *l, ptrdiff_t g, const int back)
{
    const TYPE(depthwise) *d = l->d;
    V acc[2][WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++)
        acc[0][i] = vzero();
    for (const TYPE(depthwise_row) *row = d->row; row < d->row + d->rows; row++)
        add_row(l, row->x + l->x + g * d->x_step + d->tap[row->first].x, row->w, NULL, row, back,
                acc);
    finish(l, g, acc[0], WIDE, 1);
}

/* Likewise of two lines that share all rows but one: each comes from the caches once. The first
 * line is the one that reads first what both do. */
INLINE void inner_pair(const lane *l, ptrdiff_t g, const int back)
{
    const TYPE(depthwise) *d = l->d;
    const TYPE(depthwise_row) *row = d->row, *last = row + d->rows - 1;
    const ptrdiff_t at = l->x + g * d->x_step + d->tap[row->first].x;
    lane line[2] = {*l, *l};
    line[!back].y += d->y_line;
    const ptrdiff_t x0 = at + (back ? d->x_line : 0), x1 = at + (back ? 0 : d->x_line);
    V acc[2][WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++)
        acc[0][i] = acc[1][i] = vzero();
    add_row(l, row->x + x0, row->w, NULL, row, back, acc);
    for (; row < last; row++)
        add_row(l, row[1].x + x0, row[1].w, row[0].w, row, back, acc);
    add_row(l, last->x + x1, NULL, last->w, row, back, acc);
    finish(&line[0], g, acc[0], WIDE, 1);
    finish(&line[1], g, acc[1], WIDE, 1);
}

/* Whether, where sliding_taps says `sliding`, a line reads the rows of the line before it but one. */
static int pairs_of_lines(const TYPE(depthwise) *d, int sliding)
{
    for (ptrdiff_t r = 1; r < d->rows; r++)
        if (d->row[r].first != d->row[0].first || d->row[r].last != d->row[0].last ||
            d->row[r].x - d->row[r - 1].x != sliding * d->x_line)
            return 0;
    return sliding != 0;
}

/* Whether the inputs of a kernel row's taps lie an output's apart: 1, or -1 in the other order. */
static int sliding_taps(const TYPE(depthwise) *d)
{
    if (d->rows == 0 || d->row[0].last - d->row[0].first < 2)
        return 0;
    const ptrdiff_t hop = d->tap[d->row[0].first + 1].x - d->tap[d->row[0].first].x;
    for (ptrdiff_t r = 0; r < d->rows; r++)
        for (ptrdiff_t t = d->row[r].first + 1; t < d->row[r].last; t++)
            if (d->tap[t].x - d->tap[t - 1].x != hop)
                return 0;
    return hop == d->x_step ? 1 : hop == -d->x_step ? -1 : 0;
}

/* One output of `vectors` vectors of channels, whose chains hide each other's latency, without the
 * taps that lie outside. */
INLINE void edge(const lane *l, ptrdiff_t g, const int vectors, const int full)
{
    const TYPE(depthwise) *d = l->d;
    V acc[DEEP];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++)
        acc[i] = vzero();
    for (ptrdiff_t r = 0; r < d->rows; r++) {
        const TYPE(depthwise_row) row = d->row[r];
        for (ptrdiff_t t = row.first; t < row.last; t++)
            if ((size_t)(d->tap[t].column + g * d->in_step) < (size_t)d->W) {
                const T *x = row.x + l->x + d->tap[t].x + g * d->x_step;
                const T *w = row.w + d->tap[t].w + l->c;
#pragma GCC unroll 4
                for (int i = 0; i < vectors; i++)
                    acc[i] = vfma(load(x + i * VL, l, full), load(w + i * VL, l, full), acc[i]);
            }
    }
    lane at = *l;
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        finish(&at, g, acc + i, 1, full);
        at.y += VL;
        at.c += VL;
    }
}

/* Neighbouring vectors of channels follow each other: with pixels of a page or half of one, as 512
 * channels make them, neighbouring outputs would wait for stores to addresses that look like those
 * they read. */
INLINE void block(const TYPE(depthwise) *d, ptrdiff_t line, ptrdiff_t g, const int outputs,
                  const int lines, int sliding)
{
    lane l = {d, line * d->x_line, line * d->y_line, 0, VL};
    for (; l.c + VL <= d->channels; advance(&l, VL))
        if (lines == 2 && sliding == 1)
            inner_pair(&l, g, 0);
        else if (lines == 2)
            inner_pair(&l, g, 1);
        else if (outputs == WIDE && sliding == 1)
            inner_sliding(&l, g, 0);
        else if (outputs == WIDE && sliding == -1)
            inner_sliding(&l, g, 1);
        else
            inner(&l, g, outputs, 1);
    l.n = (int)(d->channels - l.c);
    for (int i = 0; i < lines && l.n > 0; i++) {
        inner(&l, g, outputs, 0);
        l.x += d->x_line;
        l.y += d->y_line;
    }
}

static void edges(const TYPE(depthwise) *d, ptrdiff_t line, ptrdiff_t begin, ptrdiff_t end)
{
    for (ptrdiff_t g = begin; g < end; g++) {
        lane l = {d, line * d->x_line, line * d->y_line, 0, VL};
        for (; l.c + DEEP * VL <= d->channels; advance(&l, DEEP * VL))
            edge(&l, g, DEEP, 1);
        for (; l.c + VL <= d->channels; advance(&l, VL))
            edge(&l, g, 1, 1);
        l.n = (int)(d->channels - l.c);
        if (l.n > 0)
            edge(&l, g, 1, 0);
    }
}

/* A line, or with `lines` 2 that and the next, which share rows. */
static void any_lines(const TYPE(depthwise) *d, ptrdiff_t line, int lines, int sliding)
{
    const ptrdiff_t begin = d->begin > d->inner_begin ? d->begin : d->inner_begin;
    const ptrdiff_t inside = d->end < d->inner_end ? d->end : d->inner_end;
    const ptrdiff_t first = begin < d->end ? begin : d->end, last = inside > first ? inside : first;
    ptrdiff_t g = first;
    if (lines == 2)
        for (; g + WIDE <= last; g += WIDE)
            block(d, line, g, WIDE, 2, sliding);
    const ptrdiff_t paired = g;
    for (ptrdiff_t i = line; i < line + lines; i++) {
        edges(d, i, d->begin, first);
        for (g = paired; g + WIDE <= last; g += WIDE)
            block(d, i, g, WIDE, 1, sliding);
        if (WIDE > 4 && g + 4 <= last) {
            block(d, i, g, 4, 1, sliding);
            g += 4;
        }
        if (g + 2 <= last) {
            block(d, i, g, 2, 1, sliding);
            g += 2;
        }
        if (g < last)
            block(d, i, g, 1, 1, sliding);
        edges(d, i, last, d->end);
    }
}

void KERNEL(depthwise)(const TYPE(depthwise) *d)
{
    const int sliding = sliding_taps(d);
    const int pairs = pairs_of_lines(d, sliding);
    for (ptrdiff_t line = 0; line < d->lines;) {
        const int lines = 1 + (pairs && line + 1 < d->lines);
        any_lines(d, line, lines, sliding);
        line += lines;
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

/* Whether kernel rows of three taps lie inside for the same outputs: six taps may also be one row. */
static int even_rows(const TYPE(depthwise_sums) *s)
{
    for (ptrdiff_t t = 3; t < s->taps; t++)
        if (s->tap[t].begin != s->tap[t - 3].begin || s->tap[t].end != s->tap[t - 3].end)
            return 0;
    return 1;
}

/* How many pixels the taps move from output to output, where sliding_sums can do with them; or 0. */
static int sliding(const TYPE(depthwise_sums) *s)
{
    const TYPE(depthwise_sum) *tap = s->tap;
    if ((s->taps != 6 && s->taps != 9) || !even_rows(s))
        return 0;
    const ptrdiff_t column = tap[1].x - tap[0].x;
    for (ptrdiff_t t = 0; t < s->taps; t += 3)
        if (tap[t + 1].x - tap[t].x != column || tap[t + 2].x - tap[t + 1].x != column)
            return 0;
    if (tap[0].begin < tap[1].begin || tap[1].begin < tap[2].begin || tap[1].end < tap[2].end ||
        tap[0].end < tap[1].end)
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

/* The last channels, less than a vector of them; few sizes of shares, since each is code. */
static void last_channels(const TYPE(depthwise_sums) *s, ptrdiff_t c)
{
    const int n = (int)(s->channels - c);
    ptrdiff_t first = 0;
    for (; first + TAPS <= s->taps; first += TAPS)
        sums(s, first, TAPS, c, n, 0);
    for (; first + 3 <= s->taps; first += 3)
        sums(s, first, 3, c, n, 0);
    for (; first < s->taps; first++)
        sums(s, first, 1, c, n, 0);
}

INLINE void channels_of_sums(const TYPE(depthwise_sums) *s, ptrdiff_t first, const int taps,
                             ptrdiff_t c)
{
    for (; c + VL <= s->channels; c += VL)
        sums(s, first, taps, c, VL, 1);
}

void KERNEL(depthwise_weights)(const TYPE(depthwise_sums) *s)
{
    const ptrdiff_t c = whole_channels(s), last = s->channels / VL * VL;
    for (ptrdiff_t first = 0; first < s->taps && c < last;) {
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
    if (last < s->channels)
        last_channels(s, last);
}
