"""An LLM's word where the rules are unsure: stored, asked once, and never the cause of a row that vanishes."""
from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import UsageError
from assay.curation.catalog import Catalog
from assay.curation.filters.question_type import unsure
from assay.curation.items import Item
from assay.curation.pipeline import Inputs, curate, open_for_run
from assay.curation.recipe import Recipe, TaggerRules
from assay.curation.replay import what_if
from assay.curation.tagger import Endpoint, Tagger, _word
from assay.verifiers.grader import Grader

from .support import ask, math_row, write_rows

ROWS = [
    math_row("sure", "What is 3 + 4?", "7"),
    math_row("sure-proof", "Prove that 7 is prime.", ""),
    math_row("gold-proof", "Let n = 7. Show that n is prime and find n.", "7"),
    math_row("word", "A proof has 7 lines. How many lines has it?", "7"),
    math_row("marks", "Cases: A) x > 0 B) x < 0 C) x = 0 D) none. How many cases are there?", "4"),
    math_row("broken", "To demonstrate it he needs 7 steps. How many?", "7"),
]
SAID = {"gold-proof": "neither", "word": "**Neither**", "marks": "It lists cases.\nneither", "broken": "I cannot say."}


class Told:
    """A tagger that knows the rows, and counts what it is asked."""

    def __init__(self, said: dict[str, str | None]) -> None:
        self.name, self.asked = "told", 0
        self._said = said

    def __call__(self, questions: Sequence[str]) -> list[str | None]:
        self.asked += len(questions)
        return [next(self._said.get(str(row["id"])) for row in ROWS if row["prompt"] in question) for question in questions]


def go(tmp_path: Path, tagger: Tagger | None, recipe: Recipe | None = None, resume: bool = False) -> dict[str, tuple[str, Any]]:
    catalog, pool = tmp_path / "c.duckdb", write_rows(tmp_path / "pool.jsonl", ROWS)
    with open_for_run(str(catalog), resume=resume, overwrite=False) as opened, Grader(workers=1) as grader:
        curate(opened, Inputs((pool,)), recipe or Recipe(), grader, tagger=tagger)
    return {name: (reason, json.loads(evidence)) for name, reason, evidence in ask(catalog, "SELECT id, reason, evidence FROM v_decision")}


def test_rules_alone(tmp_path: Path) -> None:
    assert {name: reason for name, (reason, _) in go(tmp_path, None).items()} == {
        "sure": "kept", "sure-proof": "type.proof", "gold-proof": "type.proof", "word": "kept", "marks": "type.mcq", "broken": "kept"}


def test_the_tagger_decides_what_is_unsure_and_is_asked_once(tmp_path: Path) -> None:
    tagger = Told(SAID | {"word": "proof"})
    found = go(tmp_path, tagger)
    assert tagger.asked == 4
    assert {name: reason for name, (reason, _) in found.items()} == {
        "sure": "kept", "sure-proof": "type.proof", "gold-proof": "kept", "word": "type.proof", "marks": "kept", "broken": "kept"}
    assert found["word"][1] == {"tagger": "told", "answer": "proof", "rules": "kept"}
    assert found["marks"][1] == {"tagger": "told", "answer": "neither"} and found["broken"][1] == found["sure"][1] == {}
    assert go(tmp_path, tagger, Recipe.model_validate({"type": {"multipart": True}}), resume=True)["word"][0] == "type.proof"
    assert tagger.asked == 5        # again only what had no answer


def test_a_failure_is_the_rules_answer_or_undecided(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert go(tmp_path / "a", Told({}))["marks"] == go(tmp_path / "b", None)["marks"]
    recipe = Recipe.model_validate({"tagger": {"on_failure": "undecided"}})
    (tmp_path / "c").mkdir()
    found = go(tmp_path / "c", Told({}), recipe)
    assert {name for name, (reason, _) in found.items() if reason == "undecided.untagged"} == set(SAID)
    again = go(tmp_path / "c", Told(SAID), recipe, resume=True)
    assert {name for name, (reason, _) in again.items() if reason == "undecided.untagged"} == {"broken"}


def test_what_if_asks_nobody(tmp_path: Path) -> None:
    go(tmp_path, Told(SAID))
    with Catalog.open(tmp_path / "c.duckdb", read_only=True) as opened, Grader(workers=1) as grader:
        change = what_if(opened, ["tagger.model=told", "tagger.base_url=http://127.0.0.1:1"], lambda: grader)
    assert change.after["type.mcq"] == 0 and change.after["type.proof"] == 1


@pytest.mark.parametrize(("text", "word"), [("proof", "proof"), ("**Choice.**", "choice"), ("proof or choice?\nneither", "neither"), ("", ""),
                                            (None, ""), ("proof or choice", ""), ("a proofreader", ""), ("neither\n\nthat is all", "neither")])
def test_words(text: str | None, word: str) -> None:
    assert _word(text) == word


@pytest.mark.parametrize(("prompt", "gold", "is_unsure"), [
    ("What is 3 + 4?", "7", False), ("Prove that 7 is prime.", "", False), ("Prove that 7 is prime.", "7", True),
    ("Which is prime? A) 4 B) 6 C) 7 D) 8", "C", False), ("Which is prime? A) 4 B) 6 C) 7 D) 8", "7", True),
    ("Which of the following is prime: 4, 6 or 7?", "7", True)])
def test_unsure(prompt: str, gold: str, is_unsure: bool) -> None:
    assert bool(unsure(Item(0, "", 1, "", "", "", type="math", prompt=prompt, golds=(gold,)))) == is_unsure


# --- an endpoint ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body | {"key": self.headers.get("Authorization"), "path": self.path})
            text = body["messages"][0]["content"]
            self.send_response(500 if "fail" in text else 200)
            self.end_headers()
            self.wfile.write(b"{no json" if "garbage" in text else json.dumps(
                {"choices": [{"message": {"content": "proof"}}]} if "odd" not in text else {"choices": []}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        server.shutdown()


def test_an_endpoint(endpoint: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, asked = endpoint
    monkeypatch.setenv("MY_KEY", "k")
    tagger = Endpoint(TaggerRules(model="m", base_url=url, key_env="MY_KEY", at_once=1))
    assert tagger(["fine", "fail", "garbage", "odd", "fine"]) == ["proof", None, None, None, "proof"]
    assert (asked[0]["path"], asked[0]["key"], asked[0]["model"], asked[0]["temperature"]) == ("/v1/chat/completions", "Bearer k", "m", 0)


def test_an_endpoint_that_is_down_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def send(_question: str) -> str:
        nonlocal tries
        tries += 1
        raise ValueError

    assert Endpoint(TaggerRules(model="m", base_url="http://127.0.0.1:1", at_once=1), send)(["q"] * 50) == [None] * 50
    assert tries == 8


def test_a_model_without_an_endpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base_url"):
        go(tmp_path, None, Recipe.model_validate({"tagger": {"model": "m"}}))
