// Limits of sessions as tests have them: those of a configuration that names none.

import type { SessionPolicy } from "../../../src/core/policy.ts";

export const DEFAULT_SESSIONS: SessionPolicy = {
  max: 4096,
  maxPerApp: 1024,
  maxKeys: 1_000_000,
  idleMs: 600_000,
  notifyMs: 5000,
  acknowledgeMs: 5000,
};
