// The controller's directory at this KM: told with a revision, durable before it is in force, kept when the controller is gone.
//
//     begin ──> take, take, … ──> commit: what differs? ──> rows durable ──> in force ──> doors and key manager are told
//
// A controller that lies can send applications to the wrong KM, and no more: nobody gets in without the application's own
// certificate, what node.toml says stands above, and size, length and number of changes are bounded.

import { DIRECTORY_LIMITS } from "../../core/directory.ts";
import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Pace } from "../../core/pace.ts";
import type { Audit, Clock, Log } from "../../core/ports.ts";
import type { Vault } from "../../vault/vault.ts";
import type { DirectoryAdmin, DirectoryDraft, DirectoryEntry, DirectoryFacts } from "../report.ts";
import type { ApplicationTable } from "./application-table.ts";
import { DirectoryRows, type Told } from "./directory-rows.ts";
import { checkSize, Edition, type EntryChange } from "./edition.ts";
import { type FormerHome, formerAfterMove } from "./former-homes.ts";

/** What the directory is given. */
export interface DirectoryPorts {
  readonly vault: Pick<Vault, "rows" | "change">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly pace: Pace;
  readonly log: Log;
  readonly audit: Audit;
  /** It is told what the directory says. */
  readonly applications: ApplicationTable;
}

/** Entries that are worked on at once, and what one costs, in µs. */
const SLICE = 256;
const ENTRY_US = 3;
/** Changes that the audit log has one by one, and the log. */
const MOST_NAMED = 256;
const MOST_LOGGED = 8;
/** A change that takes more than this part of the entries from where they were, and so many at least, is warned of. */
const LARGE_PART = 0.5;
const LARGE_COUNT = 10;

interface Summary {
  added: number;
  moved: number;
  removed: number;
  /** The first of them. */
  readonly named: (EntryChange & { readonly before: KmId | undefined })[];
}

/** The directory of applications as the QKDN controller told it last. */
export class Directory implements DirectoryAdmin {
  readonly #ports: DirectoryPorts;
  readonly #rows: DirectoryRows;
  #edition = new Edition();
  #told: Told = { revision: 0, toldMs: 0, controller: "" };
  #confirmedMs: number | undefined;
  #draft: Draft | undefined;
  /** What the store has of it cannot be read: only a whole one mends that. */
  #isDamaged = false;

  constructor(ports: DirectoryPorts) {
    this.#ports = ports;
    this.#rows = new DirectoryRows(ports);
  }

