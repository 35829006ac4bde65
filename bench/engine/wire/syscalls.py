"""The few system calls of the compiled loop, and those of OpenSSL for lanes over TLS, each in two lives.

Compiled, libc is called by symbol (which survives in machine code that is kept, as a ctypes pointer
does not). With the JIT off the same names call libc through ctypes. Every call returns the
C result, or minus errno where C returns -1.

epoll_pwait2 (nanosecond timeouts, Linux 5.11) is called by number because older C libraries lack
the wrapper; the number is the same on every architecture that has it.
"""

import ctypes
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import PLAIN, compiled, entry, external, generated, inner, int64
from bench.core.jit.machine_code import SYMBOLS
from bench.engine.wire import openssl
from bench.protocols.tls_alerts import REASON_END, REASON_MASK, REASON_OFFSET

CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1
EPOLLIN = int64(0x001)
EPOLLOUT = int64(0x004)
EPOLLERR = 0x008
EPOLLHUP = 0x010
EPOLL_CTL_ADD = int64(1)
EPOLL_CTL_DEL = int64(2)
EPOLL_CTL_MOD = int64(3)
MSG_FLAGS = 0x4000 | 0x40  # MSG_NOSIGNAL | MSG_DONTWAIT
EAGAIN = 11
EINTR = 4
ENOSYS = 38
EPERM = 1
EPIPE = 32
ECONNRESET = 104
EPROTO = 71
ALERT = 1 << 12
"""Larger than every errno: from here on a failure is an alert of TLS."""
PR_SET_TIMERSLACK = 29
STAMP_BYTES = 32
SO_TIMESTAMPNS = 35
SYS_EPOLL_PWAIT2 = 441

# struct epoll_event is packed on x86-64 only: three 32-bit words there, four elsewhere.
EVENT_WORDS = 3 if platform.machine() in ("x86_64", "AMD64") else 4
EVENT_DATA = EVENT_WORDS - 2

if PLAIN:
    _libc: Any = ctypes.CDLL(None, use_errno=True)
    for _name in ("send", "recv", "recvmsg", "read", "pread", "write", "syscall"):
        getattr(_libc, _name).restype = ctypes.c_int64

    def _call(function: Any, *arguments: int) -> int:
        result = function(*(ctypes.c_int64(a) for a in arguments))
        return -ctypes.get_errno() if result == -1 else int(result)

    def _pointer(array: NDArray[Any]) -> int:
        return int(array.ctypes.data)

    def _clock_gettime(clock: int, address: int) -> int:
        return _call(_libc.clock_gettime, clock, address)

    def _send(fd: int, address: int, size: int, flags: int) -> int:
        return _call(_libc.send, fd, address, size, flags)

    def _recv(fd: int, address: int, size: int, flags: int) -> int:
        return _call(_libc.recv, fd, address, size, flags)

    def _recvmsg(fd: int, address: int, flags: int) -> int:
        return _call(_libc.recvmsg, fd, address, flags)

    def _read(fd: int, address: int, size: int) -> int:
        return _call(_libc.read, fd, address, size)

    def _pread(fd: int, address: int, size: int, offset: int) -> int:
        return _call(_libc.pread, fd, address, size, offset)

    def _write(fd: int, address: int, size: int) -> int:
        return _call(_libc.write, fd, address, size)

    def _close(fd: int) -> int:
        return _call(_libc.close, fd)

    def _epoll_ctl(epoll: int, operation: int, fd: int, address: int) -> int:
        return _call(_libc.epoll_ctl, epoll, operation, fd, address)

    def _epoll_wait(epoll: int, address: int, size: int, timeout_ms: int) -> int:
        return _call(_libc.epoll_wait, epoll, address, size, timeout_ms)

    def _syscall6(number: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
        return _call(_libc.syscall, number, a, b, c, d, e, f)

    def _prctl(option: int, a: int, b: int, c: int, d: int) -> int:
        return _call(_libc.prctl, option, a, b, c, d)

    def _memcpy(to: int, source: int, size: int) -> int:
        ctypes.memmove(int(to), int(source), int(size))
        return to

    def _failed(result: int) -> int:
        return result

    def _minus_errno() -> int:
        return -ctypes.get_errno()

    def _ssl_read(session: int, address: int, size: int) -> int:
        return int(openssl.LIBRARY.SSL_read(int(session), int(address), int(size)))

    def _ssl_write(session: int, address: int, size: int) -> int:
        return int(openssl.LIBRARY.SSL_write(int(session), int(address), int(size)))

    def _ssl_get_error(session: int, result: int) -> int:
        return int(openssl.LIBRARY.SSL_get_error(int(session), int(result)))

    def _ssl_shutdown(session: int) -> int:
        return int(openssl.LIBRARY.SSL_shutdown(int(session)))

    def _ssl_free(session: int) -> None:
        openssl.LIBRARY.SSL_free(int(session))

    def _clear_errors() -> None:
        openssl.LIBRARY.ERR_clear_error()

    def _last_error() -> int:
        return int(openssl.LIBRARY.ERR_peek_last_error())
else:
    for _name in openssl.LOOP_SYMBOLS:
        SYMBOLS[f"holdfast_{_name}"] = openssl.address_of(_name)

    _clock_gettime = external("clock_gettime", "int32", "int32", "int64")
    _send = external("send", "int64", "int32", "int64", "int64", "int32")
    _recv = external("recv", "int64", "int32", "int64", "int64", "int32")
    _recvmsg = external("recvmsg", "int64", "int32", "int64", "int32")
    _read = external("read", "int64", "int32", "int64", "int64")
    _pread = external("pread", "int64", "int32", "int64", "int64", "int64")
    _write = external("write", "int64", "int32", "int64", "int64")
    _close = external("close", "int32", "int32")
    _epoll_ctl = external("epoll_ctl", "int32", "int32", "int32", "int32", "int64")
    _epoll_wait = external("epoll_wait", "int32", "int32", "int64", "int32", "int32")
    _syscall6 = external("syscall", "int64", *["int64"] * 7)
    _prctl = external("prctl", "int32", "int32", "int64", "int64", "int64", "int64")
    _memcpy = external("memcpy", "int64", "int64", "int64", "int64")
    _errno_location = external("__errno_location", "int64")
    _ssl_read = external("holdfast_SSL_read", "int32", "int64", "int64", "int32")
    _ssl_write = external("holdfast_SSL_write", "int32", "int64", "int64", "int32")
    _ssl_get_error = external("holdfast_SSL_get_error", "int32", "int64", "int32")
    _ssl_shutdown = external("holdfast_SSL_shutdown", "int32", "int64")
    _ssl_free = external("holdfast_SSL_free", "void", "int64")
    _clear_errors = external("holdfast_ERR_clear_error", "void")
    _last_error = external("holdfast_ERR_peek_last_error", "int64")

    @generated
    def _pointer(typing: Any, array: Any) -> Any:  # noqa: ARG001 - numba's signature
        """Address of an array's first element."""
        from llvmlite import ir
        from numba import types

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, arguments[0])
            return builder.ptrtoint(view.data, ir.IntType(64))

        return types.int64(array), generate

    @generated
    def _load_int32(typing: Any, address: Any) -> Any:  # noqa: ARG001 - numba's signature
        """The 32-bit integer at an address."""
        from llvmlite import ir
        from numba import types

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.load(builder.inttoptr(arguments[0], ir.IntType(32).as_pointer()))

        return types.int32(address), generate

    @inner
    def _failed(result: int) -> int:
        if result == -1:
            return -_load_int32(_errno_location())
        return result

    @inner
    def _minus_errno() -> int:
        return -_load_int32(_errno_location())


