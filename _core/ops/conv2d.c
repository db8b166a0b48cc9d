/* conv2d.c: convolution: which engine computes a pass, and the public functions. */
#include "conv2d.h"

#include "columns.h"

/* ------------------------------------------------------------------------- the engine of a pass */

/* Fastest first; the last serves everything. */
static const NAME(conv2d_engine) *const engines[] = {
#ifdef CVL_F32
    &NAME(winograd_phases_engine),
    &NAME(winograd_engine),
    &NAME(winograd2_engine),
#endif
    &NAME(pixels_engine),
    &NAME(depthwise_engine),
    &NAME(planes_engine),
    &NAME(stem_engine),
    &NAME(cells_engine),
    &NAME(row_engine),
    &NAME(dot_engine),
    &NAME(stream_engine),
    &NAME(tall_engine),
#ifdef CVL_F32
    &NAME(few_engine),
#endif
    &NAME(product_engine),
    &NAME(direct_engine),
};

const NAME(conv2d_engine) *NAME(conv2d_engine_of)(const cvl_conv2d_shape *shape,
                                                  cvl_conv2d_pass pass, const char **reason)
{
    const cvl_conv2d_algorithm wanted = shape->d.algorithm;
    *reason = "this build has no such path for this type";
    for (int i = 0; i < CVL_COUNT(engines); i++) {
        const NAME(conv2d_engine) *engine = engines[i];
        if (wanted != CVL_CONV2D_AUTO && engine->algorithm != wanted)
            continue;
        const char *refusal = engine->refuses(shape, pass);
        if (refusal) {
            *reason = refusal;
            continue;
        }
        /* Winograd by name is taken even where it does not pay. "im2col" has several engines, of which
         * the first that pays is taken. */
        if ((wanted == CVL_CONV2D_AUTO || wanted == CVL_CONV2D_IM2COL) && engine->pays &&
            !engine->pays(shape, pass))
            continue;
        *reason = wanted == CVL_CONV2D_AUTO ? engine->reason : "it was asked for";
        return engine;
    }
    return NULL;
}

/* Reads a descriptor as the engines see it. */
static cvl_status read_shape(cvl_conv2d_shape *shape, const cvl_conv2d *d)
{
    const cvl_status status = cvl_conv2d_read(shape, d);
    if (status == CVL_OK) {
        cvl_conv2d_trim(shape);
        cvl_conv2d_flatten(shape);
    }
    return status;
}

cvl_status NAME(conv2d_choose)(const cvl_conv2d *d, cvl_conv2d_pass pass,
                               cvl_conv2d_algorithm *chosen, const char **reason)
{
    cvl_conv2d_shape shape;
    const cvl_status status = read_shape(&shape, d);
    if (status != CVL_OK)
        return status;
    if (!chosen || pass < CVL_CONV2D_FORWARD || pass > CVL_CONV2D_BACKWARD_WEIGHTS)
        return CVL_ERR_ARGUMENT;
    const char *why;
    const NAME(conv2d_engine) *engine = NAME(conv2d_engine_of)(&shape, pass, &why);
    if (reason)
        *reason = why;
    if (!engine)
        return CVL_ERR_ALGORITHM;
    *chosen = engine->algorithm;
    return CVL_OK;
}

/* What db is a sum of, over pixels: (pixels, channels), the gradient of y as callers know it. */
typedef struct bias_terms {
    const T *dy;
    ptrdiff_t pixels, channels;
} bias_terms;

static bias_terms terms_of(const cvl_conv2d_shape *shape, const T *x, const T *dy)
{
    const cvl_conv2d *d = &shape->d;
    return shape->transposed ? (bias_terms){x, d->N * d->H * d->W, d->C}
                             : (bias_terms){dy, d->N * shape->OH * shape->OW, d->OC};
}

/* The workspace of a pass whose engine needs so many bytes. */
static size_t workspace_with_db(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, size_t bytes)
{
    if (pass != CVL_CONV2D_BACKWARD_WEIGHTS)
        return bytes;
    const bias_terms terms = terms_of(shape, NULL, NULL);
    const size_t db = NAME(column_sums_workspace)(terms.pixels, terms.channels);
    return bytes > db ? bytes : db;
}

size_t NAME(conv2d_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const char *reason;
    const NAME(conv2d_engine) *engine = NAME(conv2d_engine_of)(shape, pass, &reason);
    const size_t bytes =
        engine && kernels() ? engine->workspace(shape, pass, threads > 1 ? threads : 1) : 0;
    return workspace_with_db(shape, pass, bytes);
}

