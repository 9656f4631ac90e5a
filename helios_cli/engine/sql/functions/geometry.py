"""Functions of points, segments, boxes, paths, polygons, lines and circles (PostgreSQL manual, 9.11; geo_ops.c).

Values are kept as text, so every function reads the numbers of its arguments and writes those of its result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from helios_cli.engine.datatypes import geometric
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.geometric_casts import CASTS

EPSILON: Final = 1e-6
"""Numbers that are no further apart are the same in comparisons of figures (geo_decls.h)."""
Point = tuple[float, float]
Line = tuple[float, float, float]
"""A, B and C of Ax + By + C = 0."""
_NUMBER: Final = re.compile(r"[^()\[\]<>{},]+")


def numbers(text: str) -> list[float]:
    """Every number of a value, in its order."""
    return [float(word) for word in _NUMBER.findall(text)]


def points(text: str) -> list[Point]:
    """The points of a value that is made of nothing else."""
    found = numbers(text)
    return list(zip(found[::2], found[1::2], strict=True))


def same(one: float, other: float) -> bool:
    """FPeq: equal, or as good as."""
    return one == other or abs(one - other) <= EPSILON


def same_point(one: Point, other: Point) -> bool:
    """``~=`` of points."""
    return same(one[0], other[0]) and same(one[1], other[1])


def hypotenuse(x: float, y: float) -> float:
    """As PostgreSQL computes it, to the last digit (pg_hypot)."""
    short, long = sorted((abs(x), abs(y)))
    if math.isinf(x) or math.isinf(y):
        return math.inf
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if short == 0:
        return long
    ratio = short / long
    return long * math.sqrt(1.0 + ratio * ratio)


def distance(one: Point, other: Point) -> float:
    """Between two points."""
    return hypotenuse(one[0] - other[0], one[1] - other[1])


def is_closed(text: str) -> bool:
    """Whether a path's last point is joined with its first."""
    return text.startswith("(")


def _flat(found: Sequence[Point]) -> list[float | str]:
    return ["NaN" if math.isnan(number) else number for point in found for number in point]


def point_text(point: Point) -> str:
    """A point's text."""
    return geometric.write_point(_flat([point]))


def box_text(one: Point, other: Point) -> str:
    """The text of the box between two corners."""
    return geometric.write_box(_flat([one, other]))


def path_text(found: Sequence[Point], closed: bool) -> str:
    """The text of a path, or of a polygon, which is written like a closed one."""
    return geometric.write_polygon(_flat(found)) if closed else geometric.write_segment(_flat(found))


def circle_text(center: Point, radius: float) -> str:
    """A circle's text."""
    return geometric.write_circle(_flat([center, (radius, 0.0)])[:3])


# Conversions ---------------------------------------------------------------------------------------------------------


def middle(text: str) -> Point:
    """The point halfway between the two of a box or a segment."""
    (left, low), (right, high) = points(text)
    return (left + right) / 2, (low + high) / 2


def polygon_circle(text: str) -> tuple[Point, float]:
    """Center and radius of the circle that stands for a polygon: the means of its points and of their distances."""
    found = points(text)
    center = (sum(x for x, _ in found) / len(found), sum(y for _, y in found) / len(found))
    return center, sum(distance(point, center) for point in found) / len(found)


def circle(text: str) -> tuple[Point, float]:
    """Center and radius."""
    x, y, radius = numbers(text)
    return (x, y), radius


def bounds(found: Sequence[Point]) -> tuple[Point, Point]:
    """Two corners of the box around points."""
    return (max(x for x, _ in found), max(y for _, y in found)), (min(x for x, _ in found), min(y for _, y in found))


def _circle_box(text: str) -> str:
    (x, y), radius = circle(text)
    delta = radius / math.sqrt(2.0)
    return box_text((x + delta, y + delta), (x - delta, y - delta))


def _box_circle(text: str) -> str:
    center = middle(text)
    return circle_text(center, distance(center, points(text)[0]))


