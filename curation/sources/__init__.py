"""See docs/curation.md."""
