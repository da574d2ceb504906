"""Makes the test vectors in test-vectors/diffusion: tiny checkpoints with random weights, and what diffusers computes with them.

    python packages/diffusion/goldens/generate.py

Needs torch, diffusers and transformers (development only; the versions used are written to versions.json).
"""

import inspect
import json
import shutil
from collections import Counter
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = Path(__file__).resolve().parents[3] / "test-vectors" / "diffusion"
SCHEDULERS = {
    "EulerAncestralDiscreteScheduler": EulerAncestralDiscreteScheduler,
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
    "LCMScheduler": LCMScheduler,
    "DDIMScheduler": DDIMScheduler,
    "EulerDiscreteScheduler": EulerDiscreteScheduler,
    "HeunDiscreteScheduler": HeunDiscreteScheduler,
    "UniPCMultistepScheduler": UniPCMultistepScheduler,
    "PNDMScheduler": PNDMScheduler,
}

PROMPTS = [
    "",
    "a red apple",
    "A Red  APPLE,\n on a\ttable!",
    "don't you'll they're we've i'm he'd it's",
    "3 cats & 42 dogs: 50% off (really?)",
    "café naïve Zürich Ångström ΣΊΣΥΦΟΣ ΟΔΟΣ İstanbul",
    "日本語 한국어 привет 🙂🙂 e\u0301",
    "<|startoftext|>a cat<|endoftext|> <|EndOfText|>",
    "under_score-dash 'quoted' \u00a0non breaking\u3000space",
    "the quick brown fox jumps over the lazy dog " * 12,
    "..........!!!!!!!!!! ?! ...",
]

CORPUS = """a red apple on a table a blue cat a yellow dog a smiling face with a hat the quick brown fox jumps over the
lazy dog a photo of a green bird in the snow a drawing of an orange star a picture of the moon over the sea don't you'll
they're we've it's small and large bright and dark"""


def byte_letters():
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    letters = {b: chr(b) for b in printable}
    spare = (chr(256 + i) for i in range(256))
    return {b: letters.get(b) or next(spare) for b in range(256)}


def learn_merges(count):
    letters = byte_letters()
    words = Counter(CORPUS.lower().split())
    pieces = {}
    for word in words:
        parts = [letters[b] for b in word.encode()]
        pieces[word] = [*parts[:-1], parts[-1] + "</w>"]
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, parts in pieces.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.get)
        merges.append(best)
        for word, parts in pieces.items():
            merged, i = [], 0
            while i < len(parts):
                if tuple(parts[i : i + 2]) == best:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            pieces[word] = merged
    return merges


def make_tokenizer(folder, pad_token, length=77):
    folder.mkdir(parents=True)
    letters = list(byte_letters().values())
    merges = learn_merges(120)
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad_token,
        "model_max_length": length,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return vocab


