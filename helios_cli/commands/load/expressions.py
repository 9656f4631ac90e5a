"""Expressions of pgbench's scripts: read once, reckoned as often as their line comes.

    reckon = compiled("random(1, 100 * :scale)", "transfer.sql:1")
    reckon(Scope({"scale": 10}, random.Random(1)))

Operators, from those that bind least: OR; AND; NOT; IS [NOT] NULL, TRUE, FALSE, ISNULL, NOTNULL; comparisons;
``| # & << >> ~``; ``+ -``; ``* / %``; a sign. Besides there are CASE, and the functions of :mod:`reckoning`.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn, TypeAlias

from helios_cli.commands.load.reckoning import (
    FUNCTIONS,
    INT_MAX,
    INT_MIN,
    OPERATORS,
    SEEDED,
    NotReckoned,
    Value,
    as_bool,
    is_true,
    type_name,
)
from helios_cli.engine.errors import ConfigError


@dataclass(slots=True)
class Scope:
    """What an expression is reckoned with."""

    variables: dict[str, Value | str]
    """Texts are what ``-D`` and ``\\gset`` gave: they become numbers where they are reckoned with."""
    rng: random.Random


Reckon: TypeAlias = Callable[[Scope], Value]
"""Gives the value. Raises NotReckoned."""

_TOKEN: Final = re.compile(
    r"""\s* (?: (?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)? | \.\d+(?:[eE][-+]?\d+)?)
    | :(?P<variable>\w+)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><>|!=|<=|>=|<<|>>|[-+*/%=<>|&\#~(),])
    | (?P<end>\Z) )""",
    re.VERBOSE,
)
_LEVELS: Final = {
    "or": 1, "and": 2, "is": 4, "isnull": 4, "notnull": 4,
    "<": 5, ">": 5, "=": 5, "<=": 5, ">=": 5, "<>": 5,
    "|": 6, "#": 6, "&": 6, "<<": 6, ">>": 6, "+": 7, "-": 7, "*": 8, "/": 8, "%": 8,
}  # fmt: skip
_NOT, _IS, _COMPARISON, _ABOVE_BITS, _SIGN = 3, 4, 5, 7, 9
_CONSTANTS: Final[dict[str, Value]] = {"null": None, "true": True, "false": False}
_KEYWORDS: Final = {*_CONSTANTS, "and", "or", "not", "is", "isnull", "notnull", "case", "when", "then", "else", "end"}


class _Token(NamedTuple):
    kind: str
    text: str


def compiled(text: str, where: str) -> Reckon:
    """What reckons an expression; ``where`` is said in errors, as FILE:LINE.

    Raises:
        ConfigError: it is none.
    """
    parser = _Parser(text, where)
    reckon = parser.expression(0)
    if parser.at.kind != "end":
        parser.fail()
    return reckon


class _Parser:
    """By precedence climbing."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._tokens = self._cut()
        self._next = 0

    def _cut(self) -> list[_Token]:
        tokens: list[_Token] = []
        place = 0
        while not tokens or tokens[-1].kind != "end":
            match = _TOKEN.match(self._text, place)
            if match is None:
                rest = self._text[place:].strip()
                raise ConfigError(f"{self._where}: unexpected character {rest[:1]!r} in {self._text.strip()!r}")
            kind = match.lastgroup or "end"
            text = match[kind].lower() if kind == "word" else match[kind].replace("!=", "<>")
            tokens.append(_Token("keyword" if kind == "word" and text in _KEYWORDS else kind, text))
            place = match.end()
        return tokens

    @property
    def at(self) -> _Token:
        """The token that comes next."""
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self.at
        self._next += token.kind != "end"
        return token

    def _took(self, text: str) -> bool:
        """Whether this came, which is passed then."""
        if self.at.text != text or self.at.kind not in ("sign", "keyword"):
            return False
        self._take()
        return True

    def _expect(self, text: str) -> None:
        if not self._took(text):
            self.fail()

    def fail(self, what: str = "") -> NoReturn:
        """Raise ConfigError for what comes next, or for a reason of its own."""
        near = f"near {self.at.text!r}" if self.at.kind != "end" else "it is cut short"
        raise ConfigError(f"{self._where}: {self._text.strip()!r} is no expression: {what or near}")

    def expression(self, least: int) -> Reckon:
        """One whose operators bind at least so strongly."""
        left = self._operand()
        while (level := self._level()) >= max(least, 1):
            operator = self._take().text
            of_both = level != _IS
            left = _joined(operator, left, self.expression(level + 1)) if of_both else self._is(operator, left)
            if level in (_IS, _COMPARISON) and self._level() == level:
                self.fail()
        return left

    def _level(self) -> int:
        return _LEVELS.get(self.at.text, 0) if self.at.kind in ("sign", "keyword") else 0

    def _is(self, operator: str, left: Reckon) -> Reckon:
        negated = operator == "notnull" or (operator == "is" and self._took("not"))
        wanted: Value = None
        if operator == "is":
            if self.at.text not in _CONSTANTS or self.at.kind != "keyword":
                self.fail()
            wanted = _CONSTANTS[self._take().text]
        return lambda scope: (left(scope) is wanted) is not negated

    def _operand(self) -> Reckon:
        token = self._take()
        if token.kind == "number":
            return self._number(token.text, INT_MAX)
        if token.kind == "variable":
            return _variable(token.text)
        if token.kind == "word":
            return self._call(token.text)
        if token.kind == "keyword" and token.text in _CONSTANTS:
            constant = _CONSTANTS[token.text]
            return lambda _scope: constant
        prefixed = self._prefixed(token)
        if prefixed is None:
            self._next -= token.kind != "end"
            self.fail()
        return prefixed

    def _prefixed(self, token: _Token) -> Reckon | None:
        """What begins with a sign or a keyword; None: nothing does with this one."""
        if token == ("sign", "("):
            inner = self.expression(0)
            self._expect(")")
            return inner
        if token == ("sign", "-"):
            if self.at == ("number", str(INT_MAX + 1)):
                return self._number(self._take().text, INT_MAX + 1, -1)
            return _joined("-", lambda _scope: 0, self.expression(_SIGN))
        if token == ("sign", "+"):
            return self.expression(_SIGN)
        if token == ("sign", "~"):
            return _joined("#", lambda _scope: -1, self.expression(_ABOVE_BITS))
        if token == ("keyword", "not"):
            operand = self.expression(_NOT)
            return lambda scope: None if (value := operand(scope)) is None else not as_bool(value)
        return self._case() if token == ("keyword", "case") else None

    def _number(self, text: str, most: int, sign: int = 1) -> Reckon:
        value = int(text) if text.isdecimal() else float(text)
        if isinstance(value, int) and value > most:
            self.fail(f"{text} is no bigint")
        if value == float("inf"):
            self.fail(f"{text} is no double")
        signed = value * sign
        return lambda _scope: signed

    def _case(self) -> Reckon:
        branches: list[tuple[Reckon, Reckon]] = []
        while self._took("when"):
            condition = self.expression(0)
            self._expect("then")
            branches.append((condition, self.expression(0)))
        if not branches:
            self.fail()
        otherwise: Reckon = self.expression(0) if self._took("else") else lambda _scope: None
        self._expect("end")

        def reckon(scope: Scope) -> Value:
            for condition, result in branches:
                if is_true(condition(scope)):
                    return result(scope)
            return otherwise(scope)

        return reckon

    def _call(self, name: str) -> Reckon:
        self._expect("(")
        arguments: list[Reckon] = []
        while not self._took(")"):
            if arguments:
                self._expect(",")
            arguments.append(self.expression(0))
        if name == "debug" and len(arguments) == 1:
            return self._debug(arguments[0])
        if name not in FUNCTIONS:
            self.fail(f"there is no function {name}")
        least, most, function = FUNCTIONS[name]
        if name in SEEDED and len(arguments) == least - 1:
            arguments.append(_variable("default_seed"))
        if not least <= len(arguments) <= most:
            self.fail(f"unexpected number of arguments of {name}")
        return _called(function, arguments)

    def _debug(self, argument: Reckon) -> Reckon:
        where = self._where

        def reckon(scope: Scope) -> Value:
            value = argument(scope)
            told = "" if value is None else f" {text_of(value)}"
            print(f"debug({where}): {type_name(value)}{told}", file=sys.stderr, flush=True)
            return value

        return reckon


