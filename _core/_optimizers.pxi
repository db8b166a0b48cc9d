# The optimizers' steps. `segments` is a sequence of (w, g, m, v): arrays of one type throughout and
# of one shape each; w, m and v are updated in place, and m or v is None where the optimizer has
# none.

cdef enum:
    ARRAYS = 4  # of a segment


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

    cdef int fill(self, list segments, bint needs_m, bint needs_v) except -1:
        cdef Py_ssize_t i
        cdef Py_buffer *w
        cdef Py_buffer *g
        cdef void *m
        cdef void *v
        cdef tuple segment
        self.count = len(segments)
        self.memory = lease(
            self.count * (ARRAYS * sizeof(Py_buffer) + sizeof(cvl_segment_f64)))
        self.views = <Py_buffer *>self.memory.memory
        self.table32 = <cvl_segment_f32 *>(self.views + ARRAYS * self.count)
        self.table64 = <cvl_segment_f64 *>(self.views + ARRAYS * self.count)
        for i in range(self.count):
            segment = segments[i]
            if (len(segment) != ARRAYS or segment[0] is None or segment[1] is None
                    or (needs_m and segment[2] is None) or (needs_v and segment[3] is None)):
                raise TypeError("a segment must be (w, g, m, v), with the moments of its optimizer")
            w = self.hold(segment[0], "w", NULL, WRITE)
            self.code = code_of(w)
            g = self.hold(segment[1], "g", w, READ)
            m = v = NULL
            if segment[2] is not None:
                m = self.hold(segment[2], "m", w, WRITE).buf
            if segment[3] is not None:
                v = self.hold(segment[3], "v", w, WRITE).buf
            if self.code == FLOAT32:
                self.table32[i].n = count_of(w)
                self.table32[i].w, self.table32[i].g = <float *>w.buf, <const float *>g.buf
                self.table32[i].m, self.table32[i].v = <float *>m, <float *>v
            else:
                self.table64[i].n = count_of(w)
                self.table64[i].w, self.table64[i].g = <double *>w.buf, <const double *>g.buf
                self.table64[i].m, self.table64[i].v = <double *>m, <double *>v
        return 0


cdef Segments new_segments(segments, bint needs_m, bint needs_v):
    cdef Segments table = Segments.__new__(Segments)
    table.fill(list(segments), needs_m, needs_v)
    return table


cdef int prepare_step(cvl_exec *run, int threads) except -1:
    return new_gate().prepare(run, threads)


def sgd_step(
        segments, double lr, double momentum, double dampening, double l2, double weight_decay,
        bint nesterov, bint first, int threads):
    """One step of gradient descent; m is the momentum buffer, None when momentum is 0."""
    cdef cvl_sgd d = CVL_SGD_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, momentum != 0, False)
    d.lr, d.momentum, d.dampening = lr, momentum, dampening
    d.l2, d.weight_decay, d.nesterov, d.first = l2, weight_decay, nesterov, first
    prepare_step(&run, threads)
    with nogil:
        status = cvl_sgd_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def adam_step(
        segments, double lr, double beta1, double beta2, double correction1, double correction2,
        double eps, double l2, double weight_decay, int threads):
    """One step of Adam; m and v are the first and second moments."""
    cdef cvl_adam d = CVL_ADAM_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, True, True)
    d.lr, d.beta1, d.beta2 = lr, beta1, beta2
    d.correction1, d.correction2 = correction1, correction2
    d.eps, d.l2, d.weight_decay = eps, l2, weight_decay
    prepare_step(&run, threads)
    with nogil:
        status = cvl_adam_step(table.code, &d, table.table64, table.count, &run)
    check(status)


def adagrad_step(segments, double lr, double eps, double l2, int threads):
    """One step of AdaGrad; v is the sum of squares."""
    cdef cvl_adagrad d = CVL_ADAGRAD_INIT
    cdef cvl_exec run
    cdef cvl_status status
    cdef Segments table = new_segments(segments, False, True)
    d.lr, d.eps, d.l2 = lr, eps, l2
    prepare_step(&run, threads)
    with nogil:
        status = cvl_adagrad_step(table.code, &d, table.table64, table.count, &run)
    check(status)
