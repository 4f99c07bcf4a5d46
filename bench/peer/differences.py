"""Jobs of onnxruntime's Python quantizer, one after the other, for bench/differences.ts: prints a list with null or the error
of each job, `Type: first line`, as the last line.

Usage: python differences.py JOBS.json. A job is {"kind", "model", "out", "data", "options"}; options are those of the function
that the kind names, enumerations by the names of their members.
"""

import json
import logging
import sys

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization import matmul_nbits_quantizer as nbits
from onnxruntime.quantization.shape_inference import quant_pre_process

ENUMS = {
    "quant_format": QuantFormat,
    "activation_type": QuantType,
    "weight_type": QuantType,
    "calibrate_method": CalibrationMethod,
}


class Samples(CalibrationDataReader):
    """One sample a time, of an .npz file."""

    def __init__(self, path):
        arrays = dict(np.load(path))
        count = len(next(iter(arrays.values())))
        self.feeds = iter([{name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)])

    def get_next(self):
        return next(self.feeds, None)


def named(options):
    return {key: ENUMS[key][value] if key in ENUMS else value for key, value in options.items()}


def static(job):
    quantize_static(job["model"], job["out"], Samples(job["data"]), **named(job["options"]))


def dynamic(job):
    quantize_dynamic(job["model"], job["out"], **named(job["options"]))


def pre_process(job):
    quant_pre_process(job["model"], job["out"], **job["options"])


def weights(job):
    algorithms = {
        "rtn": lambda: nbits.RTNWeightOnlyQuantConfig(),
        "gptq": lambda: nbits.GPTQWeightOnlyQuantConfig(calibration_data_reader=Samples(job["data"]), block_size=32),
        "hqq": lambda: nbits.HQQWeightOnlyQuantConfig(block_size=32, bits=4),
    }
    make = algorithms.get(job["options"].get("algorithm"))
    settings = {"algo_config": make()} if make else {}
    quantizer = nbits.MatMulNBitsQuantizer(onnx.load(job["model"]), block_size=32, accuracy_level=4, **settings)
    quantizer.process()
    quantizer.model.save_model_to_file(job["out"], False)


KINDS = {"static": static, "dynamic": dynamic, "pre_process": pre_process, "weights": weights}


def error_of(job):
    try:
        KINDS[job["kind"]](job)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def main():
    logging.disable(logging.WARNING)
    with open(sys.argv[1]) as file:
        jobs = json.load(file)
    print("\n" + json.dumps([error_of(job) for job in jobs]))


if __name__ == "__main__":
    main()
