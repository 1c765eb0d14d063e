// Which KM is the home of each application, where it was at home before, and who may connect here.
//
// Room `directory`: the applications of the network. What `node.toml` says of an application (`configure`) stands above what
// the QKDN controller's directory says of it. Doors ask `admit`, the key manager asks for homes and quotas; both get what is
// true at that moment, for entries come, go and move while the KM runs. It never tells who somebody is: certificates do.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { Quota } from "../common/quota.ts";
import { type FormerHome, formerAfterMove } from "./former-homes.ts";

/** An application and the KM that serves it. */
export interface AppEntry {
  readonly id: AppId;
  readonly home: KmId;
  /** Of an application in another network: the border over which keys reach it, at the KM that `home` names. */
  readonly border?: KmId;
  readonly quota: Quota;
}

/** What the controller's directory says, as far as the table asks it. */
export interface DirectoryHomes {
  homeOf(app: string): KmId | undefined;
  formerOf(app: string): readonly FormerHome[];
  /** How many applications are at home there. */
  countAt(km: KmId): number;
}

/** What the table is made with. */
export interface ApplicationTableOptions {
  readonly self: KmId;
  readonly clock: Pick<Clock, "wallMs">;
  /** Of applications that only the directory names. */
  readonly quota: Quota;
  /** How long after a move keys from before it may still be fetched. */
  readonly formerMs: number;
  /** Whether `follow` will be called, as soon as the directory can be read. */
  readonly isDirectoryAwaited?: boolean;
}

const NO_DIRECTORY: DirectoryHomes = { homeOf: () => undefined, formerOf: () => [], countAt: () => 0 };

/** Of an application that only a directory may know which nobody has read yet. */
const notRead = (id: string): Fault =>
  new Fault("HSM_UNAVAILABLE", {
    text: `[[apps]] does not name ${id}, and the directory is not read yet: no security module`,
  });

/** The applications of the network by ID: those of the configuration, and below them those of the directory. */
export class ApplicationTable {
  readonly options: ApplicationTableOptions;
  #configured: ReadonlyMap<string, AppEntry> = new Map();
  #configuredHomes: ReadonlySet<KmId> = new Set();
  /** Of applications that the configuration has moved since the start. */
  readonly #former = new Map<string, readonly FormerHome[]>();
  #directory: DirectoryHomes = NO_DIRECTORY;
  readonly #listeners = new Set<() => void>();

  constructor(options: ApplicationTableOptions, apps: readonly AppEntry[] = []) {
    this.options = options;
    this.configure(apps);
  }

