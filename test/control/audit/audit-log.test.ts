// The audit log: gathered, sealed and durable, found again after a crash, and in nobody's way until it cannot be written.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { lastEvents } from "../../../src/control/audit/folder.ts";
import { verifyAudit } from "../../../src/control/audit/verify.ts";
import { until } from "../../support/until.ts";
import { AuditKit, GATHER_MS } from "./audit-kit.ts";

const CHILD = new URL("./audit-child.ts", import.meta.url).pathname;
const hasPrlimit = spawnSync("prlimit", ["--version"]).status === 0;
const KEYS = { door: "ak", initiator: "app-a1", target: "app-b1", peer: "km-b", serial: 17, bits: 256 } as const;

/** Memory of buffers that is still held by anybody. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("V8 does not let its garbage be collected");
  collect();
  return process.memoryUsage().arrayBuffers;
}

const kinds = (kit: AuditKit): string[] => lastEvents(kit.dir, 100).map(({ kind }) => kind);

describe("what is noted", () => {
  test("is on the disk a tenth of a second later, sealed; a new log says that it begins", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    audit.note("epoch_begun", {});
    expect(kit.files()).toEqual([]);
    kit.clock.advance(GATHER_MS);
    await until("it is sealed", () => audit.last.sequence === 1);
    expect(kinds(kit)).toEqual(["log_begun", "epoch_begun"]);
    expect(await verifyAudit(kit.dir, kit.check)).toMatchObject({ batches: 1, events: 2, confirmed: 1, problems: [] });
  });

  test("keeps of the events that it remembers their own bytes alone in memory", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    const before = heldBytes();
    for (let batch = 1; batch <= 32; batch++) {
      audit.note("epoch_begun", {});
      await audit.flush();
      expect(audit.last.sequence).toBe(batch);
      // What others take of the pool that Node cuts small buffers from.
      Buffer.allocUnsafe(Buffer.poolSize / 2 - 1);
    }
    expect(audit.recent(100)).toHaveLength(33);
    // V8 gives the memory of buffers back on a thread of its own, which comes late on a busy machine.
    await until("their pools are given back", () => heldBytes() - before < 12 * Buffer.poolSize);
  }, 120_000);

  test("shares a line when only its place differs, and tells the bytes as runs and the keys as a number", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    for (const first of [96, 128, 160, 1000]) audit.note("keys_supplied", KEYS, { first, end: first + 32 });
    audit.note("keys_supplied", { ...KEYS, initiator: "app-a2" }, { first: 192, end: 256, count: 2 });
    await audit.flush();
    const [, one, other] = lastEvents(kit.dir, 100);
    expect(one).toMatchObject({ ...KEYS, kind: "keys_supplied", runs: "96-191,1000-1031", count: 4 });
    expect(other).toMatchObject({ initiator: "app-a2", runs: "192-255", count: 2 });
  });

  test("is told once it is sealed and on the disk, with its seal, and not before", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    kit.isTokenGone = true;
    audit.note("epoch_begun", {});
    await audit.flush();
    expect(kit.durable).toEqual([]);
    kit.isTokenGone = false;
    await audit.flush();
    // Behind what is written a segment has room for more.
    const [file = ""] = kit.files();
    const written = readFileSync(join(kit.dir, file), "utf8");
    expect(written.slice(0, written.lastIndexOf("}") + 1)).toBe(kit.durable.join("").trimEnd());
    expect(kit.durable.join("")).toContain('"kind":"epoch_begun"');
  });

  test("in bulk is written at once, and is bounded while token and disk take nothing", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    await audit.flush();
    for (let serial = 1; serial <= 300; serial++)
      audit.note("keys_supplied", { ...KEYS, serial }, { first: 96, end: 128 });
    await until("it is sealed without a tick of the clock", () => audit.last.sequence === 2);
    kit.isTokenGone = true;
    for (let serial = 1; serial <= 30_000; serial++) audit.note("kma_keys_ready", { peer: `km-${serial}` });
    await audit.flush();
    expect(audit.obstacle()?.code).toBe("HSM_UNAVAILABLE");
    kit.isTokenGone = false;
    await audit.flush();
    await audit.flush();
    const lost = lastEvents(kit.dir, 100_000).find(({ kind }) => kind === "events_lost");
    expect(lost?.count).toBeGreaterThan(10_000);
    expect(audit.obstacle()).toBeUndefined();
    expect((await verifyAudit(kit.dir, kit.check)).problems).toEqual([]);
  });
});

describe("a start", () => {
  test("goes on with the chain where an orderly stop left it, without the room that was kept ahead", async () => {
    using kit = new AuditKit();
    const before = await kit.open();
    await before.flush();
    expect(kit.newest().includes(0)).toBe(true);
    await before[Symbol.asyncDispose]();
    expect(kit.newest().includes(0)).toBe(false);
    await using audit = await kit.open();
    audit.note("epoch_begun", {});
    await audit.flush();
    expect(kinds(kit)).toEqual(["log_begun", "epoch_begun"]);
    expect(await verifyAudit(kit.dir, kit.check)).toMatchObject({ first: 1, last: 2, problems: [] });
  });

  test("cuts at every byte of a batch that a kill left half written, and says so", async () => {
    using kit = new AuditKit();
    {
      await using audit = await kit.open();
      await audit.flush();
      audit.note("epoch_begun", {});
    }
    const whole = kit.newest();
    const sealed = whole.indexOf("\n", whole.indexOf('{"seal":1')) + 1;
    for (let length = sealed + 1; length < whole.length; length += 7) {
      kit.change(() => Buffer.concat([whole.subarray(0, length), Buffer.alloc(500)]));
      {
        await using again = await kit.open();
        expect(again.last.sequence).toBe(1);
      }
      expect(lastEvents(kit.dir, 1)).toMatchObject([{ kind: "tail_cut", bytes: length - sealed }]);
      expect((await verifyAudit(kit.dir, kit.check)).problems).toEqual([]);
      for (const file of kit.files().slice(1)) rmSync(join(kit.dir, file));
    }
  });

  test("leaves a segment that was changed as it is, alarms, and goes on in a new one", async () => {
    using kit = new AuditKit();
    {
      await using audit = await kit.open();
      audit.note("console", { actor: "operator", what: "link down" });
    }
    kit.change((bytes) => Buffer.from(bytes.toString().replace("operator", "0perator")));
    const changed = kit.newest();
    {
      await using audit = await kit.open();
      audit.note("epoch_begun", {});
    }
    expect(kit.files()).toHaveLength(2);
    expect(kit.recorder.count("alarms", { alarm: "audit_changed" })).toBe(1);
    const { problems } = await verifyAudit(kit.dir, kit.check);
    expect(problems).toEqual([
      "audit-000000000000001.jsonl: byte 0: batch 1 was changed: its hash does not fit its lines",
    ]);
    expect(lastEvents(kit.dir, 2).map(({ kind }) => kind)).toEqual(["chain_broken", "epoch_begun"]);
    rmSync(join(kit.dir, kit.files().at(-1) ?? ""));
    expect(kit.newest().equals(changed)).toBe(true);
  });

  test("alarms when the log is shorter, or other, than store or token know", async () => {
    using kit = new AuditKit();
    await (await kit.open())[Symbol.asyncDispose]();
    await using audit = await kit.open();
    audit.compare({ sequence: 1, hash: audit.last.hash }, "store");
    audit.compare({ sequence: 0 }, "token");
    expect(kit.recorder.count("alarms")).toBe(0);
    audit.compare({ sequence: 9 }, "token");
    audit.compare({ sequence: 1, hash: "00" }, "store");
    expect(kit.recorder.count("alarms", { alarm: "audit_behind" })).toBe(2);
  });

  test("alarms when the last seal is another key's", async () => {
    using kit = new AuditKit();
    await (await kit.open())[Symbol.asyncDispose]();
    await using audit = await kit.open();
    await audit.checkLastSeal();
    expect(kit.recorder.count("alarms")).toBe(0);
    kit.mac = async () => new Uint8Array(32);
    await audit.checkLastSeal();
    expect(kit.recorder.count("alarms", { alarm: "audit_changed" })).toBe(1);
  });
});

describe("without token or disk", () => {
  test("a token that is away for a moment stops nothing; its batch is sealed when it is back", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    kit.isTokenGone = true;
    await audit.flush();
    expect([audit.last.sequence, audit.obstacle()]).toEqual([0, undefined]);
    kit.isTokenGone = false;
    kit.clock.advance(1000);
    await until("it is sealed", () => audit.last.sequence === 1);
    expect(kinds(kit)).toEqual(["log_begun"]);
  });

  test("a slow token is asked less often, and once a second at the latest", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    kit.pace = async () => kit.clock.advance(200);
    await audit.flush();
    const { macs } = kit;
    audit.note("epoch_begun", {});
    kit.clock.advance(GATHER_MS);
    expect(kit.macs).toBe(macs);
    kit.clock.advance(800);
    await until("it is sealed", () => audit.last.sequence === 2);
  });

  test("a folder that takes no file is an obstacle, told to listeners, until it does; nothing is lost", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open();
    let changes = 0;
    audit.onChange(() => changes++);
    rmSync(kit.dir, { recursive: true });
    audit.note("epoch_begun", {});
    await audit.flush();
    expect([audit.obstacle()?.code, changes]).toEqual(["AUDIT_UNAVAILABLE", 1]);
    audit.note("zeroised", {});
    mkdirSync(kit.dir);
    kit.clock.advance(1000);
    await until("it goes on", () => audit.obstacle() === undefined);
    await audit.flush();
    expect(kinds(kit)).toEqual(["log_begun", "epoch_begun", "zeroised"]);
    expect(changes).toBe(2);
  });

  test.skipIf(!hasPrlimit)(
    "a full disk is noticed while there is still room for what was begun; when there is room again nothing is missing",
    async () => {
      using kit = new AuditKit();
      const said = execFileSync(process.execPath, [CHILD, kit.dir], { encoding: "utf8" });
      const { code, before, noted, sealed, last } = JSON.parse(said);
      expect(code).toBe("AUDIT_UNAVAILABLE");
      expect(before).toBeGreaterThan(200);
      expect(sealed).toBeGreaterThan(before / 50);
      expect(last).toBeGreaterThan(sealed);
      const told = lastEvents(kit.dir, 10_000).filter(({ kind }) => kind === "console");
      expect(told.map(({ what }) => Number(String(what).split(" ")[1]))).toEqual(
        Array.from({ length: noted }, (_, at) => at + 1),
      );
      expect((await verifyAudit(kit.dir, kit.check)).problems).toEqual([]);
    },
  );

  test("keep = all: at max_bytes it takes what was begun, and nothing new is begun", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open({ maxBytes: 600 * 1024, keep: "all" });
    for (let serial = 1; audit.obstacle() === undefined && serial < 8000; serial++) {
      audit.note("keys_supplied", { ...KEYS, serial }, { first: 96, end: 128 });
      if (serial % 100 === 0) await audit.flush();
    }
    expect(audit.obstacle()?.message).toContain("max_bytes");
    audit.note("zeroised", {});
    await audit.flush();
    expect(kinds(kit).at(-1)).toBe("zeroised");
    for (const file of kit.files().slice(0, -1)) rmSync(join(kit.dir, file));
    kit.clock.advance(1000);
    await until("old segments are seen to be moved away", () => audit.obstacle() === undefined);
    await audit.flush();
    expect(kinds(kit).at(-1)).toBe("segments_removed");
    expect((await verifyAudit(kit.dir, kit.check)).problems).toEqual([]);
  });
});

test("a start that ends before the token was there is no alarm of the audit log; a loss after a seal is", async () => {
  using kit = new AuditKit();
  kit.isTokenGone = true;
  await (await kit.open())[Symbol.asyncDispose]();
  expect(kit.recorder.lines.filter(({ level }) => level === "error")).toEqual([]);
  kit.isTokenGone = false;
  const audit = await kit.open();
  await audit.flush();
  kit.isTokenGone = true;
  audit.note("zeroised", {});
  await audit[Symbol.asyncDispose]();
  expect(kit.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(1);
});

test("after the last event nothing is noted, and nothing is said to be lost although the token is gone", async () => {
  using kit = new AuditKit();
  const audit = await kit.open();
  await audit.flush();
  await audit.noteLast("zeroised", {});
  kit.isTokenGone = true;
  audit.note("epoch_begun", {});
  await audit[Symbol.asyncDispose]();
  expect(kinds(kit).at(-1)).toBe("zeroised");
  expect(kit.recorder.lines.filter(({ level }) => level === "error")).toEqual([]);
});

describe("when there is more than max_bytes", () => {
  test("the oldest segments go, which is itself in the log, and what is left is verified", async () => {
    using kit = new AuditKit();
    await using audit = await kit.open({ maxBytes: 512 * 1024 });
    for (let round = 0; round < 30; round++) {
      for (let serial = 1; serial <= 200; serial++)
        audit.note("keys_supplied", { ...KEYS, serial }, { first: 96, end: 128 });
      await audit.flush();
    }
    const removed = lastEvents(kit.dir, 100_000).findLast(({ kind }) => kind === "segments_removed");
    const verdict = await verifyAudit(kit.dir, kit.check);
    expect(verdict.problems).toEqual([]);
    expect(verdict.first).toBe(Number(removed?.last) + 1);
    expect(kit.files().length).toBeLessThan(4);
  });
});
