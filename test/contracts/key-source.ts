// The contract of src/device/key-source.ts as tests, for every driver and for the simulated module.

import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ArrivedBlock, KeySource } from "../../src/device/key-source.ts";

/** A module that makes blocks all the time, and the line to it. */
export interface KeySourceRig extends AsyncDisposable {
  readonly blockBytes: number;
  /** Slots of the pool that `open` gives to the source, at least 4; and how many are taken now. */
  readonly slots: number;
  taken(): number;
  /** Opens the source; the one before was disposed. */
  open(): Promise<KeySource>;
  /** What the module made under this name. */
  made(run: number, sequence: number): Uint8Array;
  /** Pulls the line out; puts it back. */
  unplug(): Promise<void>;
  plug(): Promise<void>;
  /** The module loses its power and starts again. */
  restartModule(): Promise<void>;
  /** Waits, and lets time pass meanwhile. @throws Error after a deadline */
  wait<T>(promise: Promise<T>): Promise<T>;
  /** Waits until `done`. @throws Error that names `what` after a deadline */
  until(what: string, done: () => boolean): Promise<void>;
}

/** Registers the tests; `build` makes a rig for each. */
export function exerciseKeySource(name: string, build: () => Promise<KeySourceRig>): void {
  describe(`${name} keeps the contract of a key source`, () => {
    let rig: KeySourceRig;
    let source: KeySource;
    let iterator: AsyncIterator<ArrivedBlock>;

    const open = async () => {
      source = await rig.open();
      iterator = source.blocks()[Symbol.asyncIterator]();
    };
    const next = async (): Promise<ArrivedBlock> => {
      const { value, done } = await rig.wait(iterator.next());
      if (done) throw new Error("the source has ended");
      return value;
    };
    /** Takes `count` blocks, compares their bytes, acknowledges and releases them; gives their names. */
    const take = async (count: number): Promise<{ run: number; sequence: number }[]> => {
      const names: { run: number; sequence: number }[] = [];
      while (names.length < count) {
        const { run, sequence, key, acknowledge } = await next();
        expect(key.length).toBe(rig.blockBytes);
        expect(key.lend((bytes) => Buffer.compare(bytes, rig.made(run, sequence)))).toBe(0);
        acknowledge();
        key[Symbol.dispose]();
        names.push({ run, sequence });
      }
      return names;
    };
    const follow = (names: readonly { run: number; sequence: number }[]): void => {
      for (const [index, name] of names.entries()) {
        const before = names[index - 1];
        if (before) expect(name).toEqual({ run: before.run, sequence: before.sequence + 1 });
      }
    };

    beforeEach(async () => {
      rig = await build();
      await open();
    });
    afterEach(async () => {
      await source[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    });

    test("blocks come in the order of the module, whole, with its bytes", async () => {
      follow(await take(30));
    });

    test("the next may be asked before the last is acknowledged, up to the slots of the pool; any order will do", async () => {
      const held: ArrivedBlock[] = [];
      while (held.length < rig.slots) held.push(await next());
      let further: ArrivedBlock | undefined;
      const waiting = next().then((block) => {
        further = block;
      });
      expect(rig.taken()).toBe(rig.slots);
      for (const block of held.toReversed()) block.acknowledge();
      expect(further).toBeUndefined();
      for (const block of held) block.key[Symbol.dispose]();
      await waiting;
      follow([...held, ...(further ? [further] : [])].map(({ run, sequence }) => ({ run, sequence })));
      further?.key[Symbol.dispose]();
    });

    test("the status names module, role, run, error rate and key rate", async () => {
      const [first] = await take(1);
      await rig.until("the module reports", () => source.status().keyRateBitsPerS !== undefined);
      const status = source.status();
      expect(status).toMatchObject({ line: "up", run: first?.run, alarms: [] });
      expect(status.module).not.toBe("");
      expect(["tx", "rx"]).toContain(status.role);
      expect(status.qber).toBeGreaterThanOrEqual(0);
      expect(status.qber).toBeLessThanOrEqual(1);
      expect(status.keyRateBitsPerS).toBeGreaterThan(0);
    });

    test("a line pulled out shows; put back, it goes on with the next block", async () => {
      const names = await take(5);
      await rig.unplug();
      await rig.until("the line is down", () => source.status().line === "down");
      await rig.plug();
      await rig.until("the line is up", () => source.status().line === "up");
      follow([...names, ...(await take(10))]);
    });

    test("a block that was not acknowledged comes again when the source is opened again, and no other", async () => {
      await take(3);
      const [first, second, third] = [await next(), await next(), await next()];
      second.acknowledge();
      for (const block of [first, second, third]) block.key[Symbol.dispose]();
      const fourth = await take(1);
      await rig.until("the module has the receipts", receiptsSettled(rig));
      await source[Symbol.asyncDispose]();
      await open();
      const again = await take(3);
      expect(again[0]?.sequence).toBe(first.sequence);
      expect(again[1]?.sequence).toBe(third.sequence);
      expect(again[2]?.sequence).toBeGreaterThan(fourth[0]?.sequence ?? Number.POSITIVE_INFINITY);
    });

    test("a module that starts again begins at sequence 0 of a higher run", async () => {
      const [last] = (await take(3)).slice(-1);
      await rig.restartModule();
      let name = last;
      while (name?.run === last?.run) [name] = await take(1);
      expect(name?.run).toBeGreaterThan(last?.run ?? Number.POSITIVE_INFINITY);
      expect(name?.sequence).toBe(0);
      follow([...(name ? [name] : []), ...(await take(5))]);
      expect(source.status().run).toBe(name?.run);
    });

    test("a key never prints", async () => {
      const { key } = await next();
      expect([`${key}`, JSON.stringify(key), inspect(key)]).toEqual(["[secret]", '"[secret]"', "[secret]"]);
      key[Symbol.dispose]();
      expect(() => key.lend(() => 0)).toThrow();
    });

    test("dispose ends the iteration and gives back every slot that is not in someone's hands", async () => {
      const block = await next();
      const waiting = (async () => {
        let item = await iterator.next();
        while (!item.done) {
          item.value.key[Symbol.dispose]();
          item = await iterator.next();
        }
        return item.done;
      })();
      await source[Symbol.asyncDispose]();
      expect(await rig.wait(waiting)).toBe(true);
      expect(rig.taken()).toBe(1);
      block.acknowledge();
      block.key[Symbol.dispose]();
      expect(rig.taken()).toBe(0);
    });
  });
}

/** True after enough turns for what was acknowledged to reach the module. */
function receiptsSettled(rig: KeySourceRig): () => boolean {
  let turns = rig.slots * 20;
  return () => turns-- <= 0;
}
