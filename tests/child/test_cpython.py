"""CPython's own tests go under the agent, one by one, as they go plainly. A long proof."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_atexit import CapExit

if TYPE_CHECKING:
    from outcomes import Outcome

pytestmark = pytest.mark.slow

RUNNER = Path(__file__).parent / "cpython_tests.py"
REPETITIONS = 3  # of what went differently, for some of these tests are a matter of luck: see `differences`
SECONDS = 500  # the longest that a module may take, on two slow cores; the longest takes a third of it

# Modules, and the fewest tests of each that must have passed: somewhat less than in any version.
MODULES = {
    "_test_atexit": 10,
    "test_atexit": 5,
    "test_weakref": 100,
    "test_threading": 100,
    "test_logging": 150,
    "test_subprocess": 200,
    "test_runpy": 30,
    "test_sys": 50,
    "test_audit": 10,
    "test_concurrent_futures": 100,
}

Outcomes = dict[str, list[str]]


@pytest.fixture
def both(
    capexit: CapExit, plainly: Callable[..., Outcome], environment: dict[str, str | None], tmp_path: Path
) -> Callable[..., tuple[Outcomes, Outcomes]]:
    """Runs tests of CPython plainly and recorded, at the same time, and returns what became of each."""
    empty = tmp_path / "site"
    empty.mkdir()
    (empty / "sitecustomize.py").touch()

    def run(*tests: str) -> tuple[Outcomes, Outcomes]:
        number = len(list(tmp_path.iterdir()))
        folders = [tmp_path / f"{way}-{number}" for way in ("plain", "recorded")]
        for folder in folders:
            folder.mkdir()
        files = [folder / "outcomes" for folder in folders]
        commands = [[sys.executable, str(RUNNER), str(file), *tests] for file in files]
        program = capexit.start(commands[1], env=environment, cwd=folders[1])
        plain = plainly(commands[0], env={"PYTHONPATH": str(empty)}, cwd=folders[0], timeout=SECONDS)
        result = program.wait(SECONDS, allow_failures=True)
        assert (plain.status, result.returncode) == (0, 0), (plain.stderr, result.stderr)
        return read(files[0]), read(files[1])

    return run


def read(file: Path) -> Outcomes:
    """Returns what became of each test; one with subtests may have several outcomes."""
    outcomes = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        test, outcome = json.loads(line)
        outcomes[test].append(outcome)
    return dict(outcomes)


def differences(one: Outcomes, other: Outcomes) -> dict[str, tuple[list[str], list[str]]]:
    """Returns the tests whose outcomes are not the same, with both."""
    return {
        test: (one.get(test, []), other.get(test, [])) for test in {**one, **other} if one.get(test) != other.get(test)
    }


@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("module", MODULES)
def test_each_test_of_cpython_goes_as_it_does_plainly(
    module: str, both: Callable[..., tuple[Outcomes, Outcomes]]
) -> None:
    """A test passes, fails and is skipped under the agent as it does plainly."""
    if importlib.util.find_spec("test") is None or importlib.util.find_spec(f"test.{module}") is None:
        pytest.skip("this interpreter comes without these tests")
    plain, recorded = both(f"test.{module}")
    assert sum(outcomes == ["passed"] for outcomes in plain.values()) >= MODULES[module]
    found = differences(plain, recorded)
    # Luck is no difference: what goes the same way each time that it is repeated goes the same way.
    for _ in range(REPETITIONS if found else 0):
        tests = [test.partition(" (")[0] for test in found]  # a subtest's id has its parameters behind that of its test
        assert not differences(*both(f"test.{module}", *tests)), found
