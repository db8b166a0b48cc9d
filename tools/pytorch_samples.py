"""Run PyTorch's own sample inputs through convlet, and compare values and gradients in float64.

    python tools/pytorch_samples.py [-v] [NAME ...]

needs PyTorch, expecttest and convlet. PyTorch tests its functions (OpInfo) and modules (ModuleInfo)
on samples and on inputs that must raise. Functions answer through the adapters beside this script,
modules as the function that they are, their parameters included. What convlet leaves out on purpose
is counted with its reason; it refuses negative weights of losses, so samples get their absolute
values. -v prints each reason and each disagreement; NAME chooses adapters. The exit status is 1 if
anything disagrees.
"""

from __future__ import annotations

import collections
import inspect
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
from pytorch_adapters import ADAPTERS, MODULES, OutOfScopeError, batch_norm, instance_norm, pad
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

import convlet
from convlet import losses

BOUND = 1e-12  # relative to the largest number of an array, taken for at least 0.1

HOME = str(Path(convlet.__file__).parent)

# What must raise where PyTorch refuses to make a module.
CONSTRUCTORS = {
    "GroupNorm": convlet.GroupNorm,
    "HuberLoss": lambda delta: losses.huber(np.zeros(1), np.zeros(1), delta=delta),
}


# ---------------------------------------------------------------- samples


class Count:
    """What has happened to the samples of one adapter."""

    def __init__(self):
        self.agreed = self.raised = 0
        self.worst = 0.0
        self.skipped, self.failed = collections.Counter(), []

    def run(self, what, compare):
        """Count a sample: `compare` returns its error, or raises."""
        try:
            error = compare()
        except OutOfScopeError as reason:
            self.skipped[str(reason)] += 1
        except Exception as reason:
            if "got a single number" in str(reason):
                self.skipped["a single number, an error here"] += 1
            else:
                self.failed.append(f"{what}: {type(reason).__name__}: {reason}")
        else:
            self.worst = max(self.worst, error)
            self.agreed += error <= BOUND
            if not error <= BOUND:
                self.failed.append(f"{what}: off by {error:.1e}")

    def refuse(self, what, call):
        """Count an input that must raise, from inside convlet."""
        try:
            call()
        except OutOfScopeError as reason:
            self.skipped[str(reason)] += 1
        except (TypeError, ValueError) as error:
            source = traceback.extract_tb(error.__traceback__)[-1].filename
            if source.startswith(HOME):
                self.raised += 1
            else:
                self.failed.append(f"{what}: the adapter raised: {error}")
        except Exception as error:
            self.failed.append(f"{what}: {type(error).__name__}: {error}")
        else:
            self.failed.append(f"{what}: did not raise")


def as_numpy(value):
    """Return a tensor as an array of its own, anything else as it is."""
    return value.detach().numpy().copy() if isinstance(value, torch.Tensor) else value


def described(value):
    """Return a tensor's shape and type, anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return repr(value)
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def difference(actual, expected):
    """Return the largest difference, relative to the largest number."""
    actual, expected = np.asarray(actual), expected.detach().numpy()
    if actual.shape != expected.shape:
        raise ValueError(f"shape {actual.shape} for {expected.shape}")
    if actual.dtype != expected.dtype:
        raise TypeError(f"{actual.dtype} for {expected.dtype}")
    if not actual.size:
        return 0.0
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    error = np.where(same, 0, np.abs(actual - expected)).max()
    return error / max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 0.1)


def compare(adapter, function, arguments):
    """Return the largest error of values and gradients; arguments have the adapter's names."""
    given = {name: as_numpy(value) for name, value in arguments.items()}
    y = function()
    y = y[0] if isinstance(y, tuple) else y
    answer, pullback = adapter(**given)
    error = difference(answer, y)
    leaves = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, torch.Tensor) and value.requires_grad
    }
    if not leaves:
        return error
    generator = torch.Generator().manual_seed(0)
    dy = torch.rand(y.shape, generator=generator, dtype=y.dtype) * 2 - 1
    gradients = torch.autograd.grad(y, list(leaves.values()), dy, allow_unused=True)
    pulled = pullback(dy.numpy())
    for name, gradient in zip(leaves, gradients, strict=True):
        if pulled[name] is not None and gradient is not None:
            error = max(error, difference(pulled[name], gradient))
    return error


def positive_weights(values):
    """Return arguments of a loss with weights that convlet takes."""
    return {
        name: value.detach().abs()
        if name in ("weight", "pos_weight") and value is not None
        else value
        for name, value in values.items()
    }


