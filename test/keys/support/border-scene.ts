// One KM with a border, and the key manager of another network beyond it: a model that keeps what it is sent, and fails on demand.

import { appId, type KmId, kmId } from "../../../src/core/ids.ts";
import { BORDERS_BYTES, Borders } from "../../../src/keys/borders/borders.ts";
import type { KeysPolicy } from "../../../src/keys/common/context.ts";
import type { AppEntry } from "../../../src/keys/directory/application-table.ts";
import type {
  BorderAck,
  BorderAnswer,
  BorderArrival,
  BorderDeparture,
  BorderLine,
  BorderOutcome,
  BorderPath,
} from "../../../src/keys/ports/borders.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { POLICY, QUOTA } from "./network.ts";
import { TestNode } from "./node.ts";

export const BORDER = kmId("kme-x");
export const CALLBACK = "https://kme-x.example/ack";
export const TIMEOUT_MS = 4000;
/** The initiator is of the other network. */
export const IN: BorderPath = { initiator: appId("app-x1"), target: appId("app-a1") };
export const OUT: BorderPath = { initiator: appId("app-a1"), target: appId("app-x1") };

/** UUIDs as another make gives them. */
export const foreignId = (n: number): string => `0b9e3c1a-5f27-4c11-9d3a-${n.toString(16).padStart(12, "0")}`;
/** Keys as they are: base64 of 32 bytes, none of them zero. */
export const foreignKey = (n: number): string => Buffer.alloc(32, (n % 255) + 1).toString("base64");

export const arrival = (ids: readonly number[], more: Partial<BorderArrival> = {}): BorderArrival => ({
  keys: ids.map((n) => ({ keyId: foreignId(n), letters: Buffer.from(foreignKey(n)) })),
  ...IN,
  callback: CALLBACK,
  ...more,
});

/** What becomes of a request to the other network; `lost`: it came, but its answer did not. */
type Fault = "unsent" | "refused" | "lost";

/** The other network's key manager, seen over the wire. */
export class OtherNetwork implements BorderLine {
  /** Base64 by ID: held for its application. */
  readonly keys = new Map<string, string>();
  readonly voided = new Set<string>();
  /** Acknowledgements of what we took. */
  readonly told: BorderAck[] = [];
  readonly asked: ("send" | "void" | "ack")[] = [];
  /** Those of the next requests, in their order; then all go well. */
  faults: Fault[] = [];
  /** Every request until it is set back. */
  always: Fault | undefined;
  isSynchronous = false;
  /** What it says of keys in its answer to a transfer, in the synchronous mode. */
  outcome: BorderOutcome = "relayed";

  async send(departure: BorderDeparture): Promise<BorderAnswer> {
    return await this.#answer("send", async () => {
      const { keys, initiator, target } = departure;
      await departure.lend((writeKey) => {
        for (const [index, { keyId, length }] of keys.entries()) {
          const letters = Buffer.alloc(4 * length);
          const end = writeKey(index, letters, 0);
          if (!this.voided.has(keyId)) this.keys.set(keyId, letters.toString("latin1", 0, end));
        }
      });
      return [{ initiator, target, outcome: this.outcome, message: "", keyIds: keys.map(({ keyId }) => keyId) }];
    });
  }

  async sendVoid({ initiator, target, keyIds }: BorderPath & { readonly keyIds: readonly string[] }) {
    return await this.#answer("void", async () => {
      for (const id of keyIds) {
        this.voided.add(id);
        this.keys.delete(id);
      }
      return [{ initiator, target, outcome: "voided", message: "", keyIds }];
    });
  }

  async sendAcks(_callback: string, acks: readonly BorderAck[]): Promise<BorderAnswer> {
    const answer = await this.#answer("ack", async () => {
      this.told.push(...acks);
      return [];
    });
    return answer.kind === "done" ? { kind: "accepted" } : answer;
  }

  async #answer(what: "send" | "void" | "ack", work: () => Promise<readonly BorderAck[]>): Promise<BorderAnswer> {
    this.asked.push(what);
    const fault = this.faults.shift() ?? this.always;
    if (fault === "unsent" || fault === "refused") return { kind: fault, why: fault };
    const acks = await work();
    if (fault === "lost") return { kind: "unknown", why: fault };
    return this.isSynchronous ? { kind: "done", acks } : { kind: "accepted" };
  }
}

const app = (id: string, border?: KmId): AppEntry => ({
  id: appId(id),
  home: kmId("km-a"),
  quota: QUOTA,
  ...(border && { border }),
});

export class BorderScene {
  readonly clock = new ManualClock();
  readonly other = new OtherNetwork();
  readonly node: TestNode;
  /** Zero whenever nothing is being sealed. */
  readonly scratch = new Uint8Array(BORDERS_BYTES);
  #borders: Borders | undefined;

  constructor(policy: Partial<KeysPolicy> = {}) {
    const apps = [app("app-a1"), app("app-a2"), app("app-x1", BORDER), app("app-y1", kmId("kme-y"))];
    const common = { policy: { ...POLICY, ...policy }, apps, links: [], peers: [] };
    this.node = new TestNode(this.clock, { ...common, id: kmId("km-a") });
  }

  static async up(policy: Partial<KeysPolicy> = {}): Promise<BorderScene> {
    const scene = new BorderScene(policy);
    await scene.boot();
    return scene;
  }

  get borders(): Borders {
    if (this.#borders === undefined) throw new Error("the node is down");
    return this.#borders;
  }

  /** @param restored the store is an older copy */
  async boot(restored = false): Promise<void> {
    await this.node.boot(restored);
    this.node.km.openBorders((host) => {
      const settings = { line: this.other, isOut: true, timeoutMs: TIMEOUT_MS };
      const all = new Map([BORDER, kmId("kme-y")].map((id) => [id, settings]));
      this.#borders = new Borders(host, all, this.scratch);
      return this.#borders;
    });
    await this.run(200);
  }

  async reboot(restored = false): Promise<void> {
    this.node.crash();
    await this.boot(restored);
  }

  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }

  /** The other network acknowledges. */
  async acknowledge(outcome: BorderOutcome, keyIds: readonly string[] = [...this.other.keys.keys()]): Promise<void> {
    await this.borders.acknowledged(BORDER, [{ ...OUT, outcome, message: "", keyIds }]);
    await this.run(10);
  }
}

/** What became of a call: its fault's code. */
export const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "success",
    (thrown: unknown) => (thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown)),
  );
