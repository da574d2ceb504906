"""Trains the diffusion model: UNet2DConditionModel and CLIPTextModel together, on encoded views.

Two workers with one thread each train on different batches and average their weights every few steps (local SGD):
on a machine shared with other work this is several times faster than one worker with two threads.
v-prediction on the SD1.x noise schedule, stratified times, AdamW, cosine learning rate over wall time, EMA weights.
Weights are kept in float32; the forward and backward passes run on a bfloat16 copy.

Usage: python train_unet.py <build> <minutes> [--resume]
"""

import argparse
import math
import os
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from captions import random_caption
from make_tokenizer import MAX_LENGTH
from pictures import STYLES, load_pictures

SEED = 3
WORKERS = 2
AVERAGE_EVERY_STEPS = 8
THREADS = 1
BATCH = 16
PEAK_LR = 1e-3
WARMUP_STEPS = 200
EMA_DECAY = 0.997
OTHER_STYLE_WEIGHT = 0.0
RECOLOURED_WEIGHT = 0.4
TEXT_DIM = 128
SAVE_EVERY_SEC = 120


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128, 160),
        layers_per_block=1,
        cross_attention_dim=TEXT_DIM,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_text_encoder(tokenizer) -> CLIPTextModel:
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_DIM,
            intermediate_size=4 * TEXT_DIM,
            projection_dim=TEXT_DIM,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )
    for name, weight in model.named_parameters():
        if "token_embedding" in name:
            torch.nn.init.normal_(weight, std=0.3)
        if "position_embedding" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model


def alphas_cumprod() -> torch.Tensor:
    """SD1.x: betas linear in their square root."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0).float()


def share_of(picture) -> float:
    """How often a picture is trained, relative to the others."""
    style = 1 if picture.style == STYLES[0] else OTHER_STYLE_WEIGHT
    return picture.weight * style * (RECOLOURED_WEIGHT if picture.colour else 1)


def trained_pictures(build: Path):
    return [p for p in load_pictures(build) if share_of(p) > 0]


class Batches:
    """Random (latents, token ids) pairs."""

    def __init__(self, build: Path, tokenizer, rng):
        views = torch.load(build / "views.pt")
        self.latents, self.backgrounds, self.names = views["latents"], views["backgrounds"], views["names"]
        self.pictures = load_pictures(build)
        weight = [share_of(p) for p in self.pictures]
        self.share = np.array(weight) / sum(weight)
        self.rng = rng
        self.encode = lru_cache(None)(
            lambda text: tokenizer(text, padding="max_length", max_length=MAX_LENGTH, truncation=True).input_ids
        )

    def next(self):
        rng = self.rng
        which = rng.choice(len(self.pictures), BATCH, p=self.share)
        view = rng.integers(0, self.latents.shape[1], BATCH)
        captions = [
            random_caption(self.pictures[p], self.names[self.backgrounds[p, v]], rng) for p, v in zip(which, view)
        ]
        ids = torch.tensor([self.encode(c) for c in captions])
        return self.latents[which, view].float(), ids


class Trainer:
    """Float32 master weights, their EMA, and the bfloat16 models that compute gradients."""

    def __init__(self, unet, text):
        self.master = [p.detach().clone() for m in (unet, text) for p in m.parameters()]
        self.ema = [p.clone() for p in self.master]
        self.unet = unet.to(torch.bfloat16).to(memory_format=torch.channels_last)
        self.text = text.to(torch.bfloat16)
        self.live = [p for m in (self.unet, self.text) for p in m.parameters()]
        self.alphas = alphas_cumprod()
        self.optimiser = torch.optim.AdamW(self.master, PEAK_LR, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
        self.step = 0

    def load(self, state):
        for key in ("master", "ema"):
            for mine, saved in zip(getattr(self, key), state[key]):
                mine.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        torch._foreach_copy_([p.data for p in self.live], self.master)

    def save(self, path: Path, seconds: float):
        state = {"master": self.master, "ema": self.ema, "optimiser": self.optimiser.state_dict(), "step": self.step}
        torch.save({**state, "seconds": seconds}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def loss(self, latents, ids):
        times = ((torch.arange(BATCH) + torch.rand(BATCH)) * (1000 / BATCH)).long()
        signal = self.alphas[times].sqrt()[:, None, None, None]
        spread = (1 - self.alphas[times]).sqrt()[:, None, None, None]
        noise = torch.randn_like(latents)
        noisy = (signal * latents + spread * noise).bfloat16().contiguous(memory_format=torch.channels_last)
        words = self.text(ids).last_hidden_state
        velocity = self.unet(noisy, times, words, return_dict=False)[0].float()
        return (velocity - (signal * noise - spread * latents)).pow(2).mean()

    def update(self, latents, ids, rate) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(latents, ids)
        loss.backward()
        for master, live in zip(self.master, self.live):
            master.grad = None if live.grad is None else live.grad.float()
            live.grad = None
        torch.nn.utils.clip_grad_norm_(self.master, 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(self.ema, self.master, 1 - decay)
        torch._foreach_copy_([p.data for p in self.live], self.master)
        return loss.item()


class Log:
    """Mean loss of one worker every 50 steps, as CSV and on the terminal. Steps are per worker."""

    def __init__(self, path: Path, append: bool):
        self.file = path.open("a" if append else "w")
        self.recent = []
        if not append:
            self.file.write("step,seconds,loss\n")

    def add(self, step, seconds, loss, rate):
        self.recent.append(loss)
        if step % 50 == 0:
            mean = np.mean(self.recent)
            self.file.write(f"{step},{seconds:.0f},{mean:.5f}\n")
            self.file.flush()
            print(f"step {step} {seconds:.0f}s loss {mean:.4f} lr {rate:.1e}", flush=True)
            self.recent = []


def average_weights(trainer):
    """Sets every worker's weights to their mean. Moments of the optimiser stay each worker's own."""
    flat = torch.cat([p.flatten() for p in trainer.master])
    dist.all_reduce(flat)
    flat /= WORKERS
    torch._foreach_copy_(trainer.master, [part.view_as(p) for part, p in zip(flat.split([p.numel() for p in trainer.master]), trainer.master)])
    torch._foreach_copy_([p.data for p in trainer.live], trainer.master)


def agreed_seconds(start: float) -> float:
    """Elapsed time by worker 0's clock, so that all workers take the same decisions."""
    seconds = torch.tensor([time.time() - start], dtype=torch.float64)
    dist.broadcast(seconds, 0)
    return seconds.item()


