// What the table of borders must be to the applications.

import type { NodeConfig } from "../config.ts";
import { markOf, uriOfKm } from "../core/certificate-names.ts";
import type { Complain } from "./checks.ts";
import { once } from "./once.ts";

/** Complains of borders and of applications beyond them that do not fit each other. */
export function checkEtsi020({ node, apps, etsi020 }: NodeConfig, complain: Complain): void {
  for (const [at, { id, home, border }] of apps.entries()) {
    if (border === undefined || home !== node.id) continue;
    if (etsi020?.borders.some((one) => one.id === border)) continue;
    complain(
      ["apps", at, "border"],
      `"${border}", over which keys for "${id}" leave, is not one of [[etsi020.borders]]`,
    );
  }
  if (etsi020 === undefined) return;
  if (etsi020.borders.length === 0)
    complain(["etsi020", "borders"], "name at least one key manager of another network");
  const ids = once("a border", complain);
  for (const [at, { id }] of etsi020.borders.entries()) {
    ids(id, ["etsi020", "borders", at, "id"]);
    if (id === node.id) complain(["etsi020", "borders", at, "id"], `"${id}" is this node itself`);
  }
  checkCertificates(etsi020.borders, complain);
}

/** No certificate may fit two key managers, as far as their names tell. */
function checkCertificates(borders: NonNullable<NodeConfig["etsi020"]>["borders"], complain: Complain): void {
  const ours = borders.filter(({ certificates }) => certificates.length === 0);
  const owners = new Map<string, string>(ours.map(({ id }) => [markOf({ uri: uriOfKm(id) }), id]));
  for (const [at, { id, certificates }] of borders.entries()) {
    for (const [index, name] of certificates.entries()) {
      const mark = markOf(name);
      const owner = owners.get(mark);
      const where = ["etsi020", "borders", at, "certificates", index];
      if (owner !== undefined) complain(where, `a certificate with ${mark} is one of "${owner}" already`);
      owners.set(mark, id);
    }
  }
}
