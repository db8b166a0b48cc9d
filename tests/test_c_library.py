"""The C library of the installed package: its header, what it needs, and programs built with it."""

import ctypes
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest

import convlet
from convlet import _cli, _core, data
from convlet import config as configuration

EXAMPLES = Path(__file__).parents[1] / "examples"
INCLUDE, LIBRARY = Path(convlet.get_include()), Path(convlet.get_library_dir())
HEADERS = sorted(INCLUDE.glob("*.h"))
DECLARATION = re.compile(r"^CVL_API [^;]*?\b(cvl_\w+)\(", re.MULTILINE)
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
# The system's C and C++ compilers are required; another family is tested where it is installed.
COMPILERS = {"cc": "c++"} | ({"clang": "clang++"} if shutil.which("clang++") else {})
SHARED = ("-shared", "-fPIC") + (("-undefined", "dynamic_lookup") * (sys.platform == "darwin"))


def run(*command, **options):
    """Run a command and return what it prints; what it says on failure is the error."""
    command = [os.fspath(word) for word in command]
    assert shutil.which(command[0]), f"these tests need {command[0]} on PATH: a compiler is missing"
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def config(capsys, *options):
    """Return the words that `convlet config` prints with the options."""
    assert _cli.main(["config", *options]) == 0
    return shlex.split(capsys.readouterr().out)


def functions():
    """Return the names that the headers declare."""
    return [name for header in HEADERS for name in DECLARATION.findall(header.read_text())]


def symbols(kind):
    """Return the names of the archive that nm calls defined or undefined."""
    lines = run("nm", f"--{kind}-only", LIBRARY / "libconvlet.a").splitlines()
    names = {line.split()[-1] for line in lines if len(line.split()) >= 2}
    return {name.removeprefix("_") for name in names} if sys.platform == "darwin" else names


@pytest.mark.parametrize("compiler", COMPILERS)
def test_digits_in_c(compiler, tmp_path, capsys):
    """The example in C builds with what the command prints alone, and learns the digits."""
    program = tmp_path / "train_digits"
    flags = config(capsys, "--cflags", "--libs")
    run(compiler, *WARNINGS, EXAMPLES / "c" / "train_digits.c", *flags, "-o", program)
    lines = run(program, data.__path__[0]).splitlines()

    assert float(lines[-1].removeprefix("test accuracy ")) >= 0.97


BUILDS = {
    "flags": "cc {source} $({convlet} --cflags --libs) -o {program}",
    "flags in eval": 'eval "cc {source} $({convlet} --cflags --libs) -o {program}"',
    "pkg-config": """
export PKG_CONFIG_PATH="$({convlet} --pkgconfigdir)"
eval "cc {source} $(pkg-config --cflags --libs convlet) -o {program}"
""",
}


@pytest.mark.parametrize(
    ("folder", "build"),
    [
        ("sité", "flags"),
        ("it's a sité", "flags in eval"),
        pytest.param(
            "a sité",
            "pkg-config",
            marks=pytest.mark.skipif(not shutil.which("pkgconf"), reason="pkgconf is not here"),
        ),
    ],
)
def test_any_path(folder, build, tmp_path):
    """Wherever the package lies, a program is built by what the page of C says."""
    site, program = tmp_path / folder, tmp_path / "train_digits"
    shutil.copytree(Path(convlet.__file__).parent, site / "convlet")
    script = BUILDS[build].format(
        source=shlex.quote(os.fspath(EXAMPLES / "c" / "train_digits.c")),
        convlet=f"{shlex.quote(sys.executable)} -m convlet config",
        program=shlex.quote(os.fspath(program)),
    )
    run("sh", "-ec", script, env=os.environ | {"PYTHONPATH": os.fspath(site)})

    assert program.is_file()


def test_pkg_config_file_agrees(capsys):
    """convlet.pc, read as pkg-config reads it, says what the command says."""
    assert _cli.main(["config", "--pkgconfigdir"]) == 0
    folder = capsys.readouterr().out.rstrip("\n")
    text = (Path(folder) / "convlet.pc").read_text().replace("${pcfiledir}", folder)
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    fields = dict(re.findall(r"^(\w+): (.*)$", text, re.MULTILINE))

    def read(field):
        for _ in values:
            field = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], field)
        words = shlex.split(field)
        return [w[:2] + os.path.realpath(w[2:]) if w[:2] in ("-I", "-L") else w for w in words]

    assert read(fields["Cflags"]) == read(shlex.join(config(capsys, "--cflags")))
    assert read(fields["Libs"]) == read(shlex.join(config(capsys, "--libs")))
    assert fields["Version"] == convlet.__version__


