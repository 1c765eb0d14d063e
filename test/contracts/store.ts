// What every store must do, as tests: call it once per implementation.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Kind, sealedRecord } from "../../src/vault/store/sealed.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { BlockId } from "../../src/vault/vault.ts";
import { processorMs } from "../support/processor.ts";
import { drawBytes } from "../support/seed.ts";

/** A disk for one test. */
export interface StoreBench {
  open(): Promise<Store>;
  remove(): Promise<void>;
}

export const block = (name: string): BlockId => name as BlockId;

/** A record as a store sees one; the bytes are random, as sealed bytes are. */
export function record(name: string, epoch = 1, { kind = "block" as Kind, bytes = 4096 } = {}) {
  return sealedRecord({ kind, epoch, bytes, block: block(name) }, new Uint8Array(drawBytes(bytes + 30)));
}

/** The bytes of a row as a store sees them: whatever they are. */
export const value = (text: string): Uint8Array => Uint8Array.from(Buffer.from(`row ${text}`));
const hex = (text: string) => Buffer.from(value(text)).toString("hex");
const hexRows = (rows: Iterable<readonly [string, Uint8Array]>) =>
  [...rows].map(([id, bytes]) => [id, Buffer.from(bytes).toString("hex")]);

export function exerciseStore(name: string, makeBench: () => StoreBench): void {
  describe(`a store (${name})`, () => {
    let bench: StoreBench;
    let store: Store;

    beforeEach(async () => {
      bench = makeBench();
      store = await bench.open();
    });
    afterEach(async () => {
      await store.close();
      await bench.remove();
    });

    const reopen = async () => {
      await store.close();
      store = await bench.open();
    };

    test("begins empty", () => {
      expect([...store.heads()]).toEqual([]);
      expect([...store.rows("links")]).toEqual([]);
      expect([...store.tables()]).toEqual([]);
    });

    test("gives a record back byte for byte, before and after it is opened again", async () => {
      const kept = record("link:ab:1:0");
      const { kind, epoch, bytes } = kept;
      await store.write([{ op: "keep", record: kept }]);
      for (let round = 0; round < 2; round += 1) {
        expect([...store.heads()]).toEqual([{ kind, epoch, bytes, block: "link:ab:1:0" }]);
        expect(Buffer.from(store.read(kept) ?? []).equals(kept.record)).toBe(true);
        await reopen();
      }
    });

    test("tells records of one block apart by kind and epoch", async () => {
      const records = [record("b", 1), record("b", 2), record("b", 1, { kind: "key-id", bytes: 32 })];
      await store.write(records.map((kept) => ({ op: "keep", record: kept })));
      for (const kept of records) expect(Buffer.from(store.read(kept) ?? []).equals(kept.record)).toBe(true);
      await store.write([{ op: "drop", head: record("b", 1) }]);
      expect([...store.heads()].map(({ kind, epoch }) => `${kind} ${epoch}`).sort()).toEqual(["block 2", "key-id 1"]);
    });

    test("has no record that it was not given", () => {
      expect(store.read(record("nobody"))).toBeUndefined();
    });

    test("keeps rows byte for byte, apart by table, in the order of their IDs", async () => {
      const bytes = new Uint8Array(drawBytes(300));
      await store.write([
        { op: "put", table: "keys", id: "b", value: value("2") },
        { op: "put", table: "keys", id: "a", value: bytes },
        { op: "put", table: "key", id: "z", value: value("3") },
        { op: "put", table: "keyss", id: "0", value: value("4") },
      ]);
      await reopen();
      expect([...store.tables()].sort()).toEqual(["key", "keys", "keyss"]);
      expect(hexRows(store.rows("keys"))).toEqual([
        ["a", Buffer.from(bytes).toString("hex")],
        ["b", hex("2")],
      ]);
      expect(hexRows(store.rows("key"))).toEqual([["z", hex("3")]]);
      expect(hexRows(store.rows("keys", "a"))).toEqual([["b", hex("2")]]);
      expect(hexRows(store.rows("keys", "aa"))).toEqual([["b", hex("2")]]);
      expect(hexRows(store.rows("keys", "b"))).toEqual([]);
    });

    test("does the steps of a change in their order", async () => {
      await store.write([
        { op: "put", table: "keys", id: "a", value: value("1") },
        { op: "remove", table: "keys", id: "a" },
        { op: "remove", table: "keys", id: "b" },
        { op: "put", table: "keys", id: "b", value: value("2") },
      ]);
      expect(hexRows(store.rows("keys"))).toEqual([["b", hex("2")]]);
    });

    test("does changes in the order of the calls, also without waiting in between", async () => {
      const writes = Array.from({ length: 50 }, (_, n) =>
        store.write([
          { op: "put", table: "count", id: "last", value: value(`${n}`) },
          { op: "put", table: "count", id: `n${n}`, value: value(`${n}`) },
          ...(n > 0 ? [{ op: "remove" as const, table: "count", id: `n${n - 1}` }] : []),
        ]),
      );
      await Promise.all(writes);
      expect(hexRows(store.rows("count"))).toEqual([
        ["last", hex("49")],
        ["n49", hex("49")],
      ]);
    });

    test("removing what is not there is no error", async () => {
      await store.write([
        { op: "remove", table: "keys", id: "nobody" },
        { op: "drop", head: record("nobody") },
      ]);
    });

    test("an empty change resolves", async () => {
      await store.write([]);
    });

    test("close waits for what was written before", async () => {
      const written = store.write([{ op: "put", table: "keys", id: "a", value: value("1") }]);
      await reopen();
      await written;
      expect(hexRows(store.rows("keys"))).toEqual([["a", hex("1")]]);
    });

    test("takes nothing after close", async () => {
      await store.close();
      await expect(store.write([])).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
      store = await bench.open();
    });

    test("a name too long to file is refused before anything is written", async () => {
      const write = async () =>
        store.write([
          { op: "put", table: "keys", id: "a", value: value("") },
          { op: "put", table: "keys", id: "x".repeat(1001), value: value("") },
        ]);
      await expect(write()).rejects.toThrow(RangeError);
      await store.write([]);
      expect([...store.rows("keys")]).toEqual([]);
    });

    test("holds 2,000 blocks and reads their heads in less than half a second", async () => {
      await store.write(Array.from({ length: 2000 }, (_, n) => ({ op: "keep", record: record(`link:ab:1:${n}`) })));
      await reopen();
      const ms = processorMs(() => expect([...store.heads()]).toHaveLength(2000));
      expect(ms).toBeLessThan(500);
    });

    test("nothing is left after destroy", async () => {
      await store.write([
        { op: "keep", record: record("a") },
        { op: "put", table: "keys", id: "a", value: value("") },
      ]);
      await store.destroy();
      store = await bench.open();
      expect([...store.heads()]).toEqual([]);
      expect([...store.rows("keys")]).toEqual([]);
    });
  });
}
