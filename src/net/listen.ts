// Listens for authenticated connections and gives each as a Channel.

import type { Channel } from "./channel.ts";
import { type ListenOptions, type NetPorts, TIMING } from "./options.ts";
import { TlsChannel } from "./tls-channel.ts";
import { type Listener, listenTls } from "./tls-listener.ts";

export interface ChannelPorts extends NetPorts {
  /** A connection is open and admitted; call its `start` before this returns. */
  opened(channel: Channel): void;
}

/** @throws Error when the address cannot be listened on or the certificates cannot be used */
export function listen(options: ListenOptions, ports: ChannelPorts): Promise<Listener> {
  const { writeMs } = { ...TIMING, ...options.timing };
  return listenTls(options, ports, (socket, peer) => ports.opened(new TlsChannel(socket, peer, writeMs)));
}
