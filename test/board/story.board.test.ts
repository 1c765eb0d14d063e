// Two appliances from an empty disk to zeroise, as operators, applications and misfortune treat them.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { seeded } from "../keys/support/seeded.ts";
import { SEED } from "../support/seed.ts";
import { AkDoor, Refused } from "../system/support/doors.ts";
import { eventually } from "../system/support/eventually.ts";
import { Load } from "../system/support/load.ts";
import { Oracle } from "../system/support/oracle.ts";
import { Appliance } from "./support/appliance.ts";
import { exchange } from "./support/exchange.ts";
import { tellFirstKey } from "./support/figures.ts";
import { changedDisk, makeUpdates } from "./support/mishaps.ts";
import { confirmed, READY, refused, showsOf, update } from "./support/operator.ts";
import { certify } from "./support/provision.ts";
import { type Scene, setScene } from "./support/scene.ts";
import { AUDITOR, HID, OPERATOR, SERIAL } from "./support/site.ts";
import { notOf, tracesIn, tracesInMemory } from "./support/traces.ts";

const BOOTS_MS = 900_000;
const POLL_MS = 1_000;
/** Keys that fit into the blocks of the HID link, asked for as emulated machines can answer. */
const LOAD = { largestBits: 1_024, restMs: 200 };
/** More than the HID modules can have made meanwhile. */
const HID_BLOCKS = 2_000;

let scene: Scene;
let both: readonly [Appliance, Appliance];
const oracle = new Oracle();

beforeAll(async () => {
  scene = await setScene();
  both = [scene.a, scene.b];
}, 600_000);

afterAll(async () => {
  await using over = scene;
  const folder = process.env.QKM_TRANSCRIPT;
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  for (const { id, transcript } of [over.a, over.b]) writeFileSync(join(folder, `${id}.txt`), transcript);
}, 60_000);

afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  for (const one of both) {
    const log = await one.root("journalctl --no-pager --lines=60", 60_000).catch(String);
    const shown = one.transcript.slice(-4_000);
    console.log(`${one.id} showed last:\n${shown}\nIts journal:\n${log}\nQEMU:\n${one.complaints}`);
  }
}, 300_000);

test("an empty appliance takes its config medium, shows the token's PIN and says what it still needs", async () => {
  await Promise.all(
    both.map(async (one) => {
      await one.powerOn();
      const shown = await one.console.shows("certificate install\n", BOOTS_MS);
      expect(shown).toMatch(/The PIN of the token "qkm km-[ab]" is {2}\d{10} {2}\|/);
      expect(shown).toContain("who may log in now: olga (operator), axel (auditor)");
      expect(shown).toContain("certificate kx: have the request kx signed and bring it");
    }),
  );
});

test("nobody logs in with a wrong PIN; an auditor may look, and change nothing", async () => {
  const { a } = scene;
  await a.console.shows("login: ");
  a.console.type(`${OPERATOR.name}\r`);
  await a.console.shows("PIN: ");
  a.console.type(`${AUDITOR.pin}\r`);
  await a.console.shows("Login incorrect.");
  await a.logIn(AUDITOR);
  expect(await a.command("certificate request")).toContain("Only an operator may do this.");
  expect(await a.command("show links")).toContain("The key manager does not run");
  a.console.type("logout\r");
  expect(a.console.text).not.toContain(AUDITOR.pin);
});

test("certificate requests go out and certificates come in over the console, and the key manager starts", async () => {
  await Promise.all(
    both.map(async (one) => {
      await one.logIn();
      const said = await certify(one, scene.site);
      expect(said).toHaveLength(2);
      expect(said.at(-1)).toContain("The node has all that it needs.");
      await showsOf(one, "show status", READY);
    }),
  );
});

test("both links bring key: the one over USB serial and the one over USB HID", async () => {
  for (const one of both) {
    for (const { id } of [SERIAL, HID])
      await showsOf(one, "show links", new RegExp(`^${id} +\\S+ +up .* [1-9]\\d* *$`, "m"));
  }
  expect(await scene.a.command("show modules")).toContain(`usb:0403:6001:${SERIAL.id}`);
});

test.for(["ak", "etsi014"] as const)(
  "an application outside gets a key from one appliance and another fetches it from the other, over %s",
  async (door) => {
    const [appA, appB] = scene.apps;
    await exchange(oracle, [appA, appB], door);
    await exchange(oracle, [appB, appA], door);
    expect(oracle.violations).toEqual([]);
  },
);

