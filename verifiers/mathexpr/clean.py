"""The text of an answer made uniform before it is read: Unicode to LaTeX, formatting dropped. Linear in the text."""
from __future__ import annotations

import re
import unicodedata
from typing import Final

from .phrases import spelled_out

__all__ = ["cleaned", "plain_form"]

_UNICODE: Final = str.maketrans({
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "＋": "+", "×": r"\times ", "÷": "/", "⁄": "/", "∕": "/",
    "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "＊": "*", "√": r"\sqrt ", "∛": r"\sqrt[3]", "∞": r"\infty ",
    "π": r"\pi ", "≤": r"\le ", "≥": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "≃": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "°": r"^\circ ", "º": r"^\circ ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅙": r"\frac{1}{6}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}",
    "⅞": r"\frac{7}{8}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}",
    "′": "'",
    "″": "''", "’": "'", "‘": "'", "“": '"', "”": '"', "，": ",", "、": ",", "；": ";",
    "：": ":", "∶": ":", "（": "(", "）": ")", "【": "[", "】": "]",
    "｛": r"\{", "｝": r"\}", "。": ".", "．": ".", "＝": "=", "＜": "<", "＞": ">", "％": "%", "｜": "|", "∣": "|", "！": "!", "…": r"\ldots ",
    "⋯": r"\ldots ", "⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\varepsilon ", "θ": r"\theta ", "λ": r"\lambda ",
    "μ": r"\mu ", "µ": r"\mu ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "φ": r"\phi ", "ϕ": r"\phi ", "ω": r"\omega ", "Ω": r"\Omega ",
    "Δ": r"\Delta ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "∠": r"\angle ",
    "→": r"\to ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2002": " ", "\u2003": " ", "\u200b": "", "\ufeff": "", "\u2061": "",
    "\u2062": "", "\u3000": " ", "€": r"\euro ", "£": r"\pounds ", "¥": r"\yen ", "￥": r"\yen ",
    **{chr(0xFF10 + n): str(n) for n in range(10)},
    **{chr(0xFF21 + n): chr(65 + n) for n in range(26)}, **{chr(0xFF41 + n): chr(97 + n) for n in range(26)},
})
_SUPERS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_SUBS: Final = "₀₁₂₃₄₅₆₇₈₉₊₋"
_SUPER_RUN: Final = re.compile(f"[{_SUPERS}]+")
_SUB_RUN: Final = re.compile(f"[{_SUBS}]+")
_SUPER_MAP: Final = str.maketrans(_SUPERS, "0123456789+-n")
_SUB_MAP: Final = str.maketrans(_SUBS, "0123456789+-")
_FOREIGN_DIGIT: Final = re.compile(r"[^\D0-9]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BROKEN_FRAC: Final = re.compile(r"\\?\x0crac(?=\s*\{)|\\rac(?=\s*\{)")
_ESCAPED_TWICE: Final = re.compile(
    r"(?<!\\)\\\\(?=(?:[dtc]?frac|sqrt|left|right|pi|cdot|times|text|mathrm|boxed|circ|infty|cup|begin|end|overline|log|ln|sin|cos|tan|pm|binom"
    r"|theta|alpha|quad|leq?|geq?|dots|ldots|mathbb|in|pmod|angle|displaystyle)(?![A-Za-z]))")
_DROPPED: Final = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|nonumber|notag|hfill|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|big|Big|bigg"
    r"|Bigg|bigm|mathstrut|strut|blacksquare|square|Box|qed|noindent|centering|medspace|thinspace|negthinspace|enspace|relax)(?![A-Za-z])"
    r"|\\(?:hspace|vspace|phantom|hphantom|vphantom|label|tag|color|textcolor)\*?\{[^{}]*\}"
    r"|\\bbox\s?(?:\[[^\[\]]{0,40}\])?")
_DOLLAR_AMOUNT: Final = re.compile(r"\\?\$(?=\s*[\d.])")
_EMPTY: Final = re.compile(r"\\(?:text|mathrm|mbox|textrm)\s*\{\s*\}")
_BARE_SET: Final = re.compile(r"\\mathbb\s*([A-Z])")
_DECIMAL_COMMA: Final = re.compile(r"(?<=\d)\{,\}(?=\d)(?!\d{3}(?!\d))")
_PRIMES: Final = re.compile(r"\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime(?![A-Za-z]))")
_LABEL: Final = re.compile(
    r"^\s*\\(?:text|textbf|mathrm|mbox)\s*\{[A-Za-z ,']{0,60}(?:\b(?:is|are|equals|about|approximately|roughly|answer)\b\s*+:?|:|=)\s*+\}(?=\s*\S)")
_END: Final = re.compile(r"(?<!\.)[.,;:]\s*$")
_ROW_GAP: Final = re.compile(r"\\\\\[\s?-?[\d.]{1,6}\s?(?:pt|em|ex|mm|cm)\s?\]")
_NEXT_LINE: Final = re.compile(r"\$[ \t]*\n\s*\$")
_PLAIN_DROP: Final = re.compile(r"\\(?:left|right)(?![A-Za-z])|[$~]|\\(?:[,;:! ]|q?quad(?![A-Za-z]))")
_SPACE: Final = re.compile(r"(?<![0-9,])\s+|(?<=,)\s+(?![0-9]{3})|\s+(?![0-9])")


def cleaned(text: str) -> str:
    """Uniform LaTeX: Unicode signs spelled out, control characters and formatting gone, `$` around it gone."""
    if not text.isascii():
        text = _SUPER_RUN.sub(lambda run: "^{" + run[0].translate(_SUPER_MAP) + "}", text)
        text = _SUB_RUN.sub(lambda run: "_{" + run[0].translate(_SUB_MAP) + "}", text)
        text = text.translate(_UNICODE)
        text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    if "\x0c" in text or "\\rac" in text:
        text = _BROKEN_FRAC.sub(r"\\frac", text)
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    if "{,}" in text:
        text = _DECIMAL_COMMA.sub(".", text)
    if "\\" in text:
        if "\\\\" in text:
            text = _ESCAPED_TWICE.sub(r"\\", text)
            text = _ROW_GAP.sub(r"\\\\", text)
        text = _DROPPED.sub("", text)
        if "\\prime" in text:
            text = _PRIMES.sub(lambda run: "'" * run[0].count("prime"), text)
        text = _EMPTY.sub(" ", text)
        text = _BARE_SET.sub(r"\\mathbb{\1}", text)
        text = _LABEL.sub("", text)
    if "$" in text and "\n" in text:
        text = _NEXT_LINE.sub("$, $", text)
    return spelled_out(text.strip())


def plain_form(text: str) -> str:
    """A spelling without the white space and formatting that carry no meaning, for comparing texts as they stand.

    Braces stay, and white space between digits: without them 1/12 would be 11/2.
    """
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    return _END.sub("", _SPACE.sub("", _PLAIN_DROP.sub(" ", text)))
