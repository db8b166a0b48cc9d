"""The number of threads: where it comes from, and that it holds where it was set."""

import asyncio
import contextlib
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import convlet
from convlet import losses, ops, threads
from processes import run_python


def default_in_process(**environment):
    program = "import convlet; print(convlet.get_num_threads())"
    unset = [name for name in os.environ if name.endswith("_NUM_THREADS")]
    return run_python(program, unset=unset, **environment)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CONVLET_NUM_THREADS": "3"}, 3),
        ({"CONVLET_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "100000"}, 1024),
    ],
)
def test_default_from_the_environment(environment, expected):
    """The package's own variable goes before OpenMP's, whose first number counts."""
    assert default_in_process(**environment).stdout.strip() == str(expected)


@pytest.mark.parametrize("openmp", ["", "0", "-1", "many"])
def test_default_without_a_usable_environment(openmp):
    """Without a usable variable the CPUs of the process decide."""
    done = default_in_process(OMP_NUM_THREADS=openmp)

    assert 1 <= int(done.stdout) <= (os.cpu_count() or 1)


def test_default_does_not_depend_on_where_threads_are_bound():
    """OMP_PROC_BIND leaves the thread that imports the package one CPU, and the process its own."""
    free, bound = (default_in_process(OMP_PROC_BIND=where) for where in ("false", "close"))

    assert int(free.stdout) == int(bound.stdout)


@pytest.mark.parametrize("own", ["0", "-1", "many", "2.5", "100000"])
def test_own_variable_must_be_right(own):
    """The package's own variable is an error where it makes no sense."""
    done = default_in_process(CONVLET_NUM_THREADS=own)

    assert f"CONVLET_NUM_THREADS must be 1 to 1024, got {own!r}" in done.stderr


PROGRAM = """
import hashlib
import numpy as np
import convlet as cl

model = cl.Sequential(
    cl.Conv2d(3, 17, 3), cl.BatchNorm(17), cl.ReLU(), cl.Flatten(), cl.Linear(17 * 900, 10), rng=0
)
optimizer = cl.Adam(model.parameters())
x = np.random.default_rng(0).standard_normal((16, 32, 32, 3), np.float32)
for _ in range(5):
    logits, pullback = model.vjp(x)
    pullback(cl.softmax_cross_entropy(logits, np.arange(16) % 10)[1])
    optimizer.step()
print(hashlib.sha256(b"".join(p.value.tobytes() for p in model.parameters())).hexdigest())
"""


def test_adaptive_teams_give_the_same_bits():
    """Training on a busy machine gives the bits of one thread, adaptive or not."""
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    busy = [subprocess.Popen(spin, stdout=subprocess.PIPE) for _ in range(os.cpu_count() or 1)]
    try:
        for process in busy:
            process.stdout.readline()
        results = [
            run_python(PROGRAM, CONVLET_NUM_THREADS=threads, CONVLET_ADAPTIVE=adaptive)
            for threads, adaptive in (("1", "1"), ("2", "0"), ("2", "1"), ("3", "1"))
        ]
    finally:
        for process in busy:
            process.kill()
            process.communicate()

    assert [done.returncode for done in results] == [0] * 4
    assert len({done.stdout for done in results}) == 1


def test_num_threads_nests_and_restores():
    """Blocks may lie inside each other, and each ends where it began."""
    before = convlet.get_num_threads()
    with convlet.num_threads(3) as n:
        assert n == convlet.get_num_threads() == 3
        with convlet.num_threads(5):
            assert convlet.get_num_threads() == 5
        assert convlet.get_num_threads() == 3
    assert convlet.get_num_threads() == before


def test_num_threads_restores_after_an_error_and_can_be_used_again():
    """An exception ends a block too, and one object serves several blocks."""
    before = convlet.get_num_threads()
    four = convlet.num_threads(4)
    with pytest.raises(KeyError), four:
        raise KeyError
    with four, four:
        assert convlet.get_num_threads() == 4

    assert convlet.get_num_threads() == before


@pytest.mark.parametrize("setting", [convlet.num_threads(7), convlet.options(winograd=False)])
def test_one_object_serves_several_threads(setting):
    """Blocks of one object in two threads end where each began, whichever of them ends first."""

    def state():
        return convlet.get_num_threads(), convlet.get_options()

    outside, seen = state(), []
    entered, go_on = threading.Event(), threading.Event()

    def work():
        with setting:
            entered.set()
            go_on.wait()
            seen.append(state())
        seen.append(state())

    thread = threading.Thread(target=work)
    with setting:
        inside = state()
        thread.start()
        entered.wait()
    after = state()
    go_on.set()
    thread.join()

    assert inside != outside
    assert (after, seen) == (outside, [inside, outside])


def test_blocks_that_do_not_nest_leave_nothing_behind():
    """Blocks of generators may end in any order: what holds is the last one that has not ended."""

    def block(n):
        with convlet.num_threads(n):
            yield

    before = convlet.get_num_threads()
    first, second = block(before + 1), block(before + 2)
    next(first)
    next(second)
    first.close()
    assert convlet.get_num_threads() == before + 2
    second.close()

    assert convlet.get_num_threads() == before


def test_a_block_ends_in_its_own_thread():
    """A block that another thread ends is an error there, and goes on here."""
    errors = []

    def end():
        try:
            setting.__exit__(None, None, None)
        except RuntimeError as error:
            errors.append(str(error))

    with convlet.num_threads(7) as n, contextlib.ExitStack() as stack:
        setting = convlet.num_threads(9)
        stack.enter_context(setting)
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
        assert convlet.get_num_threads() == 9

    assert n == 7
    assert errors == ["num_threads: left in a thread or task that has not entered it"]


