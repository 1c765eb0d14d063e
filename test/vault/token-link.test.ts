// Tests of the vault while its token comes, goes, and refuses the PIN.

import { describe, expect, test } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { secretOf } from "../../src/core/memory/secret.ts";
import { makeModelToken } from "../support/model-token.ts";
import { type Bench, id, isWhole, keep, keyOf, openBench, readyBench } from "./harness.ts";

const UNAVAILABLE = { code: "HSM_UNAVAILABLE" };

describe("a vault without its token", () => {
  test("opens all the same, serves rows without a tag, refuses what needs the token, and is ready when it comes", async () => {
    const token = makeModelToken();
    token.vanish();
    await using bench = await openBench({ token });
    let ready = false;
    void bench.ready.then(() => {
      ready = true;
    });
    await bench.clock.run(60_000);
    expect([ready, bench.vault.health().token, bench.vault.health().epoch]).toEqual([false, "gone", 0]);
    await expect(bench.vault.change().put("t", "x", { n: 1 }).commit()).rejects.toMatchObject(UNAVAILABLE);
    await bench.vault.change().put("audit", "last", { n: 1 }).commit();
    expect([...bench.vault.rows("audit")]).toEqual([["last", { n: 1 }]]);
    using key = secretOf(keyOf("a"));
    await expect(bench.vault.seal(id("a"), key)).rejects.toMatchObject(UNAVAILABLE);
    await expect(bench.vault.generate([id("a")], 8)).rejects.toMatchObject(UNAVAILABLE);
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject(UNAVAILABLE);
    await expect(bench.vault.keyIdKey(id("a"))).rejects.toMatchObject(UNAVAILABLE);
    await expect(bench.vault.rotate(() => [])).rejects.toMatchObject(UNAVAILABLE);
    expect(bench.vault.cached(id("a"))).toBeUndefined();
    token.restore();
    await bench.clock.run(5000);
    expect([ready, bench.vault.health().token, bench.vault.health().epoch]).toEqual([true, "ready", 1]);
    await keep(bench.vault, "a");
  });

  test("can be used from the moment it is ready", async () => {
    await using bench = await openBench();
    await bench.ready;
    expect(bench.vault.health().token).toBe("ready");
    using key = secretOf(keyOf("a"));
    await bench.vault.seal(id("a"), key);
  });

  test("tries again after 0.2 s, doubling to 5 s", async () => {
    const token = makeModelToken();
    token.vanish();
    let tries = 0;
    const openToken = () => {
      tries += 1;
      return token.open();
    };
    await using bench = await openBench({ token, ports: { openToken } });
    const seen: number[] = [];
    for (const ms of [0, 199, 1, 400, 800, 1600, 3200, 4999, 1, 5000]) {
      await bench.clock.run(ms);
      seen.push(tries);
    }
    expect(seen).toEqual([1, 1, 2, 3, 4, 5, 6, 6, 7, 8]);
  });

  test("ends in an orderly way, and `ready` says that it will never be", async () => {
    const token = makeModelToken();
    token.vanish();
    const bench = await openBench({ token });
    await bench.close();
    await expect(bench.ready).rejects.toThrow("closed before the token came");
    expect(bench.clock.waiting).toBe(0);
  });
});

describe("a token that goes away", () => {
  test("is noticed by the ping within a second, and all goes on when it is back", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const health: string[] = [];
    const stop = bench.vault.onHealth(() => health.push(bench.vault.health().token));
    bench.token.vanish();
    await bench.clock.run(1000);
    expect(health).toEqual(["gone"]);
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject(UNAVAILABLE);
    bench.token.restore();
    await bench.clock.run(200);
    expect(health).toEqual(["gone", "ready"]);
    expect(await isWhole(bench.vault, "a")).toBe(true);
    stop();
    bench.token.vanish();
    await bench.clock.run(1000);
    expect(health).toEqual(["gone", "ready"]);
    expect(bench.recorder.count("token_faults", { kind: "gone" })).toBe(2);
  });

  test("is noticed at once by a call that fails", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    bench.token.vanish();
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject(UNAVAILABLE);
    expect(bench.vault.health().token).toBe("gone");
    expect(bench.vault.health().slots.pinned).toBe(0);
  });

  test("is not taken for gone when it refuses one key only", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const device = await bench.token.open();
    for (const kek of await device.find("qkm-kek-")) await kek.destroy();
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject(UNAVAILABLE);
    expect(bench.vault.health().token).toBe("ready");
    await bench.vault.rotate(() => []).catch(() => {});
    await keep(bench.vault, "b");
    expect(await isWhole(bench.vault, "b")).toBe(true);
  });

  test("in the middle of a call: the call rejects, a slow one too", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    let go = () => {};
    bench.token.slow(
      () =>
        new Promise((resolve) => {
          go = resolve;
        }),
    );
    const opening = bench.vault.open(id("a"));
    await new Promise((resolve) => setImmediate(resolve));
    bench.token.vanish();
    bench.token.slow(undefined);
    go();
    await expect(opening).rejects.toMatchObject(UNAVAILABLE);
  });

  test("comes back without its KEKs: a new epoch begins above the old one", async () => {
    const other = makeModelToken();
    const token = makeModelToken();
    let current = token;
    await using bench = await readyBench({ token, ports: { openToken: () => current.open() } });
    await keep(bench.vault, "a");
    token.vanish();
    current = other;
    await bench.clock.run(2000);
    expect(bench.vault.health()).toMatchObject({ token: "ready", epoch: 2 });
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject({ name: "SealBroken" });
    await keep(bench.vault, "b");
    expect(await isWhole(bench.vault, "b")).toBe(true);
  });
});

