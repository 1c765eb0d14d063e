// Whether anything may be done with keys now: token, store and audit log are there, and the process does not stop.

import { Fault } from "../../core/fault.ts";
import type { Context } from "./context.ts";

const SOON = { retryAfterMs: 1000 };

/** Why not, if so: HSM_UNAVAILABLE, STORE_UNAVAILABLE or what the audit log says. */
export function whyNotWorking({ vault, audit }: Pick<Context, "vault" | "audit">): Fault | undefined {
  if (vault.isReady) return audit.obstacle();
  return new Fault(vault.health().token === "ready" ? "STORE_UNAVAILABLE" : "HSM_UNAVAILABLE", SOON);
}

/** The same for a key manager that may be told to stop. */
export class Availability {
  readonly #context: Pick<Context, "vault" | "audit">;
  #isStopping = false;

  constructor(context: Pick<Context, "vault" | "audit">) {
    this.#context = context;
  }

  /** From now on nothing more is begun. */
  stop(): void {
    this.#isStopping = true;
  }

  get isAble(): boolean {
    return !this.#isStopping && whyNotWorking(this.#context) === undefined;
  }

  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE, AUDIT_UNAVAILABLE */
  check(): void {
    if (this.#isStopping) throw new Fault("STOPPING");
    const fault = whyNotWorking(this.#context);
    if (fault !== undefined) throw fault;
  }
}
