// Sets of numbers written in runs, such as `17,20-22`: serials given up, blocks held.

/** Numbers without a gap, both ends among them. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** Numbers in ascending runs. @throws RangeError when `text` is not such a list of safe integers */
export function parseRuns(text: string): readonly Run[] {
  const runs: Run[] = [];
  if (text === "") return runs;
  const scanner = new Scanner(text);
  for (let before = -1; ; ) {
    const first = scanner.number();
    const last = scanner.takes("-") ? scanner.number() : first;
    if (last < first || first <= before) throw new RangeError("runs must ascend");
    runs.push({ first, last });
    if (scanner.isDone) return runs;
    if (!scanner.takes(",")) throw new RangeError(GRAMMAR);
    before = last;
  }
}

const GRAMMAR = "a run must be a number or two with a hyphen between";
const MAX_DIGITS = 15;
const ZERO = 48;

/** Walks through a list of runs without cutting it up: a peer may send some 65,000. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isDone(): boolean {
    return this.#at === this.#text.length;
  }

  /** Goes past `char` if that is next. */
  takes(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  /** Digits, one at least. @throws RangeError */
  number(): number {
    const from = this.#at;
    let value = 0;
    for (;;) {
      const digit = this.#text.charCodeAt(this.#at) - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
      this.#at += 1;
    }
    const digits = this.#at - from;
    if (digits === 0 || digits > MAX_DIGITS) throw new RangeError(GRAMMAR);
    return value;
  }
}

/** The numbers (ascending, none twice) as text. */
export function formatRuns(ascending: Iterable<number>): string {
  const runs: { first: number; last: number }[] = [];
  for (const value of ascending) {
    const open = runs.at(-1);
    if (open && value === open.last + 1) open.last = value;
    else runs.push({ first: value, last: value });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** A test of membership that takes numbers in any order. */
export function inRuns(runs: readonly Run[]): (value: number) => boolean {
  return (value) => {
    let low = 0;
    let high = runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const run = runs[middle];
      if (run === undefined) return false;
      if (value < run.first) high = middle - 1;
      else if (value > run.last) low = middle + 1;
      else return true;
    }
    return false;
  };
}

/** The highest numbers, at most `most`, ascending: however many and long the runs are. */
export function lastNumbers(runs: readonly Run[], most: number): number[] {
  const numbers: number[] = [];
  for (let at = runs.length - 1; at >= 0 && numbers.length < most; at--) {
    const { first = 0, last = -1 } = runs[at] ?? {};
    for (let value = last; value >= first && numbers.length < most; value--) numbers.push(value);
  }
  return numbers.reverse();
}

/** Numbers told in several lists of runs, each list above the one before: looked up as if they had come in one. */
export class RunSet {
  readonly #runs: Run[] = [];
  readonly has = inRuns(this.#runs);

  /** False when a list does not lie above what is there; nothing is taken of it then. */
  add(runs: readonly Run[]): boolean {
    const [first] = runs;
    const before = this.#runs.at(-1);
    if (first !== undefined && before !== undefined && first.first <= before.last) return false;
    for (const run of runs) this.#runs.push(run);
    return true;
  }

  /** The highest of all; undefined when there are none. */
  get highest(): number | undefined {
    return this.#runs.at(-1)?.last;
  }

  /** As `lastNumbers`. */
  last(most: number): number[] {
    return lastNumbers(this.#runs, most);
  }
}

/** Cuts a list into lists of at most `maxChars` characters. */
export function splitRuns(text: string, maxChars: number): string[] {
  const parts: string[] = [];
  let open = "";
  for (const run of text === "" ? [] : text.split(",")) {
    if (open !== "" && open.length + 1 + run.length > maxChars) {
      parts.push(open);
      open = "";
    }
    open = open === "" ? run : `${open},${run}`;
  }
  if (open !== "") parts.push(open);
  return parts;
}