def has_meson():
    """Whether there are a Meson that reads meson.build, which asks for 1.4, and a ninja for it."""
    if not (shutil.which("meson") and shutil.which("ninja")):
        return False
    asked = subprocess.run(["meson", "--version"], capture_output=True, text=True)
    numbers = re.match(r"(\d+)\.(\d+)", asked.stdout)
    return numbers is not None and tuple(map(int, numbers.groups())) >= (1, 4)


@pytest.mark.skipif(not has_meson(), reason="Meson 1.4 and ninja are not here")
def test_a_meson_project_takes_the_clone(tmp_path):
    """A project with the clone as a subproject, as the page of C says, gets no tests of it."""
    root = EXAMPLES.parent
    page = (root / "docs" / "c.md").read_text()
    (line,) = re.findall(r"^convlet = dependency.*$", page, re.MULTILINE)
    program = "executable('train', 'train_digits.c', dependencies: convlet)"
    (tmp_path / "meson.build").write_text(f"project('host', 'c')\n{line}\n{program}\n")
    shutil.copy(EXAMPLES / "c" / "train_digits.c", tmp_path)
    (tmp_path / "subprojects").mkdir()
    (tmp_path / "subprojects" / "convlet").symlink_to(root, target_is_directory=True)
    run("meson", "setup", tmp_path / "build", tmp_path)

    tests = run("meson", "introspect", "--tests", tmp_path / "build")
    assert [] == json.loads(tests)


@pytest.mark.parametrize("option", ["--cflags", "--libs", "--pkgconfigdir"])
def test_an_installation_without_the_library(option, monkeypatch, tmp_path, capsys):
    """Where the package has no C files, as an editable one, the error says so."""
    monkeypatch.setattr(configuration, "_PACKAGE", os.fspath(tmp_path))

    assert 1 == _cli.main(["config", option])
    printed = capsys.readouterr()
    assert "" == printed.out
    assert re.match(r"convlet: error: get_\w+: expected the folder .*pip install \.$", printed.err)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("standard", ["c11", "c++17"])
def test_header_compiles(compiler, standard, tmp_path):
    """The header and every descriptor's INIT compile without a warning, in C and in C++."""
    macros = re.findall(
        r"#define CVL_(\w+)_INIT", "".join(header.read_text() for header in HEADERS)
    )
    source = tmp_path / ("use.c" if standard == "c11" else "use.cpp")
    uses = [f"cvl_{m.lower()} d{i} = CVL_{m}_INIT; (void)d{i};" for i, m in enumerate(macros)]
    source.write_text("#include <convlet.h>\nint main() {" + "\n".join(uses) + "return 0;}\n")
    compiler = compiler if standard == "c11" else COMPILERS[compiler]
    run(compiler, f"-std={standard}", *WARNINGS, f"-I{INCLUDE}", "-fsyntax-only", source)

    assert len(macros) > 15


def test_header_documents_every_function():
    """A function is named in a comment, or it or its operator is the first after a comment."""
    undocumented = []
    for header in HEADERS:
        parts = re.split(r"(/\*.*?\*/)", header.read_text(), flags=re.DOTALL)
        comments = " ".join(parts[1::2])
        for code in parts[2::2]:
            names = [
                re.sub("(_workspace_size)?_f(32|64)$", "", n) for n in DECLARATION.findall(code)
            ]
            operators = [name.removesuffix("_backward").removesuffix("_forward") for name in names]
            undocumented += [
                name
                for name, operator in zip(names, operators, strict=True)
                if name not in comments and operator != operators[0]
            ]

    assert [] == undocumented


def test_library_has_what_the_header_says():
    """Every function is in the archive, and in both types or in none."""
    names = set(functions())

    assert len(names) > 100
    assert names <= symbols("defined")
    assert {n for n in names if n.endswith("_f32")} == {
        f"{n[:-4]}_f32" for n in names if n.endswith("_f64")
    }


def test_cython_has_what_the_header_says():
    """The pxd has each pair of functions and each type, with the fields of the header in order."""
    text = re.sub(r"/\*.*?\*/", "", "".join(h.read_text() for h in HEADERS), flags=re.DOTALL)
    pxd = (Path(convlet.__file__).parent / "_core.pxd").read_text()
    renamed = {
        "cvl_dropout": "cvl_dropout_apply",
        "cvl_nll": "cvl_nll_labels",
        "cvl_softmax_cross_entropy": "cvl_softmax_cross_entropy_labels",
    }
    pairs = {n.removesuffix("_f32") for n in functions() if n.endswith("_f32")}
    offered = set(re.findall(r"^cdef [\w ]+?(cvl_\w+)\(", pxd, re.MULTILINE))

    assert {renamed.get(name, name) for name in pairs} - offered == set()

    def fields(block, end):
        declarations = [re.sub(r"\bconst\b|\*", "", line) for line in block.split(end)]
        names = [re.sub(r"^\s*\w+\s", "", line) for line in declarations if line.strip()]
        return [name.strip() for line in names for name in line.split(",")]

    structs = dict(re.findall(r"typedef struct (\w+) \{(.*?)\}", text, re.DOTALL))
    found = dict(re.findall(r"ctypedef struct (\w+):\n((?: {8}.*\n)+)", pxd))

    assert {name: fields(block, ";") for name, block in structs.items()} == {
        name: fields(block, "\n") for name, block in found.items()
    }


