// No silent loss: whatever leaves a disk was turned into something else, used up, or counted with its reason.

import type { CounterName } from "../../src/core/counters.ts";
import type { KmId } from "../../src/core/ids.ts";
import { FIRST_OFFSET, STEP } from "../../src/keys/common/key-id.ts";
import type { Row } from "../../src/vault/vault.ts";
import type { Steps } from "./machine.ts";
import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";

type Labels = Readonly<Record<string, string>>;

/** What one node's disk lost unused, and what the node counted as ended. */
class Account {
  /** Of this process; a process that ends takes with it what it counted and did not get onto the disk. */
  lost = 0;
  counted = 0;
  /** The last things lost, for the message. */
  names: string[] = [];
  /** Over all processes. */
  readonly sums = { entered: 0, received: 0, lost: 0, counted: 0, marked: 0 };
  /** A commit did not happen, or a process ended: what was counted may not agree exactly. */
  isSmooth = true;
}

/** Counters that tell of something that ended unused, one for each call. */
const ENDS: readonly CounterName[] = ["blocks_ended", "kma_keys_ended", "pad_bytes_lost"];
/** Where pads and parts come in, one end on the disk may be several counted, or none. */
const OF_SEVERAL = /^pad_bytes|^transits|^kma_keys_relayed/;
/** Pads of one key lie in several blocks: a loss of pads explains as many, more where the link's blocks are small. */
const PAD_BLOCKS = 4;

function padBlocks({ settings }: SimNode, link: string | undefined, bytes: number): number {
  const { blockBytes = bytes } = settings.links.find(({ id }) => id === link) ?? {};
  return Math.max(PAD_BLOCKS, 1 + Math.ceil(bytes / blockBytes));
}

export class Accounts {
  readonly #checks: Checks;
  readonly #accounts = new Map<SimNode, Account>();

  readonly #isPad: (node: SimNode, block: string) => boolean;

  /** `isPad`: whether a block was used as pad at a node. */
  constructor(checks: Checks, isPad: (node: SimNode, block: string) => boolean) {
    this.#checks = checks;
    this.#isPad = isPad;
  }

  #of(node: SimNode): Account {
    const known = this.#accounts.get(node);
    if (known !== undefined) return known;
    const made = new Account();
    this.#accounts.set(node, made);
    return made;
  }

  counted(node: SimNode, counter: CounterName, { role, reason, peer, link }: Labels, amount: number): void {
    const account = this.#of(node);
    if (counter === "blocks_received") account.sums.received += amount;
    // Parts that never became a KMA-key are in no row.
    const isOfParts = counter === "kma_keys_ended" && role === "destination" && reason === "given_up";
    if (isOfParts || OF_SEVERAL.test(counter)) account.isSmooth = false;
    if (!ENDS.includes(counter)) return;
    // A KMA-key that was to be made of parts takes as many blocks with it.
    const parts = (role === "source" && node.settings.paths?.get((peer ?? "") as KmId)) || 1;
    const things = counter === "pad_bytes_lost" ? padBlocks(node, link, amount) : amount * parts;
    account.counted += things;
    account.sums.counted += things;
  }

  /** A commit reaches the disk. */
  applied(node: SimNode, steps: Steps): void {
    const account = this.#of(node);
    const named = new Set<unknown>();
    const isPassing = steps.some((step) => step.op === "put" && step.table === "pad");
    for (const step of steps) {
      if (step.op !== "put") continue;
      if (step.table === "source" || step.table === "held") named.add(kmaBlockOf(step.row));
      if (step.table === "block" && node.machine.row("block", step.id) === undefined) account.sums.entered++;
    }
    const destroyed = new Set(steps.flatMap((step) => (step.op === "destroy" ? [step.block as string] : [])));
    for (const step of steps) {
      if (step.op !== "remove") continue;
      // A block that stays is part of a KMA-key to be.
      if (step.table === "block" && !destroyed.has(step.id)) continue;
      const row = node.machine.row(step.table, step.id);
      // Its mark ran ahead to the end: whether all below it was supplied, only memory knew.
      if (row !== undefined && step.table === "source" && !isUnused("source", step.id, row, named))
        account.sums.marked++;
      if (row === undefined || !isUnused(step.table, step.id, row, named)) continue;
      // It was pad; or the same change moves the mark of pads, and takes with them what goes on under them.
      if (isPassing || this.#isPad(node, step.id)) continue;
      // The commit in which a process ends is nobody's to count any more.
      if (!node.isRunning) continue;
      account.lost++;
      account.sums.lost++;
      account.names = [...account.names.slice(-9), `${step.table} ${step.id}`];
    }
  }

  /** A step is over. */
  settle(node: SimNode): void {
    const account = this.#accounts.get(node);
    if (account === undefined) return;
    const { lost, counted, names } = account;
    this.#checks.check("accounted", lost <= counted, () => {
      return `${node.id} has lost ${lost} blocks and keys and counted ${counted}; the last: ${names.join(", ")}`;
    });
  }

  /** A process ended, or a commit was rejected. */
  disturbed(node: SimNode, isEnd: boolean): void {
    const account = this.#of(node);
    account.isSmooth = false;
    if (isEnd) account.counted = account.lost = 0;
  }

  /** The sums of the counters agree with what the disk saw, exactly where nothing came in between. */
  balance(node: SimNode): void {
    const { sums, isSmooth } = this.#of(node);
    const { entered, received, lost, counted, marked } = sums;
    const isRight = isSmooth ? entered === received : entered >= received;
    this.#checks.check("accounted", isRight, () => `${node.id}: ${entered} blocks entered, ${received} counted`);
    const isExact = isSmooth && (node.settings.paths?.size ?? 0) === 0 ? counted <= lost + marked : true;
    this.#checks.check(
      "accounted",
      lost <= counted && isExact,
      () => `${node.id}: ${lost} ends on the disk, ${counted} counted`,
    );
  }
}

/** A KMA-key that is no link block itself was made of those that the same change takes away. */
const OF_PARTS = "parts";
const kmaBlockOf = ({ block }: Row): unknown => (String(block).startsWith("link:") ? block : OF_PARTS);

/** Whether a row goes with key in it that nobody had. `named`: what the same change turns into KMA-keys or pads. */
function isUnused(table: string, id: string, row: Row, named: ReadonlySet<unknown>): boolean {
  if (table === "block") return !named.has(id) && !named.has(OF_PARTS);
  if (table === "source") return Number(row.mark) + STEP <= Number(row.length);
  return table === "held" && !isFetched(row);
}

function isFetched({ fetched, length }: Row): boolean {
  if (!(fetched instanceof Uint8Array)) return false;
  for (let step = FIRST_OFFSET / STEP; step < Math.floor(Number(length) / STEP); step++) {
    if (((fetched[step >> 3] ?? 0) & (1 << (step & 7))) === 0) return false;
  }
  return true;
}
