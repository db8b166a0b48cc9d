"""The block cache: what is kept stays, what is given back is used again, and there is a limit."""

import gc
import os
import threading

import numpy as np
import pytest

import convlet
from convlet import _core, ops
from processes import run_python

PAGE = 4096


def info():
    return _core.cache_info()


@pytest.mark.parametrize("code", ["f", "d", "q"])
@pytest.mark.parametrize(
    "shape", [(), (0,), (0, 3), (1,), (3, 5), (1025,), (2, 0, 2**40), (70, 1000)]
)
def test_empty(shape, code):
    """Memory comes page-aligned, dense and writeable, of any shape and type."""
    a = _core.empty(shape, code)

    assert a.shape == shape
    assert a.dtype == np.dtype(code)
    assert a.ctypes.data % PAGE == 0 or a.size == 0
    assert a.flags.c_contiguous
    assert a.flags.writeable
    a[...] = 1
    assert np.all(a == 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (((-1,), "f"), ValueError),
        (((2,), "i"), ValueError),
        (((2.0,), "f"), TypeError),
        (([2], "f"), TypeError),
        (((2**40, 2**40), "f"), MemoryError),
        (((2**62,), "d"), MemoryError),
        (((2**59,), "f"), MemoryError),
        (((2**60,), "f"), MemoryError),
    ],
)
def test_empty_refuses(arguments, error):
    """Shapes and types that no array can have are errors, not crashes."""
    with pytest.raises(error):
        _core.empty(*arguments)


