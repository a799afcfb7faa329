// What is said, turn by turn: made of RTVI messages, shown as a list.

const MOST_CHANGES = 4;

/** Keeps and shows the turns. `announce` is told what is final. */
export class Transcript {
  #list;
  #announce;
  #turns = [];
  #agentSpeaking = false;
  #unfinished = false; // there is more of the answer to come than has been made into speech
  #ending = null; // a turn that was cut off while the agent spoke, until it stops
  #latency = null;
  #deliveries = []; // of an answer of which nothing is shown yet
  #cueHeard = false;
  #slowest = 1000;
  #pinned = true;

  constructor(list, announce) {
    this.#list = list;
    this.#announce = announce;
    const view = list.parentElement;
    view.addEventListener("scroll", () => {
      this.#pinned = view.scrollHeight - view.scrollTop - view.clientHeight < 48;
    });
    new ResizeObserver(() => this.#scroll()).observe(view);
    new ResizeObserver(() => this.#scroll()).observe(list);
  }

  get empty() {
    return this.#turns.length === 0;
  }

  get agentSpeaking() {
    return this.#agentSpeaking;
  }

  /** Take in an RTVI message. Others than the ones that matter here are ignored. */
  take({ type, data }) {
    if (type === "user-input") this.#heardCaller(data);
    else if (type === "bot-output") this.#spoke(data);
    else if (type === "bot-started-speaking") this.#agentStarted();
    else if (type === "bot-stopped-speaking") this.#agentStopped();
    else if (type === "bot-interrupted") this.#interrupted();
    else if (type === "bot-tts-started") this.#unfinished = true;
    else if (type === "bot-tts-stopped") this.#unfinished = false;
    else if (type === "server-message" && data?.type === "latency") this.#took(data);
    else if (type === "server-message" && data?.type === "cue") this.#sounded(data);
    else if (type === "server-message" && data?.type === "delivery") this.#delivered(data);
  }

  /** End what is under way: the call is over. */
  close() {
    this.#interrupted();
    this.#agentStopped();
    this.#cueHeard = false;
    this.#latency = null;
    this.#settleCaller();
    for (const turn of this.#turns) turn.closed = true;
  }

  /** A line between turns. */
  note(text) {
    const element = make("li", "note", text);
    this.#turns.push({ who: "note", element });
    this.#list.append(element);
  }

  #heardCaller({ text, final }) {
    const words = text.trim();
    let turn = this.#turns.at(-1);
    if (turn?.who === "agent" && !turn.heard) {
      // An answer of which nothing was heard: the caller went on.
      this.#remove(turn);
      turn = this.#turns.at(-1);
    }
    if (turn?.who !== "caller" || turn.closed) {
      if (!words) return;
      turn = this.#add("caller", "You");
      turn.final = "";
    }
    if (final) turn.final = `${turn.final} ${words}`.trim();
    turn.interim = final ? "" : words;
    this.#show(turn, turn.final, turn.interim);
    if (final && words) this.#announce(`You: ${words}`);
  }

  #settleCaller() {
    const turn = this.#turns.findLast(({ who }) => who === "caller");
    if (!turn?.interim) return;
    turn.interim = "";
    if (turn.final) this.#show(turn, turn.final, "");
    else this.#remove(turn);
  }

  #spoke({ text, segment_id: id, will_be_spoken: spoken, spoken_status: status, spoken_progress: progress }) {
    if (this.#turns.some((turn) => turn.closed && turn !== this.#ending && turn.segments?.has(id))) return;
    const turn = this.#turns.find((each) => each.who === "agent" && each.segments.has(id)) ?? this.#answer();
    // The first word of a segment can be reported before the segment itself.
    if (status === "new" && spoken && turn.segments.has(id)) return;
    const said = !spoken || status === "completed" ? text : (progress?.accumulated_text ?? "");
    turn.segments.set(id, said.trim());
    const heard = [...turn.segments.values()].filter(Boolean).join(" ");
    if (heard === turn.heard) return;
    turn.heard = heard;
    this.#show(turn, heard, "");
  }

  #answer() {
    const last = this.#turns.at(-1);
    if (last?.who === "agent" && !last.closed && last.name === this.agentName) return last;
    const turn = this.#add("agent", this.agentName);
    turn.segments = new Map();
    turn.heard = "";
    turn.announced = 0;
    turn.element.hidden = true;
    turn.manners = make("p", "manner");
    for (const delivery of this.#deliveries) this.#sayHow(turn, delivery);
    if (this.#latency) this.#time(turn, this.#latency);
    this.#deliveries = [];
    this.#latency = null;
    return turn;
  }

  #agentStarted() {
    this.#agentSpeaking = true;
    this.#settleCaller();
  }

  #agentStopped() {
    this.#agentSpeaking = false;
    if (this.#ending) this.#endCut(this.#ending);
    else this.#announceAnswer(this.#turns.at(-1));
    this.#ending = null;
  }

  #announceAnswer(turn) {
    if (turn?.who !== "agent" || turn.heard.length <= turn.announced) return;
    const words = turn.heard.slice(turn.announced).trim();
    turn.announced = turn.heard.length;
    this.#announce(`${turn.name}: ${words}${turn.interrupted ? " (interrupted)" : ""}`);
  }

