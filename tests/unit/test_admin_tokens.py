"""Which bearer tokens a node's admin verbs take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from helios_cli.engine.net.http_message import Request, Response
from helios_cli.engine.net.http_routes import AdminVerb, Routes
from helios_cli.engine.net.http_token import cluster_token

OWN = "the token of this node"
SECRET = b"a secret of 16 ."


class Backend:
    """A node without a verb: whoever may ask is answered with 404."""

    def health(self) -> str | None:
        return None

    def ready(self) -> str | None:
        return None

    def serves_as(self, role: str) -> str | None:
        return None

    def status(self) -> Mapping[str, Any]:
        return {}

    def metrics(self) -> str:
        return ""

    def admin_verbs(self) -> Mapping[str, AdminVerb]:
        return {}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (OWN, 404),
        (cluster_token(SECRET), 404),
        (cluster_token(b"another secret.."), 403),
        (SECRET.decode(), 403),
        ("", 401),
    ],
    ids=["its own", "of the cluster", "of another cluster", "the secret itself", "none"],
)
def test_a_token_of_the_cluster_is_taken_beside_the_own(given: str, status: int) -> None:
    answer = Routes(Backend(), OWN, cluster_token(SECRET))(asking(given))
    assert isinstance(answer, Response) and answer.status == status


def test_a_short_secret_makes_no_token() -> None:
    assert (cluster_token(b""), cluster_token(b"fifteen letters")) == ("", "")
    for given in ("", "\xa0", "x"):
        answer = Routes(Backend(), OWN, cluster_token(b"fifteen letters"))(asking(given))
        assert isinstance(answer, Response) and answer.status in (401, 403)


def asking(token: str) -> Request:
    return Request("POST", "/admin/none", {"authorization": f"Bearer {token}"}, b"", keep_alive=True)
