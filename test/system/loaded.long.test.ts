// Every door is off unless configured, and its code is loaded only then: what running key managers have loaded, as V8 tells at their end.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MORE_DOOR_NAMES } from "../../src/cli/provision/more-doors.ts";
import { akSupply } from "./support/keys.ts";
import { startNetwork } from "./support/network.ts";
import { PAIR, type Plan } from "./support/plan.ts";

/** By door. */
const ROOMS = {
  skip: ["/src/skip/"],
  etsi004: ["/src/etsi004/", "/src/keys/streams/"],
  etsi015: ["/src/control/etsi015/"],
  etsi020: ["/src/etsi020/", "/src/keys/borders/"],
} as const;
/** Of links whose key comes from boxes. */
const SOURCES = ["/src/keys/sources/", "/drivers/etsi014/", "/drivers/etsi004/"];

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-loaded-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The files that the key managers of a network have loaded, after both doors that all have were used. */
async function loadedBy(name: string, plan: Plan): Promise<readonly string[]> {
  const coverage = join(dir, name);
  process.env.NODE_V8_COVERAGE = coverage;
  try {
    await using network = await startNetwork(plan);
    await network.stocked();
    const app = network.app("app-a1");
    const [key] = await app.encKeys("app-b1");
    expect(await network.app("app-b1").decKeys("app-a1", [key?.id ?? ""])).toEqual([key]);
    await using client = await app.connectAk();
    expect(await akSupply(client, "app-b1")).toHaveLength(1);
    await Promise.all(network.kms.map((km) => km.kill("SIGTERM")));
  } finally {
    delete process.env.NODE_V8_COVERAGE;
  }
  const files = readdirSync(coverage).map((file) => JSON.parse(readFileSync(join(coverage, file), "utf8")) as Coverage);
  const kms = files.map(({ result }) => result.map(({ url }) => url)).filter((urls) => urls.some(isMain));
  expect(kms).toHaveLength(network(plan));
  return [...new Set(kms.flat())];
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

const isMain = (url: string): boolean => url.endsWith("/src/main.ts");
const network = ({ kms }: Plan): number => kms.length;
/** What the configuration asks of every driver. */
const isFace = (url: string): boolean => /\/drivers\/[^/]+\/driver\.ts$/.test(url);
const among = (loaded: readonly string[], rooms: readonly string[]): readonly string[] =>
  rooms.filter((room) => loaded.some((url) => url.includes(room) && !isFace(url)));

test("a key manager with Ak and ETSI 014 alone loads nothing of any other door or source", async () => {
  const loaded = await loadedBy("two", PAIR);
  expect(among(loaded, ["/src/ak/", "/src/etsi014/", "/src/keys/supply/"])).toHaveLength(3);
  expect(among(loaded, [...Object.values(ROOMS).flat(), ...SOURCES])).toEqual([]);
});

test.each(MORE_DOOR_NAMES)("with [%s] it loads that, and nothing of the others", async (door) => {
  const loaded = await loadedBy(door, { ...PAIR, doors: [door], controller: true });
  expect(among(loaded, [...Object.values(ROOMS).flat(), ...SOURCES])).toEqual(ROOMS[door]);
});
