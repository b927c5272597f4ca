"""The results of a run: what they hold, as tables, in files (`hpcda.store`) or in memory."""
