// A node on the real vault: a model token, a disk in memory that outlives a crash, and the key manager.

import type { Clock } from "../../../src/core/ports.ts";
import { KeyManager } from "../../../src/keys/manager/key-manager.ts";
import { assemble, type Parts } from "../../../src/keys/manager/parts.ts";
import { ROW_RULES } from "../../../src/keys/manager/row-rules.ts";
import type { KeyManagerSettings } from "../../../src/keys/manager/settings.ts";
import type { PeerEvents } from "../../../src/keys/ports/peers.ts";
import type { VaultOptions } from "../../../src/vault/open.ts";
import type { ManualClock } from "../../support/manual-clock.ts";
import { type MemoryDisk, makeMemoryDisk } from "../../support/memory-store.ts";
import { type ModelToken, makeModelToken } from "../../support/model-token.ts";
import { turnPace } from "../../support/pace.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { type Bench, readyBench } from "../../vault/harness.ts";
import type { Modules } from "./modules.ts";
import type { TestNode } from "./node.ts";
import { seeded } from "./seeded.ts";

export class RealNode {
  readonly id: TestNode["id"];
  readonly disk: MemoryDisk = makeMemoryDisk();
  readonly token: ModelToken = makeModelToken();
  readonly recorder: Recorder = recorder();
  readonly #clock: ManualClock;
  readonly #settings: KeyManagerSettings;
  readonly #options: Partial<VaultOptions>;
  readonly #attached: { readonly modules: Modules; readonly end: 0 | 1 };
  #up:
    | { readonly bench: Bench; readonly parts: Parts; readonly km: KeyManager; readonly stop: AbortController }
    | undefined;
  #life = { ended: false };

  /** Like a node on the model vault, with its settings. */
  constructor(clock: ManualClock, like: TestNode, options: Partial<VaultOptions> = {}) {
    const [attached] = like.attached;
    if (attached === undefined) throw new Error("the node has no module");
    this.id = like.id;
    this.#clock = clock;
    this.#settings = like.settings;
    this.#options = { km: like.id, allowUnlocked: true, rows: ROW_RULES, ...options };
    this.#attached = attached;
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
    return this.#up?.km.peerEvents;
  }

  get vault(): Bench["vault"] {
    if (this.#up === undefined) throw new Error(`${this.id} is down`);
    return this.#up.bench.vault;
  }

  async boot(): Promise<void> {
    const life = { ended: false };
    this.#life = life;
    const clock: Clock = {
      monotonicMs: () => this.#clock.monotonicMs(),
      wallMs: () => this.#clock.wallMs(),
      after: (ms, then) => this.#clock.after(ms, () => life.ended || then()),
    };
    const { log, meter } = this.recorder;
    const { disk, token } = this;
    const ports = { clock, log, meter, pace: turnPace() };
    const bench = await readyBench({ options: this.#options, disk, token, clock: this.#clock, ports });
    const random = seeded(1);
    const { restored } = await bench.ready;
    const parts = assemble({ self: this.id, vault: bench.vault, random, ...ports }, this.#settings);
    const km = await KeyManager.open(parts, restored);
    const stop = new AbortController();
    this.#up = { bench, parts, km, stop };
    void km.attach("ab", this.#attached.modules.feed(this.#attached.end), stop.signal);
  }

  /** The process ends without a word; of the commits under way the first `kept` are durable. */
  crash(kept = 0): void {
    this.#life.ended = true;
    this.disk.crash(kept);
    this.#end();
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    const up = this.#up;
    if (up === undefined) return;
    up.stop.abort();
    await up.km.stop();
    await up.bench.close();
    this.#life.ended = true;
    this.#end();
  }

  #end(): void {
    this.#up?.stop.abort();
    this.#up = undefined;
    this.#attached.modules.stop(this.#attached.end);
  }
}
