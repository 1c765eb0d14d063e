// The self-test: what must hold of a node that can supply, each thing looked at once, no key used up.

import { type Check, type ConsoleNode, KmDown, type KmFacts } from "../node.ts";
import { table } from "../terminal/table.ts";
import { complaintsOf, peerState } from "./show.ts";

const check = (what: string, passed: boolean, found: string): Check => ({ what, passed, found });

/** Of the running key manager, then of the node's files and system. */
export async function nodeChecks(node: ConsoleNode): Promise<readonly Check[]> {
  const km = await node.km
    .status()
    .then(kmChecks, (thrown: unknown) => [
      check("key manager", false, thrown instanceof KmDown ? "does not run" : String(thrown)),
    ]);
  return [...km, ...(await node.checks())];
}

function kmChecks({ km, ready, vault, health, links, peers }: KmFacts): readonly Check[] {
  const silent = health?.parts.filter((part) => !part.healthy).map(({ name }) => name) ?? [];
  return [
    check("key manager", ready, ready ? "runs" : "is still starting"),
    check("token", vault.token === "ready", vault.token),
    check("store", vault.store === "ready", vault.store),
    check("health", silent.length === 0, silent.length === 0 ? "every part answers" : `silent: ${silent.join(", ")}`),
    ...links.map((link) => {
      const complaints = complaintsOf(link);
      return check(`link ${link.id}`, link.line === "up" && complaints === "", `${link.line} ${complaints}`.trim());
    }),
    ...peers.map((peer) => {
      const name = peer.id === km ? "own applications" : `peer ${peer.id}`;
      const found = `${peerState(peer)}, ${peer.storedKeys.toLocaleString("en")} keys in stock`;
      return check(name, peer.synchronised && peer.storedKeys > 0, found);
    }),
  ];
}

/** The outcome of each check, as a table. */
export const checkLines = (checks: readonly Check[]): string[] =>
  table(
    ["what", "", "found"],
    checks.map(({ what, passed, found }) => [what, passed ? "pass" : "FAIL", found]),
  );
