# cython: binding=False, boundscheck=False
"""What benchmarks/overhead.py compiles: alternatives to the gate of _core."""

import time

from convlet._core cimport CVL_OK, cvl_add, cvl_exec


def memoryviews(float[:, :, :, ::1] y not None, const float[:, :, :, ::1] a not None,
                const float[:, :, :, ::1] b not None):
    """Take three buffers as typed memoryviews and touch one element."""
    y[0, 0, 0, 0] = a[0, 0, 0, 0]


def cimported_adds(float[:, :, :, ::1] y not None, const float[:, :, :, ::1] a not None,
                   const float[:, :, :, ::1] b not None, int calls):
    """Return the seconds that so many calls of cvl_add take."""
    cdef cvl_exec run
    cdef int failed = 0
    cdef Py_ssize_t n = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    run.size = sizeof(run)
    run.threads = 1
    run.workspace = NULL
    run.workspace_bytes = 0
    start = time.perf_counter()
    with nogil:
        for _ in range(calls):
            failed |= CVL_OK != cvl_add(
                b"f", n, &y[0, 0, 0, 0], &a[0, 0, 0, 0], &b[0, 0, 0, 0], &run)
    assert not failed
    return time.perf_counter() - start
