"""What lies in a polygon, and how far polygons and paths are apart (geo_ops.c). They are sequences of points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from helios_cli.engine.sql.functions.geometry import Point, same, same_point
from helios_cli.engine.sql.functions.geometry_lines import (
    Segment,
    at_most,
    box_around,
    boxes_overlap,
    less,
    on_segment,
    segment_to_point,
    segment_to_segment,
    segments_meet,
)

Polygon = Sequence[Point]
_ON_EDGE = 1 << 30


def outline(polygon: Polygon, closed: bool = True) -> list[Segment]:
    """The sides; the one that closes the figure comes first."""
    joined = list(pairwise(polygon))
    return [(polygon[-1], polygon[0]), *joined] if closed else joined


def contains_point(polygon: Polygon, point: Point) -> bool:
    """Whether a point lies in a polygon or on its edge: how often the edge goes round it (point_inside)."""
    around = [(x - point[0], y - point[1]) for x, y in polygon]
    total = 0
    for here, before in zip([*around[1:], around[0]], around, strict=True):
        crossed = _crossing(*here, *before)
        if crossed == _ON_EDGE:
            return True
        total += crossed
    return total != 0


def _crossing(x: float, y: float, before_x: float, before_y: float) -> int:
    """How a side crosses the positive x axis, in halves of a turn (lseg_crossing)."""
    if same(y, 0):
        return _ending_on_axis(x, before_x, before_y)
    sign = 1 if less(0, y) else -1
    if same(before_y, 0):
        return 0 if less(before_x, 0) else sign
    if less(before_y, 0) if sign < 0 else less(0, before_y):
        return 0
    if at_most(0, x) and less(0, before_x):
        return 2 * sign
    if less(x, 0) and at_most(before_x, 0):
        return 0
    turn = (x - before_x) * y - (y - before_y) * x
    if same(turn, 0):
        return _ON_EDGE
    return 0 if (less(turn, 0) if sign < 0 else less(0, turn)) else 2 * sign


def _ending_on_axis(x: float, before_x: float, before_y: float) -> int:
    if same(x, 0):
        return _ON_EDGE
    if less(0, x):
        if same(before_y, 0):
            return 0 if less(0, before_x) else _ON_EDGE
        return 1 if less(before_y, 0) else -1
    return _ON_EDGE if same(before_y, 0) and not less(before_x, 0) else 0


def polygons_overlap(one: Polygon, other: Polygon) -> bool:
    """``&&``."""
    if not boxes_overlap(box_around(one), box_around(other)):
        return False
    if any(segments_meet(side, crossed) for side in outline(one) for crossed in outline(other)):
        return True
    return contains_point(other, one[0]) or contains_point(one, other[0])


def contains_polygon(outer: Polygon, inner: Polygon) -> bool:
    """``@>``."""
    (right, high), (left, low) = box_around(outer)
    (east, north), (west, south) = box_around(inner)
    if not (at_most(east, right) and at_most(left, west) and at_most(north, high) and at_most(low, south)):
        return False
    return all(_contains_segment(outer, side, 0) for side in outline(inner))


def _contains_segment(polygon: Polygon, segment: Segment, start: int) -> bool:
    """lseg_inside_poly: the sides from number ``start`` on are still to be looked at."""
    first, second = segment
    sides = outline(polygon)
    crossed = False
    for at in range(start, len(polygon)):
        side = sides[at]
        meeting = None
        if on_segment(side, first):
            if on_segment(side, second):
                return True
            inside = _touching(polygon, first, second, side, at + 1)
        elif on_segment(side, second):
            inside = _touching(polygon, second, first, side, at + 1)
        else:
            meeting = segments_meet(segment, side)
            inside = meeting is None or all(
                _contains_segment(polygon, (end, meeting), at + 1) for end in (first, second)
            )
        if not inside:
            return False
        crossed = crossed or meeting is not None
    return crossed or contains_point(polygon, ((first[0] + second[0]) / 2, (first[1] + second[1]) / 2))


def _touching(polygon: Polygon, on: Point, off: Point, side: Segment, start: int) -> bool:
    """touched_lseg_inside_poly: a segment whose one end is on a side; whether the rest of it is inside."""
    ends = side
    if same_point(on, side[0]):
        ends = (side[1], side[1])
    elif same_point(on, side[1]):
        ends = (side[0], side[0])
    for end in ends:
        if on_segment((on, off), end):
            return _contains_segment(polygon, (off, end), start)
    return True


def to_point(polygon: Polygon, point: Point) -> float:
    """From a polygon to a point: 0 inside."""
    if contains_point(polygon, point):
        return 0.0
    return min(segment_to_point(side, point)[0] for side in outline(polygon))


def to_polygon(one: Polygon, other: Polygon) -> float:
    """Between two polygons: 0 where they overlap."""
    if polygons_overlap(one, other):
        return 0.0
    return min(segment_to_segment(side, to)[0] for side in outline(one) for to in outline(other))
