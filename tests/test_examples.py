"""The programs of examples/ do what they say."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def resume(checkpoint, epochs, threads):
    """Run examples/resume.py up to an epoch, and return what it prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "resume.py", checkpoint, "--epochs", str(epochs)],
        env=os.environ | {"CONVLET_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_training_resumes_to_the_same_bits(tmp_path):
    """Stopped after an epoch and gone on with on other threads, weights are the same."""
    whole = resume(tmp_path / "whole.npz", 3, threads=2)
    resume(tmp_path / "parts.npz", 1, threads=1)
    parts = resume(tmp_path / "parts.npz", 3, threads=3)

    assert "going on after 1 epochs" == parts[0]
    assert whole[1:] == parts[1:]
    assert whole[-2].startswith("weights sha256 ")
    assert float(whole[-1].split()[-1]) > 0.9
    assert {"whole.npz", "parts.npz"} == {path.name for path in tmp_path.iterdir()}


def test_training_stops_early_with_its_best_weights():
    """Patience decides when it ends, and what is left is the best epoch's model."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "early_stopping.py", "--patience", "2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    accuracies = [line.split()[-1] for line in lines if line.startswith("epoch ")]
    best = max(accuracies)

    assert [f"best epoch {accuracies.index(best) + 1}", f"test accuracy {best}"] == lines[-2:]
    assert accuracies.index(best) + 3 == len(accuracies)
    assert float(best) > 0.9