def _joined(operator: str, left: Reckon, right: Reckon) -> Reckon:
    """Of two operands; AND and OR look at the second one only where it says something."""
    if operator in ("and", "or"):
        decides = operator == "or"

        def lazy(scope: Scope) -> Value:
            first = left(scope)
            if first is None or as_bool(first) is decides:
                return first
            second = right(scope)
            return None if second is None else as_bool(second)

        return lazy
    operate = OPERATORS[operator]

    def eager(scope: Scope) -> Value:
        first, second = left(scope), right(scope)
        return None if first is None or second is None else operate(first, second)

    return eager


def _called(function: Callable[..., Value], arguments: Sequence[Reckon]) -> Reckon:
    def reckon(scope: Scope) -> Value:
        values = [one(scope) for one in arguments]
        return None if any(value is None for value in values) else function(scope.rng, *values)

    return reckon


def _variable(name: str) -> Reckon:
    def reckon(scope: Scope) -> Value:
        try:
            value = scope.variables[name]
        except KeyError:
            raise NotReckoned(f'undefined variable "{name}"') from None
        return value_of(name, value) if isinstance(value, str) else value

    return reckon


def value_of(name: str, text: str) -> Value:
    """What the text of a variable stands for. Raises NotReckoned."""
    folded = text.lower()
    if folded == "null":
        return None
    if folded and (folded == "on" or "true".startswith(folded) or "yes".startswith(folded)):
        return True
    if folded and (folded in ("of", "off") or "false".startswith(folded) or "no".startswith(folded)):
        return False
    try:
        number = int(text) if re.fullmatch(r"\s*[-+]?[0-9]+\s*", text) else float(text)
    except ValueError:
        raise NotReckoned(f'malformed variable "{name}" value: "{text}"') from None
    if isinstance(number, int) and not INT_MIN <= number <= INT_MAX:
        raise NotReckoned(f'variable "{name}" is no bigint: "{text}"')
    return number


def text_of(value: Value | str) -> str:
    """As it stands in a statement."""
    if isinstance(value, str):
        return value
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
