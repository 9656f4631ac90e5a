"""The cluster as a drawing: who follows whom, and how each link is.

A double line is a link whose copies count, a single one a link whose copies do not, a dotted one is broken; the word
beside it says the same. In a wide place nodes are boxes, in a narrow one the branches of a tree.
"""

from __future__ import annotations

from typing import Final

from helios_cli.tui import nodetable, words
from helios_cli.tui.lines import GLYPHS, Line, Span, fitted, mark, plain, width_of
from helios_cli.tui.nodetable import Scene
from helios_cli.tui.snapshot import FOLLOWING, NodeSeen, ProxySeen, Tone

BOXES: Final = 92
"""From this width on there is room for boxes."""

BOX_LINES: Final = 4
LINK: Final = 18
PRIMARY: Final = 30
"""Characters of the primary's box where there is little room, and of a follower's where there is much."""
FOLLOWER: Final = 46
PROXY: Final = 24


def draw(scene: Scene, width: int, height: int) -> list[Line]:
    """The drawing for a place of so many characters and lines; one that is too low scrolls."""
    if not scene.snapshot.nodes:
        return [(("no node is known yet", "dim"),)]
    followers = ordered(scene)
    if width >= BOXES and len(followers) * BOX_LINES <= max(height, 3 * BOX_LINES):
        return _boxes(scene, followers, width)
    return _tree(scene, followers)


def ordered(scene: Scene) -> list[tuple[NodeSeen, int]]:
    """All but the primary with their depth below it: whoever follows a standby stands behind that one."""
    primary = scene.snapshot.primary
    others = [one for one in scene.snapshot.nodes if one is not primary]
    names = {one.name for one in others}
    upstreams = {one.name: upstream(scene, one) for one in others}
    found: list[tuple[NodeSeen, int]] = []

    def add(above: str, depth: int) -> None:
        for one in others:
            placed = any(one is node for node, _ in found)
            if not placed and (upstreams[one.name] if upstreams[one.name] in names else "") == above:
                found.append((one, depth))
                add(one.name, depth + 1)

    add("", 0)
    return found + [(one, 0) for one in others if not any(one is node for node, _ in found)]


def upstream(scene: Scene, node: NodeSeen) -> str:
    """Whom a node follows, as far as anybody says; empty: the primary, or nobody knows."""
    own = node.facts.local if node.facts else None
    speaker = scene.snapshot.speaker
    told = speaker.facts.peer(node.name) if speaker and speaker.facts else None
    found = (told.follows if told else "") or (own.follows if own else "")
    primary = scene.snapshot.primary
    return "" if found == node.name or (primary is not None and found == primary.name) else found


def link(node: NodeSeen) -> tuple[str, str, str, Tone]:
    """How the link of a node to whom it follows is: its line, its head, its word, how it is meant."""
    if node.state not in FOLLOWING:
        word = "lost" if node.error else node.state
        return "┄", "✖", word, "bad"
    if node.role == "observer":
        return "┄", "▷", "votes" if node.in_sync else "observes", "ok" if node.in_sync else "dim"
    if node.state == "catchup":
        return "─", "▷", "catching up", "warn"
    return ("═", "▶", "counts", "ok") if node.in_sync else ("─", "▶", "streams", "ok")


def _tree(scene: Scene, followers: list[tuple[NodeSeen, int]]) -> list[Line]:
    primary = scene.snapshot.primary
    found: list[Line] = []
    if primary is not None:
        found.append(_tree_head(primary))
    else:
        found.append((("✖ no primary", "bad"),))
    longest = max((len(node.name) + 2 * depth for node, depth in followers), default=0)
    for i, (node, depth) in enumerate(followers):
        stroke, head, word, tone = link(node)
        corner = "╰" if i == len(followers) - 1 else "├"
        found.append(
            (
                (f" {'  ' * depth}{corner}", "dim"), (f"{stroke}{stroke}{head} ", tone), mark(node),
                (f" {node.name.ljust(longest - 2 * depth)} ", "strong"), (f" {word:<11}", tone),
                *_told(scene, node),
            )
        )  # fmt: skip
    proxy = scene.snapshot.proxy
    if proxy is not None:
        found.append(
            ((f"{GLYPHS[proxy.tone]} proxy ", proxy.tone), (proxy.address, ""), ("  ", ""), *_proxy_told(proxy))
        )
    return found


