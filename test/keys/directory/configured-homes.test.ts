// What node.toml says of homes, from one start to the next: whoever has moved fetches at the former home what is left there.

import { expect, test } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { type AppEntry, ApplicationTable } from "../../../src/keys/directory/application-table.ts";
import { ConfiguredHomes } from "../../../src/keys/directory/configured-homes.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { ModelMachine } from "../../support/model-vault.ts";
import { turnPace } from "../../support/pace.ts";
import { recorder } from "../../support/recorder.ts";
import { QUOTA } from "../support/network.ts";

const FORMER_MS = 1000;

const entries = (homes: Readonly<Record<string, string>>): AppEntry[] =>
  Object.entries(homes).map(([id, home]) => ({ id: appId(id), home: kmId(home), quota: QUOTA }));

/** A start with what node.toml says then. */
async function started(machine: ModelMachine, clock: ManualClock, homes: Readonly<Record<string, string>>) {
  const { log, lines } = recorder();
  const options = { self: kmId("km-a"), clock, quota: QUOTA, formerMs: FORMER_MS };
  const applications = new ApplicationTable(options, entries(homes));
  const kept = new ConfiguredHomes({ vault: machine.boot(), clock, pace: turnPace(), log, applications });
  kept.restore();
  await kept.keep();
  return { applications, kept, lines };
}

const disk = (): ModelMachine => new ModelMachine(4, () => {});
const BEFORE = { "app-a1": "km-a", "app-b1": "km-b" };
const AFTER = { ...BEFORE, "app-a1": "km-b" };

test("an application that a reload has moved is let in at its former home after a restart too, for as long as before", async () => {
  const [machine, clock] = [disk(), new ManualClock()];
  const first = await started(machine, clock, BEFORE);
  first.applications.configure(entries(AFTER));
  await first.kept.keep();
  await clock.run(FORMER_MS / 2);
  const second = await started(machine, clock, AFTER);
  expect(second.applications.admit("app-a1")).toBeUndefined();
  expect(second.applications.homesOf(appId("app-a1"))).toEqual(["km-b", "km-a"]);
  expect(second.applications.homesOf(appId("app-b1"))).toEqual(["km-b"]);
  await clock.run(FORMER_MS / 2);
  expect(second.applications.admit("app-a1")?.code).toBe("NOT_AT_HOME");
});

test("one that has moved between two starts is let in at its former home from the second one on", async () => {
  const [machine, clock] = [disk(), new ManualClock()];
  await started(machine, clock, BEFORE);
  const { applications } = await started(machine, clock, AFTER);
  expect(applications.admit("app-a1")).toBeUndefined();
  await clock.run(FORMER_MS);
  expect(applications.admit("app-a1")?.code).toBe("NOT_AT_HOME");
});

test("what has not changed is not written again; what cannot be written is tried at the next change", async () => {
  const [machine, clock] = [disk(), new ManualClock()];
  const first = await started(machine, clock, BEFORE);
  const heads = () => [...machine.rows].filter(([key]) => key.startsWith("homeHead\n")).map(([, row]) => row);
  const before = JSON.stringify(heads());
  await first.kept.keep();
  expect(JSON.stringify(heads())).toBe(before);
  machine.fate = () => "rejected, lost";
  first.applications.configure(entries(AFTER));
  await first.kept.keep();
  expect(first.lines.map(({ level }) => level)).toEqual(["warn"]);
  machine.fate = () => "durable";
  await first.kept.keep();
  const { applications } = await started(machine, clock, AFTER);
  expect(applications.admit("app-a1")).toBeUndefined();
});