def test_library_is_quiet():
    """The library refers to nothing that prints, ends the process or takes memory."""
    loud = re.compile(
        r"_*(\w*printf\w*|f?put[cs]\w*|putchar|puts|fwrite|write|perror|std(out|err)|abort|_?exit"
        r"|quick_exit|assert\w*|raise|kill|terminate|[cm]alloc|realloc|free|aligned_alloc"
        r"|posix_memalign|longjmp|\w+_chk_warn)"
    )

    assert set() == {name for name in symbols("undefined") if loud.fullmatch(name)}


def test_library_keeps_its_names_to_itself():
    """All that the archive defines begins with cvl_, so that it can clash with nobody's names."""
    lines = run("nm", "--extern-only", "--defined-only", LIBRARY / "libconvlet.a").splitlines()
    names = {line.split()[2] for line in lines if len(line.split()) == 3}

    assert {name for name in names if not name.lstrip("_").startswith("cvl_")} == set()


TWO_COPIES = """
#include <convlet.h>
__attribute__((visibility("default"))) int linear(float *y, const float *x, const float *w, int n)
{
    static _Alignas(64) char workspace[1 << 20];
    cvl_linear d = CVL_LINEAR_INIT;
    cvl_exec run = CVL_EXEC_INIT;
    d.M = d.IN = d.OUT = n;
    run.threads = 3, run.workspace = workspace, run.workspace_bytes = sizeof workspace;
    return (int)cvl_linear_forward_f32(&d, y, x, w, NULL, &run);
}
"""


def test_two_copies_in_one_process(tmp_path, capsys):
    """A shared library with the static one inside works beside the package, to the same bits."""
    source, library = tmp_path / "copy.c", tmp_path / "copy.so"
    source.write_text(TWO_COPIES)
    run("cc", "-O2", *SHARED, source, *config(capsys, "--cflags", "--libs"), "-o", library)
    n = 256
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    copy = ctypes.CDLL(os.fspath(library))
    y = np.full((n, n), np.nan, np.float32)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (y, x, w)]
    with convlet.num_threads(2):
        before = convlet.ops.linear(x, w)
        assert copy.linear(*pointers, n) == 0
        after = convlet.ops.linear(x, w)

    assert np.array_equal(before, y)
    assert np.array_equal(before, after)
    for binary in (library, _core.__file__):
        exported = "-g" if sys.platform == "darwin" else "-D"
        assert "cvl_" not in run("nm", exported, "--defined-only", binary)


@pytest.fixture(scope="module")
def laplacian(tmp_path_factory):
    """Build the example in Cython against the installed package and import it."""
    folder = tmp_path_factory.mktemp("cython")
    source, module = folder / "laplacian.c", folder / "laplacian.so"
    run(sys.executable, "-m", "cython", EXAMPLES / "cython" / "laplacian.pyx", "-o", source)
    include = sysconfig.get_path("include")
    run("cc", "-O2", *SHARED, f"-I{include}", f"-I{INCLUDE}", source, "-o", module)
    spec = importlib.util.spec_from_file_location("laplacian", module)
    built = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(built)
    return built


def test_cython_module_calls_the_package(laplacian):
    """A kernel that a Cython module cimports gives the bits of the function in Python."""
    images = np.random.default_rng(1).standard_normal((5, 40, 30), np.float32)
    out = np.full_like(images, np.nan)
    laplacian.laplacian(out, images, threads=2)
    w = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32).reshape(3, 3, 1, 1)

    assert np.array_equal(out, convlet.ops.conv2d(images[..., None], w, padding=1)[..., 0])
    with pytest.raises(ValueError, match="one shape"):
        laplacian.laplacian(out[:2], images)


def test_cython_module_from_many_threads(laplacian):
    """The cimported kernel runs in several Python threads at once, each with its own result."""
    images = np.random.default_rng(2).standard_normal((4, 3, 64, 64), np.float32)
    expected = np.empty_like(images)
    for one, result in zip(images, expected, strict=True):
        laplacian.laplacian(result, one)
    found = np.full_like(images, np.nan)

    def repeat(one, result):
        for _ in range(20):
            laplacian.laplacian(result, one, threads=2)

    threads = [
        threading.Thread(target=repeat, args=pair) for pair in zip(images, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert np.array_equal(expected, found)
