# cython: language_level=3, binding=False, cdivision=True
"""The binding of the numerical core: buffers in, one call without the GIL, status to exception.

Arrays arrive dense, aligned, native and with the right shapes, outputs first. Anything else is an
error here, but the messages meant for users are those of convlet._checks and convlet.ops.
"""

import os
import sys

import numpy as np

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.float cimport DBL_MAX
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

cdef extern from *:
    const Py_ssize_t PY_SSIZE_T_MAX

cdef object ndarray = np.ndarray
cdef object SINGLE = np.dtype(np.float32)
cdef object DOUBLE = np.dtype(np.float64)
cdef dict DTYPES = {dtype.char: (dtype, dtype.itemsize) for dtype in (SINGLE, DOUBLE)}
DTYPES["q"] = (np.dtype(np.int64), 8)
DTYPES["B"] = (np.dtype(np.uint8), 1)

include "_functions.pxi"
include "_activation_functions.pxi"
include "_image_functions.pxi"
include "_loss_functions.pxi"
include "_norm_functions.pxi"
include "_optimizer_functions.pxi"
include "_program_functions.pxi"
include "_cache.pxi"
include "_blocks.pxi"
include "_gate.pxi"


def isa():
    """Return the name of the ISA level in use."""
    return cvl_isa().decode()


def isa_levels():
    """Return the names of the ISA levels this CPU can run, worst first."""
    cdef list names = []
    while c_isa_available(<int>len(names)) != NULL:
        names.append(c_isa_available(<int>len(names)).decode())
    return tuple(names)


def thread_backend():
    """Return the thread backend: openmp, native or none."""
    return c_thread_backend().decode()


def openmp_cpus():
    """Return how many CPUs OpenMP may use, whatever this thread is bound to; 0 without OpenMP."""
    return c_openmp_cpus()


if cvl_isa() == NULL:
    raise ImportError(
        f"CONVLET_ISA={os.environ.get('CONVLET_ISA')!r} names no level that this build has and "
        f"this CPU can run; available: {', '.join(isa_levels())}"
    )

include "_maps.pxi"
include "_operators.pxi"
include "_fast_linear.pxi"
include "_activations.pxi"
include "_images.pxi"
include "_concat.pxi"
include "_batch_norm.pxi"
include "_fast_batch_norm.pxi"
include "_fast_conv2d.pxi"
include "_group_norm.pxi"
include "_fast_group_norm.pxi"
include "_losses.pxi"
include "_program.pxi"
include "_optimizers.pxi"
