"""What tests and benchmarks of interrupted runs share."""
