"""The planner: what is joined, and that it computes the same."""

import numpy as np
import pytest

import convlet as cl
from chains import CHAINS, trained
from convlet import models
from convlet.gradcheck import gradcheck
from convlet.planner import fusion
from convlet.planner import plan as plan_module
from networks import images

PARTS = (
    *("BatchNorm", "BatchNorm+ReLU", "BatchNorm+add", "BatchNorm+add+ReLU"),
    *("ReLU", "add", "add+ReLU"),
)
JOINED = {  # how many of each of PARTS
    "identity": (0, 1, 0, 1, 0, 0, 0),
    "convolution": (0, 1, 0, 1, 0, 0, 0),
    "convolution and norm": (0, 1, 0, 1, 0, 0, 0),
    "two norms, no ReLU": (0, 1, 1, 0, 0, 0, 0),
    "norms of one value": (0, 0, 0, 1, 0, 0, 0),
    "norm, convolution": (1, 1, 0, 1, 0, 0, 0),
    "convolution, norm, ReLU": (0, 2, 0, 1, 0, 0, 0),
    "pad": (0, 1, 0, 1, 0, 0, 0),
    "ReLU on the way around": (0, 1, 1, 0, 0, 0, 0),
    "norm on the way around": (0, 0, 0, 1, 0, 0, 0),
    "no ReLU after": (0, 1, 1, 0, 0, 0, 0),
    "norm of two readers": (1, 1, 0, 1, 0, 0, 0),
    "ReLU inside": (0, 2, 0, 0, 0, 0, 1),
    "twice": (0, 1, 1, 1, 0, 0, 0),
    "branches": (0, 1, 0, 0, 0, 0, 1),
    "norms, convolution": (1, 1, 0, 0, 0, 0, 0),
    "pool after ReLU": (0, 0, 0, 0, 0, 0, 0),
    "two readers of ReLU": (0, 0, 0, 0, 0, 0, 1),
    "large pool": (0, 0, 0, 0, 0, 0, 0),
    "pool after norm": (0, 0, 0, 0, 0, 0, 0),
    "large pool after norm": (0, 1, 0, 0, 0, 0, 0),
    "other activations": (1, 0, 0, 0, 0, 0, 0),
    "pre-activation": (0, 1, 0, 0, 0, 1, 0),
}


# ---------------------------------------------------------------- what is joined


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_joined(name):
    """Batch norm takes the sum and ReLU after it, across the edges of containers."""
    model = CHAINS[name]()
    plans = [model.plan((2, 8, 8, 3), training=training) for training in (True, False)]

    for plan in plans:
        assert JOINED[name] == tuple(map(plan.count, PARTS))


@pytest.mark.parametrize("shortcut", ["conv", "pad"])
def test_resnet20_has_nine_joined_sums(shortcut):
    """Each of its nine blocks ends in one kernel, and norms of shortcuts are in it."""
    plan = models.resnet20(shortcut).plan((128, 32, 32, 3))
    sums = [row for row in plan.rows if row["kernel"] == "BatchNorm+add+ReLU"]

    assert 9 == plan.count("BatchNorm+add+ReLU") == len(sums)
    assert 10 == plan.count("BatchNorm+ReLU")
    assert 0 == plan.count("BatchNorm") == plan.count("add") == plan.count("add+ReLU")
    assert 0 == plan.count("ReLU")
    assert ["9.shortcut.1", "15.shortcut.1"] * (shortcut == "conv") == [
        row["second"] for row in sums if row["second"]
    ]


def test_a_norm_around_is_in_the_row_of_the_body():
    """The kernel that sums two batch norms shows the paths of both."""
    plan = CHAINS["convolution and norm"]().plan((2, 8, 8, 3))
    (row,) = [row for row in plan.rows if row["second"]]

    assert ("1.body.4", "1.shortcut.1") == (row["path"], row["second"])
    assert "1.body.4 + 1.shortcut.1" in repr(plan)


def test_convolution_takes_its_relu():
    """Also where the layer has one of its own; a second one stays a kernel."""
    model = cl.Sequential(
        cl.Conv2d(3, 4, 1), cl.ReLU(), cl.Conv2d(4, 4, 1, activation="relu"), cl.ReLU()
    )
    plan = model.plan((1, 2, 2, 3))

    assert ["Conv2d+ReLU", "Conv2d+ReLU", "ReLU"] == [row["kernel"] for row in plan.rows]


