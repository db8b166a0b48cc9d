/* test_program.c: a program against the same operators called one by one. */
#include "check.h"

/* x, y, and the values of a small residual network. */
enum { X, Y, A, B, C, D, E, P, Q, L, VALUES };
enum { OPS = 9, N = 3, H = 6, W = 5, IN = 3, CH = 8, CLASSES = 10, PIXELS = N * H * W };

typedef struct network {
    cvl_conv2d first, second;
    cvl_batch_norm norm;
    cvl_pool2d max, mean;
    cvl_linear linear;
    cvl_softmax softmax;
    cvl_value value[VALUES];
    cvl_op op[OPS];
    cvl_program program;
    T *x, *w1, *b1, *w2, *gamma, *beta, *w3, *b3;
    double *statistics;
} network;

static cvl_op make_op(cvl_op_kind kind, ptrdiff_t y, ptrdiff_t x, ptrdiff_t z, const void *d)
{
    cvl_op op = CVL_OP_INIT;
    op.kind = kind;
    op.y = y;
    op.x = x;
    op.z = z;
    op.descriptor = d;
    return op;
}

static cvl_pool2d pool(ptrdiff_t h, ptrdiff_t w, ptrdiff_t kh, ptrdiff_t kw)
{
    cvl_pool2d d = CVL_POOL2D_INIT;
    d.N = N;
    d.H = h;
    d.W = w;
    d.C = CH;
    d.KH = d.SH = kh;
    d.KW = d.SW = kw;
    return d;
}

/* A, B, C, D = C + B and E = relu(D) in C's place, then pools of 3x2 pixels and the classes. */
static void make(network *n)
{
    const ptrdiff_t image = PIXELS * CH, small = N * 3 * 2 * CH;
    n->first = (cvl_conv2d)CVL_CONV2D_INIT;
    n->first.N = N;
    n->first.H = H;
    n->first.W = W;
    n->first.C = IN;
    n->first.OC = CH;
    n->first.KH = n->first.KW = 3;
    n->first.PT = n->first.PB = n->first.PL = n->first.PR = 1;
    n->first.activation = CVL_ACTIVATION_RELU;
    n->second = n->first;
    n->second.C = CH;
    n->norm = (cvl_batch_norm)CVL_BATCH_NORM_INIT;
    n->norm.M = PIXELS;
    n->norm.C = CH;
    n->max = pool(H, W, 2, 2);
    n->mean = pool(3, 2, 3, 2);
    n->linear = (cvl_linear)CVL_LINEAR_INIT;
    n->linear.M = N;
    n->linear.IN = CH;
    n->linear.OUT = CLASSES;
    n->softmax = (cvl_softmax)CVL_SOFTMAX_INIT;
    n->softmax.N = N;
    n->softmax.C = CLASSES;

    n->x = input_random(PIXELS * IN);
    n->w1 = input_random(9 * IN * CH);
    n->b1 = input_random(CH);
    n->w2 = input_random(9 * CH * CH);
    n->gamma = input_random(CH);
    n->beta = input_random(CH);
    n->w3 = input_random(CH * CLASSES);
    n->b3 = input_random(CLASSES);
    n->statistics = doubles(2 * CH);
    for (int c = 0; c < 2 * CH; c++)
        n->statistics[c] = 1 + 0.25 * c;

    const cvl_value values[VALUES] = {
        [X] = {PIXELS * IN, 0},   [Y] = {N * CLASSES, 0},
        [A] = {image, 0},         [B] = {image, image},
        [C] = {image, 2 * image}, [D] = {image, 2 * image},
        [E] = {image, 2 * image}, [P] = {small, 0},
        [Q] = {N * CH, image},    [L] = {N * CLASSES, image + 64},
    };
    const cvl_op ops[OPS] = {
        make_op(CVL_OP_CONV2D, A, X, -1, &n->first),
        make_op(CVL_OP_CONV2D, B, A, A, &n->second),
        make_op(CVL_OP_BATCH_NORM, C, B, A, &n->norm),
        make_op(CVL_OP_ADD, D, C, B, NULL),
        make_op(CVL_OP_RELU, E, D, -1, NULL),
        make_op(CVL_OP_MAX_POOL2D, P, E, -1, &n->max),
        make_op(CVL_OP_AVG_POOL2D, Q, P, -1, &n->mean),
        make_op(CVL_OP_LINEAR, L, Q, -1, &n->linear),
        make_op(CVL_OP_SOFTMAX, Y, L, -1, &n->softmax),
    };
    for (int i = 0; i < VALUES; i++)
        n->value[i] = values[i];
    for (int i = 0; i < OPS; i++)
        n->op[i] = ops[i];
    n->op[0].w = n->w1;
    n->op[0].b = n->b1;
    n->op[1].w = n->w2;
    n->op[2].w = n->gamma;
    n->op[2].b = n->beta;
    n->op[2].mean = n->statistics;
    n->op[2].var = n->statistics + CH;
    n->op[7].w = n->w3;
    n->op[7].b = n->b3;
    n->program = (cvl_program)CVL_PROGRAM_INIT;
    n->program.values = VALUES;
    n->program.ops = OPS;
    n->program.arena = 3 * image;
    n->program.value = n->value;
    n->program.op = n->op;
}