@compiled
def now_ns(timespec: NDArray[np.int64]) -> int:
    """CLOCK_MONOTONIC in ns; `timespec` is two int64 of scratch."""
    _clock_gettime(CLOCK_MONOTONIC, _pointer(timespec))
    return timespec[0] * 1_000_000_000 + timespec[1]


@compiled
def wall_ns(timespec: NDArray[np.int64]) -> int:
    """The clock of the kernel's stamps, in ns, for a difference to one of them and nothing else."""
    _clock_gettime(CLOCK_REALTIME, _pointer(timespec))
    return timespec[0] * 1_000_000_000 + timespec[1]


@compiled
def send_bytes(fd: int, data: NDArray[np.uint8], start: int, size: int) -> int:
    """Bytes the kernel took of data[start:start+size], or minus errno; never blocks, never signals."""
    return _failed(_send(fd, _pointer(data) + start, size, MSG_FLAGS))


@compiled
def receive_bytes(fd: int, data: NDArray[np.uint8]) -> int:
    """Bytes read into `data`, 0 at the end of the stream, or minus errno; never blocks."""
    return _failed(_recv(fd, _pointer(data), data.size, MSG_FLAGS))


@compiled
def receive_stamped(
    fd: int,
    data: NDArray[np.uint8],
    message: NDArray[np.int64],
    vector: NDArray[np.int64],
    stamp: NDArray[np.int64],
) -> int:
    """As `receive_bytes`, with the wall time at which the kernel got the last of these bytes.

    `message` is seven int64 (struct msghdr), `vector` two (struct iovec), `stamp` eight: then stamp[0] is
    that time in ns, 0 where the kernel said none. The socket must have SO_TIMESTAMPNS.
    """
    vector[0], vector[1] = _pointer(data), data.size
    message[:] = 0
    message[2], message[3] = _pointer(vector), 1
    message[4], message[5] = _pointer(stamp), 8 * stamp.size
    stamp[0] = 0
    size = _failed(_recvmsg(fd, _pointer(message), MSG_FLAGS))
    # struct cmsghdr: its length with the time, level and type; then a struct timespec.
    if size > 0 and message[5] >= STAMP_BYTES and stamp[0] == STAMP_BYTES:
        stamp[0] = stamp[2] * 1_000_000_000 + stamp[3]
    else:
        stamp[0] = 0
    return size


