"""The command, run as users run it: in a process of its own."""

import io
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from convlet import _cli, _core, models, training
from same_bits import FUSED_LEVELS

TRAIN = [sys.executable, "-m", "convlet", "train", "digits"]


def run(*arguments, **environment):
    """Run `convlet train digits` and return the finished process."""
    return subprocess.run(
        [*TRAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


def ending(output):
    """Return the checksum and the accuracy in the last two lines, whose form is checked."""
    weights, accuracy = output.splitlines()[-2:]
    assert re.fullmatch(r"weights sha256 [0-9a-f]{64}", weights)
    assert re.fullmatch(r"test accuracy [01]\.\d{4}", accuracy)
    return weights.split()[-1], float(accuracy.split()[-1])


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    """One epoch with all outputs: the process and the folder with its files."""
    folder = tmp_path_factory.mktemp("run")
    history, save = folder / "history.json", folder / "weights.npz"
    done = run("--epochs", 1, "--threads", 1, "--history", history, "--save", save)
    assert (done.returncode, done.stderr) == (0, "")
    return done, folder


def test_output_is_a_line_per_epoch_and_two_at_the_end(one_epoch):
    """Without a terminal each epoch is one line, and the last two have the promised form."""
    lines = one_epoch[0].stdout.splitlines()

    assert len(lines) == 3
    number = r"\d\.\d{4}"
    assert re.fullmatch(
        rf"epoch 1/1  loss {number}  accuracy {number}  test accuracy {number}  \d+ images/s",
        lines[0],
    )
    ending(one_epoch[0].stdout)


def test_history_is_one_object_of_equally_long_lists(one_epoch):
    """The history file holds full-precision numbers that agree with the output."""
    done, folder = one_epoch
    history = json.loads((folder / "history.json").read_text())

    assert list(history) == ["loss", "accuracy", "test_loss", "test_accuracy"]
    assert [len(values) for values in history.values()] == [1, 1, 1, 1]
    assert round(history["test_accuracy"][0], 4) == ending(done.stdout)[1]
    overflowed = _cli._history_text({"loss": [0.5], "test_loss": [math.inf]})
    assert json.loads(overflowed) == {"loss": [0.5], "test_loss": [None]}
    assert history["loss"][0] != round(history["loss"][0], 4)


def test_saved_weights_are_those_of_the_checksum(one_epoch):
    """The .npz loads into a fresh model, which then has the printed checksum."""
    done, folder = one_epoch
    model = models.digits(rng=99)
    with np.load(folder / "weights.npz") as saved:
        model.load_state_dict(dict(saved))

    assert ending(done.stdout)[0] == training.weights_sha256(model)


def test_no_other_file_is_left_behind(one_epoch):
    """Beside the two outputs nothing remains of the way they were written."""
    assert sorted(path.name for path in one_epoch[1].iterdir()) == ["history.json", "weights.npz"]


@pytest.mark.parametrize("threads", [2, 3])
def test_same_weights_for_any_number_of_threads(one_epoch, threads):
    """Two and three threads give the weights of one, bit for bit."""
    assert ending(one_epoch[0].stdout) == ending(run("--epochs", 1, "--threads", threads).stdout)


def test_same_weights_on_every_fused_level():
    """Every instruction set with a fused multiply-add that this CPU has gives the same weights."""
    endings = {
        ending(run("--epochs", 1, "--threads", 2, CONVLET_ISA=level).stdout)
        for level in FUSED_LEVELS
    }

    assert len(endings) <= 1


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_other_optimizers_learn(optimizer):
    """Two epochs by each of the other optimizers, at its default rate, learn most digits."""
    assert ending(run("--epochs", 2, "--optimizer", optimizer).stdout)[1] > 0.9


def test_seed_decides_the_weights(one_epoch):
    """Another seed ends at other weights."""
    assert ending(one_epoch[0].stdout)[0] != ending(run("--epochs", 1, "--seed", 1).stdout)[0]


def test_defaults_reach_the_promised_accuracy():
    """Over seeds 0 to 4 the median test accuracy is at least 0.985 and each at least 0.98."""
    # one thread: the result is the same, and a busy machine does not wait at barriers
    accuracies = [ending(run("--seed", seed, "--threads", 1).stdout)[1] for seed in range(5)]

    assert statistics.median(accuracies) >= 0.985, accuracies
    assert min(accuracies) >= 0.98, accuracies


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs: expected a whole number of at least 1, got 0"),
        (["--epochs", "1.5"], "--epochs: expected a whole number of at least 1, got 1.5"),
        (["--batch-size", "-3"], "--batch-size: expected a whole number of at least 1, got -3"),
        (["--lr", "-0.1"], "--lr: expected a finite number above 0, got -0.1"),
        (["--lr", "0"], "--lr: expected a finite number above 0, got 0"),
        (["--lr", "nan"], "--lr: expected a finite number above 0, got nan"),
        (["--lr", "inf"], "--lr: expected a finite number above 0, got inf"),
        (["--lr", "fast"], "--lr: expected a finite number above 0, got fast"),
        (["--seed", "-1"], "--seed: expected a whole number of at least 0, got -1"),
        (["--threads", "0"], "--threads: expected a whole number of at least 1, got 0"),
        (["--threads", "9999999"], "--threads: expected 1 to"),
        (["--optimizer", "magic"], "--optimizer: invalid choice: 'magic'"),
        (["--history", "no/such/folder/h.json"], "--history: cannot write no/such/folder/h.json"),
        (["--history", "."], "--history: cannot write .: it is not a regular file"),
        (["--save", "no/such/folder/w.npz"], "--save: cannot write no/such/folder/w.npz"),
        (["--history", "same", "--save", "./same"], "--history and --save name the same file"),
        (["letters"], "unrecognized arguments: letters"),
    ],
)
def test_bad_arguments_are_errors_before_training(
    monkeypatch, tmp_path, capsys, arguments, message
):
    """Exit status 2, a message that names the value, no output, and no file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "fit", None)

    with pytest.raises(SystemExit) as caught:
        _cli.main(["train", "digits", *arguments])

    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "letters"], ["bake"]])
def test_unknown_commands_are_errors(capsys, arguments):
    """A missing or unknown command or data set exits with status 2."""
    with pytest.raises(SystemExit) as caught:
        _cli.main(arguments)

    assert caught.value.code == 2
    assert "usage: convlet" in capsys.readouterr().err


def test_outputs_survive_a_bad_argument(tmp_path):
    """A run refused for its arguments leaves an existing history untouched."""
    history = tmp_path / "history.json"
    history.write_text("precious")

    assert run("--history", history, "--epochs", 0).returncode == 2
    assert history.read_text() == "precious"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """A file is replaced whole or not at all, and no partial file remains."""
    path = tmp_path / "weights.npz"
    path.write_text("precious")

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _cli._write(str(path), fail)
    assert path.read_text() == "precious"
    assert [path] == list(tmp_path.iterdir())


def test_a_diverging_run_fails_with_a_message():
    """A rate far too high ends with status 1 and one line that says so."""
    done = run("--epochs", 1, "--optimizer", "sgd", "--lr", 1e30)

    assert done.returncode == 1
    assert re.fullmatch(r"convlet: error: .+\n", done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one child process")
def test_interruption_ends_with_what_was_reached(tmp_path):
    """SIGINT during training still prints the last two lines and writes both files."""
    history, save = tmp_path / "history.json", tmp_path / "weights.npz"
    # a shell that runs the tests in the background hands down an ignored SIGINT
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from convlet._cli import main; sys.exit(main())"
    )
    arguments = ["train", "digits", "--epochs", "100000", "--history", history, "--save", save]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)

    assert first.startswith("epoch 1/100000")
    assert (process.returncode, errors) == (0, "")
    checksum, _ = ending(output)
    lists = list(json.loads(history.read_text()).values())
    completed = len(lists[0])
    assert {completed} == {len(values) for values in lists}
    assert completed >= 1
    assert f"stopped after {completed} of 100000 epochs" == output.splitlines()[-3]
    model = models.digits()
    with np.load(save) as saved:
        model.load_state_dict(dict(saved))
    assert checksum == training.weights_sha256(model)


class RecordedBar:
    """Takes the place of tqdm and remembers what it was told."""

    made: ClassVar[list] = []

    def __init__(self, *, desc, total, unit, nrows):
        self.desc, self.total, self.unit, self.n, self.closed = desc, total, unit, 0, False
        self.made.append(self)

    def set_postfix(self, shown, refresh):
        self.shown = shown

    def update(self, n):
        self.n += n

    def close(self):
        self.closed = True


def test_bars_show_loss_accuracy_and_images(monkeypatch):
    """There is one bar per epoch, counting images, closed at its end or at an interruption."""
    monkeypatch.setattr(RecordedBar, "made", [])
    with _cli._bars(RecordedBar) as report:
        report(training.Progress(1, 2, 32, 50, 2.0, 0.25, None))
        report(training.Progress(1, 2, 50, 50, 1.5, 0.5, 0.75))
        report(training.Progress(2, 2, 32, 50, 1.0, 0.875, None))
        first, second = RecordedBar.made
        assert not second.closed

    assert (first.desc, first.total, first.unit, first.n) == ("epoch 1/2", 50, " images", 50)
    assert first.shown == {"loss": "1.5000", "accuracy": "0.5000", "test": "0.7500"}
    assert second.shown == {"loss": "1.0000", "accuracy": "0.8750"}
    assert second.n == 32
    assert first.closed
    assert second.closed


def test_bars_are_for_terminals_where_tqdm_is(monkeypatch):
    """Without it, as without a terminal, there are lines."""
    monkeypatch.setattr(RecordedBar, "made", [])
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=RecordedBar))
    with _cli._reporter() as report:
        report(training.Progress(1, 1, 50, 50, 1.5, 0.5, 0.75))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with _cli._reporter() as report:
        assert isinstance(report, _cli._Lines)

    assert 1 == len(RecordedBar.made)


def test_the_speed_of_a_line_is_that_of_its_epoch(monkeypatch, capsys):
    """Each epoch's images are counted from the end of the one before."""
    now = 0.0
    monkeypatch.setattr(_cli.time, "perf_counter", lambda: now)
    report = _cli._Lines()
    for epoch, now in ((1, 2.0), (2, 3.0)):  # noqa: B007
        report(training.Progress(epoch, 2, 50, 50, 1.5, 0.5, 0.75))

    assert ["25", "50"] == re.findall(r"(\d+) images/s", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CONVLET_NUM_THREADS", "0", "CONVLET_NUM_THREADS must be 1 to 1024, got '0'"),
        ("CONVLET_WINOGRAD", "2", "CONVLET_WINOGRAD must be 0 or 1, got '2'"),
    ],
)
def test_bad_environment_is_an_error_as_a_bad_argument_is(name, value, message):
    """Exit status 2 and a message that names the variable, no traceback, and nothing trained."""
    done = run(**{name: value})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"convlet: error: {message}\n")
    assert "Traceback" not in done.stderr


