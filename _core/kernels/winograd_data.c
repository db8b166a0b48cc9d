/* winograd_data.c: transforms of tiles of images: two passes of the one-dimensional transforms on VL
 * channels at a time. */
#include "winograd.h"
#include "winograd_place.h"

/* One vector of channels of a tile: the first `lanes` of them, all if it is inside. Rows are behind
 * pointers to column0. */
INLINE void tile_in(cvl_winograd form, T *v, ptrdiff_t plane, const T *const row[SIDE], ptrdiff_t C,
                    const place *p, const int inside, ptrdiff_t lanes)
{
    const int N = side(form);
    V half[SIDE][SIDE];
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        if (inside || (p->column0 <= j && j < p->column1)) {
            const ptrdiff_t offset = (inside ? j : j - p->column0) * C;
            V d[SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < N; i++)
                d[i] = inside ? vload(row[i] + offset) : vload_part(row[i] + offset, lanes);
            data_transform(form, half[j], d);
        } else {
#pragma GCC unroll 6
            for (int i = 0; i < N; i++)
                half[j][i] = vzero();
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < N; i++) {
        V d[SIDE], out[SIDE];
#pragma GCC unroll 6
        for (int j = 0; j < N; j++)
            d[j] = half[j][i];
        data_transform(form, out, d);
#pragma GCC unroll 6
        for (int j = 0; j < N; j++)
            vstore(v + (i * N + j) * plane, out[j]);
    }
}

/* Of stride 1, tiles overlap, and many reach over the edge of an image: these have a copy of the
 * transform that knows of it. Forms of one size differ in the step alone. */
INLINE void tiles_in(cvl_winograd form, int step, const cvl_winograd_tiles *t, T *v, const T *x,
                     const T *zeros)
{
    const int size = input_size(form);
    const ptrdiff_t plane = t->plane, C = t->C;
    cell here = cell_of(t, t->first);
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = next_place(&here, t, size, step);
        const T *row[SIDE];
#pragma GCC unroll 6
        for (int i = 0; i < size; i++)
            row[i] = p.row0 <= i && i < p.row1 ? x + p.at + (i - p.row0) * t->W * C : zeros;
        T *out = v + tile * t->ld;
        ptrdiff_t c = 0;
        if (whole(&p, size))
            for (; c + VL <= t->channels; c += VL) {
                /* The rows above have been read with the tiles above. */
                if (step == 4)
                    prefetch(row[2] + size * C, t->W * C, C, 4, 0);
                else
                    prefetch(row[size - 2] + size * C, t->W * C, C, 2, 0);
                fetch_far(t, out + c, c, side(form) * side(form));
                tile_in(form, out + c, plane, row, C, &p, 1, VL);
#pragma GCC unroll 6
                for (int i = 0; i < size; i++)
                    row[i] += VL;
            }
        for (; c < t->channels; c += VL) {
            fetch_far(t, out + c, c, side(form) * side(form));
            tile_in(form, out + c, plane, row, C, &p, 0, t->channels - c);
#pragma GCC unroll 6
            for (int i = 0; i < size; i++)
                row[i] += VL;
        }
    }
}

/* size x size pixels of a vector, from the first `lanes` channels of the pixels inside, which begin
 * at x. */
static __attribute__((noinline)) void gather(T *tile, const T *x, ptrdiff_t row, ptrdiff_t C,
                                             const place *p, int size, ptrdiff_t lanes)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++, tile += VL) {
            const int inside = p->row0 <= i && i < p->row1 && p->column0 <= j && j < p->column1;
            const T *at = x + (i - p->row0) * row + (j - p->column0) * C;
            vstore(tile, inside ? vload_part(at, lanes) : vzero());
        }
}

/* Of gradients, and of stride 2: the few tiles at an edge, and parts of a vector of channels, go by
 * way of a buffer, and the transform has one copy. */
INLINE void tiles_gathered(cvl_winograd form, const int gradient, const cvl_winograd_tiles *t, T *v,
                           const T *x)
{
    const int N = side(form), size = gradient ? tile_size(form) : input_size(form);
    const int step = gradient ? tile_size(form) : input_step(form);
    const ptrdiff_t plane = t->plane;
    _Alignas(64) T buffer[SIDE * SIDE * VL];
    cell here = cell_of(t, t->first);
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = next_place(&here, t, size, step);
        const int inside = whole(&p, size);
        for (ptrdiff_t c = 0; c < t->channels; c += VL) {
            const T *from = x + p.at + c;
            ptrdiff_t row = t->W * t->C, column = t->C;
            if (inside && c + VL <= t->channels) {
                prefetch(from + (size - step) * row + size * column, row, column, step, 0);
            } else {
                gather(buffer, from, row, column, &p, size, t->channels - c);
                from = buffer;
                row = size * VL;
                column = VL;
            }
            T *to = v + tile * t->ld + c;
            fetch_far(t, to, c, N * N);
            V half[SIDE][SIDE];
#pragma GCC unroll 6
            for (int j = 0; j < size; j++, from += column) {
                V d[SIDE];
#pragma GCC unroll 6
                for (int i = 0; i < size; i++)
                    d[i] = vload(from + i * row);
                if (gradient)
                    output_gradient(form, half[j], d);
                else
                    data_transform(form, half[j], d);
            }
#pragma GCC unroll 6
            for (int i = 0; i < N; i++, to += N * plane) {
                V d[SIDE], out[SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < size; j++)
                    d[j] = half[j][i];
                if (gradient)
                    output_gradient(form, out, d);
                else
                    data_transform(form, out, d);
#pragma GCC unroll 6
                for (int j = 0; j < N; j++)
                    vstore(to + j * plane, out[j]);
            }
        }
    }
}

void KERNEL(winograd_data)(const cvl_winograd_tiles *t, T *v, const T *x, const T *zeros)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_in(CVL_WINOGRAD_2X3, 2, t, v, x, zeros);
    else if (t->form == CVL_WINOGRAD_STRIDED)
        tiles_gathered(CVL_WINOGRAD_STRIDED, 0, t, v, x);
    else if (t->form == CVL_WINOGRAD_FRACTIONAL)
        tiles_gathered(CVL_WINOGRAD_FRACTIONAL, 0, t, v, x);
    else
        tiles_in(CVL_WINOGRAD_4X3, input_step(t->form), t, v, x, zeros);
}

void KERNEL(winograd_gradient)(const cvl_winograd_tiles *t, T *v, const T *y)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_gathered(CVL_WINOGRAD_2X3, 1, t, v, y);
    else if (t->form == CVL_WINOGRAD_2X5)
        tiles_gathered(CVL_WINOGRAD_2X5, 1, t, v, y);
    else if (t->form == CVL_WINOGRAD_4X3)
        tiles_gathered(CVL_WINOGRAD_4X3, 1, t, v, y);
    else
        tiles_gathered(CVL_WINOGRAD_STRIDED, 1, t, v, y);
}
