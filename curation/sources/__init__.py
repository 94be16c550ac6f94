"""Where rows come from: files and Hub data sets, their columns mapped to problems by TOML files in this folder."""
