// Three KMs in a line, the middle one with a border: applications at home at the others share keys with one beyond it.

import { type AppId, appId, type KmId } from "../../../src/core/ids.ts";
import { BORDERS_BYTES, Borders } from "../../../src/keys/borders/borders.ts";
import type { KeysPolicy } from "../../../src/keys/common/context.ts";
import type { BorderArrival, BorderOutcome, BorderPath } from "../../../src/keys/ports/borders.ts";
import type { ExtensionEntry } from "../../../src/keys/ports/peers.ts";
import { type Asked, fetchKeys } from "./apps.ts";
import { BORDER, foreignId, foreignKey, OtherNetwork, TIMEOUT_MS } from "./border-scene.ts";
import { LINE_3, Mesh } from "./mesh.ts";

export const INWARD: BorderPath = { initiator: appId("app-x1"), target: appId("app-a") };
export const OUTWARD: BorderPath = { initiator: appId("app-a"), target: appId("app-x1") };

export const inward = (ids: readonly number[], more: Partial<BorderArrival> = {}): BorderArrival => ({
  keys: ids.map((n) => ({ keyId: foreignId(n), letters: Buffer.from(foreignKey(n)) })),
  ...INWARD,
  callback: undefined,
  ...more,
});

/** km-a ── km-b ── km-c; the border is at km-b. */
export class BorderMesh {
  readonly mesh: Mesh;
  readonly other = new OtherNetwork();
  readonly #borders = new Map<string, Borders>();

  private constructor(policy: Partial<KeysPolicy>) {
    const beyond = { "app-x1": ["b", BORDER] } as const;
    this.mesh = new Mesh({ links: LINE_3, apps: ["app-a2"], beyond, policy: { maxHeld: 1024, ...policy } });
  }

  static async up(policy: Partial<KeysPolicy> = {}): Promise<BorderMesh> {
    const all = new BorderMesh(policy);
    for (const letter of ["a", "b", "c"]) await all.#boot(letter);
    all.mesh.connect();
    all.mesh.make(40);
    await all.mesh.run(500);
    return all;
  }

  async #boot(letter: string, restored = false): Promise<void> {
    const node = this.mesh.node(letter);
    await node.boot(restored);
    const line = { line: this.other, isOut: true, timeoutMs: TIMEOUT_MS };
    const settings = new Map<KmId, typeof line>(letter === "b" ? [[BORDER, line]] : []);
    node.km.openBorders((host) => {
      const made = new Borders(host, settings, new Uint8Array(BORDERS_BYTES));
      this.#borders.set(letter, made);
      return made;
    });
  }

  async reboot(letter: string): Promise<void> {
    this.mesh.crash(letter);
    await this.#boot(letter);
    this.mesh.connect();
    await this.mesh.run(500);
  }

  /** At the border. */
  get borders(): Borders {
    return this.at("b");
  }

  at(letter: string): Borders {
    const borders = this.#borders.get(letter);
    if (borders === undefined) throw new Error(`km-${letter} is down`);
    return borders;
  }

  run(ms: number): Promise<void> {
    return this.mesh.run(ms);
  }

  /** Resolves with the result while the clock goes on. */
  async while<T>(work: Promise<T>, ms = 200): Promise<T> {
    work.catch(() => {});
    await this.run(ms);
    return await Promise.race([work, Promise.reject(new Error("it has not ended"))]);
  }

  /** What an application fetches at its own KM. */
  async fetched(app: AppId | string, ...ids: readonly number[]): Promise<Asked> {
    const km = this.mesh.node(app.charAt(4)).km;
    const asked = fetchKeys(km, app, "app-x1", ids.map(foreignId));
    await this.run(50);
    return asked;
  }

  /** The other network acknowledges. */
  async acknowledge(outcome: BorderOutcome, keyIds: readonly string[] = [...this.other.keys.keys()]): Promise<void> {
    await this.borders.acknowledged(BORDER, [{ ...OUTWARD, outcome, message: "", keyIds }]);
    await this.run(50);
  }

  /** What of borders lies on a disk. */
  left(letter: string): { readonly rows: readonly string[]; readonly records: readonly string[] } {
    const { machine } = this.mesh.node(letter);
    return {
      rows: [...machine.rows.keys()].filter((key) => key.startsWith("border")),
      records: [...machine.records.keys()].filter((key) => key.includes("border")),
    };
  }

  /** As another KM would tell it. */
  tell(from: string, to: string, entry: ExtensionEntry): Promise<void> {
    const { connection } = this.mesh.peer(from, to);
    if (connection === undefined) throw new Error(`km-${from} and km-${to} are not connected`);
    return connection.tell([entry], 1000);
  }
}
