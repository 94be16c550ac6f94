"""Rollouts: rows {"id", "model", "responses": [...], "sampling": {...}, "scores": [...]} -> the catalog, and the jobs to grade.

`id` is a row's id or its content hash. `scores` are another grader's: kept apart from ours (`rollouts.recorded`). A rollout that
the catalog has already (the same problem, model and text, as many times) is not stored twice, so a run can be repeated.
"""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ..core.errors import RowError
from ..core.problem import CodeTests, Problem, Program, Response
from ..core.rows import parse_response
from .catalog import Catalog
from .checkpoint import file_print
from .gradebook import Job
from .hashing import hash_of, hash_text
from .ingest import load_problems
from .items import Item
from .scores import ScoreBatch, score_hash
from .sources.reader import rows_of

__all__ = ["RolloutReader", "model_names"]

_CHUNK: Final = 32768
_CHUNK_CHARACTERS: Final = 32 << 20
"""Responses, and characters of them, stored and held at once."""
_SCORES: Final = 1 << 22
"""Scores without responses that are held at once."""
_SHOWN: Final = 5


class RolloutReader:
    """Stores rollouts and gives the jobs to grade. `unknown` counts rows of no problem of the pool, `bad` those that are no rollouts."""

    def __init__(self, catalog: Catalog, items: Sequence[Item], models: Mapping[str, int], verifiers: Mapping[str, int],
                 say: Callable[[str], None]) -> None:
        self._catalog, self._verifiers, self._say = catalog, verifiers, say
        self._models = dict(models)
        self._stored = set(models)
        self._places: dict[str, int] = {}
        for item in reversed(items):        # the first row with an id wins
            if item.pid >= 0:
                self._places[item.id] = item.pid
        self._hashes: dict[str, int] = dict(catalog.rows("SELECT problem_id, pid FROM problems"))
        self._held: dict[tuple[int, int], dict[int, list[int]]] = {}      # (pid, mid) -> hash -> samples of the catalog not yet met
        self._next: defaultdict[int, dict[int, int]] = defaultdict(dict)      # mid -> pid -> its next sample: no tuples by the 100,000
        self._scores = ScoreBatch()
        self._only_scores = False
        self._known: set[tuple[int, int]] = set()       # (pid, mid) of which the catalog had rollouts before this run
        self._settled: Mapping[str, Mapping[int, int]] = {}
        self.unknown = self.bad = self.reused = 0

    @property
    def models(self) -> dict[str, int]:
        return dict(self._models)

    def jobs(self, paths: Sequence[str], skip: set[int], per_test: bool, settled: Mapping[str, Mapping[int, int]] | None = None) -> Iterator[Job]:
        """All rollouts of the files; those of problems in `skip` are stored and not graded. Lines that are `settled` (settled.py) are not parsed,
        their grades count as `reused`. Raises: InputError.
        """
        self._settled = settled or {}
        chunk: list[_Rollout] = []
        size = 0
        self._known = set(self._catalog.rows("SELECT DISTINCT pid, mid FROM rollouts"))
        ids = hash_text(json.dumps(self._places), json.dumps(list(self._hashes)))
        for path in paths:
            file = file_print(path)
            if read := self._catalog.rows("SELECT bad, unknown FROM files_read WHERE path = ? AND print = ? AND ids = ?", [path, file, str(ids)]):
                self._say(f"{path}: its scores are in the catalog")
                self.bad, self.unknown = self.bad + read[0][0], self.unknown + read[0][1]
                continue
            passed = self._settled.get(path, {})
            self.reused += sum(passed.values())
            bad, unknown, self._only_scores = self.bad, self.unknown, bool(file) and not passed
            for line, row in rows_of(path, passed):
                if not self._add_plain(row, path, line):
                    try:
                        new = self._parse(row, path, line, f"{path}, line {line}")
                    except RowError as error:
                        self.bad += 1
                        if self.bad <= _SHOWN:
                            self._say(f"no rollout: {error}")
                    else:
                        size += sum(rollout.length for rollout in new)
                        chunk += new
                if len(chunk) >= _CHUNK or size >= _CHUNK_CHARACTERS or len(self._scores) >= _SCORES:
                    yield from self._store(chunk, skip, per_test)
                    chunk, size = [], 0
            yield from self._store(chunk, skip, per_test)
            chunk, size = [], 0
            if self._only_scores:
                self._catalog.append("files_read", {"path": [path], "print": [file], "ids": [str(ids)], "bad": [self.bad - bad],
                                                    "unknown": [self.unknown - unknown]})

    def _add_plain(self, row: dict[str, Any] | RowError, path: str, line: int) -> bool:
        """What `_parse` does, for the row that comes by the million: scores of 0 and 1 alone, by a model and of a row that are known."""
        if isinstance(row, RowError) or row.keys() != _PLAIN_KEYS:
            return False
        row_id, model, scores = row["id"], row["model"], row["scores"]
        if row_id.__class__ is not str or model.__class__ is not str or scores.__class__ is not list or model.startswith("@"):
            return False
        pid, mid = self._places.get(row_id), self._models.get(model)
        if pid is None or mid is None or (pid, mid) in self._known:
            return False
        try:
            if not _RIGHT_OR_WRONG.issuperset(scores):
                return False
        except TypeError:       # a list among them
            return False
        counts = self._next[mid]
        first = counts.get(pid, 0)
        counts[pid] = first + len(scores)
        self._scores.add(pid, mid, first, scores, None, path, line)
        return True

    def _parse(self, row: dict[str, Any] | RowError, path: str, line: int, where: str) -> list[_Rollout]:
        if isinstance(row, RowError):
            raise row
        row_id, model = row.get("id", row.get("problem_id")), row.get("model")
        if not isinstance(row_id, str | int) or not isinstance(model, str) or not model:
            raise RowError(f"{where}: a rollout row has `id` and `model`: "
                           '{"id": ..., "model": ..., "responses": [...], "sampling": {...}, "scores": [...]}')
        if not model.isascii() and any(0xD800 <= ord(letter) < 0xE000 for letter in model):
            raise RowError(f"{where}: a model's name with half a surrogate pair, which is no text")
        if model.startswith("@"):
            raise RowError(f"{where}: a model's name does not start with @")
        responses, scores = row.get("responses"), row.get("scores")
        if responses is None and isinstance(row.get("response"), str):
            responses = [row["response"]]
        if responses is None and scores is None:
            raise RowError(f"{where}: neither `responses` nor `scores`")
        for name, value in (("responses", responses), ("scores", scores)):
            if value is not None and not isinstance(value, list):
                raise RowError(f"{where}: `{name}` is not a list")
        if responses is not None and scores is not None and len(responses) != len(scores):
            raise RowError(f"{where}: {len(responses)} responses and {len(scores)} scores")
        pid: int = self._places.get(str(row_id), self._hashes.get(str(row_id), -1))
        if pid < 0:
            self.unknown += 1
            if self.unknown <= _SHOWN:
                self._say(f"{where}: rollouts of {row_id!r}, which is in no pool")
            return []
        count = len(responses if responses is not None else scores or ())
        sampling = json.dumps(row["sampling"], sort_keys=True) if isinstance(row.get("sampling"), dict) else None
        mid = self._models.setdefault(model, len(self._models))
        if responses is None and (pid, mid) not in self._known:
            first = self._next[mid].get(pid, 0)
            self._scores.add(pid, mid, first, _all_scores(scores or [], where), sampling, path, line)
            self._next[mid][pid] = first + count
            return []
        self._only_scores = self._only_scores and responses is None
        return [_Rollout(pid, mid, parse_response(responses[n], f"{where}: responses[{n}]") if responses is not None else None,
                         _score(scores[n], f"{where}: scores[{n}]") if scores is not None else None, sampling, path, line, n)
                for n in range(count)]

    def _store(self, chunk: list[_Rollout], skip: set[int], per_test: bool) -> Iterator[Job]:
        self._load({(r.pid, r.mid) for r in chunk})
        new: list[_Rollout] = []
        kept: list[_Rollout] = []
        for rollout in chunk:
            key = rollout.pid, rollout.mid
            if samples := self._held.get(key, {}).get(rollout.hash):
                rollout.sample = samples.pop(0)
            else:
                rollout.sample = self._next[rollout.mid][rollout.pid]
                self._next[rollout.mid][rollout.pid] += 1
                new.append(rollout)
            if rollout.response is not None and rollout.pid not in skip:
                kept.append(rollout)
        self._store_models()
        self._catalog.append_all({"rollouts": {name: [getattr(rollout, name) for rollout in new] for name in _COLUMNS}})
        if scores := self._scores.taken():
            self._catalog.append_all({"rollouts": scores})
        problems = load_problems(self._catalog, sorted({r.pid for r in kept})) if kept else {}
        if per_test:
            problems = {pid: _every_test(problem) for pid, problem in problems.items()}
        for rollout in kept:
            vid = self._verifiers[problems[rollout.pid].reward.type]
            assert rollout.response is not None
            yield Job(rollout.pid, rollout.mid, rollout.sample, rollout.hash, vid, rollout.response,
                      partial(problems.__getitem__, rollout.pid))

    def _load(self, keys: set[tuple[int, int]]) -> None:
        """What the catalog has of these (pid, mid)."""
        new = sorted((pid, mid) for pid, mid in keys if pid not in self._next[mid])
        for pid, mid in new:
            self._held[pid, mid], self._next[mid][pid] = {}, 0
        if not new:
            return
        with self._catalog.using("wanted", {"pid": [pid for pid, _ in new], "mid": [mid for _, mid in new]}):
            rows = self._catalog.rows("SELECT pid, mid, hash, sample, file, line FROM rollouts SEMI JOIN wanted USING (pid, mid) ORDER BY ALL")
        for pid, mid, value, sample, file, line in rows:
            if line not in self._settled.get(file, ()):
                self._held[pid, mid].setdefault(value, []).append(sample)
            self._next[mid][pid] = max(self._next[mid][pid], sample + 1)

    def _store_models(self) -> None:
        new = {name: mid for name, mid in self._models.items() if name not in self._stored}
        if new:
            self._catalog.append("models", {"mid": list(new.values()), "name": list(new)})
            self._stored |= new.keys()


