// Whether anything may be done with keys now: token, store and audit log are there.

import { Fault } from "../../core/fault.ts";
import type { Context } from "./context.ts";

const SOON = { retryAfterMs: 1000 };

/** Why not, if so: HSM_UNAVAILABLE, STORE_UNAVAILABLE or what the audit log says. */
export function whyNotWorking({ vault, audit }: Pick<Context, "vault" | "audit">): Fault | undefined {
  const { token, store } = vault.health();
  if (token !== "ready") return new Fault("HSM_UNAVAILABLE", SOON);
  if (store !== "ready") return new Fault("STORE_UNAVAILABLE", SOON);
  return audit.obstacle();
}
