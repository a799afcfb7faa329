// The page: what the server is doing, the microphone button, and the call.

import { Call } from "./call.js";
import { Meter } from "./meter.js";
import { Transcript } from "./transcript.js";

const POLL_MS = 400;

const $ = (id) => document.getElementById(id);
const meter = new Meter();
const transcript = new Transcript($("turns"), (text) => ($("announcer").textContent = text));

let phase = "loading"; // loading, unavailable, ready, asking, connecting, talking
let agent = "The agent";
let personas = []; // whom the caller may choose from
let call = null;
let microphone = null;
let muted = false;
let callerSpeaking = false;
let thinking = false;
let reconnected = false;
let ending = ""; // why the server is about to hang up, if it says so

// --- what the page says ---

const PHASES = {
  loading: () => "Getting ready",
  unavailable: () => "Not available",
  ready: () => (transcript.empty ? "Press the microphone to start" : "Press the microphone to talk again"),
  asking: () => "Waiting for the microphone: allow it in the browser",
  connecting: () => (reconnected ? "Connection lost, reconnecting" : "Connecting"),
  talking: () => `Connected. ${agent} is listening.`,
};

function enter(next) {
  phase = next;
  document.body.dataset.phase = phase;
  $("phase").textContent = PHASES[phase]();
  refresh();
}

function refresh() {
  const talking = phase === "talking";
  const pending = phase === "asking" || phase === "connecting";
  $("talk").disabled = phase === "loading" || phase === "unavailable";
  $("talk-label").textContent = $("talk").title = buttonLabel(talking, pending);
  $("talk-icon").setAttribute("href", talking && muted ? "#icon-mic-off" : "#icon-mic");
  $("hang-up").hidden = !talking;
  $("personas").hidden = !(phase === "ready" || talking) || personas.length < 2;
  $("phase").classList.toggle("visually-hidden", talking);
  $("speaking").hidden = !talking;
  $("speaking").textContent = speaking();
  $("caller").classList.toggle("active", talking && callerSpeaking && !muted);
  $("agent").classList.toggle("active", talking && transcript.agentSpeaking);
  document.body.classList.toggle("muted", talking && muted);
  document.body.classList.toggle("waiting", (talking && thinking) || pending);
  $("welcome").hidden = !transcript.empty;
}

function buttonLabel(talking, pending) {
  if (talking) return muted ? "Unmute the microphone" : "Mute the microphone";
  return pending ? "Cancel" : "Start talking";
}

function speaking() {
  if (transcript.agentSpeaking) return muted ? `${agent} is speaking, you are muted` : `${agent} is speaking`;
  if (muted) return `Muted: ${agent} can't hear you`;
  if (callerSpeaking) return "You are speaking";
  return thinking ? `${agent} is thinking` : "Listening";
}

function complain(title, text, action = null) {
  $("problem-title").textContent = title;
  $("problem-text").textContent = text;
  $("problem-action").hidden = !action;
  $("problem-action").textContent = action?.label ?? "";
  $("problem-action").onclick = action?.run ?? null;
  $("problem").hidden = false;
}

function content() {
  $("problem").hidden = true;
}

// --- the server ---

