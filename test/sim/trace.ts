// What happened: a digest over every step of a run, the last steps kept, and those that were asked for printed.

/** A violation of a rule: the run ends with it. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;

  constructor(rule: string, text: string) {
    super(`${rule}: ${text}`);
    this.rule = rule;
  }
}

const KEPT = 300;
const LOW_PRIME = 0x01000193;
const HIGH_PRIME = 0x85ebca6b;

export interface TraceOptions {
  /** Steps from this one on are printed. */
  readonly from?: number;
  readonly print?: (line: string) => void;
}

/** A step, made a line only for a reader. */
interface Step {
  readonly number: number;
  readonly nowMs: number;
  readonly owner: string;
  readonly what: string;
}

const lineOf = (line: Step | string): string =>
  typeof line === "string" ? line : `#${line.number} ${line.nowMs.toFixed(3)} ${line.owner} ${line.what}`;

export class Trace {
  steps = 0;
  readonly #options: TraceOptions;
  readonly #last: (Step | string)[] = [];
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Uint32Array(this.#time.buffer);
  #low = 0x811c9dc5;
  #high = 0x01000193;

  constructor(options: TraceOptions = {}) {
    this.#options = options;
  }

  /** A step begins. */
  step(nowMs: number, owner: string, what: string): void {
    this.#time[0] = nowMs;
    this.#mix(this.#timeWords[0] ?? 0);
    this.#mix(this.#timeWords[1] ?? 0);
    this.#mixText(owner);
    this.#mixText(what);
    this.#keep({ number: ++this.steps, nowMs, owner, what });
  }

  /** Something worth knowing happened within the step. */
  note(text: string): void {
    this.#mixText(text);
    this.#keep(`    ${text}`);
  }

  /** Only for a reader of the printed trace; not in the digest. */
  remark(text: () => string): void {
    if (this.#prints) this.#options.print?.(`      ${text()}`);
  }

  get #prints(): boolean {
    return this.#options.from !== undefined && this.steps >= this.#options.from;
  }

  #mixText(text: string): void {
    let [low, high] = [this.#low, this.#high];
    for (let index = 0; index < text.length; index++) {
      low = Math.imul(low ^ text.charCodeAt(index), LOW_PRIME);
      high = Math.imul(high ^ (low >>> 7), HIGH_PRIME);
    }
    this.#low = low;
    this.#high = high;
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, LOW_PRIME);
    this.#high = Math.imul(this.#high ^ (this.#low >>> 7), HIGH_PRIME);
  }

  #keep(line: Step | string): void {
    this.#last.push(line);
    if (this.#last.length > 2 * KEPT) this.#last.splice(0, KEPT);
    if (this.#prints) this.#options.print?.(lineOf(line));
  }

  /** Over all lines so far: two runs agree when it does. */
  get digest(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  last(count: number): readonly string[] {
    return this.#last.slice(-count).map(lineOf);
  }
}