test("watch draws the links until a key is pressed", async () => {
  const { console: line } = scene.a;
  line.type("watch\r");
  await line.shows(new RegExp(`${SERIAL.id} +up`));
  await line.shows("any key ends it");
  line.type("q");
  await line.shows(/km-a# $/);
});

test("a module that is pulled out takes its link down and nothing else; put back, the link is up again", async () => {
  const { a, b, moduleOf, letGo, apps } = scene;
  letGo(a);
  await a.guest.unplug(SERIAL.id);
  await showsOf(a, "show links", new RegExp(`^${SERIAL.id} +\\S+ +(?!up)\\S+`, "m"));
  await exchange(oracle, apps);
  await showsOf(b, "show links", new RegExp(`^${SERIAL.id} +\\S+ +up`, "m"));
  await a.guest.plug(SERIAL.id, moduleOf(a));
  await showsOf(a, "show links", new RegExp(`^${SERIAL.id} +\\S+ +up`, "m"));
  await exchange(oracle, [apps[1], apps[0]]);
  expect(oracle.violations).toEqual([]);
});

test("a key manager that is frozen is found by the watchdog, which resets the machine; it comes back supplying", async () => {
  const { b, apps } = scene;
  const [bites, resets] = [b.guest.qmp.event("WATCHDOG"), b.guest.qmp.event("RESET")];
  await b.root("systemctl kill --kill-whom=main --signal=STOP qkm.service");
  expect(await bites).toEqual({ action: "reset" });
  await resets;
  await b.logIn();
  await exchange(oracle, [apps[1], apps[0]]);
  await exchange(oracle, apps);
  expect(oracle.violations).toEqual([]);
});

test("power goes five times under load: no key is handed out twice, and what was supplied can be fetched", async () => {
  const { a, b, apps } = scene;
  await using load = new Load({ apps }, oracle, seeded(SEED), LOAD);
  load.start();
  scene.clearMedia();
  const busy = async (): Promise<void> => {
    const before = new Map(load.answers);
    const more = (id: string): number => (load.answers.get(id) ?? 0) - (before.get(id) ?? 0);
    await eventually("both supply", () => both.every(({ id }) => more(id) >= 5), BOOTS_MS);
  };
  for (const victims of [[a], [b, a], [a, b]]) {
    await busy();
    await Promise.all(victims.map((one) => one.powerOff()));
    const media = { good: scene.mediumOf(a), broken: scene.mediumOf(a) };
    if (victims.length === 2 && victims[0] === a) makeUpdates(scene.image, media, scene.dir);
    const begun = performance.now();
    await Promise.all(victims.map((one) => one.powerOn()));
    if (victims.length > 1) continue;
    await exchange(oracle, apps);
    tellFirstKey(scene.image.board, performance.now() - begun);
  }
  await busy();
  await load.stop();
  await load.fetchAll();
  const [fetched, again] = [oracle.inState("fetched"), oracle.inState("supplied")];
  expect(fetched.length).toBeGreaterThan(50);
  expect(again).toEqual([]);
  for (const one of fetched.slice(-3)) expect(await load.isGone(one)).toBe(true);
  expect(oracle.violations).toEqual([]);
  for (const one of both) {
    await one.logIn();
    await showsOf(one, "show links", new RegExp(`^${HID.id} +\\S+ +up +\\S+ % +[1-9]`, "m"));
    one.console.type("logout\r");
  }
});

test("design 3.5: in the memory of a machine lies no key that was handed out", async () => {
  const { a, site, dir } = scene;
  const hid = { ...HID, seed: site.seed(HID.id), blocks: HID_BLOCKS };
  const keys = notOf(oracle.inState("fetched"), hid);
  expect(keys.length).toBeGreaterThan(50);
  const traces = await tracesInMemory(a, { dir, keys, witness: "urn:qkm:km:km-a" });
  expect(traces.keys).toEqual([]);
  expect(traces.witness).toBeGreaterThan(0);
});

test("there is no swap, and no process may leave a core dump", async () => {
  for (const one of both) {
    expect((await one.root("cat /proc/swaps")).split("\n")).toHaveLength(1);
    const limits = await one.root("cat /proc/$(systemctl show --property=MainPID --value qkm.service)/limits");
    expect(limits).toMatch(/^Max core file size +0 +0 /m);
    expect(await one.root("cat /proc/sys/kernel/core_pattern")).toBe("|/bin/false");
  }
});

test("an update is installed from the console and started; one that does not start is given up for the one before", async () => {
  const { a, apps } = scene;
  for (const file of ["good.raucb", "broken.raucb"]) {
    await update(a, file);
    if (file === "broken.raucb") await refused(a);
    await exchange(oracle, apps);
    expect(await a.root("cat /run/boot/slot")).toBe("b");
  }
  expect(oracle.violations).toEqual([]);
});

test("a changed byte in the root partition is refused at boot, and the console says so", async () => {
  const disk = changedDisk(scene.image, scene.dir);
  await using changed = new Appliance({
    id: "changed",
    dir: join(scene.dir, "changed"),
    disk,
    isolated: true,
    number: 3,
  });
  await changed.powerOn();
  const again = changed.guest.qmp.event("RESET");
  const shown = await changed.console.shows("dm-verity device corrupted", BOOTS_MS);
  expect(shown).not.toContain("login:");
  await again;
});

test("the audit log is whole, after all of it", async () => {
  await scene.a.logIn();
  expect(await scene.a.command("audit verify", BOOTS_MS)).toContain("PASS");
});

test("zeroise asks for a code, and then no key that was supplied before can be fetched", async () => {
  const { b, apps } = scene;
  const [from, to] = apps;
  const [asks, fetches] = [new AkDoor(from), new AkDoor(to)];
  const [key] = await asks.supply(to.id, { number: 1, size: 256 });
  await b.logIn();
  await confirmed(b, "zeroise");
  await b.console.shows("km-b is zeroised");
  await eventually(
    "the key is gone for good",
    async () => {
      const refusal = await fetches.fetch(from.id, [key?.id ?? ""]).catch((thrown: unknown) => thrown);
      if (!(refusal instanceof Error)) throw new Error("it was fetched");
      return refusal instanceof Refused && !refusal.again;
    },
    BOOTS_MS,
    POLL_MS,
  );
  await Promise.all([asks.disconnect(), fetches.disconnect()]);
});

test("nothing on the data partitions is a key that was handed out", async () => {
  for (const one of both) {
    await one.powerOff();
    const traces = await tracesIn(one.diskFile, [...oracle.keys], `id = "${one.id}"`);
    expect(traces.keys).toEqual([]);
    expect(traces.witness).toBeGreaterThan(0);
  }
});
