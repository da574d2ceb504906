"""Makes the test vectors of checkpoints in one file, and of a network with guidance among its inputs.

    python packages/diffusion/goldens/single_file.py

Files in the layout of latent diffusion are not kept: their weights are draws of torch's generator, which the engine
repeats bit for bit, so that names, shapes and seeds are enough to write them anew. What diffusers' own conversion makes
of them is what the results are computed with.
"""

import json

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import generate
from generate import DDIM, DPM, EULER, EULER_DISCRETE, HEUN, LCM, OUT, PNDM, SCHEDULERS, UNIPC, randomize, text_encoder

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def unet_places(unet):
    """Where each module of the network is in the layout of latent diffusion."""
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    i = 0
    for b, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            i += 1
            places[f"down_blocks.{b}.resnets.{j}"] = f"input_blocks.{i}.0"
            places[f"down_blocks.{b}.attentions.{j}"] = f"input_blocks.{i}.1"
        if block.downsamplers:
            i += 1
            places[f"down_blocks.{b}.downsamplers.0.conv"] = f"input_blocks.{i}.0.op"
    i = 0
    for b, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            places[f"up_blocks.{b}.resnets.{j}"] = f"output_blocks.{i}.0"
            places[f"up_blocks.{b}.attentions.{j}"] = f"output_blocks.{i}.1"
            if j == len(block.resnets) - 1 and block.upsamplers:
                at = 2 if hasattr(block, "attentions") else 1
                places[f"up_blocks.{b}.upsamplers.0.conv"] = f"output_blocks.{i}.{at}.conv"
            i += 1
    return places


def ldm_unet_name(places, name):
    place = max((p for p in places if name.startswith(p + ".")), key=len)
    rest = name[len(place) + 1 :]
    if "resnets" in place:
        layer, kind = rest.rsplit(".", 1)
        rest = f"{RESNET[layer]}.{kind}"
    return UNET + places[place] + "." + rest


def ldm_vae_name(levels, name):
    words = name.split(".")
    if words[0] in ("encoder", "decoder") and words[1] in ("up_blocks", "down_blocks"):
        side = words[1].split("_")[0]
        level = int(words[2]) if side == "down" else levels - 1 - int(words[2])
        layer = {"resnets": f"block.{words[4]}", "upsamplers": "upsample", "downsamplers": "downsample"}[words[3]]
        words = [words[0], side, str(level), layer, *words[5:]]
    elif words[1:3] == ["mid_block", "resnets"]:
        words = [words[0], "mid", f"block_{int(words[3]) + 1}", *words[4:]]
    elif words[1:3] == ["mid_block", "attentions"]:
        layer = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}[words[4]]
        words = [words[0], "mid", "attn_1", layer, words[-1]]
    name = VAE + ".".join(words)
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def open_clip_shapes(text):
    """Names and shapes of an OpenCLIP text encoder with one layer more than is used."""
    config = text.config
    size, wide = config.hidden_size, config.intermediate_size
    yield "token_embedding.weight", (config.vocab_size, size)
    yield "positional_embedding", (config.max_position_embeddings, size)
    yield "text_projection", (size, size)
    yield "logit_scale", ()
    for name in ("ln_final.weight", "ln_final.bias"):
        yield name, (size,)
    for i in range(config.num_hidden_layers + 1):
        layer = f"transformer.resblocks.{i}"
        yield f"{layer}.attn.in_proj_weight", (3 * size, size)
        yield f"{layer}.attn.in_proj_bias", (3 * size,)
        yield f"{layer}.attn.out_proj.weight", (size, size)
        yield f"{layer}.attn.out_proj.bias", (size,)
        for norm in ("ln_1", "ln_2"):
            yield f"{layer}.{norm}.weight", (size,)
            yield f"{layer}.{norm}.bias", (size,)
        yield f"{layer}.mlp.c_fc.weight", (wide, size)
        yield f"{layer}.mlp.c_fc.bias", (wide,)
        yield f"{layer}.mlp.c_proj.weight", (size, wide)
        yield f"{layer}.mlp.c_proj.bias", (size,)


def ldm_shapes(family, text, unet, vae):
    """Names and shapes of all tensors as the file has them."""
    if family == "sd1":
        for name, value in text.state_dict().items():
            name = name if name.startswith("text_model.") else f"text_model.{name}"
            yield CLIP + name, tuple(value.shape)
    else:
        for name, shape in open_clip_shapes(text):
            yield OPEN_CLIP + name, shape
    places = unet_places(unet)
    for name, value in unet.state_dict().items():
        yield ldm_unet_name(places, name), tuple(value.shape)
    for name, value in vae.state_dict().items():
        shape = tuple(value.shape)
        # The attention's projections are convolutions in this layout.
        matrix = ".mid_block.attentions.0.to_" in name and len(shape) == 2
        yield ldm_vae_name(len(vae.config.block_out_channels), name), (*shape, 1, 1) if matrix else shape


