"""Readers of the original files of MNIST and CIFAR, on tiny files made here, sound and broken."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from convlet import data
from convlet.data.idx import read_idx, write_idx

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
HUGE = 2**32 - 1


def header(*sizes, magic=b"\0\0\x08"):
    return magic + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def peak(function):
    """Return the largest number of bytes that a call held at once."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compress(path):
    """Replace a file by its compressed form."""
    (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


@pytest.fixture
def mnist(tmp_path):
    """A folder with 5 training and 3 test images, and the arrays in them."""
    rng = np.random.default_rng(0)
    arrays = []
    for n, (images, labels) in zip((5, 3), NAMES.values(), strict=True):
        x, y = rng.integers(256, size=(n, 28, 28)), rng.integers(10, size=n)
        write_idx(tmp_path / images, x.astype(np.uint8))
        write_idx(tmp_path / labels, y.astype(np.uint8))
        arrays.append((x, y))
    return tmp_path, arrays


@pytest.fixture
def cifar10(tmp_path):
    """A folder with 2 images in each file of CIFAR-10, and the arrays in them."""
    rng = np.random.default_rng(0)
    parts = []
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        y = rng.integers(10, size=2).astype(np.uint8)
        x = rng.integers(256, size=(2, 32, 32, 3)).astype(np.uint8)
        records = np.concatenate([y[:, None], x.transpose(0, 3, 1, 2).reshape(2, -1)], axis=1)
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
        parts.append((x, y))
    xs, ys = zip(*parts, strict=True)
    train = np.concatenate(xs[:5]), np.concatenate(ys[:5])
    return tmp_path, [train, parts[5]]


@pytest.fixture
def cifar100(tmp_path):
    """A folder with 2 images in each file of CIFAR-100: fine labels 7 and 99, coarse 3 and 19."""
    for name, pixel in (("train", 51), ("test", 255)):
        records = bytes([3, 7]) + bytes([pixel]) * 3072 + bytes([19, 99]) + bytes(3072)
        (tmp_path / f"{name}.bin").write_bytes(records)
    return tmp_path


def assert_loaded(expected, got):
    for (x, y), (x_got, y_got) in zip(expected, got, strict=True):
        assert (np.float32, np.int64) == (x_got.dtype, y_got.dtype)
        np.testing.assert_array_equal(
            x.reshape(x_got.shape).astype(np.float32) / np.float32(255), x_got
        )
        np.testing.assert_array_equal(y, y_got)
        assert x_got.flags.carray


# ---------------------------------------------------------------- MNIST


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist])
@pytest.mark.parametrize("form", ["plain", "gzip", "dotted", "mixed"])
def test_mnist_reads_what_was_written(mnist, load, form):
    """Images in [0, 1] with one channel and their labels, from files in each form they come in."""
    folder, arrays = mnist
    for i, path in enumerate(sorted(folder.iterdir())):
        if form == "gzip" or (form == "mixed" and i % 2):
            compress(path)
        elif form == "dotted":
            path.rename(folder / path.name.replace("-idx", ".idx"))
    got = load(str(folder))

    assert [(5, 28, 28, 1), (3, 28, 28, 1)] == [x.shape for x, _ in got]
    assert_loaded(arrays, got)


def test_mnist_names_a_missing_file(mnist):
    """A folder without one of the files is an error that lists the names looked for."""
    folder, _ = mnist
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        data.mnist(folder)

    for part in (folder, "t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", "ubyte.gz"):
        assert str(part) in str(caught.value)


