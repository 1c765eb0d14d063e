// The least that a configuration must say, for tests of one part of it.

import { ConfigError, parseConfig } from "../../src/config/read.ts";

export const FILE = "/etc/qkm/node.toml";

const door = (name: string, port: number, more = ""): string =>
  `[${name}]\nlisten = "127.0.0.1:${port}"\ncertificate = "a"\nkey = "b"\ntrust = "c"\n${more}\n`;

/** km-a, with this behind its tables, and perhaps more in `[etsi014]`. */
export const nodeToml = (rest: string, etsi014 = ""): string => `[node]
id = "km-a"
[token]
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "qkm km-a"
${door("ak", 7001)}${door("etsi014", 7002, etsi014)}${door("kx", 7003)}
[metrics]
listen = "127.0.0.1:7004"
${rest}
`;

/** What is wrong with a configuration, as `key: sentence`. */
export function complaintsOf(text: string): string[] {
  return complained(text).map(({ key, sentence }) => `${key}: ${sentence}`);
}

/** Where something is wrong. */
export const keysOf = (text: string): string[] => complained(text).map(({ key }) => key);

function complained(text: string): ConfigError["complaints"] {
  try {
    parseConfig(text, FILE);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    return thrown.complaints;
  }
}