@pytest.mark.parametrize("bad", [True, 2.0, "2", None])
def test_num_threads_takes_integers_only(bad):
    """Bools, floats, text and None are no numbers of threads."""
    with pytest.raises(TypeError, match="num_threads"):
        convlet.num_threads(bad)


@pytest.mark.parametrize("bad", [0, -1, 1025, 2**40])
def test_num_threads_takes_a_range(bad):
    """A number of threads is from 1 to 1024."""
    with pytest.raises(ValueError, match="1 to 1024"):
        convlet.num_threads(bad)


def test_other_threads_keep_their_number():
    """A block holds for its own thread alone."""
    seen = []
    before = convlet.get_num_threads()
    with convlet.num_threads(before + 6):
        thread = threading.Thread(target=lambda: seen.append(convlet.get_num_threads()))
        thread.start()
        thread.join()

    assert seen == [before]


def test_other_tasks_keep_their_number():
    """A block holds for its own asyncio task alone."""

    async def task(n):
        with convlet.num_threads(n):
            await asyncio.sleep(0)
            return convlet.get_num_threads()

    async def both():
        return await asyncio.gather(task(2), task(7))

    assert asyncio.run(both()) == [2, 7]


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", math.inf),
        ("150000 100000", 2),
        ("200000 100000", 2),
        ("10000 100000", 1),
        ("", math.inf),
        ("max", math.inf),
    ],
)
def test_quota_of_a_cgroup(tmp_path, quota, expected):
    """The tightest quota above the process counts, rounded up."""
    (tmp_path / "cgroup").write_text("0::/app/worker\n")
    (tmp_path / "app" / "worker").mkdir(parents=True)
    (tmp_path / "app" / "worker" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "app" / "cpu.max").write_text(quota)

    assert threads._quota(tmp_path / "cgroup", tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", math.inf), ("250000", 3)])
def test_quota_of_a_cgroup_version_1(tmp_path, quota, expected):
    """The quota of version 1 is read where its controller is mounted."""
    (tmp_path / "cgroup").write_text("4:cpu,cpuacct:/app\n3:memory:/app\n")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert threads._quota(tmp_path / "cgroup", tmp_path) == expected


def test_no_cgroup_is_no_quota(tmp_path):
    """A system without cgroups sets no limit."""
    assert threads._quota(tmp_path / "cgroup", tmp_path) == math.inf


def test_show_config_tells_the_threads(capsys):
    """show_config prints, or returns as a dict, what is in use."""
    with convlet.num_threads(3):
        assert convlet.show_config() is None
        told = convlet.show_config("dicts")

    assert "threads         3\n" in capsys.readouterr().out
    assert told["threads"] == 3
    assert told["isa"] in told["isa_available"]
    assert told["thread_backend"] in ("openmp", "native", "none")
    assert set(told["cache"]) == {"hits", "misses", "idle_bytes", "limit"}
    with pytest.raises(ValueError, match="'dicts'"):
        convlet.show_config("json")


def test_isa_that_this_cpu_lacks():
    """Forcing an unknown level is an error of the import that names the known ones."""
    done = default_in_process(CONVLET_ISA="avx1024")

    assert done.returncode != 0
    assert "ImportError: CONVLET_ISA='avx1024'" in done.stderr
    assert "baseline" in done.stderr


def test_every_isa_of_this_cpu_can_be_chosen():
    """Each level that the CPU has can be forced."""
    for isa in convlet.show_config("dicts")["isa_available"]:
        assert default_in_process(CONVLET_ISA=isa).returncode == 0


LARGE = np.ones((8, 64, 64, 16), np.float32)
FILTERS, CHANNELS = np.ones((3, 3, 16, 16), np.float32), np.ones(16, np.float32)
FOLDED = convlet.Sequential(convlet.Conv2d(16, 16, 3)).fold()
CALLS = {
    "add": lambda: ops.add(LARGE, LARGE),
    "relu": lambda: ops.relu(LARGE),
    "elu": lambda: ops.elu(LARGE),
    "softmax": lambda: ops.softmax(LARGE),
    "conv2d": lambda: ops.conv2d(LARGE, FILTERS),
    "conv2d_backward": lambda: ops.conv2d_backward(LARGE, LARGE, FILTERS, padding=1),
    "linear": lambda: ops.linear(LARGE, FILTERS[0, 0]),
    "batch_norm": lambda: ops.batch_norm(LARGE, CHANNELS, CHANNELS),
    "layer_norm": lambda: ops.layer_norm(LARGE, CHANNELS, CHANNELS),
    "max_pool2d": lambda: ops.max_pool2d(LARGE, 2),
    "upsample2d": lambda: ops.upsample2d(LARGE, 2),
    "mse": lambda: losses.mse(LARGE, LARGE),
    "cross-entropy": lambda: ops.softmax_cross_entropy(LARGE, np.zeros((8, 64, 64), int)),
    "step": convlet.Adam([convlet.Parameter(LARGE)]).step,
    "folded": lambda: FOLDED(LARGE),
}


@pytest.mark.parametrize("name", CALLS)
def test_other_threads_run_during_a_call(name):
    """A call of some size lets other threads of Python run, which here nothing else does."""
    begin, seen = threading.Event(), []

    def work():
        begin.wait()
        seen.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1000)
        begin.set()
        for _ in range(200):
            if seen:
                break
            CALLS[name]()
        ran = bool(seen)
    finally:
        sys.setswitchinterval(interval)
        thread.join()

    assert ran
