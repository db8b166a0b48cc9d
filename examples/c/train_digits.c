/* train_digits.c: train a small convolutional network on handwritten digits with the C library alone.
 *
 *     cc -O2 train_digits.c $(convlet config --cflags --libs) -o train_digits
 *     ./train_digits "$(python -c 'from convlet import data; print(data.__path__[0])')"
 *
 * Conv 1-16 3x3, batch norm + ReLU, max pool 2, linear 256-10, softmax cross-entropy, Adam. Every
 * fifth image is for the test. Prints the accuracy on these; the bits do not depend on the threads. */
#include <convlet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, FILTERS = 16, CLASSES = 10, TAPS = 9 };
enum { FEATURES = PIXELS / 4 * FILTERS, BATCH = 32, EPOCHS = 12 };
enum { MOST = 2000, WORKSPACE = 1 << 22 };

/* The parameters in one block, and so one segment for the optimizer; gradients and moments alike. */
typedef struct parameters {
    float conv[TAPS * FILTERS], gamma[FILTERS], beta[FILTERS];
    float linear[FEATURES * CLASSES], bias[CLASSES];
} parameters;
enum { COUNT = sizeof(parameters) / sizeof(float) };

static parameters value, gradient, first_moment, second_moment;
static double running_mean[FILTERS], running_var[FILTERS];
static float images[MOST][PIXELS];
static int64_t labels[MOST];
static float convolved[MOST * PIXELS * FILTERS], normed[MOST * PIXELS * FILTERS];
static float pooled[MOST * FEATURES], logits[MOST * CLASSES];
static cvl_exec run = CVL_EXEC_INIT;

static void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "train_digits: %s\n", what);
    exit(1);
}

static void check(cvl_status status) { must(status == CVL_OK, cvl_status_string(status)); }

/* Reads the values of an IDX file behind its header of 4 + 4 * axes bytes; returns how many items. */
static int read_idx(const char *folder, const char *name, int axes, size_t item,
                    unsigned char *into)
{
    char path[4096];
    unsigned char header[16];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    must(file != NULL, path);
    must(fread(header, 4, 1 + (size_t)axes, file) == 1 + (size_t)axes, path);
    must(header[2] == 8 && header[3] == axes, "not an IDX file of bytes with these axes");
    int count = header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
    must(count > 0 && count <= MOST, "too many images");
    must(fread(into, item, (size_t)count, file) == (size_t)count, path);
    fclose(file);
    return count;
}

/* Returns the number of images; `order` then has those for training first. */
static int read_digits(const char *folder, int *order, int *training)
{
    static unsigned char pixels[MOST * PIXELS], digits[MOST];
    int count = read_idx(folder, "digits-images.idx3-ubyte", 3, PIXELS, pixels), at = 0;
    must(read_idx(folder, "digits-labels.idx1-ubyte", 1, 1, digits) == count, "labels are missing");
    for (int part = 0; part < 2; part++)
        for (int i = 0; i < count; i++)
            if ((i % 5 == 0) == part)
                order[at++] = i;
    *training = count - (count + 4) / 5;
    for (int i = 0; i < count; i++) {
        labels[i] = digits[i];
        for (int p = 0; p < PIXELS; p++)
            images[i][p] = (float)pixels[i * PIXELS + p] / 16;
    }
    return count;
}

