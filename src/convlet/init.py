"""Initial values of parameters: functions of a shape and a generator.

Weights are (KH, KW, C/groups, OC) for convolutions and (in, out) for linear layers. Each output is
a sum of fan_in products, and each input comes into fan_out of them (`fans`).

The docstring of each layer says how it is initialised. For another start, assign:

    layer.weight.value = init.glorot_uniform(layer.weight.shape, rng=0)

Everywhere `rng` is a numpy Generator, a seed, or None for fresh entropy, and `dtype` float32 or
float64; numbers are drawn in double and rounded once.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floating, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from ._types import Float, Rng, Shape


def generator(rng: Rng) -> np.random.Generator | None:
    """Return a numpy Generator for a Generator or seed, and None for None."""
    return None if rng is None else np.random.default_rng(rng)


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of weights.

        (KH, KW, C/groups, OC):  fan_in = KH·KW·C/groups,  fan_out = KH·KW·OC
        (in, out):               fan_in = in,              fan_out = out

    They are those of PyTorch's weights (OC, C/groups, KH, KW) and (out, in): with groups, fan_out
    counts the outputs of all groups.

    Parameters
    ----------
    shape : tuple of two or more sizes of at least 1, the last one the outputs

    Raises
    ------
    TypeError : shape is not a tuple.
    ValueError : shape has fewer than two axes, as that of a bias, or a size below 1.

    Examples
    --------
    >>> fans((3, 3, 16, 32)), fans((100, 10))
    ((144, 288), (100, 10))
    """
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"fans: expected a tuple of sizes, got {shape!r}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(
            f"fans: expected the shape of weights, (KH, KW, C, OC) or (in, out) of sizes of at "
            f"least 1, got {tuple(shape)}; start a bias by init.zeros and a scale by init.ones"
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def he_normal(
    shape: Shape,
    *,
    rng: Rng = None,
    fan: Literal["in", "out"] = "in",
    slope: float = 0.0,
    dtype: Float = np.float32,
) -> np.ndarray:
    """Draw weights from N(0, 2/((1 + slope²)·fan)), which preserves scale through ReLUs.

    Parameters
    ----------
    shape : tuple, as in `fans`
    rng : numpy Generator or seed, or None
    fan : "in" preserves the scale of activations, "out" that of gradients
    slope : float, default 0: the negative slope of a leaky ReLU
    dtype : float32 or float64

    Returns
    -------
    value : ndarray of that shape

    Raises
    ------
    TypeError : shape is not a tuple, slope not a number, or dtype neither.
    ValueError : the shape is not that of weights, fan is neither, or slope is not finite.

    Notes
    -----
    PyTorch calls it kaiming_normal_. Keras's he_normal truncates the tails.

    References
    ----------
    He, Zhang, Ren & Sun 2015, arXiv:1502.01852, equations 10, 14 and 15

    Examples
    --------
    >>> he_normal((3, 3, 16, 32), rng=0).std().round(2)  # sqrt(2 / 144) = 0.118
    np.float32(0.12)
    """
    return _normal(shape, _he_variance("he_normal", shape, fan, slope), rng, dtype)


def he_uniform(
    shape: Shape,
    *,
    rng: Rng = None,
    fan: Literal["in", "out"] = "in",
    slope: float = 0.0,
    dtype: Float = np.float32,
) -> np.ndarray:
    """Draw weights from U(-a, a), a = √(6/((1 + slope²)·fan)): the variance of `he_normal`.

    Parameters, Raises and References are those of `he_normal`; PyTorch's kaiming_uniform_.

    Examples
    --------
    >>> he_uniform((3, 2), rng=0).shape
    (3, 2)
    """
    return _uniform(shape, _he_variance("he_uniform", shape, fan, slope), rng, dtype)


