// Nodes that end at any commit in the middle of relays, and restored copies: no pad is used twice (design 3, key-protocol 5).

import { describe, expect, test } from "vitest";
import type { DiskCopy } from "../../support/model-vault.ts";
import type { GivenKey } from "../support/apps.ts";
import { exchanged } from "../support/exchange.ts";
import { LINE_3, Mesh } from "../support/mesh.ts";
import { CRASHES, crashAtCommits, NAMES, traffic, up } from "../support/pad-crashes.ts";
import { expectPadsOnce } from "../support/pads.ts";

/** Commits at which each KM ends; all of them have their turn in the long tests. */
const TIMES = 8;

describe.each(NAMES)("km-%s ends in the middle of relays", (name) => {
  test.each(CRASHES)("design 3.1: at some commits, which are %s, no pad and no key is used twice", (fate) =>
    crashAtCommits(name, fate, TIMES),
  );
});

/** The node ends, another disk is put in, and it starts again. */
async function swapDisk(mesh: Mesh, name: string, disk: DiskCopy): Promise<void> {
  mesh.crash(name);
  mesh.node(name).machine.restore(disk);
  await mesh.node(name).boot();
  mesh.connect();
  await mesh.run(20);
}

describe("a restored copy", () => {
  test.each(["b", "c"])(
    "of km-%s whose pads or serials are behind is found out, and no pad is used twice",
    async (name) => {
      const mesh = await up();
      await exchanged(mesh, "a", "c");
      await exchanged(mesh, "c", "a");
      const copy = mesh.node(name).machine.copy();
      const given: { ac: GivenKey[]; ca: GivenKey[] } = { ac: [], ca: [] };
      await traffic(mesh, given, 3);
      await swapDisk(mesh, name, copy);
      expect(mesh.node(name).recorder.count("alarms", { alarm: "restored" })).toBeGreaterThan(0);
      mesh.connect();
      await mesh.run(500);
      mesh.make(20);
      await mesh.run(3000);
      await exchanged(mesh, "a", "c");
      await exchanged(mesh, "c", "a");
      expectPadsOnce(mesh);
    },
  );

  test("of a transit KM that has stock with nobody is found out by its pads alone", async () => {
    const mesh = new Mesh({ links: LINE_3, policy: { stockLow: 1, stockHigh: 1 } });
    for (const node of mesh.nodes.values()) {
      node.settings = { ...node.settings, apps: node.settings.apps.filter(({ home }) => home !== "km-b") };
      await node.boot();
    }
    mesh.connect();
    mesh.make(20);
    await mesh.run(500);
    const copy = mesh.node("b").machine.copy();
    for (let round = 0; round < 3; round++) await exchanged(mesh, "a", "c", 50);
    await swapDisk(mesh, "b", copy);
    expect(mesh.node("b").recorder.count("alarms", { alarm: "restored" })).toBe(1);
    expect(mesh.node("b").recorder.lines.some(({ fields }) => String(fields.why).includes("pads of link bc"))).toBe(
      true,
    );
    mesh.connect();
    mesh.make(20);
    await mesh.run(3000);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test("is none when a store was lost: pads go on above those that the other end has seen", async () => {
    const mesh = await up();
    await exchanged(mesh, "a", "c");
    const seen = mesh.link("c", "bc").padCopies.mark;
    await swapDisk(mesh, "b", { rows: new Map(), records: new Map() });
    expect(mesh.node("b").recorder.count("alarms", { alarm: "restored" })).toBe(0);
    expect(mesh.link("b", "bc").pads.mark).toEqual(seen);
    mesh.make(20);
    await mesh.run(3000);
    await exchanged(mesh, "a", "c", 20);
    expectPadsOnce(mesh);
  });
});

describe("the state exchange", () => {
  test("moves the receive mark to what the sender has used, though the frames were lost", async () => {
    const mesh = await up();
    await exchanged(mesh, "a", "c");
    mesh.wire("b", "c").lose = (crossing) => crossing.kind === "relay";
    await traffic(mesh, { ac: [], ca: [] }, 4);
    mesh.wire("b", "c").lose = () => false;
    const [own, seen] = [mesh.link("b", "bc").pads.mark, mesh.link("c", "bc").padCopies.mark];
    expect(own).not.toEqual(seen);
    mesh.wire("b", "c").cut();
    mesh.connect();
    await mesh.run(100);
    expect(mesh.link("c", "bc").padCopies.mark).toEqual(mesh.link("b", "bc").pads.mark);
    await mesh.run(5000);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test("ends a pad that is begun when the other end has its block no more", async () => {
    const mesh = await up();
    await exchanged(mesh, "a", "c");
    const { begun } = mesh.link("b", "bc").pads;
    expect(begun?.length).toBeGreaterThan(0);
    await swapDisk(mesh, "c", { rows: new Map(), records: new Map() });
    expect(mesh.link("b", "bc").pads.begun).toBeUndefined();
    const labels = { link: "bc", direction: "out", reason: "gap" };
    expect(mesh.node("b").recorder.count("pad_bytes_lost", labels)).toBe(begun?.length);
    mesh.make(20);
    await mesh.run(3000);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test("a restart goes on in the block that is begun", async () => {
    const mesh = await up();
    await exchanged(mesh, "a", "c");
    const { begun } = mesh.link("b", "bc").pads;
    await mesh.reboot("b");
    expect(mesh.link("b", "bc").pads.begun).toEqual(begun);
    for (let round = 0; round < 4; round++) await exchanged(mesh, "a", "c", 40);
    expectPadsOnce(mesh);
  });
});
