// Tests of the layout of sealed records, byte by byte.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import { kekLabel } from "../../../src/vault/epochs/epochs.ts";
import { dataKeyAad, parseRecord, recordAad, writeRecord } from "../../../src/vault/store/record.ts";
import { id, keep, readyBench } from "../harness.ts";

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
const KM = kmId("km-a");

describe("a sealed record, format 1", () => {
  test("direct: 01 01, IV, ciphertext and tag", () => {
    const { record, parts } = writeRecord("direct", 4);
    parts.iv.fill(0x11);
    parts.sealed.fill(0x22);
    expect(hex(record)).toBe(`0101${"11".repeat(12)}${"22".repeat(20)}`);
    expect(parts.dataKey).toBeUndefined();
  });

  test("envelope: 01 02, IV, data key (ID, IV, sealed), ciphertext and tag", () => {
    const { record, parts } = writeRecord("envelope", 4);
    parts.iv.fill(0x11);
    parts.dataKey?.id.fill(0x33);
    parts.dataKey?.iv.fill(0x44);
    parts.dataKey?.sealed.fill(0x55);
    parts.sealed.fill(0x22);
    const dataKey = `${"33".repeat(8)}${"44".repeat(12)}${"55".repeat(48)}`;
    expect(hex(record)).toBe(`0102${"11".repeat(12)}${dataKey}${"22".repeat(20)}`);
  });

  test("what is laid is parsed to the same places", () => {
    fc.assert(
      fc.property(fc.constantFrom("direct", "envelope"), fc.integer({ min: 1, max: 300 }), (scheme, bytes) => {
        const { record, parts } = writeRecord(scheme, bytes);
        for (const [at, view] of [parts.iv, parts.sealed, parts.dataKey?.id].entries()) view?.fill(at + 1);
        const parsed = parseRecord(record, bytes);
        expect([parsed.scheme, hex(parsed.iv), hex(parsed.sealed)]).toEqual([scheme, hex(parts.iv), hex(parts.sealed)]);
        expect([hex(parsed.dataKey?.id), hex(parsed.dataKey?.sealed)]).toEqual([
          hex(parts.dataKey?.id),
          hex(parts.dataKey?.sealed),
        ]);
      }),
    );
  });

  test("cut at any byte, too long, or of another format or scheme, it is broken", () => {
    for (const scheme of ["direct", "envelope"] as const) {
      const { record } = writeRecord(scheme, 4);
      for (let length = 0; length < record.length; length += 1) {
        expect(() => parseRecord(record.subarray(0, length), 4)).toThrow("not format 1");
      }
      expect(() => parseRecord(new Uint8Array([...record, 0]), 4)).toThrow("not format 1");
      expect(() => parseRecord(record.with(0, 2), 4)).toThrow("not format 1");
      expect(() => parseRecord(record.with(1, 3), 4)).toThrow("not format 1");
    }
  });

  test("any bytes are parsed or broken, nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, length) => {
        try {
          expect(parseRecord(bytes, length).sealed).toHaveLength(length + 16);
        } catch (thrown) {
          expect(thrown).toMatchObject({ name: "SealBroken" });
        }
      }),
    );
  });

  test("key-protocol 1: its AAD is T of format, KM, kind, name and epoch", () => {
    expect(hex(recordAad(KM, { kind: "block", block: id("local:7"), epoch: 3 }))).toBe(
      [
        "0008716b6d207365616c", // "qkm seal"
        "00000001",
        "00046b6d2d61", // "km-a"
        "0005626c6f636b", // "block"
        "00076c6f63616c3a37", // "local:7"
        "0000000000000003",
      ].join(""),
    );
    expect(hex(dataKeyAad(KM, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255), 3))).toBe(
      [
        "0008716b6d207365616c",
        "00000001",
        "00046b6d2d61",
        "0008646174612d6b6579", // "data-key"
        "001030313032303330343035303630376666",
        "0000000000000003",
      ].join(""),
    );
  });

  test("a KEK's label has its epoch in ten digits, so that labels sort like epochs", () => {
    expect(kekLabel(KM, 7)).toBe("qkm-kek-km-a-0000000007");
  });

  test.each(["direct", "envelope"] as const)("no IV is used twice (%s)", async (mode) => {
    await using bench = await readyBench({ options: { mode } });
    await keep(bench.vault, ...Array.from({ length: 200 }, (_, n) => `b${n}`));
    const ivs = [...bench.disk.snapshot().records.values()].map(({ record, bytes }) =>
      hex(parseRecord(record, bytes).iv),
    );
    expect(new Set(ivs).size).toBe(200);
    expect(ivs.every((iv) => iv !== "00".repeat(12))).toBe(true);
  });
});
