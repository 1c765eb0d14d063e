// A CPU profile of V8 as a tree of calls with times, and the functions that cost most.

/** What V8 writes with `--cpu-prof`, as far as it is used here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  /** Microseconds of the monotonic clock. */
  readonly startTime: number;
  /** The node that was seen, at each sample. */
  readonly samples: readonly number[];
  /** Microseconds from one sample to the next; the first is from `startTime`. */
  readonly timeDeltas: readonly number[];
}

/** Microseconds of the monotonic clock; `process.hrtime` has the same. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** A function where it was called from. */
export interface Call {
  readonly name: string;
  /** `src/keys/fetch/fetch.ts:42`; empty for what V8 does by itself. */
  readonly place: string;
  readonly selfMicros: number;
  /** With all that it called. */
  readonly totalMicros: number;
  readonly callees: readonly Call[];
}

/** One function, wherever it was called from. */
export interface Cost {
  readonly name: string;
  readonly place: string;
  readonly selfMicros: number;
  readonly totalMicros: number;
}

/** Time in which the process had nothing to do. */
const IDLE = "(idle)";

/** What the process did in that time, without its idling. `root`: the folder, as a URL, that places are told from. */
export function callsOf(profile: CpuProfile, window: Window, root: string): Call {
  const self = selfTimes(profile, window);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const call = (id: number): Call => {
    const node = nodes.get(id);
    if (node === undefined) throw new Error(`the profile has no node ${id}`);
    const { functionName, url, lineNumber } = node.callFrame;
    const callees = (node.children ?? []).map(call).filter(({ totalMicros }) => totalMicros > 0);
    const selfMicros = functionName === IDLE ? 0 : (self.get(id) ?? 0);
    const totalMicros = callees.reduce((sum, callee) => sum + callee.totalMicros, selfMicros);
    const place = url === "" ? "" : `${url.replace(root, "")}:${lineNumber + 1}`;
    return { name: functionName || "(anonymous)", place, selfMicros, totalMicros, callees };
  };
  const [first] = profile.nodes;
  if (first === undefined) throw new Error("the profile is empty");
  return call(first.id);
}

/** A sample's time is the one up to the next. */
function selfTimes({ startTime, samples, timeDeltas }: CpuProfile, { from, to }: Window): Map<number, number> {
  const times = new Map<number, number>();
  let at = startTime;
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index] ?? 0;
    const until = at + (timeDeltas[index + 1] ?? 0);
    const inside = Math.min(until, to) - Math.max(at, from);
    if (inside > 0) times.set(id, (times.get(id) ?? 0) + inside);
  }
  return times;
}

/** All functions, those first that cost most by themselves. */
export function costs(root: Call): readonly Cost[] {
  const byFunction = new Map<string, { name: string; place: string; selfMicros: number; totalMicros: number }>();
  const above = new Set<string>();
  const visit = ({ name, place, selfMicros, totalMicros, callees }: Call): void => {
    const key = `${name} ${place}`;
    const cost = byFunction.get(key) ?? { name, place, selfMicros: 0, totalMicros: 0 };
    byFunction.set(key, cost);
    cost.selfMicros += selfMicros;
    const isInner = above.has(key);
    if (!isInner) cost.totalMicros += totalMicros;
    above.add(key);
    for (const callee of callees) visit(callee);
    if (!isInner) above.delete(key);
  };
  visit(root);
  return [...byFunction.values()].sort((a, b) => b.selfMicros - a.selfMicros);
}

/** The hottest functions: percent of the busy time, by themselves and with what they call. */
export function hotTable(root: Call, rows: number): string {
  const percent = (micros: number) => `${((100 * micros) / root.totalMicros).toFixed(1)} %`;
  const lines = costs(root)
    .filter(({ selfMicros }) => selfMicros > 0)
    .slice(0, rows)
    .map(({ name, place, selfMicros, totalMicros }) => {
      const times = [percent(selfMicros), percent(totalMicros)].map((text) => text.padStart(7));
      return `${times.join("  ")}  ${name.padEnd(32)}  ${place}`.trimEnd();
    });
  return ["   self    total  function", ...lines].join("\n");
}
