"""The file that `tandem resend` is told to send: what it may be."""

import os
from pathlib import Path

import pytest

from services.ops.resend import ResendSettings, read
from tandem.errors import SettingsError
from tandem.settings.source import read_settings


@pytest.mark.timeout(10)
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(SettingsError, match="It is no file"):
            read(path)


@pytest.mark.usefixtures("clean_environment")
def test_a_link_stands_for_its_file_so_that_both_are_held_by_one_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    assert read_settings(ResendSettings, [str(tmp_path / "link")]).file == tmp_path / "file"
    with pytest.raises(SettingsError, match="symbolic links"):
        read(read_settings(ResendSettings, [str(tmp_path / "loop")]).file)
