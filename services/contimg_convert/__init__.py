"""Stage convert: raw visibilities of one observation into one flagged, read-only measurement set."""
