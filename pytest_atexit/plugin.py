"""pytest's door to the package: options, marker, fixtures and hooks, which delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_atexit import _settings

if TYPE_CHECKING:
    # Not at run time: pytest takes a close look at each name in a plugin module, in every session.
    from collections.abc import Generator, Iterator

    from pytest_atexit._capexit import CapExit
    from pytest_atexit._registry._atexit_registry import AtexitRegistry
    from pytest_atexit._registry._guard import Guard
    from pytest_atexit._report._facts import RunFacts
    from pytest_atexit._report._mailbox import Mailbox
    from pytest_atexit._session import Session

SECTION = "capexit"
GUARDED = "atexit_guard"
used = pytest.StashKey["dict[str, CapExit]"]()  # by the name of the fixture
mailboxes = pytest.StashKey["dict[str, Mailbox]"]()  # of workers that xdist started, by their names


def pytest_addoption(parser: pytest.Parser) -> None:
    _settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _settings.MARKER)
    settings = _settings.settings_of(config, None)  # a wrong value ends the run before its first test
    if settings.guard != "off":
        config.pluginmanager.register(_Guarded(config), GUARDED)
    if settings.report:
        from pytest_atexit._reporting import prepare

        prepare(config, settings.report)


def pytest_collection_finish(session: pytest.Session) -> None:
    """A marker can ask for the guard where no option does."""
    config = session.config
    if not config.pluginmanager.has_plugin(GUARDED) and any(
        _settings.settings_of(config, item).guard != "off" for item in session.items if _is_marked(item)
    ):
        config.pluginmanager.register(_Guarded(config), GUARDED)


def _is_marked(item: pytest.Item) -> bool:
    return any("guard" in mark.kwargs for mark in item.iter_markers("atexit"))


def _guard_of(config: pytest.Config, item: pytest.Item) -> str:
    """Returns what is done about handlers that a test leaves; nothing where settings are wrong."""
    try:
        return _settings.settings_of(config, item).guard
    except pytest.UsageError:
        return ""


def _checked_settings(config: pytest.Config, node: pytest.Item | pytest.Collector) -> _settings.Settings:
    """Returns the settings; where they are wrong, that is an error without our frames."""
    try:
        return _settings.settings_of(config, node)
    except pytest.UsageError as error:
        wrong = str(error)
    pytest.fail(wrong, pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401, for it is xdist's
    """A worker of xdist is about to start."""
    from pytest_atexit._report._mailbox import equip

    if box := equip(node.workerinput):
        node.config.stash.setdefault(mailboxes, {})[node.gateway.id] = box


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401, for it is xdist's
    """A worker of xdist has ended."""
    from pytest_atexit._report._mailbox import last_words

    _receive(node.config, node.gateway.id, last_words(getattr(node, "workeroutput", {})))


@pytest.hookimpl(trylast=True)  # when xdist has ended its workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """If the session was broken off, as by Ctrl-C, xdist says nothing of workers that were there."""
    for worker in [*session.config.stash.get(mailboxes, {})]:
        _receive(session.config, worker, [])


def _receive(config: pytest.Config, worker: str, last: list[RunFacts]) -> None:
    """Take in what a worker that has ended wrote, and its last words."""
    box: Mailbox | None = config.stash.get(mailboxes, {}).pop(worker, None)
    if runs := [*(box.empty() if box else ()), *last]:
        from pytest_atexit._reporting import reporter_of

        reporter_of(config).received(runs)


@pytest.fixture(scope="session")
def _atexit_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    from pytest_atexit._reporting import reporter_of
    from pytest_atexit._session import Session

    request.config.pluginmanager.register(_Users())
    session = Session(on_start=reporter_of(request.config).started)
    yield session
    session.close()


def _capexit(request: pytest.FixtureRequest, session: Session) -> Iterator[CapExit]:
    from pytest_atexit._capexit import CapExit

    node = request.node
    options = _checked_settings(request.config, node)._asdict()
    del options["guard"], options["report"]  # of the session
    made = CapExit(session, **options, skip=pytest.skip)
    node.stash.setdefault(used, {})[request.fixturename] = made
    try:
        yield made
        if not isinstance(node, pytest.Item) and (failure := made.unattended_failure()):
            pytest.fail(failure, pytrace=False)
    finally:
        del node.stash[used][request.fixturename]
        _close(made, node)


def _close(made: CapExit, node: pytest.Item | pytest.Collector) -> None:
    killed = made.close()
    if killed and isinstance(node, pytest.Item):
        node.add_report_section("teardown", SECTION, "\n".join(killed))


@pytest.fixture
def capexit(request: pytest.FixtureRequest, _atexit_session: Session) -> Iterator[CapExit]:
    """Run programs in child interpreters and assert what happened at their exit."""
    yield from _capexit(request, _atexit_session)


@pytest.fixture(scope="class")
def class_capexit(request: pytest.FixtureRequest, _atexit_session: Session) -> Iterator[CapExit]:
    """As capexit, for the tests of a class."""
    yield from _capexit(request, _atexit_session)


@pytest.fixture(scope="module")
def module_capexit(request: pytest.FixtureRequest, _atexit_session: Session) -> Iterator[CapExit]:
    """As capexit, for the tests of a module."""
    yield from _capexit(request, _atexit_session)


@pytest.fixture(scope="session")
def session_capexit(request: pytest.FixtureRequest, _atexit_session: Session) -> Iterator[CapExit]:
    """As capexit, for all tests of a session."""
    yield from _capexit(request, _atexit_session)


@pytest.fixture
def atexit_registry(request: pytest.FixtureRequest) -> Iterator[AtexitRegistry]:
    """Let `atexit` in this process work on a registry of the test's own."""
    from pytest_atexit._registry._atexit_registry import AtexitRegistry

    registry = AtexitRegistry([str(request.config.rootpath), str(request.config.invocation_params.dir)])
    yield registry
    registry.close()