def randomize(module, seed):
    """Weights that keep activations around one, so that every layer matters to the result."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        draw = torch.randn(value.shape, generator=generator)
        if name.endswith("bias"):
            draw = 0.1 * draw
        elif value.dim() == 1:
            draw = 1 + 0.1 * draw
        elif "embedding" in name and "time" not in name:
            draw = 0.5 * draw
        else:
            draw = draw * value[0].numel() ** -0.5
        value.data.copy_(draw)
    return module.eval()


def text_encoder(vocab, seed, **config):
    config = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4} | config
    ids = {"bos_token_id": vocab["<|startoftext|>"], "eos_token_id": vocab["<|endoftext|>"]}
    return randomize(CLIPTextModel(CLIPTextConfig(vocab_size=len(vocab), **ids, **config)), seed)


def save(name, tokenizer_pad, dtypes, text, unet, vae, scheduler, shard=None, one_file_tokenizer=False):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    vocab = make_tokenizer(folder / "tokenizer", tokenizer_pad)
    if one_file_tokenizer:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        shutil.rmtree(folder / "tokenizer")
        tokenizer.save_pretrained(folder / "tokenizer")
    parts = {"text_encoder": text(vocab), "unet": unet(), "vae": vae()}
    for part, module in parts.items():
        options = {"max_shard_size": shard} if part == "unet" and shard else {}
        module.to(dtypes[part]).save_pretrained(folder / part, safe_serialization=True, **options)
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", type(scheduler).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", type(parts["vae"]).__name__],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def make_checkpoints():
    """SD 1.x as it is published, only narrow; then what else the topology allows."""
    f16, bf16, f32 = torch.float16, torch.bfloat16, torch.float32
    save(
        "classic-kl-fp16",
        "<|endoftext|>",
        {"text_encoder": f16, "unet": f16, "vae": f16},
        lambda vocab: text_encoder(vocab, 1),
        lambda: randomize(
            UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(16, 32),
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                layers_per_block=2,
                cross_attention_dim=32,
                attention_head_dim=4,
                norm_num_groups=8,
            ),
            2,
        ),
        lambda: randomize(
            AutoencoderKL(
                block_out_channels=(8, 16, 16),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                layers_per_block=1,
                norm_num_groups=4,
                sample_size=32,
            ),
            3,
        ),
        PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True),
    )
    save(
        "deep-tiny-v",
        "!",
        {"text_encoder": bf16, "unet": f16, "vae": f32},
        lambda vocab: text_encoder(vocab, 4, hidden_act="gelu", num_attention_heads=2, layer_norm_eps=1e-2),
        lambda: randomize(
            UNet2DConditionModel(
                sample_size=[6, 10],
                block_out_channels=(8, 16, 24),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                layers_per_block=(1, 2, 1),
                transformer_layers_per_block=(1, 2, 1),
                cross_attention_dim=32,
                attention_head_dim=(2, 4, 3),
                norm_num_groups=4,
                use_linear_projection=True,
                flip_sin_to_cos=False,
                freq_shift=1,
                norm_eps=1e-2,
                act_fn="mish",
            ),
            5,
        ),
        lambda: randomize(
            AutoencoderTiny(
                encoder_block_out_channels=(8, 8, 8),
                decoder_block_out_channels=(8, 8, 8),
                num_encoder_blocks=(1, 1, 1),
                num_decoder_blocks=(2, 1, 1),
            ),
            6,
        ),
        DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction"
        ),
    )
    save(
        "plain-kl8-shards",
        "<|endoftext|>",
        {"text_encoder": f16, "unet": f32, "vae": f16},
        lambda vocab: text_encoder(vocab, 7, num_hidden_layers=1),
        lambda: randomize(
            UNet2DConditionModel(
                sample_size=4,
                block_out_channels=(8, 8),
                down_block_types=("DownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "UpBlock2D"),
                layers_per_block=1,
                cross_attention_dim=32,
                attention_head_dim=8,
                norm_num_groups=2,
            ),
            8,
        ),
        lambda: randomize(
            AutoencoderKL(
                block_out_channels=(4, 4, 8, 8),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=1,
                norm_num_groups=2,
                scaling_factor=0.13025,
                mid_block_add_attention=False,
                use_post_quant_conv=False,
                use_quant_conv=False,
            ),
            9,
        ),
        EulerAncestralDiscreteScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012),
        shard="60KB",
        one_file_tokenizer=True,
    )


EULER = "EulerAncestralDiscreteScheduler"
DPM = "DPMSolverMultistepScheduler"
LCM = "LCMScheduler"
DDIM = "DDIMScheduler"
EULER_DISCRETE = "EulerDiscreteScheduler"
HEUN = "HeunDiscreteScheduler"
UNIPC = "UniPCMultistepScheduler"
PNDM = "PNDMScheduler"
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def scheduler_settings():
    yield EULER, 10, {}
    for spacing in ("linspace", "leading", "trailing"):
        for prediction in ("epsilon", "v_prediction"):
            yield EULER, 7, STABLE | {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1}
    yield EULER, 6, STABLE | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    yield EULER, 1, STABLE
    yield EULER, 1, STABLE | {"timestep_spacing": "trailing"}
    yield EULER, 5, {"beta_schedule": "squaredcos_cap_v2"}
    yield EULER, 5, STABLE | {"num_train_timesteps": 300}
    for order in (1, 2, 3):
        for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
            for solver in ("midpoint", "heun"):
                if order == 3 and algorithm == "sde-dpmsolver":
                    continue
                final = {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}
                yield DPM, 8, STABLE | final | {"solver_order": order, "algorithm_type": algorithm, "solver_type": solver}
    for order in (2, 3):
        for steps in (1, 2, 3, 16, 20):
            yield DPM, steps, STABLE | {"solver_order": order}
        yield DPM, 16, STABLE | {"solver_order": order, "final_sigmas_type": "sigma_min", "lower_order_final": False}
        yield DPM, 16, STABLE | {"solver_order": order, "final_sigmas_type": "sigma_min", "euler_at_final": True}
        yield DPM, 8, STABLE | {"solver_order": order, "use_karras_sigmas": True}
        yield DPM, 8, STABLE | {"solver_order": order, "use_lu_lambdas": True}
    for spacing in ("leading", "trailing"):
        for prediction in ("epsilon", "v_prediction", "sample"):
            yield DPM, 9, STABLE | {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1}
    for algorithm in ("dpmsolver", "sde-dpmsolver++"):
        for prediction in ("v_prediction", "sample"):
            yield DPM, 6, STABLE | {"algorithm_type": algorithm, "prediction_type": prediction, "final_sigmas_type": "sigma_min"}
    yield DPM, 6, STABLE | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    yield DPM, 6, {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}
    yield DPM, 6, {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True}
    yield DPM, 6, {"beta_schedule": "linear", "num_train_timesteps": 500}
    yield DPM, 6, STABLE | {"thresholding": True, "sample_max_value": 1.5}
    yield DPM, 6, STABLE | {"thresholding": True, "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}
    yield DPM, 5, STABLE | {"trained_betas": np.linspace(0.001, 0.03, 50).tolist(), "num_train_timesteps": 50}
    # New cases go to the end: a case's number is its seed.
    for curve in ({}, {"use_lu_lambdas": True}, {"beta_schedule": "squaredcos_cap_v2"}):
        yield DPM, 6, STABLE | {"use_exponential_sigmas": True} | curve
    yield from lcm_settings()
    yield from ddim_settings()
    yield from euler_settings()
    yield from heun_settings()
    yield from unipc_settings()
    yield from pndm_settings()


PREDICTIONS = ("epsilon", "v_prediction", "sample")
SPACINGS = ("linspace", "leading", "trailing")
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
TRAINED = {"trained_betas": np.linspace(0.001, 0.03, 50).tolist(), "num_train_timesteps": 50}


def lcm_settings():
    for steps in (1, 2, 4, 7, 50):
        yield LCM, steps, {}
    for prediction in PREDICTIONS:
        yield LCM, 4, {"prediction_type": prediction, "original_inference_steps": 33, "timestep_scaling": 0.01}
    yield LCM, 5, {"original_inference_steps": 1000, "timestep_scaling": 0.003}
    yield LCM, 4, {"clip_sample": True, "clip_sample_range": 0.7, "set_alpha_to_one": False}
    yield LCM, 4, {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9}
    yield LCM, 4, ZERO_SNR
    yield LCM, 4, {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "timestep_spacing": "trailing"}
    yield LCM, 4, TRAINED


def ddim_settings():
    yield DDIM, 10, {}
    for spacing in SPACINGS:
        for prediction in PREDICTIONS:
            config = {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1, "clip_sample": False}
            yield DDIM, 7, STABLE | config
    for steps in (1, 3, 30):
        yield DDIM, steps, STABLE | {"clip_sample": False, "set_alpha_to_one": False}
    yield DDIM, 6, STABLE | ZERO_SNR | {"clip_sample": False}
    yield DDIM, 6, STABLE | {"clip_sample_range": 0.5}
    yield DDIM, 6, STABLE | {"thresholding": True, "sample_max_value": 1.5}
    yield DDIM, 5, {"beta_schedule": "squaredcos_cap_v2"}
    yield DDIM, 5, TRAINED


def euler_settings():
    yield EULER_DISCRETE, 10, {}
    for spacing in SPACINGS:
        for prediction in PREDICTIONS:
            yield EULER_DISCRETE, 7, STABLE | {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1}
    for curve in ("use_karras_sigmas", "use_exponential_sigmas"):
        for spacing in SPACINGS:
            yield EULER_DISCRETE, 8, STABLE | {curve: True, "timestep_spacing": spacing}
        yield EULER_DISCRETE, 5, STABLE | {curve: True, "sigma_min": 0.1, "sigma_max": 10.5}
    for steps in (1, 2):
        yield EULER_DISCRETE, steps, STABLE
        yield EULER_DISCRETE, steps, STABLE | {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"}
    yield EULER_DISCRETE, 6, STABLE | {"interpolation_type": "log_linear"}
    yield EULER_DISCRETE, 6, STABLE | {"interpolation_type": "log_linear", "use_karras_sigmas": True}
    yield EULER_DISCRETE, 6, STABLE | {"final_sigmas_type": "sigma_min", "prediction_type": "original_sample"}
    for prediction in ("epsilon", "v_prediction"):
        yield EULER_DISCRETE, 6, STABLE | {"timestep_type": "continuous", "prediction_type": prediction}
    yield EULER_DISCRETE, 6, STABLE | ZERO_SNR
    yield EULER_DISCRETE, 5, {"beta_schedule": "squaredcos_cap_v2"}
    yield EULER_DISCRETE, 5, TRAINED


def heun_settings():
    yield HEUN, 6, {}
    for spacing in SPACINGS:
        for prediction in PREDICTIONS:
            yield HEUN, 5, STABLE | {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1}
    for curve in ("use_karras_sigmas", "use_exponential_sigmas"):
        yield HEUN, 5, STABLE | {curve: True}
        yield HEUN, 5, STABLE | {curve: True, "timestep_spacing": "trailing", "sigma_min": 0.5}
    for steps in (1, 2):
        yield HEUN, steps, STABLE
    yield HEUN, 5, STABLE | {"clip_sample": True, "clip_sample_range": 0.8}
    yield HEUN, 5, STABLE | {"rescale_betas_zero_snr": True}
    yield HEUN, 5, {"beta_schedule": "squaredcos_cap_v2"}
    yield HEUN, 5, TRAINED


def unipc_settings():
    yield UNIPC, 10, {}
    for order in (1, 2, 3):
        for solver in ("bh1", "bh2", "midpoint"):
            config = STABLE | {"solver_order": order, "solver_type": solver, "final_sigmas_type": "sigma_min"}
            yield UNIPC, 8, config
            yield UNIPC, 8, config | {"predict_x0": False, "lower_order_final": False}
        for steps in (1, 2, 3, 9):
            yield UNIPC, steps, STABLE | {"solver_order": order}
    for spacing in SPACINGS:
        for prediction in PREDICTIONS:
            yield UNIPC, 7, STABLE | {"timestep_spacing": spacing, "prediction_type": prediction, "steps_offset": 1}
    for prediction in PREDICTIONS:
        yield UNIPC, 6, STABLE | {"prediction_type": prediction, "predict_x0": False, "final_sigmas_type": "sigma_min"}
    for curve in ("use_karras_sigmas", "use_exponential_sigmas"):
        for final in ("zero", "sigma_min"):
            yield UNIPC, 8, STABLE | {curve: True, "final_sigmas_type": final}
        yield UNIPC, 6, STABLE | {curve: True, "sigma_min": 0.1, "sigma_max": 10.5, "final_sigmas_type": "sigma_min"}
    yield UNIPC, 8, STABLE | {"disable_corrector": [0, 3], "solver_order": 3}
    yield UNIPC, 6, STABLE | {"thresholding": True, "sample_max_value": 1.5}
    yield UNIPC, 6, STABLE | ZERO_SNR
    yield UNIPC, 6, {"beta_schedule": "squaredcos_cap_v2"}
    yield UNIPC, 5, TRAINED


def pndm_settings():
    yield PNDM, 10, {}
    for spacing in SPACINGS:
        for prediction in ("epsilon", "v_prediction"):
            for skip in (True, False):
                config = {"timestep_spacing": spacing, "prediction_type": prediction, "skip_prk_steps": skip, "steps_offset": 1}
                yield PNDM, 7, STABLE | config
    for steps in (1, 2, 3, 4, 20):
        yield PNDM, steps, STABLE | {"skip_prk_steps": True}
    for steps in (4, 5):
        yield PNDM, steps, STABLE | {"set_alpha_to_one": True}
    yield PNDM, 7, STABLE | {"skip_prk_steps": True, "set_alpha_to_one": True}
    yield PNDM, 6, STABLE | {"skip_prk_steps": True, "rescale_betas_zero_snr": True}
    yield PNDM, 5, {"beta_schedule": "squaredcos_cap_v2"}
    yield PNDM, 5, TRAINED
    for curve in ("use_karras_sigmas", "use_exponential_sigmas"):
        yield DPM, 6, STABLE | {curve: True, "sigma_min": 0.1, "sigma_max": 10.5}
        yield DPM, 6, STABLE | {curve: True, "sigma_min": 0.1, "use_lu_lambdas": True, "final_sigmas_type": "sigma_min"}


def trace_schedulers(tensors):
    """Every scheduler setting against a made-up model that a test can repeat: output = latents / 2 + pattern / 5."""
    generator = torch.Generator().manual_seed(11)
    start = torch.randn((1, 4, 4, 4), generator=generator)
    pattern = torch.randn((1, 4, 4, 4), generator=generator)
    tensors["scheduler.start"] = start
    tensors["scheduler.pattern"] = pattern
    cases = []
    for index, (method, steps, config) in enumerate(scheduler_settings()):
        scheduler = SCHEDULERS[method].from_config(config)
        scheduler.set_timesteps(steps)
        noise = torch.Generator().manual_seed(index)
        # Left to itself the reference starts at the second of two equal timesteps, and then runs out of noise levels.
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        options = {"generator": noise} if "generator" in inspect.signature(scheduler.step).parameters else {}
        latents = start * scheduler.init_noise_sigma
        trace = []
        for t in scheduler.timesteps:
            seen = scheduler.scale_model_input(latents, t)
            output = seen * 0.5 + pattern * 0.2
            latents = scheduler.step(output, t, latents, **options).prev_sample
            trace.append(latents)
        timesteps = [float(t) for t in scheduler.timesteps]
        cases.append({"method": method, "steps": steps, "config": config, "seed": index, "timesteps": timesteps})
        tensors[f"scheduler.{index}"] = torch.stack(trace)
    return cases


def noise_streams(tensors):
    sizes = [256, 5, 100, 3, 17, 16, 1, 4096]
    seeds = [0, 7, 1234567, 2147483647, 2**32 + 5]
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        tensors[f"noise.{seed}"] = torch.cat([torch.randn(size, generator=generator) for size in sizes])
    return {"sizes": sizes, "seeds": seeds}


def runs_of(name):
    base = {"prompt": "a red apple on a table", "negative_prompt": "dark", "seed": 7, "cfg": 5, "num_images": 1}
    yield base | {"method": EULER, "args": None, "steps": 8}
    yield base | {"method": DPM, "args": None, "steps": 8}
    yield base | {"method": DPM, "args": {"use_karras_sigmas": True, "solver_order": 3}, "steps": 12, "cfg": 1, "seed": 2147483647}
    if name == "classic-kl-fp16":
        yield base | {"method": EULER, "args": {"timestep_spacing": "trailing"}, "steps": 5, "num_images": 3, "seed": 0}
        yield base | {"method": DPM, "args": {"algorithm_type": "sde-dpmsolver++"}, "steps": 6, "cfg": 7.5, "width": 24, "height": 40}
    if name == "deep-tiny-v":
        yield base | {"method": EULER, "args": {"timestep_spacing": "leading"}, "steps": 5}
        yield base | {"method": EULER, "args": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, "steps": 6}
        yield base | {"method": DPM, "args": None, "steps": 4, "width": 56, "height": 32, "cfg": 3}


def golden_pipeline(name):
    pipe = StableDiffusionPipeline.from_pretrained(OUT / name, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    tensors, facts = {}, {"prompts": [], "runs": []}

    ids = [pipe.tokenizer(p, padding="max_length", max_length=77, truncation=True).input_ids for p in PROMPTS]
    facts["prompts"] = [{"prompt": p, "ids": i} for p, i in zip(PROMPTS, ids)]
    embeddings = pipe.text_encoder(torch.tensor(ids[1:3])).last_hidden_state
    tensors["text.embeddings"] = embeddings

    channels = pipe.unet.config.in_channels
    size = pipe.unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(21)
    sample = torch.randn((2, channels, height, width), generator=generator)
    tensors["unet.sample"] = sample
    for t in (999, 500, 1):
        tensors[f"unet.noise.{t}"] = pipe.unet(sample, t, encoder_hidden_states=embeddings).sample
    latents = torch.randn((1, channels, height, width), generator=generator)
    tensors["vae.latents"] = latents
    tensors["vae.image"] = pipe.vae.decode(latents).sample

    own_scheduler = pipe.scheduler
    for index, run in enumerate(runs_of(name)):
        pipe.scheduler = SCHEDULERS[run["method"]].from_config(own_scheduler.config, **(run["args"] or {}))
        generator = torch.Generator().manual_seed(run["seed"])
        for image in range(run["num_images"]):
            options = {
                "prompt": run["prompt"],
                "negative_prompt": run["negative_prompt"],
                "num_inference_steps": run["steps"],
                "guidance_scale": run["cfg"],
                "generator": generator,
                "width": run.get("width"),
                "height": run.get("height"),
            }
            seen = {}

            def keep(_pipe, _step, _t, values):
                seen["latents"] = values["latents"]
                return values

            result = pipe(**options, output_type="pil", callback_on_step_end=keep)
            tensors[f"run.{index}.{image}.latents"] = seen["latents"]
            tensors[f"run.{index}.{image}.image"] = torch.from_numpy(np.array(result.images[0]))
        facts["runs"].append(run)
    write(OUT / name / "golden", tensors, facts)


def write(stem, tensors, facts):
    save_file({name: value.contiguous().detach() for name, value in tensors.items()}, f"{stem}.safetensors")
    Path(f"{stem}.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    make_checkpoints()
    tensors = {}
    write(OUT / "common", tensors, {"noise": noise_streams(tensors), "schedulers": trace_schedulers(tensors)})
    for name in ("classic-kl-fp16", "deep-tiny-v", "plain-kl8-shards"):
        golden_pipeline(name)
    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    (OUT / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
