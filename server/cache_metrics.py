"""Triton's metrics of the response cache: of each model that asks for it, and of the whole.

Source: the page of a tritonserver 2.51 with a local cache, whose help texts these are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from server.exposition import Family, Sample
from server.response_cache import ResponseCache
from server.statistics import Statistics, Versions

_OF_MODELS: Final[Sequence[tuple[str, str, Callable[[Statistics], int]]]] = (
    (
        "nv_cache_num_hits_per_model",
        "Number of cache hits per model",
        lambda one: one.cache_hit.count,
    ),
    (
        "nv_cache_hit_duration_per_model",
        "Total cache hit duration per model, in microseconds",
        lambda one: one.cache_hit.ns // 1000,
    ),
    (
        "nv_cache_num_misses_per_model",
        "Number of cache misses per model",
        lambda one: one.cache_miss.count,
    ),
    (
        "nv_cache_miss_duration_per_model",
        "Total cache miss (insert+lookup) duration per model, in microseconds",
        lambda one: one.cache_miss.ns // 1000,
    ),
)

_OF_ALL: Final[Sequence[tuple[str, str, Callable[[ResponseCache], float]]]] = (
    ("nv_cache_util", "Cache utilization [0.0 - 1.0]", lambda one: one.used_bytes / one.max_bytes),
    ("nv_cache_num_entries", "Number of responses stored in response cache", len),
    (
        "nv_cache_num_hits",
        "Number of cache hits in response cache",
        lambda one: one.statistics.hits,
    ),
    (
        "nv_cache_num_misses",
        "Number of cache misses in response cache",
        lambda one: one.statistics.misses,
    ),
    (
        "nv_cache_num_lookups",
        "Number of cache lookups in response cache",
        lambda one: one.statistics.hits + one.statistics.misses,
    ),
    (
        "nv_cache_num_evictions",
        "Number of cache evictions in response cache",
        lambda one: one.statistics.evictions,
    ),
    (
        "nv_cache_lookup_duration",
        "Total cache lookup duration (hit and miss), in microseconds",
        lambda one: one.statistics.lookup_ns // 1000,
    ),
    (
        "nv_cache_insertion_duration",
        "Total cache insertion duration, in microseconds",
        lambda one: one.statistics.insertion_ns // 1000,
    ),
)


def cache_families(versions: Versions, cache: ResponseCache | None) -> Iterator[Family]:
    """The metrics of models whose configuration asks for the cache, and those of the cache."""
    for name, text, value in _OF_MODELS:
        samples = [Sample("", labels, value(one)) for labels, one in versions if one.cached]
        yield Family(name, "counter", text, samples)
    if cache is not None:
        for name, text, of_cache in _OF_ALL:
            yield Family(name, "gauge", text, [Sample("", {}, of_cache(cache))])
