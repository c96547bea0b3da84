"""From a plan to pixels and to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from neuron_pruning.core.files import atomic_path
from neuron_pruning.data.drawn_faces.body import draw_body
from neuron_pruning.data.drawn_faces.features import (
    draw_brow,
    draw_eye,
    draw_lines,
    draw_mouth,
    draw_nose,
)
from neuron_pruning.data.drawn_faces.hair import (
    draw_back_hair,
    draw_beard,
    draw_front_hair,
    draw_glasses,
)
from neuron_pruning.data.drawn_faces.head import (
    Head,
    draw_ears,
    draw_freckles,
    draw_neck,
    draw_skin,
    outline,
    skin_tones,
)
from neuron_pruning.data.drawn_faces.planning import FacePlan, FacesSettings, dice, plan_faces
from neuron_pruning.data.drawn_faces.scenes import paint_companions, paint_occlusion, paint_setting
from neuron_pruning.data.drawn_faces.svg import Sheet, channels, mix, turn

BACKDROP_SCALE = 3
"""Backdrops are out of focus, so a third of the resolution is enough for them."""
NECK = (0.0, 110.0)
"""The point in head coordinates that the head tilts about."""
SHRUG = 14.0
"""How far the shoulders are raised towards the head, in head units, for a shorter neck."""


def _blurred(sheet: Sheet, settings: FacesSettings, sigma: float) -> Image.Image:
    """Rasterise a sheet coarsely and blur it by `sigma` picture heights; RGBA, full size."""
    size = settings.width, settings.height
    width, height = (max(n // BACKDROP_SCALE, 8) for n in size)
    small = sheet.image(width, height)
    small = small.convert("RGBa").filter(ImageFilter.GaussianBlur(sigma * height))
    return small.resize(size, Image.Resampling.BICUBIC).convert("RGBA")


def _backdrop(plan: FacePlan, settings: FacesSettings) -> Image.Image:
    """Draw the setting and the people in it, out of focus."""
    sheet, wide = Sheet(), 1000 * settings.width / settings.height
    shot, seed = plan.shot, settings.seed
    rng = dice(seed, plan.movie, "setting", shot.setting)
    paint_setting(sheet, rng, plan.look, shot.setting, shot.shift, wide)
    rng = dice(seed, plan.movie, plan.timestamp, "companions")
    paint_companions(sheet, rng, plan.look, wide, shot.companions)
    return _blurred(sheet, settings, 0.011)


def _draw_head(sheet: Sheet, head: Head, gaze: tuple[float, float]) -> None:
    """Draw the head from back to front; in head coordinates."""
    draw_ears(sheet, head)
    draw_skin(sheet, head)
    if head.person.freckles:
        draw_freckles(sheet, head)
    draw_beard(sheet, head)
    draw_lines(sheet, head)
    draw_mouth(sheet, head)
    for side in (-1, 1):
        draw_eye(sheet, head, side, gaze)
    draw_nose(sheet, head)
    for side in (-1, 1):
        draw_brow(sheet, head, side)
    draw_glasses(sheet, head)
    draw_front_hair(sheet, head)


def _draw_hand(sheet: Sheet, head: Head, side: int) -> None:
    """Draw a loose hand that holds the cheek: four fingers and a sleeve."""
    tones = head.tones
    wrist = (side * 128.0, 250.0)
    sheet.line(
        [(side * 190, 420), (side * 160, 330), wrist], turn(head.person.cloth_colour, 0, 0.8), 84
    )
    sheet.line([wrist, (side * 104, 170), (side * 92, 120)], tones.shade, 50)
    for k, (x, y) in enumerate(((98, 18), (84, 26), (70, 46), (58, 76))):
        base = (side * (112 - 11 * k), 118 + 13 * k)
        bend = (side * (108 - 9 * k + 2), 70 + 14 * k)
        finger = [base, bend, (side * x, y)]
        sheet.line(finger, tones.deep, 22.5, 0.55)
        sheet.line(finger, mix(tones.base, tones.shade, 0.15 + 0.1 * k), 19)
        sheet.line([(px - 4, py - 2) for px, py in finger], tones.light, 4, 0.3)
        sheet.ellipse((side * x, y - 2), 5, 6.5, mix(tones.light, tones.blush, 0.25), opacity=0.8)


def _person_sheet(plan: FacePlan, settings: FacesSettings) -> Sheet:
    """Draw the person in picture coordinates."""
    pose, tones = plan.pose, skin_tones(plan.person, plan.look)
    head = Head(plan.person, plan.units, pose.yaw, pose.pitch, plan.shot.light, tones)
    x = 500 * settings.width / settings.height + 1000 * pose.x
    place = f"translate({x:.2f} {1000 * pose.y:.2f}) scale({10 * pose.size:.4f})"
    tilt = f"{place} rotate({pose.roll:.2f} {NECK[0]} {NECK[1]})"
    lean = f"{place} translate(0 {-SHRUG}) rotate({0.25 * pose.roll:.2f} 0 300)"
    sheet = Sheet()
    with sheet.group(transform=tilt):
        draw_back_hair(sheet, head)
    with sheet.group(transform=lean):
        chin = outline(head)[9]
        draw_neck(sheet, head, (chin[0], chin[1] + SHRUG))
        draw_body(sheet, head)
    with sheet.group(transform=tilt):
        _draw_head(sheet, head, pose.gaze)
        if plan.shot.occlusion == "hand":
            _draw_hand(sheet, head, 1 if head.light < 0 else -1)
    return sheet


def _light_field(plan: FacePlan, width: int, height: int) -> np.ndarray:
    """Return factors on brightness, (height, width, 1): a side light and a darker rim."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    side = 1 + 0.1 * plan.shot.light * x
    rim = 1 - 0.13 * (x**2 + y**2)
    return (side * rim * plan.shot.exposure * 1.05)[..., None]