def glorot_normal(
    shape: Shape, *, rng: Rng = None, gain: float = 1.0, dtype: Float = np.float32
) -> np.ndarray:
    """Draw weights from N(0, gain²·2/(fan_in + fan_out)), a compromise between both passes.

    Parameters
    ----------
    shape : tuple, as in `fans`
    rng : numpy Generator or seed, or None
    gain : float, default 1: multiplies the standard deviation
    dtype : float32 or float64

    Returns
    -------
    value : ndarray of that shape

    Raises
    ------
    TypeError : shape is not a tuple, gain not a number, or dtype neither.
    ValueError : the shape is not that of weights, or gain is not finite.

    Notes
    -----
    PyTorch calls it xavier_normal_.

    References
    ----------
    Glorot & Bengio 2010, AISTATS, equation 12

    Examples
    --------
    >>> glorot_normal((300, 100), rng=0).std().round(2)  # sqrt(2 / 400) = 0.071
    np.float32(0.07)
    """
    return _normal(shape, _glorot_variance("glorot_normal", shape, gain), rng, dtype)


def glorot_uniform(
    shape: Shape, *, rng: Rng = None, gain: float = 1.0, dtype: Float = np.float32
) -> np.ndarray:
    """Draw weights from U(-a, a), a = gain·√(6/(fan_in + fan_out)): `glorot_normal`'s variance.

    Parameters, Raises and References are those of `glorot_normal`, there equation 16. PyTorch calls
    it xavier_uniform_; it is the default of Keras.

    Examples
    --------
    >>> bool(abs(glorot_uniform((3, 3), rng=0)).max() < 1)
    True
    """
    return _uniform(shape, _glorot_variance("glorot_uniform", shape, gain), rng, dtype)


def lecun_normal(shape: Shape, *, rng: Rng = None, dtype: Float = np.float32) -> np.ndarray:
    """Draw weights from N(0, 1/fan_in), which preserves scale through linear layers.

    Parameters
    ----------
    shape : tuple, as in `fans`
    rng : numpy Generator or seed, or None
    dtype : float32 or float64

    Returns
    -------
    value : ndarray of that shape

    Raises
    ------
    TypeError : shape is not a tuple, or dtype is neither.
    ValueError : the shape is not that of weights.

    References
    ----------
    LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.6

    Examples
    --------
    >>> lecun_normal((400, 100), rng=0).std().round(2)
    np.float32(0.05)
    """
    return _normal(shape, 1 / fans(shape)[0], rng, dtype)


def lecun_uniform(shape: Shape, *, rng: Rng = None, dtype: Float = np.float32) -> np.ndarray:
    """Draw weights from U(-a, a), a = √(3/fan_in): the variance of `lecun_normal`.

    Parameters, Raises and References are those of `lecun_normal`.

    Examples
    --------
    >>> bool(abs(lecun_uniform((3, 100), rng=0)).max() <= 1)
    True
    """
    return _uniform(shape, 1 / fans(shape)[0], rng, dtype)


def normal(
    shape: Shape, *, mean: float = 0.0, std: float = 1.0, rng: Rng = None, dtype: Float = np.float32
) -> np.ndarray:
    """Draw numbers from N(mean, std²).

    Parameters
    ----------
    shape : tuple, any
    mean, std : float, default 0 and 1
    rng : numpy Generator or seed, or None
    dtype : float32 or float64

    Raises
    ------
    TypeError, ValueError : mean or std is not a finite number, std is below 0, or dtype is neither.

    Examples
    --------
    >>> normal((3,), mean=2.0, std=0.0)
    array([2., 2., 2.], dtype=float32)
    """
    _finite("normal: mean", mean)
    if _finite("normal: std", std) < 0:
        raise ValueError(f"normal: std must be at least 0, got {std}")
    return _cast(np.random.default_rng(rng).standard_normal(shape) * std + mean, dtype)