/* The same, operator by operator, each value in memory of its own. */
static void one_by_one(const network *n, T *y)
{
    const ptrdiff_t image = PIXELS * CH;
    cvl_conv2d plain = n->second;
    T *value[VALUES];
    for (int i = 0; i < VALUES; i++)
        value[i] = i == Y ? y : output(n->value[i].elements);
    plain.activation = CVL_ACTIVATION_NONE;
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(&n->first, 1));
    CHECK(!NAME(conv2d_forward)(&n->first, value[A], n->x, n->w1, n->b1, &run));
    run = run_with(1, NAME(conv2d_forward_workspace_size)(&plain, 1));
    CHECK(!NAME(conv2d_forward)(&plain, value[B], value[A], n->w2, NULL, &run));
    CHECK(!NAME(add)(image, value[B], value[B], value[A], &run));
    CHECK(!NAME(relu_forward)(image, value[B], value[B], &run));
    run = run_with(1, NAME(batch_norm_inference_workspace_size)(&n->norm, 1));
    CHECK(!NAME(batch_norm_inference)(&n->norm, value[C], value[B], n->gamma, n->beta,
                                      n->statistics, n->statistics + CH, value[A], &run));
    CHECK(!NAME(add)(image, value[D], value[C], value[B], &run));
    CHECK(!NAME(relu_forward)(image, value[E], value[D], &run));
    CHECK(!NAME(max_pool2d_forward)(&n->max, value[P], value[E], &run));
    CHECK(!NAME(avg_pool2d_forward)(&n->mean, value[Q], value[P], &run));
    run = run_with(1, NAME(linear_forward_workspace_size)(&n->linear, 1));
    CHECK(!NAME(linear_forward)(&n->linear, value[L], value[Q], n->w3, n->b3, &run));
    CHECK(!NAME(softmax_forward)(&n->softmax, value[Y], value[L], &run));
}

/* Makes the weights of a convolution ready. */
static void pack(cvl_op *op, const cvl_conv2d *d, const T *w)
{
    const size_t bytes = NAME(conv2d_packed_size)(d);
    if (bytes == 0)
        return;
    void *packed = output_bytes(bytes);
    cvl_exec run = run_with(1, NAME(conv2d_forward_workspace_size)(d, 1));
    CHECK(NAME(conv2d_pack)(d, packed, w, &run) == CVL_OK);
    op->packed = packed;
    op->w = NULL;
}

static void test_results(int packed)
{
    network n;
    check_case("a residual network, packed %d", packed);
    make(&n);
    if (packed)
        n.op[3].kind = CVL_OP_ADD_RELU; /* a second ReLU changes nothing */
    if (packed) {
        pack(&n.op[0], &n.first, n.w1);
        pack(&n.op[1], &n.second, n.w2);
        n.op[7].packed = n.x; /* a linear layer takes its w */
    }
    CHECK(NAME(program_check)(&n.program) == CVL_OK);
    T *want = output(N * CLASSES);
    one_by_one(&n, want);
    void *plan = output_bytes(NAME(program_plan_size)(&n.program));
    for (int threads = team_after(0); threads; threads = team_after(threads))
        for (int planned = 0; planned <= threads + 1; planned++) { /* 0: not at all */
            n.program.plan = planned ? plan : NULL;
            if (planned)
                CHECK(NAME(program_plan)(&n.program, planned, plan) == CVL_OK);
            T *y = output(N * CLASSES);
            cvl_exec run = run_with(threads, NAME(program_workspace_size)(&n.program, threads));
            CHECK(NAME(program_run)(&n.program, y, n.x, &run) == CVL_OK);
            check_same("y", N * CLASSES, y, want);
        }
    check_memory();
}

