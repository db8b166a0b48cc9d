/* resample.c: padding, upsampling and adaptive average pooling, forward and backward: one linear
 * map of images, made of one map for the rows and one for the columns (axis_map.h).
 *
 * A task is a row of outputs; where there are few, it is cut by channels. Backward passes take the
 * transposed maps: every input gathers from its outputs, so no two tasks write to one place. A row of the
 * taps of the one before it, as of nearest upsampling, is a copy of that, and what padding only moves is
 * copied. */
#include "axis_map.h"
#include "op.h"

enum { FEW_TASKS = 16, CHANNELS = 64 };

/* A checked call, but for its arrays. */
typedef struct resampling {
    ptrdiff_t N, C;
    cvl_axis_rule rows, columns;
    double empty;
    int mean;   /* forward: divide by the number of taps */
    int copies; /* most outputs are copies of inputs */
    cvl_subnormals subnormals;
} resampling;

/* Columns of outputs that are copies of columns of inputs. */
typedef struct copied {
    ptrdiff_t begin, end, from;
} copied;

typedef struct job {
    cvl_resample map;
    copied copied;              /* where the row is a copy, too; */
    cvl_resample left, right;   /* the columns beside it */
    ptrdiff_t image, OH;        /* elements of an image of x; rows of one of y */
    ptrdiff_t blocks, channels; /* tasks of a row, and the channels of each but the last */
    const T *x;
    T *y;
    const NAME(kernels) *k;
} job;

/* Lays out the maps; with base NULL it only counts. */
static size_t make_maps(cvl_resample *map, const resampling *r, int transposed, char *base)
{
    cvl_scratch s = {base, 0};
    map->rows = cvl_carve_axis_map(&s, &r->rows, transposed);
    map->columns = cvl_carve_axis_map(&s, &r->columns, transposed);
    return s.used;
}

/* Whether an output row has the taps of the one before it. */
static int repeats(const cvl_axis_map *rows, ptrdiff_t row)
{
    const ptrdiff_t *first = rows->first + row, count = first[1] - first[0];
    if (row == 0 || first[0] - first[-1] != count)
        return 0;
    for (const cvl_axis_tap *tap = rows->tap + first[0]; tap < rows->tap + first[1]; tap++)
        if (tap->from != tap[-count].from || tap->weight != tap[-count].weight)
            return 0;
    return 1;
}

/* Whether an output has but one tap, of weight 1. */
static int is_copy(const cvl_axis_map *map, ptrdiff_t i)
{
    return map->first[i + 1] - map->first[i] == 1 && map->tap[map->first[i]].weight == 1;
}

/* Finds the longest run of columns that are copies of inputs side by side. */
static void find_copied(job *j)
{
    const cvl_axis_map *map = &j->map.columns;
    for (ptrdiff_t i = 0, end; i < j->map.OW; i = end) {
        end = i + 1;
        if (!is_copy(map, i))
            continue;
        const cvl_axis_tap *tap = map->tap + map->first[i];
        while (end < j->map.OW && is_copy(map, end) && tap[end - i].from == tap->from + end - i)
            end++;
        if (end - i > j->copied.end - j->copied.begin)
            j->copied = (copied){i, end, tap->from};
    }
    j->left = j->right = j->map;
    j->left.OW = j->copied.begin;
    j->right.OW = j->map.OW - j->copied.end;
    j->right.columns.first += j->copied.end;
}

/* A row whose middle is copied. */
static void copy_row(const job *j, ptrdiff_t row, T *y, const T *x)
{
    const ptrdiff_t C = j->map.C, begin = j->copied.begin, end = j->copied.end;
    const ptrdiff_t from = j->map.rows.tap[j->map.rows.first[row]].from * j->map.W + j->copied.from;
    j->k->resample(&j->left, row, C, y, x);
    memcpy(y + begin * C, x + from * C, (size_t)((end - begin) * C) * sizeof(T));
    j->k->resample(&j->right, row, C, y + end * C, x);
}

