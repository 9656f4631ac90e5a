"""to_char, to_date and to_timestamp templates of dates and times (formatting.c), the common patterns."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.datetime_fields import iso_year_week

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")

_PATTERN: Final = re.compile(
    r'"((?:[^"\\]|\\.)*)"|(FM|TM|FX)|(HH24|HH12|SSSSS|SSSS|Y,YYY|IYYY|IDDD|YYYY|MONTH|MON|'
    r"A\.M\.|P\.M\.|B\.C\.|A\.D\.|DAY|DDD|IYY|YYY|TZH|TZM|FF[1-6]|HH|MI|SS|MS|US|AM|PM|BC|AD|YY|IY|MM|DY|DD|ID|"
    r"IW|WW|CC|RM|TZ|OF|D|Y|I|W|Q|J)(TH)?|(.)",
    re.DOTALL | re.IGNORECASE,
)


def tokens(template: str) -> list[tuple[str, str, bool, str]]:
    """(kind, text, fill mode, ordinal suffix) of each piece; kind is 'field' or 'text'."""
    found: list[tuple[str, str, bool, str]] = []
    fill = False
    for match in _PATTERN.finditer(template):
        quoted, modifier, field, ordinal, other = match.groups()
        if quoted is not None:
            found.append(("text", re.sub(r"\\(.)", r"\1", quoted), False, ""))
        elif modifier:
            fill = modifier.upper() == "FM" or fill
            continue
        elif field:
            found.append(("field", field, fill, ordinal or ""))
        else:
            found.append(("text", other, False, ""))
        fill = False
    return found


def render_template(us: int, template: str, offset_s: int, zone: str) -> str:
    """A local timestamp by a template."""
    days, clock = divmod(us, cal.DAY_US)
    year, month, day = cal.civil_from_days(days)
    shown_year = year if year > 0 else 1 - year
    numbers = _numbers(days, clock, year, shown_year, month, day)
    out: list[str] = []
    for kind, text, fill, ordinal in tokens(template):
        if kind == "text":
            out.append(text)
            continue
        piece = _number_piece(text.upper(), numbers, fill)
        if piece is None:
            piece = _word_piece(text, days, clock, year, month, fill, offset_s, zone)
        if ordinal:
            suffix = _ordinal(piece)
            piece += suffix if ordinal == "th" else suffix.upper()
        out.append(piece)
    return "".join(out)


def _numbers(days: int, clock: int, year: int, shown: int, month: int, day: int) -> dict[str, tuple[int, int]]:
    """Field -> (value, width)."""
    iso_year, iso_week = iso_year_week(days)
    hour = clock // cal.HOUR_US
    of_year = days - cal.days_from_civil(year, 1, 1) + 1
    micro = clock % cal.SECOND_US
    monday = cal.days_from_civil(iso_year, 1, 4)
    iso_day = days - (monday - (monday + 5) % 7) + 1
    return {
        "HH24": (hour, 2), "HH": ((hour + 11) % 12 + 1, 2), "HH12": ((hour + 11) % 12 + 1, 2),
        "MI": (clock // cal.MINUTE_US % 60, 2), "SS": (clock // cal.SECOND_US % 60, 2), "MS": (micro // 1000, 3),
        "US": (micro, 6), "SSSS": (clock // cal.SECOND_US, 0), "SSSSS": (clock // cal.SECOND_US, 0),
        "YYYY": (shown, 4), "YYY": (shown % 1000, 3), "YY": (shown % 100, 2), "Y": (shown % 10, 1),
        "IYYY": (iso_year, 4), "IYY": (iso_year % 1000, 3), "IY": (iso_year % 100, 2), "I": (iso_year % 10, 1),
        "MM": (month, 2), "DD": (day, 2), "DDD": (of_year, 3), "IDDD": (iso_day, 3), "D": ((days + 6) % 7 + 1, 1),
        "ID": ((days + 5) % 7 + 1, 1), "W": ((day - 1) // 7 + 1, 1), "WW": ((of_year - 1) // 7 + 1, 2),
        "IW": (iso_week, 2), "CC": ((shown + 99) // 100, 2), "J": (days + cal.EPOCH_JDATE, 0),
        "Q": ((month - 1) // 3 + 1, 1), **{f"FF{n}": (micro // 10 ** (6 - n), n) for n in range(1, 7)},
    }  # fmt: skip


def _number_piece(field: str, numbers: dict[str, tuple[int, int]], fill: bool) -> str | None:
    found = numbers.get(field)
    if found is None:
        return None
    value, width = found
    return str(value) if fill and field not in ("MS", "US") else f"{value:0{width}d}"


def _word_piece(field: str, days: int, clock: int, year: int, month: int, fill: bool, offset_s: int, zone: str) -> str:
    folded = field.upper()
    if folded in ("MONTH", "MON"):
        return _cased(
            field,
            MONTHS[month - 1] if folded == "MONTH" else MONTHS[month - 1][:3],
            9 if folded == "MONTH" else 0,
            fill,
        )
    if folded in ("DAY", "DY"):
        name = DAYS[(days + 6) % 7]
        return _cased(field, name if folded == "DAY" else name[:3], 9 if folded == "DAY" else 0, fill)
    if folded in ("AM", "PM", "A.M.", "P.M."):
        return _marked(field, "PM" if clock >= 12 * cal.HOUR_US else "AM")
    if folded in ("BC", "AD", "B.C.", "A.D."):
        return _marked(field, "AD" if year > 0 else "BC")
    if folded == "RM":
        text = _ROMAN[month - 1] if fill else _ROMAN[month - 1].ljust(4)
        return text if field.isupper() else text.lower()
    if folded == "Y,YYY":
        return f"{year // 1000},{year % 1000:03d}"
    return _zone_piece(field, offset_s, zone)


def _zone_piece(field: str, offset_s: int, zone: str) -> str:
    sign, minutes = "-" if offset_s < 0 else "+", abs(offset_s) // 60
    if field in ("TZ", "tz"):
        return zone.upper() if field == "TZ" else zone.lower()
    if field.upper() == "TZH":
        return f"{sign}{minutes // 60:02d}"
    if field.upper() == "TZM":
        return f"{minutes % 60:02d}"
    return f"{sign}{minutes // 60:02d}" + (f":{minutes % 60:02d}" if minutes % 60 else "")


def _cased(field: str, name: str, width: int, fill: bool) -> str:
    text = name.upper() if field.isupper() else name.lower() if field.islower() else name
    return text if fill else text.ljust(width)


def _marked(field: str, mark: str) -> str:
    text = f"{mark[0]}.{mark[1]}." if "." in field else mark
    return text if field.isupper() else text.lower()


def _ordinal(piece: str) -> str:
    digits = re.sub(r"\D", "", piece)
    if not digits:
        return ""
    number = int(digits)
    if 11 <= number % 100 <= 13:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def render_interval(months: int, days: int, us: int, template: str) -> str:
    """An interval's fields by a template."""
    years = int(months / 12)
    values = {
        "YYYY": (years, 4), "YYY": (years % 1000, 3), "YY": (years % 100, 2), "Y": (years % 10, 1),
        "MM": (months - years * 12, 2), "DD": (days, 2), "DDD": (months * 30 + days, 3),
        "HH24": (int(us / cal.HOUR_US), 2),
        "HH": (int(us / cal.HOUR_US) % 12 or 12, 2), "HH12": (int(us / cal.HOUR_US) % 12 or 12, 2),
        "MI": (int(us / cal.MINUTE_US) % 60, 2), "SS": (int(us / cal.SECOND_US) % 60, 2),
        "MS": (us % cal.SECOND_US // 1000, 3), "US": (us % cal.SECOND_US, 6),
    }  # fmt: skip
    pieces = []
    for kind, text, fill, _ordinal_suffix in tokens(template):
        if kind == "text":
            pieces.append(text)
        else:
            piece = _number_piece(text.upper(), values, fill)
            pieces.append(text if piece is None else piece)
    return "".join(pieces)


# -- reading ------------------------------------------------------------------------------------------------------


def parse_template(text: str, template: str) -> tuple[int, int | None]:
    """(local microseconds, zone offset in seconds or None) of a text read by a template.

    Raises:
        SqlError: 22007 the text does not fit, 22008 a value out of range.
    """
    values: dict[str, int] = {}
    at = 0
    pieces = tokens(template)
    for position, (kind, piece, _fill, _ordinal_suffix) in enumerate(pieces):
        if kind == "text":
            if at < len(text) and (piece.isalnum() or not text[at].isalnum()):
                at += 1
            continue
        while at < len(text) and text[at].isspace():
            at += 1
        following_digits = position + 1 < len(pieces) and pieces[position + 1][0] == "field"
        at = _read_field(text, at, piece, values, following_digits)
    return _assemble(values, text)


def _read_field(text: str, at: int, field: str, values: dict[str, int], tight: bool) -> int:
    folded = field.upper()
    names = {"MONTH": MONTHS, "MON": MONTHS, "DAY": DAYS, "DY": DAYS}.get(folded)
    if names is not None:
        return _read_name(text, at, folded, names, values)
    if folded in ("AM", "PM", "A.M.", "P.M.", "BC", "AD", "B.C.", "A.D."):
        width = 4 if "." in folded else 2
        mark = text[at : at + width].upper().replace(".", "")
        if mark not in ("AM", "PM", "BC", "AD"):
            raise SqlError(f'invalid value "{text[at : at + width]}" for "{field}"', sqlstate="22007")
        values[mark] = 1
        return at + width
    widths = {
        "YYYY": 4,
        "IYYY": 4,
        "YYY": 3,
        "DDD": 3,
        "MS": 3,
        "US": 6,
        "J": 7,
        "SSSS": 5,
        "SSSSS": 5,
        "Y": 1,
        "D": 1,
        "Q": 1,
    }
    width = int(folded[2]) if folded.startswith("FF") else widths.get(folded, 2)
    if not tight and folded in ("YYYY", "J"):
        width = 9
    match = re.compile(rf"[+-]?\d{{1,{width}}}").match(text, at)
    if match is None:
        shown = text[at : at + width]
        detail = "Value must be an integer."
        raise SqlError(f'invalid value "{shown}" for "{field}"', sqlstate="22007", detail=detail)
    digits = match[0]
    if folded in ("MS", "US") or folded.startswith("FF"):
        values["US"] = int(digits.ljust(6, "0"))
    else:
        values[folded] = int(digits)
        if folded in ("YY", "Y", "YYY") and len(digits) < 4:
            values[folded] = _full_year(int(digits))
    return match.end()


def _read_name(text: str, at: int, field: str, names: tuple[str, ...], values: dict[str, int]) -> int:
    rest = text[at:].lower()
    for number, name in enumerate(names):
        full = name.lower()
        wanted = full if field in ("MONTH", "DAY") else full[:3]
        if rest.startswith(wanted):
            if names is MONTHS:
                values["MM"] = number + 1
            return at + len(wanted)
    raise SqlError(
        f'invalid value "{text[at : at + 3]}" for "{field}"',
        sqlstate="22007",
        detail="The given value did not match any of the allowed values for this field.",
    )


def _full_year(year: int) -> int:
    """The year nearest to 2020 with these last digits (adjust_partial_year_to_2020)."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    return year + 2000 if year < 520 else year + 1000


def _assemble(values: dict[str, int], text: str) -> tuple[int, int | None]:
    year = next((values[key] for key in ("YYYY", "YYY", "YY", "Y", "IYYY") if key in values), 0)
    if "BC" in values:
        year = 1 - year
    elif year == 0 and not any(key in values for key in ("YYYY", "YYY", "YY", "Y")):
        year = 0
    month, day = values.get("MM", 1), values.get("DD", 1)
    if not 1 <= month <= 12 or not 1 <= day <= cal.days_in_month(year, month):
        raise SqlError(f'date/time field value out of range: "{text}"', sqlstate="22008")
    if "J" in values:
        days = values["J"] - cal.EPOCH_JDATE
    elif "DDD" in values:
        days = cal.days_from_civil(year, 1, 1) + values["DDD"] - 1
    else:
        days = cal.days_from_civil(year, month, day)
    hour = values.get("HH24", values.get("HH12", values.get("HH", 0)))
    if "PM" in values and hour < 12:
        hour += 12
    elif "AM" in values and hour == 12:
        hour = 0
    clock = hour * cal.HOUR_US + values.get("MI", 0) * cal.MINUTE_US + values.get("SS", 0) * cal.SECOND_US
    clock += values.get("SSSS", values.get("SSSSS", 0)) * cal.SECOND_US + values.get("US", 0)
    if hour > 23 or values.get("MI", 0) > 59 or values.get("SS", 0) > 59:
        raise SqlError(f'date/time field value out of range: "{text}"', sqlstate="22008")
    offset = None
    if "TZH" in values:
        offset = values["TZH"] * 3600 + (values.get("TZM", 0) * 60) * (1 if values["TZH"] >= 0 else -1)
    return days * cal.DAY_US + clock, offset
