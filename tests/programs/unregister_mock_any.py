"""mock.ANY is equal to all, and mocks are equal to themselves."""

import atexit
from unittest import mock

first, second = mock.Mock(name="first"), mock.MagicMock(name="second")
atexit.register(first, 1)
atexit.register(second, 2)
atexit.register(print, "taken out")
print(first == mock.ANY, first == mock.ANY)
atexit.unregister(second)
atexit._run_exitfuncs()
print(first.mock_calls, second.mock_calls)
atexit.register(first)
atexit.register(print, "taken out")
atexit.unregister(mock.ANY)
atexit._run_exitfuncs()
print(first.mock_calls)
atexit.register(mock.Mock(side_effect=ValueError("from a mock")), 3)
atexit.register(mock.call)
atexit.register(print, "stays")
