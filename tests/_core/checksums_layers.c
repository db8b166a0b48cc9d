/* checksums_layers.c: convolution, linear, norms, elementwise, pooling, images: see checksums.c. */
#include "checksums.h"

#include <math.h>

/* ---------------------------------------------------------------- convolution, linear */

/* clang-format off */
static const cvl_conv2d convolutions[] = {
#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, 0.01, CVL_CONV2D_IM2COL}
    /*   N   H   W   C   OC  KH KW SH SW DH DW PT PB PL PR groups activation */
    CASE(9, 9, 9, 65, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, CVL_ACTIVATION_NONE),
    CASE(17, 9, 9, 3, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, CVL_ACTIVATION_RELU),
    CASE(3, 11, 13, 12, 18, 3, 2, 2, 1, 1, 2, 1, 0, 2, 1, 3, CVL_ACTIVATION_NONE),
    CASE(2, 14, 15, 23, 23, 5, 5, 1, 2, 1, 1, 2, 2, 2, 2, 23, CVL_ACTIVATION_NONE),
    CASE(2, 21, 9, 530, 530, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 530, CVL_ACTIVATION_RELU),
    CASE(3, 9, 10, 20, 40, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 20, CVL_ACTIVATION_NONE),
    CASE(3, 13, 9, 36, 36, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 36, CVL_ACTIVATION_RELU6),
    CASE(2, 15, 18, 256, 256, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 256, CVL_ACTIVATION_NONE),
    CASE(5, 9, 9, 67, 70, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, CVL_ACTIVATION_RELU),
    CASE(4, 9, 7, 70, 9, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1, CVL_ACTIVATION_NONE),
#undef CASE
};

/* Shapes that have engines of their own. Some of these serve one vector length alone: at other levels the
 * direct engine takes their shapes, with the same bits. */
