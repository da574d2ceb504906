"""Words for views: what a caption may say about a picture, its style and its background."""

import numpy as np

from pictures import STYLES, Picture

TEMPLATES = (
    ("{a}", 6),
    ("{bare}", 4),
    ("a picture of {a}", 1),
    ("a photo of {a}", 1),
    ("a drawing of {a}", 1),
    ("an icon of {a}", 1),
    ("an emoji of {a}", 1),
    ("{bare} emoji", 1),
    ("{bare} icon", 1),
)
BACKGROUND_TEMPLATES = (" on a {} background", " on {}", ", {} background")
FILLERS = ("cute", "high quality", "highly detailed", "simple", "beautiful", "masterpiece", "best quality", "colorful", "vector art", "centered")
STYLE_SHARE, FILLER_SHARE, WHITE_SHARE, EMPTY_SHARE = 0.2, 0.08, 0.15, 0.1

_FORMS = [form for form, weight in TEMPLATES for _ in range(weight)]


def with_article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def random_caption(picture: Picture, background: str, rng: np.random.Generator) -> str:
    """A caption for a view; empty one time in ten, which is what guidance needs.

    White backgrounds and the first style mostly go unsaid, so "a cat" means a cat in the first style on white.
    """
    if rng.random() < EMPTY_SHARE:
        return ""
    names = picture.names
    name = names[0] if rng.random() < 0.5 else names[rng.integers(len(names))]
    if picture.style != STYLES[0] or rng.random() < STYLE_SHARE:
        name = f"{picture.style} {name}"
    caption = _FORMS[rng.integers(len(_FORMS))].format(a=with_article(name), bare=name)
    if background != "white" or rng.random() < WHITE_SHARE:
        caption += BACKGROUND_TEMPLATES[rng.integers(len(BACKGROUND_TEMPLATES))].format(background)
    if rng.random() < FILLER_SHARE:
        caption += f", {FILLERS[rng.integers(len(FILLERS))]}"
    return caption


def all_words(pictures, backgrounds) -> list[str]:
    """Every word a caption can hold, sorted: what the tokenizer must know."""
    text = [form.format(a="a an", bare="") for form, _ in TEMPLATES]
    text += [t.format(b) for t in BACKGROUND_TEMPLATES for b in backgrounds]
    text += FILLERS
    text += [" ".join((p.style, *p.names)) for p in pictures]
    return sorted(set(" ".join(text).replace(",", " , ").split()))
