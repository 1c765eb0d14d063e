// Simulated time: a heap of events, of which each step runs one and lets everything that follows from it go on.

export interface SimEvent {
  /** Moved on where its owner is held. */
  atMs: number;
  order: number;
  /** Whose it is, for the trace. */
  readonly owner: string;
  readonly what: string;
  readonly run: () => void;
  /** It has run, or was cancelled. */
  isOver: boolean;
}

/** Events in the order of their time, then of their setting. */
export class SimClock {
  nowMs = 0;
  readonly #heap: SimEvent[] = [];
  /** Until when the events of an owner wait, or did when it was held last; and those that do. */
  readonly #held = new Map<string, { untilMs: number; readonly waiting: SimEvent[] }>();
  #order = 0;

  /** Events that wait, cancelled ones included until their time has come. */
  get size(): number {
    return this.#heap.length;
  }

  /** Runs `run` after `ms`; the function returned cancels it. */
  after(ms: number, owner: string, what: string, run: () => void): () => void {
    const event = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, owner, what, run, isOver: false };
    this.#push(event);
    return () => {
      event.isOver = true;
    };
  }

  /** What an owner is due to do waits until then, and comes in its order. */
  hold(owner: string, untilMs: number): void {
    const held = this.#held.get(owner) ?? { untilMs, waiting: [] };
    this.#held.set(owner, Object.assign(held, { untilMs }));
    this.after(untilMs - this.nowMs, "clock", `${owner} goes on`, () => {
      if (held.untilMs > this.nowMs) return;
      for (const event of held.waiting.splice(0)) {
        this.#push(Object.assign(event, { atMs: this.nowMs, order: this.#order++ }));
      }
    });
  }

  /** Until when the owner's events wait; in the past for most. */
  heldUntilMs(owner: string): number {
    return this.#held.get(owner)?.untilMs ?? 0;
  }

  /** Takes the next event that is due by `untilMs` and moves time to it. */
  next(untilMs: number): SimEvent | undefined {
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      if (head.atMs > untilMs) return undefined;
      this.#pop();
      if (head.isOver) continue;
      const held = this.#held.get(head.owner);
      if (held !== undefined && held.untilMs > head.atMs) {
        held.waiting.push(head);
        continue;
      }
      this.nowMs = head.atMs;
      head.isOver = true;
      return head;
    }
    return undefined;
  }

  #push(event: SimEvent): void {
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = event;
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [this.#heap[left], this.#heap[left + 1]];
      if (a === undefined) break;
      const [child, index] = b !== undefined && isBefore(b, a) ? [b, left + 1] : [a, left];
      if (!isBefore(child, last)) break;
      this.#heap[at] = child;
      at = index;
    }
    this.#heap[at] = last;
  }
}

const isBefore = (a: SimEvent, b: SimEvent): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** Resolves when every promise that can go on without time has done so: Node runs ticks when no microtask is left. */
export const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

/** Resolves in the next turn of the event loop: what nobody caught is told before. */
export const turned = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
