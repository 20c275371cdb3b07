"""The functions of `atexit` look like what they are: built-in functions."""

import atexit
import copy
import inspect
import os
import pickle
import pydoc
import types
import weakref

for function in (
    atexit.register,
    atexit.unregister,
    atexit._clear,
    atexit._run_exitfuncs,
    atexit._ncallbacks,
    os._exit,
    os.execv,
    os.execve,
):
    print(repr(function), str(function), f"{function}", type(function), type(function).__name__)
    print(function.__name__, function.__qualname__, function.__module__, function.__text_signature__, function.__self__)
    print(function.__doc__)
    print(isinstance(function, types.BuiltinFunctionType), isinstance(function, types.FunctionType), function.__class__)
    print(inspect.isbuiltin(function), inspect.isroutine(function), inspect.isfunction(function), callable(function))
    print(inspect.getdoc(function) == function.__doc__, inspect.getmodule(function))
    try:
        print(inspect.signature(function))
    except ValueError as error:
        print(error)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        print(pickle.loads(pickle.dumps(function, protocol)) is function, pickle.dumps(function, protocol))
    print(
        copy.copy(function) is function, copy.deepcopy(function) is function, copy.deepcopy([function])[0] is function
    )
    print(function == function, function != function, function == len, {function: 1}[function], bool(function))
    print(weakref.ref(function)() is function, hasattr(function, "__get__"), hasattr(function, "__code__"))
    print(hasattr(function, "__wrapped__"), hasattr(function, "__func__"), hasattr(function, "__defaults__"))
    owner = type("Owner", (), {"attribute": function})
    print(owner().attribute is function, owner.attribute is function, owner.__dict__["attribute"] is function)
    print(pydoc.plain(pydoc.render_doc(function)))
print(
    repr(atexit), atexit.__name__, atexit.__doc__, atexit.__spec__, atexit.__loader__, sorted(vars(atexit)), dir(atexit)
)
print(atexit.register.__self__ is atexit, pydoc.plain(pydoc.render_doc(atexit)))
print(inspect.getmembers(atexit, inspect.isbuiltin))
