// The reference network as its users meet it: brought up, asked for keys, ended.

import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readNetwork } from "../../src/cli/common/network.ts";
import { qkm, runs, start, tempDir, type Up, up } from "./qkm.ts";

const folder = tempDir();
const file = join(folder.path, "network.json");
let network: Up;

beforeAll(async () => {
  network = await up(folder.path);
});

afterAll(async () => {
  await network[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

test("up says ready with the path of network.json, whose processes run and whose files are there", () => {
  expect(network.line).toBe(`ready ${file}`);
  const { kms, links, apps, ca, controller } = readNetwork(file);
  expect(kms.map(({ id }) => id)).toEqual(["km-a", "km-b", "km-c"]);
  expect(links.map(({ id, kms: ends }) => [id, ...ends])).toEqual([
    ["ab", "km-a", "km-b"],
    ["bc", "km-b", "km-c"],
  ]);
  expect(apps.map(({ id, km }) => `${id} ${km}`)).toEqual([
    "app-a1 km-a",
    "app-a2 km-a",
    "app-b1 km-b",
    "app-c1 km-c",
    "app-c2 km-c",
  ]);
  for (const { pid } of [...kms, ...links]) expect(runs(pid)).toBe(true);
  for (const path of [
    ...apps.flatMap(({ cert, key }) => [cert, key]),
    ...Object.values(ca),
    ...Object.values(controller),
    ...kms.map(({ config }) => config),
  ]) {
    expect(existsSync(path), path).toBe(true);
  }
});

test("private keys, PINs and pairing keys are for their owner alone", () => {
  const secrets = [
    "apps/app-a1.key",
    "controllers/controller-1.key",
    "ca/kms.key",
    "km-a/tls/kx.key",
    "km-a/pin",
    "km-a/so-pin",
    "links/ab/pairing.key",
  ];
  for (const path of secrets) expect(statSync(join(folder.path, path)).mode & 0o077, path).toBe(0);
});

test("an application gets keys at once, another the same by their IDs, and nobody a second time", async () => {
  const got = await qkm(
    "app",
    "get-key",
    "--as",
    "app-a1",
    "--with",
    "app-b1",
    "--number",
    "2",
    "--size",
    "128",
    "--network",
    file,
  );
  expect(got.stderr).toBe("");
  const { keys } = JSON.parse(got.stdout);
  expect(keys.map(({ key }: { key: string }) => Buffer.from(key, "base64").length)).toEqual([16, 16]);
  expect(keys[0].key).not.toBe(keys[1].key);

  const byId = ["app", "get-key-by-id", "--as", "app-b1", "--from", "app-a1", "--network", file, keys[1].key_ID];
  const again = await qkm(...byId);
  expect(JSON.parse(again.stdout)).toEqual({ keys: [keys[1]] });
  const third = await qkm(...byId);
  expect(third).toMatchObject({ code: 1, stdout: "" });
  expect(third.stderr).toContain("KEY_NOT_FOUND");
});

/** `qkm app listen` of app-b1, once it is connected. */
async function listening(...args: readonly string[]) {
  const child = start("app", "listen", "--as", "app-b1", "--network", file, ...args);
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("app-b1 listens")) resolve();
    });
    ended.then(() => reject(new Error(said)));
  });
  return { child, ended, lines: () => out.split("\n").filter((line) => line !== "") };
}

test("a session pushes keys to an application that listens, and gives the same to the one that opened it", async () => {
  const listen = await listening("--from", "app-a1", "--keys", "--number", "5");
  const flags = ["app", "session", "--from", "app-a1", "--to", "app-b1", "--network", file];
  const got = await qkm(...flags, "--number", "3", "--size", "512", "--name", "test");
  expect(got.stderr).toBe("");
  const { session_ID, keys } = JSON.parse(got.stdout);
  expect(keys.map(({ key }: { key: string }) => Buffer.from(key, "base64").length)).toEqual([64, 64, 64]);
  const refused = await qkm("app", "session", "--from", "app-a2", "--to", "app-b1", "--network", file);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain(
    "SESSION_REFUSED: the other application refuses the session: it listens to app-a1 only",
  );

  const more = await qkm(...flags, "--session", session_ID, "--number", "2", "--table");
  expect(await listen.ended).toBe(0);
  const [first = "", second = ""] = more.stdout.split("\n");
  const all = [...keys.map(({ key_ID, key }: Record<string, string>) => `${key_ID}  ${key}`), first, second];
  expect(listen.lines()).toEqual(all.map((line) => `${session_ID}  ${line}`));
});

