// Tests of the vault on what it runs on by default: SoftHSM, LMDB and the machine's own time.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPkcs11Token } from "../../drivers/pkcs11/token.ts";
import { type OpenVault, openVault, type VaultOptions } from "../../src/vault/open.ts";
import { expectQuick } from "../support/busy.ts";
import { recorder } from "../support/recorder.ts";
import { makeToken, type TestToken } from "../support/softhsm.ts";
import { until } from "../support/until.ts";
import { id, isWhole, keep, keyOf, OPTIONS, realClock, take } from "./harness.ts";

const LARGE = { blockBytes: 32_768, slabBytes: 32 * (32_768 + 64) };

describe.each(["direct", "envelope"] as const)("a vault on SoftHSM and LMDB in %s mode", (mode) => {
  let token: TestToken;
  let home: string;
  let open: OpenVault;

  const options = (): VaultOptions => ({ ...OPTIONS, ...LARGE, mode, dir: join(home, "store") });
  const start = async () => {
    const kept = recorder();
    const openToken = () => openPkcs11Token({ ...token, softhsmConf: token.conf }, kept.log);
    open = await openVault(options(), { openToken, clock: realClock, log: kept.log, meter: kept.meter });
    return await open.ready;
  };
  const stop = () => open.vault[Symbol.asyncDispose]();
  const objects = () =>
    readdirSync(join(home, "token"), { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".object") && !file.endsWith("token.object"),
    );

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "qkm-vault-"));
    token = await makeToken(join(home, "token"), `qkm ${mode}`);
  });
  afterAll(async () => {
    await stop();
    await token.dispose();
    rmSync(home, { recursive: true, force: true });
  });

  test("seals, commits, restarts, opens, rotates; the disk never holds the key", async () => {
    expect(await start()).toEqual({ restored: false, fresh: true });
    const { vault } = open;
    await keep(vault, "link:ab:1:0", "link:ab:1:1");
    using opened = await vault.open(id("link:ab:1:0"));
    const { key, sealed } = await opened.keyIdKey();
    key[Symbol.dispose]();
    await vault.change().keep(sealed).put("t", "x", { n: 1 }).commit();
    opened[Symbol.dispose]();
    await stop();
    expect(await start()).toEqual({ restored: false, fresh: false });
    expect(open.vault.health().mode).toBe(mode);
    await open.vault.rotate((block) => (block === "link:ab:1:1" ? [{ offset: 0, length: 1024 }] : []));
    expect(await isWhole(open.vault, "link:ab:1:0")).toBe(true);
    (await open.vault.keyIdKey(id("link:ab:1:0")))[Symbol.dispose]();
    using rest = await open.vault.open(id("link:ab:1:1"));
    expect(take(rest, { offset: 1024, length: 64 })).toEqual(Buffer.from(keyOf("link:ab:1:1").subarray(1024, 1088)));
    const disk = readFileSync(join(options().dir, "data.mdb"));
    for (let at = 0; at < 4096; at += 16) expect(disk.includes(keyOf("link:ab:1:0").subarray(at, at + 16))).toBe(false);
  });

  test("sees a copy of the store that was put back", async () => {
    await stop();
    const copy = readFileSync(join(options().dir, "data.mdb"));
    await start();
    await stop();
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(options().dir, "data.mdb"), copy);
    expect(await start()).toEqual({ restored: true, fresh: false });
  });

  test("notices that the token is pulled out, and goes on when it is back", async () => {
    const { vault } = open;
    await keep(vault, "c");
    token.vanish();
    await until("the token is gone", () => vault.health().token === "gone");
    await expect(vault.open(id("c"))).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
    token.restore();
    await until("the token is back", () => vault.health().token === "ready");
    expect(await isWhole(vault, "c")).toBe(true);
  });

  test("zeroise leaves no key in the token and no store", async () => {
    expect(objects().length).toBeGreaterThan(0);
    const before = objects().length;
    const keks = 1;
    const began = performance.now();
    await open.vault.zeroise();
    expectQuick("zeroise", performance.now() - began, 2000);
    // What is left is the counter of the rollback guard.
    expect(objects()).toHaveLength(before - keks);
    expect(existsSync(options().dir)).toBe(false);
  });
});
