"""Errors to one line, a hint and an exit code: the only place that knows the table of exit codes."""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from typing import Final

import typer
from typer.exceptions import TyperException

from helios_cli.engine.errors import HeliosError


class ExitCode(IntEnum):
    """What a program that called us learns."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANNOT_CONNECT = 3
    TIMEOUT = 4
    REFUSED = 5
    DEGRADED = 6
    INTERRUPTED = 130


class Refused(HeliosError):
    """The command would destroy or risk something; a flag named in the hint does it all the same."""

    sqlstate = "NH010"


BY_SQLSTATE: Final = {
    "08007": ExitCode.FAILED,  # the connection stood; the outcome of a commit is unknown
    "57P01": ExitCode.CANNOT_CONNECT,
    "57P02": ExitCode.CANNOT_CONNECT,
    "57P03": ExitCode.CANNOT_CONNECT,
    "53300": ExitCode.CANNOT_CONNECT,
    "28P01": ExitCode.CANNOT_CONNECT,
    "28000": ExitCode.CANNOT_CONNECT,
    "3D000": ExitCode.CANNOT_CONNECT,
    "57014": ExitCode.TIMEOUT,
    "55P03": ExitCode.TIMEOUT,
    "25P03": ExitCode.TIMEOUT,
    "42704": ExitCode.FAILED,
    "NH010": ExitCode.REFUSED,
}
BY_CLASS: Final = {"08": ExitCode.CANNOT_CONNECT, "F0": ExitCode.USAGE}
"""By the first two characters, where the whole code is not listed."""


def exit_code(error: BaseException) -> ExitCode:
    """The exit code of an error; whatever has no code of its own has failed."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, TimeoutError):
        return ExitCode.TIMEOUT
    if isinstance(error, ConnectionError):
        return ExitCode.CANNOT_CONNECT
    if isinstance(error, TyperException):
        return ExitCode.USAGE
    code = sqlstate_of(error)
    if code is None:
        return ExitCode.FAILED
    return BY_SQLSTATE.get(code, BY_CLASS.get(code[:2], ExitCode.FAILED))


def sqlstate_of(error: BaseException) -> str | None:
    """The five characters of an error that has them."""
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else None


def report(error: BaseException, program: str, *, as_json: bool) -> ExitCode:
    """Print an error to standard error.

    Raises:
        BaseException: the error itself when it is a bug of ours, for its traceback.
    """
    code = exit_code(error)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return ExitCode.INTERRUPTED
    if not isinstance(error, (HeliosError, TyperException, OSError)):
        raise error
    message, hint = _message(error), _hint(error, program)
    if not message:  # a group without a command has printed its help
        return code
    if as_json:
        body = {"error": message, "sqlstate": sqlstate_of(error), "hint": hint, "exit_code": int(code)}
        print(json.dumps(body), file=sys.stderr)
        return code
    problems = getattr(error, "problems", ())
    if len(problems) > 1:
        for problem in problems:
            print(f"error: {problem}" + (f" ({problem.hint})" if problem.hint else ""), file=sys.stderr)
        return code
    print(f"error: {message}", file=sys.stderr)
    for name, text in (("detail", getattr(error, "detail", None)), ("hint", hint)):
        if text:
            print(f"{name}: {text}", file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, TyperException):
        return error.format_message()
    problems = getattr(error, "problems", None)
    if problems:
        return str(problems[0])
    if isinstance(error, HeliosError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _hint(error: BaseException, program: str) -> str | None:
    hint = getattr(error, "hint", None)
    if isinstance(hint, str):
        return hint
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        return f"see: {context.command_path if context is not None else program} --help"
    return None