def scaling(name, shape):
    """Factor and offset that keep activations around one, as those of generate.randomize."""
    if name.endswith("bias"):
        return 0.1, 0
    if len(shape) < 2:
        return 0.1, 1
    if "embedding" in name and "time" not in name:
        return 0.5, 0
    return float(np.prod(shape[1:])) ** -0.5, 0


def draw(manifest, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(shape, generator=generator) * factor + offset).to(dtype).float()
        for name, shape, factor, offset in manifest
    }


TINY_VAE = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def tiny_parts(family, vocab):
    ids = {"bos_token_id": vocab["<|startoftext|>"], "eos_token_id": vocab["<|endoftext|>"]}
    size = 64 if family == "sd1" else 128
    text = CLIPTextConfig(
        vocab_size=len(vocab),
        hidden_size=size,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=size // 64,
        hidden_act="quick_gelu" if family == "sd1" else "gelu",
        **ids,
    )
    if family == "sd1":
        own = {
            "sample_size": 64,
            "block_out_channels": (32, 64),
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "layers_per_block": 2,
            "attention_head_dim": 8,
        }
    else:
        own = {
            "sample_size": 96,
            "block_out_channels": (64, 128, 128),
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "layers_per_block": 1,
            "attention_head_dim": (1, 2, 2),
            "use_linear_projection": True,
        }
    vae = AutoencoderKL(block_out_channels=(32, 32), layers_per_block=1, sample_size=64, **TINY_VAE)
    return CLIPTextModel(text), UNet2DConditionModel(cross_attention_dim=size, **own), vae


STABLE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}


def run_all(pipe, runs, tensors):
    own = pipe.scheduler
    for index, run in enumerate(runs):
        pipe.scheduler = SCHEDULERS[run["method"]].from_config(own.config, **(run["args"] or {}))
        seen = {}

        def keep(_pipe, _step, _t, values):
            seen["latents"] = values["latents"]
            return values

        result = pipe(
            prompt=run["prompt"],
            negative_prompt=run["negative_prompt"],
            num_inference_steps=run["steps"],
            guidance_scale=run["cfg"],
            generator=torch.Generator().manual_seed(run["seed"]),
            width=run["width"],
            height=run["height"],
            callback_on_step_end=keep,
        )
        tensors[f"run.{index}.0.latents"] = seen["latents"]
        tensors[f"run.{index}.0.image"] = torch.from_numpy(np.array(result.images[0]))


BASE = {"prompt": "a red apple on a table", "negative_prompt": "dark", "seed": 7, "cfg": 5, "num_images": 1}
SINGLE_FILES = {
    "sd1-single-file": {
        "family": "sd1",
        "dtype": "F32",
        "seed": 31,
        "tokenizer": "classic-kl-fp16",
        "runs": [
            BASE | {"method": PNDM, "args": None, "steps": 6},
            BASE | {"method": EULER_DISCRETE, "args": {"use_karras_sigmas": True}, "steps": 6},
            BASE | {"method": UNIPC, "args": {"solver_order": 3}, "steps": 6, "cfg": 7.5},
            BASE | {"method": HEUN, "args": None, "steps": 4, "cfg": 1},
            BASE | {"method": DDIM, "args": {"timestep_spacing": "trailing"}, "steps": 5},
            BASE | {"method": EULER, "args": None, "steps": 5},
        ],
    },
    "sd2-single-file": {
        "family": "sd2",
        "dtype": "F16",
        "seed": 32,
        "tokenizer": "deep-tiny-v",
        "runs": [
            BASE | {"method": DDIM, "args": None, "steps": 6},
            BASE | {"method": DDIM, "args": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, "steps": 5},
            BASE | {"method": PNDM, "args": None, "steps": 5},
            BASE | {"method": DPM, "args": None, "steps": 6},
            BASE | {"method": UNIPC, "args": {"use_karras_sigmas": True}, "steps": 6},
            BASE | {"method": EULER_DISCRETE, "args": {"prediction_type": "epsilon"}, "steps": 5},
        ],
    },
}


