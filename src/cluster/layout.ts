// Where everything of one KM lies in etcd:
//
//     /qkm/<km>/owner                              who is active: the member, for as long as its lease lives
//     /qkm/<km>/write                              put by every transaction of an owner: its generation
//     /qkm/<km>/row/<table>/<id>                   a row
//     /qkm/<km>/record/<kind>/<epoch>/<bytes>/<block>   a sealed record
//     /qkm-member/<km>/<member>                    what a member says of itself

import { type Head, KINDS, sealedRecord } from "../vault/store/sealed.ts";
import { checkName, type StoreOp } from "../vault/store/store.ts";
import type { BlockId } from "../vault/vault.ts";
import type { EtcdOp } from "./etcd.ts";

/** The names of one KM's keys in etcd. */
export interface Layout {
  /** Everything that a standby follows begins so. */
  readonly prefix: string;
  readonly owner: string;
  readonly write: string;
  readonly rows: string;
  readonly records: string;
  readonly members: string;
}

/** The names of this KM's keys in etcd. */
export function layoutOf(km: string): Layout {
  const prefix = `/qkm/${km}/`;
  return {
    prefix,
    owner: `${prefix}owner`,
    write: `${prefix}write`,
    rows: `${prefix}row/`,
    records: `${prefix}record/`,
    members: `/qkm-member/${km}/`,
  };
}

/** A step of a change as it goes to etcd. @throws RangeError for a name that no store can file */
export function etcdOpOf({ rows, records }: Layout, op: StoreOp): EtcdOp {
  const recordKey = ({ kind, epoch, bytes, block }: Head) => `${records}${kind}/${epoch}/${bytes}/${block}`;
  switch (op.op) {
    case "put":
      checkName(op.table, op.id);
      return { op: "put", key: `${rows}${op.table}/${op.id}`, value: op.value };
    case "remove":
      checkName(op.table, op.id);
      return { op: "delete", key: `${rows}${op.table}/${op.id}` };
    case "keep":
      checkName(op.record.kind, op.record.block);
      return { op: "put", key: recordKey(op.record), value: op.record.record };
    case "drop":
      return { op: "delete", key: recordKey(op.head) };
  }
}

const ROW = /^([^/]*)\/(.*)$/s;
const RECORD = /^([^/]*)\/(\d+)\/(\d+)\/(.*)$/s;

/** The step that makes a local copy have what etcd has under a key; undefined when the key is none of the store's. */
export function storeOpOf({ rows, records }: Layout, key: string, value: Uint8Array | undefined): StoreOp | undefined {
  if (key.startsWith(rows)) {
    const [, table, id] = ROW.exec(key.slice(rows.length)) ?? [];
    if (table === undefined || id === undefined) return undefined;
    return value === undefined ? { op: "remove", table, id } : { op: "put", table, id, value };
  }
  const [, name, epoch, bytes, block] = (key.startsWith(records) && RECORD.exec(key.slice(records.length))) || [];
  const kind = KINDS.find((one) => one === name);
  if (kind === undefined || block === undefined) return undefined;
  const head: Head = { kind, epoch: Number(epoch), bytes: Number(bytes), block: block as BlockId };
  return value === undefined ? { op: "drop", head } : { op: "keep", record: sealedRecord(head, value) };
}

/** One step per key, the last: etcd takes no key twice in a transaction. */
export function lastOfEach(ops: readonly EtcdOp[]): EtcdOp[] {
  const last = new Map<string, EtcdOp>();
  for (const op of ops) last.set(op.op === "delete-all" ? op.prefix : op.key, op);
  return [...last.values()];
}
