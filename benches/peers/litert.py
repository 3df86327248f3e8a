"""Time of an inference by LiteRT's interpreter on one thread, by its three sets of kernels.

    venv/bin/python benches/peers/litert.py FILE.tflite ...

Prints a line of three columns for each file: nanoseconds by the reference kernels, by the built-in ones, and by those
that LiteRT takes by itself, which are XNNPACK's where it has them; `LiteRT`; the codes of the last ones. A time is the
least of many means.
"""

import sys
import time

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from models import congruence

KERNELS = [OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO]

# Nanoseconds of a batch, and of all batches of a set of kernels.
BATCH, TOTAL = 5_000_000, 400_000_000


def prepared(path, kernels):
    interpreter = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    [fed] = interpreter.get_input_details()
    codes = congruence(fed["shape"].prod())
    interpreter.set_tensor(fed["index"], codes.reshape(fed["shape"]))
    interpreter.invoke()
    return interpreter


def batch(invoke, count):
    start = time.perf_counter_ns()
    for _ in range(count):
        invoke()
    return (time.perf_counter_ns() - start) / count


def fastest(invoke):
    count = max(1, int(BATCH / batch(invoke, 3)))
    return min(batch(invoke, count) for _ in range(TOTAL // BATCH))


def main():
    for path in sys.argv[1:]:
        interpreters = [prepared(path, kernels) for kernels in KERNELS]
        times = [round(fastest(interpreter.invoke)) for interpreter in interpreters]
        [out] = interpreters[-1].get_output_details()
        codes = interpreters[-1].get_tensor(out["index"]).flatten().tolist()
        print(" ".join(map(str, times)), "LiteRT", " ".join(map(str, codes)), sep="\t")


if __name__ == "__main__":
    main()
