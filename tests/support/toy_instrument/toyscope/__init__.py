"""A telescope that counts: proof that an instrument needs no edit of the library."""
