"""A shell's command line, in which all that it executes becomes a stub: whatever it calls asks the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

BEFORE_COMMANDS = frozenset(
    ("if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command", "builtin", "coproc")
)
NO_COMMANDS = frozenset(("for", "select", "in", "fi", "done", "esac", "}"))
WITH_ASSIGNMENTS = frozenset(("export", "readonly", "declare", "typeset", "local"))
BLANK, SEPARATORS, REDIRECTIONS = " \t", ";&|()\n", "<>"
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[[^]]*\])?\+?=")
ESCAPED = re.compile(r"'(?=[^']*\\)(\\.|[^\\'])*'", re.DOTALL)  # behind a dollar: bash knows escapes in it
CALLER = "__pytest_atexit"  # a function for words that only the shell knows: what has a slash is called by a stub
INTERPRETERS = "sh|bash|dash|ash|zsh|ksh|python*|pypy*"  # by name they are the real ones on PATH


class Place(NamedTuple):
    """Where a command line names what is executed.

    Attributes:
        kind: `name`, `path` (of any name, for the shell won't look on PATH), `text` (of commands), `search` (a new
            PATH) or, where only the shell knows the words, `words` and, behind `exec`, `last words`.
    """

    start: int
    end: int
    word: str
    kind: str


def asking_text(text: str, stub_for: Callable[[str, bool], str], search: str, any_stub: str) -> str:
    """Returns what a shell is given instead.

    Args:
        text: the command line, or a script.
        stub_for: returns what a command becomes, by its name and whether that must be a path; nothing if it stays.
        search: the folders of stubs.
        any_stub: executes what is in its arguments.
    """
    places = places_in(text)
    for place in sorted(places, reverse=True):
        stub = ""
        if place.kind == "text":
            stub = asking_text(place.word, stub_for, search, any_stub)
        elif place.kind in ("name", "path"):
            stub = stub_for(place.word, place.kind == "path")
        if stub:
            text = text[: place.start] + quoted(stub) + text[place.end :]
        before = {"search": f"{quoted(search)}:", "words": f"{CALLER} ", "last words": f"{quoted(any_stub)} "}
        text = text[: place.start] + before.get(place.kind, "") + text[place.start :]
    if any(place.kind == "words" for place in places):
        which = f'case "$1" in */*|{INTERPRETERS}) {quoted(any_stub)} "$@";; *) "$@";; esac'
        text = f"{CALLER}() {{ case $# in 0) return;; esac; {which}; }}\n{text}"
    return text


def names_in(text: str) -> list[str]:
    """Returns the names and paths of commands in a shell's command line."""
    return [place.word for place in places_in(text) if place.kind in ("name", "path")]


