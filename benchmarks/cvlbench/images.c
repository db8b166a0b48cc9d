/* images.c: padding, upsampling, adaptive pooling, dropout, concatenation and the padding shortcut. */
#include "bench.h"

typedef struct images {
    cvl_pad2d pad;
    cvl_upsample2d upsample;
    cvl_adaptive_avg_pool2d adaptive;
    cvl_dropout dropout;
    cvl_concat concat;
    cvl_pad_shortcut pad_shortcut;
    ptrdiff_t channels[2]; /* of the parts of a concatenation */
    T *parts[2];
    T *x, *dy, *y, *dx;
} images;

#define BOTH(name, descriptor)                                               \
    static cvl_status name##_forward(const problem *p, int which)            \
    {                                                                        \
        const images *s = p->state;                                          \
        return NAME(name##_forward)(&s->descriptor, s->y, s->x, &p->run);    \
    }                                                                        \
    static cvl_status name##_backward(const problem *p, int which)           \
    {                                                                        \
        const images *s = p->state;                                          \
        return NAME(name##_backward)(&s->descriptor, s->dx, s->dy, &p->run); \
    }
BOTH(pad2d, pad)
BOTH(upsample2d, upsample)
BOTH(adaptive_avg_pool2d, adaptive)
BOTH(pad_shortcut, pad_shortcut)
#undef BOTH

static cvl_status dropout_forward(const problem *p, int which)
{
    const images *s = p->state;
    return NAME(dropout)(&s->dropout, s->y, s->x, &p->run);
}

static cvl_status concat_forward(const problem *p, int which)
{
    const images *s = p->state;
    const T *x[] = {s->parts[0], s->parts[1]};
    return NAME(concat_forward)(&s->concat, s->y, x, &p->run);
}

static cvl_status concat_backward(const problem *p, int which)
{
    const images *s = p->state;
    return NAME(concat_backward)(&s->concat, s->parts, s->y, &p->run);
}

/* The arrays of maps from `inputs` elements to `outputs`, and both passes, which cost as much. */
static void make_maps(problem *p, ptrdiff_t inputs, ptrdiff_t outputs, double flop,
                      cvl_status (*forward)(const problem *p, int which),
                      cvl_status (*backward)(const problem *p, int which))
{
    images *s = p->state;
    s->x = problem_array(p, inputs);
    s->dx = problem_array(p, inputs);
    s->dy = problem_array(p, outputs);
    s->y = problem_array(p, outputs);
    double x = (double)inputs, y = (double)outputs;
    problem_time(p,
                 (contender){.pass = "forward", .call = forward, .cost = {flop, x, y, x + y, 0}});
    problem_time(p,
                 (contender){.pass = "backward", .call = backward, .cost = {flop, y, x, x + y, 0}});
}

static void make_pad2d(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], H = p->n[1], W = p->n[2], C = p->n[3], P = p->n[4];
    s->pad = (cvl_pad2d)CVL_PAD2D_INIT;
    s->pad.N = N;
    s->pad.H = H;
    s->pad.W = W;
    s->pad.C = C;
    s->pad.PT = s->pad.PB = s->pad.PL = s->pad.PR = P;
    s->pad.mode = CVL_PAD_REFLECT;
    problem_workspace(p, NAME(pad2d_workspace_size)(&s->pad, p->run.threads));
    make_maps(p, N * H * W * C, N * (H + 2 * P) * (W + 2 * P) * C, 0, pad2d_forward,
              pad2d_backward);
}

static void make_upsample2d(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], H = p->n[1], W = p->n[2], C = p->n[3], S = p->n[4];
    s->upsample = (cvl_upsample2d)CVL_UPSAMPLE2D_INIT;
    s->upsample.N = N;
    s->upsample.H = H;
    s->upsample.W = W;
    s->upsample.C = C;
    s->upsample.SH = s->upsample.SW = S;
    s->upsample.mode = (cvl_upsample_mode)p->kind;
    problem_workspace(p, NAME(upsample2d_workspace_size)(&s->upsample, p->run.threads));
    ptrdiff_t outputs = N * H * S * W * S * C;
    /* Between two columns of two rows, then between the rows. */
    double flop = p->kind == CVL_UPSAMPLE_BILINEAR ? 9 * (double)outputs : 0;
    make_maps(p, N * H * W * C, outputs, flop, upsample2d_forward, upsample2d_backward);
}

