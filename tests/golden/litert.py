"""Golden vectors of the affine scheme: single operators, run by LiteRT's reference kernels.

    python3 -m venv venv && venv/bin/pip install ai-edge-litert==2.3.0 numpy flatbuffers
    venv/bin/python tests/golden/litert.py --seed 1 --cases 12 > tests/fixtures/litert.json

Writes one JSON object a line: the operator, its numbers, its input and the output of `OpResolverType.BUILTIN_REF`.
Tensors are [N, H, W, C] int8 with a scale and a zero point; scales are printed as exact decimal fractions of float32.
"""

import argparse
import json
import os
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

BUILTIN = schema.BuiltinOperator
PADDING = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
FUSED = {"none": schema.ActivationFunctionType.NONE, "relu": schema.ActivationFunctionType.RELU,
         "relu6": schema.ActivationFunctionType.RELU6}


class Graph:
    """One operator with its tensors."""

    def __init__(self):
        self.tensors, self.buffers = [], [schema.BufferT()]

    def tensor(self, shape, kind=schema.TensorType.INT8, data=None, scales=None, zero=0, axis=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, 0
        tensor.name = f"t{len(self.tensors)}"
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = [float(scale) for scale in scales]
            quantization.zeroPoint = [int(zero)] * len(scales)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def run(self, code, version, options_type, options, inputs, output, values):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, [operator]
        fed = [index for index in inputs if self.tensors[index].buffer == 0]
        subgraph.inputs, subgraph.outputs = fed, [output]
        opcode = schema.OperatorCodeT()
        opcode.builtinCode, opcode.deprecatedBuiltinCode, opcode.version = code, min(code, 127), version
        model = schema.ModelT()
        model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [subgraph], [opcode], self.buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        interpreter = Interpreter(model_content=bytes(builder.Output()),
                                  experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        interpreter.allocate_tensors()
        for detail, value in zip(interpreter.get_input_details(), values):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def scale(rng, low, high):
    return np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))


def codes(rng, shape):
    style = rng.integers(3)
    if style == 0:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    if style == 1:
        return rng.choice(np.array([-128, 0, 127], dtype=np.int8), shape)
    return rng.integers(-4, 5, shape, dtype=np.int8)


def described(value, tensor_scale, zero):
    return {"shape": list(value.shape)[1:], "scale": repr(float(tensor_scale)), "zero": int(zero),
            "codes": value.flatten().tolist()}


