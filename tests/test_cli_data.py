"""The command on files of one's own, with the other models; tiny files are made here."""

import json
import re

import numpy as np
import pytest

from convlet import _cli, get_num_threads, models, training
from convlet.data.idx import write_idx

SOURCES = {"mnist": (28, 1), "fashion-mnist": (28, 1), "cifar10": (32, 3), "cifar100": (32, 3)}


def learnable(n, side, channels):
    """Noise with a bright bar, and ten labels that tell its height."""
    labels = np.arange(n, dtype=np.uint8) % 10
    x = np.random.default_rng(n).integers(100, size=(n, side, side, channels), dtype=np.uint8)
    rows = np.arange(side) // 2
    return x + np.uint8(150) * (rows == labels[:, None])[..., None, None], labels


def write(folder, dataset, n=20):
    """Write n training and 10 test images in the form of a data set."""
    side, channels = SOURCES[dataset]
    if dataset == "cifar10":
        for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            x, y = learnable(10 if i == 5 else n // 5, side, channels)
            records = np.concatenate([y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], 1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        return
    if dataset == "cifar100":
        for name, count in (("train", n), ("test", 10)):
            x, y = learnable(count, side, channels)
            planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
            records = np.concatenate([y[:, None] % 2, 90 + y[:, None], planes], 1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        return
    for part, count in (("train", n), ("t10k", 10)):
        x, y = learnable(count, side, channels)
        write_idx(folder / f"{part}-images-idx3-ubyte", x[..., 0])
        write_idx(folder / f"{part}-labels-idx1-ubyte", y)


def run(capsys, *arguments):
    """Run `convlet train` in this process and return what it prints."""
    assert 0 == _cli.main(["train", *map(str, arguments)])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "options", "model"),
    [
        ("mnist", [], lambda: models.lenet()),
        (
            "fashion-mnist",
            ["--model", "mobilenet_small"],
            lambda: models.mobilenet_small(channels=1),
        ),
        ("cifar10", ["--model", "mobilenet_small"], lambda: models.mobilenet_small()),
        ("cifar10", [], lambda: models.resnet20()),
        ("cifar100", ["--model", "mobilenet_small"], lambda: models.mobilenet_small(100)),
    ],
)
def test_trains_on_files(tmp_path, capsys, dataset, options, model):
    """Each data set trains by its default model or another, with the outputs and bits of digits."""
    folder = tmp_path / "files"
    folder.mkdir()
    write(folder, dataset)
    history, save = tmp_path / "history.json", tmp_path / "weights.npz"
    arguments = [dataset, "--data", folder, "--epochs", 1, "--batch-size", 16, *options]
    out = run(capsys, *arguments, "--threads", 1, "--history", history, "--save", save)

    lines = out.splitlines()
    assert 3 == len(lines)
    assert [1] * 4 == [len(values) for values in json.loads(history.read_text()).values()]
    trained = model()
    with np.load(save) as saved:
        trained.load_state_dict(saved)
    assert f"weights sha256 {training.weights_sha256(trained)}" == lines[-2]
    assert lines[-2:] == run(capsys, *arguments, "--threads", 2).splitlines()[-2:]


def test_learns_from_files(tmp_path, capsys):
    """What can be learnt from the images and labels of files is learnt."""
    write(tmp_path, "mnist", n=200)
    out = run(capsys, "mnist", "--data", tmp_path, "--epochs", 12, "--batch-size", 16)

    assert float(out.split()[-1]) > 0.9


def test_augmented_training_is_another_that_repeats_itself(capsys):
    """--augment changes what is learnt, to the same bits for any number of threads."""
    arguments = ["digits", "--epochs", 1, "--batch-size", 64]
    plain = run(capsys, *arguments).splitlines()[-2]
    first, second = (
        run(capsys, *arguments, "--augment", "--threads", n).splitlines()[-2] for n in (1, 2)
    )

    assert first == second
    assert first != plain


@pytest.fixture
def asked(monkeypatch):
    """What training is asked for, which is not done, and the rates of the optimizer."""
    seen = {}

    def fit(model, optimizer, x, y, **options):
        seen.update(options, x=x, threads=get_num_threads())
        return {"loss": [0.5] * options["epochs"]}

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setitem(_cli.OPTIMIZERS, "sgd", lambda parameters, lr: seen.update(rate=lr))
    return seen


def test_the_rate_falls_linearly_to_0(capsys, asked):
    """It is the given one at the first step, and would be 0 after the last, of a smaller batch."""
    options = ["--optimizer", "sgd", "--epochs", 2, "--batch-size", 1000, "--lr", 0.5]
    run(capsys, "digits", *options)

    assert 1000 < len(asked["x"]) < 2000
    assert [0.5, 0.375, 0.25, 0.125] == [asked["rate"](t) for t in range(1, 5)]
    assert (2, 1000, None) == tuple(asked[name] for name in ("epochs", "batch_size", "augment"))


def test_training_takes_the_threads_it_is_given(capsys, asked):
    """--threads holds for as long as the training lasts."""
    run(capsys, "digits", "--epochs", 1, "--threads", 3)

    assert 3 == asked["threads"]


def test_augmented_images_move_by_an_eighth_and_are_mirrored(capsys, asked):
    """A bright pixel comes to lie at both sides, up to an eighth of the size away."""
    run(capsys, "digits", "--epochs", 1, "--augment")
    images = np.zeros((500, 16, 16, 1), np.float32)
    images[:, 8, 4] = 1
    _, rows, columns, _ = np.nonzero(asked["augment"](images))

    assert set(range(6, 11)) == set(rows.tolist())
    assert set(range(2, 7)) | set(range(9, 14)) == set(columns.tolist())


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [(KeyboardInterrupt, 130, ""), (OSError("disk full"), 1, "convlet: error: disk full\n")],
)
def test_what_ends_the_command_tells_its_status(monkeypatch, capsys, error, status, printed):
    """Ctrl-C outside of training, and what the system refuses, end it without a traceback."""

    def fail(model, *test):
        raise error

    monkeypatch.setattr(training, "fit", lambda *arrays, **options: {"loss": [0.5]})
    monkeypatch.setattr(training, "evaluate", fail)

    assert status == _cli.main(["train", "digits", "--epochs", "1"])
    assert printed == capsys.readouterr().err


