// The audit log of real KMs: what it tells, what it is worth after a kill, and that keys stop when it takes no more.

import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodePlaces } from "../../src/cli/provision/plan.ts";
import { verifyAudit } from "../../src/control/audit/verify.ts";
import { callControl } from "../../src/control/socket/client.ts";
import { parseKeyId } from "../../src/keys/common/key-id.ts";
import { qkm } from "../cli/qkm.ts";
import { eventually } from "./support/eventually.ts";
import { ask } from "./support/https.ts";
import { idsOf } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { spelledNeedles } from "./support/scan.ts";

let network: Network;
let km: Km;
beforeAll(async () => {
  const audit = { max_bytes: 1 << 20, keep: "all" };
  network = await startNetwork({ ...PAIR, config: { audit, supply: { stock_high: 5 } } });
  km = network.km("km-a");
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

const folder = (): string => nodePlaces(km.dir).audit;
const verify = () => qkm("audit", "verify", km.configPath);
const newest = (): string => join(folder(), readdirSync(folder()).sort().at(-1) ?? "");
/** Events that are on the disk, with what was noted before. */
const events = async (count = 1000) =>
  (await callControl(km.config.node.controlSocket, "audit", { count })) as object[];

async function supplied(count: number) {
  const keys = await network.app("app-a1").encKeys("app-b1", { number: count });
  expect(await network.app("app-b1").decKeys("app-a1", idsOf(keys))).toEqual(keys);
  return keys;
}

describe("a KM that runs", () => {
  test("tells of each key to whom it went, and the log has no byte of it; its token confirms the seals", async () => {
    const keys = await supplied(3);
    const { serial, offset } = parseKeyId(keys[0]?.id ?? "") ?? {};
    const told = await events();
    const names = { door: "etsi014", initiator: "app-a1", target: "app-b1", peer: "km-b", bits: 256, count: 3 };
    expect(told).toContainEqual(
      expect.objectContaining({ kind: "keys_supplied", ...names, serial, runs: `${offset}-${(offset ?? 0) + 95}` }),
    );
    expect(told).toContainEqual(expect.objectContaining({ kind: "connection_opened", door: "etsi014", id: "app-a1" }));
    const log = readFileSync(newest());
    const needles = spelledNeedles(keys.map(({ id, key }) => ({ id, key: Buffer.from(key) })));
    expect(needles.find(log)).toEqual([]);
    const { code, stdout } = await verify();
    expect([code, stdout]).toEqual([0, expect.stringContaining("confirmed by the KM's token\nPASS\n")]);
  });

  test("notes what people do, and shows and traces what is asked", async () => {
    const { controlSocket } = km.config.node;
    await callControl(controlSocket, "audit_note", { actor: "alice", what: "link down ab" });
    await expect(callControl(controlSocket, "audit_note", { actor: "alice" })).rejects.toMatchObject({
      code: "MALFORMED_REQUEST",
    });
    expect(await events(5)).toContainEqual(expect.objectContaining({ kind: "console", actor: "alice" }));
    const shown = await qkm("audit", "show", km.configPath, "--kind", "console");
    expect(shown.stdout).toMatch(/^\S+ console +actor=alice what="link down ab"\n$/);
    const traced = await qkm("audit", "trace", km.configPath, "--kma", "km-b:1");
    expect(traced.stdout).toContain("kma_key_made");
  });
});

describe("a KM that was killed", () => {
  test("goes on with its log, tells what the store has, and the seals are confirmed, running and down", async () => {
    await supplied(2);
    await eventually("a block is stored", async () => ((await km.status()).links[0]?.stored ?? 0) > 0);
    await km.kill();
    await km.start();
    const told = (await events()).map((event) => Reflect.get(event, "kind"));
    const since = told.slice(told.lastIndexOf("started"));
    expect(since).toEqual(expect.arrayContaining(["blocks_found", "kma_keys_found", "lost_at_restart"]));
    await km.kill();
    expect((await verify()).stdout).toContain("confirmed by the token\nPASS\n");
  });

  test("one byte changed while it is down: verify says where; the KM alarms, and goes on in a new segment", async () => {
    const path = newest();
    const whole = readFileSync(path);
    const at = whole.indexOf("app-a1");
    const changed = Buffer.from(whole);
    changed.write("b", at);
    writeFileSync(path, changed);
    const { code, stdout } = await verify();
    expect(code).toBe(1);
    expect(stdout).toMatch(/WRONG: audit-\d+\.jsonl: byte \d+: batch \d+ was changed/);
    const from = km.logBytes;
    await km.start();
    expect(km.logLines(from)).toContainEqual(expect.objectContaining({ alarm: "audit_changed" }));
    await supplied(1);
    await km.kill("SIGTERM");
    rmSync(newest());
    writeFileSync(path, whole);
  });

  test("the end cut off while it is down: store and token know better", async () => {
    const path = newest();
    const text = readFileSync(path, "latin1").replaceAll("\0", "");
    writeFileSync(path, text.slice(0, text.indexOf("\n", text.indexOf('{"seal":5,')) + 1));
    expect((await verify()).stdout).toMatch(/the log ends with seal 5, but there was a seal \d+: the end is missing/);
    const from = km.logBytes;
    await km.start();
    const alarm = { alarm: "audit_behind", sequence: 5 };
    await eventually("it is missed", () =>
      km.logLines(from).some((line) => JSON.stringify(line).includes("audit_behind")),
    );
    expect(km.logLines(from)).toContainEqual(expect.objectContaining(alarm));
    await supplied(1);
  });
});

test("keep = all: at max_bytes supply stops with AUDIT_UNAVAILABLE, and goes on when segments are moved away", async () => {
  const { controlSocket } = km.config.node;
  const what = "x".repeat(190);
  const refused = async () => (await ask(network.app("app-a1"), "app-b1/enc_keys")).status === 503;
  for (let round = 0; round < 600 && (round % 20 > 0 || !(await refused())); round++) {
    const names = Array.from({ length: 10 }, (_, at) => `${round} ${at}`);
    await Promise.all(names.map((actor) => callControl(controlSocket, "audit_note", { actor, what })));
  }
  const { status, message } = await ask(network.app("app-a1"), "app-b1/enc_keys");
  expect([status, message]).toEqual([503, expect.stringContaining("max_bytes")]);
  const segments = readdirSync(folder()).sort();
  expect(segments.length).toBeGreaterThan(2);
  for (const name of segments.slice(0, -1)) renameSync(join(folder(), name), join(km.dir, name));
  await eventually("it goes on", async () => !(await refused()));
  await supplied(1);
  expect(await events()).toContainEqual(expect.objectContaining({ kind: "segments_removed", first: 1 }));
  expect((await verifyAudit(folder())).problems).toEqual([]);
});
