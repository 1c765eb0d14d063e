// What rejected changes were to take off the disk: tried again until the store takes it.
//
// A removal that was rejected is final in memory, so nobody would ask for it again before the next start; till then the
// rows and records would stay, and count, on the disk.

import type { BlockId } from "../vault.ts";

/** A step of a change that takes something off the disk. */
export type Removal =
  | { readonly op: "remove"; readonly table: string; readonly id: string }
  | { readonly op: "destroy"; readonly block: BlockId };

/** Any step of a change, as far as it matters here. */
type Step =
  | Removal
  | { readonly op: "put"; readonly table: string; readonly id: string }
  | { readonly op: "keep"; readonly block: BlockId };

/** Removals that one change makes up for. */
const MOST = 256;

/** Removals that the store rejected, to be tried again; bounded. */
export class Removals {
  readonly #pending = new Map<string, Removal>();
  /** Of each change that makes up for some of them now, without what was written anew meanwhile. */
  readonly #underWay = new Set<Map<string, Removal>>();

  get size(): number {
    return this.#pending.size;
  }

  /** A change goes to the store: what it writes anew is not removed later. */
  begun(steps: Iterable<Step>): void {
    if (this.#pending.size === 0 && this.#underWay.size === 0) return;
    for (const step of steps) {
      if (step.op !== "put" && step.op !== "keep") continue;
      const name = nameOf(step);
      this.#pending.delete(name);
      for (const some of this.#underWay) some.delete(name);
    }
  }

  /** The change was rejected. */
  rejected(steps: Iterable<Step>): void {
    // rule: make-up-removals
    for (const step of steps) if (step.op === "remove" || step.op === "destroy") this.#pending.set(nameOf(step), step);
  }

  /**
   * Makes up for some of them with `commit`; false when the store took them not, or there may be more. Where a disk is slow
   * one may begin while another is under way: each puts back its own.
   */
  async retry(commit: (removals: readonly Removal[]) => Promise<void>): Promise<boolean> {
    const some = new Map([...this.#pending].slice(0, MOST));
    for (const name of some.keys()) this.#pending.delete(name);
    this.#underWay.add(some);
    try {
      await commit([...some.values()]);
      return this.#pending.size === 0;
    } catch {
      for (const [name, removal] of some) this.#pending.set(name, removal);
      return false;
    } finally {
      this.#underWay.delete(some);
    }
  }
}

const nameOf = (step: Step): string =>
  step.op === "put" || step.op === "remove" ? `row\n${step.table}\n${step.id}` : `block\n${step.block}`;
