/* winograd_output.c: outputs from their transforms, two passes of the one-dimensional transform on VL
 * channels at a time. A tile at the edge of an image, or of part of a vector of channels, goes by way of
 * a buffer: one copy of each transform serves all. */
#include "epilogue.h"
#include "winograd.h"
#include "winograd_place.h"

/* The first `lanes` channels of the outputs of a tile that are inside, from the buffer to y: with
 * bias and z, unless these are NULL, and activated. */
static __attribute__((noinline)) void finish(T *y, ptrdiff_t row, ptrdiff_t C, const T *tile,
                                             const place *p, int size, ptrdiff_t lanes, const T *z,
                                             const T *bias, const TYPE(epilogue) *end)
{
    const V bias_part = bias ? vload_part(bias, lanes) : vzero();
    for (int i = 0; i < p->row1; i++)
        for (int j = 0; j < p->column1; j++) {
            const ptrdiff_t at = i * row + j * C;
            V value = vload(tile + (i * size + j) * VL);
            if (bias)
                value = vadd(value, bias_part);
            if (z)
                value = vadd(value, vload_part(z + at, lanes));
            vstore_part(y + at, activate(value, end), lanes);
        }
}

INLINE void tiles_out(cvl_winograd form, const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                      const TYPE(epilogue) *end, const int often)
{
    const int N = side(form), size = tile_size(form);
    const int plain = !z && !end->bias && end->activation == CVL_ACTIVATION_NONE;
    const int ends = often && is_bounded(end);
    const V low = low_of(end), high = high_of(end);
    const ptrdiff_t plane = t->plane, row = t->W * t->C;
    _Alignas(64) T buffer[SIDE * SIDE * VL];
    cell here = cell_of(t, t->first);
    for (ptrdiff_t tile = 0; tile < t->count; tile++) {
        const place p = next_place(&here, t, size, size);
        const int inside = whole(&p, size);
        for (ptrdiff_t c = 0; c < t->channels; c += VL) {
            const int straight = inside && c + VL <= t->channels && (plain || ends);
            const ptrdiff_t at = p.at + c;
            T *to = straight ? y + at : buffer;
            const ptrdiff_t to_row = straight ? row : size * VL, to_column = straight ? t->C : VL;
            if (inside)
                prefetch(y + at + size * t->C, row, t->C, size, 1);
            const T *in = v + tile * t->ld + c;
            /* Nothing is changed by adding -0. */
            const V bias = straight && end->bias ? vload(end->bias + c) : vset1((T)-0.0);
            V half[SIDE][SIDE];
#pragma GCC unroll 6
            for (int j = 0; j < N; j++, in += plane) {
                V d[SIDE];
#pragma GCC unroll 6
                for (int i = 0; i < N; i++)
                    d[i] = vload(in + i * (N * plane));
                output_transform(form, half[j], d);
            }
#pragma GCC unroll 6
            for (int i = 0; i < size; i++, to += to_row) {
                V d[SIDE], out[SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < N; j++)
                    d[j] = half[j][i];
                output_transform(form, out, d);
                if (often && straight && !plain) {
#pragma GCC unroll 6
                    for (int j = 0; j < size; j++)
                        out[j] = vadd(out[j], bias);
                    if (z)
#pragma GCC unroll 6
                        for (int j = 0; j < size; j++)
                            out[j] = vadd(out[j], vload(z + at + i * row + j * t->C));
#pragma GCC unroll 6
                    for (int j = 0; j < size; j++)
                        out[j] = bound(out[j], low, high);
                }
#pragma GCC unroll 6
                for (int j = 0; j < size; j++)
                    vstore(to + j * to_column, out[j]);
            }
            if (!straight)
                finish(y + at, row, t->C, buffer, &p, size, t->channels - c, z ? z + at : NULL,
                       end->bias ? end->bias + c : NULL, end);
        }
    }
}

void KERNEL(winograd_output)(const cvl_winograd_tiles *t, T *y, const T *v, const T *z,
                             const TYPE(epilogue) *end)
{
    if (t->form == CVL_WINOGRAD_2X3)
        tiles_out(CVL_WINOGRAD_2X3, t, y, v, z, end, ENDS);
    else if (t->form == CVL_WINOGRAD_2X5)
        tiles_out(CVL_WINOGRAD_2X5, t, y, v, z, end, ENDS);
    else if (t->form == CVL_WINOGRAD_4X3)
        tiles_out(CVL_WINOGRAD_4X3, t, y, v, z, end, ENDS);
    else if (t->form == CVL_WINOGRAD_3X4)
        tiles_out(CVL_WINOGRAD_3X4, t, y, v, z, end, 0);
    else if (t->form == CVL_WINOGRAD_STRIDED)
        tiles_out(CVL_WINOGRAD_STRIDED, t, y, v, z, end, 0);
    else
        tiles_out(CVL_WINOGRAD_FRACTIONAL, t, y, v, z, end, 0);
}