/* Whether a program is refused with nothing written, and has no size. */
static void refused(const network *n, const char *why, cvl_status expected)
{
    check_case("refused: %s", why);
    T *y = output(N * CLASSES), *x = output(PIXELS * IN);
    cvl_exec run = run_with(1, 1 << 20);
    CHECK(NAME(program_run)(&n->program, y, x, &run) == expected);
    CHECK(untouched(y, N * CLASSES * sizeof(T)));
    CHECK(NAME(program_check)(&n->program) == expected);
    CHECK(NAME(program_plan)(&n->program, 1, x) == expected);
    CHECK(NAME(program_workspace_size)(&n->program, 1) == 0);
    CHECK(NAME(program_plan_size)(&n->program) == 0);
}

#define REFUSED(change, why, expected) \
    do {                               \
        network n;                     \
        check_case("%s", why);         \
        make(&n);                      \
        change;                        \
        refused(&n, why, expected);    \
        check_memory();                \
    } while (0)

static void test_errors(void)
{
    REFUSED(n.program.size = 0, "no INIT", CVL_ERR_ARGUMENT);
    REFUSED(n.program.ops = 0, "no operators", CVL_ERR_ARGUMENT);
    REFUSED(n.program.value = NULL, "no values", CVL_ERR_ARGUMENT);
    REFUSED(n.op[0].size = 0, "an operator without INIT", CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].kind = (cvl_op_kind)(CVL_OP_UPSAMPLE2D + 1), "an unknown kind",
            CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].kind = (cvl_op_kind)-1, "a negative kind", CVL_ERR_ARGUMENT);
    REFUSED(n.op[0].descriptor = NULL, "no descriptor", CVL_ERR_ARGUMENT);
    REFUSED(n.op[7].descriptor = NULL, "no descriptor of linear", CVL_ERR_ARGUMENT);
    REFUSED(n.op[2].descriptor = NULL, "no descriptor of batch norm", CVL_ERR_ARGUMENT);
    REFUSED(n.op[8].descriptor = NULL, "no descriptor of softmax", CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].x = VALUES, "a value out of range", CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].y = VALUES, "a value out of range written", CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].x = Y, "y read", CVL_ERR_ARGUMENT);
    REFUSED(n.op[4].y = X, "x written", CVL_ERR_ARGUMENT);
    REFUSED(n.op[3].z = -1, "a sum of one", CVL_ERR_ARGUMENT);
    REFUSED(n.op[7].z = L, "a linear layer with z", CVL_ERR_ARGUMENT);
    REFUSED(n.op[8].y = L, "the last one does not write y", CVL_ERR_ARGUMENT);
    REFUSED(n.op[7].y = Y, "another than the last writes y", CVL_ERR_ARGUMENT);
    REFUSED(n.value[B].place = n.value[A].place, "y over x", CVL_ERR_ARGUMENT);
    REFUSED(n.value[C].place -= 1, "y over a part of x", CVL_ERR_ARGUMENT);
    REFUSED(n.value[D].place -= 1, "a sum over a part of x", CVL_ERR_ARGUMENT);
    REFUSED(n.value[C].place = n.value[A].place, "y over z", CVL_ERR_ARGUMENT);
    REFUSED(
        (n.op[4] = n.op[8], n.op[4].x = D, n.op[4].y = E, n.softmax.N = PIXELS, n.softmax.C = CH),
        "a softmax over x", CVL_ERR_ARGUMENT);
    REFUSED(n.op[3].z = X, "z of another size", CVL_ERR_SHAPE);
    REFUSED(n.second.activation = CVL_ACTIVATION_RELU6, "ReLU6 after z", CVL_ERR_ARGUMENT);
    REFUSED((n.first.activation = CVL_ACTIVATION_RELU6, n.op[0].z = X), "ReLU6 after x",
            CVL_ERR_ARGUMENT);
    REFUSED(n.value[E].place += 1, "beyond the arena", CVL_ERR_SHAPE);
    REFUSED(n.program.arena -= 1, "a small arena", CVL_ERR_SHAPE);
    REFUSED(n.program.arena = PTRDIFF_MAX, "an arena larger than memory", CVL_ERR_SHAPE);
    REFUSED(n.value[A].place = -1, "before the arena", CVL_ERR_SHAPE);
    REFUSED(n.value[P].elements -= 1, "a value of another size", CVL_ERR_SHAPE);
    REFUSED(n.value[X].elements += 1, "x of another size", CVL_ERR_SHAPE);
    REFUSED(n.first.KH = 99, "a kernel larger than the image", CVL_ERR_SHAPE);
    REFUSED(n.norm.M += 1, "a batch norm of other sizes", CVL_ERR_SHAPE);
    REFUSED(n.softmax.C += 1, "a softmax of other sizes", CVL_ERR_SHAPE);
    for (int i = 0; i < OPS; i++) /* whose y no other operator reads and speaks of */
        REFUSED((n.op[0] = n.op[i], n.op[0].y = Y, n.program.ops = 1, n.value[Y].elements += 1),
                "an operator alone with y of another size", CVL_ERR_SHAPE);
}

