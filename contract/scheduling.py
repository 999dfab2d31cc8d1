"""How a model's requests are scheduled: a typed view of what config.pbtxt says of it.

`dynamic_batching` and `instance_group` mean here what they mean to Triton, and what Triton refuses
is refused here in its words.

Source: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from contract.instance_groups import read_instance_groups
from contract.model_config import ModelConfig
from contract.warm_ups import WarmUp, read_warm_ups

MOST_PRIORITY_LEVELS: Final = 1000

TimeoutAction = Literal["REJECT", "DELAY"]


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How long, and how many, requests of a priority level wait.

    Attributes:
        timeout_action: A request whose time is over is refused, or waits behind all others of its
            level.
        default_timeout_us: Microseconds that a request may wait; 0 for any time.
        allow_timeout_override: Whether a request may shorten that by its own `timeout`.
        max_queue_size: Most requests waiting in the level; 0 for no limit.
    """

    timeout_action: TimeoutAction = "REJECT"
    default_timeout_us: int = 0
    allow_timeout_override: bool = False
    max_queue_size: int = 0

    def timeout_us(self, asked_us: int) -> int:
        """Microseconds that a request which asks for `asked_us` may wait; 0 for any time."""
        if self.allow_timeout_override and asked_us:
            return min(asked_us, self.default_timeout_us or asked_us)
        return self.default_timeout_us


@dataclass(frozen=True, slots=True)
class DynamicBatching:
    """How requests share runs.

    Attributes:
        preferred_batch_sizes: Batch sizes to form where that is possible, ascending.
        max_queue_delay_us: Microseconds that a smaller batch may wait to become one of those.
        preserve_ordering: Whether requests are answered in the order of their arrival.
        default_priority_level: The level of a request that names none.
        policies: The policy of each priority level, the most urgent first.
    """

    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_us: int = 0
    preserve_ordering: bool = False
    default_priority_level: int = 1
    policies: tuple[QueuePolicy, ...] = (QueuePolicy(),)

    def level(self, priority: int) -> int:
        """The level of a request of that `priority`; what is no level is the default."""
        return priority if 1 <= priority <= len(self.policies) else self.default_priority_level


@dataclass(frozen=True, slots=True)
class Scheduling:
    """How a model's requests are scheduled.

    Attributes:
        dynamic_batching: How requests share runs; None: each has runs of its own.
        instances: Runs that go on at once: the counts of all instance groups, of any kind.
        warm_ups: What is run before the model is ready.
    """

    dynamic_batching: DynamicBatching | None
    instances: int
    warm_ups: tuple[WarmUp, ...]


def read_scheduling(config: ModelConfig) -> Scheduling:
    """Read and check how the requests of a model are scheduled.

    Raises:
        ConfigError: It is what Triton refuses, or a warm-up file outside its folder.
    """
    message: Any = config.message  # its class is generated, without types
    dynamic = message.dynamic_batching if message.HasField("dynamic_batching") else None
    return Scheduling(
        dynamic_batching=None if dynamic is None else _dynamic_batching(config, dynamic),
        instances=sum(group.count for group in read_instance_groups(config)),
        warm_ups=read_warm_ups(config),
    )


def _dynamic_batching(config: ModelConfig, message: Any) -> DynamicBatching:
    sizes = tuple(sorted(set(message.preferred_batch_size)))
    if sizes and sizes[0] < 1:
        raise config.refusal(f"dynamic batching preferred size must be positive for {config.name}")
    if sizes and sizes[-1] > config.max_batch_size:
        raise config.refusal(
            f"dynamic batching preferred size must be <= max batch size for {config.name}; "
            f"got {sizes[-1]} and {config.max_batch_size}"
        )
    dynamic = DynamicBatching(
        preferred_batch_sizes=sizes,
        max_queue_delay_us=message.max_queue_delay_microseconds,
        preserve_ordering=message.preserve_ordering,
        default_priority_level=message.default_priority_level if message.priority_levels else 1,
        policies=_policies(config, message),
    )
    _check_priorities(config, dynamic)
    return dynamic


def _policies(config: ModelConfig, message: Any) -> tuple[QueuePolicy, ...]:
    default = _policy(message.default_queue_policy)
    levels = message.priority_levels
    if not levels:
        return (default,)
    if levels > MOST_PRIORITY_LEVELS:
        raise config.refusal(f"priority_levels is {levels}; expected up to {MOST_PRIORITY_LEVELS}")
    own = {level: _policy(policy) for level, policy in message.priority_queue_policy.items()}
    if any(not 1 <= level <= levels for level in own):
        raise config.refusal(
            f"priority queue policy must have priority level in range [1, {levels}] "
            f"for {config.name}; got {sorted(own)}"
        )
    return tuple(own.get(level, default) for level in range(1, levels + 1))


def _policy(message: Any) -> QueuePolicy:
    delay = message.timeout_action == message.DESCRIPTOR.enum_values_by_name["DELAY"].number
    return QueuePolicy(
        timeout_action="DELAY" if delay else "REJECT",
        default_timeout_us=message.default_timeout_microseconds,
        allow_timeout_override=message.allow_timeout_override,
        max_queue_size=message.max_queue_size,
    )


def _check_priorities(config: ModelConfig, dynamic: DynamicBatching) -> None:
    levels = len(dynamic.policies)
    if not 1 <= dynamic.default_priority_level <= levels:
        raise config.refusal(
            f"default priority level must be in range [1, {levels}] for {config.name}; "
            f"got {dynamic.default_priority_level}"
        )
    if not dynamic.preserve_ordering:
        return
    if levels > 1:
        raise config.refusal(
            "Only one priority level is allowed when 'preserve_ordering' is true "
            f"for {config.name}; got {levels}"
        )
    policy = dynamic.policies[0]
    if policy.default_timeout_us and policy.timeout_action == "DELAY":
        raise config.refusal(
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true "
            f"for {config.name}"
        )
