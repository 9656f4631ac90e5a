"""Casts between points, segments, boxes, paths, polygons and circles (pg_cast): the functions of the same names."""

from __future__ import annotations

from typing import Final

_OIDS: Final = {"point": 600, "lseg": 601, "path": 602, "box": 603, "polygon": 604, "circle": 718}
CASTS: Final = (
    ("point", "box"), ("lseg", "point"), ("path", "polygon"), ("box", "point"), ("box", "lseg"), ("box", "polygon"),
    ("box", "circle"), ("polygon", "point"), ("polygon", "path"), ("polygon", "box"), ("polygon", "circle"),
    ("circle", "point"), ("circle", "box"), ("circle", "polygon"),
)  # fmt: skip
"""Source and target of each."""


def geometric_casts() -> dict[tuple[int, int], str]:
    """The templates of the casts by OIDs."""
    return {(_OIDS[source], _OIDS[target]): f"pg_{source}_{target}({{0}})" for source, target in CASTS}
