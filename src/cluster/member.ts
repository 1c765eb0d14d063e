// One member of a KM: a standby that follows what the active one writes, until it is the owner itself.
//
//     standby ──owner gone, lease taken, owner put──> active ──fence or lease lost, hand-over──> (closed; a new life begins)

import { Fault } from "../core/fault.ts";
import type { Clock, Log, Random } from "../core/ports.ts";
import { Pause } from "../vault/pause.ts";
import type { Store, StoreOp } from "../vault/store/store.ts";
import type { Following } from "./catch-up.ts";
import { type Etcd, EtcdError, type KeyValue } from "./etcd.ts";
import { openEtcdStore } from "./etcd-store.ts";
import { Follower } from "./follower.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { LocalCopy } from "./local-copy.ts";

/** Who this member is, and how long it waits for others. */
export interface MemberOptions {
  readonly km: string;
  readonly member: string;
  /** How long an active member may be silent before another takes over. */
  readonly leaseS: number;
  /** How long others go first: whoever was active before lets a standby take over, which is warm. */
  readonly holdBackMs: number;
}

/** What a member works with. */
export interface MemberPorts {
  readonly etcd: Etcd;
  /** The local store; opened again when it broke. */
  readonly openCopy: () => Promise<Store>;
  readonly clock: Clock;
  readonly log: Log;
  /** For the IDs of writes. */
  readonly random: Pick<Random, "hex">;
  /** Steps that make the store say of itself that it is a restored copy. */
  readonly restored: () => readonly StoreOp[];
}

/** What a member says of itself in etcd, as the others and operators read it. */
export interface MemberState {
  readonly member: string;
  readonly state: "active" | "standby";
  /** Up to which revision its copy goes. */
  readonly revision: number;
}

/** What status, metrics, console and view show of a member. */
export interface MemberReport {
  readonly member: string;
  readonly state: "active" | "standby";
  /** Of this member while it is active, otherwise of the owner; 0 while there is none. */
  readonly generation: number;
  /** Who is active, if anybody is. */
  readonly owner?: string;
  /** For how long the copy has been behind the last write; 0 when it is not. */
  readonly lagMs: number;
  /** Of the lease, by this member's clock; negative when it could not be renewed in time. */
  readonly leaseLeftMs: number;
  readonly etcd: "ready" | "failing";
  /** `behind`: revisions that its copy lacks of what was seen to be written. */
  readonly others: readonly {
    readonly member: string;
    readonly state: "active" | "standby";
    readonly behind: number;
  }[];
}

/** So often within one lease it is renewed, and looked who is active. */
const LOOKS_PER_LEASE = 3;
const RETRY_MS = 200;
/**
 * After so many leases without etcd an active member stands by: what it refuses for want of its store another member may
 * supply, and applications find that one only when the doors here are closed.
 */
const SILENT_LEASES = 4;

/** The owner as its key in etcd tells. */
interface Owner {
  readonly member: string;
  readonly lease: string;
  readonly generation: number;
}

/** One member of a KM, from its start as a standby until it is not the owner any more. */
export class Member implements AsyncDisposable {
  /** Resolves with the reason when this member is not the owner any more. */
  readonly lost: Promise<string>;
  readonly #options: MemberOptions;
  readonly #ports: MemberPorts;
  readonly #layout: Layout;
  readonly #following: Following;
  readonly #follower: Follower;
  readonly #pause: Pause;
  readonly #resolveLost: (reason: string) => void;
  #state: "standby" | "active" | "closed" = "standby";
  #owner: Owner | undefined;
  /** Of this process: its presence and its ownership end with it. */
  #lease: string | undefined;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #etcd: MemberReport["etcd"] = "failing";
  /** The revision of the last write that was seen. */
  #written: number | undefined;
  #freeSinceMs: number | undefined;
  /** Whether whoever uses the store in this life has looked whether it is a restored copy. */
  #wasOpened = false;
  /** Since when etcd could be written and the local copy could not. */
  #noCopySinceMs: number | undefined;
  /** A member that was active before its restart lets a standby go first, which is warm. */
  #notBeforeMs: number;
  #said = "";
  #others: readonly MemberState[] = [];
  #beating: Promise<void> | undefined;

