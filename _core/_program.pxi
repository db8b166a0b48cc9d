# A program as an object, which holds what its operators point to.

cdef enum:
    PLANS_KEPT = 17
    LINE = 64  # bytes of a cache line


cdef union Descriptor:
    cvl_conv2d conv2d
    cvl_linear linear
    cvl_batch_norm batch_norm
    cvl_pool2d pool2d
    cvl_softmax softmax
    cvl_concat concat
    cvl_pad_shortcut pad_shortcut
    cvl_conv_transpose2d conv_transpose2d
    cvl_group_norm group_norm
    cvl_upsample2d upsample2d


cdef dict OP_KINDS = {
    "conv2d": CVL_OP_CONV2D,
    "linear": CVL_OP_LINEAR,
    "batch_norm": CVL_OP_BATCH_NORM,
    "max_pool2d": CVL_OP_MAX_POOL2D,
    "avg_pool2d": CVL_OP_AVG_POOL2D,
    "softmax": CVL_OP_SOFTMAX,
    "add": CVL_OP_ADD,
    "relu": CVL_OP_RELU,
    "add_relu": CVL_OP_ADD_RELU,
    "leaky_relu": CVL_OP_LEAKY_RELU,
    "relu6": CVL_OP_RELU6,
    "sigmoid": CVL_OP_SIGMOID,
    "tanh": CVL_OP_TANH,
    "elu": CVL_OP_ELU,
    "gelu": CVL_OP_GELU,
    "gelu_tanh": CVL_OP_GELU_TANH,
    "silu": CVL_OP_SILU,
    "hard_swish": CVL_OP_HARD_SWISH,
    "softplus": CVL_OP_SOFTPLUS,
    "concat": CVL_OP_CONCAT,
    "pad_shortcut": CVL_OP_PAD_SHORTCUT,
    "conv_transpose2d": CVL_OP_CONV_TRANSPOSE2D,
    "group_norm": CVL_OP_GROUP_NORM,
    "upsample2d": CVL_OP_UPSAMPLE2D,
}


