"""Units: the words behind a value -> a dimension and a factor to its base unit, or just normalised words.

    unit("square centimeters") == unit("cm^2")    unit("km/h")    unit("weeks")    unit("apples") has no dimension

Two units of one dimension are converted; of different dimensions they differ. Words that are no unit name what was counted. A
unit that is left out says nothing (compare.py), so "square units", "ways" or "solutions" are not told from none.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

__all__ = ["LETTER_UNITS", "Unit", "is_unit_word", "unit_of"]


@dataclass(frozen=True, slots=True)
class Unit:
    """`dimension`: sorted (base, exponent) pairs, or None for mere words; `factor`: how many base units it is."""

    words: str
    dimension: tuple[tuple[str, Fraction], ...] | None
    factor: Fraction = Fraction(1)

    @property
    def is_empty(self) -> bool:
        return not self.words and self.dimension is None


_F: Final = Fraction
_BASE: Final[dict[str, tuple[str, Fraction]]] = {}


def _define(base: str, **units: Fraction | int | str) -> None:
    for names, factor in units.items():
        for name in names.split("__"):
            _BASE[name] = (base, Fraction(factor))


_define("m", m__meter__metre=1, km__kilometer__kilometre=1000, cm__centimeter__centimetre=_F(1, 100), mm__millimeter__millimetre=_F(1, 1000),
        dm__decimeter=_F(1, 10), nm__nanometer=_F(1, 10**9), inch__inches=_F(254, 10000), ft__foot__feet=_F(3048, 10000),
        yd__yard=_F(9144, 10000), mi__mile=_F(1609344, 1000), lightyear=9460730472580800)
_define("s", s__sec__second=1, min__minute__mins=60, h__hr__hour__hrs=3600, day=86400, week=604800, ms__millisecond=_F(1, 1000), secs=1)
_define("month", month=1, year__yr__yrs=12, decade=120, century__centuries=1200)
_define("g", g__gram__gm=1, kg__kilogram=1000, mg__milligram=_F(1, 1000), ton__tonne=1000000, lb__lbs__pound=_F(45359237, 100000),
        oz__ounce=_F(45359237, 1600000))
_define("L", L__l__liter__litre=1, mL__ml__milliliter__millilitre=_F(1, 1000), gallon__gal=_F(3785411784, 10**9), quart=_F(946352946, 10**9),
        pint=_F(473176473, 10**9), kL=1000)
_define("dollar", dollar__dollars__USD__usd__buck=1, cent__cents=_F(1, 100))
_define("euro", euro__euros__EUR=1)
_define("pound_sterling", pounds_sterling__GBP=1)
_define("yuan", yuan__RMB__rmb=1)
_define("rupee", rupee__Rs=1)
_define("degree", degree__deg=1)
_define("radian", radian__rad=1)
_define("celsius", celsius=1)
_define("fahrenheit", fahrenheit=1)
_define("K", K__kelvin=1)
_define("J", J__joule=1, kJ__kilojoule=1000)
_define("N", N__newton=1, kN=1000)
_define("W", W__watt=1, kW__kilowatt=1000)
_define("Pa", Pa__pascal=1, kPa=1000)
_define("V", V__volt=1, mV=_F(1, 1000), kV=1000)
_define("A", A__ampere__amp=1, mA=_F(1, 1000))
_define("ohm", ohm__Omega=1)
_define("Hz", Hz__hertz=1, kHz=1000, MHz=10**6)
_define("mol", mol__mole=1)
_define("eV", eV=1)
_define("C", C__coulomb=1)
_define("T", T__tesla=1)
_define("people", people__person__persons=1)

_LONG: Final = {"mph": ((("m", _F(1)), ("s", _F(-1))), _F(1609344, 3600000)), "kmh": ((("m", _F(1)), ("s", _F(-1))), _F(1000, 3600)),
                "kph": ((("m", _F(1)), ("s", _F(-1))), _F(1000, 3600)), "acre": ((("m", _F(2)),), _F(40468564224, 10**7)),
                "hectare": ((("m", _F(2)),), _F(10000)), "sqm": ((("m", _F(2)),), _F(1)), "sqft": ((("m", _F(2)),), _F(9290304, 10**8))}
_EMPTY_WORDS: Final = frozenset({
    "unit", "units", "sq", "square", "cubic", "u", "in", "total", "of", "the", "a", "an", "exactly", "approximately", "about", "each", "only",
    "altogether", "away", "long", "tall", "high", "wide", "deep", "old", "apart", "more", "less", "left", "remaining", "now", "both", "there",
    "are", "is", "way", "ways", "solution", "solutions", "possibility", "possibilities", "value", "values", "time", "times"})
_SMALL_EXPONENT: Final = re.compile(r"-?[0-9]")
MAX_FACTORS: Final = 16
"""Names and exponents of one unit: with more, the factors' products have a million bits. Then it is mere words."""
MAX_KEPT_CHARS: Final = 200
"""Longer texts are no units that come again."""
_FOREIGN: Final = {"厘米": "cm", "米": "m", "千米": "km", "毫米": "mm", "分米": "dm", "小时": "hour", "分钟": "minute", "秒": "s", "天": "day",
                   "元": "yuan", "千克": "kg", "克": "g", "度": "degree", "平方厘米": "cm^2", "平方米": "m^2", "立方厘米": "cm^3", "立方米": "m^3",
                   "升": "L", "毫升": "ml", "人": "people", "年": "year", "月": "month", "周": "week", "角": "jiao", "个": "", "种": "", "次": ""}
