"""Bytes to records and back: page-log records, segments, WAL frames, checksums."""
