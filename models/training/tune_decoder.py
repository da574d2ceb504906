"""Sharpens the decoder after the fact. The encoder and the latents stay as they are, so the diffusion model stays valid.
Latents get a little noise, as those that the diffusion model draws have.

Usage: python tune_decoder.py <build> <minutes>
"""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from pictures import load_pictures, sheet
from train_vae import EDGE_WEIGHT, edges, random_batch, to_images

SEED = 4
PEAK_LR = 8e-4
LATENT_NOISE = 0.1


def main(build: Path, minutes: float):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    pictures = load_pictures(build)
    vae = AutoencoderKL.from_pretrained(build / "vae").to(memory_format=torch.channels_last)
    trained = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimiser = torch.optim.AdamW(trained, PEAK_LR, betas=(0.9, 0.99))
    start, step, recent = time.time(), 0, []
    with (build / "decoder-loss.csv").open("w") as log:
        log.write("step,seconds,mean_absolute_error\n")
        while (done := (time.time() - start) / (60 * minutes)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = PEAK_LR * min(1, (step + 1) / 50) * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)
            image = random_batch(pictures, rng)
            with torch.autocast("cpu", torch.bfloat16):
                with torch.no_grad():
                    latent = vae.encode(image).latent_dist.mean
                decoded = vae.decode(latent + LATENT_NOISE * torch.randn_like(latent)).sample
            decoded = decoded.float()
            pixel = (decoded - image).abs().mean()
            loss = pixel + EDGE_WEIGHT * sum((a - b).abs().mean() for a, b in zip(edges(decoded), edges(image)))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            step += 1
            recent.append(pixel.item() / 2)
            if step % 50 == 0:
                seconds = time.time() - start
                log.write(f"{step},{seconds:.0f},{np.mean(recent[-50:]):.5f}\n")
                print(f"step {step} {seconds:.0f}s error {np.mean(recent[-50:]):.4f}", flush=True)
    vae.save_pretrained(build / "vae")
    with torch.no_grad():
        sheet([to_images(image), to_images(vae.decode(vae.encode(image).latent_dist.mean).sample)]).save(build / "vae-sheet.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
