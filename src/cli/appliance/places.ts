// Where everything of an appliance lies: in its folder, and on the config medium.

import { join } from "node:path";
import { type AuthorityName, nodePlaces } from "../provision/plan.ts";

/** What lies in the appliance's folder beside the files of any node. */
export const appliancePlaces = (dir: string) => ({
  ...nodePlaces(dir),
  /** SoftHSM's configuration, if the token is this node's own and not one that somebody made elsewhere. */
  softhsmConf: join(dir, "token", "softhsm2.conf"),
  /** A new configuration until it is found right, and the one before it. */
  candidate: join(dir, "node.toml.candidate"),
  before: join(dir, "node.toml.before"),
  trust: (name: AuthorityName) => join(dir, "trust", `${name}.pem`),
  pairing: join(dir, "pairing"),
  /** Names and addresses that applications know the node by, one per line. */
  hosts: join(dir, "hosts"),
  requests: join(dir, "requests"),
  operators: join(dir, "operators.json"),
  /** Empty; is there while the node has all that `qkm run` needs. */
  provisioned: join(dir, "provisioned"),
});
/** Paths of everything in an appliance's folder. */
export type AppliancePlaces = ReturnType<typeof appliancePlaces>;

/** Names on the config medium. */
export const ON_MEDIUM = {
  config: "node.toml",
  pin: "pin",
  operators: "operators.toml",
  hosts: "hosts",
  trust: "trust",
  pairing: "pairing",
  certificates: "certificates",
  requests: "requests",
} as const;
