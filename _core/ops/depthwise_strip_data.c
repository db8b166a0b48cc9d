/* depthwise_strip_data.c: backward data of depthwise filters of 3x3 taps at stride 2.
 *
 * Input gradients are computed in strips of two rows that read the same two rows of dy.
 *
 * Order of sums: the taps of an input in the order of k. */
#include "depthwise.h"

enum { CACHES = 4 << 20 }; /* bytes of x and y: beyond them fetching pays */

typedef struct strips {
    const cvl_conv2d_shape *shape;
    const NAME(kernels) *kernels;
    cvl_strip_cut cut;
    ptrdiff_t first;      /* strip of an image that has rows of dx */
    ptrdiff_t begin, end; /* blocks of a strip */
    int fetch;
    const T *dy, *w, *bias; /* of a transposed convolution, or NULL */
    T *dx;
} strips;

/* Channels [c, c + channels) of a strip of image n; the first of all begins in the padding, if that
 * is odd. */
static void compute_strip(const strips *s, ptrdiff_t n, ptrdiff_t strip, ptrdiff_t c,
                          ptrdiff_t channels)
{
    const cvl_conv2d *d = &s->shape->d;
    const ptrdiff_t OH = s->shape->OH, OW = s->shape->OW, h = 2 * strip - d->PT;
    const T *dy = s->dy + (n * OH + strip) * OW * d->C + c;
    T *dx = s->dx + (n * d->H + h) * d->W * d->C + c;
    NAME(depthwise_strip_data)
    job = {.x = {strip > 0 ? dy - OW * d->C : NULL, strip < OH ? dy : NULL},
           .w = s->w + c,
           .bias = s->bias ? s->bias + c : NULL,
           .y = {h >= 0 ? dx : NULL, h + 1 < d->H ? dx + d->W * d->C : NULL},
           .begin = s->begin,
           .end = s->end,
           .left = d->PL,
           .W = d->W,
           .OW = OW,
           .step = d->C,
           .channels = channels,
           .fetch = s->fetch};
    s->kernels->depthwise_strip_data(&job);
}

/* Task: a band of strips of an image and a span of channels. */
static void compute(void *context, ptrdiff_t task, ptrdiff_t last_task, int worker)
{
    (void)worker;
    const strips *s = context;
    for (; task < last_task; task++) {
        const cvl_strip_task at = cvl_strip_task_of(&s->cut, s->shape->d.C, task);
        for (ptrdiff_t strip = at.first; strip < at.last; strip++)
            compute_strip(s, at.n, s->first + strip, at.c, at.channels);
    }
}

void NAME(depthwise_strip_data_run)(const NAME(conv2d_call) *call)
{
    const cvl_conv2d_shape *shape = call->shape;
    const cvl_conv2d *d = &shape->d;
    strips s = {.shape = shape,
                .kernels = kernels(),
                .dy = call->dy,
                .w = call->w,
                .bias = call->end.bias,
                .dx = call->out};
    s.fetch = (shape->x_size + shape->y_size) * (ptrdiff_t)sizeof(T) > CACHES;
    s.first = d->PT / 2;
    s.cut = cvl_cut_strips(d->N, (d->H - 1 + d->PT) / 2 + 1 - s.first, d->C, 0);
    s.begin = d->PL / 2;
    s.end = (d->W - 1 + d->PL) / 2 + 1;
    cvl_parallel_sweep(call->threads, s.cut.tasks, shape->flops, CVL_FLUSH, compute, &s);
}
