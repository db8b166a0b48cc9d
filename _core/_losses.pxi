# The losses as Python functions: outputs first, then inputs.

# ---------------------------------------------------------------- losses over classes
# loss is float64; ignore_index and the weights may be None. IndexError where a label is out of
# range, FloatingPointError where a weight is, ZeroDivisionError for a mean over nothing.

@cython.final
cdef class Rows:
    """The arrays of one call, held by its gate."""
    cdef Gate gate
    cdef char code
    cdef int ignore
    cdef int64_t ignore_index
    cdef Py_ssize_t N, C
    cdef double *loss
    cdef void *dz
    cdef const void *z
    cdef const void *class_weight
    cdef const void *sample_weight


cdef Rows admit_rows(
        loss, dz, z, class_weight, sample_weight, ignore_index, int reduction):
    cdef Rows rows = Rows.__new__(Rows)
    cdef Gate gate = new_gate()
    cdef Py_buffer *z_view = gate.admit(z, "z", FLOAT, ANY_RANK, READ)
    rows.gate = gate
    rows.code = code_of(z_view)
    rows.C = channels_of(z_view)
    rows.N = count_of(z_view) // rows.C
    rows.z = z_view.buf
    rows.loss = <double *>gate.admit_shape(
        loss, "loss", FLOAT64, WRITE, 1, rows.N if reduction == CVL_REDUCTION_NONE else 1).buf
    rows.dz = gate.admit_like(dz, "dz", z_view, WRITE).buf
    rows.class_weight = gate.optional_vector(class_weight, "class_weight", rows.code, READ, rows.C)
    rows.sample_weight = gate.optional_vector(
        sample_weight, "sample_weight", rows.code, READ, rows.N)
    if ignore_index is not None:
        rows.ignore = 1
        rows.ignore_index = ignore_index
    return rows


cdef cvl_softmax_cross_entropy describe_cross_entropy(
        Rows rows, double label_smoothing, int reduction, int empty):
    cdef cvl_softmax_cross_entropy d = CVL_SOFTMAX_CROSS_ENTROPY_INIT
    d.N, d.C = rows.N, rows.C
    d.reduction = <cvl_reduction>reduction
    d.ignore, d.ignore_index = rows.ignore, rows.ignore_index
    d.label_smoothing = label_smoothing
    d.empty = <cvl_empty>empty
    return d


def softmax_cross_entropy(
        loss, dz, z, labels, class_weight, sample_weight, ignore_index, double label_smoothing,
        int reduction, int empty, int threads):
    """loss and dz from integer labels."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Rows rows = admit_rows(
        loss, dz, z, class_weight, sample_weight, ignore_index, reduction)
    cdef cvl_softmax_cross_entropy d = describe_cross_entropy(
        rows, label_smoothing, reduction, empty)
    cdef const int64_t *labels_memory = <const int64_t *>rows.gate.admit_shape(
        labels, "labels", INT64, READ, 1, d.N).buf
    rows.gate.prepare(
        &run, threads, cvl_softmax_cross_entropy_workspace_size(rows.code, &d, threads))
    with nogil:
        status = cvl_softmax_cross_entropy_labels(
            rows.code, &d, rows.loss, rows.dz, rows.z, labels_memory, rows.class_weight,
            rows.sample_weight, &run)
    check(status)


def softmax_cross_entropy_soft(
        loss, dz, z, q, class_weight, sample_weight, double label_smoothing, int reduction,
        int empty, int threads):
    """loss and dz from soft targets q."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Rows rows = admit_rows(loss, dz, z, class_weight, sample_weight, None, reduction)
    cdef cvl_softmax_cross_entropy d = describe_cross_entropy(
        rows, label_smoothing, reduction, empty)
    cdef void *q_memory = rows.gate.admit_like(q, "q", &rows.gate.views[0], READ).buf
    rows.gate.prepare(
        &run, threads, cvl_softmax_cross_entropy_workspace_size(rows.code, &d, threads))
    with nogil:
        status = cvl_softmax_cross_entropy_soft(
            rows.code, &d, rows.loss, rows.dz, rows.z, q_memory, rows.class_weight,
            rows.sample_weight, &run)
    check(status)


