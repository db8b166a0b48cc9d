/* test_dropout.c: the generator's published numbers, and dropout against one word at a time. */
#include <math.h>
#include <string.h>

#include "check.h"

/* The known answers of Random123's kat_vectors for philox4x32 with 10 rounds. */
static void test_known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], word[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    check_case("known answers");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t word[4];
        cvl_reference_philox(word, known[i].counter, known[i].key);
        CHECK(memcmp(word, known[i].word, sizeof word) == 0);
    }
}

/* clang-format off */
static const cvl_dropout cases[] = {
#define CASE(...) {sizeof(cvl_dropout), __VA_ARGS__}
    /*   N  M     C    p     seed                  counter      per channel */
    CASE(1, 1, 1, 0.5, 0, 0, 0),
    CASE(0, 3, 2, 0.5, 1, 2, 1), /* nothing */
    CASE(2, 0, 2, 0.5, 1, 2, 1),
    CASE(2, 3, 0, 0.5, 1, 2, 1),
    CASE(2, 15, 7, 0.25, 12345, 1, 0),
    CASE(2, 15, 7, 0.25, 12345, 1, 1),
    CASE(3, 1, 65, 0.9, UINT64_MAX, UINT64_MAX, 1),
    CASE(3, 1, 65, 0.1, 0xa4093822299f31d0, 1ull << 40, 0),
    CASE(2, 5, 3, 0, 1, 2, 0), /* all stay */
    CASE(2, 5, 3, 1, 1, 2, 0), /* all go */
    CASE(2, 5, 3, 1, 1, 2, 1),
    CASE(3, 333, 131, 0.5, 7, 9, 0), /* work for three threads */
    CASE(3, 333, 131, 0.5, 7, 9, 1),
    CASE(2, 2, 5000, 0.3, 7, 9, 1), /* more channels than a task has elements */
#undef CASE
};
/* clang-format on */

static void test_dropout(const cvl_dropout *d)
{
    check_case("dropout N%td M%td C%td p %g seed %llx counter %llx %s", d->N, d->M, d->C, d->p,
               (unsigned long long)d->seed, (unsigned long long)d->counter,
               d->per_channel ? "channels" : "elements");
    const ptrdiff_t n = d->N * d->M * d->C;
    T *x = input_random(n), *first = NULL;
    double *wide_x = widened(x, n), *want = doubles(n);
    cvl_reference_dropout(d, want, wide_x);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(n), *in_place = output(n);
        cvl_exec run = run_with(threads, NAME(dropout_workspace_size)(d, threads));
        CHECK(NAME(dropout)(d, y, x, &run) == CVL_OK);
        /* The scale is rounded, and the product. */
        check_within("y", n, y, want, 4 * UNIT, magnitude(want, n));
        if (n > 0)
            memcpy(in_place, x, (size_t)n * sizeof(T));
        CHECK(NAME(dropout)(d, in_place, in_place, &run) == CVL_OK);
        check_same("in place", n, in_place, y);
        if (first)
            check_same("y", n, y, first);
        first = y;
    }
    check_memory();
}

/* The threshold is 2^32 p rounded: just below a word and a half that word stays, just above it goes. */
static void test_threshold(void)
{
    const T one = 1;
    cvl_dropout d = CVL_DROPOUT_INIT;
    d.N = d.M = d.C = 1;
    check_case("threshold");
    uint32_t word[4];
    cvl_reference_philox(word, (uint32_t[4]){0}, (uint32_t[2]){0});
    for (int above = 0; above <= 1; above++) {
        T *x = input_bytes(&one, sizeof one), *y = output(1);
        cvl_exec run = run_with(1, 0);
        d.p = ((double)word[0] + (above ? 0.6 : 0.4)) * 0x1p-32;
        CHECK(NAME(dropout)(&d, y, x, &run) == CVL_OK);
        CHECK((y[0] == 0) == above);
    }
    check_memory();
}

