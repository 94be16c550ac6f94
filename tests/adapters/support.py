"""Problems and responses that every adapter's tests share, with what they must be graded as."""
from __future__ import annotations

import json
from typing import Any

ADD = {"type": "code", "tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "4 5\n", "output": "9\n"}], "limits": {"cpu_s": 2, "memory_mb": 128}}
ADD_TEXT = json.dumps(ADD)
RIGHT = "```python\nprint(sum(map(int, input().split())))\n```"
WRONG = "```python\nprint(3)\n```"
CRASH = "```python\nraise SystemExit(3)\n```"
LOOP = "```python\nwhile True: pass\n```"
HUNGRY = "```python\nx = bytearray(8 << 30)\nprint(len(x))\n```"
HALF = r"Half of it, so \boxed{\frac{1}{2}}."

CASES: tuple[tuple[Any, str, float | None, str], ...] = (
    # (reference, response, score, reason)
    ("72", r"\boxed{72}", 1.0, "equal"),
    ("72", r"\boxed{71}", 0.0, "different"),
    ("0.5", HALF, 1.0, "equal"),
    ("72", "I do not know.", 0.0, "no_answer_found"),
    (ADD_TEXT, RIGHT, 1.0, "accepted"),
    (ADD_TEXT, WRONG, 0.0, "wrong_answer"),
    (ADD_TEXT, "no code", 0.0, "no_program"),
    ('{"type": "code", "tests": []}', RIGHT, None, "bad_reference"),
    ('{"type": "no such type"}', RIGHT, None, "bad_reference"),
    ("", r"\boxed{72}", None, "bad_reference"),
    (None, r"\boxed{72}", None, "no_reference"),
)
SCORES = [score for _, _, score, _ in CASES]