def test_config_prints_the_configuration():
    """`convlet config` is show_config() from the shell."""
    done = subprocess.run(
        [sys.executable, "-m", "convlet", "config"], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert any(level in done.stdout for level in _core.isa_levels())


def test_version_is_printed(capsys):
    """`convlet --version` prints the name and the version, and succeeds."""
    with pytest.raises(SystemExit) as caught:
        _cli.main(["--version"])

    assert caught.value.code == 0
    assert re.fullmatch(r"convlet \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_command_reads_no_optional_package_at_import():
    """Importing the command does not import tqdm."""
    code = "import sys, convlet._cli; sys.exit('tqdm' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of another kind")
@pytest.mark.parametrize("arguments", [["train", "digits"], ["config"]])
def test_nobody_reads_on(arguments):
    """As after `convlet ... | head -1`, the command ends without a word, by a status of its own."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "convlet", *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    os.close(write)

    assert "" == process.stderr
    assert 141 == process.returncode


def test_outputs_are_written_where_the_standard_streams_are_closed(monkeypatch, tmp_path):
    """With no stream to print to, as a service may start it, the command does its work."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    save = tmp_path / "weights.npz"

    assert 0 == _cli.main(["train", "digits", "--epochs", "1", "--save", str(save)])
    assert save.exists()
