/* shapes.c: see shapes.h. */
#include "shapes.h"

#include <math.h>

/* Output positions along one axis; 0 where the kernel does not fit. Sizes are at most
 * CVL_SIZE_LIMIT, so nothing here overflows. */
static ptrdiff_t output_size(ptrdiff_t size, ptrdiff_t padding, ptrdiff_t kernel,
                             ptrdiff_t dilation, ptrdiff_t stride)
{
    ptrdiff_t reach = dilation * (kernel - 1) + 1;
    return size + padding < reach ? 0 : (size + padding - reach) / stride + 1;
}

static int known_algorithm(cvl_conv2d_algorithm algorithm)
{
    return algorithm >= CVL_CONV2D_AUTO && algorithm <= CVL_CONV2D_WINOGRAD2;
}

/* Fills in what follows from the descriptor and the output's size. */
static cvl_status count_elements(cvl_conv2d_shape *shape)
{
    const cvl_conv2d *d = &shape->d;
    if (!CVL_PRODUCT(&shape->x_size, d->N, d->H, d->W, d->C) ||
        !CVL_PRODUCT(&shape->w_size, d->KH, d->KW, d->C / d->groups, d->OC) ||
        !CVL_PRODUCT(&shape->y_size, d->N, shape->OH, shape->OW, d->OC))
        return CVL_ERR_OVERFLOW;
    shape->flops = 2.0 * (double)shape->y_size * (double)(shape->w_size / d->OC);
    return CVL_OK;
}

cvl_status cvl_conv2d_read(cvl_conv2d_shape *shape, const cvl_conv2d *from)
{
    cvl_conv2d d = CVL_CONV2D_INIT;
    if (!cvl_read(&d, from) || d.activation < CVL_ACTIVATION_NONE ||
        d.activation > CVL_ACTIVATION_RELU6 || !isfinite(d.slope) || !known_algorithm(d.algorithm))
        return CVL_ERR_ARGUMENT;
    const ptrdiff_t positive[] = {d.H,  d.W,  d.C,  d.OC, d.KH,    d.KW,
                                  d.SH, d.SW, d.DH, d.DW, d.groups};
    const ptrdiff_t others[] = {d.N, d.PT, d.PB, d.PL, d.PR};
    const cvl_status status =
        cvl_check_sizes(positive, CVL_COUNT(positive), others, CVL_COUNT(others));
    if (status != CVL_OK)
        return status;
    if (d.C % d.groups != 0 || d.OC % d.groups != 0)
        return CVL_ERR_SHAPE;
    *shape = (cvl_conv2d_shape){.d = d};
    shape->OH = output_size(d.H, d.PT + d.PB, d.KH, d.DH, d.SH);
    shape->OW = output_size(d.W, d.PL + d.PR, d.KW, d.DW, d.SW);
    return shape->OH < 1 || shape->OW < 1 ? CVL_ERR_SHAPE : count_elements(shape);
}

/* Whether the taps may be taken otherwise: Winograd's transforms are of those it is asked for. */
static int free_taps(const cvl_conv2d *d)
{
    return d->algorithm == CVL_CONV2D_AUTO || d->algorithm == CVL_CONV2D_IM2COL;
}

/* An axis of a convolution: what is read and written, and its taps. */
typedef struct axis {
    ptrdiff_t in, out, taps, stride, dilation, before, after;
} axis;

/* Whether the first taps of an axis, or the last, meet only padding. */
static int has_idle_taps(const axis *a)
{
    return a->before > (a->out - 1) * a->stride ||
           a->in - 1 + a->before < (a->taps - 1) * a->dilation;
}

/* Leaves out the first taps of an axis and the last that meet only padding, if there is padding to leave
 * out as well; returns how many of the first. */
