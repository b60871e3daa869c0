from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import stat
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_driver.local.image_store.config import BadImageError, ImageConfig
from fargate_driver.local.image_store.store import Store
from fargate_driver.local.image_store.unpack import Unpacker
from local_images.archive_makers import MACHINE, OciLayout, archive, entry

ROOT = os.geteuid() == 0


def imported(store: Store, path: Path, name: str = "a") -> Path:
    """Import; return the root file system."""
    held = store.hold(store.add(name, path).name)
    assert held
    held.close()
    return held.root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_tar_in_any_compression(pack: object, store: Store, tmp_path: Path) -> None:
    data = archive(
        entry("./", type=tarfile.DIRTYPE, mode=0o711),
        (entry("./bin/tool", mode=0o4755), b"tool"),
        entry("/bin/hard", type=tarfile.LNKTYPE, linkname="./bin/tool"),
        entry("bin/soft", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        entry("run/pipe", type=tarfile.FIFOTYPE),
        (entry("home/file", uid=1000, gid=1001, mode=0o600, mtime=1_000_000_000), b"mine"),
    )
    path = tmp_path / "a.tar"
    path.write_bytes(pack(data))  # type: ignore[operator]
    root = imported(store, path)
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    tool = (root / "bin/tool").stat()
    assert (tool.st_nlink, tool.st_ino) == (2, (root / "bin/hard").stat().st_ino)
    assert (root / "bin/soft").readlink() == Path("/etc/passwd")
    assert not (root / "dev").exists()
    assert (root / "run/pipe").is_fifo()
    mine = (root / "home/file").stat()
    assert mine.st_mtime == 1_000_000_000
    if ROOT:
        assert stat.S_IMODE(tool.st_mode) == 0o4755
        assert (mine.st_uid, mine.st_gid) == (1000, 1001)
    assert [image.size for image in store.images()] == [8]


def test_a_folder_is_copied_as_it_is(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/file").write_text("text")
    (folder / "etc/link").symlink_to("file")
    (folder / "hard").hardlink_to(folder / "etc/file")
    (folder / "etc").chmod(0o750)
    root = imported(store, folder)
    assert stat.S_IMODE((root / "etc").stat().st_mode) == 0o750
    assert (root / "etc/link").read_text() == "text"
    assert (root / "hard").stat().st_nlink == 2
    (folder / "etc/file").write_text("other")
    assert (root / "hard").read_text() == "text"


def test_layers_with_whiteouts(store: Store, tmp_path: Path) -> None:
    layout = OciLayout(tmp_path / "layout")
    lower = archive(
        ("etc/removed", "x"),
        ("etc/kept", "x"),
        ("var/old/deep/file", "x"),
        ("becomes-directory", "x"),
        ("becomes-file/x", "x"),
        ("usr/lib/a", "x"),
        entry("lib", type=tarfile.SYMTYPE, linkname="/usr/lib"),
    )
    upper = archive(
        ("etc/.wh.removed", ""),
        ("etc/.wh.never-there", ""),
        ("no/such/.wh.directory", ""),
        ("var/new", "y"),
        ("var/.wh..wh..opq", ""),
        entry("becomes-directory", type=tarfile.DIRTYPE),
        ("becomes-directory/y", "y"),
        ("becomes-file", "y"),
        ("lib/b", "y"),
        (".wh..wh.plnk", ""),
    )
    layout.index(
        layout.image(
            gzip.compress(lower),
            upper,
            Env=["PATH=/x", "A=b=c"],
            Entrypoint=["/init"],
            Cmd=None,
            User="1:2",
            WorkingDir="/w",
        )
    )
    root = imported(store, tmp_path / "layout")
    names = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    assert names == {
        *("etc/kept", "var/new", "becomes-directory/y", "becomes-file"),
        *("usr/lib/a", "usr/lib/b"),
    }
    assert (root / "lib").readlink() == Path("/usr/lib")
    (image,) = store.images()
    assert image.name == "docker.io/library/a:latest"
    assert image.config == ImageConfig(
        env=("PATH=/x", "A=b=c"), entrypoint=("/init",), user="1:2", working_directory="/w"
    )


def docker_archive(*images: tuple[str, str]) -> bytes:
    """Return what `docker save` writes for images of one file, given as (tag, text)."""
    manifest: list[dict[str, object]] = []
    files: list[tuple[str | tarfile.TarInfo, str | bytes]] = []
    for number, (tag, text) in enumerate(images):
        config = {"architecture": MACHINE, "config": {"Cmd": [tag]}}
        files += [(f"{number}.json", json.dumps(config))]
        files += [(entry(f"{number}/layer.tar"), archive(("file", text)))]
        manifest.append(
            {"Config": f"{number}.json", "RepoTags": [tag], "Layers": [f"{number}/layer.tar"]}
        )
    return archive(*files, ("manifest.json", json.dumps(manifest)))


def test_archives_of_docker_and_of_oci(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "saved.tar"
    path.write_bytes(docker_archive(("a:latest", "of a"), ("example.com/b:1", "of b")))
    root = imported(store, path, "example.com/b:1")
    assert [file.name for file in root.parent.rglob("*")] == ["root", "file"]
    assert (root / "file").read_text() == "of b"
    with pytest.raises(BadImageError, match="it holds 2 images, none or several by the name"):
        store.add("c", path)

    layout = OciLayout(tmp_path / "layout")
    own = layout.image(archive(("file", "mine")))
    other = layout.image(archive(("file", "not mine")), machine="s390x")
    nested = layout.blob({"manifests": [own, other]})
    layout.index({**nested, "mediaType": "application/vnd.oci.image.index.v1+json"})
    subprocess.run(
        ["tar", "-czf", str(tmp_path / "oci.tgz"), "-C", str(layout.directory), "."], check=True
    )
    assert (imported(store, tmp_path / "oci.tgz") / "file").read_text() == "mine"
    layout.index(other)
    with pytest.raises(BadImageError, match=f"holds 0 images for {MACHINE}"):
        store.add("a", layout.directory)
    two = [layout.image(archive(("file", text))) for text in ("first", "second")]
    tags = ("a:1", "2")
    layout.index(
        *(
            {**image, "annotations": {"org.opencontainers.image.ref.name": tag}}
            for image, tag in zip(two, tags, strict=True)
        )
    )
    assert (imported(store, layout.directory, "a:1") / "file").read_text() == "first"
    assert (imported(store, layout.directory, "a:2") / "file").read_text() == "second"
    assert [image.name.rpartition("/")[2] for image in store.images()] == [
        *("a:1", "a:2", "a:latest", "b:1")
    ]


def test_damage_and_links_in_a_layout(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    layout = OciLayout(tmp_path / "layout")
    image = layout.image(archive(("file", "x")))
    layout.index(image)
    blobs = layout.directory / "blobs/sha256"
    manifest = blobs / image["digest"].partition(":")[2]
    good = manifest.read_bytes()
    manifest.write_bytes(good + b" ")
    with pytest.raises(BadImageError, match="another digest"):
        store.add("a", layout.directory)
    manifest.unlink()
    manifest.symlink_to(secret)
    with pytest.raises(BadImageError, match="can't be read"):
        store.add("a", layout.directory)
    for text in ("[]", "{}", '{"manifests": [{"digest": "sha256:../../x"}]}', "nonsense", "[" * 99):
        (layout.directory / "index.json").write_text(text)
        with pytest.raises(BadImageError):
            store.add("a", layout.directory)
    assert store.images() == []
    assert not list((tmp_path / "images" / "contents").iterdir())


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (entry("../x", type=tarfile.DIRTYPE), "leads out of the image"),
        (entry("a/../../x"), "leads out of the image"),
        (entry("x", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), "leads out of the image"),
        (entry("x", type=tarfile.LNKTYPE, linkname="etc/passwd"), "No such file"),
        (entry("x", type=tarfile.LNKTYPE, linkname="."), "links to no file"),
        (entry("a" * 300), "File name too long"),
        (entry("a/" * 3000 + "b"), "File name too long"),
        (entry("x", type=tarfile.SYMTYPE, linkname=""), "No such file"),
    ],
)
def test_refuses_in_one_line(bad: tarfile.TarInfo, text: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(archive(bad))
    with pytest.raises(BadImageError, match=text) as caught:
        store.add("a", path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    assert store.images() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive" * 1000, b"\x28\xb5\x2f\xfdzstd", gzip.compress(b"x", mtime=0)[:-4]],
)
def test_what_is_no_archive(content: bytes, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(BadImageError, match=r"no tar archive|reads no zstd"):
        store.add("a", path)
    path.write_bytes(archive(("file", "x" * 100_000))[:50_000])
    with pytest.raises(BadImageError, match="damaged"):
        store.add("a", path)


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "outside", ".wh.a", ".wh..wh..opq", "ü", "x" * 256]),
    min_size=1,
    max_size=5,
).map("/".join)
TYPES = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"3"]
)
ENTRIES = st.tuples(
    NAMES, TYPES, NAMES | st.just("/"), st.sampled_from([0, 0o7777]), st.sampled_from([0, 1 << 33])
)