def test_convolution_takes_functions_like_relu():
    """ReLU6 and LeakyReLU end a convolution too; others, and those after a norm, stay kernels."""
    plans = [
        CHAINS["other activations"]().plan((1, 20, 20, 3)),
        cl.Sequential(cl.Conv2d(3, 4, 1), cl.Sigmoid()).plan((1, 2, 2, 3)),
    ]

    assert [
        *("Conv2d+ReLU6", "Conv2d+LeakyReLU", "Conv2d+LeakyReLU"),
        *("MaxPool2d", "BatchNorm", "ReLU6"),
        *("Conv2d", "Sigmoid"),
    ] == [row["kernel"] for plan in plans for row in plan.rows]


def test_a_norm_takes_the_pool_after_it():
    """With its ReLU or without, unless others read it or a byte cannot name the winners."""
    names = ("pool after norm", "large pool after norm")
    plans = [CHAINS[name]().plan((2, 20, 20, 3)) for name in names]
    read_twice = cl.Sequential(
        cl.BatchNorm(3), cl.Concat(cl.MaxPool2d(1), cl.Sequential()), cl.MaxPool2d(2)
    ).plan((2, 4, 4, 3))

    assert [
        *("Conv2d", "BatchNorm+ReLU+MaxPool2d", "Conv2d", "BatchNorm+MaxPool2d"),
        *("Conv2d", "BatchNorm+ReLU", "MaxPool2d"),
        *("BatchNorm", "MaxPool2d", "concat", "MaxPool2d"),
    ] == [row["kernel"] for plan in (*plans, read_twice) for row in plan.rows]
    assert (2, 9, 9, 4) == plans[0].rows[1]["output_shape"]
    assert 1 == models.resnet18().plan((1, 64, 64, 3)).count("BatchNorm+ReLU+MaxPool2d")


def test_what_others_read_is_not_joined():
    """A batch norm whose output is read twice, or is the model's, keeps its own kernel."""
    norm = cl.BatchNorm(3)
    model = cl.Sequential(norm, cl.Concat(cl.ReLU(), cl.Sequential()), cl.BatchNorm(6))

    assert ["BatchNorm", "ReLU", "concat", "BatchNorm"] == [
        row["kernel"] for row in model.plan((2, 2, 2, 3)).rows
    ]


def test_without_fusion_layers_run_as_they_are():
    """With fuse=False every layer has a row of its own, also of a model planned with fusion."""
    model = models.resnet20()
    assert 9 == model.plan((2, 32, 32, 3)).count("BatchNorm+add+ReLU")
    with cl.options(fuse=False):
        plan = model.plan((2, 32, 32, 3))

    assert 0 == plan.count("BatchNorm+add+ReLU") == plan.count("BatchNorm+ReLU")
    assert (9, 19, 21) == tuple(map(plan.count, ("add", "ReLU", "BatchNorm")))
    with pytest.raises(TypeError, match="fuse must be a bool"):
        cl.options(fuse=0)


@pytest.mark.parametrize("name", ["digits", "lenet", "mobilenet_small", "resnet20"])
@pytest.mark.parametrize("folded", [False, True])
def test_multiply_adds(name, folded):
    """Those of a plan are those of the layers, whatever is fused."""
    model = getattr(models, name)()
    shape = (2, *{"digits": (8, 8, 1), "lenet": (28, 28, 1)}.get(name, (32, 32, 3)))
    plan = (model.fold() if folded else model).plan(shape)

    assert model.summary(shape).multiply_adds == plan.multiply_adds


def test_report():
    """The costs of a plan, and the table it prints."""
    model = models.digits(rng=0)
    plan = model.plan((32, 8, 8, 1))
    conv = plan.rows[2]

    assert ("3", "Conv2d", (32, 8, 8, 32)) == tuple(
        conv[name] for name in ("path", "kernel", "output_shape")
    )
    directions = ["forward", "backward_data", "backward_weights"]
    assert directions == list(conv["algorithms"])
    assert ["forward", "backward_weights"] == list(plan.rows[0]["algorithms"])
    assert directions == list(model.plan((32, 8, 8, 1), input_grad=True).rows[0]["algorithms"])
    assert ["forward"] == list(model.plan((32, 8, 8, 1), training=False).rows[0]["algorithms"])
    assert 32 * 8 * 8 * 32 * 4 == conv["bytes"]
    assert plan.workspace >= conv["workspace"] > 0
    lines = repr(plan).splitlines()
    assert len(plan.rows) + 3 == len(lines)
    assert lines[3].split()[:2] == ["1", "BatchNorm+ReLU"]


