/* kernels_dtype.h: the kernel table of one type; included by kernels.h with T and CVL_DTYPE set. */

/* What is done to the last sum of an output before it is written: + bias[j], then the activation. */
typedef struct CVL_DTYPE_NAME(cvl_epilogue) {
    const T *bias; /* by output channel, or NULL */
    cvl_activation activation;
    T slope;
} CVL_DTYPE_NAME(cvl_epilogue);

/* One tile of a matrix product C = A B, rows of A and C behind pointers:
 *   c[i][c0+j] = (add ? c[i][c0+j] : 0) + sum over runs r, k < run[r].k of
 *                a[i][a0 + run[r].a + k] * B[run[r].k0 + k][j]
 * the sum being one FMA chain over the runs in order; then the epilogue.
 * Rows mr.. of a must be readable, and of c be something, but are not stored; columns nr.. are
 * neither read nor stored, unless B is packed, when they must be readable. */
typedef struct CVL_DTYPE_NAME(cvl_gemm_tile) {
    ptrdiff_t runs;
    const cvl_gemm_run *run;
    const T *const *a; /* (MR), or (2*MR) with `ahead`; see gemm_groups */
    ptrdiff_t a0;
    int lead;   /* of gemm_groups alone */
    int ahead;  /* fetch rows MR.. of a, of the tile that comes next, into the cache */
    int far;    /* B comes from beyond L2 */
    int single; /* every run is one element long */
    int packed; /* rows of B hold NR readable elements */
    const T *b; /* row k at b + k * b_step */
    ptrdiff_t b_step;
    int mr, nr;  /* rows and columns in use */
    T *const *c; /* (MR) */
    ptrdiff_t c0;
    int add;
    CVL_DTYPE_NAME(cvl_epilogue) end;
} CVL_DTYPE_NAME(cvl_gemm_tile);

/* A panel of the micro-kernel: MR rows by NR columns. Or, where there is a `slide`, of CVL_SLIDE_ROWS rows or
 * more that lie evenly, each a pixel of CVL_SLIDE_CHANNELS after the one before: it reads no a and c but the
 * first two, and the runs, of one element each, are whole rows of CVL_SLIDE_TAPS pixels. */
typedef struct CVL_DTYPE_NAME(cvl_gemm_panel) {
    int MR, NR;
    void (*kernel)(const CVL_DTYPE_NAME(cvl_gemm_tile) *tile);
    void (*slide)(const CVL_DTYPE_NAME(cvl_gemm_tile) *tile);
} CVL_DTYPE_NAME(cvl_gemm_panel);

/* c (rows, columns) = a b of a (rows, K), dense, and b; then the epilogue. Columns are those of a gemm
 * panel at most, and b is (K, whole vectors); or, `turned`, up to CVL_TALL_FEW, and b is (K, columns);
 * so are CVL_TALL_CLASSES of float32 in vectors of avx2 and wider, of which as many rows as these have lanes
 * are enough.
 * What is far, beyond L2, is fetched before it is needed: c, and a, which is anyway in few columns. */
typedef struct CVL_DTYPE_NAME(cvl_tall) {
    ptrdiff_t rows, columns, K;
    int turned, a_far, c_far;
    const T *a, *b;
    T *c;
    ptrdiff_t c_step;
    CVL_DTYPE_NAME(cvl_epilogue) end;
} CVL_DTYPE_NAME(cvl_tall);

/* A panel of NR columns, at each of `positions` positions p and of each of `groups` groups, which begin
 * at g*a_group, g*b_group and g*c_group: a product of matrices
 *   c[p*c_plane + i*c_row + j] = (add ? itself : 0)
 *       + sum over k < K of a[p*a_plane + i*a_row + k*a_step] * b[p*b_plane + k*b_step + j]
 * the sum being one FMA chain for `chain` of the k, the chains added in order. At a position, the columns
 * of a group may cover some of those after it. What a and b read for a chain is fetched during the one
 * before it, where they are said to stream: to come from far, and to lie in one piece. */
