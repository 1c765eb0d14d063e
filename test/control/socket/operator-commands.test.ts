// Tests of src/control/socket/operator-commands.ts and grave-lines.ts: what an operator asks of a running KM.

import { describe, expect, test } from "vitest";
import { makeLog } from "../../../src/control/log.ts";
import { RecentFaults } from "../../../src/control/recent-faults.ts";
import { operatorCommands } from "../../../src/control/socket/operator-commands.ts";
import { Scene } from "../../keys/support/session-scene.ts";

function made(keys: () => Scene["network"]["a"]["km"] | undefined = () => undefined) {
  const written: string[] = [];
  const faults = new RecentFaults({ write: (line) => void written.push(line) });
  const log = makeLog("info", faults);
  return { log, faults, written, commands: operatorCommands({ keys, faults, log }) };
}

describe("the last warnings and errors", () => {
  test("are kept with their fields, oldest first, and every line goes on to the log", async () => {
    const { log, commands, written } = made();
    log.info({}, "all is well");
    log.warn({ link: "ab", fault: "BUSY" }, "intake waits");
    log.error({ alarm: "restored" }, "the store is old");
    expect(await commands.faults?.({})).toMatchObject([
      { level: "warn", message: "intake waits", fields: { link: "ab", fault: "BUSY" } },
      { level: "error", message: "the store is old", fields: { alarm: "restored" } },
    ]);
    expect(written).toHaveLength(3);
  });

  test("are bounded in number and length", () => {
    const { log, faults } = made();
    for (let at = 0; at < 100; at++) log.warn({ at }, "again");
    log.error({ long: "x".repeat(10_000) }, "much");
    const kept = faults.read();
    expect(kept).toHaveLength(64);
    expect(kept[0]?.fields).toEqual({ at: 37 });
    expect(kept.at(-1)).toMatchObject({
      level: "error",
      fields: {},
      message: expect.stringMatching(/^a line of 10\d{3} characters$/),
    });
  });
});

test("the log's level is told and set, and a level that does not exist is refused", async () => {
  const { log, commands, written } = made();
  expect(await commands.log_level?.({})).toEqual({ level: "info" });
  expect(await commands.log_level?.({ level: "error" })).toEqual({ level: "error" });
  log.warn({}, "not written");
  expect(written).toEqual([]);
  await expect(commands.log_level?.({ level: "silent" })).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
});

test("a link is taken out of use and put back by its ID, once each", async () => {
  const { network } = await Scene.open();
  const { commands } = made(() => network.a.km);
  expect(await commands.link?.({ link: "ab", use: false })).toEqual({ link: "ab", use: false, changed: true });
  expect(await commands.link?.({ link: "ab", use: false })).toMatchObject({ changed: false });
  expect(network.a.parts.links.get("ab")?.agreement).toBe("refused");
  expect(await commands.link?.({ link: "ab", use: true })).toMatchObject({ changed: true });
  expect(network.a.parts.links.get("ab")?.agreement).toBe("agreed");
  await expect(commands.link?.({ link: "xy", use: true })).rejects.toThrow("no link xy");
  await expect(commands.link?.({ link: "ab" })).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
});

test("sessions are told one by one, in both roles", async () => {
  const scene = await Scene.open();
  const { a, b } = scene.network;
  const id = await scene.session(5);
  await scene.taken(id, 2);
  const common = { id, initiator: "app-a1", destination: "app-b1", state: "open", spent: 2, budget: 5 };
  const [atA, atB] = [made(() => a.km), made(() => b.km)];
  expect(await atA.commands.sessions?.({})).toMatchObject([{ ...common, role: "initiator", peer: "km-b" }]);
  expect(await atB.commands.sessions?.({})).toMatchObject([{ ...common, role: "destination", peer: "km-a" }]);
  for (let more = 0; more < 150; more++) await scene.session();
  expect(await atA.commands.sessions?.({})).toHaveLength(100);
});

test("a KM that is still starting says so", async () => {
  const { commands } = made();
  await expect(commands.sessions?.({})).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
});
