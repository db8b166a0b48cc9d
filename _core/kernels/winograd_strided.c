/* winograd_strided.c: transforms of tiles where the convolution has stride 2, and back. A tile at the
 * edge of an image, or of part of a vector of channels, or of outputs that are not yet done, goes by
 * way of a buffer: one copy of each transform serves all. */
#include "epilogue.h"
#include "winograd.h"
#include "winograd_place.h"

/* Inputs of a tile, and from a tile to the next. */
INLINE int input_size(cvl_winograd form) { return form == CVL_WINOGRAD_STRIDED ? 5 : 3; }
INLINE int input_step(cvl_winograd form) { return form == CVL_WINOGRAD_STRIDED ? 4 : 2; }

/* B^T: v from input_size(form) inputs. */
INLINE void data_transform(cvl_winograd form, V *v, const V *d)
{
    if (form == CVL_WINOGRAD_STRIDED) {
        v[0] = vsub(d[0], d[2]);
        v[1] = d[2];
        v[2] = vsub(d[4], d[2]);
        v[3] = d[1];
        v[4] = d[3];
    } else {
        v[0] = vsub(d[0], d[1]);
        v[1] = v[4] = d[1];
        v[2] = vsub(d[2], d[1]);
        v[3] = d[0];
    }
}

/* A: v from the gradients of two outputs of a stride. */
INLINE void output_gradient(V *v, const V *d)
{
    v[0] = v[3] = d[0];
    v[1] = vadd(d[0], d[1]);
    v[2] = v[4] = d[1];
}

/* A^T: outputs. The four of a fractional stride begin with one of the odd tap. */
INLINE void output_transform(cvl_winograd form, V *d, const V *v)
{
    if (form == CVL_WINOGRAD_STRIDED) {
        d[0] = vadd(vadd(v[0], v[1]), v[3]);
        d[1] = vadd(vadd(v[1], v[2]), v[4]);
    } else {
        d[0] = v[3];
        d[1] = vadd(v[0], v[1]);
        d[2] = v[4];
        d[3] = vadd(v[1], v[2]);
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

INLINE void tiles_in(cvl_winograd form, const int gradient, const cvl_winograd_tiles *t, T *v,
                     const T *x)
{
    const int N = side(form), size = gradient ? tile_size(form) : input_size(form);
    const int step = gradient ? tile_size(form) : input_step(form);
    const ptrdiff_t plane = t->plane;
    _Alignas(64) T buffer[SIDE * SIDE * VL];
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = place_of(t, t->first + tile, size, step);
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
            V half[SIDE][SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < size; i++, from += row) {
                V d[SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < size; j++)
                    d[j] = vload(from + j * column);
                if (gradient)
                    output_gradient(half[i], d);
                else
                    data_transform(form, half[i], d);
            }
            T *out = v + tile * t->ld + c;
#pragma GCC unroll 6
            for (int j = 0; j < N; j++, out += plane) {
                V d[SIDE], column_out[SIDE];
#pragma GCC unroll 6
                for (int i = 0; i < size; i++)
                    d[i] = half[i][j];
                if (gradient)
                    output_gradient(column_out, d);
                else
                    data_transform(form, column_out, d);
#pragma GCC unroll 6
                for (int i = 0; i < N; i++)
                    vstore(out + i * (N * plane), column_out[i]);
            }
        }
    }
}

void KERNEL(winograd_strided_data)(const cvl_winograd_tiles *t, T *v, const T *x)
{
    if (t->form == CVL_WINOGRAD_STRIDED)
        tiles_in(CVL_WINOGRAD_STRIDED, 0, t, v, x);
    else
        tiles_in(CVL_WINOGRAD_FRACTIONAL, 0, t, v, x);
}

void KERNEL(winograd_strided_gradient)(const cvl_winograd_tiles *t, T *v, const T *y)
{
    tiles_in(CVL_WINOGRAD_STRIDED, 1, t, v, y);
}

/* ------------------------------------------------------------------------------- and back */

/* The first `lanes` channels of the outputs of a tile that are inside, from the buffer to y: with
 * bias and z, unless these are NULL, and activated. */
static __attribute__((noinline)) void finish(T *y, ptrdiff_t row, ptrdiff_t C, const T *tile,
                                             const place *p, int size, ptrdiff_t lanes, const T *z,
                                             const T *bias, const TYPE(epilogue) *end)
{
    for (int i = 0; i < p->row1; i++)
        for (int j = 0; j < p->column1; j++) {
            const ptrdiff_t at = i * row + j * C;
            V value = vload(tile + (i * size + j) * VL);
            if (bias)
                value = vadd(value, vload_part(bias, lanes));
            if (z)
                value = vadd(value, vload_part(z + at, lanes));
            vstore_part(y + at, activate(value, end), lanes);
        }
}

INLINE void tiles_out(cvl_winograd form, const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                      const TYPE(epilogue) *end)
{
    const int N = side(form), size = tile_size(form);
    const int done = !z && !end->bias && end->activation == CVL_ACTIVATION_NONE;
    const ptrdiff_t plane = t->plane, row = t->W * t->C;
    _Alignas(64) T buffer[SIDE * SIDE * VL];
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = place_of(t, t->first + tile, size, size);
        const int inside = whole(&p, size);
        for (ptrdiff_t c = 0; c < t->channels; c += VL) {
            const int straight = done && inside && c + VL <= t->channels;
            const ptrdiff_t at = p.at + c;
            T *to = straight ? y + at : buffer;
            const ptrdiff_t to_row = straight ? row : size * VL, to_column = straight ? t->C : VL;
            if (inside)
                prefetch(y + at + size * t->C, row, t->C, size, 1);
            const T *in = v + tile * t->ld + c;
            V half[SIDE][SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < N; i++, in += N * plane) {
                V d[SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < N; j++)
                    d[j] = vload(in + j * plane);
                output_transform(form, half[i], d);
            }
#pragma GCC unroll 6
            for (int j = 0; j < size; j++, to += to_column) {
                V d[SIDE], out[SIDE];
#pragma GCC unroll 6
                for (int i = 0; i < N; i++)
                    d[i] = half[i][j];
                output_transform(form, out, d);
#pragma GCC unroll 6
                for (int i = 0; i < size; i++)
                    vstore(to + i * to_row, out[i]);
            }
            if (!straight)
                finish(y + at, row, t->C, buffer, &p, size, t->channels - c, z ? z + at : NULL,
                       end->bias ? end->bias + c : NULL, end);
        }
    }
}

void KERNEL(winograd_strided_output)(const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                                     const TYPE(epilogue) *end)
{
    if (t->form == CVL_WINOGRAD_STRIDED)
        tiles_out(CVL_WINOGRAD_STRIDED, t, y, v, z, end);
    else
        tiles_out(CVL_WINOGRAD_FRACTIONAL, t, y, v, z, end);
}
