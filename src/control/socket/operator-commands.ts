// What an operator asks of a running KM beyond its status: links out of use, sessions one by one, what went wrong, the log's level.

import { Fault, malformed } from "../../core/fault.ts";
import type { KeysAdmin } from "../../keys/report.ts";
import { LOG_LEVELS, type SettableLog } from "../log.ts";
import type { RecentFaults } from "../recent-faults.ts";
import type { ControlArgs, ControlCommands } from "./dialogue.ts";

/** What an operator's commands reach. */
export interface OperatorPorts {
  /** Undefined before the books are read. */
  keys(): KeysAdmin | undefined;
  readonly faults: Pick<RecentFaults, "read">;
  readonly log: SettableLog;
}

/** Sessions told of each role. */
const MOST_SESSIONS = 100;

/** `link {link, use}`, `forget {peer}`, `accept_module {link}`, `sessions`, `faults`, `log_level {level?}`. */
export function operatorCommands({ keys, faults, log }: OperatorPorts): ControlCommands {
  return {
    link: async ({ link, use }) => {
      if (typeof link !== "string" || typeof use !== "boolean") throw malformed("link is text, and use true or false");
      const changed = ready(keys()).useLink(link, use);
      return { link, use, changed };
    },
    forget: async ({ peer }) => {
      if (typeof peer !== "string") throw malformed("peer is the ID of a KM");
      await ready(keys()).forget(peer);
      return { peer };
    },
    accept_module: async ({ link }) => {
      if (typeof link !== "string") throw malformed("link is the ID of a link");
      await ready(keys()).acceptModule(link);
      return { link };
    },
    sessions: async () => ready(keys()).sessionViews(MOST_SESSIONS),
    faults: async () => faults.read(),
    log_level: async ({ level }: ControlArgs) => {
      const chosen = LOG_LEVELS.find((one) => one === level);
      if (level !== undefined && chosen === undefined) throw malformed(`the levels are ${LOG_LEVELS.join(", ")}`);
      if (chosen !== undefined) log.level = chosen;
      return { level: log.level };
    },
  };
}

/** @throws Fault HSM_UNAVAILABLE */
function ready(keys: KeysAdmin | undefined): KeysAdmin {
  if (keys !== undefined) return keys;
  throw new Fault("HSM_UNAVAILABLE", {
    text: "the key manager is still starting: it waits for its token or its store",
  });
}
