"""The command `convlet`: train on real data, show the configuration."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import convlet

from . import data, models, training

# What the static library needs beside the C library; convlet.pc names the same.
_SYSTEM_LIBRARIES = [] if sys.platform == "win32" else ["-lm", "-pthread"]
_PLAIN = re.compile(r"[\w@%+=:,./-]+")  # what a shell reads as it is, letters of all languages too

EPILOG = """\
Ctrl-C ends the training early and is no failure: what was reached is evaluated, printed and
written as usual, and the exit status is 0; the history then covers the completed epochs.
The last two lines of the output are a checksum of the weights and the accuracy on the test images.
Exit status: 0 success, 1 the training or the writing of a file failed, 2 a bad argument,
130 Ctrl-C before the training has begun or after it has ended, 141 nobody reads the output on.
"""
BROKEN_PIPE = 141

OPTIMIZERS = {
    "sgd": lambda parameters, lr: convlet.SGD(parameters, lr, momentum=0.9),
    "adam": lambda parameters, lr: convlet.Adam(parameters, lr),
    "adagrad": lambda parameters, lr: convlet.AdaGrad(parameters, lr),
}


class Dataset(NamedTuple):
    """What can be trained on, and how it is trained by default."""

    load: Callable
    image: tuple[int, int, int]
    model: str
    epochs: int
    batch_size: int
    rates: dict[str, float]
    classes: int = 10
    from_files: bool = True


def _of_any_size(make, channels, classes, rng):
    """Build a network for images of any size."""
    return make(classes=classes, channels=channels, rng=rng)


SMALL_RATES = {"sgd": 0.02, "adam": 0.001, "adagrad": 0.01}
DATASETS = {
    "digits": Dataset(
        data.digits,
        (8, 8, 1),
        "digits",
        epochs=15,
        batch_size=16,
        rates={"sgd": 0.02, "adam": 0.01, "adagrad": 0.05},
        from_files=False,
    ),
    "mnist": Dataset(data.mnist, (28, 28, 1), "lenet", 5, 64, SMALL_RATES),
    "fashion-mnist": Dataset(data.fashion_mnist, (28, 28, 1), "lenet", 10, 64, SMALL_RATES),
    "cifar10": Dataset(data.cifar10, (32, 32, 3), "resnet20", 30, 128, SMALL_RATES),
    "cifar100": Dataset(data.cifar100, (32, 32, 3), "resnet20", 30, 128, SMALL_RATES, 100),
}
MODELS = {
    "digits": lambda channels, classes, rng: models.digits(rng),
    "lenet": lambda channels, classes, rng: models.lenet(classes, rng=rng),
    **{
        name: functools.partial(_of_any_size, getattr(models, name))
        for name in ("resnet20", "resnet32", "resnet56", "resnet18", "mobilenet_small")
    },
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command on the given arguments, sys.argv's by default; return the exit status."""
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout is not None:  # None where it was closed at the start
                sys.stdout.flush()
    except BrokenPipeError:  # the reader has left, as head does: end like other commands, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _run(arguments: list[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _check_environment()
        return options.run(options)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    except BrokenPipeError:
        raise
    except (FloatingPointError, OSError) as error:
        print(f"convlet: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _check_environment() -> None:
    """Raise what is wrong with the variables that begin with CONVLET_, which name themselves."""
    try:
        convlet.get_num_threads()
        convlet.get_options()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convlet", description="Train and run convolutional networks on NumPy arrays."
    )
    parser.add_argument("--version", action="version", version=f"convlet {convlet.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_config(commands)
    _add_train(commands)
    return parser


def _add_config(commands) -> None:
    config = commands.add_parser(
        "config",
        help="print the instruction set and the threads in use, or what a C compiler needs",
        description="Print the instruction set and the threads in use; or, on one line and quoted "
        "for a shell, what a C compiler needs: cc program.c $(convlet config --cflags --libs), "
        "inside eval where the path of the package has spaces. The folder of convlet.pc is printed "
        "as it is.",
    )
    config.set_defaults(run=_config)
    config.add_argument("--cflags", action="store_true", help="the folder of convlet.h, as -I")
    config.add_argument("--libs", action="store_true", help="the static library and what it needs")
    config.add_argument(
        "--pkgconfigdir", action="store_true", help="the folder of convlet.pc, for pkg-config"
    )


def _add_train(commands) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on the digits that come with the package, or on files of yours",
        description="Train a convolutional network on the digits that come with the package, or on "
        "the original\nfiles of MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 (binary versions).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(run=_train)
    train.add_argument(
        "dataset",
        choices=DATASETS,
        help="digits: 1,797 handwritten digits of 8x8 pixels; the others need --data",
    )
    train.add_argument("--data", metavar="DIR", help="folder with the original files")
    train.add_argument(
        "--model",
        choices=MODELS,
        help=f"a network of convlet.models that takes the images (default {_defaults('model')})",
    )
    train.add_argument("--epochs", type=_count, metavar="N", help=f"default {_defaults('epochs')}")
    train.add_argument(
        "--batch-size", type=_count, metavar="N", help=f"default {_defaults('batch_size')}"
    )
    train.add_argument(
        "--lr",
        type=_rate,
        metavar="RATE",
        help="learning rate of the first step; it falls linearly to 0 (default "
        f"{_rates('digits')} on digits, else {_rates('mnist')})",
    )
    train.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="default adam")
    train.add_argument(
        "--augment",
        action="store_true",
        help="mirror training images at random and shift them by up to an eighth of their size, as "
        "suits photographs such as CIFAR's",
    )
    train.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="seed of the initial weights, of the shuffling and of --augment (default 0)",
    )
    train.add_argument(
        "--threads", type=_threads, metavar="N", help="default: the CPUs this process may use"
    )
    train.add_argument(
        "--history",
        type=_output_file,
        metavar="FILE.json",
        help="write loss, accuracy, test_loss and test_accuracy, one number per epoch each",
    )
    train.add_argument(
        "--save",
        type=_output_file,
        metavar="FILE.npz",
        help="write the trained model's state_dict()",
    )


