"""A forked child inherits its parent's handlers, and runs them too."""

import pytest


def program():
    import atexit
    import os

    def remove_pid_file():
        print("pid file removed", flush=True)

    atexit.register(remove_pid_file)
    if pid := os.fork():
        os.waitpid(pid, 0)


def test_an_inherited_handler_runs_twice(capexit):
    """Once in each process: the child has removed the pid file of its parent."""
    result = capexit.run(program)
    print(result)
    (child,) = result.children
    assert child.role == "fork"
    assert result.ran == child.ran == ["remove_pid_file"]
    assert [handler.inherited for handler in (*result.timeline, *child.timeline)] == [False, True]
    result.assert_ran_once("remove_pid_file")
    with pytest.raises(AssertionError, match="in all processes together"):
        result.assert_ran_once("remove_pid_file", tree=True)


def test_os_exit_in_the_child_leaves_it_to_the_parent(capexit):
    """A child that ends by os._exit runs no handlers."""

    def careful():
        import atexit
        import os

        atexit.register(print, "removed", flush=True)
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)

    result = capexit.run(careful)
    result.assert_ran_once("print", tree=True)
    assert result.children[0].skipped == ["print"]
