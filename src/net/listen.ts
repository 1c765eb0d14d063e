// Listens for authenticated connections and gives each as a Channel.

import type { Fault } from "../core/fault.ts";
import type { PausableChannel } from "./channel.ts";
import { type ListenOptions, type NetPorts, TIMING } from "./tls/options.ts";
import { TlsChannel } from "./tls-channel.ts";
import { type Listener, listenTls } from "./tls-listener.ts";

/** Who is given the channels that a listener admits. */
export interface ChannelPorts extends Omit<NetPorts, "turnAway"> {
  /** A connection is open and admitted; call its `start` before this returns. */
  opened(channel: PausableChannel): void;
  /** One that is refused in the door's words, as `NetPorts.turnAway`; the same. */
  turnAway?(channel: PausableChannel, fault: Fault): void;
}

/** @throws Error when the address cannot be listened on or the certificates cannot be used */
export function listen(options: ListenOptions, ports: ChannelPorts): Promise<Listener> {
  const { writeMs } = { ...TIMING, ...options.timing };
  const { turnAway, ...rest } = ports;
  const stranger = { certificate: "", group: options.groups[0], serverName: "" };
  const netPorts: NetPorts =
    turnAway === undefined
      ? rest
      : {
          ...rest,
          turnAway: (socket, id, fault) => turnAway(new TlsChannel(socket, { id, ...stranger }, writeMs), fault),
        };
  return listenTls(options, netPorts, (socket, peer) => ports.opened(new TlsChannel(socket, peer, writeMs)));
}
