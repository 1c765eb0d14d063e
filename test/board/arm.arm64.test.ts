// A 64-bit ARM appliance beside a PC, from an empty disk to an update that is taken back. Its image was made on whatever
// machine this is; both are emulated. The story of the PCs (story.board.test.ts) has the rest.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { virtArm64 } from "../../boards/virt-arm64.ts";
import { Oracle } from "../system/support/oracle.ts";
import { exchange } from "./support/exchange.ts";
import { tellSize, tellStart } from "./support/figures.ts";
import { whyNotForeign } from "./support/foreign.ts";
import { BROKEN, GOOD, makeUpdates } from "./support/mishaps.ts";
import { READY, refused, showsOf, update } from "./support/operator.ts";
import { certify } from "./support/provision.ts";
import { type Scene, setScene } from "./support/scene.ts";
import { SERIAL } from "./support/site.ts";

const BOOTS_MS = 900_000;

const cannot = whyNotForeign(virtArm64);

let scene: Scene;
const oracle = new Oracle();

beforeAll(async () => {
  if (cannot === undefined) scene = await setScene(["virt-arm64", "virt-x86_64"]);
}, 1_800_000);

afterAll(async () => await scene?.[Symbol.asyncDispose](), 60_000);

afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  for (const one of [scene.a, scene.b]) {
    const log = await one.root("journalctl --no-pager --lines=60", 60_000).catch(String);
    const shown = one.transcript.slice(-4_000);
    console.log(`${one.id} showed last:\n${shown}\nIts journal:\n${log}\nQEMU:\n${one.complaints}`);
  }
}, 300_000);

test.skipIf(cannot)("it starts from its firmware, takes certificates over its console and becomes ready", async () => {
  await Promise.all(
    [scene.a, scene.b].map(async (one) => {
      await one.powerOn();
      await one.console.shows("certificate install\n", BOOTS_MS);
      await one.logIn();
      await certify(one, scene.site);
      await one.runs();
      await showsOf(one, "show status", READY);
    }),
  );
  expect(await scene.a.root("uname -m")).toBe("aarch64");
  expect(await scene.b.root("uname -m")).toBe("x86_64");
});

test.skipIf(cannot)("keys go from it to the PC and back, over a link on USB serial", async () => {
  await showsOf(scene.a, "show links", new RegExp(`^${SERIAL.id} +\\S+ +up .* [1-9]\\d* *$`, "m"));
  const [appA, appB] = scene.apps;
  await exchange(oracle, [appA, appB]);
  await exchange(oracle, [appB, appA], "etsi014");
  expect(oracle.violations).toEqual([]);
});

test.skipIf(cannot)(
  "after a power cut it supplies again, with no more starts of Node than there are programs",
  async () => {
    const { a, apps, image } = scene;
    await a.powerOff();
    scene.clearMedia();
    makeUpdates(image, { good: scene.mediumOf(a), broken: scene.mediumOf(a) }, scene.dir);
    const begun = performance.now();
    await a.powerOn();
    await exchange(oracle, apps);
    const firstKeyMs = performance.now() - begun;
    tellSize(image.board, image);
    await tellStart(image.board, a, firstKeyMs);
    expect(oracle.violations).toEqual([]);
  },
);

test.skipIf(cannot)("it takes an update, and one that does not start is given up for the one before", async () => {
  const { a, apps } = scene;
  for (const file of [GOOD, BROKEN]) {
    await update(a, file);
    if (file === BROKEN) await refused(a);
    await exchange(oracle, apps);
    expect(await a.root("cat /run/boot/slot")).toBe("b");
  }
  expect(oracle.violations).toEqual([]);
});
