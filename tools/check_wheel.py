"""Look into a wheel: its size, what it carries, and where its extension finds its OpenMP runtime.

    python -m build -Csetup-args=-Dbundle_openmp=true
    python tools/check_wheel.py dist/convlet-*.whl

Prints what it finds and fails where the wheel is larger than promised or lacks a file.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LARGEST = 2_500_000  # bytes of a wheel
CARRIED = [
    "convlet/_core.pxd",
    "convlet/_types.pyi",
    "convlet/include/convlet.h",
    "convlet/lib/pkgconfig/convlet.pc",
    "convlet/py.typed",
]


def libraries(content):
    """Return what an ELF file needs, and its RUNPATH, as readelf tells them."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        command = ["readelf", "--dynamic", "--wide", file.name]
        told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", told), re.findall(r"\(RUNPATH\).*\[(.*)\]", told)


def faults(wheel):
    """Yield what is wrong with a wheel, and print what it is like."""
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB of at most {LARGEST / 1e6:.2f}")
    if size > LARGEST:
        yield f"{size} bytes are more than {LARGEST}"
    if not re.search(r"-cp311-abi3-|-cp3\d+-cp3\d+t-", wheel.name):
        yield "the tag is neither that of the stable ABI nor that of a free-threaded Python"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in sorted(names, key=lambda n: -archive.getinfo(n).compress_size)[:4]:
            info = archive.getinfo(name)
            print(f"  {info.compress_size / 1e3:7.0f} kB of {info.file_size / 1e3:6.0f}  {name}")
        yield from (f"{name} is missing" for name in CARRIED if name not in names)
        if not names & {"convlet/lib/libconvlet.a", "convlet/lib/convlet.lib"}:
            yield "the static library is missing"
        if "linux" in wheel.name:
            yield from runtime_faults(archive, names)


def runtime_faults(archive, names):
    """Yield what is wrong with how the extension of a Linux wheel finds its OpenMP runtime."""
    extension = next(name for name in names if re.fullmatch(r"convlet/_core\.[^/]*so", name))
    needed, runpath = libraries(archive.read(extension))
    print(f"  {extension} needs {', '.join(needed)}; RUNPATH {runpath}")
    if "libgomp.so.1" not in needed:
        yield "the extension does not need libgomp.so.1 under its own name"
    if runpath != ["$ORIGIN"]:
        yield f"RUNPATH is {runpath}, not $ORIGIN alone"
    for name in ("convlet/libgomp.so.1", "convlet/LICENSE-libgomp.txt"):
        if name not in names:
            yield f"{name} is missing"
    copies = [name for name in names if "libgomp" in name and name.count(".so")]
    if len(copies) > 1:
        yield f"there are several OpenMP runtimes: {copies}"


def main():
    """Check what the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    found = list(faults(parser.parse_args().wheel))
    for fault in found:
        print(f"fault: {fault}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