@pytest.mark.parametrize("nbytes", [1, 4095, 4096, 4097, 9 * 4096, 100_000, 1_000_001, 40_000_000])
def test_a_block_wastes_at_most_an_eighth_beyond_whole_pages(nbytes):
    """A block is of whole pages, and at most an eighth larger than asked for."""
    pages = -(-nbytes // PAGE)
    block = memoryview(_core.empty((nbytes,), "B").base)

    assert nbytes <= block.nbytes <= pages * PAGE * 9 / 8
    assert not block.readonly


def test_a_block_from_nowhere_offers_no_memory():
    """A block that its type was asked for has no memory, and says so."""
    with pytest.raises(BufferError, match="empty"):
        memoryview(_core.Block())


def test_a_large_block_begins_at_a_huge_page():
    """From 2 MiB on, blocks are aligned so that the system can back them with huge pages."""
    huge = 2**21

    assert _core.empty((huge,), "f").ctypes.data % huge == 0
    assert _core.empty((huge // 4,), "f").ctypes.data % huge == 0


def test_a_block_is_used_again_when_the_last_array_dies():
    """A view keeps its block; the next array of the size takes it once the view is gone."""
    convlet.clear_cache()
    a = _core.empty((5000,), "f")
    address = a.ctypes.data
    view = a.reshape(50, 100)[::2, 10:]
    del a
    before = info()
    other = _core.empty((5000,), "f")
    assert other.ctypes.data != address  # the view keeps the block
    del view
    again = _core.empty((5000,), "f")

    assert again.ctypes.data == address
    assert info()["hits"] == before["hits"] + 1
    assert info()["misses"] == before["misses"] + 1


def test_clear_cache_frees_what_is_idle_only():
    """Blocks in use survive clear_cache()."""
    kept = ops.relu(np.arange(10000, dtype=np.float32))
    del_me = _core.empty((10000,), "f")
    del del_me
    assert info()["idle_bytes"] > 0

    convlet.clear_cache()

    assert info()["idle_bytes"] == 0
    np.testing.assert_array_equal(kept, np.arange(10000))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no statm here")
def test_what_is_freed_goes_back_to_the_system():
    """Neither clear_cache() nor the limit lets go of blocks that then belong to nobody."""
    program = """
import sys
import numpy as np
from convlet import _core, clear_cache
def pages():
    return int(open("/proc/self/statm").read().split()[1])
def use(size):
    np.frombuffer(_core.empty((size,), "B").base, np.uint8).fill(1)
use(1 << 26)
clear_cache()
before = pages()
for _ in range(4):
    use(1 << 26)
    use(int(sys.argv[1]))
    clear_cache()
print((pages() - before) * 4096 >> 20)
"""
    for limit in ("0", str(1 << 30)):
        for other in (1 << 26, 1 << 24):
            done = run_python(program, str(other), CONVLET_CACHE_LIMIT=limit)
            assert int(done.stdout) < 32, done.stderr


def test_kept_results_survive():
    """No result is written to once it has been returned."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 9, 9, 3)), rng.standard_normal((3, 3, 3, 5))
    kept, copies = [], []
    for i in range(20):
        y = ops.conv2d(x + i, w)
        kept += [y, *ops.conv2d_backward(y, x, w), ops.softmax(y)]
        copies += [a.copy() for a in kept[-5:]]
        ops.relu(y)

    for a, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(a, copy)


def test_the_miss_counter_stands_still_after_the_first_round():
    """A step takes no fresh memory after the first."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 9, 9, 3)), rng.standard_normal((3, 3, 3, 5))
    gamma = np.ones(5)

    def step():
        y = ops.conv2d(x, w, padding=1)
        normal, mean, var = ops.batch_norm(y, gamma, gamma)
        loss, dlogits = ops.softmax_cross_entropy(normal, np.zeros((4, 9, 9), int))
        dx, _, _ = ops.batch_norm_backward(dlogits, y, gamma, mean, var)
        ops.conv2d_backward(dx, x, w, padding=1)
        return loss

    convlet.clear_cache()
    step()
    before = info()
    for _ in range(5):
        step()

    assert info()["misses"] == before["misses"]
    assert info()["hits"] > before["hits"]


MIB = 1 << 20


def whole_block(nbytes):
    """All bytes of a block that holds so many."""
    return np.frombuffer(_core.empty((nbytes,), "B").base, np.uint8)


def blocks(*mebibytes):
    """Blocks of sizes that are powers of two apart, each full of a number of its own."""
    made = [whole_block(int(size * MIB)) for size in mebibytes]
    for number, block in enumerate(made):
        block[...] = number
    return made


def test_idle_parts_become_a_whole():
    """Small blocks that come after a large one leave what serves for another large one."""
    convlet.clear_cache()
    small = blocks(16, 8, 2, 2, 4)  # no larger one is made to be cut, whatever was leased before
    del small[1:]
    before = info()
    large = blocks(16)

    assert info()["misses"] == before["misses"]
    assert np.all(small[0] == 0)
    assert large[0].nbytes == 16 * MIB


def test_an_idle_whole_serves_in_parts():
    """Blocks of a half and two quarters come from a whole one, next to each other."""
    convlet.clear_cache()
    address = blocks(4)[0].ctypes.data
    before = info()
    parts = blocks(2, 1, 1)

    assert info()["misses"] == before["misses"]
    assert [address + i * MIB for i in (0, 2, 3)] == [part.ctypes.data for part in parts]
    assert [0, 1, 2] == [part[-1] for part in parts]


def test_parts_become_what_they_were_cut_from():
    """Equal parts of a whole are joined to it again, and those of a half to that."""
    convlet.clear_cache()
    address = blocks(16)[0].ctypes.data
    before = info()
    for size, count, joined in ((2, 8, 16), (8, 2, 16), (2, 4, 8)):
        parts = blocks(*[size] * (16 // size))
        del parts[:count]
        again = blocks(joined)
        assert again[0].ctypes.data == address
        del again

    assert info()["misses"] == before["misses"]


def test_what_is_made_to_be_cut_is_at_most_eight_times_as_large():
    """A small block brings no more memory with it, however large others have been."""
    convlet.clear_cache()
    del blocks(16)[:]
    convlet.clear_cache()
    part = blocks(0.5)

    assert np.all(part[0] == 0)
    assert info()["idle_bytes"] < 4 * MIB


@pytest.mark.parametrize(
    ("whole", "part", "misses"),
    [(8, 1, 0), (1, 0.25, 0), (1, 0.125, 1), (0.25, 0.125, 1), (16, 1, 1)],
)
def test_small_blocks_are_not_cut_from_large_ones(whole, part, misses):
    """Less than a quarter of a mebibyte, or than an eighth of a block, has memory of its own."""
    convlet.clear_cache()
    del blocks(whole)[:]
    before = info()
    blocks(part)

    assert info()["misses"] == before["misses"] + misses


def test_what_is_cut_is_freed_when_all_of_it_is_idle():
    """Clearing the cache spares a block of which a part is in use."""
    convlet.clear_cache()
    del blocks(4)[:]
    part = blocks(1)
    convlet.clear_cache()
    assert info()["idle_bytes"] >= 3 * MIB
    assert np.all(part[0] == 0)
    del part
    convlet.clear_cache()

    assert info()["idle_bytes"] == 0


def test_blocks_in_use_never_share_memory():
    """Two thousand blocks that come and go keep what was written to them."""
    rng = np.random.default_rng(0)
    convlet.clear_cache()
    held = []
    for number in range(2000):
        block = whole_block(int(0.25 * MIB) << int(rng.integers(5)))
        marks = block[:: block.size // 4 - 1]  # the ends are among them
        marks[...] = number % 251
        held.append((block, marks, number % 251))
        while len(held) > rng.integers(1, 12):
            _, marks, expected = held.pop(rng.integers(len(held)))
            assert np.all(marks == expected)
    del block, marks, held, _
    idle = info()["idle_bytes"]
    convlet.clear_cache()

    assert idle > 0
    assert info()["idle_bytes"] == 0


def test_random_shapes_stay_under_the_limit():
    """500 shapes of up to 6 MB, some kept for a while, with a limit of 20 MB."""
    program = """
import numpy as np
from convlet import _core
rng = np.random.default_rng(0)
kept, largest = [], 0
for _ in range(500):
    a = _core.empty(tuple(int(n) for n in rng.integers(0, 115, 3)), "f")
    a.fill(1)
    kept.append(a)
    del kept[: int(rng.integers(0, 3)) if len(kept) < 8 else 4], a
    largest = max(largest, _core.cache_info()["idle_bytes"])
assert all((a == 1).all() for a in kept)
assert _core.cache_info()["limit"] == 20_000_000
print(largest)
"""
    done = run_python(program, CONVLET_CACHE_LIMIT="20000000")

    assert done.returncode == 0, done.stderr
    assert 10_000_000 < int(done.stdout) <= 20_000_000  # full, and not above


def test_a_limit_of_nothing_keeps_nothing():
    """With CONVLET_CACHE_LIMIT=0 every block is fresh and none is kept."""
    program = """
import numpy as np
from convlet import _core, ops
for _ in range(3):
    ops.relu(np.ones(5000, np.float32))
print(_core.cache_info())
"""
    done = run_python(program, CONVLET_CACHE_LIMIT="0")

    assert done.stdout.strip() == str({"hits": 0, "misses": 3, "idle_bytes": 0, "limit": 0})


@pytest.mark.parametrize("limit", ["-1", "many", "1e9", str(2**70)])
def test_a_limit_that_is_no_number_of_bytes(limit):
    """A limit that makes no sense is an error of the import that names it."""
    done = run_python("import convlet", CONVLET_CACHE_LIMIT=limit)

    assert done.returncode != 0
    assert (
        f"ImportError: CONVLET_CACHE_LIMIT must be a number of bytes, got {limit!r}" in done.stderr
    )


def test_the_block_idle_longest_is_freed_first():
    """Beyond the limit, blocks go in the order in which they came back."""
    program = """
from convlet import _core
sizes = [1000, 2500, 3000, 3500]  # not made of each other
blocks = [_core.empty((n * 1024 // 4,), "f") for n in sizes]
while blocks:
    del blocks[0]
def is_kept(n):
    hits = _core.cache_info()["hits"]
    block = _core.empty((n * 1024 // 4,), "f")
    return _core.cache_info()["hits"] > hits, block
print([is_kept(n)[0] for n in reversed(sizes)])
"""
    done = run_python(program, CONVLET_CACHE_LIMIT=str(8000 * 1024))

    assert done.stdout.strip() == "[True, True, False, False]", done.stderr


def test_threads_share_the_cache():
    """Eight threads fill and check arrays of their own while blocks go round."""
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        kept = []
        for _ in range(300):
            a = _core.empty((int(rng.integers(1, 20000)),), "d")
            a.fill(seed)
            kept.append(a)
            y = ops.relu(a)
            if len(kept) > 4:
                if not all((b == seed).all() for b in (y, *kept)):
                    failures.append(seed)
                del kept[0]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures


def test_blocks_in_reference_cycles_come_back():
    """The garbage collector gives blocks back as well."""
    convlet.clear_cache()
    ring = [_core.empty((100_000,), "f")]
    ring.append(ring)
    del ring
    gc.collect()

    assert info()["idle_bytes"] >= 400_000
