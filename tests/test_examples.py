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
