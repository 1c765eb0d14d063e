// The reference network under blows: processes killed, the supervisor killed, everything found again.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type NetworkFile, readNetwork } from "../../src/cli/common/network.ts";
import { expectQuick } from "../support/busy.ts";
import { qkm, runs, tempDir, up } from "./qkm.ts";

const DEADLINE_MS = 120_000;

/** Polls until `value` gives something. */
async function eventually<T>(what: string, value: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await value();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const portsOf = ({ kms }: NetworkFile) => kms.map(({ ak, kx, etsi014, metrics }) => [ak, kx, etsi014.url, metrics.url]);

async function passes(file: string): Promise<true | undefined> {
  const { stdout } = await qkm("selftest", "--network", file);
  return /app-a1 → app-b1 +PASS/.test(stdout) && /app-b1 → app-a1 +PASS/.test(stdout) ? true : undefined;
}

test("a KM that is killed is started again on its ports, network.json has its new pid, and it supplies again", async () => {
  using folder = tempDir();
  await using _network = await up(folder.path);
  const file = join(folder.path, "network.json");
  const before = readNetwork(file);
  const pid = before.kms[0]?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  const after = await eventually("km-a has another pid", () => {
    const now = readNetwork(file);
    return now.kms[0]?.pid === pid ? undefined : now;
  });
  expect(portsOf(after)).toEqual(portsOf(before));
  await eventually("keys are supplied again", () => passes(file));
});

/** KMs whose configuration has this line. */
const kmsWith = (dir: string, line: string): number =>
  readNetwork(join(dir, "network.json")).kms.filter(({ id }) =>
    readFileSync(join(dir, id, "node.toml"), "utf8")
      .split("\n")
      .includes(line),
  ).length;

test("up --doors all opens the further doors, also in a network that was made without them, and keeps them", async () => {
  using folder = tempDir();
  const file = join(folder.path, "network.json");
  const doorsOf = ({ kms }: NetworkFile) =>
    kms.map(({ skip, etsi004, etsi020, etsi015 }) => ({ skip, etsi004, etsi020, etsi015 }));
  const none = await up(folder.path);
  expect(doorsOf(readNetwork(file))).toEqual(
    new Array(3).fill({ skip: undefined, etsi004: undefined, etsi020: undefined, etsi015: undefined }),
  );
  await none[Symbol.asyncDispose]();
  const all = await up(folder.path, "--doors", "all");
  const opened = doorsOf(readNetwork(file));
  expect(opened).toEqual(
    new Array(3).fill({
      skip: { url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) },
      etsi004: { host: "127.0.0.1", port: expect.any(Number) },
      etsi020: { url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) },
      etsi015: { url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) },
    }),
  );
  expect(statSync(join(folder.path, "apps/app-a1.psk")).mode & 0o077).toBe(0);
  expect(statSync(join(folder.path, "borders/foreign.key")).mode & 0o077).toBe(0);
  expect(kmsWith(folder.path, "max_additional_slaves = 4")).toBe(3);
  await all[Symbol.asyncDispose]();
  await using _again = await up(folder.path);
  expect(doorsOf(readNetwork(file))).toEqual(opened);
  const wrong = await qkm("up", "--no-ui", "--dir", folder.path, "--doors", "skip,back");
  expect(wrong.code).toBe(64);
  expect(wrong.stderr).toContain("skip,etsi004");
});

test("no pid in network.json is ever 0, for a script that ends pid 0 ends itself", async () => {
  using folder = tempDir();
  await using _network = await up(folder.path);
  const file = join(folder.path, "network.json");
  const pidsOf = ({ kms, links }: NetworkFile) => [...kms, ...links].map(({ pid }) => pid);
  const before = pidsOf(readNetwork(file));
  for (const pid of before) process.kill(pid, "SIGKILL");
  await eventually("all have other pids", () => {
    const now = pidsOf(readNetwork(file));
    expect(now).not.toContain(0);
    return now.some((pid) => before.includes(pid)) ? undefined : true;
  });
});

