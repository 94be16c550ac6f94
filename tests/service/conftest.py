"""test_frameworks.py runs where ASSAY_RL=1 says that the frameworks are installed (.ci/rl does); elsewhere it is not collected."""
from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("ASSAY_RL") == "1" else ["test_frameworks.py"]
