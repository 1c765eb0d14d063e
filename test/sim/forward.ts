// Nothing on a disk goes back: a row that is older than the one it replaces would give again what that one says is used.

import type { Row } from "../../src/vault/vault.ts";
import type { SimMachine, Steps } from "./machine.ts";
import type { Checks } from "./rules.ts";

/** Parts of a row, each of which must never be less than it was: numbers, places in several numbers, bytes of bits. */
type Marks = Readonly<Record<string, readonly number[] | Uint8Array>>;

/** A node, as far as its disk goes. */
interface Disk {
  readonly id: string;
  readonly machine: Pick<SimMachine, "row">;
}

type Put = Extract<Steps[number], { readonly op: "put" }>;

const STATES: readonly unknown[] = ["reserved", "ready", "open"];
const WHOLE_STATES: readonly unknown[] = ["reserved", "ready", "held", "gone"];

const MARKS: Readonly<Record<string, (row: Row) => Marks>> = {
  pad: (row) => ({
    own: numbers(row.ownRun, row.ownSequence, row.ownOffset),
    seen: numbers(row.seenRun, row.seenSequence, row.seenOffset),
  }),
  peer: ({ nextSerial, proved, accepted }) => ({
    "next serial": numbers(nextSerial),
    proved: numbers(proved),
    accepted: numbers(accepted),
  }),
  // At an orderly stop the mark is where carving ended.
  source: ({ state, mark, exact }) => ({
    state: [STATES.indexOf(state)],
    ...(exact !== true && { mark: numbers(mark) }),
  }),
  held: ({ fetched, witness }) => ({ witness: numbers(witness), ...(fetched instanceof Uint8Array && { fetched }) }),
  whole: ({ state, taken }) => ({
    state: [WHOLE_STATES.indexOf(state)],
    ...(taken instanceof Uint8Array && { taken }),
  }),
  multicast: ({ taken }) => (taken instanceof Uint8Array ? { taken } : {}),
};

/** What is not there yet is less than everything. */
const numbers = (...values: readonly unknown[]): readonly number[] => values.map((value) => Number(value ?? -1));

/** Holds each commit against what is on the disk already. */
export class Forward {
  readonly #checks: Checks;
  /** Rows that are on the disk as their process thinks. */
  readonly #sure = new Map<Disk, Set<string>>();

  constructor(checks: Checks) {
    this.#checks = checks;
  }

  /** A commit was rejected: what was to leave has not, and what others wrote of it meanwhile is put right. */
  rejected(node: Disk): void {
    this.#sure.delete(node);
  }

  /** A commit reaches the disk; `isKnown` to the process that sent it. @throws Violation */
  applied(node: Disk, steps: Steps, isKnown: boolean): void {
    const sure = this.#sure.get(node) ?? new Set();
    this.#sure.set(node, sure);
    for (const step of steps) {
      if (step.op !== "put" && step.op !== "remove") continue;
      const marksOf = MARKS[step.table];
      if (marksOf === undefined) continue;
      const name = `${step.table} ${step.id}`;
      if (step.op === "put" && sure.has(name)) this.#check(node, step, marksOf);
      if (step.op === "put" && isKnown) sure.add(name);
      else sure.delete(name);
    }
  }

  #check(node: Disk, { table, id, row }: Put, marksOf: (row: Row) => Marks): void {
    const old = node.machine.row(table, id);
    const less = old?.block === row.block ? lessOf(marksOf(old ?? {}), marksOf(row)) : undefined;
    this.#checks.check("forward", less === undefined, () => `${node.id} writes ${table} ${id} with ${less}`);
  }
}

/** Which mark goes back, in words. */
function lessOf(old: Marks, now: Marks): string | undefined {
  for (const what in old) {
    const [before, after] = [old[what], now[what]];
    if (before === undefined || after === undefined) continue;
    const isLess =
      before instanceof Uint8Array
        ? before.some((byte, at) => (byte & ~(after[at] ?? 0)) !== 0)
        : isBefore(after, before);
    if (isLess) return `${what} ${after} after ${before}`;
  }
  return undefined;
}

function isBefore(one: Marks[string], other: Marks[string]): boolean {
  for (let at = 0; at < one.length; at++) {
    if (one[at] !== other[at]) return (one[at] ?? 0) < (other[at] ?? 0);
  }
  return false;
}
