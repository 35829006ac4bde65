"""Keeping the interpreter's own pauses short while a Python loop generates load.

Two of them would show as lateness. A full garbage collection walks over every object of the imported
libraries, tens of milliseconds; `gc.freeze` takes those out of it. And a thread that computes keeps the
interpreter for 5 ms at a time; the switch interval shortens that.
"""

from __future__ import annotations

import gc
import sys
import threading

SWITCH_S = 0.0002

_guard = threading.Lock()
_engines = 0
_usual_s = sys.getswitchinterval()


def calm() -> None:
    """Begin; once per engine, each ended by `uncalm`."""
    global _engines, _usual_s
    with _guard:
        _engines += 1
        if _engines == 1:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _usual_s))
        gc.collect()
        gc.freeze()


def uncalm() -> None:
    """End; when the last engine has, everything is as it was."""
    global _engines
    with _guard:
        _engines -= 1
        if _engines == 0:
            sys.setswitchinterval(_usual_s)
            gc.unfreeze()
