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

/* WIDE outputs from g on, of which every tap lies inside, where from tap to tap inputs move to the next
 * output: they stay in registers, and a tap loads one of them. */
INLINE void inner_sliding(const lane *l, ptrdiff_t g)
{
    const TYPE(depthwise) *d = l->d;
    const ptrdiff_t x_step = d->x_step;
    V acc[WIDE], in[WIDE];
#pragma GCC unroll 8
    for (int i = 0; i < WIDE; i++)
        acc[i] = vzero();
    for (const TYPE(depthwise_row) *row = d->row; row < d->row + d->rows; row++) {
        const T *x = row->x + l->x + g * x_step + d->tap[row->first].x, *after = x + WIDE * x_step;
#pragma GCC unroll 8
        for (int i = 0; i < WIDE; i++)
            in[i] = vload(x + i * x_step);
        for (ptrdiff_t t = row->first;;) {
            const V w = vload(row->w + d->tap[t].w + l->c);
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++)
                acc[i] = vfma(in[i], w, acc[i]);
            if (++t == row->last)
                break;
#pragma GCC unroll 8
            for (int i = 0; i + 1 < WIDE; i++)
                in[i] = in[i + 1];
            in[WIDE - 1] = vload(after);
            after += x_step;
        }
    }
    finish(l, g, acc, WIDE, 1);
}

/* Whether the inputs of a kernel row's taps lie an output's apart. */
static int sliding_taps(const TYPE(depthwise) *d)
{
    for (ptrdiff_t r = 0; r < d->rows; r++)
        for (ptrdiff_t t = d->row[r].first + 1; t < d->row[r].last; t++)
            if (d->tap[t].x - d->tap[t - 1].x != d->x_step)
                return 0;
    return 1;
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
                  int sliding)
{
    lane l = {d, line * d->x_line, line * d->y_line, 0, VL};
    for (; l.c + VL <= d->channels; advance(&l, VL))
        if (outputs == WIDE && sliding)
            inner_sliding(&l, g);
        else
            inner(&l, g, outputs, 1);
    l.n = (int)(d->channels - l.c);
    if (l.n > 0)
        inner(&l, g, outputs, 0);
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

static void one_line(const TYPE(depthwise) *d, ptrdiff_t line, int sliding)
{
    const ptrdiff_t begin = d->begin > d->inner_begin ? d->begin : d->inner_begin;
    const ptrdiff_t inside = d->end < d->inner_end ? d->end : d->inner_end;
    const ptrdiff_t first = begin < d->end ? begin : d->end, last = inside > first ? inside : first;
    ptrdiff_t g = first;
    edges(d, line, d->begin, first);
    for (; g + WIDE <= last; g += WIDE)
        block(d, line, g, WIDE, sliding);
    if (WIDE > 4 && g + 4 <= last) {
        block(d, line, g, 4, sliding);
        g += 4;
    }
    if (g + 2 <= last) {
        block(d, line, g, 2, sliding);
        g += 2;
    }
    if (g < last)
        block(d, line, g, 1, sliding);
    edges(d, line, last, d->end);
}

void KERNEL(depthwise)(const TYPE(depthwise) *d)
{
    const int sliding = sliding_taps(d);
    for (ptrdiff_t line = 0; line < d->lines; line++)
        one_line(d, line, sliding);
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
