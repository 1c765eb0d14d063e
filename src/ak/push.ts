// 0x120A on its way to an application, until a 0x210B has come for each of its keys (Q.4161 8.2.7, 8.2.8).

import { Fault, isSuccess } from "../core/fault.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { SessionId } from "../keys/ports/sessions.ts";
import { check } from "../wire/message.ts";
import type { JsonObject } from "../wire/types.ts";
import { idBytes } from "./answer.ts";
import type { Asked } from "./app-line.ts";
import { AK, type ProactiveSupplyResponse } from "./messages.ts";

/** The IDs of a grant's keys, which are no secret. */
export function idsOf(grant: Grant): readonly string[] {
  return Array.from({ length: grant.count }, (_, index) => {
    const id = Buffer.alloc(idBytes(grant, index));
    grant.writeId(index, id, 0);
    return id.toString("latin1");
  });
}

/** One 0x120A that waits for a 0x210B for each of its keys. */
export class Push implements Asked {
  /**
   * Resolves with the IDs that were acknowledged, in the order of the keys. Rejects with Fault MALFORMED_REQUEST when there are none,
   * and an answer was not as its table says: the application has not refused.
   */
  readonly acknowledged: Promise<readonly string[]>;
  readonly #sessionId: SessionId;
  readonly #ids: readonly string[];
  readonly #unanswered: Set<string>;
  readonly #taken = new Set<string>();
  readonly #resolve: (ids: readonly string[]) => void;
  readonly #reject: (fault: Fault) => void;
  readonly #misread: (fault: Fault) => void;
  #malformed: Fault | undefined;

  /** `misread` is told what was wrong with an answer. */
  constructor(sessionId: SessionId, ids: readonly string[], misread: (fault: Fault) => void = () => {}) {
    this.#misread = misread;
    this.#sessionId = sessionId;
    this.#ids = ids;
    this.#unanswered = new Set(ids);
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
    this.acknowledged = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  heard(code: number, json: object): "nothing" | "more" | "all" {
    if (code !== AK.proactiveSupplyResponse.code) return "nothing";
    const about = this.#read(json).filter((id) => this.#unanswered.delete(id));
    if (this.#unanswered.size > 0) return about.length === 0 ? "nothing" : "more";
    this.end();
    return "all";
  }

  end(): void {
    if (this.#taken.size === 0 && this.#malformed !== undefined) this.#reject(this.#malformed);
    else this.#resolve(this.#ids.filter((id) => this.#taken.has(id)));
  }

  /** The IDs of the keys that an answer is about. One that is not as its table says counts against the key that it names. */
  #read(json: object): readonly string[] {
    try {
      const answer = check(AK.proactiveSupplyResponse, json);
      if (answer.session_ID !== this.#sessionId) return [];
      const about = this.#about(answer);
      if (isSuccess(answer.response)) for (const id of about) if (this.#unanswered.has(id)) this.#taken.add(id);
      return about;
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      this.#malformed = thrown;
      this.#misread(thrown);
      const id: unknown = Reflect.get(json, "key_ID");
      return typeof id === "string" ? [this.#spelled(id)] : this.#unanswered.size === 1 ? [...this.#unanswered] : [];
    }
  }

  /** Which keys an answer is about: one, those that its `extension` lists, or all that are left when it refuses none by name. */
  #about({ key_ID, response, extension = [] }: ProactiveSupplyResponse): readonly string[] {
    const listed = extension.flatMap(listedIn);
    if (key_ID === "" && listed.length === 0 && !isSuccess(response)) return [...this.#unanswered];
    return [key_ID, ...listed].map((id) => this.#spelled(id));
  }

  /** A UUID in upper case is the same ID. */
  #spelled(id: string): string {
    return this.#unanswered.has(id) ? id : id.toLowerCase();
  }
}

/** The IDs of an entry `key_IDs`: strings, or objects with `key_ID` as in 0x2102. */
function listedIn({ name, key_IDs }: JsonObject): readonly string[] {
  if (name !== "key_IDs" || !Array.isArray(key_IDs)) return [];
  const ids: readonly unknown[] = key_IDs.map((entry: unknown) =>
    typeof entry === "object" && entry !== null ? Reflect.get(entry, "key_ID") : entry,
  );
  return ids.filter((id) => typeof id === "string");
}