/* x in more channels, and all of it side by side: the values of a program that moves most of them. */
typedef struct mover {
    cvl_pad_shortcut shortcut;
    cvl_concat concat;
    ptrdiff_t channels[3], parts[3];
    cvl_value value[4];
    cvl_op op[3];
    cvl_program program;
    T *x;
} mover;

enum { MOVED = 2 * IN + CH };

static void make_mover(mover *m)
{
    m->shortcut = (cvl_pad_shortcut){sizeof m->shortcut, N, H, W, IN, CH, 1, 1};
    m->concat = (cvl_concat){sizeof m->concat, PIXELS, 3, m->channels};
    m->channels[0] = m->channels[2] = IN;
    m->channels[1] = CH;
    m->parts[0] = m->parts[2] = X;
    m->parts[1] = A;
    m->value[X] = (cvl_value){PIXELS * IN, 0};
    m->value[Y] = (cvl_value){PIXELS * MOVED, 0};
    m->value[A] = (cvl_value){PIXELS * CH, 0};
    m->value[B] = (cvl_value){PIXELS * MOVED, PIXELS * CH};
    m->op[0] = make_op(CVL_OP_PAD_SHORTCUT, A, X, -1, &m->shortcut);
    m->op[1] = make_op(CVL_OP_CONCAT, B, X, -1, &m->concat);
    m->op[1].parts = m->parts;
    m->op[2] = make_op(CVL_OP_RELU, Y, B, -1, NULL);
    m->program =
        (cvl_program){sizeof m->program, 4, 3, PIXELS * (CH + MOVED), m->value, m->op, NULL};
    m->x = input_random(PIXELS * IN);
}

static void test_movers(void)
{
    check_case("a program that moves values");
    mover m;
    make_mover(&m);
    T *around = output(PIXELS * CH), *want = output(PIXELS * MOVED);
    const T *parts[] = {m.x, around, m.x};
    cvl_exec run = run_with(1, 0);
    CHECK(NAME(pad_shortcut_forward)(&m.shortcut, around, m.x, &run) == CVL_OK);
    CHECK(NAME(concat_forward)(&m.concat, want, parts, &run) == CVL_OK);
    CHECK(NAME(relu_forward)(PIXELS * MOVED, want, want, &run) == CVL_OK);
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(PIXELS * MOVED);
        run = run_with(threads, NAME(program_workspace_size)(&m.program, threads));
        CHECK(NAME(program_run)(&m.program, y, m.x, &run) == CVL_OK);
        check_same("y", PIXELS * MOVED, y, want);
    }
    T *y = output(PIXELS * MOVED);
    run = run_with(1, NAME(program_workspace_size)(&m.program, 1) - 64);
    CHECK(NAME(program_run)(&m.program, y, m.x, &run) == CVL_ERR_WORKSPACE);
    CHECK(untouched(y, PIXELS * MOVED * sizeof(T)));
    check_memory();
}

