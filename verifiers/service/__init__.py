"""`assay serve`: the Grader behind HTTP. Needs the extra `[serve]` (fastapi, uvicorn); nothing here is imported by the rest."""
