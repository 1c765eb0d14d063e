// Where a vendor's box listens, as a URL: `https://HOST:PORT` for ETSI 014, `tls://HOST:PORT` for ETSI 004.

/** Where a vendor's box listens. */
export interface BoxPlace {
  readonly host: string;
  readonly port: number;
}

/** Whether a port is a URL rather than a path. */
export const isUrlPort = (port: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//.test(port);

/** `undefined` when it is not `SCHEME://HOST:PORT`. */
export function boxPlace(port: string, scheme: string): BoxPlace | undefined {
  const found = /^([a-z]+):\/\/(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})\/?$/.exec(port);
  const [, written, six, name, number] = found ?? [];
  const host = six ?? name;
  const value = Number(number);
  if (written !== scheme || host === undefined || value < 1 || value > 65_535) return undefined;
  return { host, port: value };
}
