"""Python programs in processes of their own, where environment variables take effect."""

import os
import subprocess
import sys


def run_python(program, *arguments, options=(), unset=(), **environment):
    """Run a program, with variables set and unset; return the finished process, output as text."""
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, *options, "-c", program, *arguments],
        cwd=os.path.dirname(__file__),
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
