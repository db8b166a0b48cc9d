/* row.c: products of one row with a matrix, as a linear layer has of one image: bound by reading the
 * matrix, which goes straight to the multiply-adds. */
#include "epilogue.h"
#include "simd.h"

/* Vectors of sums beside each other: of a matrix as it lies, many, for whole lines at a stretch, then
 * few; of a turned one, vectors that hold chains enough for none to wait for itself. Where columns are
 * more than MANY vectors, ROWS of them pass under sums in memory together. */
enum { MANY = 8, SOME = 2, ROWS = 8, TURNED = VL > 8 ? 1 : 2 };

/* NV vectors, of which only SOME may be partly empty. */
INLINE void row_panel(ptrdiff_t K, ptrdiff_t columns, T *sums, const T *a, const T *w,
                      ptrdiff_t w_step, const int NV)
{
    const ptrdiff_t second = columns > VL ? VL : 0;
    V acc[MANY];
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++)
        acc[j] = vzero();
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k < K; k++, w += w_step) {
        const V av = vset1(a[k]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; j++)
            acc[j] = vfma(av,
                          NV == MANY ? vload(w + j * VL)
                                     : vload_part(w + j * second, columns - j * second),
                          acc[j]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++)
        if (NV == MANY || j * VL < columns)
            vstore_part(sums + j * VL, acc[j], NV == MANY ? VL : columns - j * VL);
}

/* sums += the product with R rows of whole vectors. */
INLINE void add_rows(ptrdiff_t columns, T *sums, const T *a, const T *w, ptrdiff_t w_step,
                     const int R)
{
    V av[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
        av[i] = vset1(a[i]);
#pragma GCC unroll 1
    for (ptrdiff_t j = 0; j < columns; j += VL) {
        V sum = vload(sums + j);
#pragma GCC unroll 8
        for (int i = 0; i < R; i++)
            sum = vfma(av[i], vload(w + i * w_step + j), sum);
        vstore(sums + j, sum);
    }
}

/* Memory is read best in few streams, each from end to end; what caches hold, under sums that stay in
 * registers. */
void KERNEL(row_product)(ptrdiff_t K, ptrdiff_t columns, T *sums, const T *a, const T *w,
                         ptrdiff_t w_step)
{
    ptrdiff_t j = 0;
    if (columns > MANY * VL) {
        for (; j + VL <= columns; j += VL)
            vstore(sums + j, vzero());
        ptrdiff_t k = 0;
        for (; k + ROWS <= K; k += ROWS)
            add_rows(j, sums, a + k, w + k * w_step, w_step, ROWS);
        for (; k < K; k++)
            add_rows(j, sums, a + k, w + k * w_step, w_step, 1);
    } else if (columns == MANY * VL) {
        row_panel(K, MANY * VL, sums, a, w, w_step, MANY);
        j = MANY * VL;
    }
    for (; j < columns; j += SOME * VL)
        row_panel(K, columns - j, sums + j, a, w + j, w_step, SOME);
}

/* Up to NV panels of a vector, each a stream. */
INLINE void packed_panels(ptrdiff_t K, ptrdiff_t columns, T *sums, const T *a, const T *w,
                          ptrdiff_t panel, const int NV)
{
    const T *at[CVL_ROW_PANELS];
    V acc[CVL_ROW_PANELS];
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) {
        at[j] = w + (j * VL < columns ? j : 0) * panel;
        acc[j] = vzero();
    }
#pragma GCC unroll 1
    for (ptrdiff_t k = 0; k < K; k++) {
        const V av = vset1(a[k]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; j++)
            acc[j] = vfma(av, vload(at[j] + k * VL), acc[j]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++)
        if (j * VL < columns)
            vstore_part(sums + j * VL, acc[j], columns - j * VL);
}

void KERNEL(row_packed)(ptrdiff_t K, ptrdiff_t columns, T *sums, const T *a, const T *w,
                        ptrdiff_t panel)
{
    if (columns > SOME * VL)
        packed_panels(K, columns, sums, a, w, panel, CVL_ROW_PANELS);
    else
        packed_panels(K, columns, sums, a, w, panel, SOME);
}

/* acc += the sum over k < n of a[k] * (column k of the VL rows at w, of which `rows` exist). */
static __attribute__((noinline)) V turned_square(V acc, int n, ptrdiff_t rows, const T *a,
                                                 const T *w, ptrdiff_t w_step)
{
    V r[VL];
    if (n == VL) {
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = vload(w + (i < rows ? i : 0) * w_step);
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            r[i] = vload_n(w + (i < rows ? i : 0) * w_step, n);
    }
    vtranspose(r);
    if (n == VL) {
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            acc = vfma(vset1(a[i]), r[i], acc);
        return acc;
    }
    T column[VL * VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        vstore(column + i * VL, r[i]);
    for (int i = 0; i < n; i++)
        acc = vfma(vset1(a[i]), vload(column + i * VL), acc);
    return acc;
}

void KERNEL(row_product_turned)(ptrdiff_t K, ptrdiff_t columns, T *sums, const T *a, const T *w,
                                ptrdiff_t w_step)
{
    for (ptrdiff_t j = 0; j < columns; j += TURNED * VL) {
        V acc[TURNED];
#pragma GCC unroll 2
        for (int g = 0; g < TURNED; g++)
            acc[g] = vzero();
#pragma GCC unroll 1
        for (ptrdiff_t k = 0; k < K; k += VL)
#pragma GCC unroll 2
            for (int g = 0; g < TURNED; g++) {
                const ptrdiff_t row = j + g * VL;
                if (row < columns)
                    acc[g] = turned_square(acc[g], K - k < VL ? (int)(K - k) : VL, columns - row,
                                           a + k, w + row * w_step + k, w_step);
            }
#pragma GCC unroll 2
        for (int g = 0; g < TURNED; g++)
            if (j + g * VL < columns)
                vstore_part(sums + j + g * VL, acc[g], columns - j - g * VL);
    }
}

void KERNEL(row_end)(ptrdiff_t columns, ptrdiff_t segments, T *c, const T *sums,
                     const TYPE(epilogue) *end)
{
    for (ptrdiff_t j = 0; j < columns; j += VL) {
        const ptrdiff_t left = columns - j;
        V v = vload_part(sums + j, left);
        for (ptrdiff_t s = 1; s < segments; s++)
            v = vadd(v, vload_part(sums + s * columns + j, left));
        if (end->bias)
            v = vadd(v, vload_part(end->bias + j, left));
        vstore_part(c + j, activate(v, end), left);
    }
}
