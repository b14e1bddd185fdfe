"""Downloads from a real server that breaks off, lies and fails: the file is right, or not there."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import socket
import stat
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from tensorlab.vision.datasets import _download, utils
from tensorlab.vision.datasets.utils import (
    DownloadError,
    download_and_extract_archive,
    download_url,
    extract_archive,
)

download = _download.download


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def data(rng):
    return rng.integers(0, 256, 1_000_000, np.uint8).tobytes()


def test_a_file(server, data, tmp_path, capsys):
    server.files["data.bin"] = data
    path = tmp_path / "new" / "data.bin"
    download([f"{server.url}/data.bin"], path, md5=md5(data))
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["data.bin"]
    said = capsys.readouterr().err
    assert said.startswith("Downloading data.bin from 127.0.0.1:")
    assert "data.bin: 100% of 1.0 MB" in said


def test_download_url_asks_only_for_what_is_missing(server, data, tmp_path):
    server.files["data.bin"] = data
    for _ in range(2):
        download_url(f"{server.url}/data.bin", tmp_path, md5=md5(data))
    assert len(server.seen) == 1
    (tmp_path / "data.bin").write_bytes(b"something else")
    download_url(f"{server.url}/data.bin", tmp_path, md5=md5(data))
    assert (tmp_path / "data.bin").read_bytes() == data


@pytest.mark.parametrize("checked", [True, False])
def test_a_broken_connection_goes_on_where_it_ended(server, data, tmp_path, checked):
    server.files["x"] = data
    server.cut_after = [300_000, 0, 1, 500_000]
    download(
        [f"{server.url}/x"], tmp_path / "x", md5=md5(data) if checked else None, progress=False
    )
    assert (tmp_path / "x").read_bytes() == data
    ranges = [wanted for _, wanted in server.seen]
    assert ranges == [None, *(f"bytes={n}-" for n in (300_000, 300_000, 300_001, 800_001))]


def test_a_later_call_goes_on_if_the_checksum_is_known(server, data, tmp_path):
    server.files["x"] = data
    (tmp_path / "x.part").write_bytes(data[:400_000])
    download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert server.seen == [("x", "bytes=400000-")]
    assert (tmp_path / "x").read_bytes() == data

    (tmp_path / "x.part").write_bytes(data)  # all there, only the name was missing
    server.seen.clear()
    download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert server.seen == [("x", "bytes=1000000-")]
    assert (tmp_path / "x").read_bytes() == data


def test_a_server_that_sends_another_part(server, data, tmp_path):
    server.files["x"] = data
    (tmp_path / "x.part").write_bytes(data[:400_000])
    server.content_range = "bytes 300000-999999/1000000"
    download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert [wanted for _, wanted in server.seen] == ["bytes=400000-", None]
    assert (tmp_path / "x").read_bytes() == data

    (tmp_path / "x.part").write_bytes(data[:400_000])
    server.content_range = "bytes 400000-900000/900001"
    with pytest.raises(DownloadError, match="the server sent 1000000 bytes of 900001"):
        download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)


def test_a_later_call_starts_again_without_a_checksum(server, data, tmp_path):
    server.files["x"] = data
    (tmp_path / "x.part").write_bytes(b"of another version")
    download([f"{server.url}/x"], tmp_path / "x", progress=False)
    assert server.seen == [("x", None)]
    assert (tmp_path / "x").read_bytes() == data


@pytest.mark.parametrize("old", [b"of another version", b"x" * 2_000_000])
def test_the_beginning_of_another_version_is_given_up(server, data, tmp_path, old):
    server.files["x"] = data
    (tmp_path / "x.part").write_bytes(old)
    download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert (tmp_path / "x").read_bytes() == data


def test_a_file_that_changes_while_it_is_loaded(server, data, tmp_path, monkeypatch):
    """The server's new version is not appended to the beginning of the old one."""
    server.files["x"] = data
    server.cut_after = [300_000]
    changed = data[::-1]

    def change(seconds):
        server.files["x"], server.etag = changed, '"2"'

    monkeypatch.setattr(_download.time, "sleep", change)
    download([f"{server.url}/x"], tmp_path / "x", progress=False)
    assert (tmp_path / "x").read_bytes() == changed


def test_a_server_without_ranges(server, data, tmp_path):
    server.files["x"] = data
    server.ranges = False
    server.cut_after = [300_000, 200_000]
    download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert (tmp_path / "x").read_bytes() == data


def test_mirrors(server, data, tmp_path):
    server.files.update({"wrong/x": data[:-1] + b"?", "good/x": data})
    places = [f"{server.url}/{name}/x" for name in ("missing", "wrong", "good")]
    download(places, tmp_path / "x", md5=md5(data), progress=False)
    assert (tmp_path / "x").read_bytes() == data
    assert os.listdir(tmp_path) == ["x"]


