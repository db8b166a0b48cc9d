"""How many threads a call may use: a number for the process, and one for a `with` block."""

from __future__ import annotations

import math
import os

from ._checks import integer
from ._core import openmp_cpus
from ._setting import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 1024  # what one call accepts; the core refuses more

_chosen = Setting("num_threads")
_default: int | None = None


def get_num_threads() -> int:
    """Return the number of threads that a call made here may use.

    It is the first of these that is set: the innermost `num_threads` block, CONVLET_NUM_THREADS,
    the first number of OMP_NUM_THREADS, and the CPUs this process may use: those of its affinity
    mask, or its cgroup's quota rounded up if that is less. Small work runs on fewer threads.

    Raises
    ------
    ValueError : CONVLET_NUM_THREADS is not a number from 1 to 1024.

    Examples
    --------
    >>> with num_threads(2):
    ...     get_num_threads()
    2
    """
    return _chosen.get() or _default or _find_default()


class num_threads:  # noqa: N801 (reads as a function)
    """Let calls in a `with` block use up to `n` threads; results do not depend on it.

    It affects this thread, or asyncio task, only. One object may serve several blocks.

    Parameters
    ----------
    n : int from 1 to 1024

    Raises
    ------
    TypeError : n is not an integer.
    ValueError : n is out of range.

    Examples
    --------
    >>> import convlet as cl
    >>> with cl.num_threads(1):
    ...     cl.get_num_threads()
    1
    """

    def __init__(self, n: int):
        self._n = integer(n, "num_threads: n")
        if not 1 <= self._n <= _LARGEST:
            raise ValueError(f"num_threads: expected 1 to {_LARGEST} threads, got {n}")

    def __enter__(self) -> int:
        _chosen.enter(self, self._n)
        return self._n

    def __exit__(self, *exception: object) -> None:
        _chosen.leave(self)


def _find_default() -> int:
    global _default
    _default = _read_default()
    return _default


def _read_default() -> int:
    own = os.environ.get("CONVLET_NUM_THREADS", "").strip()
    if own:
        if not own.isdecimal() or not 1 <= int(own) <= _LARGEST:
            raise ValueError(f"CONVLET_NUM_THREADS must be 1 to {_LARGEST}, got {own!r}")
        return int(own)
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if openmp.isdecimal() and int(openmp) >= 1:
        return min(int(openmp), _LARGEST)
    from pathlib import Path  # here, because it would be much of the time of `import convlet`

    return min(_cpus(), _quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")), _LARGEST)


def _cpus() -> int:
    """OpenMP's count first: OMP_PROC_BIND leaves this thread one CPU of the process's."""
    if cpus := openmp_cpus():
        return cpus
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(membership: Path, mount: Path) -> float:
    """The smallest CPU quota of the cgroups of this process, rounded up; infinite without one.

    A line of `membership` is "id:controllers:path", with no controllers in version 2. A container
    may see its own group as the root of the mount, so the root is always read too.
    """
    quota = math.inf
    for line in _read(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            quota = min(quota, _quota_v1(folder) if controllers else _quota_v2(folder))
            if folder == root:
                break
    return max(1, math.ceil(quota)) if quota < math.inf else quota


def _quota_v2(folder: Path) -> float:
    """cpu.max holds "quota period", or "max period"."""
    return _ratio(*_read(folder / "cpu.max").split()[:2])


def _quota_v1(folder: Path) -> float:
    """A quota of -1 is none."""
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(quota: str = "", period: str = "") -> float:
    quota, period = quota.strip(), period.strip()
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return math.inf
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