# Reads the description and the arrays of operator i into its descriptor and what it points to.
ctypedef int (*Reader)(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1

# By kind; NULL where it has no descriptor. At the end.
cdef Reader[CVL_OP_UPSAMPLE2D + 1] readers


@cython.final
@cython.no_gc
cdef class Program:
    """Operators in a row; `run` makes one call, from any number of threads.

    Program(code, values, ops, arena), as in convlet_program.h: `code` "f" or "d"; `values`, tuples
    (elements, place); `ops`, tuples (kind, y, inputs, description, arrays); `arena`, its elements.

        conv2d        description (x shape, OC, geometry)  arrays (w, b or None)
        linear        description (M, IN, OUT)             arrays (w, b or None)
        batch_norm    description (M, C, eps, activation)  arrays (gamma, beta, mean, var)
        max_pool2d, avg_pool2d   description (x shape, geometry)
        softmax       description (N, C)
        leaky_relu, elu   description (slope or alpha,)
        add, add_relu, relu and the other functions   description ()
        concat        description (M, channels of each)
        pad_shortcut  description (x shape, stride, OC)
        conv_transpose2d   description (x shape, OC, geometry)   arrays (w, b or None)
        group_norm    description (N, M, C, groups, eps)   arrays (gamma, beta), both or none None
        upsample2d    description (x shape, geometry)

    The arrays are held, and must not be written to. Weights of convolutions are packed once, here,
    side by side: together they may lie on huge pages.
    """

    cdef char code
    cdef cvl_program program
    cdef cvl_value *values
    cdef cvl_op *ops
    cdef Descriptor *descriptors
    cdef Py_buffer *views
    cdef Py_ssize_t held
    cdef Chunk *packs  # or NULL
    cdef Py_ssize_t **lists  # of concatenations, by operator: their parts, and the channels of each
    cdef Py_ssize_t count
    cdef size_t[PLANS_KEPT] sizes  # of the workspace, by threads; 0 where not known yet
    cdef void *plans[PLANS_KEPT]

    def __cinit__(self, str code, list values, list ops, Py_ssize_t arena):
        cdef Py_ssize_t i, count = len(ops)
        if code not in ("f", "d") or not count or len(values) < 2:
            raise ValueError("expected a type code 'f' or 'd', two values and an operator at least")
        self.code = FLOAT32 if code == "f" else FLOAT64
        self.values = <cvl_value *>malloc(len(values) * sizeof(cvl_value))
        self.ops = <cvl_op *>malloc(count * sizeof(cvl_op))
        self.descriptors = <Descriptor *>malloc(count * sizeof(Descriptor))
        self.views = <Py_buffer *>malloc(4 * count * sizeof(Py_buffer))
        self.lists = <Py_ssize_t **>calloc(count, sizeof(Py_ssize_t *))
        if not (self.values and self.ops and self.descriptors and self.views and self.lists):
            raise MemoryError("cannot allocate a program")
        self.count = count
        for i in range(len(values)):
            self.values[i].elements, self.values[i].place = values[i]
        for i in range(count):
            kind, y, inputs, description, arrays = ops[i]
            self.make_op(i, kind, y, inputs, description, arrays)
        self.pack_weights()
        self.program = CVL_PROGRAM_INIT
        self.program.values, self.program.ops, self.program.arena = len(values), count, arena
        self.program.value, self.program.op = self.values, self.ops
        check(cvl_program_check(self.code, &self.program))

    def __dealloc__(self):
        for i in range(self.held):
            PyBuffer_Release(&self.views[i])
        if self.packs:
            give_back(self.packs)
        for i in range(self.count):
            free(self.lists[i])
        for i in range(PLANS_KEPT):
            free(self.plans[i])
        free(self.lists)
        free(self.values)
        free(self.ops)
        free(self.descriptors)
        free(self.views)

    cdef void *hold(self, array, str name, char code, Py_ssize_t elements) except? NULL:
        """The memory of an array of so many elements; NULL for a bias that is None."""
        cdef Py_buffer *view = &self.views[self.held]
        if array is None and name == "b":
            return NULL
        if array is None:
            raise TypeError(f"{name} must be an array, got None")
        PyObject_GetBuffer(array, view, READ)
        self.held += 1
        check_view(view, name, code, ANY_RANK)
        if count_of(view) != elements:
            raise ValueError(f"{name} must have {elements} elements, got {count_of(view)}")
        return view.buf

    cdef int make_op(
            self, Py_ssize_t i, str kind, Py_ssize_t y, tuple inputs, tuple description,
            tuple arrays) except -1:
        cdef cvl_op *op = &self.ops[i]
        cdef int number = OP_KINDS[kind]
        cdef Reader read = readers[number]
        op[0] = CVL_OP_INIT
        op.kind = <cvl_op_kind>number
        op.y, op.x = y, inputs[0]
        if op.kind == CVL_OP_CONCAT:
            self.list_parts(i, inputs)
        elif len(inputs) == 2:
            op.z = inputs[1]
        elif len(inputs) > 2:
            raise ValueError(f"{kind} takes at most two inputs, got {len(inputs)}")
        if read != NULL:
            op.descriptor = &self.descriptors[i]
            read(self, i, description, arrays)
        elif description:
            op.parameter, = description
        return 0

    cdef int list_parts(self, Py_ssize_t i, tuple inputs) except -1:
        cdef cvl_concat *d = &self.descriptors[i].concat
        cdef Py_ssize_t part, parts = len(inputs)
        cdef Py_ssize_t *numbers = <Py_ssize_t *>malloc(2 * parts * sizeof(Py_ssize_t))
        if not numbers:
            raise MemoryError("cannot allocate a program")
        self.ops[i].parts = self.lists[i] = numbers
        for part in range(parts):
            numbers[part] = inputs[part]
        d[0] = CVL_CONCAT_INIT
        d.parts, d.C = parts, numbers + parts
        return 0

    cdef int hold_pair(
            self, Py_ssize_t i, tuple arrays, str w, Py_ssize_t w_size, str b,
            Py_ssize_t b_size) except -1:
        """Hold the first two arrays of an operator, of these names and sizes."""
        self.ops[i].w = self.hold(arrays[0], w, self.code, w_size)
        self.ops[i].b = self.hold(arrays[1], b, self.code, b_size)
        return 0

    cdef int pack_weights(self) except -1:
        """Make weights ready for the program's calls, in memory that it gives back."""
        cdef Py_ssize_t i
        cdef size_t bytes, total = 0
        for i in range(self.count):
            total += self.packed_bytes(i)
        if total == 0:
            return 0
        self.packs = lease(total)
        total = 0
        for i in range(self.count):
            bytes = self.packed_bytes(i)
            if bytes:
                self.pack(i, self.packs.memory + total)
            total += bytes
        return 0

    cdef size_t packed_bytes(self, Py_ssize_t i) noexcept:
        """Bytes of the packed weights of an operator, in whole cache lines; 0 where it has none."""
        cdef size_t bytes = 0
        if self.ops[i].kind == CVL_OP_CONV2D:
            bytes = cvl_conv2d_packed_size(self.code, &self.descriptors[i].conv2d)
        return (bytes + LINE - 1) // LINE * LINE

    cdef int pack(self, Py_ssize_t i, void *packed) except -1:
        cdef cvl_conv2d *d = &self.descriptors[i].conv2d
        cdef const void *w = self.ops[i].w
        cdef cvl_exec run
        cdef cvl_status status
        cdef Gate gate = new_gate()
        gate.prepare(&run, 1, cvl_conv2d_forward_workspace_size(self.code, d, 1))
        with nogil:
            status = cvl_conv2d_pack(self.code, d, packed, w, &run)
        check(status)
        self.ops[i].packed = packed
        return 0

    def workspace(self, int threads):
        """Bytes of workspace."""
        return cvl_program_workspace_size(self.code, &self.program, threads)

    cdef size_t plan(self, int threads, cvl_program *program) except? 0:
        """Copy the program, with a plan where one is kept; return the bytes of its workspace."""
        cdef size_t bytes
        cdef void *made
        program[0] = self.program
        if not 0 < threads < PLANS_KEPT:
            return cvl_program_workspace_size(self.code, program, threads)
        with cython.critical_section(self):
            if not self.plans[threads]:
                self.sizes[threads] = cvl_program_workspace_size(self.code, program, threads)
                made = malloc(cvl_program_plan_size(self.code, program))
                if not made:
                    raise MemoryError("cannot allocate a plan")
                try:
                    check(cvl_program_plan(self.code, program, threads, made))
                except BaseException:
                    free(made)
                    raise
                self.plans[threads] = made
            program.plan, bytes = self.plans[threads], self.sizes[threads]
        return bytes

    cdef int copy(self, char *arena, Py_ssize_t value, array, int flags) except -1:
        """Copy an array to where a value lies, or from there if `flags` is WRITE."""
        cdef Gate gate = new_gate()
        cdef Py_buffer *view = gate.admit(array, "array", self.code, ANY_RANK, flags)
        if not 1 < value < self.program.values or count_of(view) != self.values[value].elements:
            raise ValueError(f"expected a value of {shape_of(view)}, got {value}")
        if view.len and flags == READ:
            memcpy(arena + self.values[value].place * view.itemsize, view.buf, view.len)
        elif view.len:
            memcpy(view.buf, arena + self.values[value].place * view.itemsize, view.len)
        return 0

    def run(self, y, x, int threads, given=(), made=()):
        """y = the program of x, both of as many elements as values 1 and 0.

        `given` and `made` are pairs (value, array) of further inputs and outputs, values in the
        arena: nothing else lies there before they are read, and after they are written.
        """
        cdef cvl_exec run
        cdef cvl_program program
        cdef cvl_status status
        cdef size_t bytes
        cdef Gate gate = new_gate()
        cdef Py_buffer *x_view = gate.admit(x, "x", self.code, ANY_RANK, READ)
        cdef Py_buffer *y_view = gate.admit(y, "y", self.code, ANY_RANK, WRITE)
        if (count_of(x_view) != self.values[0].elements
                or count_of(y_view) != self.values[1].elements):
            raise ValueError(
                f"expected x and y of {self.values[0].elements} and {self.values[1].elements} "
                f"elements, got {shape_of(x_view)} and {shape_of(y_view)}"
            )
        bytes = self.plan(threads, &program)
        gate.prepare(&run, threads, bytes)
        for value, array in given:
            self.copy(<char *>run.workspace, value, array, READ)
        with nogil:
            status = cvl_program_run(self.code, &program, y_view.buf, x_view.buf, &run)
        check(status)
        for value, array in made:
            self.copy(<char *>run.workspace, value, array, WRITE)


cdef int read_conv2d(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_conv2d *d = &p.descriptors[i].conv2d
    cdef Py_ssize_t[4] shape
    cdef Py_ssize_t OC, OH, OW
    x_shape, OC, geometry = about
    read_shape(shape, x_shape)
    describe_conv2d(d, geometry, shape, OC, &OH, &OW)
    p.hold_pair(i, arrays, "w", d.KH * d.KW * (d.C // d.groups) * OC, "b", OC)
    return 0


cdef int read_conv_transpose2d(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_conv_transpose2d *d = &p.descriptors[i].conv_transpose2d
    cdef Py_ssize_t[4] shape
    cdef Py_ssize_t OC, OH, OW
    x_shape, OC, geometry = about
    read_shape(shape, x_shape)
    describe_conv_transpose2d(d, geometry, shape, OC, &OH, &OW)
    p.hold_pair(i, arrays, "w", d.KH * d.KW * (OC // d.groups) * d.C, "b", OC)
    return 0


cdef int read_linear(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_linear *d = &p.descriptors[i].linear
    d[0] = CVL_LINEAR_INIT
    d.M, d.IN, d.OUT = about
    p.hold_pair(i, arrays, "w", d.IN * d.OUT, "b", d.OUT)
    return 0


cdef int read_batch_norm(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_batch_norm *d = &p.descriptors[i].batch_norm
    cdef cvl_op *op = &p.ops[i]
    cdef int activation
    d[0] = CVL_BATCH_NORM_INIT
    d.M, d.C, d.eps, activation = about
    d.activation = <cvl_activation>activation
    p.hold_pair(i, arrays, "gamma", d.C, "beta", d.C)
    op.mean = <const double *>p.hold(arrays[2], "mean", FLOAT64, d.C)
    op.var = <const double *>p.hold(arrays[3], "var", FLOAT64, d.C)
    return 0


cdef int read_group_norm(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_group_norm *d = &p.descriptors[i].group_norm
    d[0] = CVL_GROUP_NORM_INIT
    d.N, d.M, d.C, d.groups, d.eps = about
    if arrays[0] is not None:
        p.hold_pair(i, arrays, "gamma", d.C, "beta", d.C)
    return 0


cdef int read_softmax(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_softmax *d = &p.descriptors[i].softmax
    d[0] = CVL_SOFTMAX_INIT
    d.N, d.C = about
    return 0


cdef int read_pool2d(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef Py_ssize_t[4] shape
    cdef Py_ssize_t OH, OW
    x_shape, geometry = about
    read_shape(shape, x_shape)
    describe_pool2d(&p.descriptors[i].pool2d, geometry, shape, &OH, &OW)
    return 0


cdef int read_upsample2d(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef Py_ssize_t[4] shape
    x_shape, geometry = about
    read_shape(shape, x_shape)
    describe_upsample2d(&p.descriptors[i].upsample2d, geometry, shape)
    return 0


cdef int read_pad_shortcut(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef Py_ssize_t[4] shape
    cdef Py_ssize_t OC, stride
    x_shape, stride, OC = about
    read_shape(shape, x_shape)
    describe_pad_shortcut(&p.descriptors[i].pad_shortcut, shape, OC, stride)
    return 0


cdef int read_concat(Program p, Py_ssize_t i, tuple about, tuple arrays) except -1:
    cdef cvl_concat *d = &p.descriptors[i].concat
    cdef Py_ssize_t part
    cdef Py_ssize_t *C = p.lists[i] + d.parts
    d.M, channels = about
    if len(channels) != d.parts:
        raise ValueError(f"expected channels of {d.parts} parts, got {len(channels)}")
    for part in range(d.parts):
        C[part] = channels[part]
    return 0


readers[<int>CVL_OP_CONV2D] = read_conv2d
readers[<int>CVL_OP_LINEAR] = read_linear
readers[<int>CVL_OP_BATCH_NORM] = read_batch_norm
readers[<int>CVL_OP_MAX_POOL2D] = read_pool2d
readers[<int>CVL_OP_AVG_POOL2D] = read_pool2d
readers[<int>CVL_OP_SOFTMAX] = read_softmax
readers[<int>CVL_OP_CONCAT] = read_concat
readers[<int>CVL_OP_PAD_SHORTCUT] = read_pad_shortcut
readers[<int>CVL_OP_CONV_TRANSPOSE2D] = read_conv_transpose2d
readers[<int>CVL_OP_GROUP_NORM] = read_group_norm
readers[<int>CVL_OP_UPSAMPLE2D] = read_upsample2d
