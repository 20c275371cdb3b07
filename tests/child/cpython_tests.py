"""Runs a module of CPython's own tests, and writes the outcome of each test to a file.

    python cpython_tests.py FILE MODULE [TEST…]

FILE gets a line of JSON for each outcome, the moment it is known: a test's id and how it went. With tests named, only
those are run. The interpreters that the tests start are like the tests' own in all: without `-I` and `-E`, by which
`script_helper` would keep the environment, and with it the agent, from them.
"""

import json
import sys
import unittest

from test.support import script_helper


class Outcomes(unittest.TestResult):
    """Writes down what became of each test."""

    def __init__(self, path):
        super().__init__()
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115, for as long as the process lives

    def note(self, test, outcome):
        print(json.dumps([test.id(), outcome]), file=self.file, flush=True)

    def addSuccess(self, test):
        self.note(test, "passed")

    def addSkip(self, test, reason):
        self.note(test, f"skipped: {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, f"failed: {error[0].__name__}")

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, f"error: {error[0].__name__}")

    def addExpectedFailure(self, test, error):
        self.note(test, "failed as expected")

    def addUnexpectedSuccess(self, test):
        self.note(test, "passed unexpectedly")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.note(subtest, f"failed: {error[0].__name__}")


def chosen(suite, ids):
    """The tests of a suite that have these ids."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, ids)
        elif test.id() in ids:
            yield test


def main(path, module, *ids):
    vars(script_helper)["__cached_interp_requires_environment"] = True
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    result = Outcomes(path)
    (unittest.TestSuite(chosen(suite, set(ids))) if ids else suite).run(result)
    for test, text in result.failures + result.errors:
        print(f"\n{test.id()}\n{text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
