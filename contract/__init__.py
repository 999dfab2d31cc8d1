"""What the trainer and the server share: pictures, labels, model configuration, repository layout.

Imports neither torch nor KServe, so that either side can be installed without the other.
"""