static void rows(void *context, ptrdiff_t begin, ptrdiff_t end, int worker)
{
    const job *j = context;
    const ptrdiff_t C = j->map.C;
    (void)worker;
    for (ptrdiff_t task = begin; task < end; task++) {
        const ptrdiff_t c = task % j->blocks * j->channels, row = task / j->blocks % j->OH;
        const ptrdiff_t elements = j->map.OW * C;
        const T *x = j->x + task / j->blocks / j->OH * j->image + c;
        T *y = j->y + task / j->blocks * elements + c;
        if (task > begin && j->blocks == 1 && repeats(&j->map.rows, row))
            memcpy(y, y - elements, (size_t)elements * sizeof(T));
        else if (j->copied.end > 0 && is_copy(&j->map.rows, row))
            copy_row(j, row, y, x);
        else
            j->k->resample(&j->map, row, cvl_min(j->channels, C - c), y, x);
    }
}

/* Runs what was read with this status. */
static cvl_status run_resampling(cvl_status status, const resampling *r, int backward, T *out,
                                 const T *in, const cvl_exec *run)
{
    cvl_exec exec;
    if (status != CVL_OK)
        return status;
    if (r->N > 0 && (!out || !in))
        return CVL_ERR_ARGUMENT;
    job j = {.k = kernels(), .x = in, .y = out};
    status = cvl_read_exec(&exec, run, make_maps(&j.map, r, 1, NULL));
    if (status != CVL_OK)
        return status;
    if (!j.k)
        return CVL_ERR_ISA;
    if (r->N == 0)
        return CVL_OK;
    make_maps(&j.map, r, backward, exec.workspace);
    j.OH = backward ? r->rows.inputs : r->rows.outputs;
    j.map.OW = backward ? r->columns.inputs : r->columns.outputs;
    j.map.W = backward ? r->columns.outputs : r->columns.inputs;
    j.map.C = r->C;
    j.map.mean = r->mean && !backward;
    j.map.empty = backward ? 0 : r->empty;
    j.image = (backward ? r->rows.outputs : r->rows.inputs) * j.map.W * r->C;
    j.channels = r->N * j.OH < FEW_TASKS ? CHANNELS : r->C;
    j.blocks = cvl_ceil_div(r->C, j.channels);
    if (r->copies && j.blocks == 1)
        find_copied(&j);
    const double elements = (double)(r->rows.inputs * r->columns.inputs) +
                            (double)(r->rows.outputs * r->columns.outputs);
    cvl_parallel_for(exec.threads, r->N * j.OH * j.blocks,
                     elements * (double)(r->N * r->C) * sizeof(T), r->subnormals, rows, &j);
    return CVL_OK;
}

static size_t workspace_size(cvl_status status, const resampling *r)
{
    cvl_resample map;
    return status == CVL_OK ? make_maps(&map, r, 1, NULL) : 0;
}

/* Sizes that are all positive, and arrays that fit. */
static cvl_status check_sizes(const resampling *r)
{
    const ptrdiff_t sizes[] = {r->C, r->rows.inputs, r->columns.inputs, r->rows.outputs,
                               r->columns.outputs};
    ptrdiff_t x_size, y_size;
    if (r->N < 0)
        return CVL_ERR_SHAPE;
    const cvl_status status = cvl_check_sizes(sizes, CVL_COUNT(sizes), NULL, 0);
    if (status != CVL_OK)
        return status;
    if (!CVL_PRODUCT(&x_size, r->N, r->rows.inputs, r->columns.inputs, r->C) ||
        !CVL_PRODUCT(&y_size, r->N, r->rows.outputs, r->columns.outputs, r->C))
        return CVL_ERR_OVERFLOW;
    return CVL_OK;
}

/* ------------------------------------------------------------------------------ padding */

/* Whether a mode can make that much padding of an axis. */
static int can_pad(cvl_pad_mode mode, ptrdiff_t size, ptrdiff_t before, ptrdiff_t after)
{
    const ptrdiff_t most = cvl_max(before, after);
    return (mode != CVL_PAD_REFLECT || most < size) && (mode != CVL_PAD_CIRCULAR || most <= size);
}

static cvl_status read_pad(resampling *r, const cvl_pad2d *from)
{
    cvl_pad2d d = CVL_PAD2D_INIT;
    if (!cvl_read(&d, from) || d.mode < CVL_PAD_CONSTANT || d.mode > CVL_PAD_CIRCULAR)
        return CVL_ERR_ARGUMENT;
    const ptrdiff_t sizes[] = {d.H, d.W, d.PT, d.PB, d.PL, d.PR};
    const cvl_status status = cvl_check_sizes(NULL, 0, sizes, CVL_COUNT(sizes));
    if (status != CVL_OK)
        return status;
    if (!can_pad(d.mode, d.H, d.PT, d.PB) || !can_pad(d.mode, d.W, d.PL, d.PR))
        return CVL_ERR_SHAPE;
    *r = (resampling){
        .N = d.N,
        .C = d.C,
        .rows = {d.H, d.PT + d.H + d.PB, d.PT, 1, d.mode, cvl_pad_taps},
        .columns = {d.W, d.PL + d.W + d.PR, d.PL, 1, d.mode, cvl_pad_taps},
        .empty = d.value,
        .copies = 1,
        .subnormals = CVL_GRADUAL,
    };
    return check_sizes(r);
}

