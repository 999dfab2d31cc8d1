"""Which versions of a model are served, from the `version_policy` of its config.pbtxt.

Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from collections.abc import Iterable
from typing import Any

from contract.model_config import ModelConfig


def choose_versions(config: ModelConfig, present: Iterable[int]) -> list[int]:
    """The versions of `present` that the policy serves, ascending; without one, the newest."""
    message: Any = config.message
    policy = message.version_policy
    numbers = sorted(present)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return numbers
        case "specific":
            return [number for number in numbers if number in policy.specific.versions]
        case _:
            return numbers[-(policy.latest.num_versions or 1) :]
