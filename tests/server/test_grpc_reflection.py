from server.protocol.grpc_reflection import public_pool


def test_fields_have_the_json_names_that_protoc_gives_them() -> None:
    """By which grpcurl writes an answer; without them some of its versions write the field's own."""
    answer = public_pool().FindMessageTypeByName("inference.ModelInferResponse")
    names = {field.name: field.json_name for field in answer.fields}
    assert names["id"] == "id"
    assert names["raw_output_contents"] == "rawOutputContents"
    (output,) = (one for one in answer.nested_types if one.name == "InferOutputTensor")
    assert {field.json_name for field in output.fields} >= {"name", "datatype", "contents"}
