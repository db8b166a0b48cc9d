"""Print what `cvlbench --json` measured, and draw it under the roofs of the machine.

    build/benchmarks/cvlbench --short --json benchmarks/shapes/networks/*.txt > all.json
    python benchmarks/roofline.py all.json [--plot roofline.svg] [--only conv2d] [--dtype f32] [...]

For each run (a level, a type, a number of threads): its limits; a row for each thing timed, with
the least time, the rate of operations or bytes, whichever binds, and the fraction of the limit; and
a row for each operator and pass, with the geometric mean of the fractions, the least one, and where
that was. The picture has a panel for each run: operations a second over operations a byte (of those
read and written), below the peak and the bandwidth of reading at each level; warm calls filled,
cold ones hollow. It takes matplotlib, which `pip install ".[bench]"` brings. - is standard input.
"""

import argparse
import json
import math
import sys

import turns

COLUMNS = {"operator": 22, "pass": 17, "numbers": 32, "algorithm": 10, "cache": 5, "us": 11}
RATES = {"rate": 9, "of": 8, "limit": 7, "of limit": 9}
SUMMARY = {"operator": 22, "pass": 17, "cache": 5, "rows": 5, "mean": 7, "least": 7, "where": 40}


def read(path):
    """Return the runs of a file of cvlbench."""
    with sys.stdin if path == "-" else open(path) as file:
        measured = json.load(file)
    if (measured.get("program"), measured.get("schema")) != ("cvlbench", 1):
        raise SystemExit(f"{path}: not what this cvlbench --json writes")
    return measured["runs"]


def chosen(runs, options):
    """Yield the runs that the options let pass, with those rows."""
    for run in runs:
        asked = {"isa": options.isa, "dtype": options.dtype, "threads": options.threads}
        if any(value not in (None, run[name]) for name, value in asked.items()):
            continue
        rows = [
            row
            for row in run["results"]
            if options.cache in (None, row["cache"]) and options.only in name(row)
        ]
        yield run | {"results": rows}


def name(row):
    """Return what a row is known by."""
    numbers = " ".join(map(str, row["numbers"]))
    return f"{row['table']} {row['operator']} {numbers} {row['pass']} {row['remark']}"


def title(run):
    """What a run is of."""
    return f"{run['isa']}, {run['dtype']}, {run['threads']} thread{'s' * (run['threads'] > 1)}"


def numbers(row):
    """The numbers of a row, as its table has them."""
    return " ".join(map(str, row["numbers"]))


def rate(row):
    """The rate of what binds, operations or bytes, and its unit."""
    if row["limit"] == "peak":
        return row["gflops"], "GFLOP/s"
    return row["gbytes"], "GB/s"


def print_limits(run):
    """Print the peak, and the bandwidth of each level."""
    levels = ", ".join(
        f"{level} {loops['read']:.0f} and {loops['fill']:.0f}"
        for level, loops in run["gbytes"].items()
    )
    print(f"peak {run['peak_gflops']:.1f} GFLOP/s; GB/s read and filled: {levels}\n")


def print_rows(run, markdown):
    """Print every row."""
    table = turns.Table(COLUMNS | RATES, markdown)
    for row in run["results"]:
        amount, unit = rate(row)
        table.row(
            row["operator"],
            row["pass"],
            numbers(row),
            row["chosen"] or "",
            row["cache"],
            f"{row['min_us']:.2f}",
            f"{amount:.1f}",
            unit,
            row["limit"],
            f"{row['of_limit']:.3f}",
        )
    print()


def print_summary(run, markdown):
    """Print a row for each operator, pass and state of the caches."""
    groups = {}
    for row in run["results"]:
        groups.setdefault((row["operator"], row["pass"], row["cache"]), []).append(row)
    table = turns.Table(SUMMARY, markdown)
    for key, rows in groups.items():
        least = min(rows, key=lambda row: row["of_limit"])
        mean = turns.geometric_mean(row["of_limit"] for row in rows)
        where = f"{numbers(least)}, {least['table'].removesuffix('.txt')}"
        table.row(*key, len(rows), f"{mean:.3f}", f"{least['of_limit']:.3f}", where)
    print()


def draw(runs, path):
    """Draw a panel for each run, if there is one."""
    if not runs:
        raise SystemExit("no run is left to be drawn")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    operators = list(dict.fromkeys(row["operator"] for run in runs for row in run["results"]))
    colours = {name: pyplot.get_cmap("tab20")(i % 20) for i, name in enumerate(operators)}
    markers = {name: "osD^v*"[i // 20 % 6] for i, name in enumerate(operators)}
    across = min(len(runs), 4)
    down, lines = math.ceil(len(runs) / across), math.ceil(len(operators) / (3 * across))
    size = 6 * across, 4.5 * down + 0.2 * lines
    figure, grid = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for axes, run in zip(grid.flat, runs, strict=False):
        draw_run(axes, run, colours, markers)
    for axes in grid.flat[len(runs) :]:
        axes.set_axis_off()
    labels = [
        pyplot.Line2D([], [], color=colours[name], marker=markers[name], linestyle="", label=name)
        for name in operators
    ]
    figure.legend(handles=labels, loc="outside lower center", ncols=3 * across, fontsize="small")
    figure.savefig(path)
    pyplot.close(figure)


def draw_run(axes, run, colours, markers):
    """Draw the roofs of a run and its rows; one without operations has no place here."""
    points = [
        (row, row["flop"] / (row["read_bytes"] + row["written_bytes"]), row["gflops"])
        for row in run["results"]
        if row["flop"] > 0
    ]
    intensities = [intensity for _, intensity, _ in points] or [1.0]
    left, right = min(*intensities, 0.05), max(*intensities, 100.0)
    for level, loops in run["gbytes"].items():
        ridge = run["peak_gflops"] / loops["read"]
        roof = [left * loops["read"], run["peak_gflops"], run["peak_gflops"]]
        axes.plot([left, ridge, max(right, ridge)], roof, color="0.6", linewidth=1)
        axes.annotate(level, (left, left * loops["read"]), color="0.4", fontsize="small")
    for row, intensity, gflops in points:
        colour = colours[row["operator"]]
        axes.plot(
            intensity,
            gflops,
            markers[row["operator"]],
            color=colour,
            markerfacecolor=colour if row["cache"] == "warm" else "none",
            markersize=4,
        )
    axes.set(xscale="log", yscale="log", title=title(run))
    axes.set(xlabel="operations a byte", ylabel="GFLOP/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", help="what cvlbench --json wrote, or -")
    parser.add_argument("--plot", metavar="FILE", help="draw a picture, in the format of its name")
    parser.add_argument("--isa", help="of the runs, this level alone")
    parser.add_argument("--dtype", choices=("f32", "f64"), help="this type alone")
    parser.add_argument("--threads", type=int, help="this number of threads alone")
    parser.add_argument("--cache", choices=("warm", "cold"), help="of the rows, these alone")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--summary", action="store_true", help="leave out the single rows")
    parser.add_argument("--markdown", action="store_true", help="tables for the documentation")
    options = parser.parse_args()
    runs = list(chosen(read(options.file), options))
    for run in runs:
        print(f"{'## ' if options.markdown else ''}{title(run)}\n")
        print_limits(run)
        if not options.summary:
            print_rows(run, options.markdown)
        print_summary(run, options.markdown)
    if options.plot:
        draw(runs, options.plot)


if __name__ == "__main__":
    main()
