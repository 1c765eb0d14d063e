// The applications that the configuration names: where each is at home, and what it may take.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Quota } from "../common/quota.ts";

/** An application and the KM that serves it. */
export interface AppEntry {
  readonly id: AppId;
  readonly home: KmId;
  readonly quota: Quota;
}

/** The applications of the configuration, by ID. */
export class Apps {
  readonly #self: KmId;
  readonly #byId: ReadonlyMap<AppId, AppEntry>;
  readonly #homes: ReadonlySet<KmId>;

  constructor(self: KmId, apps: readonly AppEntry[]) {
    this.#self = self;
    this.#byId = new Map(apps.map((app) => [app.id, app]));
    this.#homes = new Set(apps.map(({ home }) => home));
  }

  /** @throws Fault UNKNOWN_APPLICATION */
  get(id: AppId): AppEntry {
    const app = this.#byId.get(id);
    if (app === undefined) throw new Fault("UNKNOWN_APPLICATION", { text: `the application ${id} is not known here` });
    return app;
  }

  /** Whether an application is served here. */
  isHomed(id: string): boolean {
    return this.#byId.get(id as AppId)?.home === this.#self;
  }

  /** Whether applications here may want keys with applications there. */
  areServed(peer: KmId): boolean {
    return this.#homes.has(peer) && this.#homes.has(this.#self);
  }
}
