// Nodes that end at a commit in the middle of relays: no pad and no key is used twice (design 3.1, key-protocol 5).

import { expect } from "vitest";
import type { CommitFate } from "../../support/model-vault.ts";
import type { GivenKey } from "./apps.ts";
import { asked, fetched } from "./exchange.ts";
import { expectAgreement, expectOneUse } from "./ledger.ts";
import { LINE_3, Mesh } from "./mesh.ts";
import { expectPadsOnce } from "./pads.ts";

export const CRASHES = ["crash, lost", "crash, kept"] as const satisfies readonly CommitFate[];
export const NAMES = ["a", "b", "c"] as const;

/** Three KMs in a line, with little stock. */
export const up = (): Promise<Mesh> => Mesh.up({ links: LINE_3, blocks: 20, policy: { stockLow: 1, stockHigh: 2 } });

/** Keys between the ends in both directions, with new blocks now and then; what was granted is collected. */
export async function traffic(mesh: Mesh, given: Record<"ac" | "ca", GivenKey[]>, rounds: number): Promise<void> {
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

/** Ends a KM at so many of its commits, evenly over all of them. @throws when a pad or a key is used twice, or is lost */
export async function crashAtCommits(name: (typeof NAMES)[number], fate: CommitFate, times: number): Promise<void> {
  const quiet = await up();
  const before = quiet.node(name).machine.commits;
  await traffic(quiet, { ac: [], ca: [] }, 3);
  const commits = quiet.node(name).machine.commits - before;
  expect(commits).toBeGreaterThan(20);
  const step = Math.max(1, Math.ceil(commits / times));
  for (let nth = 1; nth <= commits; nth += step) await crashOnce(name, nth, fate);
}

async function crashOnce(name: string, nth: number, fate: CommitFate): Promise<void> {
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
