// Design 15: a running KM takes another configuration, all of it or nothing, and requests under way go on.

import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { qkm } from "../cli/qkm.ts";
import { reload, rewrite } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { akFetch, akSupply } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { reloadUnderLoad } from "./support/reloads.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  await network.stocked();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

const keysOf = (told: readonly { readonly key: string; readonly what: string }[]): readonly string[] =>
  told.map(({ key, what }) => `${key} ${what}`);

test("nothing differs: nothing is changed", async () => {
  expect(await reload(network.km("km-a"))).toEqual({ changed: [], restart: [], renewed: [] });
});

test("one mistake changes nothing, and line and key are told", async () => {
  const km = network.km("km-a");
  const before = readFileSync(km.configPath, "utf8");
  rewrite(km, (tables) => {
    tables.apps = tables.apps.filter(({ id }) => id !== "app-a2");
    tables.supply = { ...(tables.supply as object), timeout_ms: 0, stock_low: 3 };
  });
  const line =
    readFileSync(km.configPath, "utf8")
      .split("\n")
      .findIndex((one) => one.startsWith("timeout_ms")) + 1;
  await expect(reload(km)).rejects.toMatchObject({
    code: "MALFORMED_REQUEST",
    message: expect.stringContaining(`${km.configPath}:${line}: supply.timeout_ms: must be at least 1`),
  });
  expect(await km.control("configuration")).toMatchObject({ supply: { timeout_ms: 5_000, stock_low: 4 } });
  const keys = await network.app("app-a2").encKeys("app-b1");
  expect(keys).toHaveLength(1);
  writeFileSync(km.configPath, before);
});

test("qkm check --against tells what a reload would change, and what takes a restart; nothing is changed", async () => {
  const km = network.km("km-a");
  const path = join(km.dir, "next.toml");
  writeFileSync(
    path,
    readFileSync(km.configPath, "utf8")
      .replace(/^stock_low = \d+/m, "stock_low = 2")
      .replace(/^ring_bytes = .*/m, "ring_bytes = 2_097_152"),
  );
  const { code, stdout, stderr } = await qkm("check", path, "--against", km.configPath);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.split("\n").slice(1, -1)).toEqual([
    "supply.stock_low changed",
    "memory.ring_bytes changed: takes a restart",
  ]);
  expect(await km.control("configuration")).toMatchObject({ supply: { stock_low: 4 } });
  expect((await qkm("check", km.configPath, "--against", km.configPath)).stdout).toContain("nothing differs");
  expect((await qkm("reload", km.configPath)).stdout).toBe("km-a: nothing differs\n");
});

test("an application that is removed is cut off, its partner's requests for it are refused; it comes back", async () => {
  const [a, b] = [network.km("km-a"), network.km("km-b")];
  await using client = await network.app("app-b2").connectAk();
  await using stays = await network.app("app-b1").connectAk();
  const entries: Record<string, unknown>[] = [];
  const remove = (tables: { apps: Record<string, unknown>[] }): void => {
    entries.splice(0, entries.length, ...tables.apps.filter(({ id }) => id === "app-b2"));
    tables.apps = tables.apps.filter(({ id }) => id !== "app-b2");
  };
  for (const km of [a, b]) rewrite(km, remove);
  for (const km of [a, b]) expect(keysOf((await reload(km)).changed)).toEqual(["apps.app-b2 removed"]);
  await expect(akSupply(client, "app-a1")).rejects.toThrow();
  await expect(network.app("app-a1").encKeys("app-b2")).rejects.toMatchObject({ status: 400 });
  expect(await akSupply(stays, "app-a1")).toHaveLength(1);
  for (const km of [a, b]) rewrite(km, (tables) => void tables.apps.push(...entries));
  for (const km of [a, b]) expect(keysOf((await reload(km)).changed)).toEqual(["apps.app-b2 added"]);
  const [key] = await network.app("app-a1").encKeys("app-b2");
  expect(await network.app("app-b2").decKeys("app-a1", [key?.id ?? ""])).toEqual([key]);
});