  /**
   * Reads what the store has, once, when its rows can be believed: after the token was there. It is in force at once. A directory
   * that cannot be read is left out, and said so.
   */
  restore(): void {
    const ports = this.#ports;
    try {
      const found = this.#rows.read();
      if (found === undefined) {
        ports.applications.follow(this.#edition);
        return;
      }
      const { revision, toldMs, controller } = found.head;
      this.#edition = found.edition;
      this.#told = { revision, toldMs, controller };
      const ageS = Math.max(0, Math.round((ports.clock.wallMs() - toldMs) / 1000));
      const fields = { event: "directory", revision, apps: found.edition.size, controller, ageS };
      ports.log.info(fields, "the directory of applications is as the controller told it last");
      ports.applications.follow(found.edition);
    } catch (thrown) {
      this.#isDamaged = true;
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      ports.log.error(
        { event: "directory", alarm: "directory_damaged", why },
        "the controller's directory in the store cannot be used: only [[apps]] is, until a controller tells all of it again",
      );
      ports.applications.follow(this.#edition);
    }
  }

  facts(): DirectoryFacts {
    const { size: apps, fingerprint } = this.#edition;
    return { ...this.#told, apps, fingerprint, confirmedMs: this.#confirmedMs };
  }

  entries(from: number, most: number): readonly DirectoryEntry[] {
    return [...this.#edition.entries().drop(from).take(most)].map(([app, home]) => ({ app, home }));
  }

  begin(kind: "whole" | "changes", base: number): DirectoryDraft {
    if (this.#draft !== undefined) throw new Fault("BUSY", { text: "another change of the directory is coming in" });
    const { revision } = this.#told;
    if (base !== revision) {
      throw new Fault("DIRECTORY_CHANGED", { text: `the directory is at revision ${revision}, not ${base}` });
    }
    if (this.#isDamaged && kind === "changes") {
      throw new Fault("DIRECTORY_CHANGED", { text: "the directory here is damaged: tell all of it" });
    }
    const draft = new Draft(kind, this.#ports.pace, {
      commit: (entries, controller) =>
        kind === "whole" ? this.#replace(entries, controller) : this.#change(entries, controller),
      ended: () => {
        if (this.#draft === draft) this.#draft = undefined;
      },
    });
    this.#draft = draft;
    return draft;
  }

  async #change(entries: Entries, controller: string): Promise<boolean> {
    const changes = [...entries].flatMap(([app, home]) => this.#changeOf(app, home) ?? []);
    if (changes.length === 0) return this.#confirm();
    const edition = this.#edition;
    edition.checkRoom(changes);
    const summary = begunSummary();
    for (const change of changes) count(summary, change, edition.homeOf(change.app));
    const told = this.#next(controller);
    await this.#rows.writeChanges(changes, told, edition.after(changes));
    for (const change of changes) edition.apply(change);
    this.#inForce(edition, told, summary);
    if (this.#rows.isLong) await this.#shorten(told);
    return true;
  }

  async #replace(entries: Entries, controller: string): Promise<boolean> {
    const before = this.#edition;
    const edition = new Edition();
    const summary = begunSummary();
    let done = 0;
    for (const [app, home] of entries) {
      if (home === undefined) continue;
      const was = before.homeOf(app);
      const change = { app, home, former: this.#formerOf(app, home) };
      edition.apply(change);
      if (was !== home) count(summary, change, was);
      if (++done % SLICE === 0) await this.#pause();
    }
    for (const [app, was] of before.entries()) {
      if (edition.homeOf(app) === undefined) count(summary, { app, home: undefined, former: [] }, was);
      if (++done % SLICE === 0) await this.#pause();
    }
    if (edition.fingerprint === before.fingerprint && edition.size === before.size && !this.#isDamaged) {
      if (this.#told.revision > 0) return this.#confirm();
    }
    const told = this.#next(controller);
    await this.#rows.writeWhole(edition, told);
    this.#isDamaged = false;
    this.#inForce(edition, told, summary);
    return true;
  }

  #pause(): Promise<void> {
    return this.#ports.pace.take("housekeeping", SLICE * ENTRY_US);
  }

  /** Undefined when nothing changes. */
  #changeOf(app: string, home: KmId | undefined): EntryChange | undefined {
    if (this.#edition.homeOf(app) === home) return undefined;
    return { app, home, former: home === undefined ? [] : this.#formerOf(app, home) };
  }

  #formerOf(app: string, home: KmId): readonly FormerHome[] {
    const edition = this.#edition;
    const [from, former] = [edition.homeOf(app), edition.formerOf(app)];
    if (from === undefined || (from === home && former.length === 0)) return former;
    const nowMs = this.#ports.clock.wallMs();
    if (from === home) return former.filter(({ untilMs }) => untilMs > nowMs);
    return formerAfterMove(former, {
      from,
      to: home,
      nowMs,
      untilMs: nowMs + this.#ports.applications.options.formerMs,
    });
  }

  /** The same as before, told now. */
  #confirm(): false {
    this.#confirmedMs = this.#ports.clock.wallMs();
    return false;
  }

  #next(controller: string): Told {
    return { revision: this.#told.revision + 1, toldMs: Math.round(this.#ports.clock.wallMs()), controller };
  }

  #inForce(edition: Edition, told: Told, summary: Summary): void {
    const before = this.#edition === edition ? edition.size - summary.added + summary.removed : this.#edition.size;
    this.#edition = edition;
    this.#told = told;
    this.#confirmedMs = told.toldMs;
    this.#note(told, summary, before);
    this.#ports.applications.follow(edition);
  }

  #note({ revision, controller }: Told, { added, moved, removed, named }: Summary, before: number): void {
    const { audit, log } = this.#ports;
    const { size: apps, fingerprint } = this.#edition;
    const fields = { controller, revision, apps, added, moved, removed };
    audit.note("directory_told", { ...fields, fingerprint });
    for (const { app, home, before: was } of named) audit.note("app_home", { revision, app, home, before: was });
    const changes = named
      .slice(0, MOST_LOGGED)
      .map(({ app, home, before: was }) => `${app}: ${was ?? "–"} → ${home ?? "–"}`);
    const isLarge = moved + removed >= LARGE_COUNT && moved + removed > before * LARGE_PART;
    if (!isLarge) log.info({ event: "directory", ...fields, changes }, "a controller has changed the directory");
    else {
      const sentence = "a controller has moved or removed most of the directory's applications: is that meant?";
      log.warn({ event: "directory", ...fields, changes }, sentence);
    }
  }

  /** The many small changes since it was last written whole. What fails is tried after the next change. */
  async #shorten(told: Told): Promise<void> {
    await this.#rows.writeWhole(this.#edition, told).catch((err: unknown) => {
      this.#ports.log.warn({ event: "directory", err }, "the directory could not be written as a whole");
    });
  }
}

const begunSummary = (): Summary => ({ added: 0, moved: 0, removed: 0, named: [] });

function count(summary: Summary, change: EntryChange, before: KmId | undefined): void {
  if (change.home === undefined) summary.removed++;
  else if (before === undefined) summary.added++;
  else summary.moved++;
  if (summary.named.length < MOST_NAMED) summary.named.push({ ...change, before });
}

type Entries = ReadonlyMap<string, KmId | undefined>;

interface DraftHost {
  commit(entries: Entries, controller: string): Promise<boolean>;
  ended(): void;
}

/** Entries as they come in, beside the directory that is in force. */
class Draft implements DirectoryDraft {
  readonly #kind: "whole" | "changes";
  readonly #pace: Pace;
  readonly #host: DraftHost;
  readonly #entries = new Map<string, KmId | undefined>();
  readonly #homes = new Map<string, KmId>();

  constructor(kind: "whole" | "changes", pace: Pace, host: DraftHost) {
    this.#kind = kind;
    this.#pace = pace;
    this.#host = host;
  }

  async take(entries: readonly { readonly app: string; readonly home: KmId | undefined }[]): Promise<void> {
    for (const { app, home } of entries) this.#entries.set(app, home === undefined ? undefined : this.#oneString(home));
    checkSize(this.#entries.size, this.#homes.size);
    if (this.#kind === "changes" && this.#entries.size > DIRECTORY_LIMITS.changes) {
      const text = `a PATCH may have ${DIRECTORY_LIMITS.changes} changes: PUT the whole directory`;
      throw new Fault("MALFORMED_REQUEST", { text });
    }
    await this.#pace.take("housekeeping", entries.length * ENTRY_US);
  }

  #oneString(home: KmId): KmId {
    const known = this.#homes.get(home) ?? home;
    if (known === home) this.#homes.set(home, home);
    return known;
  }

  async commit(controller: string): Promise<boolean> {
    return await this.#host.commit(this.#entries, controller);
  }

  [Symbol.dispose](): void {
    this.#host.ended();
  }
}
