"""Tests over Ray run where ASSAY_RL=1 says that it is installed (.ci/rl does); elsewhere they are not collected, so nothing is skipped."""
from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("ASSAY_RL") == "1" else ["test_ray.py"]
