// Everything that goes wrong in a simulated network: one table, and who strikes when.

import { changedSettings, SHARES, setRoutes, withShare } from "./changes.ts";
import { tellLies, wrapReplay } from "./liar.ts";
import type { SimNode } from "./node.ts";
import type { World } from "./world.ts";

interface FaultRow {
  /** Mean time between two of them, per node, in ms. */
  readonly everyMs: number;
  /** Does it; what was done, for the trace, or undefined when it cannot be done now. */
  strike(world: World): string | undefined;
}

const S = 1000;
const MIN = 60 * S;
const HOUR = 60 * MIN;

const fault = (everyMs: number, strike: FaultRow["strike"]): FaultRow => ({ everyMs, strike });

/** A fault of one running node. */
const ofNode = (everyMs: number, strike: (node: SimNode, world: World) => string | undefined): FaultRow =>
  fault(everyMs, (world) => {
    const node = world.dice.pick(world.nodeList);
    if (!node.isUp || node.isPaused) return undefined;
    const done = strike(node, world);
    return done && `${node.id}: ${done}`;
  });

const ofWire = (everyMs: number, strike: (world: World, index: number) => string): FaultRow =>
  fault(everyMs, (world) => {
    if (world.wires.length === 0) return undefined;
    const index = world.dice.between(0, world.wires.length - 1);
    const ends = world.wires[index]?.ends.map(({ id }) => id).join("-");
    return `${ends}: ${strike(world, index)}`;
  });

const ofModules = (everyMs: number, trouble: Parameters<World["trouble"]>[0]): FaultRow =>
  fault(everyMs, (world) => world.trouble(trouble));

function bootLater(node: SimNode, world: World, meanMs: number): string {
  const waitMs = world.dice.wait(meanMs);
  world.clock.after(waitMs, node.id, "is started again", () => node.boot());
  return `back in ${Math.round(waitMs)} ms`;
}

/** Only while the copy is of the present start and epoch: an older one the token's counter tells. */
function putBack(node: SimNode, world: World, copy: ReturnType<SimNode["backup"]>): void {
  const { copies } = world.oracle;
  if (copy.generation < node.generation || node.former !== undefined || node.isPaused || world.isCalm) {
    copies.dropped(node);
    return;
  }
  node.crash(true);
  node.putBackCopy(copy);
  copies.putBack(node);
  world.oracle.reached("copy put back");
  world.trace.note(`the copy of ${node.id} is put back, ${bootLater(node, world, 10 * S)}`);
}