@pytest.mark.parametrize("form", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images", header(5, 28, 28) + bytes(5 * 784 - 1), "is truncated: expected 3936 .* 3935"),
        ("images", header(5, 28, 28) + bytes(5 * 784 + 1), "has trailing bytes: expected 3936"),
        ("images", header(5, 28, 28)[:11], "a header of 16 bytes for 3 axes, got a file of 11"),
        ("images", header(HUGE, 28, 28) + bytes(5 * 784), r"\(5, 28, 28\), got \(4294967295, 28,"),
        (
            "images",
            header(5, HUGE, 28) + bytes(5 * 784),
            r"expected the shape \(5, 28, 28\), got",
        ),
        ("images", header(2**31, 2**31, 2), "expected a shape that an array can have, got"),
        ("images", header(*[1] * 65) + b"1", "expected a shape that an array can have, got"),
        ("images", header(5, 784) + bytes(5 * 784), r"\(5, 28, 28\), got \(5, 784\)"),
        ("images", header(4, 28, 28) + bytes(4 * 784), r"\(5, 28, 28\), got \(4, 28, 28\)"),
        ("images", header(5, 28, 28, magic=b"\0\0\x0d") + bytes(16 * 5 * 784), "00 00 0d 03"),
        ("images", b"", "expected a magic of 4 bytes, got a file of 0"),
        ("labels", header(HUGE) + bytes(5), "is truncated: expected 4294967303 .* got 13"),
        ("labels", header(4) + bytes(5), "has trailing bytes: expected 12 bytes"),
        ("labels", header(5, 1) + bytes(5), r"expected the shape \(any\), got \(5, 1\)"),
        ("labels", header(5) + bytes([0, 1, 10, 9, 9]), "from 0 to 9, got 10 at index 2"),
        ("labels", b"\0\0\x08", "expected a magic of 4 bytes, got a file of 3"),
    ],
)
def test_mnist_refuses_broken_files(mnist, form, name, content, message):
    """Truncated, lying and foreign files are errors that name the file, found in little memory."""
    folder, _ = mnist
    path = folder / NAMES["train"][name == "labels"]
    path.write_bytes(content)
    if form == "gzip":
        compress(path)

    def load():
        with pytest.raises(ValueError, match=message) as caught:
            data.mnist(folder)
        assert path.name in str(caught.value)

    assert peak(load) < 4e6


# ---------------------------------------------------------------- gzip


