"""How certain the figures of a prompt experiment are: pure calculation, no Django, no database.

It may be imported anywhere: scipy is loaded by the first calculation, not by the import.
"""
