/* indirect.h: implicit im2col: the one driver behind convolution forward and backward data. */
#ifndef CVL_INDIRECT_H
#define CVL_INDIRECT_H

#include "op.h"

/* One axis of a gather. Output position g of a phase lies at first + g*step and reads, with tap t,
 * the input position g*in_step + d0 + t*d_step by the kernel index k0 + t*k_step. */
typedef struct cvl_gather_axis {
    ptrdiff_t grid; /* output positions in this phase */
    ptrdiff_t first, step;
    ptrdiff_t in_step, d0, d_step;
    ptrdiff_t taps, k0, k_step;
} cvl_gather_axis;

/* y[n, positions, oc] = end(sum over taps and c of x[n, positions, c] * B[k, oc]) with
 * k = (kh*KW + kw)*C + c. Per axis the phases 0 .. phases-1 partition the outputs: a forward
 * convolution has one, backward data as many as the stride. */
typedef struct NAME(gather) {
    ptrdiff_t N, H, W, C; /* input; C channels per group */
    ptrdiff_t OH, OW, OC; /* output; OC channels per group */
    ptrdiff_t groups, KH, KW;
    ptrdiff_t phases_h, phases_w;
    /* Fills the axis (0 rows, 1 columns) of a phase. */
    void (*axis)(const struct NAME(gather) *g, int axis, ptrdiff_t phase, cvl_gather_axis *out);
    const cvl_conv2d *d;
    const T *x, *w; /* w (KH,KW,C,OC) of the convolution */
    T *y;
    int transposed; /* B is w with C and OC exchanged: backward data */
    NAME(epilogue) end;
    double flops;
} NAME(gather);

/* Bytes of workspace; 0 when the kernels cannot be had. */
size_t NAME(gather_workspace)(const NAME(gather) *g, int threads);

/* Runs `g` in a workspace of that size. */
void NAME(gather_run)(const NAME(gather) *g, void *workspace, int threads);

#endif
