// The search of another process: a key is found in whatever way it is kept there, and not when it was wiped.

import { expect, test } from "vitest";
import { TestProcess } from "../system/support/process.ts";
import { temporaryFolder } from "./support/folder.ts";
import { makeKey, WAYS, WIPED } from "./support/hoarder.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { scan } from "./support/scan.ts";
import { Secrets } from "./support/secrets.ts";

const HOARDER = new URL("support/hoarder.ts", import.meta.url).pathname;

test("a process that keeps keys is found out, whatever way it keeps them; a wiped key is not found", async ({
  skip,
}) => {
  using folder = temporaryFolder();
  await using hoarder = new TestProcess("hoarder", `${folder.path}/log`);
  await hoarder.spawn([HOARDER]);
  skip(obstacleTo(hoarder.pid) !== undefined, obstacleTo(hoarder.pid));
  const secrets = new Secrets();
  for (const name of [...Object.keys(WAYS), WIPED]) secrets.addKey(name, makeKey(name));

  const memory = await copyOf(hoarder.pid);
  const traces = await scan(memory, secrets);

  for (const [way, spelling] of Object.entries(WAYS)) {
    const found = traces.filter(({ secret }) => secret === way).map((trace) => trace.spelling);
    expect(found, `a key kept ${way}`).toContain(spelling);
  }
  expect(traces.filter(({ secret }) => secret === WIPED)).toEqual([]);
  expect(memory.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(10_000_000);
});
