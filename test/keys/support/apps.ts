// Applications as the faces see them: they ask, and keep what they are given.

import type { Fault } from "../../../src/core/fault.ts";
import type { AppId } from "../../../src/core/ids.ts";
import type { Answer, Grant, KeyDoor, SupplyRequest } from "../../../src/keys/ports/keys.ts";

export interface GivenKey {
  readonly id: string;
  /** Base64. Only tests hold keys so. */
  readonly key: string;
}

/** A request and what became of it. */
export interface Asked {
  /** Undefined while it waits. */
  outcome: "granted" | "refused" | undefined;
  keys: GivenKey[];
  fault: Fault | undefined;
  /** Gives it up. */
  cancel: () => void;
  /** Ends a grant that was held. */
  release: () => void;
  /** How often an answer came. */
  answers: number;
}

/** Whether a grant is read and ended at once, or held open. */
export type Manner = "read" | "hold";

/** Begins a request whose answer brings keys. */
export function asked(begin: (answer: Answer) => () => void, manner: Manner): Asked {
  const made: Asked = {
    outcome: undefined,
    keys: [],
    fault: undefined,
    cancel: () => {},
    release: () => {},
    answers: 0,
  };
  const answer: Answer = {
    granted(grant) {
      made.answers++;
      made.outcome = "granted";
      const read = (): void => {
        made.keys = readGrant(grant);
        grant[Symbol.dispose]();
      };
      if (manner === "read") read();
      else made.release = read;
    },
    refused(fault) {
      made.answers++;
      made.outcome = "refused";
      made.fault = fault;
    },
  };
  made.cancel = begin(answer);
  return made;
}

/** All keys of a grant, which the caller disposes. */
export function readGrant(grant: Grant): GivenKey[] {
  const target = Buffer.alloc(8192);
  return Array.from({ length: grant.count }, (_, index) => {
    const idEnd = grant.writeId(index, target, 0);
    const keyEnd = grant.writeKey(index, target, idEnd);
    return { id: target.toString("latin1", 0, idEnd), key: target.toString("latin1", idEnd, keyEnd) };
  });
}

export interface Wish extends Pick<SupplyRequest, "only" | "rather" | "others"> {
  readonly app: string;
  readonly to: string;
  readonly count?: number;
  readonly bits?: number;
  readonly manner?: Manner;
}

/** A door, or a key manager behind its own. */
export type Asking = KeyDoor | { readonly requests: KeyDoor };

const doorOf = (asking: Asking): KeyDoor => ("requests" in asking ? asking.requests : asking);

/** New keys for `app` and `to`. */
export function ask(asking: Asking, { app, to, count = 1, bits = 256, manner = "read", ...kinds }: Wish): Asked {
  const apps = { app: app as AppId, destination: to as AppId };
  const request = { door: "ak", ...apps, count, sizeBits: bits, ...kinds } as const;
  return asked((answer) => doorOf(asking).supply(request, answer), manner);
}

/** The keys of these IDs, for `app`; `from` was supplied first. */
export function fetchKeys(
  asking: Asking,
  app: string,
  from: string,
  keyIds: readonly string[],
  manner: Manner = "read",
): Asked {
  const request = { door: "ak", app: app as AppId, initiator: from as AppId, keyIds } as const;
  return asked((answer) => doorOf(asking).fetch(request, answer), manner);
}
