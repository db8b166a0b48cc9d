"""Folded models with layers that are no operators of the core: called between programs."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convlet as cl
from convlet import _core
from convlet.planner import program
from networks import assert_allocates_nothing_later, images


class Own(cl.Layer):
    """ReLU as a user may write it."""

    def forward(self, x):
        return np.maximum(x, 0), lambda dy: dy * (x > 0)


def lambda_relu():
    return cl.Lambda(lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0))


def conv(channels=4, out=4):
    return cl.Conv2d(channels, out, 3, padding=1)


def chain(*layers):
    return cl.Sequential(*layers, rng=0)


def in_residual(relu):
    body = [conv(), cl.BatchNorm(4), relu(), conv()]
    return chain(conv(3), cl.Residual(chain(*body)), cl.ReLU(), cl.Residual(chain(*body)), conv())


# name: (model for images of 3 channels, its layers of a user, the calls that it is)
MODELS = {
    "start": (lambda relu: chain(relu(), conv(3), cl.BatchNorm(4), conv()), 1, 2),
    "middle": (lambda relu: chain(conv(3), cl.BatchNorm(4), relu(), conv(), cl.ReLU()), 1, 3),
    "end": (lambda relu: chain(conv(3), conv(), relu()), 1, 2),
    "alone": (lambda relu: chain(relu()), 1, 1),
    "two in a row": (lambda relu: chain(conv(3), relu(), relu(), conv()), 2, 4),
    "in Residual": (in_residual, 2, 5),
    "end of Residual": (lambda relu: chain(conv(3), cl.Residual(chain(conv(), relu()))), 1, 3),
    "shortcut": (
        lambda relu: chain(conv(3), cl.Residual(chain(conv(), conv()), relu()), cl.ReLU()),
        1,
        3,
    ),
    "in Concat": (
        lambda relu: chain(
            conv(3), cl.Concat(chain(), chain(relu(), conv()), conv()), conv(12), cl.MaxPool2d(2)
        ),
        1,
        3,
    ),
    "all of Concat": (
        lambda relu: chain(cl.Concat(relu(), chain(conv(3), relu()), relu()), conv(10)),
        3,
        5,
    ),
    "around Flatten": (
        lambda relu: chain(
            *[relu(), cl.Flatten(), relu(), cl.Linear(126, 6), cl.Dropout(0.5), cl.Flatten()],
            *[relu(), cl.Linear(6, 4), relu(), cl.Flatten()],
        ),
        4,
        8,
    ),
    "views for several": (
        lambda relu: chain(
            *[conv(3), cl.Flatten(), cl.Concat(cl.Flatten(), relu(), cl.Linear(168, 2))],
            *[cl.Residual(chain(cl.Dropout(0.5), relu())), cl.Flatten(), relu()],
        ),
        3,
        6,
    ),
}


@pytest.mark.parametrize("own", [Own, lambda_relu])
@pytest.mark.parametrize("name", MODELS)
def test_cutting_changes_no_bit(name, own):
    """Programs around layers of a user give the bits of one program with the core's ReLU."""
    make, count, calls = MODELS[name]
    whole, cut = make(cl.ReLU).fold(), make(own).fold()
    for n in (1, 3, 0, 1):
        x = images(n, 7, 6, 3, dtype=np.float32)
        before, y = x.copy(), cut(x)
        np.testing.assert_array_equal(whole(x), y)
        np.testing.assert_array_equal(before, x)
        assert y.flags.c_contiguous
    plan = cut.plan((1, 7, 6, 3))
    of_users = [row for row in plan.rows if row["kernel"] in ("Own", "Lambda")]

    assert whole.plan((1, 7, 6, 3)).one_call
    assert not plan.one_call
    assert calls == plan.calls
    assert count == len(of_users)
    assert all(row["call"] for row in of_users)
    assert not any(row["call"] for row in plan.rows if row["kernel"].startswith("Conv2d"))


