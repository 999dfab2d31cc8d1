"""Dataset folder -> training -> checkpoints -> ONNX -> a version in a model repository."""
