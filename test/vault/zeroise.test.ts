// Tests of zeroise: memory, KEKs, store, in that order, whatever state the vault is in.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { openVault } from "../../src/vault/open.ts";
import { settled } from "../support/manual-clock.ts";
import { makeModelToken } from "../support/model-token.ts";
import { recorder } from "../support/recorder.ts";
import { id, keep, OPTIONS, openBench, readyBench, realClock, take } from "./harness.ts";

describe("zeroise", () => {
  test("zeroes slab and ring, destroys every KEK, removes the store, and makes the vault unusable", async () => {
    const dir = join(mkdtempSync(join(tmpdir(), "qkm-zeroise-")), "store");
    const token = makeModelToken();
    const kept = recorder();
    const ports = { openToken: token.open, clock: realClock, log: kept.log, meter: kept.meter };
    const { vault, ready, lockedRegion } = await openVault({ ...OPTIONS, dir }, ports);
    await ready;
    const ring = lockedRegion(4096).fill(5);
    await keep(vault, "a", "b");
    const open = await vault.open(id("a"));
    const { key } = await open.keyIdKey();
    const device = await token.open();
    await device.generate("qkm-kek-km-a-0000000007");
    await device.generate("qkm-kek-km-b-0000000001");
    await vault.zeroise();
    expect(token.keks()).toEqual(["qkm-kek-km-b-0000000001"]);
    expect(existsSync(dir)).toBe(false);
    expect(ring.every((byte) => byte === 0)).toBe(true);
    expect(() => take(open, { offset: 96, length: 8 })).toThrow();
    expect(() => open.hopTag(new Uint8Array())).toThrow();
    expect(() => key.tag(new Uint8Array(), new Uint8Array(16))).toThrow();
    await expect(vault.open(id("b"))).rejects.toMatchObject({ code: "STOPPING" });
    expect(kept.lines.at(-1)?.fields).toMatchObject({ keks: 2 });
    await vault[Symbol.asyncDispose]();
    expect(ring).toHaveLength(0);
    rmSync(join(dir, ".."), { recursive: true });
  });

  test("on a mount point removes all that is in it, and ends well", async ({ skip }) => {
    const dir = mkdtempSync(join(tmpdir(), "qkm-zeroise-"));
    try {
      if (spawnSync("mount", ["-t", "tmpfs", "none", dir]).status !== 0) return skip("mounting is not allowed here");
      mkdirSync(join(dir, "lost+found"));
      const token = makeModelToken();
      const kept = recorder();
      const ports = { openToken: token.open, clock: realClock, log: kept.log, meter: kept.meter };
      const { vault, ready } = await openVault({ ...OPTIONS, dir }, ports);
      await ready;
      await keep(vault, "a");
      await vault.zeroise();
      expect(readdirSync(dir)).toEqual(["lost+found"]);
      expect(token.keks()).toEqual([]);
      await vault[Symbol.asyncDispose]();
    } finally {
      spawnSync("umount", ["-l", dir]);
      rmSync(dir, { recursive: true });
    }
  });

  test("with the token gone destroys memory and store at once, and the KEKs if it comes back in time", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    bench.token.vanish();
    const zeroised = bench.vault.zeroise();
    await settled();
    expect(bench.disk.records).toEqual([]);
    expect(bench.token.keks()).toHaveLength(1);
    bench.token.restore();
    await bench.clock.run(1000);
    await zeroised;
    expect(bench.token.keks()).toEqual([]);
  });

  test("with a token that hangs destroys memory and store all the same, and the KEKs when it answers", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const { promise: hanging, resolve: goOn } = Promise.withResolvers<void>();
    bench.token.slow(() => hanging);
    const zeroised = bench.vault.zeroise();
    await bench.clock.run(500);
    expect(bench.disk.records).toEqual([]);
    expect(bench.token.keks()).toHaveLength(1);
    goOn();
    await zeroised;
    expect(bench.token.keks()).toEqual([]);
  });

  test("with a token whose opening hangs tries again at once and when that is overdue, and destroys the KEKs", async () => {
    const token = makeModelToken();
    let hangs = false;
    let openings = 0;
    /** As an opening whose login hangs: ended by whoever gives it up, or overdue. */
    const hanging = (stop: AbortSignal) =>
      new Promise<never>((_, reject) => {
        stop.addEventListener("abort", () => reject(new Fault("STOPPING")));
        bench.clock.after(8000, () => reject(new Fault("HSM_UNAVAILABLE")));
      });
    const openToken = (stop: AbortSignal) => {
      openings += 1;
      return hangs ? hanging(stop) : token.open();
    };
    await using bench = await openBench({ token, ports: { openToken } });
    await bench.clock.run(0);
    await keep(bench.vault, "a");
    hangs = true;
    token.vanish();
    await bench.clock.run(2000);
    expect(openings).toBe(2);
    const zeroised = bench.vault.zeroise();
    await bench.clock.run(500);
    expect(bench.disk.records).toEqual([]);
    expect(openings).toBe(3);
    token.restore();
    hangs = false;
    await bench.clock.run(10_000);
    await zeroised;
    expect(token.keks()).toEqual([]);
  });

  test("with a token that hangs for ever ends within a minute or so, and says that its KEKs are left", async () => {
    const token = makeModelToken();
    const openToken = (stop: AbortSignal) =>
      new Promise<never>((_, reject) => stop.addEventListener("abort", () => reject(new Fault("STOPPING"))));
    await using bench = await openBench({ token, ports: { openToken } });
    const outcome = expect(bench.vault.zeroise()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
    await bench.clock.run(66_000);
    await outcome;
    expect(bench.disk.records).toEqual([]);
  });

  test("with the token gone for longer says that its KEKs are left", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    bench.token.vanish();
    const zeroised = bench.vault.zeroise();
    const outcome = expect(zeroised).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
    await bench.clock.run(5000);
    await outcome;
    expect(bench.disk.records).toEqual([]);
  });

  test("with a wrong PIN does not wait for what will not come", async () => {
    const token = makeModelToken();
    token.refusePin(true);
    await using bench = await openBench({ token });
    await bench.clock.run(0);
    await expect(bench.vault.zeroise()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
    expect(token.logins).toBe(1);
  });

  test("in the middle of a rotation, with seals and opens under way, ends with nothing left", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, ...Array.from({ length: 40 }, (_, n) => `b${n}`));
    let asked = 0;
    let zeroised = Promise.resolve();
    const outcomes = await Promise.allSettled([
      bench.vault.rotate(() => {
        asked += 1;
        if (asked === 5) zeroised = bench.vault.zeroise();
        return [];
      }),
      ...Array.from({ length: 10 }, (_, n) => bench.vault.open(id(`b${n}`))),
      keep(bench.vault, "late"),
    ]);
    await zeroised;
    await settled();
    expect(outcomes[0]?.status).toBe("rejected");
    expect(bench.token.keks()).toEqual([]);
    expect(bench.disk.records).toEqual([]);
  });

  test("on a store that fails, removes it all the same", async () => {
    await using bench = await readyBench();
    bench.disk.full(true);
    await expect(keep(bench.vault, "a")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await bench.clock.run(1000);
    await bench.vault.zeroise();
    expect(bench.token.keks()).toEqual([]);
  });
});
