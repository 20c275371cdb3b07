"""pytest's hooks for the session's report: runs are collected here, on workers too, and shown at the end."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_atexit._report._facts import RunFacts, run_facts
from pytest_atexit._report._files import check, write
from pytest_atexit._report._github import marks_of
from pytest_atexit._report._properties import extra, properties
from pytest_atexit._report._summary import summary
from pytest_atexit._settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_atexit._launch._running import RunningProgram

RUNS = "atexit_runs"  # in what a worker of xdist sends

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
    """A program whose run isn't over.

    Attributes:
        key: of its run.
        test: that started it.
        program: itself.
        is_known: it was told of while it was running.
    """

    key: str
    test: str | None
    program: RunningProgram
    is_known: bool = False


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
        self._worker: str | None = getattr(config, "workerinput", {}).get("workerid")
        self._started: list[Started] = []
        self._unsent: list[RunFacts] = []
        self._count = 0
        # The first one is made within a test, whose start nobody told us. This is what pytest documents for that.
        self._test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0] or None

    def started(self, program: RunningProgram) -> None:
        """A test has started a program."""
        self._count += 1
        self._started.append(Started(f"{self._worker or 'main'}-{self._count}", self._test, program))

    def received(self, text: str) -> None:
        """A worker has sent runs."""
        for run in json.loads(text):
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

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        """With each report a worker sends what is new: if it crashes, the runs of tests that are over are known."""
        data = yield
        if data is not None and self._worker and self._unsent:
            data[RUNS] = self._taken()
        return data

    @pytest.hookimpl(trylast=True)  # when the last fixtures are closed, even if the session was broken off
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._collect()
        if self._worker:
            session.config.workeroutput[RUNS] = self._taken()  # type: ignore[attr-defined]  # of xdist
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

    def _taken(self) -> str:
        """Returns what wasn't sent yet, as text: it may hold what execnet can't send, such as half a character."""
        text = json.dumps(self._unsent)
        self._unsent.clear()
        return text

    def _tell(self, runs: list[RunFacts], timelines: str, report: pytest.TestReport) -> None:
        """Put into a test's report what its programs did, for whoever shows or writes it."""
        report.user_properties += properties(runs, timelines)
        if self._has_html:
            report.extras = [*getattr(report, "extras", ()), extra(timelines)]  # type: ignore[attr-defined]  # of pytest-html

    def _collect(self) -> list[tuple[RunFacts, str]]:
        """Note the runs that are over, and on a worker, once, those that go on: it may crash.

        Returns:
            The first ones, with the text of their timelines.
        """
        over = []
        for each in list(self._started):
            is_over = each.program.is_over
            if is_over or (self._worker and not each.is_known):
                each.is_known = True
                run = self._note(each)
            if is_over:
                self._started.remove(each)
                result = each.program.result
                over.append((run, f"$ {each.program.command}\n{result or 'not recorded'}"))
        return over

    def _note(self, each: Started) -> RunFacts:
        program = each.program
        run = run_facts(
            key=each.key,
            test=each.test,
            command=program.command,
            cwd=program.cwd,
            status=program.status,
            result=program.result,
            is_over=program.is_over,
            complete=bool(self._files),
        )
        self.runs[run["id"]] = run
        if self._worker:
            self._unsent.append(run)
        return run