  /** From now on the configuration says this; who has moved keeps what it may still fetch. */
  configure(apps: readonly AppEntry[]): void {
    const { clock, formerMs } = this.options;
    for (const { id, home } of apps) {
      const before = this.#configured.get(id)?.home;
      if (before === undefined || before === home) continue;
      const nowMs = clock.wallMs();
      const move = { from: before, to: home, nowMs, untilMs: nowMs + formerMs };
      this.#former.set(id, formerAfterMove(this.#former.get(id) ?? [], move));
    }
    this.#configured = new Map(apps.map((app) => [app.id, app]));
    this.#configuredHomes = new Set(apps.map(({ home }) => home));
    for (const id of this.#former.keys()) if (!this.#configured.has(id)) this.#former.delete(id);
    this.changed();
  }

  /** At a start, what the configuration said before: who has moved since keeps what it may still fetch. */
  recall(before: Pick<DirectoryHomes, "homeOf" | "formerOf">): void {
    const { clock, formerMs } = this.options;
    const nowMs = clock.wallMs();
    for (const { id, home } of this.#configured.values()) {
      const from = before.homeOf(id);
      if (from === undefined) continue;
      const known = before.formerOf(id).filter(({ untilMs }) => untilMs > nowMs);
      const move = { from, to: home, nowMs, untilMs: nowMs + formerMs };
      const former = from === home ? known : formerAfterMove(known, move);
      if (former.length > 0) this.#former.set(id, former);
    }
    this.changed();
  }

  /** What the configuration says of homes, with the former ones, as it is to be kept. */
  *configuredHomes(): Iterable<{ readonly app: AppId; readonly home: KmId; readonly former: readonly FormerHome[] }> {
    for (const { id, home } of this.#configured.values()) yield { app: id, home, former: this.#former.get(id) ?? [] };
  }

  /** From now on the directory says this; tell `changed` when what it says has changed. */
  follow(directory: DirectoryHomes): void {
    this.#directory = directory;
    this.changed();
  }

  /** Tells all who listen that homes have changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Called after each change; the function returned ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Undefined for an application that nobody names. */
  homeOf(id: string): KmId | undefined {
    return this.#configured.get(id)?.home ?? this.#directory.homeOf(id);
  }

  /** Undefined for an application that nobody names. */
  find(id: AppId): Pick<AppEntry, "home" | "border"> | undefined {
    const home = this.#directory.homeOf(id);
    return this.#configured.get(id) ?? (home && { home });
  }

  /** @throws Fault UNKNOWN_APPLICATION */
  get(id: AppId): AppEntry {
    const app = this.#configured.get(id);
    if (app !== undefined) return app;
    const home = this.#directory.homeOf(id);
    if (home !== undefined) return { id, home, quota: this.options.quota };
    throw new Fault("UNKNOWN_APPLICATION", { text: `the application ${id} is not known here` });
  }

  /**
   * Where keys may lie that an application was supplied as initiator: its home, and its former ones while such keys may be
   * fetched. @throws Fault UNKNOWN_APPLICATION
   */
  homesOf(id: AppId): readonly [KmId, ...KmId[]] {
    const { home } = this.get(id);
    const former = this.#formerOf(id);
    return former.length === 0 ? [home] : [home, ...former.filter((km) => km !== home)];
  }

  #formerOf(id: string): readonly KmId[] {
    const [configured, told] = [this.#former.get(id), this.#directory.formerOf(id)];
    if (configured === undefined && told.length === 0) return [];
    const nowMs = this.options.clock.wallMs();
    return [...(configured ?? []), ...told].filter(({ untilMs }) => untilMs > nowMs).map(({ km }) => km);
  }

  /** Whether an application is served here. */
  isHomed(id: string): boolean {
    return this.homeOf(id) === this.options.self && this.#configured.get(id)?.border === undefined;
  }

  /** How many are at home here; those that the directory and the configuration name count once more. */
  get count(): number {
    return this.configuredHere.length + this.#directory.countAt(this.options.self);
  }

  /** The applications of the configuration that are at home here. */
  get configuredHere(): readonly AppEntry[] {
    return [...this.#configured.values()].filter(({ home }) => home === this.options.self);
  }

  /** Why an application may not connect here. One that has moved away may, while it may still fetch. */
  admit(id: string): Fault | undefined {
    const fault = this.#notHere(id);
    return fault?.code === "NOT_AT_HOME" && this.#formerOf(id).includes(this.options.self) ? undefined : fault;
  }

  /** @throws Fault UNKNOWN_APPLICATION, NOT_AT_HOME when nothing is supplied here to an application */
  checkSupply(id: AppId): void {
    const fault = this.#notHere(id);
    if (fault !== undefined) throw fault;
  }

  /** @throws Fault as `admit` says */
  checkFetch(id: AppId): void {
    const fault = this.admit(id);
    if (fault !== undefined) throw fault;
  }

  #notHere(id: string): Fault | undefined {
    const { self } = this.options;
    const home = this.homeOf(id);
    if (this.#configured.get(id)?.border !== undefined) {
      return new Fault("NOT_AT_HOME", { text: `${id} is an application of another network: connect there` });
    }
    if (home === self) return undefined;
    if (home !== undefined) {
      return new Fault("NOT_AT_HOME", { text: `${home} is the home of ${id}, not ${self}: connect there` });
    }
    if (this.#directory === NO_DIRECTORY && this.options.isDirectoryAwaited) return notRead(id);
    return new Fault("UNKNOWN_APPLICATION", { text: `neither [[apps]] nor the controller's directory names ${id}` });
  }

  /** Whether applications here may want keys with applications there. */
  areServed(peer: KmId): boolean {
    return this.#hasHome(peer) && this.#hasHome(this.options.self);
  }

  #hasHome(km: KmId): boolean {
    return this.#configuredHomes.has(km) || this.#directory.countAt(km) > 0;
  }
}
