// What a simulated process is given for as long as it lives: whatever it says after its end, nobody hears.

import type { CounterName } from "../../src/core/counters.ts";
import type { Log, Meter } from "../../src/core/ports.ts";
import type { KeyManager } from "../../src/keys/manager/key-manager.ts";
import type { Range } from "../../src/vault/vault.ts";
import type { SimNode } from "./node.ts";
import type { Pad, Watch } from "./watched-vault.ts";

/** Of one process: shared with all that it was given. */
export interface Life {
  ended: boolean;
  /** Another process of its KM has taken over, and it goes on: what it uses counts, what it counts and says does not. */
  isFormer: boolean;
}

/** What an observer of a node is told. */
export interface NodeWatch {
  emitted(node: SimNode, block: string, range: Range): void;
  tagged(node: SimNode, block: string, which: "hop" | "end", context: Uint8Array): void;
  padded(node: SimNode, block: string, pads: readonly Pad[], context: Uint8Array | undefined): void;
  counted(node: SimNode, counter: CounterName, labels: Readonly<Record<string, string>>, amount: number): void;
  logged(node: SimNode, level: keyof Log, fields: Readonly<Record<string, unknown>>, sentence: string): void;
  /** The process has ended, or the disk has rejected a commit. */
  disturbed(node: SimNode, isEnd: boolean): void;
}

export const vaultWatch = (node: SimNode, life: Life, watch: NodeWatch): Omit<Watch, "rotated"> => ({
  emitted: (block, range) => {
    // A process that has ended hands out nothing.
    if (!life.ended) watch.emitted(node, block, range);
  },
  tagged: (block, which, context) => watch.tagged(node, block, which, context),
  padded: (block, pads, context) => watch.padded(node, block, pads, context),
});

export function logOf(node: SimNode, life: Life, watch: NodeWatch): Log {
  const line =
    (level: keyof Log) =>
    (fields: Readonly<Record<string, unknown>>, sentence: string): void => {
      if (!life.ended && !life.isFormer) watch.logged(node, level, fields, sentence);
    };
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}

export const meterOf = (node: SimNode, life: Life, watch: NodeWatch): Meter => ({
  add: (counter, labels, amount = 1) => {
    if (!life.ended && !life.isFormer) watch.counted(node, counter, labels, amount);
  },
});

/** The same desk, which does nothing more when the process has ended. `connected` is told of each peer that connects. */
export const whileAlive = (
  peers: KeyManager["peerEvents"],
  life: Life,
  connected: (peer: string) => void,
): KeyManager["peerEvents"] =>
  new Proxy(peers, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: readonly [{ readonly id: string }, ...unknown[]]) => {
        if (name === "connected" && !life.ended && !life.isFormer) connected(args[0].id);
        return life.ended ? undefined : Reflect.apply(member, target, args);
      };
    },
  });