  #interrupted() {
    const cut = this.#agentSpeaking || this.#unfinished;
    this.#unfinished = false;
    this.#deliveries = [];
    const turn = this.#turns.findLast(({ who }) => who === "agent");
    if (!turn || turn.closed) return;
    turn.closed = true;
    turn.interrupted = cut;
    // Until the agent stops, words that were on their way are heard.
    if (this.#agentSpeaking) this.#ending = turn;
    else this.#endCut(turn);
  }

  #endCut(turn) {
    if (!turn.heard) {
      this.#remove(turn);
      return;
    }
    if (turn.interrupted) {
      turn.element.classList.add("interrupted");
      turn.text.append(make("span", "cut", " interrupted"));
    }
    this.#announceAnswer(turn);
  }

  // How the caller's last words sounded.
  #sounded(cue) {
    const { emotion, probability, arousal, valence, pace, signs, plain } = cue;
    const turn = this.#turns.findLast(({ who }) => who === "caller");
    if (!turn || typeof emotion !== "string" || !Array.isArray(signs)) return;
    if (![probability, arousal, valence].every((number) => number >= 0 && number <= 1)) return;
    this.#cueHeard = true;
    const sounds = `${probability < 0.5 ? "may sound" : "sounds"} ${emotion}`;
    const heard = make("p", `manner${plain ? " faint" : ""}`);
    listed(heard, [
      [make("b", "", sounds), ` ${Math.round(100 * probability)} %`],
      [gauge(arousal, "calm", "lively"), word(arousal, "calm", "steady", "lively")],
      [gauge(valence, "unpleasant", "pleasant"), word(valence, "unpleasant", "even", "pleasant")],
      ...(pace > 0 ? [[`${pace.toFixed(1)} syllables/s`]] : []),
      ...signs.map((sign) => [sign]),
    ]);
    turn.cue?.remove();
    turn.cue = heard;
    turn.element.append(heard);
  }

  // How an answer is said: comes before its first words, and again where that changes.
  #delivered(delivery) {
    if (!Array.isArray(delivery.changes)) return;
    if (isPlain(delivery) && !this.#cueHeard) return; // nothing to compare it with, as with a greeting
    const turn = this.#turns.at(-1);
    if (turn?.who === "agent" && !turn.closed && turn.name === this.agentName) this.#sayHow(turn, delivery);
    else this.#deliveries.push(delivery);
  }

  #sayHow(turn, delivery) {
    const { style, changes, rule } = delivery;
    const again = turn.manners.childElementCount > 0;
    const way = make("span", "way");
    if (isPlain(delivery)) {
      turn.manners.classList.toggle("faint", !again);
      way.append(again ? "then as usual" : `in ${turn.name}’s own way`);
    } else {
      turn.manners.classList.remove("faint");
      const [first, ...others] = style ? [style, ...changes.slice(0, MOST_CHANGES)] : changes.slice(0, MOST_CHANGES);
      const why = make("span", "why", rule ? `rule “${rule}”` : "as the model marked it");
      listed(way, [[again ? "then " : "", make("b", "", first)], ...(others.length ? [[others.join(", ")]] : []), [why]]);
    }
    turn.manners.append(again ? " " : "", way);
    turn.text.after(turn.manners);
  }

  #took(latency) {
    const { total_ms: total, parts } = latency;
    if (!(total >= 0) || !Array.isArray(parts)) return;
    const turn = this.#turns.at(-1);
    if (turn?.who === "agent" && !turn.closed && !turn.timed) this.#time(turn, latency);
    else this.#latency = latency;
  }

  #time(turn, { total_ms: total, parts }) {
    turn.timed = true;
    this.#slowest = Math.max(this.#slowest, total);
    this.#list.querySelectorAll("details[open]").forEach((details) => (details.open = false));
    const details = make("details", "latency");
    details.open = true;
    details.dataset.total = total;
    const summary = make("summary");
    const bar = make("span", "bar");
    bar.setAttribute("aria-hidden", "true");
    const list = make("ul");
    parts.forEach(({ name, ms, by }, n) => {
      const segment = make("span", `part part-${n % 8}`);
      segment.style.flexGrow = Math.max(ms, 0);
      bar.append(segment);
      const item = make("li");
      item.append(make("span", `swatch part-${n % 8}`), `${name} `, make("b", "", `${Math.round(ms)} ms`));
      item.title = by ?? "";
      list.append(item);
    });
    summary.append(make("span", "total", `answered after ${(total / 1000).toFixed(2)} s`), bar);
    details.append(summary, list);
    turn.element.append(details);
    this.#scale();
  }

  // All bars on one scale, so that a slow turn looks slow.
  #scale() {
    for (const details of this.#list.querySelectorAll("details.latency")) {
      details.querySelector(".bar").style.width = `${(100 * details.dataset.total) / this.#slowest}%`;
    }
  }

  #add(who, name) {
    const element = make("li", who);
    const text = make("p", "text");
    element.append(make("span", "who", name), text);
    const turn = { who, name, element, text, closed: false };
    this.#turns.push(turn);
    this.#list.append(element);
    return turn;
  }

  #remove(turn) {
    turn.element.remove();
    this.#turns = this.#turns.filter((other) => other !== turn);
  }

  #show(turn, final, interim) {
    turn.element.hidden = !final && !interim;
    turn.text.replaceChildren(final);
    if (interim) turn.text.append(final ? " " : "", make("span", "interim", interim));
  }

  // Keep the newest in view, unless the reader has scrolled back.
  #scroll() {
    const view = this.#list.parentElement;
    if (this.#pinned && !this.empty) view.scrollTop = view.scrollHeight;
  }
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function isPlain({ style, changes }) {
  return !style && changes.length === 0;
}

// What to call a score, by where it is on its scale.
function word(score, low, middle, high) {
  return score <= 0.4 ? low : score >= 0.6 ? high : middle;
}

// Pieces with a dot between each two; no line breaks within one.
function listed(line, pieces) {
  pieces.forEach((piece, n) => {
    const item = make("span", "piece");
    item.append(...piece);
    line.append(n ? " · " : "", item);
  });
}

// A score from 0 to 1 as a bar from the middle of its scale.
function gauge(score, low, high) {
  const track = make("span", "gauge");
  const fill = make("span", "fill");
  fill.style.left = `${100 * Math.min(score, 0.5)}%`;
  fill.style.width = `${100 * Math.abs(score - 0.5)}%`;
  track.append(fill);
  track.title = `${Math.round(100 * score)} of 100, from ${low} to ${high}`;
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", track.title);
  return track;
}
