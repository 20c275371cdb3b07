"""pytest's hooks for the session's report: runs are collected here, on workers too, and shown at the end."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_atexit._report._facts import RunFacts, run_facts
from pytest_atexit._report._files import check, write
from pytest_atexit._report._github import marks_of
from pytest_atexit._report._mailbox import INPUT, OUTPUT, post
from pytest_atexit._report._properties import extra, properties
from pytest_atexit._report._summary import summary
from pytest_atexit._settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pytest_atexit._launch._running import RunningProgram
    from pytest_atexit._result import ExitResult
    from pytest_atexit._status import ExitStatus

_reporter = pytest.StashKey["Reporter"]()


def reporter_of(config: pytest.Config) -> Reporter:
    """Returns the session's reporter; the first call makes it, so that a session that runs no program has none."""
    if _reporter not in config.stash:
        config.stash[_reporter] = Reporter(config, settings_of(config, None).report)
        config.pluginmanager.register(config.stash[_reporter])
    return config.stash[_reporter]


def prepare(config: pytest.Config, files: tuple[str, ...]) -> None:
    """Reports are wanted: see to it now that they can be written in the end, also if no program is run.

    Raises:
        pytest.UsageError: one can't.
    """
    if not hasattr(config, "workerinput"):
        try:
            for file in files:
                check(file)
        except OSError as error:
            raise pytest.UsageError(f"--atexit-report: {file} can't be written: {error}") from None
        reporter_of(config)


@dataclass
class Started:
    """A program of which more may become known.

    Attributes:
        key: of its run.
        test: that started it.
        program: itself.
        noted: its result when it was noted last.
        run: what was noted then.
    """

    key: str
    test: str | None
    program: RunningProgram
    noted: ExitResult | None = None
    run: RunFacts | None = None


class Reporter:
    """A plugin of pytest.

    Attributes:
        runs: all that is known, by key. The controller of xdist has those of its workers.
    """

    def __init__(self, config: pytest.Config, files: tuple[str, ...]) -> None:
        self.runs: dict[str, RunFacts] = {}
        self._files = files
        self._problem = ""
        self._has_html = bool(config.getoption("htmlpath", None))  # of pytest-html
        told = getattr(config, "workerinput", {})
        self._worker: str | None = told.get("workerid")
        self._mailbox: list[str] | None = told.get(INPUT)
        self._is_lost = False  # something that the mailbox should have
        self._started: list[Started] = []
        self._numbers = itertools.count(1)
        # The first one is made within a test, whose start nobody told us. This is what pytest documents for that.
        self._test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0] or None

    def started(self, program: RunningProgram) -> None:
        """A test has started a program. Several threads of it may do so at a time."""
        started = Started(f"{self._worker or 'main'}-{next(self._numbers)}", self._test, program)
        self._started.append(started)
        if self._worker:  # It may crash before the test is over.
            self._post(self._facts(started, None, None, is_over=False))
            program.on_end = partial(self._note, started)

    def received(self, runs: Iterable[RunFacts]) -> None:
        """Workers have told of runs."""
        for run in runs:
            self.runs[run["id"]] = run

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._test = nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "teardown":  # by now the fixtures have ended what was left
            over = [(run, text) for run, text in self._collect() if run["test"] == item.nodeid]
            if over:
                self._tell([run for run, _ in over], "\n\n".join(text for _, text in over), report)
        return report

    @pytest.hookimpl(trylast=True)  # when the last fixtures are closed, even if the session was broken off
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._collect()
        if self._worker:
            if self._is_lost:  # As text: it may hold what execnet can't send, such as half a character.
                session.config.workeroutput[OUTPUT] = json.dumps([*self.runs.values()])  # type: ignore[attr-defined]  # of xdist
            return
        try:
            for file in self._files:
                write(file, [*self.runs.values()], file.rpartition(".")[2].lower())
        except OSError as error:
            self._problem = f"{file} could not be written: {error}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        verbosity = terminalreporter.verbosity
        if self.runs and verbosity >= 0:
            terminalreporter.ensure_newline()  # here, or it would be done below the title
            terminalreporter.section("exit handlers")
            for line in summary([*self.runs.values()], everything=verbosity > 0):
                terminalreporter.write_line(line.text, **line.markup)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            terminalreporter.ensure_newline()
            root = os.environ.get("GITHUB_WORKSPACE") or str(terminalreporter.config.rootpath)
            for mark in marks_of([*self.runs.values()], root):
                terminalreporter.write_line(mark)
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
        elif self._files and verbosity >= 0:
            terminalreporter.write_sep("-", f"generated exit report: {', '.join(self._files)}")

    def _tell(self, runs: list[RunFacts], timelines: str, report: pytest.TestReport) -> None:
        """Put into a test's report what its programs did, for whoever shows or writes it."""
        report.user_properties += properties(runs, timelines)
        if self._has_html:
            report.extras = [*getattr(report, "extras", ()), extra(timelines)]  # type: ignore[attr-defined]  # of pytest-html

    def _collect(self) -> list[tuple[RunFacts, str]]:
        """Returns the runs that have come to be over, with the text of their timelines."""
        over = []
        for each in [each for each in self._started if each.program.is_over]:
            self._started.remove(each)
            each.program.on_end = lambda: None
            result = each.program.result
            over.append((self._note(each), f"$ {each.program.command}\n{result or 'not recorded'}"))
        return over

    def _note(self, each: Started) -> RunFacts:
        """Keep what is known of a program that has ended, and let the controller know."""
        result = each.program.result
        if each.run is None or each.noted is not result:
            each.run = self._facts(each, each.program.status, result, is_over=True)
            each.noted = result
            self._post(each.run)
        return each.run

    def _facts(self, each: Started, status: ExitStatus | None, result: ExitResult | None, *, is_over: bool) -> RunFacts:
        return run_facts(
            key=each.key,
            test=each.test,
            command=each.program.command,
            cwd=each.program.cwd,
            status=status,
            result=result,
            is_over=is_over,
            complete=bool(self._files),
        )

    def _post(self, run: RunFacts) -> None:
        self.runs[run["id"]] = run
        if self._worker and not (self._mailbox and post(self._mailbox, run)):
            self._is_lost = True