def _line(one: str, other: str) -> str:
    (first,), (second,) = points(one), points(other)
    if same_point(first, second):
        raise SqlError("invalid line specification: must be two distinct points", sqlstate="22023")
    return geometric.parse_line(f"{one},{other}")


def _box_polygon(text: str) -> str:
    (right, high), (left, low) = points(text)
    return path_text([(left, low), (left, high), (right, high), (right, low)], True)


def _circle_polygon(count: int, text: str) -> str:
    (x, y), radius = circle(text)
    if same(radius, 0.0):
        raise SqlError("cannot convert circle with radius zero to polygon", sqlstate="0A000")
    if count < 2:
        raise SqlError("must request at least 2 points", sqlstate="22023")
    step = 2.0 * math.pi / count
    return path_text(
        [(x - radius * math.cos(at * step), y + radius * math.sin(at * step)) for at in range(count)], True
    )


def _path_polygon(text: str) -> str:
    if not is_closed(text):
        raise SqlError("open path cannot be converted to polygon", sqlstate="22023")
    return text


# Measures ------------------------------------------------------------------------------------------------------------


def sides(text: str) -> list[tuple[Point, Point]]:
    """The segments of a path or polygon."""
    found = points(text)
    joined = list(pairwise(found))
    return [(found[-1], found[0]), *joined] if is_closed(text) else joined


def _path_area(text: str) -> float | None:
    if not is_closed(text):
        return None
    found = points(text)
    following = [*found[1:], found[0]]
    return abs(sum(x * v - y * u for (x, y), (u, v) in zip(found, following, strict=True))) / 2


def _extent(text: str) -> Point:
    (right, high), (left, low) = points(text)
    return right - left, high - low


def slope(one: Point, other: Point) -> float:
    """point_sl: infinite for a vertical line."""
    if same(one[0], other[0]):
        return math.inf
    return 0.0 if same(one[1], other[1]) else (one[1] - other[1]) / (one[0] - other[0])


def crossing_slope(one: Point, other: Point) -> float:
    """point_invsl: of a line at a right angle to that through two points."""
    if same(one[0], other[0]):
        return 0.0
    return math.inf if same(one[1], other[1]) else (one[0] - other[0]) / (other[1] - one[1])


def perpendicular_segments(one: str, other: str) -> int:
    """``?-|`` of segments."""
    return int(same(slope(*points(one)), crossing_slope(*points(other))))


def parallel_segments(one: str, other: str) -> int:
    """``?||`` of segments."""
    return int(same(slope(*points(one)), slope(*points(other))))


def parallel(one: Line, other: Line) -> bool:
    """``?||`` of lines."""
    (a, b, _), (c, d, _) = one, other
    if not same(b, 0):
        return same(c, a * (d / b))
    return same(a, c * (b / d)) if not same(d, 0) else True


def perpendicular(one: Line, other: Line) -> bool:
    """``?-|`` of lines."""
    (a, b, _), (c, d, _) = one, other
    for number, opposite in ((a, d), (c, b), (b, c), (d, a)):
        if same(number, 0):
            return same(opposite, 0)
    return same((a * c) / (b * d), -1.0)


def _lines(compare: Callable[[Line, Line], bool]) -> Callable[[str, str], int]:
    def compared(one: str, other: str) -> int:
        (a, b, c), (d, e, f) = numbers(one), numbers(other)
        return int(compare((a, b, c), (d, e, f)))

    return compared


# Declarations --------------------------------------------------------------------------------------------------------


def install(lib: Library) -> None:
    """Declare them."""
    for name, signature, call in (*_CONVERSIONS, *_MEASURES, *_ANGLES):
        lib.define(name, signature, call)
    by_signature = {(signature, name): call for name, signature, call in _CONVERSIONS}
    for source, target in CASTS:
        lib.helper(f"pg_{source}_{target}", by_signature[f"{source} -> {target}", target], 1)


_Entry = tuple[str, str, Callable[..., Any]]