#define REFUSED_MOVER(change, expected)                          \
    do {                                                         \
        mover m;                                                 \
        check_case("%s", #change);                               \
        make_mover(&m);                                          \
        change;                                                  \
        CHECK(NAME(program_check)(&m.program) == (expected));    \
        CHECK(NAME(program_workspace_size)(&m.program, 1) == 0); \
        check_memory();                                          \
    } while (0)

static void test_mover_errors(void)
{
    REFUSED_MOVER(m.op[1].parts = NULL, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.op[1].z = A, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.op[0].descriptor = NULL, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.op[1].descriptor = NULL, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.concat.C = NULL, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.parts[0] = A, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.parts[1] = Y, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.parts[1] = 4, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.parts[1] = X, CVL_ERR_SHAPE);
    REFUSED_MOVER(m.value[B].place -= 1, CVL_ERR_ARGUMENT);
    REFUSED_MOVER(m.channels[2] += 1, CVL_ERR_SHAPE);
    REFUSED_MOVER((m.program.ops = 2, m.op[1].y = Y, m.value[Y].elements -= 1), CVL_ERR_SHAPE);
    REFUSED_MOVER(m.concat.parts = 0, CVL_ERR_SHAPE);
    REFUSED_MOVER(m.shortcut.OC += 1, CVL_ERR_SHAPE);
}

/* Images that grow and are normalised: a transposed convolution, a group norm, pixels doubled. */
typedef struct grower {
    cvl_conv_transpose2d spread;
    cvl_group_norm norm;
    cvl_upsample2d larger;
    cvl_value value[4];
    cvl_op op[3];
    cvl_program program;
    T *x, *w, *b, *gamma, *beta;
} grower;

enum { SPREAD = N * 2 * H * 2 * W * CH };

static void make_grower(grower *g)
{
    g->spread = (cvl_conv_transpose2d)CVL_CONV_TRANSPOSE2D_INIT;
    g->spread.N = N;
    g->spread.H = H;
    g->spread.W = W;
    g->spread.C = IN;
    g->spread.OC = CH;
    g->spread.KH = g->spread.KW = g->spread.SH = g->spread.SW = 2;
    g->norm = (cvl_group_norm){sizeof g->norm, N, 2 * H * 2 * W, CH, 2, 1e-5};
    g->larger = (cvl_upsample2d)CVL_UPSAMPLE2D_INIT;
    g->larger.N = N;
    g->larger.H = 2 * H;
    g->larger.W = 2 * W;
    g->larger.C = CH;
    g->larger.SH = 2;
    g->x = input_random(PIXELS * IN);
    g->w = input_random(2 * 2 * CH * IN);
    g->b = input_random(CH);
    g->gamma = input_random(CH);
    g->beta = input_random(CH);
    g->value[X] = (cvl_value){PIXELS * IN, 0};
    g->value[Y] = (cvl_value){2 * SPREAD, 0};
    g->value[A] = (cvl_value){SPREAD, 0};
    g->value[B] = (cvl_value){SPREAD, SPREAD};
    g->op[0] = make_op(CVL_OP_CONV_TRANSPOSE2D, A, X, -1, &g->spread);
    g->op[1] = make_op(CVL_OP_GROUP_NORM, B, A, -1, &g->norm);
    g->op[2] = make_op(CVL_OP_UPSAMPLE2D, Y, B, -1, &g->larger);
    g->op[0].w = g->w;
    g->op[0].b = g->b;
    g->op[1].w = g->gamma;
    g->op[1].b = g->beta;
    g->program = (cvl_program){sizeof g->program, 4, 3, 2 * SPREAD, g->value, g->op, NULL};
}

static void test_growers(void)
{
    check_case("a program that makes images larger");
    grower g;
    make_grower(&g);
    T *a = output(SPREAD), *b = output(SPREAD), *want = output(2 * SPREAD);
    double *mean = doubles(N * 2), *var = doubles(N * 2);
    cvl_exec run = run_with(1, NAME(conv_transpose2d_forward_workspace_size)(&g.spread, 1));
    CHECK(!NAME(conv_transpose2d_forward)(&g.spread, a, g.x, g.w, g.b, &run));
    run = run_with(1, NAME(group_norm_forward_workspace_size)(&g.norm, 1));
    CHECK(!NAME(group_norm_forward)(&g.norm, b, mean, var, a, g.gamma, g.beta, &run));
    run = run_with(1, NAME(upsample2d_workspace_size)(&g.larger, 1));
    CHECK(!NAME(upsample2d_forward)(&g.larger, want, b, &run));
    for (int threads = team_after(0); threads; threads = team_after(threads)) {
        T *y = output(2 * SPREAD);
        run = run_with(threads, NAME(program_workspace_size)(&g.program, threads));
        CHECK(NAME(program_run)(&g.program, y, g.x, &run) == CVL_OK);
        check_same("y", 2 * SPREAD, y, want);
    }
    g.spread.C += 1;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    g.spread.C -= 1;
    g.norm.M += 1;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    g.norm.M -= 1;
    g.norm.groups = PTRDIFF_MAX;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    CHECK(NAME(program_workspace_size)(&g.program, 1) == 0);
    g.norm.groups = 0;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    g.norm.groups = 2;
    g.op[1].descriptor = NULL;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_ARGUMENT);
    g.op[1].descriptor = &g.norm;
    g.larger.SW += 1;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    g.op[2].descriptor = NULL;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_ARGUMENT);
    g.program.ops = 1;
    g.op[0].y = Y;
    CHECK(NAME(program_check)(&g.program) == CVL_ERR_SHAPE);
    check_memory();
}