def weighted(rng, kind):
    h, w, c = (int(rng.integers(1, 8)) for _ in range(3))
    out_ch = int(rng.integers(1, 6))
    kh, kw = int(rng.integers(1, min(h, 3) + 1)), int(rng.integers(1, min(w, 3) + 1))
    sh, sw = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    padding, fused = str(rng.choice(["same", "valid"])), str(rng.choice(["none", "relu", "relu6"]))
    in_scale, in_zero, out_zero = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), int(rng.integers(-128, 128))
    graph, x = Graph(), codes(rng, (1, h, w, c))
    source = graph.tensor(x.shape, scales=[in_scale], zero=in_zero)
    per_channel = bool(rng.integers(2))
    multiplier = int(rng.integers(1, 3))
    out_ch = c * multiplier if kind == "depthwise_conv2d" else out_ch
    shapes = {"conv2d": (out_ch, kh, kw, c), "depthwise_conv2d": (1, kh, kw, out_ch), "fully_connected": (out_ch, h * w * c)}
    weights = rng.integers(-127, 128, shapes[kind], dtype=np.int8)
    reach = int(np.prod(shapes[kind]) // out_ch)
    scales = np.array([scale(rng, 1e-3, 1e-2) for _ in range(out_ch if per_channel else 1)], dtype=np.float32)
    out_scale = np.float32(in_scale * scales.max() * np.sqrt(reach) * scale(rng, 20, 120))
    bias = rng.integers(-3000, 3000, out_ch, dtype=np.int32)
    axis = 3 if kind == "depthwise_conv2d" else 0
    filter_ = graph.tensor(weights.shape, data=weights, scales=scales, axis=axis)
    bias_scales = [np.float32(in_scale * value) for value in scales]
    bias_ = graph.tensor(bias.shape, schema.TensorType.INT32, bias, bias_scales)
    if kind == "fully_connected":
        options, options_type, code, out_shape = schema.FullyConnectedOptionsT(), schema.BuiltinOptions.FullyConnectedOptions, BUILTIN.FULLY_CONNECTED, (1, out_ch)
        options.fusedActivationFunction, version = FUSED[fused], 12 if per_channel else 4
        fed = x.reshape(1, -1)
        graph.tensors[source].shape = list(fed.shape)
    else:
        size = lambda n, k, s: -(-n // s) if padding == "same" else (n - k) // s + 1
        out_shape, fed = (1, size(h, kh, sh), size(w, kw, sw), out_ch), x
        if kind == "conv2d":
            options, options_type, code, version = schema.Conv2DOptionsT(), schema.BuiltinOptions.Conv2DOptions, BUILTIN.CONV_2D, 3
        else:
            options, options_type, code, version = schema.DepthwiseConv2DOptionsT(), schema.BuiltinOptions.DepthwiseConv2DOptions, BUILTIN.DEPTHWISE_CONV_2D, 3
            options.depthMultiplier = multiplier
        options.padding, options.strideH, options.strideW = PADDING[padding], sh, sw
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = FUSED[fused]
    target = graph.tensor(out_shape, scales=[out_scale], zero=out_zero)
    y = graph.run(code, version, options_type, options, [source, filter_, bias_], target, [fed])
    y = y.reshape((1, 1, 1, out_ch)) if kind == "fully_connected" else y
    return {"op": kind, "kernel": [kh, kw], "stride": [sh, sw], "padding": padding, "fused": fused,
            "scales": [repr(float(value)) for value in scales], "weights": weights.flatten().tolist(),
            "bias": bias.tolist(), "inputs": [described(x, in_scale, in_zero)],
            "output": described(y, out_scale, out_zero)}


def binary(rng, kind):
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(1, 5)), int(rng.integers(1, 6)))
    graph, inputs, values, texts = Graph(), [], [], []
    scales = [scale(rng, 1e-3, 1), scale(rng, 1e-3, 1)]
    if kind == "mul":
        out_scale = np.float32(scales[0] * scales[1] * scale(rng, 20, 200))
    else:
        out_scale = np.float32(max(scales) * scale(rng, 0.5, 3))
    for value in scales:
        zero, x = int(rng.integers(-128, 128)), codes(rng, shape)
        inputs.append(graph.tensor(shape, scales=[value], zero=zero))
        values.append(x)
        texts.append(described(x, value, zero))
    out_zero, fused = int(rng.integers(-128, 128)), str(rng.choice(["none", "relu", "relu6"]))
    target = graph.tensor(shape, scales=[out_scale], zero=out_zero)
    table = {"add": (schema.AddOptionsT, schema.BuiltinOptions.AddOptions, BUILTIN.ADD),
             "sub": (schema.SubOptionsT, schema.BuiltinOptions.SubOptions, BUILTIN.SUB),
             "mul": (schema.MulOptionsT, schema.BuiltinOptions.MulOptions, BUILTIN.MUL)}
    make, options_type, code = table[kind]
    options = make()
    options.fusedActivationFunction = FUSED[fused]
    y = graph.run(code, 2, options_type, options, inputs, target, values)
    return {"op": kind, "fused": fused, "inputs": texts, "output": described(y, out_scale, out_zero)}


def pool(rng, kind):
    h, w, c = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 5))
    kh, kw = int(rng.integers(1, min(h, 4) + 1)), int(rng.integers(1, min(w, 4) + 1))
    sh, sw, padding = int(rng.integers(1, 3)), int(rng.integers(1, 3)), str(rng.choice(["same", "valid"]))
    size = lambda n, k, s: -(-n // s) if padding == "same" else (n - k) // s + 1
    fused = str(rng.choice(["none", "relu", "relu6"]))
    in_scale, zero, graph, x = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), Graph(), codes(rng, (1, h, w, c))
    source = graph.tensor(x.shape, scales=[in_scale], zero=zero)
    target = graph.tensor((1, size(h, kh, sh), size(w, kw, sw), c), scales=[in_scale], zero=zero)
    options = schema.Pool2DOptionsT()
    options.padding, options.strideH, options.strideW = PADDING[padding], sh, sw
    options.filterHeight, options.filterWidth, options.fusedActivationFunction = kh, kw, FUSED[fused]
    code = BUILTIN.AVERAGE_POOL_2D if kind == "average_pool2d" else BUILTIN.MAX_POOL_2D
    y = graph.run(code, 2, schema.BuiltinOptions.Pool2DOptions, options, [source], target, [x])
    return {"op": kind, "kernel": [kh, kw], "stride": [sh, sw], "padding": padding, "fused": fused,
            "inputs": [described(x, in_scale, zero)], "output": described(y, in_scale, zero)}


