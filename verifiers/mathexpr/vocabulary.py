"""Names that the parser knows: functions, operators, Greek letters."""
from __future__ import annotations

from typing import Final

__all__ = ["FUNCTIONS", "GREEK", "IGNORED", "OPERATORS", "SEPARATORS"]

FUNCTIONS: Final = frozenset({
    "sin", "cos", "tan", "cot", "sec", "csc", "cosec", "sinh", "cosh", "tanh", "coth", "arcsin", "arccos", "arctan", "arccot", "arcsec",
    "arccsc", "asin", "acos", "atan", "log", "ln", "lg", "exp", "sqrt", "cbrt", "abs", "floor", "ceil", "max", "min", "gcd", "lcm", "frac",
    "sgn", "det", "binom", "choose", "cis", "Re", "Im", "re", "im", "arg", "tg", "ctg", "arctg", "sech", "csch", "arsinh", "arcosh", "artanh",
})
GREEK: Final = {name: name for name in (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma",
    "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
    "hbar", "ell", "aleph")} | {
    "varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho", "infty": "oo", "infin": "oo", "imath": "i", "jmath": "j",
    "varpi": "pi", "N": "bbN", "R": "bbR", "Z": "bbZ", "Q": "bbQ", "emptyset": "empty", "varnothing": "empty", "O": "empty",
    "ldots": "...", "dots": "...", "cdots": "...", "dotsc": "...", "dotsb": "...", "vdots": "...", "dotsm": "..."}
OPERATORS: Final = {
    "cdot": "*", "times": "*", "ast": "*", "cdotp": "*", "bullet": "*", "div": "/", "pm": "pm", "mp": "mp", "le": "<=", "leq": "<=",
    "leqslant": "<=", "leqq": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "lt": "<", "gt": ">", "ne": "!=", "neq": "!=",
    "approx": "approx", "simeq": "approx", "thickapprox": "approx", "doteq": "approx", "sim": "approx", "equiv": "=", "in": "in",
    "cup": "cup", "bigcup": "cup", "cap": "cap", "bigcap": "cap", "setminus": "minus", "backslash": "minus", "mid": "mid", "vert": "|",
    "to": "to", "rightarrow": "to", "longrightarrow": "to", "mapsto": "to", "implies": "to", "Rightarrow": "to", "Longrightarrow": "to",
    "iff": "to", "Leftrightarrow": "to", "prime": "'", "colon": ":", "over": "over", "choose": "choose",
    "bmod": "mod", "pmod": "pmod", "notin": "notin", "subset": "subset", "subseteq": "subset", "ratio": ":", "union": "cup", "Vert": "|",
    "cong": "approx", "sp": "^", "sb": "_", "mod": "pmod",
}
SEPARATORS: Final = {"newline": "\\\\", "cr": "\\\\", "par": "\\\\", "lor": "or", "land": "and", "vee": "or", "wedge": "and"}
IGNORED: Final = frozenset({"left", "right", "big", "Big", "mathrel", "mathbin", "mathord", "mathopen", "mathclose", "allowbreak", "nobreak",
                            "protect", "normalsize", "large", "Large", "small", "huge", "Huge", "LARGE", "tiny",
                            "vec", "hat", "bar", "tilde", "mathbf", "boldsymbol", "bm", "overrightarrow", "widehat", "mathit",
                            "quad", "qquad", "hline", "because", "therefore", "forall"})