def _grade(plan: FacePlan, settings: FacesSettings, image: Image.Image) -> Image.Image:
    """Give the picture its movie's light, colours, grain and bars."""
    look = plan.look
    if plan.shot.defocus > 0:
        image = image.filter(ImageFilter.GaussianBlur(plan.shot.defocus * settings.height))
    values = np.array(image, dtype=np.float32)
    values /= 255
    values *= _light_field(plan, settings.width, settings.height)
    grey = values @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    grey = grey[..., None]
    values *= look.saturation
    values += (1 - look.saturation) * grey
    tint = np.array(channels(look.shadow_tint), dtype=np.float32) / 255
    if look.saturation == 0:
        tint = np.full(3, tint.mean(), dtype=np.float32)
    values += 0.22 * tint * (1 - np.minimum(grey, 1)) ** 2
    rng = np.random.default_rng(dice(settings.seed, plan.label, plan.file_name).getrandbits(64))
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    values *= look.contrast
    values += noise * (look.grain / 255) + 0.5 * (1 - look.contrast)
    bar = round(look.letterbox * settings.height)
    if bar:
        values[:bar] = values[-bar:] = 0.02
    np.clip(values, 0, 1, out=values)
    values *= 255
    return Image.fromarray((values + 0.5).astype(np.uint8))


def draw_face(plan: FacePlan, settings: FacesSettings) -> Image.Image:
    """Draw one picture; a pure function of its arguments.

    Args:
        plan: What to draw, from `plan_faces`.
        settings: Size of the picture and the seed; the counts play no part.

    Returns:
        RGB image of `settings.width` x `settings.height` pixels.
    """
    image = _backdrop(plan, settings)
    person = _person_sheet(plan, settings).image(settings.width, settings.height)
    image.alpha_composite(person)
    if plan.shot.occlusion not in ("none", "hand"):
        front = Sheet()
        rng = dice(settings.seed, plan.movie, plan.timestamp, "occlusion")
        wide = 1000 * settings.width / settings.height
        paint_occlusion(front, rng, plan.look, wide, plan.shot.occlusion)
        image.alpha_composite(_blurred(front, settings, 0.016))
    return _grade(plan, settings, image.convert("RGB"))


def _write_face(plan: FacePlan, settings: FacesSettings, folder: Path) -> Path:
    """Draw and write one picture; a file under its final name is always whole."""
    path = folder / plan.label / plan.file_name
    with atomic_path(path) as unfinished:
        draw_face(plan, settings).save(unfinished, format="PNG", compress_level=1)
    return path


def write_faces(
    settings: FacesSettings,
    folder: Path,
    processes: int = 1,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> list[Path]:
    """Draw the whole set into class folders, as SFEW is laid out.

    Args:
        settings: What to draw.
        folder: Where the class folders go; made if missing.
        processes: Number of worker processes; the files do not depend on it.
        progress: Wraps the stream of written paths, for example `tqdm`.

    Returns:
        Paths of the images, `folder/label/Movie_timestamp_frame.png`, in the plan's order.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    plans = plan_faces(settings)
    for label in {plan.label for plan in plans}:
        (folder / label).mkdir(parents=True, exist_ok=True)
    write = partial(_write_face, settings=settings, folder=folder)
    wrap = progress or iter
    if processes == 1:
        return list(wrap(map(write, plans)))
    with ProcessPoolExecutor(processes) as pool:
        return list(wrap(pool.map(write, plans, chunksize=4)))