class _Users:
    """Hooks for tests that use the fixtures: a plugin of its own, made with the first of them, so others don't pay."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """A program that nobody waited for is judged within the test, not as an error of its teardown."""
        result = yield
        for made in item.stash.get(used, {}).values():
            if failure := made.unattended_failure():
                pytest.fail(failure, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show in a failing test what its programs did."""
        report = yield
        if call.when != "teardown" and report.failed:
            fixtures = getattr(item, "fixturenames", ())
            for node in item.listchain():
                for name, made in node.stash.get(used, {}).items():
                    if (name in fixtures or node is item) and (text := made.report()):
                        report.sections.append((SECTION, text))
        return report


class _Guarded:
    """Hooks for a session with a guard: a plugin of its own, so others don't pay."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._guard: Guard | None = None

    def _made(self) -> Guard:
        if self._guard is None:
            from pytest_atexit._registry._guard import Guard

            self._guard = Guard([str(self._config.rootpath), str(self._config.invocation_params.dir)])
        return self._guard

    @pytest.hookimpl(tryfirst=True)  # and no wrapper: those that had not begun could not undo in the teardown
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        is_guarded = _checked_settings(self._config, item).guard != "off"
        self._made().enter(item.nodeid if is_guarded else "")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        from pytest_atexit._registry._guard import ADVICE

        passed = False
        try:
            result = yield
            passed = True
        finally:
            left = self._made().leave(is_last=nextitem is None)
            text = "\n".join([*left, ADVICE]) if left else ""
            # Of a test that is expected to fail, nobody would see an error of the teardown.
            is_expected = item.get_closest_marker("xfail") is not None
            is_error = not is_expected and _guard_of(self._config, item) == "error"
            if text and not (passed and is_error):
                item.warn(pytest.PytestWarning(text))
        if text and is_error:
            pytest.fail(text, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """What fixtures of wider scopes register is theirs."""
        before = self._made().setting_up(fixturedef.argname if fixturedef.scope != "function" else "")
        try:
            return (yield)
        finally:
            self._made().setting_up(before)

    @pytest.hookimpl(wrapper=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        result = yield
        if self._guard is not None:
            self._guard.close()
        return result
