"""numba: dispatchers for what Python and other kernels call, and the machine code of entries.

python -m bench.core.jit.compiler MODULE FUNCTION FILE    with the types of its arguments on stdin
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import caching
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.np.arrayobj import make_array, populate_array

from bench.core.jit.machine_code import ENTRY, SYMBOLS, cache_folder

OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}


class _LinkedCode(JITCodeLibrary):  # type: ignore[misc]  # numba has no types for us
    """A kernel's code for others to link in, where it is inlined: no machine code is made of it alone."""

    def _optimize_final_module(self) -> None:
        """Nothing: it is optimised once, with all that is around it, where it ends up."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002 - numba's form
        """None: it has no wrapper for Python that could be called."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> _LinkedCode:
        """What is asked for the place of an environment, which only machine code has."""
        return self

    def set_env(self, name: str, environment: object) -> None:
        """Nothing: kernels raise no exception and print nothing, so they need none."""


class _Linked(Compiler):  # type: ignore[misc]
    """numba's compiler up to the code for others."""

    def define_pipelines(self) -> Any:
        """numba's own passes."""
        self.state.library = _LinkedCode(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


class _Place(caching._CacheLocator):  # type: ignore[misc]
    """In our folder, whose name stands for the sources, wherever those lie."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._module = function.__module__

    @classmethod
    def from_function(cls, function: Callable[..., object], file: str) -> _Place:  # noqa: ARG003 - numba's form
        """The place of any function."""
        return cls(function)

    def get_cache_path(self) -> str:
        """Where its files are."""
        return str(cache_folder() / "called")

    def get_source_stamp(self) -> str:
        """The folder has it in its name."""
        return ""

    def get_disambiguator(self) -> str:
        """What tells it from others of the same name."""
        return self._module


class _Places(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Place,)


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Places


def linked(function: Callable[..., object]) -> Any:
    """The dispatcher for other kernels."""
    bare = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _Linked}
    return numba.njit(**OPTIONS, **bare)(function)


def called(function: Callable[..., object]) -> Any:
    """The dispatcher for Python, which keeps what it compiles."""
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher._cache = _Cache(function)
    compile_or_load = dispatcher.compile

    def once_on_this_machine(signature: Any) -> Any:
        with _turn_of(function):
            return compile_or_load(signature)

    dispatcher.compile = once_on_this_machine
    return dispatcher


@contextlib.contextmanager
def _turn_of(function: Callable[..., object]) -> Iterator[None]:
    """Of processes that want a kernel at the same time one compiles it; the others find it kept."""
    with (cache_folder() / f"{function.__module__}.{function.__qualname__}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def type_of(dispatcher: Any) -> Any:
    """What numba takes a kernel for."""
    return numba.typeof(dispatcher)


def type_of_generated(intrinsic: Any) -> Any:
    """What numba takes an intrinsic for."""
    typing = numba.core.registry.cpu_target.typing_context
    typing.refresh()  # it may be newer than what is being compiled
    return typing.resolve_value_type(intrinsic)


def numba_type(text: str) -> Any:
    """numba's type for what `machine_code.type_of` writes."""
    kind, _, rest = text.partition(" ")
    if kind == "array":
        item, dimensions, layout, access = rest.split()
        element = numba.from_dtype(np.dtype(item))
        return types.Array(element, int(dimensions), layout, readonly=access == "r")
    if kind == "tuple":
        found = re.fullmatch(r"([\w.]+):([\w.]+)\((.*)\)", rest)
        assert found is not None, text
        owner: Any = getattr(importlib.import_module(found[1]), found[2])
        return types.NamedTuple([numba_type(part) for part in found[3].split(";")], owner)
    return getattr(types, kind)


def object_code(kernel: Any, signature: tuple[Any, ...]) -> bytes:
    """Machine code of a function ENTRY(words) that calls the kernel (bench.core.jit.machine_code)."""
    kernel.linked.compile(signature)
    compiled = kernel.linked.overloads[signature]
    context, described = compiled.target_context, compiled.fndesc
    library = context.codegen().create_library(ENTRY)
    library.enable_object_caching()
    library.add_linking_library(compiled.library)
    library.add_ir_module(_entry_module(context, described))
    with numba.core.compiler_lock.global_compiler_lock:
        library.finalize()
    _check_symbols(library)
    return bytes(library._get_compiled_object())


def _entry_module(context: Any, described: Any) -> Any:
    from llvmlite import ir

    module = context.create_module(ENTRY)
    kernel = ir.Function(
        module,
        context.call_conv.get_function_type(described.restype, described.argtypes),
        described.llvm_func_name,
    )
    word = ir.IntType(64)
    entry = ir.Function(module, ir.FunctionType(ir.IntType(32), [word.as_pointer()]), ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    table = entry.args[0]

    def words() -> Iterator[Any]:
        number = 0
        while True:
            number += 1
            yield builder.load(builder.gep(table, [word(number)]))

    given = words()
    arguments = [_value(context, builder, kind, given) for kind in described.argtypes]
    status, result = context.call_conv.call_function(
        builder, kernel, described.restype, described.argtypes, arguments
    )
    if isinstance(described.restype, types.Integer | types.Boolean):
        is_signed = isinstance(described.restype, types.Integer) and described.restype.signed
        if result.type.width < word.width:
            result = builder.sext(result, word) if is_signed else builder.zext(result, word)
        builder.store(result, table)
    elif described.restype != types.none:
        raise TypeError(f"an entry returns a whole number or nothing, not {described.restype}")
    builder.ret(status.code)
    return module


def _value(context: Any, builder: Any, kind: Any, words: Iterator[Any]) -> Any:
    """An argument, of the words that belong to it."""
    if isinstance(kind, types.Array):
        array = make_array(kind)(context, builder)
        item_bytes = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        address = next(words)
        shape = [next(words) for _ in range(kind.ndim)]
        strides = [next(words) for _ in range(kind.ndim)]
        populate_array(
            array,
            data=builder.inttoptr(address, array.data.type),
            shape=shape,
            strides=strides,
            itemsize=context.get_constant(types.intp, item_bytes),
            meminfo=None,
        )
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = [_value(context, builder, part, words) for part in kind.types]
        return context.make_tuple(builder, kind, parts)
    value_type = context.get_value_type(kind)
    if isinstance(kind, types.Float):
        return builder.bitcast(next(words), value_type)
    return builder.trunc(next(words), value_type) if value_type.width < 64 else next(words)


def _check_symbols(library: Any) -> None:
    """Raise NameError where a process without numba would not find what the code calls."""
    known = ctypes.CDLL(None)
    for function in library._final_module.functions:
        name = function.name
        if function.is_declaration and not name.startswith("llvm.") and name not in SYMBOLS:
            try:
                getattr(known, name)
            except AttributeError:
                raise NameError(f"compiled code calls {name}, which only numba has") from None


def _end_with_the_harness() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main() -> None:
    """Compile an entry into a file, which is there when it is complete."""
    module, function, name = sys.argv[1:]
    text = sys.stdin.buffer.readline().strip().decode("unicode_escape")
    threading.Thread(target=_end_with_the_harness, daemon=True).start()
    kernel = getattr(importlib.import_module(module), function)
    code = object_code(kernel, tuple(numba_type(line) for line in text.split("\n")))
    file = Path(name)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        part.write_bytes(code)
        part.replace(file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    os._exit(0)  # not over the thread that still reads


if __name__ == "__main__":
    main()