test("the modules of a link that are killed are started again, and the link comes back", async () => {
  using folder = tempDir();
  await using _network = await up(folder.path);
  const file = join(folder.path, "network.json");
  const pid = readNetwork(file).links[0]?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  await eventually("link ab has another pid", () => (readNetwork(file).links[0]?.pid === pid ? undefined : true));
  await eventually("both lines are up", async () => {
    const { stdout } = await qkm("status", "--network", file);
    return /km-a ══ km-b +up\/up/.test(stdout) ? true : undefined;
  });
});

test("after kill -9 of up all its processes end, and the next up finds its configuration and is ready within 5 s", async () => {
  using folder = tempDir();
  const file = join(folder.path, "network.json");
  const first = await up(folder.path);
  const before = readNetwork(file);
  const config = readFileSync(before.kms[0]?.config ?? "", "utf8");
  first.process.kill("SIGKILL");
  await first.ended;
  const pids = [...before.kms, ...before.links].map(({ pid }) => pid);
  await eventually("every process has ended", () => (pids.some(runs) ? undefined : true));

  await using second = await up(folder.path);
  expectQuick("an up that finds its configuration is ready", second.readyMs, 5_000);
  expect(portsOf(readNetwork(file))).toEqual(portsOf(before));
  expect(readFileSync(before.kms[0]?.config ?? "", "utf8")).toBe(config);
});

test("an up that follows a kill -9 at once waits for what the killed one left, and becomes ready", async () => {
  using folder = tempDir();
  const first = await up(folder.path);
  const pids = [...readNetwork(join(folder.path, "network.json")).kms].map(({ pid }) => pid);
  first.process.kill("SIGKILL");
  await using second = await up(folder.path);
  expect(second.line).toContain("ready ");
  // Their store and their ports are free: what is left of them may still be on its way out.
  await eventually("every process of the first has ended", () => (pids.some(runs) ? undefined : true));
});

test("zeroise of a running KM destroys its key, and it begins anew", async () => {
  using folder = tempDir();
  await using _network = await up(folder.path);
  const file = join(folder.path, "network.json");
  const { config, pid } = readNetwork(file).kms[1] ?? { config: "", pid: 0 };
  const done = await qkm("zeroise", config, "--yes");
  expect(done).toMatchObject({ code: 0, stderr: "" });
  await eventually("km-b has another pid", () => (readNetwork(file).kms[1]?.pid === pid ? undefined : true));
  await eventually("keys are supplied again", () => passes(file));
});

test("--sources feeds link ab by a vendor's boxes, and stays; network.json is as ever, and --sources serial goes back", async () => {
  using folder = tempDir();
  const file = join(folder.path, "network.json");
  const shapeOf = ({ kms, links }: NetworkFile) => [
    kms.map((km) => Object.keys(km)),
    links.map(({ id, kms: ends }) => [id, ...ends]),
  ];
  const driverIn = (network: NetworkFile) =>
    /driver = "(\w+)"/.exec(readFileSync(network.kms[0]?.config ?? "", "utf8"))?.[1];
  const shapes: unknown[] = [];
  for (const [options, driver] of [
    [["--sources", "etsi014"], "etsi014"],
    [[], "etsi014"],
    [["--sources", "etsi004"], "etsi004"],
    [["--sources", "serial"], "serial"],
  ] as const) {
    await using _network = await up(folder.path, ...options);
    const network = readNetwork(file);
    expect(driverIn(network)).toBe(driver);
    for (const { pid } of [...network.kms, ...network.links]) expect(runs(pid)).toBe(true);
    shapes.push(shapeOf(network));
    const got = await qkm("app", "get-key", "--as", "app-a1", "--with", "app-c1", "--network", file);
    expect(got).toMatchObject({ code: 0 });
  }
  expect(new Set(shapes.map((shape) => JSON.stringify(shape))).size).toBe(1);
});
