// One call: WebRTC audio both ways, and RTVI messages over a data channel.

const RTVI_VERSION = "2.2.0";
const PING_MS = 1000;
const HEARTBEAT_MS = 2000;
const CONNECT_MS = 10000;
const RECOVER_MS = 4000;

/** Why a call could not be made. `kind` is "server-gone", "refused" or "no-audio-path". */
export class CallError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Events: "message" (detail: an RTVI message), "audio" (detail: the agent's MediaStream), "lost" (the connection broke),
 * "left" (the server hung up). After "lost" or "left" nothing more comes.
 */
export class Call extends EventTarget {
  #peer = new RTCPeerConnection();
  #abort = new AbortController();
  #timers = [];
  #channel;
  #over = false;

  /**
   * Call a persona by its name. Resolves when it is ready to listen; rejects with a CallError, or an AbortError after
   * hangUp().
   */
  async connect(stream, persona) {
    const [track] = stream.getAudioTracks();
    this.#peer.addTransceiver(track, { direction: "sendrecv", streams: [stream] });
    this.#peer.addEventListener("track", ({ track }) => this.#emit("audio", new MediaStream([track])));
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
    this.#channel = this.#peer.createDataChannel("rtvi");
    const ready = this.#ready();
    ready.catch(() => {});
    await this.#peer.setLocalDescription();
    // The server has one address to be reached at and needs none of ours.
    const answer = await this.#post({ type: "offer", sdp: this.#peer.localDescription.sdp, persona });
    await this.#peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    await ready;
    this.#timers.push(setInterval(() => this.#heartbeat(), HEARTBEAT_MS));
  }

  /** Have somebody else speak. The server says with a "speaker" message when they do. */
  handOver(persona) {
    const data = { t: "hand-over", d: persona };
    this.#send(JSON.stringify({ label: "rtvi-ai", type: "client-message", id: crypto.randomUUID?.() ?? `${Date.now()}`, data }));
  }

  hangUp() {
    this.#end();
  }

  async #post(offer) {
    let response;
    try {
      response = await fetch("api/offer", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(offer),
        signal: this.#abort.signal,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new CallError("server-gone", error.message);
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new CallError("refused", body.detail ?? `The server answered ${response.status}.`);
    return body;
  }

  #ready() {
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject(new CallError("no-audio-path", "")), CONNECT_MS);
      this.#timers.push(patience);
      this.#abort.signal.addEventListener("abort", () => reject(new DOMException("hung up", "AbortError")));
      this.#channel.addEventListener("open", () => {
        this.#timers.push(setInterval(() => this.#send(`ping: ${Date.now()}`), PING_MS));
        const data = { version: RTVI_VERSION, about: { library: "antiphon" } };
        this.#send(JSON.stringify({ label: "rtvi-ai", type: "client-ready", id: "client-ready", data }));
      });
      this.#channel.addEventListener("close", () => this.#finish("lost"));
      this.#channel.addEventListener("message", ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "signalling") {
          if (message.message?.type === "peerLeft") this.#finish("left");
          return;
        }
        if (message.type === "bot-ready") {
          clearTimeout(patience);
          resolve();
        }
        this.#emit("message", message);
      });
    });
  }

  #send(text) {
    if (this.#channel.readyState === "open") this.#channel.send(text);
  }

  #watch() {
    const state = this.#peer.connectionState;
    if (state === "failed" || state === "closed") this.#finish("lost");
    if (state === "disconnected") {
      const since = setTimeout(() => this.#peer.connectionState !== "connected" && this.#finish("lost"), RECOVER_MS);
      this.#timers.push(since);
    }
  }

  // A server that was killed says no goodbye, and WebRTC takes long to notice.
  async #heartbeat() {
    try {
      await fetch("api/status", { signal: this.#abort.signal });
    } catch (error) {
      if (error.name !== "AbortError") this.#finish("lost");
    }
  }

  #finish(how) {
    if (this.#over) return;
    this.#end();
    this.#emit(how);
  }

  #end() {
    this.#over = true;
    this.#timers.forEach(clearTimeout);
    this.#abort.abort();
    this.#peer.close();
  }

  #emit(type, detail) {
    if (!this.#over || type === "lost" || type === "left") this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
