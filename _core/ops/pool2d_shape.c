/* pool2d_shape.c: the output size of a pooling, whatever its type. */
#include "common.h"

/* Windows along one axis; 0 where none fits. */
static ptrdiff_t windows(ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t dilation,
                         ptrdiff_t before, ptrdiff_t after, int ceil_mode)
{
    const ptrdiff_t room = size + before + after - dilation * (kernel - 1) - 1;
    if (room < 0 && !ceil_mode)
        return 0;
    ptrdiff_t count = (ceil_mode ? cvl_ceil_div(room, stride) : room / stride) + 1;
    if ((count - 1) * stride >= size + before)
        count--;
    return count;
}

cvl_status cvl_pool2d_output_shape(const cvl_pool2d *from, ptrdiff_t *OH, ptrdiff_t *OW)
{
    cvl_pool2d d = CVL_POOL2D_INIT;
    if (!cvl_read(&d, from) || !OH || !OW)
        return CVL_ERR_ARGUMENT;
    const ptrdiff_t positive[] = {d.H, d.W, d.C, d.KH, d.KW, d.SH, d.SW, d.DH, d.DW};
    if (d.N < 0 || d.PT < 0 || d.PB < 0 || d.PL < 0 || d.PR < 0 || d.PT > d.KH / 2 ||
        d.PB > d.KH / 2 || d.PL > d.KW / 2 || d.PR > d.KW / 2)
        return CVL_ERR_SHAPE;
    const cvl_status status = cvl_check_sizes(positive, CVL_COUNT(positive), NULL, 0);
    if (status != CVL_OK)
        return status;
    const ptrdiff_t rows = windows(d.H, d.KH, d.SH, d.DH, d.PT, d.PB, d.ceil_mode);
    const ptrdiff_t columns = windows(d.W, d.KW, d.SW, d.DW, d.PL, d.PR, d.ceil_mode);
    if (rows < 1 || columns < 1)
        return CVL_ERR_SHAPE;
    *OH = rows;
    *OW = columns;
    return CVL_OK;
}
