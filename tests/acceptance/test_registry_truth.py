"""Random programs of registrations do in atexit_registry what they do in a real interpreter."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")  # which the test extra leaves out on PyPy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_atexit import AtexitRegistry

FILE = Path(__file__).with_name("registry_programs.py")
KINDS = [
    "plain",
    "raises",
    "leaves",
    "registers",
    "unregisters",
    "clears",
    "clears and registers",
    "runs",
    "equal",
    "equality raises",
    "equality registers",
    "reflected",
]
HANDLERS = 4
numbers = st.integers(0, HANDLERS - 1)
steps = st.one_of(
    st.tuples(
        st.just("register"),
        numbers,
        st.lists(st.sampled_from([1, "x", None]), max_size=2),
        st.dictionaries(st.sampled_from(["a", "func", "self"]), st.just(2), max_size=1),
    ),
    st.tuples(st.just("register"), numbers),
    st.tuples(st.just("unregister"), numbers),
    st.tuples(st.sampled_from(["clear", "count", "run"])),
)
programs = st.tuples(
    st.lists(st.sampled_from(KINDS), min_size=HANDLERS, max_size=HANDLERS), st.lists(steps, max_size=12)
)


@pytest.fixture(scope="module")
def interpreter():
    """A function that runs a program in one real interpreter, which has no registry but its own."""
    with subprocess.Popen(
        [sys.executable, str(FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def happens(kinds, program):
            print(json.dumps([kinds, program]), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield happens
        process.stdin.close()


@pytest.fixture(scope="module")
def module():
    """The same programs in this process; it has bound the functions' names."""
    spec = importlib.util.spec_from_file_location("registry_programs", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def check(kinds, program, interpreter, module):
    expected = interpreter(kinds, program)
    registry = AtexitRegistry([])
    try:
        assert json.loads(json.dumps(module.happens(kinds, program))) == expected
        called = [line[1] for line in expected if line[0] == "call"]
        record = registry.run()
    finally:
        registry.close()
    assert len(record.ran) == len(called)
    assert len(record.registered) >= expected.count(["register", True])
    assert record.skipped == [] or any(kind.endswith("registers") for kind in kinds)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs)
def test_random_programs(interpreter, module, program):
    """Return values, calls with their arguments, comparisons, counts and reports are the same, in the same order."""
    check(*program, interpreter, module)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs)
def test_many_random_programs(interpreter, module, program):
    """The same, longer."""
    check(*program, interpreter, module)
