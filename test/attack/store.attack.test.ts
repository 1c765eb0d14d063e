// A store that is used twice, damaged, cut or removed: no key is supplied twice, and the KM goes on.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { eventually } from "../system/support/eventually.ts";
import { Km } from "../system/support/km.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { Oracle } from "../system/support/oracle.ts";
import { PAIR } from "../system/support/plan.ts";
import { Traffic } from "../system/support/traffic.ts";
import { DAMAGE } from "./support/damage.ts";
import { expectHarmless } from "./support/harmless.ts";
import { Innocent } from "./support/innocent.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** The first process of a PID namespace of its own, where the kernel and our rights allow it. */
const NAMESPACE = ["--pid", "--fork", "--mount-proc"];
const hasNamespaces = spawnSync("unshare", [...NAMESPACE, "true"]).status === 0;

let network: Network;
let km: Km;
let traffic: Traffic;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  km = network.km("km-a");
  traffic = new Traffic(network, new Oracle(), 1);
  await network.stocked();
});
afterEach(() => expect(traffic.oracle.violations).toEqual([]));
afterAll(() => network?.[Symbol.asyncDispose]());

const dataFile = (): string => join(km.config.node.storeDir, "data.mdb");
const alarms = (of: Km, fromByte: number) => of.logLines(fromByte).flatMap(({ alarm }) => alarm ?? []);

/** Keys in both directions, none of which was ever supplied before; all of them can be fetched. */
async function goesOn(): Promise<void> {
  await network.stocked(240_000);
  const { toOne, toOther } = await traffic.bothWays("app-a1", "app-b1");
  await traffic.fetch(toOne);
  await traffic.fetch(toOther);
}

/** Starts the KM as a supervisor does: once is enough. */
async function startsAgain(): Promise<readonly string[]> {
  const from = km.logBytes;
  await km.start();
  await goesOn();
  return alarms(km, from);
}

test("17.16: a second KM on the same store, in a PID namespace of its own, is refused before it opens anything", async () => {
  const [program = "", ...args] = [
    ...(hasNamespaces ? ["unshare", ...NAMESPACE] : []),
    process.execPath,
    MAIN,
    km.configPath,
  ];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    said += piece;
  });
  const [code] = await once(child, "close");
  expect(code).toBe(1);
  expect(said).toContain("is in use by");
  await goesOn();
});

test("17.16: a copy of the folder on the same token is refused as long as the first runs, and harms nothing", async () => {
  const dir = join(dirname(km.dir), "copy-of-km-a");
  cpSync(km.dir, dir, { recursive: true, filter: (path) => !path.endsWith(".sock") && !path.includes("log") });
  const copy = new Km("km-a", dir);
  const toml = readFileSync(copy.configPath, "utf8")
    .replace(/softhsm_conf = .*/, `softhsm_conf = ${JSON.stringify(join(km.dir, "token/softhsm2.conf"))}`)
    .replace(/listen = "127\.0\.0\.1/g, 'listen = "127.0.0.9');
  writeFileSync(copy.configPath, toml);
  const from = km.logBytes;
  const starting = copy.start().then(
    () => "ready",
    () => "ended",
  );
  try {
    const reason = async () => (await copy.status().catch(() => undefined))?.vault.tokenReason ?? "";
    await eventually("the copy is refused", async () => (await reason()).includes("another folder"), 240_000);
    await eventually("the first tells of it", () => alarms(km, from).includes("token_asked"), 240_000);
    expect(alarms(km, from)).not.toContain("token_shared");
    await goesOn();
    await using innocent = await Innocent.open(network.app("app-a1"), "app-a2");
    const { pid } = copy;
    process.kill(pid, "SIGSTOP");
    await expectHarmless("a copy of the folder that asks for the token", innocent, async () => {
      process.kill(pid, "SIGCONT");
      return { [Symbol.asyncDispose]: async () => void process.kill(pid, "SIGSTOP") };
    });
    process.kill(pid, "SIGCONT");
  } finally {
    await copy[Symbol.asyncDispose]();
  }
  expect(await starting).toBe("ended");
  rmSync(dir, { recursive: true });
});

// Before the KM is restarted by others: what has been told once is not told again while it lasts.
test("17.18: a store whose file comes and goes does not slow supply down", async () => {
  await using innocent = await Innocent.open(network.app("app-a1"), "app-a2");
  const away = `${dataFile()}.away`;
  await expectHarmless("a store without its file", innocent, async () => {
    renameSync(dataFile(), away);
    return { [Symbol.asyncDispose]: async () => renameSync(away, dataFile()) };
  });
  await goesOn();
});

test.each(Object.keys(DAMAGE) as (keyof typeof DAMAGE)[])(
  "17.18: a KM whose store is %s sets it aside at its start, says so, and goes on with new key",
  async (kind) => {
    expect(await km.kill("SIGTERM")).toBe(0);
    DAMAGE[kind](dataFile());
    expect(await startsAgain()).toEqual(["store_damaged"]);
    expect((await km.metrics()).sum("qkm_store_faults_total", { kind: "damaged" })).toBe(1);
  },
);

test("17.18: a store that is cut while the KM runs may end it, and the next start goes on with new key", async () => {
  truncateSync(dataFile(), 2 * 4096);
  // Whether or not it has touched a page that is gone by now.
  await km.kill();
  expect(await startsAgain()).toEqual(["store_damaged"]);
});

test("17.18: a store that is removed while the KM runs is an alarm at once, and another at the next start", async () => {
  const from = km.logBytes;
  renameSync(dataFile(), `${dataFile()}.away`);
  await eventually("the alarm", () => alarms(km, from).includes("store_vanished"), 240_000);
  await goesOn();
  expect(await km.kill("SIGTERM")).toBe(0);
  expect(await startsAgain()).toEqual(["store_missing"]);
  // Put back, it is an old copy.
  expect(await km.kill("SIGTERM")).toBe(0);
  renameSync(`${dataFile()}.away`, dataFile());
  expect(await startsAgain()).toContain("restored");
});
