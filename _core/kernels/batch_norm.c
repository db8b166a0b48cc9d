/* batch_norm.c: the arithmetic of batch norm, per element in vectors and per channel in double.
 *
 * Moments are shifted by a pivot, an element near the mean, so that one pass loses no digits. The
 * mean is kept as high + low parts, and x meets the high one alone: x - high is exact or nearly so
 * where x lies near the mean, and low * scale goes into the shift:
 *     y = (x - high) * scale + shift,  scale = gamma * inverse,  shift = beta - low * scale
 * The backward pass is the same in d = x - high, with V = sum g d and U = sum g:
 *     dbeta = U,  dgamma = (V - low U) * inverse,  dx = d * slope + (g * scale + offset),
 *     slope = -scale * inverse * dgamma / M,  offset = -scale * U / M - low * slope */
#include "sweep.h"

/* The planes of one element per column that the passes share; the last two are backward's. */
enum { HIGH, SCALE, SHIFT, SLOPE, OFFSET };

#define EACH(j) _Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)

INLINE void load_plane(V *v, const T *planes, int plane, ptrdiff_t ld, const int NV,
                       const int lanes)
{
    EACH (j)
        v[j] = load_lanes(planes + plane * ld + j * VL, lanes);
}

/* ----------------------------------------------------------------------------- moments */

INLINE void pivot_group(T *pivot, ptrdiff_t pixels, ptrdiff_t ld, const T *x, ptrdiff_t column,
                        const int NV, const int lanes)
{
    (void)NV;
    const V first = load_lanes(x + column, lanes);
    V sum = vzero();
    for (ptrdiff_t pixel = 1; pixel < pixels; pixel++)
        sum = vadd(sum, vsub(load_lanes(x + pixel * ld + column, lanes), first));
    store_lanes(pivot + column, vfma(sum, vset1((T)1 / (T)pixels), first), lanes);
}

/* The first element plus the mean distance from it: a constant channel is met exactly. */
void KERNEL(batch_norm_pivot)(T *pivot, ptrdiff_t pixels, ptrdiff_t channels, ptrdiff_t ld,
                              const T *x)
{
    assert(pixels >= 1);
    SWEEP(channels, 1, pivot_group, pivot, pixels, ld, x);
}

INLINE void moments_group(T *sums, const ptrdiff_t *shape, const T *x, const T *pivot,
                          ptrdiff_t column, const int NV, const int lanes)
{
    const ptrdiff_t ld = shape[2];
    V k[SWEEP_VECTORS], sum[SWEEP_VECTORS], squares[SWEEP_VECTORS];
    load_plane(k, pivot + column, 0, ld, NV, lanes);
    EACH (j)
        sum[j] = squares[j] = vzero();
    x += column;
    for (ptrdiff_t row = 0; row < shape[0]; row++, x += ld)
        EACH (j) {
            const V d = vsub(load_lanes(x + j * VL, lanes), k[j]);
            sum[j] = vadd(sum[j], d);
            squares[j] = vfma(d, d, squares[j]);
        }
    EACH (j) {
        add_lanes(sums + column + j * VL, sum[j], lanes);
        add_lanes(sums + ld + column + j * VL, squares[j], lanes);
    }
}

void KERNEL(batch_norm_moments)(T *sums, const ptrdiff_t *shape, const T *x, const T *pivot)
{
    SWEEP(shape[1], SWEEP_VECTORS, moments_group, sums, shape, x, pivot);
}

/* A pivot is far where it lies more than two deviations from the mean, as after an outlier or a
 * border of zeros: what is left of the squares then has lost a factor of 5 and more. */
int KERNEL(batch_norm_close)(double *restrict totals, ptrdiff_t channels, ptrdiff_t ld,
                             T *restrict pivot, double count)
{
    double *restrict mean = totals, *restrict squares = totals + ld;
    int moved = 0;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const double shift = mean[c] / count, m2 = squares[c] - mean[c] * shift;
        mean[c] = (double)pivot[c] + shift;
        squares[c] = 0 > m2 ? 0 : m2; /* NaN stays */
        if (shift * shift * count > 4 * m2) {
            pivot[c] = (T)mean[c];
            moved = 1;
        }
    }
    return moved;
}

void KERNEL(batch_norm_merge)(double *restrict mean, double *restrict var, ptrdiff_t channels,
                              ptrdiff_t blocks, const double *restrict totals, ptrdiff_t ld,
                              const double *restrict counts)
{
    double before = counts[0];
    for (ptrdiff_t c = 0; c < channels; c++) {
        mean[c] = totals[c];
        var[c] = totals[ld + c];
    }
    for (ptrdiff_t block = 1; block < blocks; block++) {
        const double count = counts[block], share = count / (before + count);
        const double weight = before * share;
        totals += 2 * ld;
        before += count;
        for (ptrdiff_t c = 0; c < channels; c++) {
            const double delta = totals[c] - mean[c];
            mean[c] += delta * share;
            var[c] += totals[ld + c] + delta * delta * weight;
        }
    }
    for (ptrdiff_t c = 0; c < channels; c++)
        var[c] /= before;
}

