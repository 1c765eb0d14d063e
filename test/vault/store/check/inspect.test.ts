// The store of a KM that does not run, looked at from outside.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openVault } from "../../../../src/vault/open.ts";
import { inspectStore } from "../../../../src/vault/store/check/inspect.ts";
import { makeModelToken } from "../../../support/model-token.ts";
import { recorder } from "../../../support/recorder.ts";
import { keep, OPTIONS, realClock } from "../../harness.ts";

test("it tells records by epoch, guard and token, and changes nothing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "qkm-inspect-"));
  const dir = join(folder, "store");
  try {
    expect(await inspectStore(dir)).toBeUndefined();
    const kept = recorder();
    const token = makeModelToken({ serialNumber: "77" });
    const ports = { openToken: token.open, clock: realClock, log: kept.log, meter: kept.meter };
    const { vault, ready } = await openVault({ ...OPTIONS, dir }, ports);
    await ready;
    await keep(vault, "a", "b", "c");
    await vault[Symbol.asyncDispose]();
    const before = readFileSync(join(dir, "data.mdb"));
    const found = await inspectStore(dir);
    expect(found).toMatchObject({
      serial: "77",
      guard: expect.any(Number),
      epochs: new Map([[1, found?.records ?? 0]]),
    });
    expect(found?.records).toBeGreaterThanOrEqual(3);
    expect(readFileSync(join(dir, "data.mdb")).equals(before)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
