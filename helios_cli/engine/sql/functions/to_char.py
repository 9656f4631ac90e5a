"""to_char and to_number of numbers (formatting.c, the patterns 9 0 . , D G MI PL SG S PR FM L EEEE RN TH)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes.numeric import EXACT
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.numbers import show_decimal, to_decimal

_TOKEN: Final = re.compile(r'"([^"]*)"|(FM|PR|MI|PL|SG|EEEE|RN|rn|TH|th|[90.,DGSLV])|(.)', re.DOTALL)
_ROMAN: Final = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def to_char_number(value: Any, template: str) -> str:
    """A number by a template."""
    pieces = [(quoted, token, other) for quoted, token, other in _TOKEN.findall(template)]
    words = [token for _quoted, token, _other in pieces if token]
    text = str(value)
    if text in ("NaN", "Infinity", "-Infinity", "inf", "-inf"):
        return "#" * len(template)
    number = to_decimal(value if isinstance(value, str) else repr(value))
    if "RN" in words or "rn" in words:
        return _roman(number, "rn" in words, "FM" in words)
    if "EEEE" in words:
        return _scientific(number, words)
    return _Picture(pieces, words, number).render()


def _roman(number: Decimal, lower: bool, fill: bool) -> str:
    whole = int(number.to_integral_value(ROUND_HALF_UP))
    if not 0 < whole < 4000:
        return "#" * 15
    text = ""
    for size, letters in _ROMAN:
        text += letters * (whole // size)
        whole %= size
    text = text.lower() if lower else text
    return text if fill else text.rjust(15)


def _scientific(number: Decimal, words: list[str]) -> str:
    places = _decimals(words)
    text = f"{number:.{places}e}"
    mantissa, _, exponent = text.partition("e")
    return f"{' ' if number >= 0 and 'FM' not in words else ''}{mantissa}e{int(exponent):+03d}"


def _decimals(words: list[str]) -> int:
    for mark in (".", "D"):
        if mark in words:
            return sum(1 for word in words[words.index(mark) :] if word in "90")
    return 0


class _Picture:
    """One number laid out by one template."""

    def __init__(self, pieces: list[tuple[str, str, str]], words: list[str], number: Decimal) -> None:
        self.pieces, self.words = pieces, words
        self.fill = "FM" in words
        places = _decimals(words)
        if "V" in words:
            number = number.scaleb(sum(1 for word in words[words.index("V") :] if word in "90"), EXACT)
        rounded = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=EXACT)
        self.negative = rounded < 0
        digits = show_decimal(abs(rounded))
        self.whole, _, self.fraction = digits.partition(".")
        if self.whole == "0":
            self.whole = ""
        point = next((at for at, word in enumerate(words) if word in (".", "D")), len(words))
        self.slots = sum(1 for word in words[:point] if word in ("9", "0"))
        zeros = [at for at, word in enumerate([w for w in words[:point] if w in ("9", "0")]) if word == "0"]
        self.forced = self.slots - zeros[0] if zeros else 0
        self.signed = any(word in ("S", "MI", "PL", "SG", "PR") for word in words)

    def render(self) -> str:
        """The text, or number signs when the digits do not fit."""
        if len(self.whole) > self.slots:
            return self._overflow()
        padded = self.whole.rjust(self.forced, "0").rjust(self.slots)
        if not self.whole and not self.forced and not self.fraction and self.slots:
            padded = "0".rjust(self.slots)
        out, at, after = [], 0, 0
        in_fraction = False
        for quoted, token, other in self.pieces:
            if token in ("9", "0"):
                if in_fraction:
                    out.append(self.fraction[after : after + 1])
                    after += 1
                else:
                    out.append(padded[at : at + 1])
                    at += 1
            elif token in (".", "D"):
                in_fraction = True
                out.append(".")
            elif token in (",", "G"):
                shown = padded[:at].strip() != ""
                out.append("," if shown else " ")
            elif token in ("TH", "th"):
                out.append(self._ordinal(token) if not self.negative else "")
            elif token == "L":
                out.append(" ")
            elif token:
                out.append(f"\0{token}\0" if token != "FM" and token != "V" else "")
            else:
                out.append(quoted or other)
        return self._with_sign("".join(out))

    def _ordinal(self, token: str) -> str:
        last = int(self.whole or "0") % 100
        suffix = "th" if 11 <= last <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(last % 10, "th")
        return suffix.upper() if token == "TH" else suffix

    def _overflow(self) -> str:
        body = "".join(
            "#" if token in ("9", "0") else token if token in (".", "D", ",") else "" for _q, token, _o in self.pieces
        )
        return ("-" if self.negative else "" if self.fill else " ") + body.replace("D", ".")

    def _with_sign(self, text: str) -> str:
        sign = "-" if self.negative else "+"
        text = self._trim_fraction(text)
        if "\0PR\0" in text:
            body = text.replace("\0PR\0", "")
            stripped = body.lstrip(" ")
            lead = body[: len(body) - len(stripped)]
            body = f"{lead}<{stripped}>" if self.negative else f" {body} "
            return body.strip() if self.fill else body
        text = text.replace("\0MI\0", "-" if self.negative else "" if self.fill else " ")
        text = text.replace("\0PL\0", "" if self.negative and self.fill else " " if self.negative else "+")
        text = text.replace("\0SG\0", sign)
        if "\0S\0" in text:
            text = self._place_s(text, sign)
        elif not self.signed:
            stripped = text.lstrip(" ")
            lead = text[: len(text) - len(stripped)]
            text = f"{lead}{'-' if self.negative else ' '}{stripped}"
        return (
            text.replace(" ", "")
            if self.fill and not any(q or o for q, _t, o in self.pieces)
            else text.lstrip(" ")
            if self.fill
            else text
        )

    def _place_s(self, text: str, sign: str) -> str:
        if text.startswith("\0S\0"):
            body = text.replace("\0S\0", "")
            stripped = body.lstrip(" ")
            return body[: len(body) - len(stripped)] + sign + stripped
        return text.replace("\0S\0", sign)

    def _trim_fraction(self, text: str) -> str:
        """FM drops the zeros that a 9 after the point stands for."""
        if not self.fill or not self.fraction:
            return text
        marks = [word for word in self.words if word in ("9", "0", ".", "D")]
        point = next(at for at, word in enumerate(marks) if word in (".", "D"))
        keep = max((at for at, word in enumerate(marks[point + 1 :], 1) if word == "0"), default=0)
        head, dot, tail = text.partition(".")
        digits = re.match(r"\d*", tail)
        assert digits is not None
        kept = digits[0].rstrip("0")
        kept = digits[0][: max(len(kept), keep)]
        return f"{head}{dot}{kept}{tail[digits.end() :]}"


def to_number(text: str, template: str) -> str:
    """to_number: the digits of a text, as the template's decimals tell."""
    del template
    cleaned = re.sub(r"[^0-9.+\-<]", "", text)
    if not re.search(r"\d", cleaned):
        raise SqlError(f'invalid input syntax for type numeric: "{text}"', sqlstate="22P02")
    negative = "-" in cleaned or "<" in cleaned
    digits = re.sub(r"[^0-9.]", "", cleaned)
    return show_decimal(Decimal(("-" if negative else "") + digits))


def install(lib: Library) -> None:
    """Declare to_char and to_number."""
    for kind in ("int4", "int8", "float4", "float8", "numeric"):
        lib.define("to_char", f"{kind} text -> text", to_char_number)
    lib.define("to_number", "text text -> numeric", to_number)