static void make_adaptive(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], H = p->n[1], W = p->n[2], C = p->n[3], OH = p->n[4], OW = p->n[5];
    s->adaptive = (cvl_adaptive_avg_pool2d)CVL_ADAPTIVE_AVG_POOL2D_INIT;
    s->adaptive.N = N;
    s->adaptive.H = H;
    s->adaptive.W = W;
    s->adaptive.C = C;
    s->adaptive.OH = OH;
    s->adaptive.OW = OW;
    problem_workspace(p, NAME(adaptive_avg_pool2d_workspace_size)(&s->adaptive, p->run.threads));
    make_maps(p, N * H * W * C, N * OH * OW * C, (double)(N * H * W * C),
              adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward);
}

/* Its random numbers are integers: they count as no operations, though they take most of the time. */
static void make_dropout(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], M = p->n[1], C = p->n[2];
    s->dropout = (cvl_dropout)CVL_DROPOUT_INIT;
    s->dropout.N = N;
    s->dropout.M = M;
    s->dropout.C = C;
    s->dropout.p = 0.5;
    s->x = problem_array(p, N * M * C);
    s->y = problem_array(p, N * M * C);
    problem_workspace(p, NAME(dropout_workspace_size)(&s->dropout, p->run.threads));
    double x = (double)(N * M * C);
    problem_time(
        p, (contender){.pass = "forward", .call = dropout_forward, .cost = {x, x, x, 2 * x, 0}});
}

/* Two parts. */
static void make_concat(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t M = p->n[0], y = M * (p->n[1] + p->n[2]);
    s->concat = (cvl_concat)CVL_CONCAT_INIT;
    s->concat.M = M;
    s->concat.parts = 2;
    s->concat.C = s->channels;
    for (int i = 0; i < 2; i++) {
        s->channels[i] = p->n[1 + i];
        s->parts[i] = problem_array(p, M * s->channels[i]);
    }
    s->y = problem_array(p, y);
    double moved = (double)y;
    problem_time(p, (contender){.pass = "forward",
                                .call = concat_forward,
                                .cost = {0, moved, moved, 2 * moved, 0}});
    problem_time(p, (contender){.pass = "backward",
                                .call = concat_backward,
                                .cost = {0, moved, moved, 2 * moved, 0}});
}

/* Of x, what is not read counts too: it shares the lines of memory. */
static void make_pad_shortcut(problem *p)
{
    images *s = p->state = problem_memory(p, sizeof *s);
    ptrdiff_t N = p->n[0], H = p->n[1], W = p->n[2], C = p->n[3], OC = p->n[4], S = p->n[5];
    s->pad_shortcut = (cvl_pad_shortcut)CVL_PAD_SHORTCUT_INIT;
    s->pad_shortcut.N = N;
    s->pad_shortcut.H = H;
    s->pad_shortcut.W = W;
    s->pad_shortcut.C = C;
    s->pad_shortcut.OC = OC;
    s->pad_shortcut.SH = s->pad_shortcut.SW = S;
    make_maps(p, N * H * W * C, N * ((H + S - 1) / S) * ((W + S - 1) / S) * OC, 0,
              pad_shortcut_forward, pad_shortcut_backward);
}

const operation OPERATORS(images)[] = {
    {"pad2d", "N H W C P", make_pad2d, 0},
    {"upsample2d", "N H W C S", make_upsample2d, CVL_UPSAMPLE_BILINEAR},
    {"upsample2d_nearest", "N H W C S", make_upsample2d, CVL_UPSAMPLE_NEAREST},
    {"adaptive_avg_pool2d", "N H W C OH OW", make_adaptive, 0},
    {"dropout", "N M C", make_dropout, 0},
    {"concat", "M C1 C2", make_concat, 0},
    {"pad_shortcut", "N H W C OC S", make_pad_shortcut, 0},
    {NULL, NULL, NULL, 0}};
