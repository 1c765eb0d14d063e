// What a person is told when a KM cannot start: which key of node.toml, which file, and what to do about it.

import type { Endpoint, NodeConfig } from "../config.ts";

type Doors = Partial<Record<keyof NodeConfig, unknown>>;

/** What Node says of an address or a file that cannot be used. */
interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

const isSystemError = (thrown: unknown): thrown is SystemError =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string";

/** The sentence for what a start failed with; undefined when its own message is all there is to say. */
export function startFailure(thrown: unknown, config: Pick<NodeConfig, "file"> & Doors): string | undefined {
  if (!isSystemError(thrown)) return undefined;
  return thrown.syscall === "listen" ? listenFailure(thrown, config) : fileFailure(thrown);
}

function listenFailure({ code, address, port }: SystemError, config: Pick<NodeConfig, "file"> & Doors) {
  const remedy = LISTEN_REMEDIES[code];
  if (remedy === undefined || port === undefined) return undefined;
  const key = keyOf(config, address, port);
  return `${address}:${port} ${remedy}${key === undefined ? "" : ` ([${key}] listen in ${config.file})`}`;
}

const LISTEN_REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use: stop what listens there (ss -ltnp tells what it is), or give another port",
  EADDRNOTAVAIL: "is no address of this machine: give one that ip address shows",
  EACCES: "may not be listened on by this user: give a port from 1024 on, or the right CAP_NET_BIND_SERVICE",
};

/** The table of node.toml whose `listen` it is: by host and port, or by the port alone where the host is a name. */
function keyOf(config: Doors, host: string | undefined, port: number): string | undefined {
  const listening = Object.entries(config).flatMap(([table, door]) => {
    const listen = isDoor(door) ? door.listen : undefined;
    return listen?.port === port ? [{ table, host: listen.host }] : [];
  });
  return (listening.find((one) => one.host === host) ?? listening[0])?.table;
}

const isDoor = (door: unknown): door is { readonly listen: Endpoint } =>
  typeof door === "object" && door !== null && "listen" in door;

const FILE_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: "may not be used by this user: give it to whom this program runs as (chown, chmod), with the folders above",
  EPERM: "may not be changed by this user: look at its owner and attributes (ls -l, lsattr)",
  ENOENT: "is not there: make it, or correct the path",
  ENOTDIR: "has a file where a folder should be: correct the path, or move that file away",
  EISDIR: "is a folder: name a file",
  EEXIST: "is there already: move it away",
  ENOSPC: "cannot be written, since its disk is full: make room (df -h shows where)",
  EDQUOT: "cannot be written, since the quota of this user is used up: make room",
  EROFS: "cannot be written, since its file system is read-only: mount it for writing, or give another path",
  EMFILE: "cannot be opened, since this program has too many files open: raise its limit (ulimit -n)",
  ENFILE: "cannot be opened, since the machine has too many files open: raise fs.file-max",
  EIO: "cannot be read or written, since its disk fails: see dmesg, and replace the disk",
  ELOOP: "is a symbolic link in a circle: correct the link",
  ENAMETOOLONG: "has too long a name: give a shorter one",
};

/** What to do about a file that cannot be used; undefined when it is not about one. */
export function fileFailure(thrown: unknown): string | undefined {
  if (!isSystemError(thrown) || thrown.path === undefined) return undefined;
  const remedy = FILE_REMEDIES[thrown.code];
  return remedy && `${thrown.path} ${remedy} (${thrown.code}).`;
}