typedef struct CVL_DTYPE_NAME(cvl_winograd_product) {
    ptrdiff_t positions, groups, rows, K, chain, NR; /* NR: that of a gemm panel */
    const T *a;
    ptrdiff_t a_plane, a_group, a_row, a_step;
    const T *b;
    ptrdiff_t b_plane, b_group, b_step;
    T *c;
    ptrdiff_t c_plane, c_group, c_row;
    int add, a_streams, b_streams;
} CVL_DTYPE_NAME(cvl_winograd_product);

/* Taps [first, last) of one kernel row of a depthwise convolution: the input row and the weights
 * they read, from column and channel 0 on. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_row) {
    const T *x, *w;
    ptrdiff_t first, last;
} CVL_DTYPE_NAME(cvl_depthwise_row);

/* Lines of outputs of a depthwise convolution, columns [begin, end) and `channels` channels of each:
 *   y[i*y_line + g*y_step + c] = (add ? y[...] : 0) + sum over rows r and their taps t of
 *       r.x[tap[t].x + i*x_line + g*x_step + c] * r.w[tap[t].w + c]
 * the sum being one FMA chain, without the taps whose column g*in_step + tap[t].column is not below
 * W; then the epilogue. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise) {
    ptrdiff_t rows;
    const CVL_DTYPE_NAME(cvl_depthwise_row) *row;
    const cvl_depthwise_tap *tap;
    ptrdiff_t lines, x_line, y_line;
    ptrdiff_t begin, end, inner_begin, inner_end; /* where every tap lies inside: the inner ones */
    ptrdiff_t W, in_step, x_step, y_step, channels;
    T *y;
    int add;
    CVL_DTYPE_NAME(cvl_epilogue) ending;
} CVL_DTYPE_NAME(cvl_depthwise);

/* One or two rows of outputs of a depthwise convolution, of copied inputs:
 *   y[g*y_step + c] = sum over taps t < first + both of w[t][c] * x[t][g*x_step + c]
 *   y[y_row + g*y_step + c] = sum over the `both` taps t from `first` on, and `second` after them, of
 *       w[t][c - w_row] * x[t][g*x_step + c]
 * the sums being one FMA chain each; then the epilogue. Whole vectors of x, w and the bias are readable;
 * of y `channels` channels are written, of the last output `last`. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_copied) {
    const T *x, *w;
} CVL_DTYPE_NAME(cvl_depthwise_copied);
typedef struct CVL_DTYPE_NAME(cvl_depthwise_pair) {
    const CVL_DTYPE_NAME(cvl_depthwise_copied) *tap;
    ptrdiff_t first, both, second, w_row, x_step;
    ptrdiff_t rows, outputs, channels, last;
    T *y;
    ptrdiff_t y_step, y_row;
    CVL_DTYPE_NAME(cvl_epilogue) ending;
} CVL_DTYPE_NAME(cvl_depthwise_pair);

/* A strip of outputs of a depthwise convolution of 3x3 taps at stride 1 or 2: `rows` rows of OW
 * columns, of `channels` channels, which are a vector or more.
 *   y[r*y_row + g*y_step + c] = sum over kh, kw of w[(3*kh + kw)*w_step + c]
 *       * x[r*stride + kh][(g*stride - left + kw)*step + c]
 * the sum being one FMA chain, without the taps of columns outside [0, W), of which an output has at
 * most one; then, where `ended`, the epilogue. The first or the last row of x may lie outside: then
 * it is NULL, and so left out. With `fetch`, channels are all there are, and what comes next may be
 * fetched before it is read and written. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_strip) {
    const T *x[CVL_STRIP_INPUTS], *w;
    T *y;
    ptrdiff_t stride, rows, OW, left, W;
    ptrdiff_t step, y_step, y_row, w_step, channels;
    int fetch, ended;
    CVL_DTYPE_NAME(cvl_epilogue) ending;
} CVL_DTYPE_NAME(cvl_depthwise_strip);

/* A strip of input gradients of a depthwise convolution of 3x3 taps at stride 2: two rows of them, in
 * blocks of two columns from column -left on, and of these the blocks [begin, end), of `channels`
 * channels, which are a vector or more. Output column -left + j and row i are
 *   y[i][(j - left)*step + c] = sum over kh = i, i + 2 < 3 and kw = j%2, j%2 + 2 < 3
 *       of w[(3*kh + kw)*step + c] * x[kh < 2][(j - kw)/2*step + c]
 * the sum being one FMA chain; then bias[c] is added, unless that is NULL. Columns outside [0, OW) of
 * x are left out, and those outside [0, W) of y; and one row of each may be NULL: it lies outside.
 * With `fetch`, outputs are fetched before they are written. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_strip_data) {
    const T *x[2], *w, *bias;
    T *y[2];
    ptrdiff_t begin, end, left, W, OW, step, channels;
    int fetch;
} CVL_DTYPE_NAME(cvl_depthwise_strip_data);

/* A tap of the weight gradients of a depthwise convolution: outputs [begin, end) of a row have it.
 * x is the input of output 0 at channel 0. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_sum) {
    const T *x;
    T *sum;
    ptrdiff_t begin, end;
} CVL_DTYPE_NAME(cvl_depthwise_sum);

/* Chains of those over lines of outputs:
 *   sum[t][c] = fma(tap[t].x[i*x_line + g*x_step + c], dy[i*dy_line + g*dy_step + c], sum[t][c])
 * for lines i and outputs g of each tap, in order. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_sums) {
    ptrdiff_t taps;
    const CVL_DTYPE_NAME(cvl_depthwise_sum) *tap;
    ptrdiff_t lines, x_line, dy_line;
    ptrdiff_t x_step, dy_step, channels;
    const T *dy;
} CVL_DTYPE_NAME(cvl_depthwise_sums);

/* Chains over a strip of up to CVL_ORDER_STRIP output rows of depthwise filters of 3x3 taps at stride
 * 1 or 2, for `channels` channels, which are a vector or more:
 *   sum[(3*kh + kw)*sum_step + c] = fma(x[r*stride + kh][(g*stride - left + kw)*step + c],
 *                                       dy[r*dy_row + g*step + c], itself)
 * column by column g < OW and row by row, without the taps of columns outside [0, W), of which an
 * output has at most one. The first and the last row of x may be NULL: they lie outside. All channels
 * of `columns` columns are done before the next. */
