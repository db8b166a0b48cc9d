/* winograd.h: minimal filtering: what the engines (winograd.c) ask of their passes. */
#ifndef CVL_WINOGRAD_OPS_H
#define CVL_WINOGRAD_OPS_H

#include "conv2d.h"

/* The sizes of a form: an m x m tile of outputs of an r x r filter takes n x n positions. */
typedef struct cvl_winograd_sizes {
    ptrdiff_t m, r, n, positions;
} cvl_winograd_sizes;

static inline cvl_winograd_sizes cvl_winograd_sizes_of(cvl_winograd form)
{
    static const cvl_winograd_sizes sizes[] = {
        [CVL_WINOGRAD_4X3] = {4, 3, 6, 36},     [CVL_WINOGRAD_2X5] = {2, 5, 6, 36},
        [CVL_WINOGRAD_3X4] = {3, 4, 6, 36},     [CVL_WINOGRAD_2X3] = {2, 3, 4, 16},
        [CVL_WINOGRAD_STRIDED] = {2, 3, 5, 25}, [CVL_WINOGRAD_FRACTIONAL] = {4, 3, 5, 25},
    };
    return sizes[form];
}

/* A convolution as its forward pass: y (N,OH,OW,groups,OC) of x (N,H,W,groups,C), with `top` rows and
 * `left` columns of zeros before x, of which there may be less than none. */
typedef struct NAME(winograd) {
    cvl_winograd form;
    ptrdiff_t N, H, W, C, OH, OW, OC, groups, top, left;
    int transposed; /* w is (KH,KW,OC,groups,C), not (KH,KW,C,groups,OC), its taps the other way round */
    T *y;
    const T *x, *w;
    const T *u; /* what winograd_pack made of w, or NULL */
    const T *z; /* added to y before its activation, or NULL */
    NAME(epilogue) end;
    double flops;
} NAME(winograd);

/* Elements of a pixel of x and of y. */
static inline ptrdiff_t NAME(winograd_x_pixel)(const NAME(winograd) *f) { return f->groups * f->C; }
static inline ptrdiff_t NAME(winograd_y_pixel)(const NAME(winograd) *f)
{
    return f->groups * f->OC;
}

/* From one plane of so many elements to the next: a line more, lest they meet in the same sets of L1. */
static inline ptrdiff_t NAME(winograd_plane)(ptrdiff_t elements) { return elements + LINE; }

/* Channels in whole vectors of any level. */
static inline ptrdiff_t cvl_winograd_pad(ptrdiff_t channels)
{
    return cvl_ceil_div(channels, 16) * 16;
}

/* Whether groups leave lanes of vectors empty, on any level. */
static inline int NAME(winograd_merges)(const NAME(winograd) *f)
{
    return f->groups > 1 && (f->C % 16 != 0 || f->OC % 16 != 0);
}

/* How many groups go side by side, as channels of one image: three vectors at most of those that leave
 * lanes empty, `others` of those that do not. `least`: how many times of so many there should be; the last
 * may be of fewer. */
static inline ptrdiff_t NAME(winograd_side)(const NAME(winograd) *f, ptrdiff_t others,
                                            ptrdiff_t least)
{
    ptrdiff_t side = NAME(winograd_merges)(f) ? 48 / cvl_max(f->C, f->OC) : others;
    side = cvl_max(1, cvl_min(side, f->groups));
    while (side > 1 && cvl_ceil_div(f->groups, side) < least)
        side--;
    return cvl_ceil_div(f->groups, cvl_ceil_div(f->groups, side));
}

/* The tiles of all images. */
static inline ptrdiff_t NAME(winograd_tiles)(const NAME(winograd) *f)
{
    const ptrdiff_t m = cvl_winograd_sizes_of(f->form).m;
    return f->N * cvl_ceil_div(f->OH, m) * cvl_ceil_div(f->OW, m);
}

/* The tiles of x and of y that belong together, all channels of a group, transforms yet to be placed. */
cvl_winograd_tiles NAME(winograd_tiles_of_x)(const NAME(winograd) *f);
cvl_winograd_tiles NAME(winograd_tiles_of_y)(const NAME(winograd) *f);

/* Whether it beats the direct engine by a margin, with a few tiles at least: winograd.c. */
int NAME(winograd_beats_direct)(const cvl_conv2d_shape *shape, const NAME(winograd) *f,
                                cvl_conv2d_pass pass);

/* y = end(conv(x, w)): winograd_forward.c. */
size_t NAME(winograd_forward_workspace)(const NAME(winograd) *f, int threads);
void NAME(winograd_forward_run)(const NAME(winograd) *f, char *workspace, int threads);

/* What becomes f->u: U or, where that is not kept and many tiles share its making, w as its panels read
 * it. Its bytes; and its making, from f->w. */
size_t NAME(winograd_packed_size)(const NAME(winograd) *f);
void NAME(winograd_pack)(const NAME(winograd) *f, T *u, char *workspace, int threads);

/* dw (KH,KW,C,groups,OC) of x and dy, which has the shape of y: winograd_backward.c. */
size_t NAME(winograd_backward_workspace)(const NAME(winograd) *f, int threads);
void NAME(winograd_backward_run)(const NAME(winograd) *f, T *dw, const T *dy, char *workspace,
                                 int threads);

#endif
