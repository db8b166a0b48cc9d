/* taps.h: which inputs an output position reads, and the output positions sorted by that.
 *
 * Along one axis the taps that an output reads inside the input are neighbours, low <= t < high, and
 * neighbouring outputs mostly have the same. Such a stretch is a span; a span of rows and a span of
 * columns make a class, all of whose positions read the same taps. */
#ifndef CVL_TAPS_H
#define CVL_TAPS_H

#include "shapes.h"

/* Outputs first .. first + count - 1 of an axis have the taps low .. high - 1 inside the input. */
typedef struct cvl_span {
    ptrdiff_t first, count, low, high;
} cvl_span;

/* The outputs of one axis with the same remainder modulo the stride; a forward convolution has one
 * phase. Its output g lies at first + g*step and reads, with tap t, the input at
 * g*in_step + d0 + t*d_step, by the kernel index k0 + t*k_step. */
typedef struct cvl_phase {
    ptrdiff_t grid; /* outputs */
    ptrdiff_t first, step;
    ptrdiff_t size; /* inputs */
    ptrdiff_t in_step, d0, d_step;
    ptrdiff_t taps, k0, k_step;
    cvl_span *span;
    ptrdiff_t spans;
    ptrdiff_t inside; /* taps inside the input, of all outputs together, */
    ptrdiff_t apart;  /* and of one output of each span */
} cvl_phase;

/* All output positions of a batch, by phases, sets of neighbouring images, and classes. A position
 * costs 1, plus `per_tap` for each of its taps. */
typedef struct cvl_positions {
    ptrdiff_t N, images; /* images of a set */
    double per_tap;
    ptrdiff_t phases[2]; /* of rows and columns */
    cvl_phase *phase[2];
} cvl_positions;

/* Position q of a class, in the set of images that begins with `image`: the class's positions are
 * in the order of images, rows, columns. */
typedef struct cvl_place {
    ptrdiff_t phase[2], image, span[2], q;
} cvl_place;

/* Lays out the positions of forward convolution, or of backward data, and lists their spans unless
 * scratch->base is NULL. */
cvl_positions cvl_list_positions(cvl_scratch *scratch, const cvl_conv2d_shape *shape,
                                 int backward_data, double per_tap);

/* Whether a pass takes less time with the padding written out: more taps, but in fewer tiles, each of which
 * reads weights, which may come from `far`. */
int cvl_pays_to_pad(const cvl_conv2d_shape *shape, int backward_data, int far);

/* The padding of what a pass reads. */
typedef struct cvl_padding {
    cvl_conv2d_shape shape; /* that has it written out: all positions of a phase are of one class */
    ptrdiff_t rows, columns; /* of the input */
    ptrdiff_t padded_rows, padded_columns;
    ptrdiff_t before[2]; /* rows and columns of padding that come first */
} cvl_padding;

cvl_padding cvl_make_padding(const cvl_conv2d_shape *shape, int backward_data);

/* Copies an input with its padding, of pixels of so many bytes. */
void cvl_pad_input(const cvl_padding *p, size_t pixel, char *out, const char *in);

/* The phase and the span of an axis (0 rows, 1 columns) at a place. */
static inline const cvl_phase *cvl_phase_at(const cvl_positions *p, const cvl_place *at, int axis)
{
    return &p->phase[axis][at->phase[axis]];
}
static inline const cvl_span *cvl_span_at(const cvl_positions *p, const cvl_place *at, int axis)
{
    return &cvl_phase_at(p, at, axis)->span[at->span[axis]];
}

/* Positions of the class at a place. */
ptrdiff_t cvl_class_size(const cvl_positions *p, const cvl_place *at);

/* The place with `share` (0 to 1) of the cost before it; q is a multiple of `quantum`, or the size of
 * the class. */
cvl_place cvl_place_of_share(const cvl_positions *p, double share, ptrdiff_t quantum);

/* Whether two places lie in the same class of the same images. */
int cvl_same_class(const cvl_place *a, const cvl_place *b);

/* The first position of the next class; there is one. */
void cvl_next_class(const cvl_positions *p, cvl_place *at);

#endif
