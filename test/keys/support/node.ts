// One node of a test network: a machine that can crash, and the key manager that runs on it.

import type { KmId } from "../../../src/core/ids.ts";
import type { Pace } from "../../../src/core/pace.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type { ApplicationTable } from "../../../src/keys/directory/application-table.ts";
import type { AppRequests } from "../../../src/keys/manager/app-requests.ts";
import { KeyManager } from "../../../src/keys/manager/key-manager.ts";
import { assemble, type Parts } from "../../../src/keys/manager/parts.ts";
import type { KeyManagerSettings } from "../../../src/keys/manager/settings.ts";
import type { PeerEvents } from "../../../src/keys/ports/peers.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { ModelMachine, type ModelVault } from "../../support/model-vault.ts";
import { turnPace } from "../../support/pace.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import type { Modules } from "./modules.ts";
import { type Seeded, seeded } from "./seeded.ts";

/** A link's module at this node. */
export interface Attached {
  readonly link: string;
  readonly modules: Modules;
  readonly end: 0 | 1;
}

export class TestNode {
  readonly id: KmId;
  readonly machine: ModelMachine;
  /** What all boots of this node logged and counted. */
  readonly recorder: Recorder = recorder();
  /** The same of its audit log. */
  readonly audit = new ModelAudit();
  settings: KeyManagerSettings;
  /** What doors would share; the key manager has its own while it is undefined. */
  applications: ApplicationTable | undefined;
  /** What doors had before it boots; the key manager has its own while it is undefined. */
  requests: AppRequests | undefined;
  /** For what can wait. */
  pace: Pace = turnPace();
  readonly #clock: Clock;
  readonly #seeded: Seeded;
  readonly attached: Attached[] = [];
  #up: { readonly parts: Parts; readonly km: KeyManager; readonly stop: AbortController } | undefined;
  #life = { ended: false };

  constructor(clock: Clock, settings: KeyManagerSettings & { readonly id: KmId }, slots = 64) {
    this.id = settings.id;
    this.settings = settings;
    this.#clock = clock;
    this.#seeded = seeded([...settings.id].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
    this.machine = new ModelMachine(slots, (bytes) => this.#seeded.fill(bytes));
  }

  get km(): KeyManager {
    if (this.#up === undefined) throw new Error(`${this.id} is down`);
    return this.#up.km;
  }

  /** The rooms behind `km`, which shows none of them. */
  get parts(): Parts {
    if (this.#up === undefined) throw new Error(`${this.id} is down`);
    return this.#up.parts;
  }

  get events(): PeerEvents | undefined {
    return this.#life.ended ? undefined : this.#up?.km.peerEvents;
  }

  get vault(): ModelVault {
    if (this.machine.vault === undefined) throw new Error(`${this.id} is down`);
    return this.machine.vault;
  }

  /** Whether a commit ended the process. */
  get crashed(): boolean {
    return this.#up !== undefined && this.machine.vault === undefined;
  }

  async boot(restored = false): Promise<void> {
    const life = { ended: false };
    this.#life = life;
    const clock: Clock = {
      monotonicMs: () => this.#clock.monotonicMs(),
      wallMs: () => this.#clock.wallMs(),
      after: (ms, then) => this.#clock.after(ms, () => life.ended || then()),
    };
    const { log, meter } = this.recorder;
    const ports = {
      self: this.id,
      audit: this.audit,
      vault: this.machine.boot(),
      clock,
      random: this.#seeded,
      log,
      meter,
      pace: this.pace,
      ...(this.applications && { applications: this.applications }),
      ...(this.requests && { requests: this.requests }),
    };
    const parts = assemble(ports, this.settings);
    const km = await KeyManager.open(parts, restored);
    const stop = new AbortController();
    this.#up = { parts, km, stop };
    for (const { link, modules, end } of this.attached) {
      if (parts.links.has(link)) void km.attach(link, modules.feed(end), stop.signal);
    }
  }

  /** The process ends without a word. Connections are for the test to cut. */
  crash(): void {
    this.#life.ended = true;
    this.machine.crash();
    this.#end();
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    this.#up?.stop.abort();
    await this.km.stop();
    this.#life.ended = true;
    this.machine.crash();
    this.#end();
  }

  #end(): void {
    this.#up?.stop.abort();
    this.#up = undefined;
    for (const { modules, end } of this.attached) modules.stop(end);
  }
}
