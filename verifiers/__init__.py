"""Response + reward spec -> Grade."""
from __future__ import annotations

if __name__ != "assay.verifiers":
    # The repository root is the package; with the root on sys.path this folder would shadow PyPI's `verifiers`.
    raise ImportError("this folder is assay.verifiers, not the package `verifiers`: take assay's repository root off sys.path")