def test_sizes_of_images_are_planned_apart():
    """Shapes of one model do not share what they keep."""
    make, _, _ = MODELS["in Residual"]
    whole, cut = make(cl.ReLU).fold(), make(Own).fold()
    for size in (5, 16, 9, 5, 33):
        x = images(2, size, size + 1, 3, seed=size, dtype=np.float32)
        np.testing.assert_array_equal(whole(x), cut(x))


def test_the_report_prints_the_calls():
    """A folded plan has a column of calls, with their sum; a training plan has what it keeps."""
    model = chain(conv(3), Own(), conv())
    lines = str(model.fold().plan((1, 7, 6, 3))).splitlines()
    columns = [line.split() for line in lines]

    assert "call" in columns[0]
    assert "kept" not in columns[0]
    assert [False, True, False] == ["yes" in columns[i] for i in (2, 3, 4)]
    assert "3" == columns[-1][1]
    assert "kept" in str(model.plan((1, 7, 6, 3))).splitlines()[0]
    assert 3 == model.plan((1, 7, 6, 3)).calls
    assert all(row["call"] for row in model.plan((1, 7, 6, 3)).rows)


def test_a_layer_of_a_user_may_keep_its_x():
    """What it was given is not written again, nor is what the model returned."""
    seen = []

    class Watching(cl.Layer):
        def forward(self, x):
            seen.append(x)
            return x, lambda dy: dy

        def output_shape(self, shape):
            return shape

        def __deepcopy__(self, memo):
            return self

    folded = chain(conv(3), Watching(), conv(), Watching(), conv()).fold()
    x = images(2, 9, 9, 3, dtype=np.float32)
    y = folded(x)
    first, copies = seen[:], [value.copy() for value in (*seen, y)]
    for seed in range(5):
        folded(images(2, 9, 9, 3, seed=seed, dtype=np.float32))

    for value, copy in zip((*first, y), copies, strict=True):
        np.testing.assert_array_equal(copy, value)


