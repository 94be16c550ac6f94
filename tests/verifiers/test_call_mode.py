"""Call mode and preambles from the reward spec to the grade, on the local sandbox: data sets' shapes, and what a policy would try."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from assay import CodeTests, Grade, Grader, Problem, Program, Verdict

ADD_ONE = """
class Solution:
    def f(self, head: Optional[ListNode]) -> Optional[ListNode]:
        if not head: return None
        return ListNode(head.val + 1, self.f(head.next))
"""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader("local", slots=1, workers=1) as g:
        yield g


def graded(grader: Grader, program: str, **spec: Any) -> Grade:
    return grader.grade(Problem(reward=CodeTests.model_validate({"type": "code"} | spec)), Program(program))


def called(grader: Grader, program: str, args: list[Any], output: Any, *, checker: str = "json", entry: str = "f", **spec: Any) -> Grade:
    return graded(grader, program, mode="call", entry_point=entry, checker={"type": checker}, tests=[{"args": args, "output": output}], **spec)


@pytest.mark.parametrize(("args", "output", "verdict"), [
    ([[1, 2]], [2, 3], Verdict.AC), ([[]], [], Verdict.AC), ([[]], None, Verdict.AC), ([None], [], Verdict.AC), ([[1]], [2, None], Verdict.AC),
    ([[1, 2]], [2], Verdict.WA), ([[1]], [], Verdict.WA), ([[1]], None, Verdict.WA), ([[]], [None, 1], Verdict.WA), ([[]], 0, Verdict.WA),
    ([[]], False, Verdict.WA),
])
def test_a_linked_list(grader: Grader, args: list[Any], output: Any, verdict: Verdict) -> None:
    grade = called(grader, ADD_ONE, args, output, entry="Solution.f")
    assert grade.verdict is verdict, grade.detail


def test_an_empty_list_is_no_null_where_no_node_is_meant(grader: Grader) -> None:
    assert called(grader, "def f() -> List[int]: return []", [], None).verdict is Verdict.WA
    assert called(grader, "def f() -> List[int]: return None", [], []).verdict is Verdict.WA
    assert called(grader, "def f() -> List[int]: return [1]", [], [1, None]).verdict is Verdict.WA


def test_a_circle_of_nodes_is_a_run_time_error(grader: Grader) -> None:
    grade = called(grader, "def f(a: ListNode) -> ListNode:\n    a.next = a\n    return a", [[1]], [1])
    assert (grade.verdict, grade.reason) == (Verdict.RE, "exception")
    assert "a linked list without an end" in grade.detail
    assert called(grader, "def f(a: ListNode): return a.val", [[1]], 1).verdict is Verdict.AC


@pytest.mark.parametrize(("returned", "output", "json", "lcb"), [
    ("(1, 2)", [1, 2], True, True), ("[(1, 2)]", [[1, 2]], True, False), ("True", 1, False, True), ("1.0", 1, True, True), ("0", False, False, True),
    ("[True]", [1], False, True), ("{'a': 1}", {"a": 1}, True, True), ("{1: 2}", {"1": 2}, True, False), ("{'a': (1,)}", {"a": [1]}, True, False),
    ("None", None, True, True), ("[]", None, False, False), ("None", [], False, False), ("None", False, False, False), ("'1'", 1, False, False),
    ("float('nan')", float("nan"), False, False), ("[float('nan')]", [float("nan")], False, False), ("float('inf')", float("inf"), True, True),
    ("10 ** 20", 10 ** 20, True, True), ("2 ** 53 + 1", 2.0 ** 53, False, False), ("{1, 2}", [1, 2], False, False),
    ("type('E', (), {'__eq__': lambda s, o: True})()", 1, False, False), ("[type('E', (int,), {'__eq__': lambda s, o: True})(3)]", [1], False, False),
    ("type('T', (tuple,), {})((1,))", [1], True, True), ("{(1, 2): 3}", {}, False, False), ("{'tuple': [1]}", [1], False, False),
    ("{'other': 'x'}", {"other": "x"}, True, True), ("{'dict': []}", {}, False, False), ("[Counter('aa')]", [{"a": 2}], True, True),
    ("defaultdict(lambda: 1)", {"a": 1}, False, False), ("OrderedDict(a=1)", {"a": 1}, True, True), ("deque([1])", [1], False, False),
    ("type('D', (dict,), {'items': lambda s: [('a', 1)], '__getitem__': lambda s, k: 1})()", {"a": 1}, False, False),
    ("type('L', (list,), {'__iter__': lambda s: iter([1])})()", [1], False, False), ("__import__('decimal').Decimal(1)", 1, False, True),
    ("type('I', (int,), {'__repr__': lambda s: '5', '__pos__': lambda s: 5, '__index__': lambda s: 5})(3)", 5, False, False),
    ("__import__('enum').IntEnum('E', 'A')(1)", 1, True, True), ("type('S', (str,), {'__str__': lambda s: 'x'})('y')", "x", False, False),
    ("5 + 0j", 5, False, True),
])
def test_json_and_livecodebench(grader: Grader, returned: str, output: Any, json: bool, lcb: bool) -> None:
    for checker, right in (("json", json), ("lcb", lcb)):
        grade = called(grader, f"def f(): return {returned}", [], output, checker=checker)
        assert (grade.verdict is Verdict.AC) is right, (checker, grade)
        assert grade.verdict is not Verdict.IE


def test_a_record_written_by_the_program_itself_is_only_data(grader: Grader) -> None:
    forge = """
