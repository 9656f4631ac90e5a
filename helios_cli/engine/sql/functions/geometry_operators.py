"""Operators of points, segments, boxes, paths, polygons, lines and circles (PostgreSQL manual, 9.11; geo_ops.c)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from helios_cli.engine.sql.functions import geometry as figures
from helios_cli.engine.sql.functions import geometry_lines as lines
from helios_cli.engine.sql.functions import geometry_polygons as polygons
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.geometry import Point, distance, same, same_point
from helios_cli.engine.sql.functions.geometry_lines import Box, Segment, at_most, less
from helios_cli.engine.sql.oids import BOOL, BOX, CIRCLE, FLOAT8, INT4, LINE, LSEG, PATH, POINT, POLYGON
from helios_cli.engine.sql.runtime_numbers import division_by_zero, stored_float

Circle = tuple[Point, float]
Path = tuple[bool, list[Point]]
"""Whether it is closed, and its points."""
Call = Callable[..., Any]
Entry = tuple[str, int, int, int, Call]
"""Operator, types of the operands (0: no left one), type of the result, and what computes it from the figures."""


def _pair(text: str) -> tuple[Point, Point]:
    first, second = figures.points(text)
    return first, second


_READ: Final[dict[int, Call]] = {
    POINT: lambda text: figures.points(text)[0],
    LSEG: _pair,
    BOX: _pair,
    PATH: lambda text: (figures.is_closed(text), figures.points(text)),
    POLYGON: figures.points,
    LINE: lambda text: tuple(figures.numbers(text)),
    CIRCLE: figures.circle,
}
_WRITE: Final[dict[int, Call]] = {
    BOOL: int,
    INT4: int,
    FLOAT8: lambda number: stored_float(float(number)),
    POINT: figures.point_text,
    BOX: lambda box: figures.box_text(*box),
    PATH: lambda path: figures.path_text(path[1], path[0]),
    CIRCLE: lambda circle: figures.circle_text(*circle),
}


# Where figures lie ---------------------------------------------------------------------------------------------------


def _sides(kind: int, low: Call, high: Call, before: Call, no_further: Call) -> Iterator[Entry]:
    """Left, right, below and above of figures, whose ends along an axis are what ``low`` and ``high`` give."""
    for axis, (left, overleft, overright, right) in enumerate((("<<", "&<", "&>", ">>"), ("<<|", "&<|", "|&>", "|>>"))):
        yield left, kind, kind, BOOL, lambda a, b, at=axis: before(high(a, at), low(b, at))
        yield right, kind, kind, BOOL, lambda a, b, at=axis: before(high(b, at), low(a, at))
        yield overleft, kind, kind, BOOL, lambda a, b, at=axis: no_further(high(a, at), high(b, at))
        yield overright, kind, kind, BOOL, lambda a, b, at=axis: no_further(low(b, at), low(a, at))


def _sizes(kind: int, size: Call) -> Iterator[Entry]:
    """Comparisons by a measure."""
    yield "<", kind, kind, BOOL, lambda a, b: less(size(a), size(b))
    yield "<=", kind, kind, BOOL, lambda a, b: at_most(size(a), size(b))
    yield ">", kind, kind, BOOL, lambda a, b: less(size(b), size(a))
    yield ">=", kind, kind, BOOL, lambda a, b: at_most(size(b), size(a))
    if kind != LSEG:
        yield "=", kind, kind, BOOL, lambda a, b: same(size(a), size(b))


def _around(polygon: list[Point]) -> Box:
    return lines.box_around(polygon)


def _positions() -> Iterator[Entry]:
    yield from _sides(BOX, lambda box, at: box[1][at], lambda box, at: box[0][at], less, at_most)
    yield from _sides(CIRCLE, lambda one, at: one[0][at] - one[1], lambda one, at: one[0][at] + one[1], less, at_most)
    yield from _sides(
        POLYGON, lambda one, at: _around(one)[1][at], lambda one, at: _around(one)[0][at], float.__lt__, float.__le__
    )
    for symbol, axis, up in (("<<", 0, 0), (">>", 0, 1), ("<<|", 1, 0), ("|>>", 1, 1), ("<^", 1, 0), (">^", 1, 1)):
        yield symbol, POINT, POINT, BOOL, lambda a, b, at=axis, up=up: less(b[at], a[at]) if up else less(a[at], b[at])
    yield "<^", BOX, BOX, BOOL, lambda a, b: at_most(a[0][1], b[1][1])
    yield ">^", BOX, BOX, BOOL, lambda a, b: at_most(b[0][1], a[1][1])
    yield "?-", POINT, POINT, BOOL, lambda a, b: same(a[1], b[1])
    yield "?|", POINT, POINT, BOOL, lambda a, b: same(a[0], b[0])
    yield "?-", 0, LSEG, BOOL, lambda a: same(a[0][1], a[1][1])
    yield "?|", 0, LSEG, BOOL, lambda a: same(a[0][0], a[1][0])
    yield "?-", 0, LINE, BOOL, lambda a: same(a[0], 0)
    yield "?|", 0, LINE, BOOL, lambda a: same(a[1], 0)


# Equality and size ---------------------------------------------------------------------------------------------------


def _box_area(box: Box) -> float:
    (right, high), (left, low) = box
    return (right - left) * (high - low)


def _circle_area(circle: Circle) -> float:
    return circle[1] ** 2 * math.pi


def _path_length(path: Path) -> float:
    return sum(distance(*side) for side in polygons.outline(path[1], path[0]))


def _same_points(one: list[Point], other: list[Point]) -> bool:
    """Whether two polygons have the same points, from wherever and in whichever direction they begin (plist_same)."""
    if len(one) != len(other):
        return False
    turned = (step for way in (other, other[::-1]) for step in (way[at:] + way[:at] for at in range(len(way))))
    return any(all(map(same_point, one, way)) for way in turned)


def _equalities() -> Iterator[Entry]:
    yield from _sizes(BOX, _box_area)
    yield from _sizes(CIRCLE, _circle_area)
    yield from _sizes(LSEG, lambda segment: distance(*segment))
    for symbol, entry in (
        ("<", int.__lt__),
        ("<=", int.__le__),
        ("=", int.__eq__),
        (">=", int.__ge__),
        (">", int.__gt__),
    ):
        yield symbol, PATH, PATH, BOOL, lambda a, b, call=entry: call(len(a[1]), len(b[1]))
    yield "=", LSEG, LSEG, BOOL, lambda a, b: all(map(same_point, a, b))
    yield "<>", LSEG, LSEG, BOOL, lambda a, b: not all(map(same_point, a, b))
    yield "=", LINE, LINE, BOOL, lines.same_line
    yield "<>", CIRCLE, CIRCLE, BOOL, lambda a, b: not same(_circle_area(a), _circle_area(b))
    yield "<>", POINT, POINT, BOOL, lambda a, b: not same_point(a, b)
    yield "~=", POINT, POINT, BOOL, same_point
    yield "~=", BOX, BOX, BOOL, lambda a, b: all(map(same_point, a, b))
    yield "~=", CIRCLE, CIRCLE, BOOL, lambda a, b: same(a[1], b[1]) and same_point(a[0], b[0])
    yield "~=", POLYGON, POLYGON, BOOL, _same_points
    yield "@-@", 0, LSEG, FLOAT8, lambda a: distance(*a)
    yield "@-@", 0, PATH, FLOAT8, _path_length
    yield "#", 0, PATH, INT4, lambda a: len(a[1])
    yield "#", 0, POLYGON, INT4, len
    for kind in (LSEG, BOX):
        yield "@@", 0, kind, POINT, lambda a: ((a[0][0] + a[1][0]) / 2, (a[0][1] + a[1][1]) / 2)
    yield "@@", 0, CIRCLE, POINT, lambda a: a[0]
    yield "@@", 0, POLYGON, POINT, lambda a: (sum(x for x, _ in a) / len(a), sum(y for _, y in a) / len(a))


# Containment and crossing --------------------------------------------------------------------------------------------


def _box_in_box(inner: Box, outer: Box) -> bool:
    return all(at_most(inner[0][at], outer[0][at]) and at_most(outer[1][at], inner[1][at]) for at in (0, 1))


def _on_path(point: Point, path: Path) -> bool:
    closed, found = path
    if closed:
        return polygons.contains_point(found, point)
    return any(lines.on_segment(side, point) for side in polygons.outline(found, closed=False))


def _in_circle(point: Point, circle: Circle) -> bool:
    return distance(point, circle[0]) <= circle[1]


def _both_ways(pairs: tuple[tuple[int, int, Call], ...]) -> Iterator[Entry]:
    """``<@`` of two kinds, and ``@>`` the other way round."""
    for inner, outer, call in pairs:
        yield "<@", inner, outer, BOOL, call
        yield "@>", outer, inner, BOOL, lambda a, b, call=call: call(b, a)


def _containments() -> Iterator[Entry]:
    yield from _both_ways((
        (BOX, BOX, _box_in_box),
        (POLYGON, POLYGON, lambda inner, outer: polygons.contains_polygon(outer, inner)),
        (CIRCLE, CIRCLE, lambda inner, outer: at_most(distance(inner[0], outer[0]), outer[1] - inner[1])),
        (POINT, BOX, lambda point, box: lines.in_box(box, point)),
        (POINT, PATH, _on_path),
        (POINT, POLYGON, lambda point, polygon: polygons.contains_point(polygon, point)),
        (POINT, CIRCLE, _in_circle),
    ))  # fmt: skip
    yield "<@", POINT, LINE, BOOL, lambda point, line: lines.on_line(line, point)
    yield "<@", POINT, LSEG, BOOL, lambda point, segment: lines.on_segment(segment, point)
    yield "<@", LSEG, LINE, BOOL, lambda segment, line: all(lines.on_line(line, end) for end in segment)
    yield "<@", LSEG, BOX, BOOL, lambda segment, box: all(lines.in_box(box, end) for end in segment)
    yield "&&", BOX, BOX, BOOL, lines.boxes_overlap
    yield "&&", CIRCLE, CIRCLE, BOOL, lambda a, b: at_most(distance(a[0], b[0]), a[1] + b[1])
    yield "&&", POLYGON, POLYGON, BOOL, polygons.polygons_overlap


def _paths_meet(one: Path, other: Path) -> bool:
    if not lines.boxes_overlap(lines.box_around(one[1]), lines.box_around(other[1])):
        return False
    sides, others = polygons.outline(one[1], one[0]), polygons.outline(other[1], other[0])
    return any(lines.segments_meet(side, crossed) for side in sides for crossed in others)


def _common_box(one: Box, other: Box) -> Box | None:
    if not lines.boxes_overlap(one, other):
        return None
    (right, high), (left, low) = one
    (east, north), (west, south) = other
    return (min(right, east), min(high, north)), (max(left, west), max(low, south))


def _crossings() -> Iterator[Entry]:
    yield "?#", PATH, PATH, BOOL, _paths_meet
    yield "?#", BOX, BOX, BOOL, lines.boxes_overlap
    yield "?#", LSEG, LSEG, BOOL, lambda a, b: lines.segments_meet(a, b) is not None
    yield "?#", LSEG, LINE, BOOL, lambda a, b: lines.line_meets(a, b) is not None
    yield "?#", LSEG, BOX, BOOL, lambda a, b: lines.segment_in_box(b, a)
    yield "?#", LINE, BOX, BOOL, lambda a, b: any(lines.line_meets(edge, a) is not None for edge in lines.edges(b))
    yield "?#", LINE, LINE, BOOL, lambda a, b: lines.lines_meet(a, b) is not None
    yield "#", BOX, BOX, BOX, _common_box
    yield "#", LSEG, LSEG, POINT, lines.segments_meet
    yield "#", LINE, LINE, POINT, lines.lines_meet
    yield "?||", LSEG, LSEG, BOOL, lambda a, b: same(figures.slope(*a), figures.slope(*b))
    yield "?||", LINE, LINE, BOOL, figures.parallel
    yield "?-|", LSEG, LSEG, BOOL, lambda a, b: same(figures.slope(*a), figures.crossing_slope(*b))
    yield "?-|", LINE, LINE, BOOL, figures.perpendicular


# Distances -----------------------------------------------------------------------------------------------------------


def _centers(one: Box, other: Box) -> float:
    return distance(*(((box[0][0] + box[1][0]) / 2, (box[0][1] + box[1][1]) / 2) for box in (one, other)))


def _path_to_point(path: Path, point: Point) -> float:
    sides = polygons.outline(path[1], path[0])
    return min((lines.segment_to_point(side, point)[0] for side in sides), default=0.0)


def _path_to_path(one: Path, other: Path) -> float | None:
    sides, others = polygons.outline(one[1], one[0]), polygons.outline(other[1], other[0])
    return min((lines.segment_to_segment(side, to)[0] for side in sides for to in others), default=None)


def _mirrored(pairs: tuple[tuple[int, int, Call], ...]) -> Iterator[Entry]:
    """``<->`` of two kinds in both orders."""
    for left, right, call in pairs:
        yield "<->", left, right, FLOAT8, call
        if left != right:
            yield "<->", right, left, FLOAT8, lambda a, b, call=call: call(b, a)


def _distances() -> Iterator[Entry]:
    yield from _mirrored((
        (POINT, POINT, distance),
        (BOX, BOX, _centers),
        (LINE, LINE, lines.between_lines),
        (LSEG, LSEG, lambda a, b: lines.segment_to_segment(a, b)[0]),
        (PATH, PATH, _path_to_path),
        (POLYGON, POLYGON, polygons.to_polygon),
        (CIRCLE, CIRCLE, lambda a, b: max(distance(a[0], b[0]) - (a[1] + b[1]), 0.0)),
        (LINE, POINT, lambda a, b: lines.line_to_point(a, b)[0]),
        (LSEG, POINT, lambda a, b: lines.segment_to_point(a, b)[0]),
        (BOX, POINT, lambda a, b: lines.box_to_point(a, b)[0]),
        (PATH, POINT, _path_to_point),
        (POLYGON, POINT, polygons.to_point),
        (CIRCLE, POINT, lambda a, b: max(distance(a[0], b) - a[1], 0.0)),
        (LSEG, LINE, lambda a, b: lines.segment_to_line(a, b)[0]),
        (BOX, LSEG, lambda a, b: lines.box_to_segment(a, b)[0]),
        (POLYGON, CIRCLE, lambda a, b: max(polygons.to_point(a, b[0]) - b[1], 0.0)),
    ))  # fmt: skip
    for left, right, call in (
        (POINT, LINE, lambda a, b: lines.line_to_point(b, a)),
        (POINT, LSEG, lambda a, b: lines.segment_to_point(b, a)),
        (POINT, BOX, lambda a, b: lines.box_to_point(b, a)),
        (LSEG, BOX, lambda a, b: lines.box_to_segment(b, a)),
        (LINE, LSEG, lambda a, b: None if lines.line_slope(a) == figures.slope(*b) else lines.segment_to_line(b, a)),
        (LSEG, LSEG, _nearest_of_segments),
    ):
        yield "##", left, right, POINT, lambda a, b, call=call: _place(call(a, b))


def _nearest_of_segments(one: Segment, other: Segment) -> lines.Nearest | None:
    return None if figures.slope(*one) == figures.slope(*other) else lines.segment_to_segment(other, one)


def _place(found: lines.Nearest | None) -> Point | None:
    return None if found is None or math.isnan(found[0]) else found[1]


# Arithmetic ----------------------------------------------------------------------------------------------------------


def _add(one: Point, other: Point) -> Point:
    return one[0] + other[0], one[1] + other[1]


def _subtract(one: Point, other: Point) -> Point:
    return one[0] - other[0], one[1] - other[1]


def _multiply(one: Point, other: Point) -> Point:
    """As complex numbers: a turn and a stretch."""
    return one[0] * other[0] - one[1] * other[1], one[0] * other[1] + one[1] * other[0]


def _divide(one: Point, other: Point) -> Point:
    size = other[0] ** 2 + other[1] ** 2
    if size == 0:
        raise division_by_zero()
    return (one[0] * other[0] + one[1] * other[1]) / size, (one[1] * other[0] - one[0] * other[1]) / size


def _scaled(circle: Circle, by: Point, move: Call) -> Circle:
    size = figures.hypotenuse(*by)
    radius = {_multiply: circle[1] * size, _divide: circle[1] / (size or 1.0)}.get(move, circle[1])
    return move(circle[0], by), radius


def _join(one: Path, other: Path) -> Path | None:
    return None if one[0] or other[0] else (False, one[1] + other[1])


def _arithmetic() -> Iterator[Entry]:
    yield "+", PATH, PATH, PATH, _join
    for symbol, move in (("+", _add), ("-", _subtract), ("*", _multiply), ("/", _divide)):
        yield symbol, POINT, POINT, POINT, move
        yield symbol, BOX, POINT, BOX, lambda a, b, move=move: (move(a[0], b), move(a[1], b))
        yield symbol, PATH, POINT, PATH, lambda a, b, move=move: (a[0], [move(point, b) for point in a[1]])
        yield symbol, CIRCLE, POINT, CIRCLE, lambda a, b, move=move: _scaled(a, b, move)


ENTRIES: Final[tuple[Entry, ...]] = tuple(
    entry
    for source in (_positions, _equalities, _containments, _crossings, _distances, _arithmetic)
    for entry in source()
)
"""All of them."""
_CALLS: Final = {entry[:3]: entry[3:] for entry in ENTRIES}


def operate(symbol: str, left: int, right: int, *texts: str) -> Any:
    """What an operator gives for stored figures. Raises SqlError 22012."""
    result, call = _CALLS[symbol, left, right]
    found = call(*(_READ[kind](text) for kind, text in zip((left, right) if left else (right,), texts, strict=True)))
    return None if found is None else _WRITE[result](found)


def install(lib: Library) -> None:
    """Declare the function behind the operators."""
    for count in (1, 2):
        lib.helper(f"pg_geometric_{count}", operate, count + 3)
