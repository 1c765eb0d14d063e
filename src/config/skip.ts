// What the table of the SKIP door must be to the applications.

import type { NodeConfig } from "../config.ts";
import type { Complain } from "./checks.ts";
import { once } from "./once.ts";

/** Complains of `[skip]` tables that do not fit the applications. */
export function checkSkip({ node, apps, skip }: NodeConfig, complain: Complain): void {
  if (skip === undefined) return;
  const systems = once("a remote system", complain);
  for (const [at, { system, app }] of skip.remotes.entries()) {
    systems(system, ["skip", "remotes", at, "system"]);
    if (!apps.some(({ id }) => id === app)) complain(["skip", "remotes", at, "app"], `"${app}" is not one of [[apps]]`);
  }
  if (skip.remotes.length === 0) complain(["skip", "remotes"], "name at least one other key provider");
  const identities = once("an identity", complain);
  for (const [at, { identity, app }] of skip.psk.entries()) {
    identities(identity, ["skip", "psk", at, "identity"]);
    if (!apps.some(({ id, home }) => id === app && home === node.id)) {
      complain(["skip", "psk", at, "app"], `no [[apps]] entry says that "${app}" is at home here`);
    }
  }
}
