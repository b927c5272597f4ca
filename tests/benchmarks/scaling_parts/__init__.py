"""Parts of scaling.py: what starts cost, the replay at many ranks, the real thing at few."""
