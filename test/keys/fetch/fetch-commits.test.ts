// Fetches that come together share a change, and each of them is told.

import { describe, expect, test } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import { type Asked, ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { Network } from "../support/network.ts";

async function supplied(count: number): Promise<{ network: Network; keys: readonly GivenKey[] }> {
  const network = await Network.up();
  const { keys } = await settledAsk(network, count);
  return { network, keys };
}

async function settledAsk(network: Network, count: number): Promise<Asked> {
  const asked = ask(network.a.km, { app: "app-a1", to: "app-b1", count });
  await network.run(100);
  return asked;
}

const fetchEach = (network: Network, keys: readonly GivenKey[]): Asked[] =>
  keys.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));

const keysOf = (fetches: readonly Asked[]): GivenKey[] => fetches.flatMap(({ keys }) => keys);

describe("a fetched range is durable before the reply", () => {
  test("and those of one turn are durable together", async () => {
    const { network, keys } = await supplied(20);
    const before = network.b.machine.commits;
    const fetches = fetchEach(network, keys);
    await network.run(10);
    expect(keysOf(fetches)).toEqual(keys);
    expect(network.b.machine.commits - before).toBe(1);
  });

  test("those that come while a change is on its way wait for the next", async () => {
    const { network, keys } = await supplied(20);
    const before = network.b.machine.commits;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { pace } = network.b.machine;
    network.b.machine.pace = () => promise;
    const first = fetchEach(network, keys.slice(0, 5));
    await network.run(10);
    const later = [...fetchEach(network, keys.slice(5, 12)), ...fetchEach(network, keys.slice(12))];
    await network.run(10);
    expect([...first, ...later].map(({ answers }) => answers)).toEqual(Array(20).fill(0));
    network.b.machine.pace = pace;
    resolve();
    await network.run(10);
    expect(keysOf([...first, ...later])).toEqual(keys);
    expect(network.b.machine.commits - before).toBe(2);
    expect(network.b.vault.leases.blocks).toBe(0);
  });

  test.each(["rejected, lost", "rejected, kept"] as const)(
    "all of a change that is %s are refused once, and can be fetched then",
    async (fate) => {
      const { network, keys } = await supplied(6);
      network.b.machine.fate = () => fate;
      const fetches = fetchEach(network, keys);
      await network.run(10);
      network.b.machine.fate = () => "durable";
      network.b.vault.store("ready");
      expect(fetches.map(({ fault, answers }) => [fault?.code, answers])).toEqual(
        Array(6).fill(["STORE_UNAVAILABLE", 1]),
      );
      // What the rejected change wrote all the same is put right before a restart reads it.
      await network.run(10);
      if (fate === "rejected, kept") await network.reboot(network.b);
      const again = fetchEach(network, keys);
      await network.run(10);
      expect(keysOf(again)).toEqual(keys);
      expect(network.b.vault.leases.blocks).toBe(0);
      expect(fetchEach(network, keys).map(({ fault }) => fault?.code)).toEqual(Array(6).fill("KEY_NOT_FOUND"));
    },
  );

  test("one whose application breaks off leaves the others, and those that come later, alone", async () => {
    const { network, keys } = await supplied(3);
    const [broken, ...others] = keys;
    const request = {
      door: "ak",
      app: appId("app-b1"),
      initiator: appId("app-a1"),
      keyIds: [broken?.id ?? ""],
    } as const;
    const granted = (): void => {
      throw new Error("the application is gone");
    };
    network.b.km.requests.fetch(request, { granted, refused: () => {} });
    const first = fetchEach(network, others.slice(0, 1));
    await network.run(10);
    const later = fetchEach(network, others.slice(1));
    await network.run(10);
    expect(keysOf([...first, ...later])).toEqual(others);
    expect(network.b.vault.leases.blocks).toBe(0);
    expect(network.b.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  test("the same key twice in one turn is given once", async () => {
    const { network, keys } = await supplied(1);
    const fetches = fetchEach(network, [...keys, ...keys]);
    await network.run(10);
    expect(fetches.map(({ keys: had, fault }) => [had.length, fault?.code])).toEqual([
      [1, undefined],
      [0, "KEY_NOT_FOUND"],
    ]);
  });
});
