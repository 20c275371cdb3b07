"""Runs in the agent's namespace where no bytecode lies ready: compiles all parts now, before the program can forbid it.

In a part, `import` then yields the namespace that all of them share. PyPy heeds no `__import__` but the program's:
there calls of `load` take the place of imports, also in what is compiled already.
"""

import marshal

from sitecustomize import Function, load, modules, namespace, sys

PARTS = [  # all of them, for an interpreter can't list what lies in an archive
    "asking",
    "commanding",
    "exiting",
    "extending",
    "failing",
    "finalizing",
    "holding",
    "homes",
    "ignoring",
    "interrupting",
    "joining",
    "leaving",
    "on_pypy",
    "opening",
    "registering",
    "serving",
    "shelling",
    "starting",
    "unregistering",
    "values",
    "waiting",
]

heeds_import = sys.implementation.name == "cpython"
agent, sources, real_import = modules["sitecustomize"], {*PARTS, "sitecustomize"}, __import__
parts = {}


def provide(name, *args):
    """Stands in for `import`."""
    if name not in sources:
        return real_import(name, *args)
    load(name)
    return agent


def source_of(part):
    file = agent.__file__ if part == "sitecustomize" else agent.__file__.replace("sitecustomize", f"parts/{part}")
    text = agent.__spec__.loader.get_data(file).decode()
    if heeds_import:
        return text
    lines, is_inside = [], False  # of an import that takes several lines
    for line in text.split("\n"):
        indent, _, rest = line.partition("from ")
        name = rest.partition(" import ")[0]
        if name in PARTS and not indent.strip():
            lines.append(f"{indent}load({name!r})")
            is_inside = line.endswith("(")
        elif is_inside:
            is_inside = line.strip() != ")"
        else:
            lines.append(line)
    return "\n".join(lines)


for part in PARTS:
    text = source_of(part)
    # Without what is imported from this namespace into itself: it would put state back that has changed meanwhile.
    head, _, rest = text.partition("\nfrom sitecustomize import ")
    rest = rest.partition(")\n" if rest[:1] == "(" else "\n")[2]
    code = compile(head + "\n" + rest, f"<pytest-atexit {part}>", "exec", dont_inherit=True)
    parts[part] = marshal.dumps(code)
if heeds_import:
    namespace["__builtins__"]["__import__"] = provide
else:
    for code in compile(source_of("sitecustomize"), agent.__file__, "exec", dont_inherit=True).co_consts:
        function = namespace.get(getattr(code, "co_name", None))
        if type(function) is Function:
            function.__code__ = code
