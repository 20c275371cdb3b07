"""A part of the agent: what only some programs need at their start."""

from sitecustomize import modules, sys


def interpreter_number():
    """0 for the main interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            number = __import__(name).get_current()
        except ImportError:
            continue
        modules.pop(name, None)
        return int(number[0] if type(number) is tuple else number)
    return 0


def cover_early():
    """Cover what was imported before the agent was there, and so tells it nothing."""
    from finalizing import cover_finalizers
    from joining import cover_threading

    cover_finalizers()
    try:
        cover_threading(modules["threading"].__dict__)
    except KeyError:  # there is none, or it is somebody else's module of that name
        pass


def first_process(environ):
    """What counts for the first process only: folders to import from, and how to end."""
    paths, ending = environ.pop("PYTEST_ATEXIT_PATH", ""), environ.pop("PYTEST_ATEXIT_ENDING", "")
    sys.path += [entry for entry in paths.split("\x1f") if entry and entry not in sys.path]
    if ending:
        apply_ending(ending)


def apply_ending(ending):
    """Run `ending` when the main module's last statement has been run, unless it raises."""
    main_namespace, finished = modules["__main__"].__dict__, (lambda: None).__code__.co_code[-2]
    # Not by `compile`: at its first call, it makes all classes of `ast`, which takes longer than many a program.
    made = {}
    exec(f"def end(): {ending}", made)
    code = made["end"].__code__.replace(co_filename="<ending>", co_name="<module>")
    main = None

    def watch_main(frame, event, argument):
        nonlocal main
        if (
            main is None
            and event == "call"
            and frame.f_globals is main_namespace
            and frame.f_code.co_name == "<module>"
        ):
            main = frame  # the first one; later ones are of code that it executes
        elif main is frame and event == "return":
            main = ()
            sys.setprofile(None)
            if frame.f_code.co_code[frame.f_lasti] == finished:
                exec(code, {})

    sys.setprofile(watch_main)
