// Where a vendor's box listens: `https://HOST:PORT` for ETSI 014, `tls://HOST:PORT` for ETSI 004.

/** Where a vendor's box listens, and in which standard it is asked. */
export interface BoxPort {
  readonly driver: "etsi014" | "etsi004";
  readonly host: string;
  readonly port: number;
}

const DRIVERS = { https: "etsi014", tls: "etsi004" } as const;

/** How the port of each driver is written, for complaints. */
export const BOX_PORT_FORMS: Readonly<Record<BoxPort["driver"], string>> = {
  etsi014: "https://HOST:PORT, for example https://192.0.2.9:443 or https://[2001:db8::9]:443",
  etsi004: "tls://HOST:PORT, for example tls://192.0.2.9:25575",
};

/** Whether a driver takes key from a box. */
export const isBoxDriver = (driver: string): driver is BoxPort["driver"] => Object.hasOwn(BOX_PORT_FORMS, driver);

/** Whether a port is one of these rather than a path. */
export const isBoxPort = (port: string): boolean => /^(?:https|tls):\/\//.test(port);

/** `undefined` when it is not written so. */
export function parseBoxPort(port: string): BoxPort | undefined {
  const found = /^(https|tls):\/\/(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})\/?$/.exec(port);
  const [, scheme, six, name, number] = found ?? [];
  const host = six ?? name;
  const value = Number(number);
  if (host === undefined || value < 1 || value > 65_535) return undefined;
  return { driver: DRIVERS[scheme === "https" ? "https" : "tls"], host, port: value };
}
