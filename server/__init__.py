"""The predictor: repository -> load -> decode -> batch -> infer -> answer, over KServe's protocols.

Imports neither torch nor transformers.
"""
