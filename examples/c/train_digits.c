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

enum { IMAGES = 1797, TEST = 360, TRAINING = IMAGES - TEST, SIDE = 8, PIXELS = SIDE * SIDE };
enum { FILTERS = 16, TAPS = 9, FEATURES = PIXELS / 4 * FILTERS, CLASSES = 10 };
enum { BATCH = 32, EPOCHS = 12 };

/* The parameters w, in one block and so one segment for the optimizer, their gradients g, and Adam's
 * moments m and v. */
static struct parameters {
    float conv[TAPS * FILTERS], gamma[FILTERS], beta[FILTERS];
    float linear[FEATURES * CLASSES], bias[CLASSES];
} w, g, m, v;
static double running_mean[FILTERS], running_var[FILTERS];
static struct image {
    float pixel[PIXELS];
} images[IMAGES]; /* those of the training first */
static int64_t labels[IMAGES];
static float convolved[TEST * PIXELS * FILTERS], normed[TEST * PIXELS * FILTERS];
static float pooled[TEST * FEATURES], logits[TEST * CLASSES];
static _Alignas(64) char workspace[1 << 22]; /* a call that needs more says so */
static cvl_exec run = CVL_EXEC_INIT;

static void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "train_digits: %s\n", what);
    exit(1);
}

static void check(cvl_status status) { must(status == CVL_OK, cvl_status_string(status)); }

/* Reads the bytes of an IDX file behind its header: 0, 0, type, axes, and the axes' sizes. */
static void read_idx(const char *folder, const char *name, size_t axes, void *into, size_t bytes)
{
    char path[4096];
    unsigned char header[16];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    must(file && fread(header, 4, 1 + axes, file) == 1 + axes, path);
    must(header[2] == 8 && header[3] == axes, "not an IDX file of bytes with these axes");
    must((header[6] << 8 | header[7]) == IMAGES && fread(into, bytes, 1, file) == 1, path);
    fclose(file);
}

static void read_digits(const char *folder)
{
    static unsigned char pixels[IMAGES][PIXELS], digits[IMAGES];
    read_idx(folder, "digits-images.idx3-ubyte", 3, pixels, sizeof pixels);
    read_idx(folder, "digits-labels.idx1-ubyte", 1, digits, sizeof digits);
    for (int i = 0; i < IMAGES; i++) {
        const int at = i % 5 ? i - i / 5 - 1 : TRAINING + i / 5;
        labels[at] = digits[i];
        for (int p = 0; p < PIXELS; p++)
            images[at].pixel[p] = (float)pixels[i][p] / 16;
    }
}

static uint32_t random_bits(void) /* 31 of them */
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Fills the weights of a layer with He's uniform distribution. */
static void start(float *weights, int count, int inputs)
{
    for (int i = 0; i < count; i++)
        weights[i] = (float)(sqrt(6.0 / inputs) * (random_bits() / 1073741824.0 - 1));
}

/* Runs the network over n images, which leaves the logits. With labels y it trains it, for one step,
 * and returns the loss. */
static double network(int n, const float *x, const int64_t *y)
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

    double mean[FILTERS], var[FILTERS], loss;
    check(cvl_conv2d_forward_f32(&conv, convolved, x, w.conv, NULL, &run));
    if (y)
        check(cvl_batch_norm_forward_f32(&norm, normed, mean, var, convolved, w.gamma, w.beta, NULL,
                                         &run));
    else
        check(cvl_batch_norm_inference_f32(&norm, normed, convolved, w.gamma, w.beta, running_mean,
                                           running_var, NULL, &run));
    check(cvl_max_pool2d_forward_f32(&pool, pooled, normed, &run));
    check(cvl_linear_forward_f32(&linear, logits, pooled, w.linear, w.bias, &run));
    if (!y)
        return 0;

    static float dlogits[BATCH * CLASSES], dpooled[BATCH * FEATURES];
    static float dnormed[BATCH * PIXELS * FILTERS], dconvolved[BATCH * PIXELS * FILTERS];
    cvl_softmax_cross_entropy entropy = CVL_SOFTMAX_CROSS_ENTROPY_INIT;
    entropy.N = n, entropy.C = CLASSES;
    check(cvl_softmax_cross_entropy_f32(&entropy, &loss, dlogits, logits, y, NULL, NULL, &run));
    check(cvl_linear_backward_weights_f32(&linear, g.linear, g.bias, dlogits, pooled, &run));
    check(cvl_linear_backward_data_f32(&linear, dpooled, dlogits, w.linear, &run));
    check(cvl_max_pool2d_backward_f32(&pool, dnormed, dpooled, normed, &run));
    check(cvl_batch_norm_backward_f32(&norm, dconvolved, g.gamma, g.beta, NULL, dnormed, convolved,
                                      NULL, w.gamma, w.beta, mean, var, &run));
    check(cvl_conv2d_backward_weights_f32(&conv, g.conv, NULL, dconvolved, x, &run));

    cvl_adam adam = CVL_ADAM_INIT;
    static int t = 0; /* steps */
    adam.lr = 0.005, adam.beta1 = 0.9, adam.beta2 = 0.999, adam.eps = 1e-8;
    adam.correction1 = 1 - pow(adam.beta1, ++t), adam.correction2 = 1 - pow(adam.beta2, t);
    cvl_segment_f32 all = {
        sizeof w / sizeof(float), (float *)&w, (float *)&g, (float *)&m, (float *)&v, NULL};
    check(cvl_adam_step_f32(&adam, &all, 1, &run));
    for (int c = 0; c < FILTERS; c++) {
        running_mean[c] += 0.1 * (mean[c] - running_mean[c]);
        running_var[c] += 0.1 * (var[c] - running_var[c]);
    }
    return loss;
}

int main(int argc, char **argv)
{
    must(argc == 2, "expected the folder of the digits' IDX files");
    must(cvl_abi_version() == CVL_ABI_VERSION, "convlet.h and the library do not fit");
    read_digits(argv[1]);
    run.threads = 2, run.workspace = workspace, run.workspace_bytes = sizeof workspace;
    start(w.conv, TAPS * FILTERS, TAPS);
    start(w.linear, FEATURES * CLASSES, FEATURES);
    for (int c = 0; c < FILTERS; c++)
        w.gamma[c] = 1, running_var[c] = 1;

    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        for (int i = TRAINING - 1; i > 0; i--) { /* shuffle */
            const int j = (int)(random_bits() % (uint32_t)(i + 1));
            const struct image one = images[i];
            const int64_t label = labels[i];
            images[i] = images[j], images[j] = one, labels[i] = labels[j], labels[j] = label;
        }
        double loss = 0;
        for (int i = 0; i + BATCH <= TRAINING; i += BATCH)
            loss += network(BATCH, images[i].pixel, labels + i);
        printf("epoch %d  loss %.4f\n", epoch + 1, loss / (TRAINING / BATCH));
    }

    int correct = 0;
    network(TEST, images[TRAINING].pixel, NULL);
    for (int i = 0; i < TEST; i++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            best = logits[i * CLASSES + c] > logits[i * CLASSES + best] ? c : best;
        correct += best == labels[TRAINING + i];
    }
    printf("test accuracy %.4f\n", (double)correct / TEST);
    return 0;
}