static int has_arrays(const NAME(conv2d_call) *call, const bias_terms *terms)
{
    const int some = call->shape->d.N > 0;
    if (call->pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        return !some || ((!call->db || terms->dy) && (!call->out || (call->x && call->dy)));
    const T *in = call->pass == CVL_CONV2D_FORWARD ? call->x : call->dy;
    return (call->w || call->packed) && (!some || (in && call->out));
}

enum { PIECE = 65536 }; /* elements of a task that clears some */

typedef struct clearing {
    T *out;
    ptrdiff_t size;
} clearing;

static void clear_pieces(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const clearing *c = context;
    const ptrdiff_t first = begin * PIECE, n = cvl_min(end * PIECE, c->size) - first;
    (void)worker;
    memset(c->out + first, 0, (size_t)n * sizeof(T));
}

static void clear(T *out, ptrdiff_t size, int threads)
{
    clearing c = {out, size};
    if (size > 0)
        cvl_parallel_for(threads, cvl_ceil_div(size, PIECE), (double)size * sizeof(T), CVL_FLUSH,
                         clear_pieces, &c);
}

/* Sets to 0 the gradients that no sum is for: of taps that were left out, or of an empty batch all.
 * Returns where the others begin. */
static T *clear_other_weights(const cvl_conv2d_shape *shape, T *dw, int threads)
{
    T *const sums = dw + shape->w_before;
    clear(dw, shape->w_before, threads);
    clear(sums + shape->w_size, shape->w_after, threads);
    if (shape->d.N == 0)
        clear(sums, shape->w_size, threads);
    return sums;
}

cvl_status NAME(conv2d_run)(NAME(conv2d_call) *call, const cvl_exec *run)
{
    const cvl_conv2d_shape *shape = call->shape;
    const bias_terms terms = terms_of(shape, call->x, call->dy);
    const char *reason;
    cvl_exec exec;
    if (!run || run->threads < 1 || !has_arrays(call, &terms))
        return CVL_ERR_ARGUMENT;
    if (!call->engine)
        call->engine = NAME(conv2d_engine_of)(shape, call->pass, &reason);
    if (!call->engine)
        return CVL_ERR_ALGORITHM;
    if (!kernels())
        return CVL_ERR_ISA;
    const size_t bytes =
        call->bytes ? call->bytes : call->engine->workspace(shape, call->pass, run->threads);
    const cvl_status status =
        cvl_read_exec(&exec, run, workspace_with_db(shape, call->pass, bytes));
    if (status != CVL_OK)
        return status;
    call->workspace = exec.workspace;
    call->threads = exec.threads;
    if (call->w)
        call->w += shape->w_before;
    if (call->out && call->pass == CVL_CONV2D_BACKWARD_WEIGHTS)
        call->out = clear_other_weights(shape, call->out, call->threads);
    if (call->out && shape->d.N > 0)
        call->engine->run(call);
    if (call->db)
        NAME(column_sums)(call->db, terms.dy, terms.pixels, terms.channels, exec.workspace,
                          exec.threads);
    return CVL_OK;
}

/* -------------------------------------------------------------------------- public functions */

/* The engine of a forward pass if it packs weights, or NULL. */
static const NAME(conv2d_engine) *packing_engine(const cvl_conv2d_shape *shape)
{
    const char *reason;
    const NAME(conv2d_engine) *engine = NAME(conv2d_engine_of)(shape, CVL_CONV2D_FORWARD, &reason);
    return engine && engine->pack && kernels() && engine->packed_size(shape) > 0 ? engine : NULL;
}

size_t NAME(conv2d_packed_size)(const cvl_conv2d *d)
{
    cvl_conv2d_shape shape;
    if (read_shape(&shape, d) != CVL_OK)
        return 0;
    const NAME(conv2d_engine) *engine = packing_engine(&shape);
    cvl_scratch scratch = {NULL, 0};
    if (engine)
        cvl_carve(&scratch, engine->packed_size(&shape));
    return scratch.used;
}

cvl_status NAME(conv2d_pack)(const cvl_conv2d *d, void *packed, const T *w, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    cvl_exec exec;
    cvl_status status = read_shape(&shape, d);
    if (status != CVL_OK)
        return status;
    const NAME(conv2d_engine) *engine = packing_engine(&shape);
    if (!engine)
        return CVL_ERR_ALGORITHM;
    if (!packed || !w || !run || run->threads < 1)
        return CVL_ERR_ARGUMENT;
    status = cvl_read_exec(&exec, run, engine->workspace(&shape, CVL_CONV2D_FORWARD, run->threads));
    if (status != CVL_OK)
        return status;
    engine->pack(&(NAME(conv2d_call)){.engine = engine,
                                      .shape = &shape,
                                      .pass = CVL_CONV2D_FORWARD,
                                      .w = w + shape.w_before,
                                      .workspace = exec.workspace,
                                      .threads = exec.threads},
                 packed);
    return CVL_OK;
}

cvl_status NAME(conv2d_make_ready)(NAME(conv2d_ready) *f, const cvl_conv2d *d, int packed)
{
    const char *reason;
    f->bytes = 0;
    const cvl_status status = read_shape(&f->shape, d);
    if (status != CVL_OK)
        return status;
    f->engine = packed ? packing_engine(&f->shape)
                       : NAME(conv2d_engine_of)(&f->shape, CVL_CONV2D_FORWARD, &reason);
    return f->engine ? CVL_OK : CVL_ERR_ALGORITHM;
}

size_t NAME(conv2d_no_workspace)(const cvl_conv2d_shape *shape, int threads)
{
    (void)shape;
    (void)threads;
    return 0;
}

/* Where the engine does not add, the sum is a pass of its own, from the workspace to y. */
size_t NAME(conv2d_sum_workspace)(const NAME(conv2d_ready) *f, int threads)
{
    cvl_scratch scratch = {NULL, 0};
    cvl_carve(&scratch, f->engine->sum_workspace ? f->engine->sum_workspace(&f->shape, threads)
                                                 : (size_t)f->shape.y_size * sizeof(T));
    return scratch.used;
}

cvl_status NAME(conv2d_run_ready)(const NAME(conv2d_ready) *f, T *y,
                                  const NAME(conv2d_operands) *from, const cvl_exec *run)
{
    const cvl_conv2d_shape *shape = &f->shape;
    const cvl_activation activation = shape->d.activation;
    const int apart = from->z && !f->engine->sum_workspace;
    cvl_exec exec;
    cvl_status status = cvl_read_exec(&exec, run, 0);
    const size_t bytes = from->z ? NAME(conv2d_sum_workspace)(f, exec.threads) : 0;
    if (status == CVL_OK && bytes > 0)
        status = cvl_read_exec(&exec, run, bytes);
    if (status != CVL_OK)
        return status;
    char *sums = exec.workspace;
    if (bytes > 0) {
        exec.workspace = sums + bytes;
        exec.workspace_bytes -= bytes;
    }
    T *product = apart ? (T *)(void *)sums : y;
    status = NAME(conv2d_run)(
        &(NAME(conv2d_call)){
            .engine = f->engine,
            .shape = shape,
            .pass = CVL_CONV2D_FORWARD,
            .out = product,
            .x = from->x,
            .w = from->w,
            .packed = from->packed,
            .z = apart ? NULL : from->z,
            .end = {from->b, apart ? CVL_ACTIVATION_NONE : activation, (T)shape->d.slope},
            .sum_workspace = sums,
            .bytes = f->bytes,
        },
        &exec);
    if (status != CVL_OK || !apart)
        return status;
    const ptrdiff_t n = shape->y_size;
    return activation == CVL_ACTIVATION_RELU ? NAME(add_relu)(n, y, product, from->z, run)
                                             : NAME(add)(n, y, product, from->z, run);
}

/* A forward pass of which nothing is known yet. */
static cvl_status run_forward(const cvl_conv2d *d, T *y, const NAME(conv2d_operands) *from,
                              const cvl_exec *run)
{
    NAME(conv2d_ready) f;
    const cvl_status status = NAME(conv2d_make_ready)(&f, d, from->packed != NULL);
    return status == CVL_OK ? NAME(conv2d_run_ready)(&f, y, from, run) : status;
}

cvl_status NAME(conv2d_forward)(const cvl_conv2d *d, T *y, const T *x, const T *w, const T *b,
                                const cvl_exec *run)
{
    return run_forward(d, y, &(NAME(conv2d_operands)){.x = x, .w = w, .b = b}, run);
}

cvl_status NAME(conv2d_forward_packed)(const cvl_conv2d *d, T *y, const T *x, const void *packed,
                                       const T *b, const cvl_exec *run)
{
    return run_forward(d, y, &(NAME(conv2d_operands)){.x = x, .packed = packed, .b = b}, run);
}

static cvl_status run_pass(const cvl_conv2d *d, NAME(conv2d_call) call, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = read_shape(&shape, d);
    call.shape = &shape;
    return status == CVL_OK ? NAME(conv2d_run)(&call, run) : status;
}

cvl_status NAME(conv2d_backward_data)(const cvl_conv2d *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    return run_pass(
        d, (NAME(conv2d_call)){.pass = CVL_CONV2D_BACKWARD_DATA, .out = dx, .w = w, .dy = dy}, run);
}

cvl_status NAME(conv2d_backward_weights)(const cvl_conv2d *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    return run_pass(d,
                    (NAME(conv2d_call)){
                        .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .db = db, .x = x, .dy = dy},
                    run);
}

static size_t workspace_size(const cvl_conv2d *d, cvl_conv2d_pass pass, int threads)
{
    cvl_conv2d_shape shape;
    return read_shape(&shape, d) == CVL_OK ? NAME(conv2d_workspace)(&shape, pass, threads) : 0;
}

size_t NAME(conv2d_forward_workspace_size)(const cvl_conv2d *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_FORWARD, threads);
}

size_t NAME(conv2d_backward_data_workspace_size)(const cvl_conv2d *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_DATA, threads);
}

size_t NAME(conv2d_backward_weights_workspace_size)(const cvl_conv2d *d, int threads)
{
    return workspace_size(d, CVL_CONV2D_BACKWARD_WEIGHTS, threads);
}