def test_a_plan_refuses_what_the_door_refuses():
    """The shape is checked as it is at the door, and nothing is kept."""
    model = cl.Sequential(cl.Conv2d(3, 4, 3), cl.BatchNorm(4))
    with pytest.raises(ValueError, match=r"layer 1 of Sequential, BatchNorm.*two values"):
        model.plan((1, 3, 3, 3))

    assert 2 == len(model.plan((1, 3, 3, 3), training=False).rows)


# ---------------------------------------------------------------- the same results


@pytest.mark.parametrize("name", CHAINS)
def test_gradients_of_chains(name):
    """Joined chains have the gradients of finite differences, with every kind of shortcut."""
    model = CHAINS[name]().astype("float64")

    # relu and its kinks: inputs are drawn, so no value lies within 1e-3 of one
    assert gradcheck(model, images(2, 5, 6, 3), samples=40) <= 1e-6


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_fused_is_unfused_within_rounding(name, frozen):
    """Ten training steps agree within 1e-10 in float64, joined or layer by layer."""
    runs = []
    for fuse in (True, False):
        model = CHAINS[name]().astype("float64")
        if frozen:
            model[1].freeze()
        runs.append(trained(model, fuse, steps=10, dtype=np.float64))

    for joined, apart in zip(*runs, strict=True):
        np.testing.assert_allclose(joined, apart, rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [models.digits, models.resnet20, models.mobilenet_small])
