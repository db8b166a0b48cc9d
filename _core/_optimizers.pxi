# The steps of optimizers, and updates of gradients and averages. `segments` is a sequence of
# (w, g, m, v, extra): arrays of one type throughout and of one shape each, updated in place (g only
# if it is cleared); those that a call does not need are None. Every step takes g times `scale`.

cdef enum:
    ARRAYS = 5  # of a segment

    # What a segment must have besides w.
    NEEDS_G = 1
    NEEDS_M = 2
    NEEDS_V = 4
    NEEDS_EXTRA = 8
    CLEARS_G = 16


@cython.final
@cython.no_gc
cdef class Segments:
    """The table of one call, holding every array in it."""

    cdef Chunk *memory
    cdef Py_buffer *views
    cdef Py_ssize_t held
    cdef cvl_segment_f32 *table32  # the one that `code` names is filled
    cdef cvl_segment_f64 *table64
    cdef Py_ssize_t count
    cdef char code

    def __dealloc__(self):
        for i in range(self.held):
            PyBuffer_Release(&self.views[i])
        if self.memory:
            give_back(self.memory)

    cdef Py_buffer *hold(
            self, array, str name, const Py_buffer *like, int flags) except NULL:
        cdef Py_buffer *view = &self.views[self.held]
        PyObject_GetBuffer(array, view, flags)
        self.held += 1
        check_view(view, name, self.code, like.ndim if like else ANY_RANK)
        if like and view.len != like.len:
            raise ValueError(f"{name} must have the shape {shape_of(like)}, got {shape_of(view)}")
        return view

    def __cinit__(self):
        self.code = FLOAT

    cdef void *pointer(
            self, array, str name, bint needed, const Py_buffer *w, int flags) except? NULL:
        if array is not None:
            return self.hold(array, name, w, flags).buf
        if needed:
            raise TypeError(f"{name} must be an array, got None")
        return NULL

    cdef int fill(self, list segments, int needs) except -1:
        cdef Py_ssize_t i
        cdef Py_buffer *w
        cdef void *g
        cdef void *m
        cdef void *v
        cdef void *extra
        cdef tuple segment
        self.count = len(segments)
        self.memory = lease(
            self.count * (ARRAYS * sizeof(Py_buffer) + sizeof(cvl_segment_f64)))
        self.views = <Py_buffer *>self.memory.memory
        self.table32 = <cvl_segment_f32 *>(self.views + ARRAYS * self.count)
        self.table64 = <cvl_segment_f64 *>(self.views + ARRAYS * self.count)
        for i in range(self.count):
            segment = segments[i]
            if len(segment) != ARRAYS or segment[0] is None:
                raise TypeError("a segment must be (w, g, m, v, extra), with w an array")
            w = self.hold(segment[0], "w", NULL, WRITE)
            self.code = code_of(w)
            g = self.pointer(
                segment[1], "g", (needs & NEEDS_G) != 0, w, WRITE if needs & CLEARS_G else READ)
            m = self.pointer(segment[2], "m", (needs & NEEDS_M) != 0, w, WRITE)
            v = self.pointer(segment[3], "v", (needs & NEEDS_V) != 0, w, WRITE)
            extra = self.pointer(segment[4], "extra", (needs & NEEDS_EXTRA) != 0, w, WRITE)
            if self.code == FLOAT32:
                self.table32[i].n = count_of(w)
                self.table32[i].w, self.table32[i].g = <float *>w.buf, <float *>g
                self.table32[i].m, self.table32[i].v = <float *>m, <float *>v
                self.table32[i].extra = <float *>extra
            else:
                self.table64[i].n = count_of(w)
                self.table64[i].w, self.table64[i].g = <double *>w.buf, <double *>g
                self.table64[i].m, self.table64[i].v = <double *>m, <double *>v
                self.table64[i].extra = <double *>extra
        return 0


cdef int takes_g(bint clear) noexcept:
    return NEEDS_G | CLEARS_G if clear else NEEDS_G


cdef Segments new_segments(segments, int needs):
    cdef Segments table = Segments.__new__(Segments)
    table.fill(list(segments), needs)
    return table


cdef int prepare_step(cvl_exec *run, int threads) except -1:
    return new_gate().prepare(run, threads)


