// Tests of src/control/health/progress-checks.ts on a key manager: what is watched, when it rests, and what counts as getting on.

import { expect, test } from "vitest";
import { progressChecksOf } from "../../../src/control/health/progress-checks.ts";
import { ask } from "../../keys/support/apps.ts";
import { Network, POLICY } from "../../keys/support/network.ts";

const progressOf = ({ a }: Network, name: string): number | undefined => {
  const vital = progressChecksOf(a.km).find((one) => one.name === name);
  if (vital === undefined) throw new Error(`nothing watches ${name}`);
  return vital.progress();
};

test("supply, relays and each link are watched, and rest while there is nothing to do", async () => {
  const network = await Network.up();
  expect(progressChecksOf(network.a.km).map(({ name }) => name)).toEqual(["supply", "kx", "intake ab"]);
  await network.run(10_000);
  for (const name of ["supply", "kx", "intake ab"]) expect(progressOf(network, name)).toBeUndefined();
});

test("a request that waits is to end, in whatever way", async () => {
  const network = await Network.up({ blocks: 0 });
  ask(network.a.km, { app: "app-a1", to: "app-b1" });
  expect(progressOf(network, "supply")).toBe(0);
  ask(network.a.km, { app: "app-a1", to: "app-b1" });
  await network.run(5_000);
  expect(progressOf(network, "supply")).toBeUndefined();
  expect(network.a.parts.peers.values().next().value?.desk.waited).toBe(2);
});

test("a relay that is under way is to end", async () => {
  const network = await Network.up({ blocks: 0 });
  const { a } = network;
  network.modules.make(2);
  await network.run(1);
  network.wire.lose = ({ kind }) => kind === "relay";
  await network.run(200);
  const before = progressOf(network, "kx");
  expect(before).toBeTypeOf("number");
  await network.run(POLICY.relayTimeoutMs);
  const remote = a.parts.peers.values().next().value;
  expect(remote?.stock.relaysEnded).toBeGreaterThan(before ?? 0);
});

test("a block at hand is to become durable, unless store or token are away: then it rests", async () => {
  const network = await Network.up({ blocks: 4 });
  let release: () => void = () => {};
  network.a.machine.pace = () => new Promise((resolve) => (release = resolve));
  network.modules.make(1);
  await network.run(100);
  expect(progressOf(network, "intake ab")).toBe(4);
  network.a.vault.token("gone");
  expect(progressOf(network, "intake ab")).toBeUndefined();
  network.a.vault.token("ready");
  expect(progressOf(network, "intake ab")).toBe(4);
  network.a.machine.pace = () => Promise.resolve();
  release();
  await network.run(100);
  expect(progressOf(network, "intake ab")).toBeUndefined();
});
