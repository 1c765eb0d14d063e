// Every byte ever used, over all nodes and all their processes: as application key, as pad, as the key of a tag.

import { STEP } from "../../src/keys/common/key-id.ts";
import type { Range } from "../../src/vault/vault.ts";
import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";
import { ValueTable } from "./value-table.ts";

/** Bits for the steps of 8 bytes of one block. */
class Bitmap {
  readonly #bits: Uint8Array;

  constructor(bytes: number) {
    this.#bits = new Uint8Array(Math.ceil(bytes / STEP / 8));
  }

  /** Clears the steps that the range touches. */
  free({ offset, length }: Range): void {
    for (let step = Math.floor(offset / STEP); step * STEP < offset + length; step++) {
      this.#bits[step >> 3] = (this.#bits[step >> 3] ?? 0) & ~(1 << (step & 7));
    }
  }

  /** Sets the steps that the range touches; false when one was set. */
  take({ offset, length }: Range): boolean {
    let wasFree = true;
    for (let step = Math.floor(offset / STEP); step * STEP < offset + length; step++) {
      const bit = 1 << (step & 7);
      if (((this.#bits[step >> 3] ?? 0) & bit) !== 0) wasFree = false;
      this.#bits[step >> 3] = (this.#bits[step >> 3] ?? 0) | bit;
    }
    return wasFree;
  }
}

interface PadUse {
  readonly node: string;
  readonly first: number;
  readonly end: number;
  /** What leaves under it; undefined where what came is taken out of it, which may have been changed on the way. */
  readonly message: string | undefined;
}

/** Blocks of the simulator are no longer. */
const LARGEST = 16_384;

export class Ledger {
  readonly #checks: Checks;
  /** By node and block: what left for applications. */
  readonly #emitted = new Map<string, Bitmap>();
  /** By key stream, which is source, destination and serial: what was supplied. */
  readonly #supplied = new Map<string, Bitmap>();
  /** The bytes of every key supplied, in steps. */
  readonly #values = new ValueTable();
  readonly #ids: string[] = [];
  readonly #tags = new Map<string, string>();
  readonly #pads = new Map<string, PadUse[]>();
  /** Of key streams, what was supplied and forgotten since; and the IDs of these keys. */
  readonly #again = new Map<string, Bitmap>();
  readonly #forgotten = new Set<string>();

  constructor(checks: Checks) {
    this.#checks = checks;
  }

  emitted(node: SimNode, block: string, range: Range): void {
    const name = nameOf(node, block);
    const isFree = bitmapOf(this.#emitted, name).take(range);
    const { offset, length } = range;
    this.#checks.check("one_use", isFree, () => `${name}: bytes ${offset} to ${offset + length} left twice`);
  }

  /**
   * A key of a KMA-key for one pair of applications. `stream`: what names the KMA-key in the whole run.
   * @returns whether a part of it was supplied before, which nobody can know
   */
  supplied(stream: string, range: Range, id: string, key: Uint8Array): boolean {
    const isFree = bitmapOf(this.#supplied, stream).take(range);
    this.#checks.check("one_use", isFree, () => `KMA-key ${stream}: bytes at ${range.offset} were supplied twice`);
    this.suppliedWhole(id, key);
    return this.#again.get(stream)?.take(range) === false;
  }

  // A copy of the node's store was put back, and nobody has seen this use (design 7): it may happen again.

  forgetEmitted(node: SimNode, block: string, range: Range): void {
    bitmapOf(this.#emitted, nameOf(node, block)).free(range);
  }

  forgetSupplied(stream: string, range: Range, id: string): void {
    bitmapOf(this.#supplied, stream).free(range);
    bitmapOf(this.#again, stream).take(range);
    this.#forgotten.add(id);
  }

  forgetWhole(id: string): void {
    this.#forgotten.add(id);
  }

  forgetTag(node: SimNode, block: string, which: "hop" | "end"): void {
    this.#tags.delete(`${nameOf(node, block)} ${which}`);
  }

  forgetPad({ id }: SimNode, block: string, { offset, length }: Range): void {
    const uses = this.#pads.get(block) ?? [];
    const isIt = (use: PadUse): boolean => use.node === id && use.first === offset && use.end === offset + length;
    this.#pads.set(
      block,
      uses.filter((use) => !isIt(use)),
    );
  }

  /** Whether a key of that ID was supplied, which nobody can know. */
  isForgotten(id: string): boolean {
    return this.#forgotten.has(id);
  }

  /** The bytes of a key: no 8 of them are in another. */
  suppliedWhole(id: string, key: Uint8Array): void {
    const index = this.#ids.push(id) - 1;
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
    for (let at = 0; at + STEP <= key.length; at += STEP) {
      const [high, low] = [view.getUint32(at), view.getUint32(at + 4)];
      const before = this.#values.enter(high, low, index);
      const isForgotten = before !== undefined && this.#forgotten.has(this.#ids[before] ?? "");
      if (isForgotten) this.#values.replace(high, low, index);
      this.#checks.check("one_use", before === undefined || isForgotten, () => {
        return `bytes of key ${id} are in key ${this.#ids[before ?? 0]} too`;
      });
    }
    this.#forgotten.delete(id);
  }

  /** A tag is made: the keys of a block make one message's tag each, whatever restarts lie between. */
  tagged(node: SimNode, block: string, which: "hop" | "end", context: Uint8Array): void {
    const name = `${nameOf(node, block)} ${which}`;
    const message = Buffer.from(context).toString("latin1");
    const before = this.#tags.get(name);
    // The same message again tells nothing new: a receiver that ended in the middle of a relay may hear it once more.
    const isOne = before === undefined || before === message;
    this.#checks.check("one_use", isOne, () => `the tag key of ${name} is used for a second message`);
    this.#tags.set(name, message);
  }

  /** Whether a part of a block served as pad at this node. */
  isPad({ id }: SimNode, block: string): boolean {
    return this.#pads.get(block)?.some(({ node }) => node === id) ?? false;
  }

  /** Parts of link blocks serve as pad: at each end once, and of both ends only one sends under them. */
  padded(node: SimNode, block: string, { offset, length }: Range, context: Uint8Array | undefined): void {
    const message = context && Buffer.from(context).toString("latin1");
    const uses = this.#pads.get(block) ?? [];
    this.#pads.set(block, uses);
    const use = { node: node.id, first: offset, end: offset + length, message };
    const clash = uses.find(
      (other) =>
        other.first < use.end &&
        use.first < other.end &&
        (other.node === use.node || (other.message !== undefined && message !== undefined)),
    );
    this.#checks.check(
      "one_use",
      clash === undefined,
      () => `${block} at ${offset} is a pad a second time, at ${node.id}`,
    );
    uses.push(use);
  }
}

/** Names of link blocks come from the modules and never again; others begin anew with an empty or an old disk. */
const nameOf = ({ id, era }: SimNode, block: string): string =>
  block.startsWith("link:") ? `${id} ${block}` : `${id}#${era} ${block}`;

function bitmapOf(map: Map<string, Bitmap>, name: string): Bitmap {
  const known = map.get(name);
  if (known !== undefined) return known;
  const made = new Bitmap(LARGEST);
  map.set(name, made);
  return made;
}