static ptrdiff_t trim_axis(axis *a)
{
    const ptrdiff_t low = a->before - (a->out - 1) * a->stride, high = a->in - 1 + a->before;
    const ptrdiff_t first = cvl_max(0, cvl_ceil_div(low, a->dilation));
    const ptrdiff_t last = cvl_min(a->taps - 1, high / a->dilation);
    const ptrdiff_t before = first * a->dilation, after = (a->taps - 1 - last) * a->dilation;
    if (last < first || before > a->before || after > a->after)
        return 0;
    a->taps = last - first + 1;
    a->before -= before;
    a->after -= after;
    return first;
}

void cvl_conv2d_trim(cvl_conv2d_shape *shape)
{
    cvl_conv2d *d = &shape->d;
    axis rows = {d->H, shape->OH, d->KH, d->SH, d->DH, d->PT, d->PB};
    axis columns = {d->W, shape->OW, d->KW, d->SW, d->DW, d->PL, d->PR};
    if (!free_taps(d) || !(has_idle_taps(&rows) || has_idle_taps(&columns)))
        return; /* as nearly always: a small call should not pay for divisions */
    const ptrdiff_t tap_size = d->C / d->groups * d->OC, all = shape->w_size;
    shape->w_before = trim_axis(&rows) * d->KW * tap_size;
    d->KH = rows.taps;
    d->PT = rows.before;
    d->PB = rows.after;
    if (d->KH == 1) {
        shape->w_before += trim_axis(&columns) * tap_size;
        d->KW = columns.taps;
        d->PL = columns.before;
        d->PR = columns.after;
    }
    shape->w_size = d->KH * d->KW * tap_size;
    shape->w_after = all - shape->w_before - shape->w_size;
    shape->flops = 2.0 * (double)shape->y_size * (double)(shape->w_size / d->OC);
}

/* Whether the kernel is as large as the image, which it then covers once: a position is a channel. */
static int is_dense(const cvl_conv2d *d)
{
    return d->KH == d->H && d->KW == d->W && d->groups == 1 && (d->PT | d->PB | d->PL | d->PR) == 0;
}

void cvl_conv2d_flatten(cvl_conv2d_shape *shape)
{
    cvl_conv2d *d = &shape->d;
    if (free_taps(d) && is_dense(d)) {
        d->C *= d->KH * d->KW;
        d->H = d->W = d->KH = d->KW = d->SH = d->SW = 1;
    }
    if (d->KH == 1 && d->KW == 1 && d->SH == 1 && d->SW == 1 &&
        (d->PT | d->PB | d->PL | d->PR) == 0 && d->N > 0) {
        d->W *= d->H * d->N;
        d->H = d->N = 1;
        shape->OH = 1;
        shape->OW = d->W;
    }
}

cvl_status cvl_linear_read(cvl_conv2d_shape *shape, const cvl_linear *from)
{
    cvl_linear d = CVL_LINEAR_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    const cvl_status status = cvl_check_sizes((const ptrdiff_t[]){d.IN, d.OUT}, 2, &d.M, 1);
    if (status != CVL_OK)
        return status;
    *shape = (cvl_conv2d_shape){.d = CVL_CONV2D_INIT};
    shape->d.N = d.M > 0;
    shape->d.W = shape->OW = cvl_max(d.M, 1);
    shape->d.H = shape->OH = shape->d.KH = shape->d.KW = 1;
    shape->d.C = d.IN;
    shape->d.OC = d.OUT;
    if (!CVL_PRODUCT(&shape->x_size, d.M, d.IN) || !CVL_PRODUCT(&shape->w_size, d.IN, d.OUT) ||
        !CVL_PRODUCT(&shape->y_size, d.M, d.OUT))
        return CVL_ERR_OVERFLOW;
    shape->flops = 2.0 * (double)shape->y_size * (double)d.IN;
    return CVL_OK;
}