typedef struct CVL_DTYPE_NAME(cvl_depthwise_strip_sums) {
    T *sum;
    const T *x[CVL_STRIP_INPUTS], *dy;
    ptrdiff_t stride, rows, OW, columns, left, W;
    ptrdiff_t sum_step, dy_row, step, channels;
} CVL_DTYPE_NAME(cvl_depthwise_strip_sums);

/* Input gradients of a convolution of 3x3 taps at stride 2, a vector of channels of cells of 2x2 inputs.
 * Input (r,s) of a cell is number 2r+s, and so are the outputs beside it, of which those with a bit in
 * `outputs` exist:
 *   c[(2r+s)*step + i][c0 + j] = bias[j]
 *       + sum over r', s', kh = 1 + r - 2r' in 0..2, kw = 1 + s - 2s' in 0..2, k < K
 *         of a[(2r'+s')*step + i][a0 + k] * w(kh,kw,k)[j]
 * the sum being one FMA chain, in the order of kh, kw, k. The vectors of w lie as they are read: those of
 * output 3 first and of output 0 last, of an output by k, and of a k by the inputs that it meets. A few
 * cells more than `cells` are read and written: they repeat the last. */
typedef struct CVL_DTYPE_NAME(cvl_cells) {
    ptrdiff_t cells, step;
    unsigned outputs;
    const T *const *a;
    T *const *c;
    ptrdiff_t a0, c0, K;
    const T *w, *bias;
    const T *ahead; /* fetched into L2 on the way, */
    ptrdiff_t far;  /* and so much further for each k of an output */
} CVL_DTYPE_NAME(cvl_cells);

