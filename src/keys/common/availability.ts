// Whether anything may be done with keys now: token, store and audit log are there.

import { Fault } from "../../core/fault.ts";
import type { Context } from "./context.ts";

const SOON = { retryAfterMs: 1000 };

/** Why not, if so: HSM_UNAVAILABLE, STORE_UNAVAILABLE or what the audit log says. */
export function whyNotWorking({ vault, audit }: Pick<Context, "vault" | "audit">): Fault | undefined {
  if (vault.isReady) return audit.obstacle();
  return new Fault(vault.health().token === "ready" ? "STORE_UNAVAILABLE" : "HSM_UNAVAILABLE", SOON);
}