@pytest.mark.parametrize("name", ["in Residual", "in Concat", "views for several"])
def test_many_callers_at_once(name):
    """Eight threads on one model that has not run yet give the bits of one."""
    make, _, _ = MODELS[name]
    batches = [images(1 + i % 3, 7, 6, 3, seed=i, dtype=np.float32) for i in range(24)]
    whole, cut = make(cl.ReLU).fold(), make(Own).fold()
    serial = [whole(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        for y, together in zip(serial, pool.map(cut, batches), strict=True):
            np.testing.assert_array_equal(y, together)
    for threads in (1, 2, 3):
        with cl.num_threads(threads):
            for x, y in zip(batches, serial, strict=True):
                np.testing.assert_array_equal(y, cut(x))


def test_an_exception_leaves_no_harm():
    """It reaches the caller, alone among callers, and the next call runs as if it had not been."""
    failing = threading.local()

    class Failing(cl.Layer):
        def forward(self, x):
            if getattr(failing, "now", False):
                raise OSError("no such luck")
            return np.maximum(x, 0), lambda dy: dy

        def output_shape(self, shape):
            return shape

    x = images(2, 7, 6, 3, dtype=np.float32)
    body = [conv(), Failing(), conv()]
    cut = chain(conv(3), cl.Residual(chain(*body)), conv()).fold()
    expected = cut(x)

    def call(fails):
        failing.now = fails
        if not fails:
            return cut(x)
        with pytest.raises(OSError, match="no such luck"):
            cut(x)
        return expected

    call(fails=False)  # beside `expected`, which the calls below leave where it is
    gc.collect()
    idle = _core.cache_info()["idle_bytes"]
    for fails in (False, True, True, False, True):
        np.testing.assert_array_equal(expected, call(fails))
        gc.collect()
        assert idle == _core.cache_info()["idle_bytes"]
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(call, [i % 3 == 0 for i in range(30)]):
            np.testing.assert_array_equal(expected, y)


def test_a_layer_of_a_user_that_returns_another_shape():
    """Its y is checked where it is called."""
    sizes = iter([3, 3, 4])

    class Growing(cl.Layer):
        def forward(self, x):
            return np.ones((len(x), next(sizes)), x.dtype), lambda dy: dy

        def __deepcopy__(self, memo):
            return self

    folded = chain(cl.Flatten(), Growing(), cl.Linear(3, 2)).fold()
    x = np.ones((2, 2, 2, 1), np.float32)
    folded(x)
    with pytest.raises(ValueError, match=r"expected forward to give y of shape \(2, 3\)"):
        folded(x)


def test_inference_allocates_nothing_after_the_first_call():
    """Values between programs come from the cache."""

    class Same(cl.Layer):
        def forward(self, x):
            return x, lambda dy: dy

    folded = chain(conv(3), cl.Residual(chain(conv(), Same(), conv())), conv()).fold()
    x = images(3, 8, 8, 3, dtype=np.float32)

    assert_allocates_nothing_later(lambda: folded(x))


# ---------------------------------------------------------------- further inputs and outputs


def test_a_program_takes_and_gives_values_of_its_arena():
    """y = relu(x + z) with z given, and the sum before relu made."""
    for code in "fd":
        values = [(3, 0), (3, 0), (3, 16), (3, 0)]
        ops = [("add", 2, (0, 3), (), ()), ("relu", 1, (2,), (), ())]
        add = _core.Program(code, values, ops, 32)
        x, z = np.array([1, -2, 3], code), np.array([[-4], [1], [1]], code)
        y, made = np.empty(3, code), np.empty(3, code)
        add.run(y, x, 1, [(3, z)], [(2, made)])

        np.testing.assert_array_equal([-3, -1, 4], made)
        np.testing.assert_array_equal([0, 0, 4], y)


@pytest.mark.parametrize(
    ("given", "made", "error"),
    [
        ([(3, np.zeros(2, "f"))], [], ValueError),
        ([(1, np.zeros(3, "f"))], [], ValueError),
        ([(4, np.zeros(3, "f"))], [], ValueError),
        ([(-1, np.zeros(3, "f"))], [], ValueError),
        ([(3, np.zeros(3, "d"))], [], TypeError),
        ([(3, None)], [], TypeError),
        ([(3, np.zeros(6, "f")[::2])], [], (ValueError, BufferError)),
        ([(3, np.zeros(3, "f"))], [(2, np.zeros(4, "f"))], ValueError),
    ],
)
def test_arrays_that_are_refused(given, made, error):
    """Nothing is copied beyond a value's place."""
    values = [(3, 0), (3, 0), (3, 16), (3, 0)]
    ops = [("add", 2, (0, 3), (), ()), ("relu", 1, (2,), (), ())]
    add = _core.Program("f", values, ops, 32)
    with pytest.raises(error):
        add.run(np.zeros(3, "f"), np.zeros(3, "f"), 1, given, made)


def test_places_of_inputs_and_outputs_are_their_own():
    """What is given lies apart until it is read, and what is made from when it is written."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        count, outside = int(rng.integers(2, 10)), int(rng.integers(0, 4))
        total = outside + 1 + count
        elements = [int(n) for n in rng.integers(0, 100, total)]
        ops = []
        for y in range(outside + 1, total):
            ops.append(("concat", y, (y - 1, int(rng.integers(0, y)))))
        read = {v for op in ops for v in op[2]}
        given = [v for v in range(outside) if v in read]
        made = [op[1] for op in ops[:-1] if rng.random() < 0.3]
        found, arena = program._places(ops, elements, 16, given, made)
        for i, (_, y, inputs) in enumerate(ops):
            later = {v for op in ops[i:] for v in op[2]} | set(made)
            live = [v for v in found if v != y and v in later and (v in given or v < y)]
            for v in live if i < len(ops) - 1 else ():
                assert found[v] + elements[v] <= found[y] or found[y] + elements[y] <= found[v]
            assert all(found[v] + elements[v] <= arena for v in inputs if v in found)
