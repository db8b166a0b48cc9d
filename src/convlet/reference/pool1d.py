"""Pooling of sequences (N, L, C), which are images of one row."""

from . import pool


def max_pool1d(x, kernel_size, *, padding=0, **options):
    """Largest value of each window: y[n,i,c] = max_u x[n, i·stride-begin+u·dilation, c].

    Options are those of max_pool2d, sizes are numbers, and padding may also be (begin, end).
    """
    return pool.max_pool2d(x[:, None], **_rows(kernel_size, padding, options))[:, 0]


def max_pool1d_backward(dy, x, kernel_size, *, padding=0, **options):
    """Gradient of Σ dy·max_pool1d(x): each dy goes to the first position that won its window."""
    options = _rows(kernel_size, padding, options)
    return pool.max_pool2d_backward(dy[:, None], x[:, None], **options)[:, 0]


def avg_pool1d(x, kernel_size, *, padding=0, **options):
    """Mean of each window: y[n,i,c] = Σ_u x[n, i·stride-begin+u, c] / count[i]."""
    return pool.avg_pool2d(x[:, None], **_rows(kernel_size, padding, options))[:, 0]


def avg_pool1d_backward(dy, x_shape, kernel_size, *, padding=0, **options):
    """Gradient of Σ dy·avg_pool1d(x): dx[p] = Σ dy[i] / count[i] over the windows that hold p."""
    n, length, c = x_shape
    options = _rows(kernel_size, padding, options)
    return pool.avg_pool2d_backward(dy[:, None], (n, 1, length, c), **options)[:, 0]


def global_avg_pool1d(x):
    """y[n,c] = Σ_l x[n,l,c] / L, shape (N,C)."""
    return pool.global_avg_pool2d(x[:, None])


def global_avg_pool1d_backward(dy, x_shape):
    """Gradient of Σ dy·global_avg_pool1d(x): dx[n,l,c] = dy[n,c] / L."""
    n, length, c = x_shape
    return pool.global_avg_pool2d_backward(dy, (n, 1, length, c))[:, 0]


def global_max_pool1d(x):
    """y[n,c] = max_l x[n,l,c], shape (N,C); a NaN wins."""
    return pool.global_max_pool2d(x[:, None])


def global_max_pool1d_backward(dy, x):
    """Gradient of Σ dy·global_max_pool1d(x): each dy goes to the first position that won."""
    return pool.global_max_pool2d_backward(dy, x[:, None])[:, 0]


def _rows(kernel_size, padding, options):
    """The options of a pool of images for images of one row."""
    rows = {"kernel_size": (1, kernel_size)}
    rows["padding"] = padding if isinstance(padding, str) else ((0, 0), padding)
    for name, value in options.items():
        of_axis = name in ("stride", "dilation") and value is not None
        rows[name] = (1, value) if of_axis else value
    return rows
