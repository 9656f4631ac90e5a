"""SQLite, the page log and the data directory on real files."""
