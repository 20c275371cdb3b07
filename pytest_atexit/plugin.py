"""pytest's door to the package: options, marker, fixtures and hooks, which delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_atexit import _settings

if TYPE_CHECKING:
    # Not at run time: pytest takes a close look at each name in a plugin module, in every session.
    from collections.abc import Generator, Iterator

    from pytest_atexit._capexit import CapExit, Session

SECTION = "capexit"
used = pytest.StashKey["dict[str, CapExit]"]()  # by the name of the fixture


def pytest_addoption(parser: pytest.Parser) -> None:
    _settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _settings.MARKER)
    if report := _settings.settings_of(config, None).report:  # a wrong value ends the run before its first test
        from pytest_atexit._reporting import prepare

        prepare(config, report)


@pytest.hookimpl(tryfirst=True)
def pytest_report_from_serializable(config: pytest.Config, data: dict[str, Any]) -> None:
    """A worker of xdist has sent a report, and what programs did with it."""
    _receive(config, data)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401, for it is xdist's
    """A worker of xdist has ended: what it had not sent yet is among its last words."""
    _receive(node.config, getattr(node, "workeroutput", {}))


def _receive(config: pytest.Config, data: dict[str, Any]) -> None:
    if "atexit_runs" in data:
        from pytest_atexit._reporting import reporter_of

        reporter_of(config).received(data.pop("atexit_runs"))


@pytest.fixture(scope="session")
def _atexit_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    from pytest_atexit._capexit import Session
    from pytest_atexit._reporting import reporter_of

    request.config.pluginmanager.register(_Users())
    session = Session(on_start=reporter_of(request.config).started)
    yield session
    session.close()


def _capexit(request: pytest.FixtureRequest, session: Session) -> Iterator[CapExit]:
    from pytest_atexit._capexit import CapExit

    node = request.node
    settings, wrong = None, ""
    try:
        settings = _settings.settings_of(request.config, node)
    except pytest.UsageError as error:
        wrong = str(error)
    if settings is None:
        pytest.fail(wrong, pytrace=False)
    made = CapExit(session, settings.timeout, settings.linger, settings.must_run)
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
