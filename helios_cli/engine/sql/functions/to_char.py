"""to_char of numbers (formatting.c, NUM_processor): a template is read once, then digits are laid into it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.numeric import EXACT
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.numbers import divide, show_decimal, to_decimal
from helios_cli.engine.sql.runtime_numbers import in_range

_KEYWORDS: Final = (
    "EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", "rn", "th", ",", ".", "0", "9", "B", "C", "D", "G", "L",
    "S", "V",
)  # fmt: skip
_CASED: Final = ("RN", "TH", "rn", "th")
_ROMAN: Final = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_SINGLE: Final = struct.Struct("f")


@dataclass
class Template:
    """What a template asks for (NUMDesc) and its pieces: (keyword or '', text)."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    pre: int = 0
    post: int = 0
    multiplied: int = 0
    zero_start: int = 0
    zero_end: int = 0
    sign_before: int = 0
    """Digits before an S that stands before the point."""
    sign: str = ""
    """Where S stands: 'pre', 'post' or ''."""
    marks: frozenset[str] = frozenset()
    """Which of decimal, fill, zero, blank, minus, plus, bracket, roman, multi, eeee it has."""


def _wrong(message: str) -> SqlError:
    return SqlError(message, sqlstate="42601")


def split(template: str) -> list[tuple[str, str]]:
    """Pieces of a template: (keyword, its spelling), or ('', literal text)."""
    pieces: list[tuple[str, str]] = []
    at = 0
    while at < len(template):
        word = _keyword(template, at)
        if word:
            pieces.append((word, template[at : at + len(word)]))
            at += len(word)
        elif template[at] == '"':
            at += 1
            while at < len(template) and template[at] != '"':
                at += template[at] == "\\" and at + 1 < len(template)
                pieces.append(("", template[at]))
                at += 1
            at += 1
        else:
            at += template[at] == "\\" and template[at + 1 : at + 2] == '"'
            pieces.append(("", template[at]))
            at += 1
    return pieces


def _keyword(template: str, at: int) -> str:
    for word in _KEYWORDS:
        part = template[at : at + len(word)]
        if part == word or (word not in _CASED and part in (word.lower(), word)):
            return word
    return ""