def _defaults(field: str) -> str:
    """Tell what an option is for each data set."""
    return ", ".join(f"{getattr(dataset, field)} for {name}" for name, dataset in DATASETS.items())


def _rates(name: str) -> str:
    return ", ".join(f"{rate} for {rule}" for rule, rate in DATASETS[name].rates.items())


def _config(options: argparse.Namespace) -> int:
    asked = []
    if options.cflags:
        asked.append(f"-I{convlet.get_include()}")
    if options.libs:
        asked += [f"-L{convlet.get_library_dir()}", "-lconvlet", *_SYSTEM_LIBRARIES]
    printed = [text if _PLAIN.fullmatch(text) else shlex.quote(text) for text in asked]
    if options.pkgconfigdir:
        printed.append(os.path.join(convlet.get_library_dir(), "pkgconfig"))
    if printed:
        print(*printed)
    else:
        convlet.show_config()
    return 0


def _train(options: argparse.Namespace) -> int:
    if options.history is not None and options.history == options.save:
        raise argparse.ArgumentTypeError(
            f"--history and --save name the same file: {options.history}"
        )
    dataset = DATASETS[options.dataset]
    options.model = options.model or dataset.model
    options.epochs = options.epochs or dataset.epochs
    options.batch_size = options.batch_size or dataset.batch_size
    if options.lr is None:
        options.lr = dataset.rates[options.optimizer]
    weights_rng, shuffle_rng, augment_rng = map(
        np.random.default_rng, np.random.SeedSequence(options.seed).spawn(3)
    )
    model = MODELS[options.model](dataset.image[-1], dataset.classes, weights_rng)
    try:
        model.output_shape((1, *dataset.image))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"--model {options.model} does not take the images of {options.dataset}: {error}"
        ) from error
    (x, y), test = _load(dataset, options)
    with options.threads or contextlib.nullcontext():
        return _fit(options, model, x, y, test, shuffle_rng, augment_rng)


def _load(dataset: Dataset, options: argparse.Namespace):
    """Return ((x, y), (x_test, y_test)), or raise what is wrong with --data or its files."""
    if not dataset.from_files:
        if options.data is not None:
            raise argparse.ArgumentTypeError(
                f"--data: {options.dataset} come with the package, got {options.data}"
            )
        return dataset.load()
    if options.data is None:
        raise argparse.ArgumentTypeError(
            f"--data: {options.dataset} needs the folder with its original files"
        )
    try:
        train, test = dataset.load(options.data)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"--data: {error}") from error
    for part, (x, _) in (("training", train), ("test", test)):
        if len(x) == 0:
            raise argparse.ArgumentTypeError(f"--data: {options.data} has no {part} images")
    return train, test


