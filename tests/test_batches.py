"""Batches: what a pass gives, in which order, and what becomes of the last examples."""

import numpy as np
import pytest

from convlet.data import Batches


def sizes(batches):
    return [len(labels) for _, labels in batches]


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_every_example_comes_once(batch_size):
    """Batches keep examples and labels together, cover the set, and only the last is smaller."""
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    batches = Batches(x, y, batch_size, rng=0)
    got = list(batches)

    for x_batch, y_batch in got:
        np.testing.assert_array_equal(x[y_batch], x_batch)
    assert y.tolist() == sorted(np.concatenate([labels for _, labels in got]).tolist())
    assert {min(batch_size, 10)} >= set(sizes(got[:-1]))
    assert len(got) == len(batches)


@pytest.mark.parametrize(
    ("n", "batch_size", "expected"),
    [
        (10, 4, {"keep": [4, 4, 2], "drop": [4, 4], "merge": [4, 6]}),
        (9, 4, {"keep": [4, 4, 1], "drop": [4, 4], "merge": [4, 5]}),
        (8, 4, {"keep": [4, 4], "drop": [4, 4], "merge": [4, 4]}),
        (4, 4, {"keep": [4], "drop": [4], "merge": [4]}),
        (3, 4, {"keep": [3], "merge": [3]}),
        (5, 4, {"keep": [4, 1], "drop": [4], "merge": [5]}),
        (0, 4, {"keep": [], "merge": []}),
        (3, 1, {"keep": [1] * 3, "drop": [1] * 3, "merge": [1] * 3}),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_last_batch(n, batch_size, expected, shuffle):
    """What is left is kept, dropped or merged, and length and count of examples say so."""
    x = np.arange(n)
    for last, lengths in expected.items():
        batches = Batches(x, x, batch_size, rng=0, shuffle=shuffle, last=last)

        assert lengths == sizes(batches)
        assert (len(lengths), sum(lengths)) == (len(batches), batches.examples)
        rows = [row for rows, _ in batches for row in rows.tolist()]
        assert len(rows) == len(set(rows))
        assert shuffle or list(range(sum(lengths))) == rows


def test_a_seed_decides_the_orders():
    """The same seed gives the same passes, each in another order; None others each time."""

    def passes(rng):
        x = np.arange(100)
        batches = Batches(x, x, 7, rng=rng)
        return [np.concatenate([y for _, y in batches]).tolist() for _ in range(3)]

    first = passes(3)

    assert first == passes(3) == passes(np.random.default_rng(3))
    assert first[0] != first[1] != first[2] != list(range(100))
    assert first != passes(4)
    assert passes(None) != passes(None)


def test_an_order_is_drawn_when_a_pass_begins():
    """Making Batches, and asking for their length, leaves a generator as it is."""
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    batches = Batches(np.arange(9), np.arange(9), 2, rng=rng)
    assert 5 == len(batches)

    np.testing.assert_array_equal(other.permutation(9), np.concatenate([x for x, _ in batches]))


def test_without_shuffling_no_number_is_drawn():
    """shuffle=False gives every pass in the order of the set."""
    rng = np.random.default_rng(0)
    x = np.arange(7)
    batches = Batches(x, x, 3, rng=rng, shuffle=False)

    for _ in range(2):
        assert [[0, 1, 2], [3, 4, 5], [6]] == [b.tolist() for b, _ in batches]
    assert np.random.default_rng(0).random() == rng.random()


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_copies(tmp_path, shuffle):
    """Writing into a batch changes nothing, also where the set is a file that is mapped."""
    np.save(tmp_path / "x.npy", np.arange(6.0))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    for x in (np.arange(6.0), mapped):
        for x_batch, y_batch in Batches(x, x, 4, shuffle=shuffle):
            assert type(x_batch) is np.ndarray
            x_batch[:] = y_batch[:] = -1
        np.testing.assert_array_equal(np.arange(6.0), x)


def test_passes_may_interleave():
    """Two passes at once each cover the set."""
    x = np.arange(10)
    batches = Batches(x, x, 3, rng=0)
    pairs = list(zip(batches, batches, strict=True))

    for side in (0, 1):
        rows = np.concatenate([pair[side][0] for pair in pairs])
        assert list(range(10)) == sorted(rows.tolist())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros(3), np.zeros(2), 1), {}, ValueError, "as many labels as examples, 3, got 2"),
        ((np.zeros(3), np.zeros(3), 0), {}, ValueError, "batch_size must be at least 1, got 0"),
        ((np.zeros(3), np.zeros(3), 1.5), {}, TypeError, "batch_size must be an integer, got 1.5"),
        ((np.zeros(3), np.zeros(3), 1), {"last": "pad"}, ValueError, "'merge', got 'pad'"),
        ((np.zeros(3), np.zeros(3), 4), {"last": "drop"}, ValueError, "nothing of 3 examples in"),
        ((np.zeros(0), np.zeros(0), 4), {"last": "drop"}, ValueError, "nothing of 0 examples in"),
        ((None, np.zeros(3), 4), {}, TypeError, "Batches: x must be an array, got NoneType"),
        ((np.zeros(3), [1, 2, 3], 4), {}, TypeError, "Batches: y must be an array, got list"),
        ((np.ma.zeros(3), np.zeros(3), 4), {}, TypeError, "Batches: x is a masked array"),
        ((np.float32(3), np.zeros(3), 4), {}, ValueError, "Batches: x must have at least one axis"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, options, error, message):
    """What cannot be gone through is an error that names the value, before the first batch."""
    with pytest.raises(error, match=message):
        Batches(*arguments, **options)