/* A program of one operator takes the scratch of that one. */
static void run_alone(cvl_op op, ptrdiff_t in, ptrdiff_t out, const T *x, const T *want)
{
    const cvl_value values[] = {{in, 0}, {out, 0}};
    cvl_program program = CVL_PROGRAM_INIT;
    program.ops = 1;
    program.value = values;
    program.op = &op;
    const size_t needed = NAME(program_workspace_size)(&program, 1);
    T *y = output(out);
    CHECK(needed > 0);
    cvl_exec run = run_with(1, needed - 64);
    CHECK(NAME(program_run)(&program, y, x, &run) == CVL_ERR_WORKSPACE);
    CHECK(untouched(y, (size_t)out * sizeof(T)));
    run = run_with(1, needed);
    CHECK(NAME(program_run)(&program, y, x, &run) == CVL_OK);
    check_same("y", out, y, want);
}

static void test_alone(void)
{
    enum { ROWS = 2, INPUTS = 1500, M = 40, C = 6, PARTS = 20 };
    T *x = input_random(ROWS * INPUTS), *w = input_random(INPUTS), *b = input_random(C);
    double *mean = doubles(M * C), *var = doubles(M * C);
    check_case("a linear layer alone");
    cvl_linear linear = {sizeof linear, ROWS, INPUTS, 1};
    cvl_op op = make_op(CVL_OP_LINEAR, Y, X, -1, &linear);
    T *want = output(M * C);
    cvl_exec run = run_with(1, NAME(linear_forward_workspace_size)(&linear, 1));
    op.w = w;
    op.b = b;
    CHECK(NAME(linear_forward)(&linear, want, x, w, b, &run) == CVL_OK);
    run_alone(op, ROWS * INPUTS, ROWS, x, want);
    check_case("a batch norm alone");
    cvl_batch_norm norm = {sizeof norm, M, C, 1e-5, CVL_ACTIVATION_NONE, 0};
    op = make_op(CVL_OP_BATCH_NORM, Y, X, -1, &norm);
    op.w = w;
    op.b = b;
    op.mean = mean;
    op.var = var;
    run = run_with(1, NAME(batch_norm_inference_workspace_size)(&norm, 1));
    CHECK(!NAME(batch_norm_inference)(&norm, want, x, w, b, mean, var, NULL, &run));
    run_alone(op, M * C, M * C, x, want);
    for (int i = 0; i < 4; i++) {
        const ptrdiff_t samples = i & 1 ? M : 2, groups = i & 2 ? C : 1;
        check_case("a group norm alone, of %td samples and %td groups", samples, groups);
        cvl_group_norm own = {sizeof own, samples, M / samples, C, groups, 1e-5};
        op = make_op(CVL_OP_GROUP_NORM, Y, X, -1, &own);
        op.w = w;
        op.b = b;
        run = run_with(1, NAME(group_norm_forward_workspace_size)(&own, 1));
        CHECK(!NAME(group_norm_forward)(&own, want, mean, var, x, w, b, &run));
        run_alone(op, M * C, M * C, x, want);
    }
    check_case("a concatenation alone");
    ptrdiff_t channels[PARTS], values[PARTS];
    const T *parts[PARTS];
    for (int i = 0; i < PARTS; i++) {
        channels[i] = C;
        values[i] = X;
        parts[i] = x;
    }
    cvl_concat concat = {sizeof concat, M, PARTS, channels};
    op = make_op(CVL_OP_CONCAT, Y, X, -1, &concat);
    op.parts = values;
    want = output(PARTS * M * C);
    CHECK(NAME(concat_forward)(&concat, want, parts, &run) == CVL_OK);
    run_alone(op, M * C, PARTS * M * C, x, want);
    check_memory();
}

