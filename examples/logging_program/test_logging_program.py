"""logging registers a handler of its own, which closes the log: whatever logs at exit should come before it."""


def test_a_handler_that_logs_runs_before_logging_shuts_down(capexit):
    """The module was imported first, so its handler runs last."""

    def program():
        import atexit
        import logging

        logging.basicConfig(format="%(message)s")

        def report():
            logging.getLogger("app").warning("leaving")

        atexit.register(report)

    result = capexit.run(program)
    print(result)
    result.assert_order("report", "shutdown")  # the standard library's handlers are on the timeline …
    assert result.ran == ["report"]  # … and not among those of the program
    assert result.stderr == "leaving\n"


def test_logging_imported_late_shuts_down_first(capexit):
    """The handler that was registered before the import finds the log flushed already."""

    def program():
        import atexit

        def report():
            print("leaving")

        atexit.register(report)
        import logging

        logging.basicConfig()

    result = capexit.run(program)
    result.assert_order("shutdown", "report")
    assert {handler.name: handler.origin for handler in result.timeline} == {"shutdown": "stdlib", "report": "program"}