def uniform(
    shape: Shape, *, low: float = 0.0, high: float = 1.0, rng: Rng = None, dtype: Float = np.float32
) -> np.ndarray:
    """Draw numbers from U(low, high); rounding to float32 may give high itself.

    Parameters
    ----------
    shape : tuple, any
    low, high : float, default 0 and 1
    rng : numpy Generator or seed, or None
    dtype : float32 or float64

    Raises
    ------
    TypeError, ValueError : low or high is not a finite number, low is above high, or dtype is
        neither.

    Examples
    --------
    >>> bool((uniform((100,), low=-2, high=-1, rng=0) <= -1).all())
    True
    """
    if _finite("uniform: low", low) > _finite("uniform: high", high):
        raise ValueError(f"uniform: low must be at most high, got {low} and {high}")
    return _cast(low + (high - low) * np.random.default_rng(rng).random(shape), dtype)


def orthogonal(
    shape: Shape, *, rng: Rng = None, gain: float = 1.0, dtype: Float = np.float32
) -> np.ndarray:
    """Draw gain times a random matrix Q of fan_in rows with orthonormal columns, QᵀQ = I.

    If there are more outputs than fan_in, the rows are orthonormal, QQᵀ = I. Q is uniformly
    distributed among all such matrices.

    Parameters
    ----------
    shape : tuple, as in `fans`; all axes but the last are the rows of Q
    rng : numpy Generator or seed, or None
    gain : float, default 1
    dtype : float32 or float64

    Returns
    -------
    value : ndarray of that shape

    Raises
    ------
    TypeError : shape is not a tuple, gain not a number, or dtype neither.
    ValueError : the shape is not that of weights, or gain is not finite.

    Notes
    -----
    The QR factorisation is NumPy's LAPACK, whose last bits may change from build to build.

    References
    ----------
    Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; Mezzadri 2007, arXiv:math-ph/0609050 (signs)

    Examples
    --------
    >>> q = orthogonal((4, 3), rng=0, dtype=np.float64)
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """
    rows, columns = fans(shape)[0], shape[-1]
    _finite("orthogonal: gain", gain)
    tall = np.random.default_rng(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= gain * np.copysign(1.0, np.diagonal(r))
    return _cast((q if rows >= columns else q.T).reshape(shape), dtype)


def zeros(shape: Shape, *, rng: Rng = None, dtype: Float = np.float32) -> np.ndarray:
    """Return zeros, the start of a bias and of the shift of a norm; rng is not used.

    Parameters
    ----------
    shape : tuple, any
    rng : not used; here because the other functions take it
    dtype : float32 or float64

    Raises
    ------
    TypeError : dtype is neither.

    Examples
    --------
    >>> zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return np.zeros(shape, floating(dtype, "init: dtype"))


def ones(shape: Shape, *, rng: Rng = None, dtype: Float = np.float32) -> np.ndarray:
    """Return ones, the start of the scale of a norm; rng is not used.

    Parameters
    ----------
    shape : tuple, any
    rng : not used; here because the other functions take it
    dtype : float32 or float64

    Raises
    ------
    TypeError : dtype is neither.

    Examples
    --------
    >>> ones((2,))
    array([1., 1.], dtype=float32)
    """
    return np.ones(shape, floating(dtype, "init: dtype"))


def _he_variance(where, shape, fan, slope):
    if fan not in ("in", "out"):
        raise ValueError(f"{where}: fan must be 'in' or 'out', got {fan!r}")
    return 2 / (1 + _finite(f"{where}: slope", slope) ** 2) / fans(shape)[fan == "out"]


def _glorot_variance(where, shape, gain):
    return _finite(f"{where}: gain", gain) ** 2 * 2 / sum(fans(shape))


def _normal(shape, variance, rng, dtype):
    return _cast(np.random.default_rng(rng).standard_normal(shape) * math.sqrt(variance), dtype)


def _uniform(shape, variance, rng, dtype):
    bound = math.sqrt(3 * variance)
    return _cast(np.random.default_rng(rng).uniform(-bound, bound, shape), dtype)


def _cast(values, dtype):
    return values.astype(floating(dtype, "init: dtype"))


def _finite(name, value):
    value = number(value, name)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return value