def requantize(rng, kind):
    shape = (1, 4, 8, 8)
    in_scale, out_scale = scale(rng, 1e-3, 1), None
    out_scale = np.float32(in_scale * scale(rng, 0.3, 3))
    zeros, graph, x = rng.integers(-128, 128, 2), Graph(), np.arange(-128, 128, dtype=np.int8).reshape(shape)
    source = graph.tensor(shape, scales=[in_scale], zero=zeros[0])
    target = graph.tensor(shape, scales=[out_scale], zero=zeros[1])
    y = graph.run(BUILTIN.QUANTIZE, 2, schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT(), [source],
                  target, [x])
    return {"op": kind, "fused": "none", "inputs": [described(x, in_scale, zeros[0])],
            "output": described(y, out_scale, zeros[1])}


def transposed(rng, kind):
    """Transposed convolution: TensorFlow's rule that the output is `len * stride`, or `(len - 1) * stride + kernel`."""
    h, w, c, out_ch = (int(rng.integers(1, 6)) for _ in range(4))
    kh, kw, sh, sw = (int(rng.integers(1, 4)) for _ in range(4))
    kh, kw = max(kh, sh), max(kw, sw)
    padding = str(rng.choice(["same", "valid"]))
    size = lambda n, k, s: n * s if padding == "same" else (n - 1) * s + k
    out_shape = (1, size(h, kh, sh), size(w, kw, sw), out_ch)
    in_scale, in_zero, out_zero = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), int(rng.integers(-128, 128))
    scales = [scale(rng, 1e-3, 1) for _ in range(out_ch)]
    graph, x = Graph(), codes(rng, (1, h, w, c))
    weights = rng.integers(-127, 128, (out_ch, kh, kw, c), dtype=np.int8)
    bias = rng.integers(-20000, 20000, out_ch, dtype=np.int32)
    out_scale = np.float32(in_scale * max(scales) * np.sqrt(kh * kw * c) * scale(rng, 20, 200))
    shape = graph.tensor((4,), kind=schema.TensorType.INT32, data=np.array(out_shape, dtype=np.int32))
    filter_ = graph.tensor(weights.shape, data=weights, scales=scales)
    source = graph.tensor(x.shape, scales=[in_scale], zero=in_zero)
    bias_ = graph.tensor(bias.shape, kind=schema.TensorType.INT32, data=bias,
                         scales=[np.float32(in_scale * value) for value in scales])
    target = graph.tensor(out_shape, scales=[out_scale], zero=out_zero)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideH, options.strideW = PADDING[padding], sh, sw
    y = graph.run(BUILTIN.TRANSPOSE_CONV, 3, schema.BuiltinOptions.TransposeConvOptions, options,
                  [shape, filter_, source, bias_], target, [x])
    return {"op": kind, "kernel": [kh, kw], "stride": [sh, sw], "padding": padding, "fused": "none",
            "scales": [repr(float(value)) for value in scales], "weights": weights.flatten().tolist(),
            "bias": bias.tolist(), "inputs": [described(x, in_scale, in_zero)], "output": described(y, out_scale, out_zero)}


def mean(rng, kind):
    shape = (1, int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    axes = int(rng.integers(1, 8))
    dimensions = [bit + 1 for bit in range(3) if axes >> bit & 1]
    in_scale, in_zero, out_zero = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), int(rng.integers(-128, 128))
    out_scale = np.float32(in_scale * scale(rng, 0.2, 4))
    if rng.integers(3) == 0:
        out_scale, out_zero = in_scale, in_zero
    graph, x = Graph(), codes(rng, shape)
    source = graph.tensor(shape, scales=[in_scale], zero=in_zero)
    over = graph.tensor((len(dimensions),), kind=schema.TensorType.INT32, data=np.array(dimensions, dtype=np.int32))
    out_shape = [1 if axis in dimensions else length for axis, length in enumerate(shape)]
    target = graph.tensor(out_shape, scales=[out_scale], zero=out_zero)
    options = schema.ReducerOptionsT()
    options.keepDims = True
    y = graph.run(BUILTIN.MEAN, 2, schema.BuiltinOptions.ReducerOptions, options, [source, over], target, [x])
    return {"op": kind, "fused": "none", "axes": axes, "inputs": [described(x, in_scale, in_zero)],
            "output": described(y, out_scale, out_zero)}


