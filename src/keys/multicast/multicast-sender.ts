// Keys that several applications get, at the home of the one that asks: made, sent to the others' homes under pads, supplied.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import { idsOf } from "../common/grant-ids.ts";
import { quotaFault } from "../common/quota.ts";
import { checkSize, keySizes, keysOf } from "../common/sizes.ts";
import type { Answer, Grant, SupplyRequest } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";
import { countGranted, deliver, grantClaims } from "../strict/strict-grant.ts";
import { padOf } from "../supply/grants.ts";
import type { Copy, MulticastCopies } from "./multicast-copies.ts";
import {
  MULTICAST_BYTES,
  type MulticastTransfer,
  multicastContext,
  TAG_KEY_BYTES,
  transferEntry,
  voidEntry,
} from "./multicast-entries.ts";
import type { MulticastHost } from "./multicast-host.ts";

/** Requests under way: each holds blocks of the pool in locked memory while it waits for other KMs. */
const AT_ONCE = 8;
const TELL_TIMEOUT_MS = 5000;

/** A request, checked. */
interface Asked {
  readonly request: SupplyRequest;
  /** The applications that get the keys, by their homes. */
  readonly homes: ReadonlyMap<KmId, readonly AppId[]>;
  readonly keyIds: readonly string[];
  /** Of each key, and of all. */
  readonly keyBytes: number;
  readonly bytes: number;
  /** False when the client is gone. */
  isOpen: boolean;
  readonly giveUps: Set<() => void>;
}

/** The pad towards one KM. */
interface Padded {
  readonly home: KmId;
  readonly targets: readonly AppId[];
  readonly grant: Grant;
}

/** Supplies keys to an application and to further ones. */
export class MulticastSender {
  readonly #host: MulticastHost;
  readonly #copies: MulticastCopies;
  #underWay = 0;

  constructor(host: MulticastHost, copies: MulticastCopies) {
    this.#host = host;
    this.#copies = copies;
  }