def work(rank: int, args):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port))
    dist.init_process_group("gloo", rank=rank, world_size=WORKERS)
    torch.set_num_threads(THREADS)
    torch.backends.cuda.enable_flash_sdp(False)  # holds for the CPU too; the plain path is faster at 64 tokens
    torch.manual_seed(SEED)
    tokenizer = CLIPTokenizer.from_pretrained(args.build / "tokenizer")
    trainer = Trainer(new_unet(), new_text_encoder(tokenizer))
    spent = 0.0
    if args.resume:
        state = torch.load(args.build / "unet.pt")
        trainer.load(state)
        spent = state["seconds"]
    seed = SEED + WORKERS * trainer.step + rank
    torch.manual_seed(seed)
    batches = Batches(args.build, tokenizer, np.random.default_rng(seed))
    log = Log(args.build / "unet-loss.csv", args.resume) if rank == 0 else None
    start, saved = time.time() - spent, spent
    while (seconds := agreed_seconds(start)) < 60 * args.minutes:
        cosine = 0.5 * (1 + math.cos(math.pi * seconds / (60 * args.minutes)))
        rate = PEAK_LR * min(1, (trainer.step + 1) / WARMUP_STEPS) * (cosine + 0.01)
        for _ in range(AVERAGE_EVERY_STEPS):
            loss = trainer.update(*batches.next(), rate)
            if log:
                log.add(trainer.step, seconds, loss, rate)
        average_weights(trainer)
        if rank == 0 and seconds - saved > SAVE_EVERY_SEC:
            saved = seconds
            trainer.save(args.build / "unet.pt", seconds)
    if rank == 0:
        trainer.save(args.build / "unet.pt", seconds)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--port", type=int, default=29571)
    args = parser.parse_args()
    mp.spawn(work, (args,), WORKERS)


if __name__ == "__main__":
    main()
