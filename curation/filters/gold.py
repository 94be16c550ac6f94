"""Golds that are none: empty ones, and what data sets write where they have no answer."""
from __future__ import annotations

from collections.abc import Callable

from ..items import Decision, Item
from ..recipe import GoldRules

__all__ = ["gold_filter"]


def gold_filter(rules: GoldRules) -> Callable[[Item], Decision | None]:
    """`gold.empty` and `gold.sentinel` for math, `code.no_tests` for code."""
    sentinels = {text.casefold() for text in rules.sentinels}

    def check(item: Item) -> Decision | None:
        if item.type == "code":
            return None if item.tests else Decision.reject("gold", "code.no_tests")
        if item.type != "math":
            return None
        golds = [gold.strip() for gold in item.golds]
        if not any(golds):
            return Decision.reject("gold", "gold.empty")
        if placeholder := next((gold for gold in golds if gold.casefold().rstrip(".") in sentinels or gold.casefold() in sentinels), None):
            return Decision.reject("gold", "gold.sentinel", gold=placeholder)
        return None

    return check
