// The contract of src/device/key-box.ts as tests, for every driver of vendor's boxes: a pair of boxes, a KM at each.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BoxEnd } from "../../drivers/simulator/boxes/shared-keys.ts";
import { asFault, type FaultCode } from "../../src/core/fault.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { type Secret, secretOf } from "../../src/core/memory/secret.ts";
import type { KeyBox } from "../../src/device/key-box.ts";

/** What goes wrong with both boxes from now on. */
export interface RigFaults {
  readonly slowMs?: number;
  readonly lateMs?: number;
  readonly oneEnd?: number;
  readonly wrong?: number;
  readonly requestsPerS?: number;
}

/** A pair of boxes that have key all the time. */
export interface KeyBoxRig extends AsyncDisposable {
  readonly blockBytes: number;
  /** Opens the driver at one end; the rig's owner disposes it. */
  open(end: BoxEnd): Promise<KeyBox>;
  /** The locked memory that was given to drivers. */
  readonly memory: readonly Uint8Array[];
  faults(faults: RigFaults): void;
  /** The box at one end is switched off; on again. */
  unplug(end: BoxEnd): Promise<void>;
  plug(end: BoxEnd): Promise<void>;
  /** From now on the box shows a certificate that has expired; a good one again. */
  expire(end: BoxEnd, isExpired: boolean): Promise<void>;
  /** The KM's own certificate at one end has expired, or is renewed: the files are read with the next connection. */
  expireOwn(end: BoxEnd, isExpired: boolean): Promise<void>;
}

/** Long enough for any machine. */
const LONG_MS = 60_000;