def softmax(rng, kind):
    # LiteRT's own check fails where a sum of exponentials reaches 512.
    shape = (1, int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.choice([1, 2, 3, 10, 12, 100, 511])))
    in_scale, in_zero = scale(rng, 1e-3, 2), int(rng.integers(-128, 128))
    graph, x = Graph(), codes(rng, shape)
    source = graph.tensor(shape, scales=[in_scale], zero=in_zero)
    target = graph.tensor(shape, scales=[2.0**-8], zero=-128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    y = graph.run(BUILTIN.SOFTMAX, 2, schema.BuiltinOptions.SoftmaxOptions, options, [source], target, [x])
    return {"op": kind, "fused": "none", "inputs": [described(x, in_scale, in_zero)], "output": described(y, 2.0**-8, -128)}


def concat(rng, kind):
    shape, axis = [int(rng.integers(1, 5)) for _ in range(3)], int(rng.integers(3))
    in_scale, zero, graph = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), Graph()
    values, sources = [], []
    for _ in range(int(rng.integers(2, 4))):
        own = list(shape)
        own[axis] = int(rng.integers(1, 5))
        values.append(codes(rng, (1, *own)))
        sources.append(graph.tensor(values[-1].shape, scales=[in_scale], zero=zero))
    whole = list(values[0].shape)
    whole[axis + 1] = sum(value.shape[axis + 1] for value in values)
    target = graph.tensor(whole, scales=[in_scale], zero=zero)
    options = schema.ConcatenationOptionsT()
    options.axis = axis + 1
    y = graph.run(BUILTIN.CONCATENATION, 2, schema.BuiltinOptions.ConcatenationOptions, options, sources, target, values)
    return {"op": kind, "fused": "none", "axis": axis, "inputs": [described(value, in_scale, zero) for value in values],
            "output": described(y, in_scale, zero)}


def moved(rng, kind):
    """Operators that move codes: their output has their input's scale and zero point."""
    h, w, c = (int(rng.integers(1, 7)) for _ in range(3))
    in_scale, zero, graph, x = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), Graph(), codes(rng, (1, h, w, c))
    source = graph.tensor(x.shape, scales=[in_scale], zero=zero)
    whole = lambda values: graph.tensor((len(values),), kind=schema.TensorType.INT32, data=np.array(values, dtype=np.int32))
    case, options = {}, None
    if kind == "pad":
        before, after = rng.integers(0, 4, 3).tolist(), rng.integers(0, 4, 3).tolist()
        pads = np.array([[0, 0], *zip(before, after)], dtype=np.int32)
        more = [graph.tensor(pads.shape, kind=schema.TensorType.INT32, data=pads)]
        out_shape = [1, h + before[0] + after[0], w + before[1] + after[1], c + before[2] + after[2]]
        case, code, options_type, options = {"start": before}, BUILTIN.PAD, "PadOptions", schema.PadOptionsT()
    elif kind == "slice":
        start = [int(rng.integers(length)) for length in (h, w, c)]
        size = [int(rng.integers(1, length - first + 1)) for length, first in zip((h, w, c), start)]
        more, out_shape = [whole([0, *start]), whole([1, *size])], [1, *size]
        case, code, options_type, options = {"start": start}, BUILTIN.SLICE, "SliceOptions", schema.SliceOptionsT()
    elif kind == "reshape":
        out_shape = [1, w * c, 1, h]
        more, code, options_type, options = [whole(out_shape)], BUILTIN.RESHAPE, "ReshapeOptions", schema.ReshapeOptionsT()
        options.newShape = out_shape
    elif kind == "transpose":
        order = rng.permutation(3).tolist()
        more, out_shape = [whole([0, *(axis + 1 for axis in order)])], [1, *((h, w, c)[axis] for axis in order)]
        case, code, options_type, options = {"order": order}, BUILTIN.TRANSPOSE, "TransposeOptions", schema.TransposeOptionsT()
    else:
        more, out_shape = [whole([2 * h, 2 * w])], [1, 2 * h, 2 * w, c]
        code, options_type = BUILTIN.RESIZE_NEAREST_NEIGHBOR, "ResizeNearestNeighborOptions"
        options = schema.ResizeNearestNeighborOptionsT()
    target = graph.tensor(out_shape, scales=[in_scale], zero=zero)
    y = graph.run(code, 1 if kind == "reshape" else 2, getattr(schema.BuiltinOptions, options_type), options, [source, *more], target, [x])
    return {"op": kind, "fused": "none", **case, "inputs": [described(x, in_scale, zero)],
            "output": described(y, in_scale, zero)}


