/* winograd_tiles.c: transforms of tiles of images, and back: two passes of the one-dimensional
 * transforms on VL channels at a time. */
#include "epilogue.h"
#include "winograd.h"
#include "winograd_place.h"

/* The transform to side(form) values: B^T of inputs, or A of gradients. */
INLINE void transform(cvl_winograd form, const int gradient, V *v, const V *d)
{
    if (gradient)
        evaluate(form, outputs(form), tile_size(form), v, d);
    else
        interpolate_transposed(form, v, d);
}

/* One vector of channels of a tile: the first `lanes` of them, all if it is inside. Rows are behind
 * pointers to column0. */
INLINE void tile_in(cvl_winograd form, const int gradient, T *v, ptrdiff_t plane,
                    const T *const row[SIDE], ptrdiff_t C, const place *p, const int inside,
                    ptrdiff_t lanes)
{
    const int N = side(form), size = gradient ? tile_size(form) : N;
    V half[SIDE][SIDE];
#pragma GCC unroll 6
    for (int j = 0; j < size; j++) {
        if (inside || (p->column0 <= j && j < p->column1)) {
            const ptrdiff_t offset = (inside ? j : j - p->column0) * C;
            V d[SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < size; i++)
                d[i] = inside ? vload(row[i] + offset) : vload_part(row[i] + offset, lanes);
            transform(form, gradient, half[j], d);
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
        for (int j = 0; j < size; j++)
            d[j] = half[j][i];
        transform(form, gradient, out, d);
#pragma GCC unroll 6
        for (int j = 0; j < N; j++)
            vstore(v + (i * N + j) * plane, out[j]);
    }
}

INLINE void tiles_in(cvl_winograd form, const int gradient, const cvl_winograd_tiles *t, T *v,
                     const T *x, const T *zeros)
{
    const int size = gradient ? tile_size(form) : side(form), step = tile_size(form);
    const ptrdiff_t plane = t->plane, C = t->C;
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = place_of(t, t->first + tile, size, step);
        const T *row[SIDE];
#pragma GCC unroll 6
        for (int i = 0; i < size; i++)
            row[i] = p.row0 <= i && i < p.row1 ? x + p.at + (i - p.row0) * t->W * C : zeros;
        T *out = v + tile * t->ld;
        ptrdiff_t c = 0;
        if (whole(&p, size))
            for (; c + VL <= t->channels; c += VL) {
                /* The rows above have been read with the tiles above. */
                prefetch(row[size - step] + size * C, t->W * C, C, step, 0);
                tile_in(form, gradient, out + c, plane, row, C, &p, 1, VL);
#pragma GCC unroll 6
                for (int i = 0; i < size; i++)
                    row[i] += VL;
            }
        for (; c < t->channels; c += VL) {
            tile_in(form, gradient, out + c, plane, row, C, &p, 0, t->channels - c);
#pragma GCC unroll 6
            for (int i = 0; i < size; i++)
                row[i] += VL;
        }
    }
}

void KERNEL(winograd_data)(const cvl_winograd_tiles *t, T *v, const T *x, const T *zeros)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_in(CVL_WINOGRAD_2X3, 0, t, v, x, zeros);
    else if (t->form == CVL_WINOGRAD_2X5)
        tiles_in(CVL_WINOGRAD_2X5, 0, t, v, x, zeros);
    else if (t->form == CVL_WINOGRAD_4X3)
        tiles_in(CVL_WINOGRAD_4X3, 0, t, v, x, zeros);
    else
        KERNEL(winograd_strided_data)(t, v, x);
}

void KERNEL(winograd_gradient)(const cvl_winograd_tiles *t, T *v, const T *y, const T *zeros)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_in(CVL_WINOGRAD_2X3, 1, t, v, y, zeros);
    else if (t->form == CVL_WINOGRAD_2X5)
        tiles_in(CVL_WINOGRAD_2X5, 1, t, v, y, zeros);
    else if (t->form == CVL_WINOGRAD_4X3)
        tiles_in(CVL_WINOGRAD_4X3, 1, t, v, y, zeros);
    else
        KERNEL(winograd_strided_gradient)(t, v, y);
}

/* ------------------------------------------------------------------------------- and back */

/* One vector of channels of a tile of outputs at y: the first `lanes` of them, all if it is inside. */
INLINE void tile_out(cvl_winograd form, T *y, ptrdiff_t row, ptrdiff_t C, const T *v,
                     ptrdiff_t plane, const T *z, const place *p, const int inside, ptrdiff_t lanes,
                     V bias, const TYPE(epilogue) *end)
{
    const int N = side(form), size = tile_size(form);
    V half[SIDE][SIDE];
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        V column[SIDE];
#pragma GCC unroll 6
        for (int i = 0; i < N; i++)
            column[i] = vload(v + (i * N + j) * plane);
        evaluate_transposed(form, outputs(form), size, half[j], column);
    }
#pragma GCC unroll 6
    for (int i = 0; i < size; i++) {
        if (!inside && i >= p->row1)
            continue;
        V d[SIDE], out[SIDE];
#pragma GCC unroll 6
        for (int j = 0; j < N; j++)
            d[j] = half[j][i];
        evaluate_transposed(form, outputs(form), size, out, d);
#pragma GCC unroll 6
        for (int j = 0; j < size; j++) {
            if (!inside && j >= p->column1)
                continue;
            V value = end->bias ? vadd(out[j], bias) : out[j];
            const ptrdiff_t at = i * row + j * C;
            if (z)
                value = vadd(value, inside ? vload(z + at) : vload_part(z + at, lanes));
            value = activate(value, end);
            if (inside)
                vstore(y + at, value);
            else
                vstore_part(y + at, value, lanes);
        }
    }
}

INLINE void tiles_out(cvl_winograd form, const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                      const TYPE(epilogue) *given)
{
    const TYPE(epilogue) end = *given;
    const int size = tile_size(form);
    const ptrdiff_t plane = t->plane, C = t->C;
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = place_of(t, t->first + tile, size, size);
        const T *in = v + tile * t->ld;
        T *out = y + p.at;
        const T *other = z ? z + p.at : NULL;
        ptrdiff_t c = 0;
        if (whole(&p, size))
            for (; c + VL <= t->channels; c += VL) {
                prefetch(out + c + size * C, t->W * C, C, size, 1);
                tile_out(form, out + c, t->W * C, C, in + c, plane, other ? other + c : NULL, &p, 1,
                         VL, end.bias ? vload(end.bias + c) : vzero(), &end);
            }
        for (; c < t->channels; c += VL) {
            const ptrdiff_t lanes = t->channels - c;
            tile_out(form, out + c, t->W * C, C, in + c, plane, other ? other + c : NULL, &p, 0,
                     lanes, end.bias ? vload_part(end.bias + c, lanes) : vzero(), &end);
        }
    }
}

void KERNEL(winograd_output)(const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                             const TYPE(epilogue) *end)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_out(CVL_WINOGRAD_2X3, t, y, v, z, end);
    else if (t->form == CVL_WINOGRAD_2X5)
        tiles_out(CVL_WINOGRAD_2X5, t, y, v, z, end);
    else if (t->form == CVL_WINOGRAD_4X3)
        tiles_out(CVL_WINOGRAD_4X3, t, y, v, z, end);
    else
        KERNEL(winograd_strided_output)(t, y, v, z, end);
}
