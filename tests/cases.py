"""The one table of problems, awkward ones first, for tests, gradient checks and benchmarks."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

CONV_CASES_FILE = Path(__file__).parent / "data" / "conv_cases.json"


@dataclass(frozen=True)
class ConvCase:
    """A convolution; `out` is (OH, OW), written down and not computed by the code under test."""

    name: str
    x_shape: tuple
    kernel: tuple
    oc: int
    out: tuple
    stride: tuple = (1, 1)
    padding: object = 0
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def w_shape(self):
        return (*self.kernel, self.x_shape[3] // self.groups, self.oc)

    @property
    def y_shape(self):
        return (self.x_shape[0], *self.out, self.oc)

    @property
    def options(self):
        """Keyword arguments of conv2d and its backward."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def k(self):
        """Length of the forward sum, KH·KW·C/groups."""
        kh, kw, c, _ = self.w_shape
        return kh * kw * c

    @property
    def multiply_adds(self):
        n, oh, ow, oc = self.y_shape
        return n * oh * ow * oc * self.k


@dataclass(frozen=True)
class PoolCase:
    """A pooling window; only max pooling takes dilation, only average pooling the last field."""

    name: str
    x_shape: tuple
    kernel: tuple
    out: tuple
    stride: tuple | None = None
    padding: object = 0
    dilation: tuple = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True

    @property
    def y_shape(self):
        return (self.x_shape[0], *self.out, self.x_shape[3])

    @property
    def max_options(self):
        """Keyword arguments of max_pool2d and its backward."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    @property
    def avg_options(self):
        """Keyword arguments of avg_pool2d and its backward."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
        }


@dataclass(frozen=True)
class NormCase:
    """Values x = offset + scale·N(0, 1) to normalise over all axes but the last."""

    name: str
    shape: tuple
    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class ClassCase:
    """Logits offset + scale·N(0, 1) with the classes on `axis`."""

    name: str
    shape: tuple
    axis: int = -1
    scale: float = 1.0
    offset: float = 0.0

    @property
    def rows_shape(self):
        axis = self.axis % len(self.shape)
        return self.shape[:axis] + self.shape[axis + 1 :]


