"""The agent is loaded as `sitecustomize`: one that the user or the distribution has works as it does without us."""

from __future__ import annotations

import os
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_atexit import ExitResult

Same = Callable[..., ExitResult]
Script = Callable[..., Path]

PROGRAM = """
import atexit, os, sys

print([name for name in sys.modules if "customize" in name], getattr(sys.modules.get("sitecustomize"), "__file__", ""))
print([os.path.basename(entry) for entry in sys.path if "pytest-atexit" not in entry], sys.excepthook.__name__)
atexit.register(print, "of the program")
sys.stdout.flush()
1 / 0
"""
# Debian and Ubuntu ship this one, and the hook that it installs is of Ubuntu's apport.
APPORT = """
try:
    import apport_python_hook
except ImportError:
    pass
else:
    apport_python_hook.install()
"""
HOOK = """
import sys

def apport_excepthook(kind, error, traceback):
    print("a report of", kind.__name__, "for", sys.argv[0], file=sys.stderr)
    sys.__excepthook__(kind, error, traceback)

def install():
    sys.excepthook = apport_excepthook
"""
CUSTOMIZE = {
    "raises": "raise RuntimeError('oops')",
    "has a syntax error": "1 +",
    "deletes itself": "import sys; del sys.modules[__name__]",
    "replaces itself": "import sys, types; sys.modules[__name__] = types.ModuleType('other')",
    "removes its folder": "import os, sys; sys.path.remove(os.path.dirname(__file__))",
    "looks at itself": "import sys; print(__name__, __file__, __spec__.origin, sys._getframe().f_back is not None)",
    "imports atexit": "import atexit; print(atexit._ncallbacks())",
    "registers": "import atexit; atexit.register(print, 'of sitecustomize')",
    "registers what fails": "import atexit; atexit.register(lambda: 1 / 0)",
    "registers twice by another name": "from atexit import register as r; r(print, 1); r(print, 1)",
    "clears": "import atexit; atexit.register(print, 1); atexit._clear()",
    "installs a hook": "import sys; sys.unraisablehook = print; sys.excepthook = lambda *_: print('hooked')",
    "forks": "import os; os.fork() or os._exit(0); os.wait()",
    "starts a thread": "import threading; threading.Thread(target=print, args=['in a thread']).start()",
    "goes on to the next": "import sys; sys.path.pop(0); del sys.modules[__name__]; import sitecustomize",
    "becomes another": "import os, sys\n'-O' in sys.orig_argv or os.execv(sys.executable, ['python', '-O', *sys.argv])",
    "exits at once": "import os; os.write(1, b'bye'); os._exit(4)",
}


@pytest.fixture
def environment_of(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a virtual environment with these files in it, and returns its interpreter."""

    def make(**files: str) -> Path:
        folder = tmp_path / "environment"
        venv.create(folder, symlinks=True)
        (packages,) = folder.glob("lib/*/site-packages")
        for name, text in files.items():
            (packages / name.replace("_DOT_", ".")).write_text(text)
        return folder / "bin" / "python"

    return make


@pytest.mark.parametrize("text", CUSTOMIZE.values(), ids=CUSTOMIZE)
def test_own_sitecustomize_works_as_plainly(text: str, same: Same, script: Script) -> None:
    """Whatever it does to itself, to `atexit` or to the process."""
    program = script(PROGRAM)
    folders = script(text, "folder/sitecustomize.py").parent, script("print('next')", "next/sitecustomize.py").parent
    result = same(program, env={"PYTHONPATH": os.pathsep.join(map(str, folders))})
    assert ("next" in result.stdout.splitlines()) == ("import sitecustomize" in text)
    if "_exit(4)" not in text:
        ran = [handler.args for record in (result, *result.children) for handler in record.timeline]
        assert ("of the program",) in ran
        assert ran.count(("of sitecustomize",)) == text.count("of sitecustomize")


def test_sitecustomize_of_a_distribution(same: Same, script: Script, environment_of: Callable[..., Path]) -> None:
    """One in the interpreter's own folders, which installs an excepthook as apport does."""
    python = environment_of(sitecustomize_DOT_py=APPORT, apport_python_hook_DOT_py=HOOK)
    result = same([python, script(PROGRAM)])
    assert "apport_excepthook" in result.stdout
    assert "a report of ZeroDivisionError" in result.stderr
    assert result.ran == ["print"]


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="needs the Python of a distribution")
def test_python_of_this_distribution(same: Same, script: Script) -> None:
    """With whatever `sitecustomize` it has."""
    result = same(["/usr/bin/python3", script(PROGRAM)])
    assert result.ran == ["print"]


@pytest.mark.parametrize("text", ["import atexit; atexit.register(print, 'of the user')", "1 / 0", "import nothing"])
@pytest.mark.parametrize("both", [False, True], ids=["alone", "with sitecustomize"])
def test_usercustomize_works_as_plainly(text: str, both: bool, same: Same, script: Script) -> None:
    """It comes behind `sitecustomize`, in an interpreter that has a folder of the user's (a venv has none)."""
    program = script(PROGRAM)
    script(text, "folder/usercustomize.py")
    if both:
        script("import atexit; atexit.register(print, 'of the site')", "folder/sitecustomize.py")
    env = {"PYTHONPATH": str(program.parent / "folder"), "PYTHONUSERBASE": str(program.parent)}
    result = same([os.path.realpath(sys.executable), program], env=env)
    ran = [handler.args[0] for handler in result.timeline if handler.args]
    assert ran == ["of the program", *["of the user"] * ("atexit" in text), *["of the site"] * both]


def test_handlers_of_a_pth_file_are_counted(same: Same, script: Script, environment_of: Callable[..., Path]) -> None:
    """What a `.pth` file of the environment registers before the agent runs, and is counted in `unrecorded`."""
    python = environment_of(early_DOT_pth="import atexit; atexit.register(print, 'of the pth')\n")
    result = same([python, script("import atexit; print(atexit._ncallbacks()); atexit.register(print, 'late')")])
    count, *lines = result.stdout.splitlines()
    assert int(count) > 0  # some versions read the file twice
    assert (lines, result.unrecorded) == (["late", *["of the pth"] * int(count)], int(count))
    assert result.ran == ["print"]
    assert "registered while Python started, before the recorder was loaded: by a .pth file, say)" in str(result)


def test_each_process_has_a_count_of_its_own(
    recorded: Same, script: Script, environment_of: Callable[..., Path]
) -> None:
    """A child reads the same `.pth` file."""
    python = environment_of(early_DOT_pth="import atexit; atexit.register(len, ())\n")
    text = "import atexit, subprocess, sys; print(atexit._ncallbacks(), flush=True); {}"
    child = text.format("")
    result = recorded(script(text.format(f"subprocess.run([sys.executable, '-c', {child!r}])")), python=python)
    counts = [int(line) for line in result.stdout.split()]
    assert counts == [record.unrecorded for record in (result, *result.children)]
    assert len(counts) == 2
