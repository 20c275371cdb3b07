"""A part of the agent: a shell's command line, in which the paths of commands become those of stubs."""

from asking import ask, with_stubs
from sitecustomize import modules

BEFORE_COMMANDS = frozenset(
    ("if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command", "eval")
)
BLANK, SEPARATORS, REDIRECTIONS = " \t", ";&|()\n`", "<>"


def asking_line(command, environ):
    """What a shell is given instead: whatever it calls, by name or by path, asks the test."""
    os = modules["os"]
    text = os.fsdecode(command)
    places = [place for place in commands_in(text) if place[2]]
    for (start, end, _), stub in reversed([*zip(places, ask("stubs", [word for _, _, word in places]))]):
        if stub:
            text = text[:start] + quoted(stub) + text[end:]
    variables = with_stubs(environ)
    path = variables.pop("PATH")
    needed = {name: value for name, value in variables.items() if environ.get(name) != value}
    if environ.get("PATH") != path:
        needed["PATH"] = path
    return "".join([f"export {name}={quoted(value)}\n" for name, value in needed.items()]) + text


def quoted(text):
    return "'" + text.replace("'", "'\"'\"'") + "'"


def commands_in(text):
    """Where a shell's command line names commands: start, end and name, which is empty where a variable decides."""
    places, at, expected = [], 0, True
    while at < len(text):
        if text[at] in BLANK:
            at += 1
        elif text[at] in SEPARATORS:
            expected, at = True, at + 1
        elif text[at] in REDIRECTIONS:
            while text[at : at + 1] and text[at] in REDIRECTIONS + BLANK + "&|":
                at += 1
            at, _ = word_at(text, at)
        elif text[at] == "#":
            at = f"{text}\n".index("\n", at)
        else:
            end, word = word_at(text, at)
            name, equals, _ = word.partition("=")
            is_stream = word.isdigit() and text[end : end + 1] in REDIRECTIONS
            is_before = (equals and name.isidentifier()) or word in BEFORE_COMMANDS or word[:1] == "-" or is_stream
            if expected and not is_before:
                places.append((at, end, word))
                expected = False
            places += substituted(text, at, end)
            at = end
    return places


def substituted(text, at, end):
    """The same of what is between double quotes in a word: $(docker ps), `docker ps`."""
    places, is_quoted = [], False
    while at < end:
        start, stop = at + 1, at + 1
        if text[at] == "'" and not is_quoted:
            stop = text.find("'", start) + 1 or end
        elif text[at] == "\\":
            stop = at + 2
        elif text[at] == '"':
            is_quoted = not is_quoted
        elif text[at] == "`" or text.startswith("$(", at):
            start += text[at] == "$"
            stop = closed(text, start, end) if text[at] == "$" else text.find("`", start) % (end + 1)
            places += [(start + first, start + last, word) for first, last, word in commands_in(text[start:stop])]
        at = stop
    return places


def closed(text, at, end):
    """Where a parenthesis is closed that was opened just before."""
    depth = 1
    while at < end and depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at


def word_at(text, at):
    """Where a word ends, and what it says."""
    word, is_fixed = "", True
    while at < len(text) and text[at] not in BLANK + SEPARATORS + REDIRECTIONS:
        character, end = text[at], at + 1
        if character in "'\"":
            while end < len(text) and text[end] != character:
                end += 2 if character == '"' and text[end] == "\\" else 1
            inside = text[at + 1 : end]
            is_fixed = is_fixed and (character == "'" or not {*"$`\\"} & {*inside})
            word, at = word + inside, end + 1
        elif character == "\\":
            word, at = word + text[end : end + 1], end + 1
        else:
            is_fixed = is_fixed and character not in "$*?[~"
            word, at = word + character, end
    return at, word if is_fixed else ""
