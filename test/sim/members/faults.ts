// What goes wrong with members of one KM and with their etcd: one table.

import type { MembersWorld } from "./world.ts";

const S = 1_000;

/** One kind, and how often it strikes. */
export interface Fault {
  /** Mean time between two of them. */
  readonly everyMs: number;
  /** What was done; undefined when it cannot be done now. */
  strike(world: MembersWorld): string | undefined;
}

/** Every kind of fault, by its name. */
export const FAULTS = {
  member_killed: {
    everyMs: 25 * S,
    strike: ({ dice, clock, members }) => {
      const member = dice.pick(members);
      member.crash();
      clock.after(dice.wait(4 * S), "fault", "boots", () => member.boot());
      return member.id;
    },
  },
  member_paused: {
    everyMs: 20 * S,
    strike: ({ dice, members }) => {
      const member = dice.pick(members);
      const ms = dice.wait(6 * S);
      member.pause(ms);
      return `${member.id} for ${Math.round(ms)} ms`;
    },
  },
  member_cut_off_from_etcd: {
    everyMs: 30 * S,
    strike: ({ dice, clock, members, etcd }) => {
      const member = dice.pick(members);
      const ways = etcd.voters.map(({ name }) => `${member.id} ${name}`);
      const cut = dice.once(2) ? ways : [dice.pick(ways)];
      for (const way of cut) etcd.cuts.add(way);
      clock.after(dice.wait(8 * S), "fault", "ways are mended", () => {
        for (const way of cut) etcd.cuts.delete(way);
      });
      return cut.join(", ");
    },
  },
  member_hidden_from_applications: {
    everyMs: 60 * S,
    strike: ({ dice, clock, members }) => {
      const member = dice.pick(members);
      member.isHidden = true;
      clock.after(dice.wait(10 * S), "fault", "is found again", () => {
        member.isHidden = false;
      });
      return member.id;
    },
  },
  handed_over: {
    everyMs: 60 * S,
    strike: ({ members }) => {
      const active = members.find(({ report }) => report?.state === "active");
      active?.handOver();
      return active?.id;
    },
  },
  disk_refuses: {
    everyMs: 30 * S,
    strike: ({ dice, members }) => {
      const member = dice.pick(members);
      member.disk.reject(dice.once(2) ? "lost" : "kept");
      return member.id;
    },
  },
  voter_killed: {
    everyMs: 20 * S,
    strike: ({ dice, clock, etcd }) => {
      const voter = dice.pick(etcd.voters);
      etcd.part(voter, { isUp: false });
      if (dice.once(3)) etcd.electingUntilMs = clock.nowMs + dice.wait(1_500);
      clock.after(dice.wait(3 * S), "fault", `${voter.name} is started`, () => etcd.part(voter, { isUp: true }));
      return voter.name;
    },
  },
  voter_alone: {
    everyMs: 30 * S,
    strike: ({ dice, clock, etcd }) => {
      const voter = dice.pick(etcd.voters);
      etcd.part(voter, { isAlone: true });
      clock.after(dice.wait(8 * S), "fault", `${voter.name} is back`, () => etcd.part(voter, { isAlone: false }));
      return voter.name;
    },
  },
  quorum_lost: {
    everyMs: 40 * S,
    strike: ({ dice, clock, etcd }) => {
      const ms = dice.wait(5 * S);
      for (const voter of etcd.voters.slice(1)) etcd.part(voter, { isAlone: true });
      clock.after(ms, "fault", "has a quorum again", () => {
        for (const voter of etcd.voters) etcd.part(voter, { isAlone: false });
      });
      return `for ${Math.round(ms)} ms`;
    },
  },
  etcd_slow: {
    everyMs: 40 * S,
    strike: ({ dice, clock, etcd }) => {
      etcd.slowMs = dice.wait(500);
      clock.after(dice.wait(10 * S), "fault", "is quick again", () => {
        etcd.slowMs = 0;
      });
      return `${Math.round(etcd.slowMs)} ms`;
    },
  },
  watches_silent: {
    everyMs: 40 * S,
    strike: ({ dice, clock, etcd }) => {
      const voter = dice.pick(etcd.voters);
      voter.isMute = true;
      clock.after(dice.wait(20 * S), "fault", `${voter.name} tells again`, () => {
        voter.isMute = false;
      });
      return voter.name;
    },
  },
  compacted: {
    everyMs: 20 * S,
    strike: ({ etcd }) => {
      const { revision } = etcd.history.standing;
      etcd.history.compact(revision);
      return `${revision}`;
    },
  },
  restored: {
    everyMs: 300 * S,
    strike: (world) => {
      const { etcd, dice } = world;
      const snapshot = world.oldSnapshot();
      if (snapshot === undefined || !etcd.hasQuorum) return undefined;
      etcd.restore(snapshot, dice.once(2) ? snapshot.cluster : `${etcd.restores + 2}`);
      return `to revision ${snapshot.standing.revision}`;
    },
  },
} as const satisfies Readonly<Record<string, Fault>>;