def _tree_head(primary: NodeSeen) -> Line:
    where = primary.facts.address if primary.facts else ""
    return (mark(primary), (f" {primary.name} ", "strong"), (f" {where}  ", "dim"), (primary.state, primary.tone))


def _told(scene: Scene, node: NodeSeen) -> Line:
    """How far behind a follower is, and whether it is the same; of one that is lost, since when."""
    if node.error:
        return ((f" {node.state}, last heard {words.age(node.age_s(scene.now_s))} ago", "bad"),) if node.facts else ()
    if node.role == "observer":
        return ()
    behind = plain(nodetable.lag(scene, node))
    return ((f" {behind:<13}", ""), _equal(node))


def _equal(node: NodeSeen) -> Span:
    if node.identical is None:
        return " ~ unknown", "dim"
    return (" = equal", "ok") if node.identical else (" ≠ DIFFERS", "bad")


def _proxy_told(proxy: ProxySeen) -> Line:
    stats = proxy.facts.stats if proxy.facts else {}
    found: list[Span] = [(proxy.state, proxy.tone)]
    if "clients" in stats and not proxy.error:
        found.append((f"  {stats['clients']:.0f} clients", ""))
    if proxy.statements_s is not None:
        found.append((f"  {words.rate(proxy.statements_s)} stmt/s", ""))
    return tuple(found)


# Boxes ----------------------------------------------------------------------------------------------------------------


def box(title: Line, inner: list[Line], width: int, tone: Tone) -> list[Line]:
    """A frame of ``width`` characters around lines, with a title in its upper edge."""
    room = width - 4
    head = fitted(title, min(width_of(title), width - 5))
    rule = "─" * (width - 5 - width_of(head))
    top: Line = (("╭─ ", tone), *head, (f" {rule}╮", tone))
    body: list[Line] = [(("│ ", tone), *fitted(line, room), (" │", tone)) for line in inner]
    return [top, *body, (("╰" + "─" * (width - 2) + "╯", tone),)]