def quoted(text: str) -> str:
    """Returns it as a word of a shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def places_in(text: str) -> list[Place]:
    """Returns all of them."""
    scanner = Scanner(text)
    while scanner.at < len(text):  # a parenthesis may be one too many
        scanner.commands(len(text))
        scanner.at += 1
    return scanner.places


class Scanner:
    """Goes through a command line from its begin to its end."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.places: list[Place] = []
        self._documents: list[tuple[str, bool, bool]] = []  # to come: its last line, has no substitutions, has tabs

    def _sees(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def commands(self, end: int, closing: str = "") -> None:
        """Go to the end, or to what closes these."""
        simple, cases = Simple(self), Cases()
        while self.at < end:
            character = self.text[self.at]
            is_inside = simple.is_condition and character in SEPARATORS + REDIRECTIONS
            if character in BLANK or is_inside or self._sees("\\\n"):
                self.at += 1 + (character == "\\")
            elif character == closing and not cases.is_pattern:
                return
            elif character in REDIRECTIONS:
                self._redirection(end)
            elif character in SEPARATORS:
                simple = self._separator(end, simple, cases)
            elif character == "#":
                self.at = self.text.find("\n", self.at, end) % (end + 1)
            else:
                word = self._word(end)[0] if cases.is_pattern else simple.take(end)
                if cases.is_pattern and word == "esac":
                    simple.expected = False
                cases.see(word)

    def _separator(self, end: int, simple: Simple, cases: Cases) -> Simple:
        """Go behind it. Returns the command that it is in, or a new one."""
        character, start = self.text[self.at], self.at + 1
        is_end_of_case = self._sees(";;") or self._sees(";&")
        self.at = start
        if cases.is_pattern:
            cases.is_pattern = character != ")"
        elif character == "(":
            self.commands(end, ")")
            self.at += 1
            is_head = not self.text[start : self.at - 1].strip()  # of a function
            return Simple(self) if is_head else simple
        else:
            cases.is_pattern = cases.depth > 0 and is_end_of_case
        if character == "\n":
            self._read_documents(end)
        return Simple(self)

    def _redirection(self, end: int) -> None:
        is_document = self._sees("<<") and not self._sees("<<<")
        if self.text[self.at + 1 : self.at + 2] == "(":  # a process: <(docker ps)
            self.at += 1
            return
        while self.at < end and self.text[self.at] in "<>&|":
            self.at += 1
        has_tabs = is_document and self._sees("-")
        self.at += has_tabs
        while self.at < end and self.text[self.at] in BLANK:
            self.at += 1
        start = self.at
        word, _ = self._word(end)
        if is_document:
            self._documents.append((word, bool({*self.text[start : self.at]} & {*"'\"\\"}), has_tabs))

    def _read_documents(self, end: int) -> None:
        while self._documents:
            last, is_literal, has_tabs = self._documents.pop(0)
            while self.at < end:
                stop = self.text.find("\n", self.at, end) % (end + 1)
                line = self.text[self.at : stop]
                if (line.lstrip("\t") if has_tabs else line) == last:
                    self.at = stop + 1
                    break
                if not is_literal:
                    self._double_quoted(stop)
                self.at = max(self.at, stop) + 1

    # ---- words

    def _word(self, end: int) -> tuple[str, bool]:
        """Go to the end of a word. Returns what it says, and whether that is all."""
        word, is_fixed, start = "", True, self.at
        while self.at < end and self.text[self.at] not in BLANK + SEPARATORS + REDIRECTIONS:
            character = self.text[self.at]
            if self._sees("$'") or self._sees('$"'):
                self.at += 1
                if found := ESCAPED.match(self.text, self.at, end):
                    is_fixed, self.at = False, found.end()
            elif character == "'":
                stop = self.text.find("'", self.at + 1, end) % (end + 1)
                word, self.at = word + self.text[self.at + 1 : stop], stop + 1
            elif character == '"':
                first = self.at = self.at + 1
                has_parts = self._double_quoted(end, '"')
                is_fixed = is_fixed and not has_parts
                word, self.at = word + re.sub(r'\\([\\"$`\n])', r"\1", self.text[first : self.at]), self.at + 1
            elif character == "\\":
                word, self.at = word + self.text[self.at + 1 : self.at + 2].strip("\n"), self.at + 2
            elif character in "$`":
                is_fixed = False
                self._substitution(end)
            else:
                is_fixed = is_fixed and not (character in "*?[" or (character == "~" and self.at == start))
                word, self.at = word + character, self.at + 1
        return word, is_fixed or self.text[start : self.at] in ("[", "[[")

    def _double_quoted(self, end: int, closing: str = "") -> bool:
        has_parts = False
        while self.at < end and self.text[self.at] != closing:
            if self.text[self.at] == "\\":
                self.at += 2
            elif self.text[self.at] in "$`":
                has_parts = True
                self._substitution(end, is_quoted=True)
            else:
                self.at += 1
        return has_parts

    def _substitution(self, end: int, *, is_quoted: bool = False) -> None:
        if self._sees("`"):
            stop = self.at + 1
            while stop < end and self.text[stop] != "`":
                stop += 1 + (self.text[stop] == "\\")
            stop, self.at = min(stop, end), self.at + 1
            self.commands(stop)
            self.at = stop + 1
        elif self._sees("$((") and (stop := self._end_of_arithmetic(end)):
            self.at += 3
            self._double_quoted(stop)
            self.at = max(self.at, stop) + 2
        elif self._sees("$("):
            self.at += 2
            self.commands(end, ")")
            self.at += 1
        elif self._sees("${"):
            self.at += 2
            self._parameter(end, is_quoted)
        else:
            self.at += 1

    def _parameter(self, end: int, is_quoted: bool) -> None:
        while self.at < end and self.text[self.at] != "}":
            if self._sees("'") and not is_quoted:
                self.at = self.text.find("'", self.at + 1, end) % (end + 1) + 1
            elif self._sees("\\"):
                self.at += 2
            elif self._sees("$") or self._sees("`"):
                self._substitution(end, is_quoted=is_quoted)
            else:
                self.at += 1
        self.at += 1

    def _end_of_arithmetic(self, end: int) -> int:
        """Where the two parentheses are that close it; 0 if they are of a command."""
        depth, at = 2, self.at + 3
        while at < end:
            depth += {"(": 1, ")": -1}.get(self.text[at], 0)
            if depth == 1:
                return at if self.text.startswith("))", at) else 0
            at += 1
        return 0


class Cases:
    """Whether patterns of a `case` are next, and in how many we are."""

    depth, is_pattern = 0, False

    def see(self, word: str) -> None:
        """Take notice of a word that `Simple.take` has returned."""
        self.depth += {"case": 1, "esac": -1}.get(word, 0)
        self.is_pattern = word == "case in" or (self.is_pattern and word != "esac")


class Simple:
    """A simple command, of which words come one by one."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self.expected = True  # what comes is executed
        self._before = ""  # exec, command, eval, trap, case and the like
        self._is_skipped = False

    @property
    def is_condition(self) -> bool:
        """Whether this is bash's `[[ … ]]`, in which nothing is executed but by a substitution."""
        return self._before == "[["

    def take(self, end: int) -> str:
        """Take a word. Returns what opens or closes a `case`."""
        scanner = self._scanner
        start, known = scanner.at, len(scanner.places)
        word, is_fixed = scanner._word(end)  # noqa: SLF001, they are two halves
        raw = scanner.text[start : scanner.at]
        follows = scanner.text[scanner.at : scanner.at + 1]
        if not raw:  # nothing that we know
            scanner.at += 1
            return ""
        if found := ASSIGNMENT.match(raw):
            if found[0] == "PATH=" and (self.expected or self._before in WITH_ASSIGNMENTS):
                scanner.places.append(Place(start + 5, start + 5, "", "search"))
            if self.expected and follows == "(":  # an array
                self._array(end)
            return ""
        if self._is_skipped or (follows in REDIRECTIONS and follows and word.isdigit()):
            self._is_skipped = False
            return ""
        if not self.expected:
            return self._argument(start, word, is_fixed, known)
        return self._command(start, word, is_fixed)

    def _array(self, end: int) -> None:
        scanner = self._scanner
        scanner.at += 1
        while scanner.at < end and scanner.text[scanner.at] != ")":
            here = scanner.at
            scanner._word(end)  # noqa: SLF001, see above
            scanner.at += scanner.at == here
        scanner.at += 1

    def _argument(self, start: int, word: str, is_fixed: bool, known: int) -> str:
        scanner = self._scanner
        if self._before == "case" and word == "in":
            return "case in"
        if self._before in ("eval", "trap"):
            if is_fixed and word not in ("-", "--"):
                del scanner.places[known:]
                scanner.places.append(Place(start, scanner.at, word, "text"))
            self._before = "" if self._before == "trap" else "eval"
        elif self._before == "[[" and word == "]]":
            self._before = ""
        return ""

    def _command(self, start: int, word: str, is_fixed: bool) -> str:
        scanner = self._scanner
        if is_fixed and word in BEFORE_COMMANDS:
            self._before = word
            return ""
        if self._before and word[:1] == "-":
            self._is_skipped = self._before == "exec" and word == "-a"
            self.expected = not (self._before == "command" and {*word} & {*"vV"})
            self._before = "command -p" if self._before == "command" and "p" in word else self._before
            return ""
        if word == "function":
            self._is_skipped = True
            return ""
        self.expected = False
        if not is_fixed:
            kind = "last words" if self._before == "exec" else "words"
            if self._before not in ("command", "builtin", "command -p"):  # these don't call functions
                scanner.places.append(Place(start, start, "", kind))
        elif word in ("case", "eval", "trap", "[[", *WITH_ASSIGNMENTS):
            self._before = word
        elif word and word not in NO_COMMANDS and not self._is_defined():
            kind = "path" if self._before == "command -p" else "name"
            scanner.places.append(Place(start, scanner.at, word, kind))
        return word if word in ("case", "esac") else ""

    def _is_defined(self) -> bool:
        """Whether it is the name of a function, of which the parentheses follow."""
        return bool(re.compile(r"[ \t]*\([ \t]*\)").match(self._scanner.text, self._scanner.at))
