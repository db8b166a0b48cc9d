/* checksums.c: one 64-bit FNV-1a checksum of the output bytes per operator, over fixed inputs.
 *
 * The lines are the same on every level with FMA, on x86 and on aarch64, for any number of threads.
 * Without an argument the program prints them; with the name of a file it checks that every line
 * is in it. checksums.txt is what it printed when results last changed on purpose:
 *     ninja -C build tests/_core/checksums_f32 tests/_core/checksums_f64
 *     for type in f32 f64; do build/tests/_core/checksums_$type; done > tests/_core/checksums.txt
 */
#include "checksums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u
enum { SKIPPED = 77 };

static uint64_t checksum;
static char *expected; /* the text of the file, or NULL */

static void add_bytes(const void *bytes, size_t count)
{
    for (const unsigned char *byte = bytes; count > 0; count--, byte++)
        checksum = (checksum ^ *byte) * FNV_PRIME;
}

void add_array(const T *x, ptrdiff_t n) { add_bytes(x, (size_t)n * sizeof(T)); }

void add_doubles(const double *x, ptrdiff_t n) { add_bytes(x, (size_t)n * sizeof(double)); }

void begin(const char *name)
{
    check_case("%s", name);
    checksum = FNV_BASIS;
}

void end(const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "%s_%s %016llx\n", name, sizeof(T) == sizeof(float) ? "f32" : "f64",
             (unsigned long long)checksum);
    if (!expected)
        fputs(line, stdout);
    else if (!CHECK(strstr(expected, line)))
        printf("got %s", line);
    check_memory();
}

/* The file's text, zero-terminated; NULL where it cannot be read. */
static char *read_text(const char *name)
{
    enum { MOST = 1 << 16 };
    char *text = calloc(MOST, 1);
    FILE *file = fopen(name, "r");
    if (!text || !file || fread(text, 1, MOST - 1, file) == 0)
        return NULL;
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    if (!cvl_isa())
        return SKIPPED;
    if (argc > 1) {
        expected = read_text(argv[1]);
        CHECK(expected);
    }
    sum_convolutions();
    sum_linear();
    sum_columns();
    sum_batch_norm();
    sum_group_norm();
    sum_layer_norm();
    sum_norm_orders();
    sum_softmax();
    sum_cross_entropy();
    sum_many_classes();
    sum_weighted_cross_entropy();
    sum_losses();
    sum_elementwise();
    sum_activation();
    sum_pool2d();
    sum_conv_transpose2d();
    sum_resample();
    sum_dropout();
    sum_optimizers();
    sum_adaptive_optimizers();
    sum_gradients();
    if (!expected)
        return 0;
    free(expected);
    return check_report();
}
