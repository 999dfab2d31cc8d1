"""JSON schemas of what the REST routes take and answer, for the OpenAPI document.

Schemas of requests name what is read; more is let pass where a protocol says so. Schemas of answers
name what is always there.
"""

from collections.abc import Mapping
from typing import Final

from contract.model_config import Json
from server.tensors import BF16, BYTES, NUMPY_OF_DATATYPE

Schema = dict[str, Json]

STRING: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}


def reference(name: str) -> Schema:
    """The schema of that name in SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(item: Schema, **more: Json) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item, **more}


def record(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """An object with these members, and perhaps others."""
    properties: Schema = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required)}


_PARAMETERS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "boolean", "number"]},
}
_DATATYPE: Final[Schema] = {"type": "string", "enum": [*NUMPY_OF_DATATYPE, BF16, BYTES]}
_SIZES: Final[Schema] = listed(COUNT)
_SHAPE: Final[Schema] = listed({"type": "integer", "minimum": -1})
_DURATION: Final[Schema] = record({"count": COUNT, "ns": COUNT})
_STAGES: Final = ("compute_input", "compute_infer", "compute_output")
_TENSOR: Final[Mapping[str, Schema]] = {"name": STRING, "datatype": _DATATYPE, "shape": _SIZES}
_METADATA: Final = listed(record({"name": STRING, "datatype": _DATATYPE, "shape": _SHAPE}))
_BATCH: Final = record({"batch_size": COUNT, **dict.fromkeys(_STAGES, _DURATION)})
_INFERENCES: Final = ("success", "fail", "queue", *_STAGES, "cache_hit", "cache_miss")

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": record({"error": STRING}),
    "Live": record({"live": FLAG}),
    "Ready": record({"ready": FLAG}),
    "ModelReady": record({"name": STRING, "ready": FLAG}),
    "Models": record({"models": listed(STRING)}),
    "ServerMetadata": record({"name": STRING, "version": STRING, "extensions": listed(STRING)}),
    "ModelMetadata": record(
        {
            "name": STRING,
            "versions": listed(STRING),
            "platform": STRING,
            "inputs": _METADATA,
            "outputs": _METADATA,
        }
    ),
    "ModelConfig": record(
        {
            "name": STRING,
            "platform": STRING,
            "max_batch_size": COUNT,
            "input": listed({"type": "object"}),
            "output": listed({"type": "object"}),
            "parameters": {"type": "object"},
        }
    ),
    "InferRequest": record(
        {"inputs": listed(reference("RequestInput"))},
        id=STRING,
        parameters=_PARAMETERS,
        outputs=listed(reference("RequestedOutput")),
    ),
    "RequestInput": record(
        {"name": STRING, "datatype": _DATATYPE, "shape": _SIZES},
        parameters=_PARAMETERS,
        data=listed({}),
    ),
    "RequestedOutput": record({"name": STRING}, parameters=_PARAMETERS),
    "InferResponse": record(
        {
            "model_name": STRING,
            "model_version": STRING,
            "outputs": listed(record(_TENSOR, data=listed({}), parameters=_PARAMETERS)),
        },
        id=STRING,
    ),
    "Statistics": record(
        {
            "model_stats": listed(
                record(
                    {
                        "name": STRING,
                        "version": STRING,
                        "last_inference": COUNT,
                        "inference_count": COUNT,
                        "execution_count": COUNT,
                        "inference_stats": record(dict.fromkeys(_INFERENCES, _DURATION)),
                        "batch_stats": listed(_BATCH),
                    }
                )
            )
        }
    ),
    "IndexRequest": record({}, ready=FLAG),
    "Index": listed(record({"name": STRING}, version=STRING, state=STRING, reason=STRING)),
    "LoadRequest": record({}, parameters={"type": "object", "additionalProperties": STRING}),
    "UnloadRequest": record({}, parameters=record({}, unload_dependents=FLAG)),
    "TraceSettings": record(
        {
            "trace_level": listed(STRING),
            **dict.fromkeys(("trace_rate", "trace_count", "log_frequency"), STRING),
        }
    ),
    "NewTraceSettings": record(
        {},
        trace_level={"type": ["array", "null"], "items": STRING},
        trace_rate={"type": ["string", "null"]},
        trace_count={"type": ["string", "null"]},
        log_frequency={"type": ["string", "null"]},
    ),
    "LogSettings": record(
        {
            **dict.fromkeys(("log_info", "log_warning", "log_error"), FLAG),
            "log_verbose_level": COUNT,
            "log_format": STRING,
            "log_file": STRING,
        }
    ),
    "NewLogSettings": record(
        {},
        log_info=FLAG,
        log_warning=FLAG,
        log_error=FLAG,
        log_verbose_level=COUNT,
        log_format={"type": "string", "enum": ["default", "ISO8601"]},
    ),
    "Region": record({"key": STRING, "byte_size": COUNT}, offset=COUNT),
    "Regions": listed(record({"name": STRING, "key": STRING, "offset": COUNT, "byte_size": COUNT})),
    "PredictRequest": record(
        {"instances": listed(record({"data": STRING}), minItems=1)}, parameters={"type": "object"}
    ),
    "AwsError": record({"Message": STRING}, OriginalStatusCode=COUNT, OriginalMessage=STRING),
    "ExecutionParameters": record(
        {"MaxConcurrentTransforms": COUNT, "BatchStrategy": STRING, "MaxPayloadInMB": COUNT}
    ),
    "Predictions": record({"predictions": listed({})}),
}
