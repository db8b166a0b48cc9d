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
    &NAME(tall_engine),
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
    if (status == CVL_OK)
        cvl_conv2d_flatten(shape);
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

size_t NAME(conv2d_workspace)(const cvl_conv2d_shape *shape, cvl_conv2d_pass pass, int threads)
{
    const char *reason;
    const NAME(conv2d_engine) *engine = NAME(conv2d_engine_of)(shape, pass, &reason);
    return engine && kernels() ? engine->workspace(shape, pass, threads) : 0;
}

/* Gives a call its engine, its threads and its workspace, of `bytes` or what the engine needs, whichever
 * is more. */
static cvl_status prepare(NAME(conv2d_call) *call, size_t bytes, const cvl_exec *run)
{
    const char *reason;
    cvl_exec exec;
    if (!call->engine)
        call->engine = NAME(conv2d_engine_of)(call->shape, call->pass, &reason);
    if (!call->engine)
        return CVL_ERR_ALGORITHM;
    if (!kernels())
        return CVL_ERR_ISA;
    const size_t own =
        call->bytes ? call->bytes : call->engine->workspace(call->shape, call->pass, run->threads);
    const cvl_status status = cvl_read_exec(&exec, run, own > bytes ? own : bytes);
    if (status != CVL_OK)
        return status;
    call->workspace = exec.workspace;
    call->threads = exec.threads;
    return CVL_OK;
}

cvl_status NAME(conv2d_run)(NAME(conv2d_call) call, const cvl_exec *run)
{
    const T *in = call.pass == CVL_CONV2D_FORWARD ? call.x : call.dy;
    const int some = call.shape->d.N > 0;
    if (!run || run->threads < 1 || !(call.w || call.packed) || (some && (!in || !call.out)))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = prepare(&call, 0, run);
    if (status == CVL_OK && some)
        call.engine->run(&call);
    return status;
}

size_t NAME(conv2d_gradients_workspace)(const cvl_conv2d_shape *shape, ptrdiff_t M,
                                        ptrdiff_t channels, int threads)
{
    const size_t dw = NAME(conv2d_workspace)(shape, CVL_CONV2D_BACKWARD_WEIGHTS, threads);
    const size_t db = NAME(column_sums_workspace)(M, channels);
    return dw > db ? dw : db;
}

cvl_status NAME(conv2d_run_gradients)(NAME(conv2d_call) call, T *db, const T *sums, ptrdiff_t M,
                                      ptrdiff_t channels, const cvl_exec *run)
{
    const int some = call.shape->d.N > 0;
    if (!run || run->threads < 1 ||
        (some && ((db && !sums) || (call.out && (!call.x || !call.dy)))))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = prepare(&call, NAME(column_sums_workspace)(M, channels), run);
    if (status != CVL_OK)
        return status;
    if (call.out && some)
        call.engine->run(&call);
    else if (call.out)
        memset(call.out, 0, (size_t)call.shape->w_size * sizeof(T));
    if (db)
        NAME(column_sums)(db, sums, M, channels, call.workspace, call.threads);
    return CVL_OK;
}

/* -------------------------------------------------------------------------- public functions */

size_t NAME(conv2d_forward_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    return read_shape(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, CVL_CONV2D_FORWARD, threads)
               : 0;
}

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
    engine->pack(&(NAME(conv2d_call)){.shape = &shape,
                                      .pass = CVL_CONV2D_FORWARD,
                                      .w = w,
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

/* Where the engine does not add, the sum is a pass of its own. */
cvl_status NAME(conv2d_run_ready)(const NAME(conv2d_ready) *f, T *y,
                                  const NAME(conv2d_operands) *from, const cvl_exec *run)
{
    const cvl_conv2d_shape *shape = &f->shape;
    const int apart = from->z && !f->engine->adds;
    const cvl_activation activation = shape->d.activation;
    const cvl_status status = NAME(conv2d_run)(
        (NAME(conv2d_call)){
            .engine = f->engine,
            .shape = shape,
            .pass = CVL_CONV2D_FORWARD,
            .out = y,
            .x = from->x,
            .w = from->w,
            .packed = from->packed,
            .z = apart ? NULL : from->z,
            .end = {from->b, apart ? CVL_ACTIVATION_NONE : activation, (T)shape->d.slope},
            .bytes = f->bytes,
        },
        run);
    if (status != CVL_OK || !apart)
        return status;
    const ptrdiff_t n = shape->y_size;
    return activation == CVL_ACTIVATION_RELU ? NAME(add_relu)(n, y, y, from->z, run)
                                             : NAME(add)(n, y, y, from->z, run);
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

cvl_status NAME(conv2d_backward_data)(const cvl_conv2d *d, T *dx, const T *dy, const T *w,
                                      const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = read_shape(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_BACKWARD_DATA, .out = dx, .w = w, .dy = dy},
        run);
}

size_t NAME(conv2d_backward_data_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    return read_shape(&shape, d) == CVL_OK
               ? NAME(conv2d_workspace)(&shape, CVL_CONV2D_BACKWARD_DATA, threads)
               : 0;
}

static ptrdiff_t output_pixels(const cvl_conv2d_shape *shape)
{
    return shape->d.N * shape->OH * shape->OW;
}

cvl_status NAME(conv2d_backward_weights)(const cvl_conv2d *d, T *dw, T *db, const T *dy, const T *x,
                                         const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = read_shape(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_gradients)(
        (NAME(conv2d_call)){
            .shape = &shape, .pass = CVL_CONV2D_BACKWARD_WEIGHTS, .out = dw, .x = x, .dy = dy},
        db, dy, output_pixels(&shape), shape.d.OC, run);
}

size_t NAME(conv2d_backward_weights_workspace_size)(const cvl_conv2d *d, int threads)
{
    cvl_conv2d_shape shape;
    return read_shape(&shape, d) == CVL_OK ? NAME(conv2d_gradients_workspace)(
                                                 &shape, output_pixels(&shape), shape.d.OC, threads)
                                           : 0;
}
