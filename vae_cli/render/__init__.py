"""Pictures for people: grids, animations, maps and their colours."""
