"""Configurations of which a test says the fields that it is about."""

from contract.model_config import ModelConfig, parse_model_config


def config_of(text: str) -> ModelConfig:
    """A configuration of these fields, as config.pbtxt's JSON form has them."""
    return parse_model_config(f'{{"name": "m", {text}}}')