def functions(count_of):
    """Run the samples of functions."""
    for info in op_db:
        name = info.name.removeprefix("nn.functional.")
        if name not in count_of or info.variant_test_name in ("complex", "without_cudnn"):
            continue
        adapter, count = ADAPTERS[name], count_of[name]
        if info.error_inputs_func is not None:
            for sample in info.error_inputs("cpu"):
                bad = sample.sample_input
                arguments = bind(adapter, bad.input, *bad.args, **bad.kwargs)
                given = {key: as_numpy(value) for key, value in arguments.items()}
                count.refuse(said(name, arguments), lambda a=adapter, g=given: a(**g))
        for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
            arguments = bind(adapter, sample.input, *sample.args, **sample.kwargs)
            if name in LOSSES:
                arguments = positive_weights(arguments)
            count.run(
                said(name, arguments),
                lambda a=adapter, i=info, g=arguments: compare(a, lambda: i.op(**g), g),
            )


LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits")


def bind(adapter, *args, **kwargs):
    """Return arguments by the adapter's names, which are PyTorch's."""
    arguments = inspect.signature(adapter).bind(*args, **kwargs).arguments
    return arguments | arguments.pop("options", {})


def said(name, arguments):
    """Return a sample in words."""
    return f"{name}({', '.join(f'{key}={described(v)}' for key, v in arguments.items())})"


def modules(count_of):
    """Run the samples of modules."""
    for info in module_db:
        kind = info.name.split(".")[-1]
        name, fixed = MODULES.get(kind, (None, None))
        if name not in count_of or not info.name.startswith("nn."):
            continue
        adapter, count = ADAPTERS[name], count_of[name]
        options = {"device": "cpu", "dtype": torch.float64, "requires_grad": True}
        for training in (True, False) if "Norm" in kind else (True,):
            for sample in info.module_inputs_func(info, **options, training=training):
                module = made(info, sample).train(training)
                arguments = of_module(adapter, module, fixed, sample.forward_input)
                call = sample.forward_input
                count.run(
                    said(kind, arguments),
                    lambda a=adapter, m=module, g=arguments, c=call: compare(
                        a, lambda: m(*c.args, **c.kwargs), g
                    ),
                )
        if info.module_error_inputs_func is None:
            continue
        for error in info.module_error_inputs_func(info, **options, training=True):
            bad = error.module_error_input
            if error.error_on.name == "CONSTRUCTION_ERROR":
                made_of = bad.constructor_input
                call = lambda k=kind, c=made_of: CONSTRUCTORS[k](*c.args, **c.kwargs)  # noqa: E731
                count.refuse(f"{kind}{made_of.args}{made_of.kwargs}", call)
                continue
            arguments = of_module(adapter, made(info, bad), fixed, bad.forward_input)
            given = {key: as_numpy(value) for key, value in arguments.items()}
            count.refuse(said(kind, arguments), lambda a=adapter, g=given: a(**g))


def made(info, sample):
    """Make a module in float64, with weights that convlet takes."""
    made_of = sample.constructor_input
    module = info.module_cls(*made_of.args, **made_of.kwargs).double()
    if isinstance(module, torch.nn.modules.loss._Loss) and "weight" in module._buffers:
        module.weight = None if module.weight is None else module.weight.abs()
    return module


def of_module(adapter, module, fixed, call):
    """Return the adapter's arguments: those of the call, and what the module holds."""
    accepted = inspect.signature(adapter).parameters
    names = [*accepted, "negative_slope", "alpha", "approximate"]
    held = {n: getattr(module, n) for n in names if hasattr(module, n) and n != "inplace"}
    if adapter is batch_norm:
        held["training"] = module.training or module.running_mean is None
    if adapter is instance_norm:
        held["use_input_stats"] = module.training or not module.track_running_stats
    if adapter is pad:
        held = {"pad": module.padding, "value": getattr(module, "value", None)}
    return held | fixed | bind_call(accepted, call)


def bind_call(accepted, call):
    """Return the arguments of a call of a module by the adapter's names."""
    return dict(zip(accepted, call.args, strict=False)) | call.kwargs


def main():
    """Print the counts of every adapter."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    words = sys.argv[1:]
    chosen = [word for word in words if word != "-v"] or list(ADAPTERS)
    count_of = {name: Count() for name in chosen}
    functions(count_of)
    modules(count_of)
    row = "{:34}{:>8}{:>8}{:>14}{:>10}{:>12}"
    print(f"PyTorch {torch.__version__}, convlet {convlet.__version__}, float64")
    print(row.format("", "agree", "raise", "out of scope", "disagree", "worst"))
    for name, count in count_of.items():
        numbers = (count.agreed, count.raised, sum(count.skipped.values()), len(count.failed))
        print(row.format(name, *numbers, f"{count.worst:.0e}"))
        if "-v" in words:
            for reason, times in count.skipped.items():
                print(f"    out of scope, {times}: {reason}")
        for failure in count.failed if "-v" in words else count.failed[:3]:
            print(f"    {failure}")
    totals = [count_of[name] for name in chosen]
    numbers = (
        sum(c.agreed for c in totals),
        sum(c.raised for c in totals),
        sum(sum(c.skipped.values()) for c in totals),
        sum(len(c.failed) for c in totals),
    )
    print(row.format("all", *numbers, f"{max(c.worst for c in totals):.0e}"))
    return numbers[-1] > 0


if __name__ == "__main__":
    sys.exit(main())