test("an application that moves is served at its new home, and told of it at the old one", async () => {
  const [a, b] = [network.km("km-a"), network.km("km-b")];
  const move = (home: string) => async () => {
    for (const km of [a, b]) {
      rewrite(km, ({ apps }) => {
        for (const app of apps) if (app.id === "app-a2") app.home = home;
      });
      expect(keysOf((await reload(km)).changed)).toEqual(["apps.app-a2.home changed"]);
    }
  };
  const [early] = await network.app("app-b1").encKeys("app-a2");
  await move("km-b")();
  await expect(network.app("app-a2").encKeys("app-b1")).rejects.toThrow();
  const [key] = await network.app("app-b1").encKeys("app-a2");
  expect(key?.key).toHaveLength(32);
  await a.kill("SIGTERM");
  await a.start();
  expect(await network.app("app-a2").decKeys("app-b1", [early?.id ?? ""])).toEqual([early]);
  await network.stocked();
  await move("km-a")();
  expect(await network.app("app-a2").encKeys("app-b1")).toHaveLength(1);
});

test("limits, quotas and the log's level change; what needs a restart is named and stays", async () => {
  const km = network.km("km-a");
  const before = readFileSync(km.configPath, "utf8");
  rewrite(km, (tables) => {
    tables.node = { ...(tables.node as object), log_level: "warn" };
    tables.supply = { ...(tables.supply as object), default_key_bits: 128, stock_high: 9 };
    tables.etsi014 = { ...(tables.etsi014 as object), max_additional_slaves: 3, require_hybrid: true };
    for (const app of tables.apps)
      if (app.id === "app-a1") Object.assign(app, { quota_burst_bits: 512, quota_bits_per_s: 8 });
  });
  const { changed, restart } = await reload(km);
  expect(keysOf(changed).toSorted()).toEqual([
    "apps.app-a1.quota_bits_per_s added",
    "apps.app-a1.quota_burst_bits added",
    "etsi014.max_additional_slaves changed",
    "node.log_level changed",
    "supply.default_key_bits changed",
    "supply.stock_high changed",
  ]);
  expect(keysOf(restart)).toEqual(["etsi014.require_hybrid changed"]);
  const [short] = await network.app("app-a2").encKeys("app-b1");
  expect(short?.key).toHaveLength(16);
  expect(await km.control("log_level")).toEqual({ level: "warn" });
  await expect(network.app("app-a1").encKeys("app-b1", { number: 5 })).rejects.toMatchObject({ status: 503 });
  writeFileSync(km.configPath, before);
  await reload(km);
  expect(await network.app("app-a1").encKeys("app-b1", { number: 5 })).toHaveLength(5);
});

test("fewer connections at a door: who is in stays, newcomers are refused; more, and they come in", async () => {
  const km = network.km("km-a");
  const places = async (max_connections: number): Promise<void> => {
    rewrite(km, (tables) => {
      tables.ak = { ...(tables.ak as object), max_connections };
    });
    expect(keysOf((await reload(km)).changed)).toEqual(["ak.max_connections changed"]);
  };
  await using a1 = await network.app("app-a1").connectAk();
  expect(await akSupply(a1, "app-b1")).toHaveLength(1);
  await places(1);
  const from = km.logBytes;
  await using a2 = await network.app("app-a2").connectAk();
  await eventually("a newcomer is refused", () => km.logLines(from).some(({ reason }) => reason === "too_many"));
  expect(await akSupply(a1, "app-b1")).toHaveLength(1);
  await places(256);
  expect(await akSupply(a2, "app-b1")).toHaveLength(1);
});

test("a module at another port goes on; one that cannot be opened is refused, and the old one goes on", async () => {
  const km = network.km("km-a");
  const before = readFileSync(km.configPath, "utf8");
  const blocks = async (): Promise<number> => (await km.metrics()).sum("qkm_blocks_received_total");
  const goesOn = async (): Promise<void> => {
    const had = await blocks();
    await eventually("blocks come in", async () => (await blocks()) > had);
  };
  const other = join(km.dir, "other-port");
  symlinkSync(km.config.links[0]?.port ?? "", other);
  const change = (more: object) =>
    rewrite(km, ({ links }) => {
      for (const link of links) Object.assign(link, more);
    });
  change({ port: other, keep_blocks: 300 });
  expect(keysOf((await reload(km)).changed)).toEqual(["links.ab.port changed", "links.ab.keep_blocks changed"]);
  await goesOn();
  writeFileSync(join(km.dir, "none.key"), "no key", { mode: 0o600 });
  change({ pairing_key_file: "none.key" });
  await expect(reload(km)).rejects.toMatchObject({ code: expect.any(String) });
  await goesOn();
  writeFileSync(km.configPath, before);
  await reload(km);
  await goesOn();
  await network.stocked();
});

