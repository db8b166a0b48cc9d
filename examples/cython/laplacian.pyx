# cython: language_level=3, boundscheck=False, freethreading_compatible=True
"""The Laplacian of a stack of images, by a kernel of convlet's core, without the GIL.

    pip install convlet cython
    python -m cython laplacian.pyx
    cc -O2 -shared -fPIC $(python3-config --includes) $(convlet config --cflags) laplacian.c \
        -o laplacian$(python3-config --extension-suffix)

Nothing of convlet is linked: the kernels are those of the package, looked up when this module is
imported. On macOS the last command also takes -undefined dynamic_lookup.
"""

from libc.stdlib cimport free, malloc

from convlet._core cimport (
    CVL_CONV2D_INIT,
    CVL_ERR_WORKSPACE,
    CVL_EXEC_INIT,
    CVL_OK,
    cvl_conv2d,
    cvl_conv2d_forward,
    cvl_conv2d_forward_workspace_size,
    cvl_exec,
    cvl_status,
    cvl_status_string,
)

cdef float[9] FILTER = [0, 1, 0, 1, -4, 1, 0, 1, 0]


cdef cvl_status convolve(cvl_conv2d *d, float *y, const float *x, int threads) noexcept nogil:
    """Lease the scratch of one call and make it."""
    cdef cvl_exec run = CVL_EXEC_INIT
    cdef cvl_status status
    run.threads = threads
    run.workspace_bytes = cvl_conv2d_forward_workspace_size(b"f", d, threads)
    cdef char *block = <char *> malloc(run.workspace_bytes + 63)
    if block == NULL:
        return CVL_ERR_WORKSPACE
    run.workspace = block + (64 - <size_t> block % 64) % 64
    status = cvl_conv2d_forward(b"f", d, y, x, FILTER, NULL, &run)
    free(block)
    return status


def laplacian(float[:, :, ::1] out not None, const float[:, :, ::1] images not None,
              int threads=1):
    """Fill out (N, H, W) with the Laplacian of images (N, H, W), which is 0 outside them."""
    cdef cvl_conv2d d = CVL_CONV2D_INIT
    cdef cvl_status status = CVL_OK
    d.N, d.H, d.W = images.shape[0], images.shape[1], images.shape[2]
    if (out.shape[0], out.shape[1], out.shape[2]) != (d.N, d.H, d.W):
        raise ValueError("out and images must have one shape")
    d.C = d.OC = 1
    d.KH = d.KW = 3
    d.PT = d.PB = d.PL = d.PR = 1
    if images.size:
        with nogil:
            status = convolve(&d, &out[0, 0, 0], &images[0, 0, 0], threads)
    if status != CVL_OK:
        raise RuntimeError(cvl_status_string(status).decode())