/* Dropped values are 0 whatever they were; kept ones keep subnormals. */
static void test_special_values(void)
{
    const T values[] = {(T)NAN, (T)INFINITY, (T)SMALLEST, (T)-INFINITY};
    cvl_dropout d = CVL_DROPOUT_INIT;
    d.N = d.M = 1;
    d.C = 4;
    for (d.per_channel = 0; d.per_channel <= 1; d.per_channel++) {
        check_case("special values, %d", d.per_channel);
        T *x = input_bytes(values, sizeof values), *y = output(4), *gone = output(4);
        cvl_exec run = run_with(1, 64);
        d.p = 0;
        CHECK(NAME(dropout)(&d, y, x, &run) == CVL_OK);
        CHECK(isnan(y[0]) && y[1] == x[1] && y[2] == x[2] && y[3] == x[3]);
        d.p = 1;
        CHECK(NAME(dropout)(&d, gone, x, &run) == CVL_OK);
        for (int i = 0; i < 4; i++)
            CHECK(gone[i] == 0 && !signbit(gone[i]));
        check_memory();
    }
}

/* About 1 - p of many stay, and another counter or seed is another mask. */
static void test_rates(void)
{
    enum { COUNT = 1 << 16 };
    cvl_dropout d = CVL_DROPOUT_INIT;
    d.N = d.M = 1;
    d.C = COUNT;
    d.p = 0.3;
    check_case("rates");
    T *x = output(COUNT), *y[3];
    for (int i = 0; i < COUNT; i++)
        x[i] = 1;
    cvl_exec run = run_with(1, 0);
    for (int i = 0; i < 3; i++) {
        int kept = 0, same = 0;
        d.seed = i == 1;
        d.counter = i == 2;
        y[i] = output(COUNT);
        CHECK(NAME(dropout)(&d, y[i], x, &run) == CVL_OK);
        for (int j = 0; j < COUNT; j++) {
            kept += y[i][j] != 0;
            same += y[i][j] == y[0][j];
        }
        /* Five standard deviations: sqrt(65536 * 0.3 * 0.7) is 117; independent masks agree in
         * 0.7^2 + 0.3^2 = 0.58 of the places. */
        CHECK(fabs(kept - 0.7 * COUNT) < 5 * 118);
        CHECK(i == 0 || fabs(same - 0.58 * COUNT) < 5 * 127);
    }
    check_memory();
}

static void refuse(const char *why, const cvl_dropout *d, cvl_status expected)
{
    check_case("refused: %s", why);
    T *out = output(64), *in = input_random(64);
    cvl_exec run = run_with(1, 1 << 12);
    CHECK(NAME(dropout)(d, out, in, &run) == expected);
    CHECK(NAME(dropout_workspace_size)(d, 1) == 0);
    CHECK(untouched(out, 64 * sizeof(T)) && untouched(run.workspace, run.workspace_bytes));
    check_memory();
}

static void test_refusals(void)
{
    const cvl_dropout good = {sizeof good, 2, 3, 4, 0.5, 0, 0, 1};
    const double rates[] = {-0.1, 1.1, NAN, INFINITY};
    cvl_dropout d;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        d = good, d.p = rates[i];
        refuse("p outside [0, 1]", &d, CVL_ERR_ARGUMENT);
    }
    d = good, d.N = -1;
    refuse("N of -1", &d, CVL_ERR_SHAPE);
    d = good, d.M = -1;
    refuse("M of -1", &d, CVL_ERR_SHAPE);
    d = good, d.C = -1;
    refuse("C of -1", &d, CVL_ERR_SHAPE);
    d = good, d.C = PTRDIFF_MAX / 2;
    refuse("more than memory", &d, CVL_ERR_OVERFLOW);
    d = good, d.size = 0;
    refuse("no INIT", &d, CVL_ERR_ARGUMENT);
    refuse("no descriptor", NULL, CVL_ERR_ARGUMENT);

    check_case("arguments");
    T *out = output(24), *in = input_random(24);
    cvl_exec run = run_with(1, 64), none = CVL_EXEC_INIT;
    CHECK(NAME(dropout)(&good, NULL, in, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(dropout)(&good, out, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(dropout)(&good, out, in, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(dropout)(&good, out, in, &none) == CVL_ERR_WORKSPACE);
    CHECK(untouched(out, 24 * sizeof(T)));
    check_memory();
}

static void test_all(void)
{
    test_known_answers();
    for (const cvl_dropout *d = cases; d < cases + sizeof cases / sizeof cases[0]; d++)
        test_dropout(d);
    test_threshold();
    test_special_values();
    test_rates();
    test_refusals();
}

int main(void) { return check_main(test_all); }
