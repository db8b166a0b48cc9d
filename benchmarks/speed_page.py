"""Write a page of docs/speed: the benchmarks against peers, as this machine measures them.

    meson setup build -Dpython=false && meson compile -C build
    pip install ".[bench]" && python benchmarks/speed_page.py [--rounds 3] [--cpu NAME]

A quarter of an hour on a machine that does nothing else. Every table is what a script of this
folder prints with --markdown; the page names the command above each. It is called after the CPU, so
that each kind of machine keeps its own; where two kinds go by one name, as virtual machines do, say
it with --cpu.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

import turns

FOLDER = Path(__file__).parent
PAGES = FOLDER.parent / "docs" / "speed"
INTRODUCTION = """# Speed on {cpu}

How long convlet takes beside PyTorch and ONNX Runtime, measured on {date} by
`benchmarks/speed_page.py`, which wrote this page. A ratio is the median over rounds of the best
peer's time over ours within a round, `min/min` that of the least times: above 1, convlet is faster.
Contestants live in processes of their own and take turns, with the same arrays and equal results
first; a `?` marks rows during which other programs were busy. How it is done stands in
[benchmarks/README.md](../../benchmarks/README.md), and in each script what its columns mean. Times
are those of one machine, and of little worth elsewhere; the ratios of another CPU will differ too.
"""
CONVOLUTIONS = """A row is N, H, W, C, OC, kernel, stride, padding, groups. GFLOP/s counts the
multiply-adds of the definition, padding included, so that Winograd passes the peak; `rms` is our
error over the worse of PyTorch's two.
"""


def sections(threads):
    """Triples of a title, a note and a command, without how long it measures."""
    for count in dict.fromkeys((threads, 1)):
        title = f"Convolution, {count} thread{'s' * (count > 1)}"
        yield title, CONVOLUTIONS, ["conv_vs_torch.py", "--threads", str(count)]
    yield "Other kernels", "", ["kernels_vs_torch.py"]
    yield "Training steps", "", ["steps_vs_torch.py"]
    yield "Inference at batch 1", "", ["inference_vs_peers.py"]
    yield "Memory of training steps", "", ["memory_vs_torch.py"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", default="3", help="of each match; 3")
    parser.add_argument("--burst", default="0.03", help="seconds of a burst; 0.03")
    parser.add_argument(
        "--cpu",
        metavar="NAME",
        default=re.sub(r"\(.*?\)| Processor| CPU| @.*", "", turns.cpu()),
        help="as the page calls it; what it calls itself",
    )
    options = parser.parse_args()
    parts = [INTRODUCTION.format(cpu=options.cpu, date=datetime.date.today().isoformat())]
    timing = ["--rounds", options.rounds, "--burst", options.burst, "--markdown"]
    for title, note, arguments in sections(len(os.sched_getaffinity(0))):
        script, *rest = arguments
        rest += ["--markdown"] if script == "memory_vs_torch.py" else timing
        command = [sys.executable, str(FOLDER / script), *rest]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        shown = " ".join(["python", f"benchmarks/{script}", *rest])
        parts.append(f"## {title}\n\n`{shown}`\n\n{note}\n{printed}".replace("\n\n\n", "\n\n"))
        print(title, flush=True)
    PAGES.joinpath(re.sub(r"\W+", "-", options.cpu.lower()) + ".md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
