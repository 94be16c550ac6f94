"""Keeps the repository root off sys.path: there, its folders would shadow installed packages (`verifiers`, `core`)."""
from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