/* ------------------------------------------------------------------------- normalising */

void KERNEL(batch_norm_inverse)(double *restrict inverse, ptrdiff_t channels,
                                const double *restrict var, double eps)
{
    for (ptrdiff_t c = 0; c < channels; c++)
        inverse[c] = 1 / sqrt(var[c] + eps);
}

void KERNEL(batch_norm_affine)(T *restrict planes, ptrdiff_t channels, ptrdiff_t ld,
                               const double *restrict mean, const double *restrict inverse,
                               const T *restrict gamma, const T *restrict beta)
{
    T *restrict high = planes + HIGH * ld, *restrict scale = planes + SCALE * ld;
    T *restrict shift = planes + SHIFT * ld;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const double a = (double)gamma[c] * inverse[c];
        high[c] = (T)mean[c];
        scale[c] = (T)a;
        shift[c] = (T)((beta ? (double)beta[c] : 0) - (mean[c] - (double)high[c]) * a);
    }
}

INLINE void apply_group(T *y, const ptrdiff_t *shape, const T *x, const T *residual,
                        const T *planes, const int relu, const int add, ptrdiff_t first,
                        ptrdiff_t end, ptrdiff_t column, const int NV, const int lanes)
{
    const ptrdiff_t ld = shape[2], ahead = elements_ahead(shape);
    V high[SWEEP_VECTORS], scale[SWEEP_VECTORS], shift[SWEEP_VECTORS];
    load_plane(high, planes + column, HIGH, ld, NV, lanes);
    load_plane(scale, planes + column, SCALE, ld, NV, lanes);
    load_plane(shift, planes + column, SHIFT, ld, NV, lanes);
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t at = row * ld + column;
        V v[SWEEP_VECTORS];
        prefetch_lines(x + at + ahead, 0, NV);
        if (add)
            prefetch_lines(residual + at + ahead, 0, NV);
        prefetch_lines(y + at + ahead, 1, NV);
        EACH (j)
            v[j] = vsub(load_lanes(x + at + j * VL, lanes), high[j]);
        EACH (j)
            v[j] = vfma(v[j], scale[j], shift[j]);
        if (add)
            EACH (j)
                v[j] = vadd(v[j], load_lanes(residual + at + j * VL, lanes));
        if (relu)
            EACH (j)
                v[j] = vmax(vzero(), v[j]);
        EACH (j)
            store_lanes(y + at + j * VL, v[j], lanes);
    }
}

void KERNEL(batch_norm_apply)(T *y, const ptrdiff_t *shape, const T *x, const T *residual,
                              const T *planes, int relu)
{
#define APPLY(relu, add) SWEEP_ROWS(shape, apply_group, y, shape, x, residual, planes, relu, add)
    if (residual && relu)
        APPLY(1, 1);
    else if (residual)
        APPLY(0, 1);
    else if (relu)
        APPLY(1, 0);
    else
        APPLY(0, 0);
#undef APPLY
}

/* ---------------------------------------------------------------------------- backward */

/* Where the ReLU's mask comes from. */
enum { MASK_NONE, MASK_Y, MASK_RECOMPUTED };

/* g of one vector: dy where the mask lets it pass. */
INLINE V passed(V dy, V d, V scale, V shift, const T *y, const int mask, const int lanes)
{
    if (mask == MASK_NONE)
        return dy;
    const V value = mask == MASK_Y ? load_lanes(y, lanes) : vfma(d, scale, shift);
    return vselect(vgt(value, vzero()), dy, vzero());
}

/* Asks for what the gradients of a later row are made from. */
INLINE void prefetch_gradients(const T *dy, const T *x, const T *y, ptrdiff_t at, const int mask,
                               const int NV)
{
    prefetch_lines(x + at, 0, NV);
    prefetch_lines(dy + at, 0, NV);
    if (mask == MASK_Y)
        prefetch_lines(y + at, 0, NV);
}

INLINE void gradients_group(T *sums, T *g_out, const ptrdiff_t *shape, const T *dy, const T *x,
                            const T *y, const T *planes, const int mask, const int keep,
                            ptrdiff_t column, const int NV, const int lanes)
{
    const ptrdiff_t ld = shape[2], ahead = elements_ahead(shape);
    V high[SWEEP_VECTORS], scale[SWEEP_VECTORS], shift[SWEEP_VECTORS];
    V u[SWEEP_VECTORS], v[SWEEP_VECTORS];
    load_plane(high, planes + column, HIGH, ld, NV, lanes);
    load_plane(scale, planes + column, SCALE, ld, NV, lanes);
    load_plane(shift, planes + column, SHIFT, ld, NV, lanes);
    EACH (j)
        u[j] = v[j] = vzero();
    for (ptrdiff_t row = 0; row < shape[0]; row++) {
        const ptrdiff_t start = row * ld + column;
        prefetch_gradients(dy, x, y, start + ahead, mask, NV);
        if (keep)
            prefetch_lines(g_out + start + ahead, 1, NV);
        EACH (j) {
            const ptrdiff_t at = start + j * VL;
            const V d = vsub(load_lanes(x + at, lanes), high[j]);
            const V g = passed(load_lanes(dy + at, lanes), d, scale[j], shift[j],
                               mask == MASK_Y ? y + at : NULL, mask, lanes);
            if (keep)
                store_lanes(g_out + at, g, lanes);
            u[j] = vadd(u[j], g);
            v[j] = vfma(g, d, v[j]);
        }
    }
    EACH (j) {
        add_lanes(sums + column + j * VL, u[j], lanes);
        add_lanes(sums + ld + column + j * VL, v[j], lanes);
    }
}

