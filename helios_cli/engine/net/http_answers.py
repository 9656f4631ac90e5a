"""Answers that the HTTP addresses of nodes and proxies have in common."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from helios_cli.engine.errors import ConfigError, HeliosError, NotServing, ReadOnlyError, SqlError
from helios_cli.engine.net.http_message import Request, Response, error_response, json_response

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Bearer:
    """Who may use the verbs: whoever sends one of the tokens as ``Authorization: Bearer``."""

    def __init__(self, tokens: Sequence[str], hint: str) -> None:
        """Empty ones are none; without any nobody may. ``hint`` says where the token is."""
        self._tokens = tuple(text.encode() for text in tokens if text)
        self._hint = hint

    def refusal(self, request: Request) -> Response | None:
        """None when the token is right; 401 without one, 403 with a wrong one."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return json_response(
                401, {"error": "a bearer token is needed", "hint": self._hint}, WWW_Authenticate="Bearer"
            )
        # All of them are compared: the time does not tell which was nearly right.
        matches = [hmac.compare_digest(given.strip().encode("latin-1"), token) for token in self._tokens]
        return None if any(matches) else error_response(403, "wrong token", hint=self._hint)


def failed(error: HeliosError, status: int | None = None) -> Response:
    """An error of a verb, with its SQLSTATE; the status follows from that unless it is given."""
    body = {"error": error.message, "sqlstate": error.sqlstate, "detail": error.detail, "hint": error.hint}
    return json_response(status or _status_of(error), {key: text for key, text in body.items() if text is not None})


def _status_of(error: HeliosError) -> int:
    if error.sqlstate.startswith("55"):
        # "Object not in prerequisite state": nothing is wrong with the request itself.
        return 409
    if isinstance(error, ConfigError | SqlError):
        return 400
    if isinstance(error, NotServing | ReadOnlyError):
        return 503
    return 409 if error.retryable else 500


def state_response(reason: str | None) -> Response:
    """200 and nothing but that all is well, or 503 and the reason."""
    if reason is None:
        return json_response(200, {"status": "ok"})
    return json_response(503, {"status": "unavailable", "reason": reason}, Retry_After="1")


def not_allowed(request: Request, allowed: str) -> Response:
    """405, and the methods that there are."""
    return json_response(405, {"error": f"{request.method} is not allowed here"}, Allow=allowed)