def sgd_step(
        segments, double lr, double momentum, double dampening, double l2, double weight_decay,
        bint nesterov, bint first, double scale, bint clear, int threads):
    """One step of gradient descent; m is the momentum buffer, None when momentum is 0."""
    cdef cvl_sgd d = CVL_SGD_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(
        segments, takes_g(clear) | (NEEDS_M if momentum != 0 else 0))
    d.lr, d.momentum, d.dampening = lr, momentum, dampening
    d.l2, d.weight_decay, d.nesterov, d.first = l2, weight_decay, nesterov, first
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_sgd_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def adam_step(
        segments, double lr, double beta1, double beta2, double correction1, double correction2,
        double eps, double l2, double weight_decay, bint eps_hat, bint amsgrad,
        double scale, bint clear, int threads):
    """One step of Adam; m and v are the first and second moments, extra the largest v."""
    cdef cvl_adam d = CVL_ADAM_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(
        segments, takes_g(clear) | NEEDS_M | NEEDS_V | (NEEDS_EXTRA if amsgrad else 0))
    d.lr, d.beta1, d.beta2 = lr, beta1, beta2
    d.correction1, d.correction2 = correction1, correction2
    d.eps, d.l2, d.weight_decay = eps, l2, weight_decay
    d.eps_hat, d.amsgrad = eps_hat, amsgrad
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_adam_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def adagrad_step(segments, double lr, double eps, double l2, double scale, bint clear, int threads):
    """One step of AdaGrad; v is the sum of squares."""
    cdef cvl_adagrad d = CVL_ADAGRAD_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, takes_g(clear) | NEEDS_V)
    d.lr, d.eps, d.l2 = lr, eps, l2
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_adagrad_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def nadam_step(
        segments, double lr, double beta1, double beta2, double mu, double next_mu,
        double correction1, double next_correction1, double correction2, double eps,
        double scale, bint clear, int threads):
    """One step of NAdam; m and v are the first and second moments."""
    cdef cvl_nadam d = CVL_NADAM_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, takes_g(clear) | NEEDS_M | NEEDS_V)
    d.lr, d.beta1, d.beta2, d.mu, d.next_mu = lr, beta1, beta2, mu, next_mu
    d.correction1, d.next_correction1 = correction1, next_correction1
    d.correction2, d.eps = correction2, eps
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_nadam_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def rmsprop_step(
        segments, double lr, double alpha, double eps, double momentum, double l2, bint centered,
        double scale, bint clear, int threads):
    """One step of RMSProp; m is the momentum buffer, v the mean of squares, extra the mean."""
    cdef cvl_rmsprop d = CVL_RMSPROP_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(
        segments,
        takes_g(clear) | NEEDS_V | (NEEDS_M if momentum != 0 else 0)
        | (NEEDS_EXTRA if centered else 0))
    d.lr, d.alpha, d.eps, d.momentum, d.l2 = lr, alpha, eps, momentum, l2
    d.centered = centered
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_rmsprop_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def lion_step(
        segments, double lr, double beta1, double beta2, double weight_decay,
        double scale, bint clear, int threads):
    """One step of Lion; m is the first moment."""
    cdef cvl_lion d = CVL_LION_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, takes_g(clear) | NEEDS_M)
    d.lr, d.beta1, d.beta2, d.weight_decay = lr, beta1, beta2, weight_decay
    d.gradient_scale, d.clear_gradients = scale, clear
    prepare_step(&run, threads)
    with nogil:
        status = cvl_lion_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def clip(segments, double limit, int threads):
    """w = min(max(w, -limit), limit)."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, 0)
    prepare_step(&run, threads)
    with nogil:
        status = cvl_clip(table.code, limit, table.table64, table.count, &run)
    check(status)


def scale(segments, double factor, int threads):
    """w = factor w."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, 0)
    prepare_step(&run, threads)
    with nogil:
        status = cvl_scale(table.code, factor, table.table64, table.count, &run)
    check(status)


def blend(segments, double rate, int threads):
    """w = w + rate (g - w)."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, NEEDS_G)
    prepare_step(&run, threads)
    with nogil:
        status = cvl_blend(table.code, rate, table.table64, table.count, &run)
    check(status)


def sum_squares(sums, segments, int threads):
    """sums[i] = the sum of w^2 over segment i."""
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, 0)
    cdef Gate gate = new_gate()
    cdef Py_buffer *out = gate.admit_shape(sums, "sums", FLOAT64, WRITE, 1, table.count)
    gate.prepare(&run, threads, cvl_sum_squares_workspace_size(
        table.code, table.table64, table.count, threads))
    with nogil:
        status = cvl_sum_squares(
            table.code, <double *>out.buf, table.table64, table.count, &run)
    check(status)
