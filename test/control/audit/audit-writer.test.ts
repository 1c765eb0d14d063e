// The audit log of a node: its witnesses in store and token, what comes before it is open, and what the control socket offers.

import { describe, expect, test } from "vitest";
import type { Witness } from "../../../src/control/audit/audit-log.ts";
import {
  type AuditToken,
  AuditWriter,
  auditedMeter,
  auditLabel,
  LateAudit,
} from "../../../src/control/audit/audit-writer.ts";
import { lastEvents } from "../../../src/control/audit/folder.ts";
import { auditCommands } from "../../../src/control/socket/audit-commands.ts";
import { Fault } from "../../../src/core/fault.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { makeModelToken } from "../../support/model-token.ts";
import { until } from "../../support/until.ts";
import { AuditKit, KM } from "./audit-kit.ts";

/** A node with a token that may be away and a store that may refuse. */
class Node extends AuditKit {
  readonly token = makeModelToken();
  stored: Witness | undefined;
  isStoreFull = false;

  async auditWriter(): Promise<AuditWriter> {
    const { log, meter } = this.recorder;
    const options = { km: KM, dir: this.dir, maxBytes: 1 << 24, keep: "newest", gatherMs: 100 } as const;
    return await AuditWriter.open(options, {
      useToken: async <T>(job: (token: AuditToken) => Promise<T>) => {
        if (this.isTokenGone) throw new Fault("HSM_UNAVAILABLE");
        return await job(await this.token.open());
      },
      stored: this.stored,
      store: async (witness) => {
        if (this.isStoreFull) throw new Fault("STORE_UNAVAILABLE");
        this.stored = witness;
      },
      clock: this.clock,
      log,
      meter,
    });
  }

  async counter(): Promise<number> {
    return await (await this.token.open()).counter(auditLabel(KM));
  }
}

describe("the place of the log", () => {
  test("is told to store and token at the start and at the end, and to the store each 10 s", async () => {
    using node = new Node();
    const auditWriter = await node.auditWriter();
    await auditWriter.tokenReady();
    expect([node.stored?.sequence, await node.counter()]).toEqual([1, 1]);
    auditWriter.audit.note("epoch_begun", {});
    await auditWriter.audit.flush();
    node.clock.advance(10_000);
    await until("the store is told", () => node.stored?.sequence === 2);
    expect([node.stored, await node.counter()]).toEqual([auditWriter.audit.last, 1]);
    auditWriter.audit.note("epoch_begun", {});
    await auditWriter[Symbol.asyncDispose]();
    expect([node.stored?.sequence, await node.counter()]).toEqual([3, 3]);
    expect(node.clock.waiting).toBe(0);
  });

  test("is told later when the store refuses", async () => {
    using node = new Node();
    node.isStoreFull = true;
    await using auditWriter = await node.auditWriter();
    await auditWriter.tokenReady();
    expect(node.stored).toBeUndefined();
    node.isStoreFull = false;
    node.clock.advance(10_000);
    await until("the store is told", () => node.stored?.sequence === 1);
  });

  test("that the token knows is looked at before it is written over, however late the token comes", async () => {
    using node = new Node();
    await (await node.token.open()).counter(auditLabel(KM), 7);
    node.isTokenGone = true;
    await using auditWriter = await node.auditWriter();
    await auditWriter.tokenReady();
    expect(node.recorder.count("alarms", { alarm: "audit_behind" })).toBe(0);
    node.isTokenGone = false;
    node.clock.advance(10_000);
    await until("it is compared", () => node.recorder.count("alarms", { alarm: "audit_behind" }) === 1);
    await auditWriter.audit.flush();
    expect(lastEvents(node.dir, 1)).toMatchObject([{ kind: "log_behind", witness: "token", known: 7, sequence: 0 }]);
  });

  test("that the store knows is compared at once", async () => {
    using node = new Node();
    node.stored = { sequence: 3, hash: "aa" };
    await using _keeper = await node.auditWriter();
    expect(node.recorder.count("alarms", { alarm: "audit_behind" })).toBe(1);
  });
});

test("another token makes another key: what was sealed before is none of its own, and the KM alarms", async () => {
  using node = new Node();
  const before = await node.auditWriter();
  await before.tokenReady();
  await before[Symbol.asyncDispose]();
  const stranger = makeModelToken();
  node.token.open = () => stranger.open();
  await using auditWriter = await node.auditWriter();
  await auditWriter.tokenReady();
  expect(node.recorder.count("alarms", { alarm: "audit_changed" })).toBe(1);
});

test("what happens before the log is open is in it; until then nothing may be done with keys", () => {
  const late = new LateAudit();
  const audit = new ModelAudit();
  const counted: string[] = [];
  const meter = auditedMeter({ add: (counter) => void counted.push(counter) }, late);
  meter.add("alarms", { alarm: "clock" });
  meter.add("epochs", {});
  meter.add("keys_supplied", { app: "app-a1", door: "ak" });
  expect(late.obstacle()?.code).toBe("AUDIT_UNAVAILABLE");
  late.open(audit);
  late.note("token", { state: "ready" });
  expect(audit.events.map(({ kind }) => kind)).toEqual(["alarm", "epoch_begun", "token"]);
  expect(counted).toEqual(["alarms", "epochs", "keys_supplied"]);
  expect(late.obstacle()).toBeUndefined();
  audit.fill(true);
  expect(late.obstacle()?.code).toBe("AUDIT_UNAVAILABLE");
});

describe("the control socket", () => {
  const ask = async (commands: ReturnType<typeof auditCommands>, name: string, args = {}) =>
    await commands[name]?.(args);

  test("tells the last events, those of before the start too, and the place; notes; says which seals are the token's", async () => {
    using node = new Node();
    await (await node.auditWriter())[Symbol.asyncDispose]();
    await using auditWriter = await node.auditWriter();
    const commands = auditCommands(auditWriter);
    await ask(commands, "audit_note", { actor: "alice", what: "link down ab" });
    expect(await ask(commands, "audit", { count: 2 })).toMatchObject([
      { kind: "log_begun" },
      { kind: "console", actor: "alice", what: "link down ab" },
    ]);
    expect(await ask(commands, "audit_last")).toEqual({ sequence: 2, hash: auditWriter.audit.last.hash });
    const none = "00".repeat(32);
    expect(await ask(commands, "audit_check", { seals: [{ hash: none, mac: none }] })).toEqual([false]);
  });

  test.each([
    ["audit", { count: 0 }],
    ["audit", { count: 1001 }],
    ["audit", { count: "many" }],
    ["audit_note", { actor: "alice" }],
    ["audit_note", { actor: "", what: "x" }],
    ["audit_note", { actor: "alice", what: "x".repeat(201) }],
    ["audit_check", {}],
    ["audit_check", { seals: [{ hash: "x", mac: "y" }] }],
    ["audit_check", { seals: Array.from({ length: 257 }, () => ({})) }],
  ])("refuses what is malformed: %s %j", async (name, args) => {
    using node = new Node();
    await using auditWriter = await node.auditWriter();
    await expect(ask(auditCommands(auditWriter), name, args)).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
  });
});
