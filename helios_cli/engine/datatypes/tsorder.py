"""The order of tsvectors and tsqueries, and queries with a part replaced (tsquery_util.c, tsquery_rewrite.c).

To be compared and searched a query is a tree whose ANDs and ORs have all their operands side by side, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cmp_to_key
from typing import Final

from helios_cli.engine.datatypes import tsquery, tsvector
from helios_cli.engine.datatypes.orders import compare_values
from helios_cli.engine.datatypes.tsquery import AND, NOT, OR, PHRASE, Operation, Query, Value

_VALUE: Final = 0
"""As the kind of a tree: it is a lexeme."""


@dataclass(slots=True)
class _Tree:
    """A lexeme, or an operator over others: the right operand comes first, as PostgreSQL keeps them."""

    kind: int
    value: Value | None = None
    crc: int = 0
    distance: int = 1
    children: list[_Tree] = field(default_factory=list)
    is_new: bool = False
    """Put in the place of another: nothing in it is replaced."""


def legacy_crc(octets: bytes) -> int:
    """PostgreSQL's legacy CRC-32: the usual table used in the other direction."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = _CRC[(crc >> 24 ^ octet) & 0xFF] ^ (crc << 8 & 0xFFFFFFFF)
    return crc ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value


_CRC: Final = tuple(_crc_entry(value) for value in range(256))


def compare_queries(left: str, right: str) -> int:
    """Below, at or above 0 as one tsquery is before the other (CompareTSQ)."""
    mine, theirs = tsquery.read(left), tsquery.read(right)
    sizes = compare_values(_size(mine), _size(theirs))
    return sizes if sizes or mine is None or theirs is None else _compare(_tree(mine), _tree(theirs))


def _size(query: Query | None) -> tuple[int, int]:
    """The number of nodes, and the bytes of the lexemes."""
    found = list(tsquery.nodes(query))
    return len(found), sum(len(node.lexeme.encode()) + 1 for node in found if isinstance(node, Value))


def _tree(query: Query) -> _Tree:
    if isinstance(query, Value):
        crc = legacy_crc(query.lexeme.encode())
        return _Tree(_VALUE, query, crc - (1 << 32) if crc >> 31 else crc)
    operands = [query.right] if query.left is None else [query.right, query.left]
    return _Tree(query.kind, None, 0, query.distance, [_tree(operand) for operand in operands])


def _compare(left: _Tree, right: _Tree) -> int:
    """The order of two trees (QTNodeCompare): what is greater comes first, but for the lexemes' bytes."""
    if left.value is not None and right.value is not None:
        found = compare_values(right.crc, left.crc)
        return found or compare_values(left.value.lexeme.encode(), right.value.lexeme.encode())
    # An operator comes before a lexeme.
    mine, theirs = ((tree.kind, len(tree.children)) for tree in (left, right))
    if mine != theirs:
        return compare_values(theirs, mine)
    for one, other in zip(left.children, right.children, strict=True):
        found = _compare(one, other)
        if found:
            return found
    return compare_values(right.distance, left.distance) if left.kind == PHRASE else 0


def compare_vectors(left: str, right: str) -> int:
    """Below, at or above 0 as one tsvector is before the other (silly_cmp_tsvector)."""
    mine, theirs = tsvector.read(left), tsvector.read(right)
    sizes = compare_values((_bytes(mine), len(mine)), (_bytes(theirs), len(theirs)))
    if sizes:
        return sizes
    for (lexeme, places), (other, others) in zip(mine.items(), theirs.items(), strict=True):
        found = compare_values(bool(others), bool(places)) or compare_values(lexeme.encode(), other.encode())
        found = found or compare_values(len(others), len(places)) or compare_values(others, places)
        if found:
            return found
    return 0


def _bytes(lexemes: tsvector.Lexemes) -> int:
    """The size of a vector in PostgreSQL, without its head."""
    used = 0
    for lexeme, places in lexemes.items():
        used += len(lexeme.encode())
        if places:
            used += (used & 1) + 2 + 2 * len(places)
    return 4 * len(lexemes) + used


def rewrite(query: str, target: str, substitute: str) -> str:
    """A tsquery with ``substitute`` in each place of ``target``, which goes away where that is empty."""
    tree, wanted, new = tsquery.read(query), tsquery.read(target), tsquery.read(substitute)
    if tree is None or wanted is None:
        return query
    found = _replaced(_arranged(_tree(tree)), _arranged(_tree(wanted)), _tree(new) if new is not None else None)
    return "" if found is None else tsquery.write(_query(found))


def _arranged(tree: _Tree) -> _Tree:
    """Operands of ANDs within ANDs and ORs within ORs side by side, all in order (QTNTernary, QTNSort)."""
    children: list[_Tree] = []
    for child in map(_arranged, tree.children):
        children += child.children if tree.kind in (AND, OR) and child.kind == tree.kind else [child]
    if tree.kind != PHRASE:
        children.sort(key=cmp_to_key(_compare))
    return _Tree(tree.kind, tree.value, tree.crc, tree.distance, children)


def _sorted(tree: _Tree) -> _Tree:
    """Operands in order, where they are (QTNSort)."""
    tree.children = [_sorted(replace(child)) for child in tree.children]
    if tree.kind != PHRASE:
        tree.children.sort(key=cmp_to_key(_compare))
    return tree


def _replaced(tree: _Tree, wanted: _Tree, new: _Tree | None) -> _Tree | None:
    """The tree with what is wanted replaced by ``new``; None: nothing is left of it (dofindsubquery)."""
    found = _met(tree, wanted, new)
    if found is None or found.is_new or found.kind == _VALUE:
        return found
    children = [_replaced(child, wanted, new) for child in found.children]
    found.children = [child for child in children if child is not None]
    if not found.children:
        return None
    return found.children[0] if len(found.children) == 1 and found.kind != NOT else found


def _met(tree: _Tree, wanted: _Tree, new: _Tree | None) -> _Tree | None:
    """``new`` where the tree, or some of its operands, are what is wanted (findeq); else the tree."""
    if tree.kind != wanted.kind or tree.is_new:
        return tree
    if len(tree.children) == len(wanted.children):
        return _fresh(new) if _compare(tree, wanted) == 0 else tree
    if not 0 < len(wanted.children) < len(tree.children):
        return tree
    left = list(wanted.children)
    rest = []
    for child in tree.children:
        if left and _compare(child, left[0]) == 0:
            left.pop(0)
        else:
            rest.append(child)
    if left:
        return tree
    put = _fresh(new)
    rest += [_sorted(put)] if put is not None else []
    tree.children = sorted(rest, key=cmp_to_key(_compare))
    return tree


def _fresh(new: _Tree | None) -> _Tree | None:
    return None if new is None else _Tree(new.kind, new.value, new.crc, new.distance, new.children, is_new=True)


def _query(tree: _Tree) -> Query:
    """The query of a tree, several operands as pairs of pairs (QTNBinary)."""
    if tree.value is not None:
        return tree.value
    operands = [_query(child) for child in tree.children]
    if tree.kind == NOT:
        return Operation(NOT, None, operands[0])
    while len(operands) > 2:
        operands[:2] = [operands.pop(), Operation(tree.kind, operands[1], operands[0])][::-1]
    return Operation(tree.kind, operands[1], operands[0], tree.distance)
