// 0x120A on its way to an application, until a 0x210B has come for each of its keys (Q.4161 8.2.7, 8.2.8).

import { Fault } from "../core/fault.ts";
import type { Grant, SessionId } from "../keys/ports.ts";
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

export class Push implements Asked {
  /** Resolves with the IDs that were acknowledged, in the order of the keys. Never rejects. */
  readonly acknowledged: Promise<readonly string[]>;
  readonly #sessionId: SessionId;
  readonly #ids: readonly string[];
  readonly #unanswered: Set<string>;
  readonly #taken = new Set<string>();
  readonly #resolve: (ids: readonly string[]) => void;

  constructor(sessionId: SessionId, ids: readonly string[]) {
    this.#sessionId = sessionId;
    this.#ids = ids;
    this.#unanswered = new Set(ids);
    ({ promise: this.acknowledged, resolve: this.#resolve } = Promise.withResolvers<readonly string[]>());
  }

  heard(code: number, json: object): "nothing" | "more" | "all" {
    const answer = code === AK.proactiveSupplyResponse.code ? readAnswer(json) : undefined;
    if (answer?.session_ID !== this.#sessionId) return "nothing";
    const about = this.#about(answer).filter((id) => this.#unanswered.delete(id));
    if (answer.response === "success") for (const id of about) this.#taken.add(id);
    if (this.#unanswered.size > 0) return about.length === 0 ? "nothing" : "more";
    this.end();
    return "all";
  }

  end(): void {
    this.#resolve(this.#ids.filter((id) => this.#taken.has(id)));
  }

  /** Which keys an answer is about: one, those that its `extension` lists, or all that are left when it refuses none by name. */
  #about({ key_ID, response, extension = [] }: ProactiveSupplyResponse): readonly string[] {
    const listed = extension.flatMap(listedIn);
    if (key_ID === "" && listed.length === 0 && response !== "success") return [...this.#unanswered];
    return [key_ID, ...listed];
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

function readAnswer(json: object): ProactiveSupplyResponse | undefined {
  try {
    return check(AK.proactiveSupplyResponse, json);
  } catch (thrown) {
    if (thrown instanceof Fault) return undefined;
    throw thrown;
  }
}