_ITEM: Final = re.compile(r"[A-Za-z]+|[^\W\d_a-zA-Z]+|\^|-?\d+|/|\*|\(|\)|-")
LETTER_UNITS: Final = frozenset("mgsLlhNJWVAKCT")
"""Units of one letter, which stand bare where a variable could."""


def is_unit_word(word: str) -> bool:
    """Whether a run of two or more letters is the name of a unit."""
    return len(word) > 1 and (_lookup(word) is not None or word.lower() in _EMPTY_WORDS and len(word) > 2)


def _lookup(word: str) -> tuple[str, Fraction] | None:
    for name in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if name in _BASE and (len(name) > 1 or name == word):
            return _BASE[name]
    return None


def unit_of(text: str) -> Unit:
    """The unit that a text of tokens joined by spaces names: "cm ^ 2", "square feet", "m / s", "children tickets"."""
    return _unit_of(text) if len(text) <= MAX_KEPT_CHARS else _unit_of.__wrapped__(text)


@lru_cache(maxsize=4096)
def _unit_of(text: str) -> Unit:
    text = _FOREIGN.get(text.replace(" ", ""), text)
    items: list[str] = _ITEM.findall(text.replace("{", " ").replace("}", " ").replace("- ", "-").replace("\\mathrm", " ").replace("\\text", " "))
    dimension: dict[str, Fraction] = {}
    factor = Fraction(1)
    sign, power = 1, 1
    known = 0
    words: list[str] = []
    position = 0
    last: tuple[str, Fraction, int] | None = None
    while position < len(items):
        item = items[position]
        position += 1
        if known > MAX_FACTORS:
            return Unit(_singular(" ".join(items).lower()), None)
        low = item.lower()
        if item == "/" or low in ("per", "an", "a") and known:
            sign = -1 if item == "/" or low == "per" or sign < 0 else sign
            if low in ("a", "an"):
                sign = -1
            continue
        if item == "^" or (item.lstrip("-").isdigit() and last):
            exponent = items[position] if item == "^" and position < len(items) else item
            if item == "^":
                position += 1
            if last and _SMALL_EXPONENT.fullmatch(exponent):
                extra = (int(exponent) - 1) * last[2]
                dimension[last[0]] = dimension.get(last[0], Fraction(0)) + extra
                factor *= last[1] ** extra
                known += 1
            continue
        if low in ("square", "sq", "squared", "cubic", "cubed", "cu"):
            wanted = 2 if low.startswith("sq") else 3
            if low in ("squared", "cubed") and last:
                extra = (wanted - 1) * last[2]
                dimension[last[0]] = dimension.get(last[0], Fraction(0)) + extra
                factor *= last[1] ** extra
                known += 1
            else:
                power = wanted
            continue
        if item in "()*-":
            continue
        if low in _LONG:
            for base, exponent_of in _LONG[low][0]:
                dimension[base] = dimension.get(base, Fraction(0)) + sign * exponent_of
            factor *= _LONG[low][1] ** sign
            known += 1
            continue
        following = items[position] if position < len(items) else "^"
        found = _lookup("inch" if low == "in" and (following in "^/" or following.lstrip("-").isdigit()) else item)
        if found is None:
            if low not in _EMPTY_WORDS:
                words.append(low)
            continue
        base, size = found
        dimension[base] = dimension.get(base, Fraction(0)) + sign * power
        factor *= size ** (sign * power)
        last = (base, size, sign)
        power = 1
        known += 1
    joined = " ".join(_singular(word) for word in words)
    if known and not words:
        if dimension.get("celsius") or dimension.get("fahrenheit"):
            dimension.pop("degree", None)
        if dimension.get("L"):      # a litre is a volume
            litres = dimension.pop("L")
            dimension["m"] = dimension.get("m", Fraction(0)) + 3 * litres
            factor *= Fraction(1, 1000) ** int(litres)
        return Unit("", tuple(sorted((base, power_of) for base, power_of in dimension.items() if power_of)), factor)
    return Unit(joined if not known else _singular(" ".join(items).lower()), None)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
