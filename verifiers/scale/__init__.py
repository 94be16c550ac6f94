"""Grading on more machines than one."""
