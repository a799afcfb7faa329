"""Headless Chromium with a fake microphone, and what is said into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Browser, Page, async_playwright
from speech import RATE, say

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: .ci/install-browser installs it")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


@asynccontextmanager
async def chromium(
    microphone: Path | None = None, *, refuse: bool = False, absent: bool = False
) -> AsyncIterator[Browser]:
    """A browser.

    Args:
        microphone: What is said into it, once; Chromium's beeps if none is given.
        refuse: Whether the microphone is refused.
        absent: Whether there is none, not even the machine's own.
    """
    flags = [*FLAGS]
    flags.append("--deny-permission-prompts" if refuse else "--use-fake-ui-for-media-stream")
    if not absent:
        flags.append("--use-fake-device-for-media-stream")
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    unheard = {"PULSE_SERVER": "none", "PIPEWIRE_REMOTE": "none", "ALSA_CONFIG_PATH": os.devnull} if absent else {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags, env={**os.environ, **unheard})
        try:
            yield browser
        finally:
            await browser.close()


async def start_talking(page: Page) -> None:
    """Press the microphone and wait until the call is up."""
    await page.get_by_role("button", name="Start talking").click()
    await page.wait_for_selector('body[data-phase="talking"]')


def record(path: Path, *parts: str | float) -> Path:
    """Write what a caller says into the microphone.

    Args:
        path: The WAV to write, 16 kHz mono.
        parts: Sentences, and seconds of silence.
    """
    pieces = [say(part) if isinstance(part, str) else np.zeros(round(part * RATE), np.float32) for part in parts]
    soundfile.write(path, np.concatenate(pieces), RATE)
    return path
