// The oracle: it sees every use of key over all nodes, and holds it against the rules that never break.

import type { CounterName } from "../../src/core/counters.ts";
import type { KmId } from "../../src/core/ids.ts";
import { parseKeyId, STEP } from "../../src/keys/common/key-id.ts";
import type { BlockId, Range, Row } from "../../src/vault/vault.ts";
import { Accounts } from "./accounts.ts";
import { checkBalance } from "./balance.ts";
import { checkBounds } from "./bounds.ts";
import type { SimClock } from "./clock.ts";
import { Copies } from "./copies.ts";
import { Forward } from "./forward.ts";
import { GroupKeys } from "./group-keys.ts";
import { Ledger } from "./ledger.ts";
import type { NodeWatch } from "./life.ts";
import { Losses } from "./losses.ts";
import type { Steps } from "./machine.ts";
import { namedBy } from "./named.ts";
import type { SimNode } from "./node.ts";
import { Checks } from "./rules.ts";
import type { Trace } from "./trace.ts";
import type { Pad } from "./watched-vault.ts";

/** Two applications, and where each is at home. */
export interface Pair {
  readonly app: string;
  readonly at: SimNode;
  readonly to: string;
  readonly toAt: SimNode;
}

/** A key that left its source. */
export interface Issued {
  readonly id: string;
  /** Base64. Only tests hold keys so. */
  readonly key: string;
  readonly pair: Pair;
  readonly serial: number;
  readonly atMs: number;
  /** `doubtful`: a fetch of it may have been marked and was not answered. */
  state: "supplied" | "fetched" | "doubtful" | "undelivered";
}

/** How much earlier than told a key may be gone: ticks, and age that a restart of the source did not count. */
const SLACK_MS = 15_000;

export class Oracle implements NodeWatch {
  readonly checks = new Checks();
  readonly #ledger = new Ledger(this.checks);
  /** Of nodes' stores, which are put back. */
  readonly copies = new Copies(this.#ledger);
  /** Keys that several applications get. */
  readonly groups: GroupKeys;
  readonly #accounts = new Accounts(this.checks, (node, block) => this.#ledger.isPad(node, block));
  readonly #clock: SimClock;
  readonly #trace: Trace;
  readonly #losses: Losses;
  readonly #issued = new Map<string, Issued>();
  /** What nodes have counted as ended unused. */
  readonly #ends = new Map<SimNode, Map<CounterName, number>>();
  /** Who gave up a serial, by the row of the KMA-key at its destination; and the two ends as they were then. */
  readonly #abandoned = new Map<string, { readonly source: SimNode; readonly disks: string; readonly ms: number }>();
  readonly #timesGiven = new Map<string, number>();
  /** Until when a KM changes its own relays to another (simulated ms), by both their IDs. */
  readonly #liesUntil = new Map<string, number>();
  /** By counter and reason. */
  readonly counters = new Map<string, number>();
  readonly #forward = new Forward(this.checks);
  /** Nodes touched in this step. */
  readonly #touched = new Set<SimNode>();
  excused = 0;

  constructor(clock: SimClock, trace: Trace) {
    this.#clock = clock;
    this.#trace = trace;
    this.#losses = new Losses(clock);
    this.groups = new GroupKeys(
      this.checks,
      { ledger: this.#ledger, copies: this.copies, losses: this.#losses },
      clock,
    );
  }

  // What nodes do.

  emitted(node: SimNode, block: string, range: Range): void {
    this.#ledger.emitted(node, block, range);
    this.copies.emitted(node, block, range);
    this.checks.check("durable_first", isMarked(node, block as BlockId, range), () => {
      const { offset, length } = range;
      return `${node.id} hands out ${block} from ${offset} to ${offset + length}, which its disk does not say is used`;
    });
  }

  tagged(node: SimNode, block: string, which: "hop" | "end", context: Uint8Array): void {
    this.#ledger.tagged(node, block, which, context);
    this.copies.tagged(node, block, which);
  }

  padded(node: SimNode, _block: string, pads: readonly Pad[], context: Uint8Array | undefined): void {
    for (const { block, range } of pads) {
      this.#ledger.padded(node, block, range, context);
      if (context !== undefined) this.copies.padded(node, block, range);
    }
  }

  counted(node: SimNode, counter: CounterName, labels: Readonly<Record<string, string>>, amount: number): void {
    this.#touched.add(node);
    if (!node.isStrict((labels.peer ?? "") as KmId)) this.#accounts.counted(node, counter, labels, amount);
    if (counter === "blocks_ended" || counter === "kma_keys_ended") {
      const ends = this.#ends.get(node) ?? new Map<CounterName, number>();
      this.#ends.set(node, ends.set(counter, (ends.get(counter) ?? 0) + amount));
    }
    let name: string = counter;
    for (const part of [labels.role, labels.direction, labels.alarm ?? labels.reason ?? labels.fault]) {
      if (part !== undefined) name += ` ${part}`;
    }
    this.counters.set(name, (this.counters.get(name) ?? 0) + amount);
  }

  logged(node: SimNode, level: string, fields: Readonly<Record<string, unknown>>, sentence: string): void {
    this.#touched.add(node);
    this.#trace.remark(() => `${node.id} ${level}: ${sentence} ${shown(fields)}`);
    // Names begin anew with a disk that was emptied or restored: no other node is a restored copy.
    if (fields.alarm === "restored" && fields.peer !== undefined) this.#losses.destroyed(node, String(fields.peer));
    // What it told in changed relays may have named serials that it had not given yet: it costs what the two share.
    const isLiar = this.#liesUntil.has(`${String(fields.peer)} ${node.id}`);
    const isCopy = node.era > 0 || node.putBack > 0 || isLiar;
    const isDefect = level === "error" && (fields.alarm === undefined || (fields.alarm === "restored" && !isCopy));
    this.checks.check("sound", !isDefect, () => `${node.id}: ${sentence} ${shown(fields)}`);
  }

  /** A node has a connection with another. */
  connected(node: SimNode, peer: SimNode): void {
    this.#losses.connected(node, peer);
    for (const verdict of this.copies.connected(node, peer)) this.reached(`copy ${verdict}`);
  }

  /** Something that must happen sometimes did. */
  reached(name: string): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + 1);
  }

