"""Registering twice, and what `atexit.unregister` really removes."""

import pytest


def test_registered_twice_runs_twice(capexit):
    """Each registration is one of its own, also of the same function."""

    def program():
        import atexit

        def flush():
            print("flushed")

        atexit.register(flush)
        atexit.register(flush)

    result = capexit.run(program)
    assert result.stdout == "flushed\nflushed\n"
    assert result.duplicates == {"flush": 2}
    result.assert_ran("flush", times=2)
    with pytest.raises(AssertionError, match="flush ran more than once"):
        result.assert_no_duplicates()
    with pytest.raises(AssertionError, match="flush did not run exactly once"):
        result.assert_ran_once("flush")


def test_unregister_removes_every_copy(capexit):
    """One call takes all registrations of the function out."""

    def program():
        import atexit

        def flush():
            print("flushed")

        atexit.register(flush)
        atexit.register(print, "bye")
        atexit.register(flush)
        atexit.unregister(flush)

    result = capexit.run(program)
    assert result.unregistered == ["flush", "flush"]
    assert result.ran == ["print"]


def test_a_namesake_stays(capexit):
    """`unregister` compares objects and not names: another function of the same name is not removed."""

    def program():
        import atexit

        def make(word):
            def flush():
                print(word)

            return flush

        first, second = make("first"), make("second")
        atexit.register(first)
        atexit.register(second)
        atexit.unregister(first)

    result = capexit.run(program)
    assert result.registered == ["flush", "flush"]
    assert result.unregistered == ["flush"]
    assert result.stdout == "second\n"


def test_bound_methods_of_one_object_are_equal(capexit):
    """Each `queue.drain` is a new object, but equal to the one that was registered."""

    def program():
        import atexit

        class Queue:
            def drain(self):
                print("drained")

        queue, other = Queue(), Queue()
        atexit.register(queue.drain)
        atexit.register(other.drain)
        atexit.unregister(queue.drain)

    result = capexit.run(program)
    result.assert_unregistered("Queue.drain")
    result.assert_ran_once("Queue.drain")


def test_strangers_are_ignored(capexit):
    """To unregister what never was registered is no error, and does nothing."""

    def program():
        import atexit

        atexit.register(print, "bye")
        atexit.unregister(len)

    result = capexit.run(program)
    assert result.unregistered == []
    result.assert_ran_once("print")