CONV_CASES = (
    ConvCase("one-of-everything", (1, 1, 1, 1), (1, 1), 1, (1, 1)),
    ConvCase("empty-batch", (0, 5, 4, 3), (3, 3), 2, (5, 4), padding=1),
    ConvCase("kernel-larger-than-image", (2, 2, 3, 3), (5, 4), 4, (2, 4), padding=(2, 2)),
    ConvCase("image-of-one-pixel", (2, 1, 1, 3), (3, 3), 4, (1, 1), padding="same"),
    ConvCase("only-padding-on-top", (1, 1, 1, 2), (2, 1), 3, (3, 1), padding=((2, 1), (0, 0))),
    ConvCase("kernel-equals-image", (2, 4, 3, 2), (4, 3), 3, (1, 1)),
    ConvCase("stride-larger-than-kernel", (2, 8, 11, 3), (2, 1), 5, (3, 3), stride=(3, 4)),
    ConvCase("last-rows-never-read", (1, 8, 9, 2), (3, 3), 3, (2, 2), stride=(4, 5)),
    ConvCase("prime-channels", (2, 5, 7, 7), (3, 3), 11, (3, 5)),
    ConvCase("asymmetric-padding", (2, 4, 5, 3), (3, 3), 4, (5, 6), padding=((0, 3), (2, 1))),
    ConvCase("padding-beyond-kernel", (1, 3, 2, 2), (2, 2), 2, (8, 7), padding=3),
    ConvCase("dilation", (2, 9, 8, 3), (3, 3), 4, (5, 4), dilation=(2, 2)),
    ConvCase("groups", (2, 6, 5, 6), (3, 3), 9, (6, 5), padding=1, groups=3),
    ConvCase("groups-of-four", (2, 6, 5, 16), (3, 3), 16, (6, 5), padding=1, groups=4),
    ConvCase("depthwise", (2, 6, 5, 5), (3, 3), 5, (3, 3), stride=(2, 2), padding=1, groups=5),
    ConvCase("depthwise-multiplier", (1, 5, 5, 3), (3, 3), 6, (3, 3), groups=3),
    ConvCase(
        "all-per-axis",
        (2, 10, 13, 4),
        (3, 2),
        6,
        (5, 5),
        stride=(2, 3),
        padding=((1, 0), (2, 1)),
        dilation=(1, 3),
        groups=2,
    ),
    ConvCase("row-kernel", (2, 1, 12, 3), (1, 5), 4, (1, 12), padding=(0, 2)),
    ConvCase("column-kernel", (2, 12, 1, 3), (5, 1), 4, (12, 1), padding=(2, 0)),
    ConvCase("even-kernel-same", (1, 5, 6, 2), (2, 4), 3, (5, 6), padding="same"),
    ConvCase("same-stride-2", (2, 7, 8, 3), (3, 3), 4, (4, 4), stride=(2, 2), padding="same"),
    ConvCase(
        "same-lower-stride-2", (2, 7, 8, 3), (3, 2), 4, (4, 4), stride=(2, 2), padding="same_lower"
    ),
    ConvCase(
        "same-stride-beyond-kernel", (1, 7, 9, 2), (2, 1), 3, (3, 3), stride=(3, 4), padding="same"
    ),
    ConvCase("valid", (1, 6, 5, 2), (3, 2), 3, (2, 4), stride=(2, 1), padding="valid"),
    ConvCase("pointwise", (2, 5, 3, 16), (1, 1), 17, (5, 3)),
    ConvCase("pointwise-stride-2", (2, 5, 4, 3), (1, 1), 16, (3, 2), stride=(2, 2)),
    ConvCase("channels-1-to-16", (3, 8, 8, 1), (3, 3), 16, (8, 8), padding=1),
    ConvCase("channels-16-to-17", (2, 6, 6, 16), (3, 3), 17, (6, 6), padding=1),
    ConvCase("channels-17-to-65", (1, 5, 9, 17), (3, 3), 65, (5, 9), padding=1),
    ConvCase("k-above-384", (2, 5, 5, 65), (3, 3), 3, (5, 5), padding=1),
    ConvCase("k-above-640", (1, 9, 9, 27), (5, 5), 16, (9, 9), padding=2),
    ConvCase("k-above-640-pointwise", (2, 3, 3, 700), (1, 1), 5, (3, 3)),
)

POOL_CASES = (
    PoolCase("one-of-everything", (1, 1, 1, 1), (1, 1), (1, 1)),
    PoolCase("empty-batch", (0, 4, 4, 3), (2, 2), (2, 2)),
    PoolCase("halves", (2, 6, 4, 3), (2, 2), (3, 2)),
    PoolCase("last-rows-never-read", (2, 7, 8, 3), (2, 3), (3, 2)),
    PoolCase("overlapping", (2, 7, 6, 5), (3, 3), (4, 3), stride=(2, 2), padding=1),
    PoolCase("stride-larger-than-kernel", (1, 9, 8, 2), (2, 1), (3, 2), stride=(3, 4)),
    PoolCase("whole-image", (2, 3, 5, 17), (3, 5), (1, 1)),
    PoolCase(
        "asymmetric-padding", (1, 5, 6, 3), (3, 2), (3, 3), stride=(2, 2), padding=((1, 1), (0, 1))
    ),
    PoolCase("excluded-padding", (2, 5, 5, 3), (3, 3), (5, 5), (1, 1), 1, count_include_pad=False),
    PoolCase("ceil", (1, 6, 5, 3), (3, 2), (3, 3), stride=(2, 2), ceil_mode=True),
    PoolCase("ceil-padding", (2, 6, 8, 3), (3, 3), (4, 5), (2, 2), 1, ceil_mode=True),
    PoolCase(
        "ceil-excluded-padding",
        (2, 6, 8, 3),
        (3, 3),
        (4, 5),
        (2, 2),
        1,
        ceil_mode=True,
        count_include_pad=False,
    ),
    PoolCase(
        "ceil-window-would-start-outside", (1, 4, 4, 2), (1, 1), (2, 2), (3, 3), 0, (1, 1), True
    ),
    PoolCase(
        "ceil-window-would-start-in-end-padding",
        (1, 3, 3, 2),
        (2, 2),
        (2, 2),
        (2, 2),
        1,
        (1, 1),
        True,
    ),
    PoolCase("ceil-kernel-larger-than-image", (1, 2, 3, 2), (3, 3), (1, 1), (2, 2), ceil_mode=True),
    PoolCase("same", (1, 5, 7, 3), (3, 2), (3, 4), stride=(2, 2), padding="same"),
    PoolCase("dilated", (2, 7, 9, 3), (2, 3), (5, 5), stride=(1, 1), dilation=(2, 2)),
    PoolCase("dilated-ceil", (1, 8, 8, 2), (2, 2), (4, 4), (2, 2), 1, (3, 3), ceil_mode=True),
    PoolCase("channels-65", (1, 4, 4, 65), (2, 2), (2, 2)),
)

