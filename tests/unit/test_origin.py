"""Who registered a handler."""

import pytest

from pytest_atexit._events import Registered
from pytest_atexit._origin import origin_of, shown_path

STDLIB = "/usr/lib/python3.12"


def registered(*, file, caller="app", home="", module=""):
    return Registered(
        number=1,
        time=0,
        qualname="f",
        module=module,
        home=home,
        file=file,
        line=1,
        caller=caller,
        thread="",
        args=(),
        kwargs={},
    )


@pytest.mark.parametrize(
    ("event", "origin"),
    [
        (registered(file="/home/me/app.py", home=f"{STDLIB}/shutil.py"), "program"),
        (registered(file="<string>"), "program"),
        (registered(file="/venv/lib/python3.12/site-packages/flask/app.py"), "library"),
        (registered(file="/usr/lib/python3/dist-packages/apt/cache.py"), "library"),
        (registered(file=f"{STDLIB}/site-packages/flask/app.py"), "library"),
        (registered(file=f"{STDLIB}/logging/__init__.py", home=f"{STDLIB}/logging/__init__.py"), "stdlib"),
        (registered(file=f"{STDLIB}/weakref.py", module="weakref"), "stdlib"),
        (registered(file="<frozen runpy>", module="runpy"), "stdlib"),
        (registered(file=f"{STDLIB}/threading.py", home="/home/me/app.py"), "program"),
        (registered(file=f"{STDLIB}/threading.py", module="__main__"), "program"),
        (registered(file=f"{STDLIB}/threading.py", home="/venv/lib/site-packages/x.py"), "library"),
        (registered(file="/venv/lib/site-packages/coverage/control.py", caller="coverage.control"), "coverage"),
    ],
)
def test_the_caller_of_register_counts(event, origin):
    """Only where the standard library calls on behalf of others is it the handler's own home."""
    assert origin_of(event, STDLIB) == origin


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/me/app.py", "app.py"),
        ("/home/me/pkg/app.py", "pkg/app.py"),
        ("/home/mean/app.py", "/home/mean/app.py"),
        ("/venv/lib/site-packages/flask/app.py", "flask/app.py"),
        ("<string>", "<string>"),
    ],
)
def test_paths_are_shown_as_a_reader_knows_them(path, shown):
    """Relative to the working folder, or to site-packages."""
    assert shown_path(path, ["/home/me"]) == shown
