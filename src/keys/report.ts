// What the key manager tells of itself, and lets people change: the facts that control, console, metrics and view show.
// Nobody outside looks at its parts.

import type { FaultCode } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Route } from "../core/topology/topology.ts";
import type { VaultHealth } from "../vault/vault.ts";

/** The state of token, store and locked memory. */
export type VaultFacts = VaultHealth;

/** A link of this KM as its key manager knows it. */
export interface LinkFacts {
  readonly id: string;
  readonly peer: string;
  /** Whether an operator lets it be used. */
  readonly isUp: boolean;
  /** Whether both ends have agreed on share and block size; `refused` too while it is down. */
  readonly agreement: "unverified" | "agreed" | "refused";
  /** Blocks stored, and own ones that can be used now. */
  readonly stored: number;
  readonly usable: number;
  readonly blockBytes: number;
  /** Key from the module over the last blocks, in bit/s; 0 before two have come. */
  readonly measuredBitsPerS: number;
  /** Bytes that served as pads since the start, of what left here and of what came in. */
  readonly padBytes: { readonly out: number; readonly in: number };
}

/** What is shared with one peer, or within this KM. */
export interface PeerFacts {
  readonly id: string;
  /** A route leads to it. */
  readonly reachable: boolean;
  readonly connected: boolean;
  readonly synchronised: boolean;
  /** Of another make: its `success` counts, for nothing is proved. */
  readonly strict?: true;
  /** Keys of the default size that can be supplied at once. */
  readonly storedKeys: number;
  /** KMA-keys; with a strict peer whole keys. */
  readonly kmaKeys: number;
  readonly held: number;
  readonly inFlight: number;
  readonly waiting: number;
}

/** One session, for people. */
export interface SessionView {
  readonly id: string;
  /** Of the application at home here. */
  readonly role: "initiator" | "destination";
  readonly initiator: string;
  readonly destination: string;
  readonly peer: string;
  readonly state: "opening" | "open" | "ended";
  /** Keys supplied, and how many may be. */
  readonly spent: number;
  readonly budget: number;
  readonly idleMs: number;
}

/** One key relay, or one part of a key that travels in parts, as its source saw it end. */
export interface RelayResult {
  readonly destination: KmId;
  readonly route: Route;
  readonly outcome: "ready" | FaultCode;
  /** The KM that could not go on, where the failure names one. */
  readonly failedAt: string | undefined;
  /** From the offer to the end. */
  readonly ms: number;
}

/** `number` counts all results since the start, from 1. */
export interface NumberedResult extends RelayResult {
  readonly number: number;
  /** When it ended, in ms since 1970. */
  readonly wallMs: number;
}

/** How many relays to one destination came to a ready KMA-key since the start, and how many did not. */
export interface RelayTotals {
  readonly ready: number;
  readonly failed: number;
}

/** What the QKDN controller reads and sets of this KM's routes. */
export interface RouteAdmin {
  /** KMs to which keys are relayed: the peers. */
  readonly destinations: readonly KmId[];
  /** Routes that share no KM, over which each KMA-key travels in parts; 1 for no parts. */
  paths(destination: KmId): number;
  /** What the controller has set, in order of priority; undefined when the topology decides. */
  given(destination: KmId): readonly Route[] | undefined;
  /** What the next relay would take if all links had key and no hop had failed. */
  current(destination: KmId): readonly Route[];
  /** Durable when it resolves; relays under way are not disturbed. @throws Fault MALFORMED_REQUEST, STORE_UNAVAILABLE */
  set(destination: KmId, routes: readonly Route[]): Promise<void>;
  /** The topology decides again. @throws like `set` */
  giveBack(destination: KmId): Promise<void>;
  /** How the last relays ended, those above a number, oldest first. */
  resultsAfter(number: number): readonly NumberedResult[];
  totals(destination: KmId): RelayTotals;
}

/** What the controller's directory is now. Times in ms since 1970. */
export interface DirectoryFacts {
  /** Counts the changes; 0 when no controller has ever told one. */
  readonly revision: number;
  readonly apps: number;
  /** The same for the same entries: `Fingerprint` of `core/directory.ts`. */
  readonly fingerprint: string;
  /** When it changed last, and who told the change. */
  readonly toldMs: number;
  readonly controller: string;
  /** When a controller told last, since the start, that nothing is to be changed. */
  readonly confirmedMs: number | undefined;
}

/** One application of the directory. */
export interface DirectoryEntry {
  readonly app: string;
  readonly home: KmId;
}

/** A change of the directory while it comes in. Dispose ends it, done or not. */
export interface DirectoryDraft extends Disposable {
  /** `home` undefined removes. @throws Fault MALFORMED_REQUEST when it gets too large */
  take(entries: readonly { readonly app: string; readonly home: KmId | undefined }[]): Promise<void>;
  /** Durable and in force when it resolves; true when anything was changed. @throws Fault STORE_UNAVAILABLE, MALFORMED_REQUEST */
  commit(controller: string): Promise<boolean>;
}

/** What the QKDN controller reads and changes of the directory. */
export interface DirectoryAdmin {
  facts(): DirectoryFacts;
  /** In the order in which they came, from the entry with that number on. */
  entries(from: number, most: number): readonly DirectoryEntry[];
  /**
   * Begins to replace all of it, or some entries; one at a time.
   * @param base the revision that the change was made for
   * @throws Fault BUSY, DIRECTORY_CHANGED
   */
  begin(kind: "whole" | "changes", base: number): DirectoryDraft;
}

/** Everything at one moment. */
export interface KeysReport {
  readonly links: readonly LinkFacts[];
  /** Peers with links; the KM itself stands for keys between its own applications. */
  readonly peers: readonly PeerFacts[];
  /** Sessions by the role of the application at home here. */
  readonly sessions: { readonly initiator: number; readonly destination: number };
}

/** What gets on, in pieces of any kind, and how much still has to. */
export interface KeysProgress {
  /** Whether anything can be done with keys now: token, store and audit log are there. */
  readonly isAble: boolean;
  readonly supply: { readonly waiting: number; readonly ended: number };
  readonly relays: { readonly inFlight: number; readonly ended: number };
  /** Blocks taken in by link; undefined while none is at hand. */
  readonly intake: ReadonlyMap<string, number | undefined>;
}

/** What an operator or controller reads and changes of a running key manager. */
export interface KeysAdmin {
  readonly routeAdmin: RouteAdmin;
  /** How long a request and a relay may take, in ms. */
  readonly times: { readonly supplyMs: number; readonly relayMs: number };
  report(): KeysReport;
  progress(): KeysProgress;
  /** At most so many of each role; the most recently used first. */
  sessionViews(most: number): readonly SessionView[];
  /** Sets a link's administrative state. False when it was so. @throws Fault MALFORMED_REQUEST */
  useLink(id: string, isUsed: boolean): boolean;
  /** Begins anew with a peer. @throws Fault */
  forget(peer: string): Promise<void>;
  /** Accepts a new module pair on a link. @throws Fault */
  acceptModule(link: string): Promise<void>;
}