def nll(
        loss, dx, x, labels, class_weight, sample_weight, ignore_index, int reduction, int empty,
        int threads):
    """loss and dx from log-probabilities x and integer labels."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef cvl_nll d = CVL_NLL_INIT
    cdef Rows rows = admit_rows(
        loss, dx, x, class_weight, sample_weight, ignore_index, reduction)
    cdef const int64_t *labels_memory = <const int64_t *>rows.gate.admit_shape(
        labels, "labels", INT64, READ, 1, rows.N).buf
    d.N, d.C = rows.N, rows.C
    d.reduction = <cvl_reduction>reduction
    d.ignore, d.ignore_index = rows.ignore, rows.ignore_index
    d.empty = <cvl_empty>empty
    rows.gate.prepare(&run, threads, cvl_nll_workspace_size(rows.code, &d, threads))
    with nogil:
        status = cvl_nll_labels(
            rows.code, &d, rows.loss, rows.dz, rows.z, labels_memory, rows.class_weight,
            rows.sample_weight, &run)
    check(status)


# ---------------------------------------------------------------- losses over elements
# x, y, dx and weights have one shape; loss is float64.

ctypedef cvl_status (*element_function)(
    char, const cvl_loss *, double *, void *, const void *, const void *,
    const cvl_exec *) noexcept nogil


cdef int element_loss(
        element_function function, cvl_loss *d, loss, dx, x, y, int reduction,
        int threads) except -1:
    cdef cvl_exec run
    cdef cvl_status status
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    d.n = count_of(x_view)
    d.reduction = <cvl_reduction>reduction
    cdef double *loss_memory = <double *>gate.admit_shape(
        loss, "loss", FLOAT64, WRITE, 1, d.n if reduction == CVL_REDUCTION_NONE else 1).buf
    cdef void *dx_memory = gate.admit_like(dx, "dx", x_view, WRITE).buf
    cdef void *y_memory = gate.admit_like(y, "y", x_view, READ).buf
    gate.prepare(&run, threads, cvl_loss_workspace_size(code, d, threads))
    with nogil:
        status = function(code, d, loss_memory, dx_memory, x_view.buf, y_memory, &run)
    return check(status)


def mse(loss, dx, x, y, int reduction, int threads):
    """(x - y)^2."""
    cdef cvl_loss d = CVL_LOSS_INIT
    element_loss(cvl_mse, &d, loss, dx, x, y, reduction, threads)


def l1(loss, dx, x, y, int reduction, int threads):
    """|x - y|."""
    cdef cvl_loss d = CVL_LOSS_INIT
    element_loss(cvl_l1, &d, loss, dx, x, y, reduction, threads)


def huber(loss, dx, x, y, double delta, int reduction, int threads):
    """Huber loss: quadratic within delta of y, linear beyond."""
    cdef cvl_loss d = CVL_LOSS_INIT
    d.delta = delta
    element_loss(cvl_huber, &d, loss, dx, x, y, reduction, threads)


def smooth_l1(loss, dx, x, y, double beta, int reduction, int threads):
    """Huber loss with delta = beta, divided by it."""
    cdef cvl_loss d = CVL_LOSS_INIT
    d.delta = beta
    element_loss(cvl_smooth_l1, &d, loss, dx, x, y, reduction, threads)


def focal(
        loss, dx, x, y, double gamma, double positive, double negative, int reduction,
        int threads):
    """Binary cross-entropy from logits x that down-weights easy examples."""
    cdef cvl_loss d = CVL_LOSS_INIT
    d.gamma, d.positive, d.negative = gamma, positive, negative
    element_loss(cvl_focal, &d, loss, dx, x, y, reduction, threads)


def binary_cross_entropy(loss, dx, x, y, positive_weight, weight, int reduction, int threads):
    """From logits x; the weights may be None."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef cvl_loss d = CVL_LOSS_INIT
    cdef Gate gate = new_gate()
    cdef Py_buffer *x_view = gate.admit(x, "x", FLOAT, ANY_RANK, READ)
    cdef char code = code_of(x_view)
    d.n = count_of(x_view)
    d.reduction = <cvl_reduction>reduction
    cdef double *loss_memory = <double *>gate.admit_shape(
        loss, "loss", FLOAT64, WRITE, 1, d.n if reduction == CVL_REDUCTION_NONE else 1).buf
    cdef void *dx_memory = gate.admit_like(dx, "dx", x_view, WRITE).buf
    cdef void *y_memory = gate.admit_like(y, "y", x_view, READ).buf
    cdef void *positive_memory = gate.optional_like(
        positive_weight, "positive_weight", x_view, READ)
    cdef void *weight_memory = gate.optional_like(weight, "weight", x_view, READ)
    gate.prepare(&run, threads, cvl_loss_workspace_size(code, &d, threads))
    with nogil:
        status = cvl_binary_cross_entropy(
            code, &d, loss_memory, dx_memory, x_view.buf, y_memory, positive_memory,
            weight_memory, &run)
    check(status)
