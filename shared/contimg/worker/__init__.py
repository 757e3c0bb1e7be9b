"""From a message to a committed run: handling, the warm child, and the command of one stage."""
