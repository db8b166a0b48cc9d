/* pool.c: windows of a channels-last image, channels in the lanes.
 *
 * x is seen as (pixels, rows, columns, C) and y as (pixels, C), where pixels are output positions
 * with windows of one size: extent[] holds these four sizes, step[] how far apart pixels, rows and
 * columns of x, and pixels of y, lie. Windows may overlap; they are visited in order. */
#include "simd.h"

/* dx lies as x does, dy as y; a kernel uses the ones it has. */
typedef struct windows {
    ptrdiff_t rows, columns, row_step, column_step;
    const T *x, *dy;
    T *y, *dx;
    const uint8_t *winners;
    uint8_t *winners_out;
    int tiled; /* dx is written, not added to */
    /* Where the positions of a window lie, if the winner alone is added to; or NULL. */
    const ptrdiff_t *position;
    V divisor;
} windows;

/* A vector of windows of MANY positions would add almost nothing but zeros; one of few channels sooner, and
 * its additions would wait for the stores of its neighbours, which they overlap. */
enum { MANY = 25, MAX_POSITIONS = 255 };

/* What happens to n channels of one window, which begin at element `at` of x and `out` of y. */
typedef void visit(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n);

/* The operations on one vector wait for each other, and lines far apart are slow to fetch: visit_group, if
 * not NULL, visits GROUP vectors at once; float64 does without, for the size of the code. */
enum { GROUP = 4 };

INLINE void visit_channels(const ptrdiff_t extent[4], const ptrdiff_t step[4], const windows *w,
                           visit *visit_window, visit *visit_group)
{
    for (ptrdiff_t pixel = 0; pixel < extent[0]; pixel++) {
        const ptrdiff_t at = pixel * step[0], out = pixel * step[3];
        ptrdiff_t c = 0;
        for (; sizeof(T) == sizeof(float) && visit_group && c + GROUP * VL <= extent[3];
             c += GROUP * VL)
            visit_group(w, at + c, out + c, VL);
        for (; c + VL <= extent[3]; c += VL)
            visit_window(w, at + c, out + c, VL);
        if (c < extent[3])
            visit_window(w, at + c, out + c, extent[3] - c);
    }
}

/* Windows of 2 x 2, the commonest by far, get code of their own: their loops vanish. Vectors of two are not
 * worth its size. */
INLINE void visit_windows(const ptrdiff_t extent[4], const ptrdiff_t step[4], windows w,
                          visit *visit_window, visit *visit_group)
{
    w.row_step = step[1];
    w.column_step = step[2];
    if (VL > 2 && extent[1] == 2 && extent[2] == 2) {
        w.rows = w.columns = 2;
        visit_channels(extent, step, &w, visit_window, NULL);
    } else {
        const ptrdiff_t positions = extent[1] * extent[2];
        const ptrdiff_t lanes = extent[3] < VL ? extent[3] : VL;
        ptrdiff_t position[MAX_POSITIONS];
        w.rows = extent[1];
        w.columns = extent[2];
        if (w.dx && (w.x || w.winners) && !w.tiled && positions * VL >= MANY * lanes &&
            positions <= MAX_POSITIONS) {
            for (ptrdiff_t i = 0; i < positions; i++)
                position[i] = i / w.columns * w.row_step + i % w.columns * w.column_step;
            w.position = position;
        }
        visit_channels(extent, step, &w, visit_window, visit_group);
    }
}

/* Where windows tile the image, dx need neither be cleared nor read. */
INLINE void give(const windows *w, ptrdiff_t at, V given, ptrdiff_t n)
{
    T *p = w->dx + at;
    vstore_part(p, w->tiled ? given : vadd(vload_part(p, n), given), n);
}

#define EACH(j) _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++)

/* ---------------------------------------------------------------------------------- max */

/* NaN where there is one: vmax keeps a NaN of `best`, vselect takes one of x. -inf for a window
 * without positions. */
