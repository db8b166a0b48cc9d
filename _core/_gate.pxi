# The gate: every array passes through it before the core sees its memory.
#
# A gate holds the buffers of one call, so that no array is resized meanwhile, and its workspace,
# until it dies with the call. With type, rank, order, alignment and shape checked, nothing that
# Python can pass makes the core read or write out of bounds.

cdef enum:
    MAX_VIEWS = 12
    MAX_THREADS = 1024
    READ = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
    WRITE = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE
    ANY_RANK = 0

# `try` in a function as short as take() would be a fifth of its time.
cdef extern from "Python.h":
    int try_buffer "PyObject_GetBuffer"(object, Py_buffer *, int) noexcept
    void PyErr_Clear() noexcept

# Type codes of the buffer protocol. FLOAT stands for either of the next two, OTHER for the rest.
cdef enum:
    OTHER = 0
    FLOAT = 1
    FLOAT32 = 0x66  # f
    FLOAT64 = 0x64  # d
    INT64 = 0x71  # q
    UINT8 = 0x42  # B


# What a format may begin with: memory of ctypes names the order of its bytes.
cdef char NATIVE = b"<" if sys.byteorder == "little" else b">"


cdef char code_of(const Py_buffer *view) noexcept:
    """The type code, OTHER for a longer format: a structure, or another byte order."""
    cdef const char *code = view.format
    if code and code[0] == NATIVE:
        code += 1
    if not code or not code[0] or code[1]:
        return OTHER
    if code[0] == b"l" and view.itemsize == sizeof(int64_t):
        return INT64
    return code[0]


cdef tuple shape_of(const Py_buffer *view):
    return tuple([view.shape[i] for i in range(view.ndim)])


cdef Py_ssize_t count_of(const Py_buffer *view) noexcept:
    """Number of elements."""
    return view.len // view.itemsize


cdef Py_ssize_t channels_of(const Py_buffer *view) except -1:
    """Length of the last axis, at least 1."""
    cdef Py_ssize_t channels = view.shape[view.ndim - 1]
    if channels < 1:
        raise ValueError(f"expected at least one channel, got the shape {shape_of(view)}")
    return channels


cdef bint has_code(const Py_buffer *view, char code) noexcept:
    cdef char got = code_of(view)
    return got == code or (code == FLOAT and (got == FLOAT32 or got == FLOAT64))


cdef bint is_aligned(const Py_buffer *view) noexcept:
    """Whether each element is; of none, as NumPy has it, too."""
    return not view.len or <size_t>view.buf % <size_t>view.itemsize == 0


cdef bint has_rank(const Py_buffer *view, int rank) noexcept:
    return view.ndim == rank if rank != ANY_RANK else view.ndim >= 1


cdef int check_view(const Py_buffer *view, str name, char code, int rank) except -1:
    if not has_code(view, code):
        expected = "'f' or 'd'" if code == FLOAT else repr(chr(code))
        format = view.format.decode() if view.format else "B"
        raise TypeError(f"{name} must have the type code {expected}, got {format!r}")
    if not is_aligned(view):
        raise ValueError(f"{name} is not aligned to its elements")
    if not has_rank(view, rank):
        raise ValueError(f"{name} must have {rank or 'some'} dimensions, got {view.ndim}")
    return 0


cdef int check_pixels(
        const Py_buffer *view, str name, Py_ssize_t N, Py_ssize_t H, Py_ssize_t W) except -1:
    if view.shape[0] != N or view.shape[1] != H or view.shape[2] != W:
        raise ValueError(
            f"{name} must have the shape {(N, H, W, view.shape[3])}, got {shape_of(view)}"
        )
    return 0


