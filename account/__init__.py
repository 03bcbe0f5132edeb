"""ROOM: what a person sets for themselves: name, address, password, sessions, tokens."""
