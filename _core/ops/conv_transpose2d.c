/* conv_transpose2d.c: transposed convolution: the passes of the convolution whose backward pass it
 * is, in other roles. That convolution's x is our y, its y our x. */
#include "columns.h"
#include "conv2d.h"
#include "outer.h"

cvl_status NAME(conv_transpose2d_forward)(const cvl_conv_transpose2d *d, T *y, const T *x,
                                          const T *w, const T *b, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_gather)(NAME(conv2d_backward_gather)(&shape), y, x, w, b, run);
}

size_t NAME(conv_transpose2d_forward_workspace_size)(const cvl_conv_transpose2d *d, int threads)
{
    cvl_conv2d_shape shape;
    if (cvl_conv_transpose2d_read(&shape, d) != CVL_OK)
        return 0;
    const NAME(gather) g = NAME(conv2d_backward_gather)(&shape);
    return NAME(gather_workspace)(&g, threads);
}

cvl_status NAME(conv_transpose2d_backward_data)(const cvl_conv_transpose2d *d, T *dx, const T *dy,
                                                const T *w, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    const cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    return NAME(conv2d_run_gather)(NAME(conv2d_forward_gather)(&shape), dx, dy, w, NULL, run);
}

size_t NAME(conv_transpose2d_backward_data_workspace_size)(const cvl_conv_transpose2d *d,
                                                           int threads)
{
    cvl_conv2d_shape shape;
    if (cvl_conv_transpose2d_read(&shape, d) != CVL_OK)
        return 0;
    const NAME(gather) g = NAME(conv2d_forward_gather)(&shape);
    return NAME(gather_workspace)(&g, threads);
}

static ptrdiff_t pixels_of_dy(const cvl_conv2d_shape *shape)
{
    return shape->d.N * shape->d.H * shape->d.W;
}

static size_t weights_workspace(const cvl_conv2d_shape *shape, int threads)
{
    const size_t dw = NAME(outer_workspace)(shape, threads);
    const size_t db = NAME(column_sums_workspace)(pixels_of_dy(shape), shape->d.C);
    return dw > db ? dw : db;
}

cvl_status NAME(conv_transpose2d_backward_weights)(const cvl_conv_transpose2d *d, T *dw, T *db,
                                                   const T *dy, const T *x, const cvl_exec *run)
{
    cvl_conv2d_shape shape;
    cvl_exec exec;
    cvl_status status = cvl_conv_transpose2d_read(&shape, d);
    if (status != CVL_OK)
        return status;
    if (!run || run->threads < 1 || (shape.d.N > 0 && (!dy || (dw && !x))))
        return CVL_ERR_ARGUMENT;
    status = cvl_read_exec(&exec, run, weights_workspace(&shape, run->threads));
    if (status != CVL_OK)
        return status;
    if (!kernels())
        return CVL_ERR_ISA;
    if (dw)
        NAME(outer_run)(&shape, dw, x, dy, exec.workspace, exec.threads);
    if (db)
        NAME(column_sums)(db, dy, pixels_of_dy(&shape), shape.d.C, exec.workspace, exec.threads);
    return CVL_OK;
}

size_t NAME(conv_transpose2d_backward_weights_workspace_size)(const cvl_conv_transpose2d *d,
                                                              int threads)
{
    cvl_conv2d_shape shape;
    return cvl_conv_transpose2d_read(&shape, d) == CVL_OK ? weights_workspace(&shape, threads) : 0;
}
