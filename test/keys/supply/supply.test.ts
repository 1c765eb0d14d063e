// Supply and fetching between two key managers, end to end in references.

import { describe, expect, test } from "vitest";
import { type Asked, ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { Network } from "../support/network.ts";

const idsOf = (keys: readonly GivenKey[]): string[] => keys.map(({ id }) => id);

/** Fetches at km-b what app-a1 was supplied for app-b1. */
async function fetched(network: Network, supplied: Asked): Promise<Asked> {
  const back = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
  await network.run(10);
  return back;
}

describe("what is supplied can be fetched", () => {
  test("Q.4161 7: the other application gets the same bytes by the IDs", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 3 });
    await network.run(10);
    expect(supplied.keys).toHaveLength(3);
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
    expect(network.a.vault.leases.blocks + network.b.vault.leases.blocks).toBe(0);
  });

  test("in both directions at once, each from its own KMA-keys", async () => {
    const network = await Network.up();
    const there = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    const back = ask(network.b.km, { app: "app-b1", to: "app-a1" });
    await network.run(10);
    const atB = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(there.keys));
    const atA = fetchKeys(network.a.km, "app-a1", "app-b1", idsOf(back.keys));
    await network.run(10);
    expect([atB.keys, atA.keys]).toEqual([there.keys, back.keys]);
    expect(there.keys[0]?.key).not.toBe(back.keys[0]?.key);
  });

  test.each([64, 72, 128, 256, 1000, 4096, 32_000])("keys of %i bits", async (bits) => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", bits, count: 2 });
    await network.run(100);
    expect(supplied.keys.map(({ key }) => Buffer.from(key, "base64").length)).toEqual([bits / 8, bits / 8]);
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
  });

  test("keys of 32,704 bits from blocks of 32 KiB, the largest there are", async () => {
    const network = await Network.up({ blockBytes: 32_768 });
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 32_704, count: 11 });
    await network.run(100);
    expect(supplied.keys.every(({ key }) => Buffer.from(key, "base64").length === 4088)).toBe(true);
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
  });

  test("one request that spans several KMA-keys", async () => {
    const network = await Network.up({ blocks: 12 });
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 8192, count: 9 });
    await network.run(100);
    expect(new Set(idsOf(supplied.keys).map((id) => id.slice(0, 11)))).toHaveProperty("size", 3);
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
  });

  test("IDs and keys are unique over a thousand keys of mixed sizes", async () => {
    const network = await Network.up({ blocks: 64, policy: { stockHigh: 16 } });
    const all: GivenKey[] = [];
    for (let round = 0; round < 100; round++) {
      const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 64 + (round % 7) * 72, count: 10 });
      await network.run(20);
      expect(supplied.outcome).toBe("granted");
      all.push(...supplied.keys);
      if (round % 10 === 0) network.modules.make(8);
    }
    expect(new Set(idsOf(all)).size).toBe(1000);
    expect(new Set(all.map(({ key }) => key)).size).toBe(1000);
  });
});