_CONVERSIONS: Final[tuple[_Entry, ...]] = (
    ("point", "float8 float8 -> point", lambda x, y: point_text((float(x), float(y)))),
    ("point", "box -> point", lambda text: point_text(middle(text))),
    ("point", "lseg -> point", lambda text: point_text(middle(text))),
    ("point", "circle -> point", lambda text: point_text(circle(text)[0])),
    ("point", "polygon -> point", lambda text: point_text(polygon_circle(text)[0])),
    ("box", "point point -> box", lambda one, other: box_text(*points(one), *points(other))),
    ("box", "point -> box", lambda text: box_text(points(text)[0], points(text)[0])),
    ("box", "circle -> box", _circle_box),
    ("box", "polygon -> box", lambda text: box_text(*bounds(points(text)))),
    ("bound_box", "box box -> box", lambda one, other: box_text(*bounds(points(one) + points(other)))),
    ("lseg", "point point -> lseg", lambda one, other: path_text(points(one) + points(other), False)),
    ("lseg", "box -> lseg", lambda text: path_text(points(text), False)),
    ("diagonal", "box -> lseg", lambda text: path_text(points(text), False)),
    ("line", "point point -> line", _line),
    ("path", "polygon -> path", lambda text: text),
    ("polygon", "box -> polygon", _box_polygon),
    ("polygon", "circle -> polygon", lambda text: _circle_polygon(12, text)),
    ("polygon", "int4 circle -> polygon", _circle_polygon),
    ("polygon", "path -> polygon", _path_polygon),
    ("circle", "point float8 -> circle", lambda center, radius: circle_text(points(center)[0], float(radius))),
    ("circle", "box -> circle", _box_circle),
    ("circle", "polygon -> circle", lambda text: circle_text(*polygon_circle(text))),
    ("center", "box -> point", lambda text: point_text(middle(text))),
    ("center", "circle -> point", lambda text: point_text(circle(text)[0])),
    ("pclose", "path -> path", lambda text: path_text(points(text), True)),
    ("popen", "path -> path", lambda text: path_text(points(text), False)),
)
_MEASURES: Final[tuple[_Entry, ...]] = (
    ("area", "box -> float8", lambda text: math.prod(_extent(text))),
    ("area", "circle -> float8", lambda text: circle(text)[1] ** 2 * math.pi),
    ("area", "path -> float8", _path_area),
    ("diameter", "circle -> float8", lambda text: circle(text)[1] * 2),
    ("radius", "circle -> float8", lambda text: circle(text)[1]),
    ("width", "box -> float8", lambda text: _extent(text)[0]),
    ("height", "box -> float8", lambda text: _extent(text)[1]),
    ("length", "lseg -> float8", lambda text: distance(*points(text))),
    ("length", "path -> float8", lambda text: sum(distance(*side) for side in sides(text))),
    ("npoints", "path -> int4", lambda text: len(points(text))),
    ("npoints", "polygon -> int4", lambda text: len(points(text))),
    ("isclosed", "path -> bool", lambda text: int(is_closed(text))),
    ("isopen", "path -> bool", lambda text: int(not is_closed(text))),
    ("slope", "point point -> float8", lambda one, other: slope(points(one)[0], points(other)[0])),
)
_ANGLES: Final[tuple[_Entry, ...]] = (
    ("ishorizontal", "point point -> bool", lambda one, other: int(same(numbers(one)[1], numbers(other)[1]))),
    ("ishorizontal", "lseg -> bool", lambda text: int(same(numbers(text)[1], numbers(text)[3]))),
    ("ishorizontal", "line -> bool", lambda text: int(same(numbers(text)[0], 0))),
    ("isvertical", "point point -> bool", lambda one, other: int(same(numbers(one)[0], numbers(other)[0]))),
    ("isvertical", "lseg -> bool", lambda text: int(same(numbers(text)[0], numbers(text)[2]))),
    ("isvertical", "line -> bool", lambda text: int(same(numbers(text)[1], 0))),
    ("isparallel", "lseg lseg -> bool", parallel_segments),
    ("isparallel", "line line -> bool", _lines(parallel)),
    ("isperp", "lseg lseg -> bool", perpendicular_segments),
    ("isperp", "line line -> bool", _lines(perpendicular)),
)