describe("another token under the same label", () => {
  const alarms = (bench: Bench, alarm: string) => bench.recorder.count("alarms", { alarm });

  test("without this KM's keys is an alarm, once; the same one, cleared, is another", async () => {
    const tokens = [makeModelToken({ serialNumber: "1" }), makeModelToken({ serialNumber: "2" })] as const;
    let current = tokens[0];
    const openToken = () => current.open();
    await using bench = await readyBench({ token: tokens[0], ports: { openToken } });
    await keep(bench.vault, "a");
    expect([alarms(bench, "token_replaced"), alarms(bench, "token_blank")]).toEqual([0, 0]);
    tokens[0].vanish();
    current = tokens[1];
    await bench.clock.run(5000);
    expect([bench.vault.health().token, alarms(bench, "token_replaced")]).toEqual(["ready", 1]);
    tokens[1].vanish();
    current = makeModelToken({ serialNumber: "2" });
    await bench.clock.run(5000);
    expect([alarms(bench, "token_replaced"), alarms(bench, "token_blank")]).toEqual([1, 1]);
  });

  test("is remembered over a restart, and a store that is new to a token says nothing", async () => {
    const [token, other] = [makeModelToken({ serialNumber: "1" }), makeModelToken({ serialNumber: "2" })];
    const first = await readyBench({ token });
    await keep(first.vault, "a");
    await first.close();
    await using second = await readyBench({ token: other, disk: first.disk });
    expect(alarms(second, "token_replaced")).toBe(1);
    await using third = await readyBench({ token: other });
    expect([alarms(third, "token_replaced"), alarms(third, "token_blank")]).toEqual([0, 0]);
  });

  test("with this KM's keys is a copy: no alarm", async () => {
    const token = makeModelToken({ serialNumber: "1" });
    let serialNumber = "1";
    const openToken = async () => {
      const open = await token.open();
      return { ...open, info: { ...open.info, serialNumber } };
    };
    await using bench = await readyBench({ token, ports: { openToken } });
    await keep(bench.vault, "a");
    token.vanish();
    token.restore();
    serialNumber = "2";
    await bench.clock.run(5000);
    expect(await isWhole(bench.vault, "a")).toBe(true);
    expect([alarms(bench, "token_replaced"), alarms(bench, "token_blank")]).toEqual([0, 0]);
    expect(bench.recorder.lines.filter(({ sentence }) => sentence.includes("a copy"))).toHaveLength(1);
  });
});

describe("a token that refuses the PIN", () => {
  test("is asked once, ever; the process stays up", async () => {
    const token = makeModelToken();
    token.refusePin(true);
    await using bench = await openBench({ token });
    await bench.clock.run(3_600_000);
    expect(token.logins).toBe(1);
    expect(bench.vault.health().token).toBe("wrong-pin");
    expect(bench.clock.waiting).toBe(0);
    await bench.vault.change().put("audit", "last", {}).commit();
    await expect(bench.vault.generate([id("a")], 8)).rejects.toMatchObject(UNAVAILABLE);
    expect(bench.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  test("when it comes back after an absence: asked once, too", async () => {
    await using bench = await readyBench();
    bench.token.vanish();
    await bench.clock.run(1000);
    bench.token.restore();
    bench.token.refusePin(true);
    await bench.clock.run(3_600_000);
    expect(bench.token.logins).toBe(2);
    expect(bench.vault.health().token).toBe("wrong-pin");
  });
});

describe("a token whose opening hangs", () => {
  test("is let go when the vault closes", async () => {
    let stop: AbortSignal | undefined;
    const openToken = (signal: AbortSignal) => {
      stop = signal;
      return new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Fault("STOPPING"))));
    };
    const bench = await openBench({ ports: { openToken } });
    await bench.clock.run(1000);
    expect(stop?.aborted).toBe(false);
    await bench.close();
    expect(stop?.aborted).toBe(true);
  });
});

describe("a token that lacks something", () => {
  test("is asked once, and its reason is told", async () => {
    let tries = 0;
    const openToken = async () => {
      tries += 1;
      throw new Fault("TOKEN_UNSUITABLE", { text: "the token lacks CKM_AES_GCM" });
    };
    await using bench = await openBench({ ports: { openToken } });
    await bench.clock.run(3_600_000);
    expect(tries).toBe(1);
    expect(bench.vault.health()).toMatchObject({ token: "unsuitable", tokenReason: "the token lacks CKM_AES_GCM" });
    expect(bench.recorder.count("token_faults", { kind: "TOKEN_UNSUITABLE" })).toBe(1);
  });

  test("one that is gone tells why, and nothing any more when it is back", async () => {
    const token = makeModelToken();
    token.vanish();
    await using bench = await openBench({ token });
    await bench.clock.run(0);
    expect(bench.vault.health().tokenReason).toEqual(expect.any(String));
    token.restore();
    await bench.clock.run(5000);
    expect(bench.vault.health().token).toBe("ready");
    expect(bench.vault.health().tokenReason).toBeUndefined();
  });
});

test("the log says at each start that a software token gives no tamper protection", async () => {
  await using bench = await readyBench();
  const fields = bench.recorder.lines.map((line) => JSON.stringify(line.fields)).join();
  expect(fields).toContain("no tamper protection");
});