def test_digits_with_another_model(capsys):
    """--model goes for digits too, and an epoch of another model ends at other weights."""
    out = run(capsys, "digits", "--model", "mobilenet_small", "--epochs", 1, "--batch-size", 64)

    assert re.search(r"weights sha256 [0-9a-f]{64}\ntest accuracy [01]\.\d{4}\n$", out)


@pytest.mark.parametrize("dataset", _cli.DATASETS)
@pytest.mark.parametrize("name", _cli.MODELS)
def test_every_model_fits_or_says_why(dataset, name):
    """A model of the table gives a logit for each class of a data set, or a ValueError."""
    image, classes = _cli.DATASETS[dataset].image, _cli.DATASETS[dataset].classes
    model = _cli.MODELS[name](image[-1], classes, 0)
    fitting = {"digits": {"digits"}, "lenet": {"mnist", "fashion-mnist"}}
    if dataset in fitting.get(name, _cli.DATASETS):
        assert (1, classes) == model.output_shape((1, *image))
    else:
        with pytest.raises(ValueError, match="Sequential"):
            model.output_shape((1, *image))


def test_every_data_set_has_sound_defaults():
    """Default models fit, and every optimizer has a rate for every data set."""
    for dataset in _cli.DATASETS.values():
        model = _cli.MODELS[dataset.model](dataset.image[-1], dataset.classes, 0)
        assert (1, dataset.classes) == model.output_shape((1, *dataset.image))
        assert set(_cli.OPTIMIZERS) == set(dataset.rates)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist"], "--data: mnist needs the folder with its original files"),
        (["digits", "--data", "."], "--data: digits come with the package, got ."),
        (["mnist", "--data", "nowhere"], "--data: nowhere: expected one of the files train-labels"),
        (
            ["cifar10", "--data", "."],
            "--data: .: expected the files data_batch_1.bin, data_batch_2",
        ),
        (
            ["cifar10", "--data", ".", "--model", "lenet"],
            "--model lenet does not take the images of",
        ),
        (["digits", "--model", "lenet"], "--model lenet does not take the images of digits: layer"),
        (["mnist", "--data", ".", "--model", "vgg"], "--model: invalid choice: 'vgg'"),
        (["cifar100", "--data", "."], "--data: .: expected the files train.bin"),
        (["svhn", "--data", "."], "invalid choice: 'svhn'"),
    ],
)
def test_bad_arguments_are_errors_before_training(
    monkeypatch, tmp_path, capsys, arguments, message
):
    """Exit status 2, a message that names the value, and no output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(SystemExit) as caught:
        _cli.main(["train", *arguments])

    assert 2 == caught.value.code
    printed = capsys.readouterr()
    assert "" == printed.out
    assert message in printed.err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "expected a shape that an"),
        ("t10k-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x15" + bytes(10), "is truncated"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01" + bytes(4), "expected the shape (0, 28, 28)"),
    ],
)
def test_broken_files_are_errors_before_training(tmp_path, capsys, name, content, message):
    """A file that cannot be trusted ends the command with status 2 and its name."""
    write(tmp_path, "mnist")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as caught:
        _cli.main(["train", "mnist", "--data", str(tmp_path)])

    assert 2 == caught.value.code
    error = capsys.readouterr().err
    assert message in error
    assert "--data: " in error


@pytest.mark.parametrize(("part", "name"), [("train", "training"), ("t10k", "test")])
def test_files_without_images_are_refused(tmp_path, capsys, part, name):
    """Whole files of nothing leave nothing to train on, or to test by."""
    write(tmp_path, "mnist")
    write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((0, 28, 28), np.uint8))
    write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.zeros(0, np.uint8))
    with pytest.raises(SystemExit):
        _cli.main(["train", "mnist", "--data", str(tmp_path)])

    assert f"has no {name} images" in capsys.readouterr().err


def test_help_tells_the_defaults(capsys):
    """The help names every data set with its model, epochs, batch size and rates."""
    with pytest.raises(SystemExit):
        _cli.main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())

    for part in (
        "{digits,mnist,fashion-mnist,cifar10,cifar100}",
        "15 for digits, 5 for mnist",
        "lenet for fashion-mnist, resnet20 for cifar10, resnet20 for cifar100",
        "0.01 for adam",
    ):
        assert part in text