test("reloads under load: applications come, go and move, and no request of those that stay fails", async () => {
  const configs = network.kms.map(({ configPath }) => [configPath, readFileSync(configPath, "utf8")] as const);
  const { requests } = await reloadUnderLoad(network, 12);
  expect(requests).toBeGreaterThan(0);
  for (const [path, text] of configs) writeFileSync(path, text);
  for (const km of network.kms) await reload(km);
});

test("SIGHUP is a reload; what is wrong is logged", async () => {
  const km = network.km("km-b");
  const [from, { pid }] = [km.logBytes, km];
  const before = readFileSync(km.configPath, "utf8");
  writeFileSync(km.configPath, `${before}\nwhat = 1\n`);
  process.kill(pid, "SIGHUP");
  await eventually("the log has the refusal", () => km.logLines(from).some(({ event }) => event === "reload_refused"));
  writeFileSync(km.configPath, before);
  process.kill(pid, "SIGHUP");
  await eventually("the log has the reload", () => km.logLines(from).some(({ event }) => event === "reloaded"));
  expect([km.pid, (await km.status()).ready]).toEqual([pid, true]);
});

test("a link and a peer leave and come back while others are served", async () => {
  const km = network.km("km-a");
  const before = readFileSync(km.configPath, "utf8");
  rewrite(km, (tables) => {
    tables.links = [];
  });
  expect(keysOf((await reload(km)).changed)).toEqual(["links.ab removed"]);
  expect((await km.status()).links).toEqual([]);
  expect(await network.app("app-a1").encKeys("app-a2")).toHaveLength(1);
  writeFileSync(km.configPath, before);
  expect(keysOf((await reload(km)).changed)).toEqual(["links.ab added"]);
  await network.stocked();

  rewrite(km, (tables) => {
    tables.links = [];
    tables.peers = [];
    tables.apps = tables.apps.filter(({ home }) => home === "km-a");
  });
  const [early] = await network.app("app-b1").encKeys("app-a1");
  await reload(km);
  expect((await km.status()).peers.map(({ id }) => id)).toEqual(["km-a"]);
  writeFileSync(km.configPath, before);
  await reload(km);
  await network.stocked();
  expect(await network.app("app-a1").decKeys("app-b1", [early?.id ?? ""])).toEqual([early]);
  await using b1 = await network.app("app-b1").connectAk();
  await using a1 = await network.app("app-a1").connectAk();
  const [key] = await akSupply(a1, "app-b1");
  expect(await akFetch(b1, "app-a1", [key?.id ?? ""])).toEqual([key]);
});

test("a peer and a link that a start did not find come back with a reload, with the key from before", async () => {
  const km = network.km("km-a");
  const before = readFileSync(km.configPath, "utf8");
  const [early] = await network.app("app-b1").encKeys("app-a1");
  rewrite(km, (tables) => {
    tables.links = [];
    tables.peers = [];
    tables.apps = tables.apps.filter(({ home }) => home === "km-a");
  });
  await km.kill("SIGTERM");
  await km.start();
  expect((await km.status()).peers.map(({ id }) => id)).toEqual(["km-a"]);
  writeFileSync(km.configPath, before);
  expect(keysOf((await reload(km)).changed).toSorted()).toEqual([
    "apps.app-b1 added",
    "apps.app-b2 added",
    "links.ab added",
    "peers.km-b added",
  ]);
  await network.stocked();
  expect(await network.app("app-a1").decKeys("app-b1", [early?.id ?? ""])).toEqual([early]);
  const [key] = await network.app("app-a1").encKeys("app-b1");
  expect(await network.app("app-b1").decKeys("app-a1", [key?.id ?? ""])).toEqual([key]);
});
