"""Make an archive of one object out of a static library, for the linkers of ELF systems.

python join_archive.py OUTPUT LIBRARY AR... -- COMPILER...
"""

import os
import subprocess
import sys


def main(output, library, *commands):
    """Link all members into one relocatable object and archive that."""
    end = commands.index("--")
    ar, compiler = commands[:end], commands[end + 1 :]
    joined = f"{os.path.splitext(output)[0]}.o"
    members = ["-Wl,--whole-archive", library, "-Wl,--no-whole-archive"]
    subprocess.run([*compiler, "-r", "-nostdlib", *members, "-o", joined], check=True)
    if os.path.exists(output):
        os.remove(output)
    subprocess.run([*ar, "crs", output, joined], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
