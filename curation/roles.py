"""Which models are the policy (is it too easy?) and which the advanced ones (can it be solved?)."""
from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..core.errors import UsageError
from .recipe import Roles

__all__ = ["assign_roles", "check_asked"]


def assign_roles(models: Mapping[str, int], asked_policy: Sequence[str], asked_advanced: Sequence[str], patterns: Roles,
                 say: Callable[[str], None] = lambda _: None) -> dict[str, list[int]]:
    """Model numbers by role; what was asked for goes before the patterns. No policy among the names: all that are not advanced are.

    Raises: UsageError if a model that was asked for has no rollouts.
    """
    names = sorted(name for name in models if not name.startswith("@"))
    check_asked(names, (*asked_policy, *asked_advanced))
    advanced = set(_fitting(names, asked_advanced))
    policy = set(_fitting(names, asked_policy)) - advanced
    if not asked_policy:
        policy = set(_fitting(names, patterns.policy)) - advanced
    if not asked_advanced:
        advanced = set(_fitting(names, patterns.advanced)) - policy
    if not policy and not asked_policy and (policy := set(names) - advanced):
        say(f"no model's name fits the recipe's policy patterns: all of these count as policy: {', '.join(sorted(policy))}")
    if names:
        say(f"policy: {', '.join(sorted(policy)) or 'none'}; advanced: {', '.join(sorted(advanced)) or 'none'}")
    if other := set(names) - policy - advanced:
        say(f"in no role, so in no rule: {', '.join(sorted(other))}")
    return {"policy": sorted(models[name] for name in policy), "advanced": sorted(models[name] for name in advanced)}


def check_asked(names: Iterable[str], asked: Sequence[str]) -> None:
    """That each name that was asked for fits some model; of `names` no more are taken than that needs. No names: nothing is wrong.

    Raises: UsageError.
    """
    missing, seen = set(asked), set[str]()
    for name in names if asked else ():
        if name not in seen:
            seen.add(name)
            missing -= {pattern for pattern in missing if _fitting((name,), (pattern,))}
            if not missing:
                return
    if seen and missing:
        raise UsageError(f"no rollouts of a model {next(name for name in asked if name in missing)!r}; there are {', '.join(sorted(seen))}")


def _fitting(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatch.fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)]
