// The controller's directory at a KM: what it takes, what it refuses, what is left of it after a kill at any commit.

import { describe, expect, test } from "vitest";
import { DIRECTORY_LIMITS, Fingerprint } from "../../../src/core/directory.ts";
import { type AppId, kmId } from "../../../src/core/ids.ts";
import { ApplicationTable } from "../../../src/keys/directory/application-table.ts";
import { Directory } from "../../../src/keys/directory/directory.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { type CommitFate, ModelMachine } from "../../support/model-vault.ts";
import { turnPace } from "../../support/pace.ts";
import { recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { APPS, QUOTA } from "../support/network.ts";

const FORMER_MS = 1000;
const clock = new ManualClock();

/** A KM's directory on a disk, as a start finds it. */
function started(machine: ModelMachine) {
  const seen = recorder();
  const audit = new ModelAudit();
  const options = { self: kmId("km-a"), clock, quota: QUOTA, formerMs: FORMER_MS };
  const applications = new ApplicationTable(options, APPS);
  const ports = { vault: machine.boot(), clock, pace: turnPace(), log: seen.log, audit, applications };
  const directory = new Directory(ports);
  directory.restore();
  return { directory, applications, audit, seen };
}

const disk = (): ModelMachine => new ModelMachine(4, () => {});

type Homes = Readonly<Record<string, string | undefined>>;

/** Tells it a change; resolves when it is in force. */
async function tell(directory: Directory, kind: "whole" | "changes", homes: Homes, base?: number): Promise<boolean> {
  using draft = directory.begin(kind, base ?? directory.facts().revision);
  await draft.take(Object.entries(homes).map(([app, home]) => ({ app, home: home === undefined ? home : kmId(home) })));
  return await draft.commit("controller-1");
}

const homesOf = (directory: Directory): Homes =>
  Object.fromEntries(directory.entries(0, 10_000).map(({ app, home }) => [app, home]));

function fingerprintOf(homes: Homes): string {
  const print = new Fingerprint();
  for (const [app, home] of Object.entries(homes)) if (home !== undefined) print.toggle(app, home);
  return print.text;
}

describe("what a controller tells", () => {
  test("is in force when it is durable, and after a start without a controller", async () => {
    const machine = disk();
    const { directory, applications } = started(machine);
    expect(directory.facts()).toMatchObject({ revision: 0, apps: 0 });
    expect(applications.admit("app-n1")?.code).toBe("UNKNOWN_APPLICATION");
    await tell(directory, "whole", { "app-n1": "km-a", "app-n2": "km-b" });
    await tell(directory, "changes", { "app-n3": "km-a", "app-n2": undefined });
    expect(applications.admit("app-n1")).toBeUndefined();
    const after = started(machine);
    expect(homesOf(after.directory)).toEqual({ "app-n1": "km-a", "app-n3": "km-a" });
    const { revision, controller, fingerprint, apps } = after.directory.facts();
    expect({ revision, controller, apps }).toEqual({ revision: 2, controller: "controller-1", apps: 2 });
    expect(fingerprint).toBe(fingerprintOf(homesOf(after.directory)));
    expect(after.applications.admit("app-n3")).toBeUndefined();
    expect(after.applications.get("app-n3" as AppId).quota).toEqual(QUOTA);
  });

  test("stands below what node.toml says", async () => {
    const { directory, applications } = started(disk());
    await tell(directory, "whole", { "app-a1": "km-b" });
    expect(applications.homeOf("app-a1")).toBe("km-a");
    expect(applications.admit("app-a1")).toBeUndefined();
    applications.configure(APPS.filter(({ id }) => id !== "app-a1"));
    expect(applications.homeOf("app-a1")).toBe("km-b");
  });

  test("is told to those who listen, and only when something has changed", async () => {
    const { directory, applications, audit } = started(disk());
    let heard = 0;
    applications.onChange(() => heard++);
    expect(await tell(directory, "whole", { "app-n1": "km-a" })).toBe(true);
    expect(await tell(directory, "whole", { "app-n1": "km-a" })).toBe(false);
    expect(await tell(directory, "changes", {})).toBe(false);
    expect(heard).toBe(1);
    expect(directory.facts().revision).toBe(1);
    expect(directory.facts().confirmedMs).toBe(clock.wallMs());
    expect(audit.of("directory_told")).toHaveLength(1);
  });

  test("has an event for each change and each application", async () => {
    const { directory, audit, seen } = started(disk());
    await tell(directory, "whole", { "app-n1": "km-a", "app-n2": "km-a" });
    await tell(directory, "changes", { "app-n1": "km-b", "app-n2": undefined, "app-n3": "km-c" });
    expect(audit.of("directory_told", { revision: 2, added: 1, moved: 1, removed: 1, apps: 2 })).toHaveLength(1);
    expect(audit.of("app_home", { revision: 2 }).map(({ fields }) => fields)).toEqual([
      { revision: 2, app: "app-n1", home: "km-b", before: "km-a" },
      { revision: 2, app: "app-n2", home: undefined, before: "km-a" },
      { revision: 2, app: "app-n3", home: "km-c", before: undefined },
    ]);
    expect(seen.lines.filter(({ fields }) => fields.event === "directory")).toHaveLength(2);
  });

  test("lets one that has moved be let in where it was, until no key from before is left, also after a start", async () => {
    const machine = disk();
    const { directory } = started(machine);
    await tell(directory, "whole", { "app-n1": "km-a", "app-n2": "km-a" });
    await tell(directory, "changes", { "app-n1": "km-b" });
    await tell(directory, "whole", { "app-n1": "km-b", "app-n2": "km-b" });
    const { applications } = started(machine);
    expect(applications.admit("app-n1")).toBeUndefined();
    expect(applications.homesOf("app-n2" as AppId)).toEqual(["km-b", "km-a"]);
    expect(() => applications.checkSupply("app-n1" as AppId)).toThrow("km-b is the home of app-n1");
    await clock.run(FORMER_MS);
    expect(applications.admit("app-n1")?.code).toBe("NOT_AT_HOME");
    expect(applications.homesOf("app-n2" as AppId)).toEqual(["km-b"]);
  });
});

test("an application that only the directory may name is no stranger before the directory is read", () => {
  const awaited = { self: kmId("km-a"), clock, quota: QUOTA, formerMs: FORMER_MS, isDirectoryAwaited: true };
  const applications = new ApplicationTable(awaited, APPS);
  expect(applications.admit("app-n1")?.code).toBe("HSM_UNAVAILABLE");
  expect(applications.admit("app-a1")).toBeUndefined();
  expect(applications.admit("app-b1")?.code).toBe("NOT_AT_HOME");
  applications.follow({ homeOf: () => undefined, formerOf: () => [], countAt: () => 0 });
  expect(applications.admit("app-n1")?.code).toBe("UNKNOWN_APPLICATION");
});

describe("what a controller may not", () => {
  test("change another revision than there is, or while another does", async () => {
    const { directory } = started(disk());
    await tell(directory, "whole", { "app-n1": "km-a" });
    await expect(tell(directory, "changes", {}, 0)).rejects.toMatchObject({ code: "DIRECTORY_CHANGED" });
    {
      using _other = directory.begin("changes", 1);
      await expect(tell(directory, "changes", {})).rejects.toMatchObject({ code: "BUSY" });
    }
    expect(await tell(directory, "changes", { "app-n1": "km-b" })).toBe(true);
  });

  test("name more applications, KMs or changes than a KM keeps", async () => {
    const { directory } = started(disk());
    const many = (count: number, home: (at: number) => string): Homes =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`x${at}`, home(at)]));
    const refused = { code: "MALFORMED_REQUEST" };
    const kms = many(DIRECTORY_LIMITS.homes + 1, (at) => `km-${at}`);
    await expect(tell(directory, "whole", kms)).rejects.toMatchObject(refused);
    const changes = many(DIRECTORY_LIMITS.changes + 1, () => "km-a");
    await expect(tell(directory, "changes", changes)).rejects.toMatchObject(refused);
    {
      using draft = directory.begin("whole", 0);
      const apps = Array.from({ length: DIRECTORY_LIMITS.apps + 1 }, (_, at) => ({
        app: `x${at}`,
        home: kmId("km-a"),
      }));
      await expect(draft.take(apps)).rejects.toMatchObject(refused);
    }
    await tell(
      directory,
      "whole",
      many(DIRECTORY_LIMITS.homes, (at) => `km-${at}`),
    );
    await expect(tell(directory, "changes", { more: "km-more" })).rejects.toMatchObject(refused);
    expect(directory.facts()).toMatchObject({ revision: 1, apps: DIRECTORY_LIMITS.homes });
  });

  test("remove most of it without a warning", async () => {
    const { directory, seen } = started(disk());
    const all = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`x${at}`, "km-a"]));
    await tell(directory, "whole", all);
    await tell(directory, "whole", { x0: "km-a" });
    expect(seen.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });
});

