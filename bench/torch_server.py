"""Times PyTorch operations for run.ts, one thread.

Reads one JSON object a line, {"op": name, "shape": [rows, cols], "seconds": s}; answers one line, the seconds of each
call made within `seconds` (at least two). Results are allocated by torch on each call, as its users have it.
"""

import json
import sys
import time

import torch
from torch.ao.quantization import HistogramObserver

SCALE, ZERO_POINT = 0.05, 3


def pack4(x):
    """Blocks of 32, scale = absmax / 7, two codes a byte: what one writes in eager torch."""
    blocks = x.flatten()[: x.numel() // 32 * 32].view(-1, 32)

    def run():
        scale = blocks.abs().amax(1, keepdim=True) / 7
        codes = (torch.round(blocks * (1 / scale)).clamp_(-8, 7) + 8).to(torch.uint8)
        return codes[:, 0::2] | (codes[:, 1::2] << 4), scale

    return run


def per_channel(x, axis):
    scales = torch.full((x.shape[axis],), SCALE)
    zero_points = torch.full((x.shape[axis],), ZERO_POINT, dtype=torch.long)
    return lambda: torch.quantize_per_channel(x, scales, zero_points, axis, torch.qint8)


def fake_per_channel(x):
    scales = torch.full((x.shape[0],), SCALE)
    zero_points = torch.full((x.shape[0],), ZERO_POINT, dtype=torch.int32)
    return lambda: torch.fake_quantize_per_channel_affine(x, scales, zero_points, 0, -128, 127)


def dequantize(x):
    q = torch.quantize_per_tensor(x, SCALE, ZERO_POINT, torch.qint8)
    return lambda: q.dequantize()


def unhalf(x):
    half = x.half()
    return lambda: half.float()


def search(x):
    observer = HistogramObserver()
    observer(x)
    return lambda: observer.calculate_qparams()


OPS = {
    "quantize": lambda x: lambda: torch.quantize_per_tensor(x, SCALE, ZERO_POINT, torch.qint8),
    "quantize rows": lambda x: per_channel(x, 0),
    "quantize columns": lambda x: per_channel(x, 1),
    "dequantize": dequantize,
    "fake-quantize": lambda x: lambda: torch.fake_quantize_per_tensor_affine(x, SCALE, ZERO_POINT, -128, 127),
    "fake-quantize rows": fake_per_channel,
    "min/max": lambda x: lambda: torch.aminmax(x),
    "min/max rows": lambda x: lambda: torch.aminmax(x, dim=1),
    "min/max columns": lambda x: lambda: torch.aminmax(x, dim=0),
    "histogram": lambda x: lambda: torch.histc(x, 2048, -9.0, 9.0),
    "pack 4 bits": pack4,
    "float32 to float16": lambda x: lambda: x.half(),
    "float16 to float32": unhalf,
    "search": search,
}


def call_times(run, seconds):
    run()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 2:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(json.dumps({"version": torch.__version__}), flush=True)
    known, run = None, None
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["op"], tuple(request["shape"]))
        if key != known:
            known, run = key, OPS[request["op"]](torch.randn(request["shape"]) * 3)
        print(json.dumps(call_times(run, request["seconds"])), flush=True)


if __name__ == "__main__":
    main()
