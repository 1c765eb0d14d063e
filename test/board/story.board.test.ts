// Two appliances from an empty disk to zeroise, as operators, applications and misfortune treat them.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually } from "../system/support/eventually.ts";
import { Oracle } from "../system/support/oracle.ts";
import type { Appliance } from "./support/appliance.ts";
import { exchange } from "./support/exchange.ts";
import { certify } from "./support/provision.ts";
import { type Scene, setScene } from "./support/scene.ts";
import { AUDITOR, HID, OPERATOR, SERIAL } from "./support/site.ts";

const BOOTS_MS = 400_000;
const POLL_MS = 1_000;

let scene: Scene;
let both: readonly [Appliance, Appliance];
const oracle = new Oracle();

beforeAll(async () => {
  scene = await setScene();
  both = [scene.a, scene.b];
}, 600_000);

afterAll(() => scene[Symbol.asyncDispose]());

afterEach(({ task }) => {
  if (task.result?.state !== "fail") return;
  for (const one of both) console.log(`${one.id} showed last:\n${one.transcript.slice(-4_000)}`);
});

/** Asks the console again and again, until what it shows fits. */
const showsOf = async (appliance: Appliance, command: string, fits: RegExp): Promise<string> => {
  let shown = "";
  const fitted = async (): Promise<boolean> => {
    shown = await appliance.command(command);
    return fits.test(shown);
  };
  await eventually(`${appliance.id} shows ${fits} to "${command}"`, fitted, BOOTS_MS, POLL_MS).catch((thrown) => {
    throw new Error(`it shows:\n${shown}`, { cause: thrown });
  });
  return shown;
};

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
      await showsOf(one, "show status", /ready/);
    }),
  );
});

test("both links come up: the one over USB serial and the one over USB HID", async () => {
  for (const one of both) {
    for (const { id } of [SERIAL, HID]) await showsOf(one, "show links", new RegExp(`^${id} +\\S+ +up`, "m"));
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
