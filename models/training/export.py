"""Writes the trained model as a diffusers folder (StableDiffusionPipeline), weights in float16 safetensors.

Usage: python export.py <build> <model folder>
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from train_unet import new_text_encoder, new_unet

MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
SCHEDULER = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "_diffusers_version": "0.42.1",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": False,
    "steps_offset": 1,
    "timestep_spacing": "linspace",
    "trained_betas": None,
}
TEXT_KEYS = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers",
    "num_attention_heads", "max_position_embeddings", "hidden_act", "layer_norm_eps", "attention_dropout",
    "initializer_range", "initializer_factor", "pad_token_id", "bos_token_id", "eos_token_id",
)
WEIGHTS = ("text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors")


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def export(build: Path, model: Path):
    tokenizer = CLIPTokenizer.from_pretrained(build / "tokenizer")
    unet, text = new_unet(), new_text_encoder(tokenizer)
    weights = torch.load(build / "unet.pt")["ema"]
    with torch.no_grad():
        for mine, saved in zip([p for m in (unet, text) for p in m.parameters()], weights, strict=True):
            mine.copy_(saved)
    write_json(model / "model_index.json", MODEL_INDEX)
    write_json(model / "scheduler" / "scheduler_config.json", SCHEDULER)
    shutil.copytree(build / "tokenizer", model / "tokenizer", dirs_exist_ok=True)
    unet.half().save_pretrained(model / "unet")
    vae = AutoencoderKL.from_pretrained(build / "vae").half()
    vae.save_pretrained(model / "vae")
    # Transformers 5 saves without the "text_model." prefix; every SD1.x reader expects it.
    prefixed = {f"text_model.{k.removeprefix('text_model.')}": v.half().contiguous() for k, v in text.state_dict().items() if "position_ids" not in k}
    config = {key: value for key, value in text.config.to_dict().items() if key in TEXT_KEYS}
    config |= {"architectures": ["CLIPTextModel"], "torch_dtype": "float16"}
    write_json(model / "text_encoder" / "config.json", config)
    save_file(prefixed, model / "text_encoder" / "model.safetensors", metadata={"format": "pt"})
    for part in ("unet", "vae"):
        path = model / part / "config.json"
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        write_json(path, config)
    for name in WEIGHTS:
        (model / name).chmod(0o644)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