INLINE void find_largest(const windows *w, ptrdiff_t at, ptrdiff_t n, V *best, const int vectors)
{
    EACH (j)
        best[j] = vset1(-INFINITY);
    for (ptrdiff_t r = 0; r < w->rows; r++)
        for (ptrdiff_t c = 0; c < w->columns; c++)
            EACH (j) {
                const T *x = w->x + at + r * w->row_step + c * w->column_step + j * VL;
                const V v = vload_part(x, n);
                best[j] = vselect(veq(v, v), vmax(v, best[j]), v);
            }
}

INLINE void take_largest(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    V best;
    find_largest(w, at, n, &best, 1);
    vstore_part(w->y + out, best, n);
}

INLINE void take_largest_of_group(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    const int vectors = GROUP;
    V best[GROUP];
    find_largest(w, at, n, best, vectors);
    EACH (j)
        vstore(w->y + out + j * VL, best[j]);
}

/* The number of the position that wins, the first of the largest or the first NaN, and its value; 255
 * where there is none. Where the sum of the window is a number, so is every term, and half of the work
 * is saved. */
INLINE V winner_of(const windows *w, ptrdiff_t at, ptrdiff_t n, V *value)
{
    const V nobody = w->rows * w->columns > 0 ? vzero() : vset1(255);
    V best = vset1(-INFINITY), winner = nobody, sum = vzero();
    for (ptrdiff_t r = 0; r < w->rows; r++)
        for (ptrdiff_t c = 0; c < w->columns; c++) {
            const V v = vload_part(w->x + at + r * w->row_step + c * w->column_step, n);
            winner = vselect(vgt(v, best), vset1((T)(r * w->columns + c)), winner);
            best = vmax(v, best);
            sum = vadd(sum, v);
        }
    if (!vall(veq(sum, sum))) {
        best = vset1(-INFINITY), winner = nobody;
        for (ptrdiff_t r = 0; r < w->rows; r++)
            for (ptrdiff_t c = 0; c < w->columns; c++) {
                const V number = vset1((T)(r * w->columns + c));
                const V v = vload_part(w->x + at + r * w->row_step + c * w->column_step, n);
                const V if_nan = vselect(veq(best, best), number, winner);
                winner = vselect(vgt(v, best), number, winner);
                winner = vselect(veq(v, v), winner, if_nan);
                best = vselect(veq(v, v), vmax(v, best), v);
            }
    }
    *value = best;
    return winner;
}

INLINE void take_winner(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    V best;
    const V winner = winner_of(w, at, n, &best);
    vstore_part(w->y + out, best, n);
    vstore_bytes(w->winners_out + out, winner, n);
}

/* Adds dy to the winner of each lane of a window of many positions. */
static __attribute__((noinline)) void give_to_one(const windows *w, ptrdiff_t at, ptrdiff_t out,
                                                  ptrdiff_t n)
{
    V best;
    T number[VL];
    vstore(number, w->winners ? vload_bytes(w->winners + out, n) : winner_of(w, at, n, &best));
    for (ptrdiff_t i = 0; i < n; i++)
        if (number[i] < (T)(w->rows * w->columns))
            w->dx[at + w->position[(int)number[i]] + i] += w->dy[out + i];
}

/* Each lane hands its dy to the first position that equals the largest, or is NaN. */
INLINE void give_to_largest(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    if (w->position) {
        give_to_one(w, at, out, n);
        return;
    }
    V best;
    find_largest(w, at, n, &best, 1);
    V dy = vload_part(w->dy + out, n);
    for (ptrdiff_t r = 0; r < w->rows; r++)
        for (ptrdiff_t c = 0; c < w->columns; c++) {
            const ptrdiff_t p = at + r * w->row_step + c * w->column_step;
            const V v = vload_part(w->x + p, n);
            const V given = vselect(veq(v, v), vselect(veq(v, best), dy, vzero()), dy);
            const V kept = vselect(veq(v, best), vzero(), dy);
            dy = vselect(veq(v, v), kept, vzero());
            give(w, p, given, n);
        }
}

