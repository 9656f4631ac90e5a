"""to_number (formatting.c, NUM_numpart_from_char): a template walks over the text and picks the digits."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.numeric import apply_numeric, parse_numeric
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.to_char import Template, read
from helios_cli.engine.sql.runtime_numbers import pg_numeric_multiply

_DATA: Final = "0123456789.,+-"


class _Scan:
    """One text read by one template."""

    def __init__(self, text: str, wanted: Template) -> None:
        self.text, self.wanted, self.at = text, wanted, 0
        marks = wanted.marks
        self.fill, self.decimal, self.bracket = "fill" in marks, "decimal" in marks, "bracket" in marks
        self.signs = bool(marks & {"plus", "minus"})
        self.sign, self.digits = " ", ""
        self.pre = self.post = 0
        self.after_point = False

    def run(self) -> str:
        """Sign and digits."""
        for word, _ in self.wanted.pieces:
            if self.at >= len(self.text):
                break
            if not word:
                self.at += 1
            elif word in ("9", "0", ".", "D"):
                self._part(word)
                self.at += 1
            else:
                self._other(word)
        return (self.sign + self.digits).strip(" ").removesuffix(".")

    def _other(self, word: str) -> None:
        here = self.text[self.at : self.at + 1]
        if word in (",", "G"):
            # No digit is ever "in" while reading, so that fill mode skips the pattern alone.
            if not self.fill and here == ",":
                self.at += 1
        elif word in ("L", "TH", "th"):
            self._skip(1 if word == "L" else 2)
        elif word in ("MI", "PL", "SG"):
            accepted = {"MI": "-", "PL": "+", "SG": "-+"}[word]
            if here and here in accepted:
                self.sign = here
                self.at += 1
            else:
                self._skip(1)

    def _skip(self, count: int) -> None:
        while count and self.at < len(self.text) and self.text[self.at] not in _DATA:
            self.at += 1
            count -= 1

    def _part(self, word: str) -> None:
        if self.text[self.at] == " ":
            self.at += 1
        if self.at >= len(self.text):
            return
        if self.sign == " " and word in "09" and not self.pre + self.post:
            self._leading_sign()
        if self.at >= len(self.text):
            return
        was_read = False
        here = self.text[self.at]
        if here.isascii() and here.isdigit():
            if self.after_point and self.post == self.wanted.post:
                return
            self.digits += here
            if self.after_point:
                self.post += 1
            else:
                self.pre += 1
            was_read = True
        elif self.decimal and not self.after_point and here == ".":
            self.digits += "."
            self.after_point = was_read = True
        if self.sign == " " and self.pre + self.post > 0:
            self._trailing_sign(was_read)

    def _leading_sign(self) -> None:
        here = self.text[self.at]
        if self.wanted.sign == "pre" or not self.wanted.sign:
            negative = here == "-" or (here == "<" and self.bracket and not self.wanted.sign)
            if negative or here == "+":
                self.sign = "-" if negative else "+"
                self.at += 1

    def _trailing_sign(self, was_read: bool) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if self.wanted.sign:
            if was_read and following and following in "+-":
                self.sign = following
                self.at += 1
        elif not was_read and not self.signs and self.text[self.at] in "-+":
            self.sign = self.text[self.at]


def to_number(text: str, template: str) -> str | None:
    """The number of a text; NULL for an empty template. Raises 22P02, 22003, 0A000, 42601."""
    if not template:
        return None
    wanted = read(template)
    for mark, name in (("eeee", "EEEE"), ("roman", "RN")):
        if mark in wanted.marks:
            raise SqlError(f'"{name}" not supported for input', sqlstate="0A000")
    scan = _Scan(text, wanted)
    digits = scan.run()
    if not any(letter.isdigit() for letter in digits):
        raise SqlError(f'invalid input syntax for type numeric: "{digits or " "}"', sqlstate="22P02")
    number = apply_numeric(parse_numeric(digits), wanted.pre + wanted.multiplied + scan.post, scan.post)
    if wanted.multiplied:
        return pg_numeric_multiply(number, f"0.{'0' * (wanted.multiplied - 1)}1{'0' * (16 - wanted.multiplied)}")
    return number


def install(lib: Library) -> None:
    """Declare to_number."""
    lib.define("to_number", "text text -> numeric", to_number)