def test_ten_steps_of_whole_networks(make):
    """Networks stay within rounding of each other in float32 over ten steps, and within 1e-10."""
    shape = (8, 8, 8, 1) if make is models.digits else (8, 16, 16, 3)
    # float32: a step rounds 1e-6 relative, which ten steps of a network of this depth amplify
    for dtype, bound in [("float32", 2e-3), ("float64", 1e-10)]:
        runs = [
            trained(
                make(rng=0).astype(dtype),
                fuse,
                steps=10,
                dtype=dtype,
                shape=shape,
                input_grad=False,
            )
            for fuse in (True, False)
        ]
        for joined, apart in zip(*runs, strict=True):
            np.testing.assert_allclose(joined, apart, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", ["convolution and norm", "twice", "branches", "pool after norm"])
def test_threads_do_not_change_bits(name):
    """Training a joined chain gives the same bits on one, two and three threads."""
    runs = []
    for threads in (1, 2, 3):
        with cl.num_threads(threads):
            runs.append(
                trained(CHAINS[name](), True, steps=3, dtype=np.float32, shape=(9, 21, 19, 3))
            )

    for one, *others in zip(*runs, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("frozen", ["", "body", "shortcut", "stem"])
@pytest.mark.parametrize(
    "name", ["convolution and norm", "two norms, no ReLU", "norms of one value"]
)
def test_the_sum_of_two_norms_is_the_bits_of_two_kernels(monkeypatch, name, frozen):
    """One kernel for two batch norms does what two do, whichever of them takes what it was."""
    runs = []
    for pairs in (True, False):
        monkeypatch.setattr(
            plan_module, "fuse", lambda nodes, y, pairs=pairs: fusion.fuse(nodes, y, pairs=pairs)
        )
        model = CHAINS[name]()
        if frozen:
            (model[0] if frozen == "stem" else getattr(model[1], frozen)).freeze()
        assert (not pairs) == (not any(row["second"] for row in model.plan((6, 8, 8, 3)).rows))
        for input_grad in (True, False):
            runs.append(trained(model, True, steps=3, dtype=np.float32, input_grad=input_grad))

    for run in (0, 1):
        for one, two in zip(runs[run], runs[run + 2], strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_norm_with_its_pool_is_the_bits_of_two_kernels(monkeypatch, frozen, dtype):
    """Training leaves the same behind, and both doors give the same, pooled within or after."""
    runs = []
    for pools in (True, False):
        monkeypatch.setattr(
            plan_module, "fuse", lambda nodes, y, pools=pools: fusion.fuse(nodes, y, pools=pools)
        )
        model = CHAINS["pool after norm"]().astype(dtype)
        if frozen:
            model[1].freeze()
        assert pools == model.plan((6, 21, 19, 3)).count("BatchNorm+MaxPool2d")
        for input_grad in (True, False):
            options = {"dtype": dtype, "shape": (6, 21, 19, 3), "input_grad": input_grad}
            runs.append(trained(model, True, steps=3, **options))

    for run in (0, 1):
        for one, two in zip(runs[run], runs[run + 2], strict=True):
            np.testing.assert_array_equal(one, two)


def test_statistics_under_a_pool_that_are_not_finite_are_refused():
    """As without the pool: the message names the batch norm, and nothing has changed."""
    model = CHAINS["pool after norm"]()
    model[0].weight.value[...] = np.inf

    with pytest.raises(FloatingPointError, match=r"layer 1 of Sequential.*BatchNorm\(4\)"):
        model.vjp(images(2, 8, 8, 3, dtype=np.float32))
    assert 0 == model[1].count


@pytest.mark.parametrize("path", ["body", "shortcut"])
def test_statistics_of_either_norm_that_are_not_finite_are_refused(path):
    """The message names the batch norm of the two that it is."""
    model = CHAINS["convolution and norm"]()
    convolution = getattr(model[1], path)[3 if path == "body" else 0]
    convolution.weight.value[...] = np.inf

    with pytest.raises(FloatingPointError, match=rf"{path} of Residual.*BatchNorm\(4\)"):
        model.vjp(images(2, 8, 8, 3, dtype=np.float32))
    assert 0 == model[1].body[1].count == model[1].shortcut[1].count


@pytest.mark.parametrize("name", CHAINS)
def test_values_made_again_are_the_same_bits(monkeypatch, name):
    """Making activations again in backward, instead of keeping them, changes no bit."""
    runs = []
    for least in (0, 1 << 60):
        monkeypatch.setattr(plan_module, "REMADE_FROM", least)
        runs.append(trained(CHAINS[name](), True, steps=3, dtype=np.float32))

    for remade, kept in zip(*runs, strict=True):
        np.testing.assert_array_equal(remade, kept)


def test_large_activations_are_not_kept():
    """The output of BatchNorm -> ReLU is kept where it is small alone; with a sum, it is a mask."""
    model = CHAINS["identity"]()
    kept = [
        {row["kernel"]: row["kept"] for row in model.plan(shape).rows}
        for shape in [(2, 8, 8, 3), (64, 34, 34, 3)]
    ]

    assert kept[0]["BatchNorm+ReLU"]
    assert not kept[1]["BatchNorm+ReLU"]
    assert kept[1]["BatchNorm+add+ReLU"]
    assert kept[1]["Conv2d"]


def test_max_pooling_masks_for_the_convolution_before_it():
    """The output of Conv2d -> ReLU is not kept where only max pooling reads it."""
    kept = {
        name: [row["kept"] for row in CHAINS[name]().plan((2, 20, 20, 3)).rows]
        for name in ("pool after ReLU", "two readers of ReLU")
    }

    assert [False, True, False] == kept["pool after ReLU"]
    assert [True, False, False, True] == kept["two readers of ReLU"] or kept["two readers of ReLU"][
        0
    ]


def test_a_pass_holds_what_backward_reads_and_drops_it_on_the_way():
    """After the forward pass only kept values are there; pulling back leaves none."""
    model = CHAINS["identity"]()
    held = []

    class Spy(cl.Layer):
        """The identity, which looks at the pass while backward is under way."""

        def forward(self, x):
            def pullback(dy):
                held.append(sum(value is not None for value in run.values))
                return dy

            return x.copy(), pullback

    model = cl.Sequential(cl.Conv2d(3, 4, 3), Spy(), *model[1:], rng=0)
    run = model._train(images(2, 8, 8, 3, dtype=np.float32), False)
    kept = sum(row["kept"] for row in model.plan((2, 8, 8, 3)).rows)

    # x, which the first convolution reads, besides
    assert kept + 1 == sum(value is not None for value in run.values)
    run.pull(run.y)
    assert [1] == held  # x
    assert not any(value is not None for value in [*run.values, *run.kept])


@pytest.mark.parametrize("name", CHAINS)
def test_the_gradient_given_is_not_written_to(name):
    """Gradients are worked on in place, but never the caller's, which may have many readers."""
    model = CHAINS[name]()
    y, pullback = model.vjp(images(2, 8, 8, 3, dtype=np.float32))
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    y_before, dy_before = y.copy(), dy.copy()
    pullback(dy)

    np.testing.assert_array_equal(dy_before, dy)
    np.testing.assert_array_equal(y_before, y)