async function follow() {
  let gone = false;
  for (;;) {
    try {
      const status = await (await fetch("api/status")).json();
      if (gone) content();
      gone = false;
      introduce(status);
      if (status.state === "ready") return enter("ready");
      if (status.state === "failed") {
        $("welcome-title").textContent = "It could not start";
        $("welcome-text").textContent = "Once mended, start it again and reload this page.";
        complain("The models could not be loaded", status.error);
        return enter("unavailable");
      }
    } catch {
      if (!gone) serverGone();
      gone = true;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function serverGone() {
  enter("loading");
  complain("The server is gone", "Start it again in the terminal, with “make talk” or “antiphon talk”. This page goes on when it is back.");
}

function introduce({ state, progress, architecture, stack, persona, personas: offered }) {
  offer(offered, persona);
  $("build").replaceChildren(make("span", architecture.name.replaceAll("_", " ")), make("span", stack.name));
  $("build").title = architecture.summary;
  $("privacy").hidden = false;
  $("privacy").textContent = stack.vendors.length
    ? `What is said goes to ${stack.vendors.join(" and ")}.`
    : "Everything runs on this machine. What you say doesn't leave it.";
  $("hints").hidden = state !== "ready";
  $("parts").hidden = state === "ready";
  if (state === "ready") return choose(agent);
  $("welcome-title").textContent = "Getting ready";
  $("welcome-text").textContent = `${agent} is loading. The first start takes longest.`;
  showProgress(progress);
}

// The caller's choice outlives a server that comes back, if it still has it.
function offer(offered, otherwise) {
  personas = offered;
  agent = transcript.agentName = personas.some(({ name }) => name === agent) ? agent : otherwise;
  $("agent-name").textContent = agent;
  const choices = personas.map(({ name, summary }) => {
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "persona", value: name, title: summary, checked: name === agent });
    const label = document.createElement("label");
    label.append(input, make("span", name));
    return label;
  });
  $("personas").replaceChildren($("personas").firstElementChild, ...choices);
}

function choose(name) {
  agent = transcript.agentName = $("agent-name").textContent = name;
  for (const choice of $("personas").querySelectorAll("input")) choice.checked = choice.value === name;
  const summary = personas.find((persona) => persona.name === name)?.summary ?? "";
  const press = "Press the microphone, let the browser use it, and say something, for example:";
  $("welcome-title").textContent = `Talk with ${name}`;
  $("welcome-text").textContent = `${summary} ${press}`.trim();
}

function showProgress(progress) {
  for (const { what, done } of progress) {
    let part = [...$("parts").children].find((item) => item.dataset.what === what);
    if (!part) {
      const label = make("label", capital(what));
      const bar = document.createElement("progress");
      bar.max = 1;
      label.append(bar);
      part = make("li");
      part.dataset.what = what;
      part.append(label);
      $("parts").append(part);
    }
    part.querySelector("progress").value = done;
    part.classList.toggle("done", done >= 1);
  }
  const sum = progress.reduce((total, { done }) => total + done, 0);
  $("ring").style.strokeDashoffset = 100 - (progress.length ? (100 * sum) / progress.length : 0);
}

// --- the call ---

async function start() {
  content();
  enter("asking");
  const asked = openMicrophone();
  try {
    microphone = await asked;
  } catch (error) {
    if (phase === "asking") enter("ready");
    return complain(...microphoneTrouble(error));
  }
  if (phase !== "asking") return closeMicrophone(); // cancelled meanwhile
  reconnected = false;
  await connect();
}

function openMicrophone() {
  if (!navigator.mediaDevices) return Promise.reject(new DOMException("", "InsecureContext"));
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return navigator.mediaDevices.getUserMedia({ audio });
}

function microphoneTrouble({ name, message }) {
  switch (name) {
    case "NotAllowedError":
      return ["The microphone was refused", "Allow it with the icon beside the page's address, then press the microphone again."];
    case "NotFoundError":
      return ["No microphone was found", "Plug one in or switch it on in the system's sound settings, then press the microphone again."];
    case "NotReadableError":
      return ["The microphone cannot be used", "Another program may be holding it. Close that, then press the microphone again."];
    case "InsecureContext":
      return [
        "The browser keeps the microphone back here",
        `It gives it only to pages on this very machine or over https. Open http://localhost:${location.port} on the machine that runs Antiphon.`,
      ];
    default:
      return ["The microphone cannot be used", message || name];
  }
}

async function connect() {
  enter("connecting");
  ending = "";
  const current = (call = new Call());
  current.addEventListener("message", ({ detail }) => call === current && take(detail));
  current.addEventListener("audio", ({ detail }) => listenTo(detail));
  current.addEventListener("lost", () => call === current && lost());
  current.addEventListener("left", () => call === current && left());
  try {
    await current.connect(microphone, agent);
  } catch (error) {
    if (call !== current) return;
    hangUp();
    callTrouble(error);
    return;
  }
  if (call !== current) return;
  const [track] = microphone.getAudioTracks();
  track.onended = () => {
    hangUp();
    complain("The microphone went away", "Plug it in again, then press the microphone to go on.");
  };
  meter.show(microphone, $("caller"));
  if (reconnected) transcript.note(`Connected again. ${agent} doesn't know what was said before.`);
  enter("talking");
}

function callTrouble(error) {
  if (error.kind === "server-gone") {
    serverGone();
    follow();
  } else if (error.kind === "no-audio-path" && !navigator.onLine) {
    complain(
      "The browser wants a network",
      "With none at all, browsers make no audio connections, not even within one machine. Join any: it need not reach the internet.",
      { label: "Try again", run: start },
    );
  } else if (error.kind === "no-audio-path") {
    complain(
      "The server answers, but no audio gets through",
      "A firewall or VPN may be in the way. Start it with “antiphon talk --host 0.0.0.0” to use every network address.",
      { label: "Try again", run: start },
    );
  } else {
    complain("The conversation could not start", sentence(error.message), { label: "Try again", run: start });
  }
}

function listenTo(stream) {
  $("voice").srcObject = stream;
  meter.show(stream, $("agent"));
}

function take(message) {
  transcript.take(message);
  switch (message.type) {
    case "user-started-speaking":
      callerSpeaking = true;
      thinking = false;
      break;
    case "user-stopped-speaking":
      callerSpeaking = false;
      thinking = true;
      break;
    case "bot-started-speaking":
      thinking = false;
      content();
      break;
    case "bot-stopped-speaking":
      thinking = false;
      break;
    case "server-message":
      if (message.data?.type === "ending") ending = sentence(message.data.reason);
      if (message.data?.type === "speaker") handedOver(message.data.name);
      break;
    case "error":
      thinking = false;
      complain("Something went wrong with the answer", sentence(message.data.error));
      break;
  }
  refresh();
}

// The name is the server's: what was asked for by word of mouth is shown as well.
function handedOver(name) {
  if (!personas.some((persona) => persona.name === name)) return;
  choose(name);
  transcript.note(`${name} took over.`);
  $("announcer").textContent = `${name} took over.`;
}

function release() {
  const ended = call;
  call = null;
  ended?.hangUp();
  meter.stop();
  $("voice").srcObject = null;
  transcript.close();
  callerSpeaking = thinking = false;
}

function closeMicrophone() {
  microphone?.getTracks().forEach((track) => {
    track.onended = null;
    track.stop();
  });
  microphone = null;
  muted = false;
}

function hangUp() {
  release();
  closeMicrophone();
  enter("ready");
}

async function lost() {
  release();
  if (reconnected) return gaveUp();
  reconnected = true;
  await connect();
}

function gaveUp() {
  hangUp();
  complain("The connection was lost", "The conversation broke off and could not be taken up again.", { label: "Reconnect", run: start });
}

async function left() {
  hangUp();
  if (ending) return complain("The conversation is over", ending, { label: "Talk again", run: start });
  try {
    await fetch("api/status");
    complain("The conversation was ended by the server", "It does so after minutes of silence.", { label: "Talk again", run: start });
  } catch {
    serverGone();
    follow();
  }
}

function toggleMute() {
  muted = !muted;
  microphone.getAudioTracks().forEach((track) => (track.enabled = !muted));
  refresh();
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sentence(text) {
  const line = String(text).trim();
  return capital(line) + (/[.!?…]$/.test(line) ? "" : ".");
}

function make(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// --- the buttons ---

$("talk").addEventListener("click", () => {
  if (phase === "ready") start();
  else if (phase === "talking") toggleMute();
  else hangUp();
});
$("personas").addEventListener("change", ({ target }) => {
  if (phase !== "talking") return choose(target.value);
  call.handOver(target.value);
});
$("hang-up").addEventListener("click", () => {
  hangUp();
  $("talk").focus();
});
addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !["asking", "connecting", "talking"].includes(phase)) return;
  hangUp();
  $("talk").focus();
});
addEventListener("pagehide", () => call && hangUp());

follow();
