"""Random paths whose density is exp(-A/T)."""