def test_a_mirror_goes_on_where_another_ended(server, data, tmp_path):
    server.files.update({"a/x": data, "b/x": data})
    server.cut_after = [600_000, 0, 0, 0, 0]
    download([f"{server.url}/{n}/x" for n in "ab"], tmp_path / "x", md5=md5(data), progress=False)
    assert (tmp_path / "x").read_bytes() == data
    assert server.seen[-1] == ("b/x", "bytes=600000-")


def test_wrong_bytes_leave_nothing(server, data, tmp_path):
    server.files["x"] = data
    with pytest.raises(DownloadError, match="its md5 is .*, expected 0{32}"):
        download_url(f"{server.url}/x", tmp_path, md5="0" * 32)
    with pytest.raises(DownloadError, match="its sha256 is [0-9a-f]{8}, expected 01234567"):
        download([f"{server.url}/x"], tmp_path / "x", sha256="01234567")
    assert os.listdir(tmp_path) == []
    download([f"{server.url}/x"], tmp_path / "x", sha256=hashlib.sha256(data).hexdigest()[:8])


def test_not_found_and_failing_servers(server, data, tmp_path):
    with pytest.raises(RuntimeError, match="x could not be downloaded:\n.*404 Not Found"):
        download_url(f"{server.url}/x", tmp_path)
    assert len(server.seen) == 1
    server.files["x"] = data
    server.failures = [503, 500]
    download([f"{server.url}/x"], tmp_path / "x", progress=False)
    assert (tmp_path / "x").read_bytes() == data
    server.failures = [503] * 4
    with pytest.raises(DownloadError, match="the server answers 503 Service Unavailable"):
        download([f"{server.url}/x"], tmp_path / "y", progress=False)
    assert os.listdir(tmp_path) == ["x"]


def test_a_connection_that_breaks_too_often(server, data, tmp_path):
    server.files["x"] = data
    server.cut_after = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="the connection broke after 1000 of 1000000 bytes"):
        download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
    assert os.listdir(tmp_path) == ["x.part"]
    assert not utils.check_integrity(tmp_path / "x")


def test_offline(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="the server can't be reached"):
        download_url(f"http://127.0.0.1:{port}/x", tmp_path)

    def no_names(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(DownloadError, match="is this computer online"):
        download_url("https://example.com/x", tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "http://127.0.0.1.example.com/x", "ftp://127.0.0.1/x",
        "file:///etc/passwd", "http://0177.0.0.1/x", "x",
    ],
)  # fmt: skip
def test_only_https(url, tmp_path, server):
    with pytest.raises(ValueError, match="only https is downloaded"):
        download_url(url, tmp_path, "x")
    server.redirects["x"] = url
    why = "it sends on to an unsafe address" if url.startswith(("http:", "ftp:")) else None
    with pytest.raises(DownloadError, match=why):
        download_url(f"{server.url}/x", tmp_path)
    assert os.listdir(tmp_path) == []


def test_redirects(server, data, tmp_path):
    server.files["there"] = data
    server.redirects["x"] = f"{server.url}/there"
    download_url(f"{server.url}/x", tmp_path)
    assert (tmp_path / "x").read_bytes() == data


def test_a_full_disk_is_said_before_and_during(server, data, tmp_path, monkeypatch):
    server.files["x"] = data
    with monkeypatch.context() as patch:
        patch.setattr(_download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 9}))
        with pytest.raises(OSError, match="1000000 bytes are to come and 9 are free") as error:
            download_url(f"{server.url}/x", tmp_path, md5=md5(data))
        assert error.value.errno == errno.ENOSPC

    class Full(io.FileIO):
        def write(self, data, /):
            if self.tell() >= 262_144:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def open_full(name, mode):
        return Full(name, "a+")

    monkeypatch.setattr(_download, "open", open_full, raising=False)
    with pytest.raises(OSError, match="make room and start the download again"):
        download_url(f"{server.url}/x", tmp_path, md5=md5(data))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.part"]
    download_url(f"{server.url}/x", tmp_path, md5=md5(data))
    assert server.seen[-1][1] is not None
    assert (tmp_path / "x").read_bytes() == data


def test_two_at_once_do_not_disturb_each_other(server, data, tmp_path):
    server.files["x"] = data
    with _download._alone(str(tmp_path / "x.part")):
        download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
        assert (tmp_path / "x").read_bytes() == data
        server.cut_after = [1000, 0, 0, 0, 0]
        with pytest.raises(DownloadError):
            download([f"{server.url}/x"], tmp_path / "y", md5=md5(data), progress=False)
        with _download._alone(str(tmp_path / "y.part")), pytest.raises(DownloadError):
            download([f"{server.url}/z"], tmp_path / "y", md5=md5(data), progress=False)
        assert sorted(os.listdir(tmp_path)) == ["x", "x.part", "y.part"]


