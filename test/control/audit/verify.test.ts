// Verifying and tracing: whatever is changed, taken out, put in, moved or cut is found, and said where.

import { copyFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { batchHash, linkOf, readBatches, sealLine } from "../../../src/control/audit/format.ts";
import { bytesBy, traceBlock, traceKmaKey } from "../../../src/control/audit/trace.ts";
import { verifyAudit } from "../../../src/control/audit/verify.ts";
import { AuditKit } from "./audit-kit.ts";

/** A log of several batches in two segments. */
async function written(): Promise<AuditKit> {
  const kit = new AuditKit();
  await using audit = await kit.open({ maxBytes: 1 << 20 });
  for (let batch = 0; batch < 9; batch++) {
    for (let serial = 1; serial <= 300; serial++) {
      audit.note("kma_key_ended", {
        peer: "km-b",
        role: "source",
        reason: "expired",
        serial: batch * 300 + serial,
        bytes: 8,
      });
    }
    await audit.flush();
  }
  return kit;
}

describe("a log that somebody touched", () => {
  let kit: AuditKit;
  let whole: Buffer;
  const newest = () => kit.files().at(-1) ?? "";
  beforeAll(async () => {
    kit = await written();
    whole = kit.newest();
  });
  afterAll(() => kit[Symbol.dispose]());

  const problems = async (how: (bytes: Buffer) => Buffer): Promise<readonly string[]> => {
    kit.change(() => how(whole));
    const last = readBatches(whole).batches.at(-1)?.seal.seal ?? 0;
    const verdict = await verifyAudit(kit.dir, kit.check, [{ sequence: last }]);
    kit.change(() => whole);
    return verdict.problems;
  };

  test("untouched, it is confirmed by one seal of each segment", async () => {
    const verdict = await verifyAudit(kit.dir, kit.check);
    expect(verdict).toMatchObject({
      segments: kit.files().length,
      confirmed: kit.files().length,
      problems: [],
      unsealed: 0,
    });
    expect(verdict.segments).toBeGreaterThan(1);
  });

  test("one bit changed anywhere is found, and told with file and byte", async () => {
    for (let at = 3; at < whole.length; at += 3011) {
      const found = await problems((bytes) => {
        const copy = Buffer.from(bytes);
        copy[at] = (copy[at] ?? 0) ^ 1;
        return copy;
      });
      expect(found.length, `byte ${at}`).toBeGreaterThan(0);
      expect(found[0]).toMatch(new RegExp(`${newest()}|the end is missing`));
    }
  });

  test("a batch taken out, put in twice, or moved", async () => {
    const { batches, end } = readBatches(whole);
    const [, second, third] = batches;
    if (second === undefined) throw new Error("there are too few batches");
    const upTo = third?.at ?? end;
    const batch = whole.subarray(second.at, upTo);
    const without = Buffer.concat([whole.subarray(0, second.at), whole.subarray(upTo)]);
    expect((await problems((bytes) => Buffer.concat([bytes, batch])))[0]).toContain("comes after seal");
    expect((await problems(() => Buffer.concat([batch, without])))[0]).toContain("its name says");
    if (third !== undefined) expect((await problems(() => without))[0]).toContain("batches are missing or moved");
  });

  test("the chain made anew without the token's key: its hashes fit, its seals do not", async () => {
    const { batches } = readBatches(whole);
    let previous: Uint8Array = Buffer.from(batches[0]?.seal.previous ?? "", "hex");
    const forged = batches.map(({ seal, lines }) => {
      const other = Buffer.from(Buffer.from(lines).toString().replaceAll("expired", "tailed"));
      const hash = batchHash(previous, seal.seal, other);
      const made = { ...seal, previous: Buffer.from(previous).toString("hex"), hash: hash.toString("hex") };
      previous = linkOf(made);
      return Buffer.concat([other, Buffer.from(sealLine(made))]);
    });
    kit.change(() => Buffer.concat(forged));
    const [alone, confirmed] = [await verifyAudit(kit.dir), await verifyAudit(kit.dir, kit.check)];
    kit.change(() => whole);
    expect(alone).toMatchObject({ problems: [], confirmed: 0 });
    expect(confirmed.problems).toEqual([expect.stringContaining("was not made by this token's key")]);
  });

  test("the end cut off at a seal is found by who knows of a later one", async () => {
    const { batches } = readBatches(whole);
    const last = batches.at(-1);
    kit.change((bytes) => bytes.subarray(0, last?.at));
    const sequence = last?.seal.seal ?? 0;
    const [unknowing, knowing] = [
      await verifyAudit(kit.dir, kit.check),
      await verifyAudit(kit.dir, kit.check, [{ sequence }]),
    ];
    kit.change(() => whole);
    expect(unknowing.problems).toEqual([]);
    expect(knowing.problems).toEqual([
      `the log ends with seal ${sequence - 1}, but there was a seal ${sequence}: the end is missing`,
    ]);
    expect((await verifyAudit(kit.dir, kit.check, [{ sequence, hash: "00" }])).problems).toHaveLength(1);
  });

  test("the first segment taken away, one renamed, something written behind a finished one", async () => {
    const [first = "", second = ""] = kit.files();
    const at = (name: string) => join(kit.dir, name);
    renameSync(at(first), at("kept"));
    expect((await verifyAudit(kit.dir, kit.check)).problems[0]).toContain(
      "does not say that those before it were removed",
    );
    copyFileSync(at("kept"), at(first));
    renameSync(at(second), at("audit-000000000000099.jsonl"));
    expect((await verifyAudit(kit.dir, kit.check)).problems[0]).toContain("its name says 99");
    renameSync(at("audit-000000000000099.jsonl"), at(second));
    kit.change((bytes) => Buffer.concat([bytes, Buffer.from('{"at":"x"}\n')]), first);
    expect((await verifyAudit(kit.dir, kit.check)).problems[0]).toContain("bytes that no seal covers");
    kit.change((bytes) => bytes.subarray(0, -11), first);
    rmSync(at("kept"));
    expect((await verifyAudit(kit.dir, kit.check)).problems).toEqual([]);
  });

  test("random bytes are no log, and break nothing", async () => {
    const noise = new AuditKit();
    using _ = noise;
    writeFileSync(
      join(noise.dir, "audit-000000000000001.jsonl"),
      Buffer.from('\u0001{"seal":1}\n{"seal":\n\n}{'.repeat(50)),
    );
    expect(await verifyAudit(noise.dir)).toMatchObject({ batches: 0, last: 0 });
  });
});

describe("a trace", () => {
  test("tells where the bytes of a link block went, through the KMA-key that it became", async () => {
    using kit = new AuditKit();
    {
      await using audit = await kit.open();
      const key = { peer: "km-b", serial: 7 };
      const apps = { door: "ak", initiator: "app-a1", target: "app-b1", bits: 256 } as const;
      audit.note("blocks_stored", { link: "ab", run: 1 }, { first: 0, end: 40 });
      audit.note("blocks_ended", { link: "ab", run: 1, reason: "overflow" }, { first: 3, end: 4 });
      audit.note("kma_key_made", { ...key, route: "direct", blocks: "ab:1:17,ac:2:5", via: "", bytes: 4096 });
      audit.note("kma_keys_ready", { peer: "km-b" }, { first: 5, end: 9 });
      audit.note("keys_supplied", { ...key, ...apps }, { first: 96, end: 160, count: 2 });
      audit.note("keys_fetched", { ...key, ...apps }, { first: 96, end: 128 });
      audit.note("kma_key_ended", { ...key, role: "source", reason: "expired", bytes: 3936 });
      audit.note(
        "pads_used",
        { link: "ab", run: 1, sequence: 18, direction: "out", source: "km-c", destination: "km-d", serial: 1 },
        { first: 0, end: 32 },
      );
    }
    const block = traceBlock(kit.dir, { link: "ab", run: 1, sequence: 17 });
    expect(block.lines.map(({ kind }) => kind)).toEqual(["blocks_stored", "kma_key_made"]);
    expect(block.keys).toEqual([{ peer: "km-b", serial: 7 }]);
    const { source, destination } = traceKmaKey(kit.dir, { peer: "km-b", serial: 7 });
    expect(source.map(({ kind }) => kind)).toEqual([
      "kma_key_made",
      "kma_keys_ready",
      "keys_supplied",
      "kma_key_ended",
    ]);
    expect([...bytesBy(source)]).toEqual([
      ["supplied", 64],
      ["destroyed (expired)", 3936],
    ]);
    expect([...bytesBy(destination)]).toEqual([["fetched", 32]]);
    const kinds = (sequence: number) =>
      traceBlock(kit.dir, { link: "ab", run: 1, sequence }).lines.map(({ kind }) => kind);
    expect(kinds(3)).toEqual(["blocks_stored", "blocks_ended"]);
    expect(kinds(18)).toEqual(["blocks_stored", "pads_used"]);
    expect(kinds(99)).toEqual([]);
  });
});
