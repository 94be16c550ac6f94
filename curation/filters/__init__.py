"""Filters: one rule or family of rules a file, each a pure function of an Item: None keeps it, a Decision rejects it."""
