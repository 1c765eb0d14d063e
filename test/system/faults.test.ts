// What a KM does when its token, its disk or its memory fail it, when it is stopped, and when it is zeroised.

import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPkcs11Token } from "../../drivers/pkcs11/token.ts";
import { nodePlaces } from "../../src/cli/provision/plan.ts";
import { FAULTS, type FaultCode } from "../../src/core/fault.ts";
import { kekPrefix } from "../../src/vault/epochs/epochs.ts";
import { qkm } from "../cli/qkm.ts";
import { recorder } from "../support/recorder.ts";
import type { App } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { ask } from "./support/https.ts";
import { akFetch, akSupply, idsOf, placeOf } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { canLimitFiles, canLimitMemory, limitFileBytes, Unlocked } from "./support/limits.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { akRefusal } from "./support/refused.ts";

let network: Network;
let km: Km;
let app: App;
beforeAll(async () => {
  // Nothing is dropped as the oldest: the store grows for as long as the tests last.
  network = await startNetwork({ ...PAIR, config: { links: { "*": { keep_blocks: 100_000 } } } });
  km = network.km("km-a");
  app = network.app("app-a1");
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

/** Keys go from km-a to km-b and the other way round. */
async function exchange(): Promise<void> {
  const b1 = network.app("app-b1");
  const keys = await app.encKeys("app-b1", { number: 3 });
  expect(await b1.decKeys("app-a1", idsOf(keys))).toEqual(keys);
  const back = await b1.encKeys("app-a1", { number: 3 });
  expect(await app.decKeys("app-b1", idsOf(back))).toEqual(back);
}

/** km-a refuses to supply and to fetch with this fault, over both doors. */
async function refusesWith(code: FaultCode): Promise<void> {
  await using ak = await app.connectAk();
  expect((await akRefusal(akSupply(ak, "app-b1"))).code).toBe(code);
  expect((await akRefusal(akFetch(ak, "app-b1", ["00000000-0100-8000-8000-000000000000"]))).code).toBe(code);
  const supplied = await ask(app, "app-b1/enc_keys");
  expect([supplied.status, supplied.message]).toEqual([503, FAULTS[code].text]);
  expect((await ask(app, "app-b1/dec_keys?key_ID=00000000-0100-8000-8000-000000000000")).status).toBe(503);
}

const received = async (at: Km): Promise<number> => (await at.metrics()).sum("qkm_blocks_received_total");

/** So many blocks come in at km-b, which nothing has happened to: time for km-a to do what it should not. */
async function whileBlocksCome(count: number): Promise<void> {
  const other = network.km("km-b");
  const before = await received(other);
  await eventually(`${count} blocks have come at km-b`, async () => (await received(other)) >= before + count);
}

const tokenState = async (): Promise<string> => (await km.status()).vault.token;

describe("the token", () => {
  const tokens = () => join(nodePlaces(km.dir).token, "tokens");
  const away = () => join(nodePlaces(km.dir).token, "away");

  test("design 7: gone while it runs: HSM_UNAVAILABLE, nothing acknowledged to the module; back: all goes on by itself", async () => {
    await eventually("both have blocks at hand and want no more stock", async () => {
      const reports = await Promise.all(network.kms.map((one) => one.status()));
      const isBusy = reports.flatMap(({ peers }) => peers).some(({ inFlight }) => inFlight > 0);
      return !isBusy && reports.flatMap(({ links }) => links).every(({ usable }) => usable > 2);
    });
    renameSync(tokens(), away());
    await eventually("it is missed", async () => (await tokenState()) === "gone");
    await refusesWith("HSM_UNAVAILABLE");
    const before = await received(km);
    await whileBlocksCome(20);
    expect(await received(km)).toBe(before);
    renameSync(away(), tokens());
    await eventually("it is back", async () => (await tokenState()) === "ready");
    await exchange();
    await eventually("the blocks that the module held have come", async () => {
      const [a, b] = [await received(km), await received(network.km("km-b"))];
      return a >= b - 2;
    });
    expect((await km.metrics()).sum("qkm_blocks_ended_total")).toBe(0);
    expect(km.logLines().filter(({ level, event }) => level === "error" && event === "token_gone")).toHaveLength(1);
  });

  test("design 7: a wrong PIN at the start is tried once; the process stays up and says so", async () => {
    const { pin } = nodePlaces(km.dir);
    const right = readFileSync(pin);
    expect(await km.kill("SIGTERM")).toBe(0);
    const from = km.logBytes;
    writeFileSync(pin, "1234-wrong\n");
    const starting = km.start().catch(() => {}); // it is never ready
    await eventually("it says that the PIN is wrong", async () => (await tokenState()) === "wrong-pin");
    expect((await km.status()).ready).toBe(false);
    await refusesWith("HSM_UNAVAILABLE");
    await whileBlocksCome(30);
    expect((await km.metrics()).sum("qkm_token_faults_total")).toBe(1);
    expect(km.logLines(from).filter(({ level, fault }) => level === "error" && fault === "WRONG_PIN")).toHaveLength(1);
    expect(km.isRunning).toBe(true);
    expect(await km.kill("SIGTERM")).toBe(0);
    await starting;
    writeFileSync(pin, right);
    await km.start();
    await network.stocked();
    await exchange();
  });

  test("design 7: missing at the start, there later: all goes on by itself", async () => {
    expect(await km.kill("SIGTERM")).toBe(0);
    renameSync(tokens(), away());
    const starting = km.start();
    await eventually("it is up without a token", async () => (await tokenState()) === "gone");
    await refusesWith("HSM_UNAVAILABLE");
    renameSync(away(), tokens());
    await starting;
    await network.stocked();
    await exchange();
  });
});

test("design 6: SIGTERM loses nothing: the next key follows directly where the last one ended", async () => {
  const ends = new Map<number, number>();
  const note = (ids: readonly string[], isFirst: (serial: number, offset: number) => void): void => {
    for (const { serial, offset, length } of ids.map(placeOf)) {
      isFirst(serial, offset);
      ends.set(serial, Math.max(ends.get(serial) ?? 0, offset + length));
    }
  };
  for (let asked = 0; asked < 10; asked++) note(idsOf(await app.encKeys("app-b1", { number: 7 })), () => {});
  const before = new Map(ends);
  expect(await km.kill("SIGTERM")).toBe(0);
  const from = km.logBytes;
  await km.start();
  await network.stocked();
  note(idsOf(await app.encKeys("app-b1", { number: 70 })), (serial, offset) => {
    const end = before.get(serial);
    if (end !== undefined) expect(offset).toBe(end);
    before.delete(serial);
  });
  expect(before.size).toBe(0);
  expect((await km.metrics()).sum("qkm_kma_bytes_lost_total")).toBe(0);
  expect(km.logLines(from).filter(({ level }) => level === "error")).toEqual([]);
});

test.skipIf(!canLimitFiles)("design 7: a full disk: STORE_UNAVAILABLE; room again: all goes on by itself", async () => {
  limitFileBytes(km.pid, statSync(join(km.config.node.storeDir, "data.mdb")).size);
  await eventually("the store is full", async () => (await km.status()).vault.store === "failing");
  // Below the durable marks of open KMA-keys supply goes on.
  await eventually("it refuses", async () => {
    await refusesWith("STORE_UNAVAILABLE");
    return true;
  });
  const before = await received(km);
  await whileBlocksCome(10);
  expect(await received(km)).toBe(before);
  limitFileBytes(km.pid, undefined);
  await eventually("it can be written again", async () => (await km.status()).vault.store === "ready");
  await exchange();
  const metrics = await km.metrics();
  expect(metrics.sum("qkm_store_faults_total")).toBeGreaterThan(0);
  expect(metrics.sum("qkm_kma_bytes_lost_total", { role: "destination" })).toBe(0);
});

describe("zeroise", () => {
  const keks = async (of: Km): Promise<number> => {
    await using token = await openPkcs11Token(of.config.token, recorder().log);
    return (await token.find(kekPrefix(of.config.node.id))).length;
  };

  test("design 7: of a KM that runs: it ends, its KEKs and its store are gone, and it starts anew with nothing", async () => {
    expect(await keks(km)).toBeGreaterThan(0);
    const [old] = await network.app("app-b1").encKeys("app-a1");
    const { code, stdout } = await qkm("zeroise", km.configPath, "--yes");
    expect([code, stdout]).toEqual([0, "km-a is zeroised: the KM destroyed its keys and store, and ends\n"]);
    expect(await km.exited).toBe(0);
    expect(await keks(km)).toBe(0);
    expect(existsSync(join(km.config.node.storeDir, "data.mdb"))).toBe(false);
    await km.start();
    await network.stocked();
    await exchange();
    expect((await ask(app, `app-b1/dec_keys?key_ID=${old?.id}`)).status).toBe(400);
  });

  test("design 7: of a KM that is down: KEKs and store are gone", async () => {
    const down = network.km("km-b");
    expect(await down.kill("SIGTERM")).toBe(0);
    const { code, stdout } = await qkm("zeroise", down.configPath, "--yes");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^km-b is zeroised: [1-9]\d* keys? in the token and the store were destroyed\n$/);
    expect(await keks(down)).toBe(0);
    expect(existsSync(down.config.node.storeDir)).toBe(false);
  });
});

describe.skipIf(!canLimitMemory)("memory that cannot be locked", () => {
  test("design 8: it refuses to start, in a sentence with the remedy", async () => {
    await using unlocked = new Unlocked(network.km("km-b").configPath);
    expect(await unlocked.outcome).toBe(1);
    expect(unlocked.log).toContainEqual(expect.objectContaining({ level: "error", fault: "MEMORY_NOT_LOCKED" }));
    expect(JSON.stringify(unlocked.log)).toContain("raise the limit (ulimit -l, LimitMEMLOCK=)");
  });

  test("design 8: where the configuration allows it, it starts with a warning", async () => {
    const path = network.km("km-b").configPath;
    const tables = parse(readFileSync(path, "utf8"));
    writeFileSync(path, stringify({ ...tables, memory: { ...Object(tables.memory), allow_unlocked: true } }));
    await using unlocked = new Unlocked(path);
    expect(await unlocked.outcome).toBe("ready");
    const warnings = unlocked.log.filter(({ event }) => event === "memory_not_locked");
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings[0]?.level).toBe("warn");
    expect(await unlocked.stop()).toBe(0);
  });
});
