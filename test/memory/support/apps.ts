// Applications at work on a network whose memory is read afterwards: what they were handed out.

import type { IncomingSession, SessionOffer, SuppliedKey } from "../../../src/ak/client.ts";
import { appId } from "../../../src/core/ids.ts";
import { AkDoor, type Door, EtsiDoor, type HandedKey, type Wish } from "../../system/support/doors.ts";
import { ask } from "../../system/support/https.ts";
import type { Network } from "../../system/support/network.ts";

/** Which app is supplied with keys, and which fetches them. */
export interface Way {
  readonly door: Door["name"];
  readonly from: string;
  readonly to: string;
}

export interface Errand extends Way {
  readonly keys: number;
  /** Of each key; 256 unless given. */
  readonly bits?: number;
  /** Keys in one answer; 100 unless given. */
  readonly atOnce?: number;
}

export class Apps implements AsyncDisposable {
  readonly fetched: HandedKey[] = [];
  readonly #network: Network;
  readonly #doors = new Map<string, Door>();

  constructor(network: Network) {
    this.#network = network;
  }

  /** Every key is fetched as soon as it was supplied. Connections stay open. @throws Error when the ends differ */
  async run({ door, from, to, keys, bits = 256, atOnce = 100 }: Errand): Promise<void> {
    for (let left = keys; left > 0; left -= atOnce) {
      const wish = { number: Math.min(atOnce, left), size: bits };
      await this.fetch({ door, from, to }, await this.supply({ door, from, to }, wish));
    }
  }

  supply({ door, from, to }: Way, wish: Wish): Promise<readonly HandedKey[]> {
    return this.#door(door, from).supply(to, wish);
  }

  async fetch({ door, from, to }: Way, keys: readonly HandedKey[]): Promise<void> {
    const ids = keys.map(({ id }) => id);
    const fetched = await this.#door(door, to).fetch(from, ids);
    if (!fetched.every(({ key }, index) => keys[index]?.key.equals(key))) throw new Error("the two ends differ");
    this.fetched.push(...keys);
  }

  /** Over ETSI 014, by a client that asks whether to go on before its body: an answer without keys comes first. */
  async supplyExpectant(from: string, to: string, count: number): Promise<void> {
    const asked = { headers: { expect: "100-continue" }, body: { number: count, size: 256 } };
    const { keys, message } = await ask(this.#network.app(from), `${to}/enc_keys`, asked);
    if (keys.length !== count) throw new Error(`no keys came: ${message}`);
    await this.fetch({ door: "etsi014", from, to }, keys);
  }

  /** A session in which so many keys are pushed to `to` and supplied to `from`. @throws Error when the ends differ */
  async session(from: string, to: string, keys: number, atOnce = 50): Promise<void> {
    const accepted = Promise.withResolvers<IncomingSession>();
    const onSession = (offer: SessionOffer) => accepted.resolve(offer.accept());
    await using listener = await this.#network.app(to).connectAk({ onSession });
    await using asker = await this.#network.app(from).connectAk();
    const session = await asker.openSession({ destination: appId(to), maxKeys: keys });
    const pushed = (await accepted.promise)[Symbol.asyncIterator]();
    for (let left = keys; left > 0; left -= atOnce) {
      const supplied = session.getKeys({ count: Math.min(atOnce, left) });
      const taken: HandedKey[] = [];
      while (taken.length < Math.min(atOnce, left)) {
        const { value, done } = await pushed.next();
        if (done) throw new Error(`the session of ${listener.group} ended early`);
        taken.push(copied(value.take()));
      }
      const had = (await supplied).map(copied);
      if (!had.every(({ key }, index) => taken[index]?.key.equals(key))) throw new Error("the two ends differ");
      this.fetched.push(...had);
    }
  }

  #door(name: Door["name"], app: string): Door {
    const known = this.#doors.get(`${name} ${app}`);
    if (known !== undefined) return known;
    const at = this.#network.app(app);
    const door = name === "ak" ? new AkDoor(at) : new EtsiDoor(at);
    this.#doors.set(`${name} ${app}`, door);
    return door;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const door of this.#doors.values()) await door.disconnect();
  }
}

function copied(one: SuppliedKey): HandedKey {
  using held = one;
  return { id: held.keyId, key: held.key.lend((bytes) => Buffer.from(bytes)) };
}
