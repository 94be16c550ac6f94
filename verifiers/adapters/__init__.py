"""Rewards for RL frameworks: one framework a file, and no framework is imported before it is used.

    messages.py     what a framework calls a completion -> Response
    columns.py      a sample's columns -> reward spec
    samples.py      SampleGrader: samples -> grades, never an exception for what one sample is
    trl.py, verl.py, openrlhf.py, ...      the framework's own signature, around a SampleGrader

Three rules hold in every adapter (docs/rl.md):
- a fault that is not the response's never becomes a number by itself: it is None where the framework knows None, and what the
  caller chose, counted, where it does not;
- a fault of configuration (no column holds a reference, an unknown setting) is an error at once; a fault of one sample's data is
  that sample's, unscored, with a reason that can be counted;
- a reward is configuration: it pickles, has a `__name__`, and starts its pools at first use in the process that uses it.
"""
from __future__ import annotations