#define GRADIENTS(g, y, mask, keep) \
    SWEEP(shape[1], SWEEP_VECTORS, gradients_group, sums, g, shape, dy, x, y, planes, mask, keep)

void KERNEL(batch_norm_gradients)(T *sums, T *g, const ptrdiff_t *shape, const T *dy, const T *x,
                                  const T *y, const T *planes)
{
    if (g)
        GRADIENTS(g, y, MASK_Y, 1);
    else if (y)
        GRADIENTS(NULL, y, MASK_Y, 0);
    else
        GRADIENTS(NULL, NULL, MASK_NONE, 0);
}

void KERNEL(batch_norm_gradients_recomputed)(T *sums, const ptrdiff_t *shape, const T *dy,
                                             const T *x, const T *planes)
{
    GRADIENTS(NULL, NULL, MASK_RECOMPUTED, 0);
}

void KERNEL(batch_norm_dgamma)(T *restrict dgamma, double *restrict totals, ptrdiff_t channels,
                               ptrdiff_t ld, const double *restrict mean,
                               const double *restrict inverse)
{
    double *restrict v = totals + ld;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const double low = mean[c] - (double)(T)mean[c];
        v[c] = (v[c] - low * totals[c]) * inverse[c];
        dgamma[c] = (T)v[c];
    }
}

void KERNEL(batch_norm_slopes)(T *restrict planes, ptrdiff_t channels, ptrdiff_t ld,
                               const double *restrict totals, const double *restrict mean,
                               const double *restrict inverse, double per_pixel)
{
    for (ptrdiff_t c = 0; c < channels; c++) {
        const double low = mean[c] - (double)planes[HIGH * ld + c];
        const double scale = (double)planes[SCALE * ld + c] * per_pixel;
        const double slope = -scale * inverse[c] * totals[ld + c];
        planes[SLOPE * ld + c] = (T)slope;
        planes[OFFSET * ld + c] = (T)(-scale * totals[c] - slope * low);
    }
}

INLINE void dx_group(T *dx, const ptrdiff_t *shape, const T *dy, const T *x, const T *y,
                     const T *planes, const int mask, ptrdiff_t first, ptrdiff_t end,
                     ptrdiff_t column, const int NV, const int lanes)
{
    const ptrdiff_t ld = shape[2], ahead = elements_ahead(shape);
    V high[SWEEP_VECTORS], scale[SWEEP_VECTORS], shift[SWEEP_VECTORS];
    V slope[SWEEP_VECTORS], offset[SWEEP_VECTORS];
    load_plane(high, planes + column, HIGH, ld, NV, lanes);
    load_plane(scale, planes + column, SCALE, ld, NV, lanes);
    load_plane(shift, planes + column, SHIFT, ld, NV, lanes);
    load_plane(slope, planes + column, SLOPE, ld, NV, lanes);
    load_plane(offset, planes + column, OFFSET, ld, NV, lanes);
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t start = row * ld + column;
        prefetch_gradients(dy, x, y, start + ahead, mask, NV);
        prefetch_lines(dx + start + ahead, 1, NV);
        EACH (j) {
            const ptrdiff_t at = start + j * VL;
            const V d = vsub(load_lanes(x + at, lanes), high[j]);
            const V g = passed(load_lanes(dy + at, lanes), d, scale[j], shift[j],
                               mask == MASK_Y ? y + at : NULL, mask, lanes);
            store_lanes(dx + at, vfma(d, slope[j], vfma(g, scale[j], offset[j])), lanes);
        }
    }
}

#define DX(y, mask) SWEEP_ROWS(shape, dx_group, dx, shape, dy, x, y, planes, mask)

void KERNEL(batch_norm_dx)(T *dx, const ptrdiff_t *shape, const T *dy, const T *x, const T *y,
                           const T *planes)
{
    if (y)
        DX(y, MASK_Y);
    else
        DX(NULL, MASK_NONE);
}

void KERNEL(batch_norm_dx_recomputed)(T *dx, const ptrdiff_t *shape, const T *dy, const T *x,
                                      const T *planes)
{
    DX(NULL, MASK_RECOMPUTED);
}