describe("a disk", () => {
  test.each(["rejected, lost", "rejected, kept"] as const)(
    "whose commit is %s leaves the directory as it was, and takes the next",
    async (fate) => {
      const machine = disk();
      const { directory } = started(machine);
      await tell(directory, "whole", { "app-n1": "km-a" });
      for (const kind of ["changes", "whole"] as const) {
        machine.fate = () => fate;
        await expect(tell(directory, kind, { "app-n1": "km-b" })).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
        machine.fate = () => "durable";
        machine.vault?.store("ready");
        expect(homesOf(directory)).toEqual({ "app-n1": "km-a" });
        await tell(directory, "changes", { later: "km-c" });
        await tell(directory, "changes", { later: undefined });
      }
      expect(homesOf(started(machine).directory)).toEqual(homesOf(directory));
    },
  );

  test("on which rows are missing is said so, and told anew as a whole", async () => {
    const machine = disk();
    await tell(started(machine).directory, "whole", { "app-n1": "km-a" });
    for (const id of machine.rows.keys()) if (id.startsWith("directory\n")) machine.rows.delete(id);
    const { directory, seen } = started(machine);
    expect(seen.lines.filter(({ fields }) => fields.alarm === "directory_damaged")).toHaveLength(1);
    expect(directory.facts()).toMatchObject({ revision: 0, apps: 0 });
    await expect(tell(directory, "changes", { "app-n1": "km-a" })).rejects.toMatchObject({ code: "DIRECTORY_CHANGED" });
    await tell(directory, "whole", { "app-n1": "km-b" });
    expect(homesOf(started(machine).directory)).toEqual({ "app-n1": "km-b" });
  });

  test("does not fill with what was changed", async () => {
    const machine = disk();
    const { directory } = started(machine);
    for (let at = 0; at < 200; at++)
      await tell(directory, "changes", { [`x${at % 10}`]: at % 3 === 0 ? "km-a" : "km-b" });
    expect([...machine.rows.keys()].filter((id) => id.startsWith("directory\n")).length).toBeLessThan(70);
    expect(homesOf(started(machine).directory)).toEqual(homesOf(directory));
  });
});