def selected(rng, kind):
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(1, 5)), int(rng.integers(1, 6)))
    in_scale, zero, graph = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), Graph()
    values = [codes(rng, shape) for _ in range(2)]
    inputs = [graph.tensor(shape, scales=[in_scale], zero=zero) for _ in values]
    target = graph.tensor(shape, scales=[in_scale], zero=zero)
    code = BUILTIN.MINIMUM if kind == "minimum" else BUILTIN.MAXIMUM
    y = graph.run(code, 2, schema.BuiltinOptions.MaximumMinimumOptions, schema.MaximumMinimumOptionsT(), inputs, target, values)
    return {"op": kind, "fused": "none", "inputs": [described(value, in_scale, zero) for value in values],
            "output": described(y, in_scale, zero)}


def leaky(rng, kind):
    shape, zeros = (1, 4, 8, 8), rng.integers(-128, 128, 2)
    in_scale, alpha = scale(rng, 1e-3, 1), np.float32(rng.integers(1, 200) / 128)
    out_scale = np.float32(in_scale * scale(rng, 0.3, 3))
    graph, x = Graph(), np.arange(-128, 128, dtype=np.int8).reshape(shape)
    source = graph.tensor(shape, scales=[in_scale], zero=zeros[0])
    target = graph.tensor(shape, scales=[out_scale], zero=zeros[1])
    options = schema.LeakyReluOptionsT()
    options.alpha = float(alpha)
    y = graph.run(BUILTIN.LEAKY_RELU, 2, schema.BuiltinOptions.LeakyReluOptions, options, [source], target, [x])
    return {"op": kind, "fused": "none", "slope": float(alpha), "inputs": [described(x, in_scale, zeros[0])],
            "output": described(y, out_scale, zeros[1])}


def bilinear(rng, kind):
    h, w, c = (int(rng.integers(1, 7)) for _ in range(3))
    in_scale, zero, graph, x = scale(rng, 1e-3, 1), int(rng.integers(-128, 128)), Graph(), codes(rng, (1, h, w, c))
    source = graph.tensor(x.shape, scales=[in_scale], zero=zero)
    size = graph.tensor((2,), kind=schema.TensorType.INT32, data=np.array([2 * h, 2 * w], dtype=np.int32))
    target = graph.tensor((1, 2 * h, 2 * w, c), scales=[in_scale], zero=zero)
    options = schema.ResizeBilinearOptionsT()
    options.halfPixelCenters = True
    y = graph.run(BUILTIN.RESIZE_BILINEAR, 3, schema.BuiltinOptions.ResizeBilinearOptions, options, [source, size], target, [x])
    return {"op": kind, "fused": "none", "inputs": [described(x, in_scale, zero)], "output": described(y, in_scale, zero)}


OPERATORS = {"conv2d": weighted, "depthwise_conv2d": weighted, "fully_connected": weighted, "add": binary,
             "sub": binary, "mul": binary, "average_pool2d": pool, "max_pool2d": pool, "requantize": requantize,
             "transpose_conv2d": transposed, "mean": mean, "softmax": softmax, "concat": concat, "pad": moved,
             "slice": moved, "reshape": moved, "transpose": moved, "upsample_nearest": moved, "minimum": selected,
             "maximum": selected, "leaky_relu": leaky, "upsample_bilinear": bilinear, "quantize": requantize}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=12, help="of each operator")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    # The interpreter prints to the standard output too.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for kind, make in OPERATORS.items():
        for _ in range(arguments.cases):
            print(json.dumps(make(rng, kind), separators=(",", ":")), file=out)
    out.close()


if __name__ == "__main__":
    main()
