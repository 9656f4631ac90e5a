"""What clients are told of units that could not be brought to their end."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.errors import HeliosError, OutcomeUnknown, SerializationFailure

_LOOK = "Look whether the change is there before you send it again."

TOO_MUCH: Final = "the node was lost, and what was sent is too much to be sent again"


def unknown(why: str) -> HeliosError:
    """The unit may be done."""
    detail = why[:1].upper() + why[1:].rstrip(".") + "."
    return OutcomeUnknown("the node was lost while it wrote: the outcome is unknown", detail=detail, hint=_LOOK)


def in_doubt(error: HeliosError) -> HeliosError:
    """It may be done, and ``error`` keeps the proxy from asking."""
    return OutcomeUnknown(
        "the node was lost while it wrote, and nobody could be asked for the outcome: it is unknown",
        detail=error.message, hint=_LOOK,
    )  # fmt: skip


def block_lost(why: str) -> HeliosError:
    """Its block is rolled back; ``why`` it could not be run again."""
    return SerializationFailure(
        "the node was lost in the middle of the transaction, which is rolled back",
        detail=f"It could not be run again: {why}.", hint="Retry the transaction.",
    )  # fmt: skip


def not_repeated(why: str) -> HeliosError:
    """It changed nothing, and cannot be sent again."""
    return SerializationFailure(why, hint="Retry the transaction.")


def too_many_losses() -> HeliosError:
    """Whatever it asks for, it may be what ends the nodes."""
    return HeliosError("every node that was to run it was lost over it", sqlstate="08006")
