"""Finding: neighbours, and maps of all samples."""
