"""Sound: WAV files read and written, with torchaudio's signatures."""

from __future__ import annotations

from tensorlab.audio.files import AudioMetaData, info, load, save

__all__ = ["AudioMetaData", "info", "load", "save"]
