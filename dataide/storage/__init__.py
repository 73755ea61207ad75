"""Storage: the session file, its tables, and the bytes of pictures. The only room that imports duckdb."""