import os
def f():
    for fd in range(3, 40):
        try: os.pwrite(fd, %r, 0)
        except OSError: pass
    os._exit(0)
"""
    for record in (b'R{"dict": [[[], 1]]}', b'R{"dict": [[1]]}', b'R{"tuple": 1}', b'R{"x": 1, "y": 2}', b'R{"other": 1}', b"R{}", b"R", b"N",
                   b"P", b"D", b"Rnull null", b"R\xff", b"R" + b'{"tuple":[' * 2000):
        grade = called(grader, forge % record, [], {}, checker="lcb")
        assert grade.verdict in (Verdict.WA, Verdict.RE), (record, grade)


# ---- preambles

CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n"


def test_a_preamble_makes_the_names(grader: Grader) -> None:
    program = "def f(x: List[int]): return reduce(add, x)"
    spec = {"mode": "assert", "entry_point": "f", "test_code": CHECK}
    assert graded(grader, program, **spec).verdict is Verdict.RE
    assert graded(grader, program, **spec, preamble="from typing import *\nfrom functools import *\nfrom operator import *").verdict is Verdict.AC
    assert graded(grader, program, **spec, preamble="from typing import *").verdict is Verdict.RE         # the artifact is not another preamble's
    stdin = {"tests": [{"input": "3 4", "output": "7"}]}
    assert graded(grader, "print(sum(ints()))", **stdin, preamble="def ints(): return map(int, input().split())").verdict is Verdict.AC
    assert graded(grader, "print(sum(ints()))", **stdin).verdict is Verdict.RE


@pytest.mark.parametrize(("preamble", "said"), [
    ("def", "SyntaxError"), ("import no_such_module_of_anyones", "ModuleNotFoundError"), ("raise ValueError('x')", "ValueError: x"),
    ("raise SystemExit", "SystemExit"), ("x = '\x00'", "null bytes"), ("import os\nos._exit(0)", "end"),
    ("import os\nos.abort()", "end"), ("x = [0] * 10 ** 10", "memory"),
])
def test_a_preamble_that_does_not_run_is_the_problems_fault(grader: Grader, preamble: str, said: str) -> None:
    for program in ("def f(x): return 3", "def"):
        grade = graded(grader, program, mode="assert", entry_point="f", test_code=CHECK, preamble=preamble)
        assert (grade.verdict, grade.reason, grade.score) == (Verdict.IE, "bad_reference", None)
        assert grade.detail.startswith("the preamble fails: "), grade.detail
        assert said.lower() in grade.detail.lower()
    assert graded(grader, "def f(x): return 3", mode="assert", entry_point="f", test_code=CHECK).verdict is Verdict.AC


@pytest.mark.parametrize("program", [
    "def", "raise ValueError", "import os\nos._exit(3)", "import sys\nsys.exit(1)", "(" * 5000, "x = " + "9" * 5000 + "j",
    "import os\nfor fd in range(3, 40):\n    try: os.ftruncate(fd, 0)\n    except OSError: pass\nos._exit(1)",
    "import sys\nsys.modules['preamble'].__dict__.clear()\nraise KeyError", "del __builtins__['helper']\nhelper",
])
def test_no_program_makes_its_fault_the_preambles(grader: Grader, program: str) -> None:
    grade = graded(grader, program, mode="assert", entry_point="f", test_code=CHECK, preamble="helper = 1")
    assert grade.verdict in (Verdict.CE, Verdict.RE)
    assert grade.score == 0


def test_other_languages_go_without(grader: Grader) -> None:
    reward = CodeTests.model_validate({"type": "code", "tests": [{"input": "", "output": "1"}], "preamble": "raise ValueError"})
    grade = grader.grade(Problem(reward=reward), Program("echo 1", "bash"))
    assert grade.verdict is Verdict.AC, grade


def test_a_preamble_is_part_of_the_problem(grader: Grader) -> None:
    one, other = (Problem(prompt="p", reward=CodeTests.model_validate({"type": "code", "tests": [], **more})) for more in ({}, {"preamble": "x = 1"}))
    assert one.id != other.id