describe("key-protocol 3: fetching", () => {
  test("an ID of another pair of applications is NOT_AUTHORIZED, and stays fetchable", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 2 });
    await network.run(10);
    const stolen = fetchKeys(network.b.km, "app-b2", "app-a1", idsOf(supplied.keys));
    const misnamed = fetchKeys(network.b.km, "app-b1", "app-a2", idsOf(supplied.keys));
    expect([stolen.fault?.code, misnamed.fault?.code]).toEqual(["NOT_AUTHORIZED", "NOT_AUTHORIZED"]);
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
  });

  test("a second fetch, an overlap within the request, a misspelling and an unknown serial are KEY_NOT_FOUND", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 2 });
    await network.run(10);
    const [first = "", second = ""] = idsOf(supplied.keys);
    const codeOf = async (...ids: string[]): Promise<string | undefined> => {
      const answer = fetchKeys(network.b.km, "app-b1", "app-a1", ids);
      await network.run(10);
      return answer.fault?.code;
    };
    expect(await codeOf(first, first)).toBe("KEY_NOT_FOUND");
    expect(await codeOf(first, first.toUpperCase())).toBe("KEY_NOT_FOUND");
    expect(await codeOf(`ff${first.slice(2)}`)).toBe("KEY_NOT_FOUND");
    expect(await codeOf(first.toUpperCase())).toBeUndefined();
    expect(await codeOf(first)).toBe("KEY_NOT_FOUND");
    expect(await codeOf(second, first)).toBe("KEY_NOT_FOUND");
    expect(await codeOf(second)).toBeUndefined();
  });

  test("two requests for the same key at once: exactly one gets it", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(10);
    const one = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
    const two = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
    await network.run(10);
    expect([one.outcome, two.outcome]).toEqual(["granted", "refused"]);
    expect(two.fault?.code).toBe("KEY_NOT_FOUND");
  });

  test("more keys than fit one answer are refused before anything changes", async () => {
    const network = await Network.up({ blocks: 32, policy: { stockHigh: 16 } });
    const supplied: GivenKey[] = [];
    for (let round = 0; round < 8; round++) {
      const some = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 100 });
      await network.run(50);
      supplied.push(...some.keys);
    }
    expect(supplied).toHaveLength(800);
    const all = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied));
    await network.run(10);
    expect(all.fault?.code).toBe("TOO_MANY_KEYS");
    const most = network.a.km.requests.sizes.maxKeys(256);
    const many = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.slice(0, most)));
    await network.run(10);
    expect(many.keys).toEqual(supplied.slice(0, most));
  });

  test("a fetch that is given up answers nothing, and its keys are gone", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(10);
    const left = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
    left.cancel();
    await network.run(10);
    expect(left.answers).toBe(0);
    expect(network.b.recorder.count("keys_undelivered")).toBe(1);
    expect(network.b.vault.leases.blocks).toBe(0);
  });

  test("a fetch that is given up and then fails answers nothing either", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(10);
    const left = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
    left.cancel();
    network.b.vault.token("gone");
    await network.run(10);
    expect(left.answers).toBe(0);
  });

  test("a range whose mark the store did not take can be fetched when it does: nothing has left", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    network.b.machine.fate = () => "rejected, lost";
    const first = await fetched(network, supplied);
    network.b.machine.fate = () => "durable";
    network.b.vault.store("ready");
    expect(first.fault?.code).toBe("STORE_UNAVAILABLE");
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
    expect(network.b.vault.leases.blocks).toBe(0);
  });

  test("a range that could not be opened is free again", async () => {
    const network = await Network.up();
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    network.b.vault.cached = () => undefined;
    const first = fetchKeys(network.b.km, "app-b1", "app-a1", idsOf(supplied.keys));
    network.b.vault.token("gone");
    await network.run(10);
    network.b.vault.token("ready");
    expect(first.fault?.code).toBe("HSM_UNAVAILABLE");
    expect((await fetched(network, supplied)).keys).toEqual(supplied.keys);
  });
});

describe("what may be asked", () => {
  test.each([
    [{ bits: 100 }, "KEY_SIZE_NOT_BYTES"],
    [{ bits: 56 }, "KEY_SIZE_INVALID"],
    [{ bits: 32_008 }, "KEY_SIZE_INVALID"],
    [{ bits: Number.NaN }, "KEY_SIZE_NOT_BYTES"],
    [{ count: 0 }, "MALFORMED_REQUEST"],
    [{ count: 1.5 }, "MALFORMED_REQUEST"],
    [{ count: Number.NaN }, "MALFORMED_REQUEST"],
    [{ count: 1000 }, "TOO_MANY_KEYS"],
    [{ to: "app-a1" }, "MALFORMED_REQUEST"],
    [{ to: "app-x" }, "UNKNOWN_APPLICATION"],
    [{ to: "app-c1" }, "NO_ROUTE"],
  ])("%o is refused with %s, and nothing is consumed", async (wish, code) => {
    const network = await Network.up();
    const before = network.a.km.requests.status("app-a1" as never, "app-b1" as never).storedKeys;
    expect(ask(network.a.km, { app: "app-a1", to: "app-b1", ...wish }).fault?.code).toBe(code);
    expect(network.a.km.requests.status("app-a1" as never, "app-b1" as never).storedKeys).toBe(before);
  });
});