def _boxes(scene: Scene, followers: list[tuple[NodeSeen, int]], width: int) -> list[Line]:
    proxy = scene.snapshot.proxy
    left = PROXY + 5 if proxy is not None else 0
    room = width - left - LINK
    each = min(FOLLOWER, max(room // 2, room - PRIMARY))
    right = [line for node, depth in followers for line in _follower(scene, node, depth, each)]
    own = min(FOLLOWER, room - each)
    middle = _primary_box(scene, own)
    height = max(len(right), len(middle))
    top = max(0, (height - len(middle)) // 2)
    anchor = top + 2
    rows: list[Line] = []
    links = _links(followers, height, anchor)
    proxy_lines = _proxy_lines(proxy, top, height) if proxy is not None else [()] * height
    for i in range(height):
        inner = middle[i - top] if 0 <= i - top < len(middle) else ()
        rows.append((*proxy_lines[i], *fitted(inner, own), *links[i], *(right[i] if i < len(right) else ())))
    return rows


def _primary_box(scene: Scene, width: int) -> list[Line]:
    primary = scene.snapshot.primary
    if primary is None:
        return box((("✖ no primary", "bad"),), [(("nobody takes writes now", "bad"),), (), ()], width, "bad")
    facts = primary.facts
    where: Line = ((facts.address if facts else "", ""),)
    busy: Line = (
        (f"{words.count(facts.clients if facts else None)} clients", ""), (" · ", "dim"),
        (f"{words.rate(primary.statements_s)} stmt/s", ""),
    )  # fmt: skip
    doing: Line = ((primary.state, primary.tone), (" · ", "dim"), (f"{primary.role}, term {scene.snapshot.term}", ""))
    return box((mark(primary), (f" {primary.name}", "strong")), [where, doing, busy], width, "ok")


def _follower(scene: Scene, node: NodeSeen, depth: int, width: int) -> list[Line]:
    """Four lines."""
    state: Line = ((node.state, node.tone),)
    if node.error:
        state = (*state, (f", last heard {words.age(node.age_s(scene.now_s))} ago", "warn"))
        second: Line = ((words.cut(node.error, width - 4), "dim"),)
    elif node.role == "observer":
        state, second = (*state, (" · observer", "")), ((_address(scene, node), "dim"),)
    else:
        mode = node.facts.mode if node.facts else ""
        via = f" · via {upstream(scene, node)}" if depth else ""
        state = (*state, (" · ", "dim"), (f"{node.role} {mode}{via}", ""))
        second = (("behind ", "dim"), *nodetable.lag(scene, node), _equal(node))
    return box((mark(node), (f" {node.name}", "strong")), [state, second], width, _frame(node))


def _address(scene: Scene, node: NodeSeen) -> str:
    """Where a node is, by the word of whoever knows the cluster best; an observer does not know its own host."""
    speaker = scene.snapshot.speaker
    told = speaker.facts.peer(node.name) if speaker and speaker.facts else None
    return told.address if told else node.facts.address if node.facts else ""


def _frame(node: NodeSeen) -> Tone:
    return "dim" if node.tone == "ok" else node.tone


def _links(followers: list[tuple[NodeSeen, int]], height: int, anchor: int) -> list[Line]:
    """What stands between the primary's box and those of the others, ``LINK`` characters a line."""
    spots = {i * BOX_LINES + 1: node for i, (node, _) in enumerate(followers)}
    if not spots:
        return [((" " * LINK, ""),)] * height
    first, last = min([*spots, anchor]), max([*spots, anchor])
    rows: list[Line] = []
    for i in range(height):
        trunk = _trunk(i, first, last, i in spots, i == anchor)
        feed = "──" if i == anchor else "  "
        node = spots.get(i)
        rows.append((((f"{feed}{trunk}"), "dim"), *(_stroke(node) if node else ((" " * (LINK - 3), ""),))))
    return rows


def _trunk(i: int, first: int, last: int, branches: bool, fed: bool) -> str:
    """The piece of the vertical line at a row: where it begins, ends, branches off, and is joined from the left."""
    if not first <= i <= last:
        return " "
    up, down = i > first, i < last
    pieces = {
        (True, True, True, True): "┼", (True, True, True, False): "├", (True, True, False, True): "┤",
        (True, True, False, False): "│", (False, True, True, True): "┬", (False, True, True, False): "╭",
        (False, True, False, True): "╮", (True, False, True, True): "┴", (True, False, True, False): "╰",
        (True, False, False, True): "╯", (False, False, True, True): "─",
    }  # fmt: skip
    return pieces.get((up, down, branches, fed), "│")


def _stroke(node: NodeSeen) -> Line:
    """The branch to one node: a line, its word in the middle, its head."""
    stroke, head, word, tone = link(node)
    room = LINK - 3 - 2
    text = f" {words.cut(word, room - 4)} "
    before = (room - len(text)) // 2
    return ((stroke * before, tone), (text, tone), (stroke * (room - before - len(text)), tone), (f"{head} ", tone))


def _proxy_lines(proxy: ProxySeen, top: int, height: int) -> list[Line]:
    """The proxy's box and its link to the primary's, for every row."""
    stats = proxy.facts.stats if proxy.facts else {}
    inner: list[Line] = [
        ((proxy.address, ""),),
        ((proxy.state, proxy.tone), (f" · {stats.get('clients', 0):.0f} clients", "")),
        ((f"{words.rate(proxy.statements_s)} stmt/s", ""),),
    ]
    drawn = box((("◇", proxy.tone), (" proxy", "strong")), inner, PROXY, _proxy_frame(proxy))
    rows: list[Line] = []
    for i in range(height):
        inside = drawn[i - top] if 0 <= i - top < len(drawn) else ()
        stroke: Span = ("━━━▶ " if proxy.tone == "ok" else "┄┄✖┄ ", proxy.tone) if i == top + 2 else ("     ", "")
        rows.append((*fitted(inside, PROXY), stroke))
    return rows


def _proxy_frame(proxy: ProxySeen) -> Tone:
    return "dim" if proxy.tone == "ok" else proxy.tone