NORM_CASES = (
    NormCase("two-values", (2, 1, 1, 3)),
    NormCase("one-channel", (3, 2, 2, 1)),
    NormCase("prime", (5, 3, 7, 11)),
    NormCase("rows", (9, 17)),
    NormCase("channels-65", (2, 3, 3, 65)),
    NormCase("large-mean", (4, 5, 5, 3), offset=1000.0),
    NormCase("small-scale", (4, 5, 5, 3), offset=-0.5, scale=0.01),
)

CLASS_CASES = (
    ClassCase("one-class", (3, 1)),
    ClassCase("empty-batch", (0, 4)),
    ClassCase("one-row", (1, 2)),
    ClassCase("digits", (17, 10)),
    ClassCase("prime", (5, 23), scale=3.0),
    ClassCase("large-logits", (4, 7), scale=100.0),
    ClassCase("far-from-zero", (4, 7), offset=1e4),
    ClassCase("first-axis", (5, 6), axis=0),
    ClassCase("middle-axis", (2, 5, 3), axis=1),
    ClassCase("pixels", (2, 3, 2, 4)),
    ClassCase("many-classes", (3, 1000)),
)


def load_conv_cases(*, max_batch=None, max_multiply_adds=None):
    """Problems of real networks and of oneDNN's test lists, from conv_cases.json.

    A negative bottom or right padding says that the last rows or columns are never read, and
    becomes 0. The one problem with negative top and left padding is left out. Names repeat in the
    file, so each case is named by its place in it.
    """
    groups = json.loads(CONV_CASES_FILE.read_text(encoding="utf-8"))
    cases = []
    for group, entries in groups.items():
        for number, entry in enumerate(entries):
            (top, bottom), (left, right) = entry["padding"]
            if min(top, left) < 0:
                continue
            batch = entry["n"] if max_batch is None else min(entry["n"], max_batch)
            case = ConvCase(
                name=f"{group}-{number:02d}",
                x_shape=(batch, entry["h"], entry["w"], entry["c"]),
                kernel=tuple(entry["kernel"]),
                oc=entry["oc"],
                out=(entry["oh"], entry["ow"]),
                stride=tuple(entry["stride"]),
                padding=((top, max(bottom, 0)), (left, max(right, 0))),
                dilation=tuple(entry["dilation"]),
                groups=entry["groups"],
            )
            if max_multiply_adds is None or case.multiply_adds <= max_multiply_adds:
                cases.append(case)
    return cases


def by_name(cases):
    """Run a test on each case, named after it."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def draw(shape, dtype=np.float64, seed=0):
    """Random numbers, read-only: an operator that wrote its input would raise."""
    a = np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)
    a.flags.writeable = False
    return a


def wide(*arrays):
    """Copies in float64; None stays None."""
    return [None if a is None else a.astype(np.float64) for a in arrays]


def rng_of(case):
    """Return a random generator of the case's own."""
    return np.random.default_rng(list(case.name.encode()))