  private constructor(options: MemberOptions, ports: MemberPorts, copy: LocalCopy) {
    this.#options = options;
    this.#ports = ports;
    this.#layout = layoutOf(options.km);
    const { etcd, clock, log } = ports;
    this.#following = { etcd, layout: this.#layout, copy, clock, log };
    this.#follower = new Follower(this.#following, ({ events }) => {
      const { owner } = this.#layout;
      if (events.some(({ key, value }) => key === owner && value === undefined)) this.#pause.wake();
    });
    this.#pause = new Pause(ports.clock);
    this.#notBeforeMs = ports.clock.monotonicMs() + options.holdBackMs;
    ({ promise: this.lost, resolve: this.#resolveLost } = Promise.withResolvers<string>());
  }

  /** Opens the local copy; etcd need not be there yet. @throws Error of the local store */
  static async open(options: MemberOptions, ports: MemberPorts): Promise<Member> {
    return new Member(options, ports, await LocalCopy.open(ports.openCopy));
  }

  /** The create_revision of the ownership; higher with each takeover. */
  get generation(): number {
    return this.#owner?.generation ?? 0;
  }

  report(): MemberReport {
    const now = this.#ports.clock.monotonicMs();
    const { member, state, revision } = this.#self;
    const newest = Math.max(revision, this.#written ?? 0);
    return {
      member,
      state,
      generation: this.generation,
      ...(this.#owner !== undefined && { owner: this.#owner.member }),
      lagMs: state === "standby" ? this.#follower.lagMs : 0,
      leaseLeftMs: Number.isFinite(this.#renewedMs) ? Math.round(this.#renewedMs + this.#leaseMs - now) : 0,
      etcd: this.#etcd,
      others: this.#others.map((other) => ({
        member: other.member,
        state: other.state,
        behind: Math.max(0, newest - other.revision),
      })),
    };
  }

  /** Follows the active member, and resolves when this one is it. False when the signal came first. */
  async becomeActive(signal: AbortSignal): Promise<boolean> {
    const end = new AbortController();
    const wake = (): void => {
      end.abort();
      this.#pause.wake();
    };
    signal.addEventListener("abort", wake, { once: true });
    if (signal.aborted) end.abort();
    const following = this.#follower.run(end.signal);
    while (!end.signal.aborted && this.#state === "standby") {
      const well = await this.#look();
      if (this.#state === "standby" && !end.signal.aborted) await this.#pause.for(well ? this.#lookEveryMs : RETRY_MS);
    }
    end.abort();
    signal.removeEventListener("abort", wake);
    await following;
    if (this.#state !== "active") return false;
    this.#beating = this.#beat();
    return true;
  }

  /**
   * The store of the owner; again after a commit that failed. Etcd that was restored meanwhile ends this life: what is in
   * memory here is of another past, and only the next life looks at what the store says of itself.
   * @throws EtcdError, Fault, Error of the local store
   */
  async openStore(): Promise<Store> {
    let isRestored = false;
    try {
      const store = await openEtcdStore({
        ...this.#following,
        generation: this.generation,
        random: this.#ports.random,
        restored: () => {
          isRestored = true;
          if (this.#wasOpened) this.#resolveLost("etcd was restored");
          return this.#ports.restored();
        },
        lost: (reason) => this.#resolveLost(reason),
      });
      if (isRestored && this.#wasOpened) throw new Fault("STORE_UNAVAILABLE", { text: "etcd was restored" });
      this.#wasOpened = true;
      this.#noCopySinceMs = undefined;
      return store;
    } catch (thrown) {
      if (!(thrown instanceof EtcdError)) this.#seeBrokenCopy(thrown);
      throw thrown;
    }
  }

  /** A full or broken disk here, while etcd is well: another member goes on. */
  #seeBrokenCopy(thrown: unknown): void {
    const now = this.#ports.clock.monotonicMs();
    this.#noCopySinceMs ??= now;
    if (now - this.#noCopySinceMs < this.#leaseMs) return;
    this.#resolveLost(`the disk of this member takes nothing (${thrown instanceof Error ? thrown.message : thrown})`);
  }

  /** Gives the ownership up, if it has it, so that another need not wait for the lease; closes the copy. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#pause.end();
    await this.#beating;
    if (this.#lease !== undefined) await this.#ports.etcd.revoke(this.#lease).catch(() => {});
    this.#ports.etcd.close();
    await this.#following.copy.close();
  }

  get #leaseMs(): number {
    return this.#options.leaseS * 1000;
  }

  get #lookEveryMs(): number {
    return this.#leaseMs / LOOKS_PER_LEASE;
  }

  get #self(): MemberState {
    const { member } = this.#options;
    const state = this.#state === "active" ? "active" : "standby";
    return { member, state, revision: this.#following.copy.at.revision };
  }

  /** Renews the lease of the active member until the end, or until it is over. */
  async #beat(): Promise<void> {
    while (this.#state === "active") {
      const well = await this.#look();
      if (this.#state === "active") await this.#pause.for(well ? this.#lookEveryMs : RETRY_MS);
    }
  }

  /** One round: the lease, who is active, what the others say. False when etcd did not answer. */
  async #look(): Promise<boolean> {
    try {
      await this.#renew();
      await this.#seeOwner();
      if (this.#state === "standby" && this.#owner === undefined) await this.#take();
      await this.#seeOthers();
      this.#etcd = "ready";
      return true;
    } catch (thrown) {
      if (this.#etcd === "ready") this.#ports.log.warn({ reason: String(thrown) }, "etcd does not answer");
      this.#etcd = "failing";
      const silentMs = this.#ports.clock.monotonicMs() - this.#renewedMs;
      if (this.#state === "active" && silentMs > SILENT_LEASES * this.#leaseMs) {
        this.#resolveLost("etcd has not answered for long: another member may be active");
      }
      return false;
    }
  }

  async #renew(): Promise<void> {
    const { etcd, clock } = this.#ports;
    const askedMs = clock.monotonicMs();
    if (this.#lease !== undefined && (await etcd.renew(this.#lease)) === 0) {
      this.#lease = undefined;
      if (this.#state === "active") this.#resolveLost("the lease of this member is over");
    }
    if (this.#state === "active" && this.#lease === undefined) return;
    if (this.#lease === undefined) {
      this.#lease = await etcd.grant(this.#options.leaseS);
      this.#said = "";
    }
    this.#renewedMs = askedMs;
  }

  async #seeOwner(): Promise<void> {
    const { etcd, clock } = this.#ports;
    const before = this.#following.copy.at;
    const [written, owned] = await Promise.all([
      etcd.range({ prefix: this.#layout.write }),
      etcd.range({ prefix: this.#layout.owner }),
    ]);
    const lastWrite = written.found[0]?.modRevision ?? 0;
    this.#written = lastWrite;
    if (this.#state === "standby") this.#follower.see({ before, now: written, lastWrite });
    const owner = owned.found[0] && ownerOf(owned.found[0]);
    if (this.#state === "active") {
      if (owner?.generation !== this.generation) this.#resolveLost(`${owner?.member ?? "nobody"} is active now`);
      return;
    }
    this.#owner = owner;
    this.#freeSinceMs = owner === undefined ? (this.#freeSinceMs ?? clock.monotonicMs()) : undefined;
    if (owner?.member === this.#options.member) await this.#endFormer(owner);
  }

  /** The owner is a process of this member that is no more: only one can have the local copy. */
  async #endFormer({ lease }: Owner): Promise<void> {
    await this.#ports.etcd.revoke(lease);
    await this.#seeOthers();
    if (this.#others.length > 0) this.#notBeforeMs = this.#ports.clock.monotonicMs() + this.#leaseMs;
    this.#owner = undefined;
  }

  /** Becomes the owner, if nobody is. A copy that is behind leaves it to others for the time of a lease. */
  async #take(): Promise<void> {
    const { etcd, clock, log } = this.#ports;
    const now = clock.monotonicMs();
    const { isCurrent } = this.#follower;
    const isAlone = this.#freeSinceMs !== undefined && now - this.#freeSinceMs > this.#leaseMs;
    const isNew = this.#written === 0;
    if (now < this.#notBeforeMs || !(isCurrent || isAlone || isNew) || this.#lease === undefined) return;
    const { owner } = this.#layout;
    const { member } = this.#options;
    const value = Buffer.from(JSON.stringify({ member, lease: this.#lease }));
    const answer = await etcd.transact({
      when: [{ key: owner, of: "create", revision: 0 }],
      steps: [{ op: "put", key: owner, value, lease: this.#lease }],
    });
    if (!answer.succeeded) return;
    this.#owner = { member, lease: this.#lease, generation: answer.revision };
    this.#state = "active";
    log.info({ member, generation: answer.revision }, "this member is active now");
  }

  async #seeOthers(): Promise<void> {
    const { etcd } = this.#ports;
    const { members } = this.#layout;
    const { member } = this.#options;
    const text = JSON.stringify({ ...this.#self, lease: this.#lease });
    if (text !== this.#said && this.#lease !== undefined) {
      const put = { op: "put", key: `${members}${member}`, value: Buffer.from(text), lease: this.#lease } as const;
      await etcd.transact({ when: [], steps: [put] });
      this.#said = text;
    }
    const { found } = await etcd.range({ prefix: members });
    this.#others = found.map(stateOf).filter((other) => other.member !== member);
  }
}

function ownerOf({ value, createRevision }: KeyValue): Owner {
  const { member, lease } = JSON.parse(Buffer.from(value).toString());
  return { member: String(member), lease: String(lease), generation: createRevision };
}

function stateOf({ value }: KeyValue): MemberState {
  const { member, state, revision } = JSON.parse(Buffer.from(value).toString());
  return { member: String(member), state: state === "active" ? "active" : "standby", revision: Number(revision) };
}
