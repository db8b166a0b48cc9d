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

INLINE void channels_of_sums(const TYPE(depthwise_sums) *s, ptrdiff_t first, const int taps)
{
    for (ptrdiff_t c = 0; c + VL <= s->channels; c += VL)
        sums(s, first, taps, c, VL, 1);
}

void KERNEL(depthwise_weights)(const TYPE(depthwise_sums) *s)
{
    const ptrdiff_t last = s->channels / VL * VL;
    for (ptrdiff_t first = 0; first < s->taps;) {
        /* Even shares: 25 taps are 9, 8 and 8, since few chains wait for each other. */
        const ptrdiff_t left = s->taps - first, shares = (left + TAPS - 1) / TAPS;
        const ptrdiff_t share = (left + shares - 1) / shares;
        switch (share) {
#define SHARE(count)                       \
    case count:                            \
        channels_of_sums(s, first, count); \
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