/* A program of one function is that function. */
static void test_functions(void)
{
    enum { FUNCTIONS = CVL_OP_SOFTPLUS - CVL_OP_LEAKY_RELU + 1, COUNT = 37 };
    check_case("functions");
    T *x = input_random(COUNT), *want = output(FUNCTIONS * COUNT), *w = want;
    cvl_exec run = run_with(1, 0);
    CHECK(!NAME(leaky_relu_forward)(0.25, COUNT, w, x, &run));
    CHECK(!NAME(relu6_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(sigmoid_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(tanh_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(elu_forward)(0.25, COUNT, w += COUNT, x, &run));
    CHECK(!NAME(gelu_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(gelu_tanh_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(silu_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(hard_swish_forward)(COUNT, w += COUNT, x, &run));
    CHECK(!NAME(softplus_forward)(COUNT, w += COUNT, x, &run));
    for (int i = 0; i < FUNCTIONS; i++) {
        const cvl_value values[] = {{COUNT, 0}, {COUNT, 0}};
        cvl_op op = make_op((cvl_op_kind)(CVL_OP_LEAKY_RELU + i), Y, X, -1, NULL);
        cvl_program program = CVL_PROGRAM_INIT;
        T *y = output(COUNT);
        op.parameter = 0.25;
        program.ops = 1;
        program.value = values;
        program.op = &op;
        CHECK(NAME(program_workspace_size)(&program, 1) == 0);
        CHECK(NAME(program_run)(&program, y, x, &run) == CVL_OK);
        check_same("y", COUNT, y, want + i * COUNT);
        const cvl_value none[] = {{0, 0}, {0, 0}}, negative[] = {{-1, 0}, {-1, 0}};
        program.value = none;
        CHECK(NAME(program_run)(&program, NULL, NULL, &run) == CVL_OK);
        program.value = negative;
        CHECK(NAME(program_check)(&program) == CVL_ERR_SHAPE);
        /* Three in turn, of which the second has y where x is. */
        const cvl_value place[] = {{COUNT, 0}, {COUNT, 0}, {COUNT, 0}, {COUNT, 0}};
        cvl_op ops[] = {op, op, op};
        ops[0].y = ops[1].x = A;
        ops[1].y = ops[2].x = B;
        program = (cvl_program){sizeof program, 4, 3, COUNT, place, ops, NULL};
        CHECK(NAME(program_check)(&program) == CVL_OK);
    }
    check_memory();
}

static void test_run(void)
{
    network n;
    check_case("run");
    make(&n);
    T *y = output(N * CLASSES);
    const size_t needed = NAME(program_workspace_size)(&n.program, 1);
    cvl_exec run = run_with(1, needed);
    CHECK(NAME(program_run)(&n.program, NULL, n.x, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(program_run)(&n.program, y, NULL, &run) == CVL_ERR_ARGUMENT);
    CHECK(NAME(program_run)(&n.program, y, n.x, NULL) == CVL_ERR_ARGUMENT);
    CHECK(NAME(program_plan)(&n.program, 0, y) == CVL_ERR_ARGUMENT);
    CHECK(NAME(program_plan)(&n.program, 1, NULL) == CVL_ERR_ARGUMENT);
    for (size_t less = 64; less < needed; less += needed / 7 / 64 * 64) {
        run = run_with(1, needed - less);
        CHECK(NAME(program_run)(&n.program, y, n.x, &run) == CVL_ERR_WORKSPACE);
    }
    CHECK(untouched(y, N * CLASSES * sizeof(T)));
    check_memory();
}

static void all(void)
{
    test_results(0);
    test_results(1);
    test_functions();
    test_errors();
    test_growers();
    test_alone();
    test_movers();
    test_mover_errors();
    test_run();
}

int main(void) { return check_main(all); }
