// Nodes that end at any commit in the middle of relays, and restored copies: no pad is used twice (design 3, key-protocol 5).

import { describe, expect, test } from "vitest";
import type { CommitFate, DiskCopy } from "../../support/model-vault.ts";
import type { GivenKey } from "../support/apps.ts";
import { asked, exchanged, fetched } from "../support/exchange.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { LINE_3, Mesh } from "../support/mesh.ts";
import { expectPadsOnce } from "../support/pads.ts";

const CRASHES = ["crash, lost", "crash, kept"] as const satisfies readonly CommitFate[];
const NAMES = ["a", "b", "c"] as const;

const up = (): Promise<Mesh> => Mesh.up({ links: LINE_3, blocks: 20, policy: { stockLow: 1, stockHigh: 2 } });

/** Keys between the ends in both directions, with new blocks now and then; what was granted is collected. */
async function traffic(mesh: Mesh, given: Record<"ac" | "ca", GivenKey[]>, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    if ([...mesh.nodes.values()].some(({ crashed }) => crashed)) return;
    mesh.make(6);
    const forth = await asked(mesh, "a", "c", 2, 24_000);
    given.ac.push(...forth.keys);
    if (mesh.node("c").crashed) return;
    const back = await asked(mesh, "c", "a", 1, 24_000);
    given.ca.push(...back.keys);
  }
}

async function crashAt(mesh: Mesh, name: string, nth: number, fate: CommitFate): Promise<void> {
  const { machine } = mesh.node(name);
  const before = machine.commits;
  machine.fate = (n) => (n === before + nth ? fate : "durable");
}

describe.each(NAMES)("km-%s ends in the middle of relays", (name) => {
  test.each(CRASHES)("design 3.1: at each commit, which is %s, no pad and no key is used twice", async (fate) => {
    const quiet = await up();
    const before = quiet.node(name).machine.commits;
    await traffic(quiet, { ac: [], ca: [] }, 3);
    const commits = quiet.node(name).machine.commits - before;
    expect(commits).toBeGreaterThan(20);
    for (let nth = 1; nth <= commits; nth += 1 + Math.floor(commits / 20)) {
      const mesh = await up();
      const given = { ac: [], ca: [] };
      await crashAt(mesh, name, nth, fate);
      await traffic(mesh, given, 3);
      expect([nth, mesh.node(name).crashed]).toEqual([nth, true]);
      await mesh.reboot(name);
      await traffic(mesh, given, 3);
      await mesh.run(3000);
      expectPadsOnce(mesh);
      for (const { recorder } of mesh.nodes.values()) expect([nth, recorder.count("alarms")]).toEqual([nth, 0]);
      expectAgreement(mesh.node("a"), mesh.node("c"));
      expectAgreement(mesh.node("c"), mesh.node("a"));
      const back = [...(await fetched(mesh, "a", "c", given.ac)), ...(await fetched(mesh, "c", "a", given.ca))];
      expect(back).toEqual([...given.ac, ...given.ca]);
      expectOneUse([...mesh.nodes.values()], back);
    }
  });
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
