"""Models that every peer runs: layers and networks of random weights, as .tflite and as numbers.

    python3 -m venv venv && venv/bin/pip install ai-edge-litert==2.3.0 numpy flatbuffers
    venv/bin/python benches/peers/models.py target/peers

Writes NAME.tflite and NAME.json: the layers with their numbers, and what LiteRT's `OpResolverType.BUILTIN_REF` gives for
the input of the benchmarks, the high bytes of a linear congruence. Codes are int8, NHWC; weights have a scale a channel,
those of fully connected layers one alone. Scales come from what the input makes of each layer.
"""

import argparse
import json
import math
import os
import pathlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

FUSED = {False: schema.ActivationFunctionType.NONE, True: schema.ActivationFunctionType.RELU}

# TensorFlow Lite's constants: bits before the point of a difference of logits, headroom of a sum's operands.
SOFTMAX_INTEGER_BITS, SUM_HEADROOM = 5, 20


def congruence(length):
    """The input of every benchmark in this repository."""
    state, codes = 1, np.empty(length, dtype=np.uint8)
    for index in range(length):
        state = (state * 1664525 + 1013904223) % 2**32
        codes[index] = state >> 24
    return codes.view(np.int8)


def quantized(factor):
    """A factor as [multiplier, shift]: factor = multiplier * 2^(shift - 31), 2^30 <= multiplier < 2^31."""
    significand, shift = math.frexp(factor)
    multiplier = round(significand * 2**31)
    return [multiplier // 2, shift + 1] if multiplier == 2**31 else [multiplier, shift]


class Tensor:
    """Codes with their scale and zero point, and where they lie in the .tflite file."""

    def __init__(self, codes, scale, zero, index):
        self.codes, self.scale, self.zero, self.index = codes, np.float32(scale), int(zero), index

    def numbers(self):
        return {"shape": list(self.codes.shape), "scale": float(self.scale), "zero": self.zero}

    def centered(self):
        return self.codes.astype(np.int64) - self.zero


class Network:
    """Grows layer by layer; every layer is computed on the input, to choose the scale of its output."""

    def __init__(self, h, w, c):
        self.rng = np.random.default_rng(1)
        self.tensors, self.buffers, self.operators, self.opcodes = [], [schema.BufferT()], [], []
        self.layers, self.all = [], []
        codes = congruence(h * w * c).reshape(h, w, c)
        self.input = self.last = self.activation(codes, 0.02, -3, flat=h == w == 1)

    def activation(self, codes, scale, zero, flat=False):
        """A tensor between layers; `flat` where TensorFlow Lite has it as [1, C]."""
        shape = [1, codes.shape[-1]] if flat else [1, *codes.shape]
        tensor = Tensor(codes, scale, zero, self.tensor(shape, scales=[scale], zero=zero))
        self.all.append(tensor)
        return tensor

    def tensor(self, shape, kind=schema.TensorType.INT8, data=None, scales=(), zero=0, axis=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = list(shape), kind, 0, f"t{len(self.tensors)}"
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [float(scale) for scale in scales]
        tensor.quantization.zeroPoint = [int(zero)] * len(scales)
        tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code, version, kind, options, inputs, output):
        """An entry of the .tflite file."""
        opcode = schema.OperatorCodeT()
        opcode.builtinCode, opcode.deprecatedBuiltinCode, opcode.version = code, code, version
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.opcodes), inputs, [output.index]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.opcodes.append(opcode)
        self.operators.append(operator)

    def layer(self, op, inputs, output, relu=False, **numbers):
        """An entry of the .json file."""
        low = max(-128, output.zero) if relu else -128
        self.layers.append({"op": op, "inputs": [self.all.index(tensor) for tensor in inputs], "min": low, "max": 127,
                            **numbers, "output": output.numbers()})
        self.last = output
        return output

    def weighted(self, op, accumulators, weights, scales, source, relu, flat):
        """Codes and parameters of an output, from sums of products without their bias."""
        out_ch = accumulators.shape[-1]
        spread = max(1, int(np.abs(accumulators).max()) // 20)
        bias = self.rng.integers(-spread, spread + 1, out_ch, dtype=np.int32)
        real = (accumulators + bias) * (float(source.scale) * scales.astype(np.float64))
        reach = np.quantile(np.abs(real), 0.999)
        zero, scale = (-128, np.float32(reach / 255)) if relu else (4, np.float32(reach / 127))
        codes = np.clip(np.round(real / scale) + zero, -128, 127).astype(np.int8)
        output = self.activation(codes, scale, zero, flat)
        factors = [quantized(float(source.scale) * float(value) / float(scale)) for value in scales]
        numbers = {"weights": weights.flatten().tolist(), "scales": [float(value) for value in scales],
                   "bias": bias.tolist(), "multipliers": [pair[0] for pair in factors],
                   "shifts": [pair[1] for pair in factors]}
        filter_ = self.tensor(weights.shape, data=weights, scales=scales, axis=3 if op == "depthwise_conv2d" else 0)
        bias_scales = [source.scale * value for value in scales]
        return output, [source.index, filter_, self.tensor(bias.shape, schema.TensorType.INT32, bias, bias_scales)], numbers

    def drawn(self, shape, reach, channels):
        """Weights, and a scale a channel: such that a layer's outputs are about as large as its inputs."""
        scales = np.exp(self.rng.uniform(np.log(0.7), np.log(1.4), channels)) / (74 * math.sqrt(reach))
        return self.rng.integers(-127, 128, shape, dtype=np.int8), scales.astype(np.float32)

    def windows(self, source, kernel, stride, same):
        """The padded input's part under every place of the kernel, padding, extent of the output."""
        h, w, _ = source.codes.shape
        size = [-(-n // s) if same else (n - k) // s + 1 for n, k, s in zip((h, w), kernel, stride)]
        total = [max(0, (o - 1) * s + k - n) for o, k, s, n in zip(size, kernel, stride, (h, w))]
        before = [n // 2 for n in total]
        around = [(b, n - b) for b, n in zip(before, total)]
        padded = np.pad(source.centered(), [*around, (0, 0)])
        part = lambda y, x: padded[y:y + (size[0] - 1) * stride[0] + 1:stride[0], x:x + (size[1] - 1) * stride[1] + 1:stride[1]]
        parts = [part(y, x) for y in range(kernel[0]) for x in range(kernel[1])]
        return parts, {"kernel": list(kernel), "stride": list(stride), "pad": [*before, *(n - b for b, n in zip(before, total))]}

    def options(self, make, stride, same, relu):
        options = make()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH, options.strideW = stride
        options.fusedActivationFunction = FUSED[relu]
        return options

    def conv2d(self, out_ch, kernel, stride=1, relu=False, source=None):
        source, stride = source or self.last, (stride, stride)
        channels = source.codes.shape[-1]
        weights, scales = self.drawn((out_ch, *kernel, channels), kernel[0] * kernel[1] * channels, out_ch)
        parts, window = self.windows(source, kernel, stride, True)
        taps = weights.astype(np.int64).reshape(out_ch, len(parts), -1)
        sums = sum(part @ taps[:, tap].T for tap, part in enumerate(parts))
        output, inputs, numbers = self.weighted("conv2d", sums, weights, scales, source, relu, flat=False)
        options = self.options(schema.Conv2DOptionsT, stride, True, relu)
        options.dilationHFactor = options.dilationWFactor = 1
        self.operator(schema.BuiltinOperator.CONV_2D, 3, schema.BuiltinOptions.Conv2DOptions, options, inputs, output)
        return self.layer("conv2d", [source], output, relu, **window, **numbers)

    def depthwise_conv2d(self, kernel, stride=1, relu=False):
        source, stride = self.last, (stride, stride)
        channels = source.codes.shape[-1]
        weights, scales = self.drawn((1, *kernel, channels), kernel[0] * kernel[1], channels)
        parts, window = self.windows(source, kernel, stride, True)
        taps = weights.astype(np.int64).reshape(len(parts), channels)
        sums = sum(part * taps[tap] for tap, part in enumerate(parts))
        output, inputs, numbers = self.weighted("depthwise_conv2d", sums, weights, scales, source, relu, flat=False)
        options = self.options(schema.DepthwiseConv2DOptionsT, stride, True, relu)
        options.depthMultiplier = options.dilationHFactor = options.dilationWFactor = 1
        self.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3, schema.BuiltinOptions.DepthwiseConv2DOptions, options,
                      inputs, output)
        return self.layer("depthwise_conv2d", [source], output, relu, **window, **numbers)

    def fully_connected(self, out_ch, relu=False):
        source = self.last
        weights, scales = self.drawn((out_ch, source.codes.size), source.codes.size, 1)
        sums = (weights.astype(np.int64) @ source.centered().flatten()).reshape(1, 1, out_ch)
        output, inputs, numbers = self.weighted("fully_connected", sums, weights, scales, source, relu, flat=True)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = FUSED[relu]
        self.operator(schema.BuiltinOperator.FULLY_CONNECTED, 4, schema.BuiltinOptions.FullyConnectedOptions, options,
                      inputs, output)
        return self.layer("fully_connected", [source], output, relu, **numbers)

    def average_pool2d(self, kernel, stride):
        source = self.last
        parts, window = self.windows(source, kernel, stride, False)
        means = np.round(sum(parts) / len(parts)) + source.zero
        output = self.activation(means.astype(np.int8), source.scale, source.zero)
        options = self.options(schema.Pool2DOptionsT, stride, False, False)
        options.filterHeight, options.filterWidth = kernel
        self.operator(schema.BuiltinOperator.AVERAGE_POOL_2D, 2, schema.BuiltinOptions.Pool2DOptions, options,
                      [source.index], output)
        return self.layer("average_pool2d", [source], output, **window)

    def add(self, other, relu=False):
        sources = [self.last, other]
        real = sum(tensor.centered() * float(tensor.scale) for tensor in sources)
        reach = np.quantile(np.abs(real), 0.999)
        zero, scale = (-128, np.float32(reach / 255)) if relu else (4, np.float32(reach / 127))
        codes = np.clip(np.round(real / scale) + zero, -128, 127).astype(np.int8)
        output = self.activation(codes, scale, zero)
        options = schema.AddOptionsT()
        options.fusedActivationFunction = FUSED[relu]
        self.operator(schema.BuiltinOperator.ADD, 2, schema.BuiltinOptions.AddOptions, options,
                      [tensor.index for tensor in sources], output)
        twice = 2 * max(float(tensor.scale) for tensor in sources)
        factors = [float(tensor.scale) / twice for tensor in sources] + [twice / (2**SUM_HEADROOM * float(scale))]
        pairs = [quantized(factor) for factor in factors]
        return self.layer("add", sources, output, relu, multipliers=[pair[0] for pair in pairs],
                          shifts=[pair[1] for pair in pairs], left_shift=SUM_HEADROOM)

    def softmax(self):
        source = self.last
        real = source.centered() * float(source.scale)
        powers = np.exp(real - real.max())
        codes = np.clip(np.round(powers / powers.sum() * 256) - 128, -128, 127).astype(np.int8)
        output = self.activation(codes, 2.0**-8, -128, flat=True)
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.operator(schema.BuiltinOperator.SOFTMAX, 2, schema.BuiltinOptions.SoftmaxOptions, options, [source.index], output)
        multiplier, shift = quantized(min(float(source.scale) * 2**(31 - SOFTMAX_INTEGER_BITS), 2**31 - 1))
        least = -((2**SOFTMAX_INTEGER_BITS - 1) * 2**(31 - SOFTMAX_INTEGER_BITS) >> shift)
        return self.layer("softmax", [source], output, multipliers=[multiplier], shifts=[shift], least_difference=least)

    def tflite(self):
        subgraph, model = schema.SubGraphT(), schema.ModelT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [self.input.index], [self.last.index]
        model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [subgraph], self.opcodes, self.buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def expected(self, tflite):
        """The codes of LiteRT's reference kernels."""
        interpreter = Interpreter(model_content=tflite, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        interpreter.allocate_tensors()
        [fed], [out] = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.set_tensor(fed["index"], self.input.codes.reshape(fed["shape"]))
        interpreter.invoke()
        return interpreter.get_tensor(out["index"]).flatten().tolist()


def ds_cnn():
    """MLPerf Tiny's network for keywords, behind its features."""
    network = Network(49, 10, 1)
    network.conv2d(64, (10, 4), 2, relu=True)
    for _ in range(4):
        network.depthwise_conv2d((3, 3), relu=True)
        network.conv2d(64, (1, 1), relu=True)
    network.average_pool2d((25, 5), (25, 5))
    network.fully_connected(12)
    return network


def resnet8():
    """MLPerf Tiny's network for images."""
    network = Network(32, 32, 3)
    network.conv2d(16, (3, 3), relu=True)
    for out_ch, stride in [(16, 1), (32, 2), (64, 2)]:
        entry = network.last
        shortcut = entry if stride == 1 else network.conv2d(out_ch, (1, 1), stride, source=entry)
        network.conv2d(out_ch, (3, 3), stride, relu=True, source=entry)
        network.conv2d(out_ch, (3, 3))
        network.add(shortcut, relu=True)
    network.average_pool2d((8, 8), (8, 8))
    network.fully_connected(10)
    return network


def residual():
    """A sum of two tensors of different scales: the second one comes from a layer."""
    network = Network(16, 16, 32)
    network.conv2d(32, (1, 1))
    network.add(network.input, relu=True)
    return network


def perceptron():
    network = Network(1, 1, 256)
    network.fully_connected(64, relu=True)
    network.fully_connected(10)
    return network


def single(h, w, c, add):
    network = Network(h, w, c)
    add(network)
    return network


MODELS = {
    "conv 3x3 s1 32x32x3->16": lambda: single(32, 32, 3, lambda net: net.conv2d(16, (3, 3), relu=True)),
    "conv 3x3 s1 16x16x32->32": lambda: single(16, 16, 32, lambda net: net.conv2d(32, (3, 3))),
    "conv 3x3 s2 32x32x16->32": lambda: single(32, 32, 16, lambda net: net.conv2d(32, (3, 3), 2, relu=True)),
    "pointwise 25x5x64->64": lambda: single(25, 5, 64, lambda net: net.conv2d(64, (1, 1), relu=True)),
    "depthwise 3x3 25x5x64": lambda: single(25, 5, 64, lambda net: net.depthwise_conv2d((3, 3), relu=True)),
    "average pool 25x5x64": lambda: single(25, 5, 64, lambda net: net.average_pool2d((25, 5), (25, 5))),
    "average pool 2x2 16x16x32": lambda: single(16, 16, 32, lambda net: net.average_pool2d((2, 2), (2, 2))),
    "pointwise and add 16x16x32": residual,
    "fc 64->12": lambda: single(1, 1, 64, lambda net: net.fully_connected(12)),
    "softmax 12": lambda: single(1, 1, 12, lambda net: net.softmax()),
    "perceptron 256->64->10": perceptron,
    "DS-CNN": ds_cnn,
    "ResNet-8": resnet8,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    os.makedirs(folder, exist_ok=True)
    for number, (name, make) in enumerate(MODELS.items()):
        network = make()
        tflite = network.tflite()
        (folder / f"{number:02}.tflite").write_bytes(tflite)
        numbers = {"name": name, "input": network.input.numbers(), "layers": network.layers,
                   "expected": network.expected(tflite)}
        (folder / f"{number:02}.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    main()