@settings(max_examples=60)
@given(st.lists(ENTRIES, max_size=8), st.booleans())
def test_nothing_is_written_elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[str, bytes, str, int, int]],
    absolute: bool,
) -> None:
    place = tmp_path_factory.mktemp("hostile")
    outside = place / "outside"
    outside.mkdir()
    (outside / "a").write_text("untouched")
    before = (outside.stat(), (outside / "a").stat())
    root = place / "root"
    root.mkdir()
    prefix = f"{place}/" if absolute else "../"
    data = archive(
        entry("a", type=tarfile.SYMTYPE, linkname=f"{prefix}outside"),
        *(
            entry(name, type=kind, linkname=target.replace("/", prefix, 1), mode=mode, uid=uid)
            for name, kind, target, mode, uid in entries
        ),
        mode="w",
    )
    unpacker = Unpacker(root)
    try:
        unpacker.apply(io.BytesIO(data), "test")
    except BadImageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may be raised or not
    finally:
        unpacker.close()
    assert sorted(path.name for path in place.iterdir()) == ["outside", "root"]
    assert (outside / "a").read_text() == "untouched"
    assert [path.name for path in outside.iterdir()] == ["a"]
    after = (outside.stat(), (outside / "a").stat())
    for one, other in zip(before, after, strict=True):
        assert (one.st_mode, one.st_uid, one.st_ctime_ns) == (
            other.st_mode,
            other.st_uid,
            other.st_ctime_ns,
        )