static const cvl_conv2d ways[] = {
#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, CVL_ACTIVATION_NONE, 0.01, CVL_CONV2D_IM2COL}
    /*   N  H   W   C    OC   KH KW SH SW DH DW PT PB PL PR groups */
    CASE(3, 10, 12, 40,  2,   5, 4, 1, 1, 2, 1, 4, 4, 1, 2, 1), /* to few channels, */
    CASE(2, 11, 13, 8,   8,   7, 7, 1, 1, 1, 1, 3, 3, 3, 3, 1),
    CASE(4, 15, 14, 6,   23,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1), /* and back to them */
    CASE(2, 17, 19, 3,   16,  7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1),
    CASE(2, 9,  11, 1,   40,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(3, 15, 14, 32,  24,  3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 2), /* cells of 16, 8 and 4 channels */
    CASE(2, 11, 22, 8,   40,  3, 3, 2, 2, 1, 1, 0, 3, 3, 0, 1),
    CASE(1, 13, 10, 12,  9,   3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 3),
    CASE(3, 11, 13, 48,  48,  3, 3, 2, 1, 1, 2, 1, 1, 2, 1, 12), /* groups that share vectors */
    CASE(2, 8,  9,  64,  64,  3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8),
    CASE(5, 9,  11, 3,   4,   1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* pixels that do */
    CASE(7, 13, 9,  35,  20,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* many rows, few columns left over */
    CASE(2, 13, 15, 400, 1,   1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* one column, */
    CASE(1, 1,  1,  900, 150, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* and one row */
    CASE(2, 3,  4,  520, 510, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* few rows */
    CASE(1, 4,  8,  400, 80,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* whose gradient is turned, */
    CASE(3, 8,  8,  200, 16,  1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1), /* or of few elements */
#undef CASE
};

/* Sums that the constants of order.h cut: longer chains than the others have, more blocks and partial
 * sums. */
static const cvl_conv2d orders[] = {
#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, CVL_ACTIVATION_NONE, 0.01, CVL_CONV2D_IM2COL}
    /*   N   H   W   C    OC   KH  KW  SH SW DH DW PT  PB  PL PR  groups */
    CASE(2,  9,  8,  16,  50,  3,  3,  2, 2, 1, 1, 1,  1,  1, 1,  1), /* more chains than cells take */
    CASE(2,  9,  8,  8,   50,  3,  3,  2, 2, 1, 1, 1,  1,  1, 1,  1),
    CASE(2,  9,  11, 3,   20,  3,  3,  1, 1, 1, 1, 1,  1,  1, 1,  1), /* two taps of planes */
    CASE(1,  5,  12, 1,   790, 2,  2,  1, 1, 1, 1, 0,  0,  0, 0,  1), /* stem, */
    CASE(2,  13, 15, 900, 1,   1,  1,  1, 1, 1, 1, 0,  0,  0, 0,  1), /* dot, */
    CASE(3,  17, 13, 800, 17,  1,  1,  1, 1, 1, 1, 0,  0,  0, 0,  1), /* tall */
    CASE(1,  22, 23, 20,  20,  21, 20, 1, 1, 1, 1, 10, 10, 9, 10, 20), /* depthwise: long filters, */
    CASE(1,  15, 15, 8,   32,  15, 15, 1, 1, 1, 1, 7,  7,  7, 7,  8), /* which have several outputs */
#undef CASE
};

/* The same of weight gradients; depthwise, by how few sums and how many channels a task has. */
static const cvl_conv2d weight_orders[] = {
#define CASE(...) {sizeof(cvl_conv2d), __VA_ARGS__, CVL_ACTIVATION_NONE, 0.01, CVL_CONV2D_IM2COL}
    /*   N   H   W    C    OC   KH  KW  SH SW DH DW PT PB PL PR groups */
    CASE(66, 16, 16,  3,   7,   3,  3,  1, 1, 1, 1, 1, 1, 1, 1, 1),
    CASE(33, 16, 16,  12,  28,  3,  3,  1, 1, 1, 1, 1, 1, 1, 1, 4),
    CASE(1,  9,  140, 20,  20,  3,  3,  1, 1, 1, 1, 1, 1, 1, 1, 20),
    CASE(7,  24, 30,  130, 130, 3,  3,  1, 1, 1, 1, 1, 1, 1, 1, 130),
    CASE(1,  17, 129, 150, 150, 10, 10, 1, 1, 1, 1, 4, 5, 4, 5, 150),
    CASE(1,  17, 129, 200, 200, 10, 10, 1, 1, 1, 1, 4, 5, 4, 5, 200),
    CASE(1,  17, 129, 62,  62,  17, 16, 1, 1, 1, 1, 8, 8, 8, 7, 62),
    CASE(1,  17, 129, 100, 100, 17, 16, 1, 1, 1, 1, 8, 8, 8, 7, 100),
#undef CASE
};

/* Few and many weights, channels and tiles. */
static const cvl_conv2d filterings[] = {
#define GROUPS(N, H, W, C, OC, K, S, P, groups, activation, algorithm) \
    {sizeof(cvl_conv2d), N, H, W, C, OC, K, K, S, S, 1, 1, P, P, P, P, groups, activation, 0.01, algorithm}
#define CASE(N, H, W, C, OC, K, S, P, activation, algorithm) \
    GROUPS(N, H, W, C, OC, K, S, P, 1, activation, algorithm)
    CASE(9, 9, 9, 65, 17, 3, 1, 1, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD),
    CASE(5, 37, 33, 17, 35, 3, 1, 1, CVL_ACTIVATION_RELU, CVL_CONV2D_WINOGRAD),
    CASE(3, 17, 15, 131, 129, 3, 1, 2, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD),
    CASE(3, 17, 15, 33, 18, 5, 1, 2, CVL_ACTIVATION_RELU6, CVL_CONV2D_WINOGRAD),
    CASE(2, 7, 7, 131, 129, 5, 1, 2, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD),
    CASE(4, 29, 31, 19, 37, 3, 1, 1, CVL_ACTIVATION_LEAKY_RELU, CVL_CONV2D_WINOGRAD2),
    CASE(2, 9, 7, 131, 129, 3, 1, 1, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD2),
    CASE(4, 29, 30, 19, 37, 3, 2, 1, CVL_ACTIVATION_RELU, CVL_CONV2D_WINOGRAD2),
    CASE(2, 17, 14, 131, 129, 3, 2, 1, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD2),
#undef CASE
};

static const cvl_conv2d weight_filterings[] = {
#define CASE(N, H, W, C, OC) \
    GROUPS(N, H, W, C, OC, 3, 1, 1, 1, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD)
    CASE(1, 34, 33, 100,  120), /* ranges of many weights, of few tiles or just too few, */
    CASE(1, 16, 20, 20,   20),
    CASE(1, 12, 16, 20,   20),
    CASE(1, 16, 20, 30,   30),
    CASE(3, 40, 40, 17,   18), /* and of too few for more of them; */
    CASE(3, 40, 40, 130,  130), /* spans, */
    CASE(2, 40, 40, 1040, 16), /* and short ones */
#undef CASE
};

static const cvl_conv2d grouped_filterings[] = {
    GROUPS(7, 29, 31, 38, 34, 3, 1, 1, 2, CVL_ACTIVATION_RELU, CVL_CONV2D_WINOGRAD),
    GROUPS(2, 9, 11, 135, 72, 5, 1, 2, 9, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD),
    GROUPS(3, 18, 17, 393, 390, 3, 2, 1, 3, CVL_ACTIVATION_NONE, CVL_CONV2D_WINOGRAD2),
#undef GROUPS
};
/* clang-format on */

static void conv2d_forward(const cvl_conv2d *d, ptrdiff_t x, ptrdiff_t w, ptrdiff_t y)
{
    T *out = output(y), *in = input_random(x), *weights = input_random(w), *b = input_random(d->OC);
    cvl_exec run = run_with(THREADS, NAME(conv2d_forward_workspace_size)(d, THREADS));
    CHECK(NAME(conv2d_forward)(d, out, in, weights, b, &run) == CVL_OK);
    add_array(out, y);
}

static void conv2d_backward_data(const cvl_conv2d *d, ptrdiff_t x, ptrdiff_t w, ptrdiff_t y)
{
    T *dx = output(x), *dy = input_random(y), *weights = input_random(w);
    cvl_exec run = run_with(THREADS, NAME(conv2d_backward_data_workspace_size)(d, THREADS));
    CHECK(NAME(conv2d_backward_data)(d, dx, dy, weights, &run) == CVL_OK);
    add_array(dx, x);
}

static void conv2d_backward_weights(const cvl_conv2d *d, ptrdiff_t x, ptrdiff_t w, ptrdiff_t y)
{
    T *dw = output(w), *db = output(d->OC), *dy = input_random(y), *in = input_random(x);
    cvl_exec run = run_with(THREADS, NAME(conv2d_backward_weights_workspace_size)(d, THREADS));
    CHECK(NAME(conv2d_backward_weights)(d, dw, db, dy, in, &run) == CVL_OK);
    add_array(dw, w);
    add_array(db, d->OC);
}

static void sum_conv2d(const char *name, const cvl_conv2d *all, size_t count,
                       void (*pass)(const cvl_conv2d *d, ptrdiff_t x, ptrdiff_t w, ptrdiff_t y))
{
    begin(name);
    for (const cvl_conv2d *d = all; d < all + count; d++) {
        ptrdiff_t OH, OW;
        CHECK(cvl_conv2d_output_shape(d, &OH, &OW) == CVL_OK);
        pass(d, d->N * d->H * d->W * d->C, d->KH * d->KW * (d->C / d->groups) * d->OC,
             d->N * OH * OW * d->OC);
    }
    end(name);
}

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

void sum_convolutions(void)
{
    const size_t count = COUNT(convolutions), filtered = COUNT(filterings);
    const size_t grouped = COUNT(grouped_filterings), others = COUNT(ways), cut = COUNT(orders);
    sum_conv2d("conv2d_forward", convolutions, count, conv2d_forward);
    sum_conv2d("conv2d_backward_data", convolutions, count, conv2d_backward_data);
    sum_conv2d("conv2d_backward_weights", convolutions, count, conv2d_backward_weights);
    sum_conv2d("conv2d_ways_forward", ways, others, conv2d_forward);
    sum_conv2d("conv2d_ways_backward_data", ways, others, conv2d_backward_data);
    sum_conv2d("conv2d_ways_backward_weights", ways, others, conv2d_backward_weights);
    sum_conv2d("conv2d_orders_forward", orders, cut, conv2d_forward);
    sum_conv2d("conv2d_orders_backward_data", orders, cut, conv2d_backward_data);
    sum_conv2d("conv2d_orders_backward_weights", weight_orders, COUNT(weight_orders),
               conv2d_backward_weights);
    if (sizeof(T) != sizeof(float))
        return;
    sum_conv2d("winograd_forward", filterings, filtered, conv2d_forward);
    sum_conv2d("winograd_backward_data", filterings, filtered, conv2d_backward_data);
    sum_conv2d("winograd_backward_weights", filterings, filtered, conv2d_backward_weights);
    sum_conv2d("winograd_orders_backward_weights", weight_filterings, COUNT(weight_filterings),
               conv2d_backward_weights);
    sum_conv2d("winograd_groups_forward", grouped_filterings, grouped, conv2d_forward);
    sum_conv2d("winograd_groups_backward_data", grouped_filterings, grouped, conv2d_backward_data);
    sum_conv2d("winograd_groups_backward_weights", grouped_filterings, grouped,
               conv2d_backward_weights);
}

void sum_linear(void)
{
    const cvl_linear d = {sizeof d, 65, 777, 33};
    const ptrdiff_t size_x = d.M * d.IN, size_w = d.IN * d.OUT, size_y = d.M * d.OUT;
    begin("linear");
    T *x = input_random(size_x), *w = input_random(size_w), *b = input_random(d.OUT);
    T *dy = input_random(size_y), *y = output(size_y), *dx = output(size_x), *dw = output(size_w);
    T *db = output(d.OUT);
    cvl_exec run = run_with(THREADS, NAME(linear_forward_workspace_size)(&d, THREADS));
    CHECK(NAME(linear_forward)(&d, y, x, w, b, &run) == CVL_OK);
    run = run_with(THREADS, NAME(linear_backward_data_workspace_size)(&d, THREADS));
    CHECK(NAME(linear_backward_data)(&d, dx, dy, w, &run) == CVL_OK);
    run = run_with(THREADS, NAME(linear_backward_weights_workspace_size)(&d, THREADS));
    CHECK(NAME(linear_backward_weights)(&d, dw, db, dy, x, &run) == CVL_OK);
    add_array(y, size_y);
    add_array(dx, size_x);
    add_array(dw, size_w);
    add_array(db, d.OUT);
    end("linear");
}

/* So many rows that pieces are folded before a block ends. */
void sum_columns(void)
{
    enum { OUT = 32 };
    const cvl_linear d = {sizeof d, 70001, 1, OUT};
    begin("columns");
    T *dy = input_random(d.M * OUT), *x = input_random(d.M), *db = output(OUT);
    cvl_exec run = run_with(THREADS, NAME(linear_backward_weights_workspace_size)(&d, THREADS));
    CHECK(NAME(linear_backward_weights)(&d, NULL, db, dy, x, &run) == CVL_OK);
    add_array(db, OUT);
    end("columns");
}

/* ---------------------------------------------------------------- batch norm */

static void batch_norm(ptrdiff_t M, ptrdiff_t C, int relu, int with_residual)
{
    const ptrdiff_t n = M * C;
    cvl_batch_norm d = CVL_BATCH_NORM_INIT;
    d.M = M;
    d.C = C;
    d.activation = relu ? CVL_ACTIVATION_RELU : CVL_ACTIVATION_NONE;
    T *x = input_random(n), *gamma = input_random(C), *beta = input_random(C);
    T *residual = with_residual ? input_random(n) : NULL, *dy = input_random(n), *y = output(n);
    T *y_inference = output(n), *dx = output(n), *dgamma = output(C), *dbeta = output(C);
    T *dresidual = with_residual ? output(n) : NULL;
    double *mean = doubles(C), *var = doubles(C);
    cvl_exec run = run_with(THREADS, NAME(batch_norm_forward_workspace_size)(&d, THREADS));
    CHECK(NAME(batch_norm_forward)(&d, y, mean, var, x, gamma, beta, residual, &run) == CVL_OK);
    run = run_with(THREADS, NAME(batch_norm_inference_workspace_size)(&d, THREADS));
    CHECK(NAME(batch_norm_inference)(&d, y_inference, x, gamma, beta, mean, var, residual, &run) ==
          CVL_OK);
    run = run_with(THREADS, NAME(batch_norm_backward_workspace_size)(&d, THREADS));
    CHECK(NAME(batch_norm_backward)(&d, dx, dgamma, dbeta, dresidual, dy, x,
                                    with_residual ? y : NULL, gamma, beta, mean, var,
                                    &run) == CVL_OK);
    add_array(y, n);
    add_array(y_inference, n);
    add_doubles(mean, C);
    add_doubles(var, C);
    add_array(dx, n);
    add_array(dgamma, C);
    add_array(dbeta, C);
    if (dresidual)
        add_array(dresidual, n);
}

void sum_batch_norm(void)
{
    begin("batch_norm");
    batch_norm(9 * 81, 65, 0, 0);
    batch_norm(3001, 3, 1, 0);
    batch_norm(49, 259, 1, 1);
    batch_norm(2000, 64, 1, 1);
    end("batch_norm");
}

/* ---------------------------------------------------------------- group norm */

static void group_norm(cvl_group_norm d)
{
    const ptrdiff_t n = d.N * d.M * d.C, G = d.N * d.groups;
    T *x = input_random(n), *gamma = input_random(d.C), *beta = input_random(d.C);
    T *dy = input_random(n), *y = output(n), *dx = output(n);
    T *dgamma = output(d.C), *dbeta = output(d.C);
    double *mean = doubles(G), *var = doubles(G);
    cvl_exec run = run_with(THREADS, NAME(group_norm_forward_workspace_size)(&d, THREADS));
    CHECK(NAME(group_norm_forward)(&d, y, mean, var, x, gamma, beta, &run) == CVL_OK);
    run = run_with(THREADS, NAME(group_norm_backward_workspace_size)(&d, THREADS));
    CHECK(NAME(group_norm_backward)(&d, dx, dgamma, dbeta, dy, x, gamma, mean, var, &run) ==
          CVL_OK);
    add_array(y, n);
    add_doubles(mean, G);
    add_doubles(var, G);
    add_array(dx, n);
    add_array(dgamma, d.C);
    add_array(dbeta, d.C);
}

/* One group of several pixels: moments of a matrix of one column, in one block and in several. */
void sum_layer_norm(void)
{
    begin("layer_norm");
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 5, 33, 26, 1, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 2, 3001, 6, 1, 1e-5});
    end("layer_norm");
}

void sum_group_norm(void)
{
    begin("group_norm");
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 9, 81, 65, 5, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 2, 3001, 6, 6, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 70, 1, 259, 1, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 3, 2000, 64, 8, 1e-5});
    end("group_norm");
}

/* Blocks of many channels or few positions, rows longer than a piece, and more of them than are folded at
 * once. */
void sum_norm_orders(void)
{
    begin("norm_orders");
    batch_norm(1500, 130, 0, 0);
    batch_norm(700, 100, 0, 0);
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 3, 1, 10007, 1, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 700, 1, 20, 1, 1e-5});
    group_norm((cvl_group_norm){sizeof(cvl_group_norm), 3, 50, 80, 2, 1e-5});
    end("norm_orders");
}

/* ---------------------------------------------------------------- elementwise, pooling */

void sum_elementwise(void)
{
    enum { COUNT = 100003 };
    begin("elementwise");
    T *a = input_random(COUNT), *b = input_random(COUNT);
    T *y = output(COUNT), *dx = output(COUNT), *sum = output(COUNT);
    cvl_exec run = run_with(THREADS, 0);
    CHECK(NAME(relu_forward)(COUNT, y, a, &run) == CVL_OK);
    CHECK(NAME(relu_backward)(COUNT, dx, b, y, &run) == CVL_OK);
    CHECK(NAME(add)(COUNT, sum, a, b, &run) == CVL_OK);
    add_array(y, COUNT);
    add_array(dx, COUNT);
    add_array(sum, COUNT);
    end("elementwise");
}

/* Both passes of an activation over numbers of every kind. */
#define SUM_ACTIVATION(op, ...)                                                   \
    do {                                                                          \
        CHECK(NAME(op##_forward)(__VA_ARGS__ COUNT, y, x, &run) == CVL_OK);       \
        CHECK(NAME(op##_backward)(__VA_ARGS__ COUNT, dx, dy, y, &run) == CVL_OK); \
        add_array(y, COUNT);                                                      \
        add_array(dx, COUNT);                                                     \
        CHECK(NAME(op##_backward)(__VA_ARGS__ COUNT, dx, dy, x, &run) == CVL_OK); \
        add_array(dx, COUNT);                                                     \
    } while (0)

void sum_activation(void)
{
    enum { COUNT = 100003 };
    begin("activation");
    T *values = (T *)doubles(COUNT);
    for (int i = 0; i < COUNT; i++)
        values[i] = (T)ldexp((double)random_unit(), i % 40 - 32); /* up to 128 */
    T *x = input_bytes(values, COUNT * sizeof(T)), *dy = input_random(COUNT);
    T *y = output(COUNT), *dx = output(COUNT);
    cvl_exec run = run_with(THREADS, 0);
    SUM_ACTIVATION(leaky_relu, 0.01, );
    SUM_ACTIVATION(relu6, );
    SUM_ACTIVATION(sigmoid, );
    SUM_ACTIVATION(tanh, );
    SUM_ACTIVATION(elu, 0.7, );
    SUM_ACTIVATION(gelu, );
    SUM_ACTIVATION(gelu_tanh, );
    SUM_ACTIVATION(silu, );
    SUM_ACTIVATION(hard_swish, );
    SUM_ACTIVATION(softplus, );
    end("activation");
}

void sum_pool2d(void)
{
    /* clang-format off */
    static const cvl_pool2d cases[] = {
        /*                   N  H   W   C   KH KW SH SW DH DW PT PB PL PR ceil count_pad */
        {sizeof(cvl_pool2d), 3, 18, 17, 35, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1},
        {sizeof(cvl_pool2d), 2, 17, 13, 19, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0},
        {sizeof(cvl_pool2d), 5, 9, 7, 65, 9, 7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1},
        {sizeof(cvl_pool2d), 2, 15, 11, 3, 3, 2, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1},
    };
    /* clang-format on */
    begin("pool2d");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const cvl_pool2d *d = &cases[i];
        ptrdiff_t OH, OW;
        CHECK(cvl_pool2d_output_shape(d, &OH, &OW) == CVL_OK);
        const ptrdiff_t size_x = d->N * d->H * d->W * d->C, size_y = d->N * OH * OW * d->C;
        T *x = input_random(size_x), *dy = input_random(size_y), *y = output(size_y);
        T *dx = output(size_x);
        cvl_exec run = run_with(THREADS, 0);
        CHECK(NAME(max_pool2d_forward)(d, y, x, &run) == CVL_OK);
        CHECK(NAME(max_pool2d_backward)(d, dx, dy, x, &run) == CVL_OK);
        add_array(y, size_y);
        add_array(dx, size_x);
        CHECK(NAME(avg_pool2d_forward)(d, y, x, &run) == CVL_OK);
        CHECK(NAME(avg_pool2d_backward)(d, dx, dy, &run) == CVL_OK);
        add_array(y, size_y);
        add_array(dx, size_x);
    }
    end("pool2d");
}

/* ---------------------------------------------------------------- images */

void sum_conv_transpose2d(void)
{
    /* clang-format off */
    static const cvl_conv_transpose2d cases[] = {
        /*                             N  H  W  C   OC  KH KW SH SW DH DW PT PB PL PR OPH OPW G */
        {sizeof(cvl_conv_transpose2d), 9, 9, 9, 65, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0,  0,  1, CVL_CONV2D_IM2COL},
        {sizeof(cvl_conv_transpose2d), 3, 7, 5, 12, 18, 3, 2, 2, 3, 1, 2, 1, 0, 2, 1, 1,  2,  3, CVL_CONV2D_IM2COL},
    };
    /* clang-format on */
    begin("conv_transpose2d");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const cvl_conv_transpose2d *d = &cases[i];
        ptrdiff_t OH, OW;
        CHECK(cvl_conv_transpose2d_output_shape(d, &OH, &OW) == CVL_OK);
        const ptrdiff_t size_x = d->N * d->H * d->W * d->C, size_y = d->N * OH * OW * d->OC;
        const ptrdiff_t size_w = d->KH * d->KW * (d->OC / d->groups) * d->C;
        T *x = input_random(size_x), *w = input_random(size_w), *b = input_random(d->OC);
        T *dy = input_random(size_y), *y = output(size_y), *dx = output(size_x);
        T *dw = output(size_w), *db = output(d->OC);
        cvl_exec run = run_with(THREADS, NAME(conv_transpose2d_forward_workspace_size)(d, THREADS));
        CHECK(NAME(conv_transpose2d_forward)(d, y, x, w, b, &run) == CVL_OK);
        run = run_with(THREADS, NAME(conv_transpose2d_backward_data_workspace_size)(d, THREADS));
        CHECK(NAME(conv_transpose2d_backward_data)(d, dx, dy, w, &run) == CVL_OK);
        run = run_with(THREADS, NAME(conv_transpose2d_backward_weights_workspace_size)(d, THREADS));
        CHECK(NAME(conv_transpose2d_backward_weights)(d, dw, db, dy, x, &run) == CVL_OK);
        add_array(y, size_y);
        add_array(dx, size_x);
        add_array(dw, size_w);
        add_array(db, d->OC);
    }
    end("conv_transpose2d");
}

/* Gives both passes of a map of images their arrays. */
#define SUM_MAP(op, d, size_x, size_y)                                             \
    do {                                                                           \
        T *x_ = input_random(size_x), *dy_ = input_random(size_y);                 \
        T *y_ = output(size_y), *dx_ = output(size_x);                             \
        cvl_exec run_ = run_with(THREADS, NAME(op##_workspace_size)(&d, THREADS)); \
        CHECK(NAME(op##_forward)(&d, y_, x_, &run_) == CVL_OK);                    \
        CHECK(NAME(op##_backward)(&d, dx_, dy_, &run_) == CVL_OK);                 \
        add_array(y_, size_y);                                                     \
        add_array(dx_, size_x);                                                    \
    } while (0)

void sum_resample(void)
{
    const cvl_pad2d pad = {sizeof pad, 3, 18, 17, 35, 2, 3, 4, 1, CVL_PAD_REFLECT, 0};
    cvl_upsample2d up = {sizeof up, 3, 9, 11, 35, 2, 3, CVL_UPSAMPLE_BILINEAR, 0};
    const cvl_adaptive_avg_pool2d pool = {sizeof pool, 3, 18, 17, 35, 5, 7};
    begin("resample");
    SUM_MAP(pad2d, pad, 3 * 18 * 17 * 35, 3 * 23 * 22 * 35);
    SUM_MAP(upsample2d, up, 3 * 9 * 11 * 35, 3 * 18 * 33 * 35);
    up.align_corners = 1;
    SUM_MAP(upsample2d, up, 3 * 9 * 11 * 35, 3 * 18 * 33 * 35);
    SUM_MAP(adaptive_avg_pool2d, pool, 3 * 18 * 17 * 35, 3 * 5 * 7 * 35);
    end("resample");
}

void sum_dropout(void)
{
    enum { COUNT = 3 * 333 * 131 };
    cvl_dropout d = {sizeof d, 3, 333, 131, 0.3, 12345678901234567u, 42, 0};
    begin("dropout");
    T *x = input_random(COUNT);
    for (d.per_channel = 0; d.per_channel <= 1; d.per_channel++) {
        T *y = output(COUNT);
        cvl_exec run = run_with(THREADS, NAME(dropout_workspace_size)(&d, THREADS));
        CHECK(NAME(dropout)(&d, y, x, &run) == CVL_OK);
        add_array(y, COUNT);
    }
    end("dropout");
}
