"""Dropout, and the counter-based generator of its masks."""

import numpy as np

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_KEY_STEPS = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox4x32(counters, key):
    """Words of Philox4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405).

    counters (..., 4) and key (2,) are 32-bit numbers; so are the words (..., 4). Ten rounds of

        (c0, c1, c2, c3) ← (hi(M1·c2) ^ c1 ^ k0, lo(M1·c2), hi(M0·c0) ^ c3 ^ k1, lo(M0·c0))
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counters, np.uint64), -1, 0)
    k0, k1 = np.asarray(key, np.uint64)
    for _ in range(10):
        a, b = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (b >> _HALF) ^ c1 ^ k0, b & _LOW, (a >> _HALF) ^ c3 ^ k1, a & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1)


def dropout_mask(shape, p, *, seed, counter=0, per_channel=False):
    """What stays of an array of this shape: True where the word of the element is ≥ 2³²·p.

    Element i, in row-major order, has word i mod 4 of the counter (i // 4, counter) under the key
    seed, 64 bits each. With per_channel the mask is that of (samples, channels), for all positions
    between.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be from 0 to 1, got {p}")
    drawn = (shape[0], shape[-1]) if per_channel and len(shape) > 1 else shape
    count = int(np.prod(drawn))
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    halves = [blocks & _LOW, blocks >> _HALF]
    halves += [np.full_like(blocks, half) for half in (counter & 0xFFFFFFFF, counter >> 32)]
    words = philox4x32(np.stack(halves, axis=-1), (seed & 0xFFFFFFFF, seed >> 32))
    mask = (words.ravel()[:count] >= np.floor(p * 2.0**32 + 0.5)).reshape(drawn)
    if drawn != shape:
        mask = mask.reshape(shape[0], *(1 for _ in shape[1:-1]), shape[-1])
    return np.broadcast_to(mask, shape)


def dropout(x, p, *, seed, counter=0, per_channel=False):
    """y = x / (1 - p) where the mask of (seed, counter) keeps it, 0 elsewhere."""
    mask = dropout_mask(x.shape, p, seed=seed, counter=counter, per_channel=per_channel)
    scale = 1 / (1 - p) if p < 1 else 0
    return np.where(mask, np.where(mask, x, 0) * x.dtype.type(scale), x.dtype.type(0))


def dropout_backward(dy, p, *, seed, counter=0, per_channel=False):
    """Gradient of Σ dy·dropout(x): the same mask, the same scale."""
    return dropout(dy, p, seed=seed, counter=counter, per_channel=per_channel)
