// The doors of a node, as far as others than key managers come to them.

import type { NodeConfig } from "../../config.ts";

/** Those for applications, encryptors, controllers and other networks that the configuration has. */
export const clientDoors = ({ ak, etsi014, controller, skip, etsi004, etsi020 }: NodeConfig) =>
  [ak, etsi014, controller, skip, etsi004, etsi020].filter((door) => door !== undefined);
