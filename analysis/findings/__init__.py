"""Questions about a sweep, one per file, each answered from its frames."""
