# cython: binding=False, boundscheck=False
"""What benchmarks/overhead.py compiles: alternatives to the gate of _core."""

import time

from convlet._core cimport (
    CVL_CONV2D_INIT,
    CVL_EXEC_INIT,
    CVL_OK,
    cvl_add,
    cvl_conv2d,
    cvl_conv2d_forward,
    cvl_exec,
)


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


def cimported_convolutions(float[:, :, :, ::1] y not None, const float[:, :, :, ::1] x not None,
                           const float[:, :, :, ::1] w not None, const float[::1] b not None,
                           unsigned char[::1] workspace not None, int calls):
    """Return the seconds that so many calls of cvl_conv2d_forward take, 3x3 with padding 1."""
    cdef cvl_conv2d d = CVL_CONV2D_INIT
    cdef cvl_exec run = CVL_EXEC_INIT
    cdef int failed = 0
    d.N, d.H, d.W, d.C, d.OC = x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[3]
    d.KH = d.KW = 3
    d.PT = d.PB = d.PL = d.PR = 1
    run.workspace, run.workspace_bytes = &workspace[0], workspace.shape[0]
    start = time.perf_counter()
    with nogil:
        for _ in range(calls):
            failed |= CVL_OK != cvl_conv2d_forward(
                b"f", &d, &y[0, 0, 0, 0], &x[0, 0, 0, 0], &w[0, 0, 0, 0], &b[0], &run)
    assert not failed
    return time.perf_counter() - start
