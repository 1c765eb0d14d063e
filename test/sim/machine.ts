// A node's disk and token with an observer: it sees each commit as it reaches the disk, and finds the row of a block.

import type { BlockId, Row } from "../../src/vault/vault.ts";
import { ModelMachine } from "../support/model-vault.ts";

export type Steps = Parameters<ModelMachine["apply"]>[0];

/** The rows that say what of a block may leave. */
const USES = ["source", "held", "whole"] as const;

export class SimMachine extends ModelMachine {
  override isShared = true;
  /** The oracle keeps its own books. */
  override isRecording = false;
  /** Called before a commit changes the disk. */
  applied: (steps: Steps) => void = () => {};
  readonly #rowOf = new Map<string, string>();

  override apply(steps: Steps): void {
    this.applied(steps);
    for (const step of steps) {
      if (step.op !== "put" && step.op !== "remove") continue;
      const name = step.table;
      if (name !== "source" && name !== "held" && name !== "whole") continue;
      const key = `${name}\n${step.id}`;
      const old = this.rows.get(key);
      if (old !== undefined) this.#rowOf.delete(`${name}\n${old.block}`);
      if (step.op === "put") this.#rowOf.set(`${name}\n${step.row.block}`, key);
    }
    super.apply(steps);
  }

  /** After a restore or the loss of the disk. */
  reindex(): void {
    this.#rowOf.clear();
    for (const [key, row] of this.rows) {
      const name = USES.find((table) => key.startsWith(`${table}\n`));
      if (name !== undefined) this.#rowOf.set(`${name}\n${row.block}`, key);
    }
  }

  /** The row of a KMA-key, by its block. */
  rowOf(table: (typeof USES)[number], block: BlockId): Row | undefined {
    const key = this.#rowOf.get(`${table}\n${block}`);
    return key === undefined ? undefined : this.rows.get(key);
  }

  /** Whether a key of that ID came from a strict peer and is known still. */
  namesWhole(keyId: string): boolean {
    for (const [key, { state, keys }] of this.rows) {
      if (key.startsWith("whole\n") && (state === "held" || state === "gone") && String(keys).includes(keyId))
        return true;
    }
    return false;
  }

  row(table: string, id: string): Row | undefined {
    return this.rows.get(`${table}\n${id}`);
  }

  record(block: BlockId): Uint8Array | undefined {
    return this.records.get(`block\n${block}`);
  }
}
