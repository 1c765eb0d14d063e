// The connections of the applications at home here, as far as sessions need them.

import { Fault } from "../../core/fault.ts";
import type { AppId } from "../../core/ids.ts";
import type { AppLine } from "../ports/sessions.ts";

/** Connections of one application that are asked whether they take a session. */
const MAX_ASKED = 8;

/** The Ak connections of the applications at home here, the newest of each first. */
export class AppLines {
  /** The newest last. */
  readonly #lines = new Map<AppId, AppLine[]>();
  readonly #gone: (app: AppId) => void;

  /** `gone` is called when an application's last connection has closed. */
  constructor(gone: (app: AppId) => void) {
    this.#gone = gone;
  }

  attach(line: AppLine): () => void {
    this.#lines.set(line.app, [...(this.#lines.get(line.app) ?? []), line]);
    return () => this.#detach(line);
  }

  #detach(line: AppLine): void {
    const rest = (this.#lines.get(line.app) ?? []).filter((other) => other !== line);
    if (rest.length > 0) {
      this.#lines.set(line.app, rest);
    } else if (this.#lines.delete(line.app)) {
      this.#gone(line.app);
    }
  }

  /** An application's newest connection. @throws Fault APP_UNAVAILABLE */
  newest(app: AppId): AppLine {
    const line = this.#lines.get(app)?.at(-1);
    if (line === undefined) throw appGone(app);
    return line;
  }

  /** The connections to ask, the newest first, as many as are asked at most. @throws Fault APP_UNAVAILABLE */
  newestFirst(app: AppId): readonly AppLine[] {
    const lines = this.#lines.get(app)?.slice(-MAX_ASKED).toReversed();
    if (lines === undefined) throw appGone(app);
    return lines;
  }

  /** The connection that took part last, if it is still there, or the newest. @throws Fault APP_UNAVAILABLE */
  lastOrNewest(app: AppId, last: AppLine | undefined): AppLine {
    return last !== undefined && this.isOpen(last) ? last : this.newest(app);
  }

  isOpen(line: AppLine): boolean {
    return this.#lines.get(line.app)?.includes(line) ?? false;
  }
}

/** The fault when a session's application is not connected. */
export const appGone = (app: AppId): Fault =>
  new Fault("APP_UNAVAILABLE", { text: `the application ${app} is not connected to its key manager` });