INLINE void give_to_winner(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    if (w->position) {
        give_to_one(w, at, out, n);
        return;
    }
    const V winner = vload_bytes(w->winners + out, n), dy = vload_part(w->dy + out, n);
    for (ptrdiff_t r = 0; r < w->rows; r++)
        for (ptrdiff_t c = 0; c < w->columns; c++) {
            const M won = veq(winner, vset1((T)(r * w->columns + c)));
            give(w, at + r * w->row_step + c * w->column_step, vselect(won, dy, vzero()), n);
        }
}

void KERNEL(max_pool)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *y, const T *x)
{
    visit_windows(extent, step, (windows){.x = x, .y = y}, take_largest, take_largest_of_group);
}

void KERNEL(max_pool_backward)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *dx,
                               const T *dy, const T *x, int tiled)
{
    visit_windows(extent, step, (windows){.x = x, .dx = dx, .dy = dy, .tiled = tiled},
                  give_to_largest, NULL);
}

void KERNEL(max_pool_winners)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *y,
                              uint8_t *winners, const T *x)
{
    assert(extent[1] * extent[2] <= MAX_POSITIONS);
    visit_windows(extent, step, (windows){.x = x, .y = y, .winners_out = winners}, take_winner,
                  NULL);
}

void KERNEL(max_pool_backward_winners)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *dx,
                                       const T *dy, const uint8_t *winners, int tiled)
{
    visit_windows(extent, step, (windows){.dx = dx, .dy = dy, .winners = winners, .tiled = tiled},
                  give_to_winner, NULL);
}

/* ------------------------------------------------------------------------------ average */

/* Rows first, then their sums in order. */
INLINE void take_means(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n,
                       const int vectors)
{
    V total[GROUP], row[GROUP];
    EACH (j)
        total[j] = vzero();
    for (ptrdiff_t r = 0; r < w->rows; r++) {
        EACH (j)
            row[j] = vzero();
        for (ptrdiff_t c = 0; c < w->columns; c++)
            EACH (j) {
                const T *x = w->x + at + r * w->row_step + c * w->column_step + j * VL;
                row[j] = vadd(row[j], vload_part(x, n));
            }
        EACH (j)
            total[j] = vadd(total[j], row[j]);
    }
    EACH (j)
        vstore_part(w->y + out + j * VL, vdiv(total[j], w->divisor), n);
}

INLINE void take_mean(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    take_means(w, at, out, n, 1);
}

INLINE void take_mean_of_group(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    take_means(w, at, out, n, GROUP);
}

INLINE void give_to_each(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n,
                         const int vectors)
{
    V given[GROUP];
    EACH (j)
        given[j] = vdiv(vload_part(w->dy + out + j * VL, n), w->divisor);
    for (ptrdiff_t r = 0; r < w->rows; r++)
        for (ptrdiff_t c = 0; c < w->columns; c++)
            EACH (j)
                give(w, at + r * w->row_step + c * w->column_step + j * VL, given[j], n);
}

INLINE void give_to_all(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    give_to_each(w, at, out, n, 1);
}

INLINE void give_to_all_of_group(const windows *w, ptrdiff_t at, ptrdiff_t out, ptrdiff_t n)
{
    give_to_each(w, at, out, n, GROUP);
}

void KERNEL(avg_pool)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *y, const T *x,
                      T divisor)
{
    visit_windows(extent, step, (windows){.x = x, .y = y, .divisor = vset1(divisor)}, take_mean,
                  take_mean_of_group);
}

void KERNEL(avg_pool_backward)(const ptrdiff_t extent[4], const ptrdiff_t step[4], T *dx,
                               const T *dy, T divisor, int tiled)
{
    visit_windows(extent, step,
                  (windows){.dx = dx, .dy = dy, .tiled = tiled, .divisor = vset1(divisor)},
                  give_to_all, give_to_all_of_group);
}
