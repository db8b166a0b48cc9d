"""Images changed at random: what may come out, what the generator decides, and errors."""

import numpy as np
import pytest

from convlet import data


def images(n=40, h=5, w=4, c=2, dtype=np.float32):
    """Images of numbers that are all different, none of them 0."""
    return 1 + np.arange(n * h * w * c).reshape(n, h, w, c).astype(dtype)


def shifted(image, down, right):
    """An image moved, with zeros where nothing is."""
    result = np.zeros_like(image)
    h, w, _ = image.shape
    for i in range(h):
        for j in range(w):
            if 0 <= i - down < h and 0 <= j - right < w:
                result[i, j] = image[i - down, j - right]
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_flips(dtype):
    """About half of the images are mirrored, whole, and the others stay."""
    x = images(dtype=dtype) if dtype != np.uint8 else images(4, 5, 4, 2).astype(dtype)
    kept = x.copy()
    y = data.random_flip(x, rng=0)
    flipped = [not np.array_equal(a, b) for a, b in zip(x, y, strict=True)]

    for a, b, mirrored in zip(x, y, flipped, strict=True):
        np.testing.assert_array_equal(a[:, ::-1] if mirrored else a, b)
    assert 0 < sum(flipped) < len(x)
    assert (dtype, True) == (y.dtype, y.flags.c_contiguous)
    np.testing.assert_array_equal(kept, x)


def test_shifts():
    """Every image is one of the (2·pixels + 1)² shifts, and all of them come."""
    x = images(200)
    y = data.random_shift(x, 1, rng=0)
    found = set()
    for a, b in zip(x, y, strict=True):
        (moves,) = [
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if np.array_equal(shifted(a, down, right), b)
        ]
        found.add(moves)

    assert 9 == len(found)
    assert (np.float32, True) == (y.dtype, y.flags.c_contiguous)
    np.testing.assert_array_equal(x, data.random_shift(x, 0))


def test_crops():
    """Every image is one of its windows, and all of them come."""
    x = images(200)
    y = data.random_crop(x, (4, 2), rng=0)
    found = set()
    for a, b in zip(x, y, strict=True):
        found |= {
            (i, j) for i in range(2) for j in range(3) if np.array_equal(a[i : i + 4, j : j + 2], b)
        }

    assert ((200, 4, 2, 2), 6) == (y.shape, len(found))
    np.testing.assert_array_equal(x, data.random_crop(x, (5, 4)))


@pytest.mark.parametrize(
    "change",
    [
        data.random_flip,
        lambda x, rng: data.random_shift(x, 2, rng=rng),
        lambda x, rng: data.random_crop(x, 2, rng=rng),
    ],
)
def test_a_generator_goes_on_and_a_seed_begins_anew(change):
    """A seed repeats itself, a generator draws anew at each call, and no image is no fault."""
    x = images()
    rng = np.random.default_rng(0)
    first, second = change(x, rng=rng), change(x, rng=rng)

    np.testing.assert_array_equal(first, change(x, rng=0))
    assert not np.array_equal(first, second)
    assert 0 == len(change(x[:0], rng=0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.random_flip(images()[0]), ValueError, r"random_flip: x must be .*newaxis"),
        (lambda: data.random_flip([[1.0]]), TypeError, "random_flip: x must be an array, got list"),
        (lambda: data.random_shift(images(), -1), ValueError, "random_shift: pixels must be at le"),
        (lambda: data.random_shift(images(), 1.5), TypeError, "random_shift: pixels must be an in"),
        (lambda: data.random_crop(images(), 5), ValueError, r"size of at most \(5, 4\).*\(5, 5\)"),
        (lambda: data.random_crop(images(), (6, 4)), ValueError, r"\(5, 4\).*got \(6, 4\)"),
        (lambda: data.random_crop(images(), 0), ValueError, "random_crop: size must be at least 1"),
    ],
)
def test_errors(call, error, message):
    """What cannot be changed is an error that names the function, the argument and the value."""
    with pytest.raises(error, match=message):
        call()
