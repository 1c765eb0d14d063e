// The door of a KM whose token has not been there yet: it refuses until the books are read.

import { Fault } from "../../core/fault.ts";
import { keySizes } from "../common/sizes.ts";
import type {
  Answer,
  AppLine,
  FetchRequest,
  KeyDoor,
  KeySizes,
  SessionAnswer,
  SessionDoor,
  SessionKeysRequest,
  SessionRequest,
  SupplyRequest,
  SupplyStatus,
} from "../ports.ts";

/** What a key manager offers to the faces. */
interface Doors extends KeyDoor {
  readonly sessions: SessionDoor;
}

/** A connection of an application that is open. */
interface Attached {
  readonly line: AppLine;
  detach: () => void;
}

/** Stands before doors that come later. */
export class StartupGate implements KeyDoor, SessionDoor {
  readonly sizes: KeySizes;
  #door: Doors | undefined;
  /** In the order in which they were opened. */
  readonly #lines = new Set<Attached>();

  /** Bytes of the largest block; bits of a key when no size is asked. */
  constructor(defaultKeyBits: number, blockBytes: number) {
    this.sizes = keySizes(defaultKeyBits, blockBytes);
  }

  /** From now on `door` answers. */
  open(door: Doors): void {
    this.#door = door;
    for (const attached of this.#lines) attached.detach = door.sessions.attach(attached.line);
  }

  supply(request: SupplyRequest, answer: Answer): () => void {
    if (this.#door !== undefined) return this.#door.supply(request, answer);
    return refuse(answer);
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    if (this.#door !== undefined) return this.#door.fetch(request, answer);
    return refuse(answer);
  }

  attach(line: AppLine): () => void {
    const attached: Attached = { line, detach: () => {} };
    this.#lines.add(attached);
    if (this.#door !== undefined) attached.detach = this.#door.sessions.attach(line);
    return () => {
      this.#lines.delete(attached);
      attached.detach();
    };
  }

  createSession(request: SessionRequest, answer: SessionAnswer): () => void {
    if (this.#door !== undefined) return this.#door.sessions.createSession(request, answer);
    return refuse(answer);
  }

  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void {
    if (this.#door !== undefined) return this.#door.sessions.sessionKeys(request, answer);
    return refuse(answer);
  }

  status(...apps: Parameters<KeyDoor["status"]>): SupplyStatus {
    if (this.#door === undefined) throw unavailable();
    return this.#door.status(...apps);
  }
}

const unavailable = (): Fault => new Fault("HSM_UNAVAILABLE", { retryAfterMs: 1000 });

function refuse(answer: Pick<Answer, "refused">): () => void {
  answer.refused(unavailable());
  return () => {};
}
