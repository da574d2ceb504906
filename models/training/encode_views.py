"""Encodes every picture's views once, so that the autoencoder stays out of the diffusion training loop.

Writes <build>/views.pt: latents [pictures, views, 4, 16, 16] (float16) and the background of each view.
About half the views of a picture have the white background, the rest share the ten others evenly.

Usage: python encode_views.py <build>
"""

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from pictures import BACKGROUNDS, load_pictures, random_view
from train_vae import to_tensor

SEED = 2
VIEWS = 24
WHITE_VIEWS = 12


@torch.no_grad()
def encode_views(build: Path):
    torch.set_num_threads(2)
    rng = np.random.default_rng(SEED)
    vae = AutoencoderKL.from_pretrained(build / "vae").eval().to(memory_format=torch.channels_last)
    names = list(BACKGROUNDS)
    latents, backgrounds = [], []
    for picture in load_pictures(build):
        chosen = [0] * WHITE_VIEWS + [1 + n % (len(names) - 1) for n in range(VIEWS - WHITE_VIEWS)]
        images = [random_view(picture, BACKGROUNDS[names[n]], rng) for n in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            mean = vae.encode(to_tensor(images)).latent_dist.mean
        latents.append(mean.half())
        backgrounds.append(chosen)
    latents = torch.stack(latents)
    torch.save({"latents": latents, "backgrounds": torch.tensor(backgrounds), "names": names}, build / "views.pt")
    flat = latents.float()
    print(tuple(latents.shape), "mean", flat.mean((0, 1, 3, 4)), "std", flat.std((0, 1, 3, 4)))


if __name__ == "__main__":
    encode_views(Path(sys.argv[1]))
