/* group_norm.c: what group norm has beside batch norm: the step between channels and groups.
 *
 * Sums over the channels of a group run in double, in a fixed number of lanes. With d = x - high,
 * mean = high + low, and per channel U = sum dy, V = sum dy d over the M pixels of the sample:
 *     dbeta += U,  dgamma += (V - low U) * inverse = W,
 *     dx = d * slope + (dy * scale + offset),  slope = -inverse^2 B / n,
 *     offset = -inverse A / n - low * slope,  A = sum gamma U,  B = sum gamma W,  n = K M */
#include "order.h"
#include "simd.h"

/* The planes of one element per channel, in batch norm's order. */
enum { HIGH, SCALE, SHIFT, SLOPE, OFFSET };

enum { LANES = CVL_ORDER_CHAINS };

static double fold_lanes(double *lanes)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

/* Distances from the first channel's mean are summed: equal means are met exactly. */
void KERNEL(group_norm_merge)(double *restrict mean, double *restrict var, ptrdiff_t groups,
                              ptrdiff_t K, const double *restrict means,
                              const double *restrict vars)
{
    for (ptrdiff_t group = 0; group < groups; group++, means += K, vars += K) {
        double lanes[LANES] = {0}, squares[LANES] = {0};
        for (ptrdiff_t c = 0; c < K; c++)
            lanes[c % LANES] += means[c] - means[0];
        mean[group] = means[0] + fold_lanes(lanes) / (double)K;
        for (ptrdiff_t c = 0; c < K; c++) {
            const double delta = means[c] - mean[group];
            squares[c % LANES] += vars[c] + delta * delta;
        }
        var[group] = fold_lanes(squares) / (double)K;
    }
}

void KERNEL(group_norm_affine)(T *restrict planes, ptrdiff_t groups, ptrdiff_t K, ptrdiff_t ld,
                               const double *restrict mean, const double *restrict inverse,
                               const T *restrict gamma, const T *restrict beta)
{
    T *restrict high = planes + HIGH * ld, *restrict scale = planes + SCALE * ld;
    T *restrict shift = planes + SHIFT * ld;
    for (ptrdiff_t group = 0; group < groups; group++) {
        const T head = (T)mean[group];
        const double low = mean[group] - (double)head;
        for (ptrdiff_t c = group * K; c < (group + 1) * K; c++) {
            const double a = (gamma ? (double)gamma[c] : 1) * inverse[group];
            high[c] = head;
            scale[c] = (T)a;
            shift[c] = (T)((beta ? (double)beta[c] : 0) - low * a);
        }
    }
}

void KERNEL(group_norm_slopes)(T *restrict planes, ptrdiff_t groups, ptrdiff_t K, ptrdiff_t ld,
                               double *restrict gradients, const double *restrict totals,
                               const double *restrict mean, const double *restrict inverse,
                               const T *restrict gamma, double per_value)
{
    T *restrict slopes = planes + SLOPE * ld, *restrict offsets = planes + OFFSET * ld;
    double *restrict dbeta = gradients, *restrict dgamma = gradients + groups * K;
    const double *restrict u = totals, *restrict v = totals + ld;
    for (ptrdiff_t group = 0; group < groups; group++) {
        const double low = mean[group] - (double)(T)mean[group];
        double a[LANES] = {0}, b[LANES] = {0};
        for (ptrdiff_t c = group * K; c < (group + 1) * K; c++) {
            const double factor = gamma ? (double)gamma[c] : 1;
            const double w = (v[c] - low * u[c]) * inverse[group];
            dbeta[c] += u[c];
            dgamma[c] += w;
            a[c % LANES] += factor * u[c];
            b[c % LANES] += factor * w;
        }
        const double scale = inverse[group] * per_value;
        const double slope = -scale * inverse[group] * fold_lanes(b);
        const double offset = -scale * fold_lanes(a) - low * slope;
        for (ptrdiff_t c = group * K; c < (group + 1) * K; c++) {
            slopes[c] = (T)slope;
            offsets[c] = (T)offset;
        }
    }
}
