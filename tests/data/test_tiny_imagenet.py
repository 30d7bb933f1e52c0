"""Tiny ImageNet's official layout, unpacked and zipped: labels of `val` come from its annotation file."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torchvision.datasets.utils as downloads

from data.pictures import colours_of, picture, write
from steadynet.data import load
from steadynet.errors import SteadyNetError

TOP = "tiny-imagenet-200"
# wnids.txt lists the classes in another order than their names'; classes are numbered by name.
WNIDS = ("n03", "n01", "n02")
NUMBER = {"n01": 0, "n02": 1, "n03": 2}
# Neither the order of the lines nor that of the file names goes with the classes.
ANNOTATIONS = [("val_2.JPEG", "n01"), ("val_0.JPEG", "n03"), ("val_3.JPEG", "n02"), ("val_1.JPEG", "n03")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    base = tmp_path / TOP
    write(base / "wnids.txt", "\n".join(WNIDS) + "\n")
    write(base / "words.txt", "n01\tone\nn02\ttwo\nn03\tthree\nn99\tunused\n")
    for wnid, label in NUMBER.items():
        write(base / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
        for number in range(4):
            image = picture(label, number, size=64, kind="JPEG")
            write(base / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", image)
    for name, wnid in ANNOTATIONS:
        write(base / "val" / "images" / name, picture(NUMBER[wnid], size=64, kind="JPEG"))
    lines = [f"{name}\t{wnid}\t0\t0\t63\t63" for name, wnid in ANNOTATIONS]
    write(base / "val" / "val_annotations.txt", "\n".join(lines) + "\n")
    write(base / "test" / "images" / "test_0.JPEG", picture(3, size=64, kind="JPEG"))
    return tmp_path


def zipped(root: Path, name: str = f"{TOP}.zip") -> Path:
    with zipfile.ZipFile(root / name, "w") as archive:
        # As in the official archive, folders have entries of their own, and files are in no order.
        for path in sorted((root / TOP).rglob("*"), key=lambda p: p.name):
            archive.write(path, path.relative_to(root).as_posix())
    shutil.rmtree(root / TOP)
    return root / name


@pytest.mark.parametrize("place", ["folder", "zip", "subset zip", "below"])
def test_train_and_val_are_read_with_their_labels(place: str, root: Path) -> None:
    if "zip" in place:
        zipped(root, f"{TOP}.zip" if place == "zip" else f"{TOP}-subset.zip")
    if place == "below":
        shutil.move(root / TOP, root / "tiny-imagenet" / TOP)
    data = load("tiny-imagenet", root=root, validation=0.25, download=False)
    assert data.shape == (3, 64, 64)
    assert data.classes == 3
    # The unlabelled test images are not used: `val` is the test set.
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 3, 4)
    for part in (data.train, data.validation, data.test):
        assert part.labels.tolist() == colours_of(part.images)
    assert data.test.labels.tolist() == [0, 2, 1, 2]
    assert data.train.augment is not None
    assert data.train.augment.padding == 8


def test_the_folder_and_the_archive_hold_the_same(root: Path) -> None:
    unpacked = load("tiny-imagenet", root=root)
    zipped(root)
    archived = load("tiny-imagenet", root=root)
    for part in ("train", "validation", "test"):
        assert getattr(unpacked, part).checksum == getattr(archived, part).checksum


def test_another_size_is_decoded_to(root: Path) -> None:
    data = load("tiny-imagenet", root=root, size=16)
    assert data.shape == (3, 16, 16)
    assert data.test.labels.tolist() == colours_of(data.test.images)


def remove(path: str) -> dict[str, str | None]:
    return {path: None}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (remove("wnids.txt"), "wnids.txt is missing or broken .*unpack the official archive whole"),
        (remove("val/val_annotations.txt"), "val_annotations.txt is missing or broken"),
        (remove("val/images/val_3.JPEG"), "val/images/val_3.JPEG is missing or broken"),
        (remove("train/n02"), r"no training image of 1 of its 3 classes \(n02"),
        (remove("train"), "no training image of 3 of its 3 classes"),
        ({"val/val_annotations.txt": ""}, "val_annotations.txt is empty"),
        (
            {"val/val_annotations.txt": "val_0.JPEG\tn77\t0\n"},
            "val names class 'n77', which .*wnids.txt does not",
        ),
        ({"val/val_annotations.txt": "val_0.JPEG n01\n"}, "val names class ''"),
        ({"train/n77/images/n77_0.JPEG": "x"}, "n77_0.JPEG names class 'n77'"),
        ({"train/n01/images/n01_2.JPEG": "broken"}, "train/n01/images/n01_2.JPEG is no readable image"),
        ({"val/images/val_1.JPEG": ""}, "val/images/val_1.JPEG is no readable image"),
    ],
)
def test_a_missing_or_broken_part_is_named(
    changes: dict[str, str | None], message: str, packed: bool, root: Path
) -> None:
    for name, content in changes.items():
        path = root / TOP / name
        if content is not None:
            write(path, content)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if packed:
        zipped(root)
    with pytest.raises(SteadyNetError, match=message):
        load("tiny-imagenet", root=root, download=False)


def test_a_broken_archive_is_named(root: Path) -> None:
    path = zipped(root)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SteadyNetError, match=f"{path} is no readable archive .*: delete it and fetch http"):
        load("tiny-imagenet", root=root)
    # One flipped bit inside an image: the archive's own checksum tells.
    place = whole.index(picture(NUMBER["n03"], size=64, kind="JPEG")[20:60])
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(SteadyNetError, match=r"\.JPEG is missing or broken \(Bad CRC-32"):
        load("tiny-imagenet", root=root)


def test_without_it_and_without_network_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(downloads, "download_url", fail)
    advice = (
        r"fetch http://cs231n\.stanford\.edu/tiny-imagenet-200\.zip where there is a network.*--data-root"
    )
    with pytest.raises(SteadyNetError, match=rf"is not under {tmp_path} .*zip\): {advice}"):
        load("tiny-imagenet", root=tmp_path, download=False)
    with pytest.raises(SteadyNetError, match=rf"and cannot be downloaded \(OSError\): {advice}"):
        load("tiny-imagenet", root=tmp_path)


def test_it_is_downloaded_once_where_it_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(root)
    calls: list[tuple[str, str | None]] = []

    def fetch(url: str, folder: str, filename: str | None = None, md5: str | None = None) -> None:
        calls.append((url, md5))
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(packed, Path(folder) / packed.name)

    monkeypatch.setattr(downloads, "download_url", fetch)
    for _ in range(2):
        assert len(load("tiny-imagenet", root=root / "fresh").test) == 4
    ((url, md5),) = calls
    assert url.endswith("tiny-imagenet-200.zip")
    assert md5 == "90528d7ca1a48142e341f4ef8d21d0de"
