"""A folder of images, one folder a class: both layouts, the labels, the split, and what is refused."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.pictures import colours_of, picture, write
from steadynet.data import ImageSet, load
from steadynet.errors import SteadyNetError


def folder(path: Path, *, each: int = 5, classes: tuple[str, ...] = ("apple", "bear", "cat")) -> Path:
    for label, name in enumerate(classes):
        for number in range(each):
            write(path / name / f"{number}.png", picture(label, number))
    return path


def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for part, each in (("train", 6), ("test", 2)):
        folder(tmp_path / part, each=each)
    data = load(f"folder:{tmp_path}", validation=0.5)
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 9, 6)
    assert data.shape == (3, 32, 32)
    assert data.classes == 3
    for images in (data.train, data.validation, data.test):
        # Class folders are numbered in the order of their names.
        assert images.labels.tolist() == colours_of(images.images)
        assert images.images.dtype == torch.uint8


def test_val_stands_in_where_there_is_no_test(tmp_path: Path) -> None:
    folder(tmp_path / "train", each=4)
    folder(tmp_path / "val", each=1)
    assert len(load(f"folder:{tmp_path}").test) == 3
    folder(tmp_path / "test", each=2)
    assert len(load(f"folder:{tmp_path}").test) == 6


def test_pixels_come_through_at_their_own_size_and_scaled_at_another(tmp_path: Path) -> None:
    grid = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(grid).save(data, "PNG")
    for part in ("train", "test"):
        for name in ("a", "b"):
            write(tmp_path / part / name / "x.png", data.getvalue())
    exact = load(f"folder:{tmp_path}", size=8).test.images[0]
    assert torch.equal(exact, torch.from_numpy(grid).permute(2, 0, 1))
    scaled = load(f"folder:{tmp_path}", size=12).test.images[0]
    resized = np.asarray(Image.fromarray(grid).resize((12, 12), Image.Resampling.BILINEAR))
    assert torch.equal(scaled, torch.from_numpy(resized.copy()).permute(2, 0, 1))


def test_a_fifth_of_a_single_folder_is_the_test_set(tmp_path: Path) -> None:
    data = load(f"folder:{folder(tmp_path, each=10)}", validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)
    for images in (data.train, data.validation, data.test):
        assert images.labels.tolist() == colours_of(images.images)
        assert torch.bincount(images.labels).tolist() == [len(images) // 3] * 3
    parts = [
        {bytes(i.flatten().tolist()) for i in part.images}
        for part in (data.train, data.validation, data.test)
    ]
    assert len(parts[0] | parts[1] | parts[2]) == 30  # all are different, so the parts are disjoint


def test_the_test_images_are_the_same_wherever_the_folder_lies_and_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = folder(tmp_path / "here", each=20)
    shutil.copytree(here, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    spellings = [str(here), "here", "./here", "here/../here", str(tmp_path / "elsewhere")]
    options = [{}, {"seed": 4}, {"train_images": 24, "test_images": 6}]
    for option in options:
        loaded = [load(f"folder:{name}", **option) for name in spellings]
        assert len({data.test.checksum for data in loaded}) == 1
        assert len({data.train.checksum for data in loaded}) == 1
    # Trained on under one seed, an image is never a test image under another.
    assert load("folder:here", seed=1).test.checksum == load("folder:here", seed=2).test.checksum


def test_an_added_image_moves_hardly_any_other_to_the_other_side(tmp_path: Path) -> None:
    """A network that was trained before would be tested on what it learned from."""
    path = folder(tmp_path, each=20)
    before = [{bytes(i.flatten().tolist()) for i in part.images} for part in _sides(path)]
    for number in range(20, 25):
        write(path / "bear" / f"{number}.png", picture(1, number))
        train, test = ({bytes(i.flatten().tolist()) for i in part.images} for part in _sides(path))
        # The test set's share grows by one with every fifth image, which may be an old one.
        assert len(test & before[0]) <= 1
        assert len(train & before[1]) <= 1


def _sides(path: Path) -> tuple[ImageSet, ImageSet]:
    data = load(f"folder:{path}")
    whole = ImageSet(
        torch.cat([data.train.images, data.validation.images]),
        torch.cat([data.train.labels, data.validation.labels]),
        data.classes,
        data.train.mean,
        data.train.std,
    )
    return whole, data.test


def test_hidden_copies_of_images_are_none(tmp_path: Path) -> None:
    """Editors and file managers leave copies, which might be tested on after their originals were trained on."""
    clean = load(f"folder:{folder(tmp_path / 'set', each=10)}")
    write(tmp_path / "set" / "bear" / ".ipynb_checkpoints" / "0-checkpoint.png", picture(1))
    write(tmp_path / "set" / "cat" / "._0.png", "no image")
    (tmp_path / "set" / "apple" / "folder.png").mkdir()
    again = load(f"folder:{tmp_path / 'set'}")
    assert (again.train.checksum, again.test.checksum) == (clean.train.checksum, clean.test.checksum)


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(f"folder:{folder(tmp_path / 'pics')}").test) == len(load("folder:~/pics").test)


def test_other_kinds_of_images_and_deeper_folders_are_read(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / part / "a" / "deep" / "er" / "1.JPG", picture(0, kind="JPEG"))
        write(tmp_path / part / "a" / "2.bmp", picture(0, kind="BMP"))
        write(tmp_path / part / "a" / "3.webp", picture(0, kind="WEBP"))
        write(tmp_path / part / "b" / "4.gif", picture(1, kind="GIF"))
        write(tmp_path / part / "b" / "5.tiff", picture(1, kind="TIFF"))
        write(tmp_path / part / "b" / "6.ppm", picture(1, kind="PPM"))
        write(tmp_path / part / "b" / "notes.txt", "no image")
        write(tmp_path / part / ".cache" / "7.png", picture(2))
    data = load(f"folder:{tmp_path}").test
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1] == colours_of(data.images)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_images_of_other_modes_become_colour(mode: str, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(data, "TIFF")
    for part in ("train", "test"):
        for name in ("a", "b"):
            write(tmp_path / part / name / "x.tiff", data.getvalue())
    assert load(f"folder:{tmp_path}").test.images.unique().tolist() == [255]


@pytest.mark.parametrize(("dtype", "mode"), [(np.uint16, "I;16"), (np.int32, "I"), (np.float32, "F")])
def test_images_of_more_than_8_bits_are_refused_rather_than_cut_off(
    dtype: type, mode: str, tmp_path: Path
) -> None:
    data = io.BytesIO()
    Image.fromarray((np.arange(64).reshape(8, 8) * 1000).astype(dtype)).save(data, "TIFF")
    path = write(folder(tmp_path / "set") / "apple" / "deep.tiff", data.getvalue())
    with pytest.raises(SteadyNetError, match=rf"{path} has more than 8 bits a channel \(mode {mode}"):
        load(f"folder:{tmp_path / 'set'}")


def broken(kind: str) -> bytes:
    whole = picture(0, size=32)
    if kind == "cut":
        return whole[: len(whole) // 2]
    if kind == "text":
        return b"hello"
    if kind == "header":  # Pillow answers with a ValueError …
        return whole[:11] + b"\x03" + whole[12:]
    if kind == "chunk":  # … and with a SyntaxError
        place = whole.index(b"IDAT")
        return whole[:place] + b"\xc6\x08\x02\xb4" + whole[place + 4 :]
    return b""


@pytest.mark.parametrize("kind", ["cut", "text", "header", "chunk", "empty"])
def test_a_broken_image_is_named(kind: str, tmp_path: Path) -> None:
    path = write(folder(tmp_path) / "bear" / "9.png", broken(kind))
    with pytest.raises(SteadyNetError, match=f"{path} is no readable image .*: remove or replace it"):
        load(f"folder:{tmp_path}")


def test_a_huge_image_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder(tmp_path) / "bear" / "9.png", picture(0, size=32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(SteadyNetError, match=f"{path} is no readable image .*decompression bomb"):
        load(f"folder:{tmp_path}")


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match=r"image folder .*nowhere does not exist"):
        load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "bare").mkdir()
    with pytest.raises(SteadyNetError, match="bare holds no class folders with images"):
        load(f"folder:{tmp_path / 'bare'}")
    folder(tmp_path / "single", classes=("apple",))
    with pytest.raises(
        SteadyNetError, match="single has one class folder, apple: give a folder for each of two"
    ):
        load(f"folder:{tmp_path / 'single'}")
    for names in (("training", "testing"), ("test", "val"), ("Train", "Test")):
        split = tmp_path / "-".join(names)
        for name in names:
            folder(split / name)
        # On file systems that know no capitals, Train is train.
        if not (split / "train").is_dir():
            with pytest.raises(
                SteadyNetError, match=f"has a folder {sorted(names)[0]}, but none called train"
            ):
                load(f"folder:{split}")
    folder(tmp_path / "alone" / "train")
    with pytest.raises(SteadyNetError, match="has a folder train, but neither test nor val"):
        load(f"folder:{tmp_path / 'alone'}")
    folder(tmp_path / "alone" / "test", classes=("apple", "bear"))
    with pytest.raises(
        SteadyNetError, match=r"test has other class folders than .*train: give both the same"
    ):
        load(f"folder:{tmp_path / 'alone'}")


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    write(folder(tmp_path) / "dog" / "readme.txt", "none yet")
    with pytest.raises(SteadyNetError, match=r"class folder .*dog holds no image \(\.png, \.jpg"):
        load(f"folder:{tmp_path}")


def test_too_few_images_for_a_test_set_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, each=2, classes=("a", "b"))
    with pytest.raises(SteadyNetError, match="holds 4 images: a fifth of at least 5 is the test set"):
        load(f"folder:{tmp_path}")