def single_file(name, family, dtype, seed, tokenizer, runs):
    tokenizer_dir = OUT / tokenizer / "tokenizer"
    vocab = json.loads((tokenizer_dir / "vocab.json").read_text())
    text, unet, vae = tiny_parts(family, vocab)
    manifest = [(n, s, *scaling(n, s)) for n, s in ldm_shapes(family, text, unet, vae)]
    checkpoint = draw(manifest, seed, {"F32": torch.float32, "F16": torch.float16}[dtype])

    # diffusers counts layers per block as one number.
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(checkpoint), unet.config))
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(checkpoint), vae.config))
    convert = convert_ldm_clip_checkpoint if family == "sd1" else convert_open_clip_checkpoint
    converted = convert(dict(checkpoint)) if family == "sd1" else convert(text, dict(checkpoint), prefix=OPEN_CLIP)
    wanted = text.state_dict()
    strip = not any(key.startswith("text_model.") for key in wanted)
    converted = {(key.removeprefix("text_model.") if strip else key): value for key, value in converted.items()}
    text.load_state_dict({key: converted[key] for key in wanted})

    scheduler = {"sd1": PNDMScheduler, "sd2": DDIMScheduler}[family].from_config(
        STABLE
        | ({"skip_prk_steps": True} if family == "sd1" else {"prediction_type": "v_prediction"})
        | {"clip_sample": False, "skip_prk_steps": True}
    )
    pipe = StableDiffusionPipeline(
        vae.eval(), text.eval(), CLIPTokenizer.from_pretrained(tokenizer_dir), unet.eval(), scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    runs = [run | {"width": 24, "height": 16} for run in runs]
    tensors = {}
    ids = pipe.tokenizer([BASE["prompt"]], padding="max_length", max_length=77, truncation=True).input_ids
    tensors["text.embeddings"] = text(torch.tensor(ids)).last_hidden_state
    run_all(pipe, runs, tensors)
    facts = {"dtype": dtype, "seed": seed, "tokenizer": tokenizer, "ids": ids[0], "runs": runs, "tensors": manifest}
    generate.write(OUT / name, tensors, facts)


PUBLISHED = {
    "sd1": {
        "text": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
        "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    },
    "sd2": {
        "text": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 23,
            "hidden_act": "gelu",
        },
        "unet": {
            "sample_size": 96,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        },
    },
}


def published_shapes():
    """The configurations of the published models, and the shapes that their files therefore have."""
    facts = {}
    for family, config in PUBLISHED.items():
        vae_config = {
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "sample_size": 512 if family == "sd1" else 768,
        }
        with torch.device("meta"):
            text = CLIPTextModel(CLIPTextConfig(**config["text"]))
            unet = UNet2DConditionModel(**config["unet"])
            vae = AutoencoderKL(**vae_config)
        shapes = dict(ldm_shapes(family, text, unet, vae))
        facts[family] = config | {"vae": vae_config, "shapes": shapes}
    (OUT / "published-shapes.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")


def guided():
    """A latent consistency model's network, with the strength of guidance among its inputs."""
    f16 = torch.float16
    generate.save(
        "lcm-guided",
        "<|endoftext|>",
        {"text_encoder": f16, "unet": f16, "vae": f16},
        lambda vocab: text_encoder(vocab, 41, num_hidden_layers=1),
        lambda: randomize(
            UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(16, 16),
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                layers_per_block=1,
                cross_attention_dim=32,
                attention_head_dim=4,
                norm_num_groups=8,
                time_cond_proj_dim=32,
            ),
            42,
        ),
        lambda: randomize(
            AutoencoderKL(block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4, sample_size=16, **TINY_VAE), 43
        ),
        LCMScheduler(steps_offset=1),
    )
    pipe = StableDiffusionPipeline.from_pretrained(OUT / "lcm-guided", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    runs = [
        BASE | {"method": LCM, "args": None, "steps": 4, "cfg": 8},
        BASE | {"method": LCM, "args": {"original_inference_steps": 25}, "steps": 6, "cfg": 1},
        BASE | {"method": LCM, "args": None, "steps": 2, "cfg": 3.5},
        BASE | {"method": DDIM, "args": {"clip_sample": False}, "steps": 5, "cfg": 5},
    ]
    runs = [run | {"width": 24, "height": 16} for run in runs]
    tensors = {}
    run_all(pipe, runs, tensors)
    generate.write(OUT / "lcm-guided" / "golden", tensors, {"runs": runs})


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    published_shapes()
    for name, options in SINGLE_FILES.items():
        single_file(name, **options)
    guided()


main()
