"""The fences between the packages: who may import what, and how errors may be caught."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tinygpt", "experiments", "analysis")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
STDLIB = sys.stdlib_module_names

ALLOWED = {
    "tinygpt": {"tinygpt", "torch"},
    "experiments": {
        "experiments",
        "tinygpt",
        "yaml",
        "optuna",
        "wandb",
        "wandb_workspaces",
        "rich",
    },
}
FORBIDDEN = {"analysis": {"experiments", "tinygpt", "torch", "optuna", "yaml", "wandb"}}
ONLY_IN = {
    "yaml": "experiments/loading.py",
    "wandb": "experiments/client.py",
    "wandb_workspaces": "experiments/dashboard.py",
}
PEER = "experiments/reference.py"
"""The loop that ours is measured against: torch alone, as whoever has not got tinygpt writes it."""
TRAINS = (
    "experiments/worker.py",
    "experiments/run.py",
    "experiments/contender.py",
    "experiments/saver.py",
    PEER,
)
"""The files that may load torch, and all but the peer only through tinygpt."""
LIGHT = ("rundir", "config", "corpus", "seeding", "train", "size", "flops")
"""The modules of tinygpt that load no torch when they are imported."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def modules_in(node: ast.AST) -> Iterator[str]:
    """The modules that one statement imports, by their whole names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        assert node.level == 0, "imports between modules are absolute"
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        yield str(node.args[0].value)


def imported(path: Path) -> set[str]:
    """What a file imports anywhere, inside functions too."""
    return {module for node in ast.walk(tree_of(path)) for module in modules_in(node)}


def imported_at_once(path: Path) -> set[str]:
    """What importing a file imports: all but what stands in functions and under TYPE_CHECKING."""
    modules: set[str] = set()
    pending: list[ast.AST] = [tree_of(path)]
    while pending:
        node = pending.pop()
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if lazy or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        modules |= set(modules_in(node))
        pending += ast.iter_child_nodes(node)
    return modules


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def loads_torch(path: Path, seen: frozenset[Path] = frozenset()) -> bool:
    """Whether importing a file imports torch, itself or through other files of ours."""
    modules = imported_at_once(path)
    if "torch" in tops(modules):
        return True
    ours = {ROOT / Path(*module.split(".")).with_suffix(".py") for module in modules}
    later = {other for other in ours if other.is_file()} - seen - {path}
    return any(loads_torch(other, seen | later | {path}) for other in sorted(later))


def of(package: str) -> list[Path]:
    return [path for path in SOURCES if name_of(path).startswith(f"{package}/")]


@pytest.mark.parametrize("path", of("tinygpt") + of("experiments"), ids=name_of)
def test_a_package_imports_only_what_it_may(path: Path) -> None:
    package = name_of(path).partition("/")[0]
    peer = {"torch"} if name_of(path) == PEER else set()
    assert tops(imported(path)) - STDLIB <= ALLOWED[package] | peer


@pytest.mark.parametrize("path", of("analysis"), ids=name_of)
def test_the_analysis_only_reads_files(path: Path) -> None:
    assert not tops(imported(path)) & FORBIDDEN["analysis"]


@pytest.mark.parametrize("module", ONLY_IN)
def test_one_file_alone_imports_a_library_that_could_be_replaced(module: str) -> None:
    importing = {name_of(path) for path in SOURCES if module in tops(imported(path))}
    assert importing <= {ONLY_IN[module]}


@pytest.mark.parametrize("path", of("experiments"), ids=name_of)
def test_only_what_trains_loads_torch_and_that_through_tinygpt(path: Path) -> None:
    if name_of(path) not in TRAINS:
        assert not loads_torch(path)
    assert "torch" not in tops(imported(path)) or name_of(path) == PEER


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_catching_everything_is_explained_where_it_is_done(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        where = f"{name_of(path)}:{node.lineno}"
        assert node.type is not None, f"{where}: a bare except"
        if "Exception" in ast.unparse(node.type).split("."):
            near = lines[node.lineno - 2 : node.lineno + 1]
            assert any("#" in line for line in near), f"{where}: say why everything is caught"


CHANGES = {
    "os": "rename replace fsync ftruncate mkdir makedirs remove unlink rmdir",
    "shutil": "rmtree move copy copyfile copytree",
    "": "unlink rmdir mkdir touch write_bytes write_text rename symlink_to",
}
"""The calls that change files, by module; those of a Path have none."""
NOT_OF_A_RECORD = {
    "tinygpt/durable.py": "the one place",
    "tinygpt/files.py": "cleans up after a write that failed",
    "tinygpt/cache.py": "ids that are made again, and are checked before they are used",
    "tinygpt/corpus.py": "the directory of a download",
    "experiments/mirror.py": "W&B's own files",
    "experiments/client.py": "W&B's own files",
    "experiments/sweep.py": "takes back a directory in which no sweep has begun",
    "experiments/bench.py": "figures of a benchmark",
    "experiments/halved.py": "sweeps of a benchmark",
}
"""The other files that change files, and why nothing is lost by that."""


def changes(tree: ast.AST) -> Iterator[str]:
    """The calls in a file that change files."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        module, _, name = called.rpartition(".")
        known = CHANGES.get(module, CHANGES[""] if module and module != "durable" else "")
        if name in known.split():
            yield called
        modes = [ast.unparse(a) for a in [*node.args[1:2], *(k.value for k in node.keywords)]]
        if called == "open" and any(mode.strip("'")[:1] in ("w", "a", "x") for mode in modes):
            yield called


@pytest.mark.parametrize("path", of("tinygpt") + of("experiments"), ids=name_of)
def test_a_record_is_changed_in_one_place_which_tests_can_stop(path: Path) -> None:
    if name_of(path) not in NOT_OF_A_RECORD:
        assert sorted(changes(tree_of(path))) == []


@pytest.mark.parametrize("module", [name for name in LIGHT if (ROOT / "tinygpt").is_dir()])
def test_looking_at_a_run_loads_no_torch(module: str) -> None:
    """In a process of its own, since this one has torch."""
    script = f"import sys, tinygpt.{module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fences_see_what_they_are_for(tmp_path: Path) -> None:
    """A file made up to break them, so that a fence that sees nothing is noticed."""
    path = tmp_path / "culprit.py"
    made = "os.fsync(3)\npath.unlink()\nopen(path, 'wb')\nos.path.join('a')\ndurable.rename(a, b)"
    assert sorted(changes(ast.parse(made))) == ["open", "os.fsync", "path.unlink"]
    path.write_text(
        "import os.path\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "class A:\n    import wandb.sdk\n"
        "def late():\n    from torch import nn\n    importlib.import_module('yaml')\n"
    )
    source = ast.parse(path.read_text())
    everything = {module for node in ast.walk(source) for module in modules_in(node)}
    assert tops(everything) == {"os", "typing", "pandas", "wandb", "torch", "yaml"}
    assert loads_torch(ROOT / "tinygpt" / "trainer.py")
    assert loads_torch(ROOT / "tinygpt" / "execute.py")
    assert not loads_torch(ROOT / "tinygpt" / "config.py")
