"""What would another recipe decide? A finished run decided again from its catalog, without reading a pool and without grading.

    what_if(catalog, ["difficulty.max=0.8", "type.yes_no=true"], Grader)      ->  counts by reason, before and after

Only the stages from the first changed one on are decided again. Other rules on golden programs and difficulty are counted without a look
at the problems (recount.py), under a second for 130K rows; other static rules go through the rows (replay_stages.py). A grade that the new
rules would need and the catalog lacks leaves its row `undecided.ungraded`, and is counted. Nothing is written.
"""
from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import UsageError
from .catalog import Catalog
from .recipe import DifficultyRules, Recipe, parse_recipe
from .recount import LATE, recount

if TYPE_CHECKING:
    from .stages import Comparer

__all__ = ["Change", "change_text", "changed_recipe", "what_if"]

_STAGE_SETTINGS: Final = {"type": ("type", "tagger"), "gold": ("gold",), "contamination": ("contamination",), "duplicates": ("duplicates",),
                          "code": ("code",), "difficulty": ("difficulty", "roles", "code")}
"""Which parts of a recipe each stage looks at."""


@dataclass(frozen=True, slots=True)
class Change:
    """Rows by reason, before and after, and how many rows changed their status; `first` is the first stage that was decided again."""

    before: Counter[str]
    after: Counter[str]
    moved: int
    first: str


def changed_recipe(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with `key.path=value` settings; a value is JSON or text. `difficulty.max` is the limit of both domains.

    Raises: UsageError, which names the key.
    """
    data = recipe.model_dump(mode="json")
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"{setting!r}: a setting is KEY=VALUE, such as difficulty.max=0.8")
        if path == "difficulty.max":
            data["difficulty"]["math"]["too_easy"] = data["difficulty"]["code"]["too_easy"] = text
            continue
        *parents, last = path.split(".")
        if parents == ["difficulty"] and last not in (known := ["max", *DifficultyRules.model_fields]):
            near = difflib.get_close_matches(last, known, n=1, cutoff=0)
            raise UsageError(f"what-if: unknown key `{path}`; did you mean `difficulty.{near[0]}`? (there are: {', '.join(known)})")
        place: Any = data
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise UsageError(f"{setting!r}: no such setting")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        place[last] = text if isinstance(place.get(last), str) else value
    return parse_recipe(data, "what-if")


def what_if(catalog: Catalog, settings: Sequence[str], comparer: Callable[[], Comparer]) -> Change:
    """Counts by reason under the last run's recipe and under the changed one.

    `comparer` makes a Grader; it is called only where golds of duplicates are to be compared again.

    Raises: UsageError (a setting; no finished run).
    """
    run = catalog.rows("SELECT run, recipe_json, inputs FROM v_run")
    if not run:
        raise UsageError(f"{catalog.path}: no run came to its end here")
    number, recipe_text, inputs = run[0]
    recipe = parse_recipe(json.loads(recipe_text), f"run {number}")
    changed = changed_recipe(recipe, settings)
    first = _first_changed(recipe, changed)
    stands, again = changed.stages[:first], changed.stages[first:]
    if list(again) == [stage for stage in LATE if stage in again]:
        moves = recount(catalog, number, changed, stands, again, json.loads(inputs))
    else:
        from .replay_stages import decide_again

        same_contamination = "contamination" in recipe.stages and recipe.contamination == changed.contamination
        moves = decide_again(catalog, number, changed, stands, again, json.loads(inputs), comparer, stored_hits=same_contamination)
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    moved = 0
    for (old, new), n in moves.items():
        before[old.reason] += n
        after[new.reason] += n
        moved += n * (old.status is not new.status)
    return Change(before, after, moved, next(iter(again), "none"))


def _first_changed(old: Recipe, new: Recipe) -> int:
    """The place of the first stage whose outcome may differ; their number if there is none."""
    for place, stage in enumerate(new.stages):
        if place >= len(old.stages) or old.stages[place] != stage:
            return place
        if any(getattr(old, part) != getattr(new, part) for part in _STAGE_SETTINGS.get(stage, ())):
            return place
        if stage == "difficulty" and ("code" in old.stages) != ("code" in new.stages):      # it asks which golden programs passed
            return place
    return len(new.stages)


def change_text(change: Change) -> str:
    """The counts side by side."""
    lines = [f"{'':<28}{'now':>9}{'then':>9}"]
    names = sorted(change.before | change.after, key=lambda name: (name == "kept", name.startswith("undecided"), name))
    for name in names:
        before, after = change.before[name], change.after[name]
        lines.append(f"{name:<28}{before:>9,}{after:>9,}" + (f"  {after - before:+,}" if after != before else ""))
    lines.append(f"{change.moved:,} rows change their status; decided again from stage: {change.first}; nothing was written")
    if change.after["undecided.ungraded"] > change.before["undecided.ungraded"]:
        lines.append("undecided.ungraded: grades that these rules need and the catalog lacks; a run with this recipe makes them")
    return "\n".join(lines)
