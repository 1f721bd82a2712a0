"""Judgements, one file each; ``_index`` lists them by code. Import a rule's module directly: its docstring is its page."""