def _fit(options: argparse.Namespace, model, x, y, test, shuffle_rng, augment_rng) -> int:
    """Train, and print and write what the options ask for."""

    def augment(images):
        flipped = data.random_flip(images, rng=augment_rng)
        return data.random_shift(flipped, images.shape[1] // 8, rng=augment_rng)

    rate = options.lr
    steps = options.epochs * math.ceil(len(x) / options.batch_size)
    optimizer = OPTIMIZERS[options.optimizer](
        model.parameters(), lambda t: rate * (1 - (t - 1) / steps)
    )

    with _reporter() as report:
        history = training.fit(
            model,
            optimizer,
            x,
            y,
            epochs=options.epochs,
            batch_size=options.batch_size,
            rng=shuffle_rng,
            test=test,
            progress=report,
            augment=augment if options.augment else None,
        )
    completed = len(history["loss"])
    if completed < options.epochs:
        print(f"stopped after {completed} of {options.epochs} epochs")
    print(f"weights sha256 {training.weights_sha256(model)}")
    print(f"test accuracy {training.evaluate(model, *test):.4f}", flush=True)

    if options.history is not None:
        text = _history_text(history)
        _write(options.history, lambda file: file.write(text.encode()))
    if options.save is not None:
        _write(options.save, lambda file: np.savez(file, **model.state_dict()))
    return 0


def _history_text(history: dict[str, list[float]]) -> str:
    """Write a history as JSON, which has no inf and no nan: a test loss that is one is null."""
    finite = {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in history.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def _count(text: str) -> int:
    """Read a whole number of at least 1."""
    return _whole_number(text, least=1)


def _seed(text: str) -> int:
    """Read a whole number of at least 0."""
    return _whole_number(text, least=0)


def _threads(text: str) -> convlet.num_threads:
    """Read a number of threads that the library accepts."""
    count = _whole_number(text, least=1)
    try:
        return convlet.num_threads(count)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("num_threads: ")) from error


def _whole_number(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text}")
    return value


def _rate(text: str) -> float:
    """Read a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text}")
    return value


def _output_file(text: str) -> str:
    """Return the real path of a file that can be written, which is tried without touching it."""
    path = os.path.realpath(text)
    if os.path.exists(path) and not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"cannot write {text}: it is not a regular file")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text}: the file is read-only")
    try:
        with open(_beside(path), "xb"):
            pass
        os.remove(_beside(path))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from error
    return path


def _write(path: str, write) -> None:
    """Write a file whole or not at all: `write` fills a file beside it, which then replaces it."""
    try:
        with open(_beside(path), "xb") as file:
            write(file)
        os.replace(_beside(path), path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(_beside(path))
        raise


def _beside(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.part")


def _reporter() -> contextlib.AbstractContextManager:
    """Return a context that gives a progress callback: bars on a terminal, else lines."""
    if sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

            return _bars(tqdm)
    return contextlib.nullcontext(_Lines())


class _Lines:
    """One line an epoch on standard output."""

    def __init__(self):
        self.start = time.perf_counter()

    def __call__(self, reached: training.Progress) -> None:
        if reached.images < reached.total:
            return
        speed = reached.images / max(time.perf_counter() - self.start, 1e-9)
        print(
            f"epoch {reached.epoch}/{reached.epochs}  loss {reached.loss:.4f}  "
            f"accuracy {reached.accuracy:.4f}  test accuracy {reached.test_accuracy:.4f}  "
            f"{speed:.0f} images/s",
            flush=True,
        )
        self.start = time.perf_counter()


@contextlib.contextmanager
def _bars(tqdm):
    """One bar an epoch on standard error, with loss, accuracy and images per second."""
    bar = None

    def report(reached: training.Progress) -> None:
        nonlocal bar
        if bar is None:
            title = f"epoch {reached.epoch}/{reached.epochs}"
            # two rows hold the one bar, also on a terminal that does not tell its size
            bar = tqdm(desc=title, total=reached.total, unit=" images", nrows=2)
        shown = {"loss": f"{reached.loss:.4f}", "accuracy": f"{reached.accuracy:.4f}"}
        if reached.test_accuracy is not None:
            shown["test"] = f"{reached.test_accuracy:.4f}"
        bar.set_postfix(shown, refresh=False)
        bar.update(reached.images - bar.n)
        if reached.images == reached.total:
            bar.close()
            bar = None

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