class _Reader:
    """Adds up what the keywords of a template mean, and refuses what cannot stand together (NUMDesc_prepare)."""

    def __init__(self) -> None:
        self.found = Template()
        self.marks: set[str] = set()

    def add(self, word: str) -> None:
        """One keyword."""
        marks = self.marks
        if "eeee" in marks and word != "EEEE":
            raise _wrong('"EEEE" must be the last pattern used')
        if word in "90":
            self._digit(word)
        elif word in (".", "D"):
            if "decimal" in marks:
                raise _wrong("multiple decimal points")
            if "multi" in marks:
                raise _wrong('cannot use "V" and decimal point together')
            marks.add("decimal")
        elif word in ("S", "MI", "PL", "SG", "PR"):
            self._sign(word)
        elif word == "B":
            if not self.found.pre and not self.found.post and "zero" not in marks:
                marks.add("blank")
        elif word == "V":
            if "decimal" in marks:
                raise _wrong('cannot use "V" and decimal point together')
            marks.add("multi")
        elif word == "EEEE":
            self._scientific()
        elif word in ("RN", "rn"):
            marks.add("roman")
        elif word == "FM":
            marks.add("fill")

    def _digit(self, word: str) -> None:
        found, marks = self.found, self.marks
        if "bracket" in marks:
            raise _wrong(f'"{word}" must be ahead of "PR"')
        if word == "9":
            if "multi" in marks:
                found.multiplied += 1
                return
        elif "zero" not in marks and "decimal" not in marks:
            marks.add("zero")
            found.zero_start = found.pre + 1
        if "decimal" in marks:
            found.post += 1
        else:
            found.pre += 1
        if word == "0":
            found.zero_end = found.pre + found.post

    def _sign(self, word: str) -> None:
        found, marks = self.found, self.marks
        if word == "S":
            if found.sign:
                raise _wrong('cannot use "S" twice')
            if marks & {"plus", "minus", "bracket"}:
                raise _wrong('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
            found.sign = "post" if "decimal" in marks else "pre"
            found.sign_before = found.pre
        elif word == "PR":
            if found.sign or marks & {"plus", "minus"}:
                raise _wrong('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
            marks.add("bracket")
        else:
            if found.sign:
                raise _wrong(f'cannot use "S" and "{word}" together')
            marks.update({"MI": ("minus",), "PL": ("plus",), "SG": ("minus", "plus")}[word])

    def _scientific(self) -> None:
        if "eeee" in self.marks:
            raise _wrong('cannot use "EEEE" twice')
        if self.found.sign or self.marks & {"blank", "fill", "bracket", "minus", "plus", "roman", "multi"}:
            detail = '"EEEE" may only be used together with digit and decimal point patterns.'
            raise SqlError('"EEEE" is incompatible with other formats', sqlstate="42601", detail=detail)
        self.marks.add("eeee")


@lru_cache(maxsize=256)
def read(template: str) -> Template:
    """A template. Raises 42601 for patterns that cannot stand together."""
    reader = _Reader()
    pieces = split(template)
    for word, _ in pieces:
        if word:
            reader.add(word)
    reader.found.pieces = pieces
    reader.found.marks = frozenset(reader.marks)
    return reader.found


class _Picture:
    """One number laid out by one template (NUM_processor, NUM_numpart_to_char)."""

    def __init__(self, wanted: Template, digits: str, sign: str, spaces: int, pre: int, post: int) -> None:
        marks = wanted.marks
        self.wanted, self.digits, self.sign, self.spaces = wanted, digits, sign, spaces
        self.fill, self.zero, self.decimal = "fill" in marks, "zero" in marks, "decimal" in marks
        self.bracket = "bracket" in marks and not (self.fill and sign != "-")
        self.post = post
        self.zero_start = wanted.zero_start - 1 if wanted.zero_start else 0
        self.place = wanted.sign
        if marks & {"plus", "minus"}:
            self.sign_wrote = not ("plus" in marks and "minus" not in marks)
        else:
            self.sign_wrote = sign == "+" and self.fill and not wanted.sign
            if self.place == "pre" and pre == wanted.sign_before:
                self.place = "post"
        self.last = self._last_relevant() if self.fill and self.decimal else -1
        self.count = post + pre - 1 + (not self.sign_wrote and spaces == 0)
        self.current, self.at, self.within = 0, 0, False
        self.out: list[str] = []

    def _last_relevant(self) -> int:
        """The place of the last digit that FM keeps, -1 when there is no point."""
        point = self.digits.find(".")
        if point < 0:
            return -1
        last = max(point + len(self.digits[point + 1 :].rstrip("0")), point)
        if self.wanted.zero_end > self.spaces:
            last = max(last, min(len(self.digits) - 1, self.wanted.zero_end - self.spaces))
        return last

    def render(self) -> str:
        """The text."""
        for word, text in self.wanted.pieces:
            if not word:
                self.out.append(text)
            elif word in ("9", "0", ".", "D"):
                self._digit(word)
            else:
                self._other(word)
        return "".join(self.out)

    def _other(self, word: str) -> None:
        if word in (",", "G"):
            if self.within:
                self.out.append(",")
            elif not self.fill:
                self.out.append(" ")
        elif word == "L":
            self.out.append(" ")
        elif word in ("TH", "th"):
            if self.digits[:1] != "#" and self.sign != "-" and not self.decimal:
                suffix = ordinal(self.digits)
                self.out.append(suffix.upper() if word == "TH" else suffix)
        elif word in ("MI", "PL"):
            shown = "-" if word == "MI" else "+"
            self.out.append(shown if self.sign == shown else "" if self.fill else " ")
        elif word == "SG":
            self.out.append(self.sign)

    def _before_point(self) -> bool:
        """IS_PREDEC_SPACE: the 0 of 0.5 under a 9, which is not shown."""
        return not self.zero and self.at == 0 and self.digits[:1] == "0" and self.post != 0

    def _point_is_last(self) -> bool:
        return self.last >= 0 and self.digits[self.last] == "."

    def _digit(self, word: str) -> None:
        self.within = False
        started = self.current >= self.spaces or (self.zero and self.zero_start == self.current)
        if not self.sign_wrote and started and (not self._before_point() or self._point_is_last()):
            self._write_sign()
        if self.current < self.spaces and (self.zero_start > self.current or not self.zero):
            self.out.append("" if self.fill else " ")
        elif self.zero and self.current < self.spaces:
            self.out.append("0")
            self.within = True
        else:
            self._write_digit(word)
        end = self.count + bool(self.spaces) + self.decimal
        if self.last >= 0 and self.last == self.at:
            end = self.current
        if self.current + 1 == end:
            if self.sign_wrote and self.bracket:
                self.out.append(" " if self.sign == "+" else ">")
            elif self.wanted.sign and self.place == "post":
                self.out.append(self.sign)
        self.current += 1

    def _write_sign(self) -> None:
        if self.wanted.sign:
            if self.place != "pre":
                return
            self.out.append(self.sign)
        elif self.bracket:
            self.out.append(" " if self.sign == "+" else "<")
        elif self.sign == "-":
            self.out.append("-")
        elif not self.fill:
            self.out.append(" ")
        self.sign_wrote = True

    def _write_digit(self, word: str) -> None:
        digit = self.digits[self.at : self.at + 1]
        if digit == ".":
            if self.last < 0 or not self._point_is_last() or self.fill:
                self.out.append(".")
        elif self.last >= 0 and self.at > self.last and word != "0":
            pass
        elif self._before_point():
            if not self.fill:
                self.out.append(" ")
            elif self._point_is_last():
                self.out.append("0")
        else:
            self.out.append(digit)
            self.within = True
        self.at += bool(digit)


def ordinal(digits: str) -> str:
    """st, nd, rd or th by the last digits."""
    if not digits[-1:].isdigit():
        raise SqlError(f'"{digits}" is not a number', sqlstate="22P02")
    if digits[-2:-1] == "1":
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def _laid_out(wanted: Template, text: str, pre: int, post: int) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("+", text)
    whole = digits.find(".") if "." in digits else len(digits)
    if whole > pre:
        digits = "#" * pre + "." + "#" * post
        whole = pre
    return _Picture(wanted, digits, sign, pre - whole, pre, post).render()


def _roman(whole: int, wanted: Template) -> str:
    text = "#" * 15
    if 0 < whole < 4000:
        text = ""
        for size, letters in _ROMAN:
            text += letters * (whole // size)
            whole %= size
    out = []
    for word, literal in wanted.pieces:
        if word in ("RN", "rn"):
            shown = text.lower() if word == "rn" else text
            out.append(shown if "fill" in wanted.marks else shown.rjust(15))
        elif not word:
            out.append(literal)
        elif word in (",", "G", "L", "MI", "PL") and "fill" not in wanted.marks:
            out.append(" ")
    return "".join(out)


def _no_number(wanted: Template) -> str:
    return " " + "#" * wanted.pre + "." + "#" * (wanted.post + 4)


def char_of_integer(value: int, template: str) -> str:
    """to_char of an integer."""
    wanted = read(template)
    if "roman" in wanted.marks:
        return _roman(value, wanted)
    if "eeee" in wanted.marks:
        return _scientific(float(value), wanted)
    value *= int(10**wanted.multiplied)
    text = str(value) + ("." + "0" * wanted.post if wanted.post else "")
    return _laid_out(wanted, text, wanted.pre + wanted.multiplied, wanted.post)


def char_of_numeric(value: Any, template: str) -> str:
    """to_char of a numeric."""
    wanted, special = read(template), value in ("NaN", "Infinity", "-Infinity")
    if "roman" in wanted.marks:
        if special:
            name = "NaN" if value == "NaN" else "infinity"
            raise SqlError(f"cannot convert {name} to integer", sqlstate="0A000")
        return _roman(in_range(int(to_decimal(value).to_integral_value(ROUND_HALF_UP, EXACT)), 32), wanted)
    if special:
        return _no_number(wanted) if "eeee" in wanted.marks else _laid_out(wanted, value, wanted.pre, wanted.post)
    number = to_decimal(value)
    if "eeee" in wanted.marks:
        exponent = number.adjusted() if number else 0
        mantissa = divide(number.scaleb(-exponent, EXACT), Decimal(1), wanted.post)
        shown = f"{show_decimal(mantissa)}e{exponent:+03d}"
        return shown if shown.startswith("-") else " " + shown
    number = number.scaleb(wanted.multiplied, EXACT)
    text = show_decimal(number.quantize(Decimal(1).scaleb(-wanted.post), ROUND_HALF_UP, EXACT))
    return _laid_out(wanted, text, wanted.pre + wanted.multiplied, wanted.post)


def _scientific(number: float, wanted: Template) -> str:
    if not math.isfinite(number):
        return _no_number(wanted)
    shown = f"{number:+.{wanted.post}e}"
    return " " + shown[1:] if shown.startswith("+") else shown


def _char_of_float(value: Any, template: str, digits: int) -> str:
    wanted, number = read(template), float(value)
    if digits == 6 and math.isfinite(number):
        number = float(_SINGLE.unpack(_SINGLE.pack(number))[0])
    if "roman" in wanted.marks:
        return _roman(round(number) if math.isfinite(number) else 0, wanted)
    if "eeee" in wanted.marks:
        return _scientific(number, wanted)
    pre, post = wanted.pre + wanted.multiplied, wanted.post
    number *= 10.0**wanted.multiplied
    if not math.isfinite(number):
        name = "NaN" if number != number else "Infinity"
        return _laid_out(wanted, f"{'-' if number < 0 else ''}{name}", pre, _shortened(len(name), post, digits))
    whole = len(f"{abs(number):.0f}")
    post = _shortened(whole, post, digits)
    return _laid_out(wanted, f"{number:.{post}f}", pre, post)


def _shortened(whole: int, post: int, digits: int) -> int:
    """Digits after the point, no more than the type is sure of."""
    return 0 if whole >= digits else min(post, digits - whole)


def char_of_float8(value: Any, template: str) -> str:
    """to_char of a double precision."""
    return _char_of_float(value, template, 15)


def char_of_float4(value: Any, template: str) -> str:
    """to_char of a real."""
    return _char_of_float(value, template, 6)


def install(lib: Library) -> None:
    """Declare to_char of numbers."""
    for kind in ("int4", "int8"):
        lib.define("to_char", f"{kind} text -> text", char_of_integer)
    lib.define("to_char", "float4 text -> text", char_of_float4)
    lib.define("to_char", "float8 text -> text", char_of_float8)
    lib.define("to_char", "numeric text -> text", char_of_numeric)