/** Registers the tests; `build` makes a rig for each. */
export function exerciseKeyBox(name: string, build: () => Promise<KeyBoxRig>): void {
  describe(`${name} keeps the contract of a key box`, () => {
    let rig: KeyBoxRig;
    let boxes: Record<BoxEnd, KeyBox>;

    beforeEach(async () => {
      rig = await build();
      boxes = { a: await rig.open("a"), b: await rig.open("b") };
    });
    afterEach(async () => {
      await boxes.a[Symbol.asyncDispose]();
      await boxes.b[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    });

    const empty = (): Secret => secretOf(new Uint8Array(rig.blockBytes));
    const hex = (secret: Secret): string => secret.lend((bytes) => Buffer.from(bytes).toString("hex"));
    /** One block, as two KMs make it. */
    const block = async (from: BoxEnd, to: BoxEnd, withinMs = LONG_MS) => {
      const [own, copy] = [empty(), empty()];
      const offer = await boxes[from].offer(own);
      await boxes[to].fetch(offer.names, copy, withinMs);
      await offer.complete();
      return { names: offer.names, own: hex(own), copy: hex(copy) };
    };
    const faultOf = async (work: Promise<unknown>): Promise<FaultCode | undefined> =>
      work.then(
        () => undefined,
        (thrown: unknown) => asFault(thrown).code,
      );

    test("key that one end took the other fetches by its names: the same bytes, a whole block, in both directions", async () => {
      for (const [from, to] of [
        ["a", "b"],
        ["b", "a"],
      ] as const) {
        const { own, copy } = await block(from, to);
        expect(copy).toBe(own);
        expect(own).toHaveLength(2 * rig.blockBytes);
        expect(own.slice(-32)).not.toBe("0".repeat(32));
      }
      expect(boxes.a.status()).toMatchObject({ line: "up", alarms: [] });
    });

    test("blocks differ, and their names are theirs alone: few, short and in letters that Kx takes", async () => {
      const made = [await block("a", "b"), await block("a", "b"), await block("b", "a")];
      expect(new Set(made.map(({ own }) => own)).size).toBe(3);
      const names = made.flatMap((one) => one.names);
      expect(new Set(names).size).toBe(names.length);
      for (const { names: few } of made) expect(few.length).toBeLessThanOrEqual(LIMITS.keys);
      for (const one of names) expect(one).toMatch(/^[A-Za-z0-9:._-]{1,60}$/);
    });

    test("both ends may begin a block at the same time", async () => {
      const [one, other] = await Promise.all([block("a", "b"), block("b", "a")]);
      expect([one.copy, other.copy]).toEqual([one.own, other.own]);
    });

    test("what no box knows is a fault that says so, and nothing is left in the block", async () => {
      const secret = empty();
      const unknown = faultOf(boxes.b.fetch(["11111111-2222-4333-8444-555555555555:0:1"], secret, 0));
      expect(["KEY_NOT_FOUND", "MALFORMED_REQUEST", "INSUFFICIENT_KEYS", "BOX_UNAVAILABLE"]).toContain(await unknown);
      expect(hex(secret)).toBe("00".repeat(rig.blockBytes));
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("names that the other box hears late are asked for again in the time given", async () => {
      rig.faults({ lateMs: 400 });
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("a slow box is waited for", async () => {
      rig.faults({ slowMs: 150 });
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("key that one end alone has makes no block and is no fault of the box; the next is made", async () => {
      await block("a", "b");
      rig.faults({ oneEnd: 1 });
      const fault = await faultOf(block("a", "b", 0));
      expect(["KEY_NOT_FOUND", "INSUFFICIENT_KEYS"]).toContain(fault);
      expect(boxes.b.status()).toMatchObject({ line: "up", alarms: [] });
      rig.faults({});
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("key that differs is given as it is: the tag of its first use finds out", async () => {
      rig.faults({ wrong: 1 });
      const { own, copy } = await block("a", "b");
      expect(copy).not.toBe(own);
      rig.faults({});
      const next = await block("a", "b");
      expect(next.copy).toBe(next.own);
    });

    test("the KM's own certificate that has expired is an alarm; a renewed one is taken without a restart", async () => {
      await block("a", "b");
      await rig.expireOwn("a", true);
      await rig.unplug("a");
      await rig.plug("a");
      // The driver has seen the end of its connection, or finds it out with the first of these.
      const faults = [await faultOf(block("a", "b")), await faultOf(block("a", "b"))];
      expect(faults[1]).toBe("BOX_UNAVAILABLE");
      expect(boxes.a.status()).toMatchObject({ line: "down", alarms: ["own-certificate"] });
      await rig.expireOwn("a", false);
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("a box that is gone is a fault and an alarm; when it is back it is used again", async () => {
      await block("a", "b");
      await rig.unplug("b");
      expect(await faultOf(block("b", "a"))).toBe("BOX_UNAVAILABLE");
      expect(boxes.b.status()).toMatchObject({ line: "down", alarms: ["box-unreachable"] });
      await rig.plug("b");
      const { own, copy } = await block("b", "a");
      expect(copy).toBe(own);
      expect(boxes.b.status()).toMatchObject({ line: "up", alarms: [] });
    });

    test("a box whose certificate has expired is not used until it has a new one", async () => {
      await block("a", "b");
      await rig.expire("a", true);
      expect(await faultOf(block("a", "b"))).toBe("BOX_UNAVAILABLE");
      expect(await faultOf(block("a", "b"))).toBe("BOX_UNAVAILABLE");
      expect(boxes.a.status()).toMatchObject({ line: "down", alarms: ["box-certificate"] });
      await rig.expire("a", false);
      const { own, copy } = await block("a", "b");
      expect(copy).toBe(own);
    });

    test("key is nowhere but in the block: the memory that it passed is zero", async () => {
      await block("a", "b");
      expect(rig.memory.length).toBeGreaterThan(0);
      for (const memory of rig.memory) expect(memory.every((byte) => byte === 0)).toBe(true);
    });

    test("dispose ends what is under way", async () => {
      await block("a", "b");
      rig.faults({ lateMs: LONG_MS });
      const offer = await boxes.a.offer(empty());
      const waiting = faultOf(boxes.b.fetch(offer.names, empty(), LONG_MS));
      await boxes.b[Symbol.asyncDispose]();
      expect(await waiting).toBeDefined();
    });
  });
}
