// Key relay over several hops (design 5): keys between KMs that share no link, and what each hop costs.

import { describe, expect, test } from "vitest";
import { ask, fetchKeys, type GivenKey } from "./support/apps.ts";
import { LINE_3, LINE_5, Mesh } from "./support/mesh.ts";

/** Keys from an app of one node to one of another, fetched there. */
async function exchanged(mesh: Mesh, from: string, to: string, count = 3): Promise<readonly GivenKey[]> {
  const asked = ask(mesh.node(from).km, { app: `app-${from}`, to: `app-${to}`, count });
  await mesh.run(300);
  expect([asked.outcome, asked.fault?.response]).toEqual(["granted", undefined]);
  const back = fetchKeys(
    mesh.node(to).km,
    `app-${to}`,
    `app-${from}`,
    asked.keys.map(({ id }) => id),
  );
  await mesh.run(100);
  expect(back.keys).toEqual(asked.keys);
  return asked.keys;
}

describe("km-a and km-c, which share no link", () => {
  test("exchange keys through km-b as if they were neighbours", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 48 });
    await exchanged(mesh, "a", "c");
    await exchanged(mesh, "c", "a");
    await exchanged(mesh, "a", "b");
  });
});

test("a line of five nodes", async () => {
  const mesh = await Mesh.up({ links: LINE_5, blocks: 60 });
  await exchanged(mesh, "a", "e");
  await exchanged(mesh, "e", "a");
});