cvl_status cvl_conv2d_output_shape(const cvl_conv2d *from, ptrdiff_t *OH, ptrdiff_t *OW)
{
    cvl_conv2d_shape shape;
    cvl_status status = OH && OW ? cvl_conv2d_read(&shape, from) : CVL_ERR_ARGUMENT;
    if (status == CVL_OK) {
        *OH = shape.OH;
        *OW = shape.OW;
    }
    return status;
}

/* Output positions of a transposed convolution along one axis, which may be fewer than 1. */
static ptrdiff_t spread_size(ptrdiff_t size, ptrdiff_t padding, ptrdiff_t kernel,
                             ptrdiff_t dilation, ptrdiff_t stride, ptrdiff_t extra)
{
    return (size - 1) * stride + dilation * (kernel - 1) + 1 + extra - padding;
}

cvl_status cvl_conv_transpose2d_read(cvl_conv2d_shape *shape, const cvl_conv_transpose2d *from)
{
    cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
    if (!cvl_read(&d, from) || !known_algorithm(d.algorithm))
        return CVL_ERR_ARGUMENT;
    const ptrdiff_t positive[] = {d.H,  d.W,  d.C,  d.OC, d.KH,    d.KW,
                                  d.SH, d.SW, d.DH, d.DW, d.groups};
    const ptrdiff_t others[] = {d.N, d.PT, d.PB, d.PL, d.PR, d.OPH, d.OPW};
    const cvl_status status =
        cvl_check_sizes(positive, CVL_COUNT(positive), others, CVL_COUNT(others));
    if (status != CVL_OK)
        return status;
    if (d.C % d.groups != 0 || d.OC % d.groups != 0 || d.OPH >= cvl_max(d.SH, d.DH) ||
        d.OPW >= cvl_max(d.SW, d.DW))
        return CVL_ERR_SHAPE;
    const ptrdiff_t rows = spread_size(d.H, d.PT + d.PB, d.KH, d.DH, d.SH, d.OPH);
    const ptrdiff_t columns = spread_size(d.W, d.PL + d.PR, d.KW, d.DW, d.SW, d.OPW);
    if (rows < 1 || columns < 1)
        return CVL_ERR_SHAPE;
    if (rows > CVL_SIZE_LIMIT || columns > CVL_SIZE_LIMIT)
        return CVL_ERR_OVERFLOW;
    *shape = (cvl_conv2d_shape){.transposed = 1, .OH = d.H, .OW = d.W};
    shape->d = (cvl_conv2d){
        .size = sizeof shape->d,
        .N = d.N,
        .H = rows,
        .W = columns,
        .C = d.OC,
        .OC = d.C,
        .KH = d.KH,
        .KW = d.KW,
        .SH = d.SH,
        .SW = d.SW,
        .DH = d.DH,
        .DW = d.DW,
        .PT = d.PT,
        .PB = d.PB,
        .PL = d.PL,
        .PR = d.PR,
        .groups = d.groups,
        .algorithm = d.algorithm,
    };
    /* Output padding could make a 1x1 convolution read fewer pixels than it writes. */
    const cvl_status counted = count_elements(shape);
    if (counted == CVL_OK && rows == d.H && columns == d.W)
        cvl_conv2d_flatten(shape);
    return counted;
}

cvl_status cvl_conv_transpose2d_output_shape(const cvl_conv_transpose2d *from, ptrdiff_t *OH,
                                             ptrdiff_t *OW)
{
    cvl_conv_transpose2d d = CVL_CONV_TRANSPOSE2D_INIT;
    cvl_conv2d_shape shape;
    const cvl_status status = OH && OW ? cvl_conv_transpose2d_read(&shape, from) : CVL_ERR_ARGUMENT;
    if (status == CVL_OK) {
        cvl_read(&d, from);
        *OH = spread_size(d.H, d.PT + d.PB, d.KH, d.DH, d.SH, d.OPH);
        *OW = spread_size(d.W, d.PL + d.PR, d.KW, d.DW, d.SW, d.OPW);
    }
    return status;
}
