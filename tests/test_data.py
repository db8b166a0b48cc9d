"""The digits that travel with the package, and the strict IDX reader."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from convlet import data
from convlet.data.idx import read_idx, write_idx

CHECKSUMS = {
    "digits-images.idx3-ubyte": "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96",
    "digits-labels.idx1-ubyte": "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad",
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_files_are_those_the_script_made(name):
    """Each data file has the checksum that tools/make_digits.py prints."""
    content = (Path(data.__file__).parent / name).read_bytes()

    assert CHECKSUMS[name] == hashlib.sha256(content).hexdigest()


def test_licence_travels_with_the_data():
    """Attribution and the legal code of CC BY 4.0 lie beside the files."""
    text = (Path(data.__file__).parent / "LICENSE-digits.txt").read_text(encoding="utf-8")

    for part in ("E. Alpaydin and C. Kaynak", "10.24432/C50P49", "What was changed"):
        assert part in text
    assert "Creative Commons Attribution 4.0 International Public License" in text
    assert "Section 8 -- Interpretation." in text


def test_digits_shapes_and_types():
    """The split has 1437 and 360 images, float32 with one channel, and int64 labels."""
    (x_train, y_train), (x_test, y_test) = data.digits()

    assert (x_train.shape, x_train.dtype) == ((1437, 8, 8, 1), np.float32)
    assert (y_train.shape, y_train.dtype) == ((1437,), np.int64)
    assert (x_test.shape, x_test.dtype) == ((360, 8, 8, 1), np.float32)
    assert (y_test.shape, y_test.dtype) == ((360,), np.int64)


def test_digits_values():
    """Pixels are sixteenths that fill [0, 1] and every class has its known number of images."""
    (x_train, y_train), (x_test, y_test) = data.digits()

    x = np.concatenate([x_train, x_test])
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(x * 16, np.rint(x * 16))
    assert np.bincount(y_train).tolist() == [136, 154, 151, 135, 143, 143, 151, 153, 138, 133]
    assert np.bincount(y_test).tolist() == [42, 28, 26, 48, 38, 39, 30, 26, 36, 47]


def test_digits_split_is_every_fifth_image():
    """Image i of the file is a test image when i % 5 == 0, and the order is kept."""
    folder = Path(data.__file__).parent
    labels = read_idx(folder / "digits-labels.idx1-ubyte")
    images = read_idx(folder / "digits-images.idx3-ubyte")
    (x_train, y_train), (x_test, y_test) = data.digits()

    np.testing.assert_array_equal(labels[::5], y_test)
    np.testing.assert_array_equal(images[::5], x_test[..., 0] * 16)
    np.testing.assert_array_equal(labels[1:5], y_train[:4])
    np.testing.assert_array_equal(images[6], x_train[4, :, :, 0] * 16)


def test_digits_are_new_arrays_at_every_call():
    """Writing into what one call returned does not reach the next call."""
    (x, _), _ = data.digits()
    x[:] = -1

    assert data.digits()[0][0].min() == 0


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (3, 1, 4), (2, 0, 2), (1,) * 64])
def test_idx_round_trip(tmp_path, shape):
    """What write_idx writes read_idx reads back, shape and values."""
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    write_idx(tmp_path / "values", values)

    got = read_idx(tmp_path / "values")
    assert (shape, np.uint8) == (got.shape, got.dtype)
    np.testing.assert_array_equal(values, got)
    assert got.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a magic of 4 bytes, got a file of 0"),
        (b"\0\0\x08", "expected a magic of 4 bytes, got a file of 3"),
        (b"\0\0\x0d\x01\0\0\0\0", "expected the magic 00 00 08 .* got 00 00 0d 01"),
        (b"\x1f\x8c\x08\x01\0\0\0\0", "expected the magic 00 00 08 .* got 1f 8c 08 01"),
        (b"\0\0\x08\0", "at least one axis .* got 00 00 08 00"),
        (b"\0\0\x08\x02\0\0\0\x01", "expected a header of 12 bytes for 2 axes, got a file of 8"),
        (b"\0\0\x08\x01\0\0\0\x03ab", r"is truncated: expected 11 bytes .*\(3,\), got 10"),
        (b"\0\0\x08\x01\0\0\0\x01ab", r"has trailing bytes: expected 9 bytes .*\(1,\), got more"),
    ],
)
def test_idx_reader_is_strict(tmp_path, content, message):
    """A file that is not exactly one array of unsigned bytes is refused, and named."""
    path = tmp_path / "broken.idx"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_idx_writer_refuses_other_types(tmp_path):
    """write_idx takes uint8 with an axis, and creates no file otherwise."""
    with pytest.raises(TypeError, match="expected an array of uint8, got float32"):
        write_idx(tmp_path / "values", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="at least one axis"):
        write_idx(tmp_path / "values", np.uint8(3))
    assert list(tmp_path.iterdir()) == []
