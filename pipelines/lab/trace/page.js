"use strict";

const trace = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const LANES = [
  ["ruler", "", ""],
  ["wave", "Caller", "caller"],
  ["words", "", "caller"],
  ["wave", trace.persona, "agent"],
  ["words", "", "agent"],
  ["gap", "", ""],
];
const CLOSEST = 400;

/** An element with a class, a text and children. */
function make(tag, name = "", text = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Seconds as m:ss, with as many digits after the point as are given. */
function clock(seconds, digits = 0) {
  const rounded = Number(seconds.toFixed(digits));
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

function decode(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

const peaks = { caller: decode(trace.peaks.caller), agent: decode(trace.peaks.agent) };
const hue = (stage) => trace.stages.indexOf(stage) % 8;

/* --- the frame --- */

$("what").textContent = [
  trace.architecture,
  new Date(trace.begun).toLocaleString(),
  clock(trace.duration),
  trace.redacted ? "personal data taken out" : "not redacted",
  trace.cost && `cost ${trace.cost}`,
].filter(Boolean).join(" · ");
$("build").textContent = [
  ...Object.entries(trace.services).map(([slot, service]) => `${slot} ${service}`),
  ...Object.entries(trace.versions).map(([name, version]) => `${name} ${version}`),
].join(" · ");
if (trace.damage.length) {
  $("damage").textContent = trace.damage.join(" · ");
  $("damage").hidden = false;
}

/* --- lanes --- */

const groups = [...(trace.before.length ? [{ number: 0, begin: 0, bars: trace.before }] : []), ...trace.turns];
const used = trace.stages.filter((stage) => groups.some((group) => group.bars.some((bar) => bar.stage === stage)));
const lanes = $("lanes");
const canvases = [];
const placed = []; // [element, begin, end] in seconds
const grid = []; // rows of stages, each the bars of that stage in order of time

for (const [kind, name, side] of [...LANES, ...used.map((stage) => ["row", stage, ""])]) {
  const lane = make("div", `lane ${kind}`);
  if (kind === "wave") {
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Loudness of ${name}`);
    canvases.push([canvas, side]);
    lane.append(canvas);
  } else if (kind === "words") {
    const blocks = side === "caller"
      ? trace.utterances.map((one) => [one, make("p", "caller said", one.text)])
      : trace.answers.map((one) => {
        const block = make("p", "agent said", one.words.map((word) => word.text).filter(Boolean).join(" "));
        if (one.unheard) block.append(" ", make("span", "unheard", one.unheard));
        return [one, block];
      });
    for (const [one, block] of blocks) {
      block.title = block.textContent;
      placed.push([block, one.begin, one.end]);
      lane.append(block);
    }
  } else if (kind === "row") {
    const bars = [];
    for (const group of groups) {
      for (const bar of group.bars.filter((candidate) => candidate.stage === name)) {
        const button = make("button", `stage hue-${hue(name)}`);
        button.type = "button";
        button.tabIndex = -1;
        button.setAttribute("aria-pressed", "false");
        const turn = group.number ? `turn ${group.number}` : "before the first turn";
        button.setAttribute("aria-label", `${name}, ${turn}, from ${clock(bar.begin, 2)} to ${clock(bar.end, 2)}`);
        button.title = `${name} · ${turn}`;
        button.addEventListener("click", () => choose(button, bar, turn));
        placed.push([button, bar.begin, bar.end]);
        bars.push({ button, bar });
        lane.append(button);
      }
    }
    grid.push(bars);
  }
  lanes.append(lane);
  $("names").append(make("li", `${kind} ${side}`, name));
}

for (const at of trace.interruptions) {
  const line = make("div", "cut");
  placed.push([line, at, null]);
  lanes.append(line);
}
for (const turn of trace.turns) {
  if (turn.speech_end === null || turn.heard === null) continue;
  const wait = make("div", "wait");
  wait.dataset.ms = `${turn.total} ms`;
  placed.push([wait, turn.speech_end, turn.heard]);
  lanes.prepend(wait);
}

/* --- zoom and drawing --- */

const scroll = $("scroll");
let scale = 110; // pixels a second

function least() {
  return Math.min(110, scroll.clientWidth / Math.max(trace.duration, 1));
}

function zoom(next, around = scroll.clientWidth / 2) {
  const at = (scroll.scrollLeft + around) / scale;
  scale = Math.min(CLOSEST, Math.max(least(), next));
  layout();
  scroll.scrollTo({ left: at * scale - around, behavior: "instant" });
  draw();
}

function layout() {
  lanes.style.width = `${Math.max(scroll.clientWidth, trace.duration * scale)}px`;
  for (const [element, begin, end] of placed) {
    element.style.left = `${begin * scale}px`;
    if (end !== null) element.style.width = `${Math.max(2, (end - begin) * scale)}px`;
  }
  for (const bars of grid) {
    for (const { button, bar } of bars) {
      button.textContent = (bar.end - bar.begin) * scale > 64 ? label(bar) : "";
    }
  }
  ticks();
}

function label(bar) {
  const ms = 1000 * (bar.end - bar.begin);
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function ticks() {
  const step = [0.5, 1, 2, 5, 10, 30, 60, 120, 300].find((candidate) => candidate * scale >= 70) || 600;
  const ruler = lanes.querySelector(".ruler");
  ruler.replaceChildren();
  for (let at = 0; at < Math.max(trace.duration, 0.1); at += step) {
    const tick = make("span", "tick", clock(at, step < 1 ? 1 : 0));
    tick.style.left = `${at * scale}px`;
    ruler.append(tick);
  }
}

let due = 0;
function draw() {
  if (!due) due = requestAnimationFrame(paint);
}

function paint() {
  due = 0;
  const style = getComputedStyle(document.documentElement);
  const ratio = window.devicePixelRatio || 1;
  const width = scroll.clientWidth;
  for (const [canvas, side] of canvases) {
    const height = canvas.parentElement.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = style.getPropertyValue("--line");
    pen.fillRect(0, height / 2 - 0.5, width, 1);
    pen.fillStyle = style.getPropertyValue(`--${side}`);
    const wide = 2;
    for (let x = 0; x < width; x += wide + 1) {
      const from = Math.floor(((scroll.scrollLeft + x) / scale) * trace.peaks.rate);
      const to = Math.max(from + 1, Math.floor(((scroll.scrollLeft + x + wide + 1) / scale) * trace.peaks.rate));
      let peak = 0;
      for (let n = from; n < Math.min(to, peaks[side].length); n++) peak = Math.max(peak, peaks[side][n]);
      const tall = Math.sqrt(peak / 255) * (height - 8);
      if (peak > 1) pen.fillRect(x, (height - tall) / 2, wide, tall);
    }
  }
}

/* --- what a stage saw --- */

let chosen = null;

function choose(button, bar, turn) {
  if (chosen) chosen.setAttribute("aria-pressed", "false");
  chosen = button;
  button.setAttribute("aria-pressed", "true");
  current(button);
  $("detail-title").textContent = `${bar.stage}, ${turn}`;
  const service = trace.services[bar.stage];
  $("detail-when").textContent =
    `${clock(bar.begin, 3)} to ${clock(bar.end, 3)} · ${label(bar)}${service ? ` · ${service}` : ""}`;
  $("rows").replaceChildren(...bar.rows.map(row));
}

function row(one) {
  const kind = make("span", "kind", one.kind);
  if (one.count > 1) kind.append(" ", make("small", "", `× ${one.count}`));
  const text = make("div", "text", one.text);
  if (one.messages) {
    const list = make("ul", "messages");
    for (const message of one.messages) {
      list.append(make("li", message.role, "", make("b", "", message.role), message.text));
    }
    text.append(list);
  }
  return make("li", "", "", make("span", "at", clock(one.at, 3)), make("span", `way ${one.way}`, one.way), kind, text);
}

/* --- keyboard: one stop for the whole grid, arrows inside --- */

let here = null;

function current(button) {
  if (here) here.tabIndex = -1;
  here = button;
  button.tabIndex = 0;
}

function where(button) {
  for (const [y, bars] of grid.entries()) {
    const x = bars.findIndex((cell) => cell.button === button);
    if (x >= 0) return [x, y];
  }
  return [0, 0];
}

function nearest(bars, begin) {
  let best = bars[0];
  for (const cell of bars) {
    if (Math.abs(cell.bar.begin - begin) < Math.abs(best.bar.begin - begin)) best = cell;
  }
  return best;
}

function go(key) {
  const [x, y] = where(here);
  const bars = grid[y];
  let cell = null;
  if (key === "ArrowRight") cell = bars[x + 1];
  if (key === "ArrowLeft") cell = bars[x - 1];
  if (key === "Home") cell = bars[0];
  if (key === "End") cell = bars[bars.length - 1];
  const next = key === "ArrowDown" ? y + 1 : key === "ArrowUp" ? y - 1 : y;
  if (next !== y && grid[next]) cell = nearest(grid[next], bars[x].bar.begin);
  if (cell) {
    current(cell.button);
    cell.button.focus();
  }
}

scroll.addEventListener("keydown", (event) => {
  if (!["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key) || !grid.length) return;
  event.preventDefault();
  if (event.target === scroll) here.focus();
  else go(event.key);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoom(scale * 1.5);
  else if (event.key === "-") zoom(scale / 1.5);
  else if (event.key === "0") zoom(0);
});

$("in").addEventListener("click", () => zoom(scale * 1.5));
$("out").addEventListener("click", () => zoom(scale / 1.5));
$("fit").addEventListener("click", () => zoom(0));
scroll.addEventListener("scroll", draw, { passive: true });
new ResizeObserver(() => zoom(scale)).observe(scroll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

/* --- turns --- */

for (const turn of trace.turns) {
  const jump = make("button", "", `turn ${turn.number}, ${clock(turn.begin, 1)}`);
  jump.type = "button";
  jump.addEventListener("click", () => {
    scroll.scrollTo({ left: Math.max(0, turn.begin - 0.5) * scale });
    $("strip").scrollIntoView({ block: "nearest" });
  });
  const state = turn.total === null ? "not answered" : `${turn.total} ms`;
  const head = make("div", "head", "", jump, make("span", turn.total === null ? "flag" : "", state));
  if (turn.interrupts) head.insertBefore(make("span", "flag", "interrupts"), head.lastChild);
  const item = make("li", "", "", head);
  item.append(make("p", turn.transcript ? "line caller" : "line none", turn.transcript || "no words"));
  item.append(make("p", turn.answer ? "line agent" : "line none", turn.answer || "nothing was heard"));
  for (const error of turn.errors) item.append(make("p", "line error", error));
  if (turn.parts.length) {
    const bar = make("div", "parts");
    const legend = make("ul", "legend");
    turn.parts.forEach((part, n) => {
      const piece = make("span", `hue-${n % 8}`);
      piece.style.flex = `${part.ms} 0 0`;
      bar.append(piece);
      if (part.ms >= 1) {
        const name = make("li", `hue-${n % 8}`, "", make("i"), `${part.name} `, make("b", "", String(Math.round(part.ms))));
        if (part.by) name.append(" ", make("small", "", part.by));
        legend.append(name);
      }
    });
    item.append(bar, legend);
  }
  if (turn.cost) turn.asides.push(`cost ${turn.cost}`);
  for (const aside of turn.asides) item.append(make("p", "aside", aside));
  $("turns").append(item);
}
if (!trace.turns.length) $("turns").append(make("li", "", "Nobody said anything."));

const first = grid.find((bars) => bars.length);
if (first) current(first[0].button);
if (!grid.length) $("detail").hidden = true;
layout();
draw();
