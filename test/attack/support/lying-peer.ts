// A key manager that has a certificate and lies: it stands where a KM of the network stood, with that one's keys and addresses.

import type { NodeConfig } from "../../../src/config.ts";
import { systemClock, systemRandom } from "../../../src/control/system.ts";
import { Fault } from "../../../src/core/fault.ts";
import type { ExtensionEntry, PeerConnection, PeerEvents } from "../../../src/keys/ports/peers.ts";
import { type Kx, startKx } from "../../../src/kx/peers.ts";
import { readTls } from "../../../src/node/settings.ts";
import { recorder } from "../../support/recorder.ts";

const refuse = async (): Promise<never> => {
  throw new Fault("NOT_AUTHORIZED");
};

/** Runs until it is disposed, in this process. The KM whose configuration it has must not run. */
export function startLiar({ node, kx, peers }: NodeConfig, events: Partial<PeerEvents>): Promise<Kx> {
  const { log, meter } = recorder();
  const options = { km: node.id, listen: kx.listen, tls: readTls(kx.tls), peers, defaultKeyBits: 256, generation: 0 };
  const all: PeerEvents = {
    ...{ connected: () => {}, disconnected: () => {}, told: async () => {}, relayed: refuse },
    ...{ relayedUnprotected: refuse, sessionCreated: refuse, sessionNotified: refuse },
    ...events,
  };
  return startKx(options, { events: all, clock: systemClock, random: systemRandom, log, meter });
}

const part = (name: string, members: object): ExtensionEntry => ({ name: "qkm_state", part: name, ...members });

/** A whole state, with these entries before what it must have. */
export function stateOf(entries: readonly ExtensionEntry[], accepted = 0): readonly ExtensionEntry[] {
  return [
    part("begin", {}),
    ...entries,
    part("given", { given: 0, proved: 0, given_up: "" }),
    part("accepted", { accepted }),
    part("end", {}),
  ];
}

/** A link as configured in the reference networks; `more` says how far it has come. */
export const linkEntry = (link: string, more: object = {}): ExtensionEntry =>
  part("link", { link, share: "1:1", block_bytes: 32_768, ...more });

export const holdsEntry = (link: string, run: number, blocks: string): ExtensionEntry =>
  part("holds", { link, run, blocks });

/** Tells, whatever becomes of it. */
export const tells = (connection: PeerConnection, entries: readonly ExtensionEntry[]): void =>
  void connection.tell(entries, 10_000).catch(() => {});