/** So that few of them fill a row. */
const LONG = "long".repeat(13);

/** A script whose states are known, with wholes of many rows, small changes, and the one that shortens. */
const big = (home: string): Homes =>
  Object.fromEntries(Array.from({ length: 2500 }, (_, at) => [`${LONG}-${at}`, home]));
const SCRIPT: readonly (readonly ["whole" | "changes", Homes])[] = [
  ["whole", big("km-a")],
  ["changes", { [`${LONG}-1`]: "km-b", [`${LONG}-2`]: undefined }],
  ["whole", big("km-b")],
  ["changes", { new: "km-c" }],
  ["whole", { last: "km-a" }],
];

function statesOf(): readonly string[] {
  let homes: Homes = {};
  const states = [fingerprintOf(homes)];
  for (const [kind, change] of SCRIPT) {
    homes = kind === "whole" ? change : { ...homes, ...change };
    states.push(fingerprintOf(homes));
  }
  return states;
}

describe("a kill", () => {
  test.each<CommitFate>(["crash, lost", "crash, kept"])(
    "at any commit (%s) leaves one of the directories told",
    async (fate) => {
      const states = statesOf();
      for (let at = 1; ; at++) {
        const machine = disk();
        machine.fate = (n) => (n === at ? fate : "durable");
        const { directory } = started(machine);
        let step = 0;
        const run = async (): Promise<void> => {
          for (const [kind, homes] of SCRIPT) {
            await tell(directory, kind, homes);
            step++;
          }
        };
        void run();
        await until(
          "the script has ended, or the process",
          () => step === SCRIPT.length || machine.vault === undefined,
        );
        if (machine.vault !== undefined) break;
        const { directory: after, seen } = started(machine);
        expect(seen.lines.filter(({ level }) => level === "error")).toEqual([]);
        const { fingerprint } = after.facts();
        expect([states[step], states[step + 1]]).toContain(fingerprint);
        expect(fingerprint).toBe(fingerprintOf(homesOf(after)));
        await tell(after, "whole", { last: "km-c" });
        await tell(after, "whole", { last: "km-a" });
        const rows = [...machine.rows.keys()].filter((id) => id.startsWith("directory\n"));
        expect(rows).toHaveLength(1);
      }
    },
  );
});