  disturbed(node: SimNode, isEnd: boolean): void {
    this.#accounts.disturbed(node, isEnd);
    if (!isEnd) this.#forward.rejected(node);
  }

  /** A source gives a serial up. */
  abandoned(at: SimNode, toAt: SimNode, serial: number): void {
    this.#abandoned.set(`${toAt.id} ${at.id}/${serial}`, {
      source: at,
      disks: disksOf({ at, toAt }),
      ms: this.#clock.nowMs,
    });
  }

  /** A KM changes its own relays to another for a while: of what it tells in them the other may hear something else. */
  lies(from: string, to: string, untilMs: number): void {
    this.#liesUntil.set(`${to} ${from}`, untilMs);
  }

  /** What its source gave up, and has told, is kept for no one. @throws Violation */
  #checkWanted(node: SimNode, rowId: string, serial: number): void {
    const { source, disks, ms = 0 } = this.#abandoned.get(`${node.id} ${rowId}`) ?? {};
    const untold = source?.parts?.peers.get(node.id)?.stock.givenUp;
    if ((this.#liesUntil.get(`${node.id} ${source?.id}`) ?? 0) > ms) return;
    if (source === undefined || untold === undefined || disks !== disksOf({ at: source, toAt: node })) return;
    this.checks.check("wanted", new Set(untold).has(serial), () => {
      return `${node.id} keeps serial ${serial}, which ${source.id} gave up and has told`;
    });
  }

  /** A serial gets a KMA-key: after a restore, or on an emptied disk, one that had another before. */
  #given(node: SimNode, { peer, serial }: Row): void {
    const row = rowOf(node, String(peer), Number(serial));
    this.#timesGiven.set(row, (this.#timesGiven.get(row) ?? 0) + 1);
  }

  /** What names a KMA-key in the whole run, whatever its serial named before. */
  #streamOf({ at, toAt }: Pair, serial: number): string {
    const row = rowOf(at, toAt.id, serial);
    return `${row}/${this.#timesGiven.get(row) ?? 0}`;
  }

  /** A commit reaches the disk of a node. */
  applied(node: SimNode, steps: Steps): void {
    this.#touched.add(node);
    this.#trace.remark(() => `${node.id} writes ${steps.map(stepText).join("; ")}`);
    this.#accounts.applied(node, steps);
    this.#losses.applied(steps);
    this.#forward.applied(node, steps, node.knowsCommit);
    for (const step of steps) {
      // Another KMA-key may get the serial, after a restore at its source, and with it the name of the block made of it here.
      if (step.op === "destroy" && step.block.startsWith("held:")) this.#ledger.forgetTag(node, step.block, "end");
      if (step.op !== "put") continue;
      // A serial that was never durable, and so never sent, is given again after a crash.
      if (step.table === "source") {
        this.#abandoned.delete(`${step.row.peer} ${node.id}/${step.row.serial}`);
        if (node.machine.row("source", step.id) === undefined) this.#given(node, step.row);
      }
      if (step.table === "held" && node.machine.row("held", step.id) === undefined) {
        this.#checkWanted(node, step.id, Number(step.row.serial));
      }
      const plain = harmOf(step.row);
      this.checks.check(
        "sealed",
        plain === undefined,
        () => `${node.id} writes ${step.table} ${step.id} with ${plain}`,
      );
    }
  }

  /** A key relay leaves a node: what it names must be used on the disk. */
  left(node: SimNode, frame: Buffer): void {
    for (const { block, isUsed } of namedBy(node, frame)) {
      this.checks.check(
        "durable_first",
        isUsed,
        () => `${node.id} names ${block}, which its disk does not say is used`,
      );
    }
  }

  // What applications do.

  /** A key that was granted at a time is given to its initiator; or named to it and never given. */
  supplied(
    pair: Pair,
    { id, key }: { readonly id: string; readonly key: string | undefined },
    grantedMs: number,
  ): void {
    if (pair.at.isStrict(pair.toAt.id)) {
      this.#suppliedWhole(pair, id, key);
      return;
    }
    const parts = parseKeyId(id);
    this.checks.check("sound", parts !== undefined, () => `${id} is no key ID`);
    if (parts === undefined) return;
    const { serial, offset, length } = parts;
    const bytes = Buffer.from(key ?? "", "base64");
    const range = { offset, length: Math.ceil(length / STEP) * STEP };
    const stream = this.#streamOf(pair, serial);
    const isAgain = this.#ledger.supplied(stream, range, id, bytes);
    const told = { peer: pair.toAt.id, serial, initiator: pair.app, target: pair.to };
    this.checks.check("audited", pair.at.audit.tells("keys_supplied", told, range), () => {
      return `${pair.at.id} supplies ${id} to ${pair.app}, which its audit log does not tell`;
    });
    const state = key === undefined ? "undelivered" : "supplied";
    const issued: Issued = { id, key: key ?? "", pair, serial, atMs: this.#clock.nowMs, state };
    this.#issued.set(id, issued);
    // Of two keys of the same bytes one can be fetched.
    const inDoubt = (): void => {
      if (issued.state === "supplied") issued.state = "doubtful";
    };
    this.copies.supplied(pair.at, { peer: pair.toAt, serial, stream, id }, range, inDoubt);
    if (isAgain) {
      this.reached("supplied again, which nobody could know");
      inDoubt();
    }
    if (key === undefined) return;
    const isThere = isHeld(pair, serial, offset, bytes);
    this.checks.check("synchronised", isThere || this.#losses.isUnknown(pair, grantedMs), () => {
      return `${pair.at.id} supplies ${id} (serial ${serial}, ${offset}) that ${pair.toAt.id} does not hold`;
    });
    if (isThere) return;
    issued.state = "doubtful";
    this.excused++;
  }

  /** A key that cannot be proved: the other end has said that it has it. */
  #suppliedWhole(pair: Pair, id: string, key: string | undefined): void {
    const { at, toAt } = pair;
    const isAgain = this.#ledger.isForgotten(id);
    this.checks.check("one_use", isAgain || !this.#issued.has(id), () => `${id} is supplied to ${pair.app} twice`);
    if (key !== undefined) this.#ledger.suppliedWhole(id, Buffer.from(key, "base64"));
    const state = key === undefined ? "undelivered" : isAgain ? "doubtful" : "supplied";
    const issued: Issued = { id, key: key ?? "", pair, serial: 0, atMs: this.#clock.nowMs, state };
    this.#issued.set(id, issued);
    // A strict peer sees nothing of what was supplied here.
    this.copies.unseen(at, () => {
      this.#ledger.forgetWhole(id);
      issued.state = "doubtful";
    });
    if (isAgain) this.reached("supplied again, which nobody could know");
    this.reached("keys of a strict peer");
    // What was fetched before the copy was put back is forgotten there in time.
    const isThere = isAgain || toAt.machine.namesWhole(id) || this.#losses.mayLack(pair, id);
    this.checks.check("synchronised", isThere, () => `${at.id} supplies ${id} that ${toAt.id} has never stored`);
  }

  /** `app` was given keys by their IDs, as keys that `from` was supplied. */
  fetched(node: SimNode, app: string, from: string, { id, key }: { readonly id: string; readonly key: string }): void {
    const issued = this.#issued.get(id);
    this.checks.check("identity", issued !== undefined, () => `${app} fetched ${id}, which nobody was supplied`);
    if (issued === undefined) return;
    const { pair } = issued;
    // Nobody but the home of its initiator knows for whom a strict peer's key was meant: one application may have it.
    const isWhole = node.isStrict(pair.at.id);
    const isParty = pair.to === app && (isWhole || pair.app === from) && pair.toAt === node;
    this.checks.check("identity", isParty, () => `${app} fetched ${id}, which ${pair.app} was given for ${pair.to}`);
    const isFirst = issued.state !== "fetched";
    this.checks.check("one_use", isFirst, () => `${app} fetched ${id} a second time`);
    const isSame = issued.state === "undelivered" || issued.key === key;
    this.checks.check("synchronised", isSame, () => `${app} fetched other bytes of ${id} than ${from} was supplied`);
    issued.state = "fetched";
    this.copies.unseen(node, () => {
      issued.state = "doubtful";
    });
    if (isWhole) return;
    const { offset = 0, length = 0 } = parseKeyId(id) ?? {};
    const told = { peer: pair.at.id, serial: issued.serial, initiator: from, target: app };
    const range = { offset, length: Math.ceil(length / STEP) * STEP };
    this.checks.check("audited", node.audit.tells("keys_fetched", told, range), () => {
      return `${app} fetches ${id} at ${node.id}, which its audit log does not tell`;
    });
  }

  /** The right application asked for keys and is told that there are none. */
  notFound(ids: readonly string[], code: string): void {
    const excuses = ids.map((id) => this.#excuse(id));
    const isExcused = excuses.some((excuse) => excuse !== undefined);
    this.checks.check("fetchable", isExcused, () => `${code} for ${ids}, which were supplied and not yet fetched`);
  }

  #excuse(id: string): string | undefined {
    const issued = this.#issued.get(id);
    if (issued === undefined) return "never supplied";
    if (issued.state !== "supplied") return issued.state;
    if (this.#losses.mayLack(issued.pair, id)) return "lost or expired at a strict peer";
    const { at, toAt } = issued.pair;
    const liedUntilMs = this.#liesUntil.get(`${toAt.id} ${at.id}`) ?? 0;
    if (liedUntilMs > issued.atMs) return "given up in a relay that its source's home changed";
    if (this.#losses.lostMs(issued.pair) >= issued.atMs) return "lost with its disk";
    const ageMs = this.#clock.nowMs - issued.atMs;
    return ageMs > toAt.settings.policy.fetchWindowMs - SLACK_MS ? "expired" : undefined;
  }

  /** A fetch of these ended with its process, and no answer: what the disk does not call fetched can be fetched still. */
  doubt(ids: readonly string[]): void {
    for (const id of ids) {
      const issued = this.#issued.get(id);
      if (issued?.state === "supplied" && !isFree(issued)) issued.state = "doubtful";
    }
  }

  // Steps.

  touch(node: SimNode): void {
    this.#touched.add(node);
  }

  /** Checks every node that something was done at. @throws Violation */
  afterStep(): void {
    for (const node of this.#touched) {
      this.#accounts.settle(node);
      checkBounds(this.checks, node);
    }
    this.#touched.clear();
  }

  /** When nothing is under way. @throws Violation */
  balance(nodes: readonly SimNode[]): void {
    for (const node of nodes) {
      this.#accounts.balance(node);
      this.#checkEnds(node);
      checkBalance(this.checks, node);
    }
  }

  #checkEnds(node: SimNode): void {
    for (const [counter, counted] of this.#ends.get(node) ?? []) {
      const noted = node.audit.ended.get(counter) ?? 0;
      this.checks.check("audited", noted >= counted, () => {
        return `${node.id} has counted ${counted} of ${counter}, and its audit log tells of ${noted}`;
      });
    }
  }

  /** How many keys are in each state. */
  get keys(): Readonly<Record<Issued["state"], number>> {
    const counts = { supplied: 0, fetched: 0, doubtful: 0, undelivered: 0 };
    for (const { state } of this.#issued.values()) counts[state]++;
    return counts;
  }
}

/** Two KMs with the disks that they have: an emptied one knows nothing of what was before. */
const disksOf = ({ at, toAt }: Pick<Pair, "at" | "toAt">): string => `${at.id}#${at.era}>${toAt.id}#${toAt.era}`;

/** A KMA-key at its source, by its row there; another may get its serial. */
const rowOf = ({ id }: SimNode, peer: string, serial: number): string => `${id}>${peer} ${serial}`;

/** Whether the other end's disk has these bytes of the KMA-key. */
function isHeld({ at, toAt }: Pair, serial: number, offset: number, bytes: Uint8Array): boolean {
  const row = toAt.machine.row("held", `${at.id}/${serial}`);
  const record = row && toAt.machine.record(row.block as BlockId);
  return record !== undefined && Buffer.compare(record.subarray(offset, offset + bytes.length), bytes) === 0;
}

/** Whether the disk says now that the range is used. */
function isMarked({ machine }: SimNode, block: BlockId, { offset, length }: Range): boolean {
  const source = machine.rowOf("source", block);
  if (source !== undefined) return Number(source.mark) >= offset + length;
  const held = machine.rowOf("held", block);
  const whole = machine.rowOf("whole", block);
  if (whole !== undefined) return isTaken(whole, { offset, length });
  if (held === undefined) return machine.row("block", block) === undefined;
  return isFetched(held, { offset, length });
}

/** Whether the disk says of a key that was supplied that nobody has fetched it. */
function isFree({ id, pair: { at, toAt }, serial }: Issued): boolean {
  const range = parseKeyId(id);
  const held = toAt.machine.row("held", `${at.id}/${serial}`);
  return range !== undefined && held !== undefined && !isFetched(held, range);
}

/** Whether the disk says so of all of the range. */
function isFetched({ fetched }: Row, { offset, length }: Range): boolean {
  if (!(fetched instanceof Uint8Array)) return false;
  for (let step = offset / STEP; step * STEP < offset + length; step++) {
    if (((fetched[step >> 3] ?? 0) & (1 << (step & 7))) === 0) return false;
  }
  return true;
}

/** Whether the key that lies there is taken, in a row of whole keys. */
function isTaken({ keys, taken }: Row, { offset, length }: Range): boolean {
  if (!(taken instanceof Uint8Array)) return false;
  let at = 0;
  for (const [index, [, bytes]] of (JSON.parse(String(keys)) as readonly (readonly [string, number])[]).entries()) {
    if (at === offset && bytes === length) return taken[index] === 1;
    at += bytes;
  }
  return false;
}

function stepText(step: Steps[number]): string {
  if (step.op === "put" || step.op === "remove") return `${step.op} ${step.table} ${step.id}`;
  return `${step.op} ${step.op === "keep" ? `${step.sealed.kind} ${step.sealed.block}` : step.block}`;
}

/** What of a row may be key. */
function harmOf(row: Row): string | undefined {
  for (const name in row) if (!isHarmless(name, row[name])) return `${name} ${row[name]}`;
  return undefined;
}

const LIKE_KEY = /[A-Za-z0-9+/]{40}/;
/** A text must be so long to be like key. */
const KEY_LENGTH = 40;

/** Numbers, short names, and the flags of what was fetched or taken. */
function isHarmless(name: string, value: unknown): boolean {
  if (value instanceof Uint8Array) return name === "fetched" || (name === "taken" && value.every((flag) => flag < 2));
  if (typeof value === "string") return value.length < KEY_LENGTH || !LIKE_KEY.test(value);
  return typeof value === "number" || typeof value === "boolean";
}

function shown(fields: Readonly<Record<string, unknown>>): string {
  const { err, ...rest } = fields;
  const thrown =
    err instanceof Error ? ` ${err.stack ?? err.message}${err.cause instanceof Error ? err.cause.stack : ""}` : "";
  return `${JSON.stringify(rest)}${thrown}`;
}
