"""Moonshine's encoder as a model that can be cut: from ONNX Runtime's own format to ONNX, with pooling at the cut.

The wheel has the encoder only as an `.ort` file, a flatbuffer whose schema's reader comes with ONNX Runtime. Its graph
holds standard operators and ONNX Runtime's contributed ones, all of which a session takes from ONNX as well. The same
bytes come out on every machine.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

WIDTH = 288
"""Numbers a frame in every layer of the encoder."""

_OPSETS = (("", 18), ("com.microsoft", 1))
_IR_VERSION = 10


def whole(ort: bytes) -> ModelProto:
    """All of an encoder in ONNX Runtime's format, as ONNX.

    Raises:
        ValueError: If the graph holds something that this doesn't translate.
    """
    importlib.import_module("onnxruntime.tools.ort_format_model")  # makes the schema's reader importable
    session = importlib.import_module("ort_flatbuffers_py.fbs.InferenceSession").InferenceSession
    graph = session.GetRootAs(ort, 0).Model().Graph()
    nodes = [_node(n) for n in _items(graph.Nodes, graph.NodesLength())]
    tensors = [_tensor(t) for t in _items(graph.Initializers, graph.InitializersLength())]
    mask, samples = "attention_mask", "input_values"
    inputs = [
        helper.make_tensor_value_info(samples, TensorProto.FLOAT, ["batch", "samples"]),
        helper.make_tensor_value_info(mask, TensorProto.INT64, ["batch", "samples"]),
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "frames", WIDTH])
    return _model(_graph(nodes, inputs, [output], tensors))


def pooled(model: ModelProto, layers: Sequence[int]) -> ModelProto:
    """What the first layers make of samples, as means and standard deviations over time.

    Args:
        model: The whole encoder.
        layers: How many of the encoder's layers to apply, for each group of 576 numbers.

    Returns:
        A model from `input_values` (1, samples) to `pooled` (1, 576 · number of layers): for each layer 288 means and
        288 standard deviations over its frames.
    """
    axis, floor = helper.make_tensor("time", TensorProto.INT64, [1], [1]), _floor()
    ones = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    nodes = [
        *model.graph.node,
        helper.make_node("Shape", ["input_values"], ["samples_shape"], "samples_shape"),
        helper.make_node("ConstantOfShape", ["samples_shape"], ["attention_mask"], "attention_mask", value=ones),
    ]
    parts = []
    for layer in layers:
        states, name = f"/layers.{layer - 1}/Add_1_output_0", f"layer_{layer}"
        nodes += [
            helper.make_node("ReduceMean", [states, "time"], [f"{name}_mean"], f"{name}_mean", keepdims=1),
            helper.make_node("Sub", [states, f"{name}_mean"], [f"{name}_off"], f"{name}_off"),
            helper.make_node("Mul", [f"{name}_off", f"{name}_off"], [f"{name}_square"], f"{name}_square"),
            helper.make_node("ReduceMean", [f"{name}_square", "time"], [f"{name}_var"], f"{name}_var", keepdims=1),
            helper.make_node("Add", [f"{name}_var", "floor"], [f"{name}_positive"], f"{name}_positive"),
            helper.make_node("Sqrt", [f"{name}_positive"], [f"{name}_deviation"], f"{name}_deviation"),
        ]
        parts += [f"{name}_mean", f"{name}_deviation"]
    nodes += [
        helper.make_node("Concat", parts, ["beside"], "beside", axis=2),
        helper.make_node("Squeeze", ["beside", "time"], ["pooled"], "pooled"),
    ]
    given = helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, "samples"])
    made = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, 2 * WIDTH * len(layers)])
    return _model(_graph(nodes, [given], [made], [*model.graph.initializer, axis, floor]))


def serialised(model: ModelProto) -> bytes:
    """The model's bytes, the same every time."""
    return bytes(model.SerializeToString(deterministic=True))


def _floor() -> TensorProto:
    return helper.make_tensor("floor", TensorProto.FLOAT, [1], [1e-8])


def _model(graph: GraphProto) -> ModelProto:
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="antiphon")
    model.ir_version = _IR_VERSION
    return model


def _graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    tensors: Iterable[TensorProto],
) -> GraphProto:
    """A graph of those nodes and tensors that the outputs need, in an order in which they can be run."""
    ordered = list(_needed(nodes, [output.name for output in outputs]))
    used = {name for node in ordered for name in node.input}
    kept = sorted((tensor for tensor in tensors if tensor.name in used), key=lambda tensor: tensor.name)
    return helper.make_graph(ordered, "encoder", inputs, outputs, kept)


def _needed(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> Iterator[NodeProto]:
    maker = {name: node for node in nodes for name in node.output if name}
    seen: set[str] = set()
    waiting = [(maker[name], False) for name in outputs]
    while waiting:
        node, complete = waiting.pop()
        if complete:
            yield node
        elif node.output[0] not in seen:
            seen.add(node.output[0])
            waiting.append((node, True))
            waiting += [(maker[name], False) for name in node.input if name in maker]


def _items(get: Callable[[int], Any], count: int) -> Iterator[Any]:
    return (get(i) for i in range(count))


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _node(node: Any) -> NodeProto:
    made = helper.make_node(
        _text(node.OpType()),
        [_text(name) for name in _items(node.Inputs, node.InputsLength())],
        [_text(name) for name in _items(node.Outputs, node.OutputsLength())],
        _text(node.Name()),
        domain=_text(node.Domain()),
    )
    for attribute in _items(node.Attributes, node.AttributesLength()):
        made.attribute.append(_attribute(_text(node.OpType()), attribute))
    return made


def _attribute(operator: str, attribute: Any) -> onnx.AttributeProto:
    kind, name = attribute.Type(), _text(attribute.Name())
    made = onnx.AttributeProto(name=name, type=kind)
    if kind == onnx.AttributeProto.FLOAT:
        made.f = attribute.F()
    elif kind == onnx.AttributeProto.INT:
        made.i = attribute.I()
    elif kind == onnx.AttributeProto.STRING:
        made.s = attribute.S() or b""
    elif kind == onnx.AttributeProto.TENSOR:
        made.t.CopyFrom(_tensor(attribute.T()))
    elif kind == onnx.AttributeProto.FLOATS:
        made.floats.extend(_items(attribute.Floats, attribute.FloatsLength()))
    elif kind == onnx.AttributeProto.INTS:
        made.ints.extend(_items(attribute.Ints, attribute.IntsLength()))
    else:
        raise ValueError(f"{operator} has {name}, an attribute of kind {kind}, which isn't translated")
    return made


def _tensor(tensor: Any) -> TensorProto:
    if tensor.StringDataLength() or not tensor.RawDataLength():
        raise ValueError(f"the tensor {_text(tensor.Name())} isn't stored as numbers in the file")
    return TensorProto(
        name=_text(tensor.Name()),
        data_type=tensor.DataType(),
        dims=_items(tensor.Dims, tensor.DimsLength()),
        raw_data=tensor.RawDataAsNumpy().tobytes(),
    )
