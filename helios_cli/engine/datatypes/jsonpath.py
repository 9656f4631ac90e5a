"""jsonpath: reading a path, and the text PostgreSQL prints for it (jsonpath_gram.y, jsonpath.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.faults import insufficient_data
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.jsons import quote_json
from helios_cli.engine.datatypes.numeric import parse_numeric
from helios_cli.engine.errors import SqlError

_TOKEN: Final = re.compile(
    r"""\s*(?:/\*.*?\*/\s*)*(?:
      (?P<number>(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<variable>\$(?:"(?:[^"\\]|\\.)*"|[A-Za-z_][\w$]*))
    | (?P<sign>\*\*|&&|\|\||==|!=|<>|<=|>=|[-+*/%<>!()\[\]{},.?@$:])
    | (?P<word>[^\W\d][\w$]*|\\u[0-9a-fA-F]{4}\w*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_JUNK: Final = re.compile(r"""[^?%$.\[\]{}()|&!=<>@#,*:\-+/\\" \t\n\r\f]""")
"""What may not stand right behind a number (jsonpath_scan.l)."""
METHODS: Final = frozenset(("abs", "size", "type", "floor", "double", "ceiling", "keyvalue", "datetime"))
_COMPARISONS: Final = ("==", "!=", "<>", "<", "<=", ">", ">=")
_FLAGS: Final = "ismxq"
"""Of LIKE_REGEX, in the order in which they are shown."""
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
DEPTH_MAX: Final = 200
"""How deep expressions may nest; PostgreSQL's own limit is its stack."""


@dataclass(frozen=True, slots=True)
class Item:
    """A node of a path. What ``value`` and ``parts`` hold depends on the kind."""

    kind: str
    value: Any = None
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """A path: its expression and its mode."""

    root: Item
    strict: bool


class _Reader:
    """A recursive descent over one path."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self.error(text[at:].strip()[:1])
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
            if match.lastgroup == "number" and (junk := _JUNK.match(text, at)) is not None:
                near = match["number"] + junk[0]
                message = f'trailing junk after numeric literal at or near "{near}" of jsonpath input'
                raise SqlError(message, sqlstate="42601")
        self.at = 0
        self.depth = 0
        self.in_filter = self.in_subscript = 0

    def error(self, near: str | None = None) -> SqlError:
        """42601 at the next token."""
        if near is None:
            near = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        if not near:
            return SqlError("syntax error at end of jsonpath input", sqlstate="42601")
        return SqlError(f'syntax error at or near "{near}" of jsonpath input', sqlstate="42601")

    def peek(self, ahead: int = 0) -> str:
        """The next token's text, '' at the end or for a string."""
        at = self.at + ahead
        return self.tokens[at][1] if at < len(self.tokens) and self.tokens[at][0] != "string" else ""

    def kind(self) -> str:
        """The next token's kind, '' at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> bool:
        """Step over a token if it is the next one."""
        if self.peek() in wanted and self.peek():
            self.at += 1
            return True
        return False

    def expect(self, wanted: str) -> None:
        """Step over a token. Raises 42601."""
        if not self.take(wanted):
            raise self.error()

    # -- expressions ------------------------------------------------------------------------------

    def path(self) -> Path:
        strict = self.take("strict")
        if not strict:
            self.take("lax")
        root = self.disjunction()
        if self.at < len(self.tokens):
            raise self.error()
        return Path(root, strict)

    def disjunction(self) -> Item:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise SqlError("stack depth limit exceeded", sqlstate="54001")
        left = self.conjunction()
        while self.take("||"):
            left = Item("or", None, (left, self.conjunction()))
        self.depth -= 1
        return left

    def conjunction(self) -> Item:
        left = self.predicate()
        while self.take("&&"):
            left = Item("and", None, (left, self.predicate()))
        return left

    def predicate(self) -> Item:
        if self.take("!"):
            if self.peek() == "exists":
                return Item("not", None, (self.predicate(),))
            self.expect("(")
            inner = self.disjunction()
            self.expect(")")
            return Item("not", None, (inner,))
        if self.peek() == "exists" and self.peek(1) == "(":
            self.at += 2
            inner = self.disjunction()
            self.expect(")")
            return Item("exists", None, (inner,))
        left = self.sum()
        sign = self.peek()
        if sign in _COMPARISONS:
            self.at += 1
            return Item("compare", "!=" if sign == "<>" else sign, (left, self.sum()))
        if sign == "like_regex":
            return self.like_regex(left)
        if sign == "starts":
            self.at += 1
            self.expect("with")
            return Item("starts", None, (left, self.initial()))
        if sign == "is" and left.kind == "group":
            self.at += 1
            self.expect("unknown")
            return Item("unknown", None, left.parts)
        return left

    def initial(self) -> Item:
        if self.kind() == "string":
            return Item("string", self.string())
        if self.kind() == "variable":
            return self.primary()
        raise self.error()

    def like_regex(self, left: Item) -> Item:
        self.at += 1
        pattern, flags = self.string(), ""
        if self.take("flag"):
            flags = self.string()
            bad = next((flag for flag in flags if flag not in _FLAGS), None)
            if bad is not None:
                detail = f'Unrecognized flag character "{bad}" in LIKE_REGEX predicate.'
                raise SqlError("invalid input syntax for type jsonpath", sqlstate="42601", detail=detail)
            flags = "".join(flag for flag in _FLAGS if flag in flags)
            if "x" in flags and "q" not in flags:
                message = 'XQuery "x" flag (expanded regular expressions) is not implemented'
                raise SqlError(message, sqlstate="0A000")
        return Item("like_regex", (pattern, flags), (left,))

    def sum(self) -> Item:
        left = self.product()
        while self.peek() in ("+", "-"):
            sign = self.tokens[self.at][1]
            self.at += 1
            left = Item("arithmetic", sign, (left, self.product()))
        return left

    def product(self) -> Item:
        left = self.unary()
        while self.peek() in ("*", "/", "%"):
            sign = self.tokens[self.at][1]
            self.at += 1
            left = Item("arithmetic", sign, (left, self.unary()))
        return left

    def unary(self) -> Item:
        if self.peek() in ("+", "-"):
            sign = self.tokens[self.at][1]
            self.at += 1
            inner = self.unary()
            if inner.kind == "number":
                return inner if sign == "+" else Item("number", _negated(inner.value))
            return Item("sign", sign, (inner,))
        return self.steps(self.primary())

    def primary(self) -> Item:
        kind, text = self.kind(), self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        self.at += 1
        if kind == "number":
            return Item("number", _plain_number(text))
        if kind == "string":
            self.at -= 1
            return Item("string", self.string())
        if kind == "variable":
            name = text[1:]
            return Item("variable", _unquoted(name) if name.startswith('"') else name)
        if text == "$":
            return Item("root")
        if text == "@":
            if not self.in_filter:
                raise SqlError("@ is not allowed in root expressions", sqlstate="42601")
            return Item("current")
        if text == "last" and not self.in_subscript:
            raise SqlError("LAST is allowed only in array subscripts", sqlstate="42601")
        if text == "(":
            inner = self.disjunction()
            self.expect(")")
            return Item("group", None, (inner,)) if self.peek() == "is" else inner
        if text in ("true", "false", "null", "last"):
            return Item(text)
        self.at -= 1
        raise self.error()

    def string(self) -> str:
        """A string token. Raises 42601."""
        if self.kind() != "string":
            raise self.error()
        self.at += 1
        return _unquoted(self.tokens[self.at - 1][1])

    # -- accessors --------------------------------------------------------------------------------

    def steps(self, base: Item) -> Item:
        found: list[Item] = []
        while True:
            if self.take("."):
                found.append(self.member())
            elif self.take("["):
                found.append(self.subscripts())
            elif self.take("?"):
                self.expect("(")
                self.in_filter += 1
                condition = self.disjunction()
                self.in_filter -= 1
                self.expect(")")
                found.append(Item("filter", None, (condition,)))
            else:
                return Item("path", None, (base, *found)) if found else base

    def member(self) -> Item:
        if self.take("*"):
            return Item("any_key")
        if self.take("**"):
            return self.levels()
        if self.kind() == "string":
            return Item("key", self.string())
        if self.kind() not in ("word", "variable"):
            raise self.error()
        name = self.tokens[self.at][1]
        self.at += 1
        if self.peek() == "(" and name in METHODS:
            self.at += 1
            template = self.string() if self.kind() == "string" and name == "datetime" else None
            self.expect(")")
            return Item("method", name, (template,) if template is not None else ())
        return Item("key", name)

    def levels(self) -> Item:
        if not self.take("{"):
            return Item("descend", (0, None))
        low = self.level()
        high = self.level() if self.take("to") else low
        self.expect("}")
        return Item("descend", (low, high))

    def level(self) -> int | None:
        if self.take("last"):
            return None
        if self.kind() != "number" or not self.peek().isdigit():
            raise self.error()
        self.at += 1
        return int(self.tokens[self.at - 1][1])

    def subscripts(self) -> Item:
        if self.take("*"):
            self.expect("]")
            return Item("any_element")
        parts = []
        self.in_subscript += 1
        while True:
            low = self.sum()
            parts.append((low, self.sum() if self.take("to") else None))
            if not self.take(","):
                break
        self.in_subscript -= 1
        self.expect("]")
        return Item("elements", None, tuple(parts))


def _unquoted(token: str) -> str:
    """A quoted token's text."""

    def replace(match: re.Match[str]) -> str:
        body = match[1]
        if body[0] == "u":
            return chr(int(body[1:].strip("{}"), 16))
        if body[0] == "x":
            return chr(int(body[1:], 16))
        return _ESCAPES.get(body, body)

    text = re.sub(r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", replace, token[1:-1], flags=re.DOTALL)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _negated(number: str) -> str:
    if number.startswith("-"):
        return number[1:]
    return "-" + number if number.strip("0.") else number


def _plain_number(text: str) -> str:
    return str(parse_numeric(text.removesuffix(".") if text.endswith(".") else text))


@lru_cache(maxsize=512)
def read_path(text: str) -> Path:
    """A path. Raises SqlError 42601, and 22P02 for nothing at all."""
    if not text.strip():
        raise SqlError(f'invalid input syntax for type jsonpath: "{text}"', sqlstate="22P02")
    return _Reader(text).path()


def parse_jsonpath(text: str) -> str:
    """The text PostgreSQL prints. Raises as :func:`read_path`."""
    path = read_path(text)
    return ("strict " if path.strict else "") + shown(path.root, True)


def parse_jsonpath_binary(data: bytes) -> str:
    """jsonpath_recv: a version byte, then the text. Raises SqlError 22P03."""
    if not data:
        raise insufficient_data()
    if data[0] != 1:
        raise SqlError(f"unsupported jsonpath version number: {data[0]}", sqlstate="XX000")
    return parse_jsonpath(data[1:].decode("utf-8", "replace"))


def format_jsonpath_binary(value: Any) -> bytes:
    """jsonpath_send."""
    return b"\x01" + show(value).encode("utf-8", "replace")


# -- writing --------------------------------------------------------------------------------------

_PRIORITY: Final = {"or": 0, "and": 1, "compare": 2, "starts": 2, "like_regex": 2, "sign": 5}
_NOTHING_LOWER: Final = 6


def _priority(item: Item) -> int:
    if item.kind == "arithmetic":
        return 3 if item.value in "+-" else 4
    return _PRIORITY.get(item.kind, _NOTHING_LOWER)


def shown(item: Item, brackets: bool = False) -> str:
    """An item's text; ``brackets`` around an operator."""
    simple = _SIMPLE.get(item.kind)
    if simple is not None:
        return simple
    if item.kind in ("or", "and", "compare", "arithmetic", "starts"):
        word = {"or": "||", "and": "&&", "starts": "starts with"}.get(item.kind) or item.value
        sides = [shown(part, _priority(part) <= _priority(item)) for part in item.parts]
        text = f"{sides[0]} {word} {sides[1]}"
        return f"({text})" if brackets else text
    if item.kind == "path":
        base, *steps = item.parts
        first = shown(base, True)
        return (f"({first})" if base.kind == "number" else first) + "".join(map(shown, steps))
    if item.kind == "sign":
        text = item.value + shown(item.parts[0], _priority(item.parts[0]) <= _priority(item))
        return f"({text})" if brackets else text
    if item.kind == "like_regex":
        pattern, flags = item.value
        text = f"{shown(item.parts[0], _priority(item.parts[0]) <= 2)} like_regex {quote_json(pattern)}"
        text += f' flag "{flags}"' if flags else ""
        return f"({text})" if brackets else text
    return _shown_rest(item)


_SIMPLE: Final = {
    "root": "$", "current": "@", "last": "last", "true": "true", "false": "false", "null": "null", "any_key": ".*",
    "any_element": "[*]",
}  # fmt: skip


def _shown_rest(item: Item) -> str:
    kind = item.kind
    if kind == "number":
        return str(item.value)
    if kind == "string":
        return quote_json(item.value)
    if kind == "variable":
        return "$" + quote_json(item.value)
    if kind == "key":
        return "." + quote_json(item.value)
    if kind == "method":
        return f".{item.value}({', '.join(quote_json(part) for part in item.parts)})"
    if kind == "elements":
        return "[" + ",".join(_subscript(low, high) for low, high in item.parts) + "]"
    if kind == "descend":
        return ".**" + _levels(*item.value)
    inner = shown(item.parts[0])
    return {"filter": f"?({inner})", "exists": f"exists ({inner})", "not": f"!({inner})", "group": inner,
            "unknown": f"({inner}) is unknown"}[kind]  # fmt: skip


def _subscript(low: Item, high: Item | None) -> str:
    return shown(low) if high is None else f"{shown(low)} to {shown(high)}"


def _levels(low: int | None, high: int | None) -> str:
    if (low, high) == (0, None):
        return ""
    ends = ["last" if end is None else str(end) for end in (low, high)]
    return f"{{{ends[0]}}}" if low == high else f"{{{ends[0]} to {ends[1]}}}"