  /** Answers when every KM has what its applications may fetch, durably. @returns gives the request up */
  request(request: SupplyRequest, answer: Answer): () => void {
    let asked: Asked;
    try {
      asked = this.#check(request);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return () => {};
    }
    this.#underWay++;
    this.#run(asked)
      .then(
        (grant) => deliver(this.#host.context.log, grant, asked.isOpen ? answer : undefined),
        (thrown: unknown) => {
          if (asked.isOpen) answer.refused(asFault(thrown));
        },
      )
      .finally(() => this.#underWay--);
    return () => {
      asked.isOpen = false;
      for (const giveUp of asked.giveUps) giveUp();
    };
  }

  /** @throws Fault */
  #check(request: SupplyRequest): Asked {
    const { app, destination, others = [], count, sizeBits, only } = request;
    const targets = [destination, ...others];
    if (new Set([app, ...targets]).size <= targets.length) {
      throw new Fault("MALFORMED_REQUEST", { text: "each application may be named once, and not the one that asks" });
    }
    if (targets.length > LIMITS.multicastApps) throw new Fault("MALFORMED_REQUEST", { text: "too many applications" });
    checkSize(request, keySizes(this.#host.context.policy.defaultKeyBits, LIMITS.blockBytes));
    const bytes = (count * sizeBits) / 8;
    if (bytes > MULTICAST_BYTES) {
      const most = Math.floor((8 * MULTICAST_BYTES) / sizeBits);
      throw new Fault("TOO_MANY_KEYS", {
        text: `at most ${most} keys of ${sizeBits} bits go to several applications at once`,
        details: [{ max_key_per_request: String(most) }],
      });
    }
    const homes = Map.groupBy(targets, (target) => this.#host.homeOf(target));
    for (const home of homes.keys()) if (!this.#isHere(home)) this.#reach(home);
    if (only?.routeType !== undefined && only.routeType !== "direct" && homes.size === 1 && homes.has(this.#self)) {
      throw new Fault("EXTENSION_UNMET");
    }
    if (this.#underWay >= AT_ONCE) throw new Fault("BUSY", { retryAfterMs: 1000 });
    const keyIds = Array.from({ length: count }, () => this.#newId());
    return { request, homes, keyIds, keyBytes: sizeBits / 8, bytes, isOpen: true, giveUps: new Set() };
  }

  get #self(): KmId {
    return this.#host.context.self;
  }

  #isHere(home: KmId): boolean {
    return home === this.#self;
  }

  /** @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED, PEER_UNAVAILABLE */
  #reach(home: KmId): Pick<PeerConnection, "tell"> {
    this.#host.sizes(home);
    const peer = this.#host.peerOf(home);
    if (peer === undefined)
      throw new Fault("PEER_UNAVAILABLE", { text: `${home} is not connected`, retryAfterMs: 1000 });
    return peer;
  }

  /** A random UUID (version 4). */
  #newId(): string {
    const digits = this.#host.context.random.hex(16);
    const variant = (8 + (Number.parseInt(digits.charAt(16), 16) % 4)).toString(16);
    return [
      digits.slice(0, 8),
      digits.slice(8, 12),
      `4${digits.slice(13, 16)}`,
      variant + digits.slice(17, 20),
      digits.slice(20),
    ].join("-");
  }

  async #run(asked: Asked): Promise<Grant> {
    const padded = await this.#pads(asked);
    try {
      const made = await this.#make(asked);
      try {
        await this.#send(asked, padded, made.own);
        await this.#hold(made.others);
      } catch (thrown) {
        this.#undo(made);
        throw thrown;
      }
      return await this.#grant(asked, made.own);
    } catch (thrown) {
      this.#void(asked, padded);
      throw thrown;
    } finally {
      for (const { grant } of padded) grant[Symbol.dispose]();
    }
  }

  /** Key of the pool with each other KM, as long as the keys and a tag's key. @throws Fault */
  async #pads(asked: Asked): Promise<readonly Padded[]> {
    const remote = [...asked.homes].filter(([home]) => !this.#isHere(home));
    if (remote.length === 0) this.#charge(asked.request);
    const pads = await Promise.allSettled(remote.map(([home, targets]) => this.#pad(asked, home, targets)));
    const had = pads.flatMap((pad) => (pad.status === "fulfilled" ? pad.value : []));
    const failed = pads.find((pad) => pad.status === "rejected");
    if (failed === undefined && asked.isOpen) return had;
    for (const { grant } of had) grant[Symbol.dispose]();
    throw failed?.reason ?? new Fault("STOPPING");
  }

  /** What crosses no link costs the application what keys with an application here cost. @throws Fault QUOTA_EXCEEDED */
  #charge({ app, count, sizeBits }: SupplyRequest): void {
    const waitMs = this.#host.quotas.take(app, count * sizeBits);
    if (waitMs > 0) throw quotaFault(waitMs);
  }

  #pad(asked: Asked, home: KmId, targets: readonly AppId[]): Promise<Padded> {
    const { app, only, rather } = asked.request;
    const [destination = app] = targets;
    const amount = keysOf(asked.bytes + TAG_KEY_BYTES, this.#host.sizes(home));
    return new Promise((resolve, reject) => {
      const wish = {
        door: "multicast",
        app,
        destination,
        ...amount,
        ...(only && { only }),
        ...(rather && { rather }),
      } as const;
      const giveUp = this.#host.supply(wish, {
        granted: (grant) => resolve({ home, targets, grant }),
        refused: reject,
      });
      asked.giveUps.add(() => {
        giveUp();
        reject(new Fault("STOPPING"));
      });
    });
  }

  /** New keys of the token's random generator: a copy for who asks, and one for each of the others that is at home here. */
  async #make({ request, homes, keyIds, keyBytes, bytes }: Asked): Promise<{ own: Copy; others: readonly Copy[] }> {
    const { vault } = this.#host.context;
    const entries = keyIds.map((id) => ({ id, length: keyBytes }));
    const copyFor = (app: AppId): Copy => this.#copies.make({ peer: this.#self, initiator: request.app, app }, entries);
    const own = copyFor(request.app);
    const others = (homes.get(this.#self) ?? []).map(copyFor);
    if (this.#copies.occupied + (others.length + 1) * keyIds.length > this.#host.context.policy.maxHeld) {
      throw new Fault("STORE_FULL");
    }
    const copies = [own, ...others];
    const sealed = await vault.generate(
      copies.map(({ bundle }) => bundle.block),
      bytes,
    );
    const change = vault.change();
    for (const copy of copies) this.#copies.put(copy, "reserved", change);
    for (const block of sealed) change.keep(block);
    await change.commit().catch((thrown: unknown) => {
      this.#undo({ own, others });
      throw thrown;
    });
    return { own, others };
  }

  /** To every other KM; they all have it when it resolves. @throws Fault of one of them */
  async #send({ request, keyIds }: Asked, padded: readonly Padded[], { bundle }: Copy): Promise<void> {
    if (padded.length === 0) return;
    using job = await this.#host.context.vault.openJob({ blocks: [{ block: bundle.block }], emptySlots: 0 });
    const [open] = job.blocks;
    if (open === undefined) throw new Error(`${bundle.block} is not open`);
    const sent = padded.map(async ({ home, targets, grant }) => {
      const peer = this.#reach(home);
      const keys = { initiator: request.app, targets, keyIds, pads: idsOf(grant) };
      const context = multicastContext({ source: this.#self, destination: home }, keys);
      const transfer: MulticastTransfer = { ...keys, ...open.mask(padOf(grant, open.length + TAG_KEY_BYTES), context) };
      await peer.tell([transferEntry(transfer)], TELL_TIMEOUT_MS);
    });
    const failed = (await Promise.allSettled(sent)).find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Applications at home here may fetch theirs. @throws Fault STORE_UNAVAILABLE */
  async #hold(copies: readonly Copy[]): Promise<void> {
    if (copies.length === 0) return;
    const change = this.#host.context.vault.change();
    for (const copy of copies) this.#copies.put(copy, "held", change);
    await change.commit();
    for (const copy of copies) {
      this.#copies.add(copy, true);
      const { peer, initiator, app: target, bundle } = copy;
      const fields = { peer, initiator, target, block: bundle.block };
      this.#host.context.audit.note("multicast_held", fields, { count: bundle.keys.length });
    }
  }

  async #grant({ request, homes }: Asked, own: Copy): Promise<Grant> {
    const { context } = this.#host;
    const { app, door, sizeBits } = request;
    const { bundle, peer } = own;
    this.#copies.add(own, false);
    const claims = bundle.keys.map((_, index) => ({ bundle, index }));
    const end = (unwritten: number): void =>
      countGranted(context, "keys_supplied", { door, app, peer }, [claims.length, unwritten]);
    const grant = await grantClaims(context, this.#copies.book(peer), claims, end).catch((thrown: unknown) => {
      this.#copies.book(peer).end([bundle], "given_up");
      throw thrown;
    });
    const targets = [...homes.values()].flat().join(" ");
    const fields = { door, initiator: app, targets, block: bundle.block, bits: sizeBits };
    context.audit.note("multicast_supplied", fields, { count: claims.length });
    return grant;
  }

  /** Nobody is given what was made. */
  #undo({ own, others }: { readonly own: Copy; readonly others: readonly Copy[] }): void {
    const change = this.#host.context.vault.change();
    for (const copy of [own, ...others]) this.#copies.drop(copy, change);
    change.commit().catch((err: unknown) => {
      this.#host.context.log.warn({ err }, "multicast keys that nobody was given may be on the disk");
    });
  }

  /** Tells the others so, and ends what is held here. What they are not told expires with them. */
  #void({ request, keyIds }: Asked, padded: readonly Padded[]): void {
    const { log } = this.#host.context;
    this.#copies.end(this.#self, request.app, keyIds, "given_up");
    for (const { home } of padded) {
      const told = this.#host.peerOf(home)?.tell([voidEntry({ initiator: request.app, keyIds })], TELL_TIMEOUT_MS);
      told?.catch((err: unknown) => log.debug({ peer: home, err }, "multicast keys were not taken back"));
    }
  }
}
