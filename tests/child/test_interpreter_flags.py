"""Flags and variables of the interpreter keep their meaning, the agent's bytecode is used, and the record is whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import loaded_from, others
from outcomes import Outcome, outcome_of

from pytest_atexit import ExitResult, NotRecorded

Same = Callable[..., ExitResult]
Recorded = Callable[..., ExitResult]
Plainly = Callable[..., Outcome]
Script = Callable[..., Path]

# Shows what flags change: modules, paths, warnings, comparisons of bytes, assertions, docstrings, errors in handlers.
SHOWS = """\
import atexit, os, sys, warnings
def documented():
    "text"
@atexit.register
def compares():
    print(b"1" == "1", str(b"1"))
@atexit.register
def warns():
    warnings.warn("shown", DeprecationWarning)
@atexit.register
def leaves_a_file_open():
    open(os.devnull)
@atexit.register
def asserts():
    assert not documented.__doc__, documented.__doc__
print(sys.flags, sys.warnoptions, sorted(sys._xoptions.items()), sys.pycache_prefix, sys.dont_write_bytecode)
# In dev mode 3.10 and 3.11 load that one for each extension module, and the agent needs one.
print(sorted({*sys.modules} - {"encodings.ascii"}), sys.path[1:], sys.stdout.encoding, sys.getfilesystemencoding(), sys.argv[1:], hash("x") == hash("x"))
"""
NAMES = ["asserts", "leaves_a_file_open", "warns", "compares"]

FLAGS = [
    "-bb", "-bb -W error", "-W error -X dev", "-W error -v -q", "-X utf8", "-X utf8=0", "-X importtime", "-u", "-q", "-OO -B",
    "-X pycache_prefix=prefix", "-X no_debug_ranges", "-X frozen_modules=off", "-v", "-E -s", "-I",
]  # fmt: skip
LOUD = {"-v", "importtime"}  # these list what is imported, the agent too
WITHOUT = {"-E", "-I"}  # PYTHONPATH is not read


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_change_what_they_change_plainly(
    flags: str, plainly: Plainly, recorded: Recorded, script: Script, tmp_path: Path
) -> None:
    """A program prints, warns and fails as it does with the same flags plainly, and what ran is on the record."""
    program, options = script(SHOWS), {"python_args": flags.split(), "cwd": tmp_path}
    plain = plainly(program, "one", **options)
    if WITHOUT & {*options["python_args"]}:
        with pytest.raises(NotRecorded):
            recorded(program, "one", **options)
        return
    result = recorded(program, "one", **options)
    if any(word in flags for word in LOUD):
        assert (result.stdout, result.returncode) == (plain.stdout, plain.status)
        assert "sitecustomize" in result.stderr
    else:
        assert outcome_of(result) == plain
    assert result.ran == NAMES


VARIABLES = [
    {"PYTHONOPTIMIZE": "2"}, {"PYTHONOPTIMIZE": "x"}, {"PYTHONDONTWRITEBYTECODE": "1"}, {"PYTHONPYCACHEPREFIX": "prefix"},
    {"PYTHONSAFEPATH": "1"}, {"PYTHONDEVMODE": "1"}, {"PYTHONWARNINGS": "error"}, {"PYTHONHASHSEED": "0"},
    {"PYTHONHASHSEED": "random"}, {"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    {"PYTHONMALLOC": "debug"}, {"PYTHONTRACEMALLOC": "5"}, {"PYTHONFAULTHANDLER": "1"}, {"PYTHONNOUSERSITE": "1"},
    {"PYTHONASYNCIODEBUG": "1"}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONHOME": sys.base_prefix}, {"PYTHONINSPECT": "1"},
    {"PYTHONSTARTUP": os.devnull}, {"PYTHONNODEBUGRANGES": "1"}, {"PYTHONPATH": ""}, {"PYTHONPATH": os.pathsep * 2},
    {"PYTHONPATH": "relative"}, {"PYTHONINTMAXSTRDIGITS": "640"},
]  # fmt: skip


@pytest.mark.parametrize("variables", VARIABLES, ids=lambda v: " ".join(f"{name}={value}" for name, value in v.items()))
def test_variables_change_what_they_change_plainly(
    variables: dict[str, str], same: Same, script: Script, tmp_path: Path
) -> None:
    """A program prints, warns and fails as it does with the same environment plainly, and what ran is on the record."""
    assert same(script(SHOWS), env=variables, cwd=tmp_path).ran == NAMES


BYTECODE = {
    "plain": ([], {}),
    "-O": (["-O"], {}),
    "-OO": (["-OO"], {}),
    "-B": (["-B"], {}),
    "-X pycache_prefix": (["-X", "pycache_prefix=prefix"], {}),
    "PYTHONOPTIMIZE": ([], {"PYTHONOPTIMIZE": "2"}),
    "PYTHONDONTWRITEBYTECODE": ([], {"PYTHONDONTWRITEBYTECODE": "1"}),
    "PYTHONPYCACHEPREFIX": ([], {"PYTHONPYCACHEPREFIX": "prefix"}),
    "all": (["-OO", "-B"], {"PYTHONOPTIMIZE": "1", "PYTHONPYCACHEPREFIX": "prefix"}),
}


@pytest.mark.parametrize("case", BYTECODE)
def test_agent_is_not_compiled_at_the_start(case: str, recorded: Recorded, script: Script) -> None:
    """Whatever the flags, the code of the agent comes from bytecode that lies ready."""
    args, env = BYTECODE[case]
    result = recorded(script("import atexit; atexit.register(print)"), python_args=["-vv", *args], env=env)
    assert result.ran == ["print"]
    assert loaded_from(result.stderr)[0].endswith(".pyc")


@pytest.mark.parametrize("case", ["plain", "all"])
def test_agent_is_not_compiled_in_other_interpreters(case: str, recorded: Recorded, script: Script) -> None:
    """For each interpreter that a test names with `python=`, bytecode lies ready, too."""
    if not others():
        pytest.skip("there is no other Python")
    program, (args, env) = script("import atexit; atexit.register(print)"), BYTECODE[case]
    for python in others().values():
        result = recorded(program, python=python, python_args=["-vv", *args], env=env)
        assert result.ran == ["print"]
        assert loaded_from(result.stderr)[0].endswith(".pyc")


def test_what_is_compiled_at_the_start_is_told_apart(recorded: Recorded, script: Script) -> None:
    """The proof above can fail: where no bytecode lies ready, the source is named."""
    script("", "folder/sitecustomize.py")
    env = {"PYTHONPATH": str(script("", "folder/other.py").parent), "PYTHONDONTWRITEBYTECODE": "1"}
    result = recorded(script(""), python_args=["-vv"], env=env)
    assert [Path(file).suffix for file in loaded_from(result.stderr)][:2] == [".pyc", ".py"]


@pytest.mark.parametrize("variables", [{}, {"PYTHONDONTWRITEBYTECODE": "1"}, {"PYTHONPYCACHEPREFIX": "prefix"}])
def test_descendants_of_another_version_are_recorded(
    variables: dict[str, str], recorded: Recorded, script: Script
) -> None:
    """A program starts another Python, for which nothing lies ready: it loads the agent from its source."""
    if not others():
        pytest.skip("there is no other Python")
    child = script("import atexit; atexit.register(print, 'child')", "child.py")
    commands = [[python, str(child)] for python in others().values()]
    program = script(f"import subprocess\nfor command in {commands}: subprocess.run(command, check=True)")
    result = recorded(program, env=variables)
    assert [record.ran for record in result.children] == [["print"]] * len(commands)
    assert result.stdout == "child\n" * len(commands)


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_nothing_of_ours_is_written_below_a_pycache_prefix(
    way: str, plainly: Plainly, recorded: Recorded, script: Script, tmp_path: Path
) -> None:
    """The folder that PYTHONPYCACHEPREFIX names gets what it gets plainly: the program's own bytecode."""
    script("x = 1", "imported.py")
    program = script("import imported, atexit; atexit.register(print)")
    found = []
    for run, prefix in ((plainly, tmp_path / "plain"), (recorded, tmp_path / "recorded")):
        set_it = (
            {"env": {"PYTHONPYCACHEPREFIX": str(prefix)}}
            if way == "variable"
            else {"python_args": ["-X", f"pycache_prefix={prefix}"]}
        )
        run(program, **set_it)
        found.append({file.relative_to(prefix) for file in prefix.rglob("*.pyc")})
    assert found[0] == found[1]
    assert any(file.name.startswith("imported.") for file in found[0])
