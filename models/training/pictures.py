"""The training pictures: emoji of concepts.json, some recoloured, pasted on plain backgrounds at 64x64.

A *picture* is one drawing (concept x style x colour). A *view* is a picture at one size and place on one background.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 64
SUBJECT_PX = (52, 56, 60)
SHIFT_PX = 2

SPEC = json.loads((Path(__file__).parent / "concepts.json").read_text())
STYLES = list(SPEC["styles"])
BACKGROUNDS = SPEC["backgrounds"]


@dataclass(frozen=True)
class Picture:
    """One drawing. `names` are the words that mean it, best first."""

    icon: str
    style: str
    colour: str | None
    names: tuple[str, ...]
    weight: float  # how often it is trained, 1 is usual; the concept's own weight, before style and colour
    sizes: dict  # subject size in pixels -> premultiplied float RGBA, 0..1

    @property
    def concept(self) -> str:
        """What an observer should recognise: the first name, e.g. "red apple" or "blue car"."""
        return self.names[0]


def recolour(rgba: Image.Image, hue_deg: float) -> Image.Image:
    """Moves the drawing's dominant hue to `hue_deg`; other hues, greys and brightness stay."""
    alpha = rgba.getchannel("A")
    hsv = np.asarray(rgba.convert("RGB").convert("HSV")).astype(np.float32)
    hue, saturation = hsv[..., 0] * 360 / 255, hsv[..., 1] / 255
    weight = saturation * (np.asarray(alpha) > 128)
    histogram, _ = np.histogram(hue, bins=36, range=(0, 360), weights=weight)
    smooth = histogram + np.roll(histogram, 1) + np.roll(histogram, -1)
    main_deg = smooth.argmax() * 10 + 5
    distance = (hue - main_deg + 180) % 360 - 180
    chosen = (np.abs(distance) < 50) & (saturation > 0.2)
    shifted = np.where(chosen, (hue_deg + distance * 0.5) % 360, hue)
    hsv[..., 0] = shifted * 255 / 360
    rgb = Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")
    rgb.putalpha(alpha)
    return rgb


def _sizes(rgba: Image.Image) -> dict:
    scaled = {}
    for size in SUBJECT_PX:
        pixels = np.asarray(rgba.convert("RGBa").resize((size, size), Image.LANCZOS)).astype(np.float32) / 255
        scaled[size] = pixels
    return scaled


def load_pictures(build: Path) -> list[Picture]:
    """All pictures in a fixed order: 3 styles x (concepts + recoloured concepts)."""
    pictures = []
    for concept in SPEC["concepts"]:
        weight = concept.get("weight", 1)
        for style in STYLES:
            rgba = Image.open(build / "icons" / style / f"{concept['icon']}.png").convert("RGBA")
            pictures.append(Picture(concept["icon"], style, None, tuple(concept["names"]), weight, _sizes(rgba)))
            extra = concept.get("recolour")
            for colour in extra["to"] if extra else []:
                painted = recolour(rgba, SPEC["hues"][colour])
                pictures.append(Picture(concept["icon"], style, colour, (f"{colour} {extra['noun']}",), weight, _sizes(painted)))
    return pictures


def compose(picture: Picture, background, size=56, dx=0, dy=0) -> np.ndarray:
    """The view as uint8 [64, 64, 3]. `background` is an RGB triple, 0..255."""
    canvas = np.empty((SIDE_PX, SIDE_PX, 3), np.float32)
    canvas[:] = np.asarray(background, np.float32) / 255
    subject = picture.sizes[size]
    top = (SIDE_PX - size) // 2
    y, x = top + int(np.clip(dy, -top, top)), top + int(np.clip(dx, -top, top))
    area = canvas[y : y + size, x : x + size]
    area *= 1 - subject[..., 3:]
    area += subject[..., :3]
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def random_view(picture: Picture, background, rng: np.random.Generator) -> np.ndarray:
    """A view with random size and place."""
    size = int(rng.choice(SUBJECT_PX))
    dx, dy = rng.integers(-SHIFT_PX, SHIFT_PX + 1, 2)
    return compose(picture, background, size, dx, dy)


def sheet(rows) -> Image.Image:
    """A contact sheet from rows of equally many uint8 [64, 64, 3] images."""
    return Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0))