cvl_status NAME(pad2d_forward)(const cvl_pad2d *d, T *y, const T *x, const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_pad(&r, d), &r, 0, y, x, run);
}

cvl_status NAME(pad2d_backward)(const cvl_pad2d *d, T *dx, const T *dy, const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_pad(&r, d), &r, 1, dx, dy, run);
}

size_t NAME(pad2d_workspace_size)(const cvl_pad2d *d, int threads)
{
    resampling r;
    (void)threads;
    return workspace_size(read_pad(&r, d), &r);
}

/* --------------------------------------------------------------------------- upsampling */

static cvl_status read_upsample(resampling *r, const cvl_upsample2d *from)
{
    cvl_upsample2d d = CVL_UPSAMPLE2D_INIT;
    if (!cvl_read(&d, from) || (d.mode != CVL_UPSAMPLE_NEAREST && d.mode != CVL_UPSAMPLE_BILINEAR))
        return CVL_ERR_ARGUMENT;
    const ptrdiff_t sizes[] = {d.H, d.W, d.SH, d.SW};
    const cvl_status status = cvl_check_sizes(sizes, CVL_COUNT(sizes), NULL, 0);
    if (status != CVL_OK)
        return status;
    const int kind = d.align_corners != 0;
    ptrdiff_t (*taps)(const cvl_axis_rule *, ptrdiff_t, cvl_axis_tap *) =
        d.mode == CVL_UPSAMPLE_NEAREST ? cvl_nearest_taps : cvl_linear_taps;
    *r = (resampling){
        .N = d.N,
        .C = d.C,
        .rows = {d.H, d.H * d.SH, 0, d.SH, kind, taps},
        .columns = {d.W, d.W * d.SW, 0, d.SW, kind, taps},
        .subnormals = CVL_GRADUAL,
    };
    return check_sizes(r);
}

cvl_status NAME(upsample2d_forward)(const cvl_upsample2d *d, T *y, const T *x, const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_upsample(&r, d), &r, 0, y, x, run);
}

cvl_status NAME(upsample2d_backward)(const cvl_upsample2d *d, T *dx, const T *dy,
                                     const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_upsample(&r, d), &r, 1, dx, dy, run);
}

size_t NAME(upsample2d_workspace_size)(const cvl_upsample2d *d, int threads)
{
    resampling r;
    (void)threads;
    return workspace_size(read_upsample(&r, d), &r);
}

/* --------------------------------------------------------------------- adaptive pooling */

static cvl_status read_pool(resampling *r, const cvl_adaptive_avg_pool2d *from, int backward)
{
    cvl_adaptive_avg_pool2d d = CVL_ADAPTIVE_AVG_POOL2D_INIT;
    if (!cvl_read(&d, from))
        return CVL_ERR_ARGUMENT;
    *r = (resampling){
        .N = d.N,
        .C = d.C,
        .rows = {d.H, d.OH, 0, 1, backward, cvl_bin_taps},
        .columns = {d.W, d.OW, 0, 1, backward, cvl_bin_taps},
        .mean = 1,
        .subnormals = CVL_FLUSH,
    };
    return check_sizes(r);
}

cvl_status NAME(adaptive_avg_pool2d_forward)(const cvl_adaptive_avg_pool2d *d, T *y, const T *x,
                                             const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_pool(&r, d, 0), &r, 0, y, x, run);
}

cvl_status NAME(adaptive_avg_pool2d_backward)(const cvl_adaptive_avg_pool2d *d, T *dx, const T *dy,
                                              const cvl_exec *run)
{
    resampling r;
    return run_resampling(read_pool(&r, d, 1), &r, 1, dx, dy, run);
}

size_t NAME(adaptive_avg_pool2d_workspace_size)(const cvl_adaptive_avg_pool2d *d, int threads)
{
    resampling r;
    (void)threads;
    return workspace_size(read_pool(&r, d, 0), &r);
}