def test_a_gzip_bomb_is_not_inflated(tmp_path):
    """Of data that inflates without end, what the header promises and one byte are read."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header(10) + bytes(10) + bytes(300_000_000), compresslevel=1))

    def load():
        with pytest.raises(ValueError, match=r"has trailing bytes: expected 18 bytes .* got more"):
            read_idx(path)

    assert peak(load) < 4e6


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress], ids=["plain", "gzip"])
def test_a_lying_size_takes_no_memory(tmp_path, pack):
    """A header that promises 16 exabytes, or 4 gigabytes, costs what the file holds."""
    for sizes in ((HUGE, 2**30), (HUGE,)):
        path = tmp_path / "lies"
        path.write_bytes(pack(header(*sizes) + bytes(1000)))

        def load(path=path):
            with pytest.raises(ValueError, match="is truncated: expected"):
                read_idx(path)

        assert peak(load) < 4e6


def damaged(content):
    """Compressed content with the checksum at its end changed."""
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    return bytes(packed)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(header(100) + bytes(range(100)))[:-9],
        gzip.compress(header(100) + bytes(range(100)))[:12],
        b"\x1f\x8b",
        b"\x1f\x8b\x07" + bytes(20),
        b"\x1f\x8b\x08\0" + bytes(6) + b"\xff" * 20,
        damaged(header(100) + bytes(100)),
    ],
    ids=["cut", "cut in the header", "two bytes", "method", "deflate", "checksum"],
)
def test_damaged_gzip_is_refused(tmp_path, content):
    """Compressed data that ends early, or not with its checksum, is an error with a name."""
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.gz: the gzip data is damaged: "):
        read_idx(path)


def test_gzip_is_known_by_its_content(tmp_path):
    """The name of a file does not matter, and members may follow one another."""
    values = np.arange(200, dtype=np.uint8)
    content = header(200) + values.tobytes()
    (tmp_path / "a").write_bytes(gzip.compress(content))
    (tmp_path / "b.gz").write_bytes(content)
    (tmp_path / "c").write_bytes(gzip.compress(content[:50]) + gzip.compress(content[50:]))

    for name in ("a", "b.gz", "c"):
        got = read_idx(tmp_path / name)
        np.testing.assert_array_equal(values, got)
        assert got.flags.writeable


@pytest.mark.parametrize("sizes", [(1,) * 65, (0,) * 70, (0, HUGE, HUGE, HUGE)])
def test_shapes_no_array_can_have(tmp_path, sizes):
    """More axes than NumPy has, or sizes beyond its range beside a 0, are clear errors."""
    (tmp_path / "file").write_bytes(header(*sizes) + b"\0")
    with pytest.raises(ValueError, match="expected a shape that an array can have"):
        read_idx(tmp_path / "file")


def test_expected_shape(tmp_path):
    """A shape is compared size by size, None with any."""
    write_idx(tmp_path / "file", np.zeros((2, 3), np.uint8))

    assert (2, 3) == read_idx(tmp_path / "file", shape=(None, 3)).shape
    for shape in ((2,), (2, 4), (None, None, 3)):
        with pytest.raises(ValueError, match=r"expected the shape .* got \(2, 3\)"):
            read_idx(tmp_path / "file", shape=shape)


# ---------------------------------------------------------------- CIFAR


def test_cifar10_reads_what_was_written(cifar10):
    """Colours come last, in [0, 1], and the five training files in their order."""
    folder, arrays = cifar10
    got = data.cifar10(folder)

    assert [(10, 32, 32, 3), (2, 32, 32, 3)] == [x.shape for x, _ in got]
    assert_loaded(arrays, got)


@pytest.mark.parametrize(("labels", "expected"), [("fine", [7, 99]), ("coarse", [3, 19])])
def test_cifar100_reads_both_labels(cifar100, labels, expected):
    """Each record has a coarse and a fine label before its pixels."""
    (x, y), (x_test, y_test) = data.cifar100(cifar100, labels=labels)

    assert [expected, expected] == [y.tolist(), y_test.tolist()]
    assert (np.float32(0.2), 0) == (x[0].min(), x[1].max())
    assert 1 == x_test[0].min() == x_test[0].max()
    assert data.cifar100(cifar100)[0][1].tolist() == [7, 99]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "whole records of 3073 bytes, at least one, got 0 bytes: 0 records and 0 bytes"),
        (bytes(3072), "got 3072 bytes: 0 records and 3072 bytes"),
        (bytes(2 * 3073 - 1), "got 6145 bytes: 1 records and 3072 bytes"),
        (bytes(2 * 3073 + 1), "got 6147 bytes: 2 records and 1 bytes"),
        (bytes(3073) + bytes([10]) + bytes(3072), "from 0 to 9, got 10 in record 1"),
    ],
)
def test_cifar10_refuses_broken_files(cifar10, content, message):
    """A file that is not whole records, or has a label out of range, is named."""
    folder, _ = cifar10
    (folder / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.cifar10(folder)

    assert "data_batch_3.bin" in str(caught.value)


def test_cifar100_refuses_broken_files(cifar100):
    """Both labels are looked at, whichever is asked for; so are sizes and the option."""
    for content, message in (
        (bytes([20, 0]) + bytes(3072), "from 0 to 19, got 20 in record 0"),
        (bytes([0, 100]) + bytes(3072), "from 0 to 99, got 100 in record 0"),
        (bytes(3073), "whole records of 3074 bytes, at least one, got 3073 bytes"),
    ):
        (cifar100 / "test.bin").write_bytes(content)
        for labels in ("fine", "coarse"):
            with pytest.raises(ValueError, match=message):
                data.cifar100(cifar100, labels=labels)
    with pytest.raises(ValueError, match="labels must be 'fine' or 'coarse', got 'both'"):
        data.cifar100(cifar100, labels="both")


def test_cifar_names_missing_files(cifar10):
    """Missing files are an error that lists them and the folder."""
    folder, _ = cifar10
    (folder / "data_batch_2.bin").unlink()
    (folder / "data_batch_5.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_2\.bin, data_batch_5\.bin, got none"):
        data.cifar10(folder)
    with pytest.raises(FileNotFoundError, match=r"files train\.bin"):
        data.cifar100(folder)
