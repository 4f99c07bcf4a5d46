"""The float models that `run.ts` quantizes, with seeded random weights, and data for each: NAME.onnx, NAME.npz
(128 samples for calibration) and NAME_held.npz (8 samples for errors). Weights are random, so compare signal to noise
between rows of one model, never as accuracy.

Needs: pip install torch torchvision transformers onnx onnxscript. Usage: python models.py FOLDER [NAME...]
"""

import pathlib
import sys
import types

import numpy as np
import torch

CALIBRATION, HELD = 128, 8
SEQUENCE = 128


def torchvision_model(name):
    # torchvision's operators may be built for another torch; the two networks need none of them.
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    import torchvision

    return getattr(torchvision.models, name)(weights=None)


def spread_batch_norm(model):
    """Gives every channel statistics of its own, as training would."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return model


def vision(name):
    model = spread_batch_norm(torchvision_model(name)).eval()
    images = torch.randn(CALIBRATION + HELD, 3, 224, 224)
    return model, {"input": images}, ["logits"]


class Encoder(torch.nn.Module):
    """Hidden states alone, from the two inputs that exported encoders have."""

    def __init__(self, config):
        from transformers import BertModel

        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids, attention_mask):
        return self.bert(input_ids=input_ids, attention_mask=attention_mask, return_dict=False)[0]


def encoder(**sizes):
    from transformers import BertConfig

    config = BertConfig(vocab_size=30522, attn_implementation="eager", **sizes)
    model = Encoder(config).eval()
    ids = torch.randint(0, 30522, (CALIBRATION + HELD, SEQUENCE))
    mask = torch.ones_like(ids)
    for row, length in enumerate(torch.randint(SEQUENCE // 2, SEQUENCE + 1, (len(ids),))):
        mask[row, length:] = 0
    return model, {"input_ids": ids, "attention_mask": mask}, ["last_hidden_state"]


class Decoder(torch.nn.Module):
    def __init__(self, config):
        from transformers import LlamaForCausalLM

        super().__init__()
        self.llama = LlamaForCausalLM(config)

    def forward(self, input_ids):
        return self.llama(input_ids=input_ids, use_cache=False, return_dict=False)[0]


def decoder():
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    model = Decoder(config).eval()
    return model, {"input_ids": torch.randint(0, 32000, (CALIBRATION + HELD, SEQUENCE))}, ["logits"]


MODELS = {
    "resnet18": lambda: vision("resnet18"),
    "mobilenet_v2": lambda: vision("mobilenet_v2"),
    "minilm": lambda: encoder(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "bert_base": lambda: encoder(),
    "decoder_134m": decoder,
}


def make(folder, name):
    torch.manual_seed(0)
    with torch.no_grad():
        model, inputs, outputs = MODELS[name]()
    torch.onnx.export(
        model,
        tuple(value[:2] for value in inputs.values()),
        str(folder / f"{name}.onnx"),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes=[{0: torch.export.Dim("batch")} for _ in inputs],
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    arrays = {key: value.numpy() for key, value in inputs.items()}
    np.savez(folder / f"{name}.npz", **{key: value[:CALIBRATION] for key, value in arrays.items()})
    np.savez(folder / f"{name}_held.npz", **{key: value[CALIBRATION:] for key, value in arrays.items()})


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or MODELS:
        if not (folder / f"{name}_held.npz").exists():
            make(folder, name)
            print(name, (folder / f"{name}.onnx").stat().st_size)


if __name__ == "__main__":
    main()
