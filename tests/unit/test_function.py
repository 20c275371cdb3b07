"""A function becomes the text of a program: what the child that runs it really prints, and what can't travel."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import importlib.util
import inspect
import math
import os as operating_system
import os.path
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from time import perf_counter as clock
from types import ModuleType
from typing import Any

import pytest

from pytest_atexit._errors import LaunchError
from pytest_atexit._launch._function import program_text

HERE = __file__
LIMIT = 3
NAMES = ["first", "second"]
LOCK = threading.Lock()
LOCKS = [LOCK]
ANSWER: int = 42  # Its annotation gives this module an __annotations__.

Launch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Runs a function as a program of its own, in a folder where nothing else is, and returns how it ended."""

    def launch(
        function: Callable[..., object], *args: object, appended: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        file = tmp_path / "program.py"
        file.write_text(program_text(function, args) + appended, encoding="utf-8")
        command = [sys.executable, str(file)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    return launch


@pytest.fixture
def output(launch: Launch) -> Callable[..., str]:
    """Runs a function as a program of its own, which must succeed, and returns what it printed."""

    def output(function: Callable[..., object], *args: object, appended: str = "") -> str:
        result = launch(function, *args, appended=appended)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    return output


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Makes a module of a text, as pytest makes one of a test file."""

    def make(text: str) -> ModuleType:
        file = tmp_path / "test_made.py"
        file.write_text(dedent(text), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("test_made", file)
        assert spec
        assert spec.loader
        made = importlib.util.module_from_spec(spec)
        sys.modules["test_made"] = made
        spec.loader.exec_module(made)
        return made

    yield make
    sys.modules.pop("test_made", None)


def refusal(function: Any, *args: object) -> str:
    """Returns the message with which a function is refused."""
    with pytest.raises(LaunchError) as caught:
        program_text(function, args)
    return str(caught.value)


def line_of(text: str) -> int:
    """Returns the number of the first line of this file that contains a text."""
    lines = Path(HERE).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


# What travels with the functions below.


def plain() -> None:
    print("plain ran")


def greet(name: str, mark: str = "!" * LIMIT) -> None:
    print(f"hello {name}{mark}")


def even(number: int) -> bool:
    return number == 0 or odd(number - 1)


def odd(number: int) -> bool:
    return number != 0 and even(number - 1)


def traced(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*args: object) -> object:
        print("calling", function.__name__)
        return function(*args)

    return wrapper


def shouted(function: Callable[..., object]) -> Callable[..., object]:
    def without_wraps() -> object:
        print("SHOUTED")
        return function()

    return without_wraps


@traced
def twice(number: int) -> int:
    return number * 2


@contextlib.contextmanager
def managed(name: str) -> Iterator[str]:
    yield name
    print("left", name)


class Base:
    limit = LIMIT

    def describe(self) -> str:
        return f"{type(self).__name__} {self.limit}"


class Derived(Base):
    def describe(self) -> str:
        return "derived " + super().describe()


@dataclass
class Point:
    x: int
    y: int = LIMIT

    @property
    def length(self) -> float:
        return math.hypot(self.x, self.y)


class Annotated:
    point: Point


class Tool:
    @staticmethod
    def static() -> None:
        print("static ran")

    def method(self) -> None:
        print("method ran")

    def with_super(self) -> None:
        super().__init__()

    class Inner:
        name = "inner"


def uses_later_definition() -> None:
    print(LATER.__name__)


def keyword_only(*, name: str) -> None:
    print(name)


def registers() -> None:
    atexit.register(plain)


counter = 1


def counts() -> None:
    global counter
    counter += 1
    print(counter)


# The program and its arguments.


def test_module_level_function_runs(output: Callable[..., str]) -> None:
    """A function of the test file runs as a program."""
    assert output(plain) == "plain ran\n"


def test_nested_function_runs(output: Callable[..., str]) -> None:
    """A function of the test runs as a program, though it is indented."""

    def program() -> None:
        print("nested ran")

    assert output(program) == "nested ran\n"


def test_body_is_the_main_module(output: Callable[..., str]) -> None:
    """The function belongs to __main__, and what it prints of itself has no trace of the test around it."""

    def program() -> None:
        print(__name__, program.__module__, program.__qualname__)

    assert output(program) == "__main__ __main__ program\n"


def test_arguments_arrive(output: Callable[..., str]) -> None:
    """Arguments of every plain type arrive with value and type."""

    def program(*args: object) -> None:
        print(args)

    args: tuple[object, ...] = (
        None,
        True,
        -1,
        10**30,
        1.5,
        -0.0,
        1j,
        "ä\n\udc80",
        b"\x00",
        ...,
        (1,),
        (),
        [2],
        {"k": {3}},
        set(),
        frozenset(),
    )
    assert output(program, *args) == ascii(args).replace("\\xe4", "ä") + "\n"


def test_numbers_that_are_not_finite_arrive(output: Callable[..., str]) -> None:
    """Infinities, nan and complex numbers with them and with negative zeros arrive."""

    def program(*args: object) -> None:
        print(args)

    args: tuple[object, ...] = (math.inf, -math.inf, math.nan, complex(-0.0, math.inf))
    assert output(program, *args) == f"{args}\n"


def test_int_beyond_the_decimal_limit_arrives(output: Callable[..., str]) -> None:
    """An int with more digits than Python turns into decimal text arrives."""

    def program(number: int) -> None:
        print(number.bit_length())

    assert output(program, 1 << 50_000) == "50001\n"


def test_appended_line_runs_after_the_body(output: Callable[..., str]) -> None:
    """A line that is appended to the text is a statement at top level, behind the body."""
    assert output(plain, appended="print(__name__)\n") == "plain ran\n__main__\n"


def test_handlers_run_when_the_program_exits(output: Callable[..., str]) -> None:
    """A travelling function that is registered with atexit runs at the exit."""
    assert output(registers, appended="print('end')\n") == "end\nplain ran\n"


def test_multiprocessing_spawn_finds_the_definitions(output: Callable[..., str]) -> None:
    """A spawned worker gets the definitions from the program's file, and does not run the program again."""

    def program() -> None:
        import multiprocessing

        print("once", flush=True)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(even, [1, 2]))

    assert output(program) == "once\n[False, True]\n"


# Tracebacks.


def test_traceback_shows_the_test_file(launch: Launch) -> None:
    """A traceback of the child has path, number and text of the line in the test file that failed."""

    def program() -> None:
        plain()
        raise ValueError("unlucky")  # This very line.

    result = launch(program)
    number = line_of('raise ValueError("unlucky")  # This very line.')
    assert result.returncode == 1
    assert (
        f'File "{HERE}", line {number}, in program\n    raise ValueError("unlucky")  # This very line.' in result.stderr
    )


def test_traceback_has_one_line_of_the_program_file(launch: Launch) -> None:
    """Below the frames of the test file there is a single one: the call in the program's file."""

    def program() -> None:
        raise ValueError

    assert launch(program).stderr.count("File ") == 2


def test_traceback_goes_through_travelling_functions(launch: Launch) -> None:
    """Functions that travel with the program show their own lines."""

    def fails() -> None:
        1 / 0  # noqa: B018  # The line that fails.

    def program() -> None:
        fails()

    assert f"line {line_of('# The line that fails.')}, in fails\n    1 / 0" in launch(program).stderr


def test_strings_over_many_lines_keep_their_indentation(output: Callable[..., str]) -> None:
    """The text of a nested function is not dedented, and neither are the strings in it."""

    def program() -> None:
        print("""a
            b
  c""")

    assert output(program) == "a\n            b\n  c\n"


# Plain data.


def test_globals_travel_with_their_value_at_launch(output: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A global variable has the value that it has when the program is launched."""

    def program() -> None:
        print(LIMIT, NAMES)

    monkeypatch.setattr(sys.modules[__name__], "LIMIT", 7)
    assert output(program) == "7 ['first', 'second']\n"


def test_closure_variables_travel_with_their_value_at_launch(output: Callable[..., str]) -> None:
    """A variable of the test has the value that it has when the program is launched, not when it was defined."""
    value: object = "early"

    def program() -> None:
        print(value)

    value = {"late": [math.inf]}
    assert output(program) == "{'late': [inf]}\n"


def test_variable_two_functions_out_travels(output: Callable[..., str]) -> None:
    """A program takes variables from every function around it."""
    outermost = "outermost"

    def make() -> Callable[[], None]:
        inner = "inner"

        def program() -> None:
            print(outermost, inner)

        return program

    assert output(make()) == "outermost inner\n"


def test_names_in_lambdas_and_comprehensions_travel(output: Callable[..., str]) -> None:
    """What only a function inside the program uses travels too."""
    sign = -1

    def program() -> None:
        print([sorted([1, 2], key=lambda item: item * sign) for _ in range(LIMIT)])

    assert output(program) == "[[2, 1], [2, 1], [2, 1]]\n"


def test_global_statement_works(output: Callable[..., str]) -> None:
    """A function changes a global variable."""
    assert output(counts, appended="print(counter)\n") == "2\n2\n"


def test_global_statement_passes_the_test_by(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """A variable that the program declares global is the file's, and not the test's of that name."""
    made = module("""
        word = "global"

        def run(output):
            word = "local"
            def program():
                def inner():
                    global word
                    print(word)
                inner()
            return output(program), word
    """)
    assert made.run(output) == ("global\n", "local")


def test_global_that_the_program_deletes(output: Callable[..., str]) -> None:
    """A global variable that is only deleted travels, as there must be something to delete."""

    def program() -> None:
        global counter
        del counter
        print("counter" in globals())

    assert output(program) == "False\n"


def test_names_in_asserts_travel(output: Callable[..., str]) -> None:
    """What only an assert uses travels, whether or not this process leaves asserts out."""
    expected = 5

    def program() -> None:
        number = 5
        assert number == expected
        print("as expected")

    assert output(program) == "as expected\n"


def test_global_that_the_program_creates(output: Callable[..., str]) -> None:
    """A global variable that doesn't exist yet is created by the program."""

    def program() -> None:
        global created
        created = "created"  # type: ignore[name-defined]
        print(created)  # type: ignore[name-defined]

    assert output(program) == "created\n"


def test_unknown_name_is_a_name_error(launch: Launch) -> None:
    """A name that exists nowhere fails where the program uses it, as in a plain run."""

    def program() -> None:
        print("before", flush=True)
        nowhere()  # type: ignore[name-defined]  # noqa: F821

    result = launch(program)
    assert result.stdout == "before\n"
    assert "NameError: name 'nowhere' is not defined" in result.stderr


def test_variable_without_a_value_is_a_name_error(launch: Launch) -> None:
    """A variable of the test that has no value at launch fails where the program uses it."""

    def program() -> None:
        print(unset)

    result = launch(program)
    unset = 1
    assert unset
    assert "NameError: name 'unset' is not defined" in result.stderr


def test_program_keeps_the_module_variables_of_its_own(output: Callable[..., str], tmp_path: Path) -> None:
    """__file__ is the program's file: the test's is not what multiprocessing may import."""

    def program() -> None:
        print(__file__)

    assert output(program) == f"{tmp_path / 'program.py'}\n"


def test_names_of_plain_types_may_be_shadowed(output: Callable[..., str]) -> None:
    """Data arrives also where the program has a function called as its type."""
    infinite = frozenset({math.inf})

    def program() -> None:
        print(infinite, float())

    def float() -> str:
        return "mine"

    assert output(program) == "frozenset({inf}) mine\n"


# Modules and importable names.


def test_modules_travel(output: Callable[..., str]) -> None:
    """Modules travel under the names that the test file gives them."""

    def program() -> None:
        print(operating_system.sep, os.path.join("a", "b"), math.floor(2.5))

    assert output(program) == f"{operating_system.sep} {os.path.join('a', 'b')} 2\n"


def test_submodules_are_imported(output: Callable[..., str]) -> None:
    """`import package.module` brings the module, though the name is only the package's."""

    def program() -> None:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            print(pool.submit(len, "abc").result())

    assert output(program) == "3\n"


def test_modules_imported_in_the_test_travel(output: Callable[..., str]) -> None:
    """What the function around the program imports travels."""
    import json as js
    import xml.dom.minidom

    def program() -> None:
        print(js.dumps([1]), xml.dom.minidom.Document.__name__)

    assert output(program) == "[1] Document\n"


def test_imports_of_other_tests_stay_behind(output: Callable[..., str]) -> None:
    """Only what the program's own surroundings import is imported."""

    def other() -> None:
        import email.mime.text

        print(email.mime.text)

    import email

    def program() -> None:
        print(hasattr(email, "mime"))

    assert callable(other)
    assert output(program) == "False\n"


def test_imported_functions_and_classes_travel(output: Callable[..., str]) -> None:
    """Names that are imported from elsewhere are imported again, with their alias."""

    def program() -> None:
        print(Path("a").name, clock.__name__, sorted(Any.__module__ for _ in "a"))

    assert output(program) == "a perf_counter ['typing']\n"


def test_objects_without_import_statement_are_found_by_their_own_name(output: Callable[..., str]) -> None:
    """A function or class that came here some other way is imported from where it says that it is."""
    size = len
    pure = sys.modules["pathlib"].PurePath
    level = inspect.Parameter.empty.__class__
    frames = asyncio.Queue.get_nowait

    def program() -> None:
        print(size("abc"), pure("a").name, level, frames.__qualname__)

    assert output(program) == "3 a <class 'type'> Queue.get_nowait\n"


def test_name_that_was_imported_and_then_replaced(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """An import statement counts only where the name still has what it imports."""
    made = module("""
        from os.path import join

        def join(): return "mine"

        def program():
            print(join())
    """)
    assert output(made.program) == "mine\n"


def test_relative_imports_become_absolute(
    output: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a test package imports relatively travels, and is the imported module's own object."""
    package = tmp_path / "package_of_tests"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("thing = object()\n", encoding="utf-8")
    text = "from . import helper\nfrom .helper import thing\ndef program(): print(thing is helper.thing)\n"
    (package / "test_it.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert output(importlib.import_module("package_of_tests.test_it").program) == "True\n"


def test_modules_are_imported_in_the_order_of_the_file(
    output: Callable[..., str], module: Callable[[str], Any]
) -> None:
    """Modules are imported in the order of the test file, not of use: they may register exit handlers."""
    made = module("""
        import sys
        import colorsys
        import cmd

        def program():
            print(cmd.__name__, colorsys.__name__)
            loaded = list(sys.modules)
            print(loaded.index("colorsys") < loaded.index("cmd"))
    """)
    assert output(made.program) == "cmd colorsys\nTrue\n"


# Definitions.


def test_functions_travel_with_what_they_use(output: Callable[..., str]) -> None:
    """A function of the file travels with its default argument and with what that uses."""

    def program() -> None:
        greet("you")

    assert output(program) == "hello you!!!\n"


def test_mutually_recursive_functions_travel(output: Callable[..., str]) -> None:
    """Functions that call each other travel together."""

    def program() -> None:
        print(even(4), odd(4))

    assert output(program) == "True False\n"


def test_nested_functions_travel(output: Callable[..., str]) -> None:
    """Functions of the test travel at any depth, also where blocks lie around and between them."""
    word = "deep"
    if LIMIT:

        def helper() -> str:
            return word

    def second() -> str:
        return helper() + "er"

    def program() -> None:
        print(second())

    assert output(program) == "deeper\n"


def test_program_may_call_itself(output: Callable[..., str]) -> None:
    """A nested program finds itself by its name."""

    def program(depth: int = 2) -> None:
        print(depth)
        if depth:
            program(depth - 1)

    assert output(program) == "2\n1\n0\n"


def test_function_and_the_function_around_it_travel_together(output: Callable[..., str]) -> None:
    """A function made by another one travels, and so does its maker."""

    def make() -> Callable[[], str]:
        def made() -> str:
            return "made"

        return made

    made = make()

    def program() -> None:
        print(made(), make()())

    assert output(program) == "made made\n"


def test_function_under_another_name_travels(output: Callable[..., str]) -> None:
    """An alias of a function is an alias in the child too."""
    alias = plain

    def program() -> None:
        alias()
        print(alias is plain, alias.__name__)

    assert output(program) == "plain ran\nTrue plain\n"


def test_classes_travel_with_their_bases(output: Callable[..., str]) -> None:
    """A class of the file travels with base class, class attributes and super()."""

    def program() -> None:
        print(Derived().describe())

    assert output(program) == "derived Derived 3\n"


def test_nested_classes_travel(output: Callable[..., str]) -> None:
    """A class of the test travels with what its body and its methods use of the test's variables."""
    attribute, variable = "attribute", "variable"

    class Parent:
        name = attribute

    class Child(Parent):
        def show(self) -> str:
            return f"{self.name} {variable}"

    def program() -> None:
        print(Child().show())

    assert output(program) == "attribute variable\n"


def test_nested_class_of_a_function_that_has_returned(output: Callable[..., str]) -> None:
    """Where the function around a class has returned, closures tell what it uses: its methods' and others'."""

    def make() -> Callable[[], None]:
        word, base = "kept", Base

        class Child(base):  # type: ignore[valid-type, misc]
            @property
            def kept(self) -> str:
                return word

        def program() -> None:
            print(base.__name__, Child().kept)

        return program

    assert output(make()) == "Base kept\n"


def test_definition_order_follows_need_and_file(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """Neither the order of use nor that of names matters: a base class comes first, also from a level further in."""
    made = module("""
        def make():
            class Base:
                def other(self):
                    return Cousin()
            return Base

        Base = make()

        class Middle(Base):
            def other(self):
                return Last().name

        class Cousin(Middle):
            name = "cousin"

        class Last(Cousin):
            name = "last"

        def program():
            print(Last().other(), Cousin().name)
    """)
    assert output(made.program) == "last cousin\n"


def test_nested_decorated_function_needs_what_stands_below(output: Callable[..., str]) -> None:
    """A decorator at the end of the file is there when a nested function needs it, with what it calls itself."""

    @decorator_below
    def program() -> None:
        print("inside")

    assert output(program) == "decorating program\ninside\n"


def test_decorator_finds_what_it_calls(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """What a decorator calls is defined before the function that it decorates."""
    made = module("""
        def announce(function):
            print("decorating", function.__name__)

        def decorator(function):
            announce(function)
            return function

        @decorator
        def program():
            print("inside")
    """)
    assert output(made.program) == "decorating program\ninside\n"


def test_names_that_a_class_body_binds_are_its_own(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """A class body that reads a name of its own does not need the global variable of that name."""
    made = module("""
        import threading
        lock = threading.Lock()

        class Door:
            @property
            def lock(self): return "locked"
            @lock.setter
            def lock(self, value): print("locking", value)

        def program():
            door = Door()
            door.lock = 1
            print(door.lock)
    """)
    assert output(made.program) == "locking 1\nlocked\n"


def test_classes_of_one_name_are_told_apart(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """Of two class statements of one name, the one that was run travels."""
    made = module("""
        if True:
            class Tool:
                def who(self): return "this one"
        else:
            class Tool:
                def who(self): return "the other one"

        def program():
            print(Tool().who())
    """)
    assert output(made.program) == "this one\n"


def test_class_that_stands_below_travels(output: Callable[..., str]) -> None:
    """An alias that is bound below the program travels."""
    assert output(uses_later_definition) == "Base\n"


def test_dataclass_and_annotations_travel(output: Callable[..., str]) -> None:
    """Decorated classes travel with their decorators, default values and annotations."""

    def program() -> None:
        print(Point(4), Point(4).length, inspect.get_annotations(Annotated)["point"] is Point)

    assert output(program) == "Point(x=4, y=3) 5.0 True\n"


def test_future_import_is_kept(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """With `from __future__ import annotations` annotations are text in the child, and need nothing."""
    made = module("""\
        from __future__ import annotations
        import threading
        lock = threading.Lock()
        if True:
            def program(x: lock = 1):
                print(program.__annotations__)
    """)
    assert output(made.program) == "{'x': 'lock'}\n"


def test_future_import_of_this_package_is_not_inherited(output: Callable[..., str]) -> None:
    """Without that import, annotations are objects in the child."""

    def program(number: int = 1) -> None:
        print(program.__annotations__["number"], number)

    assert output(program) == "<class 'int'> 1\n"


def test_body_needs_nothing_for_local_annotations(output: Callable[..., str]) -> None:
    """Annotations of local variables are not evaluated, and so what they name does not have to travel."""

    def program() -> None:
        number: LOCK = 1  # type: ignore[valid-type]
        print(number)

    assert output(program) == "1\n"


# Decorators.


def test_decorated_functions_travel_with_their_decorators(output: Callable[..., str]) -> None:
    """A function behind a functools.wraps wrapper is decorated in the child as it is here, once."""

    def program() -> None:
        print(twice(2))
        with managed("it"):
            pass

    assert output(program) == "calling twice\n4\nleft it\n"


def test_program_may_be_decorated(output: Callable[..., str]) -> None:
    """A decorated program runs with its decorator, which may be a local variable of the test."""
    word = "local"

    def local(function: Callable[..., object]) -> Callable[[], None]:
        @functools.wraps(function)
        def wrapper() -> None:
            print(word)
            function()

        return wrapper

    @local
    @traced
    def program() -> None:
        print("inside")

    assert output(program) == "local\ncalling program\ninside\n"


def test_decorator_without_wraps(output: Callable[..., str]) -> None:
    """A wrapper that hides what it wraps travels as the function that it is, with what it wraps, undecorated."""

    @shouted
    def program() -> None:
        print("inside")

    assert output(program) == "SHOUTED\ninside\n"


def test_decorator_without_wraps_in_a_function_that_has_returned(output: Callable[..., str]) -> None:
    """What such a wrapper wraps is undecorated also where nobody can tell any more what its name stood for."""

    def make() -> Callable[..., object]:
        @shouted
        def program() -> None:
            print("inside")

        return program

    assert output(make()) == "SHOUTED\ninside\n"


def test_function_that_is_decorated_by_a_call(output: Callable[..., str]) -> None:
    """A wrapper made by a plain call of the decorator travels, and so does what it wraps."""
    wrapped = traced(plain)

    def program() -> None:
        wrapped()
        print(wrapped.__name__)

    assert output(program) == "calling plain\nplain ran\nplain\n"


def test_decorator_that_returns_the_function_itself(output: Callable[..., str]) -> None:
    """A decorator that registers is run in the child, where the definition is."""

    @atexit.register
    def close() -> None:
        print("closed")

    atexit.unregister(close)
    again = close

    def program() -> None:
        again()

    assert output(program) == "closed\nclosed\n"


def test_cached_function_travels(output: Callable[..., str]) -> None:
    """A function behind functools.lru_cache travels, though it is no Python function any more."""

    @functools.lru_cache
    def cached() -> str:
        return "cached"

    def program() -> None:
        print(cached(), cached.cache_info().misses)

    assert output(program) == "cached 1\n"


def test_decorator_in_parentheses(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """The text of a definition begins at its first @, also where the decorator itself is lines below."""
    made = module("""\
        def same(function): return function
        if True:
            @(

                same
            )
            def program(): print("inside")
    """)
    assert output(made.program) == "inside\n"


def test_definition_on_the_first_line(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """A definition on the first lines of a file has no line above to spare, and needs none."""
    made = module("class Outer:\n    def program(): print('inside')\n")
    assert output(made.Outer.program) == "inside\n"


def test_static_method_runs(output: Callable[..., str]) -> None:
    """A static method of a class is a function like any other."""
    assert output(Tool.static) == "static ran\n"


# What can't travel.


def test_object_is_refused_with_name_type_user_and_advice() -> None:
    """The message names the variable, its type, the function that uses it with its line, and says what to do."""

    def program() -> None:  # The program with the lock.
        LOCK.acquire()

    message = refusal(program)
    assert f"'LOCK' ({type(LOCK).__module__}.lock)" in message
    assert f"program ({HERE}:{line_of('# The program with the lock.')})" in message
    assert "pass it as an argument if it is plain data, or create it inside the function" in message


def test_object_that_a_helper_uses_is_refused() -> None:
    """What a travelling function uses is named with that function, not with the program."""

    def helper() -> None:
        print(LOCKS)

    def program() -> None:
        helper()

    message = refusal(program)
    assert f"'LOCKS' (list with a {type(LOCK).__module__}.lock in it), which helper (" in message


def test_fixture_is_refused(tmp_path: Path) -> None:
    """A fixture's value that is no plain data is refused."""

    def program() -> None:
        print(tmp_path)

    assert f"'tmp_path' ({type(tmp_path).__module__}.{type(tmp_path).__name__})" in refusal(program)


def test_path_is_passed_as_text(tmp_path: Path) -> None:
    """To create it inside the function is no answer for the test's own folder: the message says what is."""

    def program() -> None:
        print(tmp_path)

    assert refusal(program).endswith("can't travel to another process: pass str(tmp_path) as an argument")
    assert refusal(greet, tmp_path).endswith(" is not plain data: pass str() of it")


def test_instance_of_a_subclass_of_a_plain_type_is_refused() -> None:
    """A subclass of a plain type is not plain data: its instances have more than their value."""

    class Celsius(float):
        pass

    assert "Celsius) is not plain data" in refusal(greet, Celsius(1.0))


def test_data_that_contains_itself_is_refused() -> None:
    """A list in itself has no literal."""
    endless: list[object] = []
    endless.append(endless)

    def program() -> None:
        print(endless)

    assert "'endless' (list, in itself or nested more than 40 deep)" in refusal(program)


def test_deepest_data_still_arrives(output: Callable[..., str]) -> None:
    """What is accepted as plain data is not too deep for the child's parser either."""

    def program(data: object) -> None:
        print(data)

    data: object = 1
    for _ in range(39):
        data = frozenset({data})
    assert output(program, data) == f"{data}\n"


def test_lambda_that_is_used_is_refused() -> None:
    """A lambda has no statement of its own; the advice is to write one."""
    handlers: dict[str, Callable[[], None]] = {"close": lambda: None}
    close = handlers["close"]

    def program() -> None:
        close()

    message = refusal(program)
    assert "'close' (function)" in message
    assert "no single def or class statement of the test file makes it; write one" in message


def test_function_that_claims_to_be_another_is_refused() -> None:
    """A function is imported by its own name only if that import gives it."""
    nap: Any = lambda: None  # noqa: E731
    nap.__module__, nap.__qualname__ = "time", "sleep"

    def program() -> None:
        nap()

    assert "'nap' (function)" in refusal(program)


def test_class_made_by_a_call_is_refused() -> None:
    """A class that no class statement of the file made is refused."""
    made = type("Made", (), {})

    def program() -> None:
        made()

    assert "'made' (type)" in refusal(program)


def test_two_objects_of_one_name_are_refused() -> None:
    """A closure variable and a global variable of one name can't both be globals of the program."""
    NAMES = 5

    def helper() -> None:
        print(NAMES)

    def program() -> None:
        helper()
        reads_names()

    message = refusal(program)
    assert "two different objects are called 'NAMES', one in helper (" in message
    assert "the other in reads_names (" in message


def test_name_that_the_program_file_calls_is_refused() -> None:
    """A function called as a builtin that the program's file needs is refused and not put in its place."""

    def compile() -> None:
        pass

    def program() -> None:
        compile()

    assert "two different objects are called 'compile'" in refusal(program)


def test_nonlocal_is_refused() -> None:
    """A function that changes a variable of the test can't do so from another process."""
    count = 0

    def program() -> None:
        nonlocal count
        count += 1

    message = refusal(program)
    assert "program (" in message
    assert "nonlocal 'count'" in message


def test_local_variable_of_a_function_that_has_returned_is_refused() -> None:
    """A decorator that is known to nobody any more is refused, not looked for among the globals."""

    def make() -> Callable[[], None]:
        def gone(function: Callable[[], None]) -> Callable[[], None]:
            return function

        @gone
        def program() -> None:
            pass

        return program

    assert "'gone', which program (" in refusal(make())
    assert "local variable of make" in refusal(make())


def test_function_with_super_is_refused() -> None:
    """A method taken out of its class has no super()."""
    assert "uses the class around it" in refusal(Tool.with_super, 1)


def test_argument_that_is_not_plain_data_is_refused() -> None:
    """The message says which argument it is, and its type."""
    message = refusal(greet, "you", Path())
    assert f"argument 2 of greet ({type(Path()).__module__}." in message


def test_keyword_only_arguments_may_have_defaults(output: Callable[..., str]) -> None:
    """Arguments that can't be given don't have to be, if they have a default."""

    def program(*, word: str = "default") -> None:
        print(word)

    assert output(program) == "default\n"


def test_warnings_of_the_compiler_are_not_given_again(launch: Launch, module: Callable[[str], Any]) -> None:
    """A test file with an invalid escape was complained of when it was imported, and that is enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = module(r"""
            def program(): print("\d")
        """)
    assert launch(made.program).stdout == "\\d\n"


@pytest.mark.parametrize(
    ("function", "args", "problem"),
    [
        (greet, (), "missing a required argument: 'name'"),
        (plain, (1, 2), "can't be called with 2 arguments: too many positional arguments"),
        (keyword_only, ("a",), "too many positional arguments"),
    ],
)
def test_wrong_arguments_are_refused(function: Callable[..., object], args: tuple[object, ...], problem: str) -> None:
    """Arguments that don't fit the signature are refused before anything starts."""
    assert problem in refusal(function, *args)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="needs lazy imports")
def test_lazy_imports_travel(output: Callable[..., str], module: Callable[[str], Any]) -> None:
    """Modules that are imported lazily, and that nobody has used yet, travel."""
    made = module("""
        lazy import colorsys
        lazy from textwrap import dedent as without_indent
        def program(): print(colorsys.__name__, without_indent(" a"))
    """)
    assert output(made.program) == "colorsys a\n"


def test_annotations_are_not_evaluated_to_check_arguments(
    output: Callable[..., str], module: Callable[[str], Any]
) -> None:
    """An annotation that can't be evaluated is no obstacle where nobody evaluates it."""
    made = module("""
        from __future__ import annotations
        def program(x: Nowhere): print(x)
    """)
    assert output(made.program, 1) == "1\n"


async def coroutine() -> None:
    pass


async def asynchronous_generator() -> Any:
    yield


def generator() -> Iterator[None]:
    yield


class Callee:
    def __call__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda: None, "<lambda> is a lambda"),
        (coroutine, "coroutine is a coroutine function"),
        (asynchronous_generator, "asynchronous_generator is an asynchronous generator function"),
        (generator, "generator is a generator function"),
        (Tool().method, "Tool.method is a bound method"),
        (print, "print is a builtin function"),
        (Callee(), "Callee is not a function"),
        (Callee, "Callee is a class"),
        (functools.partial(greet, "you"), "functools.partial is a functools.partial"),
    ],
)
def test_other_callables_are_refused(function: object, what: str) -> None:
    """Whatever is no plain function is refused, with what to do instead."""
    message = refusal(function)
    assert what in message
    assert "can't run as a program: " in message


def test_function_without_source_is_refused() -> None:
    """A function that was made by exec has no file."""
    namespace: dict[str, Any] = {}
    exec("def program(): pass", namespace)
    message = refusal(namespace["program"])
    assert "the source of program is in no file" in message
    assert "write a def at module level of the test file or in the test" in message


def test_function_whose_file_has_changed_is_refused(module: Callable[[str], Any]) -> None:
    """A function that is no longer where it was in its file is refused."""
    made = module("def program(): pass\n")
    assert program_text(made.program, ())
    Path(made.__file__).write_text("# Changed.\n\n\ndef program(): pass\n", encoding="utf-8")
    assert "the file has changed" in refusal(made.program)


def reads_names() -> None:
    print(NAMES)


def decorator_below(function: Callable[..., object]) -> Callable[..., object]:
    announce(function)
    return function


def announce(function: Callable[..., object]) -> None:
    print("decorating", function.__name__)


LATER = Base
