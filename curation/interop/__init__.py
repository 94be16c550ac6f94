"""Canonical rows <-> the rows of other frameworks, without loss: one format a file, listed in curation/convert.py."""