static uint32_t random_bits(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static float normal(void)
{
    double u = (random_bits() + 1.0) / 2147483649.0, v = random_bits() / 2147483648.0;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* The network over n images: logits, and with `gradients` those of the parameters and the loss. */
static double network(int n, const float *x, const int64_t *y, int gradients)
{
    cvl_conv2d conv = CVL_CONV2D_INIT;
    conv.N = n, conv.H = conv.W = SIDE, conv.C = 1, conv.OC = FILTERS;
    conv.KH = conv.KW = 3, conv.PT = conv.PB = conv.PL = conv.PR = 1;
    cvl_batch_norm norm = CVL_BATCH_NORM_INIT;
    norm.M = n * PIXELS, norm.C = FILTERS, norm.activation = CVL_ACTIVATION_RELU;
    cvl_pool2d pool = CVL_POOL2D_INIT;
    pool.N = n, pool.H = pool.W = SIDE, pool.C = FILTERS;
    pool.KH = pool.KW = pool.SH = pool.SW = 2;
    cvl_linear linear = CVL_LINEAR_INIT;
    linear.M = n, linear.IN = FEATURES, linear.OUT = CLASSES;
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    entropy.N = n, entropy.C = CLASSES;
    parameters *p = &value, *g = &gradient;
    double mean[FILTERS], var[FILTERS], loss = 0;

    check(cvl_conv2d_forward_f32(&conv, convolved, x, p->conv, NULL, &run));
    if (gradients)
        check(cvl_batch_norm_forward_f32(&norm, normed, mean, var, convolved, p->gamma, p->beta,
                                         NULL, &run));
    else
        check(cvl_batch_norm_inference_f32(&norm, normed, convolved, p->gamma, p->beta,
                                           running_mean, running_var, NULL, &run));
    check(cvl_max_pool2d_forward_f32(&pool, pooled, normed, &run));
    check(cvl_linear_forward_f32(&linear, logits, pooled, p->linear, p->bias, &run));
    if (!gradients)
        return 0;
    for (int c = 0; c < FILTERS; c++) {
        running_mean[c] += 0.1 * (mean[c] - running_mean[c]);
        running_var[c] += 0.1 * (var[c] - running_var[c]);
    }
    static float dlogits[BATCH * CLASSES], dpooled[BATCH * FEATURES];
    static float dnormed[BATCH * PIXELS * FILTERS], dconvolved[BATCH * PIXELS * FILTERS];
    check(cvl_softmax_cross_entropy_f32(&entropy, &loss, dlogits, logits, y, NULL, NULL, &run));
    check(cvl_linear_backward_weights_f32(&linear, g->linear, g->bias, dlogits, pooled, &run));
    check(cvl_linear_backward_data_f32(&linear, dpooled, dlogits, p->linear, &run));
    check(cvl_max_pool2d_backward_f32(&pool, dnormed, dpooled, normed, &run));
    check(cvl_batch_norm_backward_f32(&norm, dconvolved, g->gamma, g->beta, NULL, dnormed,
                                      convolved, NULL, p->gamma, p->beta, mean, var, &run));
    check(cvl_conv2d_backward_weights_f32(&conv, g->conv, NULL, dconvolved, x, &run));
    return loss;
}

int main(int argc, char **argv)
{
    static int order[MOST];
    static float x[MOST][PIXELS];
    static int64_t y[MOST];
    static _Alignas(64) char workspace[WORKSPACE];
    int training, correct = 0;
    must(argc == 2, "expected the folder of the digits' IDX files");
    must(cvl_abi_version() == CVL_ABI_VERSION, "convlet.h and the library do not fit");
    int count = read_digits(argv[1], order, &training);
    run.threads = 2, run.workspace = workspace, run.workspace_bytes = WORKSPACE;

    for (int i = 0; i < TAPS * FILTERS; i++)
        value.conv[i] = normal() * sqrtf(2.0f / TAPS);
    for (int i = 0; i < FEATURES * CLASSES; i++)
        value.linear[i] = normal() * sqrtf(2.0f / FEATURES);
    for (int c = 0; c < FILTERS; c++)
        value.gamma[c] = 1, running_var[c] = 1;

    cvl_adam adam = CVL_ADAM_INIT;
    adam.beta1 = 0.9, adam.beta2 = 0.999, adam.eps = 1e-8;
    cvl_segment_f32 segment = {
        COUNT, value.conv, gradient.conv, first_moment.conv, second_moment.conv, NULL};
    for (int epoch = 0, t = 1; epoch < EPOCHS; epoch++) {
        double loss = 0;
        for (int i = training - 1; i > 0; i--) { /* shuffle */
            int j = (int)(random_bits() % (uint32_t)(i + 1)), kept = order[i];
            order[i] = order[j], order[j] = kept;
        }
        for (int begin = 0; begin + BATCH <= training; begin += BATCH, t++) {
            for (int i = 0; i < BATCH; i++) {
                memcpy(x[i], images[order[begin + i]], sizeof x[i]);
                y[i] = labels[order[begin + i]];
            }
            loss += network(BATCH, x[0], y, 1);
            adam.lr = 0.01 * (1 - (double)epoch / EPOCHS);
            adam.correction1 = 1 - pow(adam.beta1, t);
            adam.correction2 = 1 - pow(adam.beta2, t);
            check(cvl_adam_step_f32(&adam, &segment, 1, &run));
        }
        printf("epoch %d  loss %.4f\n", epoch + 1, loss / (training / BATCH));
    }

    for (int i = training; i < count; i++)
        memcpy(x[i - training], images[order[i]], sizeof x[0]);
    network(count - training, x[0], NULL, 0);
    for (int i = training; i < count; i++) {
        const float *row = logits + (i - training) * CLASSES;
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            best = row[c] > row[best] ? c : best;
        correct += best == labels[order[i]];
    }
    printf("test accuracy %.4f\n", (double)correct / (count - training));
    return 0;
}
