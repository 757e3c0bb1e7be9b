"""Stage ingest: watches ``incoming/`` and writes one record per recording; it moves and changes no raw file."""