export const FAULT_TABLE = {
  crash: ofNode(8 * MIN, (node, world) => {
    node.crash(true);
    return bootLater(node, world, 5 * S);
  }),
  crash_in_commit: ofNode(4 * MIN, (node, world) => {
    const nth = world.dice.between(0, 12);
    const kept = world.dice.once(2);
    node.fates.push(...Array.from({ length: nth }, () => "durable" as const), kept ? "crash, kept" : "crash, lost");
    world.bootWhenDown(node);
    return `ends in commit ${nth + 1} from now, which is ${kept ? "kept" : "lost"}`;
  }),
  power_loss: ofNode(20 * MIN, (node, world) => {
    node.crash(false);
    return bootLater(node, world, 20 * S);
  }),
  orderly_restart: ofNode(12 * MIN, (node, world) => {
    void node.stop();
    return bootLater(node, world, 2 * S);
  }),
  off_for_long: ofNode(3 * HOUR, (node, world) => {
    node.crash(world.dice.once(2));
    return bootLater(node, world, 30 * MIN);
  }),
  commit_rejected: ofNode(8 * MIN, (node, world) => {
    const fate = world.dice.once(2) ? "rejected, lost" : "rejected, kept";
    node.fates.push(fate);
    return fate;
  }),
  removal_rejected: ofNode(15 * MIN, (node) => {
    node.rejectsRemoval = true;
    return "the next commit that removes something is rejected";
  }),
  disk_full: ofNode(20 * MIN, (node, world) => {
    const ms = world.dice.wait(10 * S);
    node.fullUntilMs = world.clock.nowMs + ms;
    return `no room for ${Math.round(ms)} ms`;
  }),
  disk_slow: ofNode(10 * MIN, (node, world) => {
    node.diskMs = world.dice.wait(200);
    world.later(world.dice.wait(20 * S), () => (node.diskMs = 1), `${node.id}'s disk is quick again`);
    return `${Math.round(node.diskMs)} ms for a commit`;
  }),
  token_gone: ofNode(15 * MIN, (node, world) => {
    const ms = world.dice.wait(15 * S);
    node.loseToken(ms);
    return `for ${Math.round(ms)} ms`;
  }),
  token_slow: ofNode(10 * MIN, (node, world) => {
    node.tokenMs = world.dice.wait(300);
    world.later(world.dice.wait(20 * S), () => (node.tokenMs = 2), `${node.id}'s token is quick again`);
    return `up to ${Math.round(node.tokenMs)} ms for a call`;
  }),
  wall_jump: ofNode(30 * MIN, (node, world) => {
    const ms = Math.round((world.dice.fraction() - 0.5) * 2 * HOUR);
    node.jumpWall(node.wallAheadMs + ms);
    world.later(world.dice.wait(5 * MIN), () => node.jumpWall(0), `${node.id}'s wall clock is right again`);
    return `${ms} ms`;
  }),
  paused: ofNode(15 * MIN, (node, world) => {
    const ms = world.dice.wait(world.dice.once(3) ? 60 * S : 6 * S);
    node.pause(ms);
    return `stands still for ${Math.round(ms)} ms`;
  }),
  audit_failing: ofNode(20 * MIN, (node, world) => {
    node.audit.fail(true);
    const ms = world.dice.wait(10 * S);
    world.later(ms, () => node.audit.fail(false), `${node.id}'s audit log can be written again`);
    return `for ${Math.round(ms)} ms`;
  }),
  link_out_of_use: ofNode(15 * MIN, (node, world) => {
    const { km, parts } = node;
    const links = [...(parts?.links.keys() ?? [])];
    if (km === undefined || links.length === 0) return undefined;
    const link = world.dice.pick(links);
    const ms = world.dice.wait(60 * S);
    km.useLink(link, false);
    world.later(ms, () => void (node.km === km && km.useLink(link, true)), `${link} may be used again`);
    return `${link} for ${Math.round(ms)} ms`;
  }),
  controller_routes: ofNode(5 * MIN, (node, world) => setRoutes(node, world.dice)),
  new_configuration: ofNode(20 * MIN, (node, world) => {
    node.reconfigure(changedSettings(node.settings, world.dice));
    void node.stop();
    return bootLater(node, world, 2 * S);
  }),
  reload: ofNode(15 * MIN, (node, world) => {
    void node.reload(changedSettings(node.settings, world.dice));
    return "takes other limits while it runs";
  }),
  reload_share: fault(60 * MIN, (world) => {
    if (world.modules.length === 0) return undefined;
    const { link } = world.dice.pick(world.modules);
    const share = world.dice.pick(SHARES);
    const ends = world.nodeList.filter(({ modules }) => modules.has(link));
    if (ends.some(({ isUp, isPaused }) => !isUp || isPaused)) return undefined;
    for (const node of ends) void node.reload(withShare(node.settings, link, share));
    return `${link} ${share.join(":")} while its ends run`;
  }),
  new_share: fault(60 * MIN, (world) => {
    if (world.modules.length === 0) return undefined;
    const { link } = world.dice.pick(world.modules);
    const share = world.dice.pick(SHARES);
    const ends = world.nodeList.filter(({ modules }) => modules.has(link));
    if (ends.some(({ isUp, isPaused }) => !isUp || isPaused)) return undefined;
    const told = ends.map((node) => {
      node.reconfigure(withShare(node.settings, link, share));
      void node.stop();
      return bootLater(node, world, 2 * S);
    });
    return `${link} ${share.join(":")}: ${told.join(", ")}`;
  }),
  zeroise: ofNode(4 * HOUR, (node, world) => {
    void node.zeroise();
    return bootLater(node, world, 10 * S);
  }),
  old_backup: ofNode(3 * HOUR, (node, world) => {
    const backup = world.oldBackup(node);
    if (backup === undefined) return undefined;
    node.crash(true);
    node.restore(backup);
    return bootLater(node, world, 10 * S);
  }),
  copy_of_start: ofNode(HOUR, (node, world) => {
    if (node.former !== undefined || world.oracle.copies.isKept(node)) return undefined;
    const copy = node.backup();
    const ms = world.dice.wait(MIN);
    world.oracle.copies.kept(node);
    world.later(ms, () => putBack(node, world, copy), `${node.id}'s copy may be put back`);
    return `a copy is made, and put back in ${Math.round(ms)} ms`;
  }),
  cut: ofWire(6 * MIN, (world, index) => {
    world.wires[index]?.cut("the connection was reset");
    return "reset";
  }),
  bit_flip_under_tls: ofWire(20 * MIN, (world, index) => {
    world.wires[index]?.cut("bad record MAC");
    return "TLS ends the connection";
  }),
  partition: ofWire(10 * MIN, (world, index) => {
    const ms = world.dice.wait(world.dice.once(2) ? 3 * S : 40 * S);
    const wire = world.wires[index];
    if (wire !== undefined) wire.blockedUntilMs = world.clock.nowMs + ms;
    return `nothing passes for ${Math.round(ms)} ms`;
  }),
  one_way: ofWire(15 * MIN, (world, index) => {
    const wire = world.wires[index];
    if (wire === undefined) return "none";
    const ms = world.dice.wait(20 * S);
    const { id } = world.dice.pick(wire.ends);
    wire.mutedUntilMs.set(id, world.clock.nowMs + ms);
    return `nothing that ${id} sends arrives for ${Math.round(ms)} ms`;
  }),
  slow_wire: ofWire(10 * MIN, (world, index) => {
    const wire = world.wires[index];
    if (wire === undefined) return "none";
    wire.latencyMs = world.dice.wait(500);
    wire.slowMs = world.dice.wait(100);
    world.later(
      world.dice.wait(30 * S),
      () => Object.assign(wire, { latencyMs: 2, slowMs: 0 }),
      "a wire is quick again",
    );
    return `${Math.round(wire.latencyMs)} ms`;
  }),
  wire_beyond_timeout: ofWire(30 * MIN, (world, index) => {
    const wire = world.wires[index];
    if (wire === undefined) return "none";
    wire.latencyMs = 1500 + world.dice.wait(2000);
    world.later(world.dice.wait(60 * S), () => Object.assign(wire, { latencyMs: 2 }), "a wire is quick again");
    return `${Math.round(wire.latencyMs)} ms`;
  }),
  lie: ofWire(15 * MIN, (world, index) => {
    const wire = world.wires[index];
    const end = wire && world.dice.pick(wire.ends).id;
    const other = wire?.ends.find(({ id }) => id !== end)?.id;
    if (wire === undefined || end === undefined || other === undefined) return "none";
    // Between peers of different makes nothing tells a lie from the truth.
    if (wire.ends.some(({ id }) => world.isForeign(id))) return "none";
    wire.lies.set(end, tellLies(world.dice.branch(`lie ${world.clock.nowMs}`)));
    const ms = world.dice.wait(20 * S);
    world.oracle.lies(end, other, world.clock.nowMs + ms);
    world.later(ms, () => void wire.lies.delete(end), `${end} lies no more`);
    return `${end} changes what it relays`;
  }),
  replay: ofWire(5 * MIN, (world, index) => {
    const wire = world.wires[index];
    const end = wire && world.dice.pick(wire.ends).id;
    const frame = end && wrapReplay(world.oldFrame(end), world.dice);
    if (wire === undefined || end === undefined || frame === undefined) return "nothing to repeat yet";
    return wire.inject(end, frame) ? `${end} repeats an old relay` : "not connected";
  }),
  block_lost: ofModules(2 * MIN, "lost"),
  block_differs: ofModules(4 * MIN, "differs"),
  block_repeated: ofModules(5 * MIN, "repeated"),
  block_of_wrong_size: ofModules(10 * MIN, "wrong size"),
  block_with_old_number: ofModules(10 * MIN, "old number"),
  module_restart: ofModules(20 * MIN, "restart"),
  module_stall: fault(15 * MIN, (world) => world.stall()),
} as const satisfies Record<string, FaultRow>;

export type FaultName = keyof typeof FAULT_TABLE;
