/* resample.c: a linear map of images, channels in the lanes. */
#include "simd.h"

/* One vector of channels of an output: a chain of FMAs along each row, then one over the rows. The
 * chains begin at -0, the only number that leaves what is added to it as it is. */
INLINE V sum_taps(const cvl_resample *r, ptrdiff_t row, ptrdiff_t column, const T *x, ptrdiff_t n)
{
    const V nothing = vset1((T)-0.0);
    V total = nothing;
    for (ptrdiff_t i = r->rows.first[row]; i < r->rows.first[row + 1]; i++) {
        const T *x_h = x + r->rows.tap[i].from * r->W * r->C;
        V sum = nothing;
        for (ptrdiff_t j = r->columns.first[column]; j < r->columns.first[column + 1]; j++)
            sum = vfma(vload_part(x_h + r->columns.tap[j].from * r->C, n),
                       vset1((T)r->columns.tap[j].weight), sum);
        total = vfma(sum, vset1((T)r->rows.tap[i].weight), total);
    }
    return total;
}

void KERNEL(resample)(const cvl_resample *r, ptrdiff_t row, ptrdiff_t channels, T *y, const T *x)
{
    const ptrdiff_t rows = r->rows.first[row + 1] - r->rows.first[row];
    for (ptrdiff_t column = 0; column < r->OW; column++, y += r->C) {
        const ptrdiff_t columns = r->columns.first[column + 1] - r->columns.first[column];
        const V empty = vset1((T)r->empty), divisor = vset1((T)(rows * columns));
        for (ptrdiff_t c = 0; c < channels; c += VL) {
            V v = empty;
            if (rows * columns > 0)
                v = sum_taps(r, row, column, x + c, channels - c);
            if (r->mean)
                v = vdiv(v, divisor);
            vstore_part(y + c, v, channels - c);
        }
    }
}
