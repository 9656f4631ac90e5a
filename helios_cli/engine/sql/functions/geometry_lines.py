"""Where points, segments, lines and boxes meet, and how far apart they are (geo_ops.c).

A segment and a box are two points, a box with its upper right corner first.
Numbers within EPSILON of each other count as equal, as in PostgreSQL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from helios_cli.engine.sql.functions.geometry import (
    EPSILON,
    Line,
    Point,
    crossing_slope,
    distance,
    hypotenuse,
    same,
    same_point,
    slope,
)

Segment = tuple[Point, Point]
Box = tuple[Point, Point]
Nearest = tuple[float, Point]
"""A distance, and the point at which it was measured; the distance is NaN where there is none."""


def less(one: float, other: float) -> bool:
    """FPlt: by more than EPSILON."""
    return one + EPSILON < other


def at_most(one: float, other: float) -> bool:
    """FPle: less, or as good as equal."""
    return one <= other + EPSILON


def line_at(point: Point, steepness: float) -> Line:
    """The line through a point (line_construct)."""
    x, y = point
    if math.isinf(steepness):
        return -1.0, 0.0, x
    if steepness == 0:
        return 0.0, -1.0, y
    return steepness, -1.0, (y - steepness * x) + 0.0


def line_slope(line: Line) -> float:
    """line_sl."""
    if same(line[0], 0):
        return 0.0
    return math.inf if same(line[1], 0) else line[0] / -line[1]


def line_crossing_slope(line: Line) -> float:
    """line_invsl: of the lines at right angles to it."""
    if same(line[0], 0):
        return math.inf
    return 0.0 if same(line[1], 0) else line[1] / line[0]


def lines_meet(one: Line, other: Line) -> Point | None:
    """Where two lines cross; None for parallel ones."""
    (a, b, c), (d, e, f) = (one, other) if not same(one[1], 0) else (other, one)
    if same(b, 0) or same(d, a * (e / b)):
        return None
    x = (b * f - e * c) / (a * e - d * b)
    return x + 0.0, -(a * x + c) / b + 0.0


def same_line(one: Line, other: Line) -> bool:
    """Whether the numbers of two lines are in proportion."""
    if any(map(math.isnan, (*one, *other))):
        return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))
    ratio = next((a / b for a, b in zip(one, other, strict=True) if not same(b, 0)), 1.0)
    return all(same(a, ratio * b) for a, b in zip(one, other, strict=True))


def between_lines(one: Line, other: Line) -> float:
    """The distance of parallel lines; 0 for others."""
    if lines_meet(one, other) is not None:
        return 0.0
    pairs = ((one[0], other[0]), (one[1], other[1]))
    ratio = next((a / b for a, b in pairs if not same(a, 0) and not same(b, 0)), 1.0)
    return abs(one[2] - ratio * other[2]) / hypotenuse(one[0], one[1])


def on_line(line: Line, point: Point) -> bool:
    """Whether a line goes through a point."""
    return same(line[0] * point[0] + line[1] * point[1] + line[2], 0)


def on_segment(segment: Segment, point: Point) -> bool:
    """Whether a point lies between the ends of a segment."""
    return same(distance(point, segment[0]) + distance(point, segment[1]), distance(*segment))


def line_meets(segment: Segment, line: Line) -> Point | None:
    """Where a line crosses a segment."""
    found = lines_meet(line_at(segment[0], slope(*segment)), line)
    if found is None or not on_segment(segment, found):
        return None
    return next((end for end in segment if same_point(end, found)), found)


def segments_meet(one: Segment, other: Segment) -> Point | None:
    """Where two segments cross."""
    found = line_meets(one, line_at(other[0], slope(*other)))
    return found if found is not None and on_segment(other, found) else None


def line_to_point(line: Line, point: Point) -> Nearest:
    """The point of a line that is nearest to another."""
    found = lines_meet(line_at(point, line_crossing_slope(line)), line)
    return (math.nan, point) if found is None else (distance(found, point), found)


def segment_to_line(segment: Segment, line: Line) -> Nearest:
    """The point of a segment that is nearest to a line."""
    found = line_meets(segment, line)
    if found is not None:
        return 0.0, found
    one, other = (line_to_point(line, end)[0] for end in segment)
    return (one, segment[0]) if one < other else (other, segment[1])


def segment_to_point(segment: Segment, point: Point) -> Nearest:
    """The point of a segment that is nearest to another."""
    _, found = segment_to_line(segment, line_at(point, crossing_slope(*segment)))
    return distance(found, point), found


def segment_to_segment(on: Segment, to: Segment) -> Nearest:
    """The point of the first segment that is nearest to the second."""
    found = segments_meet(on, to)
    if found is not None:
        return 0.0, found
    ends = ((segment_to_point(to, end)[0], end) for end in on)
    return nearest([*(segment_to_point(on, end) for end in to), *ends])


def nearest(found: Iterable[Nearest]) -> Nearest:
    """The first of the smallest distances, of at least one."""
    return min(found, key=lambda one: one[0])


def edges(box: Box) -> tuple[Segment, ...]:
    """The sides of a box, in the order in which PostgreSQL goes through them."""
    (right, high), (left, low) = box
    return tuple((corner, turn) for turn in ((left, high), (right, low)) for corner in ((left, low), (right, high)))


def in_box(box: Box, point: Point) -> bool:
    """Whether a box contains a point, exactly."""
    (right, high), (left, low) = box
    return left <= point[0] <= right and low <= point[1] <= high


def boxes_overlap(one: Box, other: Box) -> bool:
    """box_ov."""
    return all(at_most(one[1][at], other[0][at]) and at_most(other[1][at], one[0][at]) for at in (0, 1))


def box_around(points: Sequence[Point]) -> Box:
    """The smallest box with all points in it."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (max(xs), max(ys)), (min(xs), min(ys))


def segment_in_box(box: Box, segment: Segment) -> bool:
    """Whether a segment and a box have a point in common."""
    if not boxes_overlap(box_around(segment), box):
        return False
    return any(in_box(box, end) for end in segment) or any(segments_meet(edge, segment) for edge in edges(box))


def box_to_point(box: Box, point: Point) -> Nearest:
    """The point of a box that is nearest to another."""
    return (0.0, point) if in_box(box, point) else nearest(segment_to_point(edge, point) for edge in edges(box))


def box_to_segment(box: Box, segment: Segment) -> Nearest:
    """The point of a box that is nearest to a segment; where they overlap that of the segment nearest to the center."""
    if segment_in_box(box, segment):
        center = ((box[0][0] + box[1][0]) / 2, (box[0][1] + box[1][1]) / 2)
        return 0.0, segment_to_point(segment, center)[1]
    return nearest(segment_to_segment(edge, segment) for edge in edges(box))
