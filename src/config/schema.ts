// The tables and keys of a node's TOML file: one schema; checks, defaults and the manual follow from it. Its parts, by
// subject, are in `schema/`.

import * as v from "valibot";
import { DOOR_TABLES } from "./schema/doors.ts";
import { AUDIT, CLUSTER, MACHINE_TABLES, SYSLOG } from "./schema/machine.ts";
import { NETWORK_TABLES } from "./schema/network.ts";
import { SESSIONS, SUPPLY } from "./schema/policy.ts";

/** Every table of the file; `docs/configuration.md` is generated from it, in this order. */
export const SCHEMA = v.strictObject({
  ...MACHINE_TABLES,
  ...DOOR_TABLES,
  cluster: CLUSTER,
  supply: SUPPLY,
  audit: AUDIT,
  syslog: SYSLOG,
  sessions: SESSIONS,
  ...NETWORK_TABLES,
});

/** The configuration as it is written, after the schema: keys spelt as in the file. */
export type Written = v.InferOutput<typeof SCHEMA>;
