// An application that does nothing wrong: it asks for keys at a steady pace, and measures how long each takes.

import type { AkClient } from "../../../src/ak/client.ts";
import { appId } from "../../../src/core/ids.ts";
import type { App } from "../../system/support/app.ts";

/** Milliseconds from request to answer, in the order asked. */
export type Latencies = readonly number[];

/** Between two requests. They are sent whether or not the one before was answered. */
const EVERY_MS = 5;

export class Innocent implements AsyncDisposable {
  readonly #client: AkClient;
  readonly #destination: string;

  private constructor(client: AkClient, destination: string) {
    this.#client = client;
    this.#destination = destination;
  }

  /** Has a connection over Ak, and keeps it. */
  static async open(app: App, destination: string): Promise<Innocent> {
    return new Innocent(await app.connectAk(), destination);
  }

  /** Asks for so long. @throws what a request is refused with: an innocent application is never refused */
  async ask(forMs: number): Promise<Latencies> {
    const asked: Promise<number>[] = [];
    const end = performance.now() + forMs;
    let next = performance.now();
    while (next < end) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
      asked.push(this.#one());
      next = Math.max(next + EVERY_MS, performance.now());
    }
    return Promise.all(asked);
  }

  async #one(): Promise<number> {
    const begun = performance.now();
    const keys = await this.#client.getKeys({ destination: appId(this.#destination) });
    const took = performance.now() - begun;
    for (const key of keys) key[Symbol.dispose]();
    return took;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
