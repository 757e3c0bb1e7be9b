"""The engine's host: brings facts to the engine and its wishes to the bus, for all groups of a shard."""
