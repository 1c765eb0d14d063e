// For whom keys are taken, and at which door: what names, audit log and meter need of it, made once for many requests.

import type { AuditFields } from "../../core/audit-events.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Door } from "../ports/keys.ts";
import { KeyNamer, type Parties } from "./key-namer.ts";

type Note = AuditFields<"keys_supplied"> & AuditFields<"keys_fetched">;

/** So many are remembered: what is asked again comes soon. */
const MOST = 16;

/** Keys of one KM for another that one application is given at one door, for itself and another. */
export class Purpose {
  readonly door: Door;
  readonly app: AppId;
  readonly parties: Parties;
  readonly namer: KeyNamer;
  /** Of the counters of keys: the same object each time, by which the meter knows them. */
  readonly labels: { readonly app: AppId; readonly door: Door };
  readonly #peer: KmId;
  readonly #notes: Note[] = [];

  /** `peer`: the other of the two KMs, as the audit log names it. */
  constructor(door: Door, app: AppId, parties: Parties, peer: KmId) {
    this.door = door;
    this.app = app;
    this.parties = parties;
    this.namer = new KeyNamer(parties);
    this.labels = { app, door };
    this.#peer = peer;
  }

  /** What the audit log is told of keys of one KMA-key and size: the same object each time, by which it knows the line. */
  note(serial: number, bits: number): Note {
    for (const note of this.#notes) if (note.serial === serial && note.bits === bits) return note;
    const { initiator, target } = this.parties;
    const note = { door: this.door, initiator, target, peer: this.#peer, serial, bits };
    remember(this.#notes, note);
    return note;
  }
}

/** The purposes for which keys of one KM for another were asked last. */
export class Purposes {
  readonly #kms: Pick<Parties, "source" | "destination">;
  readonly #peer: KmId;
  readonly #known: Purpose[] = [];

  constructor(kms: Pick<Parties, "source" | "destination">, peer: KmId) {
    this.#kms = kms;
    this.#peer = peer;
  }

  of(door: Door, app: AppId, initiator: AppId, target: AppId): Purpose {
    for (const known of this.#known) {
      const { parties } = known;
      if (known.app === app && parties.target === target && parties.initiator === initiator && known.door === door) {
        return known;
      }
    }
    const made = new Purpose(door, app, { ...this.#kms, initiator, target }, this.#peer);
    remember(this.#known, made);
    return made;
  }
}

/** In the place of the oldest. */
function remember<Item>(items: Item[], item: Item): void {
  if (items.length >= MOST) items.shift();
  items.push(item);
}