/* A convolution to few channels, of planes whose rows follow each other so that a tap is a distance:
 *   c[i*c_step + q] = (add ? itself : 0) + sum over runs r, k < r.k
 *                     of a[(r.k0 + k)*channels + i] * b[r.b + k*b_step + q]
 * for q < positions, the sum being FMA chains, each over runs up to a last one, that are added in order;
 * then the epilogue, whose bias is by channel i. Up to CVL_PLANES_POSITIONS more positions are read and
 * written. */
typedef struct CVL_DTYPE_NAME(cvl_planes) {
    ptrdiff_t runs;
    const cvl_planes_run *run;
    const T *a, *b;
    T *c;
    ptrdiff_t b_step, c_step, positions;
    int channels, add;
    CVL_DTYPE_NAME(cvl_epilogue) end;
} CVL_DTYPE_NAME(cvl_planes);

/* Memory that will be read, to be fetched: so many times the line at `at`, which then moves on by
 * `step` elements. The last of a list has no end and a step of 0. */
typedef struct CVL_DTYPE_NAME(cvl_stretch) {
    const T *at;
    ptrdiff_t left, step;
} CVL_DTYPE_NAME(cvl_stretch);

/* A sum of outer products, rows of C being rows of A:
 *   c[i*c_step + j] = (add ? c[i*c_step + j] : 0)
 *                   + sum over runs r, k < r.count of a[r.a + k*a_step + i] * b[r.b + k*b_step + j]
 * the sum being one FMA chain over the runs in order, for i < rows and j < columns. */
typedef struct CVL_DTYPE_NAME(cvl_outer) {
    ptrdiff_t runs;
    const cvl_outer_run *run;
    ptrdiff_t rows, columns;
    ptrdiff_t group; /* of outer_groups alone */
    const T *a;
    ptrdiff_t a_step;
    const T *b;
    ptrdiff_t b_step;
    T *c;
    ptrdiff_t c_step;
    int add;
    CVL_DTYPE_NAME(cvl_stretch)
    *ahead; /* fetched into L2 on the way, one of it for each k of a tile */
} CVL_DTYPE_NAME(cvl_outer);

/* What the rows of a loss over classes have in common; arrays are those of all rows. */
typedef struct CVL_DTYPE_NAME(cvl_class_rows) {
    ptrdiff_t C;
    ptrdiff_t block;        /* classes that are summed up at a time */
    const int64_t *labels;  /* (N), or NULL: */
    const T *q;             /* (N,C), soft targets */
    const T *class_weight;  /* (C) or NULL */
    const T *sample_weight; /* (N) or NULL */
    int ignore;
    int64_t ignore_index;
    double smoothing;
    double divisor; /* of losses' gradients; 0: every row is skipped */
} CVL_DTYPE_NAME(cvl_class_rows);

/* The gradients of a step: what it takes is g times `scale`; g becomes 0 on request. */
typedef struct CVL_DTYPE_NAME(cvl_gradients) {
    T *g;
    T scale;
    int clear;
} CVL_DTYPE_NAME(cvl_gradients);

/* The constants of a loss over elements; which of them count, its kernel says. */
typedef struct CVL_DTYPE_NAME(cvl_element_loss) {
    T weight; /* of every gradient */
    T delta, half, slope, factor;
    T gamma, positive, negative;
} CVL_DTYPE_NAME(cvl_element_loss);

typedef struct CVL_DTYPE_NAME(cvl_kernels) {
    /* Widest first; a level with fewer than CVL_GEMM_PANELS widths repeats its narrowest. */
    CVL_DTYPE_NAME(cvl_gemm_panel) gemm[CVL_GEMM_PANELS + 2];
    ptrdiff_t vector; /* bytes */
    /* A tile of one run, of `rows` rows, used or not, and a panel of two vectors; a[0] holds A turned, (k, rows).
     * `far`: B comes from beyond L2. Or NULL, where registers do not hold so many. */
    void (*few)(const CVL_DTYPE_NAME(cvl_gemm_tile) *tile, ptrdiff_t rows, int far);
#define CVL_KERNEL(result, name, arguments) result(*name) arguments;
#include "kernels.inc"
#undef CVL_KERNEL
} CVL_DTYPE_NAME(cvl_kernels);