test("a session with nobody who listens is refused, and listening ends at once with SIGINT", async () => {
  const refused = await qkm("app", "session", "--from", "app-a1", "--to", "app-b1", "--network", file);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain("APP_UNAVAILABLE");
  const listen = await listening();
  listen.child.kill("SIGINT");
  expect(await listen.ended).toBe(0);
  expect(listen.lines()).toEqual([]);
});

test("status shows every KM and link, and selftest passes over both doors in both directions", async () => {
  const status = await qkm("status", "--network", file);
  expect(status.code).toBe(0);
  for (const word of ["km-a ══ km-b", "km-b ══ km-c", "up/up", "Mbit/s"]) expect(status.stdout).toContain(word);
  const selftest = await qkm("selftest", "--network", file);
  expect(selftest.stdout).toMatch(/Ak +app-a1 → app-b1 +PASS/);
  expect(selftest.stdout).toMatch(/Ak +app-a1 → app-c1 +PASS/);
  expect(selftest.stdout).toMatch(/Ak +app-c2 → app-c1 +PASS/);
  expect(selftest.stdout).toMatch(/ETSI 014 +app-c1 → app-b1 +PASS/);
  expect(selftest.code).toBe(0);
});

test("applications get keys at once where no link joins their KMs, through the one between", async () => {
  const got = await qkm("app", "get-key", "--as", "app-a1", "--with", "app-c1", "--network", file);
  expect(got.stderr).toBe("");
  const { keys } = JSON.parse(got.stdout);
  const byId = ["app", "get-key-by-id", "--as", "app-c1", "--from", "app-a1", "--network", file];
  expect(JSON.parse((await qkm(...byId, keys[0].key_ID)).stdout)).toEqual({ keys });
});

test("a controller sets routes, finds them kept, gives them back, and says which KM does not answer", async () => {
  const controller = (...options: string[]) => qkm("controller", "--network", file, ...options);
  const set = await controller();
  expect(set).toMatchObject({ code: 0, stderr: "" });
  expect(set.stdout).toMatch(/km-a → km-c +1 +km-b +set\n/);
  expect(set.stdout).toMatch(/km-b → km-c +1 +direct +set\n/);
  expect((await controller("--look")).stdout).toMatch(/km-a → km-c +1 +km-b +kept\n/);
  expect((await controller("--give-back")).stdout).toMatch(/km-a → km-c +1 +km-b +given back\n/);
  expect((await controller("--look")).stdout).toMatch(/km-a → km-c +1 +km-b +would be set\n/);

  const domain = join(folder.path, "domain.json");
  const { kms, links, controller: own, ca } = readNetwork(file);
  const reached = kms.map(({ id, controller: door }) => ({
    id,
    url: id === "km-c" ? "https://127.0.0.1:9" : door?.url,
  }));
  const known = links.map(({ id, kms: ends }) => ({ id, kms: ends }));
  const files = { certificate: own.cert, key: own.key, trust: ca.km_servers };
  writeFileSync(domain, JSON.stringify({ ...files, kms: reached, links: known }));
  const lacking = await qkm("controller", domain, "--look");
  expect(lacking.code).toBe(69);
  expect(lacking.stdout).toContain("km-c does not answer: ");
});

test("a controller that watches ends with exit code 0 when it is told to", async () => {
  const watching = start("controller", "--watch", "0.1", "--look", "--network", file);
  const ended = once(watching, "exit");
  const [first] = await once(watching.stdout, "data");
  expect(String(first)).toMatch(/^\d{4}-/);
  watching.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
});

test("a second up in the same folder is refused, and says which process has it", async () => {
  const second = await qkm("up", "--no-ui", "--dir", folder.path);
  expect(second.code).toBe(69);
  expect(second.stderr).toContain(`a network runs here already (process ${network.process.pid})`);
});

test("SIGTERM ends all processes and removes network.json, with exit code 0", async () => {
  const { kms, links } = readNetwork(file);
  network.process.kill("SIGTERM");
  expect(await network.ended).toBe(0);
  for (const { pid } of [...kms, ...links]) expect(runs(pid)).toBe(false);
  expect(existsSync(file)).toBe(false);
  const late = await qkm("status", "--network", file);
  expect(late.code).toBe(69);
  expect(late.stderr).toContain("no network runs here");
});
