/* winograd_place.h: where the tiles of a transform lie. */
#ifndef CVL_WINOGRAD_PLACE_H
#define CVL_WINOGRAD_PLACE_H

#include "simd.h"

/* Where a tile lies: its rows [row0, row1) and columns [column0, column1) are inside the image,
 * whose pixel at (row0, column0) is at `at`. */
typedef struct place {
    ptrdiff_t at;
    int row0, row1, column0, column1;
} place;

/* Which of `size` pixels from `begin` are in [0, end). */
INLINE void clip(ptrdiff_t begin, int size, ptrdiff_t end, int *first, int *last)
{
    const ptrdiff_t low = begin < 0 ? -begin : 0, high = end - begin;
    *last = high < size ? high < 0 ? 0 : (int)high : size;
    *first = low < *last ? (int)low : *last;
}

/* A tile by its row and column among those of its image. */
typedef struct cell {
    ptrdiff_t image, row, column;
} cell;

INLINE cell cell_of(const cvl_winograd_tiles *t, ptrdiff_t tile)
{
    const ptrdiff_t row = tile / t->columns;
    return (cell){row / t->rows, row % t->rows, tile % t->columns};
}

/* The place of a tile of size x size pixels, `step` apart, and moves on to the next tile: dividing for
 * each would take some CPUs as long as half of a transform. Inlined it costs the transforms registers. */
static __attribute__((noinline)) place next_place(cell *at, const cvl_winograd_tiles *t, int size,
                                                  int step)
{
    const ptrdiff_t row = at->row * step - t->top, column = at->column * step - t->left;
    place p;
    clip(row, size, t->H, &p.row0, &p.row1);
    clip(column, size, t->W, &p.column0, &p.column1);
    p.at = ((at->image * t->H + row + p.row0) * t->W + column + p.column0) * t->C;
    if (++at->column == t->columns) {
        at->column = 0;
        if (++at->row == t->rows) {
            at->row = 0;
            at->image++;
        }
    }
    return p;
}

INLINE int whole(const place *p, int size)
{
    return p->row0 == 0 && p->column0 == 0 && p->row1 == size && p->column1 == size;
}

/* Fetches what a transform will touch of the tile on the right, size x size pixels of it. */
INLINE void prefetch(const T *right, ptrdiff_t row, ptrdiff_t C, const int size, const int write)
{
#pragma GCC unroll 4
    for (int i = 0; i < size; i++)
#pragma GCC unroll 4
        for (int j = 0; j < size; j++)
            if (write)
                __builtin_prefetch(right + i * row + j * C, 1, 3);
            else
                __builtin_prefetch(right + i * row + j * C, 0, 3);
}

/* Where transforms lie beyond L2, fetches those two lines further on, of `planes` positions, before they
 * are written: such stores wait for one another. */
INLINE void fetch_far(const cvl_winograd_tiles *t, const T *v, ptrdiff_t c, const int planes)
{
    if (!t->far || c % LINE != 0)
        return;
    v += 2 * LINE;
#pragma GCC unroll 1
    for (int i = 0; i < planes; i++, v += t->plane)
        __builtin_prefetch(v, 1, 3);
}

#endif