@settings(max_examples=60)
@given(st.binary(max_size=2000), st.integers(0, 1500))
def test_damaged_archives_end_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, position: int
) -> None:
    data = archive(("a/b", "text"), entry("c" * 150, type=tarfile.DIRTYPE))
    data = data[:position] + noise + data[position + len(noise) :]
    unpacker = Unpacker(tmp_path_factory.mktemp("damaged"))
    try:
        unpacker.apply(io.BytesIO(data), "test")
    except BadImageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may be raised or not
    finally:
        unpacker.close()


def test_replaced_and_removed_only_when_nobody_uses_it(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive(("file", "first")))
    name = store.add("a:1", path).name
    held = store.hold(name)
    assert held
    path.write_bytes(archive(("file", "second")))
    store.add("docker.io/library/a:1", path)
    assert (held.root / "file").read_text() == "first"
    held.close()
    store.add("b", path)
    contents = tmp_path / "images" / "contents"
    assert len(list(contents.iterdir())) == 2
    assert not held.root.exists()
    path.write_bytes(b"nonsense")
    with pytest.raises(BadImageError):
        store.add("a:1", path)
    again = store.hold(name)
    assert again
    assert (again.root / "file").read_text() == "second"
    again.close()
    assert store.hold("docker.io/library/c:1") is None
    assert stat.S_IMODE((tmp_path / "images").stat().st_mode) == 0o700


def test_many_imports_at_once(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive(*((f"file{n}", "x" * 100) for n in range(50))))
    problems: list[str] = []

    def use() -> None:
        for _ in range(8):
            store.add("a", path)
            held = store.hold("docker.io/library/a:latest")
            if held is None or len(list(held.root.iterdir())) != 50:
                problems.append("half an image")
            if held:
                held.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(list((tmp_path / "images" / "contents").iterdir())) <= 2


def test_refuses_a_folder_around_the_store(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match="holds the image store itself"):
        Store(tmp_path / "images").add("a", tmp_path)
