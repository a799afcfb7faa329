"""Moshi: what goes over its wire, piece by piece, and conversations with a scripted server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger
from loopback import tls
from loopback.pipeline import PATIENCE_SECS, Bench, bench
from loopback.scripted_moshi import (
    GREETS,
    Ends,
    Hears,
    Plays,
    Reads,
    Refuses,
    ScriptedMoshi,
    Sends,
    Talks,
    Waits,
    Writes,
    pitch,
    tone,
)
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    SpeechOutputAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from pipelines.app import fake
from pipelines.app.cli import app
from pipelines.app.fake import Echo
from processors.fused import moshi, moshi_line
from processors.fused import moshi_protocol as wire
from processors.fused.errors import WireError
from processors.fused.moshi import MoshiService
from processors.fused.ogg import MAX_PAGE_BYTES, OggReader, OggWriter, Packet
from processors.fused.opus import CHUNK, MAX_SECS, RATE, OpusDecoder, OpusEncoder
from processors.fused.pacing import Backlog, Lead
from processors.guarding.frames import UnfinishedAnswerFrame
from processors.guarding.gated_audio import GatedAudio
from processors.guarding.guarding import Guarding
from processors.pcm import Samples, to_pcm, to_samples
from tests.guarded import policy, terms

MESSAGES: list[wire.Message] = [
    wire.Handshake(0, 7),
    wire.Audio(b"OggS..."),
    wire.Text(" Hel"),
    wire.Text("lo, Zoë"),
    wire.Control(wire.Action.END_TURN),
    wire.Metadata({"lm_model_file": "moshi.gguf", "text_topk": 25}),
    wire.Failure("out of memory"),
    wire.Ping(),
]


class TestProtocol:
    @pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
    def test_what_is_encoded_is_decoded(self, message: wire.Message) -> None:
        assert wire.decode(wire.encode(message)) == message

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            pytest.param(b"\x00", wire.Handshake(), id="the Python server's handshake"),
            pytest.param(b"\x00" + bytes(8), wire.Handshake(), id="the Rust server's handshake"),
            pytest.param(b"\x01OggS", wire.Audio(b"OggS"), id="audio"),
            pytest.param(b"\x02 you", wire.Text(" you"), id="text"),
            pytest.param(b"\x03\x03", wire.Control(wire.Action.RESTART), id="control"),
            pytest.param(b"\x04{}", wire.Metadata({}), id="metadata"),
            pytest.param(b"\x05oh", wire.Failure("oh"), id="error"),
            pytest.param(b"\x06", wire.Ping(), id="ping"),
            pytest.param(b"\x07\x01red", wire.Unknown(7), id="a kind of the web client's own"),
        ],
    )
    def test_what_the_servers_send(self, data: bytes, message: wire.Message) -> None:
        assert wire.decode(data) == message

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            ("hello", "a text message"),
            (b"", "an empty message"),
            (b"\x00abc", "a handshake of 3 bytes"),
            (b"\x00" + b"\x02" + bytes(7), "version 2 of the protocol"),
            (b"\x02ab\xff", "text that is not UTF-8, from byte 2"),
            (b"\x05\xff", "an error that is not UTF-8"),
            (b"\x03", "a control message of 0 bytes"),
            (b"\x03\x09", "control 9"),
            (b"\x04{", "metadata that is not JSON"),
            (b"\x04" + b"[" * 100_000, "metadata that is not JSON"),
            (b"\x02" + b"a" * wire.MAX_TEXT_BYTES, "4,097 bytes, where 4,096 are the most"),
            (b"\x01" + b"a" * wire.MAX_MESSAGE_BYTES, "131,073 bytes, where 131,072 are the most"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: bytes | str, fault: str) -> None:
        with pytest.raises(WireError, match=fault):
            wire.decode(data)

    @settings(deadline=None)
    @given(st.binary(max_size=40))
    def test_any_bytes_are_a_message_or_an_error(self, data: bytes) -> None:
        try:
            message = wire.decode(data)
        except WireError:
            return
        if not isinstance(message, wire.Unknown | wire.Handshake | wire.Metadata | wire.Ping):
            assert wire.encode(message) == data

    def test_nothing_too_long_or_unknown_is_sent(self) -> None:
        with pytest.raises(WireError, match="131,072"):
            wire.encode(wire.Audio(bytes(wire.MAX_MESSAGE_BYTES)))
        with pytest.raises(WireError, match="kind 7"):
            wire.encode(wire.Unknown(7))

    def test_a_character_in_bytes_is_put_together(self) -> None:
        pieces = wire.Pieces()
        assert [pieces.text(piece) for piece in (" caf", "<0xC3>", "<0xA9>", ".")] == [" caf", "", "é", "."]

    def test_half_a_character_is_marked_as_lost(self) -> None:
        pieces = wire.Pieces()
        assert [pieces.text(piece) for piece in ("<0xC3>", " no")] == ["", "\N{REPLACEMENT CHARACTER} no"]

    @pytest.mark.parametrize(
        ("server", "query", "url"),
        [
            ("ws://localhost:8998", None, "ws://localhost:8998/api/chat"),
            ("https://moshi.example/", None, "wss://moshi.example/api/chat"),
            ("wss://a.example/t/api/chat?worker=2", {"seed": "1"}, "wss://a.example/t/api/chat?worker=2&seed=1"),
            (
                "ws://[::1]:1",
                {"text_prompt": "Be brief & kind."},
                "ws://[::1]:1/api/chat?text_prompt=Be+brief+%26+kind.",
            ),
        ],
    )
    def test_where_it_connects(self, server: str, query: dict[str, str] | None, url: str) -> None:
        assert wire.chat_url(server, query) == url

    @pytest.mark.parametrize("server", ["localhost:8998", "ftp://a.example", "ws://", ""])
    def test_what_is_no_address_is_refused(self, server: str) -> None:
        with pytest.raises(ValueError, match="write it as ws://localhost:8998"):
            wire.chat_url(server)


def packets(reader: OggReader, *parts: bytes) -> list[bytes]:
    return [packet.data for part in parts for packet in reader.read(part)]


class TestOgg:
    def test_ffmpeg_reads_what_is_written(self) -> None:
        with av.open(io.BytesIO(OpusEncoder().encode(to_pcm(tone(440, 1.0))))) as file:
            (stream,) = file.streams.audio
            assert (stream.codec_context.name, stream.codec_context.layout.name) == ("opus", "mono")
            assert sum(frame.samples for frame in file.decode(audio=0)) == pytest.approx(48000, abs=400)

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=700), min_size=1, max_size=8), st.data())
    def test_what_is_written_is_read_however_it_is_cut(self, written: list[bytes], data: Any) -> None:
        writer = OggWriter(serial=5)
        stream = b"".join(writer.page(packet, at) for at, packet in enumerate(written))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert packets(OggReader(), *parts) == written

    def test_packets_that_share_a_page_and_those_that_need_several(self) -> None:
        sizes = [10, 255, 700, 70_000, 3, 200_000, 20]
        file = io.BytesIO()
        with av.open(file, "w", format="ogg") as muxer:
            stream = muxer.add_stream("libopus", rate=48000, layout="mono")
            muxer.start_encoding()
            for at, size in enumerate(sizes):
                packet = av.Packet(bytes([65 + at]) * size)
                packet.stream, packet.pts, packet.dts = stream, at * 960, at * 960
                packet.time_base = stream.time_base
                muxer.mux(packet)
        read: list[bytes] = []
        with pytest.raises(WireError, match="an Ogg packet of more than 65,307 bytes"):
            read.extend(packet.data for packet in OggReader().read(file.getvalue()))
        assert read[0].startswith(b"OpusHead")
        assert read[1].startswith(b"OpusTags")
        # What is longer than two pages is not held.
        assert [len(packet) for packet in read[2:]] == [10, 255, 700, 70_000, 3, 20]

    def test_the_first_packet_of_a_stream_says_so(self) -> None:
        one, other = OggWriter(1), OggWriter(2)
        stream = one.page(b"a", 0) + one.page(b"b", 1) + other.page(b"c", 0)
        assert list(OggReader().read(stream)) == [Packet(b"a", 1, True), Packet(b"b", 1, False), Packet(b"c", 2, True)]

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=400), st.integers(0, 5), st.booleans())
    def test_after_garbage_it_goes_on_with_the_next_page(self, garbage: bytes, at: int, inside: bool) -> None:
        writer = OggWriter(1)
        pages = [writer.page(bytes([n]) * 50, n) for n in range(30)]
        # What looks like the head of a page may claim as much as a page can have.
        pages += [writer.page(bytes(60_000), 99) for _ in range(3)]
        if inside:
            pages[at] = pages[at][:20] + garbage + pages[at][20 + len(garbage) :]
        else:
            pages.insert(at, garbage)
        reader, read = OggReader(), list[bytes]()
        for page in pages:
            try:
                read += packets(reader, page)
            except WireError:
                continue
        with contextlib.suppress(WireError):
            read += packets(reader, b"")
        assert bytes(60_000) in read

    def test_a_packet_that_is_too_long_for_a_page(self) -> None:
        with pytest.raises(ValueError, match="65025 bytes"):
            OggWriter(1).page(bytes(65_025), 0)
        assert len(OggWriter(1).page(bytes(65_024), 0)) <= MAX_PAGE_BYTES


def encoded(samples: Samples, cut: int = CHUNK) -> list[bytes]:
    encoder = OpusEncoder()
    return [encoder.encode(to_pcm(samples[at : at + cut])) for at in range(0, len(samples), cut)]


class TestOpus:
    @pytest.mark.parametrize("hertz", [220.0, 1000.0, 3100.0])
    def test_a_tone_stays_a_tone(self, hertz: float) -> None:
        decoder = OpusDecoder()
        heard = to_samples(b"".join(decoder.decode(page) for page in encoded(tone(hertz, 2.0))))
        assert len(heard) / RATE == pytest.approx(2.0, abs=0.01)
        assert pitch(heard) == pytest.approx(hertz, abs=1)
        assert np.abs(heard[4800:]).max() == pytest.approx(0.1, abs=0.02)

    def test_little_is_late(self) -> None:
        click = np.zeros(RATE, np.float32)
        click[12_000:12_240] = tone(800, 0.01)
        heard = to_samples(OpusDecoder().decode(b"".join(encoded(click))))
        assert np.abs(heard[11_000:13_000]).argmax() + 11_000 == pytest.approx(12_120, abs=120)

    @pytest.mark.parametrize("cut", [1, 7, 480, 481, 1920])
    def test_how_the_sound_is_cut_changes_nothing(self, cut: int) -> None:
        sound = tone(500, 0.2)
        assert b"".join(encoded(sound, cut)) == b"".join(encoded(sound))

    @pytest.mark.parametrize("cut", [1, 13, 100, 5000])
    def test_how_the_bytes_are_cut_changes_nothing(self, cut: int) -> None:
        stream = b"".join(encoded(tone(500, 0.2)))
        decoder = OpusDecoder()
        parts = [decoder.decode(stream[at : at + cut]) for at in range(0, len(stream), cut)]
        assert b"".join(parts) == OpusDecoder().decode(stream)

    def test_stereo_at_48_khz_is_heard_as_mono(self) -> None:
        file = io.BytesIO()
        with av.open(file, "w", format="ogg") as muxer:
            stream = muxer.add_stream("libopus", rate=48000, layout="stereo")
            both = np.repeat(to_samples(to_pcm(tone(600, 1.0, 48000))), 2)
            frame = av.AudioFrame.from_ndarray((both * 32767).astype("<i2")[np.newaxis], format="s16", layout="stereo")
            frame.sample_rate = 48000
            muxer.mux(stream.encode(frame))
            muxer.mux(stream.encode(None))
        heard = to_samples(OpusDecoder().decode(file.getvalue()))
        assert len(heard) / RATE == pytest.approx(1.0, abs=0.03)
        assert pitch(heard) == pytest.approx(600, abs=2)

    def test_one_stream_may_follow_another(self) -> None:
        decoder = OpusDecoder()
        first, second = (b"".join(encoded(tone(hertz, 0.5))) for hertz in (400, 900))
        assert pitch(to_samples(decoder.decode(first))) == pytest.approx(400, abs=3)
        assert pitch(to_samples(decoder.decode(second))) == pytest.approx(900, abs=3)

    @pytest.mark.parametrize(
        ("head", "fault"),
        [
            (b"OpusHead\x01", "does not begin with an OpusHead"),
            (b"\x80theora" + bytes(30), "does not begin with an OpusHead"),
            (b"OpusHead\x21\x01" + bytes(9), "version 33"),
            (b"OpusHead\x01\x06" + bytes(8) + b"\x01" + bytes(8), "6 channels"),
            (b"OpusHead\x01\x00" + bytes(9), "0 channels"),
        ],
    )
    def test_a_stream_that_is_none_of_speech(self, head: bytes, fault: str) -> None:
        writer = OggWriter(1)
        decoder = OpusDecoder()
        with pytest.raises(WireError, match=fault):
            decoder.decode(writer.page(head, 0))
        with pytest.raises(WireError, match="does not begin with an OpusHead"):
            decoder.decode(writer.page(b"\xfc\xff\xfe", 960))

    def test_a_few_bytes_that_stand_for_minutes(self) -> None:
        begin, *_ = encoded(tone(500, 0.02))
        writer = OggWriter(1)
        writer.page(b"", 0)
        # Two frames of 60 ms with nothing in them, as often as the limit of a message lets it be.
        bomb = b"".join(writer.page(b"\x1b\x02", 0) for _ in range(4000))
        assert len(bomb) < wire.MAX_MESSAGE_BYTES
        decoder = OpusDecoder()
        decoder.decode(begin)
        with pytest.raises(WireError, match=f"more than {MAX_SECS:g} s of sound in"):
            decoder.decode(bomb)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.binary(max_size=120), min_size=1, max_size=5))
    def test_no_packet_breaks_it(self, garbage: list[bytes]) -> None:
        pages = encoded(tone(500, 0.4))
        writer = OggWriter(1)
        writer.page(b"", 0)
        decoder = OpusDecoder()
        decoder.decode(pages[0])
        for packet in garbage:
            try:
                decoder.decode(writer.page(packet, 0))
            except WireError:
                continue
        heard = to_samples(b"".join(decoder.decode(page) for page in pages[1:]))
        assert pitch(heard[4800:]) == pytest.approx(500, abs=5)


class TestPacing:
    async def test_what_waits_is_taken_in_order(self) -> None:
        backlog = Backlog(10)
        taking = asyncio.create_task(backlog.get())
        assert backlog.put(b"ab") == 0
        assert await taking == b"ab"
        assert (backlog.put(b"cd"), backlog.put(b"ef")) == (0, 0)
        assert [await backlog.get(), await backlog.get()] == [b"cd", b"ef"]
        assert len(backlog) == 0

    async def test_the_oldest_is_given_up(self) -> None:
        backlog = Backlog(4)
        assert [backlog.put(chunk) for chunk in (b"ab", b"cd", b"ef", b"ghij", b"klmno")] == [0, 0, 2, 4, 9]
        backlog.put(b"p")
        assert await backlog.get() == b"p"

    def test_a_lead_is_played_off(self) -> None:
        lead = Lead()
        lead.add(1.0, now=100.0)
        lead.add(0.5, now=100.2)
        assert lead.secs(100.2) == pytest.approx(1.3)
        assert lead.secs(103.0) == 0.0
        lead.add(0.1, now=103.0)
        assert lead.secs(103.0) == pytest.approx(0.1)


def microphone(hertz: float, seconds: float) -> list[Frame]:
    """A tone at 16 kHz in chunks of 20 ms."""
    sound = to_pcm(tone(hertz, seconds, 16000))
    return [InputAudioRawFrame(sound[at : at + 640], 16000, 1) for at in range(0, len(sound), 640)]


def heard(board: Bench) -> Samples:
    frames = board.all(SpeechOutputAudioRawFrame)
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} <= {(RATE, 1)}
    return to_samples(b"".join(frame.audio for frame in frames))


def ends_at(samples: Samples, hertz: float) -> bool:
    """Whether the last half second is that tone."""
    last = samples[-RATE // 2 :]
    return len(last) == RATE // 2 and abs(pitch(last) - hertz) < 5


def said(board: Bench) -> str:
    return "".join(frame.text for frame in board.all(TTSTextFrame))


HELLO = (GREETS, Plays(0, 0.08))
"""The sound shows that the handshake has come."""


async def up(board: Bench) -> None:
    await board.wait(SpeechOutputAudioRawFrame)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


class TestConversation:
    async def test_both_speak_at_the_same_time(self) -> None:
        script = [GREETS]
        for turn in range(1, 5):
            script += [Plays(440, 0.48), Hears(turn * 0.45)]
        async with ScriptedMoshi(Talks(script)) as server, bench(MoshiService(url=server.url)) as board:
            for turn in range(1, 5):
                await board.until(lambda turn=turn: len(heard(board)) / RATE > turn * 0.48 - 0.02)
                await board.send(*microphone(1000, 0.5))
            await server.until(lambda: server.connections[0].seconds > 1.9)
            assert board.errors == []
            assert board.all(InterruptionFrame) == []
        assert pitch(heard(board)) == pytest.approx(440, abs=1)
        assert pitch(server.connections[0].sound) == pytest.approx(1000, abs=1)

    async def test_what_is_said_comes_as_text(self) -> None:
        acts = [*HELLO, Writes([" Hel", "lo"]), Plays(300, 0.16), Writes([" there."]), Plays(300, 0.96), Plays(0, 0.16)]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(LLMFullResponseEndFrame)
            kinds = (
                LLMFullResponseStartFrame,
                TTSStartedFrame,
                LLMTextFrame,
                TTSTextFrame,
                TTSStoppedFrame,
                LLMFullResponseEndFrame,
            )
            order = [type(frame) for frame in board.down if isinstance(frame, kinds)]
            assert order == [*kinds[:2], *kinds[2:4] * 3, *kinds[4:]]
            texts = board.all(LLMTextFrame)
            assert [frame.text for frame in texts] == [" Hel", "lo", " there."]
            assert not any(frame.append_to_context for frame in texts)
            spoken = board.all(TTSTextFrame)
            assert [frame.text for frame in spoken] == [" Hel", "lo", " there."]
            assert all(frame.includes_inter_frame_spaces and frame.append_to_context for frame in spoken)
            # The answer ended with the sound of its last second, not with its last word.
            end = board.down.index(board.all(LLMFullResponseEndFrame)[0])
            word = board.down.index(spoken[-1])
            between = [f for f in board.down[word:end] if isinstance(f, SpeechOutputAudioRawFrame)]
            assert sum(f.num_frames for f in between) / RATE == pytest.approx(moshi.ANSWER_GAP_SECS, abs=0.1)

    async def test_who_speaks_into_it_does_not_interrupt_it(self) -> None:
        context = LLMContext()
        turns = LLMContextAggregatorPair(context)
        go = asyncio.Event()
        acts = [*HELLO, Writes([" One"]), Plays(300, 0.4), Waits(go), Writes([" two."]), Plays(300, 1.2)]
        async with ScriptedMoshi(Talks(acts)) as server:
            call = Pipeline([turns.user(), MoshiService(url=server.url), turns.assistant()])
            async with bench(call) as board:
                await board.until(lambda: len(heard(board)) / RATE > 0.4)
                await board.send(VADUserStartedSpeakingFrame(start_secs=0.1))
                await board.wait(UserStartedSpeakingFrame)
                await board.send(VADUserStoppedSpeakingFrame(stop_secs=0.2))
                await board.wait(UserStoppedSpeakingFrame)
                go.set()
                await board.wait(TTSStoppedFrame)
                assert board.all(InterruptionFrame) == []
        assert context.get_messages() == [{"role": "assistant", "content": "One two."}]

    async def test_turns_that_a_vad_finds_are_proposed_to_both_sides(self) -> None:
        async with ScriptedMoshi(Talks(HELLO)) as server, bench(MoshiService(url=server.url)) as board:
            await board.send(VADUserStartedSpeakingFrame(start_secs=0.1), VADUserStoppedSpeakingFrame(stop_secs=0.2))
            await board.wait(ProposedUserStoppedSpeakingFrame, 2)
            for side in (board.up, board.down):
                proposed = (ProposedUserStartedSpeakingFrame, ProposedUserStoppedSpeakingFrame)
                assert [type(frame) for frame in side if isinstance(frame, proposed)] == list(proposed)
            await up(board)

    async def test_an_interruption_ends_the_answer_and_not_the_sound(self) -> None:
        go = asyncio.Event()
        acts = [*HELLO, Writes([" One"]), Waits(go), Plays(300, 0.4), Writes([" two"]), Plays(0, 0.08)]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            await board.send(InterruptionFrame())
            await board.wait(LLMFullResponseEndFrame)
            go.set()
            await board.wait(TTSTextFrame, 2)
            assert len(board.all(LLMFullResponseStartFrame)) == 2
            assert pitch(heard(board)[-8000:]) == pytest.approx(300, abs=5)

    async def test_an_interruption_by_a_guard_leaves_the_answer_as_it_is(self) -> None:
        acts = [*HELLO, Writes([" One"]), Hears(0.1), Writes([" two"])]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            await board.worker.queue_frame(InterruptionFrame(), FrameDirection.UPSTREAM)
            await board.wait(InterruptionFrame)
            await board.send(*microphone(1000, 0.2))
            await board.wait(TTSTextFrame, 2)
            assert len(board.all(LLMFullResponseStartFrame)) == 1
            assert board.all(LLMFullResponseEndFrame) == []

    async def test_what_the_server_is_asked_for_stands_in_the_address(self) -> None:
        query = {"text_prompt": "You are wise & brief."}
        async with (
            ScriptedMoshi(Talks(HELLO)) as server,
            bench(MoshiService(url=server.url, query=query)) as board,
        ):
            await up(board)
        assert server.connections[0].query == query

    async def test_a_caller_without_a_microphone_is_silence(self) -> None:
        async with ScriptedMoshi(Talks(HELLO)) as server, bench(MoshiService(url=server.url)) as board:
            await up(board)
            await board.send(*microphone(1000, 0.5))
            await server.until(lambda: server.connections[0].seconds > 1.1)
        sound = server.connections[0].sound
        assert pitch(sound[:9600]) == pytest.approx(1000, abs=3)
        assert np.abs(sound[round(0.6 * RATE) :]).max() < 0.001

    async def test_nothing_is_sent_before_the_caller_is_there(self) -> None:
        async with ScriptedMoshi(Talks(HELLO)) as server, bench(MoshiService(url=server.url)) as board:
            await up(board)
            assert server.connections[0].seconds == 0.0

    async def test_silence_that_comes_in_a_burst_is_left_out_and_speech_is_not(self) -> None:
        acts = [GREETS, Plays(500, 0.8), Plays(0, 2.0), Plays(700, 0.8)]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.until(lambda: len(heard(board)) / RATE > 1.55 and ends_at(heard(board), 700))
        # Opus lets a tone ring on for a moment.
        assert len(heard(board)) / RATE == pytest.approx(1.6, abs=0.25)

    async def test_more_sound_than_can_be_played_is_not_kept(self) -> None:
        acts = [GREETS, Plays(500, 15.0), Writes([" end"])]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            (error,) = board.errors
            assert "more sound than can be played" in error.error
        assert moshi.MAX_LEAD_SECS <= len(heard(board)) / RATE < 15.0


class TestGate:
    async def test_nothing_of_a_forbidden_word_is_heard_nor_of_what_follows_it(self) -> None:
        words = ((" The", 300), (" word", 400), (" is", 500), (" swordfish", 900), (" of", 600), (" course.", 700))
        answer = [act for word, hertz in words for act in (Writes([word]), Plays(hertz, 0.4))]
        acts = [*HELLO, *answer, Plays(0, 1.6), Writes([" Well?"]), Plays(800, 0.4), Plays(0, 1.6)]
        gate = GatedAudio(Guarding(policy(terms("swordfish", action="stop", text=""))))
        async with ScriptedMoshi(Talks(acts)) as server:
            async with bench(Pipeline([MoshiService(url=server.url), gate])) as board:
                await board.wait(LLMFullResponseEndFrame, 2)
            assert [frame.text for frame in board.all(TTSTextFrame)] == ["The", "word", "is", "Well?"]
            assert len(board.all(TTSSpeakFrame)) == 1
        sound = heard(board)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        loud = {
            hertz: spectrum[round(hertz * len(sound) / RATE) + np.arange(-20, 21)].max()
            for hertz in range(300, 901, 100)
        }
        assert all(loud[hertz] > 20 * loud[900] for hertz in (300, 400, 500, 800))
        assert max(loud[600], loud[700]) < loud[300] / 20


FAULTS = {
    "text message": (Sends("hello"), "a text message, where all are binary"),
    "empty": (Sends(b""), "an empty message"),
    "no UTF-8": (Sends(b"\x02\xff"), "text that is not UTF-8"),
    "no Ogg": (Sends(b"\x01\x00\x01\x02\x03"), "bytes that are no Ogg page"),
    "no Opus": (Sends(wire.encode(wire.Audio(OggWriter(9).page(b"hello", 0)))), "does not begin with an OpusHead"),
    "no JSON": (Sends(b"\x04{"), "metadata that is not JSON"),
    "too much text": (Sends(b"\x02" + b"a" * 5000), "5,001 bytes, where 4,096 are the most"),
    "says so itself": (Sends(wire.encode(wire.Failure("out of memory"))), "says: out of memory"),
}


class TestFaults:
    @pytest.mark.parametrize(("sent", "fault"), FAULTS.values(), ids=FAULTS)
    async def test_a_malformed_message_is_reported_once_and_the_call_goes_on(self, sent: Sends, fault: str) -> None:
        acts = [*HELLO, *[sent] * 3, Writes([" Go on."]), Plays(440, 0.4)]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.until(lambda: len(heard(board)) / RATE > 0.4)
            (error,) = board.errors
            assert fault in error.error
            assert error.category is ErrorCategory.SERVER
            assert said(board) == " Go on."
        assert len(server.connections) == 1
        assert pitch(heard(board)[1920:]) == pytest.approx(440, abs=5)

    async def test_a_server_full_of_faults_is_told_of_so_many(self) -> None:
        faults = [Sends(wire.encode(wire.Failure(f"fault {n}"))) for n in range(30)]
        async with (
            ScriptedMoshi(Talks([*HELLO, *faults, Writes([" Sorry."])])) as server,
            bench(MoshiService(url=server.url)) as board,
        ):
            await board.wait(TTSTextFrame)
            assert len(board.errors) == moshi_line.MAX_FAULTS

    async def test_a_message_of_another_kind_is_passed_over(self) -> None:
        extras = [Sends(wire.encode(message)) for message in (wire.Metadata({"a": 1}), wire.Ping(), wire.Handshake())]
        acts = [*extras[:2], *HELLO, *extras, Sends(b"\x07\x01red"), Writes([" Yes."])]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            assert board.errors == []

    async def test_sound_before_the_handshake_is_not_heard(self) -> None:
        acts = [Plays(440, 0.8), Writes([" Early."]), GREETS, Plays(700, 0.8), Writes([" Now."])]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            assert [error.error for error in board.errors] == [
                "Moshi sent audio before its handshake",
                "Moshi sent text before its handshake",
            ]
            assert said(board) == " Now."
            assert len(heard(board)) / RATE == pytest.approx(0.8, abs=0.02)
            assert pitch(heard(board)) == pytest.approx(700, abs=3)

    async def test_an_oversized_message_ends_the_line_which_is_had_back(self) -> None:
        big = Sends(b"\x01" + bytes(wire.MAX_MESSAGE_BYTES))
        script = [Talks([*HELLO, big]), Talks([*HELLO, Writes([" Back."])])]
        async with ScriptedMoshi(*script) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            (error,) = board.errors
            assert "sent a message of more than 131,072 bytes" in error.error
            assert error.category is ErrorCategory.CONNECTIVITY


class TestLine:
    @pytest.mark.parametrize(
        ("how", "reason"),
        [("drop", "the line broke"), ("close", "closed the line (1011 (internal error) out of memory)")],
    )
    async def test_a_line_that_ends_in_mid_word_is_an_error_and_is_had_back(self, how: str, reason: str) -> None:
        first = Talks([*HELLO, Writes([" It is ", "no"]), Plays(440, 0.16), Ends(how)])
        second = Talks([*HELLO, Writes([" Hello again."]), Hears(0.4)])
        async with ScriptedMoshi(first, second) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame, 3)
            (error,) = board.errors
            assert reason in error.error
            assert "trying again" in error.error
            assert error.category is ErrorCategory.CONNECTIVITY
            # What was being said ended before what is said now began.
            ends = [type(f) for f in board.down if isinstance(f, LLMFullResponseStartFrame | LLMFullResponseEndFrame)]
            assert ends == [LLMFullResponseStartFrame, UnfinishedAnswerFrame, LLMFullResponseStartFrame]
            await board.send(*microphone(1000, 0.5))
            await server.until(lambda: server.connections[-1].seconds > 0.4)
        assert pitch(server.connections[1].sound) == pytest.approx(1000, abs=5)

    async def test_it_is_given_up_after_so_many_attempts_in_a_row(
        self, warnings: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = len(moshi.BACK_OFF_SECS)
        monkeypatch.setattr(moshi, "BACK_OFF_SECS", (0.03,) * attempts)
        # A line over which the model was heard sets the count back.
        lines = [Talks([*HELLO, Ends("drop")]), *[Refuses(503)] * (attempts - 1), Talks([*HELLO, Ends("drop")])]
        async with ScriptedMoshi(*lines, *[Refuses(503)] * attempts) as server:
            service = MoshiService(url=server.url)
            async with bench(service) as board:
                begun = asyncio.get_running_loop().time()
                await board.wait(ErrorFrame, 3)
                assert asyncio.get_running_loop().time() - begun > 0.03 * (2 * attempts - 1)
                assert ["trying again" in error.error for error in board.errors] == [True, True, False]
                assert "refuses the line with 503" in board.errors[-1].error
                assert "given up" in board.errors[-1].error
                assert {error.category for error in board.errors} == {ErrorCategory.CONNECTIVITY}
                assert not service.is_usable
        assert sum("times in a row" in line for line in warnings) == 2 * (attempts - 1)

    @pytest.mark.parametrize(
        ("status", "category"), [(401, ErrorCategory.AUTHENTICATION), (404, ErrorCategory.INVALID_REQUEST)]
    )
    async def test_a_refusal_for_good_is_not_tried_again(self, status: int, category: ErrorCategory) -> None:
        async with ScriptedMoshi(Refuses(status)) as server, bench(MoshiService(url=server.url)) as board:
            error = await board.wait(ErrorFrame)
            assert f"refuses the line with {status}" in error.error
            assert error.category is category
            await board.send(*microphone(1000, 0.1))

    async def test_a_server_with_a_certificate_of_its_own(self, tmp_path: Path) -> None:
        context, certificate = tls.loopback(tmp_path)
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with ScriptedMoshi(Talks(HELLO), tls=context) as server:
            assert server.url.startswith("https:")
            async with bench(MoshiService(url=server.url, tls=trusting)) as board:
                await up(board)
                assert board.errors == []

    def test_a_context_for_a_server_without_tls_is_refused(self) -> None:
        with pytest.raises(ValueError, match="write it as wss://…, or leave tls out"):
            MoshiService(url="ws://localhost:8998", tls=ssl.create_default_context())

    async def test_what_nobody_thought_of_is_an_error_for_good(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moshi_line, "OpusDecoder", lambda: 1 / 0)
        async with ScriptedMoshi(Talks([])) as server:
            service = MoshiService(url=server.url)
            async with bench(service) as board:
                error = await board.wait(ErrorFrame)
                assert "ZeroDivisionError" in error.error
                assert not service.is_usable

    async def test_a_certificate_that_nobody_vouches_for_is_an_error(self, tmp_path: Path) -> None:
        context, _ = tls.loopback(tmp_path)
        async with ScriptedMoshi(tls=context) as server, bench(MoshiService(url=server.url)) as board:
            error = await board.wait(ErrorFrame)
            assert "certificate" in error.error
            assert error.category is ErrorCategory.CONNECTIVITY

    async def test_nobody_there_is_an_error(self) -> None:
        async with bench(MoshiService(url="ws://127.0.0.1:9")) as board:
            error = await board.wait(ErrorFrame)
            assert "cannot be reached" in error.error
            assert "ws://127.0.0.1:9/api/chat" in error.error
            assert error.category is ErrorCategory.CONNECTIVITY

    async def test_a_server_that_talks_to_somebody_else_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moshi_line, "HELLO_SECS", 0.05)
        monkeypatch.setattr(moshi, "BACK_OFF_SECS", (600.0,))
        async with ScriptedMoshi(Talks([])) as server, bench(MoshiService(url=server.url)) as board:
            error = await board.wait(ErrorFrame)
            assert "sent no handshake for 0.05 s: it may be talking to somebody else" in error.error
            assert error.category is ErrorCategory.CONNECTIVITY


class TestBackPressure:
    async def test_a_slow_server_misses_the_oldest_and_hears_the_latest(self, warnings: list[str]) -> None:
        go = asyncio.Event()
        acts = [*HELLO, Hears(0.5), Reads(False), Writes([" Wait."]), Waits(go), Reads(True)]
        async with ScriptedMoshi(Talks(acts)) as server, bench(MoshiService(url=server.url)) as board:
            await up(board)
            await board.send(*microphone(400, 0.6))
            await board.wait(TTSTextFrame)
            before = server.connections[0].seconds
            frames = [*microphone(400, 20.0), *microphone(1000, 2.0)]
            for at in range(0, len(frames), 25):
                await board.send(*frames[at : at + 25])
                await board.until(lambda at=at: len(board.all(InputAudioRawFrame)) >= 30 + at + 25)
            # What was under way when it stopped reading may have been taken.
            assert server.connections[0].seconds < before + 0.1
            go.set()
            await server.until(lambda: ends_at(server.connections[0].sound, 1000))
            sound = server.connections[0].sound
            most = (moshi_line.PINGS_AHEAD + 1) * moshi_line.PING_SECS + moshi_line.BACKLOG_SECS
            assert len(sound) / RATE < before + most + 0.5
            assert pitch(sound[:9600]) == pytest.approx(400, abs=5)
            assert board.errors == []
        assert sum("slower than speech" in line for line in warnings) == 1

    async def test_a_server_that_takes_nothing_any_more_is_a_broken_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moshi_line, "STALL_SECS", 0.2)
        script = (
            Talks([*HELLO, Reads(False), Writes([" Deaf."]), Waits(asyncio.Event())]),
            Talks([*HELLO, Hears(0.4)]),
        )
        async with ScriptedMoshi(*script) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            for part in range(1, 9):
                await board.send(*microphone(1000, 0.5))
                await board.until(lambda part=part: len(board.all(InputAudioRawFrame)) == part * 25)
            error = await board.wait(ErrorFrame)
            assert "has taken no audio for 0.2 s" in error.error
            await board.wait(SpeechOutputAudioRawFrame, 2)
            await board.send(*microphone(1000, 0.5))
            await server.until(lambda: server.connections[1].seconds > 0.4)


class TestEnd:
    async def test_the_end_says_goodbye_and_leaves_nothing_behind(self) -> None:
        acts = [*HELLO, Writes([" Bye"])]
        async with ScriptedMoshi(Talks(acts)) as server:
            before = asyncio.all_tasks()
            async with bench(MoshiService(url=server.url)) as board:
                await board.wait(TTSTextFrame)
            await server.until(lambda: server.connections[0].closed)
            assert board.errors == []
            last = [type(frame) for frame in board.down][-3:]
            assert last == [TTSStoppedFrame, LLMFullResponseEndFrame, EndFrame]
            left = {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task)}
            assert left == set()

    async def test_it_ends_while_it_waits_to_try_again(self) -> None:
        async with bench(MoshiService(url="ws://127.0.0.1:9")) as board:
            await board.wait(ErrorFrame)
        assert len(board.errors) == 1

    async def test_a_server_that_does_not_say_goodbye_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moshi, "CLOSE_SECS", 0.05)
        deaf = Talks([*HELLO, Reads(False), Writes([" Deaf."]), Waits(asyncio.Event())])
        async with ScriptedMoshi(deaf) as server:
            async with bench(MoshiService(url=server.url)) as board:
                await board.wait(TTSTextFrame)
                begun = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - begun < 5.0
        assert not server.connections[0].closed

    async def test_a_cancelled_call_ends_at_once(self) -> None:
        deaf = Talks([*HELLO, Reads(False), Writes([" Deaf."]), Reads(True)])
        async with ScriptedMoshi(deaf) as server, bench(MoshiService(url=server.url)) as board:
            await board.wait(TTSTextFrame)
            await board.worker.queue_frame(CancelFrame())
            await board.wait(CancelFrame)
            await server.until(lambda: len(server.connections) == 1)


@asynccontextmanager
async def faking() -> AsyncIterator[str]:
    """The fake in this process; its address."""
    line: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(fake.serve_moshi(0, line.set_result))
    await asyncio.wait((serving, line), return_when=asyncio.FIRST_COMPLETED)
    try:
        assert (await line).startswith("A fake Moshi without any model at ws://127.0.0.1:")
        yield (await line).split()[7].rstrip(":")
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


class TestFake:
    def test_an_echo_is_as_long_as_what_it_hears_and_a_second_later(self) -> None:
        echo = Echo()
        said = to_pcm(tone(500, 0.5))
        sound, words = b"", list[str]()
        for at in range(0, RATE * 10, 1920):
            piece, new = echo.hear((said + bytes(RATE * 10))[at : at + 1920])
            sound += piece
            words += new
        assert sound == bytes(RATE * 2) + said + bytes(RATE * 7)
        assert "".join(words) == " I am a fake without a model. This is your own voice."

    async def test_a_caller_hears_himself_and_is_told_what_he_talks_to(self) -> None:
        async with faking() as url, bench(MoshiService(url=url)) as board, asyncio.timeout(PATIENCE_SECS):
            given = 0
            while not (ends_at(heard(board), 1000) and said(board).endswith("voice.")):
                frames = microphone(1000, 0.1)
                given += len(frames)
                await board.send(*frames)
                await board.until(lambda given=given: len(board.all(InputAudioRawFrame)) == given)
            assert said(board) == " I am a fake without a model. This is your own voice."
            assert board.errors == []

    async def test_who_sends_what_does_not_belong_is_told_so(self) -> None:
        async with faking() as url, connect(wire.chat_url(url)) as line:
            about, hello = wire.decode(await line.recv()), wire.decode(await line.recv())
            assert isinstance(about, wire.Metadata)
            assert about.data["fake"] is True
            assert hello == wire.Handshake()
            for sent, fault in ((b"\x02\xff", "text that is not UTF-8"), (b"\x01no", "bytes that are no Ogg page")):
                await line.send(sent)
                told = wire.decode(await line.recv())
                assert isinstance(told, wire.Failure)
                assert told.text.startswith(f"you sent {fault}")

    async def test_the_command_says_first_what_it_is_and_ends_on_ctrl_c(self) -> None:
        command = (sys.executable, "-m", "antiphon", "serve-fake", "moshi", "--port", "0")
        pipe = asyncio.subprocess.PIPE
        running = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            assert running.stdout is not None
            async with asyncio.timeout(60):
                first = (await running.stdout.readline()).decode()
            assert "A fake Moshi without any model at ws://127.0.0.1:" in first
            async with connect(wire.chat_url(first.split()[7].rstrip(":"))) as line:
                await line.recv()
                running.send_signal(signal.SIGINT)
                async with asyncio.timeout(10):
                    out, errors = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
        assert (running.returncode, out) == (130, b"")
        assert "Traceback" not in errors.decode()

    def test_a_port_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = CliRunner().invoke(app, ["serve-fake", "moshi", "--port", str(port)])
        assert result.exit_code == 2
        assert f"port {port} is in use" in result.stderr
