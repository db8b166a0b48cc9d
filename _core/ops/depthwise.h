/* depthwise.h: what the engine for groups of one input channel consists of. */
#ifndef CVL_DEPTHWISE_H
#define CVL_DEPTHWISE_H

#include "conv2d.h"

/* Weight gradients: bytes of workspace, and a run. */
size_t NAME(depthwise_sums_workspace)(const cvl_conv2d_shape *shape, int threads);
void NAME(depthwise_sums_run)(const NAME(conv2d_call) *call);

/* Forward and backward data of stride 1 with finite weights: whether they can go this way; bytes of
 * workspace, and a run. */
int NAME(depthwise_pairs_take)(const cvl_conv2d_shape *shape);
size_t NAME(depthwise_pairs_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                       int threads);
void NAME(depthwise_pairs_run)(const NAME(conv2d_call) *call);

/* Filters of 3x3 taps: whether a pass can go this way; forward and backward data, backward data of
 * stride 2, which needs no workspace, and weight gradients: bytes of workspace, and a run. */
int NAME(depthwise_strips_take)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass);
size_t NAME(depthwise_strips_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass,
                                        int threads);
void NAME(depthwise_strips_run)(const NAME(conv2d_call) *call);
void NAME(depthwise_strip_data_run)(const NAME(conv2d_call) *call);
size_t NAME(depthwise_strip_weights_workspace)(const cvl_conv2d_shape *shape, int threads);
void NAME(depthwise_strip_weights_run)(const NAME(conv2d_call) *call);

/* How many of C channels of so many pixels are best copied together before they are read more than once;
 * a divisor of C, or 0 where they are best read as they lie. */
ptrdiff_t NAME(depthwise_copied_channels)(ptrdiff_t C, ptrdiff_t pixels);

/* How the strips of images are cut into tasks: bands of them, of a span of channels. */
typedef struct cvl_strip_cut {
    ptrdiff_t strips, band, bands; /* of an image; strips of a task */
    ptrdiff_t span, spans;         /* channels of a task; the last has what is left besides */
    ptrdiff_t tasks;
} cvl_strip_cut;

/* Bands are no higher than makes tasks enough, if that leaves a strip; else channels are cut. `span`: so
 * many of them whatever the tasks, or 0. */
static inline cvl_strip_cut cvl_cut_strips(ptrdiff_t N, ptrdiff_t strips, ptrdiff_t C,
                                           ptrdiff_t span)
{
    const ptrdiff_t enough = 32, few_channels = 64;
    cvl_strip_cut cut = {.strips = strips};
    cut.span = span ? span : N * strips < enough ? cvl_min(C, few_channels) : C;
    cut.spans = C / cut.span;
    cut.band = cvl_max(1, cvl_min(strips, N * cut.spans * strips / enough));
    cut.bands = cvl_ceil_div(strips, cut.band);
    cut.tasks = N * cut.bands * cut.spans;
    return cut;
}

/* Strips [first, last) of image n, channels [c, c + channels). */
typedef struct cvl_strip_task {
    ptrdiff_t n, first, last, c, channels;
} cvl_strip_task;

static inline cvl_strip_task cvl_strip_task_of(const cvl_strip_cut *cut, ptrdiff_t C,
                                               ptrdiff_t task)
{
    const ptrdiff_t span = task % cut->spans, c = span * cut->span;
    const ptrdiff_t first = task / cut->spans % cut->bands * cut->band;
    return (cvl_strip_task){task / cut->spans / cut->bands, first,
                            cvl_min(cut->strips, first + cut->band), c,
                            span + 1 < cut->spans ? cut->span : C - c};
}

#endif
