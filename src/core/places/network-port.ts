// A module's line that another machine has and passes on: `tcp:HOST:PORT`, as ser2net gives serial ports.

/** A serial line that another machine passes on over TCP. */
export interface NetworkPort {
  readonly host: string;
  readonly port: number;
}

/** How such a port is written, for complaints. */
export const NETWORK_PORT_FORM = "tcp:HOST:PORT, for example tcp:192.0.2.9:2000 or tcp:[2001:db8::9]:2000";

/** Whether a port is one of these rather than a path. */
export const isNetworkPort = (port: string): boolean => port.startsWith("tcp:");

/** `undefined` when it is not written so. */
export function parseNetworkPort(port: string): NetworkPort | undefined {
  const [, six, name, number] = /^tcp:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(port) ?? [];
  const host = six ?? name;
  const value = Number(number);
  return host === undefined || value < 1 || value > 65_535 ? undefined : { host, port: value };
}
