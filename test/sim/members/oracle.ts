// What must hold of the members of one KM, whatever happens to them and to etcd.

import { Checks } from "../rules.ts";

/** Sees each byte that any member hands out, and each write that was acknowledged. */
export class MemberOracle {
  readonly checks = new Checks();
  /** Bytes that were handed out, by whom. */
  readonly #carved = new Map<string, string>();
  readonly #written = new Map<number, Set<string>>();
  /** The highest mark of each stock that etcd has ever had. */
  readonly #marks = new Map<number, number>();
  #eras = 0;

  /** Bytes handed out so far, by all members together. */
  get carved(): number {
    return this.#carved.size;
  }

  /** A stock that has nothing of those before. */
  newEra(): number {
    this.#eras += 1;
    return this.#eras;
  }

  /** Etcd has this mark now; it may be restored to a lower one. */
  marked(era: number, mark: number): void {
    this.#marks.set(era, Math.max(mark, this.#marks.get(era) ?? 0));
  }

  /** No byte is handed out twice, by whichever member, and none beyond what etcd has had as a mark. @throws Violation */
  carve(member: string, era: number, offset: number): void {
    const byte = `${era}/${offset}`;
    const before = this.#carved.get(byte);
    const mark = this.#marks.get(era) ?? 0;
    this.checks.check(
      "one_use",
      before === undefined,
      () => `${member} hands out ${byte}, which ${before} has handed out`,
    );
    this.checks.check("durable_first", offset < mark, () => `${member} hands out ${byte}, but ${mark} is durable`);
    this.#carved.set(byte, member);
  }

  acknowledged(era: number, id: string): void {
    const ids = this.#written.get(era) ?? new Set();
    this.#written.set(era, ids.add(id));
  }

  /** What was acknowledged is there for whoever is the owner next. @throws Violation */
  opened(member: string, era: number, has: ReadonlySet<string>): void {
    const lacks = [...(this.#written.get(era) ?? [])].filter((id) => !has.has(id));
    this.checks.check(
      "balanced",
      lacks.length === 0,
      () => `${member} lacks ${lacks.slice(0, 5)}, which were acknowledged`,
    );
  }
}
