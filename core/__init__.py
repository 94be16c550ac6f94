"""Ground floor: the values that every room shares. Imports nothing else of assay."""
