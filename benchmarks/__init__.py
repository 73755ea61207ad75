"""What was promised, measured: `make bench`, or `python -m benchmarks NAME`."""
