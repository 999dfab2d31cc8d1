"""SageMaker's dialect: its container, its channels and its built-in vision algorithms' options."""
