// How loud a stream is, shown by the arcs of a voice.

const QUIET_DB = -55;
const LOUD_DB = -12;
const STEPS = 3;

export class Meter {
  #context;
  #voices = new Map();
  #frame = 0;

  /** Show the level of `stream` on `element` until stop(). */
  show(stream, element) {
    this.#context ??= new AudioContext();
    this.#context.resume();
    this.#voices.get(element)?.source.disconnect();
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    source.connect(analyser);
    this.#voices.set(element, { source, analyser, samples: new Float32Array(analyser.fftSize), level: 0 });
    if (!this.#frame) this.#draw();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const [element, { source }] of this.#voices) {
      source.disconnect();
      light(element, 0);
    }
    this.#voices.clear();
    this.#context?.close();
    this.#context = undefined;
  }

  #draw() {
    for (const [element, voice] of this.#voices) {
      voice.analyser.getFloatTimeDomainData(voice.samples);
      const power = voice.samples.reduce((sum, x) => sum + x * x, 0) / voice.samples.length;
      const loudness = (10 * Math.log10(power + 1e-12) - QUIET_DB) / (LOUD_DB - QUIET_DB);
      // Rises at once and falls slowly, so that syllables don't flicker.
      voice.level = Math.max(Math.min(Math.max(loudness, 0), 1), voice.level * 0.93);
      light(element, voice.level);
    }
    this.#frame = requestAnimationFrame(() => this.#draw());
  }
}

function light(element, level) {
  element.querySelectorAll("path").forEach((arc, n) => {
    arc.style.opacity = 0.16 + 0.84 * Math.min(Math.max(level * STEPS - n, 0), 1);
  });
}
