"""Trains the autoencoder (diffusers AutoencoderKL, 4x smaller, 4 channels) on random views.

The loss moves from squared to absolute error: absolute error alone leaves all colours at one grey-brown for
thousands of steps (its gradient does not grow with the error), squared error alone stays soft.
Backgrounds are any RGB colour here, not just the named ones, so that no two colours can share a code.
After training, the channels' mean and spread are folded into quant_conv and post_quant_conv:
latents then have mean 0 and deviation 1 per channel and scaling_factor is 1.

Usage: python train_vae.py <build> <minutes> [--resume]    (--resume repeats the second half of the schedule)
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from pictures import BACKGROUNDS, load_pictures, random_view, sheet

SEED = 1
BATCH = 8
PEAK_LR = 2e-3
KL_WEIGHT = 1e-6
LATENT_CHANNELS = 4
EDGE_WEIGHT = 0.5


def new_vae() -> AutoencoderKL:
    """A small AutoencoderKL whose residual branches begin almost silent, which makes the first steps those of a shallow net."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=1.0,
    )
    with torch.no_grad():
        vae.quant_conv.bias[LATENT_CHANNELS:] -= 6  # little posterior noise at first
        for module in vae.modules():
            branch = {"ResnetBlock2D": "conv2", "Attention": "to_out"}.get(type(module).__name__)
            if branch:
                last = getattr(module, branch)
                last = last[0] if branch == "to_out" else last
                last.weight.mul_(0.05)
                last.bias.zero_()
    return vae


def to_tensor(images: list[np.ndarray]) -> torch.Tensor:
    """uint8 images to [-1, 1], NCHW, channels last."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return batch.contiguous(memory_format=torch.channels_last)


def to_images(batch: torch.Tensor) -> np.ndarray:
    return ((batch + 1) * 127.5).clamp(0, 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def random_batch(pictures, rng) -> torch.Tensor:
    named = list(BACKGROUNDS.values())
    images = []
    for _ in range(BATCH):
        picture = pictures[rng.integers(len(pictures))]
        kind = rng.random()
        if kind < 0.35:
            background = (255, 255, 255)
        elif kind < 0.7:
            background = named[rng.integers(len(named))]
        else:
            background = rng.integers(0, 256, 3)
        images.append(random_view(picture, background, rng))
    return to_tensor(images)


def edges(image):
    return image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]


def loss_of(vae, image, done):
    """Mean absolute error, and the loss: squared turning into absolute error (of pixels and edges) plus a light KL term."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(image).latent_dist
        decoded = vae.decode(posterior.mean + torch.randn_like(posterior.mean) * posterior.std).sample
    decoded = decoded.float()
    pixel = decoded - image
    edge = [a - b for a, b in zip(edges(decoded), edges(image))]
    squared = 4 * pixel.pow(2).mean() + sum(e.pow(2).mean() for e in edge)
    absolute = pixel.abs().mean() + EDGE_WEIGHT * sum(e.abs().mean() for e in edge)
    return pixel.abs().mean(), (1 - done) * squared + done * absolute + KL_WEIGHT * posterior.kl().float().mean()


@torch.no_grad()
def fold_statistics(vae, images):
    """Makes every latent channel mean 0, deviation 1, without changing what the model reconstructs."""
    means = torch.cat([vae.encode(part).latent_dist.mean for part in images.split(64)])
    mean, std = means.mean((0, 2, 3)), means.std((0, 2, 3))
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight *= std[None, :, None, None]
    quant.weight[:channels] /= std[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / std
    quant.bias[channels:] -= 2 * std.log()
    return mean, std


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=Path)
    args.add_argument("minutes", type=float)
    args.add_argument("--resume", action="store_true")
    args = args.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    rng = np.random.default_rng(SEED)
    pictures = load_pictures(args.build)
    probe = to_tensor([random_view(pictures[i], list(BACKGROUNDS.values())[n % 11], rng) for n, i in enumerate(rng.integers(0, len(pictures), 16))])
    vae = new_vae().to(memory_format=torch.channels_last)
    if args.resume:
        vae.load_state_dict(torch.load(args.build / "vae.pt"))
    optimiser = torch.optim.AdamW(vae.parameters(), PEAK_LR, betas=(0.9, 0.99), weight_decay=1e-4)
    print(f"{sum(p.numel() for p in vae.parameters())} parameters", flush=True)
    start, step, recent = time.time(), 0, []
    log = (args.build / f"vae-loss{'-resumed' if args.resume else ''}.csv").open("w")
    log.write("step,seconds,mean_absolute_error\n")
    first = 0.5 if args.resume else 0.0
    while (done := first + (1 - first) * (time.time() - start) / (60 * args.minutes)) < 1:
        rate = PEAK_LR * min(1, (step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)
        for group in optimiser.param_groups:
            group["lr"] = rate
        pixel, loss = loss_of(vae, random_batch(pictures, rng), done)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        recent.append(pixel.item())
        if step % 50 == 0:
            seconds = time.time() - start
            log.write(f"{step},{seconds:.0f},{np.mean(recent[-50:]) / 2:.5f}\n")
            log.flush()
            print(f"step {step} {seconds:.0f}s error {np.mean(recent[-50:]) / 2:.4f} {step * BATCH / seconds:.1f} img/s", flush=True)
        if step % 400 == 0:
            torch.save(vae.state_dict(), args.build / "vae.pt")
            with torch.no_grad():
                sheet([to_images(probe), to_images(vae.decode(vae.encode(probe).latent_dist.mean).sample)]).save(args.build / "vae-sheet.png")
    vae.eval()
    many = torch.cat([random_batch(pictures, rng) for _ in range(64)])
    print("folded", *fold_statistics(vae, many))
    torch.save(vae.state_dict(), args.build / "vae.pt")
    vae.save_pretrained(args.build / "vae")
    with torch.no_grad():
        sheet([to_images(probe), to_images(vae.decode(vae.encode(probe).latent_dist.mean).sample)]).save(args.build / "vae-sheet.png")


if __name__ == "__main__":
    main()
