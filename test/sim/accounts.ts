// No silent loss: whatever leaves a disk was turned into something else, used up, or counted with its reason.

import type { CounterName } from "../../src/core/counters.ts";
import { FIRST_OFFSET, STEP } from "../../src/keys/key-id.ts";
import type { Row } from "../../src/vault/vault.ts";
import type { Steps } from "./machine.ts";
import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";

type Labels = Readonly<Record<string, string>>;

/** What one node has counted, and what has left its disk in this step without a word so far. */
class Account {
  readonly endedBlocks = new Set<string>();
  /** `source` or `destination`, peer, serial. */
  readonly endedKeys = new Set<string>();
  /** Counted just now; the log line that follows tells the serial. */
  counted: Labels | undefined;
  open: { readonly what: string; readonly isExplained: () => boolean }[] = [];
  /** As the disk saw them, and as the counters say. */
  readonly sums = { entered: 0, received: 0, ended: 0, countedEnded: 0 };
}

export class Accounts {
  readonly #checks: Checks;
  readonly #accounts = new Map<SimNode, Account>();

  constructor(checks: Checks) {
    this.#checks = checks;
  }

  #of(node: SimNode): Account {
    const known = this.#accounts.get(node);
    if (known !== undefined) return known;
    const made = new Account();
    this.#accounts.set(node, made);
    return made;
  }

  counted(node: SimNode, counter: CounterName, labels: Labels, amount: number): void {
    const account = this.#of(node);
    if (counter === "blocks_received") account.sums.received += amount;
    if (counter === "blocks_ended") account.sums.countedEnded += amount;
    if (counter === "kma_keys_ended") account.counted = labels;
  }

  logged(node: SimNode, fields: Readonly<Record<string, unknown>>): void {
    const account = this.#of(node);
    if (Array.isArray(fields.blocks) && fields.reason !== undefined) {
      for (const block of fields.blocks) account.endedBlocks.add(String(block));
      account.sums.ended += fields.blocks.length;
    }
    const { counted } = account;
    if (counted === undefined || fields.serial === undefined || counted.reason !== fields.reason) return;
    account.endedKeys.add(`${counted.role}/${fields.peer}/${fields.serial}`);
    account.counted = undefined;
  }

  /** A commit reaches the disk. */
  applied(node: SimNode, steps: Steps): void {
    const account = this.#of(node);
    const named = new Set<unknown>();
    for (const step of steps) {
      if (step.op !== "put") continue;
      if (step.table === "source" || step.table === "held") named.add(step.row.block);
      if (step.table === "block" && node.machine.row("block", step.id) === undefined) account.sums.entered++;
    }
    for (const step of steps) {
      if (step.op !== "remove") continue;
      const row = node.machine.row(step.table, step.id);
      if (row !== undefined) this.#removed(account, { table: step.table, id: step.id, row }, named);
    }
  }

  #removed(
    account: Account,
    { table, id, row }: { readonly table: string; readonly id: string; readonly row: Row },
    named: ReadonlySet<unknown>,
  ): void {
    const { endedBlocks, endedKeys, open } = account;
    const blockEnded = (): boolean => endedBlocks.has(String(row.block));
    if (table === "block" && !named.has(id)) open.push({ what: id, isExplained: () => endedBlocks.has(id) });
    if (table === "source" && Number(row.mark) + STEP <= Number(row.length)) {
      open.push({ what: `source ${id}`, isExplained: () => endedKeys.has(`source/${id}`) || blockEnded() });
    }
    if (table === "held" && !isFetched(row)) {
      open.push({ what: `held ${id}`, isExplained: () => endedKeys.has(`destination/${id}`) || blockEnded() });
    }
  }

  /** A step is over. */
  settle(node: SimNode): void {
    const account = this.#accounts.get(node);
    if (account === undefined || account.open.length === 0) return;
    for (const { what, isExplained } of account.open.splice(0)) {
      this.#checks.check("accounted", isExplained(), () => `${node.id} lost ${what} without counting it`);
    }
  }

  /** The process ended: what its disk lost in that step is for the next process to tell. */
  ended(node: SimNode): void {
    this.#of(node).open = [];
  }

  /** The sums of the counters agree with what the disk saw, exactly where no process ended in between. */
  balance(node: SimNode): void {
    const { entered, received, ended, countedEnded } = this.#of(node).sums;
    this.#checks.check(
      "accounted",
      ended === countedEnded,
      () => `${node.id}: ${countedEnded} blocks counted, ${ended} told`,
    );
    const isWhole = node.boots === 1 ? entered === received : entered >= received;
    this.#checks.check("accounted", isWhole, () => `${node.id}: ${entered} blocks entered, ${received} counted`);
  }
}

function isFetched({ fetched, length }: Row): boolean {
  if (!(fetched instanceof Uint8Array)) return false;
  for (let step = FIRST_OFFSET / STEP; step < Math.floor(Number(length) / STEP); step++) {
    if (((fetched[step >> 3] ?? 0) & (1 << (step & 7))) === 0) return false;
  }
  return true;
}
