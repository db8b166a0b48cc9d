/* winograd_filters.c: transforms of filters, and of their gradients back, on VL output channels at
 * a time. */
#include "winograd.h"

/* Rows of filters that are fetched before their turn: from one to the next, and from tap to tap, is further
 * than prefetchers look. */
enum { AHEAD = 4 };

INLINE void filters_in(cvl_winograd form, const cvl_winograd_filters *f, T *u, const T *w)
{
    const int N = side(form), size = filter_size(form);
    for (ptrdiff_t i = 0; i < f->rows; i++)
        for (ptrdiff_t column = 0; column < f->u_row; column += VL) {
            const ptrdiff_t lanes = f->columns - column;
            const T *in = w + i * f->w_row + column;
            T *out = u + i * f->u_row + column;
            V half[SIDE][SIDE];
#pragma GCC unroll 25
            for (int tap = 0; tap < size * size; tap++)
                __builtin_prefetch(in + tap * f->w_tap + AHEAD * f->w_row, 0, 2);
#pragma GCC unroll 5
            for (int kw = 0; kw < size; kw++) {
                V d[SIDE];
#pragma GCC unroll 5
                for (int kh = 0; kh < size; kh++)
                    d[kh] =
                        lanes > 0 ? vload_part(in + (kh * size + kw) * f->w_tap, lanes) : vzero();
                filter_transform(form, half[kw], d);
            }
#pragma GCC unroll 6
            for (int p = 0; p < N; p++) {
                V d[SIDE], v[SIDE];
#pragma GCC unroll 5
                for (int kw = 0; kw < size; kw++)
                    d[kw] = half[kw][p];
                filter_transform(form, v, d);
#pragma GCC unroll 6
                for (int q = 0; q < N; q++)
                    vstore(out + (p * N + q) * f->u_plane, v[q]);
            }
        }
}

#define HALF CVL_JOIN5(cvl_winograd_filter, _, CVL_DTYPE, __, avx2)
#ifdef CVL_LEVEL_AVX512
extern void HALF(const cvl_winograd_filters *f, T *u, const T *w);
#endif

void KERNEL(winograd_filter)(const cvl_winograd_filters *f, T *u, const T *w)
{
#ifdef CVL_LEVEL_AVX512
    if (f->u_row == VL / 2) {
        HALF(f, u, w);
        return;
    }
#endif
    if (f->form == CVL_WINOGRAD_2X3)
        filters_in(CVL_WINOGRAD_2X3, f, u, w);
    else if (f->form == CVL_WINOGRAD_2X5)
        filters_in(CVL_WINOGRAD_2X5, f, u, w);
    else if (f->form == CVL_WINOGRAD_4X3)
        filters_in(CVL_WINOGRAD_4X3, f, u, w);
    else if (f->form == CVL_WINOGRAD_3X4)
        filters_in(CVL_WINOGRAD_3X4, f, u, w);
    else
        filters_in(CVL_WINOGRAD_STRIDED, f, u, w);
}

INLINE void filters_out(cvl_winograd form, const cvl_winograd_filters *f, T *w, const T *u,
                        const int add)
{
    const int N = side(form), size = filter_size(form);
    for (ptrdiff_t i = 0; i < f->rows; i++)
        for (ptrdiff_t column = 0; column < f->columns; column += VL) {
            const ptrdiff_t lanes = f->columns - column;
            const T *in = u + i * f->u_row + column;
            T *out = w + i * f->w_row + column;
            V half[SIDE][SIDE];
#pragma GCC unroll 25
            for (int tap = 0; tap < size * size; tap++)
                __builtin_prefetch(out + tap * f->w_tap + AHEAD * f->w_row, 1, 2);
#pragma GCC unroll 6
            for (int q = 0; q < N; q++) {
                V v[SIDE];
#pragma GCC unroll 6
                for (int p = 0; p < N; p++)
                    v[p] = vload(in + (p * N + q) * f->u_plane);
                filter_gradient(form, half[q], v);
            }
#pragma GCC unroll 5
            for (int kh = 0; kh < size; kh++) {
                V v[SIDE], d[SIDE];
#pragma GCC unroll 6
                for (int q = 0; q < N; q++)
                    v[q] = half[q][kh];
                filter_gradient(form, d, v);
#pragma GCC unroll 5
                for (int kw = 0; kw < size; kw++) {
                    T *at = out + (kh * size + kw) * f->w_tap;
                    vstore_part(at, add ? vadd(vload_part(at, lanes), d[kw]) : d[kw], lanes);
                }
            }
        }
}

void KERNEL(winograd_filter_gradient)(const cvl_winograd_filters *f, T *w, const T *u, int add)
{
    if (f->form == CVL_WINOGRAD_2X3)
        filters_out(CVL_WINOGRAD_2X3, f, w, u, add);
    else if (f->form == CVL_WINOGRAD_2X5)
        filters_out(CVL_WINOGRAD_2X5, f, w, u, add);
    else if (f->form == CVL_WINOGRAD_4X3)
        filters_out(CVL_WINOGRAD_4X3, f, w, u, add);
    else
        filters_out(CVL_WINOGRAD_STRIDED, f, w, u, add);
}
