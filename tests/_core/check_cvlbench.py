"""Whether cvlbench times every operator, its JSON is what its head says, and roofline.py reads it.

    check_cvlbench.py CVLBENCH SOURCE

runs the built program over cvlbench.txt, and needs Python alone. The times are whatever they are.
"""

import json
import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
TABLE = SOURCE / "tests" / "_core" / "cvlbench.txt"
BENCHMARKS = SOURCE / "benchmarks"

LEVELS = ("L1", "L2", "L3", "memory")
ISAS = ("baseline", "avx2", "avx512", "neon")
RUN = {
    "isa": ISAS,
    "dtype": ("f32", "f64"),
    "threads": int,
    "peak_gflops": float,
    "cache_bytes": dict,
    "gbytes": dict,
    "results": list,
}
ROW = {
    "table": str,
    "operator": str,
    "numbers": list,
    "remark": str,
    "pass": str,
    "algorithm": (None, "auto", "im2col", "winograd", "winograd2", "packed", "im2col+gemm"),
    "chosen": (None, "im2col", "winograd", "winograd2", "im2col+gemm"),
    "cache": ("warm", "cold"),
    "min_us": float,
    "median_us": float,
    "flop": float,
    "read_bytes": float,
    "written_bytes": float,
    "held_bytes": float,
    "again_bytes": float,
    "gflops": float,
    "gbytes": float,
    "level": LEVELS,
    "limit": ("peak", *LEVELS),
    "limit_us": float,
    "of_limit": float,
}
MAY_BE_ZERO = ("flop", "gflops", "written_bytes", "again_bytes")

# What convlet.h has beside the operators: choices, packing, and operators in a row.
NO_OPERATORS = ("conv2d_choose", "conv2d_pack", "conv2d_forward_packed")
NO_OPERATORS += ("program_run", "program_check", "program_plan")


def run(*arguments):
    """Return what the program prints; an emulator may have to run it."""
    command = [*shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")), PROGRAM, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check(condition, *what):
    """End with status 1 unless the condition holds."""
    if not condition:
        raise SystemExit(" ".join(map(str, ("check_cvlbench:", *what))))


def check_number(value, name, where):
    """Finite, and above 0 or not below it."""
    check(isinstance(value, int | float) and math.isfinite(value), name, value, where)
    check(value > 0 or (value == 0 and name in MAY_BE_ZERO), name, value, where)


def check_fields(found, expected):
    """Exactly these fields, in their types or of their choices."""
    check(list(found) == list(expected), list(found), "where the fields are", list(expected))
    for name, kind in expected.items():
        if isinstance(kind, tuple):
            check(found[name] in kind, name, found[name])
        elif kind in (int, float):
            check_number(found[name], name, found)
        else:
            check(isinstance(found[name], kind), name, found[name])


def check_run(found):
    """A run and its rows."""
    check_fields(found, RUN)
    check(list(found["cache_bytes"]) == list(LEVELS[:3]), found["cache_bytes"])
    check(list(found["gbytes"]) == list(LEVELS), found["gbytes"])
    for name, size in found["cache_bytes"].items():
        check_number(size, name, "of cache_bytes")
    for name, loops in found["gbytes"].items():
        check(list(loops) == ["read", "fill"], name, loops)
        for bandwidth in loops.values():
            check_number(bandwidth, name, "of gbytes")
    for row in found["results"]:
        check_fields(row, ROW)
        check(row["table"] == TABLE.name, row["table"])
        check(all(isinstance(n, int) for n in row["numbers"]), row["numbers"])
        check((row["algorithm"] is not None) == (row["operator"] == "conv2d"), row)
        check(row["min_us"] <= row["median_us"], row)
        check(math.isclose(row["of_limit"], row["limit_us"] / row["min_us"], rel_tol=1e-4), row)


def operators():
    """Names of the operators, by the program."""
    return [line.split()[0] for line in run("--list").splitlines()]


def functions():
    """Names of the operators' functions, by the header: conv2d_forward."""
    text = "".join(
        path.read_text() for path in sorted((SOURCE / "_core" / "include").glob("convlet*.h"))
    )
    names = re.findall(r"CVL_API cvl_status cvl_(\w+)_f32\(", text)
    return [name for name in names if name not in NO_OPERATORS]


def check_everything(measured, threads):
    """Every level, type, operator and function."""
    check(list(measured) == ["program", "schema", "backend", "runs"], list(measured))
    check((measured["program"], measured["schema"]) == ("cvlbench", 1), "program or schema")
    check(measured["backend"] in ("openmp", "native", "none"), measured["backend"])
    kinds = [(one["dtype"], one["threads"]) for one in measured["runs"]]
    isas = list(dict.fromkeys(one["isa"] for one in measured["runs"]))
    check(kinds == [("f32", threads), ("f64", threads)] * len(isas), kinds)
    for one in measured["runs"]:
        check_run(one)
        rows = one["results"]
        check({row["operator"] for row in rows} == set(operators()), "an operator is missing")
        timed = {row["operator"] for row in rows}
        timed |= {f"{row['operator']}_{row['pass']}" for row in rows}
        timed |= {f"{row['operator']}_{row['pass']}".removesuffix("_labels") for row in rows}
        check(set(functions()) <= timed, set(functions()) - timed, "is not timed")


def main():
    text = run("--short", "--json", "--threads", 1, "--cache", "warm", TABLE)
    measured = json.loads(text)
    check_everything(measured, 1)

    # A team, all algorithms, chosen rows; lists in place of those of --short.
    teams = [1] if measured["backend"] == "none" else [1, 2]
    lists = ("--isa", "all", "--dtype", "f64,f32", "--threads", ",".join(map(str, teams)))
    lists += ("--short", "--rounds", 2, "--cache", "cold,warm")
    chosen = ("--algorithm", "auto,im2col,winograd,packed,im2col+gemm", "--operator", "conv2d,relu")
    passes = ("--pass", "forward,backward_data", "--json", TABLE)
    runs = json.loads(run(*lists, *chosen, *passes))["runs"]
    check([r["threads"] for r in runs if r["isa"] == "baseline"] == teams * 2, "--threads")
    for one in runs:
        check_run(one)
        check({r["operator"] for r in one["results"]} == {"conv2d", "relu"}, "--operator")
        check({r["pass"] for r in one["results"]} == {"forward", "backward_data"}, "--pass")
        check({r["cache"] for r in one["results"]} == {"warm", "cold"}, "--cache")
        check("im2col+gemm" in {r["algorithm"] for r in one["results"]}, "--algorithm")

    # All tables can be read; no row has this text.
    tables = sorted((BENCHMARKS / "shapes").rglob("*.txt"))
    check(len(tables) > 10, tables)
    check("operator" not in run("--rounds", 1, "--threads", 1, "--only", "no such text", *tables))

    roofline = subprocess.run(
        [sys.executable, BENCHMARKS / "roofline.py", "-"],
        check=True,
        input=text,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    for one in measured["runs"]:
        check(f"{one['isa']}, {one['dtype']}, 1 thread\n" in roofline, "roofline.py: a run")
    lines = sum(len(one["results"]) for one in measured["runs"])
    check(len(roofline.splitlines()) > lines, "roofline.py: rows")


if __name__ == "__main__":
    main()
