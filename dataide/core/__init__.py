"""Core: what people look at (views, selection, filter) and what they decide (actions, journal)."""
