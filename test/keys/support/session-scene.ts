// Two KMs with app-a1 at home at km-a and app-b1 connected at km-b, for tests of sessions.

import { expect } from "vitest";
import type { SessionPolicy } from "../../../src/core/policy.ts";
import type { Asked } from "./apps.ts";
import { expectOneUse } from "./ledger.ts";
import { Network, type Wanted } from "./network.ts";
import { DEFAULT_SESSIONS } from "./policy.ts";
import { askInSession, type Opening, openSession, SessionApp } from "./session-app.ts";

interface SceneWish extends Wanted {
  readonly blocks?: number;
  readonly sessions?: Partial<SessionPolicy>;
}

export class Scene {
  readonly network: Network;
  readonly b: SessionApp;
  /** All that app-a1 was supplied. */
  readonly asks: Asked[] = [];

  private constructor(network: Network) {
    this.network = network;
    this.b = new SessionApp(network.clock, "app-b1").connect(network.b.parts.sessions);
  }

  static async open({ sessions, policy, ...wish }: SceneWish = {}): Promise<Scene> {
    const limits = sessions === undefined ? {} : { sessions: { ...DEFAULT_SESSIONS, ...sessions } };
    return new Scene(await Network.up({ ...wish, policy: { ...policy, ...limits } }));
  }

  opening(budget?: number): Opening {
    return openSession(this.network.a.parts.sessions, "app-a1", "app-b1", budget);
  }

  /** The ID of a new session of app-a1 with app-b1. */
  async session(budget?: number): Promise<string> {
    const opening = this.opening(budget);
    await this.network.run(20);
    expect(opening.fault).toBeUndefined();
    return opening.sessionId ?? "";
  }

  /** Asks for keys and does not wait. */
  ask(sessionId: string, count = 1, bits = 256): Asked {
    const asked = askInSession(this.network.a.parts.sessions, { app: "app-a1", sessionId, count, bits });
    this.asks.push(asked);
    return asked;
  }

  /** What became of a request after a while. */
  async taken(sessionId: string, count = 1, bits = 256): Promise<Asked> {
    const asked = this.ask(sessionId, count, bits);
    await this.network.run(50);
    return asked;
  }

  /** Sessions at km-a of its initiators, and at km-b of its destinations. */
  get open(): readonly [number, number] {
    return [this.network.a.parts.sessions.sizes.initiator, this.network.b.parts.sessions.sizes.destination];
  }

  /** What app-a1 has app-b1 has too, no byte left twice, nothing is pinned and no request is under way. */
  expectSound(): void {
    const { a, b } = this.network;
    const keys = this.asks.flatMap((asked) => asked.keys);
    expectOneUse([a, b], keys);
    expect(this.b.keys).toEqual(expect.arrayContaining(keys));
    expect(this.asks.map(({ answers }) => answers)).toEqual(this.asks.map(() => 1));
    for (const { vault, parts } of [a, b].filter(({ events }) => events !== undefined)) {
      expect(vault.leases.blocks).toBe(0);
      expect(parts.sessions.sizes.asks).toBe(0);
    }
  }
}
