// Keys asked for at one node of a mesh and fetched at another.

import { expect } from "vitest";
import { type Asked, ask, fetchKeys, type GivenKey } from "./apps.ts";
import type { Mesh } from "./mesh.ts";

/** Asks for keys at `from` with `to`; what comes of it within 300 ms. */
export async function asked(mesh: Mesh, from: string, to: string, count = 3, bits = 256): Promise<Asked> {
  const request = ask(mesh.node(from).km, { app: `app-${from}`, to: `app-${to}`, count, bits });
  await mesh.run(300);
  return request;
}

/** What of these keys, supplied at `from`, can be fetched at `to`: one request each. */
export async function fetched(mesh: Mesh, from: string, to: string, keys: readonly GivenKey[]): Promise<GivenKey[]> {
  const asks = keys.map(({ id }) => fetchKeys(mesh.node(to).km, `app-${to}`, `app-${from}`, [id]));
  await mesh.run(100);
  return asks.flatMap((one) => one.keys);
}

/** Keys supplied at `from` and fetched at `to`, the same. */
export async function exchanged(mesh: Mesh, from: string, to: string, count = 3): Promise<readonly GivenKey[]> {
  const { outcome, fault, keys } = await asked(mesh, from, to, count);
  expect([outcome, fault?.response]).toEqual(["granted", undefined]);
  expect(await fetched(mesh, from, to, keys)).toEqual(keys);
  return keys;
}
