// A peer that has a certificate and tells what it likes: its end of a Kx connection, by hand.

import type { Fault } from "../../../src/core/fault.ts";
import type { KmId } from "../../../src/core/ids.ts";
import type { ExtensionEntry, PeerConnection } from "../../../src/keys/ports/peers.ts";
import type { TestNode } from "./node.ts";

const never = (): Promise<never> => new Promise(() => {});

export class Liar implements PeerConnection {
  readonly id: KmId;
  readonly #victim: TestNode;
  /** Why the victim ended the connection, if it did. */
  closedBecause: string | undefined;
  readonly relay = never;
  readonly relayUnprotected = never;
  readonly createSession = never;
  readonly notifySession = never;

  /** Connected with `victim` under the name of `id`. */
  constructor(victim: TestNode, id: KmId) {
    this.id = id;
    this.#victim = victim;
    victim.km.peerEvents.connected(this);
  }

  async tell(): Promise<void> {}

  close(reason: string): void {
    this.closedBecause = reason;
    this.#victim.km.peerEvents.disconnected(this);
  }

  /** What the victim answers: `success`, or the code of its refusal. */
  async tells(entries: readonly ExtensionEntry[]): Promise<string> {
    return this.#victim.km.peerEvents.told(this, entries).then(
      () => "success",
      (fault: Fault) => fault.code,
    );
  }

  /** A whole state, of which `more` differs from that of a KM that has nothing. */
  state(more: {
    readonly given?: object;
    readonly accepted?: number;
    readonly links?: readonly object[];
  }): Promise<string> {
    const { given = {}, accepted = 0, links = [] } = more;
    return this.tells([
      part("begin", {}),
      ...links.map((link) => part("link", link)),
      part("given", { given: 0, proved: 0, given_up: "", ...given }),
      part("accepted", { accepted }),
      part("end", {}),
    ]);
  }
}

const part = (name: string, members: object): ExtensionEntry => ({ name: "qkm_state", part: name, ...members });
