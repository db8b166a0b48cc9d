/* test_gemm.c: every panel of the matrix-product micro-kernel, those too that this CPU's calls go
 * around: tiles of all heights, whole and partial, against plain sums. */
#include "cpu.h"

#include "check.h"

enum { PANELS = CVL_GEMM_HALVES + 1, RUNS = 3, LONGEST = 37, MR = CVL_GEMM_MR_MAX };

/* What a tile is tried with. */
typedef struct way {
    int ahead, single, packed, add, bias;
} way;

static const NAME(kernels) *kernels(void) { return cvl_active_level()->DTYPE; }

/* A tile of mr rows, whose runs lie in A and B in an order of their own. */
static void tile_case(const NAME(gemm_panel) *panel, int mr, int nr, way w)
{
    const ptrdiff_t NR = panel->NR, K = RUNS * LONGEST, b_step = w.packed ? NR : nr;
    cvl_gemm_run run[RUNS * LONGEST];
    ptrdiff_t runs = 0, terms = w.add + w.bias;
    for (ptrdiff_t r = 0; r < RUNS; r++) {
        const ptrdiff_t k0 = (r + 1) % RUNS * LONGEST, count = w.single ? 5 : LONGEST - 17 * r;
        terms += count;
        for (ptrdiff_t k = 0; k < count; k += run[runs++].k)
            run[runs] = (cvl_gemm_run){k0 + k, w.single ? 1 : count, 2 * r * LONGEST + k};
    }
    const ptrdiff_t width = 2 * K;
    T *x = input_operand(2 * MR * width, INTEGER), *b = input_operand(K * b_step, INTEGER);
    T *bias = input_operand(nr, INTEGER), *y = output(MR * (ptrdiff_t)nr);
    const T *a[2 * MR];
    T *c[MR];
    for (int i = 0; i < 2 * MR; i++)
        a[i] = x + (2 * MR - 1 - i) * width;
    for (int i = 0; i < MR; i++)
        c[i] = y + (MR - 1 - i) * (ptrdiff_t)nr;
    double *want = doubles((ptrdiff_t)mr * nr);
    for (int i = 0; i < mr; i++)
        for (int j = 0; j < nr; j++) {
            c[i][j] = random_integer(INTEGER);
            double sum = (w.add ? (double)c[i][j] : 0) + (w.bias ? (double)bias[j] : 0);
            for (ptrdiff_t r = 0; r < runs; r++)
                for (ptrdiff_t k = 0; k < run[r].k; k++)
                    sum += (double)a[i][run[r].a + k] * (double)b[(run[r].k0 + k) * b_step + j];
            want[(mr - 1 - i) * nr + j] = sum;
        }
    panel->kernel(&(NAME(gemm_tile)){
        .runs = runs,
        .run = run,
        .a = a,
        .ahead = w.ahead,
        .single = w.single,
        .packed = w.packed,
        .b = b,
        .b_step = b_step,
        .mr = mr,
        .nr = nr,
        .c = c,
        .add = w.add,
        .end.bias = w.bias ? bias : NULL,
    });
    check_sums("c", (ptrdiff_t)mr * nr, y + (MR - mr) * (ptrdiff_t)nr, want, terms, want, INTEGER);
    CHECK(mr == MR || untouched(y, (size_t)(MR - mr) * (size_t)nr * sizeof(T)));
    check_memory();
}

static void all(void)
{
    static const way ways[] = {
        {0, 0, 1, 0, 0}, {1, 0, 1, 0, 0}, {0, 1, 1, 0, 0},
        {0, 0, 0, 0, 0}, {1, 0, 1, 1, 1}, {0, 0, 0, 1, 1},
    };
    for (int p = 0; p < PANELS; p++) {
        const NAME(gemm_panel) *panel = &kernels()->gemm[p];
        /* One and a half vectors of runs of one element are not asked for; nor are they unpacked. */
        const int halves = panel->NR % kernels()->gemm[CVL_GEMM_WHOLE - 1].NR != 0 &&
                           panel->NR > kernels()->gemm[CVL_GEMM_WHOLE - 1].NR;
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++)
            for (int mr = 1; mr <= panel->MR && (ways[w].packed || !halves); mr++)
                for (int nr = halves ? panel->NR * 2 / 3 + 1 : 1; nr <= panel->NR; nr++) {
                    check_case("panel %d of %d columns, %d x %d, way %d", p, panel->NR, mr, nr,
                               (int)w);
                    tile_case(panel, mr, nr, ways[w]);
                }
    }
}

int main(void) { return check_main(all); }
