"""What a response commits to: the text after its reasoning, and the program in it.

A program is the last complete fenced code block (``` or ~~~) after `</think>` that can be one:

- a block tagged as something that does not run (`output`, `text`, `json`, `markdown`, `diff`, ...) is none;
- blocks of the language that is asked for come first, then untagged ones, then any other language;
- an untagged block after tagged ones is taken for an example's output, unless it alone is there;
- a fence may stand behind words ("Code: ```python") if it names its language, and close behind the last line of code;
- what a fence is indented by (in a list) its lines lose too, and a fence 4 deeper than its block's is text of it, as in Markdown;
- an empty block is none; a block whose fence is never closed is not complete (a response that was cut off).

Without any fence, the whole text (or what `<answer>` tags hold) is the program only if it parses as Python and holds more than bare
expressions, so that "I cannot solve this" or "42" is no program. The source is never run here, only parsed.
"""
from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Final

from ..core.problem import Program

__all__ = ["after_thinking", "extract_program"]

MAX_PARSE_CHARS: Final = 65_536
"""A text without a fence is parsed as Python only up to this size, which is all that most judges take: three times as much may take the
parser a second, in which no other thread runs."""
_END_OF_THOUGHT: Final = "</think>"
_THOUGHT: Final = "<think>"
# Runs of marks are taken whole or not at all: else a response of 100,000 backticks is looked at for a minute, in which no other thread runs.
_FENCE: Final = re.compile(r"^(?P<indent>[ \t]{0,8})(?P<marks>`{3,}+|~{3,}+)(?P<tag>[^\n`]*+)$"
                           r"|(?<!`)(?P<behind>`{3,}+)(?P<language>[A-Za-z+#]{1,12}[0-9]{0,2})?[ \t]*+$", re.M)
_ANSWER_TAGS: Final = re.compile(r"\s*<answer>(.*)</answer>\s*", re.S | re.I)
_LANGUAGES: Final = {
    "python": "python", "py": "python", "python3": "python", "py3": "python", "python2": "python", "pypy": "pypy", "pypy3": "pypy",
    "c": "c", "cpp": "cpp", "c++": "cpp", "cc": "cpp", "cxx": "cpp", "c++17": "cpp", "c++20": "cpp", "c++14": "cpp", "g++": "cpp",
    "java": "java", "javascript": "javascript", "js": "javascript", "node": "javascript", "nodejs": "javascript",
    "typescript": "typescript", "ts": "typescript", "go": "go", "golang": "go", "rust": "rust", "rs": "rust", "ruby": "ruby",
    "rb": "ruby", "kotlin": "kotlin", "kt": "kotlin", "csharp": "csharp", "cs": "csharp", "c#": "csharp", "haskell": "haskell",
    "hs": "haskell", "ocaml": "ocaml", "pascal": "pascal", "perl": "perl", "php": "php", "scala": "scala", "swift": "swift",
    "lua": "lua", "r": "r", "julia": "julia", "jl": "julia", "bash": "bash", "sh": "bash", "shell": "bash", "sql": "sql",
}
_NO_PROGRAM: Final = frozenset({
    "output", "out", "text", "txt", "plaintext", "plain", "json", "yaml", "yml", "xml", "html", "markdown", "md", "diff", "csv",
    "latex", "tex", "math", "console", "stdout", "stdin", "input", "result", "log", "mermaid", "pseudocode", "pseudo", "none",
})


def after_thinking(text: str) -> str | None:
    """The text after the last `</think>`; all of it where there is no reasoning; None where reasoning is never closed."""
    end = text.rfind(_END_OF_THOUGHT)
    if end >= 0:
        rest = text[end + len(_END_OF_THOUGHT):]
        return None if _THOUGHT in rest else rest
    return None if text.lstrip().startswith(_THOUGHT) else text


def extract_program(text: str, language_hint: str | None = None) -> Program | None:
    """The program of a response, or None. `language_hint` is the language of untagged blocks, and preferred among tagged ones."""
    rest = after_thinking(text)
    if rest is None:
        return None
    hinted = _LANGUAGES.get((language_hint or "").lower(), (language_hint or "").lower()) or None
    blocks, fenced = _blocks(rest)
    tagged = [(language, source) for language, source in blocks if language is not None]
    if hinted and (same := [source for language, source in tagged if language == hinted]):
        return Program(same[-1], hinted)
    if tagged and (hinted is None or not any(language is None for language, _ in blocks)):
        language, source = tagged[-1]
        return Program(source, language or "python")
    if blocks:
        untagged = [source for language, source in blocks if language is None]
        return Program(untagged[-1], hinted or "python")
    if not fenced and (tags := _ANSWER_TAGS.fullmatch(rest)):
        rest = tags[1]
    if fenced or not _is_python_program(rest):
        return None
    return Program(rest.strip("\n"), "python") if hinted in (None, "python", "pypy") else None


def _blocks(text: str) -> tuple[list[tuple[str | None, str]], bool]:
    """Complete, non-empty blocks that may be programs, as (language or None, source), and whether there is any fence at all."""
    blocks: list[tuple[str | None, str]] = []
    opened: _Fence | None = None
    fenced = False
    for found in _FENCE.finditer(text):
        fence = _Fence.of(found)
        if fence.behind and (fence.tag.lower() not in _LANGUAGES if opened is None else fence.tag):
            continue            # ``` in the middle of a sentence or of a line of code
        if opened is not None and not fence.behind and fence.indent > opened.indent + 3:
            continue            # in a docstring
        fenced = True
        if opened is None:
            opened = fence
        elif fence.marks[0] == opened.marks[0] and len(fence.marks) >= len(opened.marks) and not fence.tag:
            block = _block(opened.tag, _outdented(text[opened.end + 1:fence.start], opened.indent))
            if block is not None:
                blocks.append(block)
            opened = None
        elif fence.tag:
            opened = fence      # the last one was never closed: a new block begins
    return blocks, fenced


@dataclass(frozen=True, slots=True)
class _Fence:
    """A fence, where it starts and ends. `behind`: it does not start its line. `indent`: white space before it, in characters."""

    marks: str
    tag: str
    start: int
    end: int
    indent: int
    behind: bool

    @classmethod
    def of(cls, found: re.Match[str]) -> _Fence:
        if marks := found["marks"]:
            return cls(marks, found["tag"].strip(), found.start(), found.end(), len(found["indent"]), False)
        return cls(found["behind"], found["language"] or "", found.start(), found.end(), 0, True)


def _outdented(body: str, indent: int) -> str:
    """The lines of a block without the white space that its fence is indented by."""
    if not indent:
        return body
    return "\n".join(line[min(indent, len(line) - len(line.lstrip(" \t"))):] for line in body.split("\n"))


def _block(tag: str, body: str) -> tuple[str | None, str] | None:
    source = body.rstrip().strip("\n")
    if not source.strip():
        return None
    word = re.split(r"[\s{:,]", tag.strip().lower().lstrip("{."), maxsplit=1)[0].rstrip("}")
    if word in _NO_PROGRAM:
        return None
    return (_LANGUAGES.get(word) if word else None), source


def _is_python_program(text: str) -> bool:
    if len(text) > MAX_PARSE_CHARS or "\0" in text:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")     # a host that makes errors of them would refuse a program with "\\d" in it
            tree = ast.parse(text.strip("\n"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body)
