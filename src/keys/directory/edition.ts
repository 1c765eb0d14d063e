// The directory in memory: which KM is the home of each application, with counts and a fingerprint that follow each change.

import { DIRECTORY_LIMITS, Fingerprint } from "../../core/directory.ts";
import { malformed } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { DirectoryHomes } from "./application-table.ts";
import type { FormerHome } from "./former-homes.ts";

/** What becomes of one application; `home` undefined: it is removed. */
export interface EntryChange {
  readonly app: string;
  readonly home: KmId | undefined;
  /** Where else keys from before a move are fetched. */
  readonly former: readonly FormerHome[];
}

const NONE: readonly FormerHome[] = [];

/** @throws Fault MALFORMED_REQUEST when a directory is larger than a KM keeps */
export function checkSize(apps: number, homes: number): void {
  const limits = DIRECTORY_LIMITS;
  if (apps > limits.apps) throw malformed(`the directory has more than ${limits.apps} applications`);
  if (homes > limits.homes) throw malformed(`the directory names more than ${limits.homes} KMs`);
}

/** All entries of the directory. */
export class Edition implements DirectoryHomes {
  readonly #homes = new Map<string, KmId>();
  /** Only of those that have moved: most never do. */
  readonly #former = new Map<string, readonly FormerHome[]>();
  /** KMs at which somebody is at home; each ID as one string, however many entries name it. */
  readonly #counts = new Map<string, { readonly km: KmId; apps: number }>();
  readonly #print: Fingerprint;

  constructor(fingerprint?: string) {
    this.#print = new Fingerprint(fingerprint);
  }

  get size(): number {
    return this.#homes.size;
  }

  get fingerprint(): string {
    return this.#print.text;
  }

  homeOf(app: string): KmId | undefined {
    return this.#homes.get(app);
  }

  formerOf(app: string): readonly FormerHome[] {
    return this.#former.get(app) ?? NONE;
  }

  countAt(km: KmId): number {
    return this.#counts.get(km)?.apps ?? 0;
  }

  entries(): MapIterator<[app: string, home: KmId]> {
    return this.#homes.entries();
  }

  /** Who calls has looked whether there is room: `checkRoom`. */
  apply(change: EntryChange): void {
    const { app, home, former } = change;
    const before = this.#homes.get(app);
    if (before !== home) {
      if (before !== undefined) this.#print.toggle(app, before);
      if (home !== undefined) this.#print.toggle(app, home);
    }
    this.restore(app, home, former);
  }

  /** The same for what the fingerprint that this was made with has already. */
  restore(app: string, home: KmId | undefined, former: readonly FormerHome[]): void {
    const before = this.#homes.get(app);
    if (before !== home) {
      if (before !== undefined) this.#count(before, -1);
      if (home !== undefined) this.#homes.set(app, this.#count(home, 1));
      else this.#homes.delete(app);
    }
    if (home === undefined || former.length === 0) this.#former.delete(app);
    else this.#former.set(app, former);
  }

  /** Size and fingerprint as these changes, each of another application, would make them. */
  after(changes: readonly EntryChange[]): { readonly apps: number; readonly fingerprint: string } {
    const print = new Fingerprint(this.fingerprint);
    let apps = this.size;
    for (const { app, home } of changes) {
      const before = this.#homes.get(app);
      if (before !== undefined) print.toggle(app, before);
      if (home !== undefined) print.toggle(app, home);
      apps += Number(home !== undefined) - Number(before !== undefined);
    }
    return { apps, fingerprint: print.text };
  }

  /** @throws Fault MALFORMED_REQUEST when these changes could make it too large */
  checkRoom(changes: readonly EntryChange[]): void {
    const added = changes.filter(({ app, home }) => home !== undefined && !this.#homes.has(app));
    const homes = new Set([...this.#counts.keys(), ...changes.flatMap(({ home }) => home ?? [])]);
    checkSize(this.size + added.length, homes.size);
  }

  /** @returns the KM's ID, the same string for all entries that name it */
  #count(km: KmId, more: 1 | -1): KmId {
    const known = this.#counts.get(km) ?? { km, apps: 0 };
    known.apps += more;
    if (known.apps === 0) this.#counts.delete(km);
    else this.#counts.set(km, known);
    return known.km;
  }
}