@compiled
def _tls_failure(session: int, result: int) -> int:
    """Minus errno; 0 where the other side has ended the stream, EPROTO where its TLS is broken. An alert from
    there: minus its number and ALERT.
    """
    system = _minus_errno()
    kind = _ssl_get_error(session, result)
    if kind in (openssl.WANT_READ, openssl.WANT_WRITE):
        return -EAGAIN
    if kind == openssl.ZERO_RETURN:
        return 0
    reason = _last_error() & REASON_MASK
    _clear_errors()  # the thread's queue would be read as the reason of its next failure
    if kind != openssl.SYSCALL:
        return -(ALERT + reason - REASON_OFFSET) if REASON_OFFSET <= reason < REASON_END else -EPROTO
    return system if result < 0 else 0


@compiled
def send_on(fd: int, session: int, data: NDArray[np.uint8], start: int, size: int) -> int:
    """As `send_bytes`; over TLS where there is a session, by records that go out whole."""
    if session == 0:
        return send_bytes(fd, data, start, size)
    sent = 0
    while sent < size:
        result = _ssl_write(session, _pointer(data) + start + sent, size - sent)
        if result <= 0:
            why = _tls_failure(session, result)
            if sent > 0:
                return sent
            return why if why != 0 else -EPIPE
        sent += result
    return sent


@compiled
def receive_on(fd: int, session: int, data: NDArray[np.uint8]) -> int:
    """As `receive_bytes`; over TLS where there is a session, one record, of which `data` takes any. What the
    kernel holds behind it makes the descriptor readable again.
    """
    if session == 0:
        return receive_bytes(fd, data)
    size = _ssl_read(session, _pointer(data), data.size)
    return size if size > 0 else _tls_failure(session, size)


@compiled
def end_session(session: int) -> None:
    """Say goodbye over TLS, as far as the kernel takes it at once, and let go of the session."""
    _ssl_shutdown(session)
    _ssl_free(session)
    _clear_errors()


@compiled
def close_fd(fd: int) -> int:
    """Close a descriptor."""
    return _failed(_close(fd))


@compiled
def read_at_start(fd: int, data: NDArray[np.uint8]) -> int:
    """Bytes of a file's beginning read into `data`, or minus errno."""
    return _failed(_pread(fd, _pointer(data), data.size, 0))


@compiled
def await_eventfd(fd: int, word: NDArray[np.int64]) -> int:
    """Wait for a blocking eventfd and reset it; `word` is one int64 of scratch."""
    return _failed(_read(fd, _pointer(word), 8))


@compiled
def drain_eventfd(fd: int, word: NDArray[np.int64]) -> int:
    """Reset an eventfd; `word` is one int64 of scratch."""
    return _failed(_read(fd, _pointer(word), 8))


@compiled
def signal_eventfd(fd: int, word: NDArray[np.int64]) -> int:
    """Wake whoever waits for an eventfd; `word` is one int64 of scratch."""
    word[0] = 1
    return _failed(_write(fd, _pointer(word), 8))


@entry
def epoll_change(
    epoll: int, operation: int, fd: int, events: int, data: int, scratch: NDArray[np.int32]
) -> int:
    """Add, modify or delete `fd` with `events`, reporting `data`; `scratch` is four int32."""
    scratch[0] = events
    scratch[EVENT_DATA] = data
    scratch[EVENT_DATA + 1] = 0
    return _failed(_epoll_ctl(epoll, operation, fd, _pointer(scratch)))


@compiled
def epoll_poll(epoll: int, events: NDArray[np.int32]) -> int:
    """Number of ready descriptors, at once."""
    return _failed(_epoll_wait(epoll, _pointer(events), events.size // EVENT_WORDS, 0))


@compiled
def epoll_sleep(epoll: int, events: NDArray[np.int32], timeout_ns: int, timespec: NDArray[np.int64]) -> int:
    """Number of ready descriptors, after at most `timeout_ns`."""
    timespec[0] = timeout_ns // 1_000_000_000
    timespec[1] = timeout_ns % 1_000_000_000
    size = events.size // EVENT_WORDS
    ready = _failed(_syscall6(SYS_EPOLL_PWAIT2, epoll, _pointer(events), size, _pointer(timespec), 0, 8))
    if ready in (-ENOSYS, -EPERM):
        # An older kernel, or a sandbox that does not know the call: whole milliseconds, rounded down so
        # that an arrival is never released late.
        ready = _failed(_epoll_wait(epoll, _pointer(events), size, timeout_ns // 1_000_000))
    return ready


@compiled
def sharpen_timers() -> int:
    """Let this thread's sleeps end on time: the kernel's default slack is 50 µs."""
    return _failed(_prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0))


@compiled
def copy_bytes(to: NDArray[np.uint8], at: int, source: NDArray[np.uint8], start: int, size: int) -> None:
    """to[at:at+size] = source[start:start+size], for arrays that do not overlap."""
    _memcpy(_pointer(to) + at, _pointer(source) + start, size)
