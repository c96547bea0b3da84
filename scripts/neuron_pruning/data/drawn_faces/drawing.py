"""From a plan to pixels and to files."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageFilter

from neuron_pruning.core.files import atomic_path
from neuron_pruning.core.numerics import LUMA
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.drawn_faces import attire
from neuron_pruning.data.drawn_faces.head import Head, draw_features, draw_skin
from neuron_pruning.data.drawn_faces.planning import FacePlan, FacesSettings, generator, plan_faces
from neuron_pruning.data.drawn_faces.scenes import SETTINGS, paint
from neuron_pruning.data.drawn_faces.svg import Sheet


def draw_face(plan: FacePlan, settings: FacesSettings) -> Image.Image:
    """Draw one picture, RGB; it depends on the plan, the seed and the size alone."""
    image = _backdrop(plan, settings)
    image.alpha_composite(_person(plan, settings).image(settings.width, settings.height))
    return _graded(plan, settings, image.convert("RGB"))


def _backdrop(plan: FacePlan, settings: FacesSettings) -> Image.Image:
    """Paint the setting out of focus, for which a third of the resolution is enough; RGBA."""
    sheet, rng = Sheet(), generator(settings.seed, plan.movie, plan.setting)
    with sheet.group("transform", f"translate({1000 * plan.view['shift']:.1f} 0)"):
        wide = 1000 * settings.width / settings.height
        paint(sheet, rng, SETTINGS[plan.setting], plan.look.palette, wide)
    width, height = max(settings.width // 3, 8), max(settings.height // 3, 8)
    small = sheet.image(width, height).filter(ImageFilter.GaussianBlur(0.012 * height))
    return small.resize((settings.width, settings.height), Image.Resampling.BICUBIC)


def _person(plan: FacePlan, settings: FacesSettings) -> Sheet:
    """Draw the person in picture coordinates, from back to front."""
    view, head = plan.view, Head(plan)
    x = 500 * settings.width / settings.height + 1000 * view["x"]
    scale = 10 * plan.look.head_size * view["size"]
    place = f"translate({x:.2f} {1000 * view['y']:.2f}) scale({scale:.4f})"
    tilt = f"{place} rotate({view['roll']:.2f} 0 110)"  # about the neck
    sheet = Sheet()
    with sheet.group("transform", tilt):
        attire.draw_back_hair(sheet, head)
    with sheet.group("transform", f"{place} translate(0 -14) rotate({view['roll'] / 4:.2f} 0 300)"):
        attire.draw_body(sheet, head)
    with sheet.group("transform", tilt):
        draw_skin(sheet, head)
        attire.draw_beard(sheet, head)
        draw_features(sheet, head, np.array([view["gaze_right"], view["gaze_down"]]))
        attire.draw_front_hair(sheet, head)
    return sheet


def _graded(plan: FacePlan, settings: FacesSettings, image: Image.Image) -> Image.Image:
    """Give the picture its movie's light, colours and grain, and a darker rim."""
    look, view = plan.look, plan.view
    values = np.array(image, dtype=np.float32) / 255
    x = np.linspace(-1, 1, settings.width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, settings.height, dtype=np.float32)[:, None, None]
    side = 1 + 0.1 * (look.light + view["light"]) * x
    values *= view["exposure"] * side * (1 - 0.13 * (x**2 + y**2))
    tint = np.array(ImageColor.getrgb(look.shadow_tint), dtype=np.float32) / 255
    values += 0.22 * tint * (1 - np.minimum(values, 1)) ** 2
    grey = values @ np.array(LUMA, dtype=np.float32)[:, None]
    values = grey + look.saturation * (values - grey)
    rng = np.random.default_rng(derive_seed(settings.seed, f"{plan.label}/{plan.file_name}"))
    values = 0.5 + look.contrast * (values - 0.5)
    values += look.grain / 255 * rng.standard_normal(grey.shape, dtype=np.float32)
    return Image.fromarray((255 * values.clip(0, 1) + 0.5).astype(np.uint8))


def write_faces(
    settings: FacesSettings,
    folder: Path,
    processes: int = 1,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> list[Path]:
    """Draw the whole set as SFEW is laid out; the files do not depend on the number of processes.

    Returns:
        Paths `folder/label/Movie_timestamp_frame.png` in the plan's order; `progress` wraps them.

    Raises:
        ValueError: `processes` is below 1.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    plans = plan_faces(settings)
    write = partial(_write_face, settings=settings, folder=folder)
    if processes == 1:
        return list(progress(map(write, plans)))
    with ProcessPoolExecutor(processes) as pool:
        return list(progress(pool.map(write, plans, chunksize=4)))


def _write_face(plan: FacePlan, settings: FacesSettings, folder: Path) -> Path:
    """Draw and write one picture; a file under its final name is always whole."""
    path = folder / plan.label / plan.file_name
    with atomic_path(path) as unfinished:
        draw_face(plan, settings).save(unfinished, format="PNG", compress_level=1)
    return path