def test_many_at_once(server, data, tmp_path):
    server.files["x"] = data
    server.cut_after = [100_000] * 6
    failures = []

    def load():
        try:
            download([f"{server.url}/x"], tmp_path / "x", md5=md5(data), progress=False)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (tmp_path / "x").read_bytes() == data
    assert os.listdir(tmp_path) == ["x"]


# Archives -------------------------------------------------------------------------------------

FILES = {"a.txt": b"a", "folder/b.txt": b"b" * 5000}


def tar(mode, extra=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info, io.BytesIO(b"!" * info.size))
    return out.getvalue()


def packed_zip(extra=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        for name in extra:
            archive.writestr(name, b"!")
    return out.getvalue()


def found(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.tar", lambda: tar("w")),
        ("x.tar.gz", lambda: tar("w:gz")),
        ("x.TGZ", lambda: tar("w:gz")),
        ("x.tar.bz2", lambda: tar("w:bz2")),
        ("x.tar.xz", lambda: tar("w:xz")),
        ("x.zip", packed_zip),
    ],
)
def test_archives(name, make, tmp_path):
    data = make()
    (tmp_path / name).write_bytes(data)
    into = tmp_path / "into"
    (into / "folder").mkdir(parents=True)
    (into / "folder" / "b.txt").write_bytes(b"old")
    assert extract_archive(tmp_path / name, into, remove_finished=True) == str(into)
    assert found(into) == FILES
    assert not (tmp_path / name).exists()

    for broken in (data[: len(data) // 2], b"", b"no archive at all" * 100):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(ValueError, match="is damaged or incomplete"):
            extract_archive(tmp_path / name, tmp_path / "other")
        assert found(tmp_path / "other") == {}


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_single_files(ending, pack, tmp_path):
    content = os.urandom(20_000)
    path = tmp_path / f"x{ending}"
    path.write_bytes(pack(content))
    assert extract_archive(path) == str(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == content
    path.write_bytes(pack(content)[:-5000])
    with pytest.raises(ValueError, match="is damaged or incomplete"):
        extract_archive(path, tmp_path / "y")
    assert sorted(os.listdir(tmp_path)) == ["x", path.name]


def link(target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "evil",
    [
        tarfile.TarInfo("../evil"),
        tarfile.TarInfo("folder/../../evil"),
        link("/etc/passwd"),
        link("../../evil"),
        link("../evil", tarfile.LNKTYPE),
    ],
)
def test_a_tar_that_leads_out_of_the_folder(evil, tmp_path):
    (tmp_path / "x.tar").write_bytes(tar("w", [evil]))
    with pytest.raises(ValueError, match="it is not safe"):
        extract_archive(tmp_path / "x.tar", tmp_path / "into")
    assert found(tmp_path / "into") == {}
    assert sorted(os.listdir(tmp_path)) == ["into", "x.tar"]


@pytest.mark.parametrize("evil", ["../evil", "folder/../../evil", "/evil", "C:/evil", "..\\evil"])
def test_a_zip_that_leads_out_of_the_folder(evil, tmp_path):
    (tmp_path / "x.zip").write_bytes(packed_zip([evil]))
    with pytest.raises(ValueError, match="it is not safe"):
        extract_archive(tmp_path / "x.zip", tmp_path / "into")
    assert found(tmp_path / "into") == {}


def test_a_zip_with_a_link(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "x.zip").write_bytes(packed_zip([entry]))
    with pytest.raises(ValueError, match="'link' is a link"):
        extract_archive(tmp_path / "x.zip", tmp_path / "into")


def test_unknown_archives(tmp_path):
    with pytest.raises(RuntimeError, match="Unknown compression or archive type of 'x.rar'"):
        extract_archive(tmp_path / "x.rar")


def test_download_and_extract(server, tmp_path):
    server.files["x.tar.gz"] = data = tar("w:gz")
    download_and_extract_archive(
        f"{server.url}/x.tar.gz", tmp_path / "packed", tmp_path / "into", md5=md5(data)
    )
    assert found(tmp_path / "into") == FILES
    assert os.listdir(tmp_path / "packed") == ["x.tar.gz"]


def test_small_helpers(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert utils.calculate_md5(tmp_path / "a.txt") == md5(b"abc")
    assert utils.check_md5(tmp_path / "a.txt", md5(b"abc").upper())
    assert not utils.check_integrity(tmp_path / "a.txt", "0" * 32)
    assert utils.list_dir(tmp_path) == ["folder"]
    assert utils.list_files(tmp_path, ".txt", prefix=True) == [str(tmp_path / "a.txt")]
    with pytest.raises(ValueError, match="Unknown value 'x' for argument split. Valid values are"):
        utils.verify_str_arg("x", "split", ["a"])
    with pytest.raises(ValueError, match="Expected type str for argument split, but got type int"):
        utils.verify_str_arg(1, "split", ["a"])  # type: ignore[arg-type]