@cython.final
@cython.no_gc
cdef class Gate:
    cdef Py_buffer views[MAX_VIEWS]
    cdef int count
    cdef Chunk *scratch

    def __dealloc__(self):
        for i in range(self.count):
            PyBuffer_Release(&self.views[i])
        if self.scratch:
            give_back(self.scratch)

    cdef Py_buffer *admit(
            self, array, str name, char code, int rank, int flags) except NULL:
        """Hold `array`, of `code` and with `rank` dimensions."""
        cdef Py_buffer *view = &self.views[self.count]
        if array is None:
            raise TypeError(f"{name} must be an array, got None")
        PyObject_GetBuffer(array, view, flags)
        self.count += 1
        check_view(view, name, code, rank)
        return view

    cdef Py_buffer *admit_shape(
            self, array, str name, char code, int flags, int rank, Py_ssize_t n0,
            Py_ssize_t n1=0, Py_ssize_t n2=0, Py_ssize_t n3=0) except NULL:
        """Hold `array`, which must have the shape (n0, ...)."""
        cdef Py_ssize_t[4] shape = [n0, n1, n2, n3]
        cdef Py_buffer *view = self.admit(array, name, code, rank, flags)
        for i in range(rank):
            if view.shape[i] != shape[i]:
                raise ValueError(
                    f"{name} must have the shape {tuple([shape[i] for i in range(rank)])}, "
                    f"got {shape_of(view)}"
                )
        return view

    cdef Py_buffer *admit_like(
            self, array, str name, const Py_buffer *like, int flags) except NULL:
        """Hold `array`, which must have the type and shape of `like`."""
        cdef Py_buffer *view = self.admit(array, name, code_of(like), like.ndim, flags)
        for i in range(view.ndim):
            if view.shape[i] != like.shape[i]:
                raise ValueError(
                    f"{name} must have the shape {shape_of(like)}, got {shape_of(view)}"
                )
        return view

    cdef void *optional_vector(
            self, array, str name, char code, int flags, Py_ssize_t n) except? NULL:
        """The memory of `array`, which must have the shape (n,); NULL for None."""
        return NULL if array is None else self.admit_shape(array, name, code, flags, 1, n).buf

    cdef void *optional_like(
            self, array, str name, const Py_buffer *like, int flags) except? NULL:
        """The memory of `array` as `admit_like` holds it; NULL for None."""
        return NULL if array is None else self.admit_like(array, name, like, flags).buf

    cdef Py_buffer *take(self, array, char code, int rank) noexcept:
        """Hold `array` if it is a plain ndarray that can be read as it is; else return NULL."""
        cdef Py_buffer *view = &self.views[self.count]
        if type(array) is not ndarray:
            return NULL
        if try_buffer(array, view, READ) < 0:
            PyErr_Clear()
            return NULL
        self.count += 1
        if not (has_code(view, code) and is_aligned(view) and has_rank(view, rank)):
            return NULL
        return view

    cdef int prepare(self, cvl_exec *run, int threads, size_t scratch=0) except -1:
        """Fill in how the call runs, with `scratch` bytes of workspace."""
        if threads < 1 or threads > MAX_THREADS:
            raise ValueError(f"threads must be 1 to {MAX_THREADS}, got {threads}")
        run[0] = CVL_EXEC_INIT
        run.threads = threads
        if threads > 1:
            run.adaptive = may_adapt()
        if scratch:
            self.scratch = lease(scratch)
            run.workspace = self.scratch.memory
            run.workspace_bytes = self.scratch.bytes
        return 0


cdef bint has_rows(const Py_buffer *view, const Py_buffer *like, Py_ssize_t channels) noexcept:
    """Whether the shape is that of `like`, except for the last axis."""
    if view.ndim != like.ndim or view.shape[view.ndim - 1] != channels:
        return False
    for i in range(view.ndim - 1):
        if view.shape[i] != like.shape[i]:
            return False
    return True


cdef void *take_channels(Gate gate, array, char code, Py_ssize_t C) noexcept:
    """The memory of `array`, if it is plain and (C,); else NULL."""
    cdef Py_buffer *view = gate.take(array, code, 1)
    return view.buf if view and view.shape[0] == C else NULL


cdef void *take_like(Gate gate, array, const Py_buffer *like) noexcept:
    """The memory of `array`, if it is plain and has the type and shape of `like`; else NULL."""
    cdef Py_buffer *view = gate.take(array, code_of(like), like.ndim)
    return view.buf if view and has_rows(view, like, like.shape[like.ndim - 1]) else NULL


# Functions that return the options of the caller's context, and the defaults: see options_from.
cdef object chosen_options = None
cdef object default_options = None
cdef object defaults = None


def options_from(chosen, default):
    """Register where calls learn of their options.

    The options are what `chosen()` returns or, if that is None, what `default()` returned at first.
    """
    global chosen_options, default_options, defaults
    chosen_options, default_options, defaults = chosen, default, None


cdef object current_options():
    global defaults
    options = chosen_options()
    if options is not None:
        return options
    if defaults is None:
        defaults = default_options()
    return defaults


cdef bint may_adapt() except? 0:
    return chosen_options is not None and current_options().adaptive is True


cdef Gate new_gate():
    return Gate.__new__(Gate)


cdef int check(cvl_status status) except -1:
    """Raise the exception that a status stands for."""
    if status == CVL_OK:
        return 0
    message = c_status_string(status).decode()
    if status == CVL_ERR_LABEL:
        raise IndexError(message)
    if status == CVL_ERR_WEIGHT:
        raise FloatingPointError(message)
    if status == CVL_ERR_EMPTY:
        raise ZeroDivisionError(message)
    if status in (CVL_ERR_ARGUMENT, CVL_ERR_SHAPE, CVL_ERR_OVERFLOW, CVL_ERR_ALGORITHM):
        raise ValueError(message)
    raise RuntimeError(message)