def model_names(paths: Sequence[str]) -> Iterator[str]:
    """The models that rows of these files name, again and again."""
    for path in paths:
        for _, row in rows_of(path):
            if not isinstance(row, RowError) and isinstance(name := row.get("model"), str) and name and not name.startswith("@"):
                yield name


_MOST: Final = 1e300
"""Beyond it an integer of JSON may be no float."""
_NUMBERS: Final = frozenset({int, float, bool})
_PLAIN_KEYS: Final = {"id", "model", "scores"}
_RIGHT_OR_WRONG: Final = frozenset({0, 1})
"""What nearly all scores are; True and 1.0 are among them."""
_COLUMNS: Final = ("pid", "mid", "sample", "hash", "length", "recorded", "sampling", "file", "line")


class _Rollout:
    """One response on its way in."""

    __slots__ = ("file", "hash", "length", "line", "mid", "pid", "recorded", "response", "sample", "sampling")

    def __init__(self, pid: int, mid: int, response: Response | Program | None, recorded: float | None, sampling: str | None, file: str,
                 line: int, index: int) -> None:
        self.pid, self.mid, self.response, self.recorded, self.sampling = pid, mid, response, recorded, sampling
        self.file, self.line, self.sample = file, line, -1
        self.hash = hash_of(response) if response is not None else score_hash(index, recorded)
        self.length = -1 if response is None else len(response.text if isinstance(response, Response) else response.source)


def _all_scores(values: list[Any], where: str) -> Sequence[float | None]:
    if set(map(type, values)) <= _NUMBERS and sum(map(abs, values)) < _MOST:      # not so with NaN or infinity
        return values
    return [_score(value, f"{where}: scores[{n}]") for n, value in enumerate(values)]


def _score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float) and abs(value) < _MOST:
        return value + 0.0      # -0.0 is 0.0
    raise RowError(f"{where} is {value!r}, not a number")


def _every_test(problem: Problem) -> Problem:
    """The problem with all its tests run: the verdict is the same, and each test's outcome is known."""
    if isinstance(problem.reward, CodeTests) and problem.reward.stop_on_failure:
        return problem.model_copy(update={"reward": problem.reward.model_copy(update={"stop_on_failure": False})})
    return problem


