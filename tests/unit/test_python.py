"""Which commands run a Python, and by which flags."""

import sys

import pytest

from pytest_atexit._launch._python import flags_of, python_line


@pytest.mark.parametrize(
    ("args", "flags"),
    [
        ("", []),
        ("app.py -I", []),
        ("-c pass -I", []),
        ("-m module -S", []),
        ("-I app.py", ["-I"]),
        ("-ES app.py -I", ["-E", "-S"]),
        ("-OOIc pass -S", ["-O", "-O", "-I"]),
        ("-W error -S app.py", ["-S"]),
        ("-Werror -S app.py", ["-S"]),
        ("-X dev -X importtime -E -", ["-E"]),
        ("-uXdev -S", ["-u", "-S"]),
        ("-WI app.py", []),
        ("--version", ["--version"]),
        ("-- -S", []),
    ],
)
def test_flags_are_those_before_the_program(args, flags):
    """As the interpreter itself reads them: what belongs to the program or is the value of a flag is none."""
    assert flags_of(["python", *args.split()]) == flags


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("#!/usr/bin/python3", ["/usr/bin/python3"]),
        ("#! /usr/bin/python3 -Es", ["/usr/bin/python3", "-Es"]),
        ("#!/usr/bin/env -S python3 -I", ["python3", "-I"]),
        ("#!/opt/pypy/bin/pypy3", ["/opt/pypy/bin/pypy3"]),
        ("#!/bin/sh", None),
        ("print()", None),
        ("", None),
    ],
)
def test_a_script_is_run_by_what_its_first_line_names(tmp_path, first, line):
    """The flags there are flags as well."""
    script = tmp_path / "tool"
    script.write_text(f"{first}\n")
    assert python_line(str(script), ["-S"]) == (line and [*line, str(script), "-S"])


def test_a_link_to_python_is_python(tmp_path):
    """The name of the link doesn't count."""
    link = tmp_path / "tool"
    link.symlink_to(sys.executable)
    assert python_line(str(link), ["-S"]) == [str(link), "-S"]
