"""One file a wire protocol; a protocol knows no task."""
