from __future__ import annotations

import pickle

import pytest

from assay.core import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_pickles_and_stands_in_the_tree(name: str) -> None:
    error = getattr(errors, name)("a message")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), "a message")
    assert name in (errors.__doc__ or "")
